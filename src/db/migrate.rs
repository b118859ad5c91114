//! Brings the schema up to date: one process at a time, all steps in one transaction, with foreign keys off, and rehearsed on a
//! copy first.
//!
//! refinery opens a transaction for each migration and takes no lock of its own (four processes on a fresh file: 28 of 120
//! runs failed, measured). Rebuilding a parent table inside a transaction with foreign keys on erases its children (measured),
//! so they are off here, and what was changed is checked afterwards: on the copy, where a fault costs nothing. The copy is gone
//! before the file itself is changed: it would outlive an erasure.

use super::connection::{self, Role, Synchronous};
use super::error::OpenError;
use super::lock;
use super::{access, files};
use log::{info, warn};
use refinery::Runner;
use rusqlite::{Connection, OptionalExtension};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// How long to wait for another process that migrates the same file. Our largest rebuilds take seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a migration did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migrated {
    /// The schema version before; 0: a new file.
    pub from: u32,
    /// The schema version now.
    pub to: u32,
}

/// The schema version that this binary needs.
pub fn newest_version() -> u32 {
    newest_of(&embedded::migrations::runner())
}

fn newest_of(runner: &Runner) -> u32 {
    let newest = runner.get_migrations().iter().map(|migration| migration.version()).max();
    newest.and_then(|version| u32::try_from(version).ok()).unwrap_or(0)
}

/// What to do with a file that is missing or older than the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schema {
    /// Make it and migrate it.
    #[default]
    BringUpToDate,
    /// Make it when it is missing, refuse it when it is older: a server of the old version may be running on it.
    MakeIfMissing,
    /// Refuse it: for commands that only look.
    MustBeCurrent,
}

/// Opens the writer's connection to a file with the newest schema, making or migrating the file if `schema` allows.
pub(super) fn open_current(
    path: &Path,
    schema: Schema,
    synchronous: Synchronous,
) -> Result<(Connection, Migrated), OpenError> {
    connection::check_sqlite()?;
    open_with(embedded::migrations::runner(), path, schema, synchronous)
}

fn open_with(
    runner: Runner,
    path: &Path,
    schema: Schema,
    synchronous: Synchronous,
) -> Result<(Connection, Migrated), OpenError> {
    // All in one transaction, each with its line in the history: on its own refinery commits them one after the other, and
    // what dies between a migration and its line can never be opened again.
    let runner = &runner.set_grouped(true);
    let known = newest_of(runner);
    let not_migrated = |found| OpenError::NotMigrated { path: path.to_path_buf(), found, known };
    let unchanged = |connection| Ok((connection, Migrated { from: known, to: known }));
    // Looked at before the lock and its directory are made: what is not ours gets nothing put alongside it.
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => return Err(OpenError::NotAFile { path: path.to_path_buf() }),
        // SQLite takes what is shorter than its smallest page for an empty database, and would overwrite it.
        Ok(found) if (1..512).contains(&found.len()) => {
            return Err(OpenError::NotADatabase { path: path.to_path_buf() });
        }
        Ok(_) => {
            let current =
                connection::open_checked(path, synchronous, |connection| match version_of(connection, path)? {
                    found if found == known => Ok(Some(())),
                    found if found > known => Err(OpenError::Newer { path: path.to_path_buf(), found, known }),
                    0 if schema != Schema::MustBeCurrent => Ok(None),
                    found if schema != Schema::BringUpToDate => Err(not_migrated(found)),
                    _older => Ok(None),
                })?;
            if let Some((connection, ())) = current {
                return unchanged(connection);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if schema == Schema::MustBeCurrent {
                return Err(OpenError::Missing { path: path.to_path_buf() });
            }
        }
        Err(error) => return Err(OpenError::from_io(path, error)),
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        access::make_directories(parent).map_err(|error| OpenError::from_io(parent, error))?;
    }
    let migration_lock = MigrationLock::take(path)?;
    let is_new = connection::create_file(path)?;
    // Another process may have been here since.
    let opened = connection::open_checked(path, synchronous, |connection| match version_of(connection, path)? {
        found if found > known => Err(OpenError::Newer { path: path.to_path_buf(), found, known }),
        found if 0 < found && found < known && schema != Schema::BringUpToDate => Err(not_migrated(found)),
        found => Ok(Some(found)),
    });
    let brought = opened.and_then(|opened| {
        let (mut connection, from) = opened.expect("the look above always wants the connection");
        if from == known {
            return unchanged(connection);
        }
        if from > 0 {
            rehearse(runner, &connection, path, from)?;
        }
        run(runner, &mut connection).map_err(|fault| fault.into_open_error(path))?;
        info!("schema migrated from version {from} to {known}");
        Ok((connection, Migrated { from, to: known }))
    });
    if brought.is_err() && is_new {
        // Other processes do not have it open for more than a look: they wait for the lock.
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _never_made = fs::remove_file(files::companion(path, suffix));
        }
        migration_lock.remove();
    }
    brought
}

