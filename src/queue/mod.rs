//! A durable job queue in SQLite that runs each job exactly once in effect. Knows nothing of what the jobs are about.
//!
//! ```text
//!               claim                    finish: effects + completed, in one transaction
//!   pending ───────────────▶ processing ─────────────────────────────▶ completed
//!      ▲                      │  │  │
//!      │   failed, attempts   │  │  └─ failed, none left, or permanent ─▶ failed
//!      ├── left: now + 2^n s ─┘  │
//!      └── released, snoozed, ─┘          pending ── cancelled by a person ──▶ cancelled
//!          or its worker was lost            failed, cancelled ── retried by a person ──▶ pending
//! ```
//!
//! - [`Queue::enqueue`] writes a job inside the caller's transaction: it exists if and only if the caller's change does.
//! - A **claim** counts the attempt and takes the next claim number in one commit. `(id, claim number)` is the fence: every
//!   statement that finishes a claim names it and must change exactly one row, so a worker that lost its claim changes nothing.
//! - A [`Handler`] runs outside any transaction and returns the job's closing effects; they commit together with `completed`.
//! - A claim is lost when its process is dead (at once, by its lock file) or has stopped renewing its lease; see `lease.rs`.
//!
//! # Only the queue
//!
//! A [`Db`](crate::Db), a [`Queue`] and a [`Worker`] are a job queue in a file of its own, without the rest of this crate:
//!
//! ```
//! use quotegrid::clock::{Clock, SystemClock};
//! use quotegrid::entropy::OsEntropy;
//! use quotegrid::queue::{self, StepOutcome};
//! use quotegrid::{Claim, Context, Db, Finish, Handler, JobError, NewJob, Queue, Registry, Worker, db};
//! use serde_json::json;
//! use std::sync::Arc;
//!
//! struct Greet;
//!
//! impl Handler for Greet {
//!     fn run(&self, job: &Claim, _context: &Context) -> Result<Finish, JobError> {
//!         println!("hello {}", job.payload["name"]);
//!         Ok(Finish::done())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let db = Db::open(&db::Options::new(directory.path().join("jobs.db")))?;
//! let queue = Queue::new(Arc::new(OsEntropy), Registry::new().with("greet", Greet));
//!
//! // In the transaction that changes what the job is about.
//! let (enqueuing, now) = (queue.clone(), SystemClock.now());
//! db.write(move |tx| enqueuing.enqueue(tx, now, NewJob::new("greet", json!({ "name": "Ada" }))))?;
//!
//! // `Arc::new(worker).start(2)` would run jobs on two threads until it is stopped; a step runs one.
//! let worker = Worker::new(db, queue, Arc::new(SystemClock), &OsEntropy, queue::Options::default())?;
//! assert!(matches!(worker.step()?, StepOutcome::Ran { error: None, .. }));
//! assert_eq!(worker.step()?, StepOutcome::Idle);
//! # Ok(())
//! # }
//! ```
//!
//! Finished jobs are kept until [`prune`] deletes them; call it now and then.
//!
//! Read on in `handler.rs` (what a job type implements), `worker.rs` (who runs jobs), `jobs.rs` (the SQL).

mod attempts;
mod backoff;
mod bulk;
mod handler;
mod jobs;
mod lease;
mod retention;
mod turns;
mod worker;

pub use attempts::list as list_attempts;
pub use bulk::{BULK_MAX, BulkChange, BulkOutcome};
pub use handler::{Context, Finish, Handler, JobError, Registry};
pub use jobs::{
    Counts, FailureGroup, Filter, GROUPED_MAX, Mentions, Pause, Selection, ToForget, change_texts, count_failed,
    count_failed_by_type, count_up_to, counts, each_finished, each_unfinished, find, forget, group_failures,
    is_any_running, list, list_about, list_failed_since, list_matching, list_mentions, list_new_to_forget, list_pauses,
    list_to_forget, next_due_at, next_types, says_more,
};
pub use retention::{Retention, prune};
pub use worker::{Options, Running, StepOutcome, Worker};

use crate::db::text_sql;
use crate::db::{Constraint, Tx};
use crate::domain::ids::JobId;
use crate::domain::text_enum::text_enum;
use crate::entropy::Entropy;
use crate::error::{Error, Kind};
use chrono::{DateTime, Utc};
use log::{info, warn};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use turns::Turns;

/// How often a job is tried when neither its type nor its enqueuer says otherwise.
pub const MAX_ATTEMPTS: u32 = 3;

