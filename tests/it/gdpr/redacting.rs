//! What a shop's redaction deletes and what it stamps, however often it is asked for or cut off.

use super::{CHILDREN, counts, demo_store, load, request, shop, small_store};
use crate::support::plans::plan;
use quotegrid::catalog::stores;
use quotegrid::db::RowCounts;
use quotegrid::erasure::requests::{RequestKind, RequestOutcome};
use quotegrid::error::Error;
use quotegrid::queue::{Status, StepOutcome};
use quotegrid::testing::Fixture;
use serde_json::json;
use std::time::Duration;

#[test]
fn redacting_a_shop_deletes_its_rows_in_every_table_and_leaves_other_shops_untouched() {
    let fixture = Fixture::new();
    small_store(&fixture, "other");
    let before = counts(&fixture);
    let demo = demo_store(&fixture);
    let full = counts(&fixture);
    let held: Vec<u64> = full.iter().zip(&before).map(|(full, before)| full - before).collect();
    assert!(held.iter().all(|rows| *rows > 0), "the demo store has rows in every table: {held:?}");
    fixture.advance(Duration::from_secs(1));
    let (id, job) = request(&fixture, &demo.shop, RequestKind::ShopRedact, fixture.now());
    assert_eq!(fixture.run_next(), StepOutcome::Ran { id: job, job_type: "shop_redact".to_owned(), error: None });
    assert_eq!(counts(&fixture), before);
    assert_eq!(fixture.query::<String>("SELECT group_concat(shop) FROM stores"), "other.myshopify.com");
    let request = load(&fixture, id);
    assert_eq!((request.outcome, request.processed_at), (Some(RequestOutcome::Erased), Some(fixture.now())));
    assert_eq!(request.erased_at, Some(fixture.now()), "the command scrubs in the same breath");
    let mut expected = RowCounts::default();
    expected.add("stores", 1);
    for (table, rows) in CHILDREN.iter().zip(held) {
        expected.add(table, usize::try_from(rows).expect("small"));
    }
    assert_eq!(request.deleted, expected);
}

#[test]
fn a_single_delete_of_the_store_cascades_to_every_table_below_it() {
    let fixture = Fixture::new();
    demo_store(&fixture);
    assert!(counts(&fixture).iter().all(|rows| *rows > 0));
    let deleted: quotegrid::db::Result<usize> = fixture.app.db.write(|tx| Ok(tx.execute("DELETE FROM stores", ())?));
    assert_eq!(deleted.expect("writable"), 1);
    assert_eq!(counts(&fixture), [0; 12]);
}

#[test]
fn only_the_right_requests_are_stamped() {
    let fixture = Fixture::new();
    let (a, b) = (small_store(&fixture, "a"), small_store(&fixture, "b"));
    fixture.advance(Duration::from_secs(1));
    let now = fixture.now();
    let (redact_a, job) = request(&fixture, &a, RequestKind::ShopRedact, now);
    let (redact_b, _) = request(&fixture, &b, RequestKind::ShopRedact, now);
    let (customer_a, _) = request(&fixture, &a, RequestKind::CustomersRedact, now);
    let (data_a, _) = request(&fixture, &a, RequestKind::CustomersDataRequest, now);
    assert!(matches!(fixture.run_next(), StepOutcome::Ran { id, .. } if id == job));
    assert_eq!(load(&fixture, redact_a).outcome, Some(RequestOutcome::Erased));
    for id in [redact_b, customer_a, data_a] {
        assert_eq!(load(&fixture, id).processed_at, None);
    }
    assert_eq!(fixture.run_jobs(), 3, "the others still know what to do");
    assert_eq!(load(&fixture, redact_b).outcome, Some(RequestOutcome::Erased));
    assert_eq!(load(&fixture, customer_a).outcome, Some(RequestOutcome::Acknowledged));
    assert_eq!(load(&fixture, data_a).outcome, Some(RequestOutcome::Reported));
}

