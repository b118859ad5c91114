//! The database: one file, one writer, a pool of readers.
//!
//! `&Connection` means "reads"; [`Tx`] means "writes, and someone above commits". Every change goes through [`Db::write`] or
//! [`Db::write_then`] to the one writer thread (`writer.rs`), reads through [`Db::read`]. Knows nothing of what the tables mean.

pub(crate) mod access;
mod checkpoint;
mod connection;
pub(crate) mod copy;
mod errands;
mod error;
pub(crate) mod exclusive;
mod file_identity;
pub(crate) mod files;
mod handle;
mod health;
mod holder;
mod inspect;
pub(crate) mod lock;
mod migrate;
mod notify;
mod options;
mod page_slack;
mod readers;
mod row_counts;
mod schema_check;
mod slack_scrub;
mod slack_tracker;
mod space;
mod tx;
mod types;
#[cfg(test)]
#[allow(dead_code, reason = "tests of the whole program wait for more")]
#[path = "../../tests/it/support/waiting.rs"]
mod waiting;
mod wal_reader;
mod wal_room;
mod wal_sync;
mod write_queue;
pub(crate) mod writer;

pub use connection::Synchronous;
pub use error::{Constraint, Error, OpenError, Result};
pub use handle::WriteHandle;
pub use holder::LockHolder;
pub use inspect::{Inspection, inspect};
pub use migrate::{Migrated, Schema, newest_version};
pub use notify::{ChangeWatch, CommitNotifier, DataVersion};
pub use options::Options;
pub use page_slack::can_clear_page_slack;
pub use row_counts::RowCounts;
pub use slack_scrub::PageSlack;
pub use space::{FileSizes, SETTINGS, Space, rewrite, settings, space};
pub use tx::{Tx, expect_one};
pub use types::Millis;
pub(crate) use types::text_sql;
pub use writer::WriterFigures;

use checkpoint::Checkpointer;
use connection::Role;
use health::{Health, Watched};
use readers::Readers;
use rusqlite::Connection;
use slack_tracker::SlackTracker;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tx::AfterCommit;
use wal_room::{RoomMaker, WalRoom};
use wal_sync::WalSync;
use writer::Writer;

/// The file that `path` leads to. SQLite keeps the WAL alongside the file itself, and so must everybody who looks for it, for a lock or
/// for a copy: alongside a symbolic link they would be others.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    let path = &files::literal(path);
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    // One that leads nowhere is refused when it is opened.
    let real = if is_link { std::fs::canonicalize(path).ok() } else { None };
    real.unwrap_or_else(|| path.clone())
}

/// What is wrong with the files of the database at `path` as they lie on the disk, a sentence each: names, mounts, owners, modes.
pub fn file_faults(path: &Path) -> Vec<String> {
    let path = &real_path(path);
    let mut faults = file_identity::faults(path);
    faults.extend(access::faults(path));
    faults
}

/// How many virtual-machine steps of SQLite are between two looks at the limit of a read: about every 0.1 ms.
const READ_LIMIT_STEPS: i32 = 20_000;

/// How long to wait for a free reader: what a pool on a broken file would otherwise hide for half a minute.
const READER_WAIT: Duration = Duration::from_secs(2);

/// An open database. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    synchronous: Synchronous,
    read_limit: Duration,
    migrated: Migrated,
    notifier: Arc<CommitNotifier>,
    health: Arc<Health>,
    /// `None` only while it is dropped.
    open: Option<Open>,
}

impl Shared {
    fn open(&self) -> &Open {
        self.open.as_ref().expect("it is taken only when the last owner is dropped")
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(open) = self.open.take() else { return };
        if writer::is_own_thread() {
            // The last owner was a change or an answer: the threads cannot wait for their own end.
            let _closed_unordered = std::thread::Builder::new().name("db-close".to_owned()).spawn(move || drop(open));
        }
    }
}

/// What runs and what is open, in the order in which it is closed. The last connection to be closed moves what is left in the
/// WAL into the file and removes it.
struct Open {
    writer: Writer,
    _checkpoints: Checkpoints,
    _room: Option<RoomMaker>,
    readers: Readers,
    checkpointer: Arc<Checkpointer>,
}

