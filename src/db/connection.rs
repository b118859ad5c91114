//! How each connection is set up. Every setting is read back: SQLite ignores what it does not know or cannot do, silently.

use super::error::OpenError;
use super::{access, files};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The oldest SQLite that does not damage a WAL file under two connections (the "WAL reset" fault, sqlite.org/changes.html).
const SQLITE_FLOOR: (i32, &str) = (3_051_003, "3.51.3");

/// A commit writes every page that it has touched, whole: with pages of 8 KiB a lone webhook costs the disk nearly twice as many
/// bytes as with 4 KiB (measured). Smaller ones would have the payloads of most jobs overflow into pages of their own.
pub(super) const PAGE_SIZE: i64 = 4096;

/// Shopify gives up after 5 s, so waiting longer for the write lock would only hide an overload.
const BUSY_LIMIT: Duration = Duration::from_secs(4);

/// SQLite's own back-off sleeps up to 100 ms and lets a busy second writer keep the first out for seconds (measured).
const BUSY_POLL: Duration = Duration::from_micros(700);

/// What a WAL file is cut down to once it has started over, in bytes.
pub(super) const JOURNAL_SIZE_LIMIT: i64 = 32 << 20;

/// How long [`open_unconfigured`] waits for a lock, which others hold only for moments.
const UNCONFIGURED_LIMIT: Duration = Duration::from_secs(10);

/// Prepared statements kept per connection: all that the program has, with room.
const STATEMENTS: usize = 192;

/// How hard a commit is pushed to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// A commit is on the disk before it is answered: survives a power cut.
    #[default]
    Full,
    /// A commit survives the end of the process, but a power cut may undo the last ones. For those who know.
    Normal,
}

impl std::str::FromStr for Synchronous {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "full" => Ok(Self::Full),
            "normal" => Ok(Self::Normal),
            _ => Err("must be full or normal".to_owned()),
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Commits: the writer thread, a migration.
    Writer,
    /// Reads only; SQLite refuses anything else.
    Reader,
    /// Moves pages from the WAL into the file, and waits for no other connection.
    Checkpointer,
}

/// Refuses a SQLite that is too old.
pub(super) fn check_sqlite() -> Result<(), OpenError> {
    if rusqlite::version_number() < SQLITE_FLOOR.0 {
        return Err(OpenError::OldSqlite { found: rusqlite::version(), needed: SQLITE_FLOOR.1 });
    }
    Ok(())
}

/// Makes an empty file with mode 0600 unless there is one; returns whether it did. SQLite gives the WAL the same mode.
pub(super) fn create_file(path: &Path) -> Result<bool, OpenError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(made) => {
            let given = access::give_to_owner_of(files::directory_of(path), &made);
            given.map(|()| true).map_err(|error| OpenError::from_io(path, error))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(OpenError::from_io(path, error)),
    }
}

/// How every connection is opened: to an existing file only, each one used by one thread at a time.
pub(super) fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Opens and sets up a connection to an existing file that is known to be ours.
pub(super) fn open(path: &Path, role: Role, synchronous: Synchronous) -> Result<Connection, OpenError> {
    let connection = Connection::open_with_flags(files::literal(path), flags())
        .map_err(|error| OpenError::from_sqlite(path, error))?;
    set_up(&connection, path, role, synchronous)?;
    Ok(connection)
}

/// Opens the writer's connection to a file that may be anything: `check` looks at it before a single byte is changed, and a
/// file that it refuses, or wants no connection to yet (`None`), stays as it is.
pub(super) fn open_checked<T>(
    path: &Path,
    synchronous: Synchronous,
    check: impl FnOnce(&Connection) -> Result<Option<T>, OpenError>,
) -> Result<Option<(Connection, T)>, OpenError> {
    let sqlite = |error| OpenError::from_sqlite(path, error);
    let connection = Connection::open_with_flags(files::literal(path), flags()).map_err(sqlite)?;
    if connection.is_readonly("main").map_err(sqlite)? {
        // SQLite falls back to read-only without a word when it may not write.
        return Err(OpenError::read_only(path));
    }
    connection.busy_handler(Some(wait_while_busy)).map_err(sqlite)?;
    // Another program's WAL must stay what it is: closing the last connection would move it into the file. An empty one has
    // nothing to move, and is only tidied away again.
    let left_as_is = std::fs::metadata(files::wal(path)).is_ok_and(|wal| wal.len() > 0);
    let keep_wal = |keep| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map_err(sqlite);
    if left_as_is {
        keep_wal(true)?;
    }
    let Some(checked) = check(&connection)? else { return Ok(None) };
    if left_as_is {
        keep_wal(false)?;
    }
    set_up(&connection, path, Role::Writer, synchronous)?;
    Ok(Some((connection, checked)))
}

