//! How a claim ends: the job is done, delayed before another attempt, released, or discarded.

use super::delta;
use crate::db::{self, Millis, Tx, expect_one};
use crate::queue::{AttemptOutcome, Claim, attempts, backoff};
use chrono::{DateTime, Utc};
use rusqlite::named_params;
use serde_json::Value;
use std::time::Duration;

/// Longer error texts are cut: a stack of causes is for the log.
const ERROR_MAX: usize = 2_000;

/// What a completion is called in `LostRow`: that one means a lost claim, another the handler's own affairs.
pub(in crate::queue) const COMPLETE: &str = "queue::jobs::complete";

/// Marks the job done and leaves it `payload`, but not its dedupe key, which counts among unfinished ones only. Fails with
/// `LostRow` when the claim was lost.
pub(in crate::queue) fn complete(tx: &Tx<'_>, now: DateTime<Utc>, claim: &Claim, payload: &Value) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'completed', processed_at = :now, error = NULL, payload = :payload, dedupe_key = NULL, recoveries = 0,
             claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let params = named_params! {
        ":now": Millis(now),
        ":payload": payload.to_string(),
        ":id": claim.id,
        ":claim": claim.number,
    };
    expect_one(statement.execute(params)?, COMPLETE)?;
    attempts::insert(tx, now, claim, AttemptOutcome::Completed, None)
}

/// What became of a job whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) enum AfterFailure {
    /// It is tried again after this rest.
    Retry(Duration),
    /// It is discarded.
    Discarded,
}

/// Records a failed attempt: another one after a delay, or none when the attempts are used up or the failure is `permanent`.
pub(in crate::queue) fn fail(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    claim: &Claim,
    error: &str,
    permanent: bool,
) -> db::Result<AfterFailure> {
    let error = cut(error);
    if permanent || claim.attempt >= claim.max_attempts {
        discard(tx, now, claim, error)?;
        attempts::insert(tx, now, claim, AttemptOutcome::Failed, Some(error))?;
        return Ok(AfterFailure::Discarded);
    }
    let delay = backoff::after_attempt(claim.attempt);
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'pending', scheduled_at = :scheduled_at, scheduled_from = :now, turn_at = NULL, error = :error,
             recoveries = 0,
             claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let params = named_params! {
        ":scheduled_at": Millis(now + delta(delay)),
        ":now": Millis(now),
        ":error": error,
        ":id": claim.id,
        ":claim": claim.number,
    };
    expect_one(statement.execute(params)?, "queue::jobs::fail")?;
    attempts::insert(tx, now, claim, AttemptOutcome::Retried, Some(error))?;
    tx.announce();
    Ok(AfterFailure::Retry(delay))
}

/// Puts a job back with its attempt: at once when it was not worked on or stopped half-way, or after a delay it asked for. `error` says
/// why, where that is worth keeping.
pub(in crate::queue) fn release(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    claim: &Claim,
    delay: Option<Duration>,
    error: Option<&str>,
) -> db::Result<()> {
    let error = error.map(cut);
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'pending', attempts = attempts - 1,
             scheduled_at = coalesce(:scheduled_at, scheduled_at),
             scheduled_from = iif(:scheduled_at IS NULL, scheduled_from, :now),
             error = coalesce(:error, error),
             turn_at = iif(:scheduled_at IS NULL, turn_at, NULL),
             claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let params = named_params! {
        ":scheduled_at": delay.map(|delay| Millis(now + delta(delay))),
        ":now": Millis(now),
        ":error": error,
        ":id": claim.id,
        ":claim": claim.number,
    };
    expect_one(statement.execute(params)?, "queue::jobs::release")?;
    let outcome = if delay.is_some() { AttemptOutcome::Snoozed } else { AttemptOutcome::Released };
    attempts::insert(tx, now, claim, outcome, error)?;
    tx.announce();
    Ok(())
}

pub(super) fn discard(tx: &Tx<'_>, now: DateTime<Utc>, claim: &Claim, error: &str) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'failed', processed_at = :now, error = :error, recoveries = 0,
             claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let params = named_params! { ":now": Millis(now), ":error": error, ":id": claim.id, ":claim": claim.number };
    expect_one(statement.execute(params)?, "queue::jobs::discard")
}

fn cut(error: &str) -> &str {
    let mut end = ERROR_MAX.min(error.len());
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    &error[..end]
}
