//! Who is alive: each worker holds a lock file for as long as its process lives, however it ends, and signs its claims with
//! the lock's name and a token of its own. A claim whose signature no live process holds is orphaned, at once and without a clock.
//!
//! The files are numbered slots in the lock directory next to the database; a free one is used again, so a thousand crashes leave
//! no more files than there were workers at once. No process ever unlinks one.

use crate::db::lock;
use crate::domain::ids::uuid_v7;
use crate::entropy::Entropy;
use chrono::{DateTime, Utc};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// More workers on one database than anyone runs.
const SLOTS: usize = 1_024;

/// A living worker: its lock is held until this is dropped.
#[derive(Debug)]
pub(super) struct WorkerIdentity {
    name: String,
    _lock: File,
}

impl WorkerIdentity {
    /// Takes the first free slot in `directory`.
    pub(super) fn take(directory: &Path, now: DateTime<Utc>, entropy: &dyn Entropy) -> io::Result<Self> {
        let token = uuid_v7(now, entropy.array()).hyphenated().to_string();
        for slot in 0..SLOTS {
            let mut file = lock::open(directory, &file_name(slot))?;
            match file.try_lock() {
                Ok(()) => {
                    // Only a claim signed after this is ours; until then the file names its last holder, who is dead.
                    file.set_len(0)?;
                    file.write_all(token.as_bytes())?;
                    return Ok(Self { name: format!("{slot}:{token}"), _lock: file });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::other(format!("{SLOTS} workers run on this database already")))
    }

    /// What its claims are signed with.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Checks if the signers of claims are alive.
#[derive(Debug)]
pub(super) struct LivenessCheck {
    directory: PathBuf,
}

impl LivenessCheck {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Whether the worker that signs as `name` is alive. In doubt it is: its lease will expire.
    pub(super) fn is_alive(&self, name: &str) -> bool {
        let Some((slot, token)) = name.split_once(':') else { return false };
        let Ok(slot) = slot.parse::<usize>() else { return false };
        let mut file = match File::open(self.directory.join(file_name(slot))) {
            Ok(file) => file,
            Err(error) => return error.kind() != io::ErrorKind::NotFound,
        };
        match file.try_lock_shared() {
            // Free, so the process that signed is dead; dropping the file gives the lock back.
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let read = file.rewind().and_then(|()| file.read_to_string(&mut holder));
                read.is_err() || holder == token
            }
            Err(TryLockError::Error(_)) => true,
        }
    }
}

fn file_name(slot: usize) -> String {
    format!("worker-{slot}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::entropy::SeededEntropy;

    fn take(directory: &Path, entropy: &SeededEntropy) -> WorkerIdentity {
        WorkerIdentity::take(directory, ManualClock::default().now(), entropy).expect("a free slot")
    }

    #[test]
    fn a_worker_is_alive_until_it_is_dropped_even_when_its_slot_is_used_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (liveness, entropy) = (LivenessCheck::new(directory.path().to_path_buf()), SeededEntropy::new(1));
        let first = take(directory.path(), &entropy);
        let second = take(directory.path(), &entropy);
        assert!(liveness.is_alive(first.name()) && liveness.is_alive(second.name()));
        let gone = first.name().to_owned();
        drop(first);
        assert!(!liveness.is_alive(&gone));
        let third = take(directory.path(), &entropy);
        assert!(third.name().starts_with("0:"), "the free slot is used again");
        assert!(liveness.is_alive(third.name()) && !liveness.is_alive(&gone));
        assert!(!liveness.is_alive("7:unknown") && !liveness.is_alive("nonsense"));
    }
}
