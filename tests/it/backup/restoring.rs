//! The way back: what a restore brings back, what it refuses, and what it replaces.

use super::{House, OPENINGS, assert_clean, erase, has_store, install, one};
use quotegrid::backup::{self, BackupError, Restore, RestoreReport};
use quotegrid::db::OpenError;
use quotegrid::entropy::SeededEntropy;
use quotegrid::queue::NewJob;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[test]
fn a_restore_brings_back_what_was_there_and_nothing_that_came_later() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    let job = app.enqueue(NewJob::new("later", json!({ "n": 1 }))).expect("enqueued");
    house.back_up();
    house.pass_a_minute();
    app.enqueue(NewJob::new("later", json!({ "n": 2 }))).expect("enqueued");
    drop(app);
    assert_eq!(house.restore().expect("restored"), RestoreReport::default());
    assert_eq!(house.names(), ["backup.db", "house.db", "house.db.locks"]);
    assert_eq!(fs::metadata(house.database()).expect("there").permissions().mode() & 0o777, 0o600);
    let app = house.open();
    assert_eq!(one::<String>(&app, "SELECT group_concat(id) FROM job_queue"), job.to_string());
    assert!(has_store(&app, "one"));
    assert_clean(&app);
}

#[test]
fn a_restore_without_a_database_makes_one() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    house.back_up();
    drop(app);
    for name in house.names().iter().filter(|name| name.starts_with("house.db")) {
        let path = house.path(name);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removed");
    }
    house.restore().expect("restored");
    assert!(has_store(&house.open(), "one"));
}

#[test]
fn a_database_in_use_is_not_replaced() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    house.back_up();
    let names = house.names();
    assert!(matches!(house.restore(), Err(BackupError::InUse { .. })));
    assert_eq!(house.names(), names);
    install(&app, "two");
    assert!(has_store(&app, "two"), "it goes on as before");
    drop(app);
    house.restore().expect("restored");
}

#[test]
fn files_that_are_no_backup_are_refused_and_the_database_stays() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    let good = house.back_up();
    drop(app);
    let newer = house.path("newer.db");
    fs::copy(&good, &newer).expect("copied");
    let connection = rusqlite::Connection::open(&newer).expect("a database");
    connection
        .execute("INSERT INTO refinery_schema_history (version, name) VALUES (9999, 'from_the_future')", ())
        .expect("written");
    connection.close().expect("closed");
    let foreign = rusqlite::Connection::open(house.path("foreign.db")).expect("a database");
    foreign.execute_batch("CREATE TABLE other (x); INSERT INTO other VALUES (1)").expect("written");
    foreign.close().expect("closed");
    fs::write(house.path("text"), "no database, but long enough to be looked at ".repeat(100)).expect("written");
    fs::write(house.path("empty"), "").expect("written");
    let bytes = fs::read(&good).expect("readable");
    fs::write(house.path("cut"), &bytes[..bytes.len() / 2]).expect("written");
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8_192].fill(0xa5);
    fs::write(house.path("damaged"), damaged).expect("written");
    fs::remove_file(&good).expect("removed");
    fs::create_dir(house.path("folder")).expect("made");
    for name in ["newer.db", "foreign.db", "text", "empty", "cut", "damaged", "missing", "folder"] {
        let error = house.restore_from(name, false).expect_err(name);
        let told = match name {
            "missing" => error.to_string().contains("missing cannot be read: there is no such file"),
            "folder" => error.to_string().contains("folder is not a file"),
            _ => matches!(&error, BackupError::Unusable(_)),
        };
        assert!(told, "{name}: {error}");
        let newer = matches!(&error, BackupError::Unusable(OpenError::Newer { found: 9999, .. }));
        assert_eq!(newer, name == "newer.db", "{error}");
        assert!(!house.names().iter().any(|name| name.contains("restoring")), "{:?}", house.names());
        assert!(has_store(&house.open(), "one"), "{name}");
    }
}

#[test]
fn a_backup_with_another_chain_of_receipts_is_refused_while_there_is_one_to_lose() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    erase(&app, "one");
    drop(app);
    let other = House::new();
    let app = other.open();
    install(&app, "theirs");
    let theirs = other.back_up();
    drop(app);
    fs::copy(theirs, house.path("backup.db")).expect("copied");
    let error = house.restore().expect_err("two chains");
    assert!(matches!(error, BackupError::OtherChain { receipts: 2, .. }), "{error}");
    assert_eq!(one::<u64>(&house.open(), "SELECT count(*) FROM erasure_receipts"), 2);
    // A database that has erased nobody has no chain to lose: a backup may move to a new machine.
    let fresh = House::new();
    drop(fresh.open());
    fs::copy(house.path("backup.db"), fresh.path("backup.db")).expect("copied");
    fresh.restore().expect("restored");
    assert!(has_store(&fresh.open(), "theirs"));
}

#[test]
fn a_database_that_cannot_be_read_is_replaced_only_without_its_erasures() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    house.back_up();
    drop(app);
    fs::write(house.database(), "ruined ".repeat(10_000)).expect("written");
    let error = house.restore().expect_err("nobody knows what was erased");
    assert!(error.to_string().contains("--without-replay"), "{error}");
    house.restore_from("backup.db", true).expect("restored");
    assert!(has_store(&house.open(), "one"));
}

#[test]
fn the_wal_of_a_database_that_is_gone_does_not_get_into_the_one_that_is_restored() {
    for ruined in [false, true] {
        let house = House::new();
        let app = house.open();
        install(&app, "one");
        house.back_up();
        install(&app, "later");
        // What a process that is killed leaves behind.
        let wal = fs::read(house.path("house.db-wal")).expect("a WAL");
        drop(app);
        if ruined {
            fs::write(house.database(), "ruined ".repeat(10_000)).expect("written");
        } else {
            fs::remove_file(house.database()).expect("removed");
        }
        fs::write(house.path("house.db-wal"), wal).expect("written");
        house.restore_from("backup.db", ruined).expect("restored");
        let restored = rusqlite::Connection::open(house.database()).expect("a database");
        let sound: String = restored.query_row("PRAGMA integrity_check", (), |row| row.get(0)).expect("checked");
        assert_eq!(sound, "ok", "ruined: {ruined}");
        drop(restored);
        let app = house.open();
        assert!(has_store(&app, "one") && !has_store(&app, "later"), "ruined: {ruined}");
    }
}

#[test]
fn a_restore_by_way_of_a_symbolic_link_replaces_the_database_and_not_the_link() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    house.back_up();
    install(&app, "later");
    drop(app);
    let link = house.path("link.db");
    std::os::unix::fs::symlink(house.database(), &link).expect("linked");
    let restore = Restore {
        backup: house.path("backup.db"),
        database: link.clone(),
        clock: house.clock.clone(),
        entropy: Arc::new(SeededEntropy::new(OPENINGS.fetch_add(1, Ordering::Relaxed))),
        without_replay: false,
    };
    backup::restore(&restore, &mut |_stage| {}).expect("restored");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    let app = house.open();
    assert!(has_store(&app, "one") && !has_store(&app, "later"));
    drop(app);
    assert_eq!(house.names(), ["backup.db", "house.db", "house.db.locks", "link.db"]);
}
