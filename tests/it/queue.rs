//! The queue: claims, retries, fences, rescues, batches, stops.

use quotegrid::error::{Error, Kind};
use quotegrid::queue::{
    self, Claim, Context, Filter, Finish, Handler, JobError, NewJob, Options, Registry, Share, Status, Step, Worker,
};
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A handler made of a closure.
struct Run<F>(F);

impl<F> Handler for Run<F>
where
    F: Fn(&Claim, &Context) -> Result<Finish, JobError> + Send + Sync + 'static,
{
    fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError> {
        (self.0)(job, context)
    }
}

fn fixture(
    job_type: &str,
    run: impl Fn(&Claim, &Context) -> Result<Finish, JobError> + Send + Sync + 'static,
) -> Fixture {
    Fixture::with_handlers(Registry::new().with(job_type, Run(run)))
}

/// Counts an effect of the job in `meta`, exactly as often as it is committed.
fn count_effect(name: &str) -> Finish {
    let name = name.to_owned();
    Finish::with(move |tx, _now| {
        let mut statement = tx.prepare_cached("INSERT INTO meta (name, value) VALUES (?1, x'01')")?;
        statement.execute([name])?;
        Ok(())
    })
}

fn worker(fixture: &Fixture) -> Arc<Worker> {
    Arc::new(fixture.app.worker().expect("a worker"))
}

fn outcomes(fixture: &Fixture, id: quotegrid::domain::ids::JobId) -> Vec<String> {
    let attempts = fixture.app.db.read(|connection| queue::list_attempts(connection, id)).expect("readable");
    attempts.into_iter().map(|attempt| attempt.outcome).collect()
}

#[test]
fn enqueue_stores_type_and_payload() {
    let fixture = Fixture::new();
    let payload = json!({ "shop": "a.myshopify.com", "n": 1, "deep": [null, { "é": "ü" }] });
    let id = fixture.enqueue("shop_redact", payload.clone());
    let job = fixture.job(id);
    assert_eq!((job.job_type.as_str(), &job.payload, job.status), ("shop_redact", &payload, Status::Pending));
    assert_eq!((job.attempts, job.scheduled_at, job.created_at), (0, fixture.now(), fixture.now()));
    let other = fixture.enqueue("anything", json!(null));
    assert_eq!(fixture.job(other).max_attempts, 3, "three attempts are the default");
}

#[test]
fn a_job_of_a_transaction_that_is_rolled_back_does_not_exist() {
    let fixture = Fixture::new();
    let (queue, now) = (fixture.app.queue.clone(), fixture.now());
    let refused: Result<(), Error> = fixture.app.db.write(move |tx| {
        queue.enqueue(tx, now, NewJob::new("t", json!({})))?;
        Err(Error::new(Kind::Conflict, "no"))
    });
    assert!(refused.is_err());
    assert_eq!(fixture.count("job_queue"), 0);
}

