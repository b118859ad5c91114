//! Redactions of stores that look live: carried out at once and told of, or held until somebody decides.

use super::{counts, load, request, shop, small_store};
use crate::gdpr::reinstalled::small_store_again;
use chrono::TimeDelta;
use quotegrid::catalog::stores;
use quotegrid::domain::ids::{RequestId, ShopDomain};
use quotegrid::erasure::hold::{self, Decision};
use quotegrid::erasure::requests::{RequestKind, RequestOutcome};
use quotegrid::error::{Error, Kind};
use quotegrid::testing::Fixture;
use serde_json::json;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

const DAY: Duration = Duration::from_secs(86_400);

fn holding(days: i64) -> Fixture {
    Fixture::opened_with(|options| options.redact_hold = TimeDelta::days(days))
}

fn use_keys(fixture: &Fixture) {
    let now = fixture.now().timestamp_millis();
    let used: quotegrid::db::Result<usize> =
        fixture.app.db.write(move |tx| Ok(tx.execute("UPDATE api_keys SET last_used_at = ?1", [now])?));
    used.expect("writable");
}

fn uninstall(fixture: &Fixture, shop: &ShopDomain) {
    let (shop, now) = (shop.clone(), fixture.now());
    assert!(fixture.app.db.write(move |tx| stores::mark_uninstalled(tx, &shop, now, now)).expect("writable"));
}

fn redact(fixture: &Fixture, shop: &ShopDomain) -> RequestId {
    let (id, _) = request(fixture, shop, RequestKind::ShopRedact, fixture.now());
    fixture.run_jobs();
    id
}

fn confirm(fixture: &Fixture, id: RequestId) -> Result<(), Error> {
    let (queue, hasher, now) = (fixture.app.queue.clone(), fixture.app.hasher.clone(), fixture.now());
    fixture.app.db.write(move |tx| hold::confirm(tx, now, &queue, &hasher, id).map(|_job| ()))
}

fn reject(fixture: &Fixture, id: RequestId) -> Result<(), Error> {
    let now = fixture.now();
    fixture.app.db.write(move |tx| hold::reject(tx, now, id))
}

/// Lets time pass, a step at a time, so that jobs that look again do.
fn pass(fixture: &Fixture, time: Duration) {
    let mut left = time;
    while !left.is_zero() {
        let step = left.min(HOUR);
        fixture.advance(step);
        fixture.run_jobs();
        left -= step;
    }
}

#[test]
fn by_default_a_live_store_is_erased_at_once_and_the_request_says_when_its_keys_were_last_used() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    fixture.advance(HOUR);
    use_keys(&fixture);
    let used = fixture.now();
    fixture.advance(HOUR);
    let id = redact(&fixture, &a);
    let found = load(&fixture, id);
    assert_eq!((found.outcome, fixture.count("stores")), (Some(RequestOutcome::Erased), 0));
    assert_eq!((found.hold.found_live_at, found.hold.keys_used_at), (Some(fixture.now()), Some(used)));
    assert_eq!((found.hold.held_until, found.waits_until()), (None, None));
}

#[test]
fn a_store_uninstalled_in_time_never_counts_as_live_and_is_never_held() {
    for hold in [0, 7] {
        let fixture = holding(hold);
        let a = small_store(&fixture, "a");
        uninstall(&fixture, &a);
        fixture.advance(47 * HOUR);
        let id = redact(&fixture, &a);
        assert_eq!(
            (load(&fixture, id).outcome, load(&fixture, id).hold.found_live_at),
            (Some(RequestOutcome::Erased), None)
        );
        let unknown = redact(&fixture, &shop("unknown"));
        assert_eq!(load(&fixture, unknown).hold.found_live_at, None);
    }
}

