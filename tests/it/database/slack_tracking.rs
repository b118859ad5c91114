//! A scrub that looks only at what was written since the last one finds all that a look at every page would find: whoever wrote it,
//! and whatever became of the WAL meanwhile.

use super::{FOREVER, Fixture, assert_sound};
use crate::support::dice::Dice;
use crate::support::waiting::SetAtEnd;
use quotegrid::db::{self, Db, Options, PageSlack};
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, Ordering};

/// Another process's connection, as far as SQLite knows: it shares nothing with ours but the files.
fn other(fixture: &Fixture) -> Connection {
    let connection = fixture.other();
    connection.busy_timeout(FOREVER).expect("set");
    connection
        .execute_batch("PRAGMA synchronous=OFF; PRAGMA secure_delete=ON; PRAGMA wal_autocheckpoint=0")
        .expect("set up");
    connection
}

fn with_rows(adjust: impl FnOnce(&mut Options)) -> Fixture {
    let fixture = Fixture::with(|options| {
        options.synchronous = db::Synchronous::Normal;
        adjust(options);
    });
    let made: db::Result<()> = fixture.db.write(|tx| {
        Ok(tx.execute_batch(
            "CREATE TABLE parcels (id INTEGER PRIMARY KEY, number INTEGER, note TEXT) STRICT;
                             CREATE INDEX parcels_number ON parcels (number, note);",
        )?)
    });
    made.expect("made");
    fixture
}

/// What leaves copies of rows in pages: rows come in no order, some grow, and some go.
fn work(connection: &Connection, dice: &mut Dice) -> rusqlite::Result<()> {
    for _ in 0..dice.below(60) + 1 {
        let (number, length) = (dice.below(1 << 20), dice.below(200) + 20);
        match dice.below(8) {
            0..5 => connection.prepare_cached("INSERT INTO parcels (number, note) VALUES (?1, substr(hex(randomblob(120)), 1, ?2))")?,
            5..7 => connection.prepare_cached("UPDATE parcels SET note = substr(hex(randomblob(120)), 1, ?2), number = ?1 WHERE id = ?1 % (SELECT max(id) FROM parcels)")?,
            _ => connection.prepare_cached("DELETE FROM parcels WHERE number BETWEEN ?1 AND ?1 + 50 * ?2")?,
        }
        .execute([number, length])?;
    }
    Ok(())
}

fn vacuum(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA incremental_vacuum(20)")?;
    let mut rows = statement.query(())?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// Clears what is known, and holds it against a look at every page, which must find nothing more.
fn assert_nothing_is_missed(db: &Db, what: &str) -> usize {
    let PageSlack::Cleared(cleared) = db.clear_page_slack().expect("no fault") else { panic!("it looks") };
    assert_eq!(db.clear_slack_of_every_page().expect("no fault"), PageSlack::Cleared(0), "{what}");
    cleared
}

#[test]
fn what_this_process_writes_is_known_however_often_the_wal_starts_over() {
    let fixture = with_rows(|_options| {});
    assert_nothing_is_missed(&fixture.db, "a new file");
    let looks = fixture.db.whole_looks();
    let (mut dice, mut cleared) = (Dice(1), 0);
    for round in 0..300 {
        let seed = dice.below(1 << 40);
        let written: db::Result<()> = fixture.db.write(move |tx| Ok(work(tx, &mut Dice(seed | 1))?));
        written.expect("written");
        match round % 10 {
            // Both have the WAL start over: emptied, or overwritten by the next commit, once all of it is in the file.
            3 => assert!(fixture.db.empty_wal(FOREVER).expect("tried")),
            6 => drop(other(&fixture).query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_row| Ok(()))),
            8 => {
                let undone: db::Result<()> = fixture.db.write(move |tx| {
                    work(tx, &mut Dice(seed | 2))?;
                    Err(db::Error::Overloaded)
                });
                assert!(undone.is_err());
            }
            9 => fixture.db.write(|tx| tx.vacuum_some(5)).expect("vacuumed"),
            _ => {
                let PageSlack::Cleared(some) = fixture.db.clear_page_slack().expect("no fault") else {
                    panic!("it looks")
                };
                cleared += some;
            }
        }
    }
    assert_eq!(fixture.db.whole_looks(), looks, "no page had to be looked at that was not written");
    assert!(cleared > 0, "something was left in pages");
    assert_nothing_is_missed(&fixture.db, "at the end");
    drop(fixture.db);
    assert_sound(&fixture.directory.path().join("test.db"));
}

