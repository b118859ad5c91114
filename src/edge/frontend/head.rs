//! Reads the head of a request, strictly: what two readers could understand differently is rejected. Pure: bytes in, a checked
//! [`Head`] or a [`Rejection`] out. httparse knows the grammar; this file adds what it lets pass and what the fields mean.

use super::rejection::Rejection;

/// Fields a head may have.
pub(crate) const FIELDS_MAX: usize = 100;

/// How the end of the body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No body.
    None,
    /// So many bytes.
    Length(usize),
    /// In chunks, the last of which is empty.
    Chunked,
}

/// A whole, checked head.
#[derive(Debug)]
pub(crate) struct Head<'h, 'b> {
    pub(crate) method: &'b str,
    /// Path and query; starts with a slash, or is `*`.
    pub(crate) target: &'b str,
    /// The version's last number: 0 or 1.
    pub(crate) minor: u8,
    pub(crate) fields: &'h [httparse::Header<'b>],
    pub(crate) framing: Framing,
    /// The client waits for a sign before it sends the body.
    pub(crate) expects_continue: bool,
    /// The client wants the connection kept.
    pub(crate) keep_alive: bool,
    /// A Connection field names other fields, which are for this connection only.
    pub(crate) names_fields: bool,
}

/// How far the search for the head's end has come. It goes on where it stopped, so that a drip costs no more than a stream.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Search {
    scanned: usize,
    first_line_ended: bool,
}

impl Search {
    /// Looks on for the end of the head at the start of `input`. Returns its length once all of it is there.
    pub(crate) fn find_end(
        &mut self,
        input: &[u8],
        head_max: usize,
        target_max: usize,
    ) -> Result<Option<usize>, Rejection> {
        if input.first().is_some_and(|first| !is_token(*first)) {
            // Such as a TLS hello: nothing that follows can fix it, so the rest is not waited for.
            return Err(Rejection::BadRequestLine);
        }
        loop {
            let Some(found) = input[self.scanned..].iter().position(|byte| *byte == b'\n') else {
                self.scanned = input.len();
                if !self.first_line_ended && input.len() > target_max + REQUEST_LINE_ROOM {
                    return Err(Rejection::TargetTooLong);
                }
                break;
            };
            let at = self.scanned + found;
            if at == 0 || input[at - 1] != b'\r' {
                return Err(Rejection::BadByte);
            }
            if at + 1 > head_max {
                return Err(Rejection::HeadTooLarge);
            }
            if at >= 3 && input[at - 3] == b'\r' && input[at - 2] == b'\n' {
                return Ok(Some(at + 1));
            }
            self.first_line_ended = true;
            match input.get(at + 1) {
                Some(b' ' | b'\t') => return Err(Rejection::FoldedLine),
                Some(_) => self.scanned = at + 1,
                None => {
                    // This line end is looked at again with the byte that follows it.
                    self.scanned = at;
                    break;
                }
            }
        }
        if input.len() > head_max { Err(Rejection::HeadTooLarge) } else { Ok(None) }
    }
}

/// What a request line may hold alongside its target: a method, a version, blanks.
const REQUEST_LINE_ROOM: usize = 64;

/// Checks the whole head in `bytes`, which ends in an empty line. `room` is where the fields are put.
pub(crate) fn check<'h, 'b>(
    bytes: &'b [u8],
    room: &'h mut [httparse::Header<'b>; FIELDS_MAX],
    target_max: usize,
    body_max: usize,
) -> Result<Head<'h, 'b>, Rejection> {
    let mut request = httparse::Request::new(room);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        // Cannot be: the search has found this very end, and httparse ends at the first empty line too.
        Ok(_) => return Err(Rejection::BadByte),
        Err(error) => return Err(rejection_from_parse_error(error)),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Rejection::BadRequestLine);
    };
    let fields: &'h [httparse::Header<'b>] = request.headers;
    if target.len() > target_max {
        return Err(Rejection::TargetTooLong);
    }
    let target = origin_form(method, target)?;
    let mut meaning = Meaning::default();
    for field in fields {
        meaning.take(field)?;
    }
    let framing = meaning.framing(minor, body_max)?;
    match meaning.hosts {
        1 => {}
        0 if minor == 0 => {}
        _ => return Err(Rejection::BadHost),
    }
    Ok(Head {
        method,
        target,
        minor,
        fields,
        framing,
        // HTTP/1.0 knows no interim responses.
        expects_continue: meaning.expects_continue && minor == 1 && framing != Framing::None,
        keep_alive: !meaning.close && (minor == 1 || meaning.keep_alive),
        names_fields: meaning.names_fields,
    })
}

fn rejection_from_parse_error(error: httparse::Error) -> Rejection {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Rejection::BadField,
        httparse::Error::NewLine => Rejection::BadByte,
        httparse::Error::TooManyHeaders => Rejection::HeadTooLarge,
        httparse::Error::Version => Rejection::UnknownVersion,
        httparse::Error::Status | httparse::Error::Token => Rejection::BadRequestLine,
    }
}

