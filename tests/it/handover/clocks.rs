//! Clocks that are set while it is unclear whether a draft was made.

use super::fake::{Fault, Manner};
use super::{SETTLE, Shop};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_clock_that_is_set_forward_makes_nothing_twice() {
    let shop = Shop::new();
    shop.fake.fail(&[Fault::after(Manner::Close)]);
    shop.fake.state().index_lag_time = Some((shop.fixture.clock.clone(), SECOND * 300));
    shop.fake.state().newest_is_late = true;
    let order = shop.order();
    shop.run().expect("it fails");
    shop.fixture.clock.set(shop.fixture.now() + chrono::TimeDelta::days(1));
    shop.settle();
    shop.assert_sent(&order);
    assert_eq!(shop.fake.creates(), 1);
}

#[test]
fn a_note_that_an_earlier_process_made_by_a_clock_that_was_ahead_is_waited_for_all_the_same() {
    let shop = Shop::new();
    let order = shop.order();
    let ahead = (shop.fixture.now() + chrono::TimeDelta::days(1)).timestamp_millis();
    let noted: quotegrid::db::Result<usize> = shop.fixture.app.db.write(move |tx| {
        Ok(tx.execute("UPDATE draft_order_records SET handover_attempted_at = ?1 WHERE number = 25", [ahead])?)
    });
    assert_eq!(noted.expect("written"), 1);
    let passed = shop.settle();
    assert!(passed >= SETTLE && passed < SETTLE * 2, "{passed:?}");
    shop.assert_sent(&order);
    assert_eq!(shop.fake.creates(), 1);
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_twice() {
    let shop = Shop::new();
    shop.fake.fail(&[Fault::after(Manner::Close)]);
    shop.fake.state().index_lag = 2;
    shop.fake.state().newest_is_late = true;
    let order = shop.order();
    shop.run().expect("it fails");
    shop.fixture.clock.set(shop.fixture.now() - chrono::TimeDelta::days(1));
    shop.settle();
    shop.assert_sent(&order);
    assert_eq!(shop.fake.creates(), 1);
}

#[test]
fn the_settling_time_counts_from_the_end_of_a_call_for_other_processes_too() {
    let shop = Shop::new();
    shop.fake.fail(&[Fault::after(Manner::Close)]);
    let clock = shop.fixture.clock.clone();
    shop.fake.state().during_create.push_back(Box::new(move |_underway| {
        clock.advance(SECOND * 8);
    }));
    let order = shop.order();
    let asked_at = shop.fixture.now();
    shop.run().expect("it fails");
    let ended_at = shop.fixture.now();
    assert_eq!((ended_at - asked_at).num_seconds(), 8);
    // The row is all that they have to go by.
    let noted: Option<i64> = shop.column(&order, "handover_attempted_at");
    assert_eq!(noted, Some(ended_at.timestamp_millis()));
}
