//! The language between front end and server: a checked request as it goes to the server, and the server's answer as it goes to the
//! client. Pure.
//!
//! A forwarded request has one field alongside its length: the front end's own. It proves by the secret of this start that the
//! front end wrote it, names client and request, and carries the client's fields as its further parts. So none of those can be
//! taken for one that tiny_http obeys, no other process can speak in the front end's name, and tiny_http has one line to read instead of
//! twenty, byte by byte.
//!
//! ```text
//! POST /webhooks HTTP/1.1
//! Content-Length: 61
//! Front-End: SECRET 203.0.113.9 5f2a9c01-00012c 7 0 2 <RS> name <US> value <RS> name <US> value …
//! ```
//!
//! Small webhooks that come at the same time share an upstream connection, as a [`Batch`] (above: number 7, the first of 2): they
//! go out with one write, and their responses come back together. With many connections most of the time goes into system calls
//! and waking threads, and this saves most of those.

use super::head::{Head, list};
use std::io::Write as _;
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// The name of the front end's own field.
pub(crate) const FRONTEND_FIELD: &str = "Front-End";
/// The prefix of each of the client's fields. No field can hold it: control characters are rejected.
const RECORD: u8 = 0x1e;
/// The separator between name and value.
const UNIT: u8 = 0x1f;

/// A place in a batch of requests that share an upstream connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Which batch of this front end.
    pub(crate) number: u64,
    /// The place in it, from 0.
    pub(crate) place: usize,
    /// The requests in it.
    pub(crate) size: usize,
}

/// What the front end's field says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BackendMessage<'a> {
    /// A probe: does the backend answer?
    Probe,
    /// A request.
    Request(ForwardedRequest<'a>),
}

/// What the backend gets of a request alongside its method, target and body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ForwardedRequest<'a> {
    pub(crate) client: IpAddr,
    pub(crate) id: &'a str,
    /// Its batch, where it shares an upstream connection.
    pub(crate) batch: Option<Batch>,
    fields: &'a str,
}

impl<'a> ForwardedRequest<'a> {
    /// The client's fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.split(char::from(RECORD)).filter_map(|field| field.split_once(char::from(UNIT)))
    }
}

/// Reads the front end's field; `None` when the front end has not written it.
pub(crate) fn read_frontend_field<'a>(value: &'a str, secret: &str) -> Option<BackendMessage<'a>> {
    let (forwarded, fields) = value.split_once(char::from(RECORD)).unwrap_or((value, ""));
    let mut parts = forwarded.split(' ');
    if !bool::from(parts.next()?.as_bytes().ct_eq(secret.as_bytes())) {
        return None;
    }
    let Some(client) = parts.next() else { return Some(BackendMessage::Probe) };
    let (client, id) = (client.parse().ok()?, parts.next()?);
    let batch = match parts.next() {
        None => None,
        Some(number) => {
            let mut next = || parts.next()?.parse().ok();
            let batch = Batch { number: number.parse().ok()?, place: next()?, size: next()? };
            Some(batch).filter(|batch| batch.place < batch.size)
        }
    };
    Some(BackendMessage::Request(ForwardedRequest { client, id, batch, fields }))
}

/// A head for the server that is not written out yet: the body's length and the batch are not known.
#[derive(Debug)]
pub(crate) struct ForwardedHead {
    line: Vec<u8>,
    fields: Vec<u8>,
}

impl ForwardedHead {
    pub(crate) fn new(head: &Head<'_, '_>, through_proxy: bool) -> Self {
        let mut line = Vec::with_capacity(head.method.len() + head.target.len() + 11);
        // Writing to a Vec does not fail.
        let _infallible = write!(line, "{} {} HTTP/1.1\r\n", head.method, head.target);
        let length: usize = head.fields.iter().map(|field| field.name.len() + field.value.len() + 2).sum();
        let mut fields = Vec::with_capacity(length);
        for field in head.fields {
            let is_unbelieved = !through_proxy && field.name.eq_ignore_ascii_case("x-forwarded-for");
            let name = if is_unbelieved { UNBELIEVED } else { field.name };
            if !passes(name, through_proxy) || (head.names_fields && is_named_by_connection(field.name, head.fields)) {
                continue;
            }
            // tiny_http hangs up on what is not ASCII. Only fields that no handler reads can be that here.
            if !field.value.is_ascii() {
                continue;
            }
            fields.push(RECORD);
            fields.extend_from_slice(name.as_bytes());
            fields.push(UNIT);
            fields.extend_from_slice(field.value);
        }
        Self { line, fields }
    }

    /// Writes the head out.
    pub(crate) fn write(
        &self,
        secret: &str,
        meta: &RequestMeta,
        body_length: usize,
        batch: Option<Batch>,
        out: &mut Vec<u8>,
    ) {
        let RequestMeta { client, id, .. } = meta;
        out.reserve(self.line.len() + self.fields.len() + body_length + 256);
        out.extend_from_slice(&self.line);
        if body_length > 0 {
            let _infallible = write!(out, "Content-Length: {body_length}\r\n");
        }
        let _infallible = write!(out, "{FRONTEND_FIELD}: {secret} {client} {id}");
        if let Some(Batch { number, place, size }) = batch {
            let _infallible = write!(out, " {number} {place} {size}");
        }
        out.extend_from_slice(&self.fields);
        out.extend_from_slice(b"\r\n\r\n");
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
        let batch = Batch { number: 7, place: 0, size: 2 };
        ForwardedHead::new(&head, through_proxy).write("s3cret", &meta(), 2, Some(batch), &mut out);
        let out = String::from_utf8(out).expect("ASCII");
        let start = "POST /a HTTP/1.1\r\nContent-Length: 2\r\nFront-End: ";
        let value = out
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix("\r\n\r\n"))
            .expect("the front end's field")
            .to_owned();
        assert_eq!(read_frontend_field(&value, "s3cre"), None);
        let Some(BackendMessage::Request(forwarded)) = read_frontend_field(&value, "s3cret") else {
            panic!("not a request: {value}")
        };
        assert_eq!((forwarded.client, forwarded.id, forwarded.batch), (meta().client, "r-1", Some(batch)));
        forwarded.fields().map(|(name, value)| format!("{name}: {value}\n")).collect()
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
        for wrong in ["", "s3cre", "s3cret x r-1", "s3cret 1.2.3.4", "s3cret 1.2.3.4 r-1 7", "s3cret 1.2.3.4 r-1 7 x 2"]
        {
            assert_eq!(read_frontend_field(wrong, "s3cret"), None, "{wrong}");
        }
        assert_eq!(read_frontend_field("s3cret", "s3cret"), Some(BackendMessage::Probe));
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
