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

/// A larger body may not share an upstream connection: tiny_http takes up to this much in with the head, and leaves more on the
/// connection until the request is answered, so that the next one behind it would have to wait.
const SHARED_BODY_MAX: usize = 1024;

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
            may_share: class == Class::Webhook,
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> Rules {
        let limits = FrontEndLimits { small_body_bytes: 64, large_bodies_bytes: 16_000, ..FrontEndLimits::default() };
        Rules {
            memory: MemoryBudget::new(&limits),
            limits,
            secret: "secret".to_owned(),
            id_prefix: "test".to_owned(),
            requests: Cell::new(0),
        }
    }

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// What came of some bytes: each request as the server gets it, and the rejection that ended them.
    #[derive(Debug, PartialEq, Eq)]
    struct Outcome {
        requests: Vec<(String, Vec<u8>)>,
        rejection: Option<Rejection>,
        left: Vec<u8>,
    }

    /// Feeds `wire` in pieces that end at `cuts`.
    fn outcome(wire: &[u8], cuts: &[usize]) -> Outcome {
        let rules = rules();
        let mut receiver = Receiver::default();
        let mut outcome = Outcome { requests: Vec::new(), rejection: None, left: Vec::new() };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).chain([wire.len()]).collect();
        cuts.sort_unstable();
        let mut from = 0;
        for to in cuts {
            receiver.push(&wire[from..to]);
            from = to;
            loop {
                match receiver.step(&rules, PEER) {
                    ReceiveStep::More => break,
                    ReceiveStep::Continue => {}
                    ReceiveStep::Complete(whole) => {
                        let mut head = Vec::new();
                        whole.head.write(&rules.secret, &whole.meta, whole.body.bytes().len(), None, &mut head);
                        let head = String::from_utf8(head).expect("the private head is ASCII");
                        outcome.requests.push((head, whole.body.bytes().to_vec()));
                    }
                    ReceiveStep::NoMemory(_) => {
                        outcome.rejection = Some(Rejection::BodiesFull);
                        return outcome;
                    }
                    ReceiveStep::Rejected { rejection, .. } => {
                        outcome.rejection = Some(rejection);
                        return outcome;
                    }
                }
            }
        }
        outcome.left = receiver.input;
        outcome
    }

    /// Pieces of requests, good and bad, which meet in any order.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let fixed: Vec<&'static [u8]> = vec![
            b"GET / HTTP/1.1\r\n",
            b"POST /a?b HTTP/1.1\r\n",
            b"GET / HTTP/1.0\r\n",
            b"Host: x\r\n",
            b"Host: x\r\n\r\n",
            b"Content-Length: 5\r\n",
            b"Content-Length: 5\r\n\r\nhello",
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"Transfer-Encoding: identity\r\n",
            b"Expect: 100-continue\r\n",
            b"Connection: close\r\n",
            b"X-Forwarded-For: 1.2.3.4\r\n",
            b"Front-End: secret 6.6.6.6 x\r\n",
            b"A: b\r\n c\r\n",
            b"\r\n",
            b"\n",
            b"\r",
            b"\0",
            b" ",
            b":",
            b"0\r\n\r\n",
            b"5;a=b\r\nhello\r\n",
        ];
        prop_oneof![
            8 => proptest::sample::select(fixed).prop_map(<[u8]>::to_vec),
            1 => proptest::collection::vec(any::<u8>(), 0..20),
        ]
    }

    fn wire() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn what_comes_of_bytes_does_not_depend_on_how_they_are_cut(
            wire in wire(),
            cuts in proptest::collection::vec(any::<usize>(), 0..20),
        ) {
            let (whole, cut) = (outcome(&wire, &[]), outcome(&wire, &cuts));
            prop_assert_eq!(&whole.requests, &cut.requests);
            // A fault may be seen earlier or later in a line, under another name; never seen and unseen.
            prop_assert_eq!(whole.rejection.is_some(), cut.rejection.is_some());
        }

        #[test]
        fn what_is_let_in_is_what_another_reader_sees(wire in wire()) {
            let Outcome { requests, .. } = outcome(&wire, &[]);
            let mut rest = wire.as_slice();
            for (private, body) in requests {
                while let Some(after) = rest.strip_prefix(b"\r\n") {
                    rest = after;
                }
                // httparse's own reading, from the place where the request before has ended.
                let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
                let mut seen = httparse::Request::new(&mut room);
                let Ok(httparse::Status::Complete(end)) = seen.parse(rest) else {
                    return Err(TestCaseError::fail("httparse sees no head"));
                };
                let field = |name: &str| {
                    seen.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect::<Vec<_>>()
                };
                rest = &rest[end..];
                let seen_body = if field("transfer-encoding").is_empty() {
                    let lengths = field("content-length");
                    prop_assert!(lengths.len() <= 1);
                    let length: usize = lengths
                        .first()
                        .map_or(0, |digits| String::from_utf8_lossy(digits).parse().expect("a length that was let in"));
                    let (seen_body, after) = rest.split_at(length);
                    rest = after;
                    seen_body.to_vec()
                } else {
                    prop_assert!(field("content-length").is_empty() && seen.version == Some(1));
                    let (seen_body, after) = unchunk(rest);
                    rest = after;
                    seen_body
                };
                prop_assert_eq!(&body, &seen_body);
                // And the server's: nothing but the length, where there is a body, and the front end's own field.
                let (method, path) = (seen.method.expect("a method"), seen.path.expect("a path"));
                let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
                let start = format!("{method} {path} HTTP/1.1\r\n{length}Front-End: secret 127.0.0.1 test-");
                prop_assert!(private.starts_with(&start) && private.ends_with("\r\n\r\n"), "{}", private);
                prop_assert!(!private[start.len()..private.len() - 4].contains(['\r', '\n']), "{}", private);
            }
        }

        #[test]
        fn any_body_survives_its_chunks(
            body in proptest::collection::vec(any::<u8>(), 0..3000),
            sizes in proptest::collection::vec(1_usize..700, 1..10),
            cuts in proptest::collection::vec(any::<usize>(), 0..20),
        ) {
            let mut wire = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            let (mut left, mut sizes) = (body.as_slice(), sizes.iter().cycle());
            while !left.is_empty() {
                let size = (*sizes.next().expect("it is endless")).min(left.len());
                wire.extend_from_slice(format!("{size:X}\r\n").as_bytes());
                wire.extend_from_slice(&left[..size]);
                wire.extend_from_slice(b"\r\n");
                left = &left[size..];
            }
            wire.extend_from_slice(b"0\r\n\r\nGET");
            let Outcome { requests, rejection, left } = outcome(&wire, &cuts);
            prop_assert_eq!(rejection, None);
            prop_assert_eq!(&requests[0].1, &body);
            prop_assert_eq!(left, b"GET");
        }
    }

    /// A second reader of chunks, on httparse's.
    fn unchunk(mut wire: &[u8]) -> (Vec<u8>, &[u8]) {
        let mut body = Vec::new();
        loop {
            let Ok(httparse::Status::Complete((line, size))) = httparse::parse_chunk_size(wire) else {
                panic!("httparse sees no chunk in {}", wire.escape_ascii());
            };
            let size = usize::try_from(size).expect("a size that was let in");
            wire = &wire[line..];
            if size == 0 {
                let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
                match httparse::parse_headers(wire, &mut room) {
                    Ok(httparse::Status::Complete((end, _))) => return (body, &wire[end..]),
                    _ => panic!("httparse sees no trailer in {}", wire.escape_ascii()),
                }
            }
            body.extend_from_slice(&wire[..size]);
            wire = &wire[size + 2..];
        }
    }

    #[test]
    fn a_large_body_that_others_leave_no_room_for_is_refused() {
        let wire =
            [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n".as_slice(), &[b'a'; 20_000]].concat();
        assert_eq!(outcome(&wire, &[]).rejection, Some(Rejection::BodiesFull));
    }

    #[test]
    fn line_ends_before_a_request_are_passed_over_but_not_for_ever() {
        assert_eq!(outcome(b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", &[1, 2, 3]).requests.len(), 1);
        assert_eq!(outcome(&b"\r\n".repeat(5), &[1, 4]).rejection, Some(Rejection::BadRequestLine));
    }
}
