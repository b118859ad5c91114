//! Whoever was erased or withdrew since the backup stays so, and no duty is lost.

use super::{House, assert_clean, deliver, erase, has_store, holds, install, one, run_all};
use quotegrid::access::Role;
use quotegrid::access::links::{self, Invitation, LINK_LIFE};
use quotegrid::access::sessions;
use quotegrid::clock::Clock;
use quotegrid::db;
use quotegrid::domain::ids::DraftOrderId;
use quotegrid::erasure::receipts;
use quotegrid::error::{Error, Kind};
use quotegrid::intake::IntakeOutcome;
use quotegrid::queue::{NewJob, StepOutcome};
use quotegrid::shopify::{Topic, WebhookEvent};
use serde_json::json;
use std::fs;

#[test]
fn shops_and_customers_erased_since_the_backup_stay_erased_to_the_last_byte() {
    let house = House::new();
    let app = house.open();
    install(&app, "erased");
    install(&app, "stays");
    app.enqueue(NewJob::new("unknown", json!({ "shop": "erased.myshopify.com", "note": "private-note" })))
        .expect("enqueued");
    house.back_up();
    house.pass_a_minute();
    erase(&app, "erased");
    let head = app.db.read(receipts::walk).expect("readable");
    drop(app);
    assert!(holds(&house.path("backup.db"), "marked-erased"), "the backup has it");
    let report = house.restore().expect("restored");
    assert_eq!((report.erased_again, report.receipts), (1, 2));
    for text in ["marked-erased", "private-note"] {
        assert!(!holds(&house.database(), text), "{text}");
    }
    assert!(holds(&house.database(), "marked-stays"));
    let app = house.open();
    assert!(!has_store(&app, "erased") && has_store(&app, "stays"));
    let chain = app.db.read(receipts::walk).expect("readable");
    assert_eq!((chain.broken_at, chain.receipts), (None, head.receipts + 2), "the second erasure is proved too");
    let kept = app.db.read(|connection| receipts::hash_at(connection, 2)).expect("readable");
    assert_eq!(kept, Some(head.head), "the chain goes on from the old head");
    run_all(&app);
    assert_clean(&app);
}

#[test]
fn a_store_that_was_installed_again_before_the_backup_is_not_erased_by_the_restore() {
    let house = House::new();
    let app = house.open();
    install(&app, "again");
    house.pass_a_minute();
    erase(&app, "again");
    // The clock may even have been set back meanwhile.
    house.clock.set(house.clock.now() - chrono::TimeDelta::days(1));
    install(&app, "again");
    house.back_up();
    drop(app);
    assert_eq!(house.restore().expect("restored").erased_again, 0);
    let app = house.open();
    assert!(has_store(&app, "again"));
    assert_clean(&app);
}

#[test]
fn a_store_that_was_erased_and_installed_again_after_the_backup_comes_back_neither_way() {
    let house = House::new();
    let app = house.open();
    install(&app, "again");
    house.back_up();
    house.pass_a_minute();
    erase(&app, "again");
    house.pass_a_minute();
    install(&app, "again");
    drop(app);
    assert_eq!(house.restore().expect("restored").erased_again, 1);
    let app = house.open();
    assert!(!has_store(&app, "again"), "its old data is erased, its new data came after the backup");
    install(&app, "again");
    assert_clean(&app);
}

#[test]
fn restoring_an_old_backup_and_then_a_newer_one_keeps_every_receipt() {
    let house = House::new();
    let app = house.open();
    install(&app, "first");
    install(&app, "second");
    fs::rename(house.back_up(), house.path("old.db")).expect("renamed");
    house.pass_a_minute();
    erase(&app, "first");
    house.back_up();
    house.pass_a_minute();
    erase(&app, "second");
    drop(app);
    assert_eq!(house.restore_from("old.db", false).expect("restored").erased_again, 2);
    assert_eq!(house.restore().expect("restored").erased_again, 1, "only the second was unknown to it");
    let app = house.open();
    assert!(!has_store(&app, "first") && !has_store(&app, "second"));
    assert_clean(&app);
}

