//! What a run comes to: success, retries, failures, snoozes, and effects that are committed with the completion.

use super::{count_effect, fixture, outcomes, worker};
use quotegrid::error::{Error, Kind};
use quotegrid::queue::{Finish, JobError, Status, StepOutcome};
use quotegrid::testing::Fixture;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn fifty_workers_on_a_thousand_jobs_run_each_once() {
    let fixture = fixture("count", |job, _context| Ok(count_effect(&job.id.to_string())));
    for number in 0..1_000 {
        fixture.enqueue("count", json!(number));
    }
    let ran = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..50 {
            let (worker, ran) = (worker(&fixture), ran.clone());
            scope.spawn(move || {
                while let StepOutcome::Ran { error, .. } = worker.step().expect("a working database") {
                    assert_eq!(error, None);
                    ran.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(ran.load(Ordering::Relaxed), 1_000);
    // The key row, and one effect a job: a second one would break the primary key and fail the job.
    assert_eq!(fixture.count("meta"), 1_001);
    assert_eq!(
        fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'completed' AND attempts = 1"),
        1_000
    );
    assert_eq!(fixture.count("job_attempts"), 1_000);
}

#[test]
fn a_failing_job_is_retried_after_two_and_four_seconds_and_failed_at_the_third() {
    let fixture = fixture("bad", |_job, _context| Err(JobError::Retry("it broke".to_owned())));
    let id = fixture.enqueue("bad", json!({}));
    for (attempt, rest) in [(1, 2), (2, 4)] {
        assert_eq!(fixture.run_jobs(), 1);
        let job = fixture.job(id);
        assert_eq!((job.status, job.attempts), (Status::Pending, attempt));
        assert_eq!(job.error.as_deref(), Some("it broke"));
        assert_eq!((job.scheduled_at - fixture.now()).num_milliseconds(), rest * 1_000);
        fixture.advance(Duration::from_millis(rest.unsigned_abs() * 1_000 - 1));
        assert_eq!(fixture.run_jobs(), 0, "a millisecond early");
        fixture.advance(Duration::from_millis(1));
    }
    assert_eq!(fixture.run_jobs(), 1);
    let job = fixture.job(id);
    assert_eq!((job.status, job.attempts, job.processed_at), (Status::Failed, 3, Some(fixture.now())));
    assert_eq!(outcomes(&fixture, id), ["retried", "retried", "failed"]);
    fixture.advance(Duration::from_secs(1_000_000));
    assert_eq!(fixture.run_jobs(), 0, "a failed job is not run again");
}

#[test]
fn success_after_a_failure_clears_the_error_and_keeps_the_history() {
    let fixture = fixture("flaky", |job, _context| match job.attempt {
        1 => Err(JobError::Retry("once".to_owned())),
        _ => Ok(Finish::done()),
    });
    let id = fixture.enqueue("flaky", json!({ "secret": 1 }));
    fixture.run_jobs();
    fixture.advance(Duration::from_secs(2));
    fixture.run_jobs();
    let job = fixture.job(id);
    assert_eq!((job.status, job.attempts, job.error), (Status::Completed, 2, None));
    assert_eq!(job.payload, json!({}), "a finished job forgets its payload");
    assert_eq!(outcomes(&fixture, id), ["retried", "completed"]);
}

#[test]
fn a_job_of_an_unknown_type_waits_for_a_program_that_knows_it() {
    let fixture = Fixture::new();
    let id = fixture.enqueue("nobody-knows", json!({}));
    let StepOutcome::Ran { error, .. } = fixture.run_next() else { panic!("it was due") };
    assert_eq!(error.as_deref(), Some("Unknown job type: nobody-knows"));
    // Far more often than it has attempts.
    for _ in 0..10 {
        let job = fixture.job(id);
        assert_eq!((job.status, job.attempts), (Status::Pending, 0), "the attempt is given back");
        assert_eq!(job.error.as_deref(), Some("Unknown job type: nobody-knows"));
        assert_eq!(fixture.run_jobs(), 0, "it rests");
        fixture.advance(Duration::from_secs(60));
        assert_eq!(fixture.run_jobs(), 1);
    }
    assert!(outcomes(&fixture, id).iter().all(|outcome| outcome == "snoozed"));
}

#[test]
fn a_permanent_error_fails_at_once_and_a_panic_like_an_error() {
    let fixture = fixture("odd", |job, _context| match job.payload.as_str() {
        Some("permanent") => Err(JobError::Permanent("never".to_owned())),
        _ => panic!("on purpose"),
    });
    let permanent = fixture.enqueue("odd", json!("permanent"));
    let panicking = fixture.enqueue("odd", json!("panic"));
    assert_eq!(fixture.run_jobs(), 2);
    assert_eq!((fixture.job(permanent).status, fixture.job(permanent).attempts), (Status::Failed, 1));
    let job = fixture.job(panicking);
    assert_eq!((job.status, job.error.as_deref()), (Status::Pending, Some("panicked: on purpose")));
}

#[test]
fn a_snoozed_job_gets_its_attempt_back() {
    let fixture = fixture("later", |_job, _context| Err(JobError::Snooze(Duration::from_secs(60))));
    let id = fixture.enqueue("later", json!({ "kept": true }));
    for _ in 0..5 {
        assert_eq!(fixture.run_jobs(), 1);
        let job = fixture.job(id);
        assert_eq!((job.status, job.attempts, job.error.clone()), (Status::Pending, 0, None));
        assert_eq!(job.payload, json!({ "kept": true }));
        fixture.advance(Duration::from_secs(60));
    }
    assert_eq!(outcomes(&fixture, id), ["snoozed"; 5]);
}

#[test]
fn effects_and_completion_are_one_transaction() {
    let fixture = fixture("effect", |job, _context| {
        let fails = job.payload == json!("fails");
        Ok(Finish::with(move |tx, _now| {
            tx.execute("INSERT INTO meta (name, value) VALUES ('effect', x'01')", ())?;
            match fails {
                true => Err(Error::new(Kind::Internal, "after the effect")),
                false => panic!("after the effect"),
            }
        }))
    });
    for payload in ["fails", "panics"] {
        let id = fixture.enqueue("effect", json!(payload));
        fixture.run_jobs();
        assert_eq!(fixture.query::<u64>("SELECT count(*) FROM meta WHERE name = 'effect'"), 0);
        assert_eq!((fixture.job(id).status, fixture.job(id).attempts), (Status::Pending, 1));
        assert!(fixture.job(id).error.is_some());
    }
}

#[test]
fn a_disk_that_refuses_the_end_of_a_job_does_not_lose_it() {
    // The database refuses every completion until it is told otherwise, as a full disk would.
    let fixture = fixture("count", |job, _context| Ok(count_effect(&job.id.to_string())));
    let id = fixture.enqueue("count", json!({}));
    trigger(
        &fixture,
        "CREATE TRIGGER refuse BEFORE UPDATE ON job_queue WHEN new.status = 'completed'
         BEGIN SELECT RAISE(ABORT, 'refused'); END",
    );
    fixture.run_jobs();
    assert_eq!((fixture.job(id).status, fixture.job(id).attempts), (Status::Pending, 1));
    trigger(&fixture, "DROP TRIGGER refuse");
    fixture.advance(Duration::from_secs(2));
    fixture.run_jobs();
    assert_eq!((fixture.job(id).status, fixture.job(id).attempts), (Status::Completed, 2));
}

fn trigger(fixture: &Fixture, sql: &'static str) {
    let done: quotegrid::db::Result<()> = fixture.app.db.write(move |tx| Ok(tx.execute_batch(sql)?));
    done.expect("writable");
}

#[test]
fn a_job_of_many_steps_leaves_the_writer_to_others_who_write_too() {
    const STEP: Duration = Duration::from_millis(10);
    let fixture = fixture("large", |_job, context| {
        for _ in 0..5 {
            let db = context.db().clone();
            context.write(move |_tx| {
                // Handed over meanwhile, it is in the same commit.
                db.write_then(|_tx| Ok::<_, Error>(()), drop);
                std::thread::sleep(STEP);
                Ok(())
            })?;
        }
        Ok(Finish::done())
    });
    fixture.enqueue("large", json!({}));
    let started = Instant::now();
    assert_eq!(fixture.run_jobs(), 1);
    assert!(started.elapsed() >= 5 * 3 * STEP, "it rests twice as long as it writes: {:?}", started.elapsed());
}
