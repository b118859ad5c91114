//! SQL of `draft_order_records`.

use super::snapshot::SelectedOption;
use crate::catalog::stores;
use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::{DraftOrderId, MatrixId, ShopDomain, StoreId};
use crate::domain::length::{Length, Unit};
use crate::domain::money::{Currency, Minor};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::keyed_hash::hex;
use chrono::{DateTime, Utc};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::de::DeserializeOwned;

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
    /// The step of the grid that priced the width.
    pub priced_width: i64,
    /// The step of the grid that priced the height.
    pub priced_height: i64,
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
    pub selections: &'a [SelectedOption],
}

/// The unguessable part of an order page's address: it is all that is needed to see the page, so it is printed nowhere but there.
#[derive(Clone, PartialEq, Eq)]
pub struct PageToken(String);

/// Digits of a token.
const TOKEN_DIGITS: usize = 64;

impl PageToken {
    /// A new token: 48 bits of time and 208 random ones, as hexadecimal digits. The time in front keeps its index in the order of the
    /// rows, so that an erasure deletes from few pages instead of one a row.
    pub fn new(now: DateTime<Utc>, entropy: &dyn Entropy) -> Self {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default().to_be_bytes();
        Self(format!("{}{}", hex(&millis[2..]), hex(&entropy.array::<26>())))
    }

    /// The token of an address, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == TOKEN_DIGITS && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The token itself: for addresses, never for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PageToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageToken(***)")
    }
}

/// Writes an order with the next number of its store's sequence.
///
/// # Errors
/// When the database fails.
pub fn insert(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    id: DraftOrderId,
    token: &PageToken,
    store: StoreId,
    record: &NewRecord<'_>,
) -> db::Result<i64> {
    let number = stores::next_order_number(tx, store)?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO draft_order_records
             (id, store_id, number, token, matrix_id, matrix_name, product_id, product_title, width, height, unit,
              priced_width, priced_height, quantity, currency, base_price_minor, calculated_price_minor,
              total_price_minor, option_selections, created_at)
         VALUES (:id, :store_id, :number, :token, :matrix_id, :matrix_name, :product_id, :product_title, :width,
             :height, :unit, :priced_width, :priced_height, :quantity, :currency, :base, :unit_price, :total,
             :selections, :now)",
    )?;
    let selections = serde_json::to_string(record.selections).expect("text and numbers are JSON");
    statement.execute(named_params! {
        ":id": id,
        ":store_id": store,
        ":number": number,
        ":token": token.expose(),
        ":matrix_id": record.matrix,
        ":matrix_name": record.matrix_name,
        ":product_id": record.product_id,
        ":product_title": record.product_title,
        ":width": record.width,
        ":height": record.height,
        ":unit": record.unit,
        ":priced_width": record.priced_width,
        ":priced_height": record.priced_height,
        ":quantity": record.quantity,
        ":currency": record.currency,
        ":base": record.base_price_minor,
        ":unit_price": record.unit_price_minor,
        ":total": record.total_price_minor,
        ":selections": selections,
        ":now": Millis(now),
    })?;
    Ok(number)
}

/// An order as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: DraftOrderId,
    /// Its store.
    pub store: StoreId,
    /// Its place in the store's own sequence.
    pub number: i64,
    /// Opens its page.
    pub token: PageToken,
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
    /// The step of the grid that priced the width.
    pub priced_width: Length,
    /// The step of the grid that priced the height.
    pub priced_height: Length,
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
    /// What was chosen, in the order of the request.
    pub selections: Vec<SelectedOption>,
    /// Shopify's id, once it is there.
    pub shopify_draft_order_id: Option<String>,
    /// Shopify's name for it.
    pub shopify_order_name: Option<String>,
    /// What it comes to there: taxes may be in it.
    pub shopify_total: Option<Minor>,
    /// Where it is paid.
    pub checkout_url: Option<String>,
    /// Why it is not at Shopify, where a hand-over has failed.
    pub handover_error: Option<String>,
    /// What it has otherwise at Shopify than was quoted, a sentence each.
    pub handover_warnings: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Record {
    /// Whether it is not at Shopify.
    pub fn is_open(&self) -> bool {
        self.status == "open"
    }

    /// The name that people call it by: `#D12`.
    pub fn name(&self) -> String {
        format!("#D{}", self.number)
    }
}

