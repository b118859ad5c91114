//! kill -9 while jobs forget a shop that their erasure's closing has not seen: no erasure counts as done before they have.

use super::harness::*;
use crate::support::late_jobs::erase_with;
use chrono::{TimeDelta, Utc};
use quotegrid::app::{App, Options};
use quotegrid::clock::{Clock, ManualClock};
use quotegrid::erasure::SHOP_REDACT;
use quotegrid::queue::NewJob;
use serde_json::json;
use std::sync::Arc;

const SHOP: &str = "one.myshopify.com";

const NOTE: &str = "private-note";

/// More than one transaction has forget.
const NOTES: usize = 500;

const SAY_SOMETHING: &str = "SELECT count(*) FROM job_queue WHERE type = 'note' AND payload <> '{}'";

const STAMPED: &str = "SELECT count(*) FROM gdpr_requests WHERE erased_at IS NOT NULL";

/// A shop's erasure is closed and waits for the scrub, and jobs about it that got their ids from a clock that was behind say what
/// they did.
fn close_with_late_jobs(machine: &Machine) {
    machine.json(&["migrate"]);
    fill(&mut machine.connection(), SHOP, "one-mark");
    let clock = Arc::new(ManualClock::new(Utc::now()));
    let mut options = Options::new(machine.database.clone());
    options.clock = clock.clone();
    let app = Arc::new(App::open(options).expect("a database"));
    app.enqueue(NewJob::new(SHOP_REDACT, json!({ "shop": SHOP }))).expect("enqueued");
    let others = app.clone();
    erase_with(&app, move || {
        let right = clock.now();
        clock.set(right - TimeDelta::days(1));
        let (jobs, now) = (others.clone(), clock.now());
        let written: Result<(), quotegrid::error::Error> = others.db.write(move |tx| {
            for number in 0..NOTES {
                let job = NewJob::new("note", json!({ "shop": SHOP, "note": format!("{NOTE} {number}") }));
                let job = jobs.about_its_shop(job.scheduled_at(now + TimeDelta::days(400)));
                jobs.queue.enqueue(tx, now, job)?;
            }
            Ok(())
        });
        written.expect("written");
        clock.set(right);
    });
    assert_eq!(machine.query::<usize>(SAY_SOMETHING), NOTES);
    assert_eq!(machine.query::<usize>(STAMPED), 0);
}

/// A server is killed at `point`, and one after it is not. Returns whether the first was killed, and how many of the jobs had
/// forgotten by then.
fn killed_at(point: &str, times: u32) -> (bool, usize) {
    let machine = Machine::new();
    close_with_late_jobs(&machine);
    let kill_at = format!("{point}={times}");
    let mut first = machine.serve(&["--workers", "0"]).env("QUOTEGRID_KILL_AT", &kill_at).spawn();
    let mut killed = !first.wait_ready();
    let connection = machine.connection();
    wait_until("it is killed, or all is done", || {
        killed |= first.has_ended();
        killed || is_settled(&connection)
    });
    if killed {
        first.wait_killed();
    }
    drop(first);
    let say_something = machine.query::<usize>(SAY_SOMETHING);
    assert!(say_something == 0 || machine.query::<usize>(STAMPED) == 0, "{point} {times}: counts as done too early");
    let second = machine.serve(&["--workers", "0"]).ready();
    machine.settle();
    assert_eq!((machine.query::<usize>(SAY_SOMETHING), machine.query::<usize>(STAMPED)), (0, 1), "{point} {times}");
    assert_eq!(machine.query::<usize>("SELECT count(*) FROM erasure_receipts"), 2, "{point} {times}");
    assert_eq!(lines_with(&machine, NOTE), 0, "{point} {times}");
    drop(second);
    (killed, NOTES - say_something)
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_while_late_jobs_forget_no_erasure_counts_as_done_before_all_have() {
    let mut forgotten = Vec::new();
    for point in ["db::before_commit", "db::after_commit"] {
        for times in 1..=4 {
            let (killed, jobs) = killed_at(point, times);
            assert!(killed, "{point} {times}: three steps and the stamp are commits");
            forgotten.push(jobs);
        }
    }
    assert!(forgotten.iter().any(|jobs| *jobs > 0 && *jobs < NOTES), "{forgotten:?}: between two steps");
    let (killed, jobs) = killed_at("erasure::scrubbed", 1);
    assert!(killed && jobs == NOTES);
}

#[test]
fn a_file_that_is_written_anew_proves_no_erasure_of_which_jobs_still_speak() {
    let machine = Machine::new();
    close_with_late_jobs(&machine);
    let _report = machine.json(&["doctor", "--vacuum"]);
    assert_eq!((machine.query::<usize>(SAY_SOMETHING), machine.query::<usize>(STAMPED)), (0, 1));
    assert_eq!(lines_with(&machine, NOTE), 0);
}
