//! Erasure: what goes, what stays, who is stamped, and the proof.

use chrono::{DateTime, TimeDelta, Utc};
use quotegrid::catalog::{keys, matrices, options, stores};
use quotegrid::db::{self, RowCounts};
use quotegrid::demo::DemoStore;
use quotegrid::domain::ids::{ChoiceId, JobId, MatrixId, OptionGroupId, RequestId, ShopDomain};
use quotegrid::domain::length::{Length, Unit};
use quotegrid::domain::matrix::{Limits, Outside, PriceMatrix};
use quotegrid::domain::money::{Currency, Minor};
use quotegrid::domain::options::{Modifier, Requirement};
use quotegrid::erasure::requests::{self, NewRequest, Outcome, Request, RequestKind};
use quotegrid::erasure::scrub::Scrubbed;
use quotegrid::erasure::{self, receipts, verify};
use quotegrid::error::{Error, Kind};
use quotegrid::queue::{NewJob, Status, Step};
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Every table that hangs below a store.
const CHILDREN: [&str; 10] = [
    "api_keys",
    "price_matrices",
    "breakpoints",
    "matrix_cells",
    "product_matrices",
    "option_groups",
    "option_choices",
    "product_option_groups",
    "draft_order_records",
    "order_idempotency_keys",
];

fn shop(name: &str) -> ShopDomain {
    format!("{name}.myshopify.com").parse().expect("a shop domain")
}

fn euro() -> Currency {
    "EUR".parse().expect("a currency")
}

/// The demo store, as if each of its orders had come with a key.
fn demo_store(fixture: &Fixture) -> DemoStore {
    let demo = fixture.demo_store();
    let done: quotegrid::db::Result<usize> = fixture.app.db.write(|tx| {
        Ok(tx.execute(
            "INSERT INTO order_idempotency_keys
             SELECT store_id, randomblob(32), zeroblob(32), id, created_at FROM draft_order_records",
            (),
        )?)
    });
    assert!(done.expect("written") > 0);
    demo
}

/// A store with one small matrix and one option group.
fn small_store(fixture: &Fixture, name: &str) -> ShopDomain {
    let (entropy, now, shop) = (fixture.app.entropy.clone(), fixture.now(), shop(name));
    let wanted = shop.clone();
    let done: Result<(), Error> = fixture.app.db.write(move |tx| {
        let scope = stores::install(tx, now, entropy.as_ref(), &wanted, euro(), Unit::Mm)?.scope();
        keys::issue(tx, now, entropy.as_ref(), scope.store, None)?;
        let step = |thousandths| Length::from_thousandths(thousandths).expect("a length");
        let matrix = PriceMatrix::new(
            &[step(100_000)],
            &[step(100_000), step(200_000)],
            &[vec![Some(Minor::new(100))], vec![None]],
            Outside::Reject,
            Limits::default(),
        );
        let (name, matrix) = ("small".parse().expect("a name"), matrix.expect("sound"));
        matrices::insert(tx, now, MatrixId::new(now, entropy.array()), scope, &name, &matrix)?;
        let choice = options::NewChoice {
            id: ChoiceId::new(now, entropy.array()),
            label: "choice".parse().expect("a name"),
            modifier: Modifier::Fixed(Minor::ZERO),
            is_default: false,
        };
        let group = options::NewGroup {
            name: "group".parse().expect("a name"),
            requirement: Requirement::Optional,
            choices: vec![choice],
        };
        options::insert(tx, now, OptionGroupId::new(now, entropy.array()), scope, &group)?;
        Ok(())
    });
    done.expect("writable");
    shop
}

