//! Other processes on the same file.

use super::{Fixture, Other, all, note};
use crate::support::command::PROGRAM;
use crate::support::waiting::SetAtEnd;
use quotegrid::db::{self, Db, Error, Options};
use rustix::process::Signal;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{TryRecvError, channel};
use std::time::{Duration, Instant};

fn database() -> Option<PathBuf> {
    // Run by hand with the other ignored tests, these parts have nobody to play with.
    std::env::var_os("QUOTEGRID_TEST_DATABASE").map(PathBuf::from)
}

fn wait_for_end_of_stdin() {
    let _bytes = std::io::stdin().read_to_end(&mut Vec::new());
}

#[test]
#[ignore = "a part that another test plays in a second process"]
fn hold_the_lock() {
    let Some(path) = database() else { return };
    let connection = rusqlite::Connection::open(path).expect("opened");
    connection.execute_batch("BEGIN IMMEDIATE").expect("locked");
    println!("\nholding");
    wait_for_end_of_stdin();
    connection.execute_batch("COMMIT").expect("released");
}

#[test]
#[ignore = "a part that another test plays in a second process"]
fn write_beside() {
    let Some(path) = database() else { return };
    let mut options = Options::new(path);
    options.write_wait = super::FOREVER;
    let db = Db::open(&options).expect("opened");
    println!("\nwriting");
    let (ended, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| write_from_four(&db, "child", &written, || !ended.load(Ordering::Relaxed)));
        let _ends = SetAtEnd(&ended);
        wait_for_end_of_stdin();
    });
}

