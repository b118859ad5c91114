//! SQL of `draft_order_records`.

use crate::catalog::stores;
use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::{DraftOrderId, MatrixId, StoreId};
use crate::domain::length::{Length, Unit};
use crate::domain::money::{Currency, Minor};
use crate::entropy::Entropy;
use crate::keyed_hash::hex;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, named_params};
use serde_json::Value;

/// An order to be written. Lengths are thousandths of `unit`, prices minor units of `currency`.
#[derive(Debug, Clone)]
pub struct NewRecord<'a> {
    /// The matrix that priced it.
    pub matrix: MatrixId,
    /// Its name then.
    pub matrix_name: &'a str,
    /// The product, as `gid://shopify/Product/…`.
    pub product_id: &'a str,
    /// Its title then.
    pub product_title: &'a str,
    /// The width asked for.
    pub width: i64,
    /// The height asked for.
    pub height: i64,
    /// `mm` or `cm`.
    pub unit: &'a str,
    /// How many.
    pub quantity: i64,
    /// ISO 4217 code.
    pub currency: &'a str,
    /// The cell's price.
    pub base_price_minor: i64,
    /// A unit with its options.
    pub unit_price_minor: i64,
    /// All of them.
    pub total_price_minor: i64,
    /// What was chosen, and what each choice added.
    pub selections: &'a Value,
}

/// The unguessable part of a page's address: 48 bits of time and 208 random ones, as hexadecimal digits. The time in front keeps
/// its index in the order of the rows, so that an erasure deletes from few pages instead of one a row.
pub fn new_token(now: DateTime<Utc>, entropy: &dyn Entropy) -> String {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default().to_be_bytes();
    format!("{}{}", hex(&millis[2..]), hex(&entropy.array::<26>()))
}

/// Writes an order with the next number of its store's sequence; `token` is one of [`new_token`].
///
/// # Errors
/// The database's.
pub fn insert(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    id: DraftOrderId,
    token: &str,
    store: StoreId,
    record: &NewRecord<'_>,
) -> db::Result<i64> {
    let number = stores::next_order_number(tx, store)?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO draft_order_records
             (id, store_id, number, token, matrix_id, matrix_name, product_id, product_title, width, height, unit,
              quantity, currency, base_price_minor, calculated_price_minor, total_price_minor, option_selections,
              created_at)
         VALUES (:id, :store_id, :number, :token, :matrix_id, :matrix_name, :product_id, :product_title, :width,
             :height, :unit, :quantity, :currency, :base, :unit_price, :total, :selections, :now)",
    )?;
    statement.execute(named_params! {
        ":id": id,
        ":store_id": store,
        ":number": number,
        ":token": token,
        ":matrix_id": record.matrix,
        ":matrix_name": record.matrix_name,
        ":product_id": record.product_id,
        ":product_title": record.product_title,
        ":width": record.width,
        ":height": record.height,
        ":unit": record.unit,
        ":quantity": record.quantity,
        ":currency": record.currency,
        ":base": record.base_price_minor,
        ":unit_price": record.unit_price_minor,
        ":total": record.total_price_minor,
        ":selections": record.selections.to_string(),
        ":now": Millis(now),
    })?;
    Ok(number)
}

/// An order as it stands. Its page's token is left out: it opens that page.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: DraftOrderId,
    /// Its place in the store's own sequence.
    pub number: i64,
    /// `open`, or `sent` to Shopify.
    pub status: String,
    /// The matrix that priced it, while there is one.
    pub matrix: Option<MatrixId>,
    /// Its name then.
    pub matrix_name: String,
    /// The product, as `gid://shopify/Product/…`.
    pub product_id: String,
    /// Its title then.
    pub product_title: String,
    /// The width asked for.
    pub width: Length,
    /// The height asked for.
    pub height: Length,
    /// What both are in.
    pub unit: Unit,
    /// How many.
    pub quantity: i64,
    /// What its prices are in.
    pub currency: Currency,
    /// The cell's price.
    pub base_price: Minor,
    /// A unit with its options.
    pub unit_price: Minor,
    /// All of them.
    pub total_price: Minor,
    /// What was chosen.
    pub selections: Option<Value>,
    /// Shopify's id, once it is there.
    pub shopify_draft_order_id: Option<String>,
    /// Shopify's name for it.
    pub shopify_order_name: Option<String>,
    /// Where it is paid.
    pub checkout_url: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A store's orders, newest first; `before`: only those with a smaller number.
