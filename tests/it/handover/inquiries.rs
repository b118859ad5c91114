//! Redactions of live stores where Shopify can be asked whether the app is still installed.

use super::Shop;
use super::fake::{Fault, Manner};
use crate::support::waiting::wait_until;
use quotegrid::alerts::{self, Alerts};
use quotegrid::catalog::stores;
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn redact(shop: &Shop) {
    let domain = shop.demo.shop.as_str();
    let answer = shop.fixture.post_webhook("shop/redact", &json!({ "shop_id": 1, "shop_domain": domain }));
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn request(shop: &Shop) -> Value {
    shop.fixture.admin("GET", "/admin/api/gdpr/requests", None).json_body()["requests"][0].clone()
}

/// Processes what is due for so many hours, and returns how many it were until the request was processed.
fn hours_until_processed(shop: &Shop, most: u32) -> Option<u32> {
    shop.fixture.run_jobs();
    for hour in 0..=most {
        if !request(shop)["processedAt"].is_null() {
            return Some(hour);
        }
        shop.fixture.advance(HOUR);
        shop.fixture.run_jobs();
    }
    None
}

#[test]
fn a_token_says_that_the_app_is_still_installed_and_nothing_is_erased() {
    let shop = Shop::new();
    shop.fixture.advance(HOUR);
    redact(&shop);
    shop.fixture.run_jobs();
    let found = request(&shop);
    assert_eq!((&found["outcome"], &found["shopifySays"]), (&json!("still_installed"), &json!("installed")));
    assert!(found["foundLiveAt"].is_string() && found["erasedAt"].is_null(), "{found}");
    assert_eq!((shop.fixture.count("stores"), shop.fixture.count("erasure_receipts"), shop.fake.granted()), (1, 0, 1));
    let unfinished: u64 = shop.fixture.query("SELECT count(*) FROM job_queue WHERE status <> 'completed'");
    assert_eq!(unfinished, 0);
    let (db, queue) = (shop.fixture.app.db.clone(), shop.fixture.app.queue.clone());
    let alerts = Alerts::new(db, queue, &alerts::Options::default());
    assert_eq!(alerts.look(shop.fixture.now()).expect("a working database"), 1);
    let told: String = shop.fixture.query("SELECT payload FROM job_queue WHERE type = 'alert'");
    assert!(told.contains("redact_of_live_store") && told.contains("still_installed"), "{told}");
}

#[test]
fn a_shop_that_the_app_is_not_installed_in_is_erased_at_once() {
    let shop = Shop::new();
    shop.fixture.advance(HOUR);
    shop.fake.state().token_faults.push_back(Manner::Refused("app_not_installed"));
    redact(&shop);
    shop.fixture.run_jobs();
    let found = request(&shop);
    assert_eq!((&found["outcome"], &found["shopifySays"]), (&json!("erased"), &json!("not_installed")));
    assert_eq!((shop.fixture.count("stores"), shop.fixture.count("erasure_receipts")), (0, 2));
    assert!(!shop.fixture.query::<String>("SELECT group_concat(payload) FROM job_queue").contains("myshopify"));
}

#[test]
fn where_shopify_says_nothing_clear_it_is_asked_again_and_the_store_erased_in_time_for_the_duty() {
    let shop = Shop::new();
    shop.fixture.advance(HOUR);
    let unclear = [Manner::Refused("shop_not_permitted"), Manner::Status(503), Manner::Close, Manner::Status(404)];
    shop.fake.state().token_faults.extend(unclear);
    redact(&shop);
    shop.fixture.run_jobs();
    let found = request(&shop);
    assert_eq!((&found["outcome"], &found["shopifySays"]), (&json!(null), &json!("asking")));
    assert!(found["heldUntil"].is_string(), "{found}");
    shop.fixture.advance(HOUR);
    shop.fixture.run_jobs();
    assert_eq!((shop.fake.granted(), &request(&shop)["outcome"]), (2, &json!(null)));
    assert!(hours_until_processed(&shop, 24).is_some_and(|hours| hours < 24));
    assert_eq!(request(&shop)["outcome"], "still_installed", "at the first clear answer");

    let shop = Shop::new();
    shop.fixture.advance(HOUR);
    shop.fake.state().token_faults.extend([Manner::Refused("invalid_client"); 2_000]);
    redact(&shop);
    assert_eq!(hours_until_processed(&shop, 30 * 24), Some(28 * 24), "two days before it is due");
    let found = request(&shop);
    assert_eq!((&found["outcome"], &found["shopifySays"]), (&json!("erased"), &json!("unclear")));
    assert_eq!(shop.fixture.count("stores"), 0);
}

#[test]
fn the_same_request_sent_again_and_again_has_shopify_asked_once_in_ten_minutes() {
    let shop = Shop::new();
    shop.fixture.advance(HOUR);
    for _ in 0..5 {
        redact(&shop);
        shop.fixture.run_jobs();
        shop.fixture.advance(Duration::from_secs(60));
    }
    assert_eq!(shop.fake.granted(), 1);
    shop.fixture.advance(Duration::from_secs(600));
    shop.fixture.run_jobs();
    assert_eq!((shop.fake.granted() > 1, shop.fixture.count("stores")), (true, 1));
}

#[test]
fn a_person_may_decide_while_shopify_is_being_asked() {
    for (verb, outcome, stores) in [("confirm", "erased", 0), ("reject", "rejected", 1)] {
        let shop = Shop::new();
        shop.fixture.advance(HOUR);
        shop.fake.state().token_faults.push_back(Manner::Status(503));
        redact(&shop);
        shop.fixture.run_jobs();
        let path = format!("/admin/api/gdpr/requests/{}/{verb}", request(&shop)["id"].as_str().expect("an id"));
        assert!([200, 202].contains(&shop.fixture.admin("POST", &path, None).status));
        shop.fixture.run_jobs();
        shop.fixture.advance(24 * HOUR);
        shop.fixture.run_jobs();
        assert_eq!((&request(&shop)["outcome"], shop.fixture.count("stores")), (&json!(outcome), stores));
        assert_eq!(shop.fake.granted(), 1, "nobody asks for what is decided");
    }
}

#[test]
fn a_shop_that_was_uninstalled_in_time_is_erased_without_asking() {
    let shop = Shop::new();
    let (domain, now) = (shop.demo.shop.clone(), shop.fixture.now());
    let marked = shop.fixture.app.db.write(move |tx| stores::mark_uninstalled(tx, &domain, now, now));
    assert!(marked.expect("writable"));
    shop.fixture.advance(48 * HOUR);
    redact(&shop);
    shop.fixture.run_jobs();
    assert_eq!((&request(&shop)["outcome"], shop.fake.granted()), (&json!("erased"), 0));
}

#[test]
fn an_inquiry_that_hangs_holds_up_no_other_erasure() {
    let shop = Shop::with(|options| options.threads = 1);
    let other = shop.fixture.admin("POST", "/admin/api/stores", Some(&json!({ "shop": "other.myshopify.com" })));
    assert_eq!(other.status, 201, "{other:?}");
    let now = shop.fixture.now();
    let gone = "other.myshopify.com".parse().expect("a shop");
    shop.fixture.app.db.write(move |tx| stores::mark_uninstalled(tx, &gone, now, now)).expect("writable");
    shop.fixture.advance(48 * HOUR);
    shop.fake.state().token_faults.push_back(Manner::Hang);
    shop.fake.state().always = Some(Fault::before(Manner::Hang));
    let background = shop.fixture.app.start(1).expect("threads");
    redact(&shop);
    shop.fake.wait_until("Shopify is asked", |state| state.hanging == 1);
    let body = json!({ "shop_id": 2, "shop_domain": "other.myshopify.com" });
    assert_eq!(shop.fixture.post_webhook("shop/redact", &body).status, 200);
    wait_until("the other is erased", || shop.fixture.query::<u64>("SELECT count(*) FROM erasure_receipts") == 2);
    assert_eq!((shop.fixture.count("stores"), shop.fake.state().hanging), (1, 1), "all of that while Shopify hung");
    shop.fake.let_go();
    background.stop(Duration::from_secs(60));
}
