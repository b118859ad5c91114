//! The disk fails an fsync. What was acknowledged survives it, and the power cut that may follow: the WAL is the only good copy then,
//! and nobody empties it before the next start has copied all of it once more.

use super::harness::*;
use crate::support::waiting::SetAtEnd;
use quotegrid::shopify::Topic;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// States of the disk that are rebuilt and looked at.
const POWER_CUTS: u64 = 24;

fn recorded(machine: &Machine, recorder: &Recorder, args: &[&str]) -> Process {
    let mut command = if args.first() == Some(&"work") { machine.command(args) } else { machine.serve_command(args) };
    recorder.watch(&mut command, &machine.database);
    machine.start(command).ready()
}

/// So few connections that SQLite syncs each commit, and so many that commits are synced while others are made.
const CROWDS: [usize; 2] = [3, 24];

/// Posts from so many connections until `stop`, or until the server is gone; what is acknowledged is noted.
fn post_until(server: &Process, crowd: usize, ledger: &Ledger, stop: &AtomicBool, refused: &AtomicUsize) {
    std::thread::scope(|scope| {
        for number in 0..crowd {
            let mut client = server.client();
            scope.spawn(move || {
                for turn in number.. {
                    let hook = Hook::new(DUTIES[turn % 2].clone(), &format!("disk-{}.myshopify.com", turn % 50));
                    match client.try_post(&hook) {
                        Ok(answer) if answer.status == 200 => ledger.note(&hook, &answer),
                        Ok(answer) => {
                            assert_eq!(answer.status, 503, "{answer:?}");
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_the_server_is_gone) => return,
                    }
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
    });
}

/// Has part of the WAL copied into the file without an fsync, as SQLite does while a reader needs the rest, and then fails the
/// next one.
fn fail_a_checkpoint(machine: &Machine, recorder: &Recorder) {
    let connection = machine.connection();
    loop {
        connection.execute_batch("BEGIN; SELECT count(*) FROM job_queue").expect("readable");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(3);
        while recorder.unsynced_writes() == 0 && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let copied = recorder.unsynced_writes() > 0;
        if copied {
            recorder.fail_next_sync(Part::Database);
        }
        connection.execute_batch("COMMIT").expect("ended");
        if copied {
            return recorder.wait_failed(Part::Database);
        }
    }
}

/// The machine as it comes up after a power cut.
fn cut_off(recorder: &Recorder, seed: u64) -> Machine {
    let after = Machine::new();
    recorder.after_power_cut(&mut Dice(seed + 1), &after.database);
    after
}

/// The same, where an fsync has failed before.
fn rebuilt(machine: &Machine, recorder: &Recorder, seed: u64) -> Machine {
    let after = cut_off(recorder, seed);
    // The mark may have reached the disk or not.
    if seed.is_multiple_of(2) {
        let (from, to) = (mark_of(&machine.database), mark_of(&after.database));
        std::fs::create_dir_all(to.parent().expect("a directory")).expect("made");
        std::fs::copy(from, to).expect("the mark is there");
    }
    after
}

fn mark_of(database: &Path) -> PathBuf {
    database.with_file_name("quotegrid.db.locks").join("fsync-failed")
}

fn assert_taken_after_power_cuts(ledger: &Ledger, rebuild: impl Fn(u64) -> Machine) {
    for seed in 0..POWER_CUTS {
        let after = rebuild(seed);
        let connection = Connection::open(&after.database).expect("opened");
        assert!(is_sound(&connection), "power cut {seed}");
        ledger.assert_taken(&connection);
    }
}

fn is_sound(connection: &Connection) -> bool {
    connection.query_row("PRAGMA integrity_check", (), |row| row.get::<_, String>(0)).is_ok_and(|found| found == "ok")
}

#[test]
fn after_a_failed_fsync_of_a_checkpoint_nothing_acknowledged_is_lost_in_a_power_cut() {
    CROWDS.into_iter().for_each(fail_a_checkpoint_before_power_cuts);
}

fn fail_a_checkpoint_before_power_cuts(crowd: usize) {
    let machine = Machine::new();
    let recorder = Recorder::on(&machine);
    let mut server = recorded(&machine, &recorder, &["--workers", "1"]);
    let (ledger, stop, refused) = (Ledger::default(), AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _stops = SetAtEnd(&stop);
        let (server, ledger, stop, refused) = (&server, &ledger, &stop, &refused);
        scope.spawn(move || post_until(server, crowd, ledger, stop, refused));
        wait_until("there is load", || ledger.len() > 200);
        fail_a_checkpoint(&machine, &recorder);
        // Three that go on without an error would have emptied the WAL by now.
        let (was, now) = (ledger.len(), std::time::Instant::now());
        while ledger.len() < was + 2000 && now.elapsed() < std::time::Duration::from_secs(4) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let log = server.log();
    assert_eq!(server.wait().code(), Some(1), "{log}");
    assert!(log.contains("could not be brought to the disk (fsync)"), "{log}");
    assert!(!recorder.wal_was_given_up());
    println!("acknowledged {}, refused {}", ledger.len(), refused.into_inner());
    assert_taken_after_power_cuts(&ledger, |seed| rebuilt(&machine, &recorder, seed));
    let after = rebuilt(&machine, &recorder, 0);
    let server = after.serve(&[]).ready();
    assert!(!mark_of(&after.database).exists());
    after.settle();
    ledger.assert_kept(&after.connection());
    assert_exactly_once(&after);
    assert_eq!(server.stop(), Some(0));
    // Without a power cut it is the same.
    let server = machine.serve(&[]).ready();
    machine.settle();
    ledger.assert_kept(&machine.connection());
    assert_exactly_once(&machine);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn every_process_on_a_database_whose_fsync_has_failed_ends_and_the_next_start_recovers_it() {
    let machine = Machine::new();
    let recorder = Recorder::on(&machine);
    let mut server = machine.serve(&["--workers", "0"]).ready();
    let mut worker = recorded(&machine, &recorder, &["work", "--json"]);
    let (ledger, mut client) = (Ledger::default(), server.client());
    recorder.fail_next_sync(Part::Database);
    let hook = Hook::new(Topic::CustomersRedact, "disk.myshopify.com");
    ledger.note(&hook, &client.post(&hook));
    assert_eq!(worker.wait().code(), Some(1), "{}", worker.log());
    assert_eq!(
        server.wait().code(),
        Some(1),
        "the server has a sound descriptor, and still must not go on: {}",
        server.log()
    );
    assert!(mark_of(&machine.database).exists());
    assert!(std::fs::metadata(machine.database.with_extension("db-wal")).is_ok_and(|wal| wal.len() > 0));
    let server = machine.serve(&[]).ready();
    assert!(!mark_of(&machine.database).exists());
    machine.settle();
    ledger.assert_kept(&machine.connection());
    assert_exactly_once(&machine);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_command_whose_checkpoint_fails_leaves_the_wal_as_it_is() {
    let machine = Machine::new();
    machine.json(&["stores", "add", "disk.myshopify.com"]);
    machine.json(&["stores", "erase", "disk.myshopify.com"]);
    let recorder = Recorder::on(&machine);
    recorder.fail_next_sync(Part::Database);
    let mut command = machine.command(&["jobs", "run-next", "--json"]);
    let output = recorder.watch(&mut command, &machine.database).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!recorder.wal_was_given_up());
    assert!(std::fs::metadata(machine.database.with_extension("db-wal")).is_ok_and(|wal| wal.len() > 0));
    machine.json(&["jobs", "run-next"]);
    assert_exactly_once(&machine);
    assert!(!mark_of(&machine.database).exists());
}

#[test]
fn a_failed_fsync_of_the_wal_refuses_its_changes_and_the_server_goes_on() {
    let machine = Machine::new();
    let recorder = Recorder::on(&machine);
    let mut server = recorded(&machine, &recorder, &["--workers", "0"]);
    let (ledger, mut client) = (Ledger::default(), server.client());
    let mut post = |status: u16| {
        let hook = Hook::new(Topic::CustomersRedact, "disk.myshopify.com");
        let answer = client.post(&hook);
        assert_eq!(answer.status, status, "{answer:?}");
        ledger.note(&hook, &answer);
    };
    post(200);
    recorder.fail_next_sync(Part::Wal);
    post(503);
    post(200);
    assert!(!server.has_ended());
    let machine_after = Machine::new();
    recorder.after_power_cut(&mut Dice(7), &machine_after.database);
    let connection = Connection::open(&machine_after.database).expect("opened");
    assert!(is_sound(&connection));
    ledger.assert_taken(&connection);
}

#[test]
fn what_many_were_told_is_taken_is_on_the_disk_when_the_power_goes() {
    let machine = Machine::new();
    let recorder = Recorder::on(&machine);
    let mut server = recorded(&machine, &recorder, &["--workers", "1"]);
    let (ledger, stop, refused) = (Ledger::default(), AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _stops = SetAtEnd(&stop);
        let (server_of_clients, ledger, stop, refused) = (&server, &ledger, &stop, &refused);
        scope.spawn(move || post_until(server_of_clients, CROWDS[1], ledger, stop, refused));
        wait_until("there is load", || ledger.len() > 600);
        server_of_clients.signal(rustix::process::Signal::KILL);
    });
    server.wait();
    assert_eq!(refused.into_inner(), 0);
    assert_taken_after_power_cuts(&ledger, |seed| cut_off(&recorder, seed));
}

#[test]
fn a_failed_fsync_of_what_many_wait_for_acknowledges_nothing_more_and_the_next_start_recovers() {
    let machine = Machine::new();
    let recorder = Recorder::on(&machine);
    let mut server = recorded(&machine, &recorder, &["--workers", "0"]);
    let (ledger, stop, refused) = (Ledger::default(), AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _stops = SetAtEnd(&stop);
        let (server, ledger, stop, refused) = (&server, &ledger, &stop, &refused);
        scope.spawn(move || post_until(server, CROWDS[1], ledger, stop, refused));
        wait_until("there is load", || ledger.len() > 200);
        // One that SQLite has asked for is refused, and the server goes on.
        wait_until("one fails that others rest on", || {
            recorder.fail_next_sync(Part::Wal);
            mark_of(&machine.database).exists()
        });
    });
    let log = server.log();
    assert_eq!(server.wait().code(), Some(1), "{log}");
    assert_taken_after_power_cuts(&ledger, |seed| rebuilt(&machine, &recorder, seed));
    let server = machine.serve(&[]).ready();
    assert!(!mark_of(&machine.database).exists());
    machine.settle();
    ledger.assert_kept(&machine.connection());
    assert_exactly_once(&machine);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_backup_that_meets_a_fault_of_the_disk_is_there_and_sound_or_not_there_at_all() {
    let machine = Machine::new();
    machine.json(&["stores", "add", "backup.myshopify.com"]);
    let recorder = Recorder::on(&machine);
    let directory = machine.directory().join("backups");
    std::fs::create_dir(&directory).expect("made");
    let file = directory.join("copy.db");
    for force in [false, true] {
        for nth in 1.. {
            let mut command = machine.command(&["backup"]);
            command.arg(&file).args(force.then_some("--force"));
            let output = recorder.fail_nth(&mut command, nth, &directory).output().expect("it runs");
            let left: Vec<_> = std::fs::read_dir(&directory)
                .expect("listed")
                .map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned())
                .collect();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() {
                assert_eq!(left, ["copy.db"], "{nth}: {told}");
                assert!(is_sound(&Connection::open(&file).expect("opened")), "{nth}");
                std::fs::remove_file(&file).expect("removed");
            } else {
                assert!(matches!(output.status.code(), Some(1 | 3)) && left.is_empty(), "{nth}: {left:?} {output:?}");
            }
            if !recorder.has_nth_failed() {
                assert!(nth > 10 && output.status.success(), "{nth}: {told}");
                break;
            }
        }
    }
}

#[test]
fn where_another_process_has_met_a_failed_fsync_nothing_is_acknowledged_or_read_and_the_server_is_not_ready() {
    let fixture = quotegrid::testing::Fixture::new();
    let path = fixture.database();
    assert_eq!(fixture.admin("GET", "/readyz", None).status, 200);
    let locks = path.with_file_name(format!("{}.locks", path.file_name().expect("a name").to_string_lossy()));
    std::fs::create_dir_all(&locks).expect("made");
    std::fs::write(locks.join("fsync-failed"), "").expect("marked");
    wait_until("it is noticed, though nothing is written", || fixture.app.db.has_sync_failed());
    // An answer that was found out before holds for a second.
    wait_until("the server is not ready", || fixture.admin("GET", "/readyz", None).status == 503);
    assert_eq!(fixture.admin("GET", "/admin/api/stores", None).status, 503);
    assert_eq!(fixture.admin("GET", "/healthz", None).status, 200);
    let told = std::sync::Arc::new(AtomicBool::new(false));
    let heard = told.clone();
    fixture.app.db.on_failed_sync(move || heard.store(true, Ordering::Relaxed));
    assert!(told.load(Ordering::Relaxed), "whoever asks late is told at once");
}

#[test]
fn a_restore_that_meets_a_fault_of_the_disk_leaves_the_old_database_or_says_that_the_new_one_is_there() {
    let mut machine = Machine::new();
    let directory = machine.directory().join("data");
    machine.database = directory.join("quotegrid.db");
    let (backup, present) = (machine.directory().join("backup.db"), machine.directory().join("present.db"));
    machine.json(&["stores", "add", "old.myshopify.com"]);
    machine.json(&["backup", backup.to_str().expect("text")]);
    machine.json(&["stores", "add", "new.myshopify.com"]);
    std::fs::copy(&machine.database, &present).expect("copied");
    let recorder = Recorder::on(&machine);
    for nth in 1.. {
        let mut command = machine.command(&["restore"]);
        let output = recorder.fail_nth(command.arg(&backup), nth, &directory).output().expect("it runs");
        let left: std::collections::BTreeSet<_> = std::fs::read_dir(&directory)
            .expect("listed")
            .map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned())
            .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
            .collect();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(Vec::from_iter(left), ["quotegrid.db", "quotegrid.db.locks"], "{nth}: {told}");
        let is_new = machine.query::<i64>("SELECT count(*) FROM stores") == 1;
        assert!(is_sound(&machine.connection()), "{nth}: {told}");
        assert_eq!(output.status.success(), is_new, "{nth}: {told}");
        std::fs::copy(&present, &machine.database).expect("copied");
        if !recorder.has_nth_failed() {
            assert!(nth > 20 && output.status.success(), "{nth}: {told}");
            break;
        }
    }
}

#[test]
fn a_database_that_is_to_be_recovered_is_recovered_before_any_use_and_not_beside_another_program() {
    let machine = Machine::new();
    machine.json(&["stores", "add", "recovered.myshopify.com"]);
    let (mark, link) = (mark_of(&machine.database), machine.directory().join("link.db"));
    std::os::unix::fs::symlink(&machine.database, &link).expect("linked");
    std::fs::write(&mark, "").expect("marked");
    // As a replicator has it: the index that it keeps alive says of pages that they were copied, and is not to be believed.
    let replicator = machine.connection();
    replicator.execute_batch("BEGIN; SELECT count(*) FROM stores").expect("readable");
    let output = machine.command(&["stores", "list"]).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("stop every program that uses it") && mark.exists(), "{told}");
    drop(replicator);
    let mut backup = std::process::Command::new(machine.command(&[]).get_program());
    let output = backup.arg("backup").arg(machine.directory().join("copy.db")).arg("--database").arg(&link).output();
    assert!(output.as_ref().is_ok_and(|output| output.status.success()), "{output:?}");
    assert!(!mark.exists());
}
