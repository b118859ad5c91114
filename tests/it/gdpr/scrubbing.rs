//! From *processed* to *erased*: nothing is left in the files.

use super::{counts, load, request, shop, verification};
use crate::support::waiting::wait_until;
use quotegrid::db;
use quotegrid::erasure::requests::RequestKind;
use quotegrid::erasure::scrub::Scrubbed;
use quotegrid::error::{Error, Kind};
use quotegrid::queue::StepOutcome;
use quotegrid::testing::Fixture;
use std::time::Duration;

#[test]
fn the_scrub_stamps_all_that_wait_with_one_emptying_of_the_wal() {
    let fixture = Fixture::new();
    for number in 0..250 {
        request(&fixture, &shop(&format!("s{number}")), RequestKind::CustomersRedact, fixture.now());
    }
    let worker = fixture.app.worker().expect("a worker");
    while worker.step().expect("a working database") != StepOutcome::Idle {}
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
    wait_until("it is stamped", || load(&fixture, id).erased_at.is_some());
    background.stop(Duration::from_secs(60));
    assert_eq!(counts(&fixture), [0; 12]);
    assert!(verification(&fixture).is_ok());
}

#[test]
fn shops_are_scrubbed_before_customers() {
    let fixture = Fixture::new();
    for number in 0..20 {
        request(&fixture, &shop(&format!("s{number}")), RequestKind::CustomersRedact, fixture.now());
        fixture.advance(Duration::from_millis(1));
    }
    request(&fixture, &shop("last"), RequestKind::ShopRedact, fixture.now());
    let worker = fixture.app.worker().expect("a worker");
    while worker.step().expect("a working database") != StepOutcome::Idle {}
    assert_eq!(fixture.app.scrubber().scrub().expect("it works"), Scrubbed::Erased(21));
    let first = "SELECT type FROM erasure_receipts WHERE kind = 'verified' ORDER BY sequence LIMIT 1";
    assert_eq!(fixture.query::<String>(first), "SHOP_REDACT");
}
