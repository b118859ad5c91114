//! Upstream connections: requests handed to the server over them, and responses taken from them.

use super::{ACCEPT_PAUSE, EventLoop, LINGER, UPSTREAM_READ, UPSTREAMS_FROM};
use crate::edge::frontend::client::{Phase, Serving, Then};
use crate::edge::frontend::protocol::{self, InvalidResponse};
use crate::edge::frontend::receive::{Awaited, Class, CompleteRequest, Receiver};
use crate::edge::frontend::rejection::Rejection;
use crate::edge::frontend::upstream::Upstream;
use log::{debug, error, warn};
use mio::Token;
use mio::event::Event;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A client may always have this much to take. While it has more, and all together have as much as they may, no more is read
/// from its upstream connection; nor is more than this read at once then, so that thousands who take nothing stay within the memory.
const OUTPUT_FREE: usize = 16 * 1024;

/// How much of a response may be read from its upstream connection now for a client that has `pending` bytes yet to take, where
/// all clients together have `held` and may have `held_max`.
fn to_read(pending: usize, held: usize, held_max: usize) -> usize {
    if held <= held_max {
        UPSTREAM_READ
    } else if pending <= OUTPUT_FREE {
        OUTPUT_FREE
    } else {
        0
    }
}

impl EventLoop {
    fn upstream_mut(&mut self, upstream: usize) -> Option<&mut Upstream> {
        self.upstreams.get_mut(upstream).and_then(Option::as_mut)
    }

    pub(super) fn add_upstream(&mut self, socket: UnixStream) -> io::Result<()> {
        let Some(place) = self.upstreams.iter().position(Option::is_none) else { return Ok(()) };
        socket.set_nonblocking(true)?;
        let mut upstream = Upstream::new(mio::net::UnixStream::from_std(socket));
        upstream.register(self.poll.registry(), Token(UPSTREAMS_FROM + place))?;
        self.upstreams[place] = Some(upstream);
        self.free_upstreams.push(place);
        Ok(())
    }

    /// What the upstream connection at `place` keeps of the client `key`.
    pub(super) fn serving_mut(&mut self, place: usize, key: usize) -> Option<&mut Serving> {
        self.upstream_mut(place)?.serving.iter_mut().find(|serving| serving.client == Some(key))
    }

    /// Gives waiting requests to free upstream connections. A few upstream connections are for critical ones.
    pub(super) fn dispatch(&mut self, now: Instant) {
        while let Some(place) = self.free_upstreams.last().copied() {
            let Some(first) = self.take_next(place, now) else { return };
            fail_point!("http::dispatched");
            let (may_share, class) = (first.1.may_share, first.1.class);
            let mut batch = vec![first];
            while may_share
                && batch.len() < self.rules.limits.batch
                && let Some(next) = self.take_waiting(place, class, |next| next.may_share, now)
            {
                batch.push(next);
            }
            self.free_upstreams.pop();
            let Some(upstream) = self.upstreams.get_mut(place).and_then(Option::as_mut) else { continue };
            upstream.take(batch.into_iter(), &self.rules.secret);
            if let Err(error) = upstream.flush(self.poll.registry(), Token(UPSTREAMS_FROM + place)) {
                self.lose_upstream(place, &error);
            }
        }
    }

    /// Takes the request whose turn it is for the upstream connection at `place`. Critical ones go first until they have the
    /// upstream connections that are kept for them, and last from there on; webhooks and others take turns. Any client can ask for
    /// any of these, and clients that ask for one kind alone must not keep the others out.
    fn take_next(&mut self, place: usize, now: Instant) -> Option<(usize, CompleteRequest)> {
        let kept = self.rules.limits.critical_upstreams;
        let critical = self
            .upstreams
            .iter()
            .flatten()
            .filter(|upstream| upstream.is_critical && !upstream.serving.is_empty())
            .count();
        if critical < kept.max(1)
            && let Some(next) = self.take_waiting(place, Class::Critical, |_| true, now)
        {
            return Some(next);
        }
        if self.free_upstreams.len() > kept.saturating_sub(critical) {
            for class in self.waiting.in_turn() {
                if let Some(next) = self.take_waiting(place, class, |_| true, now) {
                    self.waiting.last = class;
                    return Some(next);
                }
            }
        }
        self.take_waiting(place, Class::Critical, |_| true, now)
    }

