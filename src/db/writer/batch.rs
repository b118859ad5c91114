//! What the thread that leads does: runs what waits in one transaction, commits it, and hands the answers on.

use super::answers::{AfterBatch, PendingAnswer, Unsynced};
use super::change::{Change, CommitOutcome};
use super::role::{Role, ThreadRole};
use super::{QueuedChange, Turn, WriteQueue, WriterFigures};
use crate::db::checkpoint::Checkpointer;
use crate::db::connection::with_patience;
use crate::db::errands::Errands;
use crate::db::error::Result;
use crate::db::health::{Health, Watched};
use crate::db::holder::write_lock_holder;
use crate::db::notify::CommitNotifier;
use crate::db::slack_tracker::Alone;
use crate::db::space::suspect_free_pages;
use crate::db::wal_sync::WalSync;
use crate::db::{AfterCommit, Tx};
use crate::log_limit::LogLimiter;
use log::{error, warn};
use rusqlite::Connection;
use rusqlite::ffi::ErrorCode;
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// Changes in one commit at the most: about what 10 ms are enough for.
const BATCH_MAX: usize = 512;

/// How long a batch may take changes in before it commits: no caller waits much longer than this plus one fsync.
const BATCH_TIME: Duration = Duration::from_millis(10);

/// While another process holds the write lock, how often to look for changes that have waited too long.
const LOCK_SLICE: Duration = Duration::from_millis(100);

/// From how many changes in a batch on the writer goes on while they are brought to the disk. Fewer gain nothing by it, and SQLite undoes a
/// commit that it could not sync itself.
const OVERLAP_FROM: usize = 4;

/// Batches that may be on their way to the disk when another is committed; with more, the writer syncs them itself first, so that a disk that
/// hangs holds it up too.
const SYNCS_MAX: usize = 1;

/// On a disk that has become read-only, each request that writes fails at once.
static NOT_BEGUN: LogLimiter = LogLimiter::new();

thread_local! {
    /// Whether the commit that happens now is the writer's own.
    static COMMITTING: Cell<bool> = const { Cell::new(false) };
}

/// The whole transaction is lost.
fn lost(why: &str) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK);
    rusqlite::Error::SqliteFailure(code, Some(why.to_owned()))
}

/// What it takes to write, for the thread that leads.
pub(in crate::db) struct Core {
    pub(super) connection: Watched,
    pub(super) health: Arc<Health>,
    pub(super) wait_limit: Duration,
    pub(super) answers: Sender<AfterBatch>,
    pub(super) notifier: Arc<CommitNotifier>,
    pub(super) checkpointer: Arc<Checkpointer>,
    pub(super) figures: Arc<WriterFigures>,
    pub(super) queue: Arc<WriteQueue>,
    pub(super) errands: Arc<Errands<Core>>,
    /// Nothing where commits need not be on the disk when they are answered.
    pub(super) wal: Option<Arc<WalSync>>,
    /// SQLite does not sync the commits: those who give the answers do, while the writer goes on.
    pub(super) overlaps: Cell<bool>,
}

impl Alone for Core {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn begin(&self) -> Result<bool> {
        self.set_overlap(false)?;
        match with_patience(LOCK_SLICE, || self.execute("BEGIN IMMEDIATE")) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
            begun => Ok(begun.and_then(|()| self.keep_in_place()).map(|()| true)?),
        }
    }

    fn commit(&self) -> Result<Option<usize>> {
        let committed = Core::commit(self);
        let pages = Checkpointer::take_wal_pages();
        committed.into_result(pages)
    }

    fn roll_back(&self) {
        Core::roll_back(self);
    }
}

impl Core {
    pub(super) fn keep_out_stray_commits(&self) {
        self.checkpointer.watch(&self.connection);
        // What a change does after SQLite has rolled its transaction back would be committed statement by statement, though
        // its caller is answered that nothing was; and a change must not commit for its batch mates. Both are undone instead.
        if let Err(error) = self.connection.commit_hook(Some(|| !COMMITTING.get())) {
            error!("stray commits cannot be kept out: {error}");
        }
    }

    /// A batch, and what is to be done between two. `waits`: this thread is whose change is the first. What is returned is for it to
    /// give, once it leads no more.
    pub(super) fn turn(&self, turn: Turn, waits: bool) -> Option<AfterBatch> {
        let own = match turn {
            Turn::Change(first) => self.batch(first, waits),
            Turn::Look => None,
        };
        self.checkpointer.between_batches(&self.connection);
        self.errands.run(self);
        own
    }

