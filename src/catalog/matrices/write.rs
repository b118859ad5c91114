//! Changing matrices.

use super::MATRICES_MAX;
use crate::catalog::stores::{self, Scope};
use crate::db::{self, Millis, Tx};
use crate::domain::ids::MatrixId;
use crate::domain::matrix::{Axis, PriceMatrix};
use crate::domain::name::Name;
use crate::error::{Error, Kind, Result};
use chrono::{DateTime, Utc};
use rusqlite::named_params;

/// The version of what has just been made.
pub(super) const FIRST_VERSION: i64 = 1;

/// Writes a new matrix of a store. Its sizes and prices are in the scope's unit and currency.
///
/// # Errors
/// `NotFound` or `Conflict` when the store does not take it (see [`stores::begin_change`]) or has [`MATRICES_MAX`] already, and the
/// database's.
pub fn insert(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    id: MatrixId,
    scope: Scope,
    name: &Name,
    matrix: &PriceMatrix,
) -> Result<()> {
    stores::begin_change(tx, now, scope)?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO price_matrices
             (id, store_id, name, outside, min_width, max_width, min_height, max_height, unit, currency, version,
              created_at, updated_at)
         SELECT :id, :store_id, :name, :outside, :min_width, :max_width, :min_height, :max_height, :unit, :currency,
             :version, :now, :now
         WHERE (SELECT count(*) FROM price_matrices WHERE store_id = :store_id) < :max",
    )?;
    let limits = matrix.limits();
    let inserted = statement.execute(named_params! {
        ":id": id,
        ":store_id": scope.store,
        ":name": name,
        ":outside": matrix.outside(),
        ":min_width": limits.min_width,
        ":max_width": limits.max_width,
        ":min_height": limits.min_height,
        ":max_height": limits.max_height,
        ":unit": scope.unit,
        ":currency": scope.currency,
        ":version": FIRST_VERSION,
        ":now": Millis(now),
        ":max": MATRICES_MAX,
    })?;
    if inserted == 0 {
        return Err(Error::new(Kind::Conflict, format!("the store has {MATRICES_MAX} price matrices already")));
    }
    Ok(write_grid(tx, id, matrix)?)
}

/// Writes the breakpoints and cells of a matrix that has none.
fn write_grid(tx: &Tx<'_>, id: MatrixId, matrix: &PriceMatrix) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO breakpoints (matrix_id, axis, position, value) VALUES (:matrix_id, :axis, :position, :value)",
    )?;
    for (axis, values) in [(Axis::Width, matrix.widths()), (Axis::Height, matrix.heights())] {
        for (position, value) in values.iter().enumerate() {
            statement.execute(named_params! {
                ":matrix_id": id,
                ":axis": axis.as_str(),
                ":position": position,
                ":value": value,
            })?;
        }
    }
    let mut statement = tx.prepare_cached(
        "INSERT INTO matrix_cells (matrix_id, height_position, width_position, price_minor)
         VALUES (:matrix_id, :height, :width, :price)",
    )?;
    let id = id.to_string();
    for (height, row) in matrix.rows().enumerate() {
        for (width, price) in row.iter().enumerate() {
            statement
                .execute(named_params! { ":matrix_id": id, ":height": height, ":width": width, ":price": price })?;
        }
    }
    Ok(())
}
