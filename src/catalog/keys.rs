//! Keys of the storefront API: `pm_` and 64 hexadecimal digits. Only a key's digest is kept; the key is shown once.

use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::{KeyId, StoreId};
use crate::domain::name::Name;
use crate::entropy::Entropy;
use crate::error::{Error, Kind};
use crate::keyed_hash::hex;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What every key begins with.
const PREFIX: &str = "pm_";

/// Characters of a key that are kept, for people to tell keys apart.
const SHOWN: usize = 8;

/// Origins a key may be bound to: a shop has a domain or two, and a staging one.
const ORIGINS_MAX: usize = 20;

/// The longest host of an origin: a DNS name, and its port.
const ORIGIN_MAX: usize = 260;

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

/// A key to be issued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewKey {
    label: Option<String>,
    origins: Option<Vec<String>>,
}

impl NewKey {
    /// A key with a label for people, for web pages of these origins only; without origins, for any.
    ///
    /// # Errors
    /// `Invalid`, with a fault for each that is none.
    pub fn new(label: Option<String>, origins: Option<Vec<String>>) -> Result<Self, Error> {
        let mut error = Error::new(Kind::Invalid, "the key cannot be issued");
        let label = label.map(|label| label.parse::<Name>().map_err(|fault| fault.to_string())).transpose();
        if let Err(fault) = &label {
            error = error.with_fault("label", fault);
        }
        let origins = origins.filter(|origins| !origins.is_empty());
        if origins.as_ref().is_some_and(|origins| origins.len() > ORIGINS_MAX) {
            error = error.with_fault("origins", format!("must be at most {ORIGINS_MAX}"));
        }
        for origin in origins.iter().flatten().filter(|origin| !is_origin(origin)) {
            error = error.with_fault("origins", format!("{origin:?} must look like https://shop.example.com"));
        }
        match label {
            Ok(label) if error.faults().is_empty() => {
                Ok(Self { label: label.map(|label| label.as_str().to_owned()), origins })
            }
            _ => Err(error),
        }
    }
}

/// Whether `text` is an origin as browsers send it: scheme and host, lower case, a port where it has one, and no path.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
    (1..=ORIGIN_MAX).contains(&host.len()) && host.bytes().all(allowed)
}

/// A key as it stands, without the key.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Its first characters.
    pub prefix: String,
    /// What people call it.
    pub label: Option<String>,
    /// The origins it is for; `None`: any.
    pub origins: Option<Value>,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to within a while.
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Makes a key for a store, for any origin.
///
/// # Errors
/// The database's.
pub fn issue(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
    store: StoreId,
    label: Option<&str>,
) -> db::Result<IssuedKey> {
    issue_new(tx, now, entropy, store, &NewKey { label: label.map(str::to_owned), origins: None })
}

/// Makes a key for a store.
///
/// # Errors
/// The database's.
pub fn issue_new(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
    store: StoreId,
    new: &NewKey,
) -> db::Result<IssuedKey> {
    let id = KeyId::new(now, entropy.array());
    let key = format!("{PREFIX}{}", hex(&entropy.array::<32>()));
    let mut statement = tx.prepare_cached(
        "INSERT INTO api_keys (id, store_id, digest, prefix, label, origins, created_at)
         VALUES (:id, :store_id, :digest, :prefix, :label, :origins, :created_at)",
    )?;
    statement.execute(named_params! {
        ":id": id,
        ":store_id": store,
        ":digest": digest(&key),
        ":prefix": &key[..SHOWN],
        ":label": new.label,
        ":origins": new.origins.as_ref().map(|origins| json!(origins).to_string()),
        ":created_at": Millis(now),
    })?;
    Ok(IssuedKey { id, key })
}

const COLUMNS: &str = "id, prefix, label, origins, created_at, last_used_at, revoked_at";

/// A store's keys, the revoked ones too, newest first; `before`: only those issued before that one.
///
/// # Errors
/// The database's.
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
/// The database's.
pub fn find(connection: &Connection, store: StoreId, id: KeyId) -> db::Result<Option<ApiKey>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM api_keys WHERE id = :id AND store_id = :store_id"))?;
    Ok(statement.query_row(named_params! { ":id": id, ":store_id": store }, key_from_row).optional()?)
}

/// Revokes a store's key: from this commit on it opens nothing. Doing so twice does no harm.
///
/// # Errors
/// `NotFound`, and the database's.
pub fn revoke(tx: &Tx<'_>, now: DateTime<Utc>, store: StoreId, id: KeyId) -> Result<(), Error> {
    let mut statement = tx.prepare_cached(
        "UPDATE api_keys SET revoked_at = coalesce(revoked_at, :now)
         WHERE id = :id AND store_id = :store_id",
    )?;
    match statement.execute(named_params! { ":now": Millis(now), ":id": id, ":store_id": store })? {
        0 => Err(Error::not_found(format!("key {id}"))),
        _one => Ok(()),
    }
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

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
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
/// The database's.
pub fn list_revoked(connection: &Connection) -> db::Result<Vec<(KeyId, i64)>> {
    let mut statement =
        connection.prepare_cached("SELECT id, revoked_at FROM api_keys WHERE revoked_at IS NOT NULL ORDER BY id")?;
    let keys = statement.query_map((), |row| Ok((row.get("id")?, row.get("revoked_at")?)))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// Revokes a key as another copy of this database has it. Returns whether it was alive.
///
/// # Errors
/// The database's.
pub fn adopt_revocation(tx: &Tx<'_>, (id, revoked_at): (KeyId, i64)) -> db::Result<bool> {
    let mut statement =
        tx.prepare_cached("UPDATE api_keys SET revoked_at = :revoked_at WHERE id = :id AND revoked_at IS NULL")?;
    Ok(statement.execute(named_params! { ":revoked_at": revoked_at, ":id": id })? == 1)
}
