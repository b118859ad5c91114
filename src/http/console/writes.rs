//! What writes of the console share: what must be right before one, the version that its form was made from, and deletions that
//! take several steps.

pub(super) use crate::http::respond::prepared as ready;

use super::form::Form;
use crate::catalog::Expected;
use crate::catalog::matrices::Deletion;
use crate::db::Tx;
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::respond::Responder;
use crate::http::state::AppState;
use std::sync::Arc;

/// Which version a form was made from.
///
/// # Errors
/// `Malformed` where it does not say.
pub(super) fn expected(form: &Form) -> Result<Expected> {
    let version = form.get("version").parse();
    let version = version
        .map_err(|_unreadable| Error::new(Kind::Malformed, "the form does not say which version it was made from"));
    version.map(Expected::Version)
}

/// Commits steps of a deletion until it is done, each in a change of its own, and answers with `done` then. No thread waits
/// between them.
pub(super) fn delete_in_steps(
    state: &Arc<AppState>,
    mut responder: Responder,
    expected: Expected,
    done: Response,
    step: impl Fn(&Tx<'_>, Expected) -> Result<Deletion> + Clone + Send + 'static,
) {
    let (next, state_then) = (step.clone(), state.clone());
    // With the first step: what a crash cuts off was done too.
    let record = responder.take_record();
    state.app.db.write_then(
        move |tx| {
            let deletion = step(tx, expected)?;
            if let Some(record) = record {
                record.write(tx)?;
            }
            Ok(deletion)
        },
        move |outcome: Result<_>| match outcome {
            Ok(Deletion::Continues(version)) => {
                delete_in_steps(&state_then, responder, Expected::Version(version), done, next);
            }
            Ok(Deletion::Done) => responder.send(Ok(done)),
            Err(error) => responder.send(Err(error)),
        },
    );
}
