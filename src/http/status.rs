//! The status codes that this server answers with: the phrase of each, which is the title of problems too, the code of a problem that
//! has none of its own, and the status of each kind of error.

use crate::error::Kind;

/// The media type of problems, of RFC 9457.
pub(super) const PROBLEM: &str = "application/problem+json";

/// A line of the table.
struct Status {
    number: u16,
    /// The phrase of RFC 9110.
    phrase: &'static str,
    /// The code of a problem.
    code: &'static str,
}

const fn status(number: u16, phrase: &'static str, code: &'static str) -> Status {
    Status { number, phrase, code }
}

/// The code of a problem that says no more than that it is our fault.
const INTERNAL_ERROR: &str = "internal_error";

/// Every status, in ascending order. Those below 400 are no problems; those that only the front end or a proxy answers with have codes
/// of their own (`edge/frontend/rejection.rs`).
const STATUSES: &[Status] = &[
    status(200, "OK", ""),
    status(201, "Created", ""),
    status(202, "Accepted", ""),
    status(204, "No Content", ""),
    status(302, "Found", ""),
    status(303, "See Other", ""),
    status(304, "Not Modified", ""),
    status(400, "Bad Request", "bad_request"),
    status(401, "Unauthorized", "unauthorized"),
    status(403, "Forbidden", "forbidden"),
    status(404, "Not Found", "not_found"),
    status(405, "Method Not Allowed", "method_not_allowed"),
    status(408, "Request Timeout", INTERNAL_ERROR),
    status(409, "Conflict", "conflict"),
    status(412, "Precondition Failed", "stale_version"),
    status(413, "Content Too Large", "too_large"),
    status(414, "URI Too Long", INTERNAL_ERROR),
    status(417, "Expectation Failed", INTERNAL_ERROR),
    status(422, "Unprocessable Content", "invalid"),
    status(428, "Precondition Required", "version_required"),
    status(429, "Too Many Requests", "too_many_requests"),
    status(431, "Request Header Fields Too Large", INTERNAL_ERROR),
    status(500, "Internal Server Error", INTERNAL_ERROR),
    status(501, "Not Implemented", INTERNAL_ERROR),
    status(502, "Bad Gateway", INTERNAL_ERROR),
    status(503, "Service Unavailable", "overloaded"),
    status(504, "Gateway Timeout", INTERNAL_ERROR),
    status(505, "HTTP Version Not Supported", INTERNAL_ERROR),
];

fn find(number: u16) -> Option<&'static Status> {
    STATUSES.iter().find(|status| status.number == number)
}

/// The phrase of a status, in status lines and in problems alike; empty for one that is not in the table, as RFC 9112 allows.
pub(crate) fn phrase(number: u16) -> &'static str {
    find(number).map_or("", |status| status.phrase)
}

/// The code of a problem that has none of its own.
pub(super) fn default_code(number: u16) -> &'static str {
    find(number).map_or(INTERNAL_ERROR, |status| status.code)
}

/// The status of a kind of error.
pub(crate) fn of(kind: Kind) -> u16 {
    match kind {
        Kind::Malformed => 400,
        Kind::Unauthorized => 401,
        Kind::Forbidden => 403,
        Kind::NotFound => 404,
        Kind::Conflict => 409,
        Kind::Stale => 412,
        Kind::TooLarge => 413,
        Kind::Invalid => 422,
        Kind::VersionRequired => 428,
        Kind::Limited => 429,
        Kind::Internal => 500,
        Kind::Overloaded => 503,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_is_in_the_table_once_and_only_problems_have_a_code() {
        assert!(STATUSES.is_sorted_by(|a, b| a.number < b.number));
        for status in STATUSES {
            assert!(!status.phrase.is_empty() && status.code.is_empty() == (status.number < 400), "{}", status.number);
        }
        assert_eq!((phrase(299), default_code(299)), ("", "internal_error"));
    }
}
