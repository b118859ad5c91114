//! Whatever is asked, the answer is one of those that are written down, never a fault of ours, and the harness reads it all.

use super::harness::{Example, PRODUCT, Server, body, encoded, request};
use proptest::prelude::*;
use serde_json::{Value, json};

const CASES: u32 = 300;

/// A value as clients might send it: nearly right most of the time.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (1_u32..2_000).prop_map(|number| number.to_string()),
        2 => (0_u32..2_000, 0_u32..100_000).prop_map(|(whole, fraction)| format!("{whole}.{fraction}")),
        1 => proptest::num::f64::ANY.prop_map(|number| number.to_string()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => ".{0,12}",
        1 => "[0-9.,+eExX%&=-]{0,12}",
    ]
}

fn json_value(example: &Example) -> impl Strategy<Value = Value> + use<> {
    let ids: Vec<String> = [
        example.required.to_string(),
        example.optional.to_string(),
        example.share.to_string(),
        example.fixed.to_string(),
    ]
    .into();
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        proptest::sample::select(ids).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let name = prop_oneof![
            Just("selections".to_owned()),
            Just("optionGroupId".to_owned()),
            Just("choiceId".to_owned()),
            ".{0,4}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..7).prop_map(Value::from),
            prop::collection::vec((name, inner.clone()), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
            (inner.clone(), inner)
                .prop_map(|(group, choice)| json!({"selections": [{"optionGroupId": group, "choiceId": choice}]})),
        ]
    })
}

fn check(server: &Server, key: &str, target: &str) -> Result<(), TestCaseError> {
    let response = server.ask(request("GET", target, &[("X-API-Key", key)]));
    prop_assert!(matches!(response.status, 200 | 400 | 404 | 422), "{} {target}", response.status);
    let found = body(&response);
    if response.status == 200 && target.contains("/price") {
        let number = |name: &str| found[name].as_f64().expect("a number");
        prop_assert!(number("price") >= 0.0 && number("total") >= number("price"), "{found}");
    }
    Ok(())
}

#[test]
fn any_query_has_an_answer() {
    let server = Server::new();
    let example = server.example();
    let key = &example.shop.key.key;
    let name = prop_oneof![
        Just("width"),
        Just("height"),
        Just("quantity"),
        Just("options"),
        Just("explain"),
        Just("w%69dth"),
        Just("x")
    ];
    let pairs = prop::collection::vec((name, value(), any::<bool>()), 0..7);
    proptest!(ProptestConfig::with_cases(CASES), |(pairs in pairs)| {
        let pairs: Vec<String> = pairs.iter().map(|(name, value, encode)| {
            format!("{name}={}", if *encode { encoded(value) } else { value.clone() })
        }).collect();
        check(&server, key, &format!("/api/v1/products/{PRODUCT}/price?{}", pairs.join("&")))?;
    });
}

#[test]
fn any_options_have_an_answer() {
    let server = Server::new();
    let example = server.example();
    let key = &example.shop.key.key;
    let text = prop_oneof![
        3 => json_value(&example).prop_map(|value| value.to_string()),
        1 => ".{0,40}",
        1 => "[\\[\\]{}\":,a0-]{0,40}",
    ];
    proptest!(ProptestConfig::with_cases(CASES), |(text in text, encode in any::<bool>())| {
        let options = if encode { encoded(&text) } else { text };
        check(&server, key, &format!("/api/v1/products/{PRODUCT}/price?width=450&height=350&options={options}"))?;
    });
    // As deep as a target can be long.
    let deep = encoded(&"[".repeat(4_000));
    let response = server.price(&example.shop.key, &format!("width=450&height=350&options={deep}"));
    assert_eq!(response.status, 400);
}

#[test]
fn any_product_id_has_an_answer() {
    let server = Server::new();
    let example = server.example();
    let key = &example.shop.key.key;
    proptest!(ProptestConfig::with_cases(CASES), |(id in "(gid:/{1,2}shopify/(Product|Variant)/)?[0-9%a-zA-Z/:.-]{0,12}", options in any::<bool>())| {
        let resource = if options { "options" } else { "price?width=450&height=350" };
        check(&server, key, &format!("/api/v1/products/{id}/{resource}"))?;
    });
}

#[test]
fn any_key_is_refused_in_the_same_words() {
    let server = Server::new();
    let _example = server.example();
    proptest!(ProptestConfig::with_cases(CASES), |(key in prop_oneof!["pm_[0-9a-f]{64}", "[ -~]{0,80}"])| {
        let response = server.ask(request("GET", "/api/v1/products/1/options", &[("X-API-Key", &key)]));
        prop_assert_eq!(response.status, 401);
    });
}
