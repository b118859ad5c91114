//! The chain of receipts.

use super::{shop, small_store};
use quotegrid::erasure::receipts;
use quotegrid::error::{Error, Kind};
use quotegrid::testing::Fixture;
use serde_json::json;

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
