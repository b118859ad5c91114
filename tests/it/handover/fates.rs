//! What becomes of an order: webhooks in any order, twice, too early or never; looks; and orders that are called off.

use super::fake::{Fault, Manner};
use super::{Shop, order_unwaited};
use crate::support::plans::plan;
use crate::support::waiting::wait_until;
use quotegrid::http::Response;
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// A signed webhook about a shop's draft.
fn hook(shop: &Shop, topic: &str, body: &Value) -> Response {
    shop.fixture.post_webhook_of(topic, shop.demo.shop.as_str(), body)
}

fn number(shop: &Shop, order: &str) -> u64 {
    let id: String = shop.column(order, "shopify_draft_order_id");
    id.rsplit('/').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// As Shopify sends it, whole, with a customer.
pub(super) fn completed(number: u64) -> Value {
    json!({ "id": number, "status": "completed", "name": "#S1", "order_id": 99, "completed_at": "2025-12-31T23:00:00Z",
        "email": "ann@example.invalid", "customer": { "id": 7, "email": "ann@example.invalid" } })
}

#[track_caller]
fn tell(shop: &Shop, topic: &str, body: &Value) -> String {
    let response = hook(shop, topic, body);
    assert_eq!(response.status, 200, "{response:?}");
    response.json_body()["status"].as_str().expect("a status").to_owned()
}

fn shown(shop: &Shop, order: &str) -> Value {
    let path = format!("/admin/api/stores/{}/draft-orders/{order}", shop.demo.shop);
    let response = shop.fixture.admin("GET", &path, None);
    crate::storefront::spec::check("GET", &path, &response);
    response.json_body()
}

fn cancel(shop: &Shop, order: &str) -> Response {
    let path = format!("/admin/api/stores/{}/draft-orders/{order}/cancel", shop.demo.shop);
    let response = shop.fixture.admin("POST", &path, None);
    crate::storefront::spec::check("POST", &path, &response);
    response
}

/// An order that is at Shopify.
fn sent() -> (Shop, String) {
    let shop = Shop::new();
    let order = shop.order();
    shop.settle();
    shop.assert_sent(&order);
    (shop, order)
}

/// Has what is due looked at, as the background does every minute.
pub(super) fn look(shop: &Shop) {
    let app = &shop.fixture.app;
    app.handover.enqueue_due_looks(&app.db, shop.fixture.now(), &app.queue).expect("written");
    shop.settle();
}

#[test]
fn a_webhook_of_a_completed_draft_makes_it_ordered_and_a_look_names_the_order() {
    let (shop, order) = sent();
    let draft = number(&shop, &order);
    shop.fake.complete_draft_of(&order, "#1042");
    assert_eq!(tell(&shop, "draft_orders/update", &json!({ "id": draft, "status": "open" })), "duplicate");
    assert_eq!(shop.column::<String>(&order, "status"), "sent");
    assert_eq!(tell(&shop, "draft_orders/update", &completed(draft)), "accepted");
    assert_eq!(tell(&shop, "draft_orders/update", &completed(draft)), "duplicate");
    shop.settle();
    let document = shown(&shop, &order);
    assert_eq!((&document["status"], &document["orderName"]), (&json!("ordered"), &json!("#1042")));
    assert_eq!(document["orderedAt"], "2025-12-31T23:00:00.000Z");
    // Nothing that comes late takes it back.
    assert_eq!(tell(&shop, "draft_orders/delete", &json!({ "id": draft })), "duplicate");
    assert_eq!(tell(&shop, "draft_orders/update", &json!({ "id": draft, "status": "open" })), "duplicate");
    assert_eq!(shop.column::<String>(&order, "status"), "ordered");
    assert_eq!(shop.fake.state().states, 1);
    assert_eq!(traces(&shop, "ann@example"), 0, "nothing of the customer is kept");
}

/// Rows of any text column of orders, jobs and deliveries that have `text` in them.
fn traces(shop: &Shop, text: &str) -> u64 {
    shop.fixture.query(&format!(
        "SELECT (SELECT count(*) FROM job_queue WHERE payload LIKE '%{text}%' OR error LIKE '%{text}%')
              + (SELECT count(*) FROM draft_order_records WHERE handover_warnings LIKE '%{text}%' OR order_name LIKE '%{text}%')
              + (SELECT count(*) FROM webhook_deliveries WHERE webhook_id LIKE '%{text}%')"
    ))
}

#[test]
fn an_order_of_the_future_counts_as_one_of_now() {
    let (shop, order) = sent();
    let mut body = completed(number(&shop, &order));
    body["completed_at"] = json!("2099-01-01T00:00:00Z");
    assert_eq!(tell(&shop, "draft_orders/update", &body), "accepted");
    assert_eq!(shop.column::<i64>(&order, "ordered_at"), shop.fixture.now().timestamp_millis());
}

#[test]
fn an_app_that_may_not_see_orders_learns_all_but_the_name() {
    let (shop, order) = sent();
    shop.fake.complete_draft_of(&order, "#1042");
    shop.fake.state().hides_orders = true;
    shop.fixture.advance(DAY);
    look(&shop);
    let document = shown(&shop, &order);
    assert_eq!((&document["status"], &document["orderName"]), (&json!("ordered"), &Value::Null));
    // Nor is it asked for without end.
    for _ in 0..5 {
        shop.fixture.advance(DAY);
        look(&shop);
    }
    assert!(shop.fake.state().states <= 2);
}

#[test]
fn a_deleted_draft_is_cancelled_and_one_that_turns_out_to_be_completed_is_ordered_after_all() {
    let (shop, order) = sent();
    let draft = number(&shop, &order);
    assert_eq!(tell(&shop, "draft_orders/delete", &json!({ "id": draft })), "accepted");
    assert_eq!(tell(&shop, "draft_orders/delete", &json!({ "id": draft })), "duplicate");
    let document = shown(&shop, &order);
    assert_eq!((&document["status"], &document["checkoutUrl"]), (&json!("cancelled"), &Value::Null));
    assert_eq!(tell(&shop, "draft_orders/update", &completed(draft)), "accepted");
    let document = shown(&shop, &order);
    assert_eq!((&document["status"], &document["cancelledAt"]), (&json!("ordered"), &Value::Null));
    assert!(document["handoverWarnings"][0].as_str().is_some_and(|text| text.contains("a shopper has ordered")));
}

#[test]
fn a_webhook_of_another_shop_of_an_unknown_draft_or_of_another_shape_changes_nothing() {
    let (shop, order) = sent();
    let draft = number(&shop, &order);
    let other = shop.fixture.post_webhook_of("draft_orders/delete", "other.myshopify.com", &json!({ "id": draft }));
    assert_eq!((other.status, &other.json_body()["status"]), (200, &json!("ignored")));
    assert_eq!(tell(&shop, "draft_orders/delete", &json!({ "id": draft + 1 })), "ignored");
    for (topic, body) in [
        // The topic is not signed: what says a status is no notice of a deletion.
        ("draft_orders/delete", json!({ "id": draft, "status": "open" })),
        ("draft_orders/delete", json!({ "id": draft, "admin_graphql_api_id": "gid://shopify/Product/1" })),
        ("draft_orders/delete", json!({})),
        ("draft_orders/update", json!({ "id": "x", "status": "completed" })),
        ("draft_orders/update", json!([draft])),
    ] {
        assert_eq!(hook(&shop, topic, &body).status, 400, "{topic} {body}");
    }
    // And one without the rest is taken.
    assert_eq!(tell(&shop, "draft_orders/update", &json!({ "id": draft })), "duplicate");
    assert_eq!(shop.column::<String>(&order, "status"), "sent");
    assert_eq!(shop.fixture.query::<u64>("SELECT count(*) FROM webhook_deliveries"), 0);
}

#[test]
fn a_webhook_that_comes_before_our_own_answer_is_made_up_for_by_a_look() {
    for fault in [None, Some(Fault::after(Manner::Close))] {
        let shop = Shop::new();
        let order = shop.order();
        shop.fake.fail(fault.as_slice());
        // The draft is the fake's first, and nobody here knows it yet.
        assert_eq!(tell(&shop, "draft_orders/update", &completed(1)), "ignored");
        shop.settle();
        shop.assert_sent(&order);
        shop.fake.complete_draft_of(&order, "#7");
        shop.fixture.advance(SECOND * 601);
        look(&shop);
        assert_eq!(shop.column::<String>(&order, "status"), "ordered");
    }
}

#[test]
fn a_draft_that_was_found_late_is_looked_at_at_once_for_it_may_have_been_paid_for_meanwhile() {
    let shop = Shop::new();
    shop.fake.fail(&[Fault::after(Manner::Close)]);
    let order = shop.order();
    assert!(shop.run().is_some_and(|error| !error.is_empty()));
    // By somebody who has its address from Shopify; the webhook finds no order.
    shop.fake.complete_draft_of(&order, "#7");
    assert_eq!(tell(&shop, "draft_orders/update", &completed(1)), "ignored");
    shop.settle();
    assert_eq!((shop.figure("found"), shop.column::<String>(&order, "status")), (1, "sent".to_owned()));
    look(&shop);
    assert_eq!(shop.column::<String>(&order, "status"), "ordered");
}

#[test]
fn drafts_are_looked_at_once_a_day_for_a_year_many_at_once_and_whatever_goes_wrong_again() {
    let shop = Shop::new();
    let orders: Vec<String> = (0..5).map(|_| shop.order()).collect();
    shop.settle();
    shop.fixture.advance(SECOND * 601);
    shop.fake.state().states_faults.extend([
        Manner::Status(502),
        Manner::Throttled,
        Manner::Code("ACCESS_DENIED"),
        Manner::Garbage,
    ]);
    shop.fake.delete_drafts_of(&orders[0]);
    shop.fake.complete_draft_of(&orders[1], "#9");
    look(&shop);
    let states: Vec<String> = orders.iter().map(|order| shop.column(order, "status")).collect();
    assert_eq!(states, ["cancelled", "ordered", "sent", "sent", "sent"]);
    assert_eq!(shop.fake.state().states, 5, "one call for all, after four that failed");
    let asked = |shop: &Shop| shop.fake.state().states;
    look(&shop);
    shop.fixture.advance(DAY - SECOND);
    look(&shop);
    assert_eq!(asked(&shop), 5, "not before a day has passed");
    shop.fixture.advance(SECOND);
    look(&shop);
    assert_eq!(asked(&shop), 6);
    shop.fixture.advance(DAY * 365);
    look(&shop);
    let last = asked(&shop);
    shop.fixture.advance(DAY * 2);
    look(&shop);
    assert_eq!(asked(&shop), last, "those of more than a year ago are left alone");
}

#[test]
fn an_order_that_is_called_off_is_deleted_at_shopify_too_and_twice_is_once() {
    let (shop, order) = sent();
    for _ in 0..2 {
        let answer = cancel(&shop, &order);
        assert_eq!((answer.status, &answer.json_body()["status"]), (200, &json!("cancelled")));
        shop.settle();
        assert_eq!(shop.fake.drafts_of(&order), 0);
    }
    assert_eq!(shop.fake.state().deletes, 1);
    assert_eq!(shop.column::<Option<i64>>(&order, "deletion_due_at"), None);
    // Shopify tells of it as well.
    assert_eq!(tell(&shop, "draft_orders/delete", &json!({ "id": number(&shop, &order) })), "duplicate");
}

#[test]
fn an_order_that_was_paid_for_is_not_called_off() {
    let (shop, order) = sent();
    tell(&shop, "draft_orders/update", &completed(number(&shop, &order)));
    assert_eq!(cancel(&shop, &order).status, 409);
    // And one of which nobody knew it yet is ordered in the end.
    let other = shop.order();
    shop.settle();
    shop.fake.complete_draft_of(&other, "#8");
    assert_eq!(cancel(&shop, &other).status, 200);
    shop.settle();
    let document = shown(&shop, &other);
    assert_eq!((&document["status"], &document["orderName"]), (&json!("ordered"), &json!("#8")));
    assert!(document["handoverWarnings"][0].as_str().is_some_and(|text| text.contains("a shopper has ordered")));
}

#[test]
fn an_order_that_was_never_asked_for_is_called_off_without_a_call() {
    let shop = Shop::new();
    let order = shop.order();
    assert_eq!(cancel(&shop, &order).status, 200);
    shop.settle();
    assert_eq!((shop.fake.creates(), shop.fake.finds(), shop.fake.state().deletes), (0, 0, 0));
    assert_eq!(shop.column::<String>(&order, "status"), "cancelled");
}

#[test]
fn an_order_cancelled_while_its_draft_is_requested_leaves_none_behind() {
    for fault in [Fault::after(Manner::Hang), Fault::before(Manner::Hang)] {
        let shop = Shop::with(|options| {
            options.wait = Duration::ZERO;
            options.timeout = Duration::from_secs(3_600);
        });
        shop.fake.state().after_hang = (!fault.works).then_some(Manner::Throttled);
        shop.fake.fail(&[fault]);
        let order = order_unwaited(&shop);
        let background = shop.fixture.app.start(1).expect("threads");
        shop.fake.wait_until("it hangs", |state| state.hanging == 1);
        assert_eq!(cancel(&shop, &order).status, 200);
        // A look in the moment between the answer and its note would be no fault, and is not what is counted here.
        wait_until("its deletion is put off until the call has ended", || {
            shop.fixture.query::<u64>("SELECT count(*) FROM job_attempts WHERE outcome = 'snoozed'") == 1
        });
        shop.fake.let_go();
        // Before any time passes, or the order would count as one of which nothing was heard.
        wait_until("the answer is noted", || {
            shop.fixture.query::<bool>(
                "SELECT shopify_draft_order_id IS NOT NULL OR handover_attempted_at IS NULL
                 FROM draft_order_records ORDER BY number DESC LIMIT 1",
            )
        });
        wait_until("it is over", || {
            shop.fixture.advance(SECOND * 10);
            shop.fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status IN ('pending', 'processing')") == 0
        });
        background.stop(Duration::from_secs(120));
        assert_eq!(shop.fake.drafts_of(&order), 0);
        // The answer names the draft, or says that there is none: nobody need look for it.
        assert_eq!(shop.fake.finds(), 0, "{fault:?}");
        assert_eq!(shop.column::<String>(&order, "status"), "cancelled");
        assert_eq!(shop.column::<Option<i64>>(&order, "deletion_due_at"), None);
    }
}

#[test]
fn every_draft_of_an_order_that_was_called_off_before_one_was_known_is_deleted() {
    // Of two or three that bear its tag none or any one was paid for.
    for (copies, paid) in [(1, None), (2, None), (1, Some(0)), (1, Some(1)), (2, Some(2))] {
        let shop = Shop::new();
        shop.fake.fail(&[Fault::after(Manner::Close)]);
        let order = shop.order();
        assert!(shop.run().is_some_and(|error| !error.is_empty()));
        for _ in 0..copies {
            shop.fake.copy_draft_of(&order);
        }
        if let Some(paid) = paid {
            shop.fake.state().drafts[paid].completed = Some("#9");
        }
        assert_eq!(cancel(&shop, &order).status, 200);
        shop.settle();
        assert_eq!(shop.fake.drafts_of(&order), usize::from(paid.is_some()), "{copies} {paid:?}");
        let state = if paid.is_some() { "ordered" } else { "cancelled" };
        assert_eq!(shop.column::<String>(&order, "status"), state, "{copies} {paid:?}");
        assert_eq!(shop.column::<Option<i64>>(&order, "deletion_due_at"), None);
        assert_eq!(shop.fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'failed'"), 0);
    }
}

#[test]
fn a_draft_of_a_cancelled_order_that_searches_find_late_is_deleted_all_the_same() {
    let shop = Shop::new();
    (shop.fake.state().index_lag, shop.fake.state().newest_is_late) = (3, true);
    shop.fake.fail(&[Fault::after(Manner::Close)]);
    let order = shop.order();
    assert!(shop.run().is_some_and(|error| !error.is_empty()));
    assert_eq!(cancel(&shop, &order).status, 200);
    shop.settle();
    assert_eq!((shop.fake.drafts_of(&order), shop.column::<String>(&order, "status")), (0, "cancelled".to_owned()));
    assert_eq!((shop.fake.finds(), shop.fake.state().deletes), (4, 1));
    assert_eq!(shop.column::<Option<i64>>(&order, "deletion_due_at"), None);
}

#[test]
fn where_the_deletion_of_one_of_two_drafts_fails_the_other_is_not_forgotten() {
    let shop = Shop::new();
    shop.fake.fail(&[Fault::after(Manner::Close)]);
    let order = shop.order();
    shop.run();
    shop.fake.copy_draft_of(&order);
    shop.fake.state().delete_faults.extend([Manner::Status(502), Manner::Close, Manner::HalfAnswer, Manner::Throttled]);
    assert_eq!(cancel(&shop, &order).status, 200);
    shop.settle();
    assert_eq!((shop.fake.drafts_of(&order), shop.column::<String>(&order, "status")), (0, "cancelled".to_owned()));
}

#[test]
fn looks_and_webhooks_find_their_orders_by_an_index() {
    let shop = Shop::new();
    for sql in [
        "SELECT shopify_draft_order_id FROM draft_order_records
         WHERE store_id = 'x' AND look_due_at <= 1 AND shopify_draft_order_id IS NOT NULL ORDER BY look_due_at LIMIT 100",
        "SELECT o.id, o.store_id FROM draft_order_records AS o INDEXED BY draft_order_records_shopify_id
         JOIN stores AS s ON s.id = o.store_id
         WHERE o.shopify_draft_order_id = 'x' AND s.shop = 'y' AND s.erasing_since IS NULL",
    ] {
        let plan = plan(&shop.fixture, sql);
        assert!(plan.contains("USING INDEX draft_order_records_") && !plan.contains("TEMP B-TREE"), "{plan}");
        assert!(!plan.contains("SCAN o"), "{plan}");
    }
}
