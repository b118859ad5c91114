//! Keeps the WAL longer than what is in it, by zeros at its end, so that commits write over what is there.
//!
//! A commit that makes the file longer has the file system bring its own notes of it to the disk too: which blocks, how long; with a
//! journal by a commit of that. To write over blocks that the file has costs nothing of the kind: 0.10 instead of 0.17 to 0.21 ms for a commit
//! of three pages on ext4 without a journal, 0.2 instead of 0.6 ms with one (measured). Blocks that are only reserved (`fallocate`) are
//! noted as written one by one, and gain little.
//!
//! Zeros behind the last commit are to SQLite what is left of an earlier round of the WAL: no frame of this one. They are **appended**, by one
//! call of the system that finds the file's end and writes there: whatever SQLite writes meanwhile, it either has made the file longer
//! before, or writes over zeros afterwards.

use super::connection::{JOURNAL_SIZE_LIMIT, PAGE_SIZE};
use super::health::Health;
use log::debug;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::fs::fstatvfs;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A page and its head.
const FRAME: u64 = PAGE_SIZE as u64 + 24;

/// Frames from which on room is made (1 MiB): neither for a new database, which takes 90, nor for a command that commits once, nor for what
/// follows a scrub on a quiet server.
const FROM: usize = 256;

/// Room is made for as much as the WAL has already, and for this at the most, in bytes: it lasts for some 30 ms of as many webhooks as two cores
/// take.
const AHEAD_MAX: u64 = 4 << 20;

/// Zeros written before the file may be emptied, in bytes.
const AT_ONCE: usize = 256 << 10;

/// Zeros written by one call. Of more the system's cache makes one large page, and counts all of it as written with each frame.
const PIECE: [u8; 4096] = [0; 4096];

/// The least that is left free on the disk, in bytes: twice what a WAL may come to. Nobody gives the room back, and what a checkpoint adds to
/// the database matters more.
const LEFT_FREE: u64 = 64 << 20;

/// Room at the end of a WAL.
pub(super) struct WalRoom {
    wal: File,
    health: Arc<Health>,
    /// Frames of the last commit.
    frames: AtomicUsize,
    /// From how many frames on more room is to be made.
    due: AtomicUsize,
    /// Held while the file is made longer or shorter.
    end: Mutex<()>,
    wanted: Mutex<Wanted>,
    wake: Condvar,
}

#[derive(Default)]
struct Wanted {
    is_due: bool,
    stops: bool,
}

/// Its thread, until it is dropped.
pub(super) struct RoomMaker {
    room: Arc<WalRoom>,
    thread: Option<JoinHandle<()>>,
}

impl WalRoom {
    /// For the WAL at `wal`, which SQLite has open.
    pub(super) fn open(wal: &Path, health: Arc<Health>) -> io::Result<Self> {
        Ok(Self {
            wal: health.expect_wal(OpenOptions::new().append(true).open(wal)?)?,
            health,
            frames: AtomicUsize::new(0),
            due: AtomicUsize::new(FROM),
            end: Mutex::default(),
            wanted: Mutex::default(),
            wake: Condvar::new(),
        })
    }

    /// Notes how many frames the WAL has after a commit.
    pub(super) fn note(&self, frames: usize) {
        if frames < self.frames.swap(frames, Ordering::SeqCst) {
            // It has started over, and another process may have made it shorter.
            self.due.store(FROM, Ordering::SeqCst);
        }
        if frames >= self.due.load(Ordering::Relaxed) {
            // Once, until that is done.
            self.due.store(usize::MAX, Ordering::Relaxed);
            self.wanted.lock().is_due = true;
            self.wake.notify_one();
        }
    }

    /// Keeps the file's end where it is, for who empties the WAL, unless it is being moved for all of `patience`.
    pub(super) fn hold_end(&self, patience: Duration) -> Option<MutexGuard<'_, ()>> {
        self.end.try_lock_for(patience)
    }

    /// Notes that the file is empty.
    pub(super) fn note_emptied(&self) {
        self.frames.store(0, Ordering::Relaxed);
        self.due.store(FROM, Ordering::Relaxed);
    }

    /// Makes room as long as more is wanted, a piece at a time. Returns whether it has.
    fn make(&self) -> io::Result<bool> {
        let mut has_made = false;
        loop {
            let _end = self.end.lock();
            let frames = self.frames.load(Ordering::Relaxed);
            let used = FRAME * u64::try_from(frames).unwrap_or(u64::MAX);
            let ahead = used.min(AHEAD_MAX);
            // Not by its metadata: see `file_identity.rs`.
            let length = (&self.wal).seek(SeekFrom::End(0))?;
            if frames < FROM {
                // Emptied or started over meanwhile.
                self.due.store(FROM, Ordering::Relaxed);
                return Ok(has_made);
            }
            if length >= (used + ahead).min(JOURNAL_SIZE_LIMIT as u64) {
                // Longer than that SQLite does not keep it.
                let due = if length < JOURNAL_SIZE_LIMIT as u64 { (length - ahead / 2) / FRAME } else { u64::MAX };
                self.due.store(usize::try_from(due).unwrap_or(usize::MAX), Ordering::SeqCst);
                if self.frames.load(Ordering::SeqCst) < frames {
                    // It has started over meanwhile: `note` has said so before, or does now.
                    self.due.store(FROM, Ordering::SeqCst);
                }
                return Ok(has_made);
            }
            let disk = fstatvfs(&self.wal)?;
            if disk.f_bavail.saturating_mul(disk.f_frsize) < LEFT_FREE {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is nearly full"));
            }
            if self.wanted.lock().stops {
                return Ok(has_made);
            }
            for _ in 0..AT_ONCE / PIECE.len() {
                (&self.wal).write_all(&PIECE)?;
            }
            has_made = true;
        }
    }

    fn run(&self) {
        loop {
            let mut wanted = self.wanted.lock();
            while !wanted.is_due && !wanted.stops {
                self.wake.wait(&mut wanted);
            }
            if wanted.stops || self.health.has_sync_failed() {
                return;
            }
            wanted.is_due = false;
            drop(wanted);
            // So that no commit has to bring the zeros to the disk. Where it fails, the next sync by those who commit fails as well: Linux
            // tells each open file (since 4.13).
            let made = self.make().and_then(|has_made| if has_made { self.wal.sync_data() } else { Ok(()) });
            if let Err(error) = made {
                debug!("no room could be made in the WAL, commits make it longer themselves: {error}");
                let again = self.frames.load(Ordering::Relaxed).saturating_mul(2).max(FROM);
                self.due.store(again, Ordering::Relaxed);
            }
        }
    }
}

