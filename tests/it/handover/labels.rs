//! What a shopper has written into a label goes when Shopify asks for the customer of that order to be forgotten.

use super::erasure::is_in_files;
use super::{Shop, shelf};
use crate::support::plans::plan;
use quotegrid::http::Response;
use serde_json::{Value, json};
use std::time::Duration;

/// Told from all other bytes.
const NAME: &str = "Ann-Zebedee-Example";

/// An order with two items, of which one has a label.
fn labelled(shop: &Shop, label: &str) -> String {
    let mut items = [shelf(), shelf()];
    items[0]["label"] = json!(label);
    let placed = shop.place(&json!({ "items": items }));
    placed["draftOrderId"].as_str().expect("an id").to_owned()
}

fn labels(shop: &Shop, order: &str) -> Option<String> {
    shop.fixture.query(&format!("SELECT group_concat(label) FROM draft_order_lines WHERE draft_order_id = '{order}'"))
}

fn number(shop: &Shop, order: &str) -> u64 {
    let id: String = shop.column(order, "shopify_draft_order_id");
    id.rsplit('/').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Shopify says that a draft has become this order.
fn completed(shop: &Shop, order: &str, shopify_order: Option<u64>) {
    let body = json!({ "id": number(shop, order), "status": "completed", "order_id": shopify_order });
    let response = shop.fixture.post_webhook_of("draft_orders/update", shop.demo.shop.as_str(), &body);
    assert_eq!(response.status, 200, "{response:?}");
}

fn redact(shop: &Shop, domain: &str, orders: &[u64]) -> Response {
    let body = json!({
        "shop_id": 1, "shop_domain": domain, "customer": { "id": 7, "email": "ann@example.invalid" }, "orders_to_redact": orders,
    });
    let response = shop.fixture.post_webhook("customers/redact", &body);
    assert_eq!(response.status, 200, "{response:?}");
    shop.settle();
    response
}

/// What the newest request has come to: its outcome, and what its receipts count.
fn proof(shop: &Shop) -> (String, Value, u64) {
    let read = |sql: &str| shop.fixture.query::<String>(sql);
    let outcome = read("SELECT outcome FROM gdpr_requests ORDER BY id DESC LIMIT 1");
    let counts = read("SELECT deleted FROM gdpr_requests ORDER BY id DESC LIMIT 1");
    let agreeing = shop.fixture.query(&format!(
        "SELECT count(*) FROM erasure_receipts
         WHERE request_id = (SELECT max(id) FROM gdpr_requests) AND counts = '{counts}' AND outcome = '{outcome}'"
    ));
    (outcome, serde_json::from_str(&counts).expect("JSON"), agreeing)
}

#[test]
fn the_labels_of_a_customers_orders_are_forgotten_to_the_last_byte_and_those_of_others_stay() {
    let shop = Shop::new();
    let (hers, another, open) = (labelled(&shop, NAME), labelled(&shop, "Kitchen, left"), labelled(&shop, "Hall"));
    shop.settle();
    completed(&shop, &hers, Some(820_982_911_946_154_508));
    completed(&shop, &another, Some(99));
    assert!(is_in_files(&shop, NAME), "the search finds what is there");
    redact(&shop, shop.demo.shop.as_str(), &[820_982_911_946_154_508, 5]);
    assert_eq!(labels(&shop, &hers), None);
    assert_eq!((labels(&shop, &another), labels(&shop, &open)), (Some("Kitchen, left".into()), Some("Hall".into())));
    assert_eq!(proof(&shop), ("erased".to_owned(), json!({ "draft_order_lines.label": 1 }), 2));
    assert!(!is_in_files(&shop, NAME));
    assert_eq!(shop.fixture.query::<u64>("SELECT count(*) FROM gdpr_requests WHERE erased_at IS NULL"), 0);
    let items = "SELECT count(*) FROM draft_order_lines WHERE draft_order_id = ";
    assert_eq!(shop.fixture.query::<u64>(&format!("{items}'{hers}'")), 2, "the items stay");
    // Once more, and there is nothing left to forget.
    redact(&shop, shop.demo.shop.as_str(), &[820_982_911_946_154_508]);
    assert_eq!(proof(&shop), ("acknowledged".to_owned(), json!({}), 2));
    let chain = shop.fixture.app.db.read(quotegrid::erasure::receipts::walk).expect("readable");
    assert_eq!((chain.broken_at, chain.receipts), (None, 4));
}

#[test]
fn an_order_whose_completion_only_a_look_has_told_is_found_as_well() {
    let shop = Shop::new();
    let order = labelled(&shop, NAME);
    shop.settle();
    shop.fake.complete_draft_of(&order, "#1042");
    shop.fixture.advance(Duration::from_secs(86_400));
    let app = &shop.fixture.app;
    app.handover.enqueue_due_looks(&app.db, shop.fixture.now(), &app.queue).expect("written");
    shop.settle();
    let shopify_order: u64 = shop.column(&order, "shopify_order_id");
    let path = format!("/admin/api/stores/{}/draft-orders/{order}", shop.demo.shop);
    let shown = shop.fixture.admin("GET", &path, None).json_body();
    assert_eq!(shown["shopifyOrderId"], json!(format!("gid://shopify/Order/{shopify_order}")));
    redact(&shop, shop.demo.shop.as_str(), &[shopify_order]);
    assert_eq!(labels(&shop, &order), None);
}

#[test]
fn a_number_that_comes_after_the_completion_is_noted_all_the_same_and_never_replaced() {
    let shop = Shop::new();
    let order = labelled(&shop, NAME);
    shop.settle();
    shop.fake.state().hides_orders = true;
    completed(&shop, &order, None);
    let noted = || shop.column::<Option<u64>>(&order, "shopify_order_id");
    assert_eq!(noted(), None);
    completed(&shop, &order, Some(99));
    assert_eq!(noted(), Some(99));
    completed(&shop, &order, Some(98));
    assert_eq!(noted(), Some(99));
}

#[test]
fn a_request_of_another_shop_forgets_nothing_though_it_names_the_same_number() {
    let shop = Shop::new();
    let order = labelled(&shop, NAME);
    shop.settle();
    completed(&shop, &order, Some(99));
    let other = json!({ "shop": "other.myshopify.com" });
    assert_eq!(shop.fixture.admin("POST", "/admin/api/stores", Some(&other)).status, 201);
    for domain in ["other.myshopify.com", "nobodys.myshopify.com"] {
        redact(&shop, domain, &[99]);
        assert_eq!(labels(&shop, &order).as_deref(), Some(NAME), "{domain}");
        assert_eq!(proof(&shop).0, "acknowledged");
    }
}

#[test]
fn a_request_that_names_thousands_of_orders_is_worked_off_in_steps_that_lose_no_count() {
    let shop = Shop::new();
    let orders: Vec<String> = ["first", "middle", "last"].map(|label| labelled(&shop, label)).into();
    shop.settle();
    let named: Vec<u64> = (1_000..4_500).collect();
    for (order, shopify_order) in orders.iter().zip([1_000, 2_700, 4_499]) {
        completed(&shop, order, Some(shopify_order));
    }
    redact(&shop, shop.demo.shop.as_str(), &named);
    assert!(orders.iter().all(|order| labels(&shop, order).is_none()));
    assert_eq!(proof(&shop), ("erased".to_owned(), json!({ "draft_order_lines.label": 3 }), 2));
    assert_eq!(shop.fixture.query::<u64>("SELECT count(*) FROM gdpr_requests WHERE payload <> '{}'"), 0);
}

#[test]
fn orders_are_found_by_an_index_however_many_there_are() {
    let shop = Shop::new();
    let plan = plan(
        &shop.fixture,
        "SELECT o.id FROM draft_order_records AS o INDEXED BY draft_order_records_order_id
         JOIN stores AS s ON s.id = o.store_id
         WHERE s.shop = 'a' AND o.shopify_order_id = 1",
    );
    assert!(plan.contains("draft_order_records_order_id (store_id=? AND shopify_order_id=?)"), "{plan}");
    assert!(!plan.contains("SCAN"), "{plan}");
}
