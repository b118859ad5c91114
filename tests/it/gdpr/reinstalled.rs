//! Shops that come back: an event is about the installation that it ended, and about no later one.

use super::{counts, euro, load, request, small_store};
use chrono::TimeDelta;
use quotegrid::catalog::stores;
use quotegrid::domain::ids::ShopDomain;
use quotegrid::domain::length::Unit;
use quotegrid::erasure::requests::{RequestKind, RequestOutcome};
use quotegrid::error::{Error, Kind};
use quotegrid::testing::Fixture;
use std::time::Duration;

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
    assert_eq!(load(&fixture, late).outcome, Some(RequestOutcome::SupersededByReinstall));
    assert_eq!(load(&fixture, late).erased_at, None, "nothing was erased");
    assert_eq!((counts(&fixture), fixture.count("erasure_receipts")), (before, 0));
    // An event of the new installation is obeyed.
    let (new, _) = request(&fixture, &a, RequestKind::ShopRedact, fixture.now());
    fixture.run_jobs();
    assert_eq!(load(&fixture, new).outcome, Some(RequestOutcome::Erased));
}

pub(super) fn small_store_again(fixture: &Fixture, shop: &ShopDomain) {
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
