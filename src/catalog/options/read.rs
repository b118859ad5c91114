//! Reading option groups, always through their store.

use super::StoredGroup;
use crate::catalog::matrices::relabel;
use crate::db::Millis;
use crate::domain::ids::{OptionGroupId, ProductId, StoreId};
use crate::domain::money::{Currency, Minor};
use crate::domain::name::Name;
use crate::domain::options::{Choice, Modifier, OptionGroup};
use crate::error::{Error, Kind, Result};
use rusqlite::{Connection, Row, Rows, named_params};

/// The columns that [`read_groups`] wants, of `option_groups AS g`, `option_choices AS c` and `stores AS s`.
const COLUMNS: &str = "g.id AS group_id, g.name, g.requirement, g.currency, g.version, g.created_at, g.updated_at, \
    s.currency AS store_currency, c.id AS choice_id, c.label, c.modifier_type, c.modifier_value, c.is_default";

/// The option groups of a product, in the order in which they were assigned to it. A product that is unknown, another store's, or
/// without groups has none.
///
/// # Errors
/// When the database fails.
pub fn list_of_product(connection: &Connection, store: StoreId, product: &ProductId) -> Result<Vec<OptionGroup>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}
         FROM product_option_groups AS p
         JOIN option_groups AS g ON g.store_id = p.store_id AND g.id = p.option_group_id
         JOIN stores AS s ON s.id = p.store_id
         JOIN option_choices AS c ON c.option_group_id = g.id
         WHERE p.store_id = :store_id AND p.product_id = :product_id
         ORDER BY p.sort_order, g.name, g.id, c.sort_order, c.id"
    ))?;
    let found = read_groups(statement.query(named_params! { ":store_id": store, ":product_id": product })?)?;
    Ok(found.into_iter().map(|stored| stored.group).collect())
}

/// An option group of a store.
///
/// # Errors
/// When the database fails.
pub fn find(connection: &Connection, store: StoreId, id: OptionGroupId) -> Result<Option<StoredGroup>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}
         FROM option_groups AS g
         JOIN stores AS s ON s.id = g.store_id
         JOIN option_choices AS c ON c.option_group_id = g.id
         WHERE g.store_id = :store_id AND g.id = :id
         ORDER BY c.sort_order, c.id"
    ))?;
    let found = read_groups(statement.query(named_params! { ":store_id": store, ":id": id })?)?;
    let Some(mut stored) = found.into_iter().next() else { return Ok(None) };
    stored.products = count_products(connection, store, id)?;
    Ok(Some(stored))
}

/// As [`find`], for those who need it.
///
/// # Errors
/// `NotFound` when the store has none with this id, and when the database fails.
pub fn load(connection: &Connection, store: StoreId, id: OptionGroupId) -> Result<StoredGroup> {
    find(connection, store, id)?.ok_or_else(|| Error::not_found(format!("option group {id}")))
}

/// A store's option groups with their choices, newest first; `before`: only those made before that one.
///
/// # Errors
/// When the database fails.
pub fn list(
    connection: &Connection,
    store: StoreId,
    before: Option<OptionGroupId>,
    limit: usize,
) -> Result<Vec<StoredGroup>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}
         FROM (SELECT * FROM option_groups
               WHERE store_id = :store_id AND id < coalesce(:before, 'z')
               ORDER BY id DESC LIMIT :limit) AS g
         JOIN stores AS s ON s.id = g.store_id
         JOIN option_choices AS c ON c.option_group_id = g.id
         ORDER BY g.id DESC, c.sort_order, c.id"
    ))?;
    let params = named_params! { ":store_id": store, ":before": before, ":limit": limit };
    let mut found = read_groups(statement.query(params)?)?;
    for stored in &mut found {
        stored.products = count_products(connection, store, stored.group.id)?;
    }
    Ok(found)
}

/// The groups with exactly this name, for people at a command line: at most two, which is one too many.
///
/// # Errors
/// When the database fails.
pub fn find_by_name(connection: &Connection, store: StoreId, name: &str) -> crate::db::Result<Vec<OptionGroupId>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM option_groups WHERE store_id = :store_id AND name = :name ORDER BY id LIMIT 2",
    )?;
    let found = statement.query_map(named_params! { ":store_id": store, ":name": name }, |row| row.get("id"))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Whether the store has this group.
pub(in crate::catalog) fn exists(
    connection: &Connection,
    store: StoreId,
    id: OptionGroupId,
) -> crate::db::Result<bool> {
    let mut statement = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM option_groups WHERE store_id = :store_id AND id = :id)")?;
    Ok(statement.query_row(named_params! { ":store_id": store, ":id": id }, |row| row.get(0))?)
}

/// Calls `look` with every fixed amount of a store's groups, and the currency that it is stored in.
pub(in crate::catalog) fn each_fixed_amount(
    connection: &Connection,
    store: StoreId,
    mut look: impl FnMut(&Name, Currency, Minor) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT g.name, g.currency, c.modifier_value
         FROM option_groups AS g JOIN option_choices AS c ON c.option_group_id = g.id
         WHERE g.store_id = :store_id AND c.modifier_type = 'FIXED'",
    )?;
    let mut rows = statement.query(named_params! { ":store_id": store })?;
    while let Some(row) = rows.next()? {
        look(&row.get("name")?, row.get("currency")?, row.get("modifier_value")?)?;
    }
    Ok(())
}

/// How many products offer a group.
fn count_products(connection: &Connection, store: StoreId, id: OptionGroupId) -> Result<usize> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM product_option_groups WHERE store_id = :store_id AND option_group_id = :id",
    )?;
    Ok(statement.query_row(named_params! { ":store_id": store, ":id": id }, |row| row.get(0))?)
}

/// Gathers rows of choices into groups; a group's rows are next to each other.
fn read_groups(mut rows: Rows<'_>) -> Result<Vec<StoredGroup>> {
    let mut groups: Vec<StoredGroup> = Vec::new();
    while let Some(row) = rows.next()? {
        let id: OptionGroupId = row.get("group_id")?;
        if groups.last().is_none_or(|last| last.group.id != id) {
            groups.push(group_from_row(row, id)?);
        }
        let choice = choice_from_row(row)?;
        groups.last_mut().expect("one was just pushed if there was none").group.choices.push(choice);
    }
    Ok(groups)
}

fn group_from_row(row: &Row<'_>, id: OptionGroupId) -> Result<StoredGroup> {
    Ok(StoredGroup {
        group: OptionGroup { id, name: row.get("name")?, requirement: row.get("requirement")?, choices: Vec::new() },
        version: row.get("version")?,
        products: 0,
        currency: row.get("store_currency")?,
        created_at: row.get::<_, Millis>("created_at")?.0,
        updated_at: row.get::<_, Millis>("updated_at")?.0,
    })
}

fn choice_from_row(row: &Row<'_>) -> Result<Choice> {
    let currencies: (Currency, Currency) = (row.get("currency")?, row.get("store_currency")?);
    let kind: String = row.get("modifier_type")?;
    let stored = Modifier::from_parts(&kind, row.get("modifier_value")?)
        .map_err(|fault| Error::new(Kind::Internal, format!("a stored choice is damaged: its modifier {fault}")))?;
    let modifier = match stored {
        Modifier::Fixed(amount) => Modifier::Fixed(relabel(currencies, amount)?),
        share @ Modifier::Percentage(_) => share,
    };
    Ok(Choice { id: row.get("choice_id")?, label: row.get("label")?, modifier, is_default: row.get("is_default")? })
}