impl RoomMaker {
    pub(super) fn start(room: Arc<WalRoom>) -> io::Result<Self> {
        let making = room.clone();
        let thread = std::thread::Builder::new().name("db-wal-room".to_owned()).spawn(move || making.run())?;
        Ok(Self { room, thread: Some(thread) })
    }
}

impl Drop for RoomMaker {
    fn drop(&mut self) {
        self.room.wanted.lock().stops = true;
        self.room.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::waiting::wait_until;
    use crate::db::{Db, Error, Options, files};

    fn room(db: &Db) -> &WalRoom {
        db.shared.open().checkpointer.room().expect("commits wait for the disk")
    }

    fn write(db: &Db, name: &'static str, bytes: usize) {
        let written: Result<usize, Error> = db.write(move |tx| {
            Ok(tx.execute("INSERT INTO meta (name, value) VALUES (?1, randomblob(?2))", (name, bytes))?)
        });
        written.expect("written");
    }

    fn wal(path: &Path) -> Vec<u8> {
        std::fs::read(files::wal(path)).expect("a WAL")
    }

    /// Bytes of the frames that are committed.
    fn used(db: &Db) -> usize {
        FRAME as usize * room(db).frames.load(Ordering::Relaxed)
    }

    /// Once a commit of two megabytes is noted, which may be just after its answer.
    fn wait_for_room(db: &Db, path: &Path) {
        wait_until("there is room", || used(db) >= 2_000_000 && wal(path).len() >= 2 * used(db));
    }

    #[test]
    fn a_wal_that_grows_is_kept_longer_than_what_is_in_it_by_zeros_and_by_none_once_it_was_emptied() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("room.db");
        let db = Db::open(&Options::new(path.clone())).expect("a database");
        for (small, large) in [("a", "b"), ("c", "d")] {
            write(&db, small, 100);
            let length = wal(&path).len();
            assert!(length < 500_000, "room for a single commit: {length}");
            write(&db, large, 2_000_000);
            wait_for_room(&db, &path);
            let (all, used) = (wal(&path), used(&db));
            assert!(all.len() <= 2 * used + AT_ONCE, "{} of {used}", all.len());
            assert!(all[used + 32..].iter().all(|byte| *byte == 0));
            assert!(all[used - 4_000..used].iter().any(|byte| *byte != 0), "over a commit");
            assert!(db.empty_wal(Duration::from_secs(120)).expect("emptied"));
            assert_eq!(wal(&path).len(), 0);
        }
    }

    #[test]
    fn room_is_made_no_further_than_sqlite_keeps_the_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("limit.db");
        let db = Db::open(&Options::new(path.clone())).expect("a database");
        let length = || std::fs::metadata(files::wal(&path)).expect("a WAL").len();
        let limit = JOURNAL_SIZE_LIMIT as u64;
        write(&db, "a", 30_000_000);
        wait_until("there is room", || length() >= limit);
        wait_until("no more is due", || room(&db).due.load(Ordering::Relaxed) == usize::MAX);
        assert!(!room(&db).make().expect("looked"), "{}", length());
        assert!(length() < limit + AT_ONCE as u64, "{}", length());
        // Once it starts over it is looked at again.
        room(&db).note(3);
        assert_eq!(room(&db).due.load(Ordering::Relaxed), FROM);
    }

    #[test]
    fn a_wal_that_starts_over_or_is_emptied_by_another_process_gets_room_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("again.db");
        let db = Db::open(&Options::new(path.clone())).expect("a database");
        // It starts over while the thread is about to make room.
        let end = room(&db).hold_end(Duration::MAX);
        room(&db).note(5_000);
        room(&db).note(3);
        drop(end);
        write(&db, "a", 3_000_000);
        wait_for_room(&db, &path);
        let other = rusqlite::Connection::open(&path).expect("opened");
        wait_until("another connection has emptied it", || {
            let busy: i64 =
                other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0)).expect("a checkpoint");
            busy == 0
        });
        write(&db, "b", 2_000_000);
        wait_for_room(&db, &path);
    }

    #[test]
    fn what_is_committed_into_the_room_is_there_after_a_start_without_a_tidy_end() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("ended.db");
        let db = Db::open(&Options::new(path.clone())).expect("a database");
        write(&db, "a", 2_000_000);
        wait_for_room(&db, &path);
        write(&db, "b", 17);
        // As a power cut leaves it: the files as they are now.
        let copy = directory.path().join("copy.db");
        std::fs::copy(&path, &copy).expect("copied");
        std::fs::copy(files::wal(&path), files::wal(&copy)).expect("copied");
        let db = Db::open(&Options::new(copy)).expect("a database");
        let length: Result<i64, Error> = db.read(|connection| {
            Ok(connection.query_row("SELECT length(value) FROM meta WHERE name = 'b'", (), |row| row.get(0))?)
        });
        assert_eq!(length.expect("read"), 17);
    }
}
