//! Which product has which matrix and which option groups.

use crate::db::{self, RowCounts, Tx};
use crate::domain::ids::StoreId;
use rusqlite::{Connection, named_params};

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
    counts.add("product_matrices", statement.execute(params)?);
    Ok(())
}

pub(super) fn count_rows(connection: &Connection, store: StoreId, counts: &mut RowCounts) -> db::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT
             (SELECT count(*) FROM product_matrices WHERE store_id = :store_id) AS matrices,
             (SELECT count(*) FROM product_option_groups WHERE store_id = :store_id) AS groups",
    )?;
    let rows: (usize, usize) = statement
        .query_row(named_params! { ":store_id": store }, |row| Ok((row.get("matrices")?, row.get("groups")?)))?;
    counts.add("product_matrices", rows.0);
    counts.add("product_option_groups", rows.1);
    Ok(())
}