#[test]
fn what_others_write_is_looked_at_and_where_they_have_the_wal_start_over_every_page_is() {
    let fixture = with_rows(|_options| {});
    assert_nothing_is_missed(&fixture.db, "a new file");
    let (others, mut dice) = (other(&fixture), Dice(2));
    let work_of_others = |dice: &mut Dice| {
        others.execute_batch("BEGIN IMMEDIATE").expect("begun");
        work(&others, dice).expect("written");
        others.execute_batch("COMMIT").expect("committed");
    };
    let looks = fixture.db.whole_looks();
    let mut cleared = 0;
    for _ in 0..50 {
        work_of_others(&mut dice);
        let PageSlack::Cleared(some) = fixture.db.clear_page_slack().expect("no fault") else { panic!("it looks") };
        cleared += some;
    }
    assert!(cleared > 0, "something was left in pages");
    assert_eq!(fixture.db.whole_looks(), looks, "their frames are in the WAL");
    assert_nothing_is_missed(&fixture.db, "what others wrote");
    for round in 0..50 {
        let looks = fixture.db.whole_looks();
        work_of_others(&mut dice);
        let emptied = others.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get::<_, bool>(0));
        assert!(!emptied.expect("no fault"), "nobody reads");
        // Also where somebody has written since.
        match round % 3 {
            0 => work_of_others(&mut dice),
            1 => fixture.db.write(|tx| tx.touch()).expect("written"),
            _ => {}
        }
        fixture.db.clear_page_slack().expect("no fault");
        assert_eq!(fixture.db.whole_looks(), looks + 1, "round {round}: what they wrote before is gone from the WAL");
        assert_nothing_is_missed(&fixture.db, "after others emptied the WAL");
    }
}

#[test]
fn whatever_two_processes_do_nothing_is_missed() {
    for seed in 0..6 {
        let fixture = with_rows(|_options| {});
        let (mut db, others, mut dice) = (Some(fixture.db.clone()), other(&fixture), Dice(seed * 7_919 + 3));
        let path = fixture.path();
        drop(fixture.db);
        for step in 0..200 {
            let ours = db.as_ref().expect("it is open");
            let seed = dice.below(1 << 40);
            match dice.below(14) {
                0..4 => {
                    ours.write(move |tx| -> db::Result<()> { Ok(work(tx, &mut Dice(seed | 1))?) }).expect("written")
                }
                4..7 => work(&others, &mut dice).expect("written"),
                7 => ours.write(|tx| tx.vacuum_some(10)).expect("vacuumed"),
                8 => vacuum(&others).expect("vacuumed"),
                9 => assert!(ours.empty_wal(FOREVER).expect("tried")),
                10 => {
                    let mode = ["PASSIVE", "RESTART", "TRUNCATE"][dice.below(3) as usize];
                    others.query_row(&format!("PRAGMA wal_checkpoint({mode})"), (), |_row| Ok(())).expect("no fault");
                }
                11 => {
                    // Its writes reach the WAL before they are undone.
                    let undone = others.execute_batch("PRAGMA cache_size=10; BEGIN IMMEDIATE").and_then(|()| {
                        for _ in 0..10 {
                            work(&others, &mut dice)?;
                        }
                        others.execute_batch("ROLLBACK")
                    });
                    undone.expect("undone");
                }
                12 if step % 5 == 0 => {
                    // A restart.
                    drop(db.take());
                    db = Some(Db::open(&Options::new(&path)).expect("opened again"));
                }
                _ => {
                    assert_nothing_is_missed(ours, &format!("seed {seed}, step {step}"));
                }
            }
        }
        assert_nothing_is_missed(db.as_ref().expect("it is open"), &format!("seed {seed}"));
        drop((db, others));
        assert_sound(&path);
    }
}

#[test]
fn a_scrub_ends_and_misses_nothing_while_many_write_and_pages_move() {
    let fixture = with_rows(|_options| {});
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stops = SetAtEnd(&stop);
        for thread in 0..4 {
            let (db, stop) = (&fixture.db, &stop);
            scope.spawn(move || {
                let mut dice = Dice(thread + 1);
                while !stop.load(Ordering::Relaxed) {
                    let seed = dice.below(1 << 40);
                    let written: db::Result<()> = db.write(move |tx| {
                        work(tx, &mut Dice(seed | 1))?;
                        if seed.is_multiple_of(4) { tx.vacuum_some(3) } else { Ok(()) }
                    });
                    written.expect("written");
                }
            });
        }
        let (fixture, stop) = (&fixture, &stop);
        scope.spawn(move || {
            let (others, mut dice) = (other(fixture), Dice(9));
            while !stop.load(Ordering::Relaxed) {
                work(&others, &mut dice).expect("written");
                std::thread::yield_now();
            }
        });
        for _ in 0..40 {
            assert!(matches!(fixture.db.clear_page_slack().expect("no fault"), PageSlack::Cleared(_)));
            assert!(fixture.db.empty_wal(FOREVER).expect("tried"));
        }
    });
    assert_nothing_is_missed(&fixture.db, "at the end");
}
