//! What merchants keep here: stores, keys, price matrices, options and what is assigned to which product. Each file holds a thing's
//! rules and its SQL side by side; everything is scoped by store.
//!
//! **Caches** go by a store's `catalog_version`. It grows in the transaction of every change that could change an answer of the
//! storefront: of matrices, options and assignments, of unit and currency, when the store is uninstalled, installed again or begins
//! to be erased. [`keys::find_live`] reads it together with the key, in one indexed look: what was loaded in the snapshot that showed
//! a version is right for as long as a snapshot shows the same one, whichever process writes. A store that is erased and made anew
//! has a new id, so versions never meet again.

pub mod assignments;
pub mod installation;
pub mod keys;
pub mod matrices;
pub mod options;
pub mod settings;
pub mod stores;
mod version;

pub use version::Expected;

use crate::db::{self, RowCounts, Tx};
use crate::domain::ids::StoreId;

/// Products that one step of a deletion changes: a few milliseconds of the writer's time.
pub const DELETION_STEP: usize = 1_000;

/// Deletes up to about `budget` of a store's rows below it, in an order in which no cascade has much to do. Nothing deleted
/// means that nothing is left.
///
/// # Errors
/// When the database fails.
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
/// When the database fails.
pub fn count_rows(connection: &rusqlite::Connection, store: StoreId) -> db::Result<RowCounts> {
    let mut counts = RowCounts::default();
    for count in [keys::count_rows, matrices::count_rows, options::count_rows, assignments::count_rows] {
        count(connection, store, &mut counts)?;
    }
    Ok(counts)
}
