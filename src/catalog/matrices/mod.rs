//! Price matrices: a grid of breakpoints and the price of each cell.
//!
//! A matrix is stored in the unit and currency that its store had when it was written, and read in those that the store has now
//! ([`Measures`]): a change of the store's unit or currency is only allowed where that is exact, and rewrites no cells.

mod adjust;
mod measures;
mod price_list;
mod read;
mod write;

pub use adjust::{Adjusted, adjust, preview_adjustment};
pub use measures::Measures;
pub(super) use measures::relabel;
pub use price_list::{accept, import_options};
pub use read::{FreeSizes, MatrixSummary, exists, find, find_by_name, list, list_free, load, refuse_name_taken};
pub(super) use read::{each_price, each_size, find_name, find_version};
pub(super) use write::move_versions;
pub use write::{Deletion, Edit, FIRST_VERSION, PolicyEdit, delete, duplicate, edit, insert, invalid};

use crate::db::{self, RowCounts, Tx};
use crate::domain::ids::{MatrixId, StoreId};
use crate::domain::matrix::PriceMatrix;
use crate::domain::name::Name;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

/// The most matrices of a store: more price lists than a shop has, and few enough that one statement may touch all their heads.
pub const MATRICES_MAX: usize = 2_000;

/// A matrix as it is stored, in its store's unit and currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMatrix {
    /// Its id.
    pub id: MatrixId,
    /// Its name.
    pub name: Name,
    /// Grows with every edit; what `If-Match` is about.
    pub version: i64,
    /// Its grid, policy and limits.
    pub matrix: PriceMatrix,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
}

/// How many matrices a store has.
///
/// # Errors
/// When the database fails.
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