/// Writes a request and its job, as a webhook does.
fn request(fixture: &Fixture, shop: &ShopDomain, kind: RequestKind, triggered_at: DateTime<Utc>) -> (RequestId, JobId) {
    let app = fixture.app.clone();
    let (now, shop) = (fixture.now(), shop.clone());
    let written: Result<_, Error> = fixture.app.db.write(move |tx| {
        let id = RequestId::new(now, app.entropy.array());
        let payload = match kind {
            RequestKind::CustomersRedact => json!({ "customerId": 191_167, "ordersToRedact": [299_938, 280_263] }),
            RequestKind::CustomersDataRequest => json!({ "dataRequestId": 9_999 }),
            RequestKind::ShopRedact => json!({}),
        };
        let new = NewRequest { shop: shop.clone(), kind, payload, webhook_id: Some(id.to_string()), triggered_at };
        requests::insert(tx, id, now, &new)?;
        let job_type = match kind {
            RequestKind::CustomersRedact => erasure::CUSTOMER_REDACT,
            RequestKind::CustomersDataRequest => erasure::CUSTOMERS_DATA_REQUEST,
            RequestKind::ShopRedact => erasure::SHOP_REDACT,
        };
        let payload = json!({ "shop": shop.as_str(), "requestId": id.to_string() });
        let job = NewJob::new(job_type, payload).about(erasure::subject(&app.hasher, &shop));
        let job = app.queue.enqueue(tx, now, job)?;
        Ok((id, job))
    });
    written.expect("writable")
}

fn load(fixture: &Fixture, id: RequestId) -> Request {
    fixture.app.db.read(|connection| requests::find(connection, id)).expect("readable").expect("the request exists")
}

fn counts(fixture: &Fixture) -> Vec<u64> {
    CHILDREN.iter().map(|table| fixture.count(table)).collect()
}

fn verification(fixture: &Fixture) -> verify::Verification {
    let program = Path::new(env!("CARGO_BIN_EXE_quotegrid"));
    verify::verify(&fixture.app.db, &fixture.app.hasher, program).expect("verifiable")
}

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
    assert_eq!(fixture.run_next(), Step::Ran { id: job, job_type: "shop_redact".to_owned(), error: None });
    assert_eq!(counts(&fixture), before);
    assert_eq!(fixture.query::<String>("SELECT group_concat(shop) FROM stores"), "other.myshopify.com");
    let request = load(&fixture, id);
    assert_eq!((request.outcome, request.processed_at), (Some(Outcome::Erased), Some(fixture.now())));
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
    assert_eq!(counts(&fixture), [0; 10]);
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
    assert!(matches!(fixture.run_next(), Step::Ran { id, .. } if id == job));
    assert_eq!(load(&fixture, redact_a).outcome, Some(Outcome::Erased));
    for id in [redact_b, customer_a, data_a] {
        assert_eq!(load(&fixture, id).processed_at, None);
    }
    assert_eq!(fixture.run_jobs(), 3, "the others still know what to do");
    assert_eq!(load(&fixture, redact_b).outcome, Some(Outcome::Erased));
    assert_eq!(load(&fixture, customer_a).outcome, Some(Outcome::Acknowledged));
    assert_eq!(load(&fixture, data_a).outcome, Some(Outcome::Reported));
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
            tx.execute("UPDATE job_queue SET scheduled_at = scheduled_at + 1 WHERE id <> ?1", [by_hand.to_string()])?;
            Ok(())
        })
        .expect("writable");
    assert!(matches!(fixture.run_next(), Step::Ran { id, error: None, .. } if id == by_hand));
    assert_eq!(load(&fixture, first).deleted.of("stores"), 1);
    assert_eq!(
        (load(&fixture, second).outcome, load(&fixture, second).deleted.is_empty()),
        (Some(Outcome::Erased), true)
    );
    assert_eq!(load(&fixture, other).processed_at, None);
    assert_eq!(fixture.job(by_hand).payload, json!({}));
    fixture.advance(Duration::from_millis(1));
    fixture.run_jobs();
    for id in [first_job, second_job] {
        assert_eq!(fixture.job(id).status, Status::Completed, "a request that is fulfilled already is no fault");
    }
}