/// More attempts than anyone means: at the longest delay, ten months of them.
const MAX_ATTEMPTS_LIMIT: u32 = 1_000;

/// A job that goes ahead has others wait: no longer than this.
const AHEAD_MAX: Duration = Duration::from_secs(3_600);

/// A job's payload, in bytes of JSON: ids and options, not documents.
const PAYLOAD_MAX: usize = 1 << 20;

/// A type's name, a dedupe key and a subject are names, not texts.
const NAME_MAX: usize = 200;

/// A job to be enqueued.
#[derive(Debug, Clone)]
pub struct NewJob {
    job_type: String,
    payload: Value,
    max_attempts: Option<u32>,
    scheduled_at: Option<DateTime<Utc>>,
    /// `None`: it takes turns with the others of its subject.
    ahead: Option<Duration>,
    dedupe_key: Option<String>,
    subject: Option<String>,
}

impl NewJob {
    /// A job of `job_type`, due at once. The type need not be known: a later binary may know it.
    pub fn new(job_type: impl Into<String>, payload: Value) -> Self {
        Self {
            job_type: job_type.into(),
            payload,
            max_attempts: None,
            scheduled_at: None,
            ahead: None,
            dedupe_key: None,
            subject: None,
        }
    }

    /// The same job with its own number of attempts instead of its type's.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// The same job, due at `at` by the wall clock.
    #[must_use]
    pub fn scheduled_at(mut self, at: DateTime<Utc>) -> Self {
        self.scheduled_at = Some(at);
        self
    }

    /// The same job, unless an unfinished one of its type has the same key already.
    #[must_use]
    pub fn dedupe_key(mut self, key: impl Into<String>) -> Self {
        self.dedupe_key = Some(key.into());
        self
    }

    /// The same job, which is due at once and goes before those that have been due for less than `ahead`, an hour at the most. So a
    /// program has its jobs take turns by rules of its own, in the place of those of [`NewJob::about`], and the claim stays one look at
    /// an index.
    #[must_use]
    pub fn ahead(mut self, ahead: Duration) -> Self {
        self.ahead = Some(ahead.min(AHEAD_MAX));
        self
    }

    /// The same job with an opaque name of what it is about, by which [`list_to_forget`] finds it, and by which it takes turns.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// What its handler will be given.
    pub fn payload(&self) -> &Value {
        &self.payload
    }

    fn check(&self) -> Result<(), Error> {
        let mut error = Error::new(Kind::Invalid, "the job cannot be enqueued");
        let name =
            |text: &str| (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !name(&self.job_type) {
            error = error.with_fault("type", format!("must be 1 to {NAME_MAX} visible ASCII characters, no blanks"));
        }
        if self.max_attempts.is_some_and(|attempts| !(1..=MAX_ATTEMPTS_LIMIT).contains(&attempts)) {
            error = error.with_fault("maxAttempts", format!("must be from 1 to {MAX_ATTEMPTS_LIMIT}"));
        }
        if self.dedupe_key.as_deref().is_some_and(|key| !(1..=NAME_MAX).contains(&key.len())) {
            error = error.with_fault("dedupeKey", format!("must be 1 to {NAME_MAX} bytes"));
        }
        if error.faults().is_empty() { Ok(()) } else { Err(error) }
    }
}

text_enum! {
    /// The status of a job.
    pub enum Status {
        /// Waits for its time and a worker.
        Pending = "pending",
        /// A worker has claimed it.
        Processing = "processing",
        /// Done; its effects are committed.
        Completed = "completed",
        /// Discarded; a person must look at it.
        Failed = "failed",
        /// Called off by a person before it ran.
        Cancelled = "cancelled",
    }
}

text_sql!(Status, AttemptOutcome);

/// A job as it is stored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its type: which handler runs it.
    pub job_type: String,
    /// What the handler is given. Reduced once the job is done.
    pub payload: Value,
    /// Its status.
    pub status: Status,
    /// Attempts counted so far, the running one included.
    pub attempts: u32,
    /// Attempts after which it is discarded.
    pub max_attempts: u32,
    /// When it is, or was, due.
    pub scheduled_at: DateTime<Utc>,
    /// When it was completed, discarded or cancelled.
    pub processed_at: Option<DateTime<Utc>>,
    /// The last attempt's error, if it failed.
    pub error: Option<String>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
}

