//! Moves pages from the WAL into the database file: in the background while others write, and wholly for the scrub.
//! No change waits for either.

use super::connection::{PAGE_SIZE, with_patience};
use super::error::{Error, Result};
use super::health::{Health, Watched};
use super::slack_tracker::SlackTracker;
use super::wal_room::WalRoom;
use log::{debug, error};
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Pages that a commit leaves in the WAL from which the background thread moves them at once (8 MiB), and how many more at the most before it
/// does so again; fewer wait for [`QUIET`]. One after another without a pause moved the pages at the ends of the trees each time: 17.8 KiB a
/// webhook over 32 connections instead of 12.6, and half as much again of processor time for a lone one (measured).
const BACKGROUND_PAGES: usize = (8 << 20) / PAGE_SIZE as usize;

/// The fewest between two of them (1 MiB). They come closer and closer before the writer's own, so that it is left with few: all wait for it.
const BACKGROUND_PAGES_LAST: usize = (1 << 20) / PAGE_SIZE as usize;

/// Pages from which the writer itself runs one between two batches (32 MiB): only so can the WAL start over while writes go on.
const WRITER_PAGES: usize = (32 << 20) / PAGE_SIZE as usize;

/// After a checkpoint by the writer that could not finish (a reader held it up), this many more pages (8 MiB) before the next.
const WRITER_PAGES_MORE: usize = (8 << 20) / PAGE_SIZE as usize;

/// How often the background thread looks for a few pages to move when no commit wakes it.
const QUIET: Duration = Duration::from_secs(1);

/// Pages that readers still hold up with which emptying the WAL holds the write lock only for a moment (4 MiB).
const FEW_PAGES: i64 = (4 << 20) / PAGE_SIZE;

/// Pauses between two attempts at emptying the WAL, the first and the longest: readers end within them.
const EMPTYING_PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(160));

/// How long the writer, asked to empty the WAL, may wait for readers and other processes, in total: all changes wait with it.
const EMPTYING_WAIT: Duration = Duration::from_millis(5);

/// How long to wait for the writer to come round at least: for a whole batch and the pages that it moves.
const ASKING_WAIT: Duration = Duration::from_millis(500);

thread_local! {
    /// Pages in the WAL after the last commit of this thread's connection, until they are noted: a hook can carry no state.
    static WAL_PAGES: Cell<Option<usize>> = const { Cell::new(None) };
}

/// What a checkpoint did.
#[derive(Debug, Clone, Copy)]
struct CheckpointReport {
    busy: bool,
    in_wal: i64,
    moved: i64,
}

/// The connection kept for checkpoints, and what wakes its thread.
pub(super) struct Checkpointer {
    pub(super) connection: Mutex<Watched>,
    health: Arc<Health>,
    /// Looks at what each commit of the writer has written, before the WAL can start over.
    pub(super) slack: Arc<SlackTracker>,
    /// Nothing where commits do not wait for the disk.
    room: Option<Arc<WalRoom>>,
    /// Where the background's checkpoint is due next.
    background_due: AtomicUsize,
    /// Where the writer's own checkpoint is due next.
    writer_due: AtomicUsize,
    /// Pages in the WAL after a commit of a caller that leaves what is due to the writer's thread; 0: nothing is left.
    left_pages: AtomicUsize,
    /// The writer's own checkpoint is due and has found the background's in its way.
    writer_wants: AtomicBool,
    dirty: AtomicBool,
    /// Who wants the writer to empty the WAL between two batches.
    asked: Mutex<Option<SyncSender<Result<bool>>>>,
    is_asked: AtomicBool,
    stop: Mutex<bool>,
    wake: Condvar,
}

