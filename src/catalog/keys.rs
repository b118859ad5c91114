//! Keys of the storefront API: `pm_` and 64 hexadecimal digits. Only a key's digest is kept; the key is shown once.

use super::stores;
use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::{KeyId, ShopDomain, StoreId};
use crate::domain::length::Unit;
use crate::domain::money::Currency;
use crate::domain::name::Name;
use crate::domain::tax_label::TaxLabel;
use crate::entropy::Entropy;
use crate::error::{Error, Kind, Result};
use crate::keyed_hash::hex;
use crate::languages::Language;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params};
use sha2::{Digest, Sha256};

mod origins;

pub use origins::{NotAnOrigin, ORIGINS_MAX, Origins};

/// What every key begins with.
const PREFIX: &str = "pm_";

/// Characters of a key that are kept, for people to tell keys apart.
const SHOWN: usize = 8;

/// Live keys of a store: enough for a theme, its copies and a rotation, few enough to be read in one list.
pub const KEYS_MAX: usize = 100;

/// How exactly the last use of a key is known. A write per request would cost more than the price it asks for.
const USE_PRECISION: TimeDelta = TimeDelta::minutes(10);

/// The SHA-256 of a whole key: what is stored, and what a key is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a key as it was sent. Any text has one; a look-up by digest tells nothing about how near a guess was.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl ToSql for KeyDigest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(&self.0[..]))
    }
}

/// What opens a store: a key of its own, or Shopify's word for the shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveKey {
    /// The key's id; `None` where Shopify has signed for the shop.
    pub id: Option<KeyId>,
    /// Its store.
    pub store: StoreId,
    /// The store's domain.
    pub shop: ShopDomain,
    /// What the store's prices are in.
    pub currency: Currency,
    /// What the store's sizes are in.
    pub unit: Unit,
    /// What shoppers read about taxes.
    pub tax_label: TaxLabel,
    /// The language of its store's pages; the browser's where it has none.
    pub locale: Option<Language>,
    /// Where pages that use it may come from.
    pub origins: Origins,
    /// The version of everything below the store; see [`crate::catalog`].
    pub catalog_version: i64,
    /// When it was last used, within about ten minutes.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl LiveKey {
    /// Whether [`note_used`] would have something to write.
    pub fn use_is_news(&self, now: DateTime<Utc>) -> bool {
        // A clock that was set back must not write at every request.
        self.last_used_at.is_none_or(|at| (now - at).abs() >= USE_PRECISION)
    }
}

/// The key with this digest, if it is not revoked and its store is neither uninstalled nor being erased.
///
/// # Errors
/// When the database fails.
pub fn find_live(connection: &Connection, digest: KeyDigest) -> db::Result<Option<LiveKey>> {
    let mut statement = connection.prepare_cached(FIND_LIVE)?;
    Ok(statement.query_row(named_params! { ":digest": digest }, live_from_row).optional()?)
}

/// The same for a shop that Shopify has signed for, whatever keys it has.
///
/// # Errors
/// When the database fails.
pub fn find_live_shop(connection: &Connection, shop: &ShopDomain) -> db::Result<Option<LiveKey>> {
    let mut statement = connection.prepare_cached(
        "SELECT NULL AS id, s.id AS store_id, NULL AS origins, NULL AS last_used_at, s.shop, s.currency, s.unit,
                s.tax_label, s.locale, s.catalog_version
         FROM stores AS s
         WHERE s.shop = :shop AND s.uninstalled_at IS NULL AND s.erasing_since IS NULL",
    )?;
    Ok(statement.query_row(named_params! { ":shop": shop }, live_from_row).optional()?)
}

fn live_from_row(row: &Row<'_>) -> rusqlite::Result<LiveKey> {
    Ok(LiveKey {
        id: row.get("id")?,
        store: row.get("store_id")?,
        shop: row.get("shop")?,
        currency: row.get("currency")?,
        unit: row.get("unit")?,
        tax_label: row.get("tax_label")?,
        locale: row.get("locale")?,
        origins: row.get("origins")?,
        catalog_version: row.get("catalog_version")?,
        last_used_at: row.get::<_, Option<Millis>>("last_used_at")?.map(|at| at.0),
    })
}

const FIND_LIVE: &str = "
    SELECT k.id, k.store_id, k.origins, k.last_used_at, s.shop, s.currency, s.unit, s.tax_label, s.locale,
           s.catalog_version
    FROM api_keys AS k
    JOIN stores AS s ON s.id = k.store_id
    WHERE k.digest = :digest AND k.revoked_at IS NULL AND s.uninstalled_at IS NULL AND s.erasing_since IS NULL";

