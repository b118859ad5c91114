//! What an answer of the Admin API means. It may fail in three layers: the HTTP status, `errors` alongside the data, and `userErrors`
//! in it; and what counts is one question: was the draft made, was it not, or does nobody know?

use super::DRAFT_ORDER_GID;
use super::request::tag;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The shortest and longest rest that an answer can ask for.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));

/// The rest where an answer asks for one and does not say how long.
const REST_UNSAID: Duration = Duration::from_secs(2);

/// Texts of Shopify's that are kept are cut here.
const WORDS_MAX: usize = 300;

/// The longest address of a checkout that is believed.
const ADDRESS_MAX: usize = 2_000;

/// The longest name of an order that is believed.
const ORDER_NAME_MAX: usize = 100;

/// A draft order at Shopify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftOrder {
    /// Its id there: `gid://shopify/DraftOrder/…`.
    pub id: String,
    /// Its name there: `#D7`.
    pub name: String,
    /// Where the shopper pays; `None` while Shopify has yet to make the draft ready.
    pub checkout_url: Option<String>,
    /// What it comes to there, in major units, and the currency: taxes may be in it.
    pub total: Option<(String, String)>,
    /// The tax that Shopify adds to the prices, where it says so. Nothing where prices contain it.
    pub added_tax: Option<(String, String)>,
    /// Its lines, in their order, where the answer has them.
    pub lines: Option<Vec<SeenLine>>,
}

/// A line of a draft order at Shopify, as far as the answer says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenLine {
    /// How many.
    pub quantity: Option<i64>,
    /// The price of one, in major units, and its currency: the locked one of a variant, where it has one.
    pub unit_price: Option<(String, String)>,
    /// Whether it is shipped.
    pub requires_shipping: Option<bool>,
    /// Whether it is taxed.
    pub taxable: Option<bool>,
    /// Whether it is of no variant.
    pub is_custom: Option<bool>,
    /// The variant it is of: `gid://shopify/ProductVariant/…`. Without the scope for products Shopify does not say.
    pub variant_id: Option<String>,
}

/// What became of a draft order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stands there.
    Standing,
    /// The shopper has ordered: the order's name, where the app may know it, and when.
    Completed {
        /// `#1042`.
        order_name: Option<String>,
        /// When.
        at: Option<DateTime<Utc>>,
    },
    /// It is not there any more.
    Deleted,
    /// The answer does not say.
    Unknown,
}

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
    /// Nothing was done, nor will be until somebody has fixed something outside of the order.
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

/// The draft that an answer to [`super::create`] says was made of an order.
///
/// # Errors
/// A [`ShopifyError`] where it says otherwise, or nothing that can be understood.
pub fn read_created(
    order_id: &str,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Result<DraftOrder, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    let payload = &document["data"]["draftOrderCreate"];
    // Whatever else is said: a draft with an id is there.
    if let Some(draft) = read_draft(&payload["draftOrder"]) {
        // A shopper must not be sent to another's checkout, whoever has mixed up two answers on their way. One that says nothing of
        // its tags was given in answer to us all the same: to look for it would be to risk a second.
        let node = &payload["draftOrder"];
        if node["tags"].is_array() && !bears(node, &tag(order_id)) {
            return Err(ShopifyError::uncertain("Shopify answered with a draft order that is not this order's"));
        }
        return Ok(draft);
    }
    read_errors(&document)?;
    let faults = payload["userErrors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if faults.is_empty() {
        return Err(ShopifyError::uncertain("Shopify answered without a draft order and without an error"));
    }
    if faults.iter().any(|fault| is_throttling(&fault["code"])) {
        return Err(ShopifyError::Throttled { after: rest_by_cost(&document["extensions"]["cost"]) });
    }
    let told: Vec<String> = faults.iter().map(user_error).collect();
    let told = plain_words(&told.join("; "));
    if faults.iter().any(is_about_variant) {
        return Err(ShopifyError::VariantRefused(format!("Shopify refuses a variant: {told}")));
    }
    // What is wrong with the order stands under a field of it. Shopify says "too many attempts" without one.
    if faults.iter().all(|fault| field_of(fault).is_empty()) {
        return Err(ShopifyError::Passing(format!("Shopify does not take the order now: {told}")));
    }
    Err(ShopifyError::Refused(format!("Shopify refuses the order: {told}")))
}

