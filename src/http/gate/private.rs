//! The language between gate and server: a checked request as it goes to the server, and the server's answer as it goes to the
//! client. Pure.
//!
//! A private request has one field beside its length: the gate's own. It proves by the secret of this start that the gate wrote it,
//! names client and request, and carries the client's fields as its further parts. So none of those can be taken for one that
//! tiny_http obeys, nobody can speak in the gate's name, and tiny_http has one line to read instead of twenty, byte by byte.
//!
//! ```text
//! POST /webhooks HTTP/1.1
//! Content-Length: 61
//! Gate: SECRET 203.0.113.9 5f2a9c01-00012c 7 0 2 <RS> name <US> value <RS> name <US> value …
//! ```
//!
//! Small webhooks that come at the same time share a lane, as a [`Burst`] (above: number 7, the first of 2): they go out with one
//! write, and their answers come back together. With many connections most of the time goes into system calls and waking threads,
//! and this saves most of those.

use super::head::{Head, list};
use std::io::Write as _;
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// The name of the gate's own field.
pub(crate) const GATE_FIELD: &str = "Gate";
/// Stands before each of the client's fields. No field can hold it: control characters are refused.
const RECORD: u8 = 0x1e;
/// Stands between name and value.
const UNIT: u8 = 0x1f;

/// A place in a burst of requests that share a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Burst {
    /// Which burst of this gate.
    pub(crate) number: u64,
    /// The place in it, from 0.
    pub(crate) place: usize,
    /// The requests in it.
    pub(crate) size: usize,
}

/// What the gate's field says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent<'a> {
    /// A probe: is anybody there?
    Probe,
    /// A request.
    Request(Told<'a>),
}

/// What the server is told of a request beside its method, target and body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    pub(crate) client: IpAddr,
    pub(crate) id: &'a str,
    /// Its burst, where it shares a lane.
    pub(crate) burst: Option<Burst>,
    fields: &'a str,
}

impl<'a> Told<'a> {
    /// The client's fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.split(char::from(RECORD)).filter_map(|field| field.split_once(char::from(UNIT)))
    }
}

/// Reads the gate's field; `None` when the gate has not written it.
pub(crate) fn read_gate_field<'a>(value: &'a str, secret: &str) -> Option<Sent<'a>> {
    let (told, fields) = value.split_once(char::from(RECORD)).unwrap_or((value, ""));
    let mut parts = told.split(' ');
    if !bool::from(parts.next()?.as_bytes().ct_eq(secret.as_bytes())) {
        return None;
    }
    let Some(client) = parts.next() else { return Some(Sent::Probe) };
    let (client, id) = (client.parse().ok()?, parts.next()?);
    let burst = match parts.next() {
        None => None,
        Some(number) => {
            let mut next = || parts.next()?.parse().ok();
            let burst = Burst { number: number.parse().ok()?, place: next()?, size: next()? };
            Some(burst).filter(|burst| burst.place < burst.size)
        }
    };
    Some(Sent::Request(Told { client, id, burst, fields }))
}

/// A head for the server that is not written out yet: the body's length and the burst are not known.
#[derive(Debug)]
pub(crate) struct Draft {
    line: Vec<u8>,
    fields: Vec<u8>,
}

impl Draft {
    pub(crate) fn new(head: &Head<'_, '_>, through_proxy: bool) -> Self {
        let mut line = Vec::with_capacity(head.method.len() + head.target.len() + 11);
        // Writing to a Vec does not fail.
        let _infallible = write!(line, "{} {} HTTP/1.1\r\n", head.method, head.target);
        let length: usize = head.fields.iter().map(|field| field.name.len() + field.value.len() + 2).sum();
        let mut fields = Vec::with_capacity(length);
        for field in head.fields {
            if !passes(field.name, through_proxy)
                || (head.names_fields && is_named_by_connection(field.name, head.fields))
            {
                continue;
            }
            // tiny_http hangs up on what is not ASCII. Only fields that nobody reads can be that here.
            if !field.value.is_ascii() {
                continue;
            }
            fields.push(RECORD);
            fields.extend_from_slice(field.name.as_bytes());
            fields.push(UNIT);
            fields.extend_from_slice(field.value);
        }
        Self { line, fields }
    }

