//! Brings commits to the disk while the writer is already at the next ones.
//!
//! SQLite waits for the disk within each commit (`synchronous=FULL`), and nothing else is written meanwhile. That is as it should be for a
//! caller that is alone. Where many write, the writer spends half of its time on that wait. So a busy writer has SQLite commit without it
//! (`NORMAL`, which still syncs the WAL before any checkpoint), goes on, and a thread that gives answers syncs the WAL first: nothing is
//! answered, announced or logged as done before everything that it rests on is on the disk.
//!
//! A commit that SQLite itself could not sync is undone. One that was to be synced here may have been read by later ones, so a failure is
//! final, as that of a checkpoint is (`health.rs`).

use super::error::Result;
use super::health::Health;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which of the commits that SQLite has not synced are on the disk.
pub(super) struct WalSync {
    wal: File,
    health: Arc<Health>,
    committed: AtomicU64,
    synced: AtomicU64,
}

impl WalSync {
    /// For the WAL at `wal`, which SQLite has open.
    pub(super) fn open(wal: &Path, health: Arc<Health>) -> io::Result<Self> {
        let wal = health.expect_wal(File::open(wal)?)?;
        Ok(Self { wal, health, committed: AtomicU64::new(0), synced: AtomicU64::new(0) })
    }

    /// Notes a commit that is in the WAL and not synced.
    pub(super) fn note_commit(&self) {
        self.committed.fetch_add(1, Ordering::Release);
    }

    /// Returns once every commit that was noted is on the disk.
    ///
    /// # Errors
    /// [`Error::SyncFailed`](super::Error::SyncFailed), from then on for good.
    pub(super) fn sync(&self) -> Result<()> {
        let until = self.committed.load(Ordering::Acquire);
        if self.synced.load(Ordering::Acquire) < until {
            self.health.guard_sync(|| sync_data(&self.wal))?;
            self.synced.fetch_max(until, Ordering::Release);
        }
        Ok(())
    }
}

/// Data and, where it has grown, length: no time stamps, which cost a journal commit of the file system.
fn sync_data(file: &File) -> io::Result<()> {
    loop {
        match file.sync_data() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
