//! What jobs say of their subjects, and how they forget it.

use crate::db::{self, Millis, Tx, expect_one};
use crate::domain::ids::JobId;
use crate::queue::{Status, attempts};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};
use serde_json::{Map, Value};

/// The jobs among those looked at that say something of their subject.
#[derive(Debug, Clone)]
pub struct ToForget {
    /// Which.
    pub ids: Vec<JobId>,
    /// The last one looked at: the next look begins behind it. `None`: there was none.
    pub looked_until: Option<JobId>,
    /// Whether there may be more behind it.
    pub more: bool,
}

/// Looks at up to `limit` jobs about `subject` but `except`, in the order of their ids, beginning behind `after`: which of them say
/// more than the payload member `keep` of an unfinished one? For a reader: what has nothing left to forget costs the writer nothing.
///
/// # Errors
/// The database's.
pub fn list_to_forget(
    connection: &Connection,
    subject: &str,
    except: Option<JobId>,
    keep: &str,
    after: Option<JobId>,
    limit: usize,
) -> db::Result<ToForget> {
    let mut statement = connection.prepare_cached(
        "SELECT id, status, payload,
             error IS NOT NULL OR dedupe_key IS NOT NULL
                 OR EXISTS (SELECT 1 FROM job_attempts WHERE job_id = job_queue.id AND job_attempts.error IS NOT NULL)
                 AS says_more
         FROM job_queue
         WHERE subject = :subject AND (:after IS NULL OR id > :after)
         ORDER BY id LIMIT :limit",
    )?;
    let mut rows = statement.query(named_params! { ":subject": subject, ":after": after, ":limit": limit })?;
    let (mut found, mut looked) = (ToForget { ids: Vec::new(), looked_until: after, more: false }, 0);
    while let Some(row) = rows.next()? {
        let id: JobId = row.get("id")?;
        looked += 1;
        found.looked_until = Some(id);
        let (status, payload) = (row.get("status")?, row.get("payload")?);
        if Some(id) != except && (row.get("says_more")? || reduced(status, &payload, keep) != (status, payload)) {
            found.ids.push(id);
        }
    }
    found.more = looked == limit;
    Ok(found)
}

/// Makes these jobs forget their subject: all lose their dedupe keys and errors, finished ones their payload too; unfinished ones
/// keep only the payload member `keep`, and those that have none are cancelled.
///
/// # Errors
/// The database's.
pub fn forget(tx: &Tx<'_>, now: DateTime<Utc>, jobs: &[JobId], keep: &str) -> db::Result<()> {
    let mut look = tx.prepare_cached("SELECT status, payload FROM job_queue WHERE id = :id")?;
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET payload = :payload, error = NULL, dedupe_key = NULL, status = :status,
             processed_at = iif(:ends, :now, processed_at),
             claimed_by = iif(:ends, NULL, claimed_by),
             claimed_at = iif(:ends, NULL, claimed_at),
             lease_expires_at = iif(:ends, NULL, lease_expires_at)
         WHERE id = :id",
    )?;
    for id in jobs {
        // Looked at again: it may have gone on since it was listed.
        let found = look.query_row(named_params! { ":id": id }, |row| Ok((row.get("status")?, row.get("payload")?)));
        let Some((before, payload)) = found.optional()? else { continue };
        let (status, payload) = reduced(before, &payload, keep);
        let params = named_params! {
            ":payload": payload.to_string(),
            ":status": status.as_str(),
            // A running job whose payload is gone is cancelled under its worker: its fence no longer holds.
            ":ends": status != before,
            ":now": Millis(now),
            ":id": id,
        };
        expect_one(statement.execute(params)?, "queue::jobs::forget")?;
        attempts::forget_errors(tx, *id)?;
    }
    Ok(())
}

/// Where a job stands, and what is left of its payload, once it has forgotten its subject.
fn reduced(status: Status, payload: &Value, keep: &str) -> (Status, Value) {
    let unfinished = matches!(status, Status::Pending | Status::Processing);
    match payload.get(keep).filter(|_| unfinished) {
        Some(value) => (status, Value::Object(Map::from_iter([(keep.to_owned(), value.clone())]))),
        None => (if unfinished { Status::Cancelled } else { status }, Value::Object(Map::new())),
    }
}

/// Calls `look` with the texts of every finished job: its payload and, where there is one, its error.
///
/// # Errors
/// The database's, and those of `look`.
pub fn each_finished(connection: &Connection, mut look: impl FnMut(Status, &str) -> db::Result<()>) -> db::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT status, payload || ' ' || coalesce(error, '') AS text FROM job_queue
         WHERE status NOT IN ('pending', 'processing')",
    )?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        look(row.get("status")?, row.get_ref("text")?.as_str().map_err(rusqlite::Error::from)?)?;
    }
    Ok(())
}

/// Calls `look` with the payload of every unfinished job of these types.
///
/// # Errors
/// The database's.
pub fn each_unfinished(connection: &Connection, types: &[&str], mut look: impl FnMut(&Value)) -> db::Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT type, payload FROM job_queue WHERE status IN ('pending', 'processing')")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        if types.contains(&row.get_ref("type")?.as_str().map_err(rusqlite::Error::from)?) {
            look(&row.get("payload")?);
        }
    }
    Ok(())
}
