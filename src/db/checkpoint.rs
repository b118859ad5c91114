//! Moves pages from the WAL into the database file: in the background while others write, and wholly for the scrub.
//! Nobody waits for either.

use super::error::{Error, Result};
use log::{debug, error};
use rusqlite::Connection;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Pages in the WAL from which the background thread moves them at once (8 MiB); fewer wait for [`QUIET`].
const BACKGROUND_PAGES: usize = 1024;

/// Pages from which the writer itself runs one between two batches (32 MiB): only so can the WAL start over while writes go on.
const WRITER_PAGES: usize = 4096;

/// After a checkpoint by the writer that could not finish (a reader held it up), this many more pages before the next.
const WRITER_PAGES_MORE: usize = 1024;

/// How often the background thread looks for a few pages to move when nobody wakes it.
const QUIET: Duration = Duration::from_secs(1);

/// Pages still in the WAL with which emptying it holds the write lock only for a moment.
const FEW_PAGES: i64 = 64;

/// Pause between two attempts at emptying the WAL: readers end within it.
const EMPTYING_PAUSE: Duration = Duration::from_millis(20);

thread_local! {
    /// Pages in the WAL after the last commit of this thread's connection: a hook can carry no state of its own.
    static WAL_PAGES: Cell<usize> = const { Cell::new(0) };
}

/// What a checkpoint did.
#[derive(Debug, Clone, Copy)]
struct Report {
    busy: bool,
    in_wal: i64,
    moved: i64,
}

/// The connection kept for checkpoints, and what wakes its thread.
pub(super) struct Checkpointer {
    connection: Mutex<Connection>,
    wal_pages: AtomicUsize,
    /// Where the writer's own checkpoint is due next.
    writer_due: AtomicUsize,
    dirty: AtomicBool,
    stop: Mutex<bool>,
    wake: Condvar,
}

impl Checkpointer {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection: Mutex::new(connection),
            wal_pages: AtomicUsize::new(0),
            writer_due: AtomicUsize::new(WRITER_PAGES),
            dirty: AtomicBool::new(true),
            stop: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// Has the size of the WAL noted at each commit of the writer. Called on the writer's thread.
    pub(super) fn watch(&self, writer: &Connection) {
        writer.wal_hook(Some(|_wal, pages| {
            WAL_PAGES.set(usize::try_from(pages).unwrap_or(0));
            Ok(())
        }));
    }

    /// Called by the writer after each batch: notes the WAL's size, wakes the thread, and past 32 MiB moves pages itself.
    pub(super) fn between_batches(&self, writer: &Connection) {
        let pages = WAL_PAGES.get();
        if self.wal_pages.swap(pages, Ordering::Relaxed) == pages {
            return;
        }
        self.dirty.store(true, Ordering::Relaxed);
        if pages >= BACKGROUND_PAGES {
            self.wake.notify_one();
        } else {
            self.writer_due.store(WRITER_PAGES, Ordering::Relaxed);
        }
        if pages >= self.writer_due.load(Ordering::Relaxed) {
            match checkpoint(writer, "PASSIVE") {
                Ok(report) => debug!("writer's own checkpoint: {report:?}"),
                Err(error) => error!("checkpoint failed: {error}"),
            }
            self.writer_due.store(pages + WRITER_PAGES_MORE, Ordering::Relaxed);
        }
    }

    /// The background thread: PASSIVE checkpoints until [`Checkpointer::stop`].
    pub(super) fn run(&self) {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stop {
            stop = self.wake.wait_timeout(stop, QUIET).unwrap_or_else(PoisonError::into_inner).0;
            if *stop || !self.dirty.swap(false, Ordering::Relaxed) {
                continue;
            }
            drop(stop);
            let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
            match checkpoint(&connection, "PASSIVE") {
                Ok(report) if report.moved < report.in_wal => self.dirty.store(true, Ordering::Relaxed),
                Ok(_) => {}
                Err(error) => error!("checkpoint failed: {error}"),
            }
            drop(connection);
            stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn stop(&self) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }

    /// Empties the WAL file, trying for at most `patience`; returns whether it is empty of all that was committed before.
    ///
    /// PASSIVE first, which waits for nobody, then TRUNCATE when little is left. TRUNCATE runs without a busy time-out: with
    /// one it waits for readers while it holds the write lock (an enqueue waited 1.5 s; 4 ms without, measured).
    pub(super) fn empty_wal(&self, patience: Duration) -> Result<bool> {
        let until = Instant::now() + patience;
        loop {
            let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
            let passive = checkpoint(&connection, "PASSIVE")?;
            if passive.in_wal - passive.moved <= FEW_PAGES && !checkpoint(&connection, "TRUNCATE")?.busy {
                return Ok(true);
            }
            drop(connection);
            if Instant::now() >= until {
                return Ok(false);
            }
            std::thread::sleep(EMPTYING_PAUSE);
        }
    }
}

fn checkpoint(connection: &Connection, mode: &str) -> Result<Report> {
    let mut statement = connection.prepare_cached(match mode {
        "TRUNCATE" => "PRAGMA wal_checkpoint(TRUNCATE)",
        _ => "PRAGMA wal_checkpoint(PASSIVE)",
    })?;
    statement
        .query_row((), |row| Ok(Report { busy: row.get::<_, i64>(0)? != 0, in_wal: row.get(1)?, moved: row.get(2)? }))
        .map_err(Error::from)
}
