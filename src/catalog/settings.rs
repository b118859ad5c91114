//! A store's settings. Its unit and currency are what its sizes and prices are in: changing them rewrites no sizes and prices:
//! what hangs below the store is converted as it is read, and the change is refused where that would not be exact.
//!
//! The look at everything ([`check`]) is a read of its own, for it may take long; [`apply`] then commits only if nothing has changed
//! since, and is to be tried again from the look on otherwise.

use super::stores::{self, Store};
use crate::access::audit::Record;
use crate::clock::Clock;
use crate::db::{Db, Millis, Tx};
use crate::domain::ids::ShopDomain;
use crate::domain::length::{Length, Unit};
use crate::domain::money::{Currency, Minor};
use crate::domain::name::Name;
use crate::domain::tax_label::TaxLabel;
use crate::error::{Error, Kind, NEEDS_CONFIRMATION, Result};
use crate::languages::Language;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, named_params};
use std::time::Duration;

/// What becomes of a store. What is not mentioned stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// What prices are in.
    pub currency: Option<Currency>,
    /// What sizes are in.
    pub unit: Option<Unit>,
    /// Whether sizes may be converted; otherwise a store with matrices keeps its unit.
    pub convert: bool,
    /// What shoppers read about taxes.
    pub tax_label: Option<TaxLabel>,
    /// The language of its pages; `Some(None)` leaves it to the browser.
    pub locale: Option<Option<Language>>,
    /// Whether discount codes count at Shopify's checkout of an order.
    pub allow_discount_codes: Option<bool>,
    /// Whether the shop's automatic discounts do.
    pub allow_automatic_discounts: Option<bool>,
}

/// A change that was exact when it was looked at.
#[derive(Debug, Clone)]
pub struct Checked {
    store: Store,
    currency: Currency,
    unit: Unit,
    tax_label: TaxLabel,
    locale: Option<Language>,
    allow_discount_codes: bool,
    allow_automatic_discounts: bool,
}

/// Checks if a change is exact for everything the store has.
///
/// # Errors
/// `NotFound`; `Conflict` where a size or price has no exact counterpart, where sizes may not be converted, and while the store
/// is being erased; and when the database fails.
pub fn check(connection: &Connection, shop: &ShopDomain, change: Change) -> Result<Checked> {
    let store = stores::load(connection, shop)?;
    let currency = change.currency.unwrap_or(store.currency);
    let unit = change.unit.unwrap_or(store.unit);
    let (tax_label, locale) = (change.tax_label.unwrap_or(store.tax_label), change.locale.unwrap_or(store.locale));
    if unit != store.unit {
        if !change.convert && super::matrices::count(connection, store.id)? > 0 {
            let message = format!("store {shop} has price matrices in {}: their sizes must be converted", store.unit);
            return Err(Error::new(Kind::Conflict, message));
        }
        super::matrices::each_size(connection, store.id, |name, stored, size| {
            size.convert(stored, unit).map(|_exact| ()).ok_or_else(|| inexact_size(name, size, stored, unit))
        })?;
    }
    if currency.exponent() != store.currency.exponent() {
        let check = |name: &Name, stored: Currency, price: Minor| match stored.exponent() == currency.exponent() {
            true => Ok(()),
            false => stored
                .relabel(price, currency)
                .map(|_exact| ())
                .ok_or_else(|| inexact_price(name, price, stored, currency)),
        };
        super::matrices::each_price(connection, store.id, check)?;
        super::options::each_fixed_amount(connection, store.id, check)?;
    }
    let allow_discount_codes = change.allow_discount_codes.unwrap_or(store.allow_discount_codes);
    let allow_automatic_discounts = change.allow_automatic_discounts.unwrap_or(store.allow_automatic_discounts);
    Ok(Checked { store, currency, unit, tax_label, locale, allow_discount_codes, allow_automatic_discounts })
}

impl Checked {
    /// Refuses a change of the currency of a store that has prices: they keep their figures, and 10.50 dollars become 10.50 euros,
    /// which only the merchant can mean.
    ///
    /// # Errors
    /// `Conflict` with a code, and when the database fails.
    pub fn refuse_relabelling(&self, connection: &Connection) -> Result<()> {
        let Self { store, currency, .. } = self;
        if *currency == store.currency || !has_figures(connection, store)? {
            return Ok(());
        }
        let from = store.currency;
        let figure =
            |currency: Currency| format!("{} {currency}", currency.format(Minor::new(10_i64.pow(currency.exponent()))));
        let message = format!(
            "store {} has prices in {from}, and their figures stay: {} becomes {}. Confirm that this is meant",
            store.shop,
            figure(from),
            figure(*currency)
        );
        Err(Error::new(Kind::Conflict, message).with_member("code", NEEDS_CONFIRMATION))
    }
}

