//! Deletes orders with their items from the database, in steps that each cost the writer a few milliseconds. The deletion of a draft at
//! Shopify is another thing (`orders/handover/draft_deletion.rs`).

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
pub fn delete_some_with_items(tx: &Tx<'_>, store: StoreId, budget: usize) -> db::Result<RowCounts> {
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

/// Orders of which nothing is at Shopify and nothing will be, by what became of them, each kind with the index that finds it: SQLite
/// would walk through all that are cancelled. An order whose draft may be there, because it is unknown if it was made or is gone, is not
/// among them.
const NEVER_SENT: [(&str, &str); 2] = [
    ("draft_order_records_state", "status = 'open' AND handover_attempted_at IS NULL"),
    (
        "draft_order_records_never_sent",
        "status = 'cancelled' AND shopify_draft_order_id IS NULL AND handover_attempted_at IS NULL AND deletion_due_at IS NULL",
    ),
];

/// The stores that have orders from before `before` which never went to Shopify.
///
/// # Errors
/// When the database fails.
pub fn stores_with_never_sent(connection: &Connection, before: DateTime<Utc>) -> db::Result<Vec<StoreId>> {
    let [open, cancelled] = NEVER_SENT.map(|(index, kind)| {
        format!(
            "EXISTS (SELECT 1 FROM draft_order_records INDEXED BY {index}
                     WHERE store_id = s.id AND created_at < :before AND {kind})"
        )
    });
    let mut statement = connection.prepare_cached(&format!(
        "SELECT s.id FROM stores AS s WHERE s.erasing_since IS NULL AND ({open} OR {cancelled})"
    ))?;
    let stores = statement.query_map(named_params! { ":before": Millis(before) }, |row| row.get("id"))?;
    Ok(stores.collect::<rusqlite::Result<_>>()?)
}

/// How many of a store's orders from before `before` never went to Shopify.
///
/// # Errors
/// When the database fails.
pub fn count_never_sent(connection: &Connection, store: StoreId, before: DateTime<Utc>) -> db::Result<u64> {
    let mut count = 0;
    for (index, kind) in NEVER_SENT {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT count(*) FROM draft_order_records INDEXED BY {index}
             WHERE store_id = :store_id AND created_at < :before AND {kind}"
        ))?;
        let params = named_params! { ":store_id": store, ":before": Millis(before) };
        count += statement.query_row(params, |row| row.get::<_, u64>(0))?;
    }
    Ok(count)
}

/// Deletes some of a store's orders from before `before` that never went to Shopify, whether they are open or were cancelled before
/// they did, as many as a budget of cheap rows is worth; returns how many, and zero when none is left. A job that would still hand one
/// over finds nothing, and ends.
///
/// # Errors
/// When the database fails.
pub fn delete_never_sent(tx: &Tx<'_>, store: StoreId, before: DateTime<Utc>, budget: usize) -> db::Result<usize> {
    let limit = (budget / (COST + LINE_COST)).max(1);
    for (index, kind) in NEVER_SENT {
        let mut statement = tx.prepare_cached(&format!(
            "SELECT id FROM draft_order_records INDEXED BY {index}
             WHERE store_id = :store_id AND created_at < :before AND {kind}
             ORDER BY created_at LIMIT :limit"
        ))?;
        let params = named_params! { ":store_id": store, ":before": Millis(before), ":limit": limit };
        let found: Vec<DraftOrderId> =
            statement.query_map(params, |row| row.get("id"))?.collect::<rusqlite::Result<_>>()?;
        if !found.is_empty() {
            return Ok(delete_within(tx, found, budget)?.0);
        }
    }
    Ok(0)
}
