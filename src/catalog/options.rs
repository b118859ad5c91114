//! Option groups and their choices.

use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::{ChoiceId, OptionGroupId, StoreId};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

/// An option group to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewGroup<'a> {
    /// Its name.
    pub name: &'a str,
    /// `REQUIRED` or `OPTIONAL`.
    pub requirement: &'a str,
    /// Its place among the store's groups.
    pub sort_order: usize,
}

/// A choice of a group to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewChoice<'a> {
    /// Its label.
    pub label: &'a str,
    /// `FIXED` or `PERCENTAGE`.
    pub modifier_type: &'a str,
    /// Minor units, or basis points.
    pub modifier_value: i64,
    /// Whether a page should select it first.
    pub is_default: bool,
    /// Its place in the group.
    pub sort_order: usize,
}

/// Writes an option group.
///
/// # Errors
/// The database's.
pub fn insert_group(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    id: OptionGroupId,
    store: StoreId,
    group: NewGroup<'_>,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO option_groups (id, store_id, name, requirement, sort_order, created_at, updated_at)
         VALUES (:id, :store_id, :name, :requirement, :sort_order, :now, :now)",
    )?;
    statement.execute(named_params! {
        ":id": id,
        ":store_id": store,
        ":name": group.name,
        ":requirement": group.requirement,
        ":sort_order": group.sort_order,
        ":now": Millis(now),
    })?;
    Ok(())
}

/// Writes a choice of a group.
///
/// # Errors
/// The database's.
pub fn insert_choice(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    id: ChoiceId,
    group: OptionGroupId,
    choice: NewChoice<'_>,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO option_choices
             (id, option_group_id, label, modifier_type, modifier_value, is_default, sort_order, created_at)
         VALUES (:id, :group_id, :label, :modifier_type, :modifier_value, :is_default, :sort_order, :now)",
    )?;
    statement.execute(named_params! {
        ":id": id,
        ":group_id": group,
        ":label": choice.label,
        ":modifier_type": choice.modifier_type,
        ":modifier_value": choice.modifier_value,
        ":is_default": choice.is_default,
        ":sort_order": choice.sort_order,
        ":now": Millis(now),
    })?;
    Ok(())
}

/// How many option groups a store has.
///
/// # Errors
/// The database's.
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