/// The path and query of a target, however it was written.
fn origin_form<'b>(method: &str, target: &'b str) -> Result<&'b str, Rejection> {
    // tiny_http takes ASCII only, and a fragment is never sent.
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Rejection::BadTarget);
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(target);
    }
    let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).map(|_| 7);
    let scheme = scheme.or_else(|| target.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case("https://")).map(|_| 8));
    let rest = &target[scheme.ok_or(Rejection::BadTarget)?..];
    match rest.find(['/', '?']) {
        Some(0) => Err(Rejection::BadTarget),
        Some(at) if rest.as_bytes()[at] == b'/' => Ok(&rest[at..]),
        // `http://host?query` has an empty path; no client sends it, and it would have to be rewritten.
        Some(_) => Err(Rejection::BadTarget),
        None if rest.is_empty() => Err(Rejection::BadTarget),
        None => Ok("/"),
    }
}

/// What the fields that concern the connection say together.
#[derive(Default)]
struct Meaning {
    length: Option<Option<usize>>,
    codings: usize,
    chunked: bool,
    unknown_coding: bool,
    hosts: usize,
    expects_continue: bool,
    close: bool,
    keep_alive: bool,
    names_fields: bool,
}

impl Meaning {
    fn take(&mut self, field: &httparse::Header<'_>) -> Result<(), Rejection> {
        // It could not be handed on, and a key or a token that vanishes means something else than one that is wrong.
        if !field.value.is_ascii() && !is_read_by_nobody(field.name) {
            return Err(Rejection::NotAscii);
        }
        // By length first: most fields are none of these.
        match field.name.len() {
            4 if field.name.eq_ignore_ascii_case("host") => {
                self.hosts += 1;
                let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]%~".contains(byte);
                if field.value.is_empty() || !field.value.iter().all(is_host) {
                    return Err(Rejection::BadHost);
                }
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                if self.length.is_some() {
                    return Err(Rejection::BadLength);
                }
                self.length = Some(parse_length(field.value)?);
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                // Some readers pass over an empty member, as in `, chunked`, and others see no coding there that they know.
                for coding in field.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.codings += 1;
                    if coding.eq_ignore_ascii_case(b"chunked") {
                        self.chunked = true;
                    } else {
                        self.unknown_coding = true;
                    }
                }
            }
            6 if field.name.eq_ignore_ascii_case("expect") => {
                if !field.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Rejection::UnknownExpectation);
                }
                self.expects_continue = true;
            }
            10 if field.name.eq_ignore_ascii_case("connection") => {
                for option in list(field.value) {
                    if option.eq_ignore_ascii_case(b"close") {
                        self.close = true;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") {
                        self.keep_alive = true;
                    } else {
                        self.names_fields = true;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn framing(&self, minor: u8, body_max: usize) -> Result<Framing, Rejection> {
        let coded = self.chunked || self.unknown_coding;
        if coded && (self.length.is_some() || minor == 0) {
            return Err(Rejection::AmbiguousLength);
        }
        if self.unknown_coding {
            return Err(Rejection::UnknownCoding);
        }
        if self.codings > 1 {
            return Err(Rejection::AmbiguousLength);
        }
        match self.length {
            _ if self.chunked => Ok(Framing::Chunked),
            None | Some(Some(0)) => Ok(Framing::None),
            Some(Some(length)) if length <= body_max => Ok(Framing::Length(length)),
            Some(_) => Err(Rejection::BodyTooLarge),
        }
    }
}

/// The number in a Content-Length; `None` for one beyond any limit.
fn parse_length(value: &[u8]) -> Result<Option<usize>, Rejection> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Rejection::BadLength);
    }
    Ok(std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()))
}

/// The members of a list, without blanks and empty ones.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Whether a field is one that browsers and their proxies fill in by themselves and that means nothing here: a browser that has a cookie of
/// another site with an umlaut must still see a page.
fn is_read_by_nobody(name: &str) -> bool {
    ["cookie", "referer", "user-agent", "via"].iter().any(|known| name.eq_ignore_ascii_case(known))
        || name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("cf-"))
}

