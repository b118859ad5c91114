//! The jobs of workers that have died.

use super::{claim_by, fixture, outcomes, worker};
use quotegrid::queue::{Finish, Status, StepOutcome};
use serde_json::json;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

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

#[test]
fn a_poison_job_ends_as_failed_and_costs_its_batch_mates_nothing() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done()));
    let ids: Vec<_> = (0..10).map(|number| fixture.enqueue("any", json!(number))).collect();
    let poison = ids[4];
    // The first crash takes the whole batch; which of them did it nobody knows, so no attempt is spent.
    claim_by(&fixture, "0:first crash", 10);
    let maintenance = worker(&fixture);
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
                if maintenance.step().expect("a working database") == StepOutcome::Idle {
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
        let was_recovered = fixture.query::<bool>(&format!("SELECT recoveries > 0 {of_job}"));
        assert_ne!(batched, was_recovered, "the two that were recovered one by one, and the others together");
        alone += usize::from(was_recovered);
        let_go.send(()).expect("it waits");
    }
    running.stop(Duration::from_secs(60));
    assert_eq!(alone, 2);
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'completed'"), 5);
}
