//! How a claim ends: the job is done, rests before another attempt, is given back, or given up.

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

/// Marks the job done and leaves it `payload`. Fails with `LostRow` when the claim was lost.
pub(in crate::queue) fn complete(tx: &Tx<'_>, now: DateTime<Utc>, claim: &Claim, payload: &Value) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'completed', processed_at = :now, error = NULL, payload = :payload, rescues = 0,
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
    /// It is given up.
    GivenUp,
}

/// Records a failed attempt: another one after a rest, or none when the attempts are used up or the failure is `permanent`.
pub(in crate::queue) fn fail(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    claim: &Claim,
    error: &str,
    permanent: bool,
) -> db::Result<AfterFailure> {
    let error = cut(error);
    if permanent || claim.attempt >= claim.max_attempts {
        give_up(tx, now, claim, error)?;
        attempts::insert(tx, now, claim, AttemptOutcome::Failed, Some(error))?;
        return Ok(AfterFailure::GivenUp);
    }
    let rest = backoff::after_attempt(claim.attempt);
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'pending', scheduled_at = :scheduled_at, scheduled_from = :now, error = :error, rescues = 0,
             claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let params = named_params! {
        ":scheduled_at": Millis(now + delta(rest)),
        ":now": Millis(now),
        ":error": error,
        ":id": claim.id,
        ":claim": claim.number,
    };
    expect_one(statement.execute(params)?, "queue::jobs::fail")?;
    attempts::insert(tx, now, claim, AttemptOutcome::Retried, Some(error))?;
    tx.announce();
    Ok(AfterFailure::Retry(rest))
}

/// Puts a job back with its attempt: at once when it was not worked on or stopped half-way, or after a rest it asked for. `error` says
/// why, where that is worth keeping.
pub(in crate::queue) fn give_back(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    claim: &Claim,
    rest: Option<Duration>,
    error: Option<&str>,
) -> db::Result<()> {
    let error = error.map(cut);
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'pending', attempts = attempts - 1,
             scheduled_at = coalesce(:scheduled_at, scheduled_at),
             scheduled_from = iif(:scheduled_at IS NULL, scheduled_from, :now),
             error = coalesce(:error, error),
             claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let params = named_params! {
        ":scheduled_at": rest.map(|rest| Millis(now + delta(rest))),
        ":now": Millis(now),
        ":error": error,
        ":id": claim.id,
        ":claim": claim.number,
    };
    expect_one(statement.execute(params)?, "queue::jobs::give_back")?;
    let outcome = if rest.is_some() { AttemptOutcome::Snoozed } else { AttemptOutcome::GivenBack };
    attempts::insert(tx, now, claim, outcome, error)?;
    tx.announce();
    Ok(())
}

pub(super) fn give_up(tx: &Tx<'_>, now: DateTime<Utc>, claim: &Claim, error: &str) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'failed', processed_at = :now, error = :error, rescues = 0,
             claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let params = named_params! { ":now": Millis(now), ":error": error, ":id": claim.id, ":claim": claim.number };
    expect_one(statement.execute(params)?, "queue::jobs::give_up")
}

fn cut(error: &str) -> &str {
    let mut end = ERROR_MAX.min(error.len());
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    &error[..end]
}
