//! Merchants. A store is live, uninstalled (its data is kept for a re-install, its keys are dead), or being erased.

use crate::db::{self, Constraint, Millis, RowCounts, Tx, expect_one};
use crate::domain::ids::{ShopDomain, StoreId};
use crate::domain::length::Unit;
use crate::domain::money::Currency;
use crate::domain::tax_label::TaxLabel;
use crate::entropy::Entropy;
use crate::error::{Error, Kind};
use crate::languages::Language;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use std::time::Duration;

/// How long an installer should wait while the shop's old data is being erased: a million rows take a few seconds.
const ERASING_PAUSE: Duration = Duration::from_secs(5);

/// How long a client should wait whose change met a change of the store's unit or currency: that one is committed already.
const SETTINGS_PAUSE: Duration = Duration::from_secs(1);

/// A store as it is stored.
#[derive(Debug, Clone)]
pub struct Store {
    /// Its id.
    pub id: StoreId,
    /// Its domain.
    pub shop: ShopDomain,
    /// What its prices are in.
    pub currency: Currency,
    /// What its sizes are in.
    pub unit: Unit,
    /// What shoppers read about taxes.
    pub tax_label: TaxLabel,
    /// The language of its pages; the browser's where it has none.
    pub locale: Option<Language>,
    /// Whether discount codes count at Shopify's checkout of an order.
    pub allow_discount_codes: bool,
    /// Whether the shop's automatic discounts do.
    pub allow_automatic_discounts: bool,
    /// Grows with every change below it; see [`crate::catalog`].
    pub catalog_version: i64,
    /// When the running installation began.
    pub installed_at: DateTime<Utc>,
    /// When the app was uninstalled, if it is.
    pub uninstalled_at: Option<DateTime<Utc>>,
    /// Since when it is being erased, if it is.
    pub erasing_since: Option<DateTime<Utc>>,
}

/// The store that a change is made below, and what the sizes and prices of the change are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The store.
    pub store: StoreId,
    /// What prices are in.
    pub currency: Currency,
    /// What sizes are in.
    pub unit: Unit,
}

/// How far ahead an installation may lie and still be one of now: clocks are set back a little, and what an event of long ago
/// meets then is a new installation all the same. What is further ahead was installed while the clock was wrong.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

impl Store {
    /// Whether the running installation began after an event, which is about an earlier one then. An installation in the future is a
    /// wrong clock and says nothing.
    pub fn is_installed_after(&self, event: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        self.installed_at > event && !self.is_installed_in_future(now)
    }

    /// Whether it was installed while the clock was ahead, or the clock is behind now.
    pub fn is_installed_in_future(&self, now: DateTime<Utc>) -> bool {
        self.installed_at > now + CLOCK_TOLERANCE
    }

    /// What a change below this store needs to know of it.
    pub fn scope(&self) -> Scope {
        Scope { store: self.id, currency: self.currency, unit: self.unit }
    }
}

/// What installing a store did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// A new store was made.
    New(Scope),
    /// An uninstalled store is live again, with all it had.
    Again(Scope),
}

impl Installed {
    /// The store.
    pub fn id(self) -> StoreId {
        self.scope().store
    }

    /// What a change below the store needs to know of it.
    pub fn scope(self) -> Scope {
        match self {
            Self::New(scope) | Self::Again(scope) => scope,
        }
    }
}

/// A store to be installed.
#[derive(Debug, Clone)]
pub struct NewStore {
    /// Its domain.
    pub shop: ShopDomain,
    /// Its money.
    pub currency: Currency,
    /// The unit of its sizes.
    pub unit: Unit,
}

impl NewStore {
    /// A store that prices millimetres in US dollars.
    pub fn new(shop: ShopDomain) -> Self {
        Self { shop, currency: Currency::USD, unit: Unit::Mm }
    }
}