/// The draft that an answer to [`super::look`] shows; `None`: it is not there any more.
///
/// # Errors
/// As [`read_created`]; whatever it is, nothing was changed.
pub fn read_seen(
    draft_id: &str,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Result<Option<DraftOrder>, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    // What the app may not see of a draft is missing from it; the rest is there.
    if let Some(draft) = read_draft(&document["data"]["draftOrder"]) {
        let is_it = draft.id == draft_id;
        return is_it
            .then_some(Some(draft))
            .ok_or_else(|| ShopifyError::uncertain("Shopify answered with a draft order that was not asked for"));
    }
    read_errors(&document)?;
    match document["data"].get("draftOrder") {
        Some(Value::Null) => Ok(None),
        _ => Err(ShopifyError::uncertain("Shopify answered without the draft order that was asked for")),
    }
}

/// What an answer to [`super::states`] says of these drafts, in their order.
///
/// # Errors
/// As [`read_created`]; whatever it is, nothing was changed.
pub fn read_states(
    draft_ids: &[String],
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Result<Vec<Fate>, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    let nodes = match document["data"]["nodes"].as_array() {
        Some(nodes) if nodes.len() == draft_ids.len() => nodes,
        _ => {
            read_errors(&document)?;
            return Err(ShopifyError::uncertain("Shopify answered without the draft orders that were asked for"));
        }
    };
    // A draft that an error is about is not there because of the error.
    let errors = document["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_whole = errors.iter().all(|error| error["path"].as_array().is_some_and(|path| path.len() > 1));
    let has_error =
        |place: usize| !is_whole || errors.iter().any(|error| error["path"][1].as_u64() == u64::try_from(place).ok());
    let fate = |(place, (node, id)): (usize, (&Value, &String))| match node {
        Value::Null if has_error(place) => Fate::Unknown,
        Value::Null => Fate::Deleted,
        node if node["id"].as_str() != Some(id) => Fate::Unknown,
        node => match node["status"].as_str() {
            Some("COMPLETED") => Fate::Completed {
                order_name: node["order"]["name"].as_str().and_then(order_name),
                at: node["completedAt"].as_str().and_then(read_time),
            },
            Some(_) => Fate::Standing,
            None => Fate::Unknown,
        },
    };
    Ok(nodes.iter().zip(draft_ids).enumerate().map(fate).collect())
}

/// Whether an answer to [`super::delete`] says that the draft is gone; `false`: Shopify keeps it, or knows none.
///
/// # Errors
/// As [`read_created`].
pub fn read_deleted(draft_id: &str, status: u16, retry_after: Option<&str>, body: &[u8]) -> Result<bool, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    let payload = &document["data"]["draftOrderDelete"];
    if payload["deletedId"].as_str() == Some(draft_id) {
        return Ok(true);
    }
    read_errors(&document)?;
    let faults = payload["userErrors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if faults.is_empty() {
        return Err(ShopifyError::uncertain("Shopify answered without what it deleted and without an error"));
    }
    Ok(false)
}