/// The schema version of a database of this program, or a refusal: of another program's, and of a later version's.
pub(super) fn check_owner(connection: &Connection, path: &Path) -> Result<u32, OpenError> {
    match (version_of(connection, path)?, newest_version()) {
        (found, known) if found > known => Err(OpenError::Newer { path: path.to_path_buf(), found, known }),
        (found, _known) => Ok(found),
    }
}

/// The schema version, or a refusal of what another program made. 0: an empty file, or one whose making was cut off.
fn version_of(connection: &Connection, path: &Path) -> Result<u32, OpenError> {
    let sqlite = |error| OpenError::from_sqlite(path, error);
    let (objects, ours, history): (u32, bool, bool) = connection
        .query_row(
            "SELECT count(*), ifnull(max(name = 'erasure_receipts'), 0), ifnull(max(name = 'refinery_schema_history'), 0)
             FROM sqlite_schema
             WHERE substr(name, 1, 7) <> 'sqlite_'",
            (),
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(sqlite)?;
    // refinery's table comes first and alone; others use refinery too, and have it alongside tables of their own.
    match (objects, ours, history) {
        (0, _, _) | (1, _, true) => return Ok(0),
        (_, true, true) => {}
        _ => return Err(OpenError::Foreign { path: path.to_path_buf() }),
    }
    let found: Option<u32> = connection
        .query_row("SELECT max(version) FROM refinery_schema_history", (), |row| row.get(0))
        .map_err(sqlite)?;
    Ok(found.unwrap_or(0))
}

/// The lock that lets one process at a time make or migrate a file.
struct MigrationLock {
    _held: File,
    directory: PathBuf,
}

impl MigrationLock {
    const NAME: &str = "migrate";

    fn take(path: &Path) -> Result<Self, OpenError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let directory = lock::make_directory(path).map_err(|error| OpenError::from_io(path, error))?;
            let io = |error| OpenError::from_io(&directory, error);
            let held = match lock::open(&directory, Self::NAME) {
                // Removed this moment by one that could not make the file.
                Err(error) if error.kind() == io::ErrorKind::NotFound && Instant::now() < until => continue,
                opened => opened.map_err(io)?,
            };
            if !lock::take(&held, Duration::from_secs(1)).map_err(io)? {
                warn!("another process is migrating the database, waiting for it");
                if !lock::take(&held, until.saturating_duration_since(Instant::now())).map_err(io)? {
                    return Err(OpenError::Locked { path: path.to_path_buf() });
                }
            }
            if lock::is_in_place(&held, &directory.join(Self::NAME)).map_err(io)? {
                return Ok(Self { _held: held, directory });
            }
        }
    }

    /// Leaves no trace of it: for a file that could not be made.
    fn remove(self) {
        let _left_behind = fs::remove_file(self.directory.join(Self::NAME));
        let _others_use_it = fs::remove_dir(&self.directory);
    }
}

/// Runs the migrations on a copy, which is gone again when this returns.
fn rehearse(runner: &Runner, connection: &Connection, path: &Path, version: u32) -> Result<(), OpenError> {
    let copy = files::companion(path, &format!(".upgrading-from-v{version}"));
    let remove = || {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            match fs::remove_file(files::companion(&copy, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(OpenError::from_io(&copy, error)),
                _ => {}
            }
        }
        Ok(())
    };
    // One may be left by a rehearsal that was cut off.
    remove()?;
    let rehearsed = rehearse_on(runner, connection, path, &copy);
    remove()?;
    rehearsed
}

