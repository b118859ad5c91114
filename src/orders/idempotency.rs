//! SQL of `order_idempotency_keys`: which order a client's `Idempotency-Key` led to. Keys are scoped by store and kept as keyed
//! hashes: clients put into them what they like, e-mail addresses too.

use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::{DraftOrderId, StoreId};
use crate::keyed_hash::KeyedHasher;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

/// For how long a repetition leads to the first order.
pub const KEPT: TimeDelta = TimeDelta::hours(24);

/// The longest key; a UUID has 36 characters.
pub const KEY_MAX: usize = 255;

/// A client's key for one order.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// The text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {KEY_MAX} characters of ASCII")]
pub struct NotAKey;

impl std::str::FromStr for IdempotencyKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let text = text.trim();
        let is_key = (1..=KEY_MAX).contains(&text.len()) && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if is_key { Ok(Self(text.to_owned())) } else { Err(NotAKey) }
    }
}

impl std::fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdempotencyKey(***)")
    }
}

impl IdempotencyKey {
    /// What is kept of it.
    pub fn hash(&self, hasher: &KeyedHasher, store: StoreId) -> [u8; 32] {
        hasher.hash("idempotency key", &[store.to_string().as_bytes(), self.0.as_bytes()])
    }
}

/// What a key led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OriginalOrder {
    /// The order.
    pub order: DraftOrderId,
    /// The hash of what was ordered.
    pub order_hash: [u8; 32],
}

/// What the key with this hash led to, as long as it is kept.
///
/// # Errors
/// When the database fails.
pub fn find(
    connection: &Connection,
    now: DateTime<Utc>,
    store: StoreId,
    key_hash: [u8; 32],
) -> db::Result<Option<OriginalOrder>> {
    let mut statement = connection.prepare_cached(
        "SELECT draft_order_id, order_hash FROM order_idempotency_keys
         WHERE store_id = :store_id AND key_hash = :key_hash AND created_at > :after",
    )?;
    let params = named_params! { ":store_id": store, ":key_hash": key_hash, ":after": Millis(now - KEPT) };
    let first = statement.query_row(params, |row| {
        Ok(OriginalOrder { order: row.get("draft_order_id")?, order_hash: row.get("order_hash")? })
    });
    Ok(first.optional()?)
}

/// Remembers what a key led to; one that has had its time is used anew.
///
/// # Errors
/// When the database fails.
pub fn insert(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    store: StoreId,
    key_hash: [u8; 32],
    OriginalOrder { order, order_hash }: OriginalOrder,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO order_idempotency_keys (store_id, key_hash, order_hash, draft_order_id, created_at)
         VALUES (:store_id, :key_hash, :order_hash, :order, :now)
         ON CONFLICT (store_id, key_hash) DO UPDATE
         SET order_hash = excluded.order_hash, draft_order_id = excluded.draft_order_id, created_at = excluded.created_at",
    )?;
    statement.execute(named_params! {
        ":store_id": store,
        ":key_hash": key_hash,
        ":order_hash": order_hash,
        ":order": order,
        ":now": Millis(now),
    })?;
    Ok(())
}

/// Deletes keys from before `until`, `limit` at the most. Returns how many.
///
/// # Errors
/// When the database fails.
pub fn prune(tx: &Tx<'_>, until: DateTime<Utc>, limit: usize) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM order_idempotency_keys
         WHERE (store_id, key_hash) IN (
             SELECT store_id, key_hash FROM order_idempotency_keys
             WHERE created_at <= :until ORDER BY created_at LIMIT :limit)",
    )?;
    Ok(statement.execute(named_params! { ":until": Millis(until), ":limit": limit })?)
}

/// A key's row is in two trees with different orders: deleting one rewrites a page of its own in one of them.
const COST: usize = 25;

/// Deletes a store's keys, as many as a budget of cheap rows is worth. Nothing deleted means that none is left.
pub(super) fn delete_some_keys(tx: &Tx<'_>, store: StoreId, budget: usize) -> db::Result<RowCounts> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM order_idempotency_keys
         WHERE (store_id, key_hash) IN (
             SELECT store_id, key_hash FROM order_idempotency_keys WHERE store_id = :store_id LIMIT :limit)",
    )?;
    let mut counts = RowCounts::default();
    let limit = (budget / COST).max(1);
    counts.add("order_idempotency_keys", statement.execute(named_params! { ":store_id": store, ":limit": limit })?);
    Ok(counts)
}

pub(super) fn count_rows(connection: &Connection, store: StoreId) -> db::Result<RowCounts> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM order_idempotency_keys WHERE store_id = :store_id")?;
    let mut counts = RowCounts::default();
    let rows = statement.query_row(named_params! { ":store_id": store }, |row| row.get(0))?;
    counts.add("order_idempotency_keys", rows);
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_some_printable_text() {
        let key = |text: &str| text.parse::<IdempotencyKey>();
        assert_eq!(key(" \"8e03978e-40d5-43dd-bc93-6894a57f9324\" "), key("\"8e03978e-40d5-43dd-bc93-6894a57f9324\""));
        for text in ["", "  ", &"x".repeat(256), "ä", "a\u{7}b"] {
            assert_eq!(key(text), Err(NotAKey), "{text:?}");
        }
        assert!(key(&"x".repeat(255)).is_ok());
        assert!(!format!("{:?}", key("shopper@example.com")).contains("shopper"));
    }
}
