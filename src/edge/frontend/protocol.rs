//! The language between front end and server: a checked request as it goes to the server, and the server's answer as it goes to the
//! client. Pure.
//!
//! The server gets one HTTP request for one or more of the clients': its body has them one after another, each with a line before it that
//! names its client and itself and carries its method, target and fields. So no field of a client can be taken for one that tiny_http obeys,
//! and tiny_http, which reads heads byte by byte, has a short one to read however much the clients say. The front end's own field proves
//! by the secret of this start that the front end wrote it, so no other process can speak in its name.
//!
//! ```text
//! POST / HTTP/1.1
//! Front-End: SECRET 2
//! Content-Length: 0000000312
//!
//! 61 203.0.113.9 5f2a9c01-00012c POST /webhooks <RS> name <US> value <RS> name <US> value …
//! 61 bytes 58 203.0.113.9 5f2a9c01-00012d POST /webhooks <RS> name <US> value …
//! 58 bytes
//! ```
//!
//! Small requests that come at the same time and are answered quickly go as such a batch: they go out with one write, tiny_http reads, queues
//! and hands over one request, and their responses come back together. With many connections most of the time goes into system calls
//! and waking threads, and this saves most of those.

use super::head::{Head, list};
use std::io::Write as _;
use std::net::IpAddr;
use std::ops::Range;
use subtle::ConstantTimeEq;

/// The name of the front end's own field.
pub(crate) const FRONTEND_FIELD: &str = "Front-End";
/// The prefix of each of the client's fields. No field can hold it: control characters are rejected.
const RECORD: u8 = 0x1e;
/// The separator between name and value.
const UNIT: u8 = 0x1f;

/// What the front end's field says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BackendMessage {
    /// A probe: does the backend answer?
    Probe,
    /// The body has so many requests.
    Requests(usize),
}

/// What the backend gets of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ForwardedRequest<'a> {
    pub(crate) client: IpAddr,
    pub(crate) id: &'a str,
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) target: &'a str,
    fields: &'a str,
    pub(crate) body: Range<usize>,
}

impl<'a> ForwardedRequest<'a> {
    /// Bytes of all of the client's fields, or a few more.
    pub(crate) fn fields_len(&self) -> usize {
        self.fields.len()
    }

    /// The client's fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.split(char::from(RECORD)).filter_map(|field| field.split_once(char::from(UNIT)))
    }
}

/// Reads the front end's field; `None` when the front end has not written it.
pub(crate) fn read_frontend_field(value: &str, secret: &str) -> Option<BackendMessage> {
    let (given, count) = match value.split_once(' ') {
        Some((given, count)) => (given, Some(count)),
        None => (value, None),
    };
    if !bool::from(given.as_bytes().ct_eq(secret.as_bytes())) {
        return None;
    }
    match count {
        None => Some(BackendMessage::Probe),
        Some(count) => count.parse().ok().map(BackendMessage::Requests),
    }
}

/// Reads the request that begins at `start` of a forwarded body; the next one begins at the end of this one's body. `None` for what the
/// front end does not write.
pub(crate) fn read_forwarded(bytes: &[u8], start: usize) -> Option<ForwardedRequest<'_>> {
    let rest = bytes.get(start..)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&rest[..end]).ok()?;
    let (line, fields) = line.split_once(char::from(RECORD)).unwrap_or((line, ""));
    let mut parts = line.split(' ');
    let length: usize = parts.next()?.parse().ok()?;
    let (client, id, method, target) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?, parts.next()?);
    let body = start + end + 1..(start + end + 1).checked_add(length)?;
    (parts.next().is_none() && body.end <= bytes.len()).then_some(ForwardedRequest {
        client,
        id,
        method,
        target,
        fields,
        body,
    })
}

/// Digits of a forwarded length. It is filled in when all requests of a batch are written.
const LENGTH_DIGITS: usize = 10;

/// Begins a request to the server with `count` of the clients' in it.
pub(crate) fn begin_forwarding(secret: &str, count: usize, out: &mut Vec<u8>) -> ForwardedLength {
    // Writing to a Vec does not fail.
    let _infallible = write!(out, "POST / HTTP/1.1\r\n{FRONTEND_FIELD}: {secret} {count}\r\nContent-Length: ");
    let digits = out.len();
    out.extend_from_slice(&[b'0'; LENGTH_DIGITS]);
    out.extend_from_slice(b"\r\n\r\n");
    ForwardedLength { digits, body: out.len() }
}

