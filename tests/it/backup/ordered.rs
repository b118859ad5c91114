//! What an operator has ordered or decided since the backup is not undone by a restore.

use super::{House, assert_clean, deliver, has_store, install, one, run_all, shop};
use quotegrid::app::{App, Options};
use quotegrid::catalog::stores;
use quotegrid::domain::ids::RequestId;
use quotegrid::erasure::hold;
use quotegrid::error::Error;
use quotegrid::shopify::{Topic, WebhookEvent};

fn order(app: &App, name: &str) {
    let (order, now) = (app.erasure_of(&shop(name)), app.clock.now());
    app.db.write::<_, Error, _>(move |tx| order.write(tx, now)).expect("ordered");
}

#[test]
fn an_operators_erasure_that_was_ordered_or_half_done_is_carried_over_and_done() {
    for half_done in [false, true] {
        let house = House::new();
        let app = house.open();
        install(&app, "ordered");
        install(&app, "stays");
        house.back_up();
        house.pass_a_minute();
        order(&app, "ordered");
        if half_done {
            // As a process that was killed after its first step leaves it.
            let now = app.clock.now();
            let begun = app.db.write(move |tx| stores::begin_erasure(tx, now, &shop("ordered"), now));
            begun.expect("begun");
        }
        drop(app);
        let report = house.restore().expect("restored");
        assert_eq!((report.requests, report.jobs), (1, 1));
        let app = house.open();
        assert!(run_all(&app) > 0);
        assert!(!has_store(&app, "ordered") && has_store(&app, "stays"), "{half_done}");
        assert_eq!(one::<String>(&app, "SELECT ordered_by || ' ' || outcome FROM gdpr_requests"), "operator erased");
        assert_clean(&app);
    }
}

#[test]
fn what_was_decided_of_a_held_erasure_is_carried_over() {
    let house = House::new();
    let open = || {
        let mut options = Options::new(house.database());
        options.clock = house.clock.clone();
        options.redact_hold = chrono::TimeDelta::days(7);
        App::open(options).expect("a database")
    };
    let app = open();
    for name in ["confirmed", "rejected"] {
        install(&app, name);
        deliver(&app, Topic::ShopRedact, WebhookEvent::ShopRedact, name, "held");
    }
    assert_eq!(run_all(&app), 2);
    house.back_up();
    house.pass_a_minute();
    let request = |name: &str| -> RequestId {
        let id: String = one(&app, &format!("SELECT id FROM gdpr_requests WHERE shop = '{}'", shop(name)));
        id.parse().expect("an id")
    };
    let (confirmed, rejected, now) = (request("confirmed"), request("rejected"), app.clock.now());
    let (queue, hasher) = (app.queue.clone(), app.hasher.clone());
    let decided = app.db.write::<_, Error, _>(move |tx| {
        hold::reject(tx, now, rejected)?;
        hold::confirm(tx, now, &queue, &hasher, confirmed)
    });
    decided.expect("decided");
    drop(app);
    house.restore().expect("restored");
    house.clock.advance(std::time::Duration::from_secs(7 * 3_600));
    let app = open();
    run_all(&app);
    assert!(!has_store(&app, "confirmed") && has_store(&app, "rejected"));
    let outcomes = "SELECT group_concat(outcome) FROM (SELECT outcome FROM gdpr_requests ORDER BY shop)";
    assert_eq!(one::<String>(&app, outcomes), "erased,rejected");
    assert_clean(&app);
}
