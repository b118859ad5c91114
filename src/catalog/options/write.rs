//! Changing option groups.

use super::read::{find, load};
use super::{OPTION_GROUPS_MAX, StoredGroup};
use crate::catalog::assignments::clear_group;
use crate::catalog::matrices::Deletion;
use crate::catalog::stores::{self, Scope};
use crate::catalog::version::{self, Expected};
use crate::db::{self, Millis, Tx, expect_one};
use crate::domain::ids::{ChoiceId, OptionGroupId, StoreId};
use crate::domain::name::Name;
use crate::domain::options::{Choice, Modifier, OptionGroup, Requirement};
use crate::entropy::Entropy;
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

/// What becomes of a group: what is not mentioned stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEdit {
    /// Its name.
    pub name: Option<Name>,
    /// Whether an order needs a choice.
    pub requirement: Option<Requirement>,
    /// All its choices in the merchant's order: those that are not named here go.
    pub choices: Option<Vec<EditedChoice>>,
}

/// A choice in an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedChoice {
    /// The choice, and whether it was there before: then it must be one of this group.
    pub choice: NewChoice,
    /// Whether the choice is meant to be there already.
    pub is_known: bool,
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
/// `NotFound` or `Conflict` when the store does not take it or has [`OPTION_GROUPS_MAX`] already, and when the database fails.
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
        write_choice(tx, now, id, choice, place)?;
    }
    Ok(())
}

/// Changes a group: choices that are named by their id keep it, so that what shoppers have picked stays valid. Returns the group as it
/// stands then.
///
/// # Errors
/// `NotFound` when the store has no such group or the group no such choice, `VersionRequired` without a version, `Stale` with an old one,
/// `Conflict` when the store takes
/// no change; and when the database fails.
pub fn replace(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    id: OptionGroupId,
    expected: Option<Expected>,
    edit: GroupEdit,
) -> Result<StoredGroup> {
    stores::begin_change(tx, now, scope)?;
    let stored = checked(tx, scope, id, expected)?;
    let choices = edited_choices(&stored.group, edit.choices)?;
    let mut statement = tx.prepare_cached(
        "UPDATE option_groups
         SET name = :name, requirement = :requirement, currency = :currency, version = version + 1, updated_at = :now
         WHERE store_id = :store_id AND id = :id",
    )?;
    let changed = statement.execute(named_params! {
        ":name": edit.name.as_ref().unwrap_or(&stored.group.name),
        ":requirement": edit.requirement.unwrap_or(stored.group.requirement),
        ":currency": scope.currency,
        ":now": Millis(now),
        ":store_id": scope.store,
        ":id": id,
    })?;
    expect_one(changed, "catalog::options::replace")?;
    for gone in stored.group.choices.iter().filter(|old| choices.iter().all(|kept| kept.id != old.id)) {
        let mut statement = tx.prepare_cached("DELETE FROM option_choices WHERE id = :id")?;
        expect_one(statement.execute(named_params! { ":id": gone.id })?, "catalog::options::replace")?;
    }
    for (place, choice) in choices.iter().enumerate() {
        write_choice(tx, now, id, choice, place)?;
    }
    load(tx, scope.store, id)
}

/// The choices that a group has after an edit.
fn edited_choices(group: &OptionGroup, edited: Option<Vec<EditedChoice>>) -> Result<Vec<NewChoice>> {
    let Some(edited) = edited else {
        // They stay, but are written again: the group's currency becomes the store's.
        return Ok(group.choices.iter().cloned().map(NewChoice::from).collect());
    };
    let known = |id: ChoiceId| group.choices.iter().any(|choice| choice.id == id);
    match edited.iter().find(|edited| edited.is_known && !known(edited.choice.id)) {
        Some(foreign) => Err(Error::not_found(format!("choice {} of option group {}", foreign.choice.id, group.id))),
        None => Ok(edited.into_iter().map(|edited| edited.choice).collect()),
    }
}

