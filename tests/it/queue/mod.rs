//! The queue: claims, retries, fences, recoveries, batches, stops.

mod claims;
mod clocks;
mod enqueueing;
mod looking;
mod recovery;
mod redaction;
mod running;
mod threads;

use quotegrid::domain::ids::JobId;
use quotegrid::queue::{self, Claim, Context, Finish, Handler, JobError, Registry, Worker};
use quotegrid::testing::Fixture;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};

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

fn worker(fixture: &Fixture) -> Arc<Worker> {
    Arc::new(fixture.app.worker().expect("a worker"))
}

fn outcomes(fixture: &Fixture, id: JobId) -> Vec<String> {
    let attempts = fixture.app.db.read(|connection| queue::list_attempts(connection, id)).expect("readable");
    attempts.into_iter().map(|attempt| attempt.outcome.to_string()).collect()
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
