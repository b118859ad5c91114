//! Errors on their way out: RFC 9457 problem JSON for all of them, with the statuses of `status.rs`.

use super::status::{self, PROBLEM, default_code, phrase};
use super::{Reply, Response};
use crate::access::Actor;
use crate::access::audit::Record;
use crate::domain::ids::StoreId;
use crate::error::{Error, Kind, Result};
use crate::languages::{Language, fill};
use crate::log_limit::{LogLimiter, cut};
use crate::pricing::codes;
use log::{debug, error, warn};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The code of a problem that names the fields that are wrong.
const VALIDATION_FAILED: &str = "validation_failed";

/// How long a client should wait where the error does not know better.
const PAUSE: Duration = Duration::from_secs(2);

/// Lines about requests that were rejected as overload.
static OVERLOADED: LogLimiter = LogLimiter::new();

/// Lines about requests that failed by our own fault.
static FAILED: LogLimiter = LogLimiter::new();

/// The way back to the client of one request, for a handler that answers later.
pub(crate) struct Responder {
    reply: Reply,
    request_id: String,
    error_page: Option<ErrorPage>,
    record: Option<Record>,
    only_store: Option<StoreId>,
}

/// Turns an error, and what a program would be answered, into a page for a person.
pub(super) type ErrorPage = Box<dyn FnOnce(&Error, Response) -> Response + Send>;

impl Responder {
    pub(super) fn new(reply: Reply, request_id: String) -> Self {
        Self { reply, request_id, error_page: None, record: None, only_store: None }
    }

    /// The same, for a person: errors are pages.
    pub(super) fn with_error_page(self, page: impl FnOnce(&Error, Response) -> Response + Send + 'static) -> Self {
        Self { error_page: Some(Box::new(page)), ..self }
    }

    /// The same, for a write that is recorded in the audit log.
    pub(super) fn recorded_as(self, record: Record) -> Self {
        Self { record: Some(record), ..self }
    }

    /// The same, for a call of this one.
    pub(super) fn for_caller(self, actor: &Actor) -> Self {
        Self { only_store: actor.store, ..self }
    }

    /// The only store that the caller may see; `None`: all of them.
    pub(super) fn only_store(&self) -> Option<StoreId> {
        self.only_store
    }

    /// The same, for a write that also changes this, which its path does not name.
    pub(super) fn concerning(self, id: impl ToString) -> Self {
        Self { record: self.record.map(|record| record.object(id)), ..self }
    }

    /// The same, for a write of this store, which its path does not name.
    pub(super) fn of_store(self, hash: [u8; 32]) -> Self {
        Self { record: self.record.map(|record| record.of_store(hash)), ..self }
    }

    /// The same, for a write that is only looked at.
    pub(super) fn changing_nothing(self) -> Self {
        Self { record: None, ..self }
    }

    /// The row of the audit log that is added to the transaction of the write.
    pub(super) fn take_record(&mut self) -> Option<Record> {
        self.record.take()
    }

    /// Answers, with a problem where `outcome` is an error.
    pub(crate) fn send(self, outcome: Result<Response>) {
        let Self { reply, request_id, error_page, record, .. } = self;
        // What has changed something has written the row with it.
        let is_done = outcome.as_ref().is_ok_and(|response| response.status < 400);
        debug_assert!(record.is_none() || !is_done, "a write is answered without its row of the audit log: {record:?}");
        reply.send(outcome.unwrap_or_else(|error| {
            let problem = failure(&error, &request_id);
            match error_page {
                Some(page) => page(&error, problem),
                None => problem,
            }
        }));
    }

    /// Whether this thread has other requests to see to that came together with this one.
    pub(crate) fn others_follow(&self) -> bool {
        self.reply.others_follow()
    }

    /// Names the request in log lines.
    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }
}

/// The answer to a request that failed. Causes go to the log, once; the client learns the error's own sentence, and of our own
/// faults nothing but the id to ask us with.
pub(crate) fn failure(error: &Error, request_id: &str) -> Response {
    let status = status::of(error.kind());
    let mut detail = error.to_string();
    match error.kind() {
        Kind::Internal => {
            match FAILED.admit() {
                Some(left_out) => error!("request failed id={request_id} more={left_out}: {}", with_causes(error)),
                None => debug!("request failed id={request_id}: {}", with_causes(error)),
            }
            "internal error".clone_into(&mut detail);
        }
        // One with a code was logged where it arose, and not for each request: lines fill a disk that is nearly full.
        Kind::Overloaded if error.members().contains_key("code") => {}
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
            members.insert("code".to_owned(), json!(VALIDATION_FAILED));
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
pub(crate) fn problem(status: u16, detail: &str, request_id: &str, members: Map<String, Value>) -> Response {
    let mut body = Map::new();
    body.insert("type".to_owned(), json!("about:blank"));
    body.insert("title".to_owned(), json!(phrase(status)));
    body.insert("status".to_owned(), json!(status));
    body.insert("detail".to_owned(), json!(detail));
    body.insert("requestId".to_owned(), json!(request_id));
    body.insert("code".to_owned(), json!(default_code(status)));
    body.extend(members);
    Response::new(status, PROBLEM, Value::Object(body).to_string())
}

/// What is wrong with one item of a list: what the whole answer would say of it, for a shopper who reads `language`.
pub(super) fn problem_of_item(error: &Error, language: Language) -> Value {
    let response = for_shoppers(in_language(failure(error, ""), language));
    let mut body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !matches!(name.as_str(), "type" | "title" | "requestId"));
    }
    body
}

