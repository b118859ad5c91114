//! Whatever is sent as an order, the answer is one of those that are written down, and what is not ordered leaves nothing.

use super::{assert_orders, example_order, order_request};
use crate::storefront::harness::{Server, ask, body, encoded, request};
use crate::storefront::spec;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cell::Cell;

const CASES: u32 = 400;

fn leaf(ids: Vec<String>) -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2_i64..12).prop_map(Value::from),
        (200_i64..1_000).prop_map(Value::from),
        proptest::num::f64::ANY.prop_map(Value::from),
        (200.0_f64..1_000.0).prop_map(|number| json!((number * 1_000.0).round() / 1_000.0)),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["1001", "gid://shopify/Product/1001", "450", "1002"]).prop_map(Value::from),
        prop::sample::select(ids).prop_map(Value::from),
    ]
}

fn json_value(ids: Vec<String>) -> impl Strategy<Value = Value> {
    let names =
        ["productId", "width", "height", "quantity", "options", "optionGroupId", "choiceId", "items", "label", "x"];
    leaf(ids).prop_recursive(4, 32, 7, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..7).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(names.to_vec()), inner.clone(), 0..6).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
            (inner.clone(), inner).prop_map(|(group, choice)| json!([{"optionGroupId": group, "choiceId": choice}])),
        ]
    })
}

#[test]
fn any_body_has_an_answer() {
    let server = Server::new();
    let example = server.example();
    let ids: Vec<String> = [
        example.required.to_string(),
        example.optional.to_string(),
        example.share.to_string(),
        example.fixed.to_string(),
    ]
    .into();
    let good = example_order(&example);
    let (key, placed) = (&example.shop.key.key, Cell::new(0_u64));
    let names = vec!["productId", "width", "height", "quantity", "options", "label", "extra"];
    let member = prop::sample::select(names);
    let item = {
        let good = good.clone();
        prop::collection::vec((member.clone(), json_value(ids.clone())), 0..2).prop_map(move |changes| {
            let mut item = good.clone();
            for (name, value) in changes {
                item[name] = value;
            }
            item
        })
    };
    // A good order with some fields that are anything; or several such items; or anything at all; or bytes.
    let bodies = prop_oneof![
        4 => prop::collection::vec(item, 0..5).prop_map(|items| json!({ "items": items }).to_string().into_bytes()),
        4 => prop::collection::vec((member, json_value(ids.clone())), 0..3).prop_map(move |changes| {
            let mut order = good.clone();
            for (name, value) in changes {
                order[name] = value;
            }
            order.to_string().into_bytes()
        }),
        2 => json_value(ids).prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    let numbers = Cell::new(0_u128);
    proptest!(ProptestConfig::with_cases(CASES), |(body_bytes in bodies, keyed in any::<bool>())| {
        let number = numbers.get() + 1;
        numbers.set(number);
        let mut request = order_request(key, &Value::Null);
        request.body = body_bytes;
        // Clients of their own, so that none is a repetition.
        request.client = std::net::IpAddr::from(number.to_be_bytes());
        if keyed {
            request.headers.push("Idempotency-Key", number.to_string());
        }
        let response = ask(&server.router, request);
        spec::check("POST", "/api/v1/draft-orders", &response);
        prop_assert!(matches!(response.status, 201 | 400 | 404 | 422), "{:?}", response);
        let answer = body(&response);
        if response.status == 201 {
            placed.set(placed.get() + 1);
            let total: f64 = answer["total"].as_str().expect("text").parse().expect("a number");
            let cost = |item: &Value| {
                item["price"].as_f64().expect("a number") * item["quantity"].as_f64().expect("a number")
            };
            let expected: f64 = answer["items"].as_array().expect("a list").iter().map(cost).sum();
            prop_assert!((total - expected).abs() < 0.001, "{}", answer);
        } else {
            prop_assert!(!answer["detail"].as_str().unwrap_or_default().is_empty());
        }
    });
    assert!(placed.get() > 10, "some are orders: {}", placed.get());
    assert_orders(&server, placed.get());
}

#[test]
fn any_page_address_has_an_answer() {
    let server = Server::new();
    let example = server.example();
    super::order(&server, &example.shop.key.key, &example_order(&example));
    proptest!(ProptestConfig::with_cases(200), |(text in ".{0,80}", encode in any::<bool>())| {
        let segment = if encode { encoded(&text) } else { text.replace(['?', ' '], "") };
        let response = ask(&server.router, request("GET", &format!("/q/{segment}"), &[]));
        prop_assert_eq!(response.status, 404);
    });
}
