//! Which product has which matrix and which option groups. Neither is needed for the other: a product keeps its options when it
//! changes its matrix, or has none for a while.

use super::stores::{self, Scope};
use crate::db::{self, Constraint, Millis, RowCounts, Tx};
use crate::domain::ids::{MatrixId, OptionGroupId, ProductId, StoreId};
use crate::domain::options::GROUPS_MAX;
use crate::error::{Error, Kind, Result};
use chrono::{DateTime, Utc};
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
/// The database's.
pub fn find_matrix(connection: &Connection, store: StoreId, product: &ProductId) -> db::Result<Option<Assignment>> {
    let mut statement = connection.prepare_cached(
        "SELECT matrix_id, product_title FROM product_matrices WHERE store_id = :store_id AND product_id = :product_id",
    )?;
    let found = statement.query_row(named_params! { ":store_id": store, ":product_id": product }, |row| {
        Ok(Assignment { matrix: row.get("matrix_id")?, title: row.get("product_title")? })
    });
    Ok(found.optional()?)
}

/// Has a product priced by a matrix of the same store, whatever priced it before.
///
/// # Errors
/// `NotFound` when the store has no such matrix; `Conflict` when it takes no change; and the database's.
pub fn set_matrix(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    product: &ProductId,
    title: &str,
    matrix: MatrixId,
) -> Result<()> {
    stores::begin_change(tx, now, scope)?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO product_matrices (store_id, product_id, matrix_id, product_title, assigned_at)
         VALUES (:store_id, :product_id, :matrix_id, :title, :now)
         ON CONFLICT (store_id, product_id)
         DO UPDATE SET matrix_id = excluded.matrix_id, product_title = excluded.product_title, assigned_at = :now",
    )?;
    let written = statement.execute(named_params! {
        ":store_id": scope.store,
        ":product_id": product,
        ":matrix_id": matrix,
        ":title": title,
        ":now": Millis(now),
    });
    match written.map_err(db::Error::from) {
        Ok(_one) => Ok(()),
        // The key of both columns: the matrix of another store is as unknown as one that never was.
        Err(error) if error.constraint() == Some(Constraint::ForeignKey) => {
            Err(Error::not_found(format!("price matrix {matrix}")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Offers an option group of the same store with a product, after those it offers already. Doing so twice does no harm.
///
/// # Errors
/// `NotFound` when the store has no such group; `Conflict` when the product has [`GROUPS_MAX`] others, or the store takes no change;
/// and the database's.
pub fn add_group(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    product: &ProductId,
    group: OptionGroupId,
) -> Result<()> {
    stores::begin_change(tx, now, scope)?;
    // Counted and inserted in one statement: however many arrive at once, no sixth gets in.
    let mut statement = tx.prepare_cached(
        "INSERT INTO product_option_groups (store_id, product_id, option_group_id, sort_order, assigned_at)
         SELECT :store_id, :product_id, :group_id, coalesce(max(sort_order) + 1, 0), :now
         FROM product_option_groups
         WHERE store_id = :store_id AND product_id = :product_id
         HAVING count(*) < :max AND count(*) FILTER (WHERE option_group_id = :group_id) = 0",
    )?;
    let written = statement.execute(named_params! {
        ":store_id": scope.store,
        ":product_id": product,
        ":group_id": group,
        ":now": Millis(now),
        ":max": GROUPS_MAX,
    });
    match written.map_err(db::Error::from) {
        Ok(1) => Ok(()),
        Ok(_none) if has_group(tx, scope.store, product, group)? => Ok(()),
        Ok(_none) if super::options::exists(tx, scope.store, group)? => {
            Err(Error::new(Kind::Conflict, format!("product {product} has {GROUPS_MAX} option groups already")))
        }
        Ok(_none) => Err(Error::not_found(format!("option group {group}"))),
        Err(error) if error.constraint() == Some(Constraint::ForeignKey) => {
            Err(Error::not_found(format!("option group {group}")))
        }
        Err(error) => Err(error.into()),
    }
}

fn has_group(connection: &Connection, store: StoreId, product: &ProductId, group: OptionGroupId) -> db::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM product_option_groups
                        WHERE store_id = :store_id AND product_id = :product_id AND option_group_id = :group_id)",
    )?;
    let params = named_params! { ":store_id": store, ":product_id": product, ":group_id": group };
    Ok(statement.query_row(params, |row| row.get(0))?)
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
