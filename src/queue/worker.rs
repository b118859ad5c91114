//! Who runs jobs: a [`Worker`] claims what is due, runs its handlers outside any transaction, and commits their closing effects
//! together with the completion. [`Worker::step`] works one job off; [`Worker::start`] runs threads until they are stopped.

use super::handler::Effect;
use super::jobs::{self, AfterFailure};
use super::keeper::Keeper;
use super::lease::{Census, Identity};
use super::{Claim, Context, Finish, JobError, Queue, Share};
use crate::clock::Clock;
use crate::db::writer::panic_message;
use crate::db::{self, Db, Tx, Writes, lock};
use crate::domain::ids::JobId;
use crate::entropy::Entropy;
use crate::error::Error;
use chrono::{DateTime, Utc};
use log::{debug, error, info, warn};
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Jobs claimed in one transaction when much is due: one fsync then serves them all.
const CLAIM_BATCH: usize = 50;

/// Claims that a worker may hold at once, those whose completion waits for its commit included.
const HELD_MAX: usize = 400;

/// How long an idle thread waits at the most before it looks again, should a wake-up ever go astray.
const IDLE: Duration = Duration::from_secs(5);

/// Pause after the database could not be asked for work, or a thread of a worker has panicked.
pub(super) const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// How a worker works.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long a claim lasts unless it is renewed. Renewals come at a third of it.
    pub lease: Duration,
    /// How often claims are looked after: its own are kept alive, those of dead and hung workers freed. After a crash elsewhere, jobs
    /// run again within about this.
    pub round: Duration,
    /// Which jobs it takes.
    pub share: Share,
}

impl Default for Options {
    fn default() -> Self {
        Self { lease: Duration::from_secs(30), round: Duration::from_millis(500), share: Share::All }
    }
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
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
    pub(super) identity: Identity,
    pub(super) census: Census,
    pub(super) options: Options,
    pub(super) stopping: Arc<AtomicBool>,
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Default)]
struct State {
    /// Claimed and not begun.
    waiting: VecDeque<Claim>,
    /// Every claim of this worker that has not ended, `waiting` included, by job and number: one that was lost runs on, and its job
    /// may be claimed here again beside it.
    held: HashMap<(JobId, i64), Claim>,
    /// Ends that could not be recorded yet.
    unrecorded: Vec<(Claim, Verdict)>,
    /// Set by the thread that is claiming, so that the others wait for its catch.
    claiming: bool,
}

/// How a run ended, as it is to be recorded.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Failed { error: String, permanent: bool },
    GiveBack { rest: Option<Duration> },
}