    /// Runs `first` and what else waits in one transaction.
    fn batch(&self, first: QueuedChange, waits: bool) -> Option<AfterBatch> {
        self.checkpointer.slack.begin_transaction();
        let last = self.queue.last_batch();
        // Between the two bounds it stays as it is: the change costs more than either way gains there.
        let overlaps = self.wal.is_some() && !waits && (last >= OVERLAP_FROM || last > 1 && self.overlaps.get());
        if let Err(error) = self.set_overlap(overlaps).and_then(|()| self.begin(&first)) {
            if let Some(left_out) = NOT_BEGUN.admit() {
                let holder = self.connection.path().and_then(|path| write_lock_holder(Path::new(path)));
                match holder.filter(|_| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)) {
                    Some(holder) => warn!("could not begin a transaction more={left_out}: {error}: {holder}"),
                    None => warn!("could not begin a transaction more={left_out}: {error}"),
                }
            }
            return self.reject(first, &error, waits);
        }
        self.run_batch(first, waits)
    }

    /// The same in the transaction that has begun.
    pub(super) fn run_batch(&self, first: QueuedChange, waits: bool) -> Option<AfterBatch> {
        // Only now: a wait for another process's lock would make batches of one when they are needed least.
        let started = Instant::now();
        let mut done: Vec<Box<dyn Change>> = Vec::new();
        let mut refused: Vec<Box<dyn Change>> = Vec::new();
        let tx = Tx::new(&self.connection);
        let mut next = Some(first);
        let outcome = loop {
            let Some(mut waiting) = next.take() else { break self.commit() };
            if waiting.change.gives_up() && waiting.since.elapsed() > self.wait_limit {
                refused.push(waiting.change);
            } else {
                let ran = self.run(waiting.change.as_mut(), &tx);
                done.push(waiting.change);
                if let Err(error) = ran {
                    self.roll_back();
                    break CommitOutcome::lost(&error);
                }
            }
            if done.len() + refused.len() >= BATCH_MAX || started.elapsed() >= BATCH_TIME {
                break self.commit();
            }
            next = self.queue.next(started + BATCH_TIME);
        };
        let is_committed = matches!(outcome, CommitOutcome::Committed);
        if is_committed {
            self.figures.commits.fetch_add(1, Ordering::Relaxed);
            self.figures.changes.fetch_add(done.len(), Ordering::Relaxed);
            if tx.was_announced() && !self.overlaps.get() {
                self.notifier.notify();
            }
        }
        let wal = self.overlapping().filter(|_| is_committed);
        let unsynced = wal.map(|wal| Unsynced { wal: wal.clone(), is_announced: tx.was_announced() });
        let micros = usize::try_from(started.elapsed().as_micros()).unwrap_or(usize::MAX);
        self.figures.busy_micros.fetch_add(micros, Ordering::Relaxed);
        let after_commit = if is_committed { tx.after_commit.take() } else { Vec::new() };
        self.queue.note_batch(done.len() + refused.len());
        self.answer(after_commit, done, refused, &outcome, waits, unsynced)
    }

    /// Begins a transaction. While another process holds the lock, those that have waited too long are refused meanwhile.
    fn begin(&self, first: &QueuedChange) -> rusqlite::Result<()> {
        let since = if first.change.gives_up() { first.since } else { Instant::now() };
        let until = since + self.wait_limit;
        loop {
            let begun = with_patience(LOCK_SLICE.min(self.wait_limit), || self.execute("BEGIN IMMEDIATE"));
            let Err(error) = begun else { return self.keep_in_place() };
            if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || Instant::now() >= until {
                return Err(error);
            }
            let limit = self.wait_limit;
            let over = self
                .queue
                .take_out(|waiting| waiting.change.gives_up() && waiting.since.elapsed() > limit)
                .into_iter()
                .map(|waiting| waiting.change)
                .collect();
            let _all_given = self.answer(Vec::new(), Vec::new(), over, &CommitOutcome::Overloaded, false, None);
        }
    }

    /// Begins a transaction if nobody holds the lock.
    pub(super) fn begin_at_once(&self) -> bool {
        let begun =
            self.set_overlap(false).and_then(|()| with_patience(Duration::ZERO, || self.execute("BEGIN IMMEDIATE")));
        let has_begun = begun.and_then(|()| self.keep_in_place()).is_ok();
        if has_begun {
            self.checkpointer.slack.begin_transaction();
        }
        has_begun
    }

    /// Ends the transaction that has begun where what it commits would be lost.
    fn keep_in_place(&self) -> rusqlite::Result<()> {
        let Some(why) = self.health.refuses_commits() else { return Ok(()) };
        self.roll_back();
        Err(lost(why))
    }

    /// Answers `first`, for which no transaction could be begun, and all that have waited as long for the same lock.
    fn reject(&self, first: QueuedChange, error: &rusqlite::Error, waits: bool) -> Option<AfterBatch> {
        let mut lost = vec![first.change];
        if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) {
            let over = self.queue.take_out(|waiting| waiting.since.elapsed() >= self.wait_limit);
            lost.extend(over.into_iter().map(|waiting| waiting.change));
        }
        self.answer(Vec::new(), lost, Vec::new(), &CommitOutcome::lost(error), waits, None)
    }

    /// Runs one change, in a savepoint if it wants one. An error means that the whole transaction is lost.
    fn run(&self, change: &mut dyn Change, tx: &Tx<'_>) -> rusqlite::Result<()> {
        let needs_savepoint = change.needs_savepoint();
        if needs_savepoint {
            self.execute("SAVEPOINT change")?;
        }
        let promised = tx.after_commit.borrow().len();
        let changes = self.connection.total_changes();
        let kept = change.run(tx);
        // FULL, IOERR, NOMEM and some INTERRUPTs roll back everything, not the savepoint: without this look, earlier
        // changes would be lost and later ones committed one by one (measured).
        if self.connection.is_autocommit() {
            return Err(lost("SQLite rolled the whole transaction back, most likely for want of disk space or memory"));
        }
        let has_written = self.connection.total_changes() != changes;
        if !kept {
            tx.after_commit.borrow_mut().truncate(promised);
            if needs_savepoint {
                self.execute("ROLLBACK TO change")?;
            }
            match (needs_savepoint, has_written) {
                (_, false) => {}
                (true, true) => suspect_free_pages(&self.connection)?,
                (false, true) => return Err(lost("a change without a savepoint failed after it had written")),
            }
        }
        if needs_savepoint { self.execute("RELEASE change") } else { Ok(()) }
    }

    /// Who syncs the commits from now on: those who give the answers, or SQLite. Outside a transaction.
    fn set_overlap(&self, overlaps: bool) -> rusqlite::Result<()> {
        if self.overlaps.get() != overlaps {
            // Not a prepared statement that is kept: this one takes effect when it is prepared.
            self.connection.pragma_update(None, "synchronous", if overlaps { "NORMAL" } else { "FULL" })?;
            self.overlaps.set(overlaps);
        }
        Ok(())
    }

    /// What syncs the commits, where SQLite does not.
    fn overlapping(&self) -> Option<&Arc<WalSync>> {
        self.wal.as_ref().filter(|_| self.overlaps.get())
    }

    fn commit(&self) -> CommitOutcome {
        // By this thread: those who give answers may all be waiting for a place in the queue, which only this one can make.
        if let Some(wal) = self.overlapping()
            && self.queue.unsynced() > SYNCS_MAX
            && let Err(error) = wal.sync()
        {
            self.roll_back();
            return CommitOutcome::unsynced(&error);
        }
        fail_point!("db::before_commit");
        COMMITTING.set(true);
        let committed = self.execute("COMMIT");
        COMMITTING.set(false);
        match committed {
            Ok(()) => {
                fail_point!("db::after_commit");
                if let Some(wal) = self.overlapping().filter(|_| Checkpointer::has_written()) {
                    wal.note_commit();
                }
                CommitOutcome::Committed
            }
            Err(error) => {
                self.roll_back();
                CommitOutcome::lost(&error)
            }
        }
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            error!("a transaction could not be rolled back: {error}");
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(()).map(|_rows| ())
    }

    /// Has `done` answered as `outcome` says, and `refused` as refused. `waits`: this thread is whose change is the first; where it is
    /// the only one, its answer is returned. `unsynced`: the commit is not on the disk yet.
    fn answer(
        &self,
        after_commit: Vec<AfterCommit>,
        done: Vec<Box<dyn Change>>,
        refused: Vec<Box<dyn Change>>,
        outcome: &CommitOutcome,
        waits: bool,
        unsynced: Option<Unsynced>,
    ) -> Option<AfterBatch> {
        if done.is_empty() && refused.is_empty() {
            return None;
        }
        let lost = if matches!(outcome, CommitOutcome::Committed) { 0 } else { done.len() };
        self.figures.rejected.fetch_add(lost + refused.len(), Ordering::Relaxed);
        // Released, so that a thread that finds them waiting no more finds them counted as done.
        self.figures.waiting.fetch_sub(done.len() + refused.len(), Ordering::Release);
        let alone = done.len() == 1 && refused.is_empty() && unsynced.is_none();
        if unsynced.is_some() {
            self.queue.begin_sync();
        }
        let mut answers: Vec<PendingAnswer> =
            done.into_iter().map(|change| PendingAnswer { change, outcome: outcome.clone() }).collect();
        answers.extend(refused.into_iter().map(|change| PendingAnswer { change, outcome: CommitOutcome::Overloaded }));
        let answers = AfterBatch { unsynced, after_commit, answers };
        // A lone waiter is woken from here: one thread switch less than by way of the answering threads. A caller that waits and leads
        // gives its own answer itself.
        if alone && waits {
            return Some(answers);
        }
        if alone && answers.after_commit.is_empty() && answers.answers[0].change.answers_quickly() {
            let _role = Role::begin(ThreadRole::GivesAnswers);
            answers.give();
        } else if let Err(unsent) = self.answers.send(answers) {
            unsent.0.give();
        }
        None
    }
}
