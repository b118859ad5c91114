//! The proof of erasure: an append-only table in which each row holds the hash of the row before. Changing, dropping or inserting
//! one breaks every later hash; that the tail was cut shows against the head that the log has named.
//!
//! A row's hash is SHA-256 over its fields in the order of [`Receipt`], each with its length in front, so that anyone who is
//! given the rows can recompute it. A receipt names a shop only by a keyed hash, and a person not at all.

use super::requests::types::RequestOutcome;
use crate::db::{self, Millis, RowCounts, Tx};
use crate::domain::ids::RequestId;
use crate::domain::text_enum::text_enum;
use crate::keyed_hash::hex;
use chrono::{DateTime, Utc};
use log::info;
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// What comes before the first receipt.
const GENESIS: [u8; 32] = [0; 32];

text_enum! {
    /// What a receipt says.
    pub enum ReceiptKind {
        /// The rows are gone: written with the delete.
        Erased = "erased",
        /// The bytes are gone: written after the scrub.
        Verified = "verified",
    }
}

/// A receipt to be appended.
#[derive(Debug, Clone)]
pub(super) struct NewReceipt {
    pub(super) kind: ReceiptKind,
    pub(super) request_id: RequestId,
    pub(super) request_type: &'static str,
    pub(super) subject_hash: [u8; 32],
    pub(super) outcome: RequestOutcome,
    pub(super) counts: RowCounts,
}

/// A receipt as it is stored. The fields are hashed in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the chain, from 1, without gaps.
    pub sequence: i64,
    /// The hash of the one before.
    pub previous_hash: [u8; 32],
    /// `erased` or `verified`.
    pub kind: String,
    /// The request it belongs to.
    pub request_id: Option<String>,
    /// The request's type.
    pub request_type: String,
    /// The keyed hash of the shop's domain.
    pub subject_hash: [u8; 32],
    /// What came of the request.
    pub outcome: String,
    /// Rows deleted, by table, as JSON.
    pub counts: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// The versions of quotegrid and SQLite.
    pub version: String,
    /// Its own hash.
    pub hash: [u8; 32],
}

impl Receipt {
    fn compute_hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        field(&self.sequence.to_le_bytes());
        field(&self.previous_hash);
        field(self.kind.as_bytes());
        field(self.request_id.as_deref().unwrap_or_default().as_bytes());
        field(self.request_type.as_bytes());
        field(&self.subject_hash);
        field(self.outcome.as_bytes());
        field(self.counts.as_bytes());
        field(&self.created_at.timestamp_millis().to_le_bytes());
        field(self.version.as_bytes());
        hash.finalize().into()
    }
}

const COLUMNS: &str =
    "sequence, previous_hash, kind, request_id, type, subject_hash, outcome, counts, created_at, version, hash";

/// Appends a receipt; its hash is logged once it is committed.
pub(super) fn append(tx: &Tx<'_>, now: DateTime<Utc>, new: NewReceipt) -> db::Result<()> {
    let head = tx
        .prepare_cached("SELECT sequence, hash FROM erasure_receipts ORDER BY sequence DESC LIMIT 1")?
        .query_row((), |row| Ok((row.get("sequence")?, row.get("hash")?)))
        .optional()?;
    let (sequence, previous_hash): (i64, [u8; 32]) = head.unwrap_or((0, GENESIS));
    let mut receipt = Receipt {
        sequence: sequence + 1,
        previous_hash,
        kind: new.kind.as_str().to_owned(),
        request_id: Some(new.request_id.to_string()),
        request_type: new.request_type.to_owned(),
        subject_hash: new.subject_hash,
        outcome: new.outcome.as_str().to_owned(),
        counts: new.counts.to_string(),
        created_at: now,
        version: format!("quotegrid {}, SQLite {}", env!("CARGO_PKG_VERSION"), rusqlite::version()),
        hash: [0; 32],
    };
    receipt.hash = receipt.compute_hash();
    insert(tx, &receipt)?;
    tx.after_commit(move || {
        let Receipt { sequence, kind, hash, .. } = receipt;
        info!("erasure receipt sequence={sequence} kind={kind} head={}", hex(&hash));
    });
    Ok(())
}