fn rehearse_on(runner: &Runner, connection: &Connection, path: &Path, copy: &Path) -> Result<(), OpenError> {
    connection::create_file(copy)?;
    connection
        .execute("VACUUM INTO ?1", [files::literal(copy).to_string_lossy()])
        .map_err(|error| OpenError::from_sqlite(path, error))?;
    let mut connection = connection::open(copy, Role::Writer, Synchronous::Normal)?;
    run(runner, &mut connection).map_err(|fault| fault.into_open_error(path))
}

/// Why a migration failed.
enum Fault {
    Refinery(refinery::Error),
    Sqlite(rusqlite::Error),
    /// A row's reference that leads nowhere now.
    Orphan(String),
}

impl Fault {
    /// A full disk or a lock has its own words; the rest is the migration's fault.
    fn into_open_error(self, path: &Path) -> OpenError {
        use std::error::Error as _;
        let (cause, message) = match &self {
            Self::Refinery(error) => {
                let cause = error.source().and_then(|cause| cause.downcast_ref::<rusqlite::Error>());
                let words = error.source().map(ToString::to_string).unwrap_or_default();
                (cause, format!("{error}: {words}"))
            }
            Self::Sqlite(error) => (Some(error), error.to_string()),
            Self::Orphan(reference) => (None, format!("a row is left without its parent: {reference}")),
        };
        if let Some(failure) = cause.and_then(rusqlite::Error::sqlite_error) {
            match OpenError::from_sqlite(path, rusqlite::Error::SqliteFailure(*failure, None)) {
                OpenError::Sqlite { .. } | OpenError::NotADatabase { .. } => {}
                outcome => return outcome,
            }
        }
        OpenError::Migration { path: path.to_path_buf(), message }
    }
}

/// Runs what is due.
fn run(runner: &Runner, connection: &mut Connection) -> Result<(), Fault> {
    connection.pragma_update(None, "foreign_keys", "OFF").map_err(Fault::Sqlite)?;
    let ran = run_with_foreign_keys_off(runner, connection);
    connection.pragma_update(None, "foreign_keys", "ON").map_err(Fault::Sqlite)?;
    ran
}

