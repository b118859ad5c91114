//! Draft orders: what a shopper was quoted, with a snapshot of everything the price came from. Orders are made here first and are
//! whole by themselves, with a page of their own; the hand-over reads the record.

pub mod handover;
pub mod idempotency;
pub mod labels;
pub mod lines;
pub mod open_limit;
pub mod place;
mod recent_orders;
pub mod records;
pub mod search;
mod shopper;
pub mod snapshot;

pub use place::{OrderRequest, Orders, PlacedOrder};
pub use shopper::Shopper;

use crate::db::{self, RowCounts, Tx};
use crate::domain::ids::StoreId;
use rusqlite::Connection;

/// Deletes what a store has here, as much as a budget of cheap rows is worth. Nothing deleted means that nothing is left.
///
/// # Errors
/// When the database fails.
pub fn delete_some(tx: &Tx<'_>, store: StoreId, budget: usize) -> db::Result<RowCounts> {
    // Keys first: they point at orders.
    let counts = idempotency::delete_some_keys(tx, store, budget)?;
    if counts.is_empty() { records::delete_some_with_items(tx, store, budget) } else { Ok(counts) }
}

/// A store's rows here, by table.
///
/// # Errors
/// When the database fails.
pub fn count_rows(connection: &Connection, store: StoreId) -> db::Result<RowCounts> {
    let mut counts = records::count_rows(connection, store)?;
    counts.merge(&idempotency::count_rows(connection, store)?);
    Ok(counts)
}
