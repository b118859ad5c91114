//! Errors on their way out: one match from [`Kind`] to a status, and RFC 9457 problem JSON for all of them.

use super::log_limit::{LogLimiter, cut};
use super::{Reply, Response};
use crate::error::{Error, Kind, Result};
use log::{debug, error, warn};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How long a client should wait where the error does not know better.
const PAUSE: Duration = Duration::from_secs(2);

/// Lines about requests that were put off, and about those that failed by our own fault.
static OVERLOADED: LogLimiter = LogLimiter::new();
static FAILED: LogLimiter = LogLimiter::new();

/// The way back to the client of one request, for a handler that answers later.
#[derive(Debug)]
pub struct Answer {
    reply: Reply,
    request_id: String,
}

impl Answer {
    pub(super) fn new(reply: Reply, request_id: String) -> Self {
        Self { reply, request_id }
    }

    /// Answers, with a problem where `outcome` is an error.
    pub fn send(self, outcome: Result<Response>) {
        let Self { reply, request_id } = self;
        reply.send(outcome.unwrap_or_else(|error| failure(&error, &request_id)));
    }

    /// Names the request in log lines.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }
}

/// The status of each kind of error.
pub fn status(kind: Kind) -> u16 {
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

/// The answer to a request that failed. Causes go to the log, once; the client learns the error's own sentence, and of our own
/// faults nothing but the id to ask us with.
pub fn failure(error: &Error, request_id: &str) -> Response {
    let status = status(error.kind());
    let mut detail = error.to_string();
    match error.kind() {
        Kind::Internal => {
            match FAILED.admit() {
                Some(left_out) => error!("request failed id={request_id} more={left_out}: {}", with_causes(error)),
                None => debug!("request failed id={request_id}: {}", with_causes(error)),
            }
            "internal error".clone_into(&mut detail);
        }
        Kind::Overloaded => {
            if let Some(left_out) = OVERLOADED.admit() {
                warn!("request rejected: overloaded id={request_id} more={left_out}: {}", cut(&with_causes(error)));
            }
        }
        _ => {}
    }
    let mut members = error.members().clone();
    if !error.faults().is_empty() {
        members.insert("errors".to_owned(), json!(error.faults()));
        // A code says more than that something is wrong with the fields.
        if !members.contains_key("code") {
            members.insert("title".to_owned(), json!("Validation Failed"));
        }
    }
    let response = problem(status, &detail, request_id, members);
    let pause = error.retry_after().or_else(|| matches!(status, 429 | 503).then_some(PAUSE));
    match pause {
        // Rounded up: a client that comes back a moment too early has come for nothing.
        Some(pause) => response.with_header("Retry-After", pause.as_millis().div_ceil(1_000).max(1).to_string()),
        None => response,
    }
}

/// Problem JSON. `members` are added to the usual ones, and replace them where they have the same name.
pub fn problem(status: u16, detail: &str, request_id: &str, members: Map<String, Value>) -> Response {
    let mut body = Map::new();
    body.insert("type".to_owned(), json!("about:blank"));
    body.insert("title".to_owned(), json!(phrase(status)));
    body.insert("status".to_owned(), json!(status));
    body.insert("detail".to_owned(), json!(detail));
    body.insert("requestId".to_owned(), json!(request_id));
    body.extend(members);
    Response::new(status, "application/problem+json", Value::Object(body).to_string())
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    // One line of log, whatever a cause quotes.
    text.replace(['\n', '\r'], " ")
}

fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(response: &Response) -> Value {
        serde_json::from_slice(&response.body).expect("JSON")
    }

    #[test]
    fn our_own_faults_tell_the_client_only_what_to_ask_us_with() {
        let error = Error::new(Kind::Internal, "the secret is hush").with_source("a cause with a secret");
        let response = failure(&error, "r-1");
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        assert_eq!(
            body(&response),
            json!({"type": "about:blank", "title": "Internal Server Error", "status": 500, "detail": "internal error", "requestId": "r-1"})
        );
    }

    #[test]
    fn faults_of_fields_are_listed() {
        let error = Error::new(Kind::Invalid, "the size cannot be priced").with_fault("width", "must be over 0");
        let response = failure(&error, "r-1");
        assert_eq!(response.status, 422);
        assert_eq!(body(&response)["title"], "Validation Failed");
        assert_eq!(body(&response)["errors"], json!({"width": ["must be over 0"]}));
    }

    #[test]
    fn what_a_program_can_act_on_has_a_code() {
        let error =
            Error::new(Kind::Malformed, "gone").with_fault("glass", "no longer offered").with_member("code", "stale");
        let body = body(&failure(&error, "r-1"));
        assert_eq!((&body["code"], &body["title"]), (&json!("stale"), &json!("Bad Request")));
        assert_eq!(body["errors"], json!({"glass": ["no longer offered"]}));
    }

    #[test]
    fn who_should_come_back_is_told_when() {
        let limited = Error::new(Kind::Limited, "too many requests").with_retry_after(Duration::from_millis(1_001));
        assert_eq!(failure(&limited, "").header("retry-after"), Some("2"));
        assert_eq!(failure(&Error::new(Kind::Overloaded, "busy"), "").header("retry-after"), Some("2"));
        assert_eq!(failure(&Error::new(Kind::Conflict, "taken"), "").header("retry-after"), None);
    }
}
