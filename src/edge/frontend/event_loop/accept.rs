//! Connections that come and go: accepted, rejected, closed.

use super::{ACCEPT_PAUSE, EventLoop};
use crate::edge::frontend::client::{ClientConnection, Phase};
use crate::edge::frontend::client_address;
use crate::edge::frontend::rejection::Rejection;
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
/// How long new connections wait in the kernel's queue for a place before they are answered that there is none: of many that come at
/// once most are answered by then.
const FULL_PATIENCE: Duration = Duration::from_secs(1);
/// How often a place is looked for meanwhile.
const FULL_PAUSE: Duration = Duration::from_millis(10);
/// How long a connection beyond the limit has for its head.
const EXTRA_HEAD_TIME: Duration = Duration::from_secs(1);
/// How long a connection may keep its first head back before it has to go for one that has sent a whole one.
const PATIENCE_FOR_HEADS: Duration = Duration::from_millis(250);

/// Who needs a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newcomer {
    /// A connection that has yet to say something.
    Connection,
    /// One that has sent a whole head.
    Head,
}

/// A connection that can be done without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Dispensable {
    rank: u8,
    since: Instant,
    key: usize,
    serial: u64,
}

impl Dispensable {
    /// Whether it must not be closed after all, because its request is just arriving. Who has been slow for long gains nothing by
    /// another byte.
    fn is_spared(self, client: &ClientConnection) -> bool {
        self.rank != SLOW && client.keeps_head_back() && client.has_unread()
    }
}

/// The ranks of connections that can be done without: gone or silent, idle between two requests, slow, and fresh.
const GONE: u8 = 0;
const IDLE: u8 = 1;
const SLOW: u8 = 2;
const FRESH: u8 = 3;

/// Where a new connection can go.
#[derive(Debug, Clone, Copy)]
enum Room {
    /// There is a place.
    Place,
    /// This one goes for it.
    InsteadOf(Dispensable),
    /// There is none; it is accepted to be read, or to be answered that there is none.
    Beyond,
}

