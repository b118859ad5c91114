//! When SQLite rolls a whole transaction back: nothing that was answered well is lost, nothing that was answered badly stays.

use super::{Fixture, SmallDisk, all, assert_sound, names, names_in, note, note_bytes};
use quotegrid::db::{self, Db, Error, Options};
use std::collections::BTreeSet;
use std::sync::mpsc::channel;

/// Hands over `count` changes of `bytes` each, in one batch as far as possible, and returns what was answered well and badly.
fn write_batch(db: &Db, release: impl FnOnce(), prefix: &str, count: usize, bytes: usize) -> [BTreeSet<String>; 2] {
    let (sender, answers) = channel();
    for number in 0..count {
        let (sender, name) = (sender.clone(), format!("{prefix}{number:03}"));
        let noted = name.clone();
        db.write_then(
            move |tx| note_bytes(tx, &noted, bytes),
            move |outcome: db::Result<()>| {
                if let Err(error) = &outcome {
                    assert!(error.is_transient(), "{error}");
                }
                sender.send((name, outcome.is_ok())).expect("the test waits");
            },
        );
    }
    release();
    let mut answered = [BTreeSet::new(), BTreeSet::new()];
    for (name, ok) in all(answers, count) {
        answered[usize::from(!ok)].insert(name);
    }
    answered
}

fn assert_kept(db: &Db, well: &BTreeSet<String>) {
    assert_eq!(&names(db).into_iter().collect::<BTreeSet<_>>(), well);
}

#[test]
fn a_full_database_in_the_middle_of_a_batch_refuses_the_whole_batch() {
    let fixture = Fixture::new();
    let pages: i64 = fixture
        .db
        .write(|tx| -> db::Result<_> { Ok(tx.pragma_query_value(None, "page_count", |row| row.get(0))?) })
        .expect("read");
    // Two pages are free yet: SQLite runs full within a change, and rolls back those before it too.
    let room = pages + 2;
    fixture
        .db
        .write(move |tx| -> db::Result<_> {
            Ok(tx.pragma_update_and_check(None, "max_page_count", room, |row| row.get::<_, i64>(0))?)
        })
        .expect("set");
    let blocked = fixture.block_writer();
    let [well, badly] = write_batch(&fixture.db, || drop(blocked), "a", 20, 3000);
    assert!(!badly.is_empty());
    assert_kept(&fixture.db, &well);
    fixture
        .db
        .write(|tx| -> db::Result<_> {
            Ok(tx.pragma_update_and_check(None, "max_page_count", 1_000_000, |row| row.get::<_, i64>(0))?)
        })
        .expect("set");
    fixture.db.write(|tx| note(tx, "after")).expect("writes go on without a restart");
    let path = fixture.path();
    let Fixture { directory: _directory, db } = fixture;
    drop(db);
    assert_sound(&path);
    let kept: BTreeSet<_> =
        names_in(&rusqlite::Connection::open(&path).expect("opened")).expect("readable").into_iter().collect();
    assert_eq!(kept, well.into_iter().chain(["after".to_owned()]).collect());
}

#[test]
fn what_a_change_does_after_its_transaction_was_rolled_back_is_not_committed() {
    let fixture = Fixture::new();
    let outcome = fixture.db.write(|tx| -> db::Result<()> {
        let pages: i64 = tx.pragma_query_value(None, "page_count", |row| row.get(0))?;
        tx.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0))?;
        let full = note_bytes(tx, "large", 100_000).expect_err("there is no room");
        assert_eq!(full.code(), Some(rusqlite::ffi::ErrorCode::DiskFull));
        assert!(tx.is_autocommit(), "SQLite rolls everything back then; else this test shows nothing");
        tx.pragma_update_and_check(None, "max_page_count", 1_000_000, |row| row.get::<_, i64>(0))?;
        // Carries on as if nothing had happened.
        let _refused = note(tx, "stray");
        Ok(())
    });
    let Err(error @ Error::NotCommitted { .. }) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains("SQLite rolled the whole transaction back"), "{error}");
    assert!(names(&fixture.db).is_empty());
    fixture.db.write(|tx| note(tx, "after")).expect("writes go on");
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_loses_nothing_else() {
    let Some(disk) = SmallDisk::mount(5120) else { return };
    let path = disk.path().join("test.db");
    let spare = disk.path().join("spare");
    std::fs::write(&spare, vec![0; 1 << 20]).expect("written");
    let open = || Db::open(&Options::new(&path)).expect("opened");
    let db = open();
    let mut kept = BTreeSet::new();
    // At the commit: the pages of a small batch are written only then.
    let [well, badly] = write_batch(&db, || {}, "small", 20, 40_000);
    assert_eq!((well.len(), badly.len()), (20, 0), "there is room for so many");
    kept.extend(well);
    // However many of these come to be one batch.
    let [well, badly] = write_batch(&db, || {}, "a", 200, 40_000);
    assert!(!badly.is_empty(), "{} fitted, {} did not", well.len(), badly.len());
    kept.extend(well);
    assert_kept(&db, &kept);
    // In the middle of a change: a cache of a few pages spills into the WAL long before the commit.
    db.write(|tx| -> db::Result<()> { Ok(tx.pragma_update(None, "cache_size", 4)?) }).expect("set");
    // More than the whole disk holds: a checkpoint meanwhile may have made room in the WAL, and must not let all of it fit.
    let [well, badly] = write_batch(&db, || {}, "b", 200, 40_000);
    assert!(!badly.is_empty());
    kept.extend(well);
    assert_kept(&db, &kept);
    std::fs::remove_file(spare).expect("removed");
    db.write(|tx| note(tx, "after")).expect("writes go on without a restart once there is room");
    kept.insert("after".to_owned());
    drop(db);
    assert_sound(&path);
    assert_kept(&open(), &kept);
}