    /// Writes the head out.
    pub(crate) fn write(
        &self,
        secret: &str,
        asked: &Asked,
        body_length: usize,
        burst: Option<Burst>,
        out: &mut Vec<u8>,
    ) {
        let Asked { client, id, .. } = asked;
        out.reserve(self.line.len() + self.fields.len() + body_length + 256);
        out.extend_from_slice(&self.line);
        if body_length > 0 {
            let _infallible = write!(out, "Content-Length: {body_length}\r\n");
        }
        let _infallible = write!(out, "{GATE_FIELD}: {secret} {client} {id}");
        if let Some(Burst { number, place, size }) = burst {
            let _infallible = write!(out, " {number} {place} {size}");
        }
        out.extend_from_slice(&self.fields);
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// Fields that belong to one connection, or that the gate has done with.
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
    // Nobody may strip what signatures and access depend on by naming it there.
    let protected = ["host", "authorization", "content-type", "cookie", "idempotency-key", "origin", "x-api-key"];
    let mut connections = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("connection"));
    connections.any(|field| list(field.value).any(|option| option.eq_ignore_ascii_case(name.as_bytes())))
        && !protected.iter().any(|kept| name.eq_ignore_ascii_case(kept))
}

/// What the gate must remember of a request to hand its answer back.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) client: IpAddr,
    pub(crate) minor: u8,
    pub(crate) is_head: bool,
    pub(crate) keep_alive: bool,
}

/// The server's answer cannot be read: the lane it came on is of no more use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// What the head of an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AnswerHead {
    /// Its bytes on the lane.
    pub(crate) length: usize,
    /// The bytes of the body that follow it.
    pub(crate) body: usize,
}

/// Fields an answer may have.
const ANSWER_FIELDS_MAX: usize = 64;
/// Bytes the head of an answer may have.
pub(crate) const ANSWER_HEAD_MAX: usize = 64 * 1024;

/// Reads the head of an answer from the start of `lane` and writes the client's to `out`, or returns `None` when it is not all
/// there yet.
pub(crate) fn write_answer_head(
    lane: &[u8],
    asked: &Asked,
    keep_alive: bool,
    date: &str,
    out: &mut Vec<u8>,
) -> Result<Option<AnswerHead>, Broken> {
    let mut room = [httparse::EMPTY_HEADER; ANSWER_FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut room);
    let length = match answer.parse(lane) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if lane.len() <= ANSWER_HEAD_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Broken),
    };
    let status = answer.code.ok_or(Broken)?;
    let mut body = None;
    for field in answer.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("content-length")) {
        let digits = std::str::from_utf8(field.value).map_err(|_| Broken)?;
        body = Some(digits.parse::<usize>().map_err(|_| Broken)?);
    }
    let body = body.ok_or(Broken)?;
    let bodiless = status < 200 || status == 204 || status == 304;
    let _infallible = write!(out, "HTTP/1.1 {status} {}\r\n", answer.reason.unwrap_or_default());
    for field in answer.headers.iter() {
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
    let _infallible = write!(out, "Date: {date}\r\nX-Request-Id: {}\r\n", asked.id);
    if !keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if asked.minor == 0 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(Some(AnswerHead { length, body: if bodiless || asked.is_head { 0 } else { body } }))
}

