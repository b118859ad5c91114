//! Who runs jobs: a [`Worker`] claims what is due, runs its handlers outside any transaction, and commits their closing effects
//! together with the completion. [`Worker::step`] processes one job; [`Worker::start`] runs threads until they are stopped.
//!
//! Read on in `worker/threads.rs` (what the threads do), `worker/outcome.rs` (what becomes of a run), `worker/stopping.rs`.

mod maintenance;
mod outcome;
mod stopping;
mod threads;

pub use stopping::Running;

use super::jobs;
use super::lease::{LivenessCheck, WorkerIdentity};
use super::{Claim, Context, Finish, JobError, Queue, Share};
use crate::background::panic_message;
use crate::clock::Clock;
use crate::db::{self, Db, lock};
use crate::domain::ids::JobId;
use crate::entropy::Entropy;
use log::{debug, info, warn};
use maintenance::Maintenance;
use outcome::{RunOutcome, finish_in, outcome_of, record_in};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Pause after the database could not be asked for work, or a thread of a worker has panicked.
pub(super) const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// How a worker works.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long a claim lasts unless it is renewed. Renewals come at a third of it.
    pub lease: Duration,
    /// How often claims are looked after: its own are kept alive, those of dead and hung workers freed. After a crash elsewhere, jobs
    /// run again within about this.
    pub tick: Duration,
    /// Which jobs it takes.
    pub share: Share,
}

impl Default for Options {
    fn default() -> Self {
        Self { lease: Duration::from_secs(30), tick: Duration::from_millis(500), share: Share::All }
    }
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepOutcome {
    /// Nothing was due.
    Idle,
    /// A job was run; the error says why it did not succeed.
    Ran {
        /// The job.
        id: JobId,
        /// Its type.
        job_type: String,
        /// Why it did not succeed, if it did not.
        error: Option<String>,
    },
}

/// Claims jobs and runs them. Share it in an [`Arc`].
pub struct Worker {
    pub(super) db: Db,
    queue: Queue,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) identity: WorkerIdentity,
    pub(super) liveness: LivenessCheck,
    pub(super) options: Options,
    pub(super) stopping: Arc<AtomicBool>,
    state: Mutex<WorkerState>,
    released: Condvar,
}

#[derive(Default)]
struct WorkerState {
    /// Claimed and not begun.
    waiting: VecDeque<Claim>,
    /// Every claim of this worker that has not ended, `waiting` included, by job and number: one that was lost runs on, and its job
    /// may be claimed here again alongside it.
    held: HashMap<(JobId, i64), Claim>,
    /// Ends that could not be recorded yet.
    unrecorded: Vec<(Claim, RunOutcome)>,
    /// Set by the thread that is claiming, so that the others wait for its batch.
    claiming: bool,
}

impl Worker {
    /// A worker on `db`. It counts as alive until it is dropped or its process ends.
    ///
    /// # Errors
    /// When the lock directory next to the database cannot be used.
    pub fn new(
        db: Db,
        queue: Queue,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        options: Options,
    ) -> std::io::Result<Self> {
        let directory = lock::make_directory(db.path())?;
        let identity = WorkerIdentity::take(&directory, clock.now(), entropy)?;
        Ok(Self {
            db,
            queue,
            clock,
            identity,
            liveness: LivenessCheck::new(directory),
            options,
            stopping: Arc::default(),
            state: Mutex::default(),
            released: Condvar::new(),
        })
    }

    /// Claims the oldest due job, runs it, and returns once its end is committed. First frees the jobs of dead workers.
    ///
    /// # Errors
    /// When the database does not work. A job that fails is no error.
    pub fn step(&self) -> db::Result<StepOutcome> {
        let mut maintenance = Maintenance::new(self);
        maintenance.recover()?;
        maintenance.follow_clock()?;
        let Some(claim) = self.claim(1)?.pop() else {
            debug!("no jobs available");
            return Ok(StepOutcome::Idle);
        };
        let (id, job_type) = (claim.id, claim.job_type.clone());
        let error = match self.run_with_maintenance(&claim) {
            Ok(finish) => {
                let closing = claim.clone();
                let clock = self.clock.clone();
                let committed = self
                    .finishing(&finish)
                    .write(move |tx| finish_in(tx, clock.now(), &closing, finish.effects, &finish.keep));
                self.after_finish(&claim, committed)
            }
            Err(error) => Some(error),
        };
        let mut text = error.as_ref().map(ToString::to_string);
        let mut fault = None;
        if let Some(outcome) = error.and_then(outcome_of) {
            let ended = claim.clone();
            let clock = self.clock.clone();
            match self.db.without_savepoint().write(move |tx| record_in(tx, clock.now(), &ended, &outcome)) {
                Ok(recorded) => self.log_end(&claim, recorded, text.as_deref().unwrap_or_default()),
                // Another worker has the job by now: what this run came to counts no more, and the database works.
                Err(db::Error::LostRow { .. }) => text = Some(JobError::ClaimLost.to_string()),
                Err(error) => fault = Some(error),
            }
        }
        // Whatever came of it, this worker is done with the claim: one whose end could not be recorded ends with its lease.
        self.release(&claim);
        fault.map_or(Ok(StepOutcome::Ran { id, job_type, error: text }), Err)
    }