    /// Takes the next request of its class for the upstream connection at `place`, where there is one that `fits`.
    fn take_waiting(
        &mut self,
        place: usize,
        class: Class,
        fits: impl Fn(&CompleteRequest) -> bool,
        now: Instant,
    ) -> Option<(usize, CompleteRequest)> {
        loop {
            let queue = self.waiting.of(class);
            let (key, serial) = *queue.front()?;
            let client = self.clients.get_mut(key).filter(|client| client.serial == serial);
            let waiting = client.and_then(|client| match &client.phase {
                Phase::Queued(whole) => Some((fits(whole), client)),
                _ => None,
            });
            let Some((fits, client)) = waiting else {
                // It has gone, or was rejected for having waited too long.
                queue.pop_front();
                continue;
            };
            if !fits {
                return None;
            }
            queue.pop_front();
            let Phase::Queued(whole) = std::mem::replace(&mut client.phase, Phase::OnUpstream(place)) else { continue };
            self.metrics.requests_waiting.dec();
            self.timers.set(&mut client.deadline, now + self.rules.limits.response_time, key, serial);
            return Some((key, *whole));
        }
    }

    pub(super) fn on_upstream_event(&mut self, place: usize, event: &Event) {
        let Some(upstream) = self.upstreams.get_mut(place).and_then(Option::as_mut) else { return };
        if event.is_writable()
            && let Err(error) = upstream.flush(self.poll.registry(), Token(UPSTREAMS_FROM + place))
        {
            return self.lose_upstream(place, &error);
        }
        if event.is_readable() || event.is_read_closed() {
            upstream.readable = true;
            upstream.read_closed |= event.is_read_closed();
            self.read_upstream(place);
        }
    }

    /// Takes a response from its upstream connection to its client, as fast as the client takes it.
    pub(super) fn read_upstream(&mut self, place: usize) {
        loop {
            let Some(upstream) = self.upstreams.get_mut(place).and_then(Option::as_mut) else { return };
            if !upstream.readable {
                return;
            }
            let client = upstream.serving.front().and_then(|serving| serving.client);
            let pending = client.and_then(|key| self.clients.get_mut(key)).map_or(0, |client| client.pending());
            let at_once = to_read(pending, self.output_bytes, self.rules.limits.responses_bytes);
            if at_once == 0 {
                // Read on when the client has taken some of it.
                return self.pause_upstream(place);
            }
            let Some(upstream) = self.upstreams.get_mut(place).and_then(Option::as_mut) else { return };
            upstream.is_paused = false;
            match upstream.read(&mut self.scratch[..at_once]) {
                Ok(None) => return,
                Ok(Some(bytes)) => {
                    if self.take_response(place, bytes) == Err(InvalidResponse) {
                        return self.lose_upstream(place, &ErrorKind::InvalidData.into());
                    }
                }
                Err(error) => return self.lose_upstream(place, &error),
            }
        }
    }

    /// Leaves a response on its upstream connection until its client takes more. When more than half of the upstream connections
    /// wait so, there is one client too many.
    fn pause_upstream(&mut self, place: usize) {
        let Some(upstream) = self.upstream_mut(place) else { return };
        upstream.is_paused = true;
        let paused = self.upstreams.iter().flatten().filter(|upstream| upstream.is_paused).count();
        if paused > self.upstreams.len() / 2
            && let Some(key) = self.slowest_taker()
        {
            debug!("too many clients do not take their responses, one of them is cut off");
            self.metrics.count_rejection("response_not_taken");
            self.close(key);
        }
    }

