//! Why Shopify has not done what was asked. An answer may fail in three layers: the HTTP status, `errors` alongside the data, and
//! `userErrors` in it; and what counts is one question: was the draft made, was it not, or is that unknown?

use serde_json::Value;
use std::time::Duration;

/// The shortest and longest pause that an answer can ask for.
pub(super) const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// The pause where an answer asks for one and does not say how long.
pub(super) const DEFAULT_PAUSE: Duration = Duration::from_secs(2);

/// Texts of Shopify's that are kept are cut here.
pub(super) const WORDS_MAX: usize = 300;

/// Why there is no draft order in an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShopifyError {
    /// Nothing was done: the token is no longer good.
    #[error("Shopify does not know the access token")]
    TokenRefused,
    /// Nothing was done, nor will be however often it is asked for.
    #[error("{0}")]
    Refused(String),
    /// Nothing was done, nor will be as long as a line is of a variant that Shopify does not take: deleted, unknown, not available.
    #[error("{0}")]
    VariantRefused(String),
    /// Nothing was done, nor will be until an operator has fixed something outside of the order.
    #[error("{0}")]
    Blocked(String),
    /// Nothing was done, and the answer does not say what would be wrong with the order: the same may succeed later.
    #[error("{0}")]
    Passing(String),
    /// Nothing was done, for there was too much to do.
    #[error("Shopify asks for a pause of {after:?}")]
    Throttled {
        /// When to ask again.
        after: Duration,
    },
    /// It may have been done, or not.
    #[error("{why}")]
    Uncertain {
        /// What is known.
        why: String,
        /// When to ask again, where the answer said so.
        after: Option<Duration>,
    },
}

impl ShopifyError {
    pub(super) fn uncertain(why: impl Into<String>) -> Self {
        Self::Uncertain { why: why.into(), after: None }
    }
}

/// What a status alone says; nothing for 200.
pub(super) fn read_status(status: u16, retry_after: Option<&str>) -> Result<(), ShopifyError> {
    let after = retry_after.and_then(read_retry_after);
    match status {
        200 => Ok(()),
        300..=399 => Err(ShopifyError::Blocked(format!("Shopify answers with a redirect ({status}): is the shop's domain right?"))),
        401 => Err(ShopifyError::TokenRefused),
        402 => Err(ShopifyError::Blocked("the shop is frozen at Shopify (402)".to_owned())),
        403 => Err(ShopifyError::Blocked(
            "Shopify forbids it (403): does the app have the scopes for draft orders, and its allowlist this server's address?"
                .to_owned(),
        )),
        404 => Err(ShopifyError::Blocked("Shopify knows no such shop (404)".to_owned())),
        423 => Err(ShopifyError::Blocked("the shop is locked at Shopify (423)".to_owned())),
        429 => Err(ShopifyError::Throttled { after: after.unwrap_or(DEFAULT_PAUSE) }),
        // What is wrong with an order is reported with 200. Shopify has said "too many requests" with this one.
        422 => Err(after.map_or_else(
            || ShopifyError::Passing("Shopify does not take the request now (422)".to_owned()),
            |after| ShopifyError::Throttled { after },
        )),
        400 | 405 | 406 | 413..=415 => Err(ShopifyError::Refused(format!("Shopify refuses the request ({status})"))),
        _ => Err(ShopifyError::Uncertain { why: format!("Shopify answered {status}"), after }),
    }
}

/// The JSON of an answer whose first layer, its status, reports no failure.
pub(super) fn read_document(status: u16, retry_after: Option<&str>, body: &[u8]) -> Result<Value, ShopifyError> {
    if (400..500).contains(&status) {
        // Whatever is in its body: a text, nothing, or, as with some throttles, a code and the cost.
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        let errors = document["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        if status != 429 && !errors.iter().any(|error| is_throttling(&error["extensions"]["code"])) {
            return read_status(status, retry_after)
                .and(Err(ShopifyError::uncertain(format!("Shopify answered {status}"))));
        }
        let after = retry_after.and_then(read_retry_after);
        return Err(ShopifyError::Throttled {
            after: after.unwrap_or_else(|| pause_by_cost(&document["extensions"]["cost"])),
        });
    }
    read_status(status, retry_after)?;
    serde_json::from_slice(body).map_err(|_garbage| ShopifyError::uncertain("Shopify's answer is no JSON"))
}

/// Codes of requests that are wrong in themselves.
const WRONG_REQUEST: [&str; 8] = [
    "MAX_COST_EXCEEDED",
    "INVALID_VARIABLE",
    "BAD_USER_INPUT",
    "GRAPHQL_VALIDATION_FAILED",
    "argumentLiteralsIncompatible",
    "argumentNotAccepted",
    "missingRequiredArguments",
    "undefinedField",
];

/// Whether a code, in whichever layer it is, asks for fewer requests. Shopify's is the first; the others are those of what may
/// are before it.
fn is_throttling(code: &Value) -> bool {
    code.as_str().is_some_and(|code| ["THROTTLED", "TOO_MANY_REQUESTS", "RATE_LIMITED"].contains(&code))
}

