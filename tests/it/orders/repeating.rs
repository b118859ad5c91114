//! The same order again is the same order: by its key for a day, without one from the same client for five seconds.

use super::{assert_orders, example_order, keyed_request, order_request};
use crate::edge::harness::Wire;
use crate::process::harness::Machine;
use crate::storefront::harness::{Example, OTHER_SHOP, PRODUCT, Server, ask, body, grid};
use crate::support::files::holds;
use quotegrid::background::Stop;
use quotegrid::catalog::assignments;
use quotegrid::db;
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::housekeeping::Pruned;
use quotegrid::http::{Reply, Request, Response, Service};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Barrier;
use std::sync::mpsc::channel;
use std::time::Duration;

const AT_ONCE: usize = 20;

/// Sends all of `requests` at the same time.
fn at_once(server: &Server, requests: Vec<Request>) -> Vec<Response> {
    let barrier = Barrier::new(requests.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = requests
            .into_iter()
            .map(|request| {
                let (barrier, router) = (&barrier, &server.router);
                scope.spawn(move || {
                    barrier.wait();
                    ask(router, request)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn ids(responses: &[Response]) -> BTreeSet<String> {
    responses
        .iter()
        .map(|response| {
            assert_eq!(response.status, 201, "{response:?}");
            body(response)["draftOrderId"].as_str().expect("an id").to_owned()
        })
        .collect()
}

#[test]
fn twenty_orders_at_once_with_one_key_are_one_order() {
    let server = Server::new();
    let example = server.example();
    let request =
        keyed_request(&example.shop.key.key, &example_order(&example), "8e03978e-40d5-43dd-bc93-6894a57f9324");
    let responses = at_once(&server, vec![request; AT_ONCE]);
    assert_eq!(ids(&responses).len(), 1);
    assert!(responses.iter().all(|response| response.body == responses[0].body), "all in the same words");
    assert_orders(&server, 1);
}

#[test]
fn twenty_orders_at_once_without_a_key_are_one_order() {
    let server = Server::new();
    let example = server.example();
    let responses = at_once(&server, vec![order_request(&example.shop.key.key, &example_order(&example)); AT_ONCE]);
    assert_eq!(ids(&responses).len(), 1);
    assert_orders(&server, 1);
}

#[test]
fn twenty_orders_at_once_with_keys_of_their_own_are_twenty() {
    let server = Server::new();
    let example = server.example();
    let (key, order) = (&example.shop.key.key, example_order(&example));
    let requests = (0..AT_ONCE).map(|number| keyed_request(key, &order, &number.to_string())).collect();
    assert_eq!(ids(&at_once(&server, requests)).len(), AT_ONCE);
    assert_orders(&server, AT_ONCE as u64);
    let numbers: u64 =
        server.fixture.query("SELECT count(DISTINCT number) FROM draft_order_records WHERE number BETWEEN 1 AND 20");
    assert_eq!(numbers, AT_ONCE as u64);
}

#[test]
fn without_a_key_the_same_order_of_the_same_client_counts_for_five_seconds() {
    let server = Server::new();
    let Example { ref shop, required, share, .. } = server.example();
    let example_order = json!({"productId": PRODUCT, "width": 450, "height": 350, "options": [{"optionGroupId": required.to_string(), "choiceId": share.to_string()}]});
    let ask_from = |client: &str, key: &str, order: &Value| {
        let mut request = order_request(key, order);
        request.client = client.parse::<IpAddr>().expect("an address");
        let response = server.ask(request);
        assert_eq!(response.status, 201, "{response:?}");
        body(&response)["name"].as_str().expect("a name").to_owned()
    };
    let first = |order: &Value| ask_from("192.0.2.1", &shop.key.key, order);
    assert_eq!(first(&example_order), "#D1");
    server.fixture.advance(Duration::from_millis(4_999));
    // However it is written: this is the same.
    let same = json!({"height": 350.0, "width": 450.000, "quantity": 1, "productId": format!("gid://shopify/Product/{PRODUCT}"),
        "options": example_order["options"], "utm": "x"});
    assert_eq!(first(&same), "#D1");
    // And these are others.
    assert_eq!(ask_from("192.0.2.2", &shop.key.key, &example_order), "#D2");
    let second_key = server.key(shop.scope, &[]);
    assert_eq!(ask_from("192.0.2.1", &second_key.key, &example_order), "#D3");
    for (number, (member, value)) in [("quantity", 2), ("width", 451), ("height", 351)].into_iter().enumerate() {
        let mut other = example_order.clone();
        other[member] = json!(value);
        assert_eq!(first(&other), format!("#D{}", number + 4));
    }
    server.fixture.advance(Duration::from_millis(1));
    assert_eq!(first(&example_order), "#D7", "the window opens with the first, and is not lengthened by a repetition");
    assert_eq!(server.ask(keyed_request(&shop.key.key, &example_order, "k")).status, 201);
    assert_orders(&server, 8);
}

#[test]
fn a_key_is_for_one_order_only() {
    let server = Server::new();
    let example = server.example();
    let (key, order) = (&example.shop.key.key, example_order(&example));
    // What was refused has used nothing up.
    let mut outside = order.clone();
    outside["width"] = json!(5_000);
    assert_eq!(server.ask(keyed_request(key, &outside, "k")).status, 422);
    let placed = server.ask(keyed_request(key, &order, "k"));
    assert_eq!(placed.status, 201);
    for other in [json!({"quantity": 2}), json!({"width": 451}), json!({"options": []}), json!({"productId": "1002"})] {
        let mut wanted = order.clone();
        wanted.as_object_mut().expect("an object").extend(other.as_object().expect("an object").clone());
        let response = server.ask(keyed_request(key, &wanted, "k"));
        assert_eq!((response.status, &body(&response)["code"]), (422, &json!("idempotency_key_reused")), "{other}");
    }
    let again = server.ask(keyed_request(key, &order, " k "));
    assert_eq!((again.status, body(&again)), (201, body(&placed)));
    assert_orders(&server, 1);
}

#[test]
fn an_invalid_key_is_refused_with_the_other_faults() {
    let server = Server::new();
    let example = server.example();
    for key in ["", "   ", &"x".repeat(256), "schlüssel"] {
        let mut order = example_order(&example);
        order["width"] = json!(0);
        let response = server.ask(keyed_request(&example.shop.key.key, &order, key));
        let faults: Vec<String> = body(&response)["errors"].as_object().expect("faults").keys().cloned().collect();
        assert_eq!((response.status, faults), (400, vec!["Idempotency-Key".to_owned(), "width".to_owned()]), "{key}");
    }
    let mut twice = keyed_request(&example.shop.key.key, &example_order(&example), "a");
    twice.headers.push("Idempotency-Key", "b");
    assert_eq!(server.ask(twice).status, 400);
    assert_orders(&server, 0);
}

#[test]
fn keys_belong_to_their_store() {
    let server = Server::new();
    let example = server.example();
    let other = server.shop(OTHER_SHOP);
    let matrix = server.matrix(other.scope, "Glass", grid(OutOfRange::Reject));
    server.assign(other.scope, PRODUCT, matrix);
    let first = server.ask(keyed_request(&example.shop.key.key, &example_order(&example), "k"));
    let theirs =
        server.ask(keyed_request(&other.key.key, &json!({"productId": PRODUCT, "width": 1.5, "height": 900}), "k"));
    assert_eq!((first.status, theirs.status), (201, 422), "theirs is told of its size, not of another's key");
    let theirs =
        server.ask(keyed_request(&other.key.key, &json!({"productId": PRODUCT, "width": 300, "height": 200}), "k"));
    assert_eq!((theirs.status, &body(&theirs)["name"]), (201, &json!("#D1")));
    // Another key of the same store is the same store.
    let second = server.key(example.shop.scope, &[]);
    let again = server.ask(keyed_request(&second.key, &example_order(&example), "k"));
    assert_eq!(body(&again), body(&first));
    // Nor do two stores' rows tell that somebody came to both with one key.
    let hashes: u64 = server.fixture.query("SELECT count(DISTINCT key_hash) FROM order_idempotency_keys");
    assert_eq!((hashes, server.fixture.count("order_idempotency_keys")), (2, 2));
    assert_orders(&server, 2);
}

#[test]
fn a_repetition_is_answered_as_the_first_time_whatever_was_edited_since() {
    let server = Server::new();
    let example = server.example();
    let request = keyed_request(&example.shop.key.key, &example_order(&example), "k");
    let without_key = order_request(&example.shop.key.key, &example_order(&example));
    let (first, moment) = (server.ask(request.clone()), server.ask(without_key.clone()));
    let (scope, now, product) = (example.shop.scope, server.fixture.now(), PRODUCT.parse().expect("a product"));
    server.write(move |tx| assignments::remove_matrix(tx, now, scope, &product));
    assert_eq!(server.ask(request).body, first.body);
    assert_eq!(server.ask(without_key).body, moment.body);
    assert_orders(&server, 2);
}

#[test]
fn a_key_is_kept_for_a_day_and_then_pruned() {
    let server = Server::new();
    let example = server.example();
    let order = |width: u32| {
        let mut order = example_order(&example);
        order["width"] = json!(width);
        let response = server.ask(keyed_request(&example.shop.key.key, &order, "k"));
        (response.status, body(&response)["name"].clone())
    };
    let prune = || server.fixture.app.housekeeper().prune(&Stop::default()).expect("a working database");
    assert_eq!(order(450), (201, json!("#D1")));
    server.fixture.advance(Duration::from_millis(86_399_999));
    assert_eq!(prune(), Pruned::default());
    assert_eq!(order(450), (201, json!("#D1")));
    assert_eq!(order(460).0, 422);
    server.fixture.advance(Duration::from_millis(1));
    // Pruned or not, its time is over.
    assert_eq!(order(460), (201, json!("#D2")));
    assert_eq!(order(460), (201, json!("#D2")));
    assert_eq!(server.fixture.count("order_idempotency_keys"), 1);
    server.fixture.advance(Duration::from_millis(86_400_000));
    assert_eq!(prune(), Pruned { order_keys: 1, ..Pruned::default() });
    assert_eq!(server.fixture.count("order_idempotency_keys"), 0);
    assert_orders(&server, 2);
}

#[test]
fn an_order_whose_transaction_was_lost_is_made_by_its_repetition() {
    // On a slow machine the order may have a batch of its own, which is committed before the one that is lost.
    while !loses_an_order_and_makes_it_again() {}
}

/// Whether the order was lost, as it should be.
fn loses_an_order_and_makes_it_again() -> bool {
    let server = Server::new();
    let example = server.example();
    // One batch: something that holds the writer, the order, and something that loses the whole transaction.
    let (release, held) = channel::<()>();
    let db = &server.fixture.app.db;
    db.write_then(move |_tx| held.recv().map_err(|_| db::Error::Closed), |_: db::Result<()>| {});
    let (sender, answered) = channel();
    let request = order_request(&example.shop.key.key, &example_order(&example));
    server.router.call(request.clone(), Reply::new(move |response| drop(sender.send(response))));
    let (sender, lost) = channel();
    db.write_then(
        |tx| -> db::Result<()> { Ok(tx.execute_batch("ROLLBACK")?) },
        move |outcome| sender.send(outcome.is_err()).expect("awaited"),
    );
    release.send(()).expect("the writer waits");
    assert!(lost.recv().expect("answered"));
    let refused = answered.recv().expect("answered");
    if refused.status == 201 {
        return false;
    }
    assert!(matches!(refused.status, 500 | 503), "{refused:?}");
    assert_orders(&server, 0);
    let placed = server.ask(request);
    assert_eq!((placed.status, &body(&placed)["name"]), (201, &json!("#D1")));
    assert_orders(&server, 1);
    true
}

#[test]
fn two_shoppers_behind_one_address_are_two_and_each_double_click_is_one() {
    let server = Server::new();
    let example = server.example();
    let from = |fields: &[(&str, &str)]| {
        let mut request = order_request(&example.shop.key.key, &example_order(&example));
        fields.iter().for_each(|(name, value)| request.headers.push(name, *value));
        let placed = server.ask(request);
        body(&placed)["draftOrderId"].as_str().expect("an id").to_owned()
    };
    let shoppers: [&[(&str, &str)]; 6] = [
        &[],
        &[("User-Agent", "Firefox"), ("Accept-Language", "de")],
        &[("User-Agent", "Firefox"), ("Accept-Language", "en")],
        &[("User-Agent", "Safari"), ("Accept-Language", "de")],
        &[("Unbelieved-Forwarded-For", "198.51.100.1")],
        &[("Unbelieved-Forwarded-For", "198.51.100.2")],
    ];
    let first = shoppers.map(from);
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), shoppers.len());
    assert_eq!(shoppers.map(from), first);
    // Some proxies write the port too.
    let ports = ["198.51.100.9:1000", "198.51.100.9:2000"].map(|from_| from(&[("Unbelieved-Forwarded-For", from_)]));
    assert_eq!(ports[0], ports[1]);
    assert_orders(&server, 7);
    assert!(!holds(&server.fixture.database(), "Firefox"), "nothing of it is kept");
}

#[test]
fn an_untrusted_proxy_is_logged_once_and_its_shoppers_stay_apart() {
    let machine = Machine::new();
    let process = machine.serve(&["--dev"]).ready();
    let issued = machine.json(&["stores", "keys", "demo-store.myshopify.com", "issue"]);
    let key = issued["apiKey"].as_str().unwrap_or_else(|| panic!("{issued}"));
    let order = r#"{"productId":"1009","width":600,"height":250}"#;
    let from = |client: &str| {
        let mut wire = Wire::to(process.address());
        wire.send(format!(
            "POST /api/v1/draft-orders HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n{client}Content-Length: {}\r\n\r\n{order}",
            order.len()
        ));
        wire.answer().json()["draftOrderId"].as_str().expect("an id").to_owned()
    };
    let told = || process.log().matches("QUOTEGRID_TRUSTED_PROXIES").count();
    from("");
    assert_eq!(told(), 0, "who comes by himself is no proxy");
    let clients =
        ["198.51.100.1", "198.51.100.2", "198.51.100.1"].map(|client| from(&format!("X-Forwarded-For: {client}\r\n")));
    assert!(clients[0] != clients[1] && clients[0] == clients[2], "{clients:?}");
    assert_eq!(told(), 1, "{}", process.log());
    assert_eq!(process.stop(), Some(0));
    let trusting = machine.serve(&["--dev", "--trusted-proxies", "127.0.0.1"]).ready();
    let mut wire = Wire::to(trusting.address());
    wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n");
    assert_eq!(wire.answer().status, 200);
    assert!(!trusting.log().contains("QUOTEGRID_TRUSTED_PROXIES"));
    assert_eq!(trusting.stop(), Some(0));
}