/// Copies a group of a store, without its products, under its name with " (copy)". Its choices get ids of their own.
///
/// # Errors
/// `NotFound` when the store has no such group, `Conflict` when it takes no change or has [`OPTION_GROUPS_MAX`] already, and when the
/// database fails.
pub fn duplicate(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
    scope: Scope,
    id: OptionGroupId,
) -> Result<StoredGroup> {
    let OptionGroup { name, requirement, choices, .. } = load(tx, scope.store, id)?.group;
    let copied = |choice: Choice| NewChoice { id: ChoiceId::new(now, entropy.array()), ..NewChoice::from(choice) };
    let copy = NewGroup { name: name.copied(), requirement, choices: choices.into_iter().map(copied).collect() };
    let new = OptionGroupId::new(now, entropy.array());
    insert(tx, now, new, scope, &copy)?;
    load(tx, scope.store, new)
}

impl From<Choice> for NewChoice {
    fn from(Choice { id, label, modifier, is_default }: Choice) -> Self {
        Self { id, label, modifier, is_default }
    }
}

/// Deletes a group with its choices, or first takes it from as many as `budget` products.
///
/// # Errors
/// `NotFound` when the store has no such group, `VersionRequired` without a version, `Stale` with an old one, `Conflict` when the store
/// takes no change, and when the database fails.
pub fn delete(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    id: OptionGroupId,
    expected: Option<Expected>,
    budget: usize,
) -> Result<Deletion> {
    stores::begin_change(tx, now, scope)?;
    let stored = checked(tx, scope, id, expected)?;
    let params = named_params! { ":store_id": scope.store, ":id": id };
    if clear_group(tx, scope.store, id, budget)? == budget {
        // The version moves with each step, so that an editor who comes between gets a conflict.
        let mut statement = tx
            .prepare_cached("UPDATE option_groups SET version = version + 1 WHERE store_id = :store_id AND id = :id")?;
        expect_one(statement.execute(params)?, "catalog::options::delete")?;
        return Ok(Deletion::Continues(stored.version + 1));
    }
    let mut statement = tx.prepare_cached("DELETE FROM option_groups WHERE store_id = :store_id AND id = :id")?;
    expect_one(statement.execute(params)?, "catalog::options::delete")?;
    Ok(Deletion::Done)
}

/// Moves the version of all groups of a store: their fixed amounts read differently from now on.
pub(in crate::catalog) fn move_versions(tx: &Tx<'_>, store: StoreId) -> db::Result<()> {
    tx.prepare_cached("UPDATE option_groups SET version = version + 1 WHERE store_id = :store_id")?
        .execute(named_params! { ":store_id": store })?;
    Ok(())
}

/// The group whose version is the expected one.
fn checked(tx: &Tx<'_>, scope: Scope, id: OptionGroupId, expected: Option<Expected>) -> Result<StoredGroup> {
    let stored = find(tx, scope.store, id)?;
    let thing = format!("option group {id}");
    version::check(stored.as_ref().map(|stored| stored.version), expected, &thing)?;
    stored.ok_or_else(|| Error::not_found(thing))
}

fn write_choice(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    group: OptionGroupId,
    choice: &NewChoice,
    place: usize,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO option_choices
             (id, option_group_id, label, modifier_type, modifier_value, is_default, sort_order, created_at)
         VALUES (:id, :group_id, :label, :modifier_type, :modifier_value, :is_default, :sort_order, :now)
         ON CONFLICT (id) DO UPDATE
         SET label = excluded.label, modifier_type = excluded.modifier_type, modifier_value = excluded.modifier_value,
             is_default = excluded.is_default, sort_order = excluded.sort_order
         WHERE option_group_id = excluded.option_group_id",
    )?;
    let written = statement.execute(named_params! {
        ":id": choice.id,
        ":group_id": group,
        ":label": choice.label,
        ":modifier_type": choice.modifier.kind(),
        ":modifier_value": choice.modifier.value(),
        ":is_default": choice.is_default,
        ":sort_order": place,
        ":now": Millis(now),
    })?;
    expect_one(written, "catalog::options::write_choice")
}
