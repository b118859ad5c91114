//! Collects the requests of one connection from the bytes it sends. Pure: no socket, no clock. Requests come out one at a time and
//! whole; what a client has sent beyond the present one waits in the input.

use super::chunks::Decoder;
use super::client_address;
use super::head::{self, FIELDS_MAX, Framing, Search};
use super::limits::FrontEndLimits;
use super::memory::{Account, Body, MemoryBudget, Shortage};
use super::protocol::{ForwardedHead, RequestMeta};
use super::rejection::Rejection;
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

/// What every connection's requests are read by.
pub(crate) struct Rules {
    pub(crate) limits: FrontEndLimits,
    pub(crate) memory: Arc<MemoryBudget>,
    /// What the server knows the front end by.
    pub(crate) secret: String,
    /// Starts every request id of this process.
    pub(crate) id_prefix: String,
    pub(crate) requests: Cell<u64>,
}

impl Rules {
    /// A new request id: unique among all of this process, and unlikely to be one of another.
    pub(crate) fn next_id(&self) -> String {
        let number = self.requests.get();
        self.requests.set(number + 1);
        format!("{}-{number:06x}", self.id_prefix)
    }
}

/// A whole request, as it goes to the server.
#[derive(Debug)]
pub(crate) struct CompleteRequest {
    pub(crate) head: ForwardedHead,
    pub(crate) body: Body,
    pub(crate) meta: RequestMeta,
    pub(crate) class: Class,
    /// May go with others on one upstream connection.
    pub(crate) may_share: bool,
}

/// What a request waits among until there is an upstream connection for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Must be answered through any overload.
    Critical,
    /// Webhooks.
    Webhook,
    /// All others.
    Normal,
}

/// What has come of the bytes so far.
#[derive(Debug)]
pub(crate) enum ReceiveStep {
    /// More bytes are needed.
    More,
    /// The client waits for `100 Continue`.
    Continue,
    /// A request is whole.
    Complete(CompleteRequest),
    /// There is no memory for what has come of the body. Nothing is lost: the next step tries again.
    NoMemory(Shortage),
    /// The connection must end, with this answer.
    Rejected {
        rejection: Rejection,
        /// The request's name.
        id: String,
        /// It asks for a head alone, and so must be rejected with one.
        is_head: bool,
    },
}

/// Which part of a request is awaited: each has its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Nothing of the next request has come.
    Start,
    /// Some of its head has.
    Head,
    /// Its head is whole.
    Body,
}

/// The bytes of a connection, and the request that is made of them.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    input: Vec<u8>,
    search: Search,
    blank_lines: usize,
    body: Option<Collecting>,
}

#[derive(Debug)]
struct Collecting {
    whole: CompleteRequest,
    rest: RemainingBody,
}

#[derive(Debug)]
enum RemainingBody {
    Length(usize),
    Chunks(Decoder),
}

/// A request with a larger body goes alone, so that a batch fits into the upstream connection's socket buffer.
const SHARED_BODY_MAX: usize = 4 * 1024;

/// Empty lines before a request line.
const BLANK_LINES_MAX: usize = 4;

/// An input that has held a large piece of a body gives its memory back.
const INPUT_KEPT: usize = 4096;

impl Receiver {
    /// Takes bytes in.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// What is being waited for.
    pub(crate) fn awaited(&self) -> Awaited {
        match (&self.body, self.input.is_empty()) {
            (Some(_), _) => Awaited::Body,
            (None, true) => Awaited::Start,
            (None, false) => Awaited::Head,
        }
    }

    /// Whether the request that is being received is a HEAD, as far as is known.
    pub(crate) fn asks_for_head(&self) -> bool {
        self.body.as_ref().map_or_else(|| self.input.starts_with(b"HEAD "), |body| body.whole.meta.is_head)
    }

    /// Works on what has been pushed, until more is needed or something has come of it.
    pub(crate) fn step(&mut self, rules: &Rules, peer: IpAddr) -> ReceiveStep {
        if self.body.is_none() {
            match self.read_head(rules, peer) {
                Ok(None) => return ReceiveStep::More,
                Ok(Some(expects_continue)) => {
                    if expects_continue && self.input.is_empty() {
                        return ReceiveStep::Continue;
                    }
                }
                Err(rejection) => {
                    return ReceiveStep::Rejected { rejection, id: rules.next_id(), is_head: self.asks_for_head() };
                }
            }
        }
        if let Err(shortage) = self.make_room(rules) {
            return ReceiveStep::NoMemory(shortage);
        }
        match self.read_body(rules) {
            Ok(false) => ReceiveStep::More,
            Ok(true) => match self.body.take() {
                Some(Collecting { mut whole, .. }) => {
                    whole.may_share &= whole.body.bytes().len() <= SHARED_BODY_MAX;
                    ReceiveStep::Complete(whole)
                }
                None => ReceiveStep::More,
            },
            Err(rejection) => {
                let is_head = self.asks_for_head();
                let id = self.body.take().map_or_else(|| rules.next_id(), |body| body.whole.meta.id);
                ReceiveStep::Rejected { rejection, id, is_head }
            }
        }
    }

