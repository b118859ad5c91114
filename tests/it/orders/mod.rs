//! Orders: what a shopper may order and at what price, that the same order again is one order, its page, and its end.

mod browser;
mod deleting;
mod erasing;
mod flood;
mod floor;
mod fuzz;
mod getting_started;
mod items;
mod languages;
mod limits;
pub(crate) mod looking;
mod pages;
mod placing;
mod repeating;
mod workshop;

use crate::storefront::harness::{Example, PRODUCT, Server, body, request};
use quotegrid::http::{Request, Response};
use serde_json::{Value, json};

/// An order of the example product that is allowed: 450 x 350 with its required option, which costs nothing.
fn example_order(example: &Example) -> Value {
    json!({
        "productId": PRODUCT,
        "width": 450,
        "height": 350,
        "options": [{"optionGroupId": example.required.to_string(), "choiceId": example.free.to_string()}],
    })
}

/// The request that a page sends for an order.
fn order_request(key: &str, order: &Value) -> Request {
    let mut request =
        request("POST", "/api/v1/draft-orders", &[("X-API-Key", key), ("Content-Type", "application/json")]);
    request.body = order.to_string().into_bytes();
    request
}

/// The same with an `Idempotency-Key`.
fn keyed_request(key: &str, order: &Value, idempotency_key: &str) -> Request {
    let mut request = order_request(key, order);
    request.headers.push("Idempotency-Key", idempotency_key);
    request
}

/// Orders as a page does.
fn order(server: &Server, key: &str, order: &Value) -> Response {
    server.ask(order_request(key, order))
}

/// The orders there are, the counters of their stores, and the highest number: all the same, always.
#[track_caller]
fn assert_orders(server: &Server, expected: u64) {
    let fixture = &server.fixture;
    let counted: u64 = fixture.query("SELECT coalesce(sum(draft_order_count), 0) FROM stores");
    assert_eq!((fixture.count("draft_order_records"), counted), (expected, expected));
}

/// The page that an answer sends the shopper to.
fn page(server: &Server, placed: &Response) -> Response {
    let url = body(placed)["checkoutUrl"].as_str().expect("a page").to_owned();
    let path = url.strip_prefix("http://127.0.0.1:8080").expect("ours").to_owned();
    server.ask(request("GET", &path, &[]))
}