    /// Who has been taking the longest over a response. Not the client that is being served at the moment: that one may well be quick.
    fn slowest_taker(&mut self) -> Option<usize> {
        let keys = self.client_keys().into_iter();
        let taking = keys.filter_map(|key| {
            let client = self.clients.get_mut(key)?;
            (client.pending() > 0).then_some((client.waited_for_since, key))
        });
        taking.min().map(|(_, key)| key)
    }

    /// Hands on what has just been read into the scratch space.
    fn take_response(&mut self, place: usize, bytes: usize) -> Result<(), InvalidResponse> {
        let mut responded = std::mem::take(&mut self.responded);
        let outcome = self.split_responses(place, bytes, &mut responded);
        for key in responded.drain(..) {
            self.flush(key);
        }
        self.responded = responded;
        outcome
    }

    /// Gives each client of an upstream connection its part of what has been read, and notes in `responded` who got some.
    fn split_responses(
        &mut self,
        place: usize,
        bytes: usize,
        responded: &mut Vec<usize>,
    ) -> Result<(), InvalidResponse> {
        let now = Instant::now();
        let is_stopping = self.stopping.is_some();
        let limits = &self.rules.limits;
        let Some(upstream) = self.upstreams.get_mut(place).and_then(Option::as_mut) else { return Ok(()) };
        let mut discarded = Vec::new();
        // The start of a response that came before, where its head was not all there.
        let mut early = std::mem::take(&mut upstream.input);
        let mut fresh = &self.scratch[..bytes];
        if !early.is_empty() {
            early.extend_from_slice(fresh);
            fresh = &early;
        }
        while !fresh.is_empty() {
            let serving = upstream.serving.front_mut().ok_or(InvalidResponse)?;
            let mut client = serving.client.and_then(|key| self.clients.get_mut(key));
            let output = client.as_mut().map_or(&mut discarded, |client| client.output());
            let (left, is_new) = if let Some(left) = serving.body_left {
                (left, false)
            } else {
                let keep_alive = serving.meta.keep_alive && !is_stopping;
                let Some(head) =
                    protocol::write_response_head(fresh, &serving.meta, keep_alive, self.date.text(now), output)?
                else {
                    upstream.input = fresh.to_vec();
                    return Ok(());
                };
                fresh = &fresh[head.length..];
                serving.meta.keep_alive = keep_alive;
                (head.body, true)
            };
            let here = left.min(fresh.len());
            // Not twice as much as is needed, as a Vec would take by itself: what is counted is what is held.
            output.reserve_exact(here);
            output.extend_from_slice(&fresh[..here]);
            fresh = &fresh[here..];
            serving.body_left = Some(left - here);
            if let (Some(client), Some(key)) = (client, serving.client) {
                if is_new {
                    // Set before the first write: no client can put it off by taking a byte now and then.
                    let pace = Duration::from_secs((left / limits.write_bytes_per_second.max(1)) as u64);
                    self.timers.set(&mut client.deadline, now + limits.write_time + pace, key, client.serial);
                    client.waited_for_since = now;
                }
                if left == here {
                    client.phase = Phase::Responding(if serving.meta.keep_alive { Then::Next } else { Then::Close });
                }
                responded.push(key);
            }
            if left == here {
                upstream.serving.pop_front();
            }
        }
        if upstream.serving.is_empty() {
            self.free_upstreams.push(place);
        }
        Ok(())
    }

