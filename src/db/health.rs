//! Whether the database may still be written, and its WAL be emptied: not after a failed fsync of a checkpoint, nor of commits that were
//! read before they were synced (`wal_sync.rs`), and not while the open files are no longer those that their names lead to.
//!
//! The kernel reports a failed fsync once, forgets the pages that it could not write, and lets the next fsync succeed. A checkpoint
//! that does not reach the end of the WAL writes pages without an fsync and still counts them as copied. So after a failed one SQLite
//! would skip pages that never reached the disk, and empty the WAL, the only good copy of them (malformed in 31 of 60 power cuts,
//! measured). Therefore a failure is final, as in PostgreSQL: this process commits, reads and checkpoints no more, and closes its
//! connections without a checkpoint. A mark among the lock files has every other process do the same, and the next start copies the
//! whole WAL once more before any process uses the file ([`recover`]).

use super::connection::open_unconfigured;
use super::error::{Error, OpenError, Result};
use super::file_identity::FileIdentity;
use super::{access, files, lock};
use log::{error, info, warn};
use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::ffi::SQLITE_IOERR_FSYNC;
use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file among the lock files that says that an fsync of the database has failed, and that it has not been recovered since.
const MARK: &str = "fsync-failed";

type Listener = Box<dyn FnOnce() + Send>;

/// What is known of an open database's files.
pub(super) struct Health {
    place: FileIdentity,
    mark: PathBuf,
    has_sync_failed: AtomicBool,
    is_displaced: AtomicBool,
    listeners: Mutex<Vec<Listener>>,
}

impl Health {
    /// Of the database that `given` leads to and whose file is `real`, which is open.
    pub(super) fn of(given: &Path, real: &Path) -> io::Result<Self> {
        Ok(Self {
            place: FileIdentity::of(given, real)?,
            mark: mark_of(real),
            has_sync_failed: AtomicBool::new(false),
            is_displaced: AtomicBool::new(false),
            listeners: Mutex::default(),
        })
    }

    /// Whether an fsync of a checkpoint is known to have failed.
    pub(super) fn has_sync_failed(&self) -> bool {
        self.has_sync_failed.load(Ordering::Acquire)
    }

    /// Why nothing may be read, if so, as it was found at the last check: a reader has no time for it. A strange WAL or
    /// index leads readers to pages that others have overwritten.
    pub(super) fn allow_reading(&self) -> Result<()> {
        if self.has_sync_failed() {
            return Err(Error::SyncFailed);
        }
        if self.is_displaced.load(Ordering::Relaxed) { Err(Error::Displaced) } else { Ok(()) }
    }

    /// Looks at the files, and for a failure that another process has met.
    pub(super) fn look(&self) {
        self.is_wal_kept();
        if !self.has_sync_failed() && self.mark.exists() {
            error!(
                "another process could not bring the database to the disk (fsync): this one stops too, the next start recovers"
            );
            self.fail();
        }
    }

    /// Whether an open file is the WAL that SQLite has open too.
    pub(super) fn is_wal(&self, found: &fs::Metadata) -> bool {
        self.place.is_wal(found)
    }

    /// The same file, if it is.
    pub(super) fn expect_wal(&self, file: File) -> io::Result<File> {
        if self.is_wal(&file.metadata()?) {
            return Ok(file);
        }
        Err(io::Error::other("the WAL was replaced while the database was opened"))
    }

    fn is_wal_kept(&self) -> bool {
        let is_kept = self.place.is_wal_kept();
        self.is_displaced.store(!is_kept, Ordering::Relaxed);
        is_kept
    }

