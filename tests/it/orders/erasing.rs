//! The end of a store is the end of its orders: their pages at once, their rows in steps, and then every byte.

use super::items::{item, list};
use super::{assert_orders, keyed_request, order, page};
use crate::storefront::harness::{OTHER_SHOP, PRODUCT, SHOP, Server, grid, request};
use crate::support::command::PROGRAM;
use crate::support::files::contains;
use quotegrid::catalog::assignments;
use quotegrid::db;
use quotegrid::domain::ids::{ProductId, ShopDomain};
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::domain::options::Requirement;
use quotegrid::erasure::verify;
use quotegrid::http::Response;
use quotegrid::queue::StepOutcome;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

/// Orders that are more than a step deletes.
const ORDERS: u32 = 600;

/// Lines of the database's files that hold `text`, as another process finds them.
fn lines_with(server: &Server, text: &str) -> usize {
    let files = ["", "-wal"].map(|suffix| {
        let mut file = server.fixture.database().into_os_string();
        file.push(suffix);
        file
    });
    let output =
        Command::new("grep").args(["-a", "-i", "-F", "-h", "-o", "-e", text]).args(files).output().expect("grep");
    String::from_utf8_lossy(&output.stdout).lines().count()
}

/// A store whose names all have `mark` in them, with `count` orders of as many clients, each with a key.
fn store(server: &Server, domain: &str, mark: &str, count: u32) -> (String, Response) {
    let shop = server.shop(domain);
    let matrix = server.matrix(shop.scope, &format!("{mark} list"), grid(OutOfRange::Reject));
    let (now, scope, product) = (server.fixture.now(), shop.scope, PRODUCT.parse::<ProductId>().expect("a product"));
    let title = format!("{mark} pane").parse().expect("a title");
    server.write(move |tx| assignments::set_matrix(tx, now, scope, &product, &title, matrix));
    let (group, choices) = server.group(
        shop.scope,
        PRODUCT,
        &format!("{mark} edge"),
        Requirement::Required,
        &[crate::storefront::harness::fixed(1)],
    );
    let wanted = json!({"productId": PRODUCT, "width": 450, "height": 350, "options": [{"optionGroupId": group.to_string(), "choiceId": choices[0].to_string()}]});
    for number in 0..count {
        let mut request = keyed_request(&shop.key.key, &wanted, &format!("{mark}-key-{number}"));
        request.client = IpAddr::from([203, 0, 113, 77]);
        assert_eq!(server.ask(request).status, 201);
    }
    (shop.key.key.clone(), order(server, &shop.key.key, &wanted))
}

fn redact(server: &Server, shop: &str) {
    let body: Value = json!({ "shop_id": 1, "shop_domain": shop });
    assert_eq!(server.fixture.post_webhook("shop/redact", &body).status, 200);
}

#[test]
fn an_erasure_leaves_no_byte_of_an_order_and_the_other_stores_orders_untouched() {
    let server = Server::new();
    let (_, gone) = store(&server, SHOP, "vanishing", ORDERS);
    let (_, kept) = store(&server, OTHER_SHOP, "remaining", 5);
    let order_count = u64::from(ORDERS) + 1;
    assert_orders(&server, order_count + 6);
    let token: String = server.fixture.query("SELECT token FROM draft_order_records WHERE number = 300");
    let key_hash: String = server.fixture.query("SELECT hex(key_hash) FROM order_idempotency_keys LIMIT 1");
    assert!(lines_with(&server, "vanishing") > 0 && lines_with(&server, &token) > 0 && key_hash.len() == 64);
    // Neither keys as they were sent nor where they came from were ever written.
    for personal in ["vanishing-key", "203.0.113.77"] {
        assert_eq!(lines_with(&server, personal), 0, "{personal}");
    }
    server.fixture.advance(std::time::Duration::from_secs(1));
    redact(&server, SHOP);
    server.fixture.run_jobs();
    assert_eq!((page(&server, &gone).status, page(&server, &kept).status), (404, 200));
    assert_orders(&server, 6);
    assert_eq!(server.fixture.count("order_idempotency_keys"), 5);
    let deleted: String = server.fixture.query("SELECT deleted FROM gdpr_requests");
    let deleted: Value = serde_json::from_str(&deleted).expect("JSON");
    assert_eq!(
        (&deleted["draft_order_records"], &deleted["order_idempotency_keys"]),
        (&json!(order_count), &json!(ORDERS)),
        "{deleted}"
    );
    for text in ["vanishing", &token] {
        assert_eq!(lines_with(&server, text), 0, "{text}");
    }
    assert!(lines_with(&server, "remaining") > 0, "the search finds what is there");
    let program = Path::new(PROGRAM);
    let found = verify::verify(&server.fixture.app.db, &server.fixture.app.hasher, program).expect("verifiable");
    assert!(found.is_ok(), "{found:?}");
}

#[test]
fn pages_are_closed_and_nothing_is_ordered_from_the_first_step_of_an_erasure() {
    let server = Server::new();
    let (key, placed) = store(&server, SHOP, "vanishing", 3);
    assert_eq!(page(&server, &placed).status, 200);
    server.fixture.advance(std::time::Duration::from_secs(1));
    let (shop, now) = (SHOP.parse::<ShopDomain>().expect("a shop"), server.fixture.now());
    server.write(move |tx| Ok(quotegrid::catalog::stores::begin_erasure(tx, now, &shop, now)?));
    // Its rows are all there still.
    assert_orders(&server, 4);
    let closed = page(&server, &placed);
    assert_eq!(closed.body, server.ask(request("GET", "/q/never-was", &[])).body, "as if it had never been");
    assert_eq!(closed.status, 404);
    let wanted = json!({"productId": PRODUCT, "width": 450, "height": 350});
    assert_eq!(order(&server, &key, &wanted).status, 401);
    assert_orders(&server, 4);
    redact(&server, SHOP);
    assert!(matches!(server.fixture.run_next(), StepOutcome::Ran { error: None, .. }));
    assert_eq!(server.fixture.count("draft_order_records"), 0);
}

