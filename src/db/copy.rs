//! A whole copy of a database, taken while others write to it, and the check that a copy is sound.

use super::connection::open_unconfigured;
use super::error::OpenError;
use super::health;
use super::migrate;
use super::page_slack;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OptionalExtension};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// Pages copied in one go: 4 MiB, of one short snapshot, and brought to the disk before the next. More at once, and the fsyncs of those
/// who write to the database wait behind them.
const STEP_PAGES: u32 = 1024;

/// Copies the database `source` into the empty file `target`, page by page, and reports how far it is (pages done, pages in all).
/// The caller puts the copy on the disk.
///
/// While a snapshot is held, the WAL of the source grows and cannot start over, nor be emptied for an erasure. So most of the work is
/// done without one: the first pass copies pages as they are, each step from another state of the database. The second compares every
/// page with the copy in one snapshot, and writes those that differ: whatever happened before, the copy is that snapshot then. It reads
/// from memory what the first pass has read, and writes little.
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
    from.pragma_update(None, "query_only", "ON").map_err(of_source)?;
    if !page_slack::has_page_table(from).map_err(of_source)? {
        return copy_in_one_snapshot(from, source, target, progress);
    }
    let file = OpenOptions::new().read(true).write(true).open(target);
    let file = file.map_err(|error| OpenError::from_io(target, error))?;
    let page_size: u32 = from.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(of_source)?;
    let mut copier = Copier { from, source, file, target, page_size: page_size as usize, copied: Vec::new() };
    let pages = copier.pages()?;
    let mut until = 0;
    while until < pages {
        copier.copy_pages(until + 1)?;
        until = pages.min(until + STEP_PAGES);
        copier.file.sync_data().map_err(|error| OpenError::from_io(target, error))?;
        // All of it is there only once it has been compared.
        progress(u64::from(until.min(pages - 1)), u64::from(pages));
    }
    let snapshot = from.unchecked_transaction().map_err(of_source)?;
    let pages = copier.pages()?;
    let length = u64::from(pages) * u64::from(page_size);
    copier.file.set_len(length).map_err(|error| OpenError::from_io(target, error))?;
    copier.compare_all()?;
    snapshot.finish().map_err(of_source)?;
    progress(u64::from(pages), u64::from(pages));
    Ok(())
}

struct Copier<'a> {
    from: &'a Connection,
    source: &'a Path,
    file: File,
    target: &'a Path,
    page_size: usize,
    copied: Vec<u8>,
}

impl Copier<'_> {
    fn pages(&self) -> Result<u32, OpenError> {
        let pages = self.from.pragma_query_value(None, "page_count", |row| row.get(0));
        pages.map_err(|error| self.of_source(error))
    }

    /// Writes [`STEP_PAGES`] pages from page `first` on, those of them that there are.
    fn copy_pages(&mut self, first: u32) -> Result<(), OpenError> {
        self.copied.clear();
        let mut statement = self
            .from
            .prepare_cached(
                "WITH RECURSIVE wanted (number) AS (VALUES (?1) UNION ALL SELECT number + 1 FROM wanted WHERE number < ?2)
                 SELECT data FROM wanted CROSS JOIN sqlite_dbpage ON pgno = number",
            )
            .map_err(|error| self.of_source(error))?;
        let mut rows = statement.query([first, first - 1 + STEP_PAGES]).map_err(|error| self.of_source(error))?;
        while let Some(row) = rows.next().map_err(|error| self.of_source(error))? {
            self.copied.extend_from_slice(page(row).map_err(|error| self.of_source(error))?);
        }
        let offset = u64::from(first - 1) * self.page_size as u64;
        self.file.write_all_at(&self.copied, offset).map_err(|error| self.of_target(error))
    }

    /// Compares all pages with the copy, and writes those that differ. In one statement, which looks up no numbers: for as long as it
    /// takes, the WAL cannot be emptied.
    fn compare_all(&mut self) -> Result<(), OpenError> {
        let mut statement =
            self.from.prepare("SELECT data FROM sqlite_dbpage").map_err(|error| self.of_source(error))?;
        let mut rows = statement.query(()).map_err(|error| self.of_source(error))?;
        let (step, mut offset, mut at, mut differs) = (STEP_PAGES as usize * self.page_size, 0, 0, false);
        self.copied.clear();
        while let Some(row) = rows.next().map_err(|error| self.of_source(error))? {
            let page = page(row).map_err(|error| self.of_source(error))?;
            if at == self.copied.len() {
                if differs {
                    self.file.write_all_at(&self.copied, offset).map_err(|error| self.of_target(error))?;
                }
                offset += at as u64;
                self.copied.resize(step, 0);
                // It is as long as it is to be, so the last step is short and every other one whole.
                let there = read_full(&self.file, &mut self.copied, offset).map_err(|error| self.of_target(error))?;
                self.copied.truncate(there);
                (at, differs) = (0, false);
            }
            let Some(copied) = self.copied.get_mut(at..at + page.len()) else {
                return Err(self.of_target(io::Error::from(io::ErrorKind::UnexpectedEof)));
            };
            if copied != page {
                copied.copy_from_slice(page);
                differs = true;
            }
            at += page.len();
        }
        if differs {
            self.file.write_all_at(&self.copied, offset).map_err(|error| self.of_target(error))
        } else {
            Ok(())
        }
    }

    fn of_source(&self, error: rusqlite::Error) -> OpenError {
        OpenError::from_sqlite(self.source, error)
    }

    fn of_target(&self, error: io::Error) -> OpenError {
        OpenError::from_io(self.target, error)
    }
}

fn page<'a>(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<&'a [u8]> {
    Ok(row.get_ref(0)?.as_blob()?)
}

/// Reads until `buffer` is full or the file ends; returns how much there was.
fn read_full(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(some) => read += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// The same where SQLite was built without what reads single pages: its WAL grows for as long as the copy takes (407 MiB alongside a
/// database of 1 GiB with 16 threads enqueuing all the time, measured). Without the transaction around the steps, SQLite would begin
/// again whenever another process has written, and under load never end.
fn copy_in_one_snapshot(
    from: &Connection,
    source: &Path,
    target: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), OpenError> {
    let of_source = |error| OpenError::from_sqlite(source, error);
    let of_target = |error| OpenError::from_sqlite(target, error);
    let mut to = open_unconfigured(target).map_err(of_target)?;
    // Nothing to roll back to, and one fsync at the end.
    to.pragma_update(None, "journal_mode", "OFF").map_err(of_target)?;
    to.pragma_update(None, "synchronous", "OFF").map_err(of_target)?;
    let snapshot = from.unchecked_transaction().map_err(of_source)?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", (), |_row| Ok(())).map_err(of_source)?;
    let backup = Backup::new(&snapshot, &mut to).map_err(of_target)?;
    loop {
        let step = backup.step(STEP_PAGES.cast_signed()).map_err(of_target)?;
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
