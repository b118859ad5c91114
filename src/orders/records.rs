//! SQL of `draft_order_records`.

mod deletion;
mod page_token;

pub use deletion::{count_never_sent, delete_never_sent, delete_some_with_items, stores_with_never_sent};
pub use page_token::PageToken;

use super::lines::{self, Line};
use super::snapshot::listed;
use crate::catalog::stores;
use crate::db::text_sql;
use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::{DraftOrderId, ShopDomain, StoreId};
use crate::domain::length::Unit;
use crate::domain::money::{Currency, Minor};
use crate::domain::tax_label::TaxLabel;
use crate::domain::text_enum::text_enum;
use crate::error::{Error, Result};
use crate::languages::Language;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

/// An order to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a> {
    /// What its lengths are in.
    pub unit: Unit,
    /// What its prices are in.
    pub currency: Currency,
    /// The sum of its items.
    pub total_price: Minor,
    /// Its items, at least one.
    pub lines: &'a [Line],
}

/// Writes an order and its items, with the next number of its store's sequence.
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
        "INSERT INTO draft_order_records (id, store_id, number, token, unit, currency, tax_label, total_price_minor, created_at)
         VALUES (:id, :store_id, :number, :token, :unit, :currency, (SELECT tax_label FROM stores WHERE id = :store_id),
             :total_price, :now)",
    )?;
    statement.execute(named_params! {
        ":id": id,
        ":store_id": store,
        ":number": number,
        ":token": token.expose(),
        ":unit": record.unit.as_str(),
        ":currency": record.currency.code(),
        ":total_price": record.total_price.get(),
        ":now": Millis(now),
    })?;
    lines::insert(tx, id, record.lines)?;
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
    /// What became of it.
    pub status: State,
    /// What its lengths are in.
    pub unit: Unit,
    /// What its prices are in.
    pub currency: Currency,
    /// The sum of its items.
    pub total_price: Minor,
    /// Its items, in the order in which they were asked for.
    pub lines: Vec<Line>,
    /// Shopify's id, once it is there.
    pub shopify_draft_order_id: Option<String>,
    /// Shopify's name of the draft.
    pub shopify_order_name: Option<String>,
    /// What it comes to there: taxes may be in it.
    pub shopify_total: Option<Minor>,
    /// Where it is paid.
    pub checkout_url: Option<String>,
    /// Shopify's name of the order that the draft became.
    pub order_name: Option<String>,
    /// Shopify's number of that order.
    pub shopify_order_id: Option<i64>,
    /// When the draft became an order.
    pub ordered_at: Option<DateTime<Utc>>,
    /// When it was cancelled.
    pub cancelled_at: Option<DateTime<Utc>>,
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
        self.status == State::Open
    }

    /// The name that people call it by: `#D12`.
    pub fn name(&self) -> String {
        format!("#D{}", self.number)
    }
}

const COLUMNS: &str = "o.id, o.store_id, o.number, o.token, o.status, o.unit, o.currency, o.total_price_minor, \
    o.shopify_draft_order_id, o.shopify_order_name, o.shopify_total_minor, o.checkout_url, o.order_name, o.shopify_order_id, \
    o.ordered_at, o.cancelled_at, o.handover_error, o.handover_warnings, o.created_at";

/// A store's order.
///
/// # Errors
/// When the database fails.
pub fn find(connection: &Connection, store: StoreId, id: DraftOrderId) -> db::Result<Option<Record>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM draft_order_records AS o WHERE o.id = :id AND o.store_id = :store_id"
    ))?;
    let record = statement.query_row(named_params! { ":id": id, ":store_id": store }, record_from_row).optional()?;
    record.map(|record| with_lines(connection, record)).transpose()
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
    let record = statement.query_row(params, record_from_row).optional()?;
    record.map(|record| with_lines(connection, record)).transpose()
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

/// What the page of an order shows.
#[derive(Debug)]
pub struct Page {
    /// The order.
    pub record: Record,
    /// Whose it is.
    pub shop: ShopDomain,
    /// The language in which that shop speaks to shoppers, where it has chosen one.
    pub locale: Option<Language>,
    /// What that shop said about taxes alongside its prices when it was placed.
    pub tax_label: TaxLabel,
}

