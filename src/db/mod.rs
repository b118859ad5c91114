//! The database: one file, one writer, a pool of readers.
//!
//! `&Connection` means "reads"; [`Tx`] means "writes, and someone above commits". Every change goes through [`Db::write`] or
//! [`Db::write_then`] to the one writer thread (`writer.rs`), reads through [`Db::read`]. Knows nothing of what the tables mean.

mod checkpoint;
mod connection;
mod error;
mod inspect;
pub mod lock;
mod migrate;
mod news;
mod row_counts;
mod types;
pub(crate) mod writer;

pub use connection::Synchronous;
pub use error::{Constraint, Error, OpenError, Result};
pub use inspect::{Inspection, inspect};
pub use migrate::{Migrated, Schema, newest_version};
pub use news::{ChangeWatch, Generations, News};
pub use row_counts::RowCounts;
pub use types::Millis;
pub use writer::WriterFigures;

use checkpoint::Checkpointer;
use connection::Role;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;
use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use writer::{Closure, Writer};

/// How to open a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file. Its directory is made when it is missing.
    pub path: PathBuf,
    /// How hard a commit is pushed to the disk.
    pub synchronous: Synchronous,
    /// What to do with a missing or old file.
    pub schema: Schema,
    /// Connections for reading.
    pub readers: u32,
    /// Changes that may wait for the writer; more are refused as overload.
    pub write_queue: usize,
}

impl Options {
    /// The defaults for the file at `path`: durable, made and migrated when needed.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::Full,
            schema: Schema::BringUpToDate,
            // More readers than cores only share the cores; four cover reads that wait for the disk.
            readers: 4,
            // At 10,000 changes a second, four tenths of a second of waiting.
            write_queue: 4096,
        }
    }
}

/// A read may take this long: longer ones would keep the WAL from starting over.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// How many virtual-machine steps of SQLite lie between two looks at [`READ_LIMIT`]: about every 0.1 ms.
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
    migrated: Migrated,
    writer: Writer,
    readers: r2d2::Pool<SqliteConnectionManager>,
    news: Arc<News>,
    checkpointer: Arc<Checkpointer>,
    checkpoints: Mutex<Option<JoinHandle<()>>>,
}

impl Db {
    /// Opens the database, first bringing it up to date where `options` say so.
    ///
    /// # Errors
    /// Whatever keeps the file from being used safely, within about a second; the file is not changed then.
    pub fn open(options: &Options) -> std::result::Result<Self, OpenError> {
        let Options { path, synchronous, schema, readers, write_queue } = options;
        let io = |source| OpenError::Io { path: path.clone(), source };
        // The writer first: a pool on something that is no database would report it only after its time-out.
        let (writer, migrated) = migrate::open_current(path, *schema, *synchronous)?;
        prove_writable(&writer, path)?;
        let news = Arc::new(News::default());
        let checkpointer = Arc::new(Checkpointer::new(connection::open(path, Role::Checkpointer, *synchronous)?));
        let readers = reader_pool(path, *synchronous, *readers)?;
        let writer = Writer::start(writer, *write_queue, news.clone(), checkpointer.clone()).map_err(io)?;
        let background = checkpointer.clone();
        let checkpoints = std::thread::Builder::new()
            .name("db-checkpoints".to_owned())
            .spawn(move || background.run())
            .map_err(io)?;
        let checkpoints = Mutex::new(Some(checkpoints));
        let shared = Shared {
            path: path.clone(),
            synchronous: *synchronous,
            migrated,
            writer,
            readers,
            news,
            checkpointer,
            checkpoints,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs `change` in the writer's transaction and returns once it is committed, to the disk with `synchronous=FULL`.
    ///
    /// The change runs in a savepoint of its own: an error or a panic undoes it alone. It must not wait for the network, a
    /// person or another change, and should take less than about 10 ms. Waits for its turn however long that takes.
    ///
    /// # Errors
    /// The change's own, or [`Error::NotCommitted`] and its kin as `E`; in either case nothing of it was written.
    pub fn write<T, E, F>(&self, change: F) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> std::result::Result<T, E> + Send + 'static,
    {
        let (answer, answered) = sync_channel(1);
        self.shared.writer.submit_waiting(Box::new(Closure {
            change: Some(change),
            outcome: None,
            answer: move |outcome| {
                let _nobody_waits = answer.send(outcome);
            },
            quick: true,
            gives_up: false,
        }));
        answered.recv().unwrap_or_else(|_closed| Err(Error::Closed.into()))
    }

    /// Hands `change` to the writer and returns at once; `answer` runs after the commit, on another thread, or at once with
    /// [`Error::Overloaded`] when too many changes wait already. A change that has waited 4 s is refused too.
    pub fn write_then<T, E, F, A>(&self, change: F, answer: A)
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> std::result::Result<T, E> + Send + 'static,
        A: FnOnce(std::result::Result<T, E>) + Send + 'static,
    {
        let change = Closure { change: Some(change), outcome: None, answer, quick: false, gives_up: true };
        self.shared.writer.submit(Box::new(change));
    }

    /// As [`Db::write_then`], but waits for a place and is never refused for having waited: for work that is half done
    /// already, such as a worker's completions.
    pub fn write_patiently<T, E, F, A>(&self, change: F, answer: A)
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> std::result::Result<T, E> + Send + 'static,
        A: FnOnce(std::result::Result<T, E>) + Send + 'static,
    {
        let change = Closure { change: Some(change), outcome: None, answer, quick: false, gives_up: false };
        self.shared.writer.submit_waiting(Box::new(change));
    }

    /// Runs `look` on a query-only connection, in one snapshot: everything it reads agrees. Bounded to 10 s.
    ///
    /// # Errors
    /// Its own, or [`Error::NoReader`] as `E`.
    pub fn read<T, E>(&self, look: impl FnOnce(&Connection) -> std::result::Result<T, E>) -> std::result::Result<T, E>
    where
        E: From<Error>,
    {
        let connection = self.shared.readers.get().map_err(Error::NoReader)?;
        let until = Instant::now() + READ_LIMIT;
        let bounded = connection.progress_handler(READ_LIMIT_STEPS, Some(move || Instant::now() >= until));
        bounded.map_err(Error::from)?;
        let snapshot = connection.unchecked_transaction().map_err(Error::from)?;
        let outcome = look(&snapshot);
        // Nothing was written, so how it ends is all the same; ending it lets checkpoints go on.
        snapshot.finish().map_err(Error::from)?;
        outcome
    }

    /// The announcements of this process's commits.
    pub fn news(&self) -> &News {
        &self.shared.news
    }

    /// A watch for the commits of other processes, on a connection of its own.
    ///
    /// # Errors
    /// When the connection cannot be opened.
    pub fn watch(&self) -> std::result::Result<ChangeWatch, OpenError> {
        let connection = connection::open(&self.shared.path, Role::Reader, self.shared.synchronous)?;
        ChangeWatch::new(connection).map_err(|error| OpenError::from_sqlite(&self.shared.path, error))
    }

    /// Numbers of the database's states, for caches, on a connection of its own.
    ///
    /// # Errors
    /// When the connection cannot be opened.
    pub fn generations(&self) -> std::result::Result<Generations, OpenError> {
        Ok(Generations::new(self.watch()?))
    }

    /// Empties the WAL of everything committed before the call; `false` when readers kept it busy for all of `patience`.
    ///
    /// # Errors
    /// SQLite's, such as a full disk.
    pub fn empty_wal(&self, patience: Duration) -> Result<bool> {
        self.shared.checkpointer.empty_wal(patience)
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
        self.shared.writer.figures()
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.writer.stop();
        self.checkpointer.stop();
        if let Some(thread) = self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _panicked = thread.join();
        }
    }
}

/// The writer's savepoint: derefs to the connection for statements. Only the writer makes one, and only the writer commits.
pub struct Tx<'a> {
    connection: &'a Connection,
    announced: Cell<bool>,
    after_commit: RefCell<Vec<AfterCommit>>,
}