#[test]
fn what_cannot_be_a_job_is_refused_and_nothing_is_written() {
    let fixture = Fixture::new();
    for (job, kind) in [
        (NewJob::new("", json!({})), Kind::Invalid),
        (NewJob::new("with blank", json!({})), Kind::Invalid),
        (NewJob::new("line\nbreak", json!({})), Kind::Invalid),
        (NewJob::new("t".repeat(201), json!({})), Kind::Invalid),
        (NewJob::new("t", json!({})).max_attempts(0), Kind::Invalid),
        (NewJob::new("t", json!({})).max_attempts(1_001), Kind::Invalid),
        (NewJob::new("t", json!({})).dedupe_key(""), Kind::Invalid),
        (NewJob::new("t", json!("x".repeat(1 << 20))), Kind::TooLarge),
    ] {
        assert_eq!(fixture.app.enqueue(job.clone()).map_err(|error| error.kind()), Err(kind), "{job:?}");
    }
    assert_eq!(fixture.count("job_queue"), 0);
}

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
                while let Step::Ran { error, .. } = worker.step().expect("a working database") {
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
fn an_unknown_type_fails_like_any_other_and_says_so() {
    let fixture = Fixture::new();
    let id = fixture.enqueue("nobody-knows", json!({}));
    let Step::Ran { error, .. } = fixture.run_next() else { panic!("it was due") };
    assert_eq!(error.as_deref(), Some("Unknown job type: nobody-knows"));
    for rest in [2, 4] {
        fixture.advance(Duration::from_secs(rest));
        fixture.run_jobs();
    }
    let job = fixture.job(id);
    assert_eq!((job.status, job.error.as_deref()), (Status::Failed, Some("Unknown job type: nobody-knows")));
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

/// A handler that reports when it has begun and waits to be let go on.
fn paused(
    begun: Sender<u32>,
    go_on: Receiver<()>,
) -> impl Fn(&Claim, &Context) -> Result<Finish, JobError> + Send + Sync + 'static {
    let (begun, go_on) = (Mutex::new(begun), Mutex::new(go_on));
    move |job, context| {
        if job.attempt == 1 {
            begun.lock().expect("unpoisoned").send(job.attempt).expect("the test listens");
            go_on.lock().expect("unpoisoned").recv().expect("the test lets go on");
            // A step of a worker that has lost its claim is refused too.
            context.write(|tx| {
                tx.execute("INSERT INTO meta (name, value) VALUES ('late step', x'01')", ())?;
                Ok(())
            })?;
        }
        Ok(count_effect("effect"))
    }
}

#[test]
fn a_worker_cannot_complete_a_job_it_lost() {
    let (begun, has_begun) = channel();
    let (let_go, go_on) = channel();
    let fixture = fixture("slow", paused(begun, go_on));
    let id = fixture.enqueue("slow", json!({}));
    let slow = worker(&fixture);
    let late = std::thread::scope(|scope| {
        let late = scope.spawn(|| slow.step().expect("a working database"));
        has_begun.recv().expect("it begins");
        // Its lease ends while it hangs, nobody renews it, and another worker does the job.
        fixture.advance(Duration::from_secs(31));
        let Step::Ran { error, .. } = worker(&fixture).step().expect("a working database") else {
            panic!("it was due")
        };
        assert_eq!(error, None);
        let_go.send(()).expect("it waits");
        late.join().expect("no panic")
    });
    assert_eq!(late, Step::Ran { id, job_type: "slow".to_owned(), error: Some("the claim was lost".to_owned()) });
    let job = fixture.job(id);
    assert_eq!((job.status, job.attempts), (Status::Completed, 2));
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM meta WHERE name = 'effect'"), 1);
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM meta WHERE name = 'late step'"), 0);
    assert_eq!(outcomes(&fixture, id), ["lost", "completed"]);
}

#[test]
fn the_closing_effects_of_a_lost_claim_are_never_begun() {
    let (begun, has_begun) = channel();
    let (let_go, go_on) = channel::<()>();
    let (begun, go_on) = (Mutex::new(begun), Mutex::new(go_on));
    let fixture = fixture("slow", move |job, _context| {
        if job.attempt == 1 {
            begun.lock().expect("unpoisoned").send(()).expect("the test listens");
            go_on.lock().expect("unpoisoned").recv().expect("the test lets go on");
        }
        let attempt = job.attempt;
        Ok(Finish::with(move |tx, _now| {
            tx.execute("INSERT INTO meta (name, value) VALUES (?1, x'01')", [format!("effect {attempt}")])?;
            Ok(())
        }))
    });
    let id = fixture.enqueue("slow", json!({}));
    let slow = worker(&fixture);
    std::thread::scope(|scope| {
        let late = scope.spawn(|| slow.step().expect("a working database"));
        has_begun.recv().expect("it begins");
        fixture.advance(Duration::from_secs(31));
        // Another worker has claimed it, and the first one ends before the second has.
        worker(&fixture).step().expect("a working database");
        let_go.send(()).expect("it waits");
        late.join().expect("no panic");
    });
    assert_eq!(fixture.query::<String>("SELECT group_concat(name) FROM meta WHERE name LIKE 'effect%'"), "effect 2");
    assert_eq!(fixture.job(id).status, Status::Completed);
}

#[test]
fn a_lease_that_is_renewed_is_not_taken_away() {
    let (begun, has_begun) = channel();
    let (let_go, go_on) = channel();
    let fixture = fixture("slow", paused(begun, go_on));
    let id = fixture.enqueue("slow", json!({}));
    let slow = worker(&fixture);
    let running = slow.start(1).expect("threads");
    has_begun.recv().expect("it begins");
    for _ in 0..6 {
        // Ten seconds: a third of the lease. The keeper renews within its next round, of real time.
        let until = fixture.advance(Duration::from_secs(11)) + chrono::TimeDelta::seconds(30);
        while fixture.query::<i64>("SELECT lease_expires_at FROM job_queue") < until.timestamp_millis() {
            std::thread::yield_now();
        }
        assert_eq!(worker(&fixture).step().expect("a working database"), Step::Idle);
    }
    let_go.send(()).expect("it waits");
    running.stop(Duration::from_secs(60));
    assert_eq!((fixture.job(id).status, fixture.job(id).attempts), (Status::Completed, 1));
}

#[test]
fn the_lease_of_a_job_that_is_run_by_hand_is_renewed_too() {
    let (begun, has_begun) = channel();
    let (let_go, go_on) = channel();
    let fixture = fixture("slow", paused(begun, go_on));
    let id = fixture.enqueue("slow", json!({}));
    std::thread::scope(|scope| {
        // Dropped when this fails, which ends the job.
        let let_go = let_go;
        let by_hand = scope.spawn(|| worker(&fixture).step());
        has_begun.recv().expect("it begins");
        for _ in 0..3 {
            let until = fixture.advance(Duration::from_secs(11)) + chrono::TimeDelta::seconds(30);
            let patience = std::time::Instant::now() + Duration::from_secs(60);
            while fixture.query::<i64>("SELECT lease_expires_at FROM job_queue") < until.timestamp_millis() {
                assert!(std::time::Instant::now() < patience, "the lease is not renewed");
                std::thread::yield_now();
            }
            assert_eq!(worker(&fixture).step().expect("a working database"), Step::Idle);
        }
        let_go.send(()).expect("it waits");
        assert!(matches!(by_hand.join().expect("no panic"), Ok(Step::Ran { error: None, .. })));
    });
    assert_eq!((fixture.job(id).status, fixture.job(id).attempts), (Status::Completed, 1));
}

#[test]
fn a_job_run_by_hand_that_fails_after_it_was_lost_is_no_fault_of_the_database() {
    let fixture = fixture("slow", |_job, context| {
        let freed = context.db().write(|tx| -> quotegrid::db::Result<usize> {
            Ok(tx.execute(
                "UPDATE job_queue SET status = 'pending', claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL",
                (),
            )?)
        });
        assert_eq!(freed.expect("writable"), 1);
        Err(JobError::Retry("too late".to_owned()))
    });
    let id = fixture.enqueue("slow", json!({}));
    assert!(matches!(fixture.run_next(), Step::Ran { error: Some(_), .. }));
    assert_eq!((fixture.job(id).status, fixture.job(id).error), (Status::Pending, None), "not ours to touch");
}

#[test]
fn the_jobs_of_a_dead_worker_are_free_at_once() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done()));
    let id = fixture.enqueue("any", json!({}));
    // As a killed process leaves it: claimed by a worker whose lock nobody holds.
    claim_by(&fixture, "0:nobody", 1);
    assert_eq!(fixture.job(id).status, Status::Processing);
    assert_eq!(fixture.run_jobs(), 1, "no time has passed");
    assert_eq!((fixture.job(id).status, fixture.job(id).attempts), (Status::Completed, 2));
    assert_eq!(outcomes(&fixture, id), ["lost", "completed"]);
}

