//! A look at how the file is laid out, for a process that reads its raw bytes.

use super::connection::{self, Role, Synchronous};
use super::error::{OpenError, Result};
use super::health;
use rusqlite::{Connection, named_params};
use std::path::Path;

/// A query-only connection and the size of the file's pages.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    connection: Connection,
    /// Bytes a page.
    pub page_size: usize,
}

/// Opens the database at `path` for a look at its layout.
///
/// # Errors
/// When it cannot be opened.
pub fn inspect(path: &Path) -> std::result::Result<Inspection, OpenError> {
    let connection = connection::open(path, Role::Reader, Synchronous::Full)?;
    let page_size = connection
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .map_err(|error| OpenError::from_sqlite(path, error))?;
    Ok(Inspection { connection, page_size })
}

impl Drop for Inspection {
    fn drop(&mut self) {
        let path = Path::new(self.connection.path().unwrap_or_default());
        let _kept = health::keep_if_failed(&self.connection, path, Ok(()));
    }
}

impl Inspection {
    /// The pages that belong to a table or index now.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn pages_of(&self, name: &str) -> Result<Vec<u64>> {
        let mut statement = self.connection.prepare_cached("SELECT pageno FROM dbstat WHERE name = :name")?;
        let pages = statement.query_map(named_params! { ":name": name }, |row| row.get("pageno"))?;
        Ok(pages.collect::<rusqlite::Result<_>>()?)
    }
}