#[test]
fn a_job_enqueued_by_hand_with_only_a_shop_stamps_all_its_open_requests() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    fixture.advance(Duration::from_secs(1));
    let (first, first_job) = request(&fixture, &a, RequestKind::ShopRedact, fixture.now());
    let (second, second_job) = request(&fixture, &a, RequestKind::ShopRedact, fixture.now());
    let (other, _) = request(&fixture, &shop("b"), RequestKind::ShopRedact, fixture.now());
    let by_hand = fixture.enqueue("shop_redact", json!({ "shop": "a.myshopify.com" }));
    // As if the requests' own jobs were not there.
    fixture
        .app
        .db
        .write(move |tx| -> quotegrid::db::Result<()> {
            tx.execute(
                "UPDATE job_queue SET scheduled_at = scheduled_at + 1, turn_at = NULL WHERE id <> ?1",
                [by_hand.to_string()],
            )?;
            Ok(())
        })
        .expect("writable");
    assert!(matches!(fixture.run_next(), StepOutcome::Ran { id, error: None, .. } if id == by_hand));
    assert_eq!(load(&fixture, first).deleted.of("stores"), 1);
    assert_eq!(
        (load(&fixture, second).outcome, load(&fixture, second).deleted.is_empty()),
        (Some(RequestOutcome::Erased), true)
    );
    assert_eq!(load(&fixture, other).processed_at, None, "another shop's");
    assert_eq!(fixture.job(by_hand).payload, json!({}));
    fixture.advance(Duration::from_millis(1));
    fixture.run_jobs();
    for id in [first_job, second_job] {
        assert_eq!(fixture.job(id).status, Status::Completed, "a request that is fulfilled already is no fault");
    }
}

#[test]
fn an_erasure_without_a_request_writes_one_as_its_record() {
    let fixture = Fixture::new();
    small_store(&fixture, "a");
    fixture.enqueue("shop_redact", json!({ "shop": "A.myshopify.com" }));
    assert_eq!(fixture.run_jobs(), 1);
    assert_eq!(fixture.count("stores"), 0);
    assert_eq!(fixture.query::<String>("SELECT outcome FROM gdpr_requests WHERE erased_at IS NOT NULL"), "erased");
    assert_eq!(fixture.count("erasure_receipts"), 2);
}

#[test]
fn an_unknown_shop_ends_as_nothing_held_with_its_receipt() {
    let fixture = Fixture::new();
    let (id, _) = request(&fixture, &shop("stranger"), RequestKind::ShopRedact, fixture.now());
    fixture.run_jobs();
    assert_eq!(load(&fixture, id).outcome, Some(RequestOutcome::NothingHeld));
    assert!(load(&fixture, id).erased_at.is_some());
    assert_eq!(
        fixture.query::<String>("SELECT group_concat(kind || ' ' || outcome) FROM erasure_receipts"),
        "erased nothing_held,verified nothing_held"
    );
}

#[test]
fn a_payload_that_names_no_shop_fails_for_good_and_erases_nothing() {
    let fixture = Fixture::new();
    small_store(&fixture, "a");
    for payload in [json!({}), json!({ "shop": 7 }), json!({ "shop": "a" }), json!(null), json!({ "requestId": "x" })] {
        let id = fixture.enqueue("shop_redact", payload.clone());
        fixture.run_jobs();
        assert_eq!((fixture.job(id).status, fixture.job(id).attempts), (Status::Failed, 1), "{payload}");
    }
    assert_eq!(fixture.count("stores"), 1);
}

#[test]
fn an_erasure_goes_on_after_a_crash_and_counts_every_row_once() {
    let fixture = Fixture::new();
    let demo = demo_store(&fixture);
    let held = counts(&fixture);
    // Half of it was deleted by a worker that died: the counts are on the store's row.
    let shop = demo.shop.clone();
    let now = fixture.now();
    let begun: Result<(), Error> = fixture.app.db.write(move |tx| {
        let stores::Erasing::Store(store) = stores::begin_erasure(tx, now, &shop, now)? else { panic!("it is there") };
        for _ in 0..4 {
            let deleted = quotegrid::catalog::delete_some(tx, store, 300)?;
            stores::note_erased(tx, store, &deleted)?;
        }
        Ok(())
    });
    begun.expect("writable");
    assert_ne!(counts(&fixture), held);
    let (id, _) = request(&fixture, &demo.shop, RequestKind::ShopRedact, fixture.now());
    fixture.run_jobs();
    let deleted: Vec<u64> = CHILDREN.iter().map(|table| load(&fixture, id).deleted.of(table)).collect();
    assert_eq!(deleted, held);
}

