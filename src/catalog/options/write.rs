//! Changing option groups.

use super::OPTION_GROUPS_MAX;
use crate::catalog::stores::{self, Scope};
use crate::db::{self, Millis, Tx};
use crate::domain::ids::{ChoiceId, OptionGroupId};
use crate::domain::name::Name;
use crate::domain::options::{Modifier, Requirement};
use crate::error::{Error, Kind, Result};
use chrono::{DateTime, Utc};
use rusqlite::named_params;

/// A group to be written, its rules already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroup {
    /// Its name.
    pub name: Name,
    /// Whether an order needs a choice.
    pub requirement: Requirement,
    /// Its choices in the merchant's order.
    pub choices: Vec<NewChoice>,
}

/// A choice to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChoice {
    /// Its id: a new one, or in an edit the one it keeps.
    pub id: ChoiceId,
    /// What the shopper reads.
    pub label: Name,
    /// What it does to the price; a fixed amount is in the scope's currency.
    pub modifier: Modifier,
    /// Whether a page should select it first.
    pub is_default: bool,
}

/// Writes a new group of a store.
///
/// # Errors
/// `NotFound` or `Conflict` when the store does not take it or has [`OPTION_GROUPS_MAX`] already, and the database's.
pub fn insert(tx: &Tx<'_>, now: DateTime<Utc>, id: OptionGroupId, scope: Scope, group: &NewGroup) -> Result<()> {
    stores::begin_change(tx, now, scope)?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO option_groups (id, store_id, name, requirement, currency, created_at, updated_at)
         SELECT :id, :store_id, :name, :requirement, :currency, :now, :now
         WHERE (SELECT count(*) FROM option_groups WHERE store_id = :store_id) < :max",
    )?;
    let inserted = statement.execute(named_params! {
        ":id": id,
        ":store_id": scope.store,
        ":name": group.name,
        ":requirement": group.requirement,
        ":currency": scope.currency,
        ":now": Millis(now),
        ":max": OPTION_GROUPS_MAX,
    })?;
    if inserted == 0 {
        return Err(Error::new(Kind::Conflict, format!("the store has {OPTION_GROUPS_MAX} option groups already")));
    }
    for (place, choice) in group.choices.iter().enumerate() {
        insert_choice(tx, now, id, choice, place)?;
    }
    Ok(())
}

fn insert_choice(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    group: OptionGroupId,
    choice: &NewChoice,
    place: usize,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO option_choices
             (id, option_group_id, label, modifier_type, modifier_value, is_default, sort_order, created_at)
         VALUES (:id, :group_id, :label, :modifier_type, :modifier_value, :is_default, :sort_order, :now)",
    )?;
    statement.execute(named_params! {
        ":id": choice.id,
        ":group_id": group,
        ":label": choice.label,
        ":modifier_type": choice.modifier.kind(),
        ":modifier_value": choice.modifier.value(),
        ":is_default": choice.is_default,
        ":sort_order": place,
        ":now": Millis(now),
    })?;
    Ok(())
}