    /// Why nothing may be committed, if so.
    pub(super) fn refuses_commits(&self) -> Option<&'static str> {
        if self.has_sync_failed() {
            return Some("the disk has failed (fsync): nothing is taken until the next start");
        }
        let is_kept = self.is_wal_kept() && self.place.is_database_kept();
        (!is_kept).then_some(
            "the database was moved, removed or replaced while it was open, or has got a second name: put it back, or start again",
        )
    }

    /// Runs a checkpoint, if none may do harm: alongside a strange WAL or index it would copy what others are just writing.
    pub(super) fn guard<T>(&self, checkpoint: impl FnOnce() -> Result<T>) -> Result<T> {
        self.look();
        self.allow_reading()?;
        let done = checkpoint();
        match &done {
            Err(Error::Sqlite(failure)) if is_failed_sync(failure) => {
                self.note_failed_sync(failure);
                Err(Error::SyncFailed)
            }
            _ => done,
        }
    }

    /// Runs a sync of the WAL for commits that others may have read already: one that fails is as final as that of a checkpoint.
    pub(super) fn guard_sync(&self, sync: impl FnOnce() -> io::Result<()>) -> Result<()> {
        if self.has_sync_failed() {
            return Err(Error::SyncFailed);
        }
        sync().map_err(|failure| {
            self.note_failed_sync(&failure);
            Error::SyncFailed
        })
    }

    fn note_failed_sync(&self, failure: &dyn std::fmt::Display) {
        error!(
            "the database could not be brought to the disk (fsync): nothing is taken any more, and this process ends; the next start recovers from the WAL. Look at the disk. {failure}"
        );
        if let Err(error) = set_mark(&self.mark) {
            error!("{} could not be made, stop every other process on the database: {error}", self.mark.display());
        }
        self.fail();
    }

    /// Has `then` run once an fsync has failed; at once, if it has already.
    pub(super) fn on_failed_sync(&self, then: Listener) {
        let mut listeners = self.listeners.lock();
        if self.has_sync_failed() {
            drop(listeners);
            return then();
        }
        listeners.push(then);
    }

    fn fail(&self) {
        let mut listeners = self.listeners.lock();
        self.has_sync_failed.store(true, Ordering::Release);
        let heard = std::mem::take(&mut *listeners);
        drop(listeners);
        for listener in heard {
            listener();
        }
    }

    /// Whether the last connection, when it is closed, may move the WAL into the file and remove it.
    fn may_empty_wal(&self) -> bool {
        !self.has_sync_failed() && !self.mark.exists() && self.place.is_wal_kept()
    }
}

/// A connection that leaves the WAL as it is when it is closed, if emptying it might lose what it holds.
pub(super) struct Watched {
    connection: Connection,
    health: Arc<Health>,
}

impl Watched {
    pub(super) fn new(connection: Connection, health: &Arc<Health>) -> Self {
        Self { connection, health: health.clone() }
    }
}

impl Deref for Watched {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.health.may_empty_wal() {
            keep_wal(&self.connection);
        }
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.connection.fmt(f)
    }
}

fn keep_wal(connection: &Connection) {
    if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
        error!("the WAL cannot be kept: {error}");
    }
}

fn is_failed_sync(failure: &rusqlite::Error) -> bool {
    failure.sqlite_error().is_some_and(|failure| failure.extended_code == SQLITE_IOERR_FSYNC)
}

fn mark_of(database: &Path) -> PathBuf {
    files::lock_directory(database).join(MARK)
}

fn set_mark(mark: &Path) -> io::Result<()> {
    let directory = files::directory_of(mark);
    access::make_directory(directory)?;
    lock::open(directory, MARK).map(|_made| ())
}

/// For a connection that is used without [`Health`]: has a failed fsync of what it did leave the WAL as it is, and marks it.
pub(super) fn keep_if_failed<T>(
    connection: &Connection,
    path: &Path,
    done: rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let failed = done.as_ref().is_err_and(is_failed_sync);
    if failed && let Err(error) = set_mark(&mark_of(path)) {
        error!("{} could not be made: {error}", mark_of(path).display());
    }
    if failed || mark_of(path).exists() {
        keep_wal(connection);
    }
    done
}

/// After a failed fsync, copies the whole WAL into the file once more, and brings it to the disk, before any process uses it. Waits for the
/// processes that still have the database open: each of them ends within about a second.
///
/// # Errors
/// `Unrecovered` when one does not; SQLite's when the disk fails again. The WAL is as it was then.
pub(super) fn recover(path: &Path) -> std::result::Result<(), OpenError> {
    let mark = mark_of(path);
    if !mark.exists() || !path.exists() {
        return Ok(());
    }
    warn!("the disk has failed while the database was written (fsync): recovering it from its WAL");
    let sqlite = |error| match OpenError::from_sqlite(path, error) {
        OpenError::Locked { path } => OpenError::Unrecovered { path },
        other => other,
    };
    let connection = open_unconfigured(path).map_err(sqlite)?;
    keep_wal(&connection);
    // Before the first look at the file: so the index of the WAL is made anew, in this process's memory, of all that the WAL holds.
    // What others have noted in the shared one, how far pages were copied, is what cannot be believed.
    connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_row| Ok(())).map_err(sqlite)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_row| Ok(())).map_err(sqlite)?;
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0)).map_err(sqlite)?;
    if busy != 0 {
        return Err(OpenError::Unrecovered { path: path.to_path_buf() });
    }
    forget(path).map_err(|error| OpenError::from_io(&mark, error))?;
    info!("the database has been recovered from its WAL");
    Ok(())
}

/// Takes the mark away: the file is on the disk as it should be, or another has taken its place.
pub(super) fn forget(path: &Path) -> io::Result<()> {
    let mark = mark_of(path);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => files::sync_directory_of(&mark),
    }
}
