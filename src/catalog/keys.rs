//! Keys of the storefront API: `pm_` and 64 hexadecimal digits. Only a key's digest is kept; the key is shown once.

use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::{KeyId, StoreId};
use crate::entropy::Entropy;
use crate::keyed_hash::hex;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, named_params};
use sha2::{Digest, Sha256};

/// What every key begins with.
const PREFIX: &str = "pm_";

/// Characters of a key that are kept, for people to tell keys apart.
const SHOWN: usize = 8;

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

/// Makes a key for a store.
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
    let id = KeyId::new(now, entropy.array());
    let key = format!("{PREFIX}{}", hex(&entropy.array::<32>()));
    let mut statement = tx.prepare_cached(
        "INSERT INTO api_keys (id, store_id, digest, prefix, label, created_at)
         VALUES (:id, :store_id, :digest, :prefix, :label, :created_at)",
    )?;
    statement.execute(named_params! {
        ":id": id,
        ":store_id": store,
        ":digest": digest(&key),
        ":prefix": &key[..SHOWN],
        ":label": label,
        ":created_at": Millis(now),
    })?;
    Ok(IssuedKey { id, key })
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
