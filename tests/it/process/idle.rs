//! A server with nothing to do.

use super::harness::*;
use quotegrid::shopify::Topic;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// Size and time of the last write of every file of the database.
fn files(machine: &Machine) -> Vec<(PathBuf, u64, SystemTime)> {
    // Looked at by name, never opened: this process may have the database open in SQLite.
    let mut files: Vec<_> = std::fs::read_dir(machine.directory())
        .expect("readable")
        .map(|entry| entry.expect("readable"))
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("quotegrid.db") && entry.path().is_file())
        .map(|entry| {
            let data = entry.metadata().expect("readable");
            (entry.path(), data.len(), data.modified().expect("known"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn an_idle_server_writes_nothing_and_hardly_uses_the_processor() {
    let machine = Machine::new();
    let server = machine.serve(&["--workers", "2"]).ready();
    assert_eq!(server.client().post(&Hook::new(Topic::ShopRedact, "idle.myshopify.com")).status, 200);
    machine.settle();
    // The last pages go from the WAL into the file within a second or two, and what was counted for the console's charts is added
    // within five; then it is quiet.
    let mut before = files(&machine);
    let quiet = Duration::from_millis(7_000);
    let mut since = Instant::now();
    wait_until("the files are left alone", || {
        let now = files(&machine);
        if now != before {
            before = now;
            since = Instant::now();
        }
        since.elapsed() > quiet
    });
    let (ticks_before, started) = (ticks(server.id()), Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let (used, took) = (ticks(server.id()) - ticks_before, started.elapsed());
    assert_eq!(files(&machine), before, "an idle server writes");
    let share = used as f64 * 0.01 / took.as_secs_f64();
    println!("idle: {used} ticks in {took:.1?}, {:.2} % of a core (a debug build)", share * 100.0);
    assert!(share < 0.2, "an idle server used {:.0} % of a core", share * 100.0);
}
