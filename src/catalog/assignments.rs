//! Which product has which matrix and which option groups.

use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::{MatrixId, OptionGroupId, StoreId};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, named_params};

/// Has a product priced by a matrix of the same store.
///
/// # Errors
/// The database's.
pub fn insert_matrix(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    store: StoreId,
    product: &str,
    title: &str,
    matrix: MatrixId,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO product_matrices (store_id, product_id, matrix_id, product_title, assigned_at)
         VALUES (:store_id, :product_id, :matrix_id, :title, :now)",
    )?;
    statement.execute(named_params! {
        ":store_id": store,
        ":product_id": product,
        ":matrix_id": matrix,
        ":title": title,
        ":now": Millis(now),
    })?;
    Ok(())
}

/// Offers an option group of the same store with a product, in the `sort_order`th place.
///
/// # Errors
/// The database's.
pub fn insert_group(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    store: StoreId,
    product: &str,
    group: OptionGroupId,
    sort_order: usize,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO product_option_groups (store_id, product_id, option_group_id, sort_order, assigned_at)
         VALUES (:store_id, :product_id, :group_id, :sort_order, :now)",
    )?;
    statement.execute(named_params! {
        ":store_id": store,
        ":product_id": product,
        ":group_id": group,
        ":sort_order": sort_order,
        ":now": Millis(now),
    })?;
    Ok(())
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
