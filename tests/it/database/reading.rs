//! Reads: one snapshot, no writes, an end; and what is left when all is closed.

use super::{FOREVER, Fixture, names, note, size_of};
use crate::support::command::program;
use quotegrid::db::{self, Db, Error, Options};
use rusqlite::ffi::ErrorCode;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

fn count(connection: &rusqlite::Connection) -> db::Result<i64> {
    Ok(connection.query_row("SELECT count(*) FROM meta", (), |row| row.get(0))?)
}

#[test]
fn a_read_is_one_snapshot() {
    let fixture = Fixture::new();
    let counts = fixture
        .db
        .read(|connection| -> db::Result<_> {
            let before = count(connection)?;
            fixture.db.write(|tx| note(tx, "meanwhile"))?;
            Ok((before, count(connection)?))
        })
        .expect("read");
    assert_eq!(counts, (0, 0));
    assert_eq!(names(&fixture.db), ["meanwhile"]);
}

#[test]
fn a_read_cannot_write() {
    let fixture = Fixture::new();
    for statement in ["INSERT INTO meta (name, value) VALUES ('a', x'00')", "CREATE TABLE other (a)", "DROP TABLE meta"]
    {
        let outcome = fixture.db.read(|connection| -> db::Result<_> { Ok(connection.execute(statement, ())?) });
        let error = outcome.expect_err("refused");
        assert_eq!(error.code(), Some(ErrorCode::ReadOnly), "{statement}: {error}");
    }
    assert!(names(&fixture.db).is_empty());
}

#[test]
fn a_read_that_takes_too_long_is_ended() {
    let fixture = Fixture::with(|options| options.read_limit = Duration::from_millis(50));
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    let outcome =
        fixture.db.read(|connection| -> db::Result<i64> { Ok(connection.query_row(endless, (), |row| row.get(0))?) });
    assert_eq!(outcome.expect_err("ended").code(), Some(ErrorCode::OperationInterrupted));
    assert!(names(&fixture.db).is_empty(), "the next read has time of its own");
}

#[test]
fn a_panicking_read_gives_its_connection_back() {
    let fixture = Fixture::with(|options| options.readers = 1);
    for _ in 0..3 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            fixture.db.read(|_connection| -> db::Result<()> { panic!("on purpose") })
        }));
        assert!(outcome.is_err());
    }
    fixture.db.write(|tx| note(tx, "a")).expect("written");
    assert_eq!(names(&fixture.db), ["a"], "not the snapshot of the read that panicked");
    assert!(fixture.db.empty_wal(FOREVER).expect("tried"), "no snapshot is left open");
}

#[test]
fn more_readers_at_once_than_there_are_connections_wait_for_one() {
    let fixture = Fixture::with(|options| options.readers = 2);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert!(names(&fixture.db).is_empty());
                }
            });
        }
    });
    // All of them held: told after a short while, not after half a minute.
    let held = fixture.db.read(|_first| fixture.db.read(|_second| -> db::Result<_> { Ok(fixture.db.read(count)) }));
    assert!(matches!(held, Ok(Err(Error::NoReader(_)))), "{held:?}");
}

#[test]
fn nothing_but_the_file_is_left_when_all_is_closed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("test.db");
    for round in 0..20 {
        let db = Db::open(&Options::new(&path)).expect("opened");
        db.write(move |tx| note(tx, &format!("{round:02}"))).expect("written");
        assert!(size_of(&path, "-wal").is_some_and(|bytes| bytes > 0));
        std::thread::scope(|scope| {
            for _ in 0..round % 5 {
                scope.spawn(|| names(&db));
            }
        });
        drop(db);
        assert_eq!((size_of(&path, "-wal"), size_of(&path, "-shm")), (None, None), "round {round}");
    }
    assert_eq!(names(&Db::open(&Options::new(&path)).expect("opened")).len(), 20);
}

#[test]
fn a_command_leaves_nothing_but_the_file() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("test.db");
    for arguments in
        [&["migrate"][..], &["stores", "list"], &["jobs", "stats"], &["jobs", "enqueue", "some_type", "{}"]]
    {
        let status = program().arg("--database").arg(&path).args(arguments).output().expect("runs").status;
        assert!(status.success(), "{arguments:?}");
        assert_eq!((size_of(&path, "-wal"), size_of(&path, "-shm")), (None, None), "{arguments:?}");
    }
}

#[test]
fn the_files_are_for_their_owner_alone() {
    let fixture = Fixture::new();
    fixture.db.write(|tx| note(tx, "a")).expect("written");
    for (suffix, mode) in [("", 0o600), ("-wal", 0o600), ("-shm", 0o600), (".locks", 0o700), (".locks/migrate", 0o600)]
    {
        let mut name = fixture.path().into_os_string();
        name.push(suffix);
        let found = std::fs::metadata(&name).expect(suffix).permissions().mode() & 0o777;
        assert_eq!(found, mode, "{suffix}: {found:o}");
    }
}

#[test]
fn sqlite_keeps_no_statistics_with_copies_of_what_is_erased() {
    let fixture = Fixture::new();
    let tables = fixture
        .db
        .read(|connection| -> db::Result<i64> {
            Ok(connection.query_row(
                "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'sqlite_stat%'",
                (),
                |row| row.get(0),
            )?)
        })
        .expect("read");
    assert_eq!(tables, 0);
}