/// As [`install`], from checked values.
///
/// # Errors
/// As [`install`].
pub fn install_new(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
    store: &NewStore,
) -> Result<Installed, Error> {
    install(tx, now, entropy, &store.shop, store.currency, store.unit)
}

/// Installs the app for a shop: a new store, or an uninstalled one made live again.
///
/// # Errors
/// `Conflict` when it is live already, or is being erased (with a hint when to try again).
pub fn install(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
    shop: &ShopDomain,
    currency: Currency,
    unit: Unit,
) -> Result<Installed, Error> {
    let id = StoreId::new(now, entropy.array());
    let inserted = tx
        .prepare_cached(
            "INSERT INTO stores (id, shop, currency, unit, installed_at, created_at, updated_at)
             VALUES (:id, :shop, :currency, :unit, :now, :now, :now)",
        )?
        .execute(named_params! { ":id": id, ":shop": shop, ":currency": currency, ":unit": unit, ":now": Millis(now) })
        .map_err(db::Error::from);
    match inserted {
        Ok(_one) => return Ok(Installed::New(Scope { store: id, currency, unit })),
        Err(error) if error.constraint() == Some(Constraint::Unique) => {}
        Err(error) => return Err(error.into()),
    }
    let store = find(tx, shop)?.ok_or_else(|| Error::not_found(format!("store {shop}")))?;
    refuse_erasing(&store)?;
    if store.uninstalled_at.is_none() {
        return Err(Error::new(Kind::Conflict, format!("store {shop} exists already")));
    }
    let mut statement = tx.prepare_cached(
        "UPDATE stores
         SET installed_at = :now, uninstalled_at = NULL, catalog_version = catalog_version + 1, updated_at = :now
         WHERE id = :id",
    )?;
    expect_one(statement.execute(named_params! { ":now": Millis(now), ":id": store.id })?, "catalog::stores::install")?;
    Ok(Installed::Again(store.scope()))
}

const COLUMNS: &str = "id, shop, currency, unit, tax_label, locale, allow_discount_codes, allow_automatic_discounts, \
    catalog_version, installed_at, uninstalled_at, erasing_since";

/// The store of this shop.
///
/// # Errors
/// When the database fails.
pub fn find(connection: &Connection, shop: &ShopDomain) -> db::Result<Option<Store>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM stores WHERE shop = :shop"))?;
    Ok(statement.query_row(named_params! { ":shop": shop }, store_from_row).optional()?)
}

/// The store of this shop, for a look at or a change of what hangs below it. An uninstalled one counts: its data is kept.
///
/// # Errors
/// `NotFound` when there is no such store, `Conflict` while it is being erased, when half of its data is gone, and when the database fails.
pub fn load(connection: &Connection, shop: &ShopDomain) -> Result<Store, Error> {
    let store = find(connection, shop)?.ok_or_else(|| Error::not_found(format!("store {shop}")))?;
    refuse_erasing(&store)?;
    Ok(store)
}

/// Announces a change below a store, first thing in the change's transaction: caches of what is below the store see
/// it, and a change that was made for a store that is being erased, or for another unit or currency, is refused.
///
/// # Errors
/// `NotFound` when there is no such store, `Conflict` when it is being erased or its unit or currency has changed (with a hint when to
/// try again), and when the database fails.
pub(super) fn begin_change(tx: &Tx<'_>, now: DateTime<Utc>, scope: Scope) -> Result<(), Error> {
    let mut statement = tx.prepare_cached(
        "UPDATE stores SET catalog_version = catalog_version + 1, updated_at = :now
         WHERE id = :id AND erasing_since IS NULL AND currency = :currency AND unit = :unit",
    )?;
    let Scope { store, currency, unit } = scope;
    let changed =
        statement.execute(named_params! { ":now": Millis(now), ":id": store, ":currency": currency, ":unit": unit })?;
    if changed == 1 {
        return Ok(());
    }
    let store = load_by_id(tx, store)?;
    refuse_erasing(&store)?;
    let message = format!("the unit or currency of store {} was changed in this moment, try again", store.shop);
    Err(Error::new(Kind::Conflict, message).with_retry_after(SETTINGS_PAUSE))
}

