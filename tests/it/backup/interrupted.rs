//! Backups and restores that are killed, and what they leave.

use super::{House, PROGRAM, assert_clean, erase, has_store, holds, install, one};
use quotegrid::queue::NewJob;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a command that is killed, as by `kill -9`, when it comes to `point`.
fn run_killed_at(point: &str, command: &str, database: &Path, file: &Path) {
    let status = Command::new(PROGRAM)
        .args([command, "--database"])
        .args([database, file])
        .env("QUOTEGRID_KILL_AT", point)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert_eq!(status.expect("it runs").signal(), Some(9), "{point}");
}

/// The problems that the doctor finds, and whether it ends as it should with them.
fn doctor(house: &House) -> Vec<String> {
    let output = Command::new(PROGRAM).args(["doctor", "--json", "--database"]).arg(house.database()).output();
    let output = output.expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let problems: Vec<String> = serde_json::from_value(report["problems"].clone()).expect("a list");
    assert_eq!(output.status.code(), Some(i32::from(!problems.is_empty())), "{report}");
    problems
}

/// The places that `gdpr verify` names, and whether it ends as it should with them.
fn leftovers(house: &House) -> Vec<String> {
    let output = Command::new(PROGRAM).args(["gdpr", "verify", "--json", "--database"]).arg(house.database()).output();
    let output = output.expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let places = report["leftovers"].as_array().expect("a list").iter();
    let places: Vec<String> = places.map(|leftover| leftover["place"].as_str().expect("text").to_owned()).collect();
    assert_eq!((output.status.code(), &report["ok"]), (Some(i32::from(!places.is_empty())), &json!(places.is_empty())));
    places
}

/// Starts a server, and kills it once it is ready.
fn start(house: &House) {
    start_with(
        house,
        &["serve", "--listen", "127.0.0.1:0", "--shopify-api-secret", "hush-hush"],
        "quotegrid listening",
    );
}

/// Starts a command that goes on, and kills it once it says `ready`.
fn start_with(house: &House, arguments: &[&str], ready: &str) {
    let mut server = Command::new(PROGRAM)
        .args(arguments)
        .arg("--database")
        .arg(house.database())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
    assert!(line.starts_with(ready), "{line}");
    server.kill().expect("killed");
    server.wait().expect("dead");
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn a_restore_that_is_killed_at_any_point_leaves_the_old_database_or_the_new_one() {
    for (point, line, is_new) in [
        ("restore::copied", "the backup is copied", false),
        ("restore::carried_over", "carried over", false),
        ("restore::ready", "the result is sound", false),
        ("restore::replaced", "it is in place", true),
    ] {
        let house = House::new();
        let app = house.open();
        install(&app, "erased");
        house.back_up();
        house.pass_a_minute();
        erase(&app, "erased");
        app.enqueue(NewJob::new("after the backup".replace(' ', "_"), json!({}))).expect("enqueued");
        drop(app);
        let mut child = Command::new(PROGRAM)
            .args(["restore", "--database"])
            .args([house.database(), house.path("backup.db")])
            .env("FAILPOINTS", format!("{point}=pause"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let reached = lines.find(|told| told.as_ref().is_ok_and(|told| told.contains(line)));
        assert!(reached.is_some(), "{point}");
        child.kill().expect("killed");
        child.wait().expect("dead");
        let app = house.open();
        assert!(!has_store(&app, "erased"), "{point}");
        let later: u64 = one(&app, "SELECT count(*) FROM job_queue WHERE type = 'after_the_backup'");
        assert_eq!(later == 0, is_new, "{point}");
        assert_clean(&app);
        drop(app);
        // The next one goes through, and leaves nothing of the first behind.
        house.restore().expect("restored");
        assert_eq!(house.names(), ["backup.db", "house.db", "house.db.locks"], "{point}");
        assert_clean(&house.open());
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn what_a_killed_restore_has_left_is_named_by_the_doctor_and_removed_by_the_next_start() {
    for point in ["restore::copied", "restore::carried_over", "restore::ready"] {
        let house = House::new();
        let app = house.open();
        install(&app, "erased");
        house.back_up();
        house.pass_a_minute();
        erase(&app, "erased");
        drop(app);
        run_killed_at(point, "restore", &house.database(), &house.path("backup.db"));
        let left = house.path("house.db.restoring");
        assert!(left.exists(), "{point}");
        let held = holds(&left, "marked-erased");
        assert!(held || point != "restore::copied", "it has what was erased since the backup");
        let problems = doctor(&house);
        assert!(problems.len() == 1 && problems[0].contains("house.db.restoring"), "{point}: {problems:?}");
        assert_eq!(leftovers(&house), ["house.db.restoring"], "{point}");
        match point {
            "restore::copied" => start(&house),
            "restore::carried_over" => start_with(&house, &["work"], "quotegrid working"),
            _ => start_with(&house, &["jobs", "run-next"], ""),
        }
        let names = house.names();
        assert!(!names.iter().any(|name| name.contains("restoring")), "{point}: {names:?}");
        assert_eq!(doctor(&house), Vec::<String>::new(), "{point}");
        assert_clean(&house.open());
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn what_a_killed_backup_has_left_goes_with_the_next_one_or_the_next_start_and_one_that_is_being_written_stays() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    drop(app);
    for point in ["backup::copied", "backup::synced"] {
        let left = house.path("monday.db.backing-up");
        run_killed_at(point, "backup", &house.database(), &house.path("monday.db"));
        assert!(holds(&left, "marked-one"), "{point}");
        let problems = doctor(&house);
        assert!(problems.len() == 1 && problems[0].contains("monday.db.backing-up"), "{point}: {problems:?}");
        assert_eq!(leftovers(&house), ["monday.db.backing-up"], "{point}");
        // Of another name: whoever keeps one a day never writes to the same again.
        house.back_up();
        assert!(!left.exists(), "{point}");

        run_killed_at(point, "backup", &house.database(), &house.path("monday.db"));
        let writing = fs::File::open(&left).expect("there");
        writing.lock().expect("locked, as by whoever writes it");
        house.back_up();
        start(&house);
        assert!(left.exists(), "{point}: it is being written");
        assert_eq!(doctor(&house), Vec::<String>::new(), "{point}");
        drop(writing);
        start(&house);
        assert_eq!(
            house.names(),
            ["backup.db", "house.db", "house.db-shm", "house.db-wal", "house.db.locks"],
            "{point}"
        );
        fs::remove_file(house.path("backup.db")).expect("removed");
    }
}

#[test]
fn a_database_named_like_an_unfinished_backup_is_not_taken_for_one() {
    let house = House::new();
    let database = house.path("house.db.backing-up");
    drop(house.open_file("house.db.backing-up"));
    for command in [&["doctor"][..], &["backup", "copy.db"]] {
        let mut run = Command::new(PROGRAM);
        let output = run.args(command).arg("--database").arg(&database).current_dir(&house.directory).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(database.exists(), "{command:?}");
    }
    quotegrid::backup::unfinished::remove(&database).expect("removed");
    assert!(database.exists());
}