/// Puts the first `count` waiting jobs into the hands of `name`, as the claim does.
fn claim_by(fixture: &Fixture, name: &str, count: usize) {
    let (name, now) = (name.to_owned(), fixture.now().timestamp_millis());
    let changed = fixture.app.db.write(move |tx| -> quotegrid::db::Result<usize> {
        Ok(tx.execute(
            "UPDATE job_queue SET status = 'processing', attempts = attempts + 1, claim = claim + 1, batched = ?1 > 1,
                 claimed_by = ?2, claimed_at = ?3, lease_expires_at = ?3 + 30000
             WHERE id IN (SELECT id FROM job_queue WHERE status = 'pending' ORDER BY scheduled_at, id LIMIT ?1)",
            (count, name, now),
        )?)
    });
    assert_eq!(changed.expect("writable"), count);
}

#[test]
fn a_poison_job_ends_as_failed_and_costs_its_batch_mates_nothing() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done()));
    let ids: Vec<_> = (0..10).map(|number| fixture.enqueue("any", json!(number))).collect();
    let poison = ids[4];
    // The first crash takes the whole batch; which of them did it nobody knows, so no attempt is spent.
    claim_by(&fixture, "0:first crash", 10);
    let keeper = worker(&fixture);
    let mut crashes = 1;
    loop {
        // Whoever is next: the mates complete, the poison job takes its worker with it.
        let next: Option<String> = fixture
            .app
            .db
            .read(|connection| -> quotegrid::db::Result<_> {
                use rusqlite::OptionalExtension;
                Ok(connection
                    .query_row(
                        "SELECT id FROM job_queue WHERE status = 'pending' ORDER BY scheduled_at, id LIMIT 1",
                        (),
                        |row| row.get(0),
                    )
                    .optional()?)
            })
            .expect("readable");
        match next {
            Some(id) if id == poison.to_string() => {
                claim_by(&fixture, &format!("0:crash {crashes}"), 1);
                crashes += 1;
                assert!(crashes < 10, "a poison job ends");
            }
            _ => {
                if keeper.step().expect("a working database") == Step::Idle {
                    fixture.advance(Duration::from_secs(60));
                    if fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status IN ('pending', 'processing')")
                        == 0
                    {
                        break;
                    }
                }
            }
        }
    }
    assert_eq!((fixture.job(poison).status, fixture.job(poison).attempts), (Status::Failed, 3));
    for id in ids.into_iter().filter(|id| *id != poison) {
        let job = fixture.job(id);
        assert_eq!((job.status, job.attempts, job.error), (Status::Completed, 1, None));
    }
}