/// Makes sure that a store is live.
///
/// # Errors
/// `NotFound` when there is no such store, `Conflict` when it is uninstalled or being erased, and when the database fails.
pub(super) fn check_live(connection: &Connection, store: StoreId) -> Result<(), Error> {
    refuse_dead(&load_by_id(connection, store)?)
}

fn load_by_id(connection: &Connection, id: StoreId) -> Result<Store, Error> {
    find_by_id(connection, id)?.ok_or_else(|| Error::not_found("store"))
}

/// The store with this id.
///
/// # Errors
/// When the database fails.
pub fn find_by_id(connection: &Connection, id: StoreId) -> db::Result<Option<Store>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM stores WHERE id = :id"))?;
    Ok(statement.query_row(named_params! { ":id": id }, store_from_row).optional()?)
}

/// The store of a shop that is neither uninstalled nor being erased.
///
/// # Errors
/// `NotFound` when there is no such store, `Conflict` when it is uninstalled or being erased, and when the database fails.
pub fn load_live(connection: &Connection, shop: &ShopDomain) -> Result<Store, Error> {
    let store = find(connection, shop)?.ok_or_else(|| Error::not_found(format!("store {shop}")))?;
    refuse_dead(&store)?;
    Ok(store)
}

fn refuse_dead(store: &Store) -> Result<(), Error> {
    refuse_erasing(store)?;
    if store.uninstalled_at.is_none() {
        return Ok(());
    }
    Err(Error::new(Kind::Conflict, format!("store {} is uninstalled, install it again first", store.shop)))
}

/// Nothing new may be written below a store that is being erased: it would go with the rest, or outlive it.
fn refuse_erasing(store: &Store) -> Result<(), Error> {
    if store.erasing_since.is_none() {
        return Ok(());
    }
    let message = format!("store {} is being erased, try again in a moment", store.shop);
    Err(Error::new(Kind::Conflict, message).with_retry_after(ERASING_PAUSE))
}

/// All stores after `after`, in the order of their domains.
///
/// # Errors
/// When the database fails.
pub fn list(connection: &Connection, after: Option<&ShopDomain>, limit: usize) -> db::Result<Vec<Store>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM stores WHERE shop > coalesce(:after, '') ORDER BY shop LIMIT :limit"
    ))?;
    let stores = statement.query_map(named_params! { ":after": after, ":limit": limit }, store_from_row)?;
    Ok(stores.collect::<rusqlite::Result<_>>()?)
}

/// The currencies of all stores that are not being erased: how many stores have each, and the first of them.
///
/// # Errors
/// When the database fails.
pub fn list_currencies(connection: &Connection) -> db::Result<Vec<(Currency, u64, ShopDomain)>> {
    let mut statement = connection.prepare_cached(
        "SELECT currency, count(*) AS stores, min(shop) AS first FROM stores
         WHERE erasing_since IS NULL GROUP BY currency ORDER BY currency",
    )?;
    let found = statement.query_map((), |row| Ok((row.get("currency")?, row.get("stores")?, row.get("first")?)))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// The stores whose domain begins with `beginning`, after `after`, in the order of their domains.
///
/// # Errors
/// When the database fails.
pub fn list_beginning(
    connection: &Connection,
    beginning: &str,
    after: Option<&ShopDomain>,
    limit: usize,
) -> db::Result<Vec<Store>> {
    // Domains are ASCII: the tilde is behind every letter, digit, dot and hyphen that may follow the beginning.
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM stores
         WHERE shop > coalesce(:after, '') AND shop >= :beginning AND shop < :beginning || '~'
         ORDER BY shop LIMIT :limit"
    ))?;
    let params = named_params! { ":after": after, ":beginning": beginning, ":limit": limit };
    let stores = statement.query_map(params, store_from_row)?;
    Ok(stores.collect::<rusqlite::Result<_>>()?)
}

