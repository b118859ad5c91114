//! Drafts that Shopify is still working on: the shopper is not kept waiting, and the address of the checkout is asked for.

use super::fake::{Fault, Manner};
use super::{Shop, body, shelf};
use quotegrid::queue::Status;
use serde_json::json;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_draft_without_an_address_is_sent_at_once_and_its_address_asked_for_by_id() {
    for has_idle_address in [false, true] {
        let shop = Shop::new();
        {
            let mut state = shop.fake.state();
            (state.address_lag, state.has_idle_address) = (3, has_idle_address);
        }
        let order = shop.order();
        shop.run().expect("it goes on");
        assert_eq!(shop.column::<String>(&order, "status"), "sent");
        assert_eq!(shop.column::<String>(&order, "shopify_order_name"), "#S1");
        assert_eq!(shop.column::<Option<String>>(&order, "checkout_url"), None);
        let passed = shop.settle();
        assert_eq!(passed, SECOND * (2 + 2 + 4), "at twice the age each time");
        shop.assert_sent(&order);
        assert_eq!(shop.column::<String>(&order, "checkout_url"), format!("https://{}/invoices/1", shop.demo.shop));
        assert_eq!(shop.column::<i64>(&order, "shopify_total_minor"), shop.column::<i64>(&order, "total_price_minor"));
        assert_eq!((shop.fake.creates(), shop.fake.finds(), shop.fake.state().looks), (1, 0, 3));
        assert_eq!((shop.figure("sent"), shop.figure("differing")), (1, 0));
        assert_eq!(shop.job().attempts, 1, "waiting for it costs no attempt");
    }
}

#[test]
fn a_shopper_whose_checkout_has_no_address_yet_is_sent_to_our_page_at_once_and_there_later() {
    // It would wait for hours if it waited.
    let shop = Shop::with(|options| options.wait = SECOND * 20 * 3_600);
    shop.fake.state().address_lag = 1;
    let background = shop.fixture.app.start(2).expect("threads");
    let request = shop.request(&shelf());
    let placed = body(&shop.fixture.call(request.clone()));
    assert!(placed["checkoutUrl"].as_str().expect("never missing").contains("/q/"), "{placed}");
    let again = body(&shop.fixture.call(request.clone()));
    assert_eq!(again["checkoutUrl"], placed["checkoutUrl"], "nobody waits for it a second time");
    background.stop(SECOND * 60);
    shop.settle();
    let later = body(&shop.fixture.call(request));
    assert_eq!(later["checkoutUrl"], json!(format!("https://{}/invoices/1", shop.demo.shop)));
    assert_eq!(later["draftOrderId"], placed["draftOrderId"]);
}

#[test]
fn a_draft_that_is_found_by_its_tag_and_has_no_address_is_asked_for_it_too() {
    let shop = Shop::new();
    shop.fake.state().address_lag = 1;
    shop.fake.fail(&[Fault::after(Manner::Close)]);
    let order = shop.order();
    shop.settle();
    shop.assert_sent(&order);
    assert!(shop.column::<Option<String>>(&order, "checkout_url").is_some());
    assert_eq!((shop.fake.creates(), shop.figure("found")), (1, 1));
}

#[test]
fn whatever_goes_wrong_with_a_look_for_an_address_is_not_its_end() {
    for manner in [
        Manner::Status(500),
        Manner::Status(422),
        Manner::Status(400),
        Manner::Status(403),
        Manner::RetryAfter(429, 9),
        Manner::Throttled,
        Manner::Code("ACCESS_DENIED"),
        Manner::Garbage,
        Manner::Close,
        Manner::Nothing,
        Manner::UserErrors,
    ] {
        let shop = Shop::new();
        {
            let mut state = shop.fake.state();
            state.address_lag = 1;
            state.look_faults.extend([manner; 3]);
        }
        let order = shop.order();
        shop.settle();
        shop.assert_sent(&order);
        assert!(shop.column::<Option<String>>(&order, "checkout_url").is_some(), "{manner:?}");
        assert_eq!((shop.fake.creates(), shop.fake.state().looks), (1, 4), "{manner:?}");
        assert_eq!(shop.job().status, Status::Completed);
    }
}

#[test]
fn a_checkout_address_that_never_comes_is_noted_on_the_order_and_no_longer_asked_for() {
    let shop = Shop::new();
    shop.fake.state().address_lag = usize::MAX;
    let order = shop.order();
    let passed = shop.settle();
    assert!((3 * 86_400..4 * 86_400).contains(&passed.as_secs()), "{passed:?}");
    shop.assert_sent(&order);
    assert_eq!(shop.job().status, Status::Completed);
    let looks = shop.fake.state().looks;
    assert!(looks < 100, "{looks}");
    let path = format!("/admin/api/stores/{}/draft-orders/{order}", shop.demo.shop);
    let shown = shop.fixture.admin("GET", &path, None);
    crate::storefront::spec::check("GET", &path, &shown);
    let warnings = shown.json_body()["handoverWarnings"].to_string();
    assert!(warnings.contains("no address for the checkout"), "{warnings}");
}

#[test]
fn a_draft_that_is_deleted_before_it_has_an_address_is_the_end_of_the_search() {
    let shop = Shop::new();
    shop.fake.state().address_lag = usize::MAX;
    let order = shop.order();
    shop.run().expect("it goes on");
    shop.fake.delete_drafts_of(&order);
    assert_eq!(shop.settle(), SECOND * 2);
    assert_eq!((shop.fake.creates(), shop.fake.state().looks), (1, 1));
    assert_eq!(shop.column::<Option<i64>>(&order, "handover_attempted_at"), None);
}

#[test]
fn a_store_that_is_uninstalled_meanwhile_is_not_asked_about() {
    let shop = Shop::new();
    shop.fake.state().address_lag = usize::MAX;
    shop.order();
    shop.run().expect("it goes on");
    let uninstalled: quotegrid::db::Result<()> = shop.fixture.app.db.write(|tx| {
        tx.execute("UPDATE stores SET uninstalled_at = 1", ())?;
        Ok(())
    });
    uninstalled.expect("writable");
    shop.settle();
    assert_eq!(shop.fake.state().looks, 0);
}