#[test]
fn an_order_that_waits_for_the_writer_behind_an_erasure_leaves_nothing() {
    let server = Server::new();
    let (key, _) = store(&server, SHOP, "vanishing", 1);
    let group: String = server.fixture.query("SELECT id FROM option_groups");
    let choice: String = server.fixture.query("SELECT id FROM option_choices");
    server.fixture.advance(std::time::Duration::from_secs(10));
    let (shop, now) = (SHOP.parse::<ShopDomain>().expect("a shop"), server.fixture.now());
    let (release, held) = std::sync::mpsc::channel::<()>();
    server.fixture.app.db.write_then(
        move |tx| {
            held.recv().expect("released");
            quotegrid::catalog::stores::begin_erasure(tx, now, &shop, now)
        },
        |outcome: quotegrid::db::Result<_>| assert!(outcome.is_ok()),
    );
    let (sender, answered) = std::sync::mpsc::channel();
    let wanted = json!({"productId": PRODUCT, "width": 900, "height": 350, "options": [{"optionGroupId": group, "choiceId": choice}]});
    let reply = quotegrid::http::Reply::new(move |response| drop(sender.send(response)));
    quotegrid::http::Service::call(&server.router, keyed_request(&key, &wanted, "late"), reply);
    release.send(()).expect("the writer waits");
    assert_eq!(answered.recv().expect("answered").status, 401);
    assert_orders(&server, 2);
}

#[test]
fn a_stores_items_and_labels_are_erased_with_it_and_counted() {
    let server = Server::new();
    let example = server.example();
    let other = server.shop(OTHER_SHOP);
    let glass = server.matrix(other.scope, "Glass", grid(OutOfRange::Reject));
    server.assign(other.scope, PRODUCT, glass);
    let kept = json!({"items": [{"productId": PRODUCT, "width": 450, "height": 350, "label": "staying label"}]});
    assert_eq!(order(&server, &other.key.key, &kept).status, 201);
    // More lines than a step of an erasure deletes.
    for number in 0..12 {
        let items = (0..100).map(|at| item(&example, 300 + at, &json!({"label": format!("vanishing label {at}")})));
        let request = keyed_request(&example.shop.key.key, &list(items), &format!("k{number}"));
        assert_eq!(server.ask(request).status, 201);
    }
    assert_eq!(server.fixture.count("draft_order_lines"), 1_201);
    server.fixture.advance(std::time::Duration::from_secs(1));
    let redact = json!({ "shop_id": 1, "shop_domain": SHOP });
    assert_eq!(server.fixture.post_webhook("shop/redact", &redact).status, 200);
    server.fixture.run_jobs();
    let deleted: String = server.fixture.query("SELECT deleted FROM gdpr_requests");
    let deleted: Value = serde_json::from_str(&deleted).expect("JSON");
    assert_eq!((&deleted["draft_order_records"], &deleted["draft_order_lines"]), (&json!(12), &json!(1_200)));
    assert_eq!(server.fixture.count("draft_order_lines"), 1);
    let files = ["", "-wal"].map(|suffix| {
        let mut file = server.fixture.database().into_os_string();
        file.push(suffix);
        std::fs::read(file).unwrap_or_default()
    });
    let holds = |text: &str| files.iter().any(|bytes| contains(bytes, text));
    assert!(!holds("vanishing label") && holds("staying label"));
}

#[test]
fn a_step_of_an_erasure_keeps_its_budget_however_many_items_orders_have() {
    let server = Server::new();
    let example = server.example();
    for number in 0..5 {
        let items = (0..100).map(|at| item(&example, 300 + at, &json!({})));
        let request = keyed_request(&example.shop.key.key, &list(items), &format!("k{number}"));
        assert_eq!(server.ask(request).status, 201);
    }
    let store = example.shop.scope.store;
    let step = |server: &Server| -> (u64, u64) {
        let counts: Result<_, db::Error> =
            server.fixture.app.db.write(move |tx| quotegrid::orders::records::delete_some_with_items(tx, store, 600));
        let counts = counts.expect("deleted");
        (counts.of("draft_order_records"), counts.of("draft_order_lines"))
    };
    // An order of a hundred items is worth 208 cheap rows: three of them use 600 up.
    assert_eq!([step(&server), step(&server), step(&server)], [(3, 300), (2, 200), (0, 0)]);
    // Orders that never went anywhere go in such steps too.
    let other = order(&server, &example.shop.key.key, &list((0..100).map(|at| item(&example, 300 + at, &json!({})))));
    assert_eq!(other.status, 201);
    server.fixture.advance(std::time::Duration::from_secs(60));
    let now = server.fixture.now();
    let deleted = server.fixture.app.housekeeper().delete_never_sent(&Default::default(), store, now);
    assert_eq!(deleted.expect("deleted"), 1);
    assert_eq!(server.fixture.count("draft_order_lines"), 0);
}
