//! The one writer: it takes whatever changes wait, runs each so that it can be undone alone, commits once, and only then has all of
//! them answered. One fsync so serves many callers, and no two callers contend for the write lock. It is a thread, or a caller that has found
//! it idle (`write_queue.rs`).

mod answers;
mod batch;
mod change;
mod role;

pub(super) use batch::Core;
pub(super) use change::Closure;
pub(super) use role::{assert_may_wait, is_own_thread};

use super::checkpoint::Checkpointer;
use super::errands::Errands;
use super::error::{Error, Result};
use super::health::{Health, Watched};
use super::notify::CommitNotifier;
use super::wal_sync::WalSync;
use super::write_queue::{self, NotQueued};
use answers::{AfterBatch, Syncing, give_answers};
use change::{Change, CommitOutcome};
use parking_lot::Mutex;
use role::{Role, ThreadRole};
use rusqlite::Connection;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Threads that give answers after a commit, and bring it to the disk before where SQLite has not: so many that one of them can wait for
/// the disk while another gives what it has brought there, and that one slow receiver does not hold up all others.
const ANSWERERS: usize = 3;

type QueuedChange = write_queue::QueuedChange<Box<dyn Change>>;
type Turn = write_queue::Turn<Box<dyn Change>>;
type WriteQueue = write_queue::WriteQueue<Box<dyn Change>>;

/// Figures of the writer, for metrics.
#[derive(Debug, Default)]
pub struct WriterFigures {
    /// Changes that wait now.
    pub waiting: AtomicUsize,
    /// Transactions committed.
    pub commits: AtomicUsize,
    /// Changes answered after a commit.
    pub changes: AtomicUsize,
    /// Changes refused or lost: overload, disk full, …
    pub rejected: AtomicUsize,
    /// Microseconds spent in batches, from BEGIN to COMMIT.
    pub busy_micros: AtomicUsize,
}

/// The way in to the writer, and the handle to stop it.
pub(super) struct Writer {
    queue: Arc<WriteQueue>,
    errands: Arc<Errands<Core>>,
    /// The thread that leads holds it. `None` once the thread has ended.
    core: Arc<Mutex<Option<Core>>>,
    figures: Arc<WriterFigures>,
    threads: Vec<JoinHandle<()>>,
}

/// What a caller that leads a batch may wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Whatever the writer's thread waits for.
    All,
    /// For its own commit: neither for a lock nor for a checkpoint.
    CommitOnly,
}

impl Writer {
    /// Starts the threads on `connection`. At most `capacity` changes wait; more are refused. A change that gives up does so
    /// after `wait_limit`; so does every one when another process holds the lock. With `wal`, commits are on the disk when they are answered.
    pub(super) fn start(
        connection: Connection,
        capacity: usize,
        wait_limit: Duration,
        notifier: Arc<CommitNotifier>,
        checkpointer: Arc<Checkpointer>,
        health: Arc<Health>,
        wal: Option<Arc<WalSync>>,
    ) -> std::io::Result<Self> {
        let connection = Watched::new(connection, &health);
        let queue = Arc::new(WriteQueue::new(capacity));
        let (answers, outbox) = channel::<AfterBatch>();
        let outbox = Arc::new(Mutex::new(outbox));
        let figures = Arc::new(WriterFigures::default());
        let errands = Arc::new(Errands::new());
        let mut threads = Vec::new();
        let core = Core {
            connection,
            health,
            wait_limit,
            answers,
            notifier: notifier.clone(),
            checkpointer,
            figures: figures.clone(),
            queue: queue.clone(),
            errands: errands.clone(),
            wal,
            overlaps: Cell::new(false),
        };
        core.keep_out_stray_commits();
        let core = Arc::new(Mutex::new(Some(core)));
        let (of_thread, turns) = (core.clone(), queue.clone());
        threads
            .push(std::thread::Builder::new().name("db-writer".to_owned()).spawn(move || serve(&turns, &of_thread))?);
        for number in 0..ANSWERERS {
            let outbox = outbox.clone();
            let syncing = Syncing { queue: queue.clone(), notifier: notifier.clone() };
            threads.push(
                std::thread::Builder::new()
                    .name(format!("db-answers-{number}"))
                    .spawn(move || give_answers(&outbox, &syncing))?,
            );
        }
        Ok(Self { queue, errands, core, figures, threads })
    }