    /// Returns whether the client waits for `100 Continue`, or `None` while the head is not whole.
    fn read_head(&mut self, rules: &Rules, peer: IpAddr) -> Result<Option<bool>, Rejection> {
        let limits = &rules.limits;
        self.skip_blank_lines()?;
        if self.input.is_empty() || self.input == b"\r" {
            return Ok(None);
        }
        let Some(end) = self.search.find_end(&self.input, limits.head_bytes, limits.target_bytes)? else {
            return Ok(None);
        };
        let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let head = head::check(&self.input[..end], &mut room, limits.target_bytes, limits.body_bytes)?;
        let through_proxy = client_address::is_trusted(peer, &limits.trusted_proxies);
        let client = if through_proxy {
            client_address::client(peer, &limits.trusted_proxies, head.fields).to_canonical()
        } else {
            peer.to_canonical()
        };
        let path = head.target.split('?').next().unwrap_or_default();
        let class = if limits.critical_paths.contains(&path) {
            Class::Critical
        } else if head.method == "POST" && limits.is_webhook(path) {
            Class::Webhook
        } else {
            Class::Normal
        };
        // Behind a proxy on this machine that is not trusted, loopback is everybody.
        let is_everybody = limits.loopback_is_exempt && client.is_loopback();
        let account = Account {
            client: (!is_everybody).then(|| client_address::site_of(client).unwrap_or(client)),
            is_webhook: class == Class::Webhook,
        };
        let whole = CompleteRequest {
            head: ForwardedHead::new(&head, through_proxy),
            body: Body::new(rules.memory.clone(), account),
            meta: RequestMeta {
                id: rules.next_id(),
                client,
                minor: head.minor,
                is_head: head.method == "HEAD",
                keep_alive: head.keep_alive,
            },
            class,
            may_share: match class {
                Class::Critical => false,
                Class::Webhook => true,
                Class::Normal => head.method == "GET" && limits.is_quick(path),
            },
        };
        let rest = match head.framing {
            Framing::None => RemainingBody::Length(0),
            Framing::Length(length) => RemainingBody::Length(length),
            Framing::Chunked => RemainingBody::Chunks(Decoder::new()),
        };
        let expects_continue = head.expects_continue;
        self.body = Some(Collecting { whole, rest });
        self.use_up(end);
        self.search = Search::default();
        self.blank_lines = 0;
        Ok(Some(expects_continue))
    }

    /// Some clients end a body with one line end too many, and RFC 9112 has servers pass over it.
    fn skip_blank_lines(&mut self) -> Result<(), Rejection> {
        let lines = self.input.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count();
        if lines > 0 {
            self.blank_lines += lines;
            if self.blank_lines > BLANK_LINES_MAX {
                return Err(Rejection::BadRequestLine);
            }
            self.use_up(lines * 2);
            self.search = Search::default();
        }
        Ok(())
    }

    /// Makes room for whatever the input holds of the body.
    fn make_room(&mut self, rules: &Rules) -> Result<(), Shortage> {
        let Some(Collecting { whole, rest }) = &mut self.body else { return Ok(()) };
        let (have, free) = (whole.body.bytes().len(), rules.limits.small_body_bytes);
        let expected = match rest {
            RemainingBody::Length(length) => *length,
            RemainingBody::Chunks(_) => rules.limits.body_bytes,
        };
        whole.body.make_room((expected - have).min(self.input.len()), expected, free)
    }

    /// What has come of the body that is being collected: its bytes, what it holds of the budget, and on whose account.
    pub(crate) fn body(&self) -> Option<(usize, usize, Account)> {
        let body = &self.body.as_ref()?.whole.body;
        Some((body.bytes().len(), body.reserved(), body.account()))
    }

    /// Names the request that is being received, where it has a name already.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.body.as_ref().map(|body| body.whole.meta.id.as_str())
    }

    /// Returns whether the body is whole.
    fn read_body(&mut self, rules: &Rules) -> Result<bool, Rejection> {
        let Some(Collecting { whole, rest }) = &mut self.body else { return Ok(false) };
        let (used, done) = match rest {
            RemainingBody::Length(length) => {
                let here = (*length - whole.body.bytes().len()).min(self.input.len());
                whole.body.push(&self.input[..here]);
                (here, whole.body.bytes().len() == *length)
            }
            RemainingBody::Chunks(decoder) => {
                let body = &mut whole.body;
                let progress = decoder.read(&self.input, rules.limits.body_bytes, |bytes| body.push(bytes))?;
                (progress.used, progress.done)
            }
        };
        self.use_up(used);
        Ok(done)
    }

    fn use_up(&mut self, bytes: usize) {
        if bytes == self.input.len() {
            if self.input.capacity() > INPUT_KEPT {
                self.input = Vec::new();
            } else {
                self.input.clear();
            }
        } else {
            self.input.drain(..bytes);
        }
    }
}

#[cfg(test)]
mod tests;
