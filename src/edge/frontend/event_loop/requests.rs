//! Requests that come in: read from the clients, rejected in time, handed on.

use super::{EventLoop, LINGER};
use crate::edge::frontend::client::{BodyProgress, Phase, ReadOutcome, Then};
use crate::edge::frontend::receive::{Awaited, CompleteRequest, ReceiveStep, Receiver};
use crate::edge::frontend::rejection::Rejection;
use crate::log_limit::LogLimiter;
use log::{debug, warn};
use mio::event::Event;
use std::time::Instant;

/// Read from a client at once: what one connection may hold unread in the front end.
const CLIENT_READ: usize = 16 * 1024;
/// Reads from one client before the others get their turn.
const STEPS_AT_ONCE: usize = 32;

/// Lines about responses that did not come in time.
static LATE: LogLimiter = LogLimiter::new();

impl EventLoop {
    pub(super) fn on_client_event(&mut self, key: usize, event: &Event) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if event.is_readable() || event.is_read_closed() {
            client.readable = true;
            client.read_closed |= event.is_read_closed();
        }
        if event.is_error() || event.is_write_closed() {
            // Reset, or gone altogether: there is no client to answer. A half-closed connection is not one of these.
            self.close(key);
            return;
        }
        if event.is_writable() {
            self.flush(key);
        }
        self.advance(key);
    }

    /// Moves a connection on as far as it goes.
    pub(super) fn advance(&mut self, key: usize) {
        for _ in 0..STEPS_AT_ONCE {
            let Some(client) = self.clients.get_mut(key) else { return };
            match client.phase {
                Phase::Receiving => {}
                Phase::Lingering => {
                    if client.readable {
                        match client.read(&mut self.scratch[..CLIENT_READ]) {
                            ReadOutcome::End => self.close(key),
                            ReadOutcome::Bytes(_) => continue,
                            ReadOutcome::Nothing => {}
                        }
                    }
                    return;
                }
                Phase::Queued(_) | Phase::OnUpstream(_) | Phase::Responding(_) => return,
            }
            let step = client.receiver.step(&self.rules, client.peer);
            let has_head = matches!(step, ReceiveStep::Complete(_)) || !client.keeps_head_back();
            if client.is_extra && has_head && !self.take_place(key) {
                return match step {
                    ReceiveStep::Complete(CompleteRequest { meta, .. }) => {
                        self.reject(key, Rejection::ConnectionsFull, &meta.id, meta.is_head);
                    }
                    _ => self.reject_in_time(key, Rejection::ConnectionsFull),
                };
            }
            let Some(client) = self.clients.get_mut(key) else { return };
            match step {
                ReceiveStep::More => {
                    if !client.readable {
                        return self.await_more(key);
                    }
                    match client.read(&mut self.scratch[..CLIENT_READ]) {
                        ReadOutcome::Bytes(bytes) => client.receiver.push(&self.scratch[..bytes]),
                        ReadOutcome::Nothing => return self.await_more(key),
                        ReadOutcome::End => return self.close(key),
                    }
                }
                ReceiveStep::Continue => {
                    client.output().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                    self.flush(key);
                }
                ReceiveStep::NoMemory(shortage) => {
                    if !self.find_memory(key, shortage) {
                        return self.reject_in_time(key, Rejection::BodiesFull);
                    }
                }
                ReceiveStep::Complete(whole) => {
                    client.body = None;
                    self.waiting.of(whole.class).push_back((key, client.serial));
                    client.phase = Phase::Queued(Box::new(whole));
                    self.metrics.requests_waiting.inc();
                    self.set_deadline(key, Instant::now() + self.rules.limits.queue_time);
                    return;
                }
                ReceiveStep::Rejected { rejection, id, is_head } => return self.reject(key, rejection, &id, is_head),
            }
        }
        // A client that sends as fast as it is read must not keep the others waiting.
        self.later.push(key);
    }

    /// Sets the deadline of what is awaited now, unless it has been set for that already: a drip must not move it.
    fn await_more(&mut self, key: usize) {
        let now = Instant::now();
        let Some(client) = self.clients.get_mut(key) else { return };
        let awaited = client.receiver.awaited();
        if awaited == client.awaited {
            return;
        }
        if client.awaited == Awaited::Start {
            client.waited_for_since = now;
        }
        let limits = &self.rules.limits;
        let time = match awaited {
            Awaited::Start => limits.idle_time,
            // The first head has its time from the connection's first moment.
            Awaited::Head if !client.served => {
                client.awaited = awaited;
                return;
            }
            Awaited::Head => limits.head_time,
            Awaited::Body => {
                client.body = Some(BodyProgress::new(now, now + limits.body_time));
                limits.body_time.min(limits.pace_window)
            }
        };
        client.awaited = awaited;
        self.set_deadline(key, now + time);
    }

    pub(super) fn reject(&mut self, key: usize, rejection: Rejection, id: &str, is_head: bool) {
        self.metrics.count_rejection(rejection.reason());
        let now = Instant::now();
        let Some(client) = self.clients.get_mut(key) else { return };
        let write_time = if client.is_extra { LINGER } else { self.rules.limits.write_time };
        debug!("request rejected id={id} client={} reason={}", client.peer, rejection.reason());
        // What has come of it is of no use any more, and may hold memory.
        client.receiver = Receiver::default();
        client.body = None;
        rejection.write(id, is_head, client.output());
        client.waited_for_since = now;
        client.phase = Phase::Responding(Then::Linger);
        self.set_deadline(key, now + write_time);
        self.flush(key);
        self.report(rejection);
    }

    /// Logs that something was rejected for want of room: honest clients may be among those.
    pub(super) fn report(&mut self, rejection: Rejection) {
        if rejection.is_for_want_of_room()
            && let Some(left_out) = self.reported.entry(rejection.reason()).or_insert_with(LogLimiter::new).admit()
        {
            let connections = self.clients.len();
            let held = self.rules.memory.reserved();
            warn!(
                "requests are rejected for want of room reason={} more={left_out} connections={connections} \
                 large_bodies_bytes={held}",
                rejection.reason()
            );
        }
    }

    pub(super) fn set_deadline(&mut self, key: usize, at: Instant) {
        if let Some(client) = self.clients.get_mut(key) {
            let serial = client.serial;
            self.timers.set(&mut client.deadline, at, key, serial);
        }
    }

    pub(super) fn on_deadlines(&mut self, now: Instant) {
        while let Some((key, serial)) = self.timers.pop_due(now) {
            let Some(client) = self.clients.get_mut(key).filter(|client| client.serial == serial) else { continue };
            if !self.timers.is_over(&mut client.deadline, now, key, serial) {
                continue;
            }
            match &client.phase {
                Phase::Receiving if client.is_extra => self.reject_in_time(key, Rejection::ConnectionsFull),
                Phase::Receiving => match client.receiver.awaited() {
                    Awaited::Start => self.close(key),
                    Awaited::Head => self.reject_in_time(key, Rejection::HeadTimeout),
                    Awaited::Body if self.keeps_pace(key, now) => {}
                    Awaited::Body => self.reject_in_time(key, Rejection::BodyTimeout),
                },
                Phase::Queued(whole) => {
                    let (id, is_head) = (whole.meta.id.clone(), whole.meta.is_head);
                    client.phase = Phase::Receiving;
                    self.metrics.requests_waiting.dec();
                    self.reject(key, Rejection::Overloaded, &id, is_head);
                }
                Phase::OnUpstream(place) => {
                    let place = *place;
                    match self.serving_mut(place, key) {
                        Some(serving) if serving.body_left.is_none() => {
                            serving.client = None;
                            let (id, is_head) = (serving.meta.id.clone(), serving.meta.is_head);
                            if let Some(left_out) = LATE.admit() {
                                warn!("no response in time id={id} more={left_out}");
                            }
                            self.reject(key, Rejection::ResponseTimeout, &id, is_head);
                        }
                        // The client does not take its response.
                        _ => self.close(key),
                    }
                }
                Phase::Responding(_) | Phase::Lingering => self.close(key),
            }
        }
    }

    pub(super) fn reject_in_time(&mut self, key: usize, rejection: Rejection) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let is_head = client.receiver.asks_for_head();
        let id = client.receiver.request_id().map(str::to_owned).unwrap_or_else(|| self.rules.next_id());
        self.reject(key, rejection, &id, is_head);
    }
}
