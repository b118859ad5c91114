//! `GET /openapi.json`: the whole HTTP interface as OpenAPI 3.1, for people, generators of clients, and our own tests, which hold each
//! answer they get against it. A surface has a file here, as it has one alongside it; without a line in it a route fails a test.

use super::route::{Params, Route};
use super::state::AppState;
use super::{Method, Request, Response};
use crate::error::Result;
use serde_json::{Map, Value, json};
use std::sync::{Arc, OnceLock};

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[Route::now(Method::Get, "/openapi.json", document)];

/// What every document says, and then a part for each surface.
const PARTS: &[&str] = &[
    include_str!("base.json"),
    include_str!("orders.json"),
    include_str!("pages.json"),
    include_str!("storefront.json"),
    include_str!("webhooks.json"),
    include_str!("ops.json"),
    include_str!("operators.json"),
    include_str!("console.json"),
    include_str!("catalog.json"),
];

/// The document as it is served.
pub fn text() -> &'static str {
    // Put together once: it never changes while the program runs.
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| whole().to_string())
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers of the table have one type")]
fn document(_state: &Arc<AppState>, _request: &Request, _params: &Params) -> Result<Response> {
    let response = Response::new(200, "application/json", text())
        // Nothing in it is secret, and viewers of such documents are pages of other sites.
        .with_header("Access-Control-Allow-Origin", "*")
        .with_header("Cache-Control", "public, max-age=300");
    Ok(response)
}

/// The whole document.
fn whole() -> Value {
    let mut whole = Value::Object(Map::new());
    for part in PARTS {
        merge(&mut whole, serde_json::from_str(part).expect("the embedded parts are JSON"));
    }
    whole["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    add_too_many_guesses(&mut whole);
    add_app_proxy(&mut whole);
    whole
}

/// Wherever a token is asked for, too many wrong ones are 429.
fn add_too_many_guesses(whole: &mut Value) {
    let items = whole["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let operations = items.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut());
    for responses in operations.filter_map(|operation| operation.get_mut("responses")?.as_object_mut()) {
        let asks =
            responses.get("401").is_some_and(|refused| refused["$ref"] == "#/components/responses/AdminUnauthorized");
        if asks && !responses.contains_key("429") {
            responses.insert("429".to_owned(), json!({ "$ref": "#/components/responses/TooManyGuesses" }));
        }
    }
}

/// The storefront API once more, as it is reached through a shop's own domain.
fn add_app_proxy(whole: &mut Value) {
    const OWN: &str = "/api/v1/";
    let Some(paths) = whole["paths"].as_object_mut() else { return };
    let own: Vec<(String, Value)> =
        paths.iter().filter_map(|(path, item)| Some((path.strip_prefix(OWN)?.to_owned(), item.clone()))).collect();
    for (path, mut item) in own {
        let operations = item.as_object_mut().into_iter().flat_map(|item| item.values_mut());
        for operation in operations.filter_map(Value::as_object_mut) {
            let id = format!("{}ThroughShop", operation["operationId"].as_str().unwrap_or_default());
            operation.insert("operationId".to_owned(), json!(id));
            operation.insert("tags".to_owned(), json!(["app proxy"]));
            operation.insert("security".to_owned(), json!([{ "appProxy": [] }]));
            if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
                responses.insert("401".to_owned(), json!({ "$ref": "#/components/responses/NotSigned" }));
                responses.remove("403");
            }
        }
        paths.insert(format!("/proxy/{path}"), item);
    }
}

/// Adds what `part` has to `whole`, field by field, list by list.
fn merge(whole: &mut Value, part: Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                merge(whole.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(whole), Value::Array(part)) => whole.extend(part),
        (whole, part) => *whole = part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_put_together_and_never_name_the_same_thing_twice() {
        let (mut names, mut count) = (std::collections::BTreeSet::new(), 0);
        for part in PARTS {
            let part: Value = serde_json::from_str(part).expect("JSON");
            for place in ["/paths", "/components/schemas", "/components/responses", "/components/parameters"] {
                for (name, item) in part.pointer(place).and_then(Value::as_object).into_iter().flatten() {
                    // Two parts may each have methods of a path.
                    let members: Vec<&str> = match item.as_object().filter(|_| place == "/paths") {
                        Some(item) => item.keys().map(String::as_str).collect(),
                        None => vec![""],
                    };
                    for member in members {
                        count += 1;
                        names.insert(format!("{place}/{name}/{member}"));
                    }
                }
            }
        }
        assert_eq!(names.len(), count);
        assert_eq!(whole()["openapi"], "3.1.0");
    }
}