impl EventLoop {
    pub(super) fn accept(&mut self, now: Instant) {
        if self.accept_again.is_some_and(|again| again <= now) {
            self.accept_again = None;
            self.acceptable = true;
        }
        if !self.acceptable || self.accept_again.is_some() {
            return;
        }
        let mut eviction_candidates = None;
        for _ in 0..ACCEPTS_AT_ONCE {
            let Some(room) = self.find_room(&mut eviction_candidates, now) else {
                // It waits in the kernel's queue.
                self.accept_again = Some(now + FULL_PAUSE);
                return;
            };
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((socket, peer)) => self.welcome(socket, peer.ip().to_canonical(), room, now),
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

    /// Where the next new connection can go; `None` when it had better wait a moment. `eviction_candidates` is looked for once
    /// for all that are accepted together.
    fn find_room(&mut self, eviction_candidates: &mut Option<Vec<Dispensable>>, now: Instant) -> Option<Room> {
        if self.clients.len() - self.extras < self.rules.limits.connections {
            self.full_since = None;
            return Some(Room::Place);
        }
        let found = eviction_candidates.get_or_insert_with(|| self.eviction_candidates(Newcomer::Connection, now));
        while let Some(next) = found.last().copied() {
            let client = self.clients.get_mut(next.key).filter(|client| client.serial == next.serial);
            let Some(client) = client else {
                found.pop();
                continue;
            };
            if next.is_spared(client) {
                client.readable = true;
                self.later.push(next.key);
                found.pop();
                continue;
            }
            // Idle connections have been answered already, so those that wait get their places.
            if next.rank == IDLE {
                self.full_since = None;
            }
            return Some(Room::InsteadOf(next));
        }
        let since = *self.full_since.get_or_insert(now);
        let has_waited = now.saturating_duration_since(since) >= FULL_PATIENCE;
        (has_waited && (self.has_room_for_extras() || self.oldest_extra(now).is_some())).then_some(Room::Beyond)
    }

    fn welcome(&mut self, socket: TcpStream, peer: IpAddr, room: Room, now: Instant) {
        self.metrics.connections_accepted.inc();
        let limits = &self.rules.limits;
        let is_exempt = (limits.loopback_is_exempt && peer.is_loopback())
            || client_address::is_trusted(peer, &limits.trusted_proxies);
        let counted = (!is_exempt).then(|| client_address::counted_as(peer));
        if counted.is_some_and(|address| self.counts.are_full(address, limits)) {
            return self.reject_connection(socket, peer, Rejection::AddressFull, now);
        }
        match room {
            Room::Place => {}
            Room::InsteadOf(eviction_candidates) => self.evict(eviction_candidates.key),
            Room::Beyond => return self.hear(socket, peer, counted, now),
        }
        let head_time = self.rules.limits.head_time;
        if let Some(key) = self.add_client(socket, peer, counted, now) {
            // epoll reports at once what has come already.
            self.set_deadline(key, now + head_time);
        }
    }

    fn evict(&mut self, key: usize) {
        self.metrics.count_rejection("evicted");
        self.close(key);
    }

    fn add_client(&mut self, socket: TcpStream, peer: IpAddr, counted: Option<IpAddr>, now: Instant) -> Option<usize> {
        self.serials += 1;
        let key = self.clients.insert(ClientConnection::new(socket, peer, counted, self.serials, now));
        let token = self.client_token(key);
        let client = self.clients.get_mut(key)?;
        if let Err(error) = self.poll.registry().register(&mut client.socket, token, Interest::READABLE) {
            debug!("a connection could not be watched: {error}");
            self.clients.try_remove(key);
            return None;
        }
        if let Some(address) = counted {
            self.counts.add(address);
        }
        self.metrics.connections.set(self.clients.len() as i64);
        Some(key)
    }

    fn has_room_for_extras(&self) -> bool {
        self.extras < self.rules.limits.extras()
    }

    /// The connection beyond the limit that has been there the longest, once it has had the time for its head or its response.
    fn oldest_extra(&mut self, now: Instant) -> Option<usize> {
        let mut oldest: Option<(Instant, usize)> = None;
        for key in self.client_keys() {
            let Some(client) = self.clients.get_mut(key).filter(|client| client.is_extra) else { continue };
            let (since, is_told) = (client.waited_for_since, !matches!(client.phase, Phase::Receiving));
            let has_had_time = now.saturating_duration_since(since) >= PATIENCE_FOR_HEADS;
            if has_had_time && (is_told || !client.has_unread()) && oldest.is_none_or(|(earlier, _)| since < earlier) {
                oldest = Some((since, key));
            }
        }
        oldest.map(|(_, key)| key)
    }

    /// Makes room for another connection beyond the limit.
    fn drop_extra(&mut self, now: Instant) {
        let Some(key) = self.oldest_extra(now) else { return };
        if self.clients.get_mut(key).is_some_and(|client| matches!(client.phase, Phase::Receiving)) {
            self.reject(key, Rejection::ConnectionsFull, "", false);
        }
        self.close(key);
    }

    /// Says no to a connection, where that costs next to nothing.
    fn reject_connection(&mut self, socket: TcpStream, peer: IpAddr, rejection: Rejection, now: Instant) {
        if !self.has_room_for_extras() {
            self.metrics.count_rejection(rejection.reason());
            return self.report(rejection);
        }
        if let Some(key) = self.add_extra(socket, peer, None, now) {
            self.reject(key, rejection, "", false);
        }
    }

    fn add_extra(&mut self, socket: TcpStream, peer: IpAddr, counted: Option<IpAddr>, now: Instant) -> Option<usize> {
        let key = self.add_client(socket, peer, counted, now)?;
        self.clients.get_mut(key)?.is_extra = true;
        self.extras += 1;
        Some(key)
    }

    /// Takes in a connection for which there is no place. Where places are held by those that keep their heads back, it gets one for a
    /// whole head, which has mostly come already: so places go to clients that have something to ask.
    fn hear(&mut self, socket: TcpStream, peer: IpAddr, counted: Option<IpAddr>, now: Instant) {
        if !self.has_room_for_extras() {
            self.drop_extra(now);
        }
        let Some(key) = self.add_extra(socket, peer, counted, now) else { return };
        self.set_deadline(key, now + EXTRA_HEAD_TIME);
        if let Some(client) = self.clients.get_mut(key) {
            client.readable = true;
        }
        self.advance(key);
        let keeps_back = self.clients.get_mut(key).is_some_and(|client| client.is_extra && client.keeps_head_back());
        if keeps_back && self.eviction_candidates(Newcomer::Head, now).is_empty() {
            // No head could get it a place now.
            self.reject(key, Rejection::ConnectionsFull, "", false);
        }
    }

    /// Finds a place for a connection that has none and has sent a whole head; `false` when there is none.
    pub(super) fn take_place(&mut self, key: usize) -> bool {
        let now = Instant::now();
        if self.clients.len() - self.extras >= self.rules.limits.connections {
            let mut found = self.eviction_candidates(Newcomer::Head, now);
            let eviction_candidates = loop {
                let Some(next) = found.pop() else { return false };
                let Some(client) = self.clients.get_mut(next.key) else { continue };
                if next.is_spared(client) {
                    client.readable = true;
                    self.later.push(next.key);
                    continue;
                }
                break next;
            };
            self.evict(eviction_candidates.key);
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.is_extra = false;
            self.extras -= 1;
        }
        true
    }

    /// The connections that can be done without, the first of them last, and no more than are accepted at once. First come those
    /// whose clients have ended their half, which mostly means that they have gone, and those that have not said a word, once they
    /// have had the time to; then those that are idle; then those that are slow to send their request or to take their answer, or that
    /// have been asked to go. In each case the one that has been waited for the longest. A client that has sent a whole head may also have
    /// the place of one that keeps its first head back. So silence, drips and requests of those who do not stay, from however many
    /// addresses, keep no other client out.
    fn eviction_candidates(&mut self, newcomer: Newcomer, now: Instant) -> Vec<Dispensable> {
        let mut found = Vec::new();
        for key in self.client_keys() {
            let Some(client) = self.clients.get_mut(key).filter(|client| !client.is_extra) else { continue };
            let since = client.waited_for_since;
            let waited = now.saturating_duration_since(since);
            let has_had_time = waited >= PATIENCE_WHEN_FULL;
            let rank = match client.phase {
                _ if client.read_closed => GONE,
                Phase::Receiving if client.is_idle() && client.served => IDLE,
                Phase::Receiving if client.is_idle() && has_had_time => GONE,
                Phase::Receiving | Phase::Responding(_) if has_had_time => SLOW,
                Phase::Lingering => SLOW,
                Phase::Receiving
                    if newcomer == Newcomer::Head && client.keeps_head_back() && waited >= PATIENCE_FOR_HEADS =>
                {
                    FRESH
                }
                _ => continue,
            };
            found.push(Dispensable { rank, since, key, serial: client.serial });
        }
        found.sort_unstable();
        found.truncate(ACCEPTS_AT_ONCE);
        found.reverse();
        found
    }

    pub(super) fn close(&mut self, key: usize) {
        // Closing its socket also ends the watch on it.
        let Some(client) = self.clients.try_remove(key) else { return };
        self.output_bytes -= client.counted_output;
        if let Some(address) = client.counted {
            self.counts.remove(address);
        }
        if client.is_extra {
            self.extras -= 1;
        }
        if self.full_since.is_some() {
            // A place has become free, or memory to answer another.
            self.accept_again = None;
            self.acceptable = true;
        }
        match client.phase {
            Phase::Queued(_) => {
                self.metrics.requests_waiting.dec();
            }
            Phase::OnUpstream(place) => {
                // The upstream connection is not closed: opening one is the dear and dangerous part. Its answer is read and
                // thrown away.
                if let Some(serving) = self.serving_mut(place, key) {
                    serving.client = None;
                    self.unpaused.push(place);
                }
            }
            Phase::Receiving | Phase::Responding(_) | Phase::Lingering => {}
        }
        self.metrics.connections.set(self.clients.len() as i64);
    }
}