    fn claim(&self, limit: usize) -> db::Result<Vec<Claim>> {
        let (clock, name, lease) = (self.clock.clone(), self.identity.name().to_owned(), self.options.lease);
        let (share, poison_candidates) = (self.options.share, self.may_claim_poison_candidates());
        let claims = self
            .db
            .without_savepoint()
            .write(move |tx| jobs::claim(tx, clock.now(), &name, lease, limit, share, poison_candidates))?;
        fail_point!("queue::claimed");
        if claims.is_empty() {
            self.queue.note_idle(share);
        }
        for claim in &claims {
            info!("job claimed id={} type={} attempt={}", claim.id, claim.job_type, claim.attempt);
        }
        // Last, for what is held is kept alive: a panic before this leaves claims that end with their leases.
        self.state().held.extend(claims.iter().map(|claim| ((claim.id, claim.number), claim.clone())));
        Ok(claims)
    }

    /// Whether no poison candidate runs here: jobs whose last claim was lost run one at a time in a process, so that of two that
    /// were lost together only the one that kills its worker is charged for it.
    fn may_claim_poison_candidates(&self) -> bool {
        !self.state().held.values().any(|claim| claim.poison_candidate)
    }

    /// Runs a claim in a process that has no maintenance thread: its lease is renewed as long as the run lasts.
    fn run_with_maintenance(&self, claim: &Claim) -> Result<Finish, JobError> {
        std::thread::scope(|scope| {
            let (running, ended) = channel();
            // Made here: by the time the thread runs, time may have passed since the claim.
            let maintenance = Maintenance::new(self);
            let thread = std::thread::Builder::new().name("jobs-maintenance".to_owned());
            if let Err(error) = thread.spawn_scoped(scope, move || maintenance.keep_alive(&ended)) {
                warn!("the claim of job id={} will not be renewed: {error}", claim.id);
            }
            let outcome = self.run_handler(claim);
            drop::<Sender<()>>(running);
            outcome
        })
    }

    fn run_handler(&self, claim: &Claim) -> Result<Finish, JobError> {
        fail_point!("queue::run");
        fail_point!(&format!("queue::run::{}", claim.job_type));
        let Some(handler) = self.queue.registry().find(&claim.job_type) else {
            return Err(JobError::UnknownType(claim.job_type.clone()));
        };
        let context = Context {
            db: self.db.clone(),
            clock: self.clock.clone(),
            claim: claim.clone(),
            stopping: self.stopping.clone(),
            others_write: AtomicBool::new(false),
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| handler.run(claim, &context)))
            .unwrap_or_else(|panic| Err(JobError::Retry(format!("panicked: {}", panic_message(panic.as_ref())))));
        fail_point!("queue::ran");
        outcome.map(|finish| finish.enqueuing(&self.queue))
    }

    fn release(&self, claim: &Claim) {
        let was_held = self.state().held.remove(&(claim.id, claim.number)).is_some();
        if was_held && claim.poison_candidate {
            // The next poison candidate may be claimed; nothing else would wake the threads that wait.
            self.db.notifier().notify();
        }
        self.released.notify_all();
    }

    pub(super) fn holds(&self, id: JobId, number: i64) -> bool {
        self.state().held.contains_key(&(id, number))
    }

    /// Whether any claim of this worker has not ended.
    pub(super) fn holds_any(&self) -> bool {
        !self.state().held.is_empty()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, WorkerState> {
        self.state.lock()
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("identity", &self.identity).finish_non_exhaustive()
    }
}