#[test]
fn a_held_erasure_of_a_live_store_runs_at_its_end_without_a_decision() {
    let fixture = holding(7);
    let (a, other) = (small_store(&fixture, "a"), small_store(&fixture, "b"));
    fixture.advance(HOUR);
    let before = counts(&fixture);
    let id = redact(&fixture, &a);
    let until = fixture.now() + TimeDelta::days(7);
    assert_eq!((load(&fixture, id).outcome, load(&fixture, id).waits_until()), (None, Some(until)));
    let others = redact(&fixture, &shop("stranger"));
    assert_eq!(load(&fixture, others).outcome, Some(RequestOutcome::NothingHeld), "nobody else waits");
    pass(&fixture, 7 * DAY - HOUR);
    assert_eq!((load(&fixture, id).outcome, counts(&fixture)), (None, before));
    pass(&fixture, HOUR);
    assert_eq!((load(&fixture, id).outcome, load(&fixture, id).waits_until()), (Some(RequestOutcome::Erased), None));
    assert_eq!(fixture.query::<String>("SELECT group_concat(shop) FROM stores"), other.to_string());
}

#[test]
fn no_hold_goes_beyond_two_days_before_the_duty_is_due() {
    let fixture = holding(365);
    let a = small_store(&fixture, "a");
    let id = redact(&fixture, &a);
    let held = load(&fixture, id);
    assert_eq!(held.waits_until(), Some(held.due_at - TimeDelta::days(2)));
    pass(&fixture, 28 * DAY - HOUR);
    assert_eq!(load(&fixture, id).outcome, None);
    pass(&fixture, HOUR);
    let erased = load(&fixture, id);
    assert!(erased.outcome == Some(RequestOutcome::Erased) && erased.processed_at < Some(erased.due_at), "{erased:?}");
}

#[test]
fn a_store_uninstalled_less_than_47_hours_ago_is_erased_48_hours_after() {
    let fixture = holding(7);
    let a = small_store(&fixture, "a");
    uninstall(&fixture, &a);
    let uninstalled_at = fixture.now();
    fixture.advance(HOUR);
    let id = redact(&fixture, &a);
    assert_eq!(load(&fixture, id).waits_until(), Some(uninstalled_at + TimeDelta::hours(48)));
    pass(&fixture, 46 * HOUR + HOUR / 2);
    assert_eq!(load(&fixture, id).outcome, None, "47 and a half hours after");
    pass(&fixture, HOUR / 2);
    assert_eq!(load(&fixture, id).outcome, Some(RequestOutcome::Erased));
}

#[test]
fn a_re_install_supersedes_what_is_held_and_an_uninstallation_ends_the_hold_earlier() {
    let fixture = holding(20);
    let (a, b) = (small_store(&fixture, "a"), small_store(&fixture, "b"));
    fixture.advance(HOUR);
    let (of_a, of_b) = (redact(&fixture, &a), redact(&fixture, &b));
    pass(&fixture, DAY);
    uninstall(&fixture, &a);
    uninstall(&fixture, &b);
    pass(&fixture, HOUR);
    small_store_again(&fixture, &a);
    pass(&fixture, 47 * HOUR);
    assert_eq!(load(&fixture, of_a).outcome, Some(RequestOutcome::SupersededByReinstall));
    pass(&fixture, 6 * HOUR);
    assert_eq!(load(&fixture, of_b).outcome, Some(RequestOutcome::Erased), "48 hours after its uninstallation");
    assert_eq!(fixture.query::<String>("SELECT group_concat(shop) FROM stores"), a.to_string());
}

