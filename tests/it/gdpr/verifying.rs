//! Whether erasure kept its word.

use super::{request, shop, small_store, verification};
use crate::support::command::{PROGRAM, program};
use quotegrid::app::{App, OpenError, Options};
use quotegrid::erasure::receipts::{self, Head};
use quotegrid::erasure::requests::RequestKind;
use quotegrid::erasure::verify;
use quotegrid::testing::Fixture;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

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

/// A database in which a shop was erased, another had nothing to erase, a customer was forgotten and one was reported on.
fn with_proofs() -> Fixture {
    let fixture = Fixture::new();
    small_store(&fixture, "a");
    fixture.advance(Duration::from_secs(1));
    for (name, kind) in [
        ("a", RequestKind::ShopRedact),
        ("b", RequestKind::ShopRedact),
        ("b", RequestKind::CustomersRedact),
        ("b", RequestKind::CustomersDataRequest),
    ] {
        request(&fixture, &shop(name), kind, fixture.now());
        fixture.run_jobs();
    }
    small_store(&fixture, "c");
    request(&fixture, &shop("c"), RequestKind::ShopRedact, fixture.now() - Duration::from_secs(60));
    fixture.run_jobs();
    fixture
}

fn tamper(fixture: &Fixture, sql: &'static str) {
    let done: quotegrid::db::Result<()> = fixture.app.db.write(move |tx| Ok(tx.execute_batch(sql)?));
    done.expect("writable");
}

/// Takes away what keeps receipts from being changed, as somebody with the file in hand does, and puts it back behind.
fn unguarded(fixture: &Fixture, sql: &'static str) {
    let done: quotegrid::db::Result<()> = fixture.app.db.write(move |tx| {
        let guards: Vec<String> = tx
            .prepare("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'erasure_receipts'")?
            .query_map((), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        tx.execute_batch(
            "DROP TRIGGER erasure_receipts_are_never_changed; DROP TRIGGER erasure_receipts_are_never_deleted",
        )?;
        tx.execute_batch(sql)?;
        Ok(tx.execute_batch(&guards.join(";"))?)
    });
    done.expect("writable");
}

#[test]
fn receipts_and_requests_that_do_not_say_the_same_are_found() {
    let clean = verification(&with_proofs());
    assert!(clean.is_ok(), "{clean:?}");
    assert_eq!(clean.chain.receipts, 6);
    for sql in [
        "DELETE FROM erasure_receipts",
        "DELETE FROM erasure_receipts WHERE sequence = 6",
        "DELETE FROM erasure_receipts WHERE sequence >= 5",
        "UPDATE gdpr_requests SET outcome = 'nothing_held' WHERE outcome = 'erased'",
        "UPDATE gdpr_requests SET outcome = 'superseded_by_reinstall' WHERE outcome = 'erased'",
        "UPDATE gdpr_requests SET outcome = 'reported' WHERE outcome = 'acknowledged'",
        "UPDATE gdpr_requests SET outcome = 'erased' WHERE outcome = 'superseded_by_reinstall'",
        "UPDATE gdpr_requests SET deleted = '{\"stores\":2}' WHERE outcome = 'erased'",
        "UPDATE gdpr_requests SET erased_at = NULL WHERE outcome = 'erased'",
        "UPDATE gdpr_requests SET processed_at = NULL, outcome = NULL, erased_at = NULL WHERE outcome = 'erased'",
        "UPDATE gdpr_requests SET shop = 'other.myshopify.com' WHERE outcome = 'erased'",
        "UPDATE gdpr_requests SET type = 'CUSTOMERS_REDACT' WHERE outcome = 'erased'",
        "UPDATE meta SET value = zeroblob(32) WHERE name = 'keyed_hash_key'",
    ] {
        let fixture = with_proofs();
        unguarded(&fixture, sql);
        // Opened anew, for the key is read then.
        let app = App::open(Options::new(fixture.app.db.path())).expect("it opens");
        let program = Path::new(PROGRAM);
        let found = verify::verify(&app.db, &app.hasher, program).expect("verifiable");
        assert!(!found.mismatches.is_empty() && !found.is_ok(), "{sql}: {found:?}");
        assert!(!format!("{found:?}").contains("myshopify"), "{sql}: a finding names no shop");
    }
    for sql in [
        "DROP TRIGGER erasure_receipts_are_never_changed",
        "DROP TRIGGER erasure_receipts_are_never_deleted;
         CREATE TRIGGER erasure_receipts_are_never_deleted BEFORE DELETE ON erasure_receipts WHEN 0
         BEGIN SELECT RAISE(ABORT, 'erasure receipts are append-only'); END",
    ] {
        let fixture = with_proofs();
        tamper(&fixture, sql);
        let found = verification(&fixture);
        assert_eq!(found.mismatches.len(), 1, "{sql}: {found:?}");
        assert!(!found.is_ok());
    }
}

#[test]
fn the_bytes_of_an_erased_shop_are_found_when_its_receipts_are_gone_as_well() {
    let fixture = with_proofs();
    unguarded(&fixture, "DELETE FROM erasure_receipts; INSERT INTO meta VALUES ('x a.myshopify.com', x'00')");
    let found = verification(&fixture);
    assert!(found.leftovers.iter().any(|leftover| leftover.place == "wal"), "{found:?}");
}

#[test]
fn no_new_key_is_made_beside_receipts() {
    let fixture = with_proofs();
    tamper(&fixture, "DELETE FROM meta WHERE name = 'keyed_hash_key'");
    let opened = App::open(Options::new(fixture.app.db.path()));
    assert!(matches!(opened, Err(OpenError::KeyMissing)), "{:?}", opened.err());
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM meta WHERE name = 'keyed_hash_key'"), 0);
}

#[test]
fn a_noted_head_shows_that_the_chain_was_cut_off_behind_it() {
    let fixture = with_proofs();
    let chain = fixture.app.db.read(receipts::walk).expect("readable");
    let head = Head { sequence: chain.last, hash: chain.head };
    let verify = |head: &str| {
        let program = program()
            .args(["gdpr", "verify", "--head", head, "--database"])
            .arg(fixture.app.db.path())
            .output()
            .expect("it runs");
        (program.status.code(), String::from_utf8_lossy(&program.stdout).into_owned())
    };
    let (code, text) = verify(&head.to_string());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("head {head}")), "what is to be noted is printed as it is given: {text}");
    for (wrong, exit) in [
        (format!("{}:{}", chain.last + 1, "0".repeat(64)), Some(1)),
        (format!("{}:{}", chain.last, "0".repeat(64)), Some(1)),
        (format!("{}:{}", chain.last, "0".repeat(63)), Some(2)),
        ("x".to_owned(), Some(2)),
    ] {
        assert_eq!(verify(&wrong).0, exit, "{wrong}");
    }
    // The requests go with the receipts, so that nothing inside the file is left to contradict anything.
    unguarded(
        &fixture,
        "DELETE FROM erasure_receipts WHERE sequence >= 5; DELETE FROM gdpr_requests WHERE type = 'CUSTOMERS_REDACT'",
    );
    assert!(verification(&fixture).is_ok());
    let (code, text) = verify(&head.to_string());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("receipt 6 is not the one that was noted"), "{text}");
}
