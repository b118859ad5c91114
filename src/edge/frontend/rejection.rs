//! What the front end says no to, and how: a status, a sentence as problem JSON, and the end of the connection.

use crate::clock::{Clock, SystemClock};
use crate::http::status::phrase;

/// Why a connection or request is rejected. The connection ends after each of these: after a fault in the framing it is unknown
/// where the next request begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The request line is malformed.
    BadRequestLine,
    /// A line end without its CR, a CR without its LF, or a control character.
    BadByte,
    /// A field line that begins with white space, which once continued the line before it.
    FoldedLine,
    /// A field's name or shape is wrong.
    BadField,
    /// A field that a handler may read holds bytes beyond ASCII.
    NotAscii,
    /// Not a path.
    BadTarget,
    /// None, more than one, or a wrong Host field.
    BadHost,
    /// A Content-Length that is no number, or more than one.
    BadLength,
    /// Content-Length alongside Transfer-Encoding, or a coding in HTTP/1.0: two readers would see two different requests.
    AmbiguousLength,
    /// A transfer coding other than chunked.
    UnknownCoding,
    /// A chunk's size line, end or trailer is wrong.
    BadChunk,
    /// An Expect field with something else than 100-continue.
    UnknownExpectation,
    /// The head is over its limit, or has too many fields.
    HeadTooLarge,
    /// The target is over its limit.
    TargetTooLong,
    /// The body is, or would be, over its limit.
    BodyTooLarge,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    UnknownVersion,
    /// The head did not arrive in time.
    HeadTimeout,
    /// The body did not arrive in time.
    BodyTimeout,
    /// No upstream connection became free in time.
    Overloaded,
    /// Too many large bodies are held already.
    BodiesFull,
    /// Too many connections in total.
    ConnectionsFull,
    /// Too many connections from one address.
    AddressFull,
    /// No response came in time.
    ResponseTimeout,
    /// The backend broke off.
    NoResponse,
}

impl Rejection {
    /// The status code, the name in metrics and logs, and the sentence for people.
    fn parts(self) -> (u16, &'static str, &'static str) {
        const BUSY: &str = "Too much to do right now, please try again in a moment";
        match self {
            Self::BadRequestLine => (400, "bad_request_line", "the request line is malformed"),
            Self::BadByte => (400, "bad_byte", "the head holds a stray line end or control character"),
            Self::FoldedLine => (400, "folded_line", "folded header lines are obsolete and not accepted"),
            Self::BadField => (400, "bad_field", "a header field is malformed"),
            Self::NotAscii => (400, "not_ascii", "a header field holds bytes beyond ASCII, write it in ASCII"),
            Self::BadTarget => (400, "bad_target", "the request target must be a path"),
            Self::BadHost => (400, "bad_host", "exactly one valid Host field is needed"),
            Self::BadLength => (400, "bad_length", "the Content-Length is malformed or given twice"),
            Self::AmbiguousLength => (400, "ambiguous_length", "the body's length is ambiguous"),
            Self::UnknownCoding => (501, "unknown_coding", "the only transfer coding known here is chunked"),
            Self::BadChunk => (400, "bad_chunk", "the chunked body is malformed"),
            Self::UnknownExpectation => (417, "unknown_expectation", "the only expectation known here is 100-continue"),
            Self::HeadTooLarge => (431, "head_too_large", "the head is larger than 16 KiB or has more than 100 fields"),
            Self::TargetTooLong => (414, "target_too_long", "the request target is longer than 8 KiB"),
            Self::BodyTooLarge => (413, "body_too_large", "the body is larger than 1 MiB"),
            Self::UnknownVersion => (505, "unknown_version", "the versions known here are HTTP/1.1 and HTTP/1.0"),
            Self::HeadTimeout => (408, "head_timeout", "the head did not arrive in time"),
            Self::BodyTimeout => (408, "body_timeout", "the body did not arrive in time"),
            Self::Overloaded => (503, "overloaded", BUSY),
            Self::BodiesFull => (503, "bodies_full", BUSY),
            Self::ConnectionsFull => (503, "connections_full", BUSY),
            Self::AddressFull => {
                (503, "address_full", "Too many connections from this address, please try again in a moment")
            }
            Self::ResponseTimeout => (504, "response_timeout", "This took too long, please try again in a moment"),
            Self::NoResponse => (502, "no_response", "Something went wrong, please try again in a moment"),
        }
    }

    /// Its name in metrics and logs, and the code that clients know it by.
    pub(crate) fn reason(self) -> &'static str {
        self.parts().1
    }

    /// Whether the request was as it should be, and there was no room for it.
    pub(crate) fn is_for_want_of_room(self) -> bool {
        matches!(self, Self::Overloaded | Self::BodiesFull | Self::ConnectionsFull | Self::AddressFull)
    }

    /// Seconds after which to try again, where that can help.
    fn retry_after(self) -> Option<u32> {
        self.is_for_want_of_room().then_some(2)
    }

    /// Writes the whole response behind whatever `out` holds, to a HEAD without its body.
    pub(crate) fn write(self, id: &str, is_head: bool, out: &mut Vec<u8>) {
        let (status, code, detail) = self.parts();
        let title = phrase(status);
        let body = format!(
            r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}","code":"{code}"}}"#
        );
        let retry = self.retry_after().map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
        let id = if id.is_empty() { String::new() } else { format!("X-Request-Id: {id}\r\n") };
        let date = http_date();
        let response = format!(
            "HTTP/1.1 {status} {title}\r\nDate: {date}\r\nContent-Type: application/problem+json\r\n\
             Content-Length: {}\r\n{retry}{id}{FOR_PAGES}Connection: close\r\n\r\n{}",
            body.len(),
            if is_head { "" } else { &body }
        );
        out.extend_from_slice(response.as_bytes());
    }
}

/// Nothing in a rejection is private, and the pages of shops must be able to read it: it may well be a price that was asked for.
const FOR_PAGES: &str = "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After\r\n";

/// The present time, as HTTP writes it.
pub(crate) fn http_date() -> String {
    SystemClock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
