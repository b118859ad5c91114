//! What would miss a price matrix or an option group that is deleted.

use crate::catalog::version::{self, Expected};
use crate::catalog::{matrices, options};
use crate::domain::ids::{MatrixId, OptionGroupId, ProductId, StoreId};
use crate::error::{Error, Kind, NEEDS_CONFIRMATION, Result};
use rusqlite::{CachedStatement, Connection, named_params};
use serde_json::{Value, json};

/// Products that a refusal lists; it always says how many there are.
const LISTED: usize = 20;

/// Products that its sentence names.
const NAMED: usize = 3;

/// Refuses to delete a matrix that prices products. To be asked in the transaction that deletes it, unless the caller has confirmed.
///
/// # Errors
/// `NotFound` when the store has no such matrix, `VersionRequired` without a version, `Stale` with an old one, `Conflict` with a code and
/// the fields `products` and `productCount` while it is in
/// use, and when the database fails.
pub fn refuse_matrix_in_use(
    connection: &Connection,
    store: StoreId,
    id: MatrixId,
    expected: Option<Expected>,
) -> Result<()> {
    version::check(matrices::find_version(connection, store, id)?, expected, format!("price matrix {id}"))?;
    let count: usize = connection
        .prepare_cached("SELECT count(*) FROM product_matrices WHERE store_id = :store_id AND matrix_id = :id")?
        .query_row(named_params! { ":store_id": store, ":id": id }, |row| row.get(0))?;
    if count == 0 {
        return Ok(());
    }
    let listed = connection.prepare_cached(
        "SELECT product_id, product_title FROM product_matrices
         WHERE store_id = :store_id AND matrix_id = :id ORDER BY product_id LIMIT :limit",
    )?;
    let products = list(listed, named_params! { ":store_id": store, ":id": id, ":limit": LISTED })?;
    let name = matrices::find_name(connection, store, id)?.map(|name| name.to_string()).unwrap_or_default();
    Err(refusal(&format!("price matrix \"{name}\" prices"), "they would have no price", &products, count))
}

/// Refuses to delete an option group that products offer, as [`refuse_matrix_in_use`] does.
///
/// # Errors
/// As [`refuse_matrix_in_use`].
pub fn refuse_group_in_use(
    connection: &Connection,
    store: StoreId,
    id: OptionGroupId,
    expected: Option<Expected>,
) -> Result<()> {
    let stored = options::find(connection, store, id)?;
    version::check(stored.as_ref().map(|stored| stored.version), expected, format!("option group {id}"))?;
    let count: usize = connection
        .prepare_cached(
            "SELECT count(*) FROM product_option_groups WHERE store_id = :store_id AND option_group_id = :id",
        )?
        .query_row(named_params! { ":store_id": store, ":id": id }, |row| row.get(0))?;
    if count == 0 {
        return Ok(());
    }
    let listed = connection.prepare_cached(
        "SELECT g.product_id, m.product_title
         FROM product_option_groups AS g
         LEFT JOIN product_matrices AS m ON m.store_id = g.store_id AND m.product_id = g.product_id
         WHERE g.store_id = :store_id AND g.option_group_id = :id ORDER BY g.product_id LIMIT :limit",
    )?;
    let products = list(listed, named_params! { ":store_id": store, ":id": id, ":limit": LISTED })?;
    let name = stored.map(|stored| stored.group.name.to_string()).unwrap_or_default();
    Err(refusal(&format!("option group \"{name}\" is offered with"), "they would lose it", &products, count))
}

type Titled = (ProductId, Option<String>);

fn list(mut statement: CachedStatement<'_>, params: &[(&str, &dyn rusqlite::ToSql)]) -> Result<Vec<Titled>> {
    let found = statement.query_map(params, |row| Ok((row.get("product_id")?, row.get("product_title")?)))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

fn refusal(in_use: &str, loss: &str, products: &[Titled], count: usize) -> Error {
    let titled = |(id, title): &Titled| match title {
        Some(title) => format!("{id} (\"{title}\")"),
        None => id.to_string(),
    };
    let mut named: Vec<String> = products.iter().take(NAMED).map(titled).collect();
    if count > named.len() {
        named.push(format!("and {} more", count - named.len()));
    }
    let noun = if count == 1 { "product" } else { "products" };
    let message = format!("{in_use} {count} {noun}: {}. Confirm that {loss}", named.join(", "));
    let listed: Vec<Value> =
        products.iter().map(|(id, title)| json!({ "productId": id.as_str(), "title": title })).collect();
    let error = Error::new(Kind::Conflict, message).with_member("code", NEEDS_CONFIRMATION);
    error.with_member("products", listed).with_member("productCount", count)
}