#[test]
fn a_person_confirms_or_rejects_what_is_held_and_nothing_else() {
    let fixture = holding(7);
    let (a, b) = (small_store(&fixture, "a"), small_store(&fixture, "b"));
    fixture.advance(HOUR);
    let (of_a, of_b) = (redact(&fixture, &a), redact(&fixture, &b));
    let (customers, _) = request(&fixture, &a, RequestKind::CustomersRedact, fixture.now());
    for refused in [confirm(&fixture, customers), reject(&fixture, customers)] {
        assert_eq!(refused.expect_err("it is not held").kind(), Kind::Conflict);
    }
    let unknown = RequestId::new(fixture.now(), [9; 10]);
    assert_eq!(confirm(&fixture, unknown).expect_err("there is none").kind(), Kind::NotFound);
    confirm(&fixture, of_a).expect("held");
    fixture.run_jobs();
    assert_eq!(
        (load(&fixture, of_a).outcome, load(&fixture, of_a).hold.decision),
        (Some(RequestOutcome::Erased), Some(Decision::Confirmed))
    );
    reject(&fixture, of_b).expect("held");
    assert_eq!(
        (load(&fixture, of_b).outcome, load(&fixture, of_b).hold.decision),
        (Some(RequestOutcome::Rejected), Some(Decision::Rejected))
    );
    for decided in [of_a, of_b] {
        assert_eq!(confirm(&fixture, decided).expect_err("decided").kind(), Kind::Conflict);
        assert_eq!(reject(&fixture, decided).expect_err("decided").kind(), Kind::Conflict);
    }
    pass(&fixture, 8 * DAY);
    assert_eq!(fixture.query::<String>("SELECT group_concat(shop) FROM stores"), b.to_string(), "permanently");
    assert_eq!(load(&fixture, of_b).erased_at, None, "nothing was erased");
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status <> 'completed'"), 0);
    let receipts: u64 = fixture.query(&format!("SELECT count(*) FROM erasure_receipts WHERE request_id = '{of_b}'"));
    assert_eq!(receipts, 0);
    // What Shopify asks for next is held anew.
    let next = redact(&fixture, &b);
    assert!(load(&fixture, next).waits_until().is_some());
}

#[test]
fn an_operators_own_order_is_never_held_and_goes_before_what_is() {
    let fixture = holding(7);
    let a = small_store(&fixture, "a");
    fixture.advance(HOUR);
    let held = redact(&fixture, &a);
    let path = format!("/admin/api/stores/{a}");
    assert_eq!(fixture.admin("DELETE", &path, Some(&json!({ "confirm": a.as_str() }))).status, 202);
    fixture.run_jobs();
    assert_eq!(fixture.count("stores"), 0);
    pass(&fixture, 7 * DAY);
    assert!(load(&fixture, held).outcome.is_some());
}

#[test]
fn the_admin_api_shows_what_is_held_and_takes_the_decision() {
    let fixture = holding(7);
    let (a, b) = (small_store(&fixture, "a"), small_store(&fixture, "b"));
    fixture.advance(HOUR);
    let (of_a, of_b) = (redact(&fixture, &a), redact(&fixture, &b));
    let show = |id| fixture.admin("GET", &format!("/admin/api/gdpr/requests/{id}"), None).json_body();
    let held = show(of_a);
    assert!(held["heldUntil"].is_string() && held["foundLiveAt"].is_string(), "{held}");
    assert_eq!(
        (&held["outcome"], &held["orderedBy"], &held["decision"]),
        (&json!(null), &json!("shopify"), &json!(null))
    );
    let decide = |id, verb| fixture.admin("POST", &format!("/admin/api/gdpr/requests/{id}/{verb}"), None);
    let confirmed = decide(of_a, "confirm");
    assert_eq!(confirmed.status, 202);
    assert!(confirmed.json_body()["jobId"].is_string());
    fixture.run_jobs();
    assert_eq!((&show(of_a)["outcome"], &show(of_a)["decision"]), (&json!("erased"), &json!("confirmed")));
    let rejected = decide(of_b, "reject");
    assert_eq!((rejected.status, rejected.json_body()), (200, show(of_b)));
    assert_eq!(show(of_b)["outcome"], "rejected");
    assert_eq!((decide(of_b, "reject").status, decide(of_b, "confirm").status), (409, 409));
    assert_eq!(decide(RequestId::new(fixture.now(), [9; 10]), "confirm").status, 404);
}
