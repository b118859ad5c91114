//! What writes of the console share: what must be right before one, the version that its form was made from, and deletions that take several steps.

use super::form::Form;
use crate::catalog::Expected;
use crate::catalog::matrices::Deletion;
use crate::db::Tx;
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::respond::Answer;
use crate::http::routes::Site;
use std::sync::Arc;

/// Answers with the error of whatever had to be right before a write.
pub(super) fn ready<T>(answer: Answer, wanted: Result<T>) -> Option<(Answer, T)> {
    match wanted {
        Ok(wanted) => Some((answer, wanted)),
        Err(error) => {
            answer.send(Err(error));
            None
        }
    }
}

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

/// Commits steps of a deletion until it is done, each in a change of its own, and answers with `done` then. No thread waits between them.
pub(super) fn delete_in_steps(
    site: &Arc<Site>,
    mut answer: Answer,
    expected: Expected,
    done: Response,
    step: impl Fn(&Tx<'_>, Expected) -> Result<Deletion> + Clone + Send + 'static,
) {
    let (next, site_then) = (step.clone(), site.clone());
    // With the first step: what a crash cuts off was done too.
    let record = answer.take_record();
    site.app.db.write_then(
        move |tx| {
            let deletion = step(tx, expected)?;
            if let Some(record) = record {
                record.write(tx)?;
            }
            Ok(deletion)
        },
        move |outcome: Result<_>| match outcome {
            Ok(Deletion::Continues(version)) => {
                delete_in_steps(&site_then, answer, Expected::Version(version), done, next);
            }
            Ok(Deletion::Done) => answer.send(Ok(done)),
            Err(error) => answer.send(Err(error)),
        },
    );
}