/// Four threads that write without a pause.
fn write_from_four(db: &Db, who: &str, written: &AtomicUsize, go_on: impl Fn() -> bool + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let go_on = &go_on;
            scope.spawn(move || {
                for number in 0.. {
                    if !go_on() {
                        return;
                    }
                    let name = format!("{who}-{thread}-{number}");
                    db.write(move |tx| note(tx, &name)).expect("written");
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
}

#[test]
fn a_write_waits_for_another_process_and_succeeds_once_it_is_done() {
    let fixture = Fixture::with(|options| options.write_wait = super::FOREVER);
    let other = Other::play("hold_the_lock", &fixture.path());
    other.wait_for("holding");
    let (sender, answers) = channel();
    fixture.db.write_then(|tx| note(tx, "a"), move |outcome| sender.send(outcome).expect("the test waits"));
    std::thread::sleep(Duration::from_millis(250));
    assert!(matches!(answers.try_recv(), Err(TryRecvError::Empty)), "it waits");
    assert!(other.end().success());
    all(answers, 1).remove(0).expect("written");
}

#[test]
fn a_lock_held_for_too_long_fails_all_waiting_changes_at_about_the_same_time() {
    let limit = Duration::from_millis(200);
    let fixture = Fixture::with(|options| options.write_wait = limit);
    let other = Other::play("hold_the_lock", &fixture.path());
    other.wait_for("holding");
    let started = Instant::now();
    let (sender, answers) = channel();
    for number in 0..200 {
        let sender = sender.clone();
        let answer = move |outcome: db::Result<()>| sender.send(outcome).expect("the test waits");
        let change = move |tx: &db::Tx<'_>| note(tx, &format!("{number}"));
        if number % 2 == 0 {
            fixture.db.write_then(change, answer);
        } else {
            fixture.db.write_unbounded(change, answer);
        }
    }
    let mut told = [0, 0];
    for outcome in all(answers, 200) {
        match outcome {
            Err(Error::Overloaded) => told[0] += 1,
            Err(error @ Error::NotCommitted { .. }) => {
                assert_eq!(error.code(), Some(rusqlite::ffi::ErrorCode::DatabaseBusy));
                assert!(error.is_transient());
                told[1] += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told[0] + told[1], 200);
    // One after the other it would take 40 s.
    assert!(started.elapsed() < limit * 50, "{:?}", started.elapsed());
    assert!(other.end().success());
    fixture.db.write(|tx| note(tx, "after")).expect("written");
}

#[test]
fn two_processes_that_write_at_once_do_not_keep_each_other_out() {
    let fixture = Fixture::with(|options| options.write_wait = super::FOREVER);
    let other = Other::play("write_beside", &fixture.path());
    other.wait_for("writing");
    let (stop, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    let look = |connection: &rusqlite::Connection| -> db::Result<usize> {
        Ok(connection.query_row("SELECT count(*) FROM meta WHERE name LIKE 'child%'", (), |row| row.get(0))?)
    };
    std::thread::scope(|scope| {
        let _stops = SetAtEnd(&stop);
        scope.spawn(|| write_from_four(&fixture.db, "parent", &written, || !stop.load(Ordering::Relaxed)));
        // Both get on, each while the other never rests.
        let until = Instant::now() + super::FOREVER;
        let (ours_before, theirs_before) = (written.load(Ordering::Relaxed), fixture.db.read(look).expect("readable"));
        loop {
            let ours = written.load(Ordering::Relaxed) - ours_before;
            let theirs = fixture.db.read(look).expect("readable") - theirs_before;
            if ours >= 100 && theirs >= 100 {
                break;
            }
            assert!(Instant::now() < until, "{ours} writes of ours, {theirs} of theirs");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(other.end().success());
}

#[test]
fn a_watch_sees_the_commits_of_other_connections() {
    let fixture = Fixture::new();
    let mut watch = fixture.db.watch().expect("a watch");
    assert!(!watch.changed().expect("looked"));
    let other = fixture.other();
    assert!(!watch.changed().expect("looked"), "opening is no change");
    other.execute("INSERT INTO meta (name, value) VALUES ('other', x'00')", ()).expect("written");
    assert!(watch.changed().expect("looked"));
    assert!(!watch.changed().expect("looked"), "told once");
    fixture.db.write(|tx| note(tx, "ours")).expect("written");
    assert!(watch.changed().expect("looked"));
}

#[test]
fn announced_commits_wake_those_who_wait_for_news() {
    let fixture = Fixture::new();
    let seen = fixture.db.notifier().seen();
    fixture.db.write(|tx| note(tx, "quiet")).expect("written");
    assert_eq!(fixture.db.notifier().seen(), seen);
    fixture
        .db
        .write(|tx| {
            tx.announce();
            note(tx, "announced")
        })
        .expect("written");
    assert!(fixture.db.notifier().wait(seen, super::FOREVER));
}

#[test]
fn seen_from_a_symbolic_link_the_database_has_the_same_locks_and_the_same_wal() {
    let fixture = Fixture::new();
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let link = elsewhere.path().join("link.db");
    std::os::unix::fs::symlink(fixture.path(), &link).expect("linked");
    let linked = Db::open(&Options::new(&link)).expect("opened");
    assert_eq!(linked.path(), fixture.path().canonicalize().expect("there"));
    fixture.db.write(|tx| note(tx, "shop-in-the-wal.myshopify.com")).expect("written");
    drop(linked);
    let program = std::path::Path::new(PROGRAM);
    let hits = quotegrid::erasure::scan::run_in_child(program, &link).expect("scanned");
    assert!(hits.iter().any(|hit| hit.file == "wal" && hit.text.contains("shop-in-the-wal")), "{hits:?}");
    assert_eq!(std::fs::read_dir(elsewhere.path()).expect("listed").count(), 1, "the link alone");
}

#[test]
fn the_holder_of_the_write_lock_is_named_and_whether_it_is_suspended() {
    let fixture = Fixture::with(|_| {});
    assert_eq!(fixture.db.write_lock_holder(), None);
    let other = Other::play("hold_the_lock", &fixture.path());
    other.wait_for("holding");
    let holder = fixture.db.write_lock_holder().expect("it is held");
    assert_eq!((holder.process, holder.is_suspended), (other.process(), false));
    other.signal(Signal::STOP);
    // The signal is sent, and the process stops in its own time.
    let holder = loop {
        let holder = fixture.db.write_lock_holder().expect("it is held");
        if holder.is_suspended {
            break holder;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let told = holder.to_string();
    assert!(told.contains(&format!("process {} (", other.process())) && told.contains("kill -CONT"), "{told}");
    other.signal(Signal::CONT);
    assert!(other.end().success());
    assert_eq!(fixture.db.write_lock_holder(), None);
}