impl Worker {
    /// A worker on `db`. It counts as alive until it is dropped or its process ends.
    ///
    /// # Errors
    /// When the lock directory beside the database cannot be used.
    pub fn new(
        db: Db,
        queue: Queue,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        options: Options,
    ) -> std::io::Result<Self> {
        let directory = lock::make_directory(db.path())?;
        let identity = Identity::take(&directory, clock.now(), entropy)?;
        Ok(Self {
            db,
            queue,
            clock,
            identity,
            census: Census::new(directory),
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
    pub fn step(&self) -> db::Result<Step> {
        let mut keeper = Keeper::new(self);
        keeper.rescue()?;
        keeper.follow_clock()?;
        let Some(claim) = self.claim(1)?.pop() else {
            debug!("no jobs available");
            return Ok(Step::Idle);
        };
        let (id, job_type) = (claim.id, claim.job_type.clone());
        let error = match self.run_kept_alive(&claim) {
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
        if let Some(verdict) = error.and_then(verdict_on) {
            let ended = claim.clone();
            let clock = self.clock.clone();
            match self.db.looking_first().write(move |tx| record_in(tx, clock.now(), &ended, &verdict)) {
                Ok(recorded) => self.tell(&claim, recorded, text.as_deref().unwrap_or_default()),
                // Another worker has the job by now: what this run came to counts no more, and the database works.
                Err(db::Error::LostRow { .. }) => text = Some(JobError::ClaimLost.to_string()),
                Err(error) => fault = Some(error),
            }
        }
        // Whatever came of it, this worker is done with the claim: one whose end could not be recorded ends with its lease.
        self.release(&claim);
        fault.map_or(Ok(Step::Ran { id, job_type, error: text }), Err)
    }

    /// Starts `threads` that run jobs, and one that keeps claims alive, frees those of the dead and listens for other
    /// processes' jobs.
    ///
    /// # Errors
    /// When a thread or a connection cannot be had.
    pub fn start(self: &Arc<Self>, threads: usize) -> std::io::Result<Running> {
        // Orphans first, so that they run again at once after a crash.
        let mut keeper = Keeper::new(self);
        keeper.rescue().and_then(|()| keeper.follow_clock()).map_err(std::io::Error::other)?;
        let watch = self.db.watch().map_err(std::io::Error::other)?;
        let kind = if self.options.share == Share::Outside { "outside-" } else { "" };
        let mut handles = Vec::new();
        // Not a look of its own: until its thread runs, jobs may have been claimed and the clock set.
        let (worker, looked) = (self.clone(), keeper.last_look);
        handles.push(
            std::thread::Builder::new()
                .name("jobs-keeper".to_owned())
                .spawn(move || Keeper::since(&worker, looked).run(&worker, watch))?,
        );
        for number in 0..threads {
            let worker = self.clone();
            handles
                .push(std::thread::Builder::new().name(format!("jobs-{kind}{number}")).spawn(move || worker.work())?);
        }
        Ok(Running { worker: self.clone(), handles })
    }

    /// A worker thread: runs jobs until the worker stops, whatever happens meanwhile. A panic of a handler is the job's failure; one of
    /// our own would otherwise leave a process that takes jobs in and runs none.
    fn work(self: &Arc<Self>) {
        while !self.is_stopping() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work_on())) {
                error!("a worker panicked, it goes on after a pause: {}", panic_message(panic.as_ref()));
                self.pause(FAULT_PAUSE);
            }
        }
    }

    fn work_on(self: &Arc<Self>) {
        while !self.is_stopping() {
            // Read before the look for work and waited on after it: a commit in between is not missed.
            let seen = self.db.news().seen();
            match self.next() {
                Ok(Some(claim)) => {
                    let unended = Unended { worker: self, claim: Some(claim.clone()) };
                    self.run(claim);
                    unended.let_go();
                }
                Ok(None) => {
                    debug!("no jobs available");
                    self.rest(seen);
                }
                Err(error) => {
                    warn!("no work could be fetched: {error}");
                    self.db.news().wait(seen, FAULT_PAUSE);
                }
            }
        }
    }

    /// Rests, or until the worker is to stop.
    fn pause(&self, pause: Duration) {
        let rested = self.released.wait_timeout_while(self.state(), pause, |_state| !self.is_stopping());
        drop(rested.unwrap_or_else(PoisonError::into_inner));
    }

    /// The next claim: one that waits here, or the first of a new catch.
    fn next(self: &Arc<Self>) -> db::Result<Option<Claim>> {
        let mut state = self.state();
        loop {
            if self.is_stopping() {
                return Ok(None);
            }
            if let Some(claim) = state.waiting.pop_front() {
                return Ok(Some(claim));
            }
            if !state.claiming && state.held.len() < HELD_MAX {
                break;
            }
            state = self.released.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.claiming = true;
        drop(state);
        let claiming = Claiming(self);
        let claimed = self.is_due().and_then(|due| if due { self.claim(CLAIM_BATCH) } else { Ok(Vec::new()) });
        // Under one lock with what is done with the catch: whoever finds that nobody claims finds what was claimed.
        let mut state = claiming.end();
        let mut claims = VecDeque::from(claimed?);
        if self.is_stopping() {
            // The stop came during the claim and has given back what waited then; nobody else will look at these.
            drop(state);
            for claim in claims {
                self.end(claim, JobError::Stopped);
            }
            return Ok(None);
        }
        let first = claims.pop_front();
        state.waiting.append(&mut claims);
        Ok(first)
    }

    /// Whether no suspect runs here: jobs whose last claim was lost run one at a time in a process, so that of two that were lost
    /// together only the one that kills its worker is charged for it.
    fn may_claim_suspects(&self) -> bool {
        !self.state().held.values().any(|claim| claim.suspect)
    }

    /// A look that writes nothing: an idle worker leaves the disk alone.
    fn is_due(&self) -> db::Result<bool> {
        let (share, suspects) = (self.options.share, self.may_claim_suspects());
        let next = self.db.read(|connection| jobs::next_claimable_at(connection, share, suspects))?;
        Ok(next.is_some_and(|at| at <= self.clock.now()))
    }

    fn rest(&self, seen: u64) {
        let (share, suspects) = (self.options.share, self.may_claim_suspects());
        let until_due = match self.db.read(|connection| jobs::next_claimable_at(connection, share, suspects)) {
            Ok(Some(at)) => (at - self.clock.now()).to_std().unwrap_or(Duration::ZERO),
            Ok(None) => IDLE,
            Err(_told_when_claiming) => FAULT_PAUSE,
        };
        // A millisecond at least: what is due now and cannot be had, another worker is claiming.
        self.db.news().wait(seen, until_due.clamp(Duration::from_millis(1), IDLE));
    }

    fn claim(&self, limit: usize) -> db::Result<Vec<Claim>> {
        let (clock, name, lease) = (self.clock.clone(), self.identity.name().to_owned(), self.options.lease);
        let (share, suspects) = (self.options.share, self.may_claim_suspects());
        let claims = self
            .db
            .looking_first()
            .write(move |tx| jobs::claim(tx, clock.now(), &name, lease, limit, share, suspects))?;
        fail::fail_point!("queue::claimed");
        for claim in &claims {
            info!("job claimed id={} type={} attempt={}", claim.id, claim.job_type, claim.attempt);
        }
        // Last, for what is held is kept alive: a panic before this leaves claims that end with their leases.
        self.state().held.extend(claims.iter().map(|claim| ((claim.id, claim.number), claim.clone())));
        Ok(claims)
    }

    /// Runs one claim and hands its end to the writer, without waiting for the commit.
    fn run(self: &Arc<Self>, claim: Claim) {
        match self.run_handler(&claim) {
            Ok(finish) => {
                let (worker, closing) = (self.clone(), claim.clone());
                let clock = self.clock.clone();
                self.finishing(&finish).write_patiently(
                    move |tx| finish_in(tx, clock.now(), &closing, finish.effects, &finish.keep),
                    move |committed| match worker.after_finish(&claim, committed) {
                        None => worker.release(&claim),
                        Some(error) => worker.end(claim, error),
                    },
                );
            }
            Err(error) => self.end(claim, error),
        }
    }

    /// Runs a claim in a process that has no keeper thread: its lease is renewed as long as the run lasts.
    fn run_kept_alive(&self, claim: &Claim) -> Result<Finish, JobError> {
        std::thread::scope(|scope| {
            let (running, ended) = channel();
            // Made here: by the time the thread runs, time may have passed since the claim.
            let keeper = Keeper::new(self);
            let thread = std::thread::Builder::new().name("jobs-keeper".to_owned());
            if let Err(error) = thread.spawn_scoped(scope, move || keeper.keep_alive(&ended)) {
                warn!("the claim of job id={} will not be renewed: {error}", claim.id);
            }
            let outcome = self.run_handler(claim);
            drop::<Sender<()>>(running);
            outcome
        })
    }

    fn run_handler(&self, claim: &Claim) -> Result<Finish, JobError> {
        fail::fail_point!("queue::run");
        fail::fail_point!(&format!("queue::run::{}", claim.job_type));
        let Some(handler) = self.queue.registry().find(&claim.job_type) else {
            return Err(JobError::Retry(format!("Unknown job type: {}", claim.job_type)));
        };
        let context = Context {
            db: self.db.clone(),
            clock: self.clock.clone(),
            claim: claim.clone(),
            stopping: self.stopping.clone(),
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| handler.run(claim, &context)))
            .unwrap_or_else(|panic| Err(JobError::Retry(format!("panicked: {}", panic_message(panic.as_ref())))));
        fail::fail_point!("queue::ran");
        outcome
    }

    /// How an end is written: a completion that finds its claim lost has written nothing yet, effects may fail at any point.
    fn finishing(&self, finish: &Finish) -> Writes<'_> {
        if finish.effects.is_some() { self.db.guarded() } else { self.db.looking_first() }
    }