const COLUMNS: &str = "o.id, o.store_id, o.number, o.token, o.status, o.matrix_id, o.matrix_name, o.product_id, o.product_title, o.width, \
    o.height, o.unit, o.priced_width, o.priced_height, o.quantity, o.currency, o.base_price_minor, \
    o.calculated_price_minor, o.total_price_minor, o.option_selections, o.shopify_draft_order_id, \
    o.shopify_order_name, o.shopify_total_minor, o.checkout_url, o.handover_error, o.handover_warnings, o.created_at";

/// A store's order.
///
/// # Errors
/// When the database fails.
pub fn find(connection: &Connection, store: StoreId, id: DraftOrderId) -> db::Result<Option<Record>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM draft_order_records AS o WHERE o.id = :id AND o.store_id = :store_id"
    ))?;
    Ok(statement.query_row(named_params! { ":id": id, ":store_id": store }, record_from_row).optional()?)
}

/// A store's order of this number.
///
/// # Errors
/// When the database fails.
pub fn find_by_number(connection: &Connection, store: StoreId, number: i64) -> db::Result<Option<Record>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM draft_order_records AS o WHERE o.store_id = :store_id AND o.number = :number"
    ))?;
    let params = named_params! { ":store_id": store, ":number": number };
    Ok(statement.query_row(params, record_from_row).optional()?)
}

/// As [`find`], for an order that should be there.
///
/// # Errors
/// `NotFound` when the store has no such order, and when the database fails.
pub fn load(connection: &Connection, store: StoreId, id: DraftOrderId) -> Result<Record> {
    find(connection, store, id)?.ok_or_else(|| Error::not_found(format!("draft order {id}")))
}

/// Whether a store's order is at Shopify.
///
/// # Errors
/// When the database fails.
pub fn is_sent(connection: &Connection, store: StoreId, id: DraftOrderId) -> db::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM draft_order_records WHERE id = :id AND store_id = :store_id AND status = 'sent'",
    )?;
    Ok(statement.exists(named_params! { ":id": id, ":store_id": store })?)
}

/// The order whose page this token opens, and its shop. Pages are closed while their store is uninstalled, and from the moment in
/// which its erasure begins.
///
/// # Errors
/// When the database fails.
pub fn find_page(connection: &Connection, token: &PageToken) -> db::Result<Option<(Record, ShopDomain)>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, s.shop FROM draft_order_records AS o
         JOIN stores AS s ON s.id = o.store_id
         WHERE o.token = :token AND s.uninstalled_at IS NULL AND s.erasing_since IS NULL"
    ))?;
    let page = statement
        .query_row(named_params! { ":token": token.expose() }, |row| Ok((record_from_row(row)?, row.get("shop")?)));
    Ok(page.optional()?)
}

/// A store's orders, newest first; `before`: only those with a smaller number.
///
/// # Errors
/// When the database fails.
pub fn list(connection: &Connection, store: StoreId, before: Option<i64>, limit: usize) -> db::Result<Vec<Record>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM draft_order_records AS o
         WHERE o.store_id = :store_id AND o.number < coalesce(:before, 9223372036854775807)
         ORDER BY o.number DESC LIMIT :limit"
    ))?;
    let params = named_params! { ":store_id": store, ":before": before, ":limit": limit };
    let records = statement.query_map(params, record_from_row)?;
    Ok(records.collect::<rusqlite::Result<_>>()?)
}

fn record_from_row(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        id: row.get("id")?,
        store: row.get("store_id")?,
        number: row.get("number")?,
        token: PageToken(row.get("token")?),
        status: row.get("status")?,
        matrix: row.get("matrix_id")?,
        matrix_name: row.get("matrix_name")?,
        product_id: row.get("product_id")?,
        product_title: row.get("product_title")?,
        width: row.get("width")?,
        height: row.get("height")?,
        unit: row.get("unit")?,
        priced_width: row.get("priced_width")?,
        priced_height: row.get("priced_height")?,
        quantity: row.get("quantity")?,
        currency: row.get("currency")?,
        base_price: row.get("base_price_minor")?,
        unit_price: row.get("calculated_price_minor")?,
        total_price: row.get("total_price_minor")?,
        selections: listed(row.get("option_selections")?)?,
        shopify_draft_order_id: row.get("shopify_draft_order_id")?,
        shopify_order_name: row.get("shopify_order_name")?,
        shopify_total: row.get("shopify_total_minor")?,
        checkout_url: row.get("checkout_url")?,
        handover_error: row.get("handover_error")?,
        handover_warnings: listed(row.get("handover_warnings")?)?,
        created_at: row.get::<_, Millis>("created_at")?.0,
    })
}