/// The second layer. Codes decide, not texts, which are for people and change.
pub(super) fn read_errors(document: &Value) -> Result<(), ShopifyError> {
    let errors = match &document["errors"] {
        Value::Null => return Ok(()),
        Value::Array(errors) if errors.is_empty() => return Ok(()),
        Value::Array(errors) => errors.as_slice(),
        // Shopify's edge answers some refusals with a text in this place.
        _ => return Err(ShopifyError::uncertain("Shopify answered with an error without a code")),
    };
    let messages: Vec<&str> = errors.iter().filter_map(|error| error["message"].as_str()).collect();
    let messages = plain_words(&messages.join("; "));
    // What failed within the answer failed after the work was done: a draft may well be made that its app may not look at.
    if errors.iter().any(|error| error["path"].as_array().is_some_and(|path| path.len() > 1)) {
        return Err(ShopifyError::uncertain(format!("Shopify answered with an error: {messages}")));
    }
    let codes: Vec<&str> = errors.iter().filter_map(|error| error["extensions"]["code"].as_str()).collect();
    if errors.iter().any(|error| is_throttling(&error["extensions"]["code"])) {
        return Err(ShopifyError::Throttled { after: pause_by_cost(&document["extensions"]["cost"]) });
    }
    let has_data = document["data"].as_object().is_some_and(|data| data.values().any(|value| !value.is_null()));
    if codes.contains(&"ACCESS_DENIED") && !has_data {
        return Err(ShopifyError::Blocked(format!("Shopify denies the app access: {messages}")));
    }
    if !has_data && !codes.is_empty() && codes.iter().all(|code| WRONG_REQUEST.contains(code)) {
        return Err(ShopifyError::Refused(format!("Shopify refuses the request: {messages}")));
    }
    Err(ShopifyError::uncertain(format!("Shopify answered with an error: {messages}")))
}

/// The third layer: what the `userErrors` of a mutation's `payload` say; `None` where it has none.
pub(super) fn read_user_errors(document: &Value, payload: &Value) -> Option<ShopifyError> {
    let faults = payload["userErrors"].as_array().filter(|faults| !faults.is_empty())?;
    if faults.iter().any(|fault| is_throttling(&fault["code"])) {
        return Some(ShopifyError::Throttled { after: pause_by_cost(&document["extensions"]["cost"]) });
    }
    let reasons: Vec<String> = faults.iter().map(user_error).collect();
    let reasons = plain_words(&reasons.join("; "));
    if faults.iter().any(is_about_variant) {
        return Some(ShopifyError::VariantRefused(format!("Shopify refuses a variant: {reasons}")));
    }
    // What is wrong with the order is reported under a field of it. Shopify says "too many attempts" without one.
    if faults.iter().all(|fault| field_of(fault).is_empty()) {
        return Some(ShopifyError::Passing(format!("Shopify does not take the order now: {reasons}")));
    }
    Some(ShopifyError::Refused(format!("Shopify refuses the order: {reasons}")))
}

/// How long the bucket takes to hold what the request costs.
fn pause_by_cost(cost: &Value) -> Duration {
    let status = &cost["throttleStatus"];
    let figures = (
        cost["requestedQueryCost"].as_f64(),
        status["currentlyAvailable"].as_f64(),
        status["restoreRate"].as_f64().filter(|rate| *rate > 0.0),
    );
    let (Some(requested), Some(available), Some(rate)) = figures else { return DEFAULT_PAUSE };
    bounded((requested - available) / rate)
}

/// Seconds, perhaps with a fraction. A date is not accepted: Shopify sends none, and whose clock would it be?
fn read_retry_after(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(bounded)
}

fn bounded(seconds: f64) -> Duration {
    let (least, most) = PAUSE;
    // What is no number or below zero is the least, what no duration holds is the most.
    Duration::try_from_secs_f64(seconds.max(0.0)).map_or(most, |pause| pause.clamp(least, most))
}

fn user_error(error: &Value) -> String {
    let message = error["message"].as_str().unwrap_or("no reason given");
    let field = field_of(error);
    if field.is_empty() { message.to_owned() } else { format!("{}: {message}", field.join(".")) }
}

/// Whether a user error is about a variant. Shopify names the field of some, and of others only says so.
fn is_about_variant(error: &Value) -> bool {
    let says = |text: &str| {
        let text = text.to_ascii_lowercase();
        ["variant", "merchandise", "product with id", "no longer available"].iter().any(|word| text.contains(word))
    };
    field_of(error).iter().any(|name| name.to_ascii_lowercase().contains("variant"))
        || error["message"].as_str().is_some_and(says)
}

/// The path of the field that a user error is about; empty where it is about none.
fn field_of(error: &Value) -> Vec<&str> {
    error["field"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Words of Shopify's that may be kept for the operator: without whatever could name a person or a shop, or have a terminal do
/// something.
pub fn plain_words(text: &str) -> String {
    let names_someone = |word: &str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        word.contains(char::is_control)
            || word.contains('@')
            || word.contains("://")
            || word.to_ascii_lowercase().contains("myshopify")
            || digits >= 6
    };
    let words = text.split_whitespace().map(|word| if names_someone(word) { "…" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(WORDS_MAX).collect()
}
