//! Answers against `/openapi.json`: each status, media type and field that comes must be written down there, and the table of routes
//! and the document must name the same things. Knows as much of JSON Schema as the document uses.

use super::harness::{Server, body, request};
use quotegrid::http::{Response, openapi, router};
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
    let steps = schema["multipleOf"].as_f64().zip(value.as_f64()).map(|(step, found)| found / step);
    if steps.is_some_and(|steps| (steps - steps.round()).abs() > 1e-6) {
        return fault("is no multiple");
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
        router::all().map(|(method, pattern)| (method.to_owned(), pattern.replace("{*", "{"))).collect();
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

/// Every object of the document.
fn each_object(value: &Value, look: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            look(members);
            members.values().for_each(|member| each_object(member, look));
        }
        Value::Array(items) => items.iter().for_each(|item| each_object(item, look)),
        _ => {}
    }
}

#[test]
fn every_operation_says_who_may_call_it_and_every_size_how_fine_it_may_be() {
    let document = document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item").iter().filter(|(key, _)| *key != "parameters") {
            let security = operation["security"].as_array();
            let security = security.unwrap_or_else(|| panic!("{method} {path} does not say who may call it"));
            let mut schemes = security.iter().filter_map(Value::as_object).flat_map(Map::keys);
            assert!(schemes.all(|name| document["components"]["securitySchemes"][name].is_object()), "{method} {path}");
        }
    }
    let mut sizes = 0;
    each_object(document, &mut |members| {
        let (least, most) = (members.get("exclusiveMinimum"), members.get("maximum"));
        if least == Some(&serde_json::json!(0)) && most == Some(&serde_json::json!(100_000)) {
            assert_eq!(members.get("multipleOf"), Some(&serde_json::json!(0.001)), "{members:?}");
            sizes += 1;
        }
    });
    assert!(sizes > 10, "{sizes}");
}

#[test]
fn a_webhook_has_the_same_headers_at_every_path() {
    let headers = |path: &str| document()["paths"][path]["post"]["parameters"].clone();
    assert!(headers("/webhooks").as_array().is_some_and(|list| list.len() >= 3));
    assert_eq!(headers("/webhooks/{rest}"), headers("/webhooks"));
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
    let token = format!("Bearer {}", quotegrid::testing::Fixture::ADMIN_TOKEN);
    let plain = fixture.call(request("GET", "/metrics", &[("Authorization", &token), ("Accept", "text/plain")]));
    assert_eq!((plain.status, plain.header("vary")), (200, Some("Accept")));
    check("GET", "/metrics", &plain);
    let text = String::from_utf8(plain.body).expect("text");
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"));
    let families: Vec<&str> = families.collect();
    assert!(families.len() > 3 && families.iter().all(|name| name.ends_with("_total")), "{families:?}");
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "those are OpenMetrics");
    for line in text.lines() {
        assert!(line.starts_with("# TYPE ") || line.starts_with("# HELP ") || line.starts_with("quotegrid_"), "{line}");
    }
}

#[test]
fn the_admin_token_opens_the_figures_beside_a_token_of_their_own() {
    use quotegrid::http::{AppState, Router};
    use quotegrid::http::{Reply, Service};
    use quotegrid::secret::Secret;
    let fixture = quotegrid::testing::Fixture::new();
    let secret = |text: &str| Secret::new(text);
    let state = AppState::new(fixture.app.clone(), quotegrid::shopify::Secrets::new(["hush"]))
        .with_admin_token(&secret("the admin's own token"))
        .with_metrics_token(&secret("a token for figures"));
    let router = Router::new(std::sync::Arc::new(state));
    for (token, status) in [("the admin's own token", 200), ("a token for figures", 200), ("another one", 401)] {
        let (sender, receiver) = std::sync::mpsc::channel();
        let asked = request("GET", "/metrics", &[("Authorization", &format!("Bearer {token}"))]);
        router.call(asked, Reply::new(move |response| sender.send(response).expect("somebody waits")));
        assert_eq!(receiver.recv().expect("an answer").status, status, "{token}");
    }
}

#[test]
fn health_and_readiness_are_as_documented() {
    let server = Server::new();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.ask(request("GET", path, &[])).status, 200, "{path}");
    }
}