#[test]
fn an_erasure_without_a_request_writes_one_so_that_none_is_without_record() {
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
    assert_eq!(load(&fixture, id).outcome, Some(Outcome::NothingHeld));
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
fn a_store_installed_again_after_the_event_is_not_erased_by_it() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    let triggered_at = fixture.advance(Duration::from_secs(10));
    let marked = {
        let (a, now) = (a.clone(), fixture.now());
        fixture.app.db.write(move |tx| stores::mark_uninstalled(tx, &a, now, now))
    };
    assert!(marked.expect("writable"));
    fixture.advance(Duration::from_secs(10));
    small_store_again(&fixture, &a);
    let before = counts(&fixture);
    let (late, _) = request(&fixture, &a, RequestKind::ShopRedact, triggered_at);
    fixture.run_jobs();
    assert_eq!(load(&fixture, late).outcome, Some(Outcome::SupersededByReinstall));
    assert_eq!(load(&fixture, late).erased_at, None, "nothing was erased");
    assert_eq!((counts(&fixture), fixture.count("erasure_receipts")), (before, 0));
    // An event of the new installation is obeyed.
    let (new, _) = request(&fixture, &a, RequestKind::ShopRedact, fixture.now());
    fixture.run_jobs();
    assert_eq!(load(&fixture, new).outcome, Some(Outcome::Erased));
}

fn small_store_again(fixture: &Fixture, shop: &ShopDomain) {
    let (entropy, now, shop) = (fixture.app.entropy.clone(), fixture.now(), shop.clone());
    let installed = fixture.app.db.write(move |tx| stores::install(tx, now, entropy.as_ref(), &shop, euro(), Unit::Mm));
    assert!(matches!(installed, Ok(stores::Installed::Again(_))));
}

#[test]
fn a_late_uninstall_does_not_touch_a_newer_installation() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    let now = fixture.now();
    let before_it = now - TimeDelta::milliseconds(1);
    let marked = fixture.app.db.write(move |tx| stores::mark_uninstalled(tx, &a, before_it, now));
    assert!(!marked.expect("writable"));
}

#[test]
fn a_shop_cannot_be_installed_while_it_is_being_erased() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    let (entropy, now) = (fixture.app.entropy.clone(), fixture.now());
    let refused = fixture.app.db.write(move |tx| -> Result<(), Error> {
        stores::begin_erasure(tx, now, &a, now)?;
        let error = stores::install(tx, now, entropy.as_ref(), &a, euro(), Unit::Mm).expect_err("it is being erased");
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(error.retry_after().is_some());
        Err(error)
    });
    assert!(refused.is_err());
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
fn customer_redact_forgets_the_ids_that_came_with_it() {
    let fixture = Fixture::new();
    let (id, job) = request(&fixture, &shop("a"), RequestKind::CustomersRedact, fixture.now());
    let payload = |fixture: &Fixture| fixture.query::<String>("SELECT payload FROM gdpr_requests");
    assert!(payload(&fixture).contains("191167"));
    fixture.run_jobs();
    assert_eq!(load(&fixture, id).outcome, Some(Outcome::Acknowledged));
    assert_eq!(payload(&fixture), "{}");
    assert_eq!(fixture.job(job).payload, json!({ "requestId": id.to_string() }));
    assert!(load(&fixture, id).erased_at.is_some());
}

#[test]
fn a_data_request_ends_in_a_report_that_names_no_customer() {
    let fixture = Fixture::new();
    let (id, _) = request(&fixture, &shop("a"), RequestKind::CustomersDataRequest, fixture.now());
    fixture.run_jobs();
    let report: Value =
        fixture.app.db.read(|connection| requests::find_report(connection, id)).expect("readable").expect("a report");
    assert_eq!((&report["dataRequestId"], &report["customerDataHeld"]), (&json!(9_999), &json!([])));
}

