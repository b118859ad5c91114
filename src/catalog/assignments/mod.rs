//! Which product has which matrix and which option groups. Neither is needed for the other: a product keeps its options when it
//! changes its matrix, or has none for a while.

mod in_use;
mod products;
mod settings;
mod title;
mod write;

pub use in_use::{refuse_group_in_use, refuse_matrix_in_use};
pub use products::{Product, find_product, list_products};
pub use settings::{ProductSettings, SettingsEdit, find_settings};
pub use title::{NotATitle, Title};
pub use write::{add_group, assign_matrix, edit_settings, remove_group, remove_matrix, set_matrix};
pub(super) use write::{clear_group, clear_matrix};

use crate::db::{self, RowCounts, Tx};
use crate::domain::ids::{MatrixId, ProductId, StoreId};
use rusqlite::{Connection, OptionalExtension, named_params};

/// What prices a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The matrix.
    pub matrix: MatrixId,
    /// The product's title, as it was when the matrix was assigned.
    pub title: String,
}

/// The matrix of a product, if the store has assigned one.
///
/// # Errors
/// When the database fails.
pub fn find_matrix(connection: &Connection, store: StoreId, product: &ProductId) -> db::Result<Option<Assignment>> {
    let mut statement = connection.prepare_cached(
        "SELECT matrix_id, product_title FROM product_matrices WHERE store_id = :store_id AND product_id = :product_id",
    )?;
    let found = statement.query_row(named_params! { ":store_id": store, ":product_id": product }, |row| {
        Ok(Assignment { matrix: row.get("matrix_id")?, title: row.get("product_title")? })
    });
    Ok(found.optional()?)
}

/// Deletes assignments of products.
pub(super) fn delete_some(tx: &Tx<'_>, store: StoreId, budget: usize, counts: &mut RowCounts) -> db::Result<()> {
    let params = named_params! { ":store_id": store, ":limit": budget };
    let mut statement = tx.prepare_cached(
        "DELETE FROM product_option_groups
         WHERE (store_id, product_id, option_group_id) IN (
             SELECT store_id, product_id, option_group_id FROM product_option_groups
             WHERE store_id = :store_id LIMIT :limit)",
    )?;
    let groups = statement.execute(params)?;
    counts.add("product_option_groups", groups);
    let params = named_params! { ":store_id": store, ":limit": budget - groups };
    let mut statement = tx.prepare_cached(
        "DELETE FROM product_matrices
         WHERE (store_id, product_id) IN (
             SELECT store_id, product_id FROM product_matrices
             WHERE store_id = :store_id LIMIT :limit)",
    )?;
    let matrices = statement.execute(params)?;
    counts.add("product_matrices", matrices);
    let params = named_params! { ":store_id": store, ":limit": budget - groups - matrices };
    let mut statement = tx.prepare_cached(
        "DELETE FROM product_settings
         WHERE (store_id, product_id) IN (
             SELECT store_id, product_id FROM product_settings
             WHERE store_id = :store_id LIMIT :limit)",
    )?;
    counts.add("product_settings", statement.execute(params)?);
    Ok(())
}

pub(super) fn count_rows(connection: &Connection, store: StoreId, counts: &mut RowCounts) -> db::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT
             (SELECT count(*) FROM product_matrices WHERE store_id = :store_id) AS matrices,
             (SELECT count(*) FROM product_option_groups WHERE store_id = :store_id) AS groups,
             (SELECT count(*) FROM product_settings WHERE store_id = :store_id) AS settings",
    )?;
    let rows: (usize, usize, usize) = statement.query_row(named_params! { ":store_id": store }, |row| {
        Ok((row.get("matrices")?, row.get("groups")?, row.get("settings")?))
    })?;
    counts.add("product_matrices", rows.0);
    counts.add("product_option_groups", rows.1);
    counts.add("product_settings", rows.2);
    Ok(())
}