    pub(super) fn figures(&self) -> &WriterFigures {
        &self.figures
    }

    /// Has an idle writer look at what the checkpointer wants; a busy one looks after each batch anyway.
    pub(super) fn wake(&self) {
        self.queue.want_look();
    }

    /// Has `errand` run between two batches, and waits for it.
    pub(super) fn between_batches<T: Send + 'static>(
        &self,
        errand: impl FnOnce(&Core) -> T + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = sync_channel(1);
        self.errands.add(move |writer| {
            let _nobody_waits = answer.send(errand(writer));
        });
        self.queue.want_look();
        answered.recv().map_err(|_dropped| Error::Closed)
    }

    /// Hands a change over, or has it answered with "overloaded" at once when too many wait.
    pub(super) fn submit(&self, change: Box<dyn Change>) {
        self.figures.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(refused) = self.queue.push(change) {
            self.reject(refused);
        }
    }

    /// Hands a change over, waiting for a place when too many wait.
    ///
    /// # Panics
    /// Within another change: the writer would wait for itself.
    pub(super) fn submit_waiting(&self, change: Box<dyn Change>) {
        assert!(
            role::current() != Some(ThreadRole::RunsChanges),
            "a change must not wait for another change: the writer would wait for itself"
        );
        self.figures.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(refused) = self.queue.push_waiting(change) {
            self.reject(refused);
        }
    }

    /// Runs a change on this very thread when no other writes, and what comes meanwhile along with it; `change` is answered before
    /// this returns. Gives it back when another does, or when this thread is one of a writer. A `patience` of [`Patience::CommitOnly`]
    /// gives it back also where another process holds the write lock.
    pub(super) fn lead(&self, change: Box<dyn Change>, patience: Patience) -> Option<Box<dyn Change>> {
        if is_own_thread() || !self.queue.take_lead() {
            return Some(change);
        }
        let own = {
            let _lead = Lead(&self.queue);
            let core = self.core.lock();
            let Some(core) = core.as_ref() else { return Some(change) };
            let _role = Role::begin(ThreadRole::RunsChanges);
            let change = QueuedChange::new(change);
            if patience == Patience::CommitOnly {
                if !core.begin_at_once() {
                    return Some(change.change);
                }
                self.figures.waiting.fetch_add(1, Ordering::Relaxed);
                let own = core.run_batch(change, true);
                if core.checkpointer.leave_to_writer(&core.connection) {
                    self.queue.want_look();
                }
                own
            } else {
                self.figures.waiting.fetch_add(1, Ordering::Relaxed);
                core.turn(Turn::Change(change), true)
            }
        };
        if let Some(own) = own {
            // Others write meanwhile: a log that blocks, or a wait for a place in the queue, holds up this caller alone.
            let _role = Role::begin(ThreadRole::GivesAnswers);
            own.give();
        }
        None
    }

    fn reject(&self, refused: NotQueued<Box<dyn Change>>) {
        self.figures.waiting.fetch_sub(1, Ordering::Relaxed);
        self.figures.rejected.fetch_add(1, Ordering::Relaxed);
        match refused {
            NotQueued::Full(change) => change.answer(CommitOutcome::Overloaded),
            NotQueued::Closed(change) => change.answer(CommitOutcome::Closed),
        }
    }
}

/// The lead, which is given back whatever happens.
struct Lead<'a>(&'a WriteQueue);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.0.step_back();
    }
}

impl Drop for Writer {
    /// Commits what waits, answers it, and ends the threads.
    fn drop(&mut self) {
        self.queue.close();
        if is_own_thread() {
            return;
        }
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

/// The writer's thread: leads whenever there is something to do and no caller does.
fn serve(queue: &WriteQueue, core: &Mutex<Option<Core>>) {
    let _role = Role::begin(ThreadRole::RunsChanges);
    while let Some(turn) = queue.wait() {
        let _lead = Lead(queue);
        if let Some(core) = core.lock().as_ref() {
            let _all_given = core.turn(turn, false);
        }
    }
    // The connection is closed, and those who give answers learn that no more will come.
    let core = core.lock().take();
    if let Some(core) = core {
        core.errands.close();
    }
}
