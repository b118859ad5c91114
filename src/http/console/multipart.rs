//! `multipart/form-data`: what a form with a file sends (RFC 7578). No more of it than browsers use.

use crate::http::Request;

/// The longest boundary (RFC 2046).
const BOUNDARY_MAX: usize = 70;

/// Parts that a form may have: ours have a handful.
const PARTS_MAX: usize = 50;

/// The body is not what its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the form with a file is cut short or damaged")]
pub(super) struct Damaged;

/// A field of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) is_file: bool,
    pub(super) content: Vec<u8>,
}

/// The boundary of a request's body, where it is such a form.
pub(super) fn boundary(request: &Request) -> Option<&str> {
    let (kind, parameters) = request.headers.get("content-type")?.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then(|| value.trim_matches('"'))
    })
}

/// The parts of a body.
///
/// # Errors
/// [`Damaged`].
pub(super) fn parts(body: &[u8], boundary: &str) -> Result<Vec<Part>, Damaged> {
    if boundary.is_empty() || boundary.len() > BOUNDARY_MAX {
        return Err(Damaged);
    }
    let delimiter = format!("\r\n--{boundary}");
    // What is before the first delimiter says nothing; the first one has no line before it.
    let mut rest = match body.strip_prefix(&delimiter.as_bytes()[2..]) {
        Some(rest) => rest,
        None => &body[find(body, delimiter.as_bytes()).ok_or(Damaged)? + delimiter.len()..],
    };
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        rest = rest.strip_prefix(b"\r\n").ok_or(Damaged)?;
        let end = find(rest, delimiter.as_bytes()).ok_or(Damaged)?;
        parts.push(part(&rest[..end])?);
        if parts.len() > PARTS_MAX {
            return Err(Damaged);
        }
        rest = &rest[end + delimiter.len()..];
    }
}

fn part(bytes: &[u8]) -> Result<Part, Damaged> {
    let (head, content) = match bytes.strip_prefix(b"\r\n") {
        Some(_no_head) => return Err(Damaged),
        None => {
            let end = find(bytes, b"\r\n\r\n").ok_or(Damaged)?;
            (&bytes[..end], &bytes[end + 4..])
        }
    };
    let head = std::str::from_utf8(head).map_err(|_other| Damaged)?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let disposition = disposition.ok_or(Damaged)?;
    let name = quoted(disposition, "name").ok_or(Damaged)?;
    Ok(Part { name, is_file: quoted(disposition, "filename").is_some(), content: content.to_vec() })
}

/// The value of a parameter in quotes. Browsers write a quote in a name as `%22`, so the next one ends it.
fn quoted(disposition: &str, name: &str) -> Option<String> {
    let start = disposition.find(&format!("; {name}=\""))? + name.len() + 4;
    let end = disposition[start..].find('"')?;
    Some(disposition[start..start + end].to_owned())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|&byte| byte == first) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_files_are_distinguished_and_kept_byte_for_byte() {
        let body = b"--x1\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nabc\r\n--x1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"Preise.csv\"\r\nContent-Type: text/csv\r\n\r\na;b\r\n\xff--x\r\n--x1--\r\n";
        let parts = parts(body, "x1").expect("whole");
        assert_eq!(parts.len(), 2);
        assert_eq!(
            (parts[0].name.as_str(), parts[0].is_file, parts[0].content.as_slice()),
            ("csrf", false, &b"abc"[..])
        );
        assert!(parts[1].is_file);
        assert_eq!(parts[1].content, b"a;b\r\n\xff--x");
        assert_eq!(super::parts(b"--x1--", "x1"), Ok(vec![]));
    }

    #[test]
    fn a_body_that_is_cut_short_anywhere_is_refused() {
        let body = b"--x1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nabc\r\n--x1--";
        assert!(parts(body, "x1").is_ok());
        for end in 0..body.len() {
            assert_eq!(parts(&body[..end], "x1"), Err(Damaged), "{end}");
        }
        assert_eq!(parts(body, ""), Err(Damaged));
        assert_eq!(parts(body, "other"), Err(Damaged));
        let many = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n".repeat(PARTS_MAX + 1) + "--x--";
        assert_eq!(parts(many.as_bytes(), "x"), Err(Damaged));
    }
}