/// Where the length of a forwarded body is to be filled in, and where the body begins.
#[derive(Debug)]
#[must_use]
pub(crate) struct ForwardedLength {
    digits: usize,
    body: usize,
}

impl ForwardedLength {
    /// Fills the length in: of what is in `out`, and of `more` bytes that are not in it.
    pub(crate) fn fill_in(self, more: usize, out: &mut [u8]) {
        let mut length = out.len() - self.body + more;
        for digit in out[self.digits..self.digits + LENGTH_DIGITS].iter_mut().rev() {
            *digit = b'0' + u8::try_from(length % 10).unwrap_or_default();
            length /= 10;
        }
    }
}

/// A request's method, target and fields as they go to the server.
#[derive(Debug)]
pub(crate) struct ForwardedHead(Vec<u8>);

impl ForwardedHead {
    pub(crate) fn new(head: &Head<'_, '_>, through_proxy: bool) -> Self {
        let length: usize = head.fields.iter().map(|field| field.name.len() + field.value.len() + 2).sum();
        let mut text = Vec::with_capacity(head.method.len() + head.target.len() + length + 2);
        text.extend_from_slice(head.method.as_bytes());
        text.push(b' ');
        text.extend_from_slice(head.target.as_bytes());
        for field in head.fields {
            let is_unbelieved = !through_proxy && field.name.eq_ignore_ascii_case("x-forwarded-for");
            let name = if is_unbelieved { UNBELIEVED } else { field.name };
            if !passes(name, through_proxy) || (head.names_fields && is_named_by_connection(field.name, head.fields)) {
                continue;
            }
            // Only fields that no handler reads can be anything but ASCII here.
            if !field.value.is_ascii() {
                continue;
            }
            text.push(RECORD);
            text.extend_from_slice(name.as_bytes());
            text.push(UNIT);
            text.extend_from_slice(field.value);
        }
        Self(text)
    }

    /// Writes what comes before the body.
    pub(crate) fn write(&self, meta: &RequestMeta, body_length: usize, out: &mut Vec<u8>) {
        let RequestMeta { client, id, .. } = meta;
        out.reserve(self.0.len() + body_length + 128);
        let _infallible = write!(out, "{body_length} {client} {id} ");
        out.extend_from_slice(&self.0);
        out.push(b'\n');
    }
}

/// What `X-Forwarded-For` is called on its way inside where its sender is not trusted: no handler takes it for what it says, and it still
/// tells a proxy that was forgotten in the settings from a client.
pub(crate) const UNBELIEVED: &str = "Unbelieved-Forwarded-For";

/// Fields that belong to one connection, or that the front end has done with.
const OF_THE_CONNECTION: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
];

/// Whether a field goes on to the server: not what belongs to this connection alone, and not what only a proxy may say.
fn passes(name: &str, through_proxy: bool) -> bool {
    // By the first letter first: it clears most fields.
    match name.as_bytes().first().map(u8::to_ascii_lowercase) {
        Some(b'c' | b'e' | b'k' | b'p' | b't' | b'u' | b'x' | b'f') => {}
        _ => return true,
    }
    let only_by_proxy = name.eq_ignore_ascii_case("forwarded")
        || name.eq_ignore_ascii_case("x-request-id")
        || name.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("x-forwarded-"));
    !OF_THE_CONNECTION.iter().any(|field| field.eq_ignore_ascii_case(name)) && (through_proxy || !only_by_proxy)
}

/// Whether a Connection field says that `name` is for this connection only.
fn is_named_by_connection(name: &str, fields: &[httparse::Header<'_>]) -> bool {
    // A client must not strip what signatures and access depend on by naming it there.
    let protected = ["host", "authorization", "content-type", "cookie", "idempotency-key", "origin", "x-api-key"];
    let mut connections = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("connection"));
    connections.any(|field| list(field.value).any(|option| option.eq_ignore_ascii_case(name.as_bytes())))
        && !protected.iter().any(|kept| name.eq_ignore_ascii_case(kept))
}

