//! What a change writes through: a connection that cannot commit, and what is to happen after the commit.

use super::{Error, Result};
use rusqlite::Connection;
use std::cell::{Cell, RefCell};
use std::ops::Deref;

/// The writer's savepoint: derefs to the connection for statements. Only the writer makes one, and only the writer commits.
pub struct Tx<'a> {
    connection: &'a Connection,
    announced: Cell<bool>,
    pub(super) after_commit: RefCell<Vec<AfterCommit>>,
}

/// What a change wants done once it is committed.
pub(super) type AfterCommit = Box<dyn FnOnce() + Send>;

impl<'a> Tx<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, announced: Cell::new(false), after_commit: RefCell::default() }
    }

    /// Runs `then` after the commit that holds this change, on another thread, and not at all when it is rolled back: for log
    /// lines and counters that claim success.
    pub fn after_commit(&self, then: impl FnOnce() + Send + 'static) {
        self.after_commit.borrow_mut().push(Box::new(then));
    }

    /// Wakes those who wait for [`CommitNotifier`](super::CommitNotifier) once this transaction is committed. Waking them for nothing does no harm.
    pub fn announce(&self) {
        self.announced.set(true);
    }

    pub(super) fn was_announced(&self) -> bool {
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