/// Marks a store as uninstalled, unless it was installed again after the event. `false`: there was nothing to mark.
///
/// # Errors
/// When the database fails.
pub fn mark_uninstalled(
    tx: &Tx<'_>,
    shop: &ShopDomain,
    triggered_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "UPDATE stores SET uninstalled_at = :now, catalog_version = catalog_version + 1, updated_at = :now
         WHERE shop = :shop AND uninstalled_at IS NULL
           AND (installed_at <= :triggered_at OR installed_at > :future)",
    )?;
    let future = now.checked_add_signed(CLOCK_TOLERANCE).unwrap_or(now);
    let params = named_params! {
        ":now": Millis(now),
        ":shop": shop,
        ":triggered_at": Millis(triggered_at),
        ":future": Millis(future),
    };
    Ok(statement.execute(params)? == 1)
}

/// What must not come back when an old copy of the database takes the place of this one: a store's uninstallation.
///
/// # Errors
/// When the database fails.
pub fn list_uninstalled(connection: &Connection) -> db::Result<Vec<Store>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM stores WHERE uninstalled_at IS NOT NULL ORDER BY shop"))?;
    let stores = statement.query_map((), store_from_row)?;
    Ok(stores.collect::<rusqlite::Result<_>>()?)
}

/// Marks a store as uninstalled as another copy of this database has it, if it is the same installation. Returns whether it was.
///
/// # Errors
/// When the database fails.
pub fn import_uninstallation(tx: &Tx<'_>, store: &Store) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "UPDATE stores SET uninstalled_at = :uninstalled_at
         WHERE id = :id AND installed_at <= :installed_at AND uninstalled_at IS NULL",
    )?;
    let params = named_params! {
        ":uninstalled_at": store.uninstalled_at.map(Millis),
        ":id": store.id,
        ":installed_at": Millis(store.installed_at),
    };
    Ok(statement.execute(params)? == 1)
}

/// The stores that were uninstalled after `since`, oldest first, `limit` at the most.
///
/// # Errors
/// When the database fails.
pub fn list_uninstalled_since(connection: &Connection, since: DateTime<Utc>, limit: usize) -> db::Result<Vec<Store>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM stores
         WHERE uninstalled_at IS NOT NULL AND uninstalled_at > :since
         ORDER BY uninstalled_at LIMIT :limit"
    ))?;
    let stores = statement.query_map(named_params! { ":since": Millis(since), ":limit": limit }, store_from_row)?;
    Ok(stores.collect::<rusqlite::Result<_>>()?)
}

/// The stores that seem to have been installed in the future, as [`Store::is_installed_in_future`] has it, `limit` at the most.
///
/// # Errors
/// When the database fails.
pub fn list_installed_in_future(connection: &Connection, now: DateTime<Utc>, limit: usize) -> db::Result<Vec<Store>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM stores WHERE installed_at > :future ORDER BY shop LIMIT :limit"
    ))?;
    let params = named_params! { ":future": Millis(now + CLOCK_TOLERANCE), ":limit": limit };
    let stores = statement.query_map(params, store_from_row)?;
    Ok(stores.collect::<rusqlite::Result<_>>()?)
}

/// Takes the next number of a store's own sequence of orders.
///
/// # Errors
/// `LostRow` when there is no such store, and when the database fails.
pub fn next_order_number(tx: &Tx<'_>, store: StoreId) -> db::Result<i64> {
    let mut statement = tx.prepare_cached(
        "UPDATE stores SET draft_order_count = draft_order_count + 1 WHERE id = :id RETURNING draft_order_count",
    )?;
    let number = statement.query_row(named_params! { ":id": store }, |row| row.get(0)).optional()?;
    number.ok_or(db::Error::LostRow { operation: "catalog::stores::next_order_number", changed: 0 })
}