#[test]
fn what_a_data_request_came_with_is_gone_from_the_files_when_it_is_stamped_and_no_receipt_claims_an_erasure() {
    let fixture = Fixture::new();
    let (id, _) = request(&fixture, &shop("a"), RequestKind::CustomersDataRequest, fixture.now());
    // In the report the number stands between others.
    let came_with = r#"{"dataRequestId":9999}"#;
    let worker = fixture.app.worker().expect("a worker");
    assert_ne!(worker.step().expect("a working database"), Step::Idle);
    assert!(files_hold(&fixture, came_with), "the search finds what the WAL still holds");
    assert_eq!(load(&fixture, id).erased_at, None);
    fixture.advance(Duration::from_secs(1));
    assert_eq!(fixture.app.scrubber().scrub().expect("it works"), Scrubbed::Erased(1));
    assert!(!files_hold(&fixture, came_with));
    let stamped = load(&fixture, id);
    assert_eq!((stamped.outcome, stamped.erased_at), (Some(Outcome::Reported), Some(fixture.now())));
    assert!(fixture.app.db.read(|connection| requests::find_report(connection, id)).expect("readable").is_some());
    assert_eq!(fixture.count("erasure_receipts"), 0);
}

/// Whether the bytes of the database or its WAL hold a text, searched in a process of its own: closing the file here would drop
/// SQLite's locks.
fn files_hold(fixture: &Fixture, text: &str) -> bool {
    let (database, mut wal) = (fixture.database(), fixture.database().into_os_string());
    wal.push("-wal");
    let mut search = std::process::Command::new("grep");
    let found = search.args(["-qaF", "-e", text]).arg(database).arg(wal).status().expect("grep runs");
    found.success()
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
fn receipts_form_a_chain_two_a_request_and_cannot_be_changed() {
    let fixture = Fixture::new();
    for name in ["a", "b", "c"] {
        small_store(&fixture, name);
        fixture.enqueue("shop_redact", json!({ "shop": shop(name).as_str() }));
        fixture.run_jobs();
    }
    let chain = fixture.app.db.read(receipts::walk).expect("readable");
    assert_eq!((chain.receipts, chain.broken_at), (6, None));
    for sql in ["UPDATE erasure_receipts SET outcome = 'x'", "DELETE FROM erasure_receipts"] {
        let refused: quotegrid::db::Result<usize> = fixture.app.db.write(move |tx| Ok(tx.execute(sql, ())?));
        assert!(refused.is_err(), "{sql}");
    }
    for (sql, broken_at) in [
        ("UPDATE erasure_receipts SET counts = '{}' WHERE sequence = 3", 3),
        ("UPDATE erasure_receipts SET sequence = 10 WHERE sequence = 2", 3),
        ("DELETE FROM erasure_receipts WHERE sequence = 4", 5),
        ("UPDATE erasure_receipts SET previous_hash = zeroblob(32) WHERE sequence = 2", 2),
    ] {
        assert_eq!(broken_after(&fixture, sql), Some(broken_at), "{sql}");
    }
}

/// Where the chain is broken after someone with the file in hand has run `sql`, which is undone again.
fn broken_after(fixture: &Fixture, sql: &'static str) -> Option<i64> {
    let tampered: Result<(), Error> = fixture.app.db.write(move |tx| {
        tx.execute_batch(
            "DROP TRIGGER erasure_receipts_are_never_changed; DROP TRIGGER erasure_receipts_are_never_deleted",
        )
        .map_err(Error::from)?;
        tx.execute(sql, ()).map_err(Error::from)?;
        let broken = receipts::walk(tx)?.broken_at.map(|(sequence, _)| sequence);
        Err(Error::new(Kind::Internal, broken.map(|sequence| sequence.to_string()).unwrap_or_default()))
    });
    tampered.expect_err("it is undone").to_string().parse().ok()
}

#[test]
fn a_receipt_names_neither_shop_nor_person() {
    let fixture = Fixture::new();
    small_store(&fixture, "telltale");
    fixture.enqueue("shop_redact", json!({ "shop": "telltale.myshopify.com" }));
    fixture.run_jobs();
    let found = fixture.app.db.read(|connection| receipts::list_after(connection, 0, 10)).expect("readable");
    assert!(!format!("{found:?}").contains("telltale"));
    let plain = <sha2::Sha256 as sha2::Digest>::digest("telltale.myshopify.com");
    assert!(found.iter().all(|receipt| receipt.subject_hash[..] != plain[..]), "a plain hash confirms a guess");
}

#[test]
fn verification_finds_no_leftovers_after_an_erasure_and_each_kind_that_is_planted() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    small_store(&fixture, "alive");
    fixture.enqueue("shop_redact", json!({ "shop": demo.shop.as_str() }));
    fixture.run_jobs();
    let clean = verification(&fixture);
    assert!(clean.is_ok(), "{clean:?}");
    assert_eq!(clean.chain.receipts, 2);
    for (name, plant, place) in [
        (
            "a finished job that names the shop",
            "UPDATE job_queue SET payload = '{\"shop\":\"demo-store.myshopify.com\"}'",
            "job_queue",
        ),
        (
            "a finished job that names a person",
            "UPDATE job_queue SET payload = '{\"note\":\"jo@example.invalid\"}'",
            "job_queue",
        ),
        (
            "the shop in a table where it may not be",
            "INSERT INTO meta (name, value) VALUES ('demo-store.myshopify.com', x'00')",
            "wal",
        ),
        (
            "the shop after other text in the same column",
            "INSERT INTO meta (name, value) VALUES ('x1-demo-store.myshopify.com', x'00')",
            "wal",
        ),
    ] {
        let planted: quotegrid::db::Result<()> = fixture.app.db.write(move |tx| Ok(tx.execute_batch(plant)?));
        planted.expect("writable");
        let found = verification(&fixture);
        assert!(found.leftovers.iter().any(|leftover| leftover.place == place), "{name}: {found:?}");
        assert!(!found.is_ok());
        assert!(!format!("{found:?}").contains("demo-store"), "a finding does not name the shop again");
        let undone: quotegrid::db::Result<()> = fixture.app.db.write(move |tx| {
            tx.execute_batch("UPDATE job_queue SET payload = '{}'; DELETE FROM meta WHERE name LIKE '%myshopify.com'")?;
            Ok(())
        });
        undone.expect("writable");
        assert!(fixture.app.db.empty_wal(Duration::from_secs(60)).expect("it works"));
        let clean = verification(&fixture);
        assert!(clean.is_ok(), "after {name}: {clean:?}");
    }
}

