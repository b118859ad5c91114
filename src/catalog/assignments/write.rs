//! Changing what is assigned to a product.

use super::products::{self, Product};
use super::settings::{self, SettingsEdit};
use super::title::Title;
use crate::catalog::stores::{self, Scope};
use crate::catalog::{matrices, options};
use crate::db::{self, Constraint, Millis, Tx};
use crate::domain::ids::{MatrixId, OptionGroupId, ProductId, StoreId};
use crate::domain::options::GROUPS_MAX;
use crate::error::{Error, Kind, Result};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};
use serde_json::json;

/// Has a product priced by a matrix of the same store; taking it from another matrix must be `confirmed`. Its options stay.
///
/// # Errors
/// `NotFound` when the store has no such matrix; `Conflict` with the member `currentMatrix` when another one prices the product, and
/// when the store takes no change; and when the database fails.
pub fn assign_matrix(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    product: &ProductId,
    title: &Title,
    matrix: MatrixId,
    confirmed: bool,
) -> Result<()> {
    if !matrices::exists(tx, scope.store, matrix)? {
        return Err(Error::not_found(format!("price matrix {matrix}")));
    }
    if !confirmed {
        refuse_other(tx, scope.store, product, matrix)?;
    }
    set_matrix(tx, now, scope, product, title, matrix)
}

fn refuse_other(connection: &Connection, store: StoreId, product: &ProductId, wanted: MatrixId) -> Result<()> {
    let Some(current) = super::find_matrix(connection, store, product)?.filter(|found| found.matrix != wanted) else {
        return Ok(());
    };
    let name = matrices::find_name(connection, store, current.matrix)?;
    let name = name.as_deref().unwrap_or_default();
    let message =
        format!("product {product} is priced by the matrix \"{name}\" now: confirm that this one replaces it");
    Err(Error::new(Kind::Conflict, message)
        .with_member("currentMatrix", json!({ "id": current.matrix.to_string(), "name": name })))
}

/// Has a product priced by a matrix of the same store, whatever priced it before.
///
/// # Errors
/// `NotFound` when the store has no such matrix; `Conflict` when it takes no change; and when the database fails.
pub fn set_matrix(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    product: &ProductId,
    title: &Title,
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
        ":title": title.as_str(),
        ":now": Millis(now),
    });
    match written.map_err(db::Error::from) {
        Ok(_one) => settings::clear_title(tx, scope.store, product),
        // The key of both columns: the matrix of another store is as unknown as one that never was.
        Err(error) if error.constraint() == Some(Constraint::ForeignKey) => {
            Err(Error::not_found(format!("price matrix {matrix}")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Has a product priced by nothing. Its options stay.
///
/// # Errors
/// `NotFound` when nothing priced it; `Conflict` when the store takes no change; and when the database fails.
pub fn remove_matrix(tx: &Tx<'_>, now: DateTime<Utc>, scope: Scope, product: &ProductId) -> Result<()> {
    stores::begin_change(tx, now, scope)?;
    let mut statement =
        tx.prepare_cached("DELETE FROM product_matrices WHERE store_id = :store_id AND product_id = :product_id")?;
    match statement.execute(named_params! { ":store_id": scope.store, ":product_id": product })? {
        0 => Err(Error::not_found(format!("price matrix of product {product}"))),
        _one => Ok(()),
    }
}

/// Offers an option group of the same store with a product, after those it offers already. Doing so twice does no harm.
///
/// # Errors
/// `NotFound` when the store has no such group; `Conflict` when the product has [`GROUPS_MAX`] others, or the store takes no change;
/// and when the database fails.
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
        Ok(_none) if options::exists(tx, scope.store, group)? => {
            Err(Error::new(Kind::Conflict, format!("product {product} has {GROUPS_MAX} option groups already")))
        }
        Ok(_none) => Err(Error::not_found(format!("option group {group}"))),
        Err(error) if error.constraint() == Some(Constraint::ForeignKey) => {
            Err(Error::not_found(format!("option group {group}")))
        }
        Err(error) => Err(error.into()),
    }
}

/// No longer offers an option group with a product.
///
/// # Errors
/// `NotFound` when it was not offered; `Conflict` when the store takes no change; and when the database fails.
pub fn remove_group(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    product: &ProductId,
    group: OptionGroupId,
) -> Result<()> {
    stores::begin_change(tx, now, scope)?;
    let mut statement = tx.prepare_cached(
        "DELETE FROM product_option_groups
         WHERE store_id = :store_id AND product_id = :product_id AND option_group_id = :group_id",
    )?;
    let params = named_params! { ":store_id": scope.store, ":product_id": product, ":group_id": group };
    match statement.execute(params)? {
        0 => Err(Error::not_found(format!("option group {group} of product {product}"))),
        _one => Ok(()),
    }
}

/// Changes what a product's line at Shopify is to have: the last edit wins. Orders that are there keep what they were made with.
/// Returns the product as it is then, also where nothing is left to be known of it.
///
/// # Errors
/// `NotFound` when nothing is assigned to the product and nothing was said of it; `Conflict` when the store takes no change; and when
/// the database fails.
pub fn edit_settings(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    product: &ProductId,
    edit: SettingsEdit,
) -> Result<Product> {
    let known = products::find_product(tx, scope.store, product)?;
    let known = known.ok_or_else(|| Error::not_found(format!("product {product}")))?;
    stores::begin_change(tx, now, scope)?;
    settings::write(tx, scope.store, product, &known.settings.edited(edit))?;
    Ok(products::load_product(tx, scope.store, product.clone())?)
}

/// Takes up to `limit` products from a matrix; returns how many.
pub(in crate::catalog) fn clear_matrix(
    tx: &Tx<'_>,
    store: StoreId,
    matrix: MatrixId,
    limit: usize,
) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM product_matrices
         WHERE (store_id, product_id) IN (
             SELECT store_id, product_id FROM product_matrices
             WHERE store_id = :store_id AND matrix_id = :matrix_id LIMIT :limit)",
    )?;
    Ok(statement.execute(named_params! { ":store_id": store, ":matrix_id": matrix, ":limit": limit })?)
}

/// Takes an option group from up to `limit` products; returns how many.
pub(in crate::catalog) fn clear_group(
    tx: &Tx<'_>,
    store: StoreId,
    group: OptionGroupId,
    limit: usize,
) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM product_option_groups
         WHERE (store_id, product_id, option_group_id) IN (
             SELECT store_id, product_id, option_group_id FROM product_option_groups
             WHERE store_id = :store_id AND option_group_id = :group_id LIMIT :limit)",
    )?;
    Ok(statement.execute(named_params! { ":store_id": store, ":group_id": group, ":limit": limit })?)
}

fn has_group(connection: &Connection, store: StoreId, product: &ProductId, group: OptionGroupId) -> db::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM product_option_groups
         WHERE store_id = :store_id AND product_id = :product_id AND option_group_id = :group_id",
    )?;
    let params = named_params! { ":store_id": store, ":product_id": product, ":group_id": group };
    Ok(statement.query_row(params, |_row| Ok(())).optional()?.is_some())
}
