//! The WAL stays small, can be emptied whatever goes on, and nobody waits for either.

use super::{FOREVER, Fixture, note_bytes, size_of};
use crate::support::waiting::SetAtEnd;
use quotegrid::db::{self, Db};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

#[test]
fn the_wal_stays_bounded_under_steady_writing_and_is_emptied_afterwards() {
    let fixture = Fixture::new();
    let largest = AtomicU64::new(0);
    // 128 MiB, four times what the writer lets pass, from enough threads that it never rests: only between two batches of its
    // own can the WAL then start over.
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (fixture, largest) = (&fixture, &largest);
            scope.spawn(move || {
                for number in 0..256 {
                    let name = format!("{thread}-{number}");
                    fixture.db.write(move |tx| note_bytes(tx, &name, 64 << 10)).expect("written");
                    largest.fetch_max(size_of(&fixture.path(), "-wal").expect("there is a WAL"), Ordering::Relaxed);
                }
            });
        }
    });
    let largest = largest.into_inner();
    eprintln!("the WAL grew to {} MiB", largest / MIB);
    assert!(largest <= 64 * MIB, "the WAL grew to {} MiB", largest / MIB);
    assert!(fixture.db.empty_wal(FOREVER).expect("tried"));
    assert_eq!(size_of(&fixture.path(), "-wal"), Some(0));
    assert!(size_of(&fixture.path(), "").expect("the file") > 90 * MIB, "everything is in the file now");
}

/// Writes without a pause until it is told to stop.
fn load(db: &Db, thread: usize, stop: &AtomicBool, written: &AtomicUsize) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        db.write(move |tx| note_bytes(tx, &format!("{thread}-{number}"), 500)).expect("written");
        written.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn the_wal_can_be_emptied_while_many_write_and_read_without_a_pause() {
    let fixture = Fixture::new();
    let (stop, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _stops = SetAtEnd(&stop);
        for thread in 0..16 {
            let (fixture, stop, written) = (&fixture, &stop, &written);
            scope.spawn(move || load(&fixture.db, thread, stop, written));
        }
        for _ in 0..2 {
            let (fixture, stop) = (&fixture, &stop);
            scope.spawn(move || {
                // Short ones, as the storefront's: one that lasts keeps the WAL for as long as it lasts.
                while !stop.load(Ordering::Relaxed) {
                    let look = |connection: &rusqlite::Connection| -> db::Result<i64> {
                        let sql = "SELECT count(*) FROM (SELECT 1 FROM meta LIMIT 20)";
                        Ok(connection.prepare_cached(sql)?.query_row((), |row| row.get(0))?)
                    };
                    fixture.db.read(look).expect("readable");
                }
            });
        }
        for round in 0..10 {
            let begun = Instant::now();
            assert!(fixture.db.empty_wal(FOREVER).expect("tried"), "round {round}");
            eprintln!("emptied in {:?}", begun.elapsed());
        }
    });
    assert!(written.into_inner() > 0);
}

#[test]
fn no_write_waits_for_a_reader_while_the_wal_is_being_emptied() {
    const WRITERS: usize = 4;
    let fixture = Fixture::new();
    let (stop, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    let patience = Duration::from_millis(1500);
    let meanwhile = std::thread::scope(|scope| {
        let _stops = SetAtEnd(&stop);
        for thread in 0..WRITERS {
            let (db, stop, written) = (&fixture.db, &stop, &written);
            scope.spawn(move || load(db, thread, stop, written));
        }
        let reader = fixture.other();
        let mut tries = 0;
        let meanwhile = loop {
            reader.execute_batch("BEGIN").expect("begun");
            let _count: i64 = reader.query_row("SELECT count(*) FROM meta", (), |row| row.get(0)).expect("read");
            let (begun, before) = (Instant::now(), written.load(Ordering::Relaxed));
            if !fixture.db.empty_wal(patience).expect("tried") {
                assert!(begun.elapsed() >= patience, "it kept trying");
                break written.load(Ordering::Relaxed) - before;
            }
            // All was in the file when this one began: it needs nothing of the WAL.
            reader.execute_batch("COMMIT").expect("ended");
            tries += 1;
            assert!(tries < 100, "a reader of what is in the WAL keeps it from being emptied");
        };
        reader.execute_batch("COMMIT").expect("ended");
        assert!(fixture.db.empty_wal(FOREVER).expect("tried"), "nobody reads any more");
        meanwhile
    });
    eprintln!("{meanwhile} writes while the WAL was being emptied");
    // A checkpoint that waits for readers holds the lock for all of the patience: nobody's second write would get through.
    assert!(meanwhile > 2 * WRITERS, "{meanwhile} writes in {patience:?}");
}

#[test]
fn a_reader_of_the_newest_state_keeps_the_wal_but_hardly_the_writer() {
    let fixture = Fixture::new();
    fixture.db.write(|tx| note_bytes(tx, "a", 500)).expect("written");
    let reader = fixture.other();
    reader.execute_batch("BEGIN").expect("begun");
    let _count: i64 = reader.query_row("SELECT count(*) FROM meta", (), |row| row.get(0)).expect("read");
    assert!(!fixture.db.empty_wal(Duration::from_millis(300)).expect("tried"));
    reader.execute_batch("COMMIT").expect("ended");
    assert!(fixture.db.empty_wal(FOREVER).expect("tried"), "also when the writer sleeps");
    assert_eq!(size_of(&fixture.path(), "-wal"), Some(0));
}