#[test]
fn a_duty_that_was_taken_on_after_the_backup_is_not_lost() {
    let house = House::new();
    let app = house.open();
    install(&app, "gone");
    house.back_up();
    house.pass_a_minute();
    let redact = WebhookEvent::CustomersRedact { customer_id: Some(4_711_471_147), orders_to_redact: None };
    let taken = deliver(&app, Topic::ShopRedact, WebhookEvent::ShopRedact, "gone", "again");
    assert!(matches!(taken, IntakeOutcome::Accepted(Some(_))));
    deliver(&app, Topic::CustomersRedact, redact, "other", "1");
    drop(app);
    let report = house.restore().expect("restored");
    assert_eq!((report.requests, report.deliveries, report.jobs), (2, 0, 2), "a request brings its delivery along");
    let app = house.open();
    let again = deliver(&app, Topic::ShopRedact, WebhookEvent::ShopRedact, "gone", "again");
    assert!(matches!(again, IntakeOutcome::Duplicate(_)), "{again:?}");
    assert_eq!(run_all(&app), 2);
    assert!(!has_store(&app, "gone"));
    let open = "SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL OR erased_at IS NULL";
    assert_eq!(one::<u64>(&app, open), 0);
    assert_clean(&app);
}

#[test]
fn a_delivery_that_two_copies_have_taken_each_for_itself_is_a_duty_in_both_and_stops_no_restore() {
    let house = House::new();
    let app = house.open();
    let redact = || WebhookEvent::CustomersRedact { customer_id: Some(4_711_471_147), orders_to_redact: None };
    install(&app, "a");
    drop(app);
    // One copy takes it and is backed up; the other, which goes on, takes it too.
    std::fs::copy(house.database(), house.path("fork.db")).expect("copied");
    let app = house.open_file("fork.db");
    deliver(&app, Topic::CustomersRedact, redact(), "a", "1");
    drop(app);
    std::fs::rename(house.path("fork.db"), house.path("backup.db")).expect("renamed");
    house.pass_a_minute();
    let app = house.open();
    deliver(&app, Topic::CustomersRedact, redact(), "a", "1");
    drop(app);
    let report = house.restore().expect("restored");
    assert_eq!(report.requests, 1);
    let app = house.open();
    assert_eq!(one::<u64>(&app, "SELECT count(*) FROM gdpr_requests"), 2);
    assert!(matches!(deliver(&app, Topic::CustomersRedact, redact(), "a", "1"), IntakeOutcome::Duplicate(_)));
    run_all(&app);
    assert_eq!(one::<u64>(&app, "SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL"), 0);
    assert_clean(&app);
}

#[test]
fn what_a_fulfilled_request_has_forgotten_does_not_come_back() {
    let house = House::new();
    let app = house.open();
    let redact = WebhookEvent::CustomersRedact { customer_id: Some(4_711_471_147), orders_to_redact: None };
    deliver(&app, Topic::CustomersRedact, redact, "a", "1");
    house.back_up();
    assert!(holds(&house.path("backup.db"), "4711471147"));
    house.pass_a_minute();
    run_all(&app);
    let processed: i64 = one(&app, "SELECT processed_at FROM gdpr_requests");
    drop(app);
    let report = house.restore().expect("restored");
    assert_eq!((report.requests, report.jobs), (1, 0));
    assert!(!holds(&house.database(), "4711471147"));
    let app = house.open();
    assert_eq!(one::<i64>(&app, "SELECT processed_at FROM gdpr_requests"), processed);
    run_all(&app);
    assert_eq!(one::<u64>(&app, "SELECT count(*) FROM erasure_receipts"), 2, "it is not done twice");
    assert_clean(&app);
}

