//! A shop that is flooded with orders: so many of an hour that nobody pays, and no more.

use super::{example_order, keyed_request};
use crate::storefront::harness::{Example, OTHER_SHOP, PRODUCT, Server, ask, body, grid};
use crate::support::plans::plan;
use quotegrid::app::{App, Options};
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::http::{AppState, Router};
use quotegrid::orders::open_limit::OpenOrderLimit;
use quotegrid::shopify::Secrets;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The fixture's database behind an app that lets each store hold five unpaid orders of an hour.
fn limited(server: &Server) -> (Arc<App>, Router) {
    let mut options = Options::new(server.fixture.database());
    options.clock = server.fixture.clock.clone();
    options.open_order_limit = OpenOrderLimit::new(5);
    options.alerts.url = Some(quotegrid::secret::Secret::new("http://127.0.0.1:9/hook"));
    let app = Arc::new(App::open(options).expect("the same database"));
    let state = AppState::new(app.clone(), Secrets::new(["hush"])).with_rate_limit(0);
    (app, Router::new(Arc::new(state)))
}

#[test]
fn a_store_holds_so_many_unpaid_orders_of_an_hour_and_paid_ones_do_not_count() {
    let server = Server::new();
    let example = server.example();
    let other = server.shop(OTHER_SHOP);
    let glass = server.matrix(other.scope, "Glass", grid(OutOfRange::Reject));
    server.assign(other.scope, PRODUCT, glass);
    let (app, router) = limited(&server);
    let mut number = 0;
    let mut place = |key: &str, order: &Value| {
        number += 1;
        ask(&router, keyed_request(key, order, &format!("k{number}")))
    };
    let Example { shop, .. } = &example;
    let wanted = example_order(&example);
    assert_eq!(app.alerts().look(server.fixture.now()).expect("looked"), 0);
    for _ in 0..5 {
        assert_eq!(place(&shop.key.key, &wanted).status, 201);
        server.fixture.advance(Duration::from_secs(60));
    }
    let refused = place(&shop.key.key, &wanted);
    let problem = body(&refused);
    assert_eq!(
        (refused.status, &problem["code"], &problem["limit"], refused.header("retry-after")),
        (429, &json!("too_many_open_orders"), &json!(5), Some("3300")),
    );
    // A repetition is no new order, and other stores have their own.
    assert_eq!(ask(&router, keyed_request(&shop.key.key, &wanted, "k1")).status, 201);
    let theirs = json!({"productId": PRODUCT, "width": 450, "height": 350});
    assert_eq!(place(&other.key.key, &theirs).status, 201);
    // One of them is paid, one is called off: two more may come.
    server.write(|tx| {
        tx.execute("UPDATE draft_order_records SET status = 'sent' WHERE number = 1", ())?;
        tx.execute("UPDATE draft_order_records SET status = 'ordered' WHERE number = 2", ())?;
        Ok(tx.execute("UPDATE draft_order_records SET status = 'cancelled' WHERE number = 3", ())?)
    });
    let statuses = [0; 3].map(|_| place(&shop.key.key, &wanted).status);
    assert_eq!(statuses, [201, 201, 429]);
    // Told once, without the shop's name.
    assert_eq!(app.alerts().look(server.fixture.now()).expect("looked"), 1);
    let alert: String = server.fixture.query("SELECT payload FROM job_queue WHERE type = 'alert'");
    let alert: Value = serde_json::from_str(&alert).expect("JSON");
    assert_eq!((&alert["alert"], &alert["stores"][0]["openOrders"]), (&json!("too_many_open_orders"), &json!(5)));
    assert!(!alert.to_string().contains("myshopify"), "{alert}");
    assert_eq!(app.alerts().look(server.fixture.now()).expect("looked"), 0);
    // The first of them was made 60 minutes ago.
    server.fixture.advance(Duration::from_secs(3_300));
    assert_eq!([0; 2].map(|_| place(&shop.key.key, &wanted).status), [201, 429]);
}

#[test]
fn counting_an_hours_unpaid_orders_reads_an_index_alone() {
    let server = Server::new();
    let plan = plan(
        &server.fixture,
        "SELECT count(*), min(created_at) FROM draft_order_records
                 WHERE store_id = 's' AND created_at > 1 AND created_at <= 2 AND status IN ('open', 'sent')",
    );
    assert!(plan.contains("COVERING INDEX draft_order_records_state"), "{plan}");
}