#[test]
fn a_rescued_job_is_claimed_alone() {
    let (begun, has_begun) = channel();
    let (let_go, go_on) = channel::<()>();
    let (begun, go_on) = (Mutex::new(begun), Mutex::new(go_on));
    let fixture = fixture("slow", move |job, _context| {
        begun.lock().expect("unpoisoned").send(job.payload.clone()).expect("the test listens");
        go_on.lock().expect("unpoisoned").recv().expect("the test lets go on");
        Ok(Finish::done())
    });
    for number in 0..5 {
        fixture.enqueue("slow", json!(number));
    }
    claim_by(&fixture, "0:dead", 2);
    let running = worker(&fixture).start(1).expect("threads");
    let mut alone = 0;
    for _ in 0..5 {
        let number = has_begun.recv().expect("the next begins");
        let of_job = format!("FROM job_queue WHERE status = 'processing' AND payload = '{number}'");
        let batched = fixture.query::<bool>(&format!("SELECT batched {of_job}"));
        let was_rescued = fixture.query::<bool>(&format!("SELECT rescues > 0 {of_job}"));
        assert_ne!(batched, was_rescued, "the two that were rescued one by one, and the others together");
        alone += usize::from(was_rescued);
        let_go.send(()).expect("it waits");
    }
    running.stop(Duration::from_secs(60));
    assert_eq!(alone, 2);
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'completed'"), 5);
}