    /// Tells how a finishing transaction went; an error is left to be recorded.
    fn after_finish(&self, claim: &Claim, committed: Result<(), Error>) -> Option<JobError> {
        match committed {
            Ok(()) => {
                let took = (self.clock.now() - claim.claimed_at).num_milliseconds();
                info!("job completed id={} type={} took_ms={took}", claim.id, claim.job_type);
                None
            }
            Err(error) if is_lost_claim(&error) => Some(JobError::ClaimLost),
            Err(error) => Some(JobError::from(error)),
        }
    }

    /// Records how a run that did not succeed ended.
    pub(super) fn end(self: &Arc<Self>, claim: Claim, error: JobError) {
        let text = error.to_string();
        match verdict_on(error) {
            None => {
                warn!("job lost id={} type={}: another worker has it, or it was cancelled", claim.id, claim.job_type);
                self.release(&claim);
            }
            Some(verdict) => self.record(claim, verdict, text),
        }
    }

    fn record(self: &Arc<Self>, claim: Claim, verdict: Verdict, text: String) {
        let (worker, ended, clock) = (self.clone(), claim.clone(), self.clock.clone());
        let recording = verdict.clone();
        self.db.looking_first().write_patiently(
            move |tx| record_in(tx, clock.now(), &ended, &recording),
            move |recorded| match recorded {
                Ok(recorded) => {
                    worker.tell(&claim, recorded, &text);
                    worker.release(&claim);
                }
                Err(db::Error::LostRow { .. }) => worker.release(&claim),
                Err(fault) => {
                    error!("the end of job id={} could not be recorded, trying again: {fault}", claim.id);
                    worker.state().unrecorded.push((claim, verdict));
                }
            },
        );
    }