fn insert(tx: &Tx<'_>, receipt: &Receipt) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO erasure_receipts
             (sequence, previous_hash, kind, request_id, type, subject_hash, outcome, counts, created_at, version, hash)
         VALUES (:sequence, :previous_hash, :kind, :request_id, :type, :subject_hash, :outcome, :counts, :created_at,
             :version, :hash)",
    )?;
    statement.execute(named_params! {
        ":sequence": receipt.sequence,
        ":previous_hash": receipt.previous_hash,
        ":kind": receipt.kind,
        ":request_id": receipt.request_id,
        ":type": receipt.request_type,
        ":subject_hash": receipt.subject_hash,
        ":outcome": receipt.outcome,
        ":counts": receipt.counts,
        ":created_at": Millis(receipt.created_at),
        ":version": receipt.version,
        ":hash": receipt.hash,
    })?;
    Ok(())
}

/// Takes receipts of the same chain over from another copy of this database, as they are. They must follow the last one here.
///
/// # Errors
/// `LostRow` when they do not follow, and when the database fails.
pub fn import(tx: &Tx<'_>, receipts: &[Receipt]) -> db::Result<()> {
    for receipt in receipts {
        let follows = hash_at(tx, receipt.sequence - 1)? == Some(receipt.previous_hash);
        db::expect_one(usize::from(follows && receipt.compute_hash() == receipt.hash), "erasure::receipts::import")?;
        insert(tx, receipt)?;
    }
    Ok(())
}

/// The sequence number of the last receipt; 0: there is none.
///
/// # Errors
/// When the database fails.
pub fn last(connection: &Connection) -> db::Result<i64> {
    let mut statement = connection.prepare_cached("SELECT coalesce(max(sequence), 0) FROM erasure_receipts")?;
    Ok(statement.query_row((), |row| row.get(0))?)
}

/// The hash of the receipt with this number; of number 0, what is before the first.
///
/// # Errors
/// When the database fails.
pub fn hash_at(connection: &Connection, sequence: i64) -> db::Result<Option<[u8; 32]>> {
    if sequence == 0 {
        return Ok(Some(GENESIS));
    }
    let mut statement = connection.prepare_cached("SELECT hash FROM erasure_receipts WHERE sequence = :sequence")?;
    Ok(statement.query_row(named_params! { ":sequence": sequence }, |row| row.get("hash")).optional()?)
}

/// Whether a receipt after the one with this number proves the erasure of a shop.
///
/// # Errors
/// When the database fails.
pub fn is_shop_erased_after(connection: &Connection, subject_hash: &[u8; 32], sequence: i64) -> db::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM erasure_receipts
         WHERE subject_hash = :subject_hash AND type = 'SHOP_REDACT' AND kind = 'erased' AND sequence > :sequence",
    )?;
    Ok(statement.exists(named_params! { ":subject_hash": subject_hash, ":sequence": sequence })?)
}

/// The hashes of the shops whose erasure was closed, or counted as done, after the receipt with this sequence number.
pub(super) fn list_erased_shops_after(connection: &Connection, sequence: i64) -> db::Result<HashSet<[u8; 32]>> {
    let mut statement = connection.prepare_cached(
        "SELECT subject_hash FROM erasure_receipts WHERE sequence > :sequence AND type = 'SHOP_REDACT'",
    )?;
    let hashes = statement.query_map(named_params! { ":sequence": sequence }, |row| row.get("subject_hash"))?;
    Ok(hashes.collect::<rusqlite::Result<_>>()?)
}

/// Receipts after the one with this sequence number, in order.
///
/// # Errors
/// When the database fails.
pub fn list_after(connection: &Connection, sequence: i64, limit: usize) -> db::Result<Vec<Receipt>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM erasure_receipts WHERE sequence > :sequence ORDER BY sequence LIMIT :limit"
    ))?;
    let receipts = statement.query_map(named_params! { ":sequence": sequence, ":limit": limit }, receipt_from_row)?;
    Ok(receipts.collect::<rusqlite::Result<_>>()?)
}

/// What walking the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Receipts in it.
    pub receipts: u64,
    /// The number of the last one; 0: there is none.
    pub last: i64,
    /// Its hash.
    pub head: [u8; 32],
    /// The first receipt that does not follow from the one before, and why.
    pub broken_at: Option<(i64, &'static str)>,
}

