//! Brings the schema up to date: one process at a time, with foreign keys off, a copy of the old file beside it until it is done.
//!
//! refinery opens a transaction for each migration and takes no lock of its own (four processes on a fresh file: 28 of 120
//! runs failed, measured). Rebuilding a parent table inside a transaction with foreign keys on erases its children (measured),
//! so they are off here, and what was changed is checked afterwards.

use super::connection::{self, Role, Synchronous};
use super::error::OpenError;
use super::lock;
use log::{info, warn};
use rusqlite::{Connection, OptionalExtension};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// How long to wait for another process that migrates the same file. Our largest rebuilds take seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a migration did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The schema version before; 0: a new file.
    pub from: u32,
    /// The schema version now.
    pub to: u32,
}

/// The schema version that this binary needs.
pub fn newest_version() -> u32 {
    let newest = embedded::migrations::runner().get_migrations().iter().map(|migration| migration.version()).max();
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
    if schema == Schema::MustBeCurrent {
        if !path.exists() {
            return Err(OpenError::Missing { path: path.to_path_buf() });
        }
        let connection = connection::open(path, Role::Writer, synchronous)?;
        let found = check_owner(&connection, path)?;
        if found < newest_version() {
            return Err(OpenError::NotMigrated { path: path.to_path_buf(), found, known: newest_version() });
        }
        return Ok((connection, Migrated { from: found, to: found }));
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|error| OpenError::from_io(parent, error))?;
    }
    let _only_one = lock_out_others(path)?;
    connection::create_file(path)?;
    let mut connection = connection::open(path, Role::Writer, synchronous)?;
    let from = check_owner(&connection, path)?;
    let to = newest_version();
    if schema == Schema::MakeIfMissing && from > 0 && from < to {
        return Err(OpenError::NotMigrated { path: path.to_path_buf(), found: from, known: to });
    }
    if from < to {
        let copy = if from > 0 { Some(copy_before(&connection, path, from)?) } else { None };
        if let Err(message) = run(&mut connection) {
            return Err(OpenError::Migration { path: path.to_path_buf(), message, copy });
        }
        if let Some(copy) = copy {
            // It would outlive an erasure.
            fs::remove_file(&copy).map_err(|error| OpenError::from_io(&copy, error))?;
        }
        info!("schema brought from version {from} to {to}");
    }
    Ok((connection, Migrated { from, to }))
}

/// Refuses databases of other programs and of later versions, before anything is written. Returns the schema version.
pub(super) fn check_owner(connection: &Connection, path: &Path) -> Result<u32, OpenError> {
    let sqlite = |error| OpenError::from_sqlite(path, error);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).map_err(sqlite)?;
    if tables == 0 {
        return Ok(0);
    }
    let history: Option<i64> = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'", (), |row| row.get(0))
        .optional()
        .map_err(sqlite)?;
    if history.is_none() {
        return Err(OpenError::Foreign { path: path.to_path_buf() });
    }
    let found: Option<u32> = connection
        .query_row("SELECT max(version) FROM refinery_schema_history", (), |row| row.get(0))
        .map_err(sqlite)?;
    let (found, known) = (found.unwrap_or(0), newest_version());
    if found > known {
        return Err(OpenError::Newer { path: path.to_path_buf(), found, known });
    }
    Ok(found)
}

fn lock_out_others(path: &Path) -> Result<File, OpenError> {
    let directory = lock::make_directory(path).map_err(|error| OpenError::from_io(path, error))?;
    let file = lock::open(&directory, "migrate").map_err(|error| OpenError::from_io(&directory, error))?;
    let io = |error| OpenError::from_io(&directory, error);
    if lock::take(&file, Duration::from_secs(1)).map_err(io)? {
        return Ok(file);
    }
    warn!("another process is migrating the database, waiting for it");
    if lock::take(&file, PATIENCE).map_err(io)? {
        return Ok(file);
    }
    Err(OpenError::Locked { path: path.to_path_buf() })
}

fn copy_before(connection: &Connection, path: &Path, version: u32) -> Result<PathBuf, OpenError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".before-upgrade-from-v{version}"));
    let copy = path.with_file_name(name);
    if copy.exists() {
        // Left by an upgrade that failed or was cut off; the file itself is still what it was, so a new copy is as good.
        fs::remove_file(&copy).map_err(|error| OpenError::from_io(&copy, error))?;
    }
    connection::create_file(&copy)?;
    connection
        .execute("VACUUM INTO ?1", [copy.to_string_lossy()])
        .map_err(|error| OpenError::from_sqlite(path, error))?;
    Ok(copy)
}

fn run(connection: &mut Connection) -> Result<(), String> {
    let text = |error: rusqlite::Error| error.to_string();
    connection.pragma_update(None, "foreign_keys", "OFF").map_err(text)?;
    let report = embedded::migrations::runner().run(connection).map_err(|error| {
        use std::error::Error as _;
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        format!("{error}: {cause}")
    })?;
    if !report.applied_migrations().is_empty() {
        let broken = connection
            .query_row("SELECT \"table\", parent FROM pragma_foreign_key_check LIMIT 1", (), |row| {
                Ok(format!("{} → {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .optional()
            .map_err(text)?;
        if let Some(reference) = broken {
            return Err(format!("a row is left without its parent: {reference}"));
        }
    }
    connection.pragma_update(None, "foreign_keys", "ON").map_err(text)
}