/// A problem in another language, where its code has a sentence there. Once is enough: what has a language keeps it.
pub(super) fn in_language(response: Response, language: Language) -> Response {
    if !is_problem(&response) || response.header("content-language").is_some() {
        return response;
    }
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&response.body) else { return response };
    if let Some(sentence) = sentence_in(&body, language) {
        body.insert("detail".to_owned(), json!(sentence));
    }
    for faults in body.get_mut("errors").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        for fault in faults.as_array_mut().into_iter().flatten() {
            if let Some(text) = fault.as_str().and_then(|text| language.texts().fault(text)) {
                *fault = json!(text);
            }
        }
    }
    Response { body: Value::Object(body).to_string().into_bytes(), ..response }
        .with_header("Content-Language", language.as_str())
}

/// What a problem says in another language than English, with what its fields say in the places of their names: `{axis}`, `{min}`,
/// `{max}`, `{unit}`, `{groups}`.
fn sentence_in(body: &Map<String, Value>, language: Language) -> Option<String> {
    let texts = language.texts();
    let code = body.get("code").and_then(Value::as_str).unwrap_or_default();
    let limits = body.get("limits").and_then(Value::as_object);
    // A product of which no size is left has no limits to tell of.
    let code = if code == codes::SIZE_OUTSIDE && limits.is_none() { codes::SIZE_NOT_OFFERED } else { code };
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        number => texts.figures.plain(&number.to_string()),
    };
    let mut values: Vec<(&str, String)> =
        limits.into_iter().flatten().map(|(name, value)| (name.as_str(), shown(value))).collect();
    for (_, axis) in values.iter_mut().filter(|(name, _)| *name == "axis") {
        *axis = texts.element(axis).unwrap_or(axis).to_owned();
    }
    let groups = body.get("groups").and_then(Value::as_array).into_iter().flatten().map(shown);
    values.push(("groups", groups.collect::<Vec<_>>().join(", ")));
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let sentence = fill(texts.problem(code)?, &values);
    Some(match body.get("item").and_then(Value::as_u64) {
        Some(place) => texts.in_item(place + 1, &sentence),
        None => sentence,
    })
}

fn is_problem(response: &Response) -> bool {
    response.status >= 400 && response.header("content-type") == Some(PROBLEM)
}

/// A problem as shoppers read it: widgets show its `detail` as it is. The sentence begins as sentences do, and what only operators can
/// make use of is said in other words.
pub(super) fn for_shoppers(response: Response) -> Response {
    // In another language it is for shoppers already.
    let is_translated = response.header("content-language").is_some_and(|language| language != Language::En.as_str());
    if !is_problem(&response) || is_translated {
        return response;
    }
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&response.body) else { return response };
    let detail = body.get("detail").and_then(Value::as_str).unwrap_or_default();
    let detail = match response.status {
        500 => "Something went wrong, please try again in a moment".to_owned(),
        // What has a code has a sentence of its own.
        503 if body.get("code").is_some_and(|code| code == default_code(503)) => {
            "This is not possible right now, please try again in a moment".to_owned()
        }
        _ => sentence(detail),
    };
    body.insert("detail".to_owned(), json!(detail));
    Response { body: Value::Object(body).to_string().into_bytes(), ..response }
}

/// `text` with a capital at its beginning.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
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

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").field("request_id", &self.request_id).finish_non_exhaustive()
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
            json!({"type": "about:blank", "title": "Internal Server Error", "status": 500, "detail": "internal error", "requestId": "r-1", "code": "internal_error"})
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
    fn shoppers_read_sentences_and_nothing_of_our_own_faults() {
        let detail = |error: Error| body(&for_shoppers(failure(&error, "r-1")))["detail"].clone();
        assert_eq!(detail(Error::new(Kind::Invalid, "the size is not offered")), "The size is not offered");
        assert_eq!(detail(Error::new(Kind::Invalid, "ärgerlich")), "Ärgerlich");
        let busy = Error::new(Kind::Overloaded, "the database cannot take this now");
        assert_eq!(detail(busy), "This is not possible right now, please try again in a moment");
        let known = Error::new(Kind::Overloaded, "orders are closed for a moment").with_member("code", "closed");
        assert_eq!(detail(known), "Orders are closed for a moment");
        assert_eq!(detail(Error::new(Kind::Internal, "hush")), "Something went wrong, please try again in a moment");
        let good = Response::json(200, &json!({ "detail": "as it is" }));
        assert_eq!(body(&for_shoppers(good))["detail"], "as it is");
    }

    #[test]
    fn who_should_come_back_is_told_when() {
        let limited = Error::new(Kind::Limited, "too many requests").with_retry_after(Duration::from_millis(1_001));
        assert_eq!(failure(&limited, "").header("retry-after"), Some("2"));
        assert_eq!(failure(&Error::new(Kind::Overloaded, "busy"), "").header("retry-after"), Some("2"));
        assert_eq!(failure(&Error::new(Kind::Conflict, "taken"), "").header("retry-after"), None);
    }
}