/// What the front end must remember of a request to hand its response back.
#[derive(Debug, Clone)]
pub(crate) struct RequestMeta {
    pub(crate) id: String,
    pub(crate) client: IpAddr,
    pub(crate) minor: u8,
    pub(crate) is_head: bool,
    pub(crate) keep_alive: bool,
}

/// The server's answer cannot be read: the upstream connection it came on is of no more use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidResponse;

/// What the head of a response says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    /// Its bytes on the upstream connection.
    pub(crate) length: usize,
    /// The bytes of the body that follow it.
    pub(crate) body: usize,
}

/// Fields a response may have.
const RESPONSE_FIELDS_MAX: usize = 64;
/// Bytes the head of a response may have.
pub(crate) const RESPONSE_HEAD_MAX: usize = 64 * 1024;

/// Reads the head of a response from the start of `upstream` and writes the client's to `out`, or returns `None` when it is not all
/// there yet.
pub(crate) fn write_response_head(
    upstream: &[u8],
    meta: &RequestMeta,
    keep_alive: bool,
    date: &str,
    out: &mut Vec<u8>,
) -> Result<Option<ResponseHead>, InvalidResponse> {
    let mut room = [httparse::EMPTY_HEADER; RESPONSE_FIELDS_MAX];
    let mut response = httparse::Response::new(&mut room);
    let length = match response.parse(upstream) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if upstream.len() <= RESPONSE_HEAD_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(InvalidResponse),
    };
    let status = response.code.ok_or(InvalidResponse)?;
    let mut body = None;
    for field in response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("content-length")) {
        let digits = std::str::from_utf8(field.value).map_err(|_| InvalidResponse)?;
        body = Some(digits.parse::<usize>().map_err(|_| InvalidResponse)?);
    }
    let body = body.ok_or(InvalidResponse)?;
    let bodiless = status < 200 || status == 204 || status == 304;
    let _infallible = write!(out, "HTTP/1.1 {status} {}\r\n", response.reason.unwrap_or_default());
    for field in response.headers.iter() {
        if !leaves(field.name) {
            continue;
        }
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
    if !bodiless {
        let _infallible = write!(out, "Content-Length: {body}\r\n");
    }
    let _infallible = write!(out, "Date: {date}\r\nX-Request-Id: {}\r\n", meta.id);
    if !keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if meta.minor == 0 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(Some(ResponseHead { length, body: if bodiless || meta.is_head { 0 } else { body } }))
}

