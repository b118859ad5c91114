//! The one place that wires the parts: opens the database, registers what runs which job, and starts and stops what goes on in the
//! background. A program that embeds quotegrid begins here.

use crate::activity::Activity;
use crate::alerts::{self, ALERT, Alerts, Poster};
use crate::background::{Stop, keep_going};
use crate::clock::{Clock, SystemClock};
use crate::db::{self, Db};
use crate::disk::{Disk, Floor};
use crate::domain::ids::{JobId, ShopDomain};
use crate::entropy::{Entropy, OsEntropy};
use crate::erasure::hold::Policy;
use crate::erasure::ordered::ErasureOrder;
use crate::erasure::scrub::Scrubber;
use crate::erasure::shop::Gone;
use crate::erasure::{self, receipts};
use crate::error::Error;
use crate::housekeeping::{Housekeeper, Retention};
use crate::intake::Intake;
use crate::keyed_hash::KeyedHasher;
use crate::orders::Orders;
use crate::orders::handover::{self, Handover, RunningWaiters};
use crate::orders::open_limit::OpenOrderLimit;
use crate::pricing::Pricing;
use crate::queue::{self, NewJob, Queue, Registry, Running, Share, StepOutcome, Worker};
use chrono::TimeDelta;
use log::{debug, warn};
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often what was erased, revoked or edited is looked for among the prices kept in memory. Never what an answer depends on: it
/// only bounds how long memory remembers a store that no client asks for any more.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How often what was counted in memory is added to the database.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// How often it is looked which draft orders Shopify is to be asked about: one probe of an index for each store.
const DUE_LOOKS_EVERY: Duration = Duration::from_secs(60);

/// How to open the app.
pub struct Options {
    /// The database.
    pub database: db::Options,
    /// The clock: the machine's, or one that tests move.
    pub clock: Arc<dyn Clock>,
    /// The source of ids and keys.
    pub entropy: Arc<dyn Entropy>,
    /// Job types of the embedding program. Ours are added to them.
    pub handlers: Registry,
    /// How workers work.
    pub worker: queue::Options,
    /// How long finished things are kept.
    pub retention: Retention,
    /// Where alerts go.
    pub alerts: alerts::Options,
    /// The Shopify app that orders are handed over by; without one they stay here.
    pub handover: Option<handover::Options>,
    /// How long the erasure of a store that looks live waits for a person's decision; zero: not at all.
    pub redact_hold: TimeDelta,
    /// Free bytes on the disk below which no orders and imports are taken.
    pub disk_floor: Floor,
    /// How many unpaid orders of an hour a store may hold.
    pub open_order_limit: OpenOrderLimit,
}

impl Options {
    /// The defaults for the database file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            database: db::Options::new(path),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            handlers: Registry::new(),
            worker: queue::Options::default(),
            retention: Retention::default(),
            alerts: alerts::Options::default(),
            handover: None,
            redact_hold: TimeDelta::zero(),
            disk_floor: Floor::default(),
            open_order_limit: OpenOrderLimit::default(),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("database", &self.database).finish_non_exhaustive()
    }
}

/// Why the app could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The database could not be opened.
    #[error(transparent)]
    Database(#[from] db::OpenError),
    /// The key that receipts name shops by is gone: with a new one, none of them could be matched to a shop.
    #[error(
        "the database holds receipts of erasures, and the key of their hashes is gone from its table meta: somebody has changed it. Restore a backup; the receipts and this file are proof, keep them"
    )]
    KeyMissing,
    /// It opened, and its first statement failed.
    #[error("the database does not work: {0}")]
    Fault(#[from] db::Error),
}

/// An open database and everything that works on it.
pub struct App {
    /// The database.
    pub db: Db,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids and keys.
    pub entropy: Arc<dyn Entropy>,
    /// The queue.
    pub queue: Queue,
    /// Names shops without naming them.
    pub hasher: KeyedHasher,
    /// Prices, and what is kept in memory to give them quickly.
    pub pricing: Arc<Pricing>,
    /// Hands orders over to Shopify.
    pub handover: Handover,
    /// Counts what happens, for charts.
    pub activity: Arc<Activity>,
    /// How much room is left.
    pub disk: Arc<Disk>,
    worker: queue::Options,
    retention: Retention,
    alerts: alerts::Options,
    open_order_limit: OpenOrderLimit,
}