/// The members of a JSON list; none where there is no list.
fn listed<T: DeserializeOwned>(text: Option<String>) -> rusqlite::Result<Vec<T>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    serde_json::from_str(&text)
        .map_err(|fault| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(FromSqlError::other(fault))))
}

/// How many orders a store has.
///
/// # Errors
/// When the database fails.
pub fn count(connection: &Connection, store: StoreId) -> db::Result<u64> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM draft_order_records WHERE store_id = :store_id")?;
    Ok(statement.query_row(named_params! { ":store_id": store }, |row| row.get(0))?)
}

/// How many orders since `since` are not at Shopify as they were quoted.
///
/// # Errors
/// When the database fails.
pub fn count_differing(connection: &Connection, since: DateTime<Utc>) -> db::Result<u64> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM draft_order_records WHERE handover_warnings IS NOT NULL AND created_at >= :since",
    )?;
    Ok(statement.query_row(named_params! { ":since": Millis(since) }, |row| row.get(0))?)
}

/// Takes up to `limit` of a store's orders from the matrix that priced them; returns how many. They keep their snapshot.
///
/// # Errors
/// When the database fails.
pub fn release_some(tx: &Tx<'_>, store: StoreId, matrix: MatrixId, limit: usize) -> db::Result<usize> {
    // The plus keeps the look-up to the matrix's index: the store's would walk all its orders.
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records SET matrix_id = NULL
         WHERE rowid IN (SELECT rowid FROM draft_order_records
                         WHERE matrix_id = :matrix_id AND +store_id = :store_id LIMIT :limit)",
    )?;
    Ok(statement.execute(named_params! { ":matrix_id": matrix, ":store_id": store, ":limit": limit })?)
}

/// An order's row is in five indexes and is not clustered under its store: deleting one costs about as much as ten cells.
const COST: usize = 10;

/// Deletes a store's orders, as many as a budget of cheap rows is worth. Nothing deleted means that none is left.
///
/// # Errors
/// When the database fails.
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

/// The stores that have orders from before `before` which never went to Shopify.
///
/// # Errors
/// When the database fails.
pub fn stores_with_never_sent(connection: &Connection, before: DateTime<Utc>) -> db::Result<Vec<StoreId>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.id FROM stores AS s
         WHERE s.erasing_since IS NULL AND EXISTS (
             SELECT 1 FROM draft_order_records AS o
             WHERE o.store_id = s.id AND o.status = 'open' AND o.created_at < :before AND o.handover_attempted_at IS NULL)",
    )?;
    let stores = statement.query_map(named_params! { ":before": Millis(before) }, |row| row.get("id"))?;
    Ok(stores.collect::<rusqlite::Result<_>>()?)
}

/// How many of a store's orders from before `before` never went to Shopify.
///
/// # Errors
/// When the database fails.
pub fn count_never_sent(connection: &Connection, store: StoreId, before: DateTime<Utc>) -> db::Result<u64> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM draft_order_records
         WHERE store_id = :store_id AND status = 'open' AND created_at < :before AND handover_attempted_at IS NULL",
    )?;
    Ok(statement.query_row(named_params! { ":store_id": store, ":before": Millis(before) }, |row| row.get(0))?)
}

/// Deletes up to `limit` of a store's orders from before `before` that never went to Shopify; returns how many. One that may be there,
/// for nobody knows whether its draft was made, stays. A job that would still hand one over finds nothing, and ends.
///
/// # Errors
/// When the database fails.
pub fn delete_never_sent(tx: &Tx<'_>, store: StoreId, before: DateTime<Utc>, limit: usize) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM draft_order_records
         WHERE rowid IN (SELECT rowid FROM draft_order_records
                         WHERE store_id = :store_id AND status = 'open' AND created_at < :before
                           AND handover_attempted_at IS NULL
                         ORDER BY created_at LIMIT :limit)",
    )?;
    Ok(statement.execute(named_params! { ":store_id": store, ":before": Millis(before), ":limit": limit })?)
}

/// A store's rows here, by table.
///
/// # Errors
/// When the database fails.
pub fn count_rows(connection: &Connection, store: StoreId) -> db::Result<RowCounts> {
    let mut counts = RowCounts::default();
    counts.add("draft_order_records", usize::try_from(count(connection, store)?).unwrap_or(usize::MAX));
    Ok(counts)
}
