//! Deleting a matrix that has priced orders: they outlive it, with the snapshot they have, and only lose the link.

use super::lines;
use crate::catalog::Expected;
use crate::catalog::matrices::{self, Deletion};
use crate::catalog::stores::Scope;
use crate::db::Tx;
use crate::domain::ids::MatrixId;
use crate::error::Result;
use chrono::{DateTime, Utc};

/// Items of orders or products that one step changes: a few milliseconds of the writer's time.
pub const STEP_ROWS: usize = 1_000;

/// Deletes a matrix, or takes one step towards it where many orders or products hang on it. To be called again with the version that
/// the answer names until it is done.
///
/// # Errors
/// As [`matrices::delete`].
pub fn delete_matrix(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    id: MatrixId,
    expected: Option<Expected>,
) -> Result<Deletion> {
    // A version that is stale undoes this too: an error rolls the whole change back. Nothing is taken from another store's matrix.
    if matrices::exists(tx, scope.store, id)? && lines::release_some(tx, id, STEP_ROWS)? == STEP_ROWS {
        return matrices::begin_deletion(tx, now, scope, id, expected);
    }
    matrices::delete(tx, now, scope, id, expected, STEP_ROWS)
}
