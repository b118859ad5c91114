//! A database that no other process has open, and that none can open: for replacing the file.

use super::connection::open_unconfigured;
use super::error::OpenError;
use super::files::{remove_companions, sync_directory_of};
use super::{access, health, lock, migrate};
use log::warn;
use rusqlite::Connection;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long another process gets to close the database.
const PATIENCE: Duration = Duration::from_secs(1);

/// The database at a path, there or not, held against everybody else.
#[derive(Debug)]
pub(crate) struct Exclusive {
    path: PathBuf,
    current: Option<Connection>,
    /// Closed after SQLite has closed the file: so its locks hold until then.
    file: Option<File>,
    /// A process that may make or migrate the database waits for this before it opens the file.
    _only_one: File,
}

impl Exclusive {
    /// Takes the database at `path`, which must be current, readable and open nowhere; `unread`: the file may be anything and
    /// is not looked at.
    pub(crate) fn take(path: &Path, unread: bool) -> Result<Self, OpenError> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            access::make_directories(parent).map_err(|error| OpenError::from_io(parent, error))?;
        }
        let directory = lock::make_directory(path).map_err(|error| OpenError::from_io(path, error))?;
        let migration_lock =
            lock::open(&directory, "migrate").map_err(|error| OpenError::from_io(&directory, error))?;
        if !lock::take(&migration_lock, PATIENCE).map_err(|error| OpenError::from_io(&directory, error))? {
            return Err(OpenError::Locked { path: path.to_path_buf() });
        }
        let mut exclusive = Self { path: path.to_path_buf(), current: None, file: None, _only_one: migration_lock };
        if path.exists() {
            if !unread {
                health::recover(path)?;
                exclusive.current = Some(lock_file(path)?);
            }
            // Only now that this process has it not open either: closing a file drops SQLite's locks on it.
            let file = OpenOptions::new().read(true).write(true).open(path);
            exclusive.file = Some(file.map_err(|error| OpenError::from_io(path, error))?);
        }
        Ok(exclusive)
    }

    /// The present database, for reading; `None` when there is none, or it was not to be looked at.
    pub(crate) fn current(&self) -> Option<&Connection> {
        self.current.as_ref()
    }

    /// Puts the file `new`, which no process has open, in the place of the database. The old one is gone then: from its name, and
    /// for a process that had opened it in just this moment.
    pub(crate) fn replace_by(self, new: &Path) -> Result<(), OpenError> {
        let io = |error| OpenError::from_io(&self.path, error);
        File::open(new).and_then(|file| file.sync_all()).map_err(io)?;
        // SQLite would replay them into the new file. Where the old one is gone or ruined nobody has brought them into it, and nobody
        // can; where it is locked its WAL was, and its journal holds nothing: it is kept for as long as the lock is, and outlives a
        // fault of the disk.
        remove_companions(&self.path).map_err(io)?;
        sync_directory_of(&self.path).map_err(io)?;
        fs::rename(new, &self.path).map_err(io)?;
        // It is in place: whatever fails now is reported, and is no reason to say that nothing was changed.
        let path = self.path.display();
        if let Err(error) = sync_directory_of(&self.path) {
            // The old one stays whole: its name may come back.
            warn!(
                "{path} is in place, but its directory could not be brought to the disk: after a power cut the old one may be back, look then ({error})"
            );
        } else if let Some(old) = &self.file
            // A process that waits for the old file's lock finds nothing in it, and fails, instead of writing where nothing will be read.
            && let Err(error) = old.set_len(0)
        {
            warn!("the file that was {path} could not be emptied: end every program that still has it open ({error})");
        }
        // What an fsync of the old file has come to is of no matter any more; a mark that stays only has the next start copy the WAL.
        if let Err(error) = health::forget(&self.path) {
            warn!("{error}");
        }
        Ok(())
    }
}

fn lock_file(path: &Path) -> Result<Connection, OpenError> {
    let sqlite = |error| OpenError::from_sqlite(path, error);
    let connection = open_unconfigured(path).map_err(sqlite)?;
    connection.busy_timeout(PATIENCE).map_err(sqlite)?;
    let found = migrate::check_owner(&connection, path)?;
    if found < migrate::newest_version() {
        return Err(OpenError::NotMigrated { path: path.to_path_buf(), found, known: migrate::newest_version() });
    }
    // Leaving the WAL mode needs the file for oneself alone: every other connection, of any program, holds a shared lock on it.
    connection.pragma_update(None, "secure_delete", "ON").map_err(sqlite)?;
    connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_row| Ok(())).map_err(sqlite)?;
    let left = connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0));
    let mode = health::keep_if_failed(&connection, path, left).map_err(sqlite)?;
    connection.execute_batch("BEGIN EXCLUSIVE").map_err(sqlite)?;
    if mode == "delete" { Ok(connection) } else { Err(OpenError::Locked { path: path.to_path_buf() }) }
}