/// A name of an order at Shopify, if it can be one: merchants choose what stands around the number.
fn order_name(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.chars().count() <= ORDER_NAME_MAX && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

pub(in crate::shopify) fn read_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

/// The drafts of an order that an answer to [`super::find`] has, oldest first. None: they are not there, or not there *yet*, for
/// the search learns of new ones late.
///
/// # Errors
/// As [`read_created`].
pub fn read_found(
    order_id: &str,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Result<Vec<DraftOrder>, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    read_errors(&document)?;
    let tag = tag(order_id);
    let mut found = BTreeMap::new();
    for list in ["tagged", "newest"] {
        let nodes = document["data"][list]["nodes"].as_array();
        let nodes = nodes.ok_or_else(|| ShopifyError::uncertain("Shopify answered a search without a list"))?;
        for node in nodes {
            // A search may be generous; only the very tag counts.
            if let Some(draft) = read_draft(node).filter(|_| bears(node, &tag)) {
                found.insert((draft.id.len(), draft.id.clone()), draft);
            }
        }
    }
    Ok(found.into_values().collect())
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
        429 => Err(ShopifyError::Throttled { after: after.unwrap_or(REST_UNSAID) }),
        // What is wrong with an order is told with 200. Shopify has said "too many requests" with this one.
        422 => Err(after.map_or_else(
            || ShopifyError::Passing("Shopify does not take the request now (422)".to_owned()),
            |after| ShopifyError::Throttled { after },
        )),
        400 | 405 | 406 | 413..=415 => Err(ShopifyError::Refused(format!("Shopify refuses the request ({status})"))),
        _ => Err(ShopifyError::Uncertain { why: format!("Shopify answered {status}"), after }),
    }
}

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
            after: after.unwrap_or_else(|| rest_by_cost(&document["extensions"]["cost"])),
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

/// Whether a code, in whichever layer it stands, asks for fewer requests. Shopify's is the first; the others are those of what may
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
    let told: Vec<&str> = errors.iter().filter_map(|error| error["message"].as_str()).collect();
    let told = plain_words(&told.join("; "));
    // What failed within the answer failed after the work was done: a draft may well be made that its app may not look at.
    if errors.iter().any(|error| error["path"].as_array().is_some_and(|path| path.len() > 1)) {
        return Err(ShopifyError::uncertain(format!("Shopify answered with an error: {told}")));
    }
    let codes: Vec<&str> = errors.iter().filter_map(|error| error["extensions"]["code"].as_str()).collect();
    if errors.iter().any(|error| is_throttling(&error["extensions"]["code"])) {
        return Err(ShopifyError::Throttled { after: rest_by_cost(&document["extensions"]["cost"]) });
    }
    let has_data = document["data"].as_object().is_some_and(|data| data.values().any(|value| !value.is_null()));
    if codes.contains(&"ACCESS_DENIED") && !has_data {
        return Err(ShopifyError::Blocked(format!("Shopify denies the app access: {told}")));
    }
    if !has_data && !codes.is_empty() && codes.iter().all(|code| WRONG_REQUEST.contains(code)) {
        return Err(ShopifyError::Refused(format!("Shopify refuses the request: {told}")));
    }
    Err(ShopifyError::uncertain(format!("Shopify answered with an error: {told}")))
}

/// How long the bucket takes to hold what the request costs.
fn rest_by_cost(cost: &Value) -> Duration {
    let status = &cost["throttleStatus"];
    let figures = (
        cost["requestedQueryCost"].as_f64(),
        status["currentlyAvailable"].as_f64(),
        status["restoreRate"].as_f64().filter(|rate| *rate > 0.0),
    );
    let (Some(requested), Some(available), Some(rate)) = figures else { return REST_UNSAID };
    bounded((requested - available) / rate)
}

/// Seconds, perhaps with a fraction. A date is not accepted: Shopify sends none, and whose clock would it be?
fn read_retry_after(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(bounded)
}

fn bounded(seconds: f64) -> Duration {
    let (least, most) = REST;
    // What is no number or below zero is the least, what no duration holds is the most.
    Duration::try_from_secs_f64(seconds.max(0.0)).map_or(most, |rest| rest.clamp(least, most))
}

fn bears(node: &Value, tag: &str) -> bool {
    node["tags"].as_array().is_some_and(|tags| tags.iter().any(|found| found == tag))
}

fn read_draft(node: &Value) -> Option<DraftOrder> {
    let id = node["id"].as_str().filter(|id| id.starts_with(DRAFT_ORDER_GID) && id.len() < 100)?;
    let name = node["name"].as_str().filter(|name| !name.is_empty() && name.len() < 100)?;
    // Shopify works on a new draft for a while: its address, where it has one, leads to nothing until then.
    let is_ready = node["ready"].as_bool().unwrap_or(true);
    Some(DraftOrder {
        id: id.to_owned(),
        name: name.to_owned(),
        checkout_url: node["invoiceUrl"].as_str().filter(|url| is_ready && is_checkout(url)).map(str::to_owned),
        // Nor has what it comes to been reckoned yet.
        total: money(&node["totalPriceSet"]).filter(|_| is_ready),
        added_tax: money(&node["totalTaxSet"]).filter(|_| node["taxesIncluded"].as_bool() == Some(false)),
        lines: node["lineItems"]["nodes"].as_array().map(|lines| lines.iter().map(read_line).collect()),
    })
}

