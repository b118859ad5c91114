//! SQL of `paused_job_types`: types whose jobs are enqueued and not claimed.
//!
//! To pause or resume a type is one small write, however many of its jobs wait. Claims do the rest: one that comes upon a job of
//! a paused type sets `held`, which takes it out of the way of all later claims, and claims release the held jobs of a resumed
//! type some at a time. A crash in between leaves nothing behind that the next claim does not see.

use crate::db::{self, Millis, Tx};
use crate::domain::ids::JobId;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, named_params};

/// Jobs that one claim releases or holds at the most: a few milliseconds.
pub(super) const MOVED_AT_ONCE: usize = 200;

/// A type that is paused, or was and whose jobs are being released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// The type.
    pub job_type: String,
    /// Since when.
    pub paused_at: DateTime<Utc>,
    /// Whether it has been resumed, and jobs of it are still held.
    pub is_ending: bool,
}

/// The types that are paused, by name.
///
/// # Errors
/// When the database fails.
pub fn list_pauses(connection: &Connection) -> db::Result<Vec<Pause>> {
    let mut statement =
        connection.prepare_cached("SELECT type, paused_at, ending FROM paused_job_types ORDER BY type")?;
    let pauses = statement.query_map((), |row| {
        Ok(Pause {
            job_type: row.get("type")?,
            paused_at: row.get::<_, Millis>("paused_at")?.0,
            is_ending: row.get("ending")?,
        })
    })?;
    Ok(pauses.collect::<rusqlite::Result<_>>()?)
}

/// Whether a type was resumed of which jobs may still be held.
pub(super) fn is_any_ending(connection: &Connection) -> db::Result<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM paused_job_types WHERE ending = 1")?.exists(())?)
}

/// Pauses a type. `false`: it is paused already.
pub(in crate::queue) fn pause(tx: &Tx<'_>, now: DateTime<Utc>, job_type: &str) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO paused_job_types (type, paused_at) VALUES (:type, :now)
         ON CONFLICT (type) DO UPDATE SET ending = 0, paused_at = :now WHERE ending = 1",
    )?;
    Ok(statement.execute(named_params! { ":type": job_type, ":now": Millis(now) })? == 1)
}

/// Resumes a type. `false`: it is not paused.
pub(in crate::queue) fn resume(tx: &Tx<'_>, job_type: &str) -> db::Result<bool> {
    let mut statement =
        tx.prepare_cached("UPDATE paused_job_types SET ending = 1 WHERE type = :type AND ending = 0")?;
    Ok(statement.execute(named_params! { ":type": job_type })? == 1)
}

/// Releases some held jobs of a type that was resumed, in the order in which they were due; once none is left, its pause is over.
pub(super) fn release_some(tx: &Tx<'_>, job_type: &str) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue SET held = 0
         WHERE id IN (SELECT id FROM job_queue INDEXED BY job_queue_held
                      WHERE held = 1 AND type = :type ORDER BY scheduled_at, id LIMIT :limit)",
    )?;
    let released = statement.execute(named_params! { ":type": job_type, ":limit": MOVED_AT_ONCE })?;
    if released < MOVED_AT_ONCE {
        tx.prepare_cached("DELETE FROM paused_job_types WHERE type = :type AND ending = 1")?
            .execute(named_params! { ":type": job_type })?;
    }
    Ok(())
}

/// Takes a waiting job of a paused type out of the way of claims.
pub(super) fn hold(tx: &Tx<'_>, id: JobId) -> db::Result<()> {
    let mut statement = tx.prepare_cached("UPDATE job_queue SET held = 1 WHERE id = :id AND status = 'pending'")?;
    statement.execute(named_params! { ":id": id })?;
    Ok(())
}
