//! Taking a backup.

use super::{House, PROGRAM, erase, has_store, install, one};
use crate::support::waiting::SetAtEnd;
use quotegrid::backup::{self, BackupError};
use quotegrid::queue::NewJob;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

#[test]
fn a_backup_is_whole_for_its_owner_only_and_laid_out_like_the_database() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    app.enqueue(NewJob::new("later", json!({ "n": 1 }))).expect("enqueued");
    let backup = house.back_up();
    assert_eq!(fs::metadata(&backup).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(house.names(), ["backup.db", "house.db", "house.db-shm", "house.db-wal", "house.db.locks"]);
    // Opening reads back every setting, secure_delete among them.
    let copy = house.open_file("backup.db");
    for table in ["stores", "price_matrices", "matrix_cells", "job_queue", "api_keys", "meta"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(one::<u64>(&copy, &count), one::<u64>(&app, &count), "{table}");
    }
    let layout = "SELECT page_size || ' ' || auto_vacuum FROM pragma_page_size, pragma_auto_vacuum";
    assert_eq!(one::<String>(&copy, layout), "4096 2");
    assert!(copy.hasher == app.hasher);
}

#[test]
fn a_backup_overwrites_nothing_unless_told_to_and_never_the_database() {
    let house = House::new();
    let app = house.open();
    let target = house.path("precious");
    fs::write(&target, "precious").expect("written");
    let create = |target: &Path, force| backup::create(&house.database(), target, force, &mut |_done, _all| {});
    assert!(matches!(create(&target, false), Err(BackupError::Exists { .. })));
    assert_eq!(fs::read(&target).expect("readable"), b"precious");
    assert!(matches!(create(&house.database(), true), Err(BackupError::Itself { .. })));
    create(&target, true).expect("overwritten");
    assert!(matches!(create(&target, false), Err(BackupError::Exists { .. })));
    assert!(backup::create(&house.path("nothing.db"), &target, true, &mut |_done, _all| {}).is_err());
    assert!(!house.names().iter().any(|name| name.contains("backing-up")), "{:?}", house.names());
    drop(app);
}

#[test]
fn a_wal_that_lies_beside_the_name_of_a_backup_does_not_get_into_it() {
    let house = House::new();
    let app = house.open();
    install(&app, "erased");
    let wal = fs::read(house.path("house.db-wal")).expect("a WAL");
    erase(&app, "erased");
    install(&app, "new");
    for _overwritten in [false, true] {
        // What a program leaves that looked into an older backup and was killed.
        fs::write(house.path("backup.db-wal"), &wal).expect("written");
        house.back_up();
        let backup = house.open_file("backup.db");
        assert!(has_store(&backup, "new") && !has_store(&backup, "erased"));
    }
}

#[test]
fn while_a_backup_is_copied_the_wal_can_be_emptied_and_what_is_written_meanwhile_is_in_it() {
    let house = House::new();
    let app = house.open();
    for _ in 0..2_000 {
        app.enqueue(NewJob::new("early", json!({ "padding": "x".repeat(6_000) }))).expect("enqueued");
    }
    let mut steps = 0;
    backup::create(&house.database(), &house.path("backup.db"), false, &mut |done, all| {
        if done == all {
            return;
        }
        steps += 1;
        app.enqueue(NewJob::new("meanwhile", json!({ "padding": "y".repeat(6_000) }))).expect("enqueued");
        // Pages go, in the part that was copied as well as in the other, and the file gets shorter.
        let gone: quotegrid::db::Result<()> = app.db.write(move |tx| {
            let ends = "SELECT * FROM (SELECT id FROM job_queue ORDER BY id LIMIT 20)
                        UNION SELECT * FROM (SELECT id FROM job_queue WHERE type = 'early' ORDER BY id DESC LIMIT 20)";
            tx.execute(&format!("DELETE FROM job_queue WHERE id IN ({ends})"), ())?;
            tx.vacuum_some(50)
        });
        gone.expect("deleted");
        assert!(
            app.db.empty_wal(Duration::from_secs(120)).expect("tried"),
            "a snapshot is held while pages are copied"
        );
    })
    .expect("copied");
    assert!(steps >= 2, "{steps} steps");
    let copy = house.open_file("backup.db");
    for kind in ["early", "meanwhile"] {
        let ids = format!(
            "SELECT count(*) || ' ' || group_concat(id) FROM (SELECT id FROM job_queue WHERE type = '{kind}' ORDER BY id)"
        );
        assert_eq!(one::<String>(&copy, &ids), one::<String>(&app, &ids), "{kind}");
    }
}

#[test]
fn a_backup_under_full_load_is_a_beginning_of_the_history() {
    let house = House::new();
    let app = house.open();
    let (written, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let _stops = SetAtEnd(&stop);
        let writer = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let number = written.load(Ordering::Relaxed);
                // Padded, so that there is something to copy.
                let payload = json!({ "n": number, "padding": "x".repeat(2_000) });
                app.enqueue(NewJob::new("numbered", payload)).expect("enqueued");
                written.store(number + 1, Ordering::Relaxed);
            }
        });
        for round in 0..3 {
            while written.load(Ordering::Relaxed) < (round + 1) * 200 {
                assert!(!writer.is_finished(), "nothing more is written");
                std::thread::yield_now();
            }
            let before = written.load(Ordering::Relaxed);
            let output = Command::new(PROGRAM)
                .args(["backup", "--force", "--json", "--database"])
                .args([house.database(), house.path("backup.db")])
                .output()
                .expect("it runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(String::from_utf8_lossy(&output.stderr).contains("100 %"), "progress is told");
            let after = written.load(Ordering::Relaxed) + 1;
            let copy = house.open_file("backup.db");
            let count: u64 = one(&copy, "SELECT count(*) FROM job_queue");
            let last: u64 = one(&copy, "SELECT max(payload ->> '$.n') FROM job_queue");
            assert_eq!(last + 1, count, "none is missing before the last");
            assert!((before..=after).contains(&count), "{before} <= {count} <= {after}");
        }
    });
}
