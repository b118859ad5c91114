//! Hashes that confirm no guess: HMAC-SHA256 with a key that was made with the database and never leaves it. By these the
//! erasure receipts and the queue name a shop without naming it.

use crate::db::{self, Db};
use crate::entropy::Entropy;
use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, OptionalExtension, named_params};
use sha2::Sha256;

/// The key's row in `meta`.
const KEY_NAME: &str = "keyed_hash_key";

/// Hashes with this database's key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyedHasher([u8; 32]);

impl KeyedHasher {
    /// Loads the key, making it when the database is new.
    ///
    /// # Errors
    /// When the database fails.
    pub fn load(db: &Db, entropy: &dyn Entropy) -> db::Result<Self> {
        let fresh: [u8; 32] = entropy.array();
        db.write(move |tx| {
            tx.execute(
                "INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING",
                named_params! { ":name": KEY_NAME, ":value": fresh },
            )?;
            let key = tx.query_row(
                "SELECT value FROM meta WHERE name = :name",
                named_params! { ":name": KEY_NAME },
                |row| row.get("value"),
            )?;
            Ok(Self(key))
        })
    }

    /// The key of the database behind `connection`, if it has one.
    pub(crate) fn find(connection: &Connection) -> db::Result<Option<Self>> {
        let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = :name")?;
        Ok(statement.query_row(named_params! { ":name": KEY_NAME }, |row| Ok(Self(row.get("value")?))).optional()?)
    }

    /// The hash of `parts` for the purpose `label`. Parts are kept apart: `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn hash(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in std::iter::once(label.as_bytes()).chain(parts.iter().copied()) {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for KeyedHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedHasher(***)")
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