///
/// # Errors
/// The database's.
pub fn list(connection: &Connection, store: StoreId, before: Option<i64>, limit: usize) -> db::Result<Vec<Record>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, number, status, matrix_id, matrix_name, product_id, product_title, width, height, unit, quantity,
             currency, base_price_minor, calculated_price_minor, total_price_minor, option_selections,
             shopify_draft_order_id, shopify_order_name, checkout_url, created_at
         FROM draft_order_records
         WHERE store_id = :store_id AND number < coalesce(:before, 9223372036854775807)
         ORDER BY number DESC LIMIT :limit",
    )?;
    let params = named_params! { ":store_id": store, ":before": before, ":limit": limit };
    let records = statement.query_map(params, record_from_row)?;
    Ok(records.collect::<rusqlite::Result<_>>()?)
}

fn record_from_row(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        id: row.get("id")?,
        number: row.get("number")?,
        status: row.get("status")?,
        matrix: row.get("matrix_id")?,
        matrix_name: row.get("matrix_name")?,
        product_id: row.get("product_id")?,
        product_title: row.get("product_title")?,
        width: row.get("width")?,
        height: row.get("height")?,
        unit: row.get("unit")?,
        quantity: row.get("quantity")?,
        currency: row.get("currency")?,
        base_price: row.get("base_price_minor")?,
        unit_price: row.get("calculated_price_minor")?,
        total_price: row.get("total_price_minor")?,
        selections: row.get("option_selections")?,
        shopify_draft_order_id: row.get("shopify_draft_order_id")?,
        shopify_order_name: row.get("shopify_order_name")?,
        checkout_url: row.get("checkout_url")?,
        created_at: row.get::<_, Millis>("created_at")?.0,
    })
}

/// How many orders a store has.
///
/// # Errors
/// The database's.
pub fn count(connection: &Connection, store: StoreId) -> db::Result<u64> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM draft_order_records WHERE store_id = :store_id")?;
    Ok(statement.query_row(named_params! { ":store_id": store }, |row| row.get(0))?)
}

/// Takes up to `limit` of a store's orders from the matrix that priced them; returns how many. They keep their snapshot.
///
/// # Errors
/// The database's.
pub fn release_some(tx: &Tx<'_>, store: StoreId, matrix: MatrixId, limit: usize) -> db::Result<usize> {
    // The plus keeps the look-up to the matrix's index: the store's would walk all its orders.
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records SET matrix_id = NULL
         WHERE rowid IN (SELECT rowid FROM draft_order_records
                         WHERE matrix_id = :matrix_id AND +store_id = :store_id LIMIT :limit)",
    )?;
    Ok(statement.execute(named_params! { ":matrix_id": matrix, ":store_id": store, ":limit": limit })?)
}

/// An order's row stands in five indexes and is not clustered under its store: deleting one costs about as much as ten cells.
const COST: usize = 10;

/// Deletes a store's orders, as many as a budget of cheap rows is worth. Nothing deleted means that none is left.
///
/// # Errors
/// The database's.
pub fn delete_some(tx: &Tx<'_>, store: StoreId, budget: usize) -> db::Result<RowCounts> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM draft_order_records
         WHERE rowid IN (SELECT rowid FROM draft_order_records WHERE store_id = :store_id LIMIT :limit)",
    )?;
    let mut counts = RowCounts::default();
    let limit = (budget / COST).max(1);
    counts.add("draft_order_records", statement.execute(named_params! { ":store_id": store, ":limit": limit })?);
    Ok(counts)
}

/// A store's rows here, by table.
///
/// # Errors
/// The database's.
pub fn count_rows(connection: &Connection, store: StoreId) -> db::Result<RowCounts> {
    let mut counts = RowCounts::default();
    counts.add("draft_order_records", usize::try_from(count(connection, store)?).unwrap_or(usize::MAX));
    Ok(counts)
}
