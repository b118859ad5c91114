//! What a shopper reads of what is wrong, in four languages: the sentence, and what is said of each field.

use super::harness::{Example, PRODUCT, Server, body, encoded, grid, matrix, request};
use super::spec;
use quotegrid::domain::length::Unit;
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::http::{Response, openapi};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn ask(
    server: &Server,
    key: &str,
    target: &str,
    content: Option<&Value>,
    language: &str,
    more: &[(&str, &str)],
) -> Response {
    let lang = format!("{}lang={language}", if target.contains('?') { "&" } else { "?" });
    let method = if content.is_some() { "POST" } else { "GET" };
    let headers: Vec<(&str, &str)> = more.iter().copied().chain([("X-API-Key", key)]).collect();
    let mut request = request(method, &(target.to_owned() + &lang), &headers);
    request.body = content
        .map(|content| content.as_str().map_or_else(|| content.to_string(), str::to_owned))
        .unwrap_or_default()
        .into_bytes();
    let response = server.ask(request);
    spec::check(method, target.split('?').next().unwrap_or_default(), &response);
    response
}

/// Each sentence and each fault of a problem, and of the problems in it.
fn said(problem: &Value) -> Vec<String> {
    let mut texts: Vec<String> = problem["detail"].as_str().map(str::to_owned).into_iter().collect();
    let faults = problem["errors"].as_object().into_iter().flat_map(|errors| errors.values());
    texts.extend(
        faults
            .flat_map(|faults| faults.as_array().expect("a list"))
            .map(|fault| fault.as_str().expect("a text").to_owned()),
    );
    texts.extend(problem["items"].as_array().into_iter().flatten().flat_map(said));
    texts
}

#[test]
fn everything_that_may_be_wrong_with_a_request_is_told_in_the_shoppers_language() {
    let server = Server::new();
    let Example { shop, required, optional, share, fixed, .. } = server.example();
    let empty = server.matrix(shop.scope, "Empty", matrix(&[], &[], &[], OutOfRange::Reject));
    server.assign(shop.scope, "1004", empty);
    let rows = [vec![Some(100), None], vec![Some(300), Some(999_999_999_999_999)]];
    let holes = server.matrix(shop.scope, "Holes", matrix(&[300, 600], &[200, 400], &rows, OutOfRange::Reject));
    server.assign(shop.scope, "1002", holes);
    let price = |query: &str| (format!("/api/v1/products/{PRODUCT}/price?{query}"), None);
    let chosen = |choices: &[(String, String)]| {
        choices.iter().map(|(group, choice)| json!({ "optionGroupId": group, "choiceId": choice })).collect::<Vec<_>>()
    };
    let with = |choices: &[(String, String)]| {
        price(&format!(
            "width=450&height=350&options={}",
            encoded(&json!({ "selections": chosen(choices) }).to_string())
        ))
    };
    let (edge, holed) = (required.to_string(), optional.to_string());
    let order = |body: Value| ("/api/v1/draft-orders".to_owned(), Some(body));
    let list = |body: Value| ("/api/v1/prices".to_owned(), Some(body));
    let size = |more: Value| {
        let mut item = json!({ "productId": PRODUCT, "width": 450, "height": 350 });
        item.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        item
    };
    let requests = [
        price(""),
        price("width=45,5&height=-1&quantity=0"),
        price("width=1.2345&height=1e9&quantity=10001"),
        price("width=0&height=100001&quantity=1.5"),
        price("width=99999999999999999999&height=1&width=2&quantity=1&quantity=2"),
        price("width=1&height=1&unit=ft"),
        price("width=1&height=1&unit=in&unit=mm"),
        price("width=1.2345678&height=1e999&unit=in"),
        price("width=901&height=350"),
        price("width=450&height=350&options=%7B"),
        price("width=450&height=350&options=%7B%7D"),
        price("width=450&height=350&options=%7B%22selections%22:%5B1%5D%7D"),
        with(&vec![(edge.clone(), "x".to_owned()); 6]),
        with(&[("x".to_owned(), "x".to_owned())]),
        with(&[(edge.clone(), "x".to_owned())]),
        with(&[(edge.clone(), fixed.to_string())]),
        with(&[(edge.clone(), share.to_string()), (edge.clone(), share.to_string())]),
        with(&[(holed.clone(), fixed.to_string()), (holed.clone(), fixed.to_string())]),
        ("/api/v1/products/77/price?width=1&height=1".to_owned(), None),
        ("/api/v1/products/x/price?width=1&height=1".to_owned(), None),
        ("/api/v1/products/1004/price?width=1&height=1".to_owned(), None),
        ("/api/v1/products/1002/price?width=450&height=200".to_owned(), None),
        ("/api/v1/products/1002/price?width=450&height=400&quantity=9000".to_owned(), None),
        ("/api/v1/nothing".to_owned(), None),
        ("/api/v1/products/1001/price".to_owned(), Some(json!({}))),
        order(json!("{")),
        order(json!([])),
        order(json!("{\"width\":1,\"width\":2}")),
        order(json!({})),
        order(json!({ "productId": 1, "width": "1", "height": null, "quantity": "x", "options": {}, "label": 1 })),
        order(json!({ "productId": "x", "width": 450, "height": 350, "label": "x".repeat(61) })),
        order(json!({ "items": [] })),
        order(json!({ "items": [], "width": 1 })),
        order(json!({ "items": [1, size(json!({ "options": [1] }))] })),
        order(json!({ "items": [size(json!({})), size(json!({}))] })),
        order(
            json!({ "items": [size(json!({ "productId": "1002" })), size(json!({ "productId": "1002", "height": 200 }))] }),
        ),
        order(size(json!({}))),
        order(size(json!({ "label": "x".repeat(70_000) }))),
        list(json!({ "items": [] })),
        list(
            json!({ "items": [1, size(json!({})), size(json!({ "width": 901 })), size(json!({ "options": [{ "optionGroupId": holed, "choiceId": "x" }] }))] }),
        ),
    ];
    let mut codes = BTreeSet::new();
    for (target, content) in &requests {
        let english = ask(&server, &shop.key.key, target, content.as_ref(), "en", &[]);
        let expected = said(&body(&english));
        assert!(!expected.is_empty(), "{target} {content:?}");
        codes.extend(body(&english)["code"].as_str().map(str::to_owned));
        for language in ["de", "nl", "fr"] {
            let response = ask(&server, &shop.key.key, target, content.as_ref(), language, &[]);
            let told = said(&body(&response));
            assert_eq!((response.status, told.len()), (english.status, expected.len()), "{target} {content:?}");
            let is_list = target.ends_with("/prices") && response.status == 200;
            assert!(is_list || response.header("content-language") == Some(language), "{target}");
            for (text, of_english) in told.iter().zip(&expected) {
                assert!(text != of_english && !text.contains(['{', '}']), "{language} {target} {content:?}: {text}");
            }
        }
    }
    let met = [
        "bad_request",
        "validation_failed",
        "size_outside",
        "size_not_offered",
        "options_missing",
        "options_not_allowed",
        "stale_options",
        "no_matrix",
        "not_priced_yet",
        "price_too_large",
        "not_found",
        "method_not_allowed",
        "too_large",
    ];
    for code in met {
        assert!(codes.contains(code), "{code} was not met: {codes:?}");
    }
    // Headers are faults of fields too, and so is a key that was used for something else.
    for headers in [&[("Idempotency-Key", "")][..], &[("Idempotency-Key", "a"), ("Idempotency-Key", "b")]] {
        let wrong = ask(&server, &shop.key.key, "/api/v1/draft-orders", Some(&size(json!({}))), "de", headers);
        let told = said(&body(&wrong));
        assert!(
            told.iter()
                .any(|text| text == "muss 1 bis 255 ASCII-Zeichen haben" || text == "ist mehr als einmal angegeben"),
            "{told:?}"
        );
    }
}