#[test]
fn two_requests_of_one_shop_at_the_same_time_erase_it_once() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let ids = [(); 4].map(|()| request(&fixture, &demo.shop, RequestKind::ShopRedact, fixture.now()).0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| fixture.app.worker().expect("a worker").step().expect("a working database"));
        }
    });
    while fixture.query::<u64>("SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL") > 0 {
        fixture.advance(Duration::from_secs(60));
        fixture.run_jobs();
    }
    let erased: u64 = ids.iter().map(|id| load(&fixture, *id).deleted.of("stores")).sum();
    let cells: u64 = ids.iter().map(|id| load(&fixture, *id).deleted.of("matrix_cells")).sum();
    assert_eq!((erased, cells), (1, 1_390));
    assert_eq!(fixture.count("stores"), 0);
}

#[test]
fn all_jobs_of_an_erased_shop_lose_their_payloads() {
    let fixture = Fixture::new();
    small_store(&fixture, "a");
    let unknown = fixture.enqueue("nobody-knows", json!({ "shop": "a.myshopify.com", "note": "private" }));
    fixture.run_next();
    let by_hand = fixture.enqueue("shop_redact", json!({ "shop": "a.myshopify.com" }));
    fixture.run_jobs();
    assert_eq!((fixture.job(unknown).status, fixture.job(unknown).payload), (Status::Cancelled, json!({})));
    assert_eq!((fixture.job(by_hand).status, fixture.job(by_hand).payload), (Status::Completed, json!({})));
}

#[test]
fn erasure_finds_its_rows_by_index() {
    let fixture = Fixture::new();
    for sql in [
        "DELETE FROM matrix_cells WHERE matrix_id = 'm' AND (height_position, width_position) < (1, 1)",
        "DELETE FROM breakpoints WHERE matrix_id = 'm'",
        "SELECT id FROM price_matrices WHERE store_id = 's' LIMIT 1",
        "SELECT id FROM option_groups WHERE store_id = 's' LIMIT 1",
        "DELETE FROM option_choices WHERE option_group_id = 'g'",
        "SELECT id FROM draft_order_records WHERE store_id = 's' LIMIT 1",
        "DELETE FROM draft_order_lines WHERE draft_order_id = 'o'",
        "SELECT product_id FROM product_settings WHERE store_id = 's' LIMIT 1",
        "SELECT store_id, product_id FROM product_matrices WHERE store_id = 's' LIMIT 1",
        "SELECT id FROM (SELECT id, subject FROM job_queue WHERE id > 'j' ORDER BY id DESC LIMIT 9) WHERE subject = 's'",
        "SELECT id FROM gdpr_requests WHERE shop = 's' AND type = 'SHOP_REDACT' AND processed_at IS NULL",
        "SELECT id FROM gdpr_requests WHERE type = 'SHOP_REDACT' AND processed_at IS NOT NULL AND erased_at IS NULL
             AND outcome <> 'superseded_by_reinstall' AND outcome <> 'still_installed' AND outcome <> 'rejected' ORDER BY processed_at LIMIT 10",
        "SELECT 1 FROM erasure_receipts WHERE subject_hash = x'00' AND type = 'SHOP_REDACT'",
    ] {
        let plan = plan(&fixture, sql);
        let searched = plan.contains("SEARCH") || plan.contains("gdpr_requests_to_scrub");
        assert!(searched && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
    for sql in [
        "SELECT id FROM gdpr_requests INDEXED BY gdpr_requests_open WHERE processed_at IS NULL AND shop = 's' AND type = 't'",
        "SELECT id FROM gdpr_requests INDEXED BY gdpr_requests_shop WHERE processed_at IS NOT NULL AND shop = 's' AND id < 'r'",
        "SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL",
    ] {
        let plan = plan(&fixture, sql);
        assert!(plan.contains("COVERING INDEX"), "no row is read of the requests of others: {sql}: {plan}");
    }
    // A cascade looks children up by their foreign key: each must be the beginning of an index.
    let unindexed: Option<String> = fixture.query(
        "SELECT group_concat(t.name || '.' || f.\"from\") FROM pragma_table_list AS t, pragma_foreign_key_list(t.name) AS f
         WHERE f.seq = 0 AND NOT EXISTS (
             SELECT 1 FROM pragma_index_list(t.name) AS i, pragma_index_info(i.name) AS c
             WHERE c.seqno = 0 AND c.name = f.\"from\")",
    );
    assert_eq!(unindexed, None);
}
