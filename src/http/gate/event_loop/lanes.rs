//! Private connections: requests handed to the server over them, and answers taken from them.

use super::{ACCEPT_PAUSE, EventLoop, LANE_READ, LANES_FROM, LINGER};
use crate::http::gate::client::{Phase, Serving, Then};
use crate::http::gate::lane::Lane;
use crate::http::gate::private::{self, Broken, Burst};
use crate::http::gate::receive::{Awaited, Class, Receiver, Whole};
use crate::http::gate::refusal::Refusal;
use log::{debug, error, warn};
use mio::Token;
use mio::event::Event;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A client may always have this much to take. While it has more, and all together have as much as they may, no more is read
/// from its lane; nor is more than this read at once then, so that thousands who take nothing stay within the memory.
const OUTPUT_FREE: usize = 16 * 1024;

/// How much of an answer may be read from its lane now for a client that has `pending` bytes yet to take, where all clients together
/// have `held` and may have `held_max`.
fn to_read(pending: usize, held: usize, held_max: usize) -> usize {
    if held <= held_max {
        LANE_READ
    } else if pending <= OUTPUT_FREE {
        OUTPUT_FREE
    } else {
        0
    }
}

impl EventLoop {
    fn lane_mut(&mut self, lane: usize) -> Option<&mut Lane> {
        self.lanes.get_mut(lane).and_then(Option::as_mut)
    }

    pub(super) fn add_lane(&mut self, socket: UnixStream) -> io::Result<()> {
        let Some(place) = self.lanes.iter().position(Option::is_none) else { return Ok(()) };
        socket.set_nonblocking(true)?;
        let mut lane = Lane::new(mio::net::UnixStream::from_std(socket));
        lane.register(self.poll.registry(), Token(LANES_FROM + place))?;
        self.lanes[place] = Some(lane);
        self.free_lanes.push(place);
        Ok(())
    }

    /// What the lane at `place` keeps of the client `key`.
    pub(super) fn serving_mut(&mut self, place: usize, key: usize) -> Option<&mut Serving> {
        self.lane_mut(place)?.serving.iter_mut().find(|serving| serving.client == Some(key))
    }

    /// Gives waiting requests to free lanes. A few lanes are for urgent ones.
    pub(super) fn dispatch(&mut self, now: Instant) {
        while let Some(place) = self.free_lanes.last().copied() {
            let Some(first) = self.take_next(place, now) else { return };
            fail_point!("http::dispatched");
            let may_share = first.1.may_share;
            let mut burst = vec![first];
            while may_share
                && burst.len() < self.rules.limits.burst
                && let Some(next) = self.take_waiting(place, Class::Shared, |next| next.may_share, now)
            {
                burst.push(next);
            }
            self.free_lanes.pop();
            let Some(lane) = self.lanes.get_mut(place).and_then(Option::as_mut) else { continue };
            let size = burst.len();
            self.bursts += 1;
            for (in_burst, (key, whole)) in burst.into_iter().enumerate() {
                let burst = (size > 1).then_some(Burst { number: self.bursts, place: in_burst, size });
                lane.take(whole, key, &self.rules.secret, burst);
            }
            if let Err(error) = lane.flush(self.poll.registry(), Token(LANES_FROM + place)) {
                self.lose_lane(place, &error);
            }
        }
    }

    /// Takes the request whose turn it is for the lane at `place`. Urgent ones go first until they have the lanes that are kept for
    /// them, and last from there on; webhooks and others take turns. Anybody can ask for any of these, and whoever asks for one kind
    /// alone must not keep the others out.
    fn take_next(&mut self, place: usize, now: Instant) -> Option<(usize, Whole)> {
        let kept = self.rules.limits.urgent_lanes;
        let urgent = self.lanes.iter().flatten().filter(|lane| lane.is_urgent && !lane.serving.is_empty()).count();
        if urgent < kept.max(1)
            && let Some(next) = self.take_waiting(place, Class::Urgent, |_| true, now)
        {
            return Some(next);
        }
        if self.free_lanes.len() > kept.saturating_sub(urgent) {
            for class in self.waiting.in_turn() {
                if let Some(next) = self.take_waiting(place, class, |_| true, now) {
                    self.waiting.last = class;
                    return Some(next);
                }
            }
        }
        self.take_waiting(place, Class::Urgent, |_| true, now)
    }

