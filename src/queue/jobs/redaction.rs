//! What jobs say of their subjects, and how they forget it.

use crate::db::{self, Millis, Tx, expect_one};
use crate::domain::ids::JobId;
use crate::queue::{Status, attempts};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, named_params};
use serde_json::{Map, Value};

/// What a finished job may still say of its subject.
const SAYS_SOMETHING: &str = "payload <> '{}' OR error IS NOT NULL
     OR EXISTS (SELECT 1 FROM job_attempts WHERE job_id = job_queue.id AND job_attempts.error IS NOT NULL)";

/// Makes up to `limit` finished jobs about `subject` forget payload and errors. Returns how many there were: fewer than `limit`
/// means that no more are left. What [`forget`] has to do in one transaction becomes bounded by it.
///
/// # Errors
/// When the database fails.
pub fn forget_finished(tx: &Tx<'_>, subject: &str, limit: usize) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT id FROM job_queue
         WHERE subject = :subject AND status NOT IN ('pending', 'processing') AND ({SAYS_SOMETHING})
         LIMIT :limit"
    ))?;
    let finished = statement.query_map(named_params! { ":subject": subject, ":limit": limit }, |row| row.get("id"))?;
    let finished: Vec<JobId> = finished.collect::<rusqlite::Result<_>>()?;
    for id in &finished {
        let mut statement = tx.prepare_cached(
            "UPDATE job_queue SET payload = '{}', error = NULL
             WHERE id = :id AND status NOT IN ('pending', 'processing')",
        )?;
        expect_one(statement.execute(named_params! { ":id": id })?, "queue::jobs::forget_finished")?;
        attempts::forget_errors(tx, *id)?;
    }
    Ok(finished.len())
}

/// Makes every job about `subject` but `except` forget it: finished ones lose payload and errors, unfinished ones keep only the
/// payload member `keep`, and those that have none are cancelled. Returns how many jobs had something to forget.
///
/// # Errors
/// When the database fails.
pub fn forget(tx: &Tx<'_>, now: DateTime<Utc>, subject: &str, except: JobId, keep: &str) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT id, status, payload FROM job_queue
         WHERE subject = :subject AND id <> :except AND (status IN ('pending', 'processing') OR {SAYS_SOMETHING})"
    ))?;
    let jobs = statement.query_map(named_params! { ":subject": subject, ":except": except }, |row| {
        Ok((row.get::<_, JobId>("id")?, row.get::<_, Status>("status")?, row.get::<_, Value>("payload")?))
    })?;
    let jobs: Vec<_> = jobs.collect::<rusqlite::Result<_>>()?;
    for (id, status, payload) in &jobs {
        let unfinished = matches!(status, Status::Pending | Status::Processing);
        let kept = payload.get(keep).filter(|_| unfinished);
        let payload = kept.map_or_else(
            || Value::Object(Map::new()),
            |value| Value::Object(Map::from_iter([(keep.to_owned(), value.clone())])),
        );
        // A running job whose payload is gone is cancelled under its worker: its fence no longer holds.
        let status = if unfinished && kept.is_none() { Status::Cancelled } else { *status };
        let mut statement = tx.prepare_cached(
            "UPDATE job_queue
             SET payload = :payload, error = NULL, status = :status,
                 processed_at = iif(:ends, :now, processed_at),
                 claimed_by = iif(:ends, NULL, claimed_by),
                 claimed_at = iif(:ends, NULL, claimed_at),
                 lease_expires_at = iif(:ends, NULL, lease_expires_at)
             WHERE id = :id",
        )?;
        let params = named_params! {
            ":payload": payload.to_string(),
            ":status": status.as_str(),
            ":ends": status == Status::Cancelled && unfinished,
            ":now": Millis(now),
            ":id": id,
        };
        expect_one(statement.execute(params)?, "queue::jobs::forget")?;
        attempts::forget_errors(tx, *id)?;
    }
    Ok(jobs.len())
}

/// Calls `look` with the texts of every finished job: its payload and, where there is one, its error.
///
/// # Errors
/// When the database fails, and those of `look`.
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
/// When the database fails.
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
