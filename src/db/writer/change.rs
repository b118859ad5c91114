//! A change on its way through the writer: its types erased, so that one queue holds all, and the answer that its caller waits for.

use super::super::Tx;
use super::super::error::{Error, Result};
use crate::background::panic_message;
use log::error;
use rusqlite::ffi::ErrorCode;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What became of the transaction that held a change.
#[derive(Clone)]
pub(in crate::db) enum CommitOutcome {
    Committed,
    Lost { code: ErrorCode, message: Arc<str> },
    Overloaded,
    Closed,
}

impl CommitOutcome {
    pub(super) fn lost(error: &rusqlite::Error) -> Self {
        Self::Lost {
            code: error.sqlite_error_code().unwrap_or(ErrorCode::Unknown),
            message: Arc::from(error.to_string()),
        }
    }

    /// Of a commit that could not be brought to the disk.
    pub(super) fn unsynced(error: &Error) -> Self {
        Self::Lost { code: ErrorCode::SystemIoFailure, message: Arc::from(error.to_string()) }
    }

    pub(super) fn into_result<T>(self, value: T) -> Result<T> {
        match self {
            Self::Committed => Ok(value),
            Self::Lost { code, message } => Err(Error::NotCommitted { code, message }),
            Self::Overloaded => Err(Error::Overloaded),
            Self::Closed => Err(Error::Closed),
        }
    }
}

/// A change with its types erased: what the writer's queue holds.
pub(in crate::db) trait Change: Send {
    /// Runs the change; `false` has its savepoint rolled back.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Answers the caller, after the commit or after it has failed.
    fn answer(self: Box<Self>, outcome: CommitOutcome);
    /// Whether the answer only wakes a thread, so that the writer itself may give it.
    fn answers_quickly(&self) -> bool;
    /// Whether it would rather be rejected than wait longer than the limit.
    fn gives_up(&self) -> bool;
    /// Whether it may fail after it has written, and so needs a savepoint.
    fn needs_savepoint(&self) -> bool;
}

/// A change with the closure to run and the one to answer with.
pub(in crate::db) struct Closure<T, E, F, A> {
    pub(in crate::db) change: Option<F>,
    pub(in crate::db) outcome: Option<std::result::Result<T, E>>,
    pub(in crate::db) answer: A,
    pub(in crate::db) quick: bool,
    pub(in crate::db) gives_up: bool,
    pub(in crate::db) with_savepoint: bool,
}

impl<T, E, F, A> Change for Closure<T, E, F, A>
where
    T: Send,
    E: From<Error> + Send,
    F: FnOnce(&Tx<'_>) -> std::result::Result<T, E> + Send,
    A: FnOnce(std::result::Result<T, E>) + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let Some(change) = self.change.take() else { return false };
        let outcome = catch_unwind(AssertUnwindSafe(|| change(tx))).unwrap_or_else(|panic| {
            error!("a database change panicked and was rolled back: {}", panic_message(panic.as_ref()));
            Err(Error::Panicked.into())
        });
        self.outcome.insert(outcome).is_ok()
    }

    fn answer(self: Box<Self>, outcome: CommitOutcome) {
        // An error of the change itself rests on what it read in this transaction, so it too is void when that was lost.
        let outcome = match (outcome.into_result(()), self.outcome) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(Error::Closed.into()),
        };
        (self.answer)(outcome);
    }

    fn answers_quickly(&self) -> bool {
        self.quick
    }

    fn gives_up(&self) -> bool {
        self.gives_up
    }

    fn needs_savepoint(&self) -> bool {
        self.with_savepoint
    }
}