    /// Takes the next request of its class for the lane at `place`, where there is one that `fits`.
    fn take_waiting(
        &mut self,
        place: usize,
        class: Class,
        fits: impl Fn(&Whole) -> bool,
        now: Instant,
    ) -> Option<(usize, Whole)> {
        loop {
            let queue = self.waiting.of(class);
            let (key, serial) = *queue.front()?;
            let client = self.clients.get_mut(key).filter(|client| client.serial == serial);
            let waiting = client.and_then(|client| match &client.phase {
                Phase::Queued(whole) => Some((fits(whole), client)),
                _ => None,
            });
            let Some((fits, client)) = waiting else {
                // It has gone, or was refused for having waited too long.
                queue.pop_front();
                continue;
            };
            if !fits {
                return None;
            }
            queue.pop_front();
            let Phase::Queued(whole) = std::mem::replace(&mut client.phase, Phase::OnLane(place)) else { continue };
            self.metrics.requests_waiting.dec();
            self.timers.set(&mut client.deadline, now + self.rules.limits.answer_time, key, serial);
            return Some((key, *whole));
        }
    }

    pub(super) fn on_lane_event(&mut self, place: usize, event: &Event) {
        let Some(lane) = self.lanes.get_mut(place).and_then(Option::as_mut) else { return };
        if event.is_writable()
            && let Err(error) = lane.flush(self.poll.registry(), Token(LANES_FROM + place))
        {
            return self.lose_lane(place, &error);
        }
        if event.is_readable() || event.is_read_closed() {
            lane.readable = true;
            lane.read_closed |= event.is_read_closed();
            self.read_lane(place);
        }
    }

    /// Takes an answer from its lane to its client, as fast as the client takes it.
    pub(super) fn read_lane(&mut self, place: usize) {
        loop {
            let Some(lane) = self.lanes.get_mut(place).and_then(Option::as_mut) else { return };
            if !lane.readable {
                return;
            }
            let client = lane.serving.front().and_then(|serving| serving.client);
            let pending = client.and_then(|key| self.clients.get_mut(key)).map_or(0, |client| client.pending());
            let at_once = to_read(pending, self.output_bytes, self.rules.limits.answers_bytes);
            if at_once == 0 {
                // Read on when the client has taken some of it.
                return self.pause_lane(place);
            }
            let Some(lane) = self.lanes.get_mut(place).and_then(Option::as_mut) else { return };
            lane.is_paused = false;
            match lane.read(&mut self.scratch[..at_once]) {
                Ok(None) => return,
                Ok(Some(bytes)) => {
                    if self.take_answer(place, bytes) == Err(Broken) {
                        return self.lose_lane(place, &ErrorKind::InvalidData.into());
                    }
                }
                Err(error) => return self.lose_lane(place, &error),
            }
        }
    }

    /// Leaves an answer on its lane until its client takes more. When more than half of the lanes wait so, there is one client too many.
    fn pause_lane(&mut self, place: usize) {
        let Some(lane) = self.lane_mut(place) else { return };
        lane.is_paused = true;
        let paused = self.lanes.iter().flatten().filter(|lane| lane.is_paused).count();
        if paused > self.lanes.len() / 2
            && let Some(key) = self.slowest_taker()
        {
            debug!("too many clients do not take their answers, one of them is cut off");
            self.metrics.count_refusal("answer_not_taken");
            self.close(key);
        }
    }

    /// Who has been taking the longest over an answer. Not whoever is being served at the moment: that one may well be quick.
    fn slowest_taker(&mut self) -> Option<usize> {
        let keys = self.clients.keys().into_iter();
        let taking = keys.filter_map(|key| {
            let client = self.clients.get_mut(key)?;
            (client.pending() > 0).then_some((client.waited_for_since, key))
        });
        taking.min().map(|(_, key)| key)
    }

    /// Hands on what has just been read into the scratch space.
    fn take_answer(&mut self, place: usize, bytes: usize) -> Result<(), Broken> {
        let mut answered = std::mem::take(&mut self.answered);
        let outcome = self.split_answers(place, bytes, &mut answered);
        for key in answered.drain(..) {
            self.flush(key);
        }
        self.answered = answered;
        outcome
    }

