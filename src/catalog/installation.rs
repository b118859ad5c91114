//! Installing a store with a first key, or an uninstalled one again: what the admin API and the command line share.
//!
//! An uninstalled store comes back with all it had: its settings, whatever is asked for now, and its keys. Both are reported, for
//! neither may be what the caller expects.

use super::keys::{self, ApiKey, IssuedKey};
use super::stores::{self, Installed, NewStore, Scope};
use crate::db::Tx;
use crate::domain::ids::ShopDomain;
use crate::domain::length::Unit;
use crate::domain::money::Currency;
use crate::entropy::Entropy;
use crate::error::Result;
use chrono::{DateTime, Utc};

/// A store to be installed.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its domain.
    pub shop: ShopDomain,
    /// Its money: US dollars where unset.
    pub currency: Option<Currency>,
    /// The unit of its sizes: millimetres where unset.
    pub unit: Option<Unit>,
    /// Revokes the keys that would work again.
    pub revoke_keys: bool,
}

/// What installing a store came to.
#[derive(Debug)]
pub struct Installation {
    /// Whether it was there before.
    pub again: bool,
    /// What its prices and sizes are in: what was asked for, or for one that was there before what it had.
    pub scope: Scope,
    /// The currency that was asked for and is not the store's.
    pub ignored_currency: Option<Currency>,
    /// The unit that was asked for and is not the store's.
    pub ignored_unit: Option<Unit>,
    /// Older keys that work again.
    pub keys_alive: Vec<ApiKey>,
    /// How many older keys were revoked.
    pub keys_revoked: usize,
    /// The new key.
    pub key: IssuedKey,
}

/// Installs a store and issues a key.
///
/// # Errors
/// As [`stores::install`] and [`keys::issue`].
pub fn install(tx: &Tx<'_>, now: DateTime<Utc>, entropy: &dyn Entropy, wanted: &Wanted) -> Result<Installation> {
    let mut new = NewStore::new(wanted.shop.clone());
    new.currency = wanted.currency.unwrap_or(new.currency);
    new.unit = wanted.unit.unwrap_or(new.unit);
    let installed = stores::install_new(tx, now, entropy, &new)?;
    let scope = installed.scope();
    let keys_revoked = if wanted.revoke_keys { keys::revoke_all(tx, now, scope.store)? } else { 0 };
    let keys_alive = keys::list_unrevoked(tx, scope.store)?;
    let key = keys::issue(tx, now, entropy, scope.store, None)?;
    Ok(Installation {
        again: matches!(installed, Installed::Again(_)),
        scope,
        ignored_currency: wanted.currency.filter(|currency| *currency != scope.currency),
        ignored_unit: wanted.unit.filter(|unit| *unit != scope.unit),
        keys_alive,
        keys_revoked,
        key,
    })
}
