//! Claims: who may finish a job, how long a lease lasts, and in which order jobs are taken.

use super::{Run, fixture, outcomes, paused, worker};
use quotegrid::queue::{
    Claim, Context, Finish, Handler, JobError, NewJob, Options, Registry, Share, Status, StepOutcome, Worker,
};
use quotegrid::testing::Fixture;
use serde_json::json;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
        let StepOutcome::Ran { error, .. } = worker(&fixture).step().expect("a working database") else {
            panic!("it was due")
        };
        assert_eq!(error, None);
        let_go.send(()).expect("it waits");
        late.join().expect("no panic")
    });
    assert_eq!(
        late,
        StepOutcome::Ran { id, job_type: "slow".to_owned(), error: Some("the claim was lost".to_owned()) }
    );
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
        // Ten seconds: a third of the lease. Maintenance renews within its next round, of real time.
        let until = fixture.advance(Duration::from_secs(11)) + chrono::TimeDelta::seconds(30);
        while fixture.query::<i64>("SELECT lease_expires_at FROM job_queue") < until.timestamp_millis() {
            std::thread::yield_now();
        }
        assert_eq!(worker(&fixture).step().expect("a working database"), StepOutcome::Idle);
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
            assert_eq!(worker(&fixture).step().expect("a working database"), StepOutcome::Idle);
        }
        let_go.send(()).expect("it waits");
        assert!(matches!(by_hand.join().expect("no panic"), Ok(StepOutcome::Ran { error: None, .. })));
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
    assert!(matches!(fixture.run_next(), StepOutcome::Ran { error: Some(_), .. }));
    assert_eq!((fixture.job(id).status, fixture.job(id).error), (Status::Pending, None), "not ours to touch");
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

/// A handler whose jobs wait for someone else's server.
struct OutOfRange;

impl Handler for OutOfRange {
    fn run(&self, _job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        Ok(Finish::done())
    }

    fn calls_external_service(&self) -> bool {
        true
    }
}

#[test]
fn a_worker_takes_its_share_and_one_for_all_takes_the_oldest_of_both_kinds() {
    let handlers = Registry::new().with("out", OutOfRange).with("in", Run(|_: &Claim, _: &Context| Ok(Finish::done())));
    let fixture = Fixture::with_handlers(handlers);
    let worker = |share| {
        let (app, options) = (&fixture.app, Options { share, ..Options::default() });
        Worker::new(app.db.clone(), app.queue.clone(), app.clock.clone(), app.entropy.as_ref(), options)
            .expect("a worker")
    };
    let (inside, outside, all) = (worker(Share::Internal), worker(Share::External), worker(Share::All));
    let enqueue = |types: &[&str]| {
        for job_type in types {
            fixture.enqueue(job_type, json!({}));
            fixture.advance(Duration::from_millis(1));
        }
    };
    let took = |worker: &Worker| match worker.step().expect("a working database") {
        StepOutcome::Ran { job_type, .. } => job_type,
        StepOutcome::Idle => "nothing".to_owned(),
    };
    enqueue(&["out", "out", "in"]);
    assert_eq!([took(&inside), took(&inside)], ["in", "nothing"]);
    enqueue(&["in"]);
    assert_eq!([took(&outside), took(&outside), took(&outside)], ["out", "out", "nothing"]);
    enqueue(&["out", "in", "out"]);
    assert_eq!([took(&all), took(&all), took(&all), took(&all), took(&all)], ["in", "out", "in", "out", "nothing"]);
}

#[test]
fn a_job_that_goes_ahead_goes_before_those_that_have_been_due_for_less_and_no_other() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = order.clone();
    let fixture = fixture("turn", move |job, _context| {
        seen.lock().expect("unpoisoned").push(job.payload["name"].as_str().expect("a name").to_owned());
        Ok(Finish::done())
    });
    let enqueue = |name: &str, ahead: Duration| {
        fixture.app.enqueue(NewJob::new("turn", json!({ "name": name })).ahead(ahead)).expect("enqueued")
    };
    enqueue("old", Duration::ZERO);
    fixture.advance(Duration::from_secs(60));
    enqueue("plain", Duration::ZERO);
    enqueue("a little", Duration::from_secs(10));
    enqueue("more", Duration::from_secs(50));
    // An hour at the most, whatever is asked for.
    enqueue("most", Duration::MAX);
    fixture.run_jobs();
    let ran = order.lock().expect("unpoisoned").join(", ");
    assert_eq!(ran, "most, old, more, a little, plain");
}

#[test]
fn subjects_take_turns_and_one_that_has_many_jobs_waiting_holds_up_no_other() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done()));
    let enqueue = |subject: &str, count: usize| {
        for _ in 0..count {
            fixture.app.enqueue(NewJob::new("any", json!({})).about(subject)).expect("enqueued");
        }
    };
    enqueue("a", 200);
    enqueue("b", 3);
    fixture.advance(Duration::from_millis(1));
    enqueue("c", 1);
    let order: Vec<String> = (0..204)
        .map(|_| match fixture.run_next() {
            StepOutcome::Ran { id, .. } => fixture.query(&format!("SELECT subject FROM job_queue WHERE id = '{id}'")),
            StepOutcome::Idle => panic!("a job waits"),
        })
        .collect();
    let last = |subject: &str| order.iter().rposition(|ran| ran == subject).expect("it ran");
    assert!(last("c") < 3, "{order:?}");
    assert!(last("b") < 8, "{order:?}");
    assert_eq!(order.iter().filter(|ran| *ran == "a").count(), 200, "whoever waits alone is held up by no turn");
}