    /// Gives each client of a lane its part of what has been read, and notes in `answered` who got some.
    fn split_answers(&mut self, place: usize, bytes: usize, answered: &mut Vec<usize>) -> Result<(), Broken> {
        let now = Instant::now();
        let is_stopping = self.stopping.is_some();
        let limits = &self.rules.limits;
        let Some(lane) = self.lanes.get_mut(place).and_then(Option::as_mut) else { return Ok(()) };
        let mut nobody = Vec::new();
        // The start of an answer that came before, where its head was not all there.
        let mut early = std::mem::take(&mut lane.input);
        let mut fresh = &self.scratch[..bytes];
        if !early.is_empty() {
            early.extend_from_slice(fresh);
            fresh = &early;
        }
        while !fresh.is_empty() {
            let serving = lane.serving.front_mut().ok_or(Broken)?;
            let mut client = serving.client.and_then(|key| self.clients.get_mut(key));
            let output = client.as_mut().map_or(&mut nobody, |client| client.output());
            let (left, is_new) = if let Some(left) = serving.body_left {
                (left, false)
            } else {
                let keep_alive = serving.asked.keep_alive && !is_stopping;
                let Some(head) =
                    private::write_answer_head(fresh, &serving.asked, keep_alive, self.date.text(now), output)?
                else {
                    lane.input = fresh.to_vec();
                    return Ok(());
                };
                fresh = &fresh[head.length..];
                serving.asked.keep_alive = keep_alive;
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
                    client.phase = Phase::Answering(if serving.asked.keep_alive { Then::Next } else { Then::Close });
                }
                answered.push(key);
            }
            if left == here {
                lane.serving.pop_front();
            }
        }
        if lane.serving.is_empty() {
            self.free_lanes.push(place);
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
        if let Phase::OnLane(place) = client.phase {
            // More of the answer may wait on the lane.
            if (done || client.pending() <= OUTPUT_FREE) && self.lane_mut(place).is_some_and(|lane| lane.is_paused) {
                self.unpaused.push(place);
            }
            return;
        }
        if !done {
            return;
        }
        let Phase::Answering(then) = client.phase else { return };
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

    /// Ends the answers of a connection, and gives its client a moment to notice.
    fn linger(&mut self, key: usize, now: Instant) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.end_output();
        client.phase = Phase::Lingering;
        client.waited_for_since = now;
        client.receiver = Receiver::default();
        self.set_deadline(key, now + LINGER);
        self.resumed.push(key);
    }

    fn lose_lane(&mut self, place: usize, error: &io::Error) {
        warn!("a private connection to the server was lost, opening another: {error}");
        self.metrics.lanes_reopened.inc();
        let Some(mut lane) = self.lanes.get_mut(place).and_then(Option::take) else { return };
        lane.deregister(self.poll.registry());
        self.free_lanes.retain(|free| *free != place);
        for serving in lane.serving.drain(..) {
            match serving.client {
                // Half an answer is out: cutting the connection is the only way to say so.
                Some(key) if serving.body_left.is_some() => self.close(key),
                Some(key) => self.refuse(key, Refusal::NoAnswer, &serving.asked.id, serving.asked.is_head),
                None => {}
            }
        }
        self.reopen_lane();
    }

    /// Has another lane opened, by a thread that may wait.
    pub(super) fn reopen_lane(&self) {
        let (open, opener, waker, stop) =
            (self.open_lane.clone(), self.opener.clone(), self.waker.clone(), self.stop.clone());
        let opening = std::thread::Builder::new().name("http-lane".to_owned()).spawn(move || {
            while stop.until().is_none() {
                match open() {
                    Ok(lane) => {
                        let _stopped_meanwhile = opener.send(lane);
                        let _stopped_meanwhile = waker.wake();
                        return;
                    }
                    Err(error) => {
                        debug!("no private connection can be opened now: {error}");
                        std::thread::sleep(ACCEPT_PAUSE);
                    }
                }
            }
        });
        if let Err(error) = opening {
            error!("no thread for opening a private connection: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::gate::Limits;

    #[test]
    fn answers_that_nobody_takes_stay_within_the_memory() {
        let limits = Limits::default();
        let mut held = vec![0; limits.connections];
        let mut total = 0;
        // Each in its turn, as often as something more is read for anybody.
        let mut last = usize::MAX;
        while last != total {
            last = total;
            for pending in &mut held {
                let more = to_read(*pending, total, limits.answers_bytes);
                *pending += more;
                total += more;
            }
        }
        assert!(total > limits.answers_bytes, "{total}");
        assert!(total < 64 * 1024 * 1024, "{total}");
        assert_eq!(to_read(0, total, limits.answers_bytes), OUTPUT_FREE, "who has nothing to take gets something");
    }
}