/// The order whose page this token opens. Pages are closed while their store is uninstalled, and from the moment in
/// which its erasure begins.
///
/// # Errors
/// When the database fails.
pub fn find_page(connection: &Connection, token: &PageToken) -> db::Result<Option<Page>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, s.shop, s.locale, o.tax_label FROM draft_order_records AS o
         JOIN stores AS s ON s.id = o.store_id
         WHERE o.token = :token AND s.uninstalled_at IS NULL AND s.erasing_since IS NULL"
    ))?;
    let page = statement.query_row(named_params! { ":token": token.expose() }, |row| {
        Ok(Page {
            record: record_from_row(row)?,
            shop: row.get("shop")?,
            locale: row.get("locale")?,
            tax_label: row.get("tax_label")?,
        })
    });
    let with_lines = |page: Page| Ok(Page { record: with_lines(connection, page.record)?, ..page });
    page.optional()?.map(with_lines).transpose()
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
    let records = statement.query_map(params, record_from_row)?.collect::<rusqlite::Result<Vec<_>>>()?;
    records.into_iter().map(|record| with_lines(connection, record)).collect()
}

/// Which of a store's orders are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selected {
    /// Only those made then or later.
    pub since: Option<DateTime<Utc>>,
    /// Only those made before.
    pub until: Option<DateTime<Utc>>,
    /// Only those of which this has become.
    pub state: Option<State>,
    /// Only the one with this number.
    pub number: Option<i64>,
}

impl Selected {
    fn has(&self, record: &Record) -> bool {
        self.since.is_none_or(|since| record.created_at >= since)
            && self.until.is_none_or(|until| record.created_at < until)
            && self.state.is_none_or(|state| record.status == state)
            && self.number.is_none_or(|number| record.number == number)
    }
}

text_enum! {
    /// What became of an order.
    pub enum State {
        /// It is here alone.
        Open = "open",
        /// A draft is at Shopify.
        Sent = "sent",
        /// The draft was completed.
        Ordered = "ordered",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
}

text_sql!(State);

/// Those of a store's orders that are `selected`, the oldest first; `after`: only those behind the one made then with this number.
///
/// # Errors
/// When the database fails.
pub fn list_selected(
    connection: &Connection,
    store: StoreId,
    selected: Selected,
    after: Option<(DateTime<Utc>, i64)>,
    limit: usize,
) -> db::Result<Vec<Record>> {
    if let Some(number) = selected.number {
        let is_next = |record: &Record| {
            selected.has(record) && after.is_none_or(|after| (record.created_at, record.number) > after)
        };
        return Ok(find_by_number(connection, store, number)?.filter(is_next).into_iter().collect());
    }
    // A state at a time, each by the one index that has them in order: an index for all states would be one more to write for each
    // order.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM draft_order_records AS o
         WHERE o.store_id = :store_id AND o.status = :state AND (o.created_at, o.number) > (:after, :number)
           AND o.created_at < :until
         ORDER BY o.created_at, o.number LIMIT :limit"
    ))?;
    // Numbers begin with 1, so that 0 is before all that were made at the same instant.
    let start = selected.since.map_or(i64::MIN, |since| since.timestamp_millis());
    let (after, number) = after.map_or((start, 0), |(at, number)| (at.timestamp_millis(), number));
    let mut records = Vec::new();
    for state in State::ALL.into_iter().filter(|state| selected.state.is_none_or(|wanted| wanted == *state)) {
        let params = named_params! {
            ":store_id": store,
            ":state": state.as_str(),
            ":after": after,
            ":number": number,
            ":until": selected.until.map_or(i64::MAX, |until| until.timestamp_millis()),
            ":limit": limit,
        };
        let found = statement.query_map(params, record_from_row)?;
        records.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    records.sort_unstable_by_key(|record| (record.created_at, record.number));
    records.truncate(limit);
    records.into_iter().map(|record| with_lines(connection, record)).collect()
}

/// How many of a store's orders, made after `since` and not after `until`, are neither paid nor cancelled, and when the oldest was made.
///
/// # Errors
/// When the database fails.
pub fn count_unpaid(
    connection: &Connection,
    store: StoreId,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> db::Result<(u64, Option<DateTime<Utc>>)> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) AS orders, min(created_at) AS oldest FROM draft_order_records
         WHERE store_id = :store_id AND created_at > :since AND created_at <= :until AND status IN ('open', 'sent')",
    )?;
    let params = named_params! { ":store_id": store, ":since": Millis(since), ":until": Millis(until) };
    Ok(statement
        .query_row(params, |row| Ok((row.get("orders")?, row.get::<_, Option<Millis>>("oldest")?.map(|at| at.0))))?)
}

