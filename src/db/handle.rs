//! The ways in to the writer: to wait for the commit, or to leave an answer that is run after it.

use super::error::Error;
use super::writer::{self, Closure, Patience};
use super::{Db, Tx};
use std::sync::mpsc::sync_channel;

/// How changes are handed to the writer: [`Db`]'s own methods guard each with a savepoint, [`Db::without_savepoint`] does not.
#[derive(Debug, Clone, Copy)]
pub struct WriteHandle<'a> {
    pub(super) db: &'a Db,
    pub(super) with_savepoint: bool,
}

impl WriteHandle<'_> {
    /// As [`Db::write`].
    ///
    /// # Errors
    /// As [`Db::write`].
    ///
    /// # Panics
    /// As [`Db::write`].
    pub fn write<T, E, F>(self, change: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        writer::assert_may_wait();
        let (answer, answered) = sync_channel(1);
        let answer = move |outcome| {
            let _nobody_waits = answer.send(outcome);
        };
        let change = Closure { quick: true, ..self.closure(change, answer) };
        let writer = &self.db.shared.open().writer;
        if let Some(change) = writer.lead(Box::new(change), Patience::All) {
            writer.submit_waiting(change);
        }
        answered.recv().unwrap_or_else(|_closed| Err(Error::Closed.into()))
    }

    /// As [`Db::write_then`].
    pub fn write_then<T, E, F, A>(self, change: F, answer: A)
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        A: FnOnce(Result<T, E>) + Send + 'static,
    {
        let change = Closure { gives_up: true, ..self.closure(change, answer) };
        self.db.shared.open().writer.submit(Box::new(change));
    }

    /// As [`Db::write_then`], but where nobody else writes this thread runs the change, commits and gives the answer itself, which saves
    /// a lone caller two thread switches. It waits for its own commit only: where another process holds the write lock, or a checkpoint is
    /// due, that is left to the writer's thread. For threads that hold nothing which change and answer need.
    pub fn write_then_or_lead<T, E, F, A>(self, change: F, answer: A)
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        A: FnOnce(Result<T, E>) + Send + 'static,
    {
        let change = Closure { gives_up: true, ..self.closure(change, answer) };
        let writer = &self.db.shared.open().writer;
        if let Some(change) = writer.lead(Box::new(change), Patience::CommitOnly) {
            writer.submit(change);
        }
    }

    /// As [`Db::write_unbounded`].
    ///
    /// # Panics
    /// As [`Db::write_unbounded`].
    pub fn write_unbounded<T, E, F, A>(self, change: F, answer: A)
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        A: FnOnce(Result<T, E>) + Send + 'static,
    {
        self.db.shared.open().writer.submit_waiting(Box::new(self.closure(change, answer)));
    }

    fn closure<T, E, F, A>(self, change: F, answer: A) -> Closure<T, E, F, A> {
        let with_savepoint = self.with_savepoint;
        Closure { change: Some(change), outcome: None, answer, quick: false, gives_up: false, with_savepoint }
    }
}
