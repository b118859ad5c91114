//! Deletes orders with their items, in steps that each cost the writer a few milliseconds.

use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::{DraftOrderId, StoreId};
use crate::orders::lines;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, named_params};

/// An order's row is in four trees and is not clustered under its store: deleting one costs about as much as eight cells.
const COST: usize = 8;

/// An item's row is clustered under its order, larger than a cell, and in no index.
const LINE_COST: usize = 2;

/// Deletes a store's orders and their items, as many as a budget of cheap rows is worth. Nothing deleted means that none is left.
///
/// # Errors
/// When the database fails.
pub fn delete_some(tx: &Tx<'_>, store: StoreId, budget: usize) -> db::Result<RowCounts> {
    let mut statement =
        tx.prepare_cached("SELECT id FROM draft_order_records WHERE store_id = :store_id LIMIT :limit")?;
    let limit = (budget / (COST + LINE_COST)).max(1);
    let found = statement.query_map(named_params! { ":store_id": store, ":limit": limit }, |row| row.get("id"))?;
    let (records, items) = delete_within(tx, found.collect::<rusqlite::Result<_>>()?, budget)?;
    let mut counts = RowCounts::default();
    counts.add("draft_order_records", records);
    counts.add("draft_order_lines", items);
    Ok(counts)
}

/// Deletes these orders one by one with their items, until the budget is used up: at least one. Returns how many of both.
fn delete_within(tx: &Tx<'_>, orders: Vec<DraftOrderId>, budget: usize) -> db::Result<(usize, usize)> {
    let mut statement = tx.prepare_cached("DELETE FROM draft_order_records WHERE id = :id")?;
    let (mut records, mut items) = (0, 0);
    for order in orders {
        // The items first: what a cascade deletes is not counted.
        items += lines::delete(tx, order)?;
        records += statement.execute(named_params! { ":id": order })?;
        if records * COST + items * LINE_COST >= budget {
            break;
        }
    }
    Ok((records, items))
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

/// Deletes some of a store's orders from before `before` that never went to Shopify, as many as a budget of cheap rows is worth;
/// returns how many, and zero when none is left. One that may be there, because it is not known whether its draft was made, stays. A job that
/// would still hand one over finds nothing, and ends.
///
/// # Errors
/// When the database fails.
pub fn delete_never_sent(tx: &Tx<'_>, store: StoreId, before: DateTime<Utc>, budget: usize) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "SELECT id FROM draft_order_records
         WHERE store_id = :store_id AND status = 'open' AND created_at < :before AND handover_attempted_at IS NULL
         ORDER BY created_at LIMIT :limit",
    )?;
    let limit = (budget / (COST + LINE_COST)).max(1);
    let params = named_params! { ":store_id": store, ":before": Millis(before), ":limit": limit };
    let found = statement.query_map(params, |row| row.get("id"))?;
    Ok(delete_within(tx, found.collect::<rusqlite::Result<_>>()?, budget)?.0)
}
