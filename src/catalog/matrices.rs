//! Price matrices: a grid of breakpoints and the price of each cell.

use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::{MatrixId, StoreId};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

/// A matrix to be written. Lengths are thousandths of the store's unit, ascending; prices are minor units, a row a height,
/// `None` where a size is not offered.
#[derive(Debug, Clone, Copy)]
pub struct NewMatrix<'a> {
    /// Its name.
    pub name: &'a str,
    /// Breakpoints of the width.
    pub widths: &'a [i64],
    /// Breakpoints of the height.
    pub heights: &'a [i64],
    /// Prices by height, then width.
    pub prices: &'a [Vec<Option<i64>>],
}

/// Writes a matrix with its breakpoints and cells.
///
/// # Errors
/// The database's.
pub fn insert(tx: &Tx<'_>, now: DateTime<Utc>, id: MatrixId, store: StoreId, matrix: &NewMatrix<'_>) -> db::Result<()> {
    tx.prepare_cached(
        "INSERT INTO price_matrices (id, store_id, name, created_at, updated_at)
         VALUES (:id, :store_id, :name, :now, :now)",
    )?
    .execute(named_params! { ":id": id, ":store_id": store, ":name": matrix.name, ":now": Millis(now) })?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO breakpoints (matrix_id, axis, position, value) VALUES (:matrix_id, :axis, :position, :value)",
    )?;
    for (axis, values) in [("width", matrix.widths), ("height", matrix.heights)] {
        for (position, value) in values.iter().enumerate() {
            statement
                .execute(named_params! { ":matrix_id": id, ":axis": axis, ":position": position, ":value": value })?;
        }
    }
    let mut statement = tx.prepare_cached(
        "INSERT INTO matrix_cells (matrix_id, height_position, width_position, price_minor)
         VALUES (:matrix_id, :height, :width, :price)",
    )?;
    for (height, row) in matrix.prices.iter().enumerate() {
        for (width, price) in row.iter().enumerate() {
            statement
                .execute(named_params! { ":matrix_id": id, ":height": height, ":width": width, ":price": price })?;
        }
    }
    Ok(())
}

/// How many matrices a store has.
///
/// # Errors
/// The database's.
pub fn count(connection: &Connection, store: StoreId) -> db::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM price_matrices WHERE store_id = :store_id")?;
    Ok(statement.query_row(named_params! { ":store_id": store }, |row| row.get(0))?)
}

/// Deletes matrices with what they hold, a large one in several calls.
pub(super) fn delete_some(tx: &Tx<'_>, store: StoreId, mut budget: usize, counts: &mut RowCounts) -> db::Result<()> {
    let mut next = tx.prepare_cached("SELECT id FROM price_matrices WHERE store_id = :store_id LIMIT 1")?;
    while budget > 0 {
        let matrix: Option<MatrixId> =
            next.query_row(named_params! { ":store_id": store }, |row| row.get("id")).optional()?;
        let Some(matrix) = matrix else { break };
        let cells = delete_cells(tx, matrix, budget)?;
        counts.add("matrix_cells", cells);
        budget -= cells;
        if budget == 0 {
            break;
        }
        let of_matrix = named_params! { ":matrix_id": matrix };
        let breakpoints =
            tx.prepare_cached("DELETE FROM breakpoints WHERE matrix_id = :matrix_id")?.execute(of_matrix)?;
        counts.add("breakpoints", breakpoints);
        tx.prepare_cached("DELETE FROM price_matrices WHERE id = :matrix_id")?.execute(of_matrix)?;
        counts.add("price_matrices", 1);
        budget = budget.saturating_sub(breakpoints + 1);
    }
    Ok(())
}

/// Deletes up to `limit` cells from the front of a matrix: whole pages, for the rows are clustered.
fn delete_cells(tx: &Tx<'_>, matrix: MatrixId, limit: usize) -> db::Result<usize> {
    let mut end = tx.prepare_cached(
        "SELECT height_position, width_position FROM matrix_cells
         WHERE matrix_id = :matrix_id
         ORDER BY height_position, width_position LIMIT 1 OFFSET :limit",
    )?;
    let end: Option<(i64, i64)> = end
        .query_row(named_params! { ":matrix_id": matrix, ":limit": limit }, |row| {
            Ok((row.get("height_position")?, row.get("width_position")?))
        })
        .optional()?;
    let Some((height, width)) = end else {
        let mut rest = tx.prepare_cached("DELETE FROM matrix_cells WHERE matrix_id = :matrix_id")?;
        return Ok(rest.execute(named_params! { ":matrix_id": matrix })?);
    };
    let mut front = tx.prepare_cached(
        "DELETE FROM matrix_cells
         WHERE matrix_id = :matrix_id AND (height_position, width_position) < (:height, :width)",
    )?;
    Ok(front.execute(named_params! { ":matrix_id": matrix, ":height": height, ":width": width })?)
}

pub(super) fn count_rows(connection: &Connection, store: StoreId, counts: &mut RowCounts) -> db::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT
             (SELECT count(*) FROM price_matrices WHERE store_id = :store_id) AS matrices,
             (SELECT count(*) FROM price_matrices AS m JOIN breakpoints AS b ON b.matrix_id = m.id
              WHERE m.store_id = :store_id) AS breakpoints,
             (SELECT count(*) FROM price_matrices AS m JOIN matrix_cells AS c ON c.matrix_id = m.id
              WHERE m.store_id = :store_id) AS cells",
    )?;
    let rows: (usize, usize, usize) = statement.query_row(named_params! { ":store_id": store }, |row| {
        Ok((row.get("matrices")?, row.get("breakpoints")?, row.get("cells")?))
    })?;
    counts.add("price_matrices", rows.0);
    counts.add("breakpoints", rows.1);
    counts.add("matrix_cells", rows.2);
    Ok(())
}
