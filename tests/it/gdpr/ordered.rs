//! Erasures that an operator orders, and stores that were installed while the clock was wrong.

use super::{load, request, shop, small_store};
use quotegrid::app::App;
use quotegrid::catalog::stores;
use quotegrid::domain::ids::{JobId, ShopDomain};
use quotegrid::erasure::requests::{self, OrderedBy, PrivacyRequest, RequestKind, RequestOutcome};
use quotegrid::error::Error;
use quotegrid::testing::Fixture;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

fn order(fixture: &Fixture, shop: &ShopDomain) -> JobId {
    let (order, now) = (fixture.app.erasure_of(shop), fixture.now());
    fixture.app.db.write::<_, Error, _>(move |tx| order.write(tx, now)).expect("writable")
}

fn all(app: &App) -> Vec<PrivacyRequest> {
    let filter = requests::Filter { limit: 100, ..Default::default() };
    app.db.read(|connection| requests::list(connection, &filter)).expect("readable")
}

#[test]
fn an_operators_erasure_is_a_request_from_the_moment_in_which_it_is_ordered_and_only_one() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    let job = order(&fixture, &a);
    assert_eq!(order(&fixture, &a), job, "ordered twice, erased once");
    let ordered = all(&fixture.app);
    assert_eq!((ordered.len(), ordered[0].ordered_by, ordered[0].processed_at), (1, OrderedBy::Operator, None));
    assert_eq!(fixture.run_jobs(), 1);
    let erased = all(&fixture.app);
    assert_eq!((erased.len(), erased[0].id, erased[0].outcome), (1, ordered[0].id, Some(RequestOutcome::Erased)));
    assert_eq!(erased[0].hold.found_live_at, None, "nobody is warned of the own order");
    assert_eq!(fixture.count("erasure_receipts"), 2);
}

#[test]
fn a_store_installed_while_the_clock_was_ahead_is_uninstalled_and_erased_all_the_same() {
    for by_operator in [false, true] {
        let fixture = Fixture::new();
        let right = fixture.now();
        fixture.advance(400 * DAY);
        let a = small_store(&fixture, "a");
        fixture.clock.set(right);
        fixture.advance(DAY);
        let (wanted, now) = (a.clone(), fixture.now());
        let marked = fixture.app.db.write(move |tx| stores::mark_uninstalled(tx, &wanted, now, now));
        assert!(marked.expect("writable"), "the uninstallation counts");
        fixture.advance(2 * DAY);
        let id = if by_operator {
            order(&fixture, &a);
            all(&fixture.app)[0].id
        } else {
            request(&fixture, &a, RequestKind::ShopRedact, fixture.now()).0
        };
        fixture.run_jobs();
        assert_eq!(
            (load(&fixture, id).outcome, fixture.count("stores")),
            (Some(RequestOutcome::Erased), 0),
            "{by_operator}"
        );
    }
}

#[test]
fn an_operators_erasure_asks_for_no_time_of_installation() {
    let fixture = Fixture::new();
    let right = fixture.now();
    // Too little for a clock that is surely wrong.
    fixture.advance(Duration::from_secs(60));
    let a = small_store(&fixture, "a");
    fixture.clock.set(right);
    order(&fixture, &a);
    fixture.run_jobs();
    assert_eq!((all(&fixture.app)[0].outcome, fixture.count("stores")), (Some(RequestOutcome::Erased), 0));
}

#[test]
fn a_clock_that_is_set_back_a_little_makes_no_new_installation_an_old_one() {
    let fixture = Fixture::new();
    let event = fixture.now();
    fixture.advance(2 * DAY);
    let a = small_store(&fixture, "a");
    fixture.clock.set(fixture.now() - chrono::TimeDelta::seconds(30));
    let (late, _) = request(&fixture, &a, RequestKind::ShopRedact, event);
    fixture.run_jobs();
    assert_eq!(
        (load(&fixture, late).outcome, fixture.count("stores")),
        (Some(RequestOutcome::SupersededByReinstall), 1)
    );
    assert_eq!(
        fixture
            .app
            .db
            .read(|connection| stores::find(connection, &shop("a")))
            .expect("readable")
            .map(|store| store.uninstalled_at),
        Some(None)
    );
}
