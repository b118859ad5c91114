//! SQL of `audit_log`: who changed what, and when. It names no person and no shop: a store is here as the keyed hash that its
//! receipts have too, objects by their ids. So an erasure leaves its rows.

use super::Actor;
use crate::db::{self, Millis, Tx};
use crate::domain::ids::AuditId;
use crate::entropy::Entropy;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Row, named_params};
use std::sync::Arc;

/// How long rows are kept: a year and a month, so that a yearly look finds the whole year.
pub const KEPT: TimeDelta = TimeDelta::days(400);

/// Ids that one row names: more would not help, and a row stays small.
const OBJECTS_MAX: usize = 20;

/// What was done to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// A verb and its object, such as `matrix.update`.
    pub action: &'static str,
    /// The store, as the keyed hash of its shop; `None` for what concerns the whole server.
    pub store: Option<[u8; 32]>,
    /// Ids of what was changed, at most a few.
    pub objects: Vec<String>,
}

impl Entry {
    /// Something that concerns the whole server.
    pub fn new(action: &'static str) -> Self {
        Self { action, store: None, objects: Vec::new() }
    }

    /// The same, of this store.
    #[must_use]
    pub fn of_store(mut self, hash: [u8; 32]) -> Self {
        self.store = Some(hash);
        self
    }

    /// The same, and this was changed; of more than twenty the first are named.
    #[must_use]
    pub fn object(mut self, id: impl ToString) -> Self {
        if self.objects.len() == OBJECTS_MAX {
            return self;
        }
        // What a path named may be no id at all: it must not look like several.
        self.objects.push(id.to_string().split_whitespace().collect());
        self
    }
}

/// A row that waits for the transaction of the write that it reports.
#[derive(Clone)]
pub struct Record {
    now: DateTime<Utc>,
    entropy: Arc<dyn Entropy>,
    actor: Actor,
    entry: Entry,
}

impl Record {
    /// `actor` does what `entry` says.
    pub fn new(now: DateTime<Utc>, entropy: Arc<dyn Entropy>, actor: Actor, entry: Entry) -> Self {
        Self { now, entropy, actor, entry }
    }

    /// Writes the row.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn write(&self, tx: &Tx<'_>) -> db::Result<()> {
        record(tx, self.now, self.entropy.as_ref(), &self.actor, &self.entry)
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("actor", &self.actor).field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// A row as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its id.
    pub id: AuditId,
    /// When.
    pub at: DateTime<Utc>,
    /// What they were.
    pub role: String,
    /// Who, as [`Actor::name`] has it.
    pub actor: String,
    /// What.
    pub action: String,
    /// The keyed hash of the store's shop.
    pub store: Option<Vec<u8>>,
    /// Ids of what was changed.
    pub objects: Vec<String>,
}

/// Writes a row, in the transaction of what it reports: both are there or neither.
///
/// # Errors
/// When the database cannot be written.
pub fn record(tx: &Tx<'_>, now: DateTime<Utc>, entropy: &dyn Entropy, actor: &Actor, entry: &Entry) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO audit_log (id, recorded_at, role, actor, action, store_hash, objects)
         VALUES (:id, :now, :role, :actor, :action, :store, :objects)",
    )?;
    statement.execute(named_params! {
        ":id": AuditId::new(now, entropy.array()),
        ":now": Millis(now),
        ":role": actor.role,
        ":actor": actor.name,
        ":action": entry.action,
        ":store": entry.store,
        ":objects": entry.objects.join(" "),
    })?;
    Ok(())
}

/// Which rows to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this store.
    pub store: Option<[u8; 32]>,
    /// Only those before this one: the last of the page before.
    pub before: Option<AuditId>,
    /// At most this many.
    pub limit: usize,
}

/// The rows that match, newest first.
///
/// # Errors
/// When the database cannot be read.
pub fn list(connection: &Connection, filter: &Filter) -> db::Result<Vec<Recorded>> {
    // One statement for each question, so that each has its index.
    let sql = match filter.store {
        Some(_) => {
            "SELECT id, recorded_at, role, actor, action, store_hash, objects FROM audit_log
             WHERE store_hash = :store AND (:before IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit"
        }
        None => {
            "SELECT id, recorded_at, role, actor, action, store_hash, objects FROM audit_log
             WHERE :store IS NULL AND id < coalesce(:before, '~') ORDER BY id DESC LIMIT :limit"
        }
    };
    let mut statement = connection.prepare_cached(sql)?;
    let params = named_params! { ":store": filter.store, ":before": filter.before, ":limit": filter.limit };
    Ok(statement.query_map(params, recorded_from_row)?.collect::<rusqlite::Result<_>>()?)
}

/// Deletes up to `limit` rows from before `before`; returns how many.
///
/// # Errors
/// When the database cannot be written.
pub fn prune(tx: &Tx<'_>, before: DateTime<Utc>, limit: usize) -> db::Result<usize> {
    // Ids begin with the time, and so the oldest rows come first.
    let mut statement = tx.prepare_cached(
        "DELETE FROM audit_log
         WHERE id IN (SELECT id FROM audit_log ORDER BY id LIMIT :limit) AND recorded_at < :before",
    )?;
    Ok(statement.execute(named_params! { ":before": Millis(before), ":limit": limit })?)
}

fn recorded_from_row(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let objects: String = row.get("objects")?;
    Ok(Recorded {
        id: row.get("id")?,
        at: row.get::<_, Millis>("recorded_at")?.0,
        role: row.get("role")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        store: row.get("store_hash")?,
        objects: objects.split(' ').filter(|id| !id.is_empty()).map(str::to_owned).collect(),
    })
}