#[test]
fn uninstalled_stores_and_revoked_keys_stay_so() {
    let house = House::new();
    let app = house.open();
    install(&app, "left");
    install(&app, "leaked");
    house.back_up();
    house.pass_a_minute();
    deliver(&app, Topic::AppUninstalled, WebhookEvent::AppUninstalled, "left", "1");
    let revoked: db::Result<()> = app.db.write(|tx| {
        tx.execute(
            "UPDATE api_keys SET revoked_at = 7 WHERE store_id = (SELECT id FROM stores WHERE shop LIKE 'leaked%')",
            (),
        )?;
        Ok(())
    });
    revoked.expect("writable");
    drop(app);
    assert_eq!(house.restore().expect("restored").withdrawals, 2);
    let app = house.open();
    let dead = "SELECT group_concat(shop) FROM stores WHERE uninstalled_at IS NOT NULL";
    assert_eq!(one::<String>(&app, dead), "left.myshopify.com");
    assert_eq!(one::<u64>(&app, "SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL"), 1);
}

#[test]
fn links_used_and_sessions_ended_since_the_backup_stay_so_after_a_restore() {
    let house = House::new();
    let app = house.open();
    let invitation = Invitation { role: Role::Operator, store: None, label: "operator".to_owned() };
    let (now, entropy) = (app.clock.now(), app.entropy.clone());
    let made: db::Result<_> = app.db.write(move |tx| {
        let link = links::insert(tx, now, entropy.as_ref(), &invitation, now + LINK_LIFE)?;
        Ok((link, sessions::begin(tx, now, entropy.as_ref(), &invitation, None)?.token))
    });
    let (link, session) = made.expect("writable");
    house.back_up();
    let (used, ended) = (link.digest(), session.digest());
    let gone: db::Result<bool> = app.db.write(move |tx| {
        sessions::end_all(tx, None)?;
        Ok(links::take(tx, now, used)?.is_some())
    });
    assert!(gone.expect("writable"));
    drop(app);
    house.restore().expect("restored");
    let app = house.open();
    let let_in: db::Result<bool> =
        app.db.write(move |tx| Ok(links::take(tx, now, used)?.is_some() || sessions::find(tx, now, ended)?.is_some()));
    assert!(!let_in.expect("writable"));
}

#[test]
fn a_copy_is_scrubbed_although_nothing_in_it_waits_for_the_scrub() {
    let house = House::new();
    let app = house.open();
    install(&app, "gone");
    house.pass_a_minute();
    deliver(&app, Topic::ShopRedact, WebhookEvent::ShopRedact, "gone", "1");
    // The rows are gone, and the scrub has not begun: a change that was undone has left bytes in free pages.
    while app.worker().expect("a worker").step().expect("a working database") != StepOutcome::Idle {}
    let grow = "INSERT INTO meta VALUES ('room', zeroblob(200000))";
    for sql in [grow, "DELETE FROM meta WHERE name = 'room'"] {
        app.db.write(move |tx| -> db::Result<_> { Ok(tx.execute(sql, ())?) }).expect("written");
    }
    let undone = app.db.write(|tx| -> Result<(), Error> {
        let sql = "INSERT INTO meta VALUES ('x', CAST(replace(hex(zeroblob(9000)), '00', 'rolled-back-mark') AS BLOB))";
        tx.execute(sql, ()).map_err(|error| Error::from(db::Error::from(error)))?;
        Err(Error::new(Kind::Conflict, "changed my mind"))
    });
    assert!(undone.is_err());
    house.back_up();
    assert!(holds(&house.path("backup.db"), "rolled-back-mark"), "SQLite leaves it in free pages");
    app.scrubber().scrub_all().expect("it works");
    assert_eq!(one::<u64>(&app, "SELECT count(*) FROM gdpr_requests WHERE erased_at IS NOT NULL"), 1);
    drop(app);
    assert!(!holds(&house.database(), "rolled-back-mark"));
    assert_eq!(house.restore().expect("restored").erased_again, 0);
    assert!(!holds(&house.database(), "rolled-back-mark"), "it counts as erased, so it is");
    let app = house.open();
    assert_eq!(one::<u64>(&app, "SELECT count(*) FROM gdpr_requests WHERE erased_at IS NOT NULL"), 1);
    assert_clean(&app);
}

