//! What a job type implements, and what it is given to work with. Open to programs that embed quotegrid: they register their own.

use super::{Claim, MAX_ATTEMPTS, NewJob, Queue, jobs};
use crate::clock::Clock;
use crate::db::{self, Db, Tx};
use crate::error::Error;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Runs the jobs of one type.
///
/// ```
/// use quotegrid::queue::{Claim, Context, Finish, Handler, JobError};
/// use quotegrid::{Registry, testing::Fixture};
/// use serde_json::json;
///
/// /// Counts a parcel's labels, in a table of the embedding program.
/// struct CountLabel;
///
/// impl Handler for CountLabel {
///     fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError> {
///         let parcel = job.payload["parcel"].as_i64().ok_or_else(|| JobError::Permanent("no parcel".to_owned()))?;
///         // A step of its own, fenced by the claim; a later run finds it done.
///         context.write(move |tx| Ok(tx.execute("INSERT OR IGNORE INTO parcels VALUES (?1, 0)", [parcel])?))?;
///         // Committed together with the completion, exactly once.
///         Ok(Finish::with(move |tx, _now| {
///             tx.execute("UPDATE parcels SET labels = labels + 1 WHERE id = ?1", [parcel])?;
///             Ok(())
///         }))
///     }
/// }
///
/// let fixture = Fixture::with_handlers(Registry::new().with("count_label", CountLabel));
/// let create = "CREATE TABLE parcels (id INTEGER PRIMARY KEY, labels INTEGER NOT NULL) STRICT";
/// fixture.app.db.write(move |tx| Ok::<_, quotegrid::Error>(tx.execute_batch(create)?)).expect("created");
/// fixture.enqueue("count_label", json!({ "parcel": 7 }));
/// fixture.enqueue("count_label", json!({}));
/// assert_eq!(fixture.run_jobs(), 2);
/// assert_eq!(fixture.query::<i64>("SELECT labels FROM parcels WHERE id = 7"), 1);
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Runs the job, outside any transaction, and returns what is to be committed together with its completion.
    ///
    /// It may run more than once: after a crash, after a failure, and alongside a run that has lost its claim. What it does through
    /// [`Context::write`] is fenced by the claim and should be steps that a later run goes on from; what it returns in
    /// [`Finish`] happens exactly once.
    ///
    /// # Errors
    /// A [`JobError`], when the job did not succeed: it says whether the job is tried again, discarded or delayed.
    fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError>;

    /// How often a job of this type is tried when its enqueuer does not say.
    fn max_attempts(&self) -> u32 {
        MAX_ATTEMPTS
    }

    /// Whether its jobs spend their time waiting for an external service. They run apart from the others then, if the app has threads
    /// for such jobs.
    fn calls_external_service(&self) -> bool {
        false
    }

    /// Whether a person may pause its jobs, or cancel all of them at once: not where the law sets them a time.
    fn may_be_paused(&self) -> bool {
        true
    }

    /// What the log should add when a job of this type is discarded: what a person must do, and by when.
    fn operator_hint(&self) -> Option<&'static str> {
        None
    }
}

/// A closing effect: changes rows in the transaction that completes the job.
pub(super) type Effect = Box<dyn FnOnce(&Tx<'_>, DateTime<Utc>) -> Result<(), Error> + Send>;

/// How a job that succeeded ends: its closing effects, and what its row keeps of the payload.
pub struct Finish {
    pub(super) effects: Option<Effect>,
    pub(super) keep: Value,
    next: Option<NewJob>,
}

impl Finish {
    /// Nothing more to do. The job forgets its payload.
    pub fn done() -> Self {
        Self { effects: None, keep: Value::Object(Map::new()), next: None }
    }

    /// Commits `effects` together with the completion. They are given the transaction and the time of completion; an error or a
    /// panic undoes both and counts as a failed attempt.
    pub fn with(effects: impl FnOnce(&Tx<'_>, DateTime<Utc>) -> Result<(), Error> + Send + 'static) -> Self {
        Self { effects: Some(Box::new(effects)), ..Self::done() }
    }

    /// The same, and the finished job's row keeps `payload`: what an operator needs, and nothing of a person.
    #[must_use]
    pub fn keeping(mut self, payload: Value) -> Self {
        self.keep = payload;
        self
    }

    /// The same, and `job` is enqueued in the transaction that completes this one: there is always one of both.
    #[must_use]
    pub fn followed_by(mut self, job: NewJob) -> Self {
        self.next = Some(job);
        self
    }

    /// The same with the job that follows as the last of the closing effects.
    pub(super) fn enqueuing(mut self, queue: &Queue) -> Self {
        if let Some(job) = self.next.take() {
            let (queue, effects) = (queue.clone(), self.effects.take());
            self.effects = Some(Box::new(move |tx, now| {
                if let Some(effects) = effects {
                    effects(tx, now)?;
                }
                queue.enqueue(tx, now, job).map(|_id| ())
            }));
        }
        self
    }
}

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finish").field("effects", &self.effects.is_some()).finish_non_exhaustive()
    }
}