#[test]
fn limits_are_told_with_their_side_and_figures_as_the_language_writes_them() {
    let server = Server::new();
    let shop = server.shop_in("cm.myshopify.com", "EUR", Unit::Cm);
    let id = server.matrix(shop.scope, "Cm", grid(OutOfRange::Reject));
    server.assign(shop.scope, PRODUCT, id);
    let detail = |target: &str, language| {
        let response = ask(&server, &shop.key.key, target, None, language, &[]);
        body(&response)["detail"].as_str().expect("a sentence").to_owned()
    };
    let outside = "/api/v1/products/1001/price?width=450&height=601.5";
    assert_eq!(detail(outside, "de"), "Dieses Maß können wir nicht fertigen. Höhe: 200 bis 600 cm.");
    assert_eq!(detail(outside, "nl"), "Deze maat kunnen we niet maken. Hoogte: 200 tot 600 cm.");
    assert_eq!(detail(outside, "fr"), "Nous ne fabriquons pas cette dimension. Hauteur\u{a0}: de 200 à 600 cm.");
    // Of several items, it is said which.
    let item = |height: f64| json!({ "productId": PRODUCT, "width": 450, "height": height });
    let order = json!({ "items": [item(350.0), item(601.0)] });
    let response = ask(&server, &shop.key.key, "/api/v1/draft-orders", Some(&order), "de", &[]);
    assert_eq!(body(&response)["detail"], "Position 2: Dieses Maß können wir nicht fertigen. Höhe: 200 bis 600 cm.");
}

/// The codes that the program's source gives to problems.
fn codes_of_the_source() -> BTreeSet<String> {
    fn sources(directory: &Path, found: &mut String) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                found.push_str(text.split("#[cfg(test)]").next().unwrap_or_default());
            }
        }
    }
    let mut source = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    let given = source.split("with_member(\"code\", ").skip(1).filter_map(|rest| rest.split(')').next());
    given
        .filter(|given| *given != "code")
        .map(|given| match given.strip_prefix('"') {
            Some(literal) => literal.trim_end_matches('"').to_owned(),
            None => {
                let name = given.rsplit("::").next().unwrap_or_default();
                let value = source.split(&format!("const {name}: &str = \"")).nth(1);
                value.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("{given}")).to_owned()
            }
        })
        .collect()
}

#[test]
fn every_code_that_a_problem_is_given_is_in_the_document() {
    let document: Value = serde_json::from_str(openapi::text()).expect("JSON");
    let listed = document["components"]["schemas"]["ProblemCode"]["enum"].as_array().expect("a list");
    let found = codes_of_the_source();
    assert!(found.contains("too_many_open_orders") && found.contains("disk_low"), "{found:?}");
    for code in found {
        assert!(listed.contains(&json!(code)), "{code} is not in openapi.json");
    }
}
