//! What keeps claims and waiting jobs right as time goes on: leases, workers that are gone, a clock that was set.

use super::claims::claim_from_row;
use super::completion::{AfterFailure, discard};
use super::delta;
use crate::db::{self, Millis, Tx, expect_one};
use crate::domain::ids::JobId;
use crate::queue::{AttemptOutcome, Share, attempts, backoff};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};
use std::time::Duration;

/// A claim whose worker may be gone.
#[derive(Debug, Clone)]
pub(in crate::queue) struct Held {
    pub(in crate::queue) id: JobId,
    pub(in crate::queue) number: i64,
    pub(in crate::queue) worker: String,
    pub(in crate::queue) lease_expires_at: DateTime<Utc>,
}

/// Every claim there is.
pub(in crate::queue) fn list_held(connection: &Connection) -> db::Result<Vec<Held>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, claim, claimed_by, lease_expires_at FROM job_queue
         WHERE status = 'processing'",
    )?;
    let held = statement.query_map((), |row| {
        Ok(Held {
            id: row.get("id")?,
            number: row.get("claim")?,
            worker: row.get("claimed_by")?,
            lease_expires_at: row.get::<_, Millis>("lease_expires_at")?.0,
        })
    })?;
    Ok(held.collect::<rusqlite::Result<_>>()?)
}

/// Frees a job whose worker was lost. One that was claimed with others gets its attempt back, for it may never have been
/// begun, and so does one that the worker held `in_company`, for the other may have killed it. Both are poison candidates from
/// now on: a poison candidate is claimed alone, alongside no other poison candidate, and a lost worker costs it an attempt.
/// `None`: the claim has ended meanwhile.
pub(in crate::queue) fn recover(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    held: &Held,
    in_company: bool,
    why: &str,
) -> db::Result<Option<(String, AfterFailure)>> {
    let mut statement = tx.prepare_cached(
        "SELECT id, claim, type, payload, attempts, max_attempts, claimed_at, created_at, batched, recoveries
         FROM job_queue
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let found = statement
        .query_row(named_params! { ":id": held.id, ":claim": held.number }, |row| {
            Ok((claim_from_row(row)?, row.get::<_, bool>("batched")?, row.get::<_, u32>("recoveries")?))
        })
        .optional()?;
    let Some((claim, batched, recoveries)) = found else { return Ok(None) };
    attempts::insert(tx, now, &claim, AttemptOutcome::Lost, Some(why))?;
    let released = batched || (in_company && !claim.poison_candidate);
    if !released && claim.attempt >= claim.max_attempts {
        discard(tx, now, &claim, why)?;
        return Ok(Some((claim.job_type, AfterFailure::Discarded)));
    }
    // At once the first time, for most crashes are not the job's fault; a job that goes on losing its workers is delayed longer.
    let delay = if recoveries == 0 { Duration::ZERO } else { backoff::after_attempt(recoveries) };
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'pending', attempts = attempts - :released, recoveries = recoveries + 1, error = :error,
             scheduled_at = iif(:delay_ms = 0, min(scheduled_at, :now), :now + :delay_ms), scheduled_from = :now,
             turn_at = NULL, claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let params = named_params! {
        ":released": released,
        ":error": why,
        ":delay_ms": delta(delay).num_milliseconds(),
        ":now": Millis(now),
        ":id": claim.id,
        ":claim": claim.number,
    };
    expect_one(statement.execute(params)?, "queue::jobs::recover")?;
    tx.announce();
    Ok(Some((claim.job_type, AfterFailure::Retry(delay))))
}

/// Renews the leases of all claims of `worker`. Returns how many there were.
pub(in crate::queue) fn renew_leases(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    worker: &str,
    lease: Duration,
) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue SET lease_expires_at = :lease_expires_at
         WHERE status = 'processing' AND claimed_by = :worker",
    )?;
    Ok(statement.execute(named_params! { ":lease_expires_at": Millis(now + delta(lease)), ":worker": worker })?)
}

/// Moves waiting jobs whose time was reckoned by a clock that has since stepped back: each keeps its distance. Times that a
/// caller gave are left alone, and so is what has a turn, which no clock holds up. At most `limit` jobs of each kind; returns how
/// many were moved.
pub(in crate::queue) fn follow_clock(tx: &Tx<'_>, now: DateTime<Utc>, limit: usize) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET scheduled_at = :now + (scheduled_at - scheduled_from), scheduled_from = :now
         WHERE status = 'pending' AND id IN (
             SELECT id FROM job_queue
             WHERE status = 'pending' AND held = 0 AND external = :external AND turn_at IS NULL AND scheduled_at > :now
               AND scheduled_from > :now
             ORDER BY scheduled_at, id LIMIT :limit)",
    )?;
    let mut moved = 0;
    for external in Share::All.kinds() {
        moved += statement.execute(named_params! { ":external": external, ":now": Millis(now), ":limit": limit })?;
    }
    if moved > 0 {
        tx.announce();
    }
    Ok(moved)
}

/// Whether any waiting job was reckoned by a clock that has since stepped back.
pub(in crate::queue) fn is_ahead_of_clock(connection: &Connection, now: DateTime<Utc>) -> db::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM job_queue
         WHERE status = 'pending' AND held = 0 AND external = :external AND turn_at IS NULL AND scheduled_at > :now
           AND scheduled_from > :now
         LIMIT 1",
    )?;
    for external in Share::All.kinds() {
        if statement.exists(named_params! { ":external": external, ":now": Millis(now) })? {
            return Ok(true);
        }
    }
    Ok(false)
}
