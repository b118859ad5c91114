//! Answers against `/openapi.json`: each status, media type and field that comes must be written down there, and the table of routes
//! and the document must name the same things. Knows as much of JSON Schema as the document uses.

use super::harness::{Server, body, request};
use quotegrid::http::{Response, openapi, routes};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::OnceLock;

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(openapi::text()).expect("JSON"))
}

/// Holds an answer against the document, where its path and method are in it.
pub(crate) fn check(method: &str, path: &str, response: &Response) {
    let document = document();
    let at = format!("{method} {path} -> {}", response.status);
    let method = method.to_ascii_lowercase().replace("head", "get");
    let operation = document["paths"].as_object().and_then(|paths| {
        let matching = paths.iter().filter(|(template, _)| matches(template, path));
        // As in the table: what names the path most closely decides.
        let (_, item) =
            matching.max_by_key(|(template, _)| template.split('/').filter(|part| !part.starts_with('{')).count())?;
        Some(&item[&method]).filter(|operation| operation.is_object())
    });
    let Some(operation) = operation else {
        assert!(matches!(response.status, 404 | 405 | 204), "{at} is not in the document");
        // Where nothing is, people get a page instead.
        let is_page = response.header("content-type").is_some_and(|media| media.starts_with("text/html"));
        if response.status != 204 && !is_page {
            assert_eq!(validate(document, &document["components"]["schemas"]["Problem"], &body(response), &at), Ok(()));
        }
        return;
    };
    let documented = resolve(document, &operation["responses"][response.status.to_string()]);
    assert!(documented.is_object(), "{at} is not in the document");
    if documented["content"].is_null() {
        assert!(response.body.is_empty(), "{at}: a body that is not in the document");
        return;
    }
    let media = response.header("content-type").unwrap_or_else(|| panic!("{at} has no media type"));
    let content = &documented["content"][media];
    assert!(content.is_object(), "{at}: {media} is not in the document");
    if media.contains("json") {
        assert_eq!(validate(document, &content["schema"], &body(response), &at), Ok(()));
    }
    for name in documented["headers"].as_object().into_iter().flat_map(Map::keys) {
        // Limits may be off.
        let present = response.header(name).is_some() || name.starts_with("X-RateLimit");
        assert!(present, "{at}: {name} is in the document and not in the answer");
    }
}

/// Whether a path is one of a template; a product id may have slashes.
fn matches(template: &str, path: &str) -> bool {
    fn segments(template: &[&str], path: &[&str]) -> bool {
        match (template, path) {
            ([], []) => true,
            ([first, rest @ ..], [found, others @ ..]) => {
                let is_parameter = first.starts_with('{');
                let takes_more = matches!(*first, "{productId}" | "{rest}") && segments(template, others);
                (is_parameter || first == found) && (segments(rest, others) || takes_more)
            }
            _ => false,
        }
    }
    segments(&template.split('/').collect::<Vec<_>>(), &path.split('/').collect::<Vec<_>>())
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(name) => {
            let target = document.pointer(name.trim_start_matches('#'));
            resolve(document, target.unwrap_or_else(|| panic!("{name} is not in the document")))
        }
        None => value,
    }
}

/// What is wrong with `value`, if anything. An object whose fields are listed has no others.
pub(crate) fn validate(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = resolve(document, schema);
    let fault = |text: &str| Err(format!("{at}: {text}: {value}"));
    if let Some(parts) = schema["allOf"].as_array() {
        let mut properties = Map::new();
        for part in parts {
            let part = resolve(document, part);
            properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
        }
        return validate(document, &serde_json::json!({ "type": "object", "properties": properties }), value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let faults: Vec<_> = choices.iter().map(|one| validate(document, one, value, at)).collect();
        return if faults.iter().any(Result::is_ok) { Ok(()) } else { Err(format!("{faults:?}")) };
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    };
    let fits = match &schema["type"] {
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(is),
        _ => true,
    };
    if !fits {
        return fault(&format!("must be {}", schema["type"]));
    }
    if schema.get("const").is_some_and(|wanted| wanted != value) {
        return fault("is not the constant");
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        return fault("is not in the list");
    }
    if schema["minimum"].as_f64().zip(value.as_f64()).is_some_and(|(least, found)| found < least) {
        return fault("is too small");
    }
    if value.as_str().is_some_and(|text| text.is_empty() && schema["minLength"] == 1) {
        return fault("is empty");
    }
    if let Some(list) = value.as_array() {
        if list.is_empty() && schema["minItems"] == 1 {
            return fault("is empty");
        }
        return list
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| validate(document, &schema["items"], item, &format!("{at}/{index}")));
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            return fault(&format!("has no {name}"));
        }
    }
    object.iter().try_for_each(|(name, member)| {
        let at = format!("{at}/{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Null) if schema["properties"].is_object() => {
                Err(format!("{at} is not in the document"))
            }
            (Value::Null, Value::Null | Value::Bool(true)) => Ok(()),
            (Value::Null, Value::Bool(false)) => Err(format!("{at} must not be there")),
            (Value::Null, others) => validate(document, others, member, &at),
            (known, _) => validate(document, known, member, &at),
        }
    })
}

#[test]
fn the_document_and_the_table_of_routes_name_the_same_things() {
    let documented: BTreeSet<(String, String)> = document()["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("an item").keys().filter(|key| *key != "parameters");
            methods.map(move |method| (method.to_ascii_uppercase(), path.clone()))
        })
        .collect();
    let routed: BTreeSet<(String, String)> =
        routes::all().map(|(method, pattern)| (method.to_owned(), pattern.replace("{*", "{"))).collect();
    assert_eq!(documented, routed);
}

#[test]
fn every_reference_in_the_document_leads_somewhere_and_every_parameter_of_a_path_is_described() {
    fn walk(document: &Value, value: &Value) {
        resolve(document, value);
        match value {
            Value::Object(members) => members.values().for_each(|member| walk(document, member)),
            Value::Array(items) => items.iter().for_each(|item| walk(document, item)),
            _ => {}
        }
    }
    let document = document();
    walk(document, document);
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let described = |name: &str| {
            let list = item["parameters"].as_array().into_iter().flatten();
            list.map(|parameter| resolve(document, parameter)).any(|parameter| parameter["name"] == name)
        };
        for name in path.split('{').skip(1).filter_map(|piece| piece.split_once('}')).map(|(name, _)| name) {
            assert!(described(name), "{path}: {name}");
        }
        for (method, operation) in item.as_object().expect("an item").iter().filter(|(key, _)| *key != "parameters") {
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id"));
            assert!(operations.insert(id), "{id} twice");
        }
    }
}

#[test]
fn the_document_is_served_to_anybody() {
    let server = Server::new();
    let response = server.ask(request("GET", "/openapi.json", &[]));
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    assert_eq!(body(&response)["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn figures_are_as_documented() {
    let fixture = quotegrid::testing::Fixture::new();
    let response = fixture.admin("GET", "/metrics", None);
    assert_eq!(response.status, 200);
    check("GET", "/metrics", &response);
    let refused = fixture.call(request("GET", "/metrics", &[]));
    assert_eq!(refused.status, 401);
    check("GET", "/metrics", &refused);
}

#[test]
fn health_and_readiness_are_as_documented() {
    let server = Server::new();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.ask(request("GET", path, &[])).status, 200, "{path}");
    }
}
