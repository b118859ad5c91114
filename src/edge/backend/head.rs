//! The head of a response as it goes to the front end.

use crate::http::Response;
use crate::http::status::phrase;
use log::error;
use std::io::Write;

/// What every page gets that does not say otherwise: nothing from elsewhere, in no frame of another site.
const PAGE_FIELDS: [(&str, &str); 2] = [
    (
        "Content-Security-Policy",
        "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         object-src 'none'; base-uri 'none'; frame-ancestors 'self'",
    ),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
];

/// A body up to this size is copied behind its head, so that both are one piece.
const COPIED_BODY_MAX: usize = 8 * 1024;

/// The head of the response as it goes to the front end, with a small body behind it, and a large body. Not by tiny_http, which would take
/// several allocations for each field, name itself and copy the body out 8 KiB at a time.
pub(super) fn render(response: Response, id: &str, is_head: bool) -> (Vec<u8>, Vec<u8>) {
    let Response { status, headers, body } = response;
    let status = if (200..=599).contains(&status) {
        status
    } else {
        error!("no such status: {status}, answering 500 id={id}");
        500
    };
    let is_bodiless = is_head || status == 204 || status == 304;
    let copied = if is_bodiless || body.len() > COPIED_BODY_MAX { 0 } else { body.len() };
    let mut head = Vec::with_capacity(1024 + copied);
    let reason = phrase(status);
    // Writing to a Vec does not fail.
    let _infallible = write!(head, "HTTP/1.1 {status} {reason}\r\nContent-Length: {}\r\n", body.len());
    let mut add = |name: &str, value: &str| {
        for piece in [name, ": ", value, "\r\n"] {
            head.extend_from_slice(piece.as_bytes());
        }
    };
    let has = |name: &str| headers.iter().any(|(found, _)| found.eq_ignore_ascii_case(name));
    let is_page = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("content-type") && value.trim_start().to_ascii_lowercase().starts_with("text/html")
    });
    for (name, value) in PAGE_FIELDS {
        if is_page && !has(name) {
            add(name, value);
        }
    }
    if !has("x-content-type-options") {
        add("X-Content-Type-Options", "nosniff");
    }
    for (name, value) in &headers {
        if name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding") {
            continue;
        }
        // A line end in a value would be the start of another field, or of another response.
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_name || !value.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte)) {
            error!("the response's field {name:?} is not plain text and left out id={id}");
            continue;
        }
        add(name, value);
    }
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(&body[..copied]);
    (head, if is_bodiless || copied > 0 { Vec::new() } else { body })
}