/// Walks the whole chain.
///
/// # Errors
/// When the database fails.
pub fn walk(connection: &Connection) -> db::Result<Chain> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM erasure_receipts ORDER BY sequence"))?;
    let mut chain = Chain { receipts: 0, last: 0, head: GENESIS, broken_at: None };
    for receipt in statement.query_map((), receipt_from_row)? {
        let receipt = receipt?;
        let fault = if receipt.sequence != chain.last + 1 {
            Some("a receipt is missing before it")
        } else if receipt.previous_hash != chain.head {
            Some("it does not follow from the one before")
        } else if receipt.compute_hash() != receipt.hash {
            Some("it was changed")
        } else {
            None
        };
        if chain.broken_at.is_none() {
            chain.broken_at = fault.map(|why| (receipt.sequence, why));
        }
        chain.last = receipt.sequence;
        chain.head = receipt.hash;
        chain.receipts += 1;
    }
    Ok(chain)
}

/// The receipts of one request of a shop, in order.
///
/// # Errors
/// When the database fails.
pub fn list_of_request(
    connection: &Connection,
    subject_hash: &[u8; 32],
    request: RequestId,
) -> db::Result<Vec<Receipt>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM erasure_receipts
         WHERE subject_hash = :subject_hash AND request_id = :request_id
         ORDER BY sequence"
    ))?;
    let receipts = statement
        .query_map(named_params! { ":subject_hash": subject_hash, ":request_id": request }, receipt_from_row)?;
    Ok(receipts.collect::<rusqlite::Result<_>>()?)
}

/// How many of the triggers that keep receipts from being changed are not there as they were made.
pub(super) fn count_missing_triggers(connection: &Connection) -> db::Result<u64> {
    /// Where they are made.
    const SCHEMA: &str = include_str!("../../migrations/V1__schema.sql");
    let mut statement =
        connection.prepare_cached("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = :name")?;
    let mut missing = 0;
    for name in ["erasure_receipts_are_never_changed", "erasure_receipts_are_never_deleted"] {
        let found =
            statement.query_row(named_params! { ":name": name }, |row| row.get::<_, String>("sql")).optional()?;
        missing += u64::from(!found.is_some_and(|sql| SCHEMA.contains(&sql)));
    }
    Ok(missing)
}

/// The head of the chain when an operator noted it: a receipt's number and its hash, as the log and `gdpr verify` name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The receipt's number.
    pub sequence: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl Head {
    /// Whether the chain still has it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn is_kept(&self, connection: &Connection) -> db::Result<bool> {
        Ok(hash_at(connection, self.sequence)? == Some(self.hash))
    }
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.sequence, hex(&self.hash))
    }
}

impl std::str::FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (sequence, digits) = text.split_once(':')?;
            let sequence = sequence.parse().ok().filter(|sequence| *sequence >= 0)?;
            let mut hash = [0; 32];
            if digits.len() != 2 * hash.len() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
                *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
            }
            Some(Self { sequence, hash })
        };
        read().ok_or("must be a receipt's number, a colon, and the 64 hexadecimal digits of its hash")
    }
}

/// Whether a receipt proves the erasure of this shop.
pub(super) fn is_shop_erased(connection: &Connection, subject_hash: &[u8; 32]) -> db::Result<bool> {
    let mut statement = connection
        .prepare_cached("SELECT 1 FROM erasure_receipts WHERE subject_hash = :subject_hash AND type = 'SHOP_REDACT'")?;
    Ok(statement.exists(named_params! { ":subject_hash": subject_hash })?)
}

fn receipt_from_row(row: &Row<'_>) -> rusqlite::Result<Receipt> {
    Ok(Receipt {
        sequence: row.get("sequence")?,
        previous_hash: row.get("previous_hash")?,
        kind: row.get("kind")?,
        request_id: row.get("request_id")?,
        request_type: row.get("type")?,
        subject_hash: row.get("subject_hash")?,
        outcome: row.get("outcome")?,
        counts: row.get("counts")?,
        created_at: row.get::<_, Millis>("created_at")?.0,
        version: row.get("version")?,
        hash: row.get("hash")?,
    })
}
