//! How to open a database.

use super::{Schema, Synchronous};
use std::path::PathBuf;
use std::time::Duration;

/// How to open a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file. Its directory is made when it is missing.
    pub path: PathBuf,
    /// How hard a commit is pushed to the disk.
    pub synchronous: Synchronous,
    /// What to do with a missing or old file.
    pub schema: Schema,
    /// Connections for reading.
    pub readers: u32,
    /// Changes that may wait for the writer; more are refused as overload.
    pub write_queue: usize,
    /// How long a change of [`Db::write_then`](super::Db::write_then) waits for its turn before it is refused, and how long any change waits for the
    /// write lock that another process holds.
    pub write_wait: Duration,
    /// How long a read may take.
    pub read_limit: Duration,
}

impl Options {
    /// The defaults for the file at `path`: durable, made and migrated when needed.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::Full,
            schema: Schema::BringUpToDate,
            // More readers than cores only share the cores; four cover reads that wait for the disk.
            readers: 4,
            // At 10,000 changes a second, four tenths of a second of waiting.
            write_queue: 4096,
            // Shopify hangs up after 5 s and would not see the answer.
            write_wait: Duration::from_secs(4),
            // Longer ones would keep the WAL from starting over.
            read_limit: Duration::from_secs(10),
        }
    }
}