fn run_with_foreign_keys_off(runner: &Runner, connection: &mut Connection) -> Result<(), Fault> {
    runner.run(connection).map_err(Fault::Refinery)?;
    let broken = connection
        .query_row("SELECT \"table\", parent FROM pragma_foreign_key_check LIMIT 1", (), |row| {
            Ok(format!("{} → {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })
        .optional()
        .map_err(Fault::Sqlite)?;
    broken.map_or(Ok(()), |reference| Err(Fault::Orphan(reference)))
}

#[cfg(test)]
mod tests {
    use super::{Migrated, OpenError, Path, Runner, Schema, Synchronous, embedded, open_with};
    use refinery::Migration;
    use std::fs;

    /// Ours, and after them `sql` as the next ones.
    fn with(sql: &[&str]) -> Runner {
        let mut migrations = embedded::migrations::runner().get_migrations().clone();
        let newest = super::newest_version();
        for (version, sql) in (newest + 1..).zip(sql) {
            migrations.push(Migration::unapplied(&format!("V{version}__next"), sql).expect("a migration"));
        }
        Runner::new(&migrations)
    }

    fn bring(runner: Runner, path: &Path) -> Result<Migrated, OpenError> {
        open_with(runner, path, Schema::BringUpToDate, Synchronous::Full).map(|(_connection, migrated)| migrated)
    }

    fn names_in(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .expect("listed")
            .map(|entry| entry.expect("listed").file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        names
    }

    fn old_database() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("test.db");
        bring(with(&[]), &path).expect("made");
        let connection = rusqlite::Connection::open(&path).expect("opened");
        connection
            .execute_batch(
                "INSERT INTO stores (id, shop, installed_at, created_at, updated_at) VALUES ('s', 'a', 1, 1, 1);
                 INSERT INTO api_keys (id, store_id, digest, prefix, created_at)
                 VALUES ('k', 's', zeroblob(32), 'p', 1)",
            )
            .expect("filled");
        (directory, path)
    }

    #[test]
    fn an_old_file_is_brought_up_to_date_and_its_copy_is_gone() {
        let (directory, path) = old_database();
        let newest = super::newest_version();
        // A rebuild of a parent table: with foreign keys on it would take its children with it.
        let rebuild = "CREATE TABLE stores_new AS SELECT * FROM stores; DROP TABLE stores;
                       CREATE TABLE stores (id TEXT PRIMARY KEY, shop TEXT); INSERT INTO stores SELECT id, shop FROM stores_new;
                       DROP TABLE stores_new";
        let migrated = bring(with(&[rebuild, "CREATE TABLE added (a)"]), &path).expect("migrated");
        assert_eq!(migrated, Migrated { from: newest, to: newest + 2 });
        assert_eq!(names_in(directory.path()), ["test.db", "test.db.locks"]);
        let connection = rusqlite::Connection::open(&path).expect("opened");
        let keys: i64 = connection.query_row("SELECT count(*) FROM api_keys", (), |row| row.get(0)).expect("read");
        assert_eq!(keys, 1, "the children of the rebuilt table are still there");
        // A program that knows less refuses it now.
        assert!(matches!(bring(with(&[]), &path), Err(OpenError::Newer { .. })));
    }

    #[test]
    fn a_failing_migration_leaves_the_file_as_it_was() {
        let failing: [&[&str]; 3] = [
            &["CREATE TABLE added (a); INSERT INTO nowhere VALUES (1)"],
            // The one before it is not kept either.
            &["CREATE TABLE added (a)", "INSERT INTO nowhere VALUES (1)"],
            // Found only by the check afterwards.
            &["DELETE FROM stores"],
        ];
        for sql in failing {
            let (directory, path) = old_database();
            // Left by an upgrade that was cut off.
            fs::write(directory.path().join("test.db.upgrading-from-v1"), "half").expect("written");
            let before = fs::read(&path).expect("read");
            let refused = bring(with(sql), &path);
            let Err(OpenError::Migration { .. }) = &refused else { panic!("{refused:?}") };
            assert!(before == fs::read(&path).expect("read"), "{sql:?}");
            assert_eq!(names_in(directory.path()), ["test.db", "test.db.locks"], "{sql:?}");
            bring(with(&[]), &path).expect("the old binary goes on");
        }
    }

    #[test]
    fn a_file_that_could_not_be_made_leaves_nothing_behind() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let refused = bring(with(&["INSERT INTO nowhere VALUES (1)"]), &directory.path().join("test.db"));
        assert!(matches!(refused, Err(OpenError::Migration { .. })), "{refused:?}");
        assert!(names_in(directory.path()).is_empty());
    }

    #[test]
    fn an_old_file_is_migrated_only_by_who_asks_for_it() {
        let (_directory, path) = old_database();
        let before = fs::read(&path).expect("read");
        for schema in [Schema::MakeIfMissing, Schema::MustBeCurrent] {
            let refused = open_with(with(&["CREATE TABLE added (a)"]), &path, schema, Synchronous::Full);
            assert!(matches!(refused, Err(OpenError::NotMigrated { .. })), "{schema:?}");
            assert!(before == fs::read(&path).expect("read"), "{schema:?}");
        }
    }

    #[test]
    fn a_making_that_was_cut_off_is_taken_up_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("test.db");
        let connection = rusqlite::Connection::open(&path).expect("opened");
        // What refinery has committed before the first migration.
        connection
            .execute_batch(
                "CREATE TABLE refinery_schema_history(version INT4 PRIMARY KEY, name VARCHAR(255),
                     applied_on VARCHAR(255), checksum VARCHAR(255))",
            )
            .expect("made");
        drop(connection);
        assert_eq!(bring(with(&[]), &path).expect("made").from, 0);
    }
}
