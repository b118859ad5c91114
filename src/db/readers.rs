//! The pool of readers. It opens a connection when one is wanted and none is free, keeps it, and is closed only when all of
//! them are: otherwise the process could end with one still open, and leave the WAL behind.

use super::READER_WAIT;
use super::connection::{self, Synchronous};
use super::files;
use super::health::{Health, Watched};
use parking_lot::{Condvar, Mutex};
use r2d2::ManageConnection;
use r2d2_sqlite::SqliteConnectionManager;
use std::path::Path;
use std::sync::Arc;

/// The pool.
pub(super) struct Readers {
    /// `None` once it is being closed.
    pool: Option<r2d2::Pool<Manager>>,
    open: Arc<OpenCount>,
}

impl Readers {
    /// A pool of at most `size` readers of the file at `path`, none of them open yet.
    pub(super) fn new(
        path: &Path,
        synchronous: Synchronous,
        size: u32,
        health: Arc<Health>,
    ) -> Result<Self, r2d2::Error> {
        let open = Arc::new(OpenCount::default());
        let sqlite = SqliteConnectionManager::file(files::literal(path))
            .with_flags(connection::flags())
            .with_init(move |reader| connection::set_up_reader(reader, synchronous));
        let pool = r2d2::Pool::builder()
            .max_size(size)
            // One in reserve would be opened in the background at the first read, for nothing in most commands.
            .min_idle(Some(0))
            // A local file's connections do not go stale.
            .max_lifetime(None)
            .idle_timeout(None)
            .test_on_check_out(false)
            .connection_timeout(READER_WAIT)
            .error_handler(Box::new(r2d2::LoggingErrorHandler))
            .build(Manager { sqlite, open: open.clone(), health })?;
        Ok(Self { pool: Some(pool), open })
    }

    /// A free reader, waiting for one for at most [`READER_WAIT`].
    pub(super) fn get(&self) -> Result<r2d2::PooledConnection<Manager>, r2d2::Error> {
        self.pool.as_ref().expect("it is taken only while it is dropped").get()
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.pool = None;
        // A thread of the pool may be opening one right now, and closes it when it sees that the pool is gone.
        self.open.wait_for_none();
    }
}

/// Opens readers for the pool.
pub(super) struct Manager {
    sqlite: SqliteConnectionManager,
    open: Arc<OpenCount>,
    health: Arc<Health>,
}

impl ManageConnection for Manager {
    type Connection = Reader;
    type Error = rusqlite::Error;

    fn connect(&self) -> Result<Reader, rusqlite::Error> {
        let counted = OpenCount::add(&self.open);
        Ok(Reader { connection: Watched::new(self.sqlite.connect()?, &self.health), _counted: counted })
    }

    fn is_valid(&self, reader: &mut Reader) -> Result<(), rusqlite::Error> {
        reader.connection.execute_batch("")
    }

    fn has_broken(&self, _reader: &mut Reader) -> bool {
        false
    }
}

/// A connection of the pool.
pub(super) struct Reader {
    pub(super) connection: Watched,
    // After the connection: it is counted until it is closed.
    _counted: Counted,
}

/// How many connections are open, or being opened.
#[derive(Default)]
struct OpenCount {
    count: Mutex<usize>,
    fewer: Condvar,
}

impl OpenCount {
    fn add(open: &Arc<Self>) -> Counted {
        *open.count.lock() += 1;
        Counted(open.clone())
    }

    fn wait_for_none(&self) {
        self.fewer.wait_while_for(&mut self.count.lock(), |count| *count > 0, READER_WAIT);
    }
}

struct Counted(Arc<OpenCount>);

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.count.lock() -= 1;
        self.0.fewer.notify_all();
    }
}