/// What there is to erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasing {
    /// This store; its keys and pages are dead from now on.
    Store(StoreId),
    /// It was installed again after the event: it stays.
    InstalledAgain,
    /// There is no such store.
    Unknown,
}

/// Marks a store as being erased, unless it was installed again after the event. Doing so twice does no harm.
///
/// # Errors
/// When the database fails.
pub fn begin_erasure(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    shop: &ShopDomain,
    triggered_at: DateTime<Utc>,
) -> db::Result<Erasing> {
    let Some(store) = find(tx, shop)? else { return Ok(Erasing::Unknown) };
    if store.erasing_since.is_none() {
        if store.is_installed_after(triggered_at, now) {
            return Ok(Erasing::InstalledAgain);
        }
        let mut statement = tx.prepare_cached(
            "UPDATE stores SET erasing_since = :now, catalog_version = catalog_version + 1, updated_at = :now
             WHERE id = :id",
        )?;
        let changed = statement.execute(named_params! { ":now": Millis(now), ":id": store.id })?;
        expect_one(changed, "catalog::stores::begin_erasure")?;
    }
    Ok(Erasing::Store(store.id))
}

/// Adds to what an erasure's steps have deleted so far; it is kept on the row, so that a crash loses no count.
///
/// # Errors
/// `LostRow` when the store is gone: another erasure was faster.
pub fn note_erased(tx: &Tx<'_>, store: StoreId, counts: &RowCounts) -> db::Result<()> {
    let mut so_far = erased_so_far(tx, store)?.unwrap_or_default();
    so_far.merge(counts);
    let mut statement = tx.prepare_cached("UPDATE stores SET erasing_counts = :counts WHERE id = :id")?;
    let changed = statement.execute(named_params! { ":counts": so_far, ":id": store })?;
    expect_one(changed, "catalog::stores::note_erased")
}

/// Deletes a store that is being erased; what is left below it goes by ON DELETE CASCADE. Returns all rows that its erasure has
/// deleted but for the orders that the cascade takes, or `None` when the store is gone already.
///
/// # Errors
/// When the database fails.
pub fn delete(tx: &Tx<'_>, store: StoreId) -> db::Result<Option<RowCounts>> {
    let Some(mut counts) = erased_so_far(tx, store)? else { return Ok(None) };
    counts.merge(&super::count_rows(tx, store)?);
    let mut statement = tx.prepare_cached("DELETE FROM stores WHERE id = :id")?;
    expect_one(statement.execute(named_params! { ":id": store })?, "catalog::stores::delete")?;
    counts.add("stores", 1);
    Ok(Some(counts))
}

fn erased_so_far(connection: &Connection, store: StoreId) -> db::Result<Option<RowCounts>> {
    let mut statement = connection.prepare_cached("SELECT erasing_counts FROM stores WHERE id = :id")?;
    let counts = statement
        .query_row(named_params! { ":id": store }, |row| row.get::<_, Option<RowCounts>>("erasing_counts"))
        .optional()?;
    Ok(counts.map(Option::unwrap_or_default))
}

fn store_from_row(row: &Row<'_>) -> rusqlite::Result<Store> {
    Ok(Store {
        id: row.get("id")?,
        shop: row.get("shop")?,
        currency: row.get("currency")?,
        unit: row.get("unit")?,
        tax_label: row.get("tax_label")?,
        locale: row.get("locale")?,
        allow_discount_codes: row.get("allow_discount_codes")?,
        allow_automatic_discounts: row.get("allow_automatic_discounts")?,
        catalog_version: row.get("catalog_version")?,
        installed_at: row.get::<_, Millis>("installed_at")?.0,
        uninstalled_at: row.get::<_, Option<Millis>>("uninstalled_at")?.map(|at| at.0),
        erasing_since: row.get::<_, Option<Millis>>("erasing_since")?.map(|at| at.0),
    })
}