#[test]
fn a_living_shop_whose_name_ends_like_an_erased_one_is_no_leftover() {
    let fixture = Fixture::new();
    small_store(&fixture, "glass");
    small_store(&fixture, "bestglass");
    fixture.enqueue("shop_redact", json!({ "shop": "glass.myshopify.com" }));
    fixture.run_jobs();
    let found = verification(&fixture);
    assert!(found.is_ok(), "{found:?}");
    // Installed again, it is no leftover either.
    small_store(&fixture, "glass");
    assert!(verification(&fixture).is_ok());
}

#[test]
fn the_scrub_stamps_all_that_wait_with_one_emptying_of_the_wal() {
    let fixture = Fixture::new();
    for number in 0..250 {
        request(&fixture, &shop(&format!("s{number}")), RequestKind::CustomersRedact, fixture.now());
    }
    let worker = fixture.app.worker().expect("a worker");
    while worker.step().expect("a working database") != Step::Idle {}
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM gdpr_requests WHERE processed_at IS NOT NULL"), 250);
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM gdpr_requests WHERE erased_at IS NOT NULL"), 0);
    assert_eq!(fixture.app.scrubber().scrub().expect("it works"), Scrubbed::Erased(250));
    assert_eq!(fixture.app.scrubber().scrub().expect("it works"), Scrubbed::Nothing);
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM gdpr_requests WHERE erased_at IS NOT NULL"), 250);
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM erasure_receipts WHERE kind = 'verified'"), 250);
}

