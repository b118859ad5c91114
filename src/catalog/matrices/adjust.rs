//! Adjusting all prices of a matrix, or some, by a percentage: what the admin API and the command line share.

use super::read::load;
use super::write::{Edit, edit};
use crate::catalog::stores::Scope;
use crate::catalog::version::{self, Expected};
use crate::db::Tx;
use crate::domain::adjustment::{Adjustment, AdjustmentFault};
use crate::domain::ids::MatrixId;
use crate::domain::matrix::PriceChange;
use crate::error::{Error, Kind, Result};
use chrono::{DateTime, Utc};
use rusqlite::Connection;

/// What an adjustment changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjusted {
    /// The version of the matrix: after the change, or of the matrix that a preview looked at.
    pub version: i64,
    /// The prices that change.
    pub changes: Vec<PriceChange>,
}

/// What an adjustment would change.
///
/// # Errors
/// `NotFound` when the store has no such matrix, `Invalid` when a price would be out of bounds, and when the database fails.
pub fn preview_adjustment(
    connection: &Connection,
    scope: Scope,
    id: MatrixId,
    adjustment: &Adjustment,
) -> Result<Adjusted> {
    let stored = load(connection, scope.store, id)?;
    let new = adjustment.apply(&stored.matrix, scope.currency).map_err(invalid)?;
    Ok(Adjusted { version: stored.version, changes: stored.matrix.changes_to(&new).prices })
}

/// Adjusts the prices of a matrix. All or none change.
///
/// # Errors
/// As [`preview_adjustment`]; `VersionRequired` without a version, `Stale` with an old one, and `Conflict` when the store takes no change.
pub fn adjust(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    id: MatrixId,
    expected: Option<Expected>,
    adjustment: &Adjustment,
) -> Result<Adjusted> {
    let stored = load(tx, scope.store, id)?;
    // Before what would be wrong with it: to another version it was never meant to be done.
    version::check(Some(stored.version), expected, format!("price matrix {id}"))?;
    let new = adjustment.apply(&stored.matrix, scope.currency).map_err(invalid)?;
    let changes = stored.matrix.changes_to(&new).prices;
    let version = edit(tx, now, scope, id, expected, &Edit { grid: Some(new), ..Edit::default() })?;
    Ok(Adjusted { version, changes })
}

fn invalid(fault: AdjustmentFault) -> Error {
    Error::new(Kind::Invalid, "the prices cannot be adjusted").with_fault(fault.field(), fault.to_string())
}
