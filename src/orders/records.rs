//! SQL of `draft_order_records`.

use crate::db::{self, RowCounts, Tx};
use crate::domain::ids::StoreId;
use rusqlite::{Connection, named_params};

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

/// How many orders a store has.
///
/// # Errors
/// The database's.
pub fn count_rows(connection: &Connection, store: StoreId) -> db::Result<RowCounts> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM draft_order_records WHERE store_id = :store_id")?;
    let mut counts = RowCounts::default();
    counts.add("draft_order_records", statement.query_row(named_params! { ":store_id": store }, |row| row.get(0))?);
    Ok(counts)
}
