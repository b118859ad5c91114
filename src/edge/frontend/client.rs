//! One client's connection: its socket, what it has sent, what it is still to be given, and its state.

use super::protocol::RequestMeta;
use super::receive::{Awaited, CompleteRequest, Receiver};
use super::timers::Deadline;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::time::{Duration, Instant};

/// The state of a connection.
#[derive(Debug)]
pub(crate) enum Phase {
    /// A request is being received, or awaited.
    Receiving,
    /// A whole request waits for a free upstream connection.
    Queued(Box<CompleteRequest>),
    /// A request is with the server, on this upstream connection.
    OnUpstream(usize),
    /// The response is being written; then this happens.
    Responding(Then),
    /// The response is complete; what the client still sends is thrown away for a moment, so that the response is not lost to a reset.
    Lingering,
}

/// What follows a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next request.
    Next,
    /// The end: the client has asked for it and sends no more.
    Close,
    /// The end, though the client may still be sending.
    Linger,
}

/// How a body comes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyProgress {
    /// When it must be whole.
    pub(crate) until: Instant,
    /// How much of it there was when its pace was last checked.
    pub(crate) seen: usize,
    /// When its pace was last measured, how much of it there was then, and how many bytes a second had come before that.
    measured: (Instant, usize, Option<u64>),
}

/// A body's pace is that of so long at least: a lost packet makes no client slow.
const MEASURED_OVER: Duration = Duration::from_millis(500);

impl BodyProgress {
    pub(crate) fn new(since: Instant, until: Instant) -> Self {
        Self { until, seen: 0, measured: (since, 0, None) }
    }

    /// Bytes a second of late, now that there are `bytes`; `None` while it is too young to say. Of late, so that no client can hold memory
    /// for long with what has come quickly before.
    pub(crate) fn pace(&mut self, bytes: usize, now: Instant) -> Option<u64> {
        let (since, had, pace) = self.measured;
        let elapsed = now.saturating_duration_since(since);
        if elapsed < MEASURED_OVER {
            return pace;
        }
        let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        let pace = Some(bytes.saturating_sub(had) as u64 * 1_000 / elapsed);
        self.measured = (now, bytes, pace);
        pace
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    pub(crate) socket: TcpStream,
    pub(crate) peer: IpAddr,
    /// The address it counts for, where it counts.
    pub(crate) counted: Option<IpAddr>,
    /// Distinguishes it from others that had its key before.
    pub(crate) serial: u64,
    pub(crate) receiver: Receiver,
    pub(crate) phase: Phase,
    pub(crate) deadline: Deadline,
    /// What the deadline was set for while receiving.
    pub(crate) awaited: Awaited,
    /// Since when it is waited for: for its next request, for the rest of one, or to take its response.
    pub(crate) waited_for_since: Instant,
    /// It has been given a response before.
    pub(crate) served: bool,
    /// It has no place among the connections that the limit allows: it is here to be answered so, or to take the place of one that
    /// keeps its request back.
    pub(crate) is_extra: bool,
    /// The body that is being received, and how it comes on.
    pub(crate) body: Option<BodyProgress>,
    /// There may be more to read.
    pub(crate) readable: bool,
    /// The client has said that it sends no more: a short read does not mean that all is read.
    pub(crate) read_closed: bool,
    output: Output,
    /// How much of its output is in the sum of all.
    pub(crate) counted_output: usize,
    waits_to_write: bool,
}

/// What a read has brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    Bytes(usize),
    Nothing,
    End,
}

impl ClientConnection {
    pub(crate) fn new(socket: TcpStream, peer: IpAddr, counted: Option<IpAddr>, serial: u64, now: Instant) -> Self {
        Self {
            socket,
            peer,
            counted,
            serial,
            receiver: Receiver::default(),
            phase: Phase::Receiving,
            deadline: Deadline::default(),
            awaited: Awaited::Start,
            waited_for_since: now,
            served: false,
            is_extra: false,
            body: None,
            readable: false,
            read_closed: false,
            output: Output::default(),
            counted_output: 0,
            waits_to_write: false,
        }
    }

    /// Whether it waits between two requests, or for its first.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Receiving) && self.receiver.awaited() == Awaited::Start
    }

    /// Whether it has sent something that has not been read yet, such as a request that is just arriving.
    pub(crate) fn has_unread(&self) -> bool {
        self.readable || self.socket.peek(&mut [0]).is_ok_and(|bytes| bytes > 0)
    }

    /// Whether its next request has not come as far as the end of its head.
    pub(crate) fn keeps_head_back(&self) -> bool {
        matches!(self.phase, Phase::Receiving) && self.receiver.awaited() != Awaited::Body
    }

    /// Reads what there is into `scratch`. An error is an end.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> ReadOutcome {
        loop {
            match self.socket.read(scratch) {
                Ok(0) => {
                    self.readable = false;
                    return ReadOutcome::End;
                }
                Ok(bytes) => {
                    // A short read has emptied the socket, and epoll reports more. That saves a read that finds nothing.
                    self.readable = bytes == scratch.len() || self.read_closed;
                    return ReadOutcome::Bytes(bytes);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return ReadOutcome::Nothing;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.readable = false;
                    return ReadOutcome::End;
                }
            }
        }
    }

    /// Where a response is written to.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output.bytes
    }

    /// Bytes that the client has not taken yet.
    pub(crate) fn pending(&self) -> usize {
        self.output.rest().len()
    }

    /// Writes what the socket takes. Returns whether all is written.
    pub(crate) fn flush(&mut self, registry: &Registry, token: Token) -> io::Result<bool> {
        let done = self.output.write_to(&mut self.socket)?;
        if done == self.waits_to_write {
            // Asking for writability only while it is needed saves a wake-up for each response.
            let interest = if done { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            registry.reregister(&mut self.socket, token, interest)?;
            self.waits_to_write = !done;
        }
        Ok(done)
    }

    /// Says that no more will come.
    pub(crate) fn end_output(&mut self) {
        let _gone = self.socket.shutdown(Shutdown::Write);
    }
}

/// Bytes on their way out.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    written: usize,
}

/// An output that has held a large response gives its memory back.
const OUTPUT_KEPT: usize = 4096;

impl Output {
    /// Writes what `socket` takes. Returns whether all is written.
    pub(crate) fn write_to(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.written < self.bytes.len() {
            match socket.write(&self.bytes[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.compact();
                    return Ok(false);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.written = 0;
        if self.bytes.capacity() > OUTPUT_KEPT {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
        Ok(true)
    }

    /// What is not written yet.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Takes note that `bytes` more are written.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written == self.bytes.len() {
            self.written = 0;
            self.bytes.clear();
        }
    }

    /// Drops what is written once it is the larger part, so that a slow reader of a large response does not keep all of it.
    fn compact(&mut self) {
        if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }
}

/// What an upstream connection keeps of the client that it serves.
#[derive(Debug)]
pub(crate) struct Serving {
    /// The client's key; none when it has gone: its response is read and thrown away, and the upstream connection lives on.
    pub(crate) client: Option<usize>,
    pub(crate) meta: RequestMeta,
    /// Bytes of the response's body that are still to come, once its head has been read.
    pub(crate) body_left: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_as_quick_as_it_has_been_of_late() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut body = BodyProgress::new(start, at(10_000));
        assert_eq!(body.pace(900_000, at(499)), None, "too young");
        assert_eq!(body.pace(900_000, at(500)), Some(1_800_000));
        assert_eq!(body.pace(900_000, at(900)), Some(1_800_000), "not measured again yet");
        assert_eq!(body.pace(900_050, at(1_500)), Some(50));
    }
}
