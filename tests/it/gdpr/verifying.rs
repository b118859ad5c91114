//! Whether erasure kept its word.

use super::{small_store, verification};
use quotegrid::testing::Fixture;
use serde_json::json;
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