/// What a change wants done once it is committed.
type AfterCommit = Box<dyn FnOnce() + Send>;

impl<'a> Tx<'a> {
    fn new(connection: &'a Connection) -> Self {
        Self { connection, announced: Cell::new(false), after_commit: RefCell::default() }
    }

    /// Runs `then` after the commit that holds this change, on another thread, and not at all when it is rolled back: for log
    /// lines and counters that claim success.
    pub fn after_commit(&self, then: impl FnOnce() + Send + 'static) {
        self.after_commit.borrow_mut().push(Box::new(then));
    }

    /// Writes a page without changing anything that means something: proof that a commit can be made.
    ///
    /// # Errors
    /// SQLite's.
    pub fn touch(&self) -> Result<()> {
        Ok(self.pragma_update(None, "user_version", 0)?)
    }

    /// Wakes those who wait for [`News`] once this transaction is committed. Waking them for nothing does no harm.
    pub fn announce(&self) {
        self.announced.set(true);
    }

    fn was_announced(&self) -> bool {
        self.announced.get()
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// Makes sure that a change keyed by an id changed its row: `operation` names the function, as `module::function`.
///
/// # Errors
/// [`Error::LostRow`] for any other number.
pub fn expect_one(changed: usize, operation: &'static str) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(Error::LostRow { operation, changed }) }
}

fn reader_pool(
    path: &Path,
    synchronous: Synchronous,
    readers: u32,
) -> std::result::Result<r2d2::Pool<SqliteConnectionManager>, OpenError> {
    // The first reader is opened by hand, so that a fault has its own clear error and not the pool's time-out.
    drop(connection::open(path, Role::Reader, synchronous)?);
    let manager = SqliteConnectionManager::file(path)
        .with_flags(rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .with_init(move |reader| connection::set_up_reader(reader, synchronous));
    r2d2::Pool::builder()
        .max_size(readers)
        .min_idle(Some(1))
        .test_on_check_out(false)
        .connection_timeout(READER_WAIT)
        .error_handler(Box::new(r2d2::LoggingErrorHandler))
        .build(manager)
        .map_err(|error| OpenError::Io { path: path.to_path_buf(), source: std::io::Error::other(error) })
}

/// Takes the write lock once, so that a read-only or full place is told at the start and not by the first webhook.
fn prove_writable(writer: &Connection, path: &Path) -> std::result::Result<(), OpenError> {
    writer.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(|error| OpenError::from_sqlite(path, error))
}