/// Whether a store has anything with a figure in its currency.
fn has_figures(connection: &Connection, store: &Store) -> Result<bool> {
    let mut found = super::matrices::count(connection, store.id)? > 0;
    super::options::each_fixed_amount(connection, store.id, |_name, _stored, amount| {
        found |= amount != Minor::ZERO;
        Ok(())
    })?;
    Ok(found)
}

/// Looks at everything that a change is tried with: one that edits come before so often should wait for a quieter moment.
const TRIES: usize = 5;

/// Changes a store's settings, in a look and a commit that are repeated while edits come between. A change of currency must
/// be `confirmed` where there are prices. `record` is committed with it. Returns the store as it is then.
///
/// # Errors
/// As [`check`], [`Checked::refuse_relabelling`] and [`apply`]; `Conflict` when edits come between all the time.
pub fn carry_out(
    db: &Db,
    clock: &dyn Clock,
    shop: &ShopDomain,
    change: Change,
    confirmed: bool,
    record: Option<&Record>,
) -> Result<Store> {
    for _ in 0..TRIES {
        let checked = db.read(|connection| -> Result<Checked> {
            let checked = check(connection, shop, change)?;
            if !confirmed {
                checked.refuse_relabelling(connection)?;
            }
            Ok(checked)
        })?;
        let now = clock.now();
        let record = record.cloned();
        let applied = db.write(move |tx| -> Result<bool> {
            let applied = apply(tx, now, &checked)?;
            if applied && let Some(record) = record {
                record.write(tx)?;
            }
            Ok(applied)
        })?;
        if applied {
            return db.read(|connection| stores::load(connection, shop));
        }
    }
    let message = format!("store {shop} is being edited all the time, try again in a moment");
    Err(Error::new(Kind::Conflict, message).with_retry_after(Duration::from_secs(1)))
}

fn inexact_size(name: &Name, size: Length, from: Unit, to: Unit) -> Error {
    Error::new(Kind::Conflict, format!("{size} {from} of \"{name}\" has no exact counterpart in {to}"))
}

fn inexact_price(name: &Name, price: Minor, from: Currency, to: Currency) -> Error {
    let price = from.format(price);
    Error::new(Kind::Conflict, format!("{price} {from} of \"{name}\" is not exact in {to}, which has other decimals"))
}

/// Commits a change that has been looked at; `false` when something below the store has changed meanwhile and it must be looked at
/// again.
///
/// # Errors
/// `NotFound`; `Conflict` while the store is being erased; and when the database fails.
pub fn apply(tx: &Tx<'_>, now: DateTime<Utc>, checked: &Checked) -> Result<bool> {
    if !apply_measures(tx, now, checked)? {
        return Ok(false);
    }
    apply_discounts(tx, now, checked)?;
    Ok(true)
}

/// No price depends on discounts: nothing needs to be read anew for them.
fn apply_discounts(tx: &Tx<'_>, now: DateTime<Utc>, checked: &Checked) -> Result<()> {
    let Checked { store, allow_discount_codes: codes, allow_automatic_discounts: automatic, .. } = checked;
    if (*codes, *automatic) == (store.allow_discount_codes, store.allow_automatic_discounts) {
        return Ok(());
    }
    let mut statement = tx.prepare_cached(
        "UPDATE stores
         SET allow_discount_codes = :codes, allow_automatic_discounts = :automatic, updated_at = :now
         WHERE id = :id AND erasing_since IS NULL",
    )?;
    let params = named_params! { ":codes": codes, ":automatic": automatic, ":now": Millis(now), ":id": store.id };
    if statement.execute(params)? == 0 {
        // It says what is in the way.
        stores::load(tx, &store.shop)?;
    }
    Ok(())
}

fn apply_measures(tx: &Tx<'_>, now: DateTime<Utc>, checked: &Checked) -> Result<bool> {
    let Checked { store, currency, unit, tax_label, locale, .. } = checked;
    let is_as_before = (*currency, *unit) == (store.currency, store.unit);
    if is_as_before && (*tax_label, *locale) == (store.tax_label, store.locale) {
        return Ok(true);
    }
    let mut statement = tx.prepare_cached(
        "UPDATE stores
         SET currency = :currency, unit = :unit, tax_label = :tax_label, locale = :locale,
             catalog_version = catalog_version + 1, updated_at = :now
         WHERE id = :id AND erasing_since IS NULL AND catalog_version = :seen",
    )?;
    let changed = statement.execute(named_params! {
        ":currency": currency,
        ":unit": unit,
        ":tax_label": tax_label,
        ":locale": locale,
        ":now": Millis(now),
        ":id": store.id,
        ":seen": store.catalog_version,
    })?;
    if changed == 0 {
        stores::load(tx, &store.shop)?;
        return Ok(false);
    }
    if is_as_before {
        return Ok(true);
    }
    // Every size or price reads differently now: an edit that was made from how it read before must not be saved over it.
    super::matrices::move_versions(tx, store.id)?;
    super::options::move_versions(tx, store.id)?;
    Ok(true)
}
