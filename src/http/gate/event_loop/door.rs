//! Connections that come and go: accepted, turned away, closed.

use super::{ACCEPT_PAUSE, EventLoop, LINGER};
use crate::http::gate::client::{Client, Phase, Then};
use crate::http::gate::origin;
use crate::http::gate::refusal::Refusal;
use log::{debug, warn};
use mio::Interest;
use mio::net::TcpStream;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Connections accepted before the others get their turn.
const ACCEPTS_AT_ONCE: usize = 64;
/// How long a client may be silent or slow before it has to go first when all places are taken.
const PATIENCE_WHEN_FULL: Duration = Duration::from_secs(2);
/// How often a lasting trouble is logged.
const LOG_PAUSE: Duration = Duration::from_secs(10);
/// Connections beyond the limit that are told so; more are only closed. A quarter of the limit where that is less.
const TURNED_AWAY_MAX: usize = 64;

impl EventLoop {
    pub(super) fn accept(&mut self, now: Instant) {
        if self.accept_again.is_some_and(|again| again <= now) {
            self.accept_again = None;
            self.acceptable = true;
        }
        if !self.acceptable || self.accept_again.is_some() {
            return;
        }
        let mut dispensable = None;
        for _ in 0..ACCEPTS_AT_ONCE {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((socket, peer)) => self.welcome(socket, peer.ip().to_canonical(), &mut dispensable, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.acceptable = false;
                    return;
                }
                // The client has gone already, or a signal came: the next one is not worse for it.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => {
                    self.metrics.accept_failures.inc();
                    self.accept_again = Some(now + ACCEPT_PAUSE);
                    if self.accept_warned.is_none_or(|warned| now >= warned + LOG_PAUSE) {
                        self.accept_warned = Some(now);
                        warn!("no connection can be accepted, trying again every {ACCEPT_PAUSE:?}: {error}");
                    }
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, socket: TcpStream, peer: IpAddr, dispensable: &mut Option<Vec<usize>>, now: Instant) {
        self.metrics.connections_accepted.inc();
        let limits = &self.rules.limits;
        let is_exempt =
            (limits.loopback_is_exempt && peer.is_loopback()) || origin::is_trusted(peer, &limits.trusted_proxies);
        let counted = (!is_exempt).then(|| origin::counted_as(peer));
        if let Some(address) = counted
            && self.per_address.get(&address).is_some_and(|count| *count >= limits.connections_per_address)
        {
            return self.turn_away(socket, peer, Refusal::AddressFull, now);
        }
        if self.clients.len() - self.turned_away >= limits.connections && !self.make_room(dispensable, now) {
            return self.turn_away(socket, peer, Refusal::ConnectionsFull, now);
        }
        let head_time = self.rules.limits.head_time;
        if let Some(key) = self.add_client(socket, peer, counted, now) {
            // epoll tells at once of what has come already.
            self.set_deadline(key, now + head_time);
        }
    }

    fn add_client(&mut self, socket: TcpStream, peer: IpAddr, counted: Option<IpAddr>, now: Instant) -> Option<usize> {
        self.serials += 1;
        let key = self.clients.insert(Client::new(socket, peer, counted, self.serials, now));
        let token = self.client_token(key);
        let client = self.clients.get_mut(key)?;
        if let Err(error) = self.poll.registry().register(&mut client.socket, token, Interest::READABLE) {
            debug!("a connection could not be watched: {error}");
            self.clients.remove(key);
            return None;
        }
        if let Some(address) = counted {
            *self.per_address.entry(address).or_insert(0) += 1;
        }
        self.metrics.connections.set(self.clients.len() as i64);
        Some(key)
    }

    /// Says no to a connection, where that costs next to nothing.
    fn turn_away(&mut self, socket: TcpStream, peer: IpAddr, refusal: Refusal, now: Instant) {
        self.metrics.count_refusal(refusal.reason());
        if self.turned_away >= TURNED_AWAY_MAX.min(self.rules.limits.connections / 4) {
            return;
        }
        if let Some(key) = self.add_client(socket, peer, None, now) {
            self.turned_away += 1;
            if let Some(client) = self.clients.get_mut(key) {
                client.is_turned_away = true;
                refusal.write("", false, client.output());
                client.phase = Phase::Answering(Then::Linger);
            }
            self.set_deadline(key, now + LINGER);
            self.flush(key);
        }
    }

    /// Makes room by closing the connection that can best be done without; `false` when there is none. `dispensable` is looked for
    /// once for all that are accepted together.
    fn make_room(&mut self, dispensable: &mut Option<Vec<usize>>, now: Instant) -> bool {
        let keys = dispensable.get_or_insert_with(|| self.dispensable(now));
        let Some(key) = keys.pop() else { return false };
        self.metrics.count_refusal("made_room");
        self.close(key);
        true
    }

    /// The connections that can be done without, the first of them last, and no more than are accepted at once. First come those
    /// whose clients have ended their half, which mostly means that they have gone, and those that have not said a word, once they
    /// have had the time to; then those that are idle; then those that are slow to send their request or to take their answer, or that
    /// have been told to go. In each case the one that has been waited for the longest. So silence, drips and requests of those who
    /// do not stay, from however many addresses, keep nobody out.
    fn dispensable(&mut self, now: Instant) -> Vec<usize> {
        let mut found = Vec::new();
        for key in self.clients.keys() {
            let Some(client) = self.clients.get_mut(key).filter(|client| !client.is_turned_away) else { continue };
            let has_had_time = now.saturating_duration_since(client.waited_for_since) >= PATIENCE_WHEN_FULL;
            let rank = match client.phase {
                _ if client.read_closed => 0,
                Phase::Receiving if client.is_idle() => u8::from(client.served || !has_had_time),
                Phase::Receiving | Phase::Answering(_) if has_had_time => 2,
                Phase::Lingering => 2,
                _ => continue,
            };
            found.push((rank, client.waited_for_since, key));
        }
        found.sort_unstable();
        found.truncate(ACCEPTS_AT_ONCE);
        found.into_iter().rev().map(|(_, _, key)| key).collect()
    }

    pub(super) fn close(&mut self, key: usize) {
        // Closing its socket also ends the watch on it.
        let Some(client) = self.clients.remove(key) else { return };
        self.output_bytes -= client.counted_output;
        if let Some(address) = client.counted
            && let Some(count) = self.per_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
        if client.is_turned_away {
            self.turned_away -= 1;
        }
        match client.phase {
            Phase::Queued(_) => {
                self.metrics.requests_waiting.dec();
            }
            Phase::OnLane(place) => {
                // The lane is not closed: opening one is the dear and dangerous part. Its answer is read and thrown away.
                if let Some(serving) = self.serving_mut(place, key) {
                    serving.client = None;
                    self.unpaused.push(place);
                }
            }
            Phase::Receiving | Phase::Answering(_) | Phase::Lingering => {}
        }
        self.metrics.connections.set(self.clients.len() as i64);
    }
}
