//! What merchants keep here: stores, keys, price matrices, options and what is assigned to which product. Each file holds a thing's
//! rules and its SQL side by side; everything is scoped by store.

pub mod assignments;
pub mod keys;
pub mod matrices;
pub mod options;
pub mod stores;

use crate::db::{self, RowCounts, Tx};
use crate::domain::ids::StoreId;

/// Deletes up to about `budget` of a store's rows below it, in an order in which no cascade has much to do. Nothing deleted
/// means that nothing is left.
///
/// # Errors
/// The database's.
pub fn delete_some(tx: &Tx<'_>, store: StoreId, budget: usize) -> db::Result<RowCounts> {
    let mut counts = RowCounts::default();
    for delete in [assignments::delete_some, options::delete_some, matrices::delete_some] {
        delete(tx, store, budget, &mut counts)?;
        if !counts.is_empty() {
            break;
        }
    }
    Ok(counts)
}

/// A store's rows below it, by table.
///
/// # Errors
/// The database's.
pub fn count_rows(connection: &rusqlite::Connection, store: StoreId) -> db::Result<RowCounts> {
    let mut counts = RowCounts::default();
    for count in [keys::count_rows, matrices::count_rows, options::count_rows, assignments::count_rows] {
        count(connection, store, &mut counts)?;
    }
    Ok(counts)
}
