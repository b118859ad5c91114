//! Option groups and their choices. Fixed amounts are stored in the currency that the store had when they were written, and read in
//! the one it has now, as in [`super::matrices`].

mod read;
mod write;

pub(super) use read::{each_fixed_amount, exists};
pub use read::{find, find_by_name, list, list_of_product, load};
pub(super) use write::move_versions;
pub use write::{EditedChoice, GroupEdit, NewChoice, NewGroup, delete, duplicate, insert, replace};

use crate::db::{self, RowCounts, Tx};
use crate::domain::ids::{OptionGroupId, StoreId};
use crate::domain::money::Currency;
use crate::domain::options::OptionGroup;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

/// The most option groups of a store: far more than a product list can offer in order, and one statement may touch all of them.
pub const OPTION_GROUPS_MAX: usize = 1_000;

/// An option group with its choices, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGroup {
    /// The group with its choices in order; fixed amounts are in the store's currency.
    pub group: OptionGroup,
    /// Grows with every edit; what `If-Match` is about.
    pub version: i64,
    /// How many products offer it.
    pub products: usize,
    /// What the fixed amounts of its choices are in.
    pub currency: Currency,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
}

/// How many option groups a store has.
///
/// # Errors
/// When the database fails.
pub fn count(connection: &Connection, store: StoreId) -> db::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM option_groups WHERE store_id = :store_id")?;
    Ok(statement.query_row(named_params! { ":store_id": store }, |row| row.get(0))?)
}

/// Deletes option groups with their choices.
pub(super) fn delete_some(tx: &Tx<'_>, store: StoreId, budget: usize, counts: &mut RowCounts) -> db::Result<()> {
    let mut next = tx.prepare_cached("SELECT id FROM option_groups WHERE store_id = :store_id LIMIT 1")?;
    let mut deleted = 0;
    while deleted < budget {
        let group: Option<OptionGroupId> =
            next.query_row(named_params! { ":store_id": store }, |row| row.get("id")).optional()?;
        let Some(group) = group else { break };
        let of_group = named_params! { ":group_id": group };
        let choices =
            tx.prepare_cached("DELETE FROM option_choices WHERE option_group_id = :group_id")?.execute(of_group)?;
        tx.prepare_cached("DELETE FROM option_groups WHERE id = :group_id")?.execute(of_group)?;
        counts.add("option_choices", choices);
        counts.add("option_groups", 1);
        deleted += choices + 1;
    }
    Ok(())
}

pub(super) fn count_rows(connection: &Connection, store: StoreId, counts: &mut RowCounts) -> db::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT
             (SELECT count(*) FROM option_groups WHERE store_id = :store_id) AS groups,
             (SELECT count(*) FROM option_groups AS g JOIN option_choices AS c ON c.option_group_id = g.id
              WHERE g.store_id = :store_id) AS choices",
    )?;
    let rows: (usize, usize) = statement
        .query_row(named_params! { ":store_id": store }, |row| Ok((row.get("groups")?, row.get("choices")?)))?;
    counts.add("option_groups", rows.0);
    counts.add("option_choices", rows.1);
    Ok(())
}