#[test]
fn a_duty_that_was_fulfilled_and_pruned_since_the_backup_is_not_proved_twice() {
    let house = House::new();
    let app = house.open();
    install(&app, "gone");
    house.pass_a_minute();
    deliver(&app, Topic::ShopRedact, WebhookEvent::ShopRedact, "gone", "1");
    house.back_up();
    assert_eq!(run_all(&app), 1);
    app.db.write(|tx| -> db::Result<_> { Ok(tx.execute("DELETE FROM gdpr_requests", ())?) }).expect("pruned");
    drop(app);
    house.restore().expect("restored");
    let app = house.open();
    run_all(&app);
    assert!(!has_store(&app, "gone"));
    assert_clean(&app);
}

/// An order of a store that has become the order 99 at Shopify, with a label.
fn order(app: &quotegrid::app::App, label: &'static str) {
    let id = DraftOrderId::new(app.clock.now(), app.entropy.array());
    let done: db::Result<()> = app.db.write(move |tx| {
        tx.execute(
            "INSERT INTO draft_order_records (id, store_id, number, token, status, unit, currency, total_price_minor,
                 shopify_draft_order_id, shopify_order_id, created_at)
             SELECT ?1, id, 1, ?1, 'ordered', 'mm', 'EUR', 1, 'gid://shopify/DraftOrder/1', 99, 0 FROM stores",
            [id.to_string()],
        )?;
        tx.execute(
            "INSERT INTO draft_order_lines (draft_order_id, position, matrix_name, product_id, product_title, label, width,
                 height, priced_width, priced_height, quantity, base_price_minor, unit_price_minor, total_price_minor)
             VALUES (?1, 0, 'm', 'p', 't', ?2, 1, 1, 1, 1, 1, 1, 1, 1), (?1, 1, 'm', 'p', 't', 'kept', 1, 1, 1, 1, 1, 1, 1, 1)",
            [id.to_string(), label.to_owned()],
        )?;
        Ok(())
    });
    done.expect("written");
}

#[test]
fn a_label_that_was_forgotten_since_the_backup_stays_forgotten() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    order(&app, "marked-label");
    house.back_up();
    house.pass_a_minute();
    let event = WebhookEvent::CustomersRedact { customer_id: Some(7), orders_to_redact: Some(vec![99]) };
    deliver(&app, Topic::CustomersRedact, event, "one", "redact");
    assert!(run_all(&app) > 0);
    app.scrubber().scrub_all().expect("scrubbed");
    assert_eq!(one::<u64>(&app, "SELECT count(*) FROM draft_order_lines WHERE label IS NOT NULL"), 0);
    // What a shopper writes later is no concern of it.
    let later: db::Result<usize> =
        app.db.write(|tx| Ok(tx.execute("UPDATE draft_order_lines SET label = 'kept' WHERE position = 1", ())?));
    later.expect("written");
    drop(app);
    assert!(holds(&house.path("backup.db"), "marked-label"), "the backup has it");
    assert_eq!(house.restore().expect("restored").labels, 1);
    assert!(!holds(&house.database(), "marked-label"));
    let app = house.open();
    assert_eq!(one::<String>(&app, "SELECT group_concat(label) FROM draft_order_lines"), "kept");
    assert_clean(&app);
}

/// A job that waits for long and says something of a shop.
fn enqueue_note(app: &quotegrid::app::App, payload: serde_json::Value) {
    let job = NewJob::new("note", payload).scheduled_at(app.clock.now() + std::time::Duration::from_secs(86_400_000));
    app.enqueue(job).expect("enqueued");
}