/// Notes that a key was used. Writes nothing when that is known well enough already, so it may be called whenever
/// [`LiveKey::use_is_news`], from many requests at a time.
///
/// # Errors
/// When the database fails.
pub fn note_used(tx: &Tx<'_>, now: DateTime<Utc>, key: KeyId) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE api_keys SET last_used_at = :now
         WHERE id = :id AND (last_used_at IS NULL OR abs(last_used_at - :now) >= :precision)",
    )?;
    let precision = USE_PRECISION.num_milliseconds();
    statement.execute(named_params! { ":now": Millis(now), ":id": key, ":precision": precision })?;
    Ok(())
}

/// When any of a store's keys was last used, within about ten minutes.
///
/// # Errors
/// When the database fails.
pub fn last_used_at(connection: &Connection, store: StoreId) -> db::Result<Option<DateTime<Utc>>> {
    let mut statement =
        connection.prepare_cached("SELECT max(last_used_at) AS last FROM api_keys WHERE store_id = :store_id")?;
    let last = statement.query_row(named_params! { ":store_id": store }, |row| row.get::<_, Option<Millis>>("last"))?;
    Ok(last.map(|at| at.0))
}

/// A key that has just been made: the only moment it can be seen.
#[derive(Clone)]
pub struct IssuedKey {
    /// Its id.
    pub id: KeyId,
    /// The key itself.
    pub key: String,
}

impl std::fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedKey").field("id", &self.id).field("key", &"***").finish()
    }
}

/// A key's row, without the key itself.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Its first characters.
    pub prefix: String,
    /// What people call it.
    pub label: Option<String>,
    /// The origins it is for.
    pub origins: Origins,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it was last used, within about ten minutes.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A key to be issued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewKey {
    label: Option<Name>,
    origins: Origins,
}

impl NewKey {
    /// A key with a label for people, for web pages of these origins only; without origins, for any.
    ///
    /// # Errors
    /// `Invalid`, with a fault for each that is invalid.
    pub fn new(label: Option<String>, origins: Option<Vec<String>>) -> Result<Self> {
        let mut error = Error::new(Kind::Invalid, "the key cannot be issued");
        let label = label.map(|label| label.parse::<Name>()).transpose();
        if let Err(fault) = &label {
            error = error.with_fault("label", fault.to_string());
        }
        let origins = Origins::only(&origins.unwrap_or_default());
        for fault in origins.as_ref().err().into_iter().flatten() {
            error = error.with_fault("origins", fault.to_string());
        }
        match (label, origins) {
            (Ok(label), Ok(origins)) => Ok(Self { label, origins }),
            _ => Err(error),
        }
    }
}

/// Makes a key for a live store, for any origin.
///
/// # Errors
/// As [`issue_new`], and `Invalid` for an invalid label.
pub fn issue(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
    store: StoreId,
    label: Option<&str>,
) -> Result<IssuedKey> {
    issue_new(tx, now, entropy, store, &NewKey::new(label.map(str::to_owned), None)?)
}

/// Makes a key for a live store.
///
/// # Errors
/// `Conflict` when the store is uninstalled (the key would be dead) or being erased, or has [`KEYS_MAX`] live keys, and
/// when the database fails.
pub fn issue_new(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
    store: StoreId,
    new: &NewKey,
) -> Result<IssuedKey> {
    stores::check_live(tx, store)?;
    let id = KeyId::new(now, entropy.array());
    let key = format!("{PREFIX}{}", hex(&entropy.array::<32>()));
    let mut statement = tx.prepare_cached(
        "INSERT INTO api_keys (id, store_id, digest, prefix, label, origins, created_at)
         SELECT :id, :store_id, :digest, :prefix, :label, :origins, :created_at
         WHERE (SELECT count(*) FROM api_keys WHERE store_id = :store_id AND revoked_at IS NULL) < :max",
    )?;
    let inserted = statement.execute(named_params! {
        ":id": id,
        ":store_id": store,
        ":digest": KeyDigest::of(&key),
        ":prefix": &key[..SHOWN],
        ":label": new.label,
        ":origins": new.origins,
        ":created_at": Millis(now),
        ":max": KEYS_MAX,
    })?;
    if inserted == 0 {
        return Err(Error::new(Kind::Conflict, format!("the store has {KEYS_MAX} keys already, revoke one first")));
    }
    Ok(IssuedKey { id, key })
}

const COLUMNS: &str = "id, prefix, label, origins, created_at, last_used_at, revoked_at";

/// A store's keys, the revoked ones too, newest first; `before`: only those issued before that one.
///
/// # Errors
/// When the database fails.
pub fn list(connection: &Connection, store: StoreId, before: Option<KeyId>, limit: usize) -> db::Result<Vec<ApiKey>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM api_keys
         WHERE store_id = :store_id AND (:before IS NULL OR id < :before)
         ORDER BY id DESC LIMIT :limit"
    ))?;
    let params = named_params! { ":store_id": store, ":before": before, ":limit": limit };
    let keys = statement.query_map(params, key_from_row)?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// A store's key with this id.
