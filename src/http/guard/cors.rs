//! What browsers ask for before a script may read an answer from another site. It is on every answer below `/api/`, errors and
//! panics too: without it a widget can show its shopper nothing but "network error".

use super::super::{Request, Response};
use crate::catalog::keys::Origins;

/// Header fields that scripts may send.
const ALLOW_HEADERS: &str = "X-API-Key, Content-Type, Idempotency-Key";

/// Header fields that scripts may read alongside the few that they always may.
const EXPOSE_HEADERS: &str = "Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset";

/// Seconds for which a browser need not ask again; the most that Chromium keeps.
const MAX_AGE: &str = "7200";

/// Whether `path` is for scripts of other sites.
pub(in super::super) fn applies(path: &str) -> bool {
    path.starts_with("/api/") || path == "/api"
}

/// The answer to a preflight: yes, whatever the key will say, for it carries none.
pub(in super::super) fn preflight() -> Response {
    Response::empty(204).with_header("Access-Control-Max-Age", MAX_AGE)
}

/// Adds what browsers ask for; `methods` are those of the path. An answer that says already that it varies by origin has named the one that may read it, or none.
pub(in super::super) fn mark(response: Response, methods: &str) -> Response {
    let varies = response.header("vary").is_some();
    let marked = response
        .with_header("Access-Control-Allow-Headers", ALLOW_HEADERS)
        .with_header("Access-Control-Allow-Methods", methods)
        .with_header("Access-Control-Expose-Headers", EXPOSE_HEADERS);
    if varies { marked } else { marked.with_header("Access-Control-Allow-Origin", "*") }
}

/// Who may read an answer that a key with a list of origins was good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AllowedReader {
    /// Any site: the key has no list.
    Anybody,
    /// This origin, which is on the list.
    Origin(String),
    /// No script: the request came without an origin, as from a program.
    NoScript,
}

/// Who may read the answer, or `None` for an origin that is not on the list.
pub(super) fn reader(origins: &Origins, request: &Request) -> Option<AllowedReader> {
    if origins.listed().is_none() {
        return Some(AllowedReader::Anybody);
    }
    let Some(origin) = request.headers.get("origin") else { return Some(AllowedReader::NoScript) };
    origins.allow(origin).then(|| AllowedReader::Origin(origin.to_owned()))
}

impl AllowedReader {
    pub(super) fn mark(self, response: Response) -> Response {
        match self {
            Self::Anybody => response,
            Self::Origin(origin) => {
                response.with_header("Vary", "Origin").with_header("Access-Control-Allow-Origin", origin)
            }
            Self::NoScript => response.with_header("Vary", "Origin"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_api_is_for_other_sites() {
        for (path, expected) in [("/api/v1/x", true), ("/api", true), ("/apis", false), ("/admin/api/x", false)] {
            assert_eq!(applies(path), expected, "{path}");
        }
    }
}