impl App {
    /// Opens the app.
    ///
    /// # Errors
    /// Whatever keeps the database from being used safely; the file is as it was then.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let Options {
            database,
            clock,
            entropy,
            handlers,
            worker,
            retention,
            alerts,
            handover,
            redact_hold,
            disk_floor,
            open_order_limit,
        } = options;
        let db = Db::open(&database)?;
        let is_key_missing = |connection: &Connection| -> db::Result<bool> {
            Ok(KeyedHasher::find(connection)?.is_none() && receipts::last(connection)? > 0)
        };
        if db.read(is_key_missing)? {
            return Err(OpenError::KeyMissing);
        }
        let hasher = KeyedHasher::load(&db, entropy.as_ref())?;
        let handover = Handover::new(handover, clock.clone(), hasher.clone(), erasure::subject);
        let policy = Policy { hold: redact_hold, asks_shopify: handover.options().is_some() };
        let pricing = Arc::new(Pricing::new(&db)?);
        let (prices, sessions) = (pricing.clone(), handover.clone());
        let gone: Gone = Arc::new(move |store, shop| {
            prices.forget_store(store);
            sessions.forget_shop(shop);
        });
        let registry = handlers.with(ALERT, Poster::new(alerts.url.clone()));
        let registry = handover.register(registry);
        let parts = erasure::Parts { hasher: &hasher, entropy: entropy.clone(), policy, gone, handover: &handover };
        let registry = erasure::register(registry, parts);
        let queue = Queue::new(entropy.clone(), registry);
        let disk = Arc::new(Disk::new(db.path(), disk_floor));
        Ok(Self {
            db,
            clock,
            entropy,
            queue,
            hasher,
            pricing,
            handover,
            activity: Arc::default(),
            disk,
            worker,
            retention,
            alerts,
            open_order_limit,
        })
    }

    /// Enqueues a job by hand and returns once it is durable. A shop that its payload names is what it is about, so that the
    /// shop's erasure reaches it.
    ///
    /// # Errors
    /// As [`Queue::enqueue`], and when the database fails.
    pub fn enqueue(&self, job: NewJob) -> Result<JobId, Error> {
        let (queue, now, job) = (self.queue.clone(), self.clock.now(), self.about_its_shop(job));
        self.db.without_savepoint().write(move |tx| queue.enqueue(tx, now, job))
    }

    /// The same job, about the shop that its payload names, where it names one.
    pub fn about_its_shop(&self, job: NewJob) -> NewJob {
        let shop: Option<ShopDomain> =
            job.payload().get("shop").and_then(|shop| shop.as_str()).and_then(|shop| shop.parse().ok());
        match shop {
            Some(shop) => job.about(erasure::subject(&self.hasher, &shop)),
            None => job,
        }
    }

    /// The order to erase a store because its operator wants it, by the same job as Shopify's `shop/redact`.
    pub fn erasure_of(&self, shop: &ShopDomain) -> ErasureOrder {
        ErasureOrder::new(shop.clone(), self.queue.clone(), self.hasher.clone(), self.entropy.clone())
    }

    /// Processes what is due, `limit` jobs at the most, in this call, and what they erased from the tables is erased from the
    /// files. Jobs that fall due meanwhile count as due; those that others are running now are waited for, for a while, so that
    /// the caller finds everything done.
    ///
    /// # Errors
    /// When the database does not work. A job that fails is no error.
    pub fn run_due(&self, limit: usize) -> std::io::Result<Ran> {
        let worker = self.worker()?;
        let mut ran = Ran::default();
        let until = Instant::now() + OTHERS_PATIENCE;
        while ran.processed < limit {
            match worker.step().map_err(std::io::Error::other)? {
                StepOutcome::Idle if Instant::now() < until && self.is_anything_running()? => {
                    std::thread::sleep(OTHERS_PAUSE);
                }
                StepOutcome::Idle => break,
                StepOutcome::Ran { error, .. } => {
                    ran.processed += 1;
                    ran.errors += usize::from(error.is_some());
                }
            }
        }
        self.scrubber().scrub_all().map_err(std::io::Error::other)?;
        Ok(ran)
    }

    /// A worker that processes jobs one at a time, for commands and tests.
    ///
    /// # Errors
    /// When the lock directory next to the database cannot be used.
    pub fn worker(&self) -> std::io::Result<Worker> {
        self.worker_for(self.worker.share)
    }

    fn worker_for(&self, share: Share) -> std::io::Result<Worker> {
        let options = queue::Options { share, ..self.worker };
        Worker::new(self.db.clone(), self.queue.clone(), self.clock.clone(), self.entropy.as_ref(), options)
    }

    /// Starts `workers` threads for jobs and, where orders are handed over, others for jobs that wait for Shopify: however long it
    /// hangs, it holds up no other job.
    fn start_workers(&self, workers: usize) -> std::io::Result<(Vec<Running>, Option<RunningWaiters>)> {
        match self.handover.options().map(|options| options.threads) {
            _ if workers == 0 => Ok((Vec::new(), None)),
            None => Ok((vec![Arc::new(self.worker()?).start(workers)?], None)),
            Some(outside) => {
                let running = vec![
                    Arc::new(self.worker_for(Share::Internal)?).start(workers)?,
                    Arc::new(self.worker_for(Share::External)?).start(outside)?,
                ];
                Ok((running, Some(self.handover.run_waiters()?)))
            }
        }
    }

    /// After how long without a webhook an operator is to know of it; `None`: never.
    pub fn silence(&self) -> Option<TimeDelta> {
        self.alerts.silence
    }

    /// How long finished things are kept.
    pub fn retention(&self) -> &Retention {
        &self.retention
    }

    /// The way in for orders.
    pub fn orders(&self) -> Orders {
        Orders::new(
            self.db.clone(),
            self.clock.clone(),
            self.entropy.clone(),
            self.hasher.clone(),
            self.pricing.clone(),
            self.queue.clone(),
            self.handover.clone(),
        )
        .with_limit(self.open_order_limit)
    }

    /// The way in for webhooks.
    pub fn intake(&self) -> Intake {
        Intake::new(
            self.db.clone(),
            self.clock.clone(),
            self.entropy.clone(),
            self.queue.clone(),
            self.handover.clone(),
            self.hasher.clone(),
            self.activity.clone(),
        )
    }

    /// A scrubber of this database.
    pub fn scrubber(&self) -> Scrubber {
        Scrubber::new(self.db.clone(), self.clock.clone(), self.hasher.clone())
    }

    fn is_anything_running(&self) -> std::io::Result<bool> {
        self.db.read(queue::is_any_running).map_err(std::io::Error::other)
    }

    /// A housekeeper of this database.
    pub fn housekeeper(&self) -> Housekeeper {
        let alerts = self.alerts.url.is_some().then(|| self.alerts());
        Housekeeper::new(self.db.clone(), self.clock.clone(), self.retention, alerts)
    }

    /// Raises alerts as jobs.
    pub fn alerts(&self) -> Alerts {
        Alerts::new(self.db.clone(), self.queue.clone(), &self.alerts)
            .with_disk(self.disk.clone())
            .with_open_order_limit(self.open_order_limit)
    }

    /// Processes the oldest due job, if there is one, in this call, and what it erased from the tables is erased from the files.
    ///
    /// # Errors
    /// When the database does not work. A job that fails is no error.
    pub fn process_next_job(&self) -> std::io::Result<StepOutcome> {
        let step = self.worker()?.step().map_err(std::io::Error::other)?;
        self.scrubber().scrub_all().map_err(std::io::Error::other)?;
        Ok(step)
    }

    /// Starts what goes on in the background: `workers` threads for jobs (0: none at all), the scrub, the housekeeping, and the sweep
    /// of the price cache.
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub fn start(&self, workers: usize) -> std::io::Result<Background> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (running, attended) = self.start_workers(workers)?;
        let stop = Arc::new(Stop::default());
        let (scrubber, until) = (self.scrubber(), stopping.clone());
        let (db, hasher) = (self.db.clone(), self.hasher.clone());
        let scrub = keep_going("scrub", stop.clone(), move |_stop| {
            tell_of_lost_duties(&db, &hasher);
            scrubber.run(&until);
        })?;
        let housekeeper = self.housekeeper();
        let housekeeping = keep_going("housekeeping", stop.clone(), move |stop| housekeeper.run(stop))?;
        let sweep = self.start_sweep(stop.clone())?;
        let counting = self.start_counting(stop.clone())?;
        Ok(Background { db: self.db.clone(), running, attended, scrub, stopping, housekeeping, sweep, counting, stop })
    }

    fn start_counting(&self, stop: Arc<Stop>) -> std::io::Result<JoinHandle<()>> {
        let (activity, db) = (self.activity.clone(), self.db.clone());
        let flush = move |stop: &Stop| {
            // Once more when it is stopped: what was counted last is kept too.
            loop {
                let stopped = stop.rest(COUNT_EVERY);
                if let Err(error) = activity.flush(&db) {
                    debug!("what happened was not counted yet: {error}");
                }
                if stopped {
                    return;
                }
            }
        };
        keep_going("activity", stop, flush)
    }

    fn start_sweep(&self, stop: Arc<Stop>) -> std::io::Result<JoinHandle<()>> {
        let (pricing, handover, db) = (self.pricing.clone(), self.handover.clone(), self.db.clone());
        let (queue, clock) = (self.queue.clone(), self.clock.clone());
        let sweep = move |stop: &Stop| {
            let mut looked_at: Option<Instant> = None;
            while !stop.rest(SWEEP_EVERY) {
                if looked_at.is_none_or(|at| at.elapsed() >= DUE_LOOKS_EVERY) {
                    looked_at = Some(Instant::now());
                    if let Err(error) = handover.enqueue_due_looks(&db, clock.now(), &queue) {
                        debug!("Shopify was not asked what has become of draft orders: {error}");
                    }
                }
                if let Err(error) = pricing.sweep(&db) {
                    debug!("the price cache was not swept: {error}");
                }
                if let Err(error) = handover.sweep(&db) {
                    debug!("Shopify's tokens were not swept: {error}");
                }
            }
        };
        keep_going("price-sweep", stop, sweep)
    }
}