/// A job that a worker has claimed: what it is given to run, and the fence it must pass to finish.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Claim {
    /// The job's id.
    pub id: JobId,
    /// The claim number; it only grows.
    pub number: i64,
    /// The job's type.
    pub job_type: String,
    /// The job's payload.
    pub payload: Value,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// Attempts after which it is discarded.
    pub max_attempts: u32,
    /// When it was claimed.
    pub claimed_at: DateTime<Utc>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// Whether its last claim was lost: it may be the job that kills its worker.
    poison_candidate: bool,
}

/// One claim of a job that has ended, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// Its number; an attempt that was released is used again.
    pub attempt: u32,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// How.
    pub outcome: AttemptOutcome,
    /// Its error, if it had one.
    pub error: Option<String>,
}

/// Which jobs a worker takes. Jobs that wait for someone else's server ([`Handler::calls_external_service`]) have threads of
/// their own where the app has any for them, so that a server that hangs holds up nothing but what is meant for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Share {
    /// Whatever is due.
    #[default]
    All,
    /// Only what is done within this program.
    Internal,
    /// Only what waits for others.
    External,
}

impl Share {
    /// The values that `external` has for its jobs.
    fn kinds(self) -> &'static [bool] {
        match self {
            Self::All => &[false, true],
            Self::Internal => &[false],
            Self::External => &[true],
        }
    }
}

text_enum! {
    /// How a claim ended.
    pub enum AttemptOutcome {
        /// It did what it is for.
        Completed = "completed",
        /// It failed, and is tried again.
        Retried = "retried",
        /// It failed, and is not tried again.
        Failed = "failed",
        /// The handler wants to run later; it does not count.
        Snoozed = "snoozed",
        /// Its worker put it back; it does not count.
        Released = "released",
        /// Its worker died, or was lost.
        Lost = "lost",
    }
}

/// The queue: what code that enqueues, retries and cancels jobs needs. Clones share it.
///
/// ```
/// use quotegrid::queue::{NewJob, Status};
/// use quotegrid::testing::Fixture;
/// use serde_json::json;
///
/// let fixture = Fixture::new();
/// let (queue, now) = (fixture.app.queue.clone(), fixture.now());
/// let ids = fixture.app.db.write(move |tx| {
///     let job = || NewJob::new("send_label", json!({ "parcel": 7 })).dedupe_key("parcel 7");
///     // The second enqueue finds the first one's job unfinished.
///     Ok::<_, quotegrid::Error>((queue.enqueue(tx, now, job())?, queue.enqueue(tx, now, job())?))
/// });
/// let (first, second) = ids.expect("committed");
/// assert_eq!(first, second);
/// assert_eq!(fixture.job(first).status, Status::Pending);
/// ```
#[derive(Clone)]
pub struct Queue {
    entropy: Arc<dyn Entropy>,
    registry: Arc<Registry>,
    turns: Arc<Turns>,
}

impl Queue {
    /// A queue whose job types are those of `registry`.
    pub fn new(entropy: Arc<dyn Entropy>, registry: Registry) -> Self {
        Self { entropy, registry: Arc::new(registry), turns: Arc::default() }
    }

    /// Writes a job inside the caller's transaction and returns its id; where `job` has a dedupe key that an unfinished job of
    /// its type holds, nothing is written and that job's id is returned.
    ///
    /// # Errors
    /// `Invalid` when the type, the dedupe key or the number of attempts is out of bounds, `TooLarge` when the payload is over 1 MiB,
    /// and `Overloaded` or `Internal` when the row cannot be written.
    pub fn enqueue(&self, tx: &Tx<'_>, now: DateTime<Utc>, job: NewJob) -> Result<JobId, Error> {
        job.check()?;
        let payload = job.payload.to_string();
        if payload.len() > PAYLOAD_MAX {
            return Err(Error::new(Kind::TooLarge, format!("the payload is over {PAYLOAD_MAX} bytes")));
        }
        let id = JobId::new(now, self.entropy.array());
        let max_attempts = job.max_attempts.unwrap_or_else(|| self.registry.max_attempts(&job.job_type));
        let external = self.registry.find(&job.job_type).is_some_and(|handler| handler.calls_external_service());
        let takes_turns = job.scheduled_at.is_none() && job.ahead.is_none();
        let subject = job.subject.as_deref().filter(|_| takes_turns);
        let turn_at = subject.and_then(|subject| self.turns.next(now, subject, external));
        let row = jobs::NewRow { id, job: &job, payload: &payload, max_attempts, external, turn_at };
        if let Some(existing) = jobs::insert(tx, now, &row)? {
            return Ok(existing);
        }
        if let Some(subject) = subject {
            self.turns.note(now, subject, external, turn_at.unwrap_or(now));
        }
        tx.announce();
        let job_type = job.job_type;
        tx.after_commit(move || info!("job enqueued id={id} type={job_type}"));
        Ok(id)
    }

