//! A store that goes while its orders are on their way, and redactions while Shopify hangs.

use super::fake::{Fault, Manner};
use super::{PRODUCT, Shop, order_unwaited};
use crate::support::waiting::wait_until;
use quotegrid::queue::Status;
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(60);

/// When Shopify asks for the erasure of a shop that has uninstalled the app.
const REDACT_AFTER: Duration = Duration::from_secs(48 * 3_600);

/// Whether `text` stands anywhere in the files, as another process sees them.
fn is_in_files(shop: &Shop, text: &str) -> bool {
    let database = shop.fixture.database().into_os_string();
    ["", "-wal"].into_iter().any(|suffix| {
        let mut file = database.clone();
        file.push(suffix);
        let file = PathBuf::from(file);
        file.exists()
            && Command::new("grep").args(["-q", "-a", "-F", "-e", text]).arg(&file).status().expect("grep").success()
    })
}

fn redact(shop: &Shop, domain: &str) {
    let answer = shop.fixture.post_webhook("shop/redact", &json!({ "shop_id": 1, "shop_domain": domain }));
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn is_erased(shop: &Shop) -> bool {
    shop.fixture.query::<u64>("SELECT count(*) FROM gdpr_requests WHERE erased_at IS NULL") == 0
}

#[test]
fn an_order_that_shopify_answers_after_its_store_is_erased_leaves_nothing() {
    let shop = Shop::new();
    shop.fake.fail(&[Fault::after(Manner::Hang)]);
    let background = shop.fixture.app.start(2).expect("threads");
    let order = order_unwaited(&shop);
    shop.fake.wait_until("the call hangs", |state| state.hanging == 1);
    // By its operator: of a live store, Shopify would be asked first.
    let domain = shop.demo.shop.as_str();
    let path = format!("/admin/api/stores/{domain}");
    assert_eq!(shop.fixture.admin("DELETE", &path, Some(&json!({ "confirm": domain }))).status, 202);
    wait_until("the store is erased, though Shopify hangs", || is_erased(&shop));
    assert_eq!((shop.fixture.count("stores"), shop.fake.state().hanging), (0, 1));
    shop.fake.let_go();
    background.stop(GRACE);
    assert_eq!(shop.fake.state().drafts.len(), 1, "it was made there, where it is the merchant's");
    assert_eq!(shop.fixture.count("draft_order_records"), 0);
    let told: u64 = shop.fixture.query(
        "SELECT count(*) FROM job_queue WHERE payload <> '{}' AND type = 'draft_order_handover' OR error IS NOT NULL",
    );
    assert_eq!(told, 0, "no job says anything of it");
    let attempts: u64 = shop.fixture.query("SELECT count(*) FROM job_attempts WHERE error IS NOT NULL");
    assert_eq!(attempts, 0);
    for text in ["/invoices/", "DraftOrder/1", "shpat_fake", "Oak shelf", &order] {
        assert!(!is_in_files(&shop, text), "{text} is in the files");
    }
    // Nor does it come back by itself.
    shop.settle();
    assert_eq!((shop.fixture.count("draft_order_records"), shop.fake.creates()), (0, 1));
}

#[test]
fn an_order_whose_answer_comes_while_its_store_is_being_erased_is_not_written() {
    let shop = Shop::new();
    let order = shop.order();
    let domain = shop.demo.shop.clone();
    let now = shop.fixture.now();
    // As the first step of an erasure leaves it.
    let begun = shop.fixture.app.db.write(move |tx| quotegrid::catalog::stores::begin_erasure(tx, now, &domain, now));
    begun.expect("begun");
    assert_eq!(shop.run(), None);
    assert_eq!((shop.column::<String>(&order, "status"), shop.fake.creates()), ("open".to_owned(), 0));
    assert_eq!(shop.figure("left"), 1);
    assert_eq!((shop.fake.granted(), shop.fake.finds()), (0, 0), "nobody asks Shopify for it");
}

#[test]
fn a_store_that_goes_while_its_token_is_asked_for_is_asked_for_nothing_more() {
    let shop = Shop::new();
    shop.fake.state().token_faults.push_back(Manner::Hang);
    let background = shop.fixture.app.start(1).expect("threads");
    order_unwaited(&shop);
    shop.fake.wait_until("the token is asked for", |state| state.hanging == 1);
    let domain = shop.demo.shop.to_string();
    let answer = shop.fixture.post_webhook("app/uninstalled", &json!({ "id": 1, "myshopify_domain": domain }));
    assert_eq!(answer.status, 200, "{answer:?}");
    shop.fake.let_go();
    wait_until("its job ends", || shop.job().status == Status::Completed);
    background.stop(GRACE);
    assert_eq!((shop.job().attempts, shop.figure("left")), (1, 1), "at once");
    assert_eq!((shop.fake.creates(), shop.fake.finds()), (0, 0));
}

#[test]
fn what_shopify_answers_after_an_erasure_has_begun_is_not_written_though_the_order_is_still_there() {
    for manner in [Manner::Answer, Manner::UserErrors, Manner::Status(502)] {
        let shop = Shop::new();
        shop.fake.fail(&[Fault::after(Manner::Hang)]);
        shop.fake.state().after_hang = Some(manner);
        let background = shop.fixture.app.start(1).expect("threads");
        let order = order_unwaited(&shop);
        shop.fake.wait_until("the call hangs", |state| state.hanging == 1);
        let (domain, now) = (shop.demo.shop.clone(), shop.fixture.now());
        let begun =
            shop.fixture.app.db.write(move |tx| quotegrid::catalog::stores::begin_erasure(tx, now, &domain, now));
        begun.expect("begun");
        shop.fake.let_go();
        wait_until("the run ends", || shop.job().status != Status::Processing && shop.fake.state().hanging == 0);
        background.stop(GRACE);
        let kept: (String, Option<String>, Option<String>) =
            (shop.column(&order, "status"), shop.column(&order, "checkout_url"), shop.column(&order, "handover_error"));
        assert_eq!(kept, ("open".to_owned(), None, None), "{manner:?}");
        shop.settle();
        assert_eq!(shop.fake.creates(), 1, "{manner:?}");
    }
}

#[test]
fn an_uninstallation_stops_what_has_not_begun_and_keeps_what_has() {
    let shop = Shop::with(|options| options.threads = 1);
    shop.fake.fail(&[Fault::after(Manner::Hang)]);
    let background = shop.fixture.app.start(1).expect("threads");
    order_unwaited(&shop);
    shop.fake.wait_until("the call hangs", |state| state.hanging == 1);
    order_unwaited(&shop);
    wait_until("the second is written", || {
        shop.fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE type = 'draft_order_handover'") == 2
    });
    let domain = shop.demo.shop.to_string();
    let answer = shop.fixture.post_webhook("app/uninstalled", &json!({ "id": 1, "myshopify_domain": domain }));
    assert_eq!(answer.status, 200, "{answer:?}");
    shop.fake.let_go();
    wait_until("both jobs end", || {
        shop.fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status <> 'completed'") == 0
    });
    background.stop(GRACE);
    let sent: u64 = shop.fixture.query("SELECT count(*) FROM draft_order_records WHERE status = 'sent'");
    assert_eq!((sent, shop.fake.creates(), shop.figure("left")), (1, 1, 1));
    // The order that is here goes with its store, the address of its checkout too.
    shop.fixture.advance(REDACT_AFTER);
    redact(&shop, &domain);
    shop.fixture.run_jobs();
    assert_eq!(shop.fixture.count("draft_order_records"), 0);
    assert!(!is_in_files(&shop, "/invoices/"));
}

#[test]
fn a_shopify_that_hangs_delays_no_redaction_no_price_and_no_webhook() {
    let shop = Shop::new();
    shop.fake.state().always = Some(Fault::before(Manner::Hang));
    let other = shop.fixture.admin("POST", "/admin/api/stores", Some(&json!({ "shop": "other.myshopify.com" })));
    assert_eq!(other.status, 201, "{other:?}");
    let gone = json!({ "id": 1, "myshopify_domain": "other.myshopify.com" });
    assert_eq!(shop.fixture.post_webhook("app/uninstalled", &gone).status, 200);
    shop.fixture.advance(REDACT_AFTER);
    let background = shop.fixture.app.start(2).expect("threads");
    // More than all threads together, so that those that wait for Shopify are all taken and more orders are due.
    for _ in 0..12 {
        order_unwaited(&shop);
    }
    shop.fake.wait_until("every thread hangs", |state| state.hanging == 4);
    redact(&shop, "other.myshopify.com");
    wait_until("the other store is erased", || is_erased(&shop));
    let mut price = shop.request(&json!({}));
    price.method = quotegrid::http::Method::Get;
    price.path = format!("/api/v1/products/{PRODUCT}/price");
    price.query = "width=600&height=250".to_owned();
    assert_eq!(shop.fixture.call(price).status, 200);
    assert_eq!(shop.fake.state().hanging, 4, "all of that while Shopify hung");
    shop.fake.state().always = None;
    shop.fake.let_go();
    background.stop(GRACE);
    assert!(shop.fake.doubles().is_empty());
}