impl Checkpointer {
    pub(super) fn new(connection: Connection, health: Arc<Health>, room: Option<Arc<WalRoom>>) -> Self {
        Self {
            connection: Mutex::new(Watched::new(connection, &health)),
            health,
            slack: Arc::new(SlackTracker::new()),
            room,
            background_due: AtomicUsize::new(BACKGROUND_PAGES),
            writer_due: AtomicUsize::new(WRITER_PAGES),
            left_pages: AtomicUsize::new(0),
            writer_wants: AtomicBool::new(false),
            dirty: AtomicBool::new(true),
            asked: Mutex::new(None),
            is_asked: AtomicBool::new(false),
            stop: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// Has the size of the WAL noted at each commit of the writer. Called on the writer's thread.
    pub(super) fn watch(&self, writer: &Connection) {
        writer.wal_hook(Some(|_wal, pages| {
            WAL_PAGES.set(Some(usize::try_from(pages).unwrap_or(0)));
            Ok(())
        }));
    }

    /// Called by the writer after each batch: notes the WAL's size, wakes the thread, past 32 MiB moves pages itself, and
    /// empties the WAL when asked to.
    pub(super) fn between_batches(&self, writer: &Connection) {
        let left = self.left_pages.swap(0, Ordering::Relaxed);
        let pages = WAL_PAGES.take();
        self.slack.follow(writer, pages);
        if let Some(pages) = pages.or((left > 0).then_some(left)) {
            self.note(writer, pages);
        }
        if self.is_asked.swap(false, Ordering::Acquire)
            && let Some(asked) = self.asked.lock().take()
        {
            let _nobody_waits = asked.send(self.truncate(writer));
        }
    }

    fn truncate(&self, writer: &Connection) -> Result<bool> {
        let end = self.room.as_ref().map(|room| room.hold_end(EMPTYING_WAIT));
        if matches!(end, Some(None)) {
            return Ok(false);
        }
        let report = with_patience(EMPTYING_WAIT, || self.checkpoint(writer, "TRUNCATE"))?;
        if !report.busy
            && let Some(room) = &self.room
        {
            room.note_emptied();
        }
        Ok(!report.busy)
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> Option<&WalRoom> {
        self.room.as_deref()
    }

    /// Instead of [`Checkpointer::between_batches`], for a caller that must not wait for a checkpoint. Returns whether the writer's thread
    /// has something to do.
    pub(super) fn leave_to_writer(&self, writer: &Connection) -> bool {
        let pages = WAL_PAGES.take();
        self.slack.follow(writer, pages);
        if let Some(pages) = pages
            && self.is_writer_due(pages)
        {
            self.left_pages.store(pages, Ordering::Relaxed);
        }
        self.left_pages.load(Ordering::Relaxed) > 0 || self.is_asked.load(Ordering::Acquire)
    }

    /// Whether the last commit on this thread has written anything.
    pub(super) fn has_written() -> bool {
        WAL_PAGES.get().is_some()
    }

    /// Pages in the WAL after the last commit on this thread, if it has written any. Asked once; [`Checkpointer::between_batches`] asks too.
    pub(super) fn take_wal_pages() -> Option<usize> {
        WAL_PAGES.take()
    }

    /// Notes the WAL's size and wakes the thread. Returns whether the writer is to move pages itself.
    fn is_writer_due(&self, pages: usize) -> bool {
        self.dirty.store(true, Ordering::Relaxed);
        if let Some(room) = &self.room {
            room.note(pages);
        }
        if pages < BACKGROUND_PAGES {
            self.background_due.store(BACKGROUND_PAGES, Ordering::Relaxed);
            self.writer_due.store(WRITER_PAGES, Ordering::Relaxed);
        } else if pages >= self.background_due.load(Ordering::Relaxed) {
            let left = self.writer_due.load(Ordering::Relaxed).saturating_sub(pages);
            let more = (left / 2).clamp(BACKGROUND_PAGES_LAST, BACKGROUND_PAGES);
            self.background_due.store(pages + more, Ordering::Relaxed);
            self.wake.notify_one();
        }
        pages >= self.writer_due.load(Ordering::Relaxed)
    }

    fn note(&self, writer: &Connection, pages: usize) {
        if self.is_writer_due(pages) {
            // Two at once cannot be: the background's is waited for, batch by batch, and it does not begin another.
            let is_free = self.connection.try_lock();
            self.writer_wants.store(is_free.is_none(), Ordering::Relaxed);
            if is_free.is_some() {
                match self.checkpoint(writer, "PASSIVE") {
                    Ok(report) => debug!("writer's own checkpoint: {report:?}"),
                    Err(Error::SyncFailed) => {}
                    Err(error) => error!("checkpoint failed: {error}"),
                }
                self.writer_due.store(pages + WRITER_PAGES_MORE, Ordering::Relaxed);
            }
        }
    }

    /// The background thread: PASSIVE checkpoints until [`Checkpointer::stop`].
    pub(super) fn run(&self) {
        let mut stop = self.stop.lock();
        let mut is_failing = false;
        while !*stop {
            let quiet = self.wake.wait_for(&mut stop, QUIET);
            self.health.look();
            if self.health.has_sync_failed() {
                return;
            }
            let writer_does_it = self.writer_wants.load(Ordering::Relaxed) && !quiet.timed_out();
            if *stop || writer_does_it || !self.dirty.swap(false, Ordering::Relaxed) {
                continue;
            }
            drop(stop);
            let connection = self.connection.lock();
            let moved = self.checkpoint(&connection, "PASSIVE");
            drop(connection);
            match &moved {
                Ok(report) if report.moved == report.in_wal => {}
                Ok(_readers_hold_some) => self.dirty.store(true, Ordering::Relaxed),
                Err(error) => {
                    self.dirty.store(true, Ordering::Relaxed);
                    if !is_failing && !self.health.has_sync_failed() {
                        error!("checkpoint failed, trying again every second: {error}");
                    }
                }
            }
            is_failing = moved.is_err();
            stop = self.stop.lock();
        }
    }

    pub(super) fn stop(&self) {
        *self.stop.lock() = true;
        self.wake.notify_all();
    }

    /// Empties the WAL file, trying for at most `patience`; returns whether it is empty of all that was committed before.
    ///
    /// PASSIVE first, which waits for no other connection, then TRUNCATE when readers hold up little. The writer's thread runs that one,
    /// between two batches: any other would hardly ever find it outside a transaction. It waits for a few milliseconds at the
    /// most: with a busy time-out it would wait for readers while it holds the write lock (an enqueue waited 1.5 s, measured).
    pub(super) fn empty_wal(&self, patience: Duration, wake_writer: impl Fn()) -> Result<bool> {
        let until = Instant::now() + patience;
        let (mut pause, longest) = EMPTYING_PAUSE;
        loop {
            // Held while the writer is asked: its TRUNCATE finds no checkpoint of ours in its way.
            let connection = self.connection.lock();
            let passive = self.checkpoint(&connection, "PASSIVE")?;
            if passive.in_wal - passive.moved <= FEW_PAGES {
                match self.ask_writer(until, &wake_writer) {
                    Ok(true) => return Ok(true),
                    // A reader of the newest state: each try costs the writer its wait, so they become rare.
                    Ok(false) => pause = (pause * 2).min(longest),
                    Err(error) => return Err(error),
                }
            }
            drop(connection);
            if Instant::now() >= until {
                return Ok(false);
            }
            std::thread::sleep(pause);
        }
    }

    fn ask_writer(&self, until: Instant, wake_writer: impl Fn()) -> Result<bool> {
        let (answer, answered) = sync_channel(1);
        *self.asked.lock() = Some(answer);
        self.is_asked.store(true, Ordering::Release);
        wake_writer();
        let patience = until.saturating_duration_since(Instant::now()).max(ASKING_WAIT);
        match answered.recv_timeout(patience) {
            Ok(emptied) => emptied,
            Err(RecvTimeoutError::Timeout) => Ok(false),
            Err(RecvTimeoutError::Disconnected) => Err(Error::Closed),
        }
    }

    /// One checkpoint, unless none may be. The caller holds the lock on the checkpointer's connection: after one whose fsync has
    /// failed there is no other.
    fn checkpoint(&self, connection: &Connection, mode: &str) -> Result<CheckpointReport> {
        self.health.guard(|| checkpoint(connection, mode))
    }
}

fn checkpoint(connection: &Connection, mode: &str) -> Result<CheckpointReport> {
    let mut statement = connection.prepare_cached(match mode {
        "TRUNCATE" => "PRAGMA wal_checkpoint(TRUNCATE)",
        _ => "PRAGMA wal_checkpoint(PASSIVE)",
    })?;
    statement
        .query_row((), |row| {
            Ok(CheckpointReport { busy: row.get::<_, i64>(0)? != 0, in_wal: row.get(1)?, moved: row.get(2)? })
        })
        .map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::waiting::wait_until;
    use crate::db::{Db, Options};

    #[test]
    fn a_checkpoint_that_is_due_after_a_commit_that_its_caller_led_is_run_by_the_thread_of_the_writer() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let db = Db::open(&Options::new(directory.path().join("led.db"))).expect("a database");
        let checkpointer = db.shared.open().checkpointer.clone();
        checkpointer.writer_due.store(1, Ordering::Relaxed);
        // The background's checkpoint would be in the way of the writer's own: without this it cannot begin.
        let background = checkpointer.stop.lock();
        let own = std::thread::current().id();
        let (sender, answered) = sync_channel(1);
        db.without_savepoint().write_then_or_lead(
            move |tx| -> Result<_> {
                // More than the background's share, of which alone the writer takes some.
                tx.execute("INSERT INTO meta (name, value) VALUES ('large', randomblob(9000000))", ())?;
                Ok(std::thread::current().id())
            },
            move |ran| sender.send(ran).expect("the test waits"),
        );
        assert_eq!(answered.recv().expect("answered").expect("written"), own);
        // Set by the writer's own checkpoint only.
        wait_until("the writer has run its own checkpoint", || {
            checkpointer.writer_due.load(Ordering::Relaxed) >= WRITER_PAGES_MORE
        });
        assert_eq!(checkpointer.left_pages.load(Ordering::Relaxed), 0);
        drop(background);
    }

    #[test]
    fn the_background_is_woken_once_for_each_share_of_pages_and_more_often_before_the_writer_moves_some_itself() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let db = Db::open(&Options::new(directory.path().join("shares.db"))).expect("a database");
        let checkpointer = db.shared.open().checkpointer.clone();
        let mut woken_at = Vec::new();
        for pages in (0..=WRITER_PAGES).step_by(64) {
            let before = checkpointer.background_due.load(Ordering::Relaxed);
            checkpointer.is_writer_due(pages);
            if pages >= BACKGROUND_PAGES && checkpointer.background_due.load(Ordering::Relaxed) != before {
                woken_at.push((pages * PAGE_SIZE as usize) >> 20);
            }
        }
        assert_eq!(woken_at, [8, 16, 24, 28, 30, 31, 32], "MiB");
        checkpointer.is_writer_due(1);
        assert_eq!(checkpointer.background_due.load(Ordering::Relaxed), BACKGROUND_PAGES, "the WAL has started over");
    }
}