/// The same count for each store that has any.
///
/// # Errors
/// When the database fails.
pub fn count_unpaid_by_store(
    connection: &Connection,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> db::Result<Vec<(StoreId, u64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.id, (
             SELECT count(*) FROM draft_order_records AS o
             WHERE o.store_id = s.id AND o.created_at > :since AND o.created_at <= :until
               AND o.status IN ('open', 'sent')) AS orders
         FROM stores AS s
         WHERE s.erasing_since IS NULL",
    )?;
    let params = named_params! { ":since": Millis(since), ":until": Millis(until) };
    let found = statement.query_map(params, |row| Ok((row.get("id")?, row.get("orders")?)))?;
    let found = found.collect::<rusqlite::Result<Vec<(StoreId, u64)>>>()?;
    Ok(found.into_iter().filter(|(_, orders)| *orders > 0).collect())
}

/// An order without its items, which are rows of their own.
fn record_from_row(row: &Row<'_>) -> rusqlite::Result<Record> {
    let instant = |name: &str| -> rusqlite::Result<_> { Ok(row.get::<_, Option<Millis>>(name)?.map(|at| at.0)) };
    Ok(Record {
        id: row.get("id")?,
        store: row.get("store_id")?,
        number: row.get("number")?,
        token: PageToken(row.get("token")?),
        status: row.get("status")?,
        unit: row.get("unit")?,
        currency: row.get("currency")?,
        total_price: row.get("total_price_minor")?,
        lines: Vec::new(),
        shopify_draft_order_id: row.get("shopify_draft_order_id")?,
        shopify_order_name: row.get("shopify_order_name")?,
        shopify_total: row.get("shopify_total_minor")?,
        checkout_url: row.get("checkout_url")?,
        order_name: row.get("order_name")?,
        shopify_order_id: row.get("shopify_order_id")?,
        ordered_at: instant("ordered_at")?,
        cancelled_at: instant("cancelled_at")?,
        handover_error: row.get("handover_error")?,
        handover_warnings: listed(row.get("handover_warnings")?)?,
        created_at: row.get::<_, Millis>("created_at")?.0,
    })
}

/// The order with its items.
fn with_lines(connection: &Connection, record: Record) -> db::Result<Record> {
    let lines = lines::load(connection, record.id)?;
    Ok(Record { lines, ..record })
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

/// Products whose lines at Shopify have been otherwise than they were sent since `since`, the latest first: which, and the last word
/// on it. Words about an order as a whole, such as its total, are about no product.
///
/// # Errors
/// When the database fails.
pub fn list_differing_products(
    connection: &Connection,
    since: DateTime<Utc>,
    limit: usize,
) -> db::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare_cached(
        "SELECT l.product_id || ' (' || l.product_title || ')' AS product, w.value AS how, max(o.created_at) AS at
         FROM draft_order_records AS o
         JOIN json_each(o.handover_warnings) AS w
         JOIN draft_order_lines AS l ON l.draft_order_id = o.id
         WHERE o.handover_warnings IS NOT NULL AND o.created_at >= :since
           AND (instr(w.value, 'item ' || (l.position + 1) || ' (') > 0
                OR l.variant_id IS NOT NULL AND instr(w.value, 'in place of each variant') > 0)
         GROUP BY l.product_id
         ORDER BY at DESC LIMIT :limit",
    )?;
    let found = statement.query_map(named_params! { ":since": Millis(since), ":limit": limit }, |row| {
        Ok((row.get("product")?, row.get("how")?))
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
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

/// A store's rows here, by table.
///
/// # Errors
/// When the database fails.
pub fn count_rows(connection: &Connection, store: StoreId) -> db::Result<RowCounts> {
    let mut counts = RowCounts::default();
    counts.add("draft_order_records", usize::try_from(count(connection, store)?).unwrap_or(usize::MAX));
    counts.add("draft_order_lines", lines::count(connection, store)?);
    Ok(counts)
}
