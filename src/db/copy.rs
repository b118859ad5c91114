//! A whole copy of a database, taken while others write to it, and the check that a copy is sound.

use super::connection::open_unconfigured;
use super::error::OpenError;
use super::health;
use super::migrate;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;
use std::time::Duration;

/// Pages copied between two reports of progress: 8 MiB.
const STEP_PAGES: i32 = 1024;

/// Copies the database `source` into the empty file `target`, page by page, and reports how far it is (pages done, pages in all).
/// The caller puts the copy on the disk.
///
/// All of it is one snapshot: without the transaction around the steps, SQLite would begin again whenever another process has
/// written, and under load never end. While it is held, the WAL of the source grows and cannot start over (407 MiB alongside a
/// database of 1 GiB with 16 threads enqueuing all the time, measured); pages are copied as they lie, so that this is short.
pub(crate) fn copy(source: &Path, target: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), OpenError> {
    // What says that it must be recovered is alongside the file itself.
    let source = &super::real_path(source);
    let of_source = |error| OpenError::from_sqlite(source, error);
    health::recover(source)?;
    let from = open_unconfigured(source).map_err(of_source)?;
    let copied = copy_from(&from, source, target, progress);
    // It may be the last to close the source.
    health::keep_if_failed(&from, source, Ok(())).map_err(of_source)?;
    copied
}

fn copy_from(
    from: &Connection,
    source: &Path,
    target: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), OpenError> {
    let of_source = |error| OpenError::from_sqlite(source, error);
    let of_target = |error| OpenError::from_sqlite(target, error);
    from.pragma_update(None, "query_only", "ON").map_err(of_source)?;
    let mut to = open_unconfigured(target).map_err(of_target)?;
    // Nothing to roll back to, and one fsync at the end.
    to.pragma_update(None, "journal_mode", "OFF").map_err(of_target)?;
    to.pragma_update(None, "synchronous", "OFF").map_err(of_target)?;
    let snapshot = from.unchecked_transaction().map_err(of_source)?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", (), |_row| Ok(())).map_err(of_source)?;
    let backup = Backup::new(&snapshot, &mut to).map_err(of_target)?;
    loop {
        let step = backup.step(STEP_PAGES).map_err(of_target)?;
        let pages = backup.progress();
        let (all, left) = (pages.pagecount.unsigned_abs(), pages.remaining.unsigned_abs());
        progress(u64::from(all.saturating_sub(left)), u64::from(all));
        match step {
            StepResult::Done => return Ok(()),
            // No other process has the target, and readers wait for no lock: this does not last.
            StepResult::Busy | StepResult::Locked => std::thread::sleep(Duration::from_millis(5)),
            _more => {}
        }
    }
}

/// Checks every page, index and reference of a database that no other process has open. Returns its schema version.
pub(crate) fn check(path: &Path) -> Result<u32, OpenError> {
    let sqlite = |error| OpenError::from_sqlite(path, error);
    let connection = open_unconfigured(path).map_err(sqlite)?;
    let version = migrate::check_owner(&connection, path)?;
    if version == 0 {
        return Err(OpenError::Foreign { path: path.to_path_buf() });
    }
    let damage = |message: String| OpenError::Corrupt { path: path.to_path_buf(), message };
    let integrity: String = connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0)).map_err(sqlite)?;
    if integrity != "ok" {
        return Err(damage(integrity));
    }
    let orphan: Option<String> = connection
        .query_row("SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1", (), |row| row.get(0))
        .optional()
        .map_err(sqlite)?;
    match orphan {
        Some(table) => Err(damage(format!("a row of {table} has lost its parent"))),
        None => Ok(version),
    }
}

/// Brings everything of a database that no other process has open into its one file, and removes its WAL.
pub(crate) fn fold_wal(path: &Path) -> Result<(), OpenError> {
    let sqlite = |error| OpenError::from_sqlite(path, error);
    let connection = open_unconfigured(path).map_err(sqlite)?;
    // What the WAL holds may be what an erasure has just deleted; the pages themselves were overwritten by it.
    connection.pragma_update(None, "secure_delete", "ON").map_err(sqlite)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0)).map_err(sqlite)?;
    if mode == "delete" { Ok(()) } else { Err(OpenError::Locked { path: path.to_path_buf() }) }
}