    /// Has a job that was discarded or cancelled tried again at once, with a fresh set of attempts. Its history stays.
    ///
    /// # Errors
    /// `NotFound` when there is no such job, `Conflict` when it is neither failed nor cancelled or an unfinished job of its type has its
    /// dedupe key, and `Overloaded` or `Internal` when the row cannot be written.
    pub fn retry(&self, tx: &Tx<'_>, now: DateTime<Utc>, id: JobId) -> Result<(), Error> {
        match jobs::retry(tx, now, id) {
            Ok(true) => {}
            Ok(false) => return Err(Self::stands_elsewhere(tx, id, "retried: only failed and cancelled jobs can be")),
            Err(error) if error.constraint() == Some(Constraint::Unique) => {
                let message = format!("job {id} cannot be retried: an unfinished job of its type has its dedupe key");
                return Err(Error::new(Kind::Conflict, message));
            }
            Err(error) => return Err(error.into()),
        }
        tx.announce();
        tx.after_commit(move || info!("job retried id={id}"));
        Ok(())
    }

    /// Cancels a job that waits.
    ///
    /// # Errors
    /// `NotFound` when there is no such job, `Conflict` when it is not pending, and `Overloaded` or `Internal` when the row cannot be
    /// written.
    pub fn cancel(&self, tx: &Tx<'_>, now: DateTime<Utc>, id: JobId) -> Result<(), Error> {
        if !jobs::cancel(tx, now, id)? {
            return Err(Self::stands_elsewhere(tx, id, "cancelled: only pending jobs can be"));
        }
        let job = jobs::find(tx, id)?;
        let operator_hint = job.and_then(|job| self.registry.find(&job.job_type)?.operator_hint());
        tx.after_commit(move || match operator_hint {
            Some(operator_hint) => warn!("job cancelled id={id} {operator_hint}"),
            None => info!("job cancelled id={id}"),
        });
        Ok(())
    }

    /// Pauses a type: its jobs are enqueued and not claimed. Those that run go on. Once more does no harm.
    ///
    /// # Errors
    /// `Conflict` where the type must not be paused, `Invalid` for what is no type's name, and when the database fails.
    pub fn pause(&self, tx: &Tx<'_>, now: DateTime<Utc>, job_type: &str) -> Result<(), Error> {
        NewJob::new(job_type, Value::Null).check()?;
        if !self.may_be_paused(job_type) {
            let text = format!("jobs of type {job_type:?} carry out legal obligations and cannot be paused");
            return Err(Error::new(Kind::Conflict, text));
        }
        if jobs::pause(tx, now, job_type)? {
            let job_type = job_type.to_owned();
            tx.after_commit(move || warn!("job type paused type={job_type}"));
        }
        Ok(())
    }

    /// Resumes a type. Its jobs are claimed in the order in which they fell due.
    ///
    /// # Errors
    /// `Conflict` where it is not paused, and when the database fails.
    pub fn resume(&self, tx: &Tx<'_>, job_type: &str) -> Result<(), Error> {
        if !jobs::resume(tx, job_type)? {
            return Err(Error::new(Kind::Conflict, format!("job type {job_type:?} is not paused")));
        }
        tx.announce();
        let job_type = job_type.to_owned();
        tx.after_commit(move || info!("job type resumed type={job_type}"));
        Ok(())
    }

    /// Whether jobs of this type may wait for as long as a person likes.
    pub fn may_be_paused(&self, job_type: &str) -> bool {
        self.registry.find(job_type).is_none_or(|handler| handler.may_be_paused())
    }

    /// Why a job could not be changed: there is none, or its status does not allow it.
    fn stands_elsewhere(tx: &Tx<'_>, id: JobId, change: &str) -> Error {
        match jobs::find(tx, id) {
            Ok(Some(job)) => {
                let message = format!("job {id} is {} and cannot be {change}", job.status.as_str());
                Error::new(Kind::Conflict, message)
            }
            Ok(None) => Error::not_found(format!("job {id}")),
            Err(error) => error.into(),
        }
    }

    /// Nothing that is due waits of this share: whoever comes next stands behind nobody.
    pub(crate) fn note_idle(&self, share: Share) {
        for external in share.kinds() {
            self.turns.forget(*external);
        }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("registry", &self.registry).finish_non_exhaustive()
    }
}