    /// Tries again to record what could not be recorded: the disk may have room again.
    pub(super) fn record_again(self: &Arc<Self>) {
        for (claim, verdict) in std::mem::take(&mut self.state().unrecorded) {
            let text = match &verdict {
                Verdict::Failed { error, .. } => error.clone(),
                Verdict::GiveBack { .. } => String::new(),
            };
            self.record(claim, verdict, text);
        }
    }

    fn tell(&self, claim: &Claim, recorded: Recorded, error: &str) {
        let (id, job_type, attempt) = (claim.id, &claim.job_type, claim.attempt);
        match recorded {
            Recorded::Failed(AfterFailure::Retry(rest)) => {
                let rest = rest.as_millis();
                warn!("job failed id={id} type={job_type} attempt={attempt} retry_in_ms={rest} error={error:?}");
            }
            Recorded::Failed(AfterFailure::GivenUp) => {
                tell_given_up(&self.queue, id, job_type, attempt, error);
            }
            Recorded::GivenBack => info!("job given back id={id} type={job_type}"),
        }
    }

    pub(super) fn tell_lost(&self, held: &jobs::Held, job_type: &str, after: AfterFailure, why: &str) {
        match after {
            AfterFailure::Retry(rest) => {
                let rest = rest.as_millis();
                warn!("job rescued id={} type={job_type} retry_in_ms={rest} error={why:?}", held.id);
            }
            AfterFailure::GivenUp => tell_given_up(&self.queue, held.id, job_type, 0, why),
        }
    }

    fn release(&self, claim: &Claim) {
        let was_held = self.state().held.remove(&(claim.id, claim.number)).is_some();
        if was_held && claim.suspect {
            // The next suspect may be claimed; nothing else would tell those who rest.
            self.db.news().spread();
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

    fn end_claiming(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.claiming = false;
        self.released.notify_all();
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the threads to stop: nothing new is claimed, what was claimed and not begun is given back.
    fn ask_to_stop(self: &Arc<Self>) {
        self.stopping.store(true, Ordering::Relaxed);
        let waiting = std::mem::take(&mut self.state().waiting);
        self.released.notify_all();
        self.db.news().spread();
        for claim in waiting {
            self.end(claim, JobError::Stopped);
        }
    }

    /// Waits until no claim is held or being made, for at most `grace`; returns those that are held.
    fn wait_for_ends(&self, grace: Duration) -> Vec<Claim> {
        let until = Instant::now() + grace;
        let mut state = self.state();
        while state.claiming || !state.held.is_empty() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { break };
            state = self.released.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.held.values().cloned().collect()
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// While it lives, its thread is the one that claims.
struct Claiming<'a>(&'a Worker);

impl<'a> Claiming<'a> {
    /// Ends it, in the lock that is returned.
    fn end(self) -> MutexGuard<'a, State> {
        let worker = self.0;
        std::mem::forget(self);
        worker.end_claiming()
    }
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        drop(self.0.end_claiming());
    }
}

/// Dropped by a panic, it records that a claim has failed: nobody else would, and the keeper would renew it for ever.
struct Unended<'a> {
    worker: &'a Arc<Worker>,
    claim: Option<Claim>,
}

impl Unended<'_> {
    fn let_go(mut self) {
        self.claim = None;
    }
}