/// Whether a field of the server's answer goes on to the client.
fn leaves(name: &str) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    // What the server is written with is nobody's business.
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
    use crate::http::gate::head::{FIELDS_MAX, check};

    fn asked() -> Asked {
        let client = "192.0.2.1".parse().expect("an address");
        Asked { id: "r-1".to_owned(), client, minor: 1, is_head: false, keep_alive: true }
    }

    fn passed_on(text: &str, through_proxy: bool) -> String {
        let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let head = check(text.as_bytes(), &mut room, 8192, 1 << 20).expect("a good head");
        let mut out = Vec::new();
        let burst = Burst { number: 7, place: 0, size: 2 };
        Draft::new(&head, through_proxy).write("s3cret", &asked(), 2, Some(burst), &mut out);
        let out = String::from_utf8(out).expect("ASCII");
        let start = "POST /a HTTP/1.1\r\nContent-Length: 2\r\nGate: ";
        let value = out
            .strip_prefix(start)
            .and_then(|rest| rest.strip_suffix("\r\n\r\n"))
            .expect("the gate's field")
            .to_owned();
        assert_eq!(read_gate_field(&value, "s3cre"), None);
        let Some(Sent::Request(told)) = read_gate_field(&value, "s3cret") else { panic!("not a request: {value}") };
        assert_eq!((told.client, told.id, told.burst), (asked().client, "r-1", Some(burst)));
        told.fields().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    #[test]
    fn only_the_end_to_end_fields_are_passed_on() {
        let text = "POST /a HTTP/1.1\r\nHost: x\r\nGate: forged 1.2.3.4 r\r\nConnection: close, X-Hop, Host\r\nX-Hop: 1\r\n\
                    TE: chunked\r\nUpgrade: h2c\r\nKeep-Alive: 5\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\
                    X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Evil: 1\r\nForwarded: for=6\r\n\
                    X-Request-Id: mine\r\nCookie: \u{e4}\r\nB: b\r\n\r\n";
        assert_eq!(passed_on(text, false), "Host: x\nGate: forged 1.2.3.4 r\nB: b\n");
        let proxied = passed_on(text, true);
        assert!(proxied.contains("X-Forwarded-Proto: https\n"), "{proxied}");
        assert!(!proxied.contains("X-Forwarded-For"), "{proxied}");
    }

    #[test]
    fn what_the_gate_has_not_written_is_not_believed() {
        for wrong in ["", "s3cre", "s3cret x r-1", "s3cret 1.2.3.4", "s3cret 1.2.3.4 r-1 7", "s3cret 1.2.3.4 r-1 7 x 2"]
        {
            assert_eq!(read_gate_field(wrong, "s3cret"), None, "{wrong}");
        }
        assert_eq!(read_gate_field("s3cret", "s3cret"), Some(Sent::Probe));
    }

    fn handed_back(answer: &str, asked: &Asked) -> (String, AnswerHead) {
        let mut out = Vec::new();
        let head =
            write_answer_head(answer.as_bytes(), asked, asked.keep_alive, "now", &mut out).expect("a good answer");
        (String::from_utf8(out).expect("ASCII"), head.expect("a whole head"))
    }

    #[test]
    fn an_answer_is_handed_back_with_its_length_and_id() {
        let asked = asked();
        let answer = "HTTP/1.1 200 OK\r\nServer: tiny-http (Rust)\r\nA: b\r\nContent-Length: 5\r\n\r\nhello";
        let (text, head) = handed_back(answer, &asked);
        assert_eq!(text, "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\nDate: now\r\nX-Request-Id: r-1\r\n\r\n");
        assert_eq!((head.length, head.body), (answer.len() - 5, 5));
        let old = Asked { minor: 0, ..asked.clone() };
        assert!(handed_back(answer, &old).0.contains("Connection: keep-alive\r\n"));
        let last = Asked { keep_alive: false, ..asked.clone() };
        assert!(handed_back(answer, &last).0.contains("Connection: close\r\n"));
        let head_only = Asked { is_head: true, ..asked.clone() };
        let (text, head) = handed_back(answer, &head_only);
        assert!(text.contains("Content-Length: 5\r\n"), "{text}");
        assert_eq!(head.body, 0);
        let (text, head) = handed_back("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", &asked);
        assert!(!text.contains("Content-Length"), "{text}");
        assert_eq!(head.body, 0);
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_told_from_one_that_is_not_all_there() {
        let asked = asked();
        let mut out = Vec::new();
        assert_eq!(write_answer_head(b"HTTP/1.1 200 OK\r\nA: ", &asked, true, "now", &mut out), Ok(None));
        assert_eq!(write_answer_head(b"nonsense\r\n\r\n", &asked, true, "now", &mut out), Err(Broken));
        assert_eq!(write_answer_head(b"HTTP/1.1 200 OK\r\n\r\n", &asked, true, "now", &mut out), Err(Broken));
    }
}
