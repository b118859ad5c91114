//! Clocks that are set.

use super::{claim_by, fixture, outcomes, paused, worker};
use crate::support::waiting::wait_until;
use quotegrid::queue::{Finish, JobError, NewJob, Status};
use serde_json::json;
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn a_clock_that_steps_back_does_not_hold_jobs_up() {
    let fixture = fixture("flaky", |job, _context| match job.attempt {
        1 => Err(JobError::Retry("once".to_owned())),
        _ => Ok(Finish::done()),
    });
    let waiting = fixture.enqueue("flaky", json!("waits"));
    let retried = fixture.enqueue("flaky", json!("is retried"));
    let given = fixture.now() + chrono::TimeDelta::hours(3);
    let at_a_given_time = fixture.app.enqueue(NewJob::new("flaky", json!({})).scheduled_at(given)).expect("enqueued");
    // One has failed once and rests two seconds; the other has not been run.
    claim_by(&fixture, "0:dead", 1);
    fixture.run_next();
    fixture.run_next();
    fixture.clock.set(fixture.now() - chrono::TimeDelta::days(1));
    assert_eq!(fixture.run_jobs(), 0, "the rest of two seconds is still kept");
    fixture.advance(Duration::from_secs(2));
    assert_eq!(fixture.run_jobs(), 2 - u32::from(fixture.job(waiting).status == Status::Completed) as usize);
    assert_eq!((fixture.job(waiting).status, fixture.job(retried).status), (Status::Completed, Status::Completed));
    assert_eq!(fixture.job(at_a_given_time).scheduled_at, given, "a time that was given is not moved");
}

#[test]
fn a_clock_that_leaps_forward_takes_no_claim_from_a_living_worker() {
    let (begun, has_begun) = channel();
    let (let_go, go_on) = channel();
    let fixture = fixture("slow", paused(begun, go_on));
    let id = fixture.enqueue("slow", json!({}));
    let slow = worker(&fixture);
    let (running, watching) = (slow.start(1).expect("threads"), worker(&fixture).start(1).expect("threads"));
    has_begun.recv().expect("it begins");
    fixture.clock.set(fixture.now() + chrono::TimeDelta::days(1));
    // Once its maintenance has noticed, the lease is one of the new time.
    let leap = fixture.now().timestamp_millis();
    wait_until("the lease is renewed", || fixture.query::<i64>("SELECT max(lease_expires_at) FROM job_queue") > leap);
    let_go.send(()).expect("it waits");
    running.stop(Duration::from_secs(60));
    watching.stop(Duration::from_secs(60));
    assert_eq!((fixture.job(id).status, fixture.job(id).attempts), (Status::Completed, 1));
    assert_eq!(outcomes(&fixture, id), ["completed"]);
}
