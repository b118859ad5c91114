//! Collects the requests of one connection from the bytes it sends. Pure: no socket, no clock. Requests come out one at a time and
//! whole; what a client has sent beyond the present one waits in the input.

use super::chunks::Decoder;
use super::head::{self, FIELDS_MAX, Framing, Search};
use super::limits::{Body, Limits, Purse};
use super::origin;
use super::private::{self, Asked, Caller};
use super::refusal::Refusal;
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

/// What every connection's requests are read by.
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) purse: Arc<Purse>,
    /// What the server knows the gate by.
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
pub(crate) struct Whole {
    /// The private head, all of it.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Body,
    pub(crate) asked: Asked,
    /// Must be answered through any overload.
    pub(crate) is_urgent: bool,
}

/// What has come of the bytes so far.
#[derive(Debug)]
pub(crate) enum Step {
    /// More bytes are needed.
    More,
    /// The client waits for `100 Continue`.
    Continue,
    /// A request is whole.
    Whole(Whole),
    /// The connection must end, with this answer.
    Refused(Refusal, String),
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
    body: Option<Collecting>,
}

#[derive(Debug)]
struct Collecting {
    whole: Whole,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    Length(usize),
    Chunks(Decoder),
}

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

    /// Works on what has been pushed, until more is needed or something has come of it.
    pub(crate) fn step(&mut self, rules: &Rules, peer: IpAddr) -> Step {
        if self.body.is_none() {
            match self.read_head(rules, peer) {
                Ok(None) => return Step::More,
                Ok(Some(expects_continue)) => {
                    if expects_continue && self.input.is_empty() {
                        return Step::Continue;
                    }
                }
                Err(refusal) => return Step::Refused(refusal, rules.next_id()),
            }
        }
        match self.read_body(rules) {
            Ok(false) => Step::More,
            Ok(true) => match self.body.take() {
                Some(Collecting { mut whole, .. }) => {
                    private::end_head(whole.body.bytes().len(), &mut whole.head);
                    Step::Whole(whole)
                }
                None => Step::More,
            },
            Err(refusal) => {
                let id = self.body.take().map_or_else(|| rules.next_id(), |body| body.whole.asked.id);
                Step::Refused(refusal, id)
            }
        }
    }

    /// Returns whether the client waits for `100 Continue`, or `None` while the head is not whole.
    fn read_head(&mut self, rules: &Rules, peer: IpAddr) -> Result<Option<bool>, Refusal> {
        let limits = &rules.limits;
        // Some clients end a body with one line end too many; RFC 9112 has servers pass over it.
        while self.input.starts_with(b"\r\n") {
            self.input.drain(..2);
            self.search = Search::default();
        }
        if self.input.is_empty() || self.input == b"\r" {
            return Ok(None);
        }
        let Some(end) = self.search.find_end(&self.input, limits.head_bytes, limits.target_bytes)? else {
            return Ok(None);
        };
        let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let head = head::check(&self.input[..end], &mut room, limits.target_bytes, limits.body_bytes)?;
        let through_proxy = origin::is_trusted(peer, &limits.trusted_proxies);
        let (client, id) = if through_proxy {
            (origin::client(peer, &limits.trusted_proxies, head.fields), given_id(head.fields))
        } else {
            (peer, None)
        };
        let id = id.unwrap_or_else(|| rules.next_id());
        let mut private = Vec::with_capacity(end + 128);
        private::write_head(
            &head,
            &Caller { secret: &rules.secret, client: client.to_canonical(), id: &id, through_proxy },
            &mut private,
        );
        let path = head.target.split('?').next().unwrap_or_default();
        let whole = Whole {
            head: private,
            body: Body::new(rules.purse.clone()),
            asked: Asked { id, minor: head.minor, is_head: head.method == "HEAD", keep_alive: head.keep_alive },
            is_urgent: limits.urgent_paths.contains(&path),
        };
        let rest = match head.framing {
            Framing::None => Rest::Length(0),
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunks(Decoder::new()),
        };
        let expects_continue = head.expects_continue;
        self.body = Some(Collecting { whole, rest });
        self.use_up(end);
        self.search = Search::default();
        Ok(Some(expects_continue))
    }

    /// Returns whether the body is whole.
    fn read_body(&mut self, rules: &Rules) -> Result<bool, Refusal> {
        let Some(Collecting { whole, rest }) = &mut self.body else { return Ok(false) };
        let free = rules.limits.small_body_bytes;
        let (used, done) = match rest {
            Rest::Length(length) => {
                let here = (*length - whole.body.bytes().len()).min(self.input.len());
                if here > 0 && !whole.body.push(&self.input[..here], *length, free) {
                    return Err(Refusal::BodiesFull);
                }
                (here, whole.body.bytes().len() == *length)
            }
            Rest::Chunks(decoder) => {
                let most = rules.limits.body_bytes;
                let body = &mut whole.body;
                let progress = decoder.read(&self.input, most, |bytes| {
                    if body.push(bytes, most, free) { Ok(()) } else { Err(Refusal::BodiesFull) }
                })?;
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

/// The request id that a trusted proxy gives, where it is a sane one.
fn given_id(fields: &[httparse::Header<'_>]) -> Option<String> {
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case("x-request-id"))?;
    let is_sane = (1..=64).contains(&field.value.len())
        && field.value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
    is_sane.then(|| String::from_utf8_lossy(field.value).into_owned())
}