/// The background thread of the checkpoints.
struct Checkpoints {
    checkpointer: Arc<Checkpointer>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    fn start(checkpointer: Arc<Checkpointer>) -> std::io::Result<Self> {
        let background = checkpointer.clone();
        let thread = std::thread::Builder::new().name("db-checkpoints".to_owned()).spawn(move || background.run())?;
        Ok(Self { checkpointer, thread: Some(thread) })
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.checkpointer.stop();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Db {
    /// Opens the database, first bringing it up to date where `options` say so.
    ///
    /// # Errors
    /// Whatever keeps the file from being used safely, within about a second; the file is not changed then.
    pub fn open(options: &Options) -> std::result::Result<Self, OpenError> {
        let Options { path, synchronous, schema, readers, write_queue, write_wait, read_limit } = options;
        let (given, path) = (path, &real_path(path));
        health::recover(path)?;
        let io = |source| OpenError::Io { path: path.clone(), source };
        // The writer first: a pool on something that is no database would report it only after its time-out.
        let (writer, migrated) = migrate::open_current(path, *schema, *synchronous)?;
        prove_writable(&writer, path)?;
        let notifier = Arc::new(CommitNotifier::default());
        let health = Arc::new(Health::of(given, path).map_err(io)?);
        let (wal, room) = match synchronous {
            Synchronous::Full => {
                let wal = &files::wal(path);
                let sync = WalSync::open(wal, health.clone()).map_err(io)?;
                let room = WalRoom::open(wal, health.clone()).map_err(io)?;
                (Some(Arc::new(sync)), Some(Arc::new(room)))
            }
            Synchronous::Normal => (None, None),
        };
        let checkpoints = connection::open(path, Role::Checkpointer, *synchronous)?;
        let checkpointer = Arc::new(Checkpointer::new(checkpoints, health.clone(), room.clone()));
        let readers = Readers::new(path, *synchronous, *readers, health.clone())
            .map_err(|error| io(std::io::Error::other(error)))?;
        let writer = Writer::start(
            writer,
            *write_queue,
            *write_wait,
            notifier.clone(),
            checkpointer.clone(),
            health.clone(),
            wal,
        );
        let writer = writer.map_err(io)?;
        let checkpoints = Checkpoints::start(checkpointer.clone()).map_err(io)?;
        let room = room.map(RoomMaker::start).transpose().map_err(io)?;
        let shared = Shared {
            path: path.clone(),
            synchronous: *synchronous,
            read_limit: *read_limit,
            migrated,
            notifier,
            health,
            open: Some(Open { writer, _checkpoints: checkpoints, _room: room, readers, checkpointer }),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs `change` in the writer's transaction and returns once it is committed, to the disk with `synchronous=FULL`.
    ///
    /// The change runs in a savepoint of its own: an error or a panic undoes it alone. It must not wait for the network, a
    /// person or another change, and should take less than about 10 ms. Waits for its turn however long that takes.
    ///
    /// ```
    /// use quotegrid::db::{Db, Error, Options};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let directory = tempfile::tempdir()?;
    /// let db = Db::open(&Options::new(directory.path().join("a.db")))?;
    /// db.write(|tx| Ok::<_, Error>(tx.execute_batch("CREATE TABLE parcels (id INTEGER PRIMARY KEY) STRICT")?))?;
    ///
    /// let added = db.write(|tx| Ok::<_, Error>(tx.execute("INSERT INTO parcels (id) VALUES (7)", ())?))?;
    /// assert_eq!(added, 1);
    /// // An error undoes the whole change, and only this one.
    /// let undone: Result<(), Error> = db.write(|tx| {
    ///     tx.execute("INSERT INTO parcels (id) VALUES (8)", ())?;
    ///     tx.execute("INSERT INTO parcels (id) VALUES (7)", ())?;
    ///     Ok(())
    /// });
    /// assert!(undone.is_err());
    /// let count = |connection: &rusqlite::Connection| -> Result<i64, Error> {
    ///     Ok(connection.query_row("SELECT count(*) FROM parcels", (), |row| row.get(0))?)
    /// };
    /// assert_eq!(db.read(count)?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Whatever `change` returns when it fails, or an [`Error`] as `E` when the database fails or its commit does. In either case
    /// nothing of the change was written.
    ///
    /// # Panics
    /// When called within a change or an after-commit callback: it would wait for its own thread.
    pub fn write<T, E, F>(&self, change: F) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> std::result::Result<T, E> + Send + 'static,
    {
        self.with_savepoint().write(change)
    }

    /// Hands `change` to the writer and returns at once; `answer` runs after the commit, on another thread, or at once with
    /// [`Error::Overloaded`] when too many changes wait already. A change that has waited [`Options::write_wait`] is refused too.
    pub fn write_then<T, E, F, A>(&self, change: F, answer: A)
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> std::result::Result<T, E> + Send + 'static,
        A: FnOnce(std::result::Result<T, E>) + Send + 'static,
    {
        self.with_savepoint().write_then(change, answer);
    }

    /// As [`Db::write_then`], but waits for a place and is never refused for having waited: for work that is half done
    /// already, such as a worker's completions.
    ///
    /// # Panics
    /// Within a change: the writer would wait for itself.
    pub fn write_unbounded<T, E, F, A>(&self, change: F, answer: A)
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> std::result::Result<T, E> + Send + 'static,
        A: FnOnce(std::result::Result<T, E>) + Send + 'static,
    {
        self.with_savepoint().write_unbounded(change, answer);
    }

    /// The same three ways to write as methods of one value, each change in a savepoint of its own.
    pub fn with_savepoint(&self) -> WriteHandle<'_> {
        WriteHandle { db: self, with_savepoint: true }
    }

    /// The same three ways to write, for changes that look before they write: what they refuse, they refuse before their first
    /// row. They run without a savepoint, which copies each page that a change touches (a third of the writer's time, measured).
    ///
    /// One that fails after it has written all the same, by a fault of the database or of its own, undoes its whole batch: every
    /// caller in it gets [`Error::NotCommitted`].
    pub fn without_savepoint(&self) -> WriteHandle<'_> {
        WriteHandle { db: self, with_savepoint: false }
    }

    /// Runs `look` on a query-only connection, in one snapshot: everything it reads agrees. Bounded to
    /// [`Options::read_limit`].
    ///
    /// # Errors
    /// Whatever `look` returns when it fails; as `E` [`Error::NoReader`] when no connection gets free, [`Error::SyncFailed`] after a failed
    /// fsync, and [`Error::Displaced`] when the file was moved or replaced.
    pub fn read<T, E>(&self, look: impl FnOnce(&Connection) -> std::result::Result<T, E>) -> std::result::Result<T, E>
    where
        E: From<Error>,
    {
        self.shared.health.allow_reading()?;
        let reader = self.shared.open().readers.get().map_err(Error::NoReader)?;
        let connection = &reader.connection;
        let until = Instant::now() + self.shared.read_limit;
        let bounded = connection.progress_handler(READ_LIMIT_STEPS, Some(move || Instant::now() >= until));
        bounded.map_err(Error::from)?;
        let snapshot = connection.unchecked_transaction().map_err(Error::from)?;
        let outcome = look(&snapshot);
        // Nothing was written, so how it ends is all the same; ending it lets checkpoints go on.
        snapshot.finish().map_err(Error::from)?;
        outcome
    }

    /// The announcements of this process's commits.
    pub fn notifier(&self) -> &CommitNotifier {
        &self.shared.notifier
    }

    /// A watch for the commits of other processes, on a connection of its own.
    ///
    /// # Errors
    /// When the connection cannot be opened.
    pub fn watch(&self) -> std::result::Result<ChangeWatch, OpenError> {
        let connection = connection::open(&self.shared.path, Role::Reader, self.shared.synchronous)?;
        ChangeWatch::new(Watched::new(connection, &self.shared.health))
            .map_err(|error| OpenError::from_sqlite(&self.shared.path, error))
    }

    /// Numbers of the database's states, for caches, on a connection of its own.
    ///
    /// # Errors
    /// When the connection cannot be opened.
    pub fn data_version(&self) -> std::result::Result<DataVersion, OpenError> {
        Ok(DataVersion::new(self.watch()?))
    }

    /// Empties the WAL of everything committed before the call; `false` when readers kept it busy for all of `patience`.
    ///
    /// # Errors
    /// When SQLite fails, such as on a full disk.
    ///
    /// # Panics
    /// Within a change or an answer.
    pub fn empty_wal(&self, patience: Duration) -> Result<bool> {
        writer::assert_may_wait();
        let Open { writer, checkpointer, .. } = self.shared.open();
        checkpointer.empty_wal(patience, || writer.wake())
    }

    /// Has the writer run `errand` between two batches, with no transaction open, and waits for it.
    fn between_batches<T: Send + 'static>(
        &self,
        errand: impl FnOnce(&writer::Core) -> T + Send + 'static,
    ) -> Result<T> {
        writer::assert_may_wait();
        self.shared.open().writer.between_batches(errand)
    }

    fn slack_tracker(&self) -> Arc<SlackTracker> {
        self.shared.open().checkpointer.slack.clone()
    }

    /// Whether an fsync of the database has failed: nothing is read or written any more, what was committed is safe in the WAL, and
    /// the process should end, so that the next start recovers it.
    pub fn has_sync_failed(&self) -> bool {
        self.shared.health.has_sync_failed()
    }

    /// Has `then` run once an fsync of the database has failed, on the thread that has met it; at once, if one has already.
    pub fn on_failed_sync(&self, then: impl FnOnce() + Send + 'static) {
        self.shared.health.on_failed_sync(Box::new(then));
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// What opening it did to its schema.
    pub fn migrated(&self) -> &Migrated {
        &self.shared.migrated
    }

    /// The writer's figures.
    pub fn writer_figures(&self) -> &WriterFigures {
        self.shared.open().writer.figures()
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

/// Takes the write lock once, so that a read-only or full disk is reported at the start and not by the first webhook.
fn prove_writable(writer: &Connection, path: &Path) -> std::result::Result<(), OpenError> {
    writer.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(|error| OpenError::from_sqlite(path, error))
}

#[cfg(test)]
mod tests {
    use super::{Connection, Db, Options, Result, Role, Synchronous, connection};

    #[test]
    fn what_a_caller_that_led_its_own_commit_hands_over_afterwards_waits_for_others_to_make_room() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let options = Options { write_queue: 1, ..Options::new(directory.path().join("lead.db")) };
        let db = Db::open(&options).expect("a database");
        let (handing_over, (given, answers)) = (db.clone(), std::sync::mpsc::channel());
        let written = db.write(move |tx| -> Result<()> {
            tx.after_commit(move || {
                for number in 0..3 {
                    let given = given.clone();
                    let answer = move |_written: Result<()>| given.send(number).expect("the test counts");
                    handing_over.write_unbounded(|_tx| Ok(()), answer);
                }
            });
            Ok(())
        });
        written.expect("written");
        let mut given: Vec<i32> = answers.iter().collect();
        given.sort_unstable();
        assert_eq!(given, [0, 1, 2]);
    }

    fn settings(connection: &Connection) -> Vec<(&'static str, String)> {
        [
            "journal_mode",
            "synchronous",
            "foreign_keys",
            "secure_delete",
            "temp_store",
            "trusted_schema",
            "journal_size_limit",
            "wal_autocheckpoint",
            "query_only",
            "page_size",
            "auto_vacuum",
        ]
        .map(|pragma| {
            let value = connection
                .pragma_query_value(None, pragma, |row| row.get::<_, rusqlite::types::Value>(0))
                .expect("a setting");
            let text = match value {
                rusqlite::types::Value::Text(text) => text,
                rusqlite::types::Value::Integer(number) => number.to_string(),
                other => format!("{other:?}"),
            };
            (pragma, text)
        })
        .to_vec()
    }

    fn expected(synchronous: &'static str, query_only: &'static str) -> Vec<(&'static str, String)> {
        [
            ("journal_mode", "wal"),
            ("synchronous", synchronous),
            ("foreign_keys", "1"),
            ("secure_delete", "1"),
            ("temp_store", "2"),
            ("trusted_schema", "0"),
            ("journal_size_limit", "33554432"),
            ("wal_autocheckpoint", "0"),
            ("query_only", query_only),
            ("page_size", "4096"),
            ("auto_vacuum", "2"),
        ]
        .map(|(pragma, value)| (pragma, value.to_owned()))
        .to_vec()
    }

    #[test]
    fn every_connection_of_a_running_database_has_its_settings() {
        for (synchronous, level) in [(Synchronous::Full, "2"), (Synchronous::Normal, "1")] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let mut options = Options::new(directory.path().join("test.db"));
            options.synchronous = synchronous;
            let db = Db::open(&options).expect("opened");
            let writer = db.write(|tx| -> Result<_> { Ok(settings(tx)) }).expect("read");
            assert_eq!(writer, expected(level, "0"), "the writer");
            // All readers that there may be, at the same time.
            fn of_each(db: &Db, left: u32, level: &'static str) {
                db.read(|reader| -> Result<()> {
                    assert_eq!(settings(reader), expected(level, "1"), "a reader");
                    if left > 1 {
                        of_each(db, left - 1, level);
                    }
                    Ok(())
                })
                .expect("read");
            }
            of_each(&db, options.readers, level);
            let checkpointer = db.shared.open().checkpointer.connection.lock();
            assert_eq!(settings(&checkpointer), expected(level, "0"), "the checkpointer");
            drop(checkpointer);
            // The one of the watch, and of an inspection.
            let reader = connection::open(&options.path, Role::Reader, synchronous).expect("opened");
            assert_eq!(settings(&reader), expected(level, "1"));
        }
    }
}