#[test]
fn jobs_about_a_shop_that_was_erased_since_the_backup_and_had_no_store_in_it_say_nothing_of_it_again() {
    for is_pruned in [false, true] {
        let house = House::new();
        let app = house.open();
        install(&app, "stays");
        enqueue_note(&app, json!({ "shop": "stays.myshopify.com" }));
        enqueue_note(&app, json!({ "shop": "gone.myshopify.com", "note": "private-note" }));
        house.back_up();
        house.pass_a_minute();
        erase(&app, "gone");
        if is_pruned {
            app.db.write(|tx| -> db::Result<_> { Ok(tx.execute("DELETE FROM gdpr_requests", ())?) }).expect("pruned");
        }
        drop(app);
        assert_eq!(house.restore().expect("restored").erased_again, 0, "there is no store to erase");
        assert!(!holds(&house.database(), "private-note"), "pruned: {is_pruned}");
        let app = house.open();
        let notes =
            "SELECT group_concat(status || ' ' || payload, ', ' ORDER BY status) FROM job_queue WHERE type = 'note'";
        assert_eq!(one::<String>(&app, notes), r#"cancelled {}, pending {"shop":"stays.myshopify.com"}"#);
        assert_clean(&app);
    }
}

#[test]
fn a_job_that_names_a_shop_elsewhere_forgets_it_again_in_a_backup_from_before_the_erasure() {
    let house = House::new();
    let app = house.open();
    enqueue_note(&app, json!({ "of": "gone.myshopify.com" }));
    house.back_up();
    house.pass_a_minute();
    erase(&app, "gone");
    drop(app);
    house.restore().expect("restored");
    let app = house.open();
    assert_eq!(one::<String>(&app, "SELECT payload FROM job_queue WHERE type = 'note'"), r#"{"of":"erased-shop"}"#);
    assert_clean(&app);
}

#[test]
fn a_job_about_a_shop_whose_erasure_was_closed_in_the_backup_and_counted_as_done_after_it_says_nothing_of_it_again() {
    let house = House::new();
    let app = house.open();
    deliver(&app, Topic::ShopRedact, WebhookEvent::ShopRedact, "gone", "1");
    let worker = app.worker().expect("a worker");
    while worker.step().expect("a working database") != StepOutcome::Idle {}
    drop(worker);
    enqueue_note(&app, json!({ "shop": "gone.myshopify.com", "note": "private-note" }));
    house.back_up();
    app.scrubber().scrub_all().expect("scrubbed");
    drop(app);
    house.restore().expect("restored");
    assert!(!holds(&house.database(), "private-note"));
    let app = house.open();
    assert_eq!(one::<u64>(&app, "SELECT count(*) FROM erasure_receipts"), 2);
    assert_clean(&app);
}

#[test]
fn a_job_about_a_shop_that_was_installed_again_before_the_backup_comes_back_as_it_was() {
    let house = House::new();
    let app = house.open();
    deliver(&app, Topic::ShopRedact, WebhookEvent::ShopRedact, "again", "1");
    let worker = app.worker().expect("a worker");
    while worker.step().expect("a working database") != StepOutcome::Idle {}
    drop(worker);
    house.pass_a_minute();
    install(&app, "again");
    enqueue_note(&app, json!({ "shop": "again.myshopify.com" }));
    house.back_up();
    // Counts as done after the backup only.
    app.scrubber().scrub_all().expect("scrubbed");
    drop(app);
    assert_eq!(house.restore().expect("restored").erased_again, 0);
    let app = house.open();
    let note = "SELECT status || ' ' || payload FROM job_queue WHERE type = 'note'";
    assert_eq!(one::<String>(&app, note), r#"pending {"shop":"again.myshopify.com"}"#);
    assert!(has_store(&app, "again"));
    assert_clean(&app);
}