///
/// # Errors
/// When the database fails.
pub fn find(connection: &Connection, store: StoreId, id: KeyId) -> db::Result<Option<ApiKey>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM api_keys WHERE id = :id AND store_id = :store_id"))?;
    Ok(statement.query_row(named_params! { ":id": id, ":store_id": store }, key_from_row).optional()?)
}

/// Revokes a store's key: from this commit on it opens nothing. Doing so twice does no harm.
///
/// # Errors
/// `NotFound` when the store has no such key, and when the database fails.
pub fn revoke(tx: &Tx<'_>, now: DateTime<Utc>, store: StoreId, id: KeyId) -> Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, :now)
         WHERE id = :id AND store_id = :store_id",
    )?;
    match statement.execute(named_params! { ":now": Millis(now), ":id": id, ":store_id": store })? {
        0 => Err(Error::not_found(format!("key {id}"))),
        _one => Ok(()),
    }
}

/// A store's keys that are not revoked, newest first: at most [`KEYS_MAX`].
///
/// # Errors
/// When the database fails.
pub fn list_unrevoked(connection: &Connection, store: StoreId) -> db::Result<Vec<ApiKey>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM api_keys WHERE store_id = :store_id AND revoked_at IS NULL ORDER BY id DESC"
    ))?;
    let keys = statement.query_map(named_params! { ":store_id": store }, key_from_row)?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// Revokes all keys of a store; returns how many.
///
/// # Errors
/// When the database fails.
pub fn revoke_all(tx: &Tx<'_>, now: DateTime<Utc>, store: StoreId) -> db::Result<usize> {
    let mut statement =
        tx.prepare_cached("UPDATE api_keys SET revoked_at = :now WHERE store_id = :store_id AND revoked_at IS NULL")?;
    Ok(statement.execute(named_params! { ":now": Millis(now), ":store_id": store })?)
}

/// Revokes a store's live keys with this label but for the `keep` newest.
///
/// # Errors
/// When the database fails.
pub fn revoke_labelled(tx: &Tx<'_>, now: DateTime<Utc>, store: StoreId, label: &str, keep: usize) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE api_keys SET revoked_at = :now
         WHERE id IN (SELECT id FROM api_keys
                      WHERE store_id = :store_id AND label = :label AND revoked_at IS NULL
                      ORDER BY id DESC LIMIT -1 OFFSET :keep)",
    )?;
    let params = named_params! { ":now": Millis(now), ":store_id": store, ":label": label, ":keep": keep };
    statement.execute(params)?;
    Ok(())
}

fn key_from_row(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: row.get("id")?,
        prefix: row.get("prefix")?,
        label: row.get("label")?,
        origins: row.get("origins")?,
        created_at: row.get::<_, Millis>("created_at")?.0,
        last_used_at: row.get::<_, Option<Millis>>("last_used_at")?.map(|at| at.0),
        revoked_at: row.get::<_, Option<Millis>>("revoked_at")?.map(|at| at.0),
    })
}

impl ToSql for Origins {
    /// A JSON list, or NULL where any origin will do.
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let list = self.listed().map(|origins| serde_json::json!(origins).to_string());
        Ok(list.map_or(ToSqlOutput::Owned(rusqlite::types::Value::Null), ToSqlOutput::from))
    }
}

impl FromSql for Origins {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let Some(text) = value.as_str_or_null()? else { return Ok(Self::any()) };
        let origins: Vec<String> = serde_json::from_str(text).map_err(FromSqlError::other)?;
        Self::only(&origins).map_err(|_faults| FromSqlError::InvalidType)
    }
}

pub(super) fn count_rows(connection: &Connection, store: StoreId, counts: &mut RowCounts) -> db::Result<()> {
    let rows = connection
        .prepare_cached("SELECT count(*) FROM api_keys WHERE store_id = :store_id")?
        .query_row(named_params! { ":store_id": store }, |row| row.get(0))?;
    counts.add("api_keys", rows);
    Ok(())
}

/// Keys that were revoked, and when: they must not work again when an old copy of the database takes the place of this one.
///
/// # Errors
/// When the database fails.
pub fn list_revoked(connection: &Connection) -> db::Result<Vec<(KeyId, i64)>> {
    let mut statement =
        connection.prepare_cached("SELECT id, revoked_at FROM api_keys WHERE revoked_at IS NOT NULL ORDER BY id")?;
    let keys = statement.query_map((), |row| Ok((row.get("id")?, row.get("revoked_at")?)))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// Revokes a key as another copy of this database has it. Returns whether it was alive.
///
/// # Errors
/// When the database fails.
pub fn import_revocation(tx: &Tx<'_>, (id, revoked_at): (KeyId, i64)) -> db::Result<bool> {
    let mut statement =
        tx.prepare_cached("UPDATE api_keys SET revoked_at = :revoked_at WHERE id = :id AND revoked_at IS NULL")?;
    Ok(statement.execute(named_params! { ":revoked_at": revoked_at, ":id": id })? == 1)
}
