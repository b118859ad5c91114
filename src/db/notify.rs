//! How threads that wait for work are woken: at once for commits of this process, by a cheap look for those of others.

use super::health::Watched;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use std::time::Duration;

/// Counts the commits that were announced, and wakes the threads that wait for the next.
#[derive(Debug, Default)]
pub struct CommitNotifier {
    count: Mutex<u64>,
    changed: Condvar,
}

impl CommitNotifier {
    /// How many commits were announced so far. Read it **before** looking for work, and wait with it after: nothing slips between.
    pub fn seen(&self) -> u64 {
        *self.count.lock()
    }

    /// Wakes everyone who waits.
    pub fn notify(&self) {
        *self.count.lock() += 1;
        self.changed.notify_all();
    }

    /// Waits until there is more than `seen`, or `timeout` has passed; returns whether there is.
    pub fn wait(&self, seen: u64, timeout: Duration) -> bool {
        let mut count = self.count.lock();
        self.changed.wait_while_for(&mut count, |count| *count == seen, timeout);
        *count != seen
    }
}

/// Says whether another process has written, for about 3 µs a look (`PRAGMA data_version`).
#[derive(Debug)]
pub struct ChangeWatch {
    connection: Watched,
    version: i64,
}

impl ChangeWatch {
    pub(super) fn new(connection: Watched) -> rusqlite::Result<Self> {
        let version = data_version(&connection)?;
        Ok(Self { connection, version })
    }

    /// Whether another connection has committed since the last call.
    pub fn changed(&mut self) -> rusqlite::Result<bool> {
        let version = data_version(&self.connection)?;
        Ok(std::mem::replace(&mut self.version, version) != version)
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))
}

/// Numbers the states of a database: as long as [`DataVersion::current`] answers the same, nothing was committed, neither
/// by this process nor by another. What a cache holds of an older generation has to be looked at again.
#[derive(Debug)]
pub struct DataVersion(Mutex<(ChangeWatch, u64)>);

impl DataVersion {
    pub(super) fn new(watch: ChangeWatch) -> Self {
        Self(Mutex::new((watch, 0)))
    }

    /// The present generation. Ask **before** reading what is to be kept: a commit in between makes the next answer differ.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn current(&self) -> super::Result<u64> {
        let mut state = self.0.lock();
        if state.0.changed()? {
            state.1 += 1;
        }
        Ok(state.1)
    }
}
