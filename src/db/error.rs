//! What can go wrong with the database: while it works ([`Error`]) and while it is opened ([`OpenError`]).

use super::access;
use rusqlite::ffi::ErrorCode;
use std::path::PathBuf;
use std::sync::Arc;

/// The result of a database operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A read or a change that did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The writer has more waiting than it can do in useful time. Nothing was written; try again later.
    #[error("the database is overloaded, try again later")]
    Overloaded,
    /// The transaction that held this change was rolled back. Nothing of it was written.
    #[error("the change was not committed: {message}")]
    NotCommitted {
        /// SQLite's code: disk full, busy, read-only, …
        code: ErrorCode,
        /// SQLite's words for it.
        message: Arc<str>,
    },
    /// The change panicked and was rolled back alone; the panic's own message is in the log.
    #[error("the change panicked and was rolled back")]
    Panicked,
    /// An UPDATE or DELETE that must change exactly one row changed another number of them.
    #[error("{operation}: expected to change one row, changed {changed}")]
    LostRow {
        /// Which statement, as `module::function`.
        operation: &'static str,
        /// How many rows it changed.
        changed: usize,
    },
    /// The database has been closed.
    #[error("the database is closed")]
    Closed,
    /// An fsync of the database has failed. What was committed is safe in the WAL, and nothing more is read or written until the next
    /// start has recovered it.
    #[error("the disk has failed (fsync): the database is neither read nor written until quotegrid is started again")]
    SyncFailed,
    /// The WAL or its index is no longer the one that was opened.
    #[error("the database's WAL was moved, removed or replaced while it was open: put it back, or start again")]
    Displaced,
    /// SQLite refused a statement.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// No reader became free in time.
    #[error("no database reader became free in time")]
    NoReader(#[source] r2d2::Error),
}

impl Error {
    /// SQLite's code, where this came from SQLite.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::NotCommitted { code, .. } => Some(*code),
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }

    /// Whether the same change may well succeed a little later: overload, a lock, a full disk.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Overloaded | Self::NotCommitted { .. } | Self::NoReader(_) | Self::SyncFailed | Self::Displaced
        ) || matches!(
            self.code(),
            Some(
                ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::OutOfMemory
                    | ErrorCode::OperationInterrupted
            )
        )
    }

    /// Whether a constraint of the schema rejected the change, by SQLite's extended code and never by its words.
    pub fn constraint(&self) -> Option<Constraint> {
        let Self::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) = self else { return None };
        match failure.extended_code {
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                Some(Constraint::Unique)
            }
            rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY => Some(Constraint::ForeignKey),
            rusqlite::ffi::SQLITE_CONSTRAINT_CHECK => Some(Constraint::Check),
            _ => None,
        }
    }
}

/// Which kind of rule of the schema was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Constraint {
    /// UNIQUE or PRIMARY KEY.
    Unique,
    /// FOREIGN KEY.
    ForeignKey,
    /// CHECK, or invalid JSON.
    Check,
}

/// Why a database could not be opened. The file is as it was; each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file is something else.
    #[error("{path} is not a database: choose another file with --database, or restore it from a backup")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A directory, a pipe or a device.
    #[error("{path} is not a file: name the database file itself with --database")]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// A database of some other program.
    #[error("{path} is a database of another program: choose another file with --database")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later quotegrid has been here.
    #[error(
        "{path} has schema version {found}, this quotegrid knows up to {known}: install the newer quotegrid again, or restore a backup from before the upgrade"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest version that this binary knows.
        known: u32,
    },
    /// The file is older than this binary, and the caller did not ask for a migration.
    #[error("{path} has schema version {found}, this quotegrid needs {known}: run `quotegrid migrate`")]
    NotMigrated {
        /// The file.
        path: PathBuf,
        /// Its schema version; 0: none.
        found: u32,
        /// The version that this binary needs.
        known: u32,
    },
    /// There is no such file, and the caller did not ask to make one.
    #[error(
        "{path} does not exist: run `quotegrid migrate` or `quotegrid serve` to create it, or name another with --database"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// No process may write there.
    #[error("{path} cannot be written: {why}")]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What is in the way, whose it is, and what to do.
        why: String,
    },
    /// No room.
    #[error("the disk of {path} is full: free some space and start again, nothing was lost")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the lock for longer than any of ours would.
    #[error("{path} is locked by another process: stop it, or wait until it is done")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// An fsync has failed, and the database cannot be recovered while another process has it open.
    #[error(
        "the disk has failed while {path} was written, and another process still has it open: stop every program that uses it (server, workers, a replicator, a sqlite3 shell), then start again; it is recovered from its WAL"
    )]
    Unrecovered {
        /// The file.
        path: PathBuf,
    },
    /// Bytes inside are damaged.
    #[error("{path} is damaged ({message}): restore it from a backup with `quotegrid restore`")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        message: String,
    },
    /// A SQLite that can damage a WAL file with two connections.
    #[error(
        "SQLite {found} is too old: {needed} or newer is needed, older ones can damage a WAL database that has two connections"
    )]
    OldSqlite {
        /// The linked version.
        found: &'static str,
        /// The lowest version that will do.
        needed: &'static str,
    },
    /// A setting that SQLite did not take, as some file systems make it do.
    #[error(
        "{path}: SQLite kept {pragma}={found} instead of {wanted}: put the database on a local file system that supports shared memory and locks"
    )]
    Setting {
        /// The file.
        path: PathBuf,
        /// The setting's name.
        pragma: &'static str,
        /// What was asked for.
        wanted: String,
        /// What it reads back as.
        found: String,
    },
    /// A schema change failed; the file is as it was before.
    #[error(
        "{path} could not be migrated ({message}): it is as it was before, go on with the quotegrid that it is from"
    )]
    Migration {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        message: String,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Its words.
        source: std::io::Error,
    },
    /// Anything else SQLite says.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
}

impl OpenError {
    /// No process may write there, and why.
    pub(super) fn read_only(path: &std::path::Path) -> Self {
        Self::ReadOnly { path: path.to_path_buf(), why: access::why_not(path) }
    }

    /// Sorts an error of SQLite, met while opening `path`, into what a person can act on.
    pub(super) fn from_sqlite(path: &std::path::Path, source: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        if source.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) {
            // The index of the WAL could not be given its 32 KiB.
            return Self::DiskFull { path };
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => Self::read_only(&path),
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, message: source.to_string() },
            _ => Self::Sqlite { path, source },
        }
    }

    /// Sorts an error of the operating system, met while making `path` or its directory.
    pub(super) fn from_io(path: &std::path::Path, source: std::io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => match source.get_ref() {
                // It names the file in the way already.
                Some(explained) => Self::ReadOnly { path, why: explained.to_string() },
                None => Self::read_only(&path),
            },
            std::io::ErrorKind::StorageFull => Self::DiskFull { path },
            _ => Self::Io { path, source },
        }
    }
}