/// Whether a field of the server's answer goes on to the client.
fn leaves(name: &str) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    // Clients need not know what the server is written with.
    !(is("server")
        || is("date")
        || is("connection")
        || is("keep-alive")
        || is("content-length")
        || is("transfer-encoding")
        || is("x-request-id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::frontend::head::{FIELDS_MAX, check};

    fn meta() -> RequestMeta {
        let client = "192.0.2.1".parse().expect("an address");
        RequestMeta { id: "r-1".to_owned(), client, minor: 1, is_head: false, keep_alive: true }
    }

    fn passed_on(text: &str, through_proxy: bool) -> String {
        let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let head = check(text.as_bytes(), &mut room, 8192, 1 << 20).expect("a good head");
        let mut out = Vec::new();
        let length = begin_forwarding("s3cret", 2, &mut out);
        ForwardedHead::new(&head, through_proxy).write(&meta(), 2, &mut out);
        out.extend_from_slice(b"ab");
        ForwardedHead::new(&head, through_proxy).write(&meta(), 3, &mut out);
        length.fill_in(3, &mut out);
        out.extend_from_slice(b"\ncd");
        let body = out.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of the head") + 4;
        let (head, body) = out.split_at(body);
        let expected = format!("POST / HTTP/1.1\r\nFront-End: s3cret 2\r\nContent-Length: {:010}\r\n\r\n", body.len());
        assert_eq!(head.escape_ascii().to_string(), expected.escape_default().to_string());
        let first = read_forwarded(body, 0).expect("a request");
        let second = read_forwarded(body, first.body.end).expect("another");
        assert_eq!((&body[first.body.clone()], &body[second.body.clone()]), (&b"ab"[..], &b"\ncd"[..]));
        assert_eq!(second.body.end, body.len());
        assert_eq!(read_forwarded(body, body.len()), None);
        assert_eq!(read_forwarded(&body[..body.len() - 1], first.body.end), None, "a body that is not whole");
        for request in [&first, &second] {
            assert_eq!((request.client, request.id), (meta().client, "r-1"));
            assert_eq!((request.method, request.target), ("POST", "/a"));
        }
        first.fields().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    #[test]
    fn only_the_end_to_end_fields_are_passed_on() {
        let text = "POST /a HTTP/1.1\r\nHost: x\r\nFront-End: forged 1.2.3.4 r\r\nConnection: close, X-Hop, Host\r\nX-Hop: 1\r\n\
                    TE: chunked\r\nUpgrade: h2c\r\nKeep-Alive: 5\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\
                    X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Evil: 1\r\nForwarded: for=6\r\n\
                    X-Request-Id: mine\r\nCookie: \u{e4}\r\nB: b\r\n\r\n";
        let direct = "Host: x\nFront-End: forged 1.2.3.4 r\nUnbelieved-Forwarded-For: 6.6.6.6\nB: b\n";
        assert_eq!(passed_on(text, false), direct);
        let proxied = passed_on(text, true);
        assert!(proxied.contains("X-Forwarded-Proto: https\n"), "{proxied}");
        assert!(!proxied.contains("X-Forwarded-For"), "{proxied}");
    }

    #[test]
    fn a_field_that_the_front_end_has_not_written_is_not_believed() {
        for wrong in ["", "s3cre", "s3cre 1", "s3cret ", "s3cret x", "s3cret 1 1"] {
            assert_eq!(read_frontend_field(wrong, "s3cret"), None, "{wrong}");
        }
        assert_eq!(read_frontend_field("s3cret", "s3cret"), Some(BackendMessage::Probe));
        assert_eq!(read_frontend_field("s3cret 16", "s3cret"), Some(BackendMessage::Requests(16)));
        for wrong in [
            "0 x r-1 GET /\n",
            "0 1.2.3.4 r-1 GET\n",
            "1 1.2.3.4 r-1 GET /\n",
            "0 1.2.3.4 r-1 GET / x\n",
            "0 1.2.3.4 r-1 GET /",
        ] {
            assert_eq!(read_forwarded(wrong.as_bytes(), 0), None, "{wrong}");
        }
    }

    fn handed_back(response: &str, meta: &RequestMeta) -> (String, ResponseHead) {
        let mut out = Vec::new();
        let head =
            write_response_head(response.as_bytes(), meta, meta.keep_alive, "now", &mut out).expect("a good response");
        (String::from_utf8(out).expect("ASCII"), head.expect("a whole head"))
    }

    #[test]
    fn a_response_is_handed_back_with_its_length_and_id() {
        let meta = meta();
        let response = "HTTP/1.1 200 OK\r\nServer: tiny-http (Rust)\r\nA: b\r\nContent-Length: 5\r\n\r\nhello";
        let (text, head) = handed_back(response, &meta);
        assert_eq!(text, "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nDate: now\r\nX-Request-Id: r-1\r\n\r\n");
        assert_eq!((head.length, head.body), (response.len() - 5, 5));
        let old = RequestMeta { minor: 0, ..meta.clone() };
        assert!(handed_back(response, &old).0.contains("Connection: keep-alive\r\n"));
        let last = RequestMeta { keep_alive: false, ..meta.clone() };
        assert!(handed_back(response, &last).0.contains("Connection: close\r\n"));
        let head_only = RequestMeta { is_head: true, ..meta.clone() };
        let (text, head) = handed_back(response, &head_only);
        assert!(text.contains("Content-Length: 5\r\n"), "{text}");
        assert_eq!(head.body, 0);
        let (text, head) = handed_back("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", &meta);
        assert!(!text.contains("Content-Length"), "{text}");
        assert_eq!(head.body, 0);
    }

    #[test]
    fn a_response_that_cannot_be_read_differs_from_one_that_is_incomplete() {
        let meta = meta();
        let mut out = Vec::new();
        assert_eq!(write_response_head(b"HTTP/1.1 200 OK\r\nA: ", &meta, true, "now", &mut out), Ok(None));
        assert_eq!(write_response_head(b"nonsense\r\n\r\n", &meta, true, "now", &mut out), Err(InvalidResponse));
        assert_eq!(write_response_head(b"HTTP/1.1 200 OK\r\n\r\n", &meta, true, "now", &mut out), Err(InvalidResponse));
    }
}
