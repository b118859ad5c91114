//! One upstream connection. It carries one request at a time, or one batch of small ones that are answered quickly, so that no response
//! waits for another that may be long in coming.

use super::client::{Output, Serving};
use super::memory::Body;
use super::protocol::begin_forwarding;
use super::receive::{Class, CompleteRequest};
use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};

/// A body up to this size is copied behind its head, so that one plain write sends both.
const COPIED_BODY_MAX: usize = 8 * 1024;

/// An upstream connection.
#[derive(Debug)]
pub(crate) struct Upstream {
    socket: UnixStream,
    head: Output,
    body: Option<(Body, usize)>,
    /// The start of a response whose head is not all there.
    pub(crate) input: Vec<u8>,
    /// Whom it serves, in the order of their responses.
    pub(crate) serving: VecDeque<Serving>,
    /// There may be more to read.
    pub(crate) readable: bool,
    /// The server has hung up: a short read does not mean that all is read.
    pub(crate) read_closed: bool,
    /// Its client does not take the response.
    pub(crate) is_paused: bool,
    /// What it serves must be answered through any overload.
    pub(crate) is_critical: bool,
    waits_to_write: bool,
}

impl Upstream {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            head: Output::default(),
            body: None,
            input: Vec::new(),
            serving: VecDeque::new(),
            readable: false,
            read_closed: false,
            is_paused: false,
            is_critical: false,
            waits_to_write: false,
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) {
        let _closing_anyway = registry.deregister(&mut self.socket);
    }

    /// Takes requests of these clients, one or a batch.
    pub(crate) fn take(&mut self, requests: impl ExactSizeIterator<Item = (usize, CompleteRequest)>, secret: &str) {
        let length = begin_forwarding(secret, requests.len(), &mut self.head.bytes);
        for (key, whole) in requests {
            let CompleteRequest { head, body, meta, class, .. } = whole;
            self.is_critical = class == Class::Critical;
            head.write(&meta, body.bytes().len(), &mut self.head.bytes);
            if body.bytes().len() <= COPIED_BODY_MAX {
                self.head.bytes.extend_from_slice(body.bytes());
            } else {
                // Of a request that is alone.
                self.body = Some((body, 0));
            }
            self.serving.push_back(Serving { client: Some(key), meta, body_left: None });
        }
        let behind = self.body.as_ref().map_or(0, |(body, _)| body.bytes().len());
        length.fill_in(behind, &mut self.head.bytes);
    }

    /// Writes what the socket takes.
    pub(crate) fn flush(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let done = self.write()?;
        if done == self.waits_to_write {
            let interest = if done { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
            registry.reregister(&mut self.socket, token, interest)?;
            self.waits_to_write = !done;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<bool> {
        let Some((body, written)) = &mut self.body else { return self.head.write_to(&mut self.socket) };
        let bytes = body.bytes();
        loop {
            let head = self.head.rest();
            if head.is_empty() && *written == bytes.len() {
                break;
            }
            match self.socket.write_vectored(&[IoSlice::new(head), IoSlice::new(&bytes[*written..])]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let of_head = count.min(head.len());
                    self.head.skip(of_head);
                    *written += count - of_head;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Gives the body's memory back, and what it has reserved.
        self.body = None;
        Ok(true)
    }

    /// Reads what there is into `scratch`; `None` when there is nothing now.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.socket.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => {
                    self.readable = bytes == scratch.len() || self.read_closed;
                    return Ok(Some(bytes));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
