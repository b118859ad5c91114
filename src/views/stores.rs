//! Stores, what they hold, and their keys.

use crate::catalog::installation::Installation;
use crate::catalog::keys::ApiKey;
use crate::catalog::stores::Store;
use crate::catalog::{self, matrices, options};
use crate::clock::{instant, optional_instant};
use crate::db::{self, RowCounts};
use crate::domain::ids::ShopDomain;
use crate::domain::length::Unit;
use crate::languages::Language;
use crate::orders;
use rusqlite::Connection;
use serde_json::{Value, json};

/// What a store has that a list should say; cells and the like are many, and counted only for one store ([`rows`]).
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// Price matrices.
    pub matrices: u64,
    /// Option groups.
    pub option_groups: u64,
    /// Draft orders.
    pub draft_orders: u64,
}

impl Counted {
    /// Counts what `store` has.
    ///
    /// # Errors
    /// When the database fails.
    pub fn load(connection: &Connection, store: &Store) -> db::Result<Self> {
        Ok(Self {
            matrices: matrices::count(connection, store.id)?,
            option_groups: options::count(connection, store.id)?,
            draft_orders: orders::records::count(connection, store.id)?,
        })
    }
}

/// A store's rows by table, as its erasure would delete them: itself not counted.
///
/// # Errors
/// When the database fails.
pub fn rows(connection: &Connection, store: &Store) -> db::Result<RowCounts> {
    let mut rows = catalog::count_rows(connection, store.id)?;
    rows.merge(&orders::count_rows(connection, store.id)?);
    Ok(rows)
}

/// A store as lists show it.
pub fn store(store: &Store, counted: &Counted) -> Value {
    json!({
        "shop": store.shop.as_str(),
        "currency": store.currency.code(),
        "unit": store.unit.as_str(),
        "taxLabel": store.tax_label.as_str(),
        "locale": store.locale.map(Language::as_str),
        "allowDiscountCodes": store.allow_discount_codes,
        "allowAutomaticDiscounts": store.allow_automatic_discounts,
        "installedAt": instant(store.installed_at),
        "uninstalledAt": optional_instant(store.uninstalled_at),
        "erasingSince": optional_instant(store.erasing_since),
        "matrices": counted.matrices,
        "optionGroups": counted.option_groups,
        "draftOrders": counted.draft_orders,
    })
}

/// A store with its rows in each table.
pub fn store_in_full(of: &Store, counted: &Counted, rows: &RowCounts) -> Value {
    let mut document = store(of, counted);
    document["rows"] = json!(rows);
    document
}

/// A key, without the key.
pub fn key(key: &ApiKey) -> Value {
    json!({
        "id": key.id.to_string(),
        "prefix": key.prefix,
        "label": key.label,
        "origins": key.origins.listed(),
        "createdAt": instant(key.created_at),
        "lastUsedAt": optional_instant(key.last_used_at),
        "revokedAt": optional_instant(key.revoked_at),
    })
}

/// A store that was just installed, with its new key: the only moment it can be seen.
pub fn installation(shop: &ShopDomain, done: &Installation) -> Value {
    json!({
        "shop": shop.as_str(),
        "apiKey": done.key.key,
        "currency": done.scope.currency.code(),
        "unit": done.scope.unit.as_str(),
        "reinstalled": done.again,
        "ignored": {
            "currency": done.ignored_currency.map(|currency| currency.code().to_owned()),
            "unit": done.ignored_unit.map(Unit::as_str),
        },
        "keysAlive": done.keys_alive.iter().map(key).collect::<Vec<_>>(),
        "keysRevoked": done.keys_revoked,
    })
}
