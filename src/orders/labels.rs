//! Forgetting labels: the one thing about an order that a shopper wrote, and may be about a person. A `customers/redact` names Shopify's
//! orders, which lead to ours by the number that was noted when the draft was completed.

use crate::db::{self, Tx};
use crate::domain::ids::{DraftOrderId, ShopDomain};
use rusqlite::types::Value;
use rusqlite::{Connection, named_params};

/// A labelled item, by its order and its place there.
pub type LabelledItem = (DraftOrderId, i64);

/// Takes the labels from all items of a shop's orders that have these numbers at Shopify; returns how many there were. The items stay:
/// what was sold at which price says nothing of who bought it.
///
/// # Errors
/// When the database fails.
pub fn forget(tx: &Tx<'_>, shop: &ShopDomain, shopify_orders: &[u64]) -> db::Result<usize> {
    let mut find = tx.prepare_cached(
        "SELECT o.id FROM draft_order_records AS o INDEXED BY draft_order_records_order_id
         JOIN stores AS s ON s.id = o.store_id
         WHERE s.shop = :shop AND o.shopify_order_id = :order",
    )?;
    let mut clear = tx
        .prepare_cached("UPDATE draft_order_lines SET label = NULL WHERE draft_order_id = :id AND label IS NOT NULL")?;
    let mut forgotten = 0;
    // What is no number of SQLite's is no order that could have been noted.
    for order in shopify_orders.iter().filter_map(|order| i64::try_from(*order).ok()) {
        let found = find.query_map(named_params! { ":shop": shop, ":order": order }, |row| row.get(0))?;
        for id in found.collect::<rusqlite::Result<Vec<DraftOrderId>>>()? {
            forgotten += clear.execute(named_params! { ":id": id })?;
        }
    }
    Ok(forgotten)
}

/// Items that have a label, in the order of their keys, after `after`.
///
/// # Errors
/// When the database fails.
pub fn list(connection: &Connection, after: Option<LabelledItem>, limit: usize) -> db::Result<Vec<LabelledItem>> {
    let mut statement = connection.prepare_cached(
        "SELECT draft_order_id, position FROM draft_order_lines
         WHERE label IS NOT NULL AND (draft_order_id, position) > (:order, :position)
         ORDER BY draft_order_id, position LIMIT :limit",
    )?;
    let (order, position) = match after {
        Some((order, position)) => (Value::Text(order.to_string()), position),
        None => (Value::Text(String::new()), 0),
    };
    let found = statement
        .query_map(named_params! { ":order": order, ":position": position, ":limit": limit }, |row| {
            Ok((row.get("draft_order_id")?, row.get("position")?))
        })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Whether this item is there without a label.
///
/// # Errors
/// When the database fails.
pub fn is_forgotten(connection: &Connection, (order, position): LabelledItem) -> db::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM draft_order_lines WHERE draft_order_id = :order AND position = :position AND label IS NULL",
    )?;
    Ok(statement.exists(named_params! { ":order": order, ":position": position })?)
}

/// Takes the labels from these items.
///
/// # Errors
/// When the database fails.
pub fn forget_items(tx: &Tx<'_>, items: &[LabelledItem]) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_lines SET label = NULL
         WHERE draft_order_id = :order AND position = :position AND label IS NOT NULL",
    )?;
    let mut forgotten = 0;
    for (order, position) in items {
        forgotten += statement.execute(named_params! { ":order": order, ":position": position })?;
    }
    Ok(forgotten)
}
