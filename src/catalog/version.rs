//! Optimistic concurrency: an edit names the version it was made from, so that the last writer never wins by accident.

use crate::error::{Error, Kind, Result};
use std::fmt::Display;

/// Which version a caller means to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// This one, as read before. Versions begin with 1.
    Version(i64),
    /// Whichever it is now: the caller means to overwrite it (`If-Match: *`).
    Any,
}

/// Makes sure that `current`, the version of `thing` if there is one, is what the caller means, and returns it.
///
/// # Errors
/// `NotFound` when there is no such thing, `VersionRequired` when the caller names no version, `Stale` when it is another one.
pub(super) fn check(current: Option<i64>, expected: Option<Expected>, thing: impl Display) -> Result<i64> {
    let current = current.ok_or_else(|| Error::not_found(&thing))?;
    match expected {
        None => Err(Error::new(
            Kind::VersionRequired,
            format!("say which version of {thing} you mean: If-Match with the ETag of what you have read"),
        )),
        Some(Expected::Version(version)) if version != current => Err(Error::new(
            Kind::Stale,
            format!("{thing} was changed meanwhile: it has version {current} now, not {version}"),
        )),
        Some(_) => Ok(current),
    }
}