/// Logs which privacy requests no job will fulfil. Alongside the start, for it may look at every job that waits.
fn tell_of_lost_duties(db: &Db, hasher: &KeyedHasher) {
    match db.read(|connection| erasure::list_without_job(connection, hasher)) {
        Ok(found) if found.is_empty() => {}
        Ok(found) => warn!("[GDPR] {}", erasure::without_job_problem(found.len())),
        Err(error) => warn!("could not look for privacy requests without a job: {error}"),
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("db", &self.db).finish_non_exhaustive()
    }
}

/// Jobs that one call processes at the most: more come from a job that enqueues itself for ever.
pub const RUN_MAX: usize = 100_000;

/// How long [`App::run_due`] waits for jobs that others are running.
const OTHERS_PATIENCE: Duration = Duration::from_secs(10);

/// How often it checks if they are done.
const OTHERS_PAUSE: Duration = Duration::from_millis(5);

/// What [`App::run_due`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ran {
    /// Jobs run.
    pub processed: usize,
    /// Those of them that did not succeed.
    pub errors: usize,
}

/// What goes on in the background.
#[derive(Debug)]
pub struct Background {
    db: Db,
    running: Vec<Running>,
    attended: Option<RunningWaiters>,
    scrub: JoinHandle<()>,
    stopping: Arc<AtomicBool>,
    housekeeping: JoinHandle<()>,
    sweep: JoinHandle<()>,
    counting: JoinHandle<()>,
    stop: Arc<Stop>,
}

impl Background {
    /// Stops: running jobs get `grace` to end and are released otherwise.
    pub fn stop(self, grace: Duration) {
        self.stop.ask();
        // No request waits for what is not going to happen.
        drop(self.attended);
        std::thread::scope(|scope| {
            for running in self.running {
                scope.spawn(move || running.stop(grace));
            }
        });
        self.stopping.store(true, Ordering::Relaxed);
        self.db.notifier().notify();
        let _panicked = self.scrub.join();
        let _panicked = self.housekeeping.join();
        let _panicked = self.sweep.join();
        let _panicked = self.counting.join();
    }
}
