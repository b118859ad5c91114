//! How much room the files take, and how it is given back: a few pages at a time alongside everything else, or all at once while no process
//! else has the database open.

use super::connection::{self, Role, Synchronous};
use super::error::OpenError;
use super::files;
use super::health::keep_if_failed;
use super::{Db, Result, Tx};
use rusqlite::Connection;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the file's `user_version` says of its free pages. SQLite keeps the number with the data and makes nothing of it.
mod free_pages {
    /// All of them are zeroed, as `secure_delete` has it.
    pub(super) const BLANK: i64 = 0;
    /// Some may hold what a change wrote before it was rolled back.
    pub(super) const SUSPECT: i64 = 1;
}

/// Free pages that one step of [`Db::wipe_free_pages`] cuts off: a few milliseconds of the writer's time.
const CUT_STEP: u32 = 128;

/// How the file's space is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Space {
    /// Bytes a page.
    pub page_size: u64,
    /// Pages of the file.
    pub pages: u64,
    /// Those of them that hold nothing.
    pub free: u64,
}

/// How the file's space is used now.
///
/// # Errors
/// When SQLite fails.
pub fn space(connection: &Connection) -> Result<Space> {
    let figure = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
    Ok(Space { page_size: figure("page_size")?, pages: figure("page_count")?, free: figure("freelist_count")? })
}

/// Bytes on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSizes {
    /// The database file.
    pub database: u64,
    /// Its WAL.
    pub wal: u64,
}

impl Db {
    /// What the files take on the disk now; a file that is not there takes nothing.
    pub fn file_sizes(&self) -> FileSizes {
        // Asked by name: opening and closing the file would drop SQLite's locks.
        let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
        FileSizes { database: length(self.path()), wal: length(&files::wal(self.path())) }
    }
}

impl Db {
    /// Makes sure that no free page holds what a change wrote before it was rolled back: where there may be such, cuts all free
    /// pages off the file, in steps between other changes. The bytes are gone from the file with the next emptying of the WAL.
    /// Returns whether it is done; `false` when others freed pages as fast for all of `patience`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn wipe_free_pages(&self, patience: Duration) -> Result<bool> {
        let until = Instant::now() + patience;
        if self.read(are_free_pages_blank)? {
            return Ok(true);
        }
        while !self.write(|tx| tx.cut_free_pages())? {
            if Instant::now() >= until {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn are_free_pages_blank(connection: &Connection) -> Result<bool> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? == free_pages::BLANK)
}

/// Notes that a change was rolled back after it had written something.
///
/// SQLite neither reads nor journals the old content of a page that it takes from the free list, so going back to a savepoint gives
/// the page back to the list with what was written there since, in spite of `secure_delete` (measured: whole rows stayed).
pub(super) fn suspect_free_pages(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "user_version", free_pages::SUSPECT)
}

impl Tx<'_> {
    /// Takes up to `pages` free pages off the end of the file, moving what is in their way. The file itself shrinks with the next
    /// checkpoint.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn vacuum_some(&self, pages: u32) -> Result<()> {
        // Each step of the statement frees one page.
        let mut statement = self.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut rows = statement.query(())?;
        while rows.next()?.is_some() {}
        Ok(())
    }

    /// A step of [`Db::wipe_free_pages`]; returns whether it was the last.
    fn cut_free_pages(&self) -> Result<bool> {
        self.vacuum_some(CUT_STEP)?;
        let is_done = space(self)?.free == 0;
        if is_done {
            self.pragma_update(None, "user_version", free_pages::BLANK)?;
        }
        Ok(is_done)
    }

    /// Writes a page without changing anything: proof that a commit can be made.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn touch(&self) -> Result<()> {
        let version: i64 = self.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok(self.pragma_update(None, "user_version", version)?)
    }
}

/// Writes the file at `path` anew, without free pages and without what other programs have left in them. Needs room for a second
/// copy, and about as much memory.
///
/// # Errors
/// `Locked` when anyone else has the database open, a running server above all; the file is as it was then.
pub fn rewrite(path: &Path, synchronous: Synchronous) -> std::result::Result<(), OpenError> {
    let path = &super::real_path(path);
    let sqlite = |error| OpenError::from_sqlite(path, error);
    let connection = connection::open(path, Role::Writer, synchronous)?;
    // A rewrite alongside a server would hold its writes up for minutes. With this mode the next lock is the whole file's, which
    // cannot be had while another connection is open.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(sqlite)?;
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT").map_err(sqlite)?;
    connection.execute_batch("VACUUM").map_err(sqlite)?;
    let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get::<_, i64>(0));
    let busy = keep_if_failed(&connection, path, emptied).map_err(sqlite)?;
    if busy != 0 {
        return Err(OpenError::Locked { path: path.to_path_buf() });
    }
    Ok(())
}

/// The settings that matter, as a writing connection reads them back.
pub const SETTINGS: [&str; 10] = [
    "journal_mode",
    "synchronous",
    "foreign_keys",
    "secure_delete",
    "auto_vacuum",
    "page_size",
    "temp_store",
    "trusted_schema",
    "journal_size_limit",
    "wal_autocheckpoint",
];

/// Reads each of [`SETTINGS`] back.
///
/// # Errors
/// When SQLite fails.
pub fn settings(connection: &Connection) -> Result<Vec<(&'static str, String)>> {
    use rusqlite::types::Value;
    let read = |name| {
        let value = connection.pragma_query_value(None, name, |row| row.get::<_, Value>(0))?;
        let text = match value {
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        Ok((name, text))
    };
    SETTINGS.into_iter().map(read).collect()
}