/// A character of a method or field name.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, Framing, bool, bool), Rejection> {
        let mut search = Search::default();
        let end = search.find_end(text.as_bytes(), 16 * 1024, 8 * 1024)?.expect("the test's head is whole");
        let mut room = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let head = check(&text.as_bytes()[..end], &mut room, 8 * 1024, 1 << 20)?;
        Ok((head.target.to_owned(), head.framing, head.keep_alive, head.expects_continue))
    }

    #[test]
    fn a_plain_request_is_read() {
        assert_eq!(read("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"), Ok(("/a?b=c".into(), Framing::None, true, false)));
        assert_eq!(
            read(
                "POST / HTTP/1.1\r\nhost: x:80\r\nContent-length: 12\r\nexpect: 100-Continue\r\nConnection: close\r\n\r\n"
            ),
            Ok(("/".into(), Framing::Length(12), false, true))
        );
        assert_eq!(read("GET / HTTP/1.0\r\n\r\n"), Ok(("/".into(), Framing::None, false, false)));
        assert_eq!(
            read("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
            Ok(("/".into(), Framing::None, true, false))
        );
        assert_eq!(
            read("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"),
            Ok(("/".into(), Framing::Chunked, true, false))
        );
        assert_eq!(read("GET http://x/y?z HTTP/1.1\r\nHost: x\r\n\r\n").map(|head| head.0), Ok("/y?z".into()));
        assert_eq!(read("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").map(|head| head.0), Ok("*".into()));
    }

    #[test]
    fn the_end_is_found_however_the_bytes_arrive() {
        let text = b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\nrest";
        for step in 1..text.len() {
            let mut search = Search::default();
            let mut have = 0;
            let end = loop {
                have = (have + step).min(text.len());
                if let Some(end) = search.find_end(&text[..have], 1000, 500).expect("a good head") {
                    break end;
                }
                assert!(have < text.len());
            };
            assert_eq!(&text[end..], b"rest");
        }
    }

    #[test]
    fn whatever_two_readers_could_understand_differently_is_refused() {
        let cases = [
            ("GET / HTTP/1.1\nHost: x\r\n\r\n", Rejection::BadByte),
            ("GET / HTTP/1.1\r\nHost: x\n\r\n", Rejection::BadByte),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", Rejection::BadField),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", Rejection::BadField),
            ("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", Rejection::FoldedLine),
            ("GET / HTTP/1.1\r\n Host: x\r\n\r\n", Rejection::FoldedLine),
            ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", Rejection::BadField),
            ("GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", Rejection::BadField),
            ("GET / HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n", Rejection::BadField),
            ("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", Rejection::BadField),
            ("GET / HTTP/1.1\r\nHost: x\r\nIdempotency-Key: m\u{f6}bel\r\n\r\n", Rejection::NotAscii),
            ("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: \u{e4}\r\n\r\n", Rejection::NotAscii),
            ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", Rejection::BadRequestLine),
            ("GET /\r\nHost: x\r\n\r\n", Rejection::BadRequestLine),
            ("GET / HTTP/1.2\r\nHost: x\r\n\r\n", Rejection::UnknownVersion),
            ("PRI * HTTP/2.0\r\n\r\n", Rejection::UnknownVersion),
            ("GET / HTTP/1.1\r\n\r\n", Rejection::BadHost),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Rejection::BadHost),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Rejection::BadHost),
            ("GET a HTTP/1.1\r\nHost: x\r\n\r\n", Rejection::BadTarget),
            ("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", Rejection::BadTarget),
            ("GET /\u{e4} HTTP/1.1\r\nHost: x\r\n\r\n", Rejection::BadTarget),
            ("CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", Rejection::BadTarget),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", Rejection::BadLength),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", Rejection::BadLength),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", Rejection::BadLength),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\n", Rejection::BadLength),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", Rejection::BadLength),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4611686018427387904\r\n\r\n", Rejection::BodyTooLarge),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", Rejection::BodyTooLarge),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", Rejection::BodyTooLarge),
            (
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Rejection::AmbiguousLength,
            ),
            ("POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", Rejection::AmbiguousLength),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", Rejection::AmbiguousLength),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Rejection::UnknownCoding),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n", Rejection::UnknownCoding),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", Rejection::UnknownCoding),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n", Rejection::UnknownCoding),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: , chunked\r\n\r\n", Rejection::UnknownCoding),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked,\r\n\r\n", Rejection::UnknownCoding),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", Rejection::BadField),
            ("POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", Rejection::UnknownExpectation),
            ("\x16\x03\x01\x02\r\n\r\n", Rejection::BadRequestLine),
        ];
        for (text, rejection) in cases {
            assert_eq!(read(text), Err(rejection), "{text:?}");
        }
    }

    #[test]
    fn a_head_over_its_limits_is_refused_before_it_ends() {
        let mut search = Search::default();
        let long_target = format!("GET /{}", "a".repeat(9000));
        assert_eq!(search.find_end(long_target.as_bytes(), 16 * 1024, 8 * 1024), Err(Rejection::TargetTooLong));
        let mut search = Search::default();
        let endless = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(17_000));
        assert_eq!(search.find_end(endless.as_bytes(), 16 * 1024, 8 * 1024), Err(Rejection::HeadTooLarge));
        let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(100));
        assert_eq!(read(&many), Err(Rejection::HeadTooLarge));
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(8200));
        assert_eq!(read(&long), Err(Rejection::TargetTooLong));
    }
}
