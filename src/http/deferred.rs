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
use crate::error::{Error, Result};
use std::sync::Arc;

/// What is to be done, and what is answered then.
pub(super) struct Deferred {
    begin: Begin,
    error_page: Option<ErrorPage>,
    /// What the row of the audit log names besides the path's ids.
    objects: Vec<String>,
    store: Option<[u8; 32]>,
}

type Begin = Box<dyn FnOnce(&Arc<AppState>, Responder)>;

impl Deferred {
    fn new(begin: impl FnOnce(&Arc<AppState>, Responder) + 'static) -> Self {
        Self { begin: Box::new(begin), error_page: None, objects: Vec::new(), store: None }
    }

    /// Nothing is left to be done: a preview, or a form that comes back with what is wrong. The audit log has no row of it.
    pub(super) fn answered(response: Response) -> Self {
        Self::new(move |_state, responder| responder.changing_nothing().send(Ok(response)))
    }

    /// Commits `change` together with its row of the audit log, and answers with what `response` makes of its outcome. No handler
    /// thread waits for it.
    pub(super) fn commit<T: Send + 'static>(
        change: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
        response: impl FnOnce(T) -> Response + Send + 'static,
    ) -> Self {
        Self::commit_new(change, |_done| None::<String>, response)
    }

    /// The same for a change that makes something: its row also has the id that `made` takes from the outcome.
    pub(super) fn commit_new<T: Send + 'static, I: ToString>(
        change: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
        made: impl FnOnce(&T) -> Option<I> + Send + 'static,
        response: impl FnOnce(T) -> Response + Send + 'static,
    ) -> Self {
        Self::new(move |state, mut responder| {
            let record = responder.take_record();
            state.app.db.write_then(
                move |tx| {
                    let done = change(tx)?;
                    let record = match made(&done) {
                        Some(id) => record.map(|record| record.object(id)),
                        None => record,
                    };
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
            let place = match state.long_calls.take(responder.only_store()) {
                Ok(place) => place,
                Err(error) => return responder.send(Err(error)),
            };
            let (state, record) = (state.clone(), responder.take_record());
            let thread = std::thread::Builder::new().name("admin-call".to_owned());
            // Where there is no thread to be had the closure is dropped, and its answer says 500 by itself.
            let _no_thread = thread.spawn(move || {
                let outcome = call(&state, record);
                drop(place);
                responder.send(outcome);
            });
        })
    }

    /// The same; the row of the audit log names this too, which the path does not.
    pub(super) fn concerning(mut self, id: impl ToString) -> Self {
        self.objects.push(id.to_string());
        self
    }

    /// The same; the row of the audit log is of this store, which the path does not name.
    pub(super) fn of_store(self, hash: [u8; 32]) -> Self {
        Self { store: Some(hash), ..self }
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
        let responder = self.objects.iter().fold(responder, Responder::concerning);
        let responder = match self.store {
            Some(hash) => responder.of_store(hash),
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