impl Drop for Unended<'_> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            self.worker.end(claim, JobError::Retry("the worker panicked outside the job's handler".to_owned()));
        }
    }
}

/// The threads of a worker that was started.
#[derive(Debug)]
pub struct Running {
    worker: Arc<Worker>,
    handles: Vec<JoinHandle<()>>,
}

impl Running {
    /// Stops: nothing new is begun, running jobs get `grace` to end; what is unfinished then is given back with its attempt.
    pub fn stop(self, grace: Duration) {
        self.worker.ask_to_stop();
        let left = self.worker.wait_for_ends(grace);
        if left.is_empty() {
            for handle in self.handles {
                let _panicked = handle.join();
            }
            return;
        }
        warn!("{} jobs did not end within the grace period and are given back", left.len());
        for claim in left {
            let (now, id) = (self.worker.clock.now(), claim.id);
            let given_back = self.worker.db.write(move |tx| jobs::give_back(tx, now, &claim, None));
            if let Err(error) = given_back
                && !matches!(error, db::Error::LostRow { .. })
            {
                error!("job id={id} could not be given back: {error}");
            }
        }
        // Their threads may still run; whatever they try to write fails at the fence.
    }
}

/// What recording a run's end came to.
pub(super) enum Recorded {
    Failed(AfterFailure),
    GivenBack,
}

fn verdict_on(error: JobError) -> Option<Verdict> {
    match error {
        JobError::Retry(error) => Some(Verdict::Failed { error, permanent: false }),
        JobError::Permanent(error) => Some(Verdict::Failed { error, permanent: true }),
        JobError::Snooze(rest) => Some(Verdict::GiveBack { rest: Some(rest) }),
        JobError::Stopped => Some(Verdict::GiveBack { rest: None }),
        JobError::ClaimLost => None,
    }
}

/// Effects and completion, in one savepoint: both or neither.
fn finish_in(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    claim: &Claim,
    effects: Option<Effect>,
    keep: &Value,
) -> Result<(), Error> {
    // The fence first: effects may do much, and must not be begun by a worker that has lost its claim.
    jobs::complete(tx, now, claim, keep)?;
    fail::fail_point!("queue::completing");
    if let Some(effects) = effects {
        effects(tx, now)?;
    }
    fail::fail_point!("queue::effects");
    Ok(())
}

fn record_in(tx: &Tx<'_>, now: DateTime<Utc>, claim: &Claim, verdict: &Verdict) -> db::Result<Recorded> {
    match verdict {
        Verdict::Failed { error, permanent } => jobs::fail(tx, now, claim, error, *permanent).map(Recorded::Failed),
        Verdict::GiveBack { rest } => jobs::give_back(tx, now, claim, *rest).map(|()| Recorded::GivenBack),
    }
}

fn is_lost_claim(error: &Error) -> bool {
    use std::error::Error as _;
    let source = error.source().and_then(|source| source.downcast_ref::<db::Error>());
    matches!(source, Some(db::Error::LostRow { operation: jobs::COMPLETE, .. }))
}

fn tell_given_up(queue: &Queue, id: JobId, job_type: &str, attempt: u32, why: &str) {
    let alarm = queue.registry().find(job_type).and_then(|handler| handler.alarm()).unwrap_or_default();
    error!("job failed for good id={id} type={job_type} attempt={attempt} error={why:?} {alarm}");
}