#[test]
fn threads_work_off_a_backlog_and_what_comes_later() {
    let fixture = fixture("count", |job, _context| Ok(count_effect(&job.id.to_string())));
    for number in 0..300 {
        fixture.enqueue("count", json!(number));
    }
    let running = worker(&fixture).start(4).expect("threads");
    for number in 0..300 {
        fixture.enqueue("count", json!(number));
    }
    wait_until(|| fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'completed'") == 600);
    running.stop(Duration::from_secs(60));
    assert_eq!(fixture.count("meta"), 601);
}

#[test]
fn a_job_scheduled_for_later_wakes_an_idle_worker_in_time() {
    let fixture = fixture("count", |job, _context| Ok(count_effect(&job.id.to_string())));
    let running = worker(&fixture).start(1).expect("threads");
    let at = fixture.now() + chrono::TimeDelta::hours(1);
    let id = fixture.app.enqueue(NewJob::new("count", json!({})).scheduled_at(at)).expect("enqueued");
    fixture.advance(Duration::from_secs(3_599));
    assert_eq!(fixture.job(id).status, Status::Pending);
    fixture.advance(Duration::from_secs(1));
    wait_until(|| fixture.job(id).status == Status::Completed);
    running.stop(Duration::from_secs(60));
}

/// Waits for a condition that other threads bring about. Never ends when it never comes: the test runner tells.
fn wait_until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn stopping_gives_back_what_was_not_begun_and_what_does_not_end_with_its_attempt() {
    let (begun, has_begun) = channel();
    let (let_go, go_on) = channel();
    let fixture = fixture("slow", paused(begun, go_on));
    let ids: Vec<_> = (0..5).map(|number| fixture.enqueue("slow", json!(number))).collect();
    let running = worker(&fixture).start(1).expect("threads");
    has_begun.recv().expect("the first begins");
    wait_until(|| fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'processing'") == 5);
    running.stop(Duration::ZERO);
    for id in &ids {
        let job = fixture.job(*id);
        assert_eq!((job.status, job.attempts), (Status::Pending, 0));
        assert_eq!(outcomes(&fixture, *id), ["given_back"]);
    }
    let_go.send(()).expect("it waits");
}

#[test]
fn a_running_job_may_end_within_the_grace_period() {
    let (begun, has_begun) = channel();
    let (let_go, go_on) = channel();
    let fixture = fixture("slow", paused(begun, go_on));
    let id = fixture.enqueue("slow", json!({}));
    let running = worker(&fixture).start(2).expect("threads");
    has_begun.recv().expect("it begins");
    std::thread::scope(|scope| {
        scope.spawn(|| running.stop(Duration::from_secs(600)));
        let_go.send(()).expect("it waits");
    });
    assert_eq!(fixture.job(id).status, Status::Completed);
}

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
    // Once its keeper has noticed, the lease is one of the new time.
    let leap = fixture.now().timestamp_millis();
    wait_until(|| fixture.query::<i64>("SELECT max(lease_expires_at) FROM job_queue") > leap);
    let_go.send(()).expect("it waits");
    running.stop(Duration::from_secs(60));
    watching.stop(Duration::from_secs(60));
    assert_eq!((fixture.job(id).status, fixture.job(id).attempts), (Status::Completed, 1));
    assert_eq!(outcomes(&fixture, id), ["completed"]);
}

#[test]
fn an_unfinished_job_with_the_same_dedupe_key_is_not_enqueued_again() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done()));
    let enqueue = |job_type: &str, key: &str| {
        fixture.app.enqueue(NewJob::new(job_type, json!({})).dedupe_key(key)).expect("enqueued")
    };
    let first = enqueue("any", "k");
    assert_eq!(enqueue("any", "k"), first);
    assert_ne!(enqueue("any", "other"), first);
    assert_ne!(enqueue("other", "k"), first);
    assert_eq!(fixture.count("job_queue"), 3);
    fixture.run_next();
    assert_ne!(enqueue("any", "k"), first, "a finished job holds its key no more");
}

#[test]
fn jobs_run_in_the_order_in_which_they_are_due() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = order.clone();
    let fixture = fixture("any", move |job, _context| {
        seen.lock().expect("unpoisoned").push(job.payload.clone());
        Ok(Finish::done())
    });
    let now = fixture.now();
    for (name, minutes) in [("c", 3), ("a", 1), ("d", 4), ("b", 2)] {
        let at = now + chrono::TimeDelta::minutes(minutes);
        fixture.app.enqueue(NewJob::new("any", json!(name)).scheduled_at(at)).expect("enqueued");
    }
    fixture.advance(Duration::from_secs(180));
    fixture.run_jobs();
    assert_eq!(*order.lock().expect("unpoisoned"), [json!("a"), json!("b"), json!("c")]);
}

