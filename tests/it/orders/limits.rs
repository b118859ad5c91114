//! How many orders: per client, per store, and what is not counted. Time is the fixture's; nothing here waits.

use super::{assert_orders, example_order, keyed_request, order_request};
use crate::operators::ephemeral::Ephemeral;
use crate::storefront::harness::{Example, OTHER_SHOP, PRODUCT, Server, body, request};
use quotegrid::http::Response;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An order that no other is the same as.
fn place(server: &Server, key: &str, client: &str, order: &Value) -> Response {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut request = keyed_request(key, order, &format!("limits-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    request.client = client.parse().expect("an address");
    server.ask(request)
}

fn statuses(server: &Server, example: &Example, clients: impl IntoIterator<Item = String>) -> Vec<u16> {
    let (key, order) = (&example.shop.key.key, example_order(example));
    clients.into_iter().map(|client| place(server, key, &client, &order).status).collect()
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|found| **found == status).count()
}

fn refused(response: &Response) -> (u16, Value, Option<&str>) {
    (response.status, body(response)["code"].clone(), response.header("retry-after"))
}

#[test]
fn a_client_places_ten_orders_at_once_and_one_each_thirty_seconds() {
    let server = Server::with_rate_limit(1_000);
    let example = server.example();
    let (key, order) = (&example.shop.key.key, example_order(&example));
    let from = |client: &str| place(&server, key, client, &order);
    assert_eq!(statuses(&server, &example, vec!["192.0.2.1".to_owned(); 10]), [201; 10]);
    for _ in 0..5 {
        let limited = from("192.0.2.1");
        assert_eq!(refused(&limited), (429, json!("too_many_orders"), Some("30")));
        assert!(limited.header("x-ratelimit-remaining").is_some() && limited.header("vary").is_none());
        assert_eq!(limited.header("access-control-allow-origin"), Some("*"), "the page can read it");
    }
    assert_orders(&server, 10);
    assert_eq!(from("192.0.2.2").status, 201, "others have their own");
    let mut price = request("GET", &format!("/api/v1/products/{PRODUCT}/options"), &[("X-API-Key", key)]);
    price.client = "192.0.2.1".parse().expect("an address");
    assert_eq!(server.ask(price).status, 200, "prices are not orders");
    server.fixture.advance(Duration::from_secs(30));
    assert_eq!([from("192.0.2.1").status, from("192.0.2.1").status], [201, 429]);
    // Another key of the same store does not double it.
    let second = server.key(example.shop.scope, &[]);
    assert_eq!(place(&server, &second.key, "192.0.2.1", &order).status, 429);
}

#[test]
fn what_is_no_new_order_is_not_counted() {
    let server = Server::with_rate_limit(1_000);
    let example = server.example();
    let (key, order) = (&example.shop.key.key, example_order(&example));
    let again = keyed_request(key, &order, "the-same");
    let mut large = order.clone();
    large["width"] = json!(5_000);
    for _ in 0..30 {
        assert_eq!(server.ask(again.clone()).status, 201);
        assert_eq!(server.ask(order_request(key, &large)).status, 422);
        assert_eq!(server.ask(order_request(key, &json!({}))).status, 400);
    }
    assert_orders(&server, 1);
    let client = again.client.to_string();
    assert_eq!(count(&statuses(&server, &example, vec![client; 12]), 201), 9);
    assert_eq!(server.ask(again).status, 201, "a repetition is answered by whoever may not order more");
}

#[test]
fn a_store_takes_sixty_a_minute_and_then_those_go_first_who_have_ordered_least() {
    let server = Server::with_rate_limit(1_000);
    let example = server.example();
    let other = server.shop(OTHER_SHOP);
    let flood = || (0..700).map(|number| format!("198.51.100.{}", number % 70));
    let placed = statuses(&server, &example, flood());
    assert_eq!((count(&placed, 201), count(&placed, 429)), (60, 640));
    assert_orders(&server, 60);
    let order = example_order(&example);
    assert_ne!(place(&server, &other.key.key, "203.0.113.1", &order).status, 429, "another store has its own");
    // For ten minutes they go on, and somebody new orders every ten seconds.
    let mut honest = Vec::new();
    for round in 0..60_u32 {
        server.fixture.advance(Duration::from_secs(10));
        statuses(&server, &example, flood().take(70));
        honest.extend(statuses(&server, &example, [format!("203.0.113.{round}")]));
    }
    // At first some of the flood have hardly ordered anything either.
    assert_eq!(honest[6..], [201; 54], "{honest:?}");
    let taken: u64 = server.fixture.count("draft_order_records");
    assert!(taken <= 60 + 600, "the store's own limit holds: {taken}");
}

#[test]
fn a_site_with_many_networks_cannot_take_a_stores_orders() {
    let server = Server::with_rate_limit(1_000);
    let example = server.example();
    let placed = statuses(&server, &example, (0..100).map(|number| format!("2001:db8:1:{number:x}::1")));
    assert_eq!(count(&placed, 201), 30);
    assert_eq!(statuses(&server, &example, ["2001:db8:2::1".to_owned(), "192.0.2.1".to_owned()]), [201, 201]);
}

#[test]
fn zero_is_no_limit_of_orders() {
    let server = Server::new();
    let example = server.example();
    assert_eq!(statuses(&server, &example, vec!["192.0.2.1".to_owned(); 100]), [201; 100]);
}

#[test]
fn the_setting_is_a_clients_burst() {
    for (arguments, placed) in [
        (&["--order-limit", "2"][..], 2),
        (&[][..], 10),
        (&["--order-limit", "0"][..], 12),
        (&["--rate-limit", "0"][..], 12),
        (&["--rate-limit", "0", "--order-limit", "3"][..], 3),
    ] {
        let server = Ephemeral::start(arguments);
        let order = json!({ "productId": "1009", "width": 600, "height": 250 }).to_string();
        let statuses: Vec<u16> = (0..12)
            .map(|number| {
                let key = format!("order-{number}");
                let headers = [("X-API-Key", server.text("apiKey")), ("Idempotency-Key", &key)];
                server.ask("POST", "/api/v1/draft-orders", &headers, &order).0
            })
            .collect();
        assert_eq!((count(&statuses, 201), count(&statuses, 429)), (placed, 12 - placed), "{arguments:?}");
    }
}