/// Sets up a reader that the pool has opened.
pub(super) fn set_up_reader(connection: &Connection, synchronous: Synchronous) -> rusqlite::Result<()> {
    let path = Path::new(connection.path().unwrap_or_default());
    set_up(connection, path, Role::Reader, synchronous)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Applies the settings of `role` in the order in which they take, and reads each one back.
fn set_up(connection: &Connection, path: &Path, role: Role, synchronous: Synchronous) -> Result<(), OpenError> {
    let sqlite = |error| OpenError::from_sqlite(path, error);
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // First of all: already the next statements need locks.
    connection.busy_handler(Some(wait_while_busy)).map_err(sqlite)?;
    let set = |pragma: &'static str, value: &str, reads_back: &str| -> Result<(), OpenError> {
        connection.pragma_update(None, pragma, value).map_err(sqlite)?;
        expect_setting(connection, path, pragma, reads_back)
    };
    if role == Role::Writer {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).map_err(sqlite)?;
        if pages == 0 {
            // Only before the first page is written, and before WAL: afterwards both do nothing.
            set("page_size", &PAGE_SIZE.to_string(), &PAGE_SIZE.to_string())?;
            set("auto_vacuum", "INCREMENTAL", "2")?;
        }
        set("journal_mode", "WAL", "wal")?;
    } else {
        expect_setting(connection, path, "journal_mode", "wal")?;
    }
    match synchronous {
        Synchronous::Full => set("synchronous", "FULL", "2")?,
        Synchronous::Normal => set("synchronous", "NORMAL", "1")?,
    }
    set("foreign_keys", "ON", "1")?;
    // On every connection that may write: rows inserted without it leave copies behind when a page is split (measured).
    set("secure_delete", "ON", "1")?;
    set("temp_store", "MEMORY", "2")?;
    set("trusted_schema", "OFF", "0")?;
    set("journal_size_limit", &JOURNAL_SIZE_LIMIT.to_string(), &JOURNAL_SIZE_LIMIT.to_string())?;
    // Checkpoints are the checkpointer's, never a committing caller's.
    set("wal_autocheckpoint", "0", "0")?;
    if role == Role::Reader {
        set("query_only", "ON", "1")?;
    }
    if role == Role::Checkpointer {
        connection.busy_timeout(Duration::ZERO).map_err(sqlite)?;
    }
    Ok(())
}

fn expect_setting(connection: &Connection, path: &Path, pragma: &'static str, wanted: &str) -> Result<(), OpenError> {
    use rusqlite::types::Value;
    let found = connection
        .pragma_query_value(None, pragma, |row| row.get::<_, Value>(0))
        .map_err(|error| OpenError::from_sqlite(path, error))?;
    let found = match found {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text,
        other => format!("{other:?}"),
    };
    if found == wanted {
        return Ok(());
    }
    Err(OpenError::Setting { path: path.to_path_buf(), pragma, wanted: wanted.to_owned(), found })
}

thread_local! {
    static WAITING_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Until when to wait instead, where [`with_patience`] says so.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `work` with its waits for locks cut to `patience` in total, however many it meets.
pub(super) fn with_patience<T>(patience: Duration, work: impl FnOnce() -> T) -> T {
    DEADLINE.set(Some(Instant::now() + patience));
    let done = work();
    DEADLINE.set(None);
    done
}

/// The busy handler: polls often, gives up after [`BUSY_LIMIT`] or at the deadline of [`with_patience`].
fn wait_while_busy(calls_before: i32) -> bool {
    let now = Instant::now();
    let until = DEADLINE.get().unwrap_or_else(|| {
        let since = WAITING_SINCE.get().filter(|_since| calls_before > 0).unwrap_or(now);
        WAITING_SINCE.set(Some(since));
        since + BUSY_LIMIT
    });
    if now >= until {
        return false;
    }
    std::thread::sleep(BUSY_POLL);
    true
}

/// A connection without the settings of ours: the file may be anything.
pub(super) fn open_unconfigured(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(files::literal(path), flags)?;
    connection.busy_timeout(UNCONFIGURED_LIMIT)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    Ok(connection)
}
