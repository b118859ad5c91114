//! SQL of `job_attempts`: the history that one error column loses.

use super::{Attempt, AttemptOutcome, Claim};
use crate::db::{self, Millis, Tx};
use crate::domain::ids::JobId;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, named_params};

/// Notes how a claim ended.
pub(super) fn insert(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    claim: &Claim,
    outcome: AttemptOutcome,
    error: Option<&str>,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO job_attempts (job_id, claim, attempt, started_at, ended_at, outcome, error)
         VALUES (:job_id, :claim, :attempt, :started_at, :ended_at, :outcome, :error)",
    )?;
    statement.execute(named_params! {
        ":job_id": claim.id,
        ":claim": claim.number,
        ":attempt": claim.attempt,
        ":started_at": Millis(claim.claimed_at),
        ":ended_at": Millis(now),
        ":outcome": outcome.as_str(),
        ":error": error,
    })?;
    Ok(())
}

/// The attempts of a job that have ended, oldest first.
///
/// # Errors
/// When the database fails.
pub fn list(connection: &Connection, job: JobId) -> db::Result<Vec<Attempt>> {
    let mut statement = connection.prepare_cached(
        "SELECT attempt, started_at, ended_at, outcome, error
         FROM job_attempts
         WHERE job_id = :job_id
         ORDER BY claim",
    )?;
    let attempts = statement.query_map(named_params! { ":job_id": job }, attempt_from_row)?;
    Ok(attempts.collect::<rusqlite::Result<_>>()?)
}

/// Takes the errors out of a job's history: they may quote what the job was about.
pub(super) fn forget_errors(tx: &Tx<'_>, job: JobId) -> db::Result<()> {
    tx.prepare_cached("UPDATE job_attempts SET error = NULL WHERE job_id = :job_id AND error IS NOT NULL")?
        .execute(named_params! { ":job_id": job })?;
    Ok(())
}

/// Puts what `change` makes of each error in a job's history in its place.
pub(super) fn change_errors(tx: &Tx<'_>, job: JobId, change: impl Fn(&str) -> db::Result<String>) -> db::Result<()> {
    let mut look =
        tx.prepare_cached("SELECT claim, error FROM job_attempts WHERE job_id = :job_id AND error IS NOT NULL")?;
    let errors = look.query_map(named_params! { ":job_id": job }, |row| {
        Ok((row.get::<_, i64>("claim")?, row.get::<_, String>("error")?))
    })?;
    let mut statement =
        tx.prepare_cached("UPDATE job_attempts SET error = :error WHERE job_id = :job_id AND claim = :claim")?;
    for (claim, error) in errors.collect::<rusqlite::Result<Vec<_>>>()? {
        statement.execute(named_params! { ":error": change(&error)?, ":job_id": job, ":claim": claim })?;
    }
    Ok(())
}

fn attempt_from_row(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        attempt: row.get("attempt")?,
        started_at: row.get::<_, Millis>("started_at")?.0,
        ended_at: row.get::<_, Millis>("ended_at")?.0,
        outcome: row.get("outcome")?,
        error: row.get("error")?,
    })
}
