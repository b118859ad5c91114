//! An answer that has to wait: for a commit, for a deletion that takes several steps, or for a thread of its own.
//!
//! A handler returns one when everything that must be right before has been found to be; whatever is not, `?` answers at once. Nothing
//! has happened until then: the router begins it, with the way back to the client and the row of the audit log.

use super::Response;
use super::respond::{ErrorPage, Responder};
use super::state::AppState;
use crate::access::audit::Record;
use crate::catalog::Expected;
use crate::catalog::matrices::Deletion;
use crate::db::Tx;
use crate::error::{Error, Kind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls that may run at once on threads of their own: each can take minutes, and one is all that an operator needs.
const LONG_CALLS_MAX: usize = 4;

/// What is to be done, and what is answered then.
pub(super) struct Deferred {
    begin: Begin,
    error_page: Option<ErrorPage>,
}

type Begin = Box<dyn FnOnce(&Arc<AppState>, Responder)>;

impl Deferred {
    fn new(begin: impl FnOnce(&Arc<AppState>, Responder) + 'static) -> Self {
        Self { begin: Box::new(begin), error_page: None }
    }

    /// Nothing is left to be done: a preview, or a form that comes back with what is wrong. The audit log has no row of it.
    pub(super) fn answered(response: Response) -> Self {
        Self::new(move |_state, responder| responder.send(Ok(response)))
    }

    /// Commits `change` together with its row of the audit log, and answers with what `response` makes of its outcome. No handler
    /// thread waits for it.
    pub(super) fn commit<T: Send + 'static>(
        change: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
        response: impl FnOnce(T) -> Response + Send + 'static,
    ) -> Self {
        Self::new(move |state, mut responder| {
            let record = responder.take_record();
            state.app.db.write_then(
                move |tx| {
                    let done = change(tx)?;
                    write_record(record.as_ref(), tx)?;
                    Ok(done)
                },
                move |outcome: Result<T>| responder.send(outcome.map(response)),
            );
        })
    }

    /// Commits steps of a deletion until it is done, each in a change of its own that is given the version it must find, and answers
    /// with `done` then. No thread waits between them.
    pub(super) fn delete_in_steps(
        expected: Option<Expected>,
        done: Response,
        step: impl Fn(&Tx<'_>, Option<Expected>) -> Result<Deletion> + Clone + Send + 'static,
    ) -> Self {
        Self::new(move |state, mut responder| {
            // With the first step: what a crash cuts off was done too.
            let record = responder.take_record();
            delete_step(state, responder, record, expected, done, step);
        })
    }

    /// Runs a call that may take long on a thread of its own, so that webhooks never wait for a handler. Where it is a write, it is
    /// given the row of the audit log to commit.
    pub(super) fn on_own_thread(
        call: impl FnOnce(&Arc<AppState>, Option<Record>) -> Result<Response> + Send + 'static,
    ) -> Self {
        Self::new(move |state, mut responder| {
            let Some(slot) = LongCallSlot::take(&state.long_calls) else {
                let message = format!("{LONG_CALLS_MAX} long calls are running, try again later");
                return responder.send(Err(Error::new(Kind::Overloaded, message)));
            };
            let (state, record) = (state.clone(), responder.take_record());
            let thread = std::thread::Builder::new().name("admin-call".to_owned());
            // Where there is no thread to be had the closure is dropped, and its answer says 500 by itself.
            let _no_thread = thread.spawn(move || {
                let outcome = call(&state, record);
                drop(slot);
                responder.send(outcome);
            });
        })
    }

    /// The same with another page for an error.
    pub(super) fn with_error_page(self, page: impl FnOnce(&Error, Response) -> Response + Send + 'static) -> Self {
        Self { error_page: Some(Box::new(page)), ..self }
    }

    /// Begins it.
    pub(super) fn begin(self, state: &Arc<AppState>, responder: Responder) {
        let responder = match self.error_page {
            Some(page) => responder.with_error_page(page),
            None => responder,
        };
        (self.begin)(state, responder);
    }
}

/// Writes a row of the audit log in the transaction of the write that it is about; nothing where there is none.
pub(super) fn write_record(record: Option<&Record>, tx: &Tx<'_>) -> Result<()> {
    Ok(record.map_or(Ok(()), |record| record.write(tx))?)
}

fn delete_step(
    state: &Arc<AppState>,
    responder: Responder,
    record: Option<Record>,
    expected: Option<Expected>,
    done: Response,
    step: impl Fn(&Tx<'_>, Option<Expected>) -> Result<Deletion> + Clone + Send + 'static,
) {
    let (next, state_then) = (step.clone(), state.clone());
    state.app.db.write_then(
        move |tx| {
            let deletion = step(tx, expected)?;
            write_record(record.as_ref(), tx)?;
            Ok(deletion)
        },
        move |outcome: Result<_>| match outcome {
            Ok(Deletion::Continues(version)) => {
                delete_step(&state_then, responder, None, Some(Expected::Version(version)), done, next);
            }
            Ok(Deletion::Done) => responder.send(Ok(done)),
            Err(error) => responder.send(Err(error)),
        },
    );
}

/// One of the places for long calls; given back when dropped.
struct LongCallSlot(Arc<AtomicUsize>);

impl LongCallSlot {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let slot = Self(taken.clone());
        (taken.fetch_add(1, Ordering::AcqRel) < LONG_CALLS_MAX).then_some(slot)
    }
}

impl Drop for LongCallSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