/// Why a run did not succeed, and so what becomes of the job. The texts are stored and logged: nothing of a person in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// Try again after a delay, while attempts are left.
    #[error("{0}")]
    Retry(String),
    /// No attempt will ever succeed: the job is discarded at once.
    #[error("{0}")]
    Permanent(String),
    /// Not yet: run again after this long. The attempt is released.
    #[error("snoozed for {0:?}")]
    Snooze(Duration),
    /// No handler of this program knows the job's type; another program's may. The job is delayed, and its attempt is released.
    #[error("Unknown job type: {0}")]
    UnknownType(String),
    /// The worker is stopping and the job with it, between two steps. It is released with its attempt.
    #[error("stopped")]
    Stopped,
    /// Another worker has the job now, or it was cancelled. Nothing this run does counts any more.
    #[error("the claim was lost")]
    ClaimLost,
}

impl From<db::Error> for JobError {
    fn from(error: db::Error) -> Self {
        Self::Retry(error.to_string())
    }
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        use std::error::Error as _;
        Self::Retry(error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}")))
    }
}

/// The pause of a job after a step, as a multiple of what the step took, where others wrote meanwhile: webhooks keep two thirds of the writer.
const REST: u32 = 2;

/// The same with as many others as [`CROWD`] beside the step: they keep four fifths of the writer.
const REST_IN_CROWD: u32 = 4;

/// Changes that were committed since the step was handed over, or wait when it is done: more than the few threads of a program that enqueues
/// come to in a few milliseconds of a step. A server under load has more.
const CROWD: usize = 8;

/// The longest delay after a step, however long that took.
const REST_MAX: Duration = Duration::from_millis(50);

/// What a running job may use.
pub struct Context {
    pub(super) db: Db,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) claim: Claim,
    pub(super) stopping: Arc<AtomicBool>,
    /// Others have written while the last step was.
    pub(super) others_write: AtomicBool,
}

impl Context {
    /// The present time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The database, for reading.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Whether the worker wants to stop: a job of many steps returns [`JobError::Stopped`] then.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether nobody else has written while the last step was committed: the next may then take longer.
    pub fn writes_alone(&self) -> bool {
        !self.others_write.load(Ordering::Relaxed)
    }

    /// Commits one step of the job, if it still holds its claim, and leaves others their share of the writer. A step takes at most
    /// about 10 ms.
    ///
    /// # Errors
    /// [`JobError::ClaimLost`] when another worker has the job or it was cancelled, [`JobError::Retry`] when the step fails or the
    /// database does; nothing of the step is written then.
    pub fn write<T, F>(&self, step: F) -> Result<T, JobError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        let claim = self.claim.clone();
        let figures = self.db.writer_figures();
        let before = figures.changes.load(Ordering::Relaxed);
        let (value, took) = self.db.write(move |tx| {
            let began = Instant::now();
            if !jobs::is_held(tx, &claim)? {
                return Err(JobError::ClaimLost);
            }
            // Without the commit, which serves others too.
            step(tx).map(|value| (value, began.elapsed())).map_err(JobError::from)
        })?;
        // Those who wait first: between the two looks they may be done, and then the second sees them.
        let waiting = figures.waiting.load(Ordering::Acquire);
        let beside = figures.changes.load(Ordering::Acquire).saturating_sub(before + 1);
        let others = waiting.max(beside);
        self.others_write.store(others > 0, Ordering::Relaxed);
        if others > 0 {
            std::thread::sleep(rest_after(took, others));
        }
        Ok(value)
    }
}

/// How long a job pauses after a step that took so long, with so many changes of others beside it.
fn rest_after(took: Duration, others: usize) -> Duration {
    let rest = if others < CROWD { REST } else { REST_IN_CROWD };
    (took * rest).min(REST_MAX)
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("claim", &self.claim.id).finish_non_exhaustive()
    }
}

/// Which handler runs which type.
#[derive(Default)]
pub struct Registry(HashMap<String, Arc<dyn Handler>>);

impl Registry {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has jobs of `job_type` run by `handler`, instead of by the one that was registered before.
    #[must_use]
    pub fn with(mut self, job_type: impl Into<String>, handler: impl Handler) -> Self {
        self.0.insert(job_type.into(), Arc::new(handler));
        self
    }

    /// Whether a handler runs jobs of this type.
    pub fn knows(&self, job_type: &str) -> bool {
        self.0.contains_key(job_type)
    }

    pub(super) fn find(&self, job_type: &str) -> Option<&Arc<dyn Handler>> {
        self.0.get(job_type)
    }

    pub(super) fn max_attempts(&self, job_type: &str) -> u32 {
        self.find(job_type).map_or(MAX_ATTEMPTS, |handler| handler.max_attempts())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_wait_the_longer_a_job_pauses_after_a_step_and_never_for_long() {
        let of = |millis, others| rest_after(Duration::from_millis(millis), others).as_millis();
        assert_eq!([of(5, 1), of(5, CROWD - 1), of(5, CROWD), of(5, 1_000)], [10, 10, 20, 20]);
        assert_eq!([of(0, 9), of(26, 1), of(13, CROWD)], [0, 50, 50]);
    }
}