#[test]
fn an_erasure_reaches_what_a_change_about_the_shop_wrote_before_it_was_rolled_back() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let title_all = |tx: &db::Tx<'_>, mark: &str, times: usize| -> db::Result<usize> {
        Ok(tx.execute(
            "UPDATE product_matrices SET product_title = replace(hex(zeroblob(?2)), '00', ?1)",
            (mark, times),
        )?)
    };
    // Long titles that are short again leave free pages, and a change that fails writes into them.
    fixture.app.db.write(move |tx| title_all(tx, "Kept-Mark", 2_000)).expect("written");
    fixture.app.db.write(move |tx| title_all(tx, "Kept-Mark", 1)).expect("written");
    let failed = fixture.app.db.write(move |tx| {
        title_all(tx, "Rolled-Back-Mark", 2_000)?;
        Err::<(), _>(Error::new(Kind::Conflict, "changed my mind"))
    });
    assert!(failed.is_err());
    let marks = || {
        fixture.app.db.empty_wal(Duration::from_secs(60)).expect("no fault");
        let grep =
            std::process::Command::new("grep").args(["-ac", "Rolled-Back-Mark"]).arg(fixture.app.db.path()).output();
        String::from_utf8(grep.expect("grep").stdout).expect("a number").trim().parse::<usize>().expect("a number")
    };
    assert!(marks() > 0, "SQLite leaves it in free pages");
    request(&fixture, &demo.shop, RequestKind::ShopRedact, fixture.now());
    fixture.run_jobs();
    fixture.app.scrubber().scrub_all().expect("it works");
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM gdpr_requests WHERE erased_at IS NOT NULL"), 1);
    assert_eq!(marks(), 0);
}

#[test]
fn the_background_erases_without_being_asked() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let background = fixture.app.start(2).expect("threads");
    let (id, _) = request(&fixture, &demo.shop, RequestKind::ShopRedact, fixture.now());
    while load(&fixture, id).erased_at.is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    background.stop(Duration::from_secs(60));
    assert_eq!(counts(&fixture), [0; 10]);
    assert!(verification(&fixture).is_ok());
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
fn erasure_finds_its_rows_by_index() {
    let fixture = Fixture::new();
    for sql in [
        "DELETE FROM matrix_cells WHERE matrix_id = 'm' AND (height_position, width_position) < (1, 1)",
        "DELETE FROM breakpoints WHERE matrix_id = 'm'",
        "SELECT id FROM price_matrices WHERE store_id = 's' LIMIT 1",
        "SELECT id FROM option_groups WHERE store_id = 's' LIMIT 1",
        "DELETE FROM option_choices WHERE option_group_id = 'g'",
        "SELECT rowid FROM draft_order_records WHERE store_id = 's' LIMIT 1",
        "SELECT store_id, product_id FROM product_matrices WHERE store_id = 's' LIMIT 1",
        "SELECT id, status, payload FROM job_queue WHERE subject = 's' AND id <> 'j'",
        "SELECT id FROM gdpr_requests WHERE shop = 's' AND type = 'SHOP_REDACT' AND processed_at IS NULL",
        "SELECT id FROM gdpr_requests WHERE processed_at IS NOT NULL AND erased_at IS NULL
             AND outcome <> 'superseded_by_reinstall' ORDER BY processed_at LIMIT 10",
        "SELECT 1 FROM erasure_receipts WHERE subject_hash = x'00' AND type = 'SHOP_REDACT'",
    ] {
        let plan: Vec<String> = fixture
            .app
            .db
            .read(|connection| -> quotegrid::db::Result<_> {
                let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let lines = statement.query_map((), |row| row.get("detail"))?.collect::<Result<_, _>>()?;
                Ok(lines)
            })
            .expect("a plan");
        let searched = plan.iter().any(|line| line.contains("SEARCH") || line.contains("gdpr_requests_to_scrub"));
        assert!(searched && !plan.iter().any(|line| line.contains("TEMP B-TREE")), "{sql}: {plan:?}");
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
