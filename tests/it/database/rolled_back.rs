//! What a change wrote before it was rolled back, and the free pages that it wrote it into.

use super::{Fixture, note_bytes};
use crate::support::waiting::PATIENCE;
use quotegrid::db::{self, Db};
use std::fs;

/// Stands in each row that is written and rolled back.
const ROLLED_BACK: &str = "never-meant-to-stay";

/// How often [`ROLLED_BACK`] is in the file. Every connection is closed by then, so the WAL is in it.
fn traces(fixture: Fixture) -> usize {
    let Fixture { directory, db } = fixture;
    drop(db);
    let bytes = fs::read(directory.path().join("test.db")).expect("the file");
    let pattern = ROLLED_BACK.as_bytes();
    bytes.windows(pattern.len()).filter(|window| *window == pattern).count()
}

/// Rows of a page each, deleted again: their pages are free then.
fn free_some_pages(db: &Db) {
    db.write(|tx| -> db::Result<()> {
        for number in 0..200 {
            note_bytes(tx, &format!("old-{number}"), 6_000)?;
        }
        Ok(())
    })
    .expect("written");
    db.write(|tx| -> db::Result<()> {
        tx.execute("DELETE FROM meta WHERE name LIKE 'old-%'", ())?;
        Ok(())
    })
    .expect("deleted");
    assert!(db.read(db::space).expect("read").free > 100, "there are free pages to write into");
}

/// A change that writes and then fails, in the same commit as one that does not.
fn fail_after_writing(db: &Db) {
    let outcome = db.write(|tx| -> db::Result<()> {
        for number in 0..100 {
            note_bytes(tx, &format!("{ROLLED_BACK}-{number}"), 6_000)?;
        }
        Err(db::Error::LostRow { operation: "a_test", changed: 0 })
    });
    assert!(outcome.is_err());
}

#[test]
fn what_was_rolled_back_leaves_the_file_when_free_pages_are_blanked() {
    let fixture = Fixture::new();
    free_some_pages(&fixture.db);
    fail_after_writing(&fixture.db);
    assert!(fixture.db.wipe_free_pages(PATIENCE).expect("no fault"));
    assert_eq!(fixture.db.read(db::space).expect("read").free, 0);
    assert_eq!(traces(fixture), 0);
}

#[test]
fn sqlite_leaves_what_was_rolled_back_in_free_pages() {
    // Should this fail one day, SQLite has fixed it, and blanking them can go.
    let fixture = Fixture::new();
    free_some_pages(&fixture.db);
    fail_after_writing(&fixture.db);
    assert!(traces(fixture) > 0);
}

#[test]
fn free_pages_are_left_alone_where_nothing_was_rolled_back() {
    let fixture = Fixture::new();
    free_some_pages(&fixture.db);
    let refused =
        fixture.db.write(|tx| -> db::Result<()> { db::expect_one(tx.execute("DELETE FROM stores", ())?, "a_test") });
    assert!(refused.is_err(), "a change that fails and has written nothing");
    let free = fixture.db.read(db::space).expect("read").free;
    assert!(fixture.db.wipe_free_pages(PATIENCE).expect("no fault"));
    assert_eq!(fixture.db.read(db::space).expect("read").free, free);
}

#[test]
fn that_free_pages_are_suspect_outlives_the_process() {
    let fixture = Fixture::new();
    free_some_pages(&fixture.db);
    fail_after_writing(&fixture.db);
    let Fixture { directory, db } = fixture;
    drop(db);
    let options = db::Options::new(directory.path().join("test.db"));
    let db = Db::open(&options).expect("opened again");
    db.write(|tx| tx.touch()).expect("touched");
    assert!(db.wipe_free_pages(PATIENCE).expect("no fault"));
    assert_eq!(traces(Fixture { directory, db }), 0);
}