#[test]
fn list_and_counts_tell_where_jobs_stand() {
    let fixture = fixture("good", |_job, _context| Ok(Finish::done()));
    let ids: Vec<_> = (0..3).map(|_| fixture.enqueue("good", json!({}))).collect();
    fixture.enqueue("unknown", json!({}));
    fixture.run_next();
    let list = |filter: Filter| -> Vec<_> {
        let jobs = fixture.app.db.read(|connection| queue::list(connection, &filter)).expect("readable");
        jobs.into_iter().map(|job| job.id).collect()
    };
    assert_eq!(list(Filter { limit: 10, ..Filter::default() }).len(), 4);
    assert_eq!(list(Filter { limit: 10, status: Some(Status::Completed), ..Filter::default() }), [ids[0]]);
    assert_eq!(list(Filter { limit: 1, job_type: Some("good".to_owned()), ..Filter::default() }), [ids[2]]);
    assert_eq!(list(Filter { limit: 10, before: Some(ids[1]), ..Filter::default() }), [ids[0]]);
    let counts = fixture.app.db.read(queue::counts).expect("readable");
    assert_eq!((counts.pending, counts.completed, counts.failed), (3, 1, 0));
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

/// A handler whose jobs wait for someone else's server.
struct Outside;

impl Handler for Outside {
    fn run(&self, _job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        Ok(Finish::done())
    }

    fn waits_outside(&self) -> bool {
        true
    }
}

#[test]
fn a_worker_takes_its_share_and_one_for_all_takes_the_oldest_of_both_kinds() {
    let handlers = Registry::new().with("out", Outside).with("in", Run(|_: &Claim, _: &Context| Ok(Finish::done())));
    let fixture = Fixture::with_handlers(handlers);
    let worker = |share| {
        let (app, options) = (&fixture.app, Options { share, ..Options::default() });
        Worker::new(app.db.clone(), app.queue.clone(), app.clock.clone(), app.entropy.as_ref(), options)
            .expect("a worker")
    };
    let (inside, outside, all) = (worker(Share::Inside), worker(Share::Outside), worker(Share::All));
    let enqueue = |types: &[&str]| {
        for job_type in types {
            fixture.enqueue(job_type, json!({}));
            fixture.advance(Duration::from_millis(1));
        }
    };
    let took = |worker: &Worker| match worker.step().expect("a working database") {
        Step::Ran { job_type, .. } => job_type,
        Step::Idle => "nothing".to_owned(),
    };
    enqueue(&["out", "out", "in"]);
    assert_eq!([took(&inside), took(&inside)], ["in", "nothing"]);
    enqueue(&["in"]);
    assert_eq!([took(&outside), took(&outside), took(&outside)], ["out", "out", "nothing"]);
    enqueue(&["out", "in", "out"]);
    assert_eq!([took(&all), took(&all), took(&all), took(&all), took(&all)], ["in", "out", "in", "out", "nothing"]);
}

#[test]
fn the_claim_walks_the_index_of_waiting_jobs_and_sorts_nothing() {
    let fixture = Fixture::new();
    for sql in [
        "SELECT id, rescues FROM job_queue WHERE status = 'pending' AND outside = 0 AND scheduled_at <= 1 ORDER BY scheduled_at, id LIMIT 50",
        "SELECT scheduled_at FROM job_queue WHERE status = 'pending' AND outside = 1 ORDER BY scheduled_at, id LIMIT 1",
        "SELECT 1 FROM job_queue WHERE status = 'pending' AND outside = 0 AND scheduled_at > 1 AND scheduled_from > 1 LIMIT 1",
    ] {
        let plan = plan(&fixture, sql);
        assert!(plan.contains("job_queue_pending"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
    let plan =
        plan(&fixture, "SELECT id, claim, claimed_by, lease_expires_at FROM job_queue WHERE status = 'processing'");
    assert!(plan.contains("job_queue_processing"), "{plan}");
}

#[test]
fn no_row_of_the_busy_tables_costs_a_table_of_its_own() {
    let fixture = Fixture::new();
    for sql in [
        "INSERT INTO job_queue (id, type, payload, scheduled_at, created_at) VALUES ('i', 't', '{}', 1, 1)",
        "UPDATE job_queue SET status = 'completed', processed_at = 1, payload = '{}', claimed_by = NULL, claimed_at = NULL,
             lease_expires_at = NULL WHERE id = 'i' AND claim = 1 AND status = 'processing'",
        "INSERT INTO job_attempts VALUES ('i', 1, 1, 1, 1, 'completed', NULL)",
        "INSERT INTO webhook_deliveries VALUES ('t', 'w', NULL, 's', 1, 'i')",
        "INSERT INTO gdpr_requests (id, shop, type, payload, triggered_at, due_at, created_at)
             VALUES ('r', 's', 'SHOP_REDACT', '{}', 1, 1, 1)",
        "UPDATE gdpr_requests SET processed_at = 1, outcome = 'erased' WHERE id = 'r'",
    ] {
        let tables = fixture.app.db.read(|connection| -> quotegrid::db::Result<usize> {
            let mut statement = connection.prepare(&format!("EXPLAIN {sql}"))?;
            let steps = statement.query_map((), |row| row.get::<_, String>("opcode"))?;
            Ok(steps.collect::<Result<Vec<_>, _>>()?.iter().filter(|step| *step == "OpenEphemeral").count())
        });
        assert_eq!(tables.expect("explained"), 0, "{sql}");
    }
}

fn plan(fixture: &Fixture, sql: &str) -> String {
    let lines = fixture.app.db.read(|connection| -> quotegrid::db::Result<Vec<String>> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let lines = statement.query_map((), |row| row.get("detail"))?.collect::<Result<_, _>>()?;
        Ok(lines)
    });
    lines.expect("a plan").join("\n")
}

#[test]
fn finished_jobs_forget_in_steps_and_unfinished_ones_are_left_alone() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done().keeping(json!({ "kept": 1 }))));
    let about = |subject: &str| {
        fixture.app.enqueue(NewJob::new("any", json!({ "name": "x" })).about(subject)).expect("enqueued");
    };
    for subject in ["s", "s", "s", "s", "s", "other"] {
        about(subject);
    }
    fixture.run_jobs();
    about("s");
    let steps: Vec<usize> =
        (0..4).map(|_| fixture.app.db.write(|tx| queue::forget_finished(tx, "s", 2)).expect("writable")).collect();
    assert_eq!(steps, [2, 2, 1, 0]);
    let left = "SELECT group_concat(subject || status || payload) FROM (SELECT * FROM job_queue WHERE payload <> '{}' ORDER BY id)";
    assert_eq!(fixture.query::<String>(left), r#"othercompleted{"kept":1},spending{"name":"x"}"#);
}

#[test]
fn forgetting_a_subject_reaches_its_jobs_and_no_others() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done().keeping(json!({ "kept": 1 }))));
    let about = |subject: &str, payload: Value| {
        fixture.app.enqueue(NewJob::new("any", payload).about(subject)).expect("enqueued")
    };
    let finished = about("s", json!({ "name": "x" }));
    fixture.run_jobs();
    let with_member = about("s", json!({ "requestId": "r", "name": "x" }));
    let without = about("s", json!({ "name": "x" }));
    let own = about("s", json!({ "name": "x" }));
    let other = about("other", json!({ "name": "x" }));
    let now = fixture.now();
    let forgotten = fixture.app.db.write(move |tx| queue::forget(tx, now, "s", own, "requestId")).expect("writable");
    assert_eq!(forgotten, 3);
    let found: HashMap<_, _> = [finished, with_member, without, own, other]
        .map(|id| (id, (fixture.job(id).status, fixture.job(id).payload)))
        .into();
    assert_eq!(found[&finished], (Status::Completed, json!({})));
    assert_eq!(found[&with_member], (Status::Pending, json!({ "requestId": "r" })));
    assert_eq!(found[&without], (Status::Cancelled, json!({})));
    assert_eq!(found[&own], (Status::Pending, json!({ "name": "x" })));
    assert_eq!(found[&other], (Status::Pending, json!({ "name": "x" })));
}