    /// Writes what a client takes, and does what follows when it has taken all.
    pub(super) fn flush(&mut self, key: usize) {
        let token = self.client_token(key);
        let Some(client) = self.clients.get_mut(key) else { return };
        let flushed = client.flush(self.poll.registry(), token);
        self.output_bytes = self.output_bytes + client.pending() - client.counted_output;
        client.counted_output = client.pending();
        let done = match flushed {
            Ok(done) => done,
            Err(_gone) => return self.close(key),
        };
        if let Phase::OnUpstream(place) = client.phase {
            // More of the response may wait on the upstream connection.
            if (done || client.pending() <= OUTPUT_FREE)
                && self.upstream_mut(place).is_some_and(|upstream| upstream.is_paused)
            {
                self.unpaused.push(place);
            }
            return;
        }
        if !done {
            return;
        }
        let Phase::Responding(then) = client.phase else { return };
        let now = Instant::now();
        match then {
            Then::Next if self.stopping.is_some() => self.linger(key, now),
            Then::Next => {
                client.phase = Phase::Receiving;
                client.served = true;
                client.waited_for_since = now;
                client.awaited = Awaited::Start;
                self.set_deadline(key, now + self.rules.limits.idle_time);
                self.resumed.push(key);
            }
            Then::Close if !client.readable && client.receiver.awaited() == Awaited::Start => {
                // All that came has been read, and the client has said that nothing follows.
                self.close(key);
            }
            Then::Close | Then::Linger => self.linger(key, now),
        }
    }

    /// Ends the responses of a connection, and gives its client a moment to notice.
    fn linger(&mut self, key: usize, now: Instant) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.end_output();
        client.phase = Phase::Lingering;
        client.waited_for_since = now;
        client.receiver = Receiver::default();
        self.set_deadline(key, now + LINGER);
        self.resumed.push(key);
    }

    fn lose_upstream(&mut self, place: usize, error: &io::Error) {
        warn!("an upstream connection to the server was lost, opening another: {error}");
        self.metrics.upstreams_reopened.inc();
        let Some(mut upstream) = self.upstreams.get_mut(place).and_then(Option::take) else { return };
        upstream.deregister(self.poll.registry());
        self.free_upstreams.retain(|free| *free != place);
        for serving in upstream.serving.drain(..) {
            match serving.client {
                // Half a response is out: cutting the connection is the only way to say so.
                Some(key) if serving.body_left.is_some() => self.close(key),
                Some(key) => self.reject(key, Rejection::NoResponse, &serving.meta.id, serving.meta.is_head),
                None => {}
            }
        }
        self.reopen_upstream();
    }

    /// Has another upstream connection opened, by a thread that may wait.
    pub(super) fn reopen_upstream(&self) {
        let (open, opener, waker, stop) =
            (self.open_upstream.clone(), self.opener.clone(), self.waker.clone(), self.stop.clone());
        let opening = std::thread::Builder::new().name("http-upstream".to_owned()).spawn(move || {
            while stop.until().is_none() {
                match open() {
                    Ok(upstream) => {
                        let _stopped_meanwhile = opener.send(upstream);
                        let _stopped_meanwhile = waker.wake();
                        return;
                    }
                    Err(error) => {
                        debug!("no upstream connection can be opened now: {error}");
                        std::thread::sleep(ACCEPT_PAUSE);
                    }
                }
            }
        });
        if let Err(error) = opening {
            error!("no thread for opening an upstream connection: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::frontend::FrontEndLimits;

    #[test]
    fn responses_that_no_client_takes_stay_within_the_memory() {
        let limits = FrontEndLimits::default();
        let mut held = vec![0; limits.connections];
        let mut total = 0;
        // Each in its turn, as often as something more is read for anybody.
        let mut last = usize::MAX;
        while last != total {
            last = total;
            for pending in &mut held {
                let more = to_read(*pending, total, limits.responses_bytes);
                *pending += more;
                total += more;
            }
        }
        assert!(total > limits.responses_bytes, "{total}");
        assert!(total < 64 * 1024 * 1024, "{total}");
        assert_eq!(to_read(0, total, limits.responses_bytes), OUTPUT_FREE, "who has nothing to take gets something");
    }
}