fn read_line(node: &Value) -> SeenLine {
    SeenLine {
        quantity: node["quantity"].as_i64(),
        unit_price: amount(&node["priceOverride"]).or_else(|| money(&node["originalUnitPriceSet"])),
        requires_shipping: node["requiresShipping"].as_bool(),
        taxable: node["taxable"].as_bool(),
        is_custom: node["custom"].as_bool(),
        variant_id: node["variant"]["id"].as_str().map(str::to_owned),
    }
}

/// An amount in major units and its currency.
fn money(bag: &Value) -> Option<(String, String)> {
    amount(&bag["presentmentMoney"])
}

fn amount(money: &Value) -> Option<(String, String)> {
    let (amount, currency) = money["amount"].as_str().zip(money["currencyCode"].as_str())?;
    Some((amount.to_owned(), currency.to_owned()))
}

/// A browser is sent there: an address for the web and nothing else.
fn is_checkout(url: &str) -> bool {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    !rest.is_empty()
        && !rest.starts_with('/')
        && url.len() <= ADDRESS_MAX
        && url.bytes().all(|byte| byte.is_ascii_graphic())
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

/// The version that gave an answer, where it is another than was asked for.
pub fn served_version<'a>(asked: &str, header: Option<&'a str>) -> Option<&'a str> {
    header.filter(|served| *served != asked && super::is_version(served))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn created(status: u16, body: &Value) -> Result<DraftOrder, ShopifyError> {
        read_created("a", status, None, body.to_string().as_bytes())
    }

    fn node(number: u64, tags: &[&str]) -> Value {
        json!({
            "id": format!("gid://shopify/DraftOrder/{number}"),
            "name": format!("#D{number}"),
            "invoiceUrl": format!("https://fake.myshopify.com/invoices/{number}"),
            "tags": tags,
            "totalPriceSet": { "presentmentMoney": { "amount": "25.0", "currencyCode": "EUR" } },
        })
    }

    #[test]
    fn a_draft_with_an_id_was_made_whatever_else_is_said() {
        let payload = json!({ "draftOrder": node(7, &["x", "pm-a"]), "userErrors": [] });
        let draft = created(200, &json!({ "data": { "draftOrderCreate": payload } })).expect("made");
        assert_eq!((draft.id.as_str(), draft.name.as_str()), ("gid://shopify/DraftOrder/7", "#D7"));
        assert_eq!(draft.total, Some(("25.0".to_owned(), "EUR".to_owned())));
        let beside = json!({ "data": { "draftOrderCreate": payload }, "errors": [{ "message": "x" }] });
        assert_eq!(created(200, &beside), Ok(draft));
    }

    #[test]
    fn a_draft_of_another_order_says_nothing_of_this_one() {
        for tags in [&[][..], &["pm-ab"], &["price-matrix", "PM-A"]] {
            let payload = json!({ "draftOrder": node(7, tags), "userErrors": [] });
            let answer = created(200, &json!({ "data": { "draftOrderCreate": payload } }));
            assert!(matches!(answer, Err(ShopifyError::Uncertain { .. })), "{tags:?}: {answer:?}");
        }
        let mut silent = node(7, &[]);
        silent.as_object_mut().expect("an object").remove("tags");
        let payload = json!({ "draftOrder": silent, "userErrors": [] });
        let answer = created(200, &json!({ "data": { "draftOrderCreate": payload } }));
        assert_eq!(answer.map(|draft| draft.name), Ok("#D7".to_owned()));
    }

    #[test]
    fn an_address_that_is_none_of_the_web_is_no_checkout() {
        for url in ["javascript:alert(1)", "http://plain.example", "https://", "https:///x", "https://a b", ""] {
            let mut draft = node(7, &["pm-a"]);
            draft["invoiceUrl"] = json!(url);
            let answer = json!({ "data": { "draftOrderCreate": { "draftOrder": draft, "userErrors": [] } } });
            assert_eq!(created(200, &answer).expect("made").checkout_url, None, "{url}");
        }
    }

    #[test]
    fn a_draft_that_is_not_ready_has_no_checkout_yet() {
        let made = |change: Value| {
            let mut draft = node(7, &["pm-a"]);
            draft.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            created(200, &json!({ "data": { "draftOrderCreate": { "draftOrder": draft, "userErrors": [] } } }))
                .expect("made")
        };
        for change in [json!({ "invoiceUrl": null }), json!({ "ready": false }), json!({ "invoiceUrl": "" })] {
            assert_eq!(made(change.clone()).checkout_url, None, "{change}");
        }
        assert!(made(json!({ "ready": true })).checkout_url.is_some());
    }

    #[test]
    fn only_tax_that_is_added_to_the_prices_explains_a_higher_total() {
        let tax = |included: Value| {
            let mut draft = node(7, &["pm-a"]);
            draft["totalTaxSet"] = json!({ "presentmentMoney": { "amount": "4.75", "currencyCode": "EUR" } });
            draft["taxesIncluded"] = included;
            let payload = json!({ "draftOrder": draft, "userErrors": [] });
            created(200, &json!({ "data": { "draftOrderCreate": payload } })).expect("made").added_tax
        };
        assert_eq!(tax(json!(false)), Some(("4.75".to_owned(), "EUR".to_owned())));
        assert_eq!((tax(json!(true)), tax(Value::Null)), (None, None));
    }

    #[test]
    fn a_refusal_that_says_nothing_of_the_order_is_passing() {
        let refused = |errors: Value| {
            created(200, &json!({ "data": { "draftOrderCreate": { "draftOrder": null, "userErrors": errors } } }))
        };
        for field in [Value::Null, json!([])] {
            let errors = json!([{ "field": field, "message": "Too many attempts. Please try again later." }]);
            assert!(matches!(refused(errors), Err(ShopifyError::Passing(why)) if why.contains("Too many attempts")));
        }
        assert!(matches!(refused(json!([{ "message": "Busy" }])), Err(ShopifyError::Passing(_))));
        let both = json!([{ "field": null, "message": "a" }, { "field": ["input"], "message": "b" }]);
        assert!(
            matches!(refused(both), Err(ShopifyError::Refused(_))),
            "what names a field is wrong, whatever else is said"
        );
    }

    #[test]
    fn the_code_for_too_many_requests_is_a_pause_in_whichever_layer_it_stands() {
        for code in ["THROTTLED", "TOO_MANY_REQUESTS"] {
            let error = json!([{ "message": "m", "extensions": { "code": code } }]);
            for status in [200, 400, 422, 429] {
                let answer = created(status, &json!({ "data": null, "errors": error }));
                assert!(matches!(answer, Err(ShopifyError::Throttled { .. })), "{status} {code}: {answer:?}");
            }
            let errors = json!([{ "field": ["input"], "message": "m", "code": code }]);
            let answer = json!({ "data": { "draftOrderCreate": { "draftOrder": null, "userErrors": errors } } });
            assert!(matches!(created(200, &answer), Err(ShopifyError::Throttled { .. })), "{code}");
        }
        let text = json!({ "errors": "Too many requests" });
        assert!(matches!(created(422, &text), Err(ShopifyError::Passing(_))));
        let rested = read_created("a", 422, Some("7"), text.to_string().as_bytes());
        assert_eq!(rested, Err(ShopifyError::Throttled { after: Duration::from_secs(7) }));
    }

    #[test]
    fn a_draft_that_is_looked_at_is_the_one_asked_for_or_gone() {
        let id = "gid://shopify/DraftOrder/7";
        let seen = |body: &Value| read_seen(id, 200, None, body.to_string().as_bytes());
        let draft = seen(&json!({ "data": { "draftOrder": node(7, &[]) } })).expect("an answer").expect("a draft");
        assert_eq!(draft.id, id);
        assert_eq!(seen(&json!({ "data": { "draftOrder": null } })), Ok(None));
        for other in [json!({ "data": { "draftOrder": node(8, &[]) } }), json!({ "data": {} }), json!({ "data": null })]
        {
            assert!(matches!(seen(&other), Err(ShopifyError::Uncertain { .. })), "{other}");
        }
    }

    #[test]
    fn user_errors_refuse_the_order_for_good_and_are_kept_without_names() {
        let errors = json!([{ "field": ["input", "lineItems"], "message": "Title of ann@example.com is at a.myshopify.com 0171234567" }]);
        let answer = json!({ "data": { "draftOrderCreate": { "draftOrder": null, "userErrors": errors } } });
        let told = "Shopify refuses the order: input.lineItems: Title of … is at … …";
        assert_eq!(created(200, &answer), Err(ShopifyError::Refused(told.to_owned())));
    }

    #[test]
    fn a_throttle_says_how_long_to_wait_in_each_of_its_forms() {
        let body = json!({
            "errors": [{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }],
            "extensions": { "cost": { "requestedQueryCost": 110, "actualQueryCost": null,
                "throttleStatus": { "maximumAvailable": 2000, "currentlyAvailable": 10, "restoreRate": 20 } } },
        });
        for status in [200, 429] {
            assert_eq!(
                created(status, &body),
                Err(ShopifyError::Throttled { after: Duration::from_secs(5) }),
                "{status}"
            );
        }
        let wait = |retry_after: Option<&str>| match read_created("a", 429, retry_after, b"") {
            Err(ShopifyError::Throttled { after }) => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait(Some("2.5")), Duration::from_millis(2_500));
        assert_eq!(wait(Some("0")), REST.0);
        assert_eq!(wait(Some("99999999")), REST.1);
        for strange in [None, Some("soon"), Some("Wed, 21 Oct 2026 07:28:00 GMT")] {
            assert_eq!(wait(strange), REST_UNSAID, "{strange:?}");
        }
        for strange in ["NaN", "-1", "-inf"] {
            assert_eq!(wait(Some(strange)), REST.0, "{strange}");
        }
        for strange in ["inf", "1e300"] {
            assert_eq!(wait(Some(strange)), REST.1, "{strange}");
        }
    }

    #[test]
    fn a_status_of_too_many_requests_is_a_throttle_whatever_else_is_said() {
        for body in [
            r#"{"errors":"Exceeded 2 calls per second for api client."}"#,
            "<html>",
            "",
            r#"{"errors":[{"message":"m"}]}"#,
        ] {
            let answer = read_created("a", 429, None, body.as_bytes());
            assert_eq!(answer, Err(ShopifyError::Throttled { after: REST_UNSAID }), "{body}");
            let answer = read_found("a", 429, Some("9"), body.as_bytes());
            assert_eq!(answer, Err(ShopifyError::Throttled { after: Duration::from_secs(9) }), "{body}");
        }
    }

    #[test]
    fn what_failed_within_the_answer_may_have_been_made() {
        let error = |path: Value, code: &str| {
            let errors = json!([{ "message": "no", "path": path, "extensions": { "code": code } }]);
            created(200, &json!({ "data": { "draftOrderCreate": null }, "errors": errors }))
        };
        for code in ["ACCESS_DENIED", "THROTTLED", "MAX_COST_EXCEEDED"] {
            let within = error(json!(["draftOrderCreate", "draftOrder", "tags"]), code);
            assert!(matches!(within, Err(ShopifyError::Uncertain { .. })), "{code}: {within:?}");
        }
        // What failed as a whole did nothing.
        assert!(matches!(error(json!(["draftOrderCreate"]), "ACCESS_DENIED"), Err(ShopifyError::Blocked(_))));
        assert!(matches!(error(json!(["draftOrderCreate"]), "THROTTLED"), Err(ShopifyError::Throttled { .. })));
        assert!(matches!(error(Value::Null, "MAX_COST_EXCEEDED"), Err(ShopifyError::Refused(_))));
        // And what is there in part is not a whole.
        for code in ["ACCESS_DENIED", "MAX_COST_EXCEEDED"] {
            let errors = json!([{ "message": "no", "extensions": { "code": code } }]);
            let payload = json!({ "draftOrder": null, "userErrors": [] });
            let half = created(200, &json!({ "data": { "draftOrderCreate": payload }, "errors": errors }));
            assert!(matches!(half, Err(ShopifyError::Uncertain { .. })), "{code}: {half:?}");
        }
    }

    #[test]
    fn words_that_are_kept_do_nothing_to_a_terminal_and_have_an_end() {
        assert_eq!(plain_words("a \u{1b}[2Jb\u{7}\r\nc \u{9b}d"), "a … c …");
        assert_eq!(plain_words(&"x ".repeat(1_000)).chars().count(), WORDS_MAX);
    }

    #[test]
    fn what_nobody_can_know_is_unclear() {
        let uncertain = |status: u16, body: &str| {
            matches!(read_created("a", status, None, body.as_bytes()), Err(ShopifyError::Uncertain { .. }))
        };
        for (status, body) in [
            (200, "<html>"),
            (200, ""),
            (200, "{}"),
            (200, "null"),
            (200, "[]"),
            (200, r#"{"data":null}"#),
            (200, r#"{"data":{"draftOrderCreate":null}}"#),
            (200, r#"{"data":{"draftOrderCreate":{"draftOrder":{"id":"7"},"userErrors":[]}}}"#),
            (200, r#"{"errors":[{"message":"Internal error","extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}"#),
            (200, r#"{"errors":"Something"}"#),
            (500, "{}"),
            (502, ""),
            (503, ""),
            (504, ""),
            (408, ""),
            (201, "{}"),
        ] {
            assert!(uncertain(status, body), "{status} {body}");
        }
        let rested = read_created("a", 503, Some("7"), b"");
        assert!(
            matches!(rested, Err(ShopifyError::Uncertain { after: Some(after), .. }) if after.as_secs() == 7),
            "{rested:?}"
        );
    }

    #[test]
    fn what_somebody_must_mend_is_told_apart_from_what_is_wrong_with_the_order() {
        for status in [301, 302, 307, 402, 403, 404, 423] {
            assert!(matches!(created(status, &json!({})), Err(ShopifyError::Blocked(_))), "{status}");
        }
        assert_eq!(created(401, &json!({})), Err(ShopifyError::TokenRefused));
        assert!(matches!(created(400, &json!({})), Err(ShopifyError::Refused(_))));
        let error =
            |code: &str| json!({ "data": null, "errors": [{ "message": "m", "extensions": { "code": code } }] });
        assert!(matches!(created(200, &error("ACCESS_DENIED")), Err(ShopifyError::Blocked(_))));
        assert!(matches!(created(200, &error("MAX_COST_EXCEEDED")), Err(ShopifyError::Refused(_))));
        assert!(matches!(created(200, &error("undefinedField")), Err(ShopifyError::Refused(_))));
    }

    #[test]
    fn only_the_very_tag_is_found_and_each_draft_once_oldest_first() {
        let answer = json!({ "data": {
            "tagged": { "nodes": [node(10, &["pm-a"]), node(12, &["pm-ab"])] },
            "newest": { "nodes": [node(10, &["x", "pm-a"]), node(9, &["pm-a"]), node(8, &[])] },
        } });
        let found = read_found("a", 200, None, answer.to_string().as_bytes()).expect("found");
        assert_eq!(found.iter().map(|draft| draft.name.as_str()).collect::<Vec<_>>(), ["#D9", "#D10"]);
        let none = json!({ "data": { "tagged": { "nodes": [] }, "newest": { "nodes": [] } } });
        assert_eq!(read_found("a", 200, None, none.to_string().as_bytes()), Ok(Vec::new()));
        let half = json!({ "data": { "tagged": { "nodes": [] } } });
        assert!(read_found("a", 200, None, half.to_string().as_bytes()).is_err());
    }
}
