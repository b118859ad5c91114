//! Products as a list shows them: everything that has a matrix, an option group or settings of its own.

use super::settings::{self, ProductSettings};
use crate::db::{self, Millis};
use crate::domain::ids::{MatrixId, OptionGroupId, ProductId, StoreId};
use crate::domain::name::Name;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

/// What is assigned to a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Its title: the one that was set for it, else as it was when its matrix was assigned.
    pub title: Option<String>,
    /// Its matrix.
    pub matrix: Option<(MatrixId, Name)>,
    /// When its matrix was assigned.
    pub assigned_at: Option<DateTime<Utc>>,
    /// Its option groups, in the order of assignment.
    pub groups: Vec<(OptionGroupId, Name)>,
    /// What its line at Shopify is to have.
    pub settings: ProductSettings,
}

impl Product {
    /// Whether anything is assigned to it or was said of it.
    pub fn is_known(&self) -> bool {
        self.matrix.is_some() || !self.groups.is_empty() || self.settings != ProductSettings::default()
    }
}

/// A store's products after `after`, in the order of their ids.
///
/// # Errors
/// When the database fails.
pub fn list_products(
    connection: &Connection,
    store: StoreId,
    after: Option<&ProductId>,
    limit: usize,
) -> db::Result<Vec<Product>> {
    // Each side in its own order and no longer than the page, or a page would cost as much as the store is large.
    let mut statement = connection.prepare_cached(
        "SELECT product_id FROM (
             SELECT product_id FROM product_matrices
             WHERE store_id = :store_id AND product_id > coalesce(:after, '') ORDER BY product_id LIMIT :limit)
         UNION
         SELECT product_id FROM (
             SELECT DISTINCT product_id FROM product_option_groups
             WHERE store_id = :store_id AND product_id > coalesce(:after, '') ORDER BY product_id LIMIT :limit)
         UNION
         SELECT product_id FROM (
             SELECT product_id FROM product_settings
             WHERE store_id = :store_id AND product_id > coalesce(:after, '') ORDER BY product_id LIMIT :limit)
         ORDER BY product_id LIMIT :limit",
    )?;
    let params = named_params! { ":store_id": store, ":after": after, ":limit": limit };
    let ids = statement.query_map(params, |row| row.get("product_id"))?.collect::<rusqlite::Result<Vec<_>>>()?;
    ids.into_iter().map(|id| load_product(connection, store, id)).collect()
}

/// A product of a store, if anything is assigned to it or was said of it.
///
/// # Errors
/// When the database fails.
pub fn find_product(connection: &Connection, store: StoreId, id: &ProductId) -> db::Result<Option<Product>> {
    let product = load_product(connection, store, id.clone())?;
    Ok(product.is_known().then_some(product))
}

/// A product of a store with whatever is known of it.
pub(super) fn load_product(connection: &Connection, store: StoreId, id: ProductId) -> db::Result<Product> {
    let mut statement = connection.prepare_cached(
        "SELECT p.product_title, p.assigned_at, p.matrix_id, m.name
         FROM product_matrices AS p
         JOIN price_matrices AS m ON m.store_id = p.store_id AND m.id = p.matrix_id
         WHERE p.store_id = :store_id AND p.product_id = :product_id",
    )?;
    let params = named_params! { ":store_id": store, ":product_id": id };
    let priced = statement
        .query_row(params, |row| {
            let assigned_at: Millis = row.get("assigned_at")?;
            Ok((row.get("product_title")?, (row.get("matrix_id")?, row.get("name")?), assigned_at.0))
        })
        .optional()?;
    let mut statement = connection.prepare_cached(
        "SELECT p.option_group_id, g.name
         FROM product_option_groups AS p
         JOIN option_groups AS g ON g.store_id = p.store_id AND g.id = p.option_group_id
         WHERE p.store_id = :store_id AND p.product_id = :product_id
         ORDER BY p.sort_order, g.name, g.id",
    )?;
    let groups = statement.query_map(params, |row| Ok((row.get("option_group_id")?, row.get("name")?)))?;
    let groups = groups.collect::<rusqlite::Result<_>>()?;
    let (title, matrix, assigned_at) = match priced {
        Some((title, matrix, at)) => (Some(title), Some(matrix), Some(at)),
        None => (None, None, None),
    };
    let settings = settings::find_settings(connection, store, &id)?.unwrap_or_default();
    let title = settings.title.clone().or(title);
    Ok(Product { id, title, matrix, assigned_at, groups, settings })
}
