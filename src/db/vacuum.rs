//! Gives free pages back to the file system, a few at a time.

use super::{Result, Tx};
use rusqlite::Connection;

/// How the file's space is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
/// SQLite's.
pub fn space(connection: &Connection) -> Result<Space> {
    let figure = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
    Ok(Space { page_size: figure("page_size")?, pages: figure("page_count")?, free: figure("freelist_count")? })
}

impl Tx<'_> {
    /// Takes up to `pages` free pages off the end of the file, moving what is in their way. The file itself shrinks with the next
    /// checkpoint.
    ///
    /// # Errors
    /// SQLite's.
    pub fn vacuum_some(&self, pages: u32) -> Result<()> {
        // Each step of the statement frees one page.
        let mut statement = self.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut rows = statement.query(())?;
        while rows.next()?.is_some() {}
        Ok(())
    }
}
