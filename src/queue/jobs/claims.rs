//! Which job is next, and whose it is.

use super::delta;
use crate::db::{self, Millis, Tx, expect_one};
use crate::queue::{Claim, Share};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use std::time::Duration;

/// When the next waiting job is due; a past instant means now.
///
/// # Errors
/// When the database fails.
pub fn next_due_at(connection: &Connection) -> db::Result<Option<DateTime<Utc>>> {
    next_claimable_at(connection, Share::All, true)
}

/// The same for a worker that takes this share, and perhaps may not claim poison candidates now.
pub(in crate::queue) fn next_claimable_at(
    connection: &Connection,
    share: Share,
    poison_candidates: bool,
) -> db::Result<Option<DateTime<Utc>>> {
    Ok(first_of(connection, share, poison_candidates)?.map(|(at, _)| at))
}

/// When the first waiting job of a share is due, and whether it is one that waits outside.
fn first_of(
    connection: &Connection,
    share: Share,
    poison_candidates: bool,
) -> db::Result<Option<(DateTime<Utc>, bool)>> {
    let mut first = None;
    for external in share.kinds() {
        // A look by the index for each: one condition on both kinds would have to sort.
        let mut statement = connection.prepare_cached(
            "SELECT scheduled_at FROM job_queue
             WHERE status = 'pending' AND external = :external AND (recoveries = 0 OR :poison_candidates)
             ORDER BY scheduled_at, id LIMIT 1",
        )?;
        let params = named_params! { ":external": external, ":poison_candidates": poison_candidates };
        let found = statement.query_row(params, |row| row.get::<_, Millis>("scheduled_at")).optional()?;
        first = first.into_iter().chain(found.map(|at| (at.0, *external))).min();
    }
    Ok(first)
}

/// Claims up to `limit` due jobs of `share` for `worker`, oldest first, all of one kind. A poison candidate, a job whose last claim was
/// lost, comes alone, and only when `poison_candidates` may come: should it be the one that kills its worker, no other is charged
/// for it.
pub(in crate::queue) fn claim(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    worker: &str,
    lease: Duration,
    limit: usize,
    share: Share,
    poison_candidates: bool,
) -> db::Result<Vec<Claim>> {
    let external = match share {
        Share::Internal => false,
        Share::External => true,
        Share::All => first_of(tx, share, poison_candidates)?.is_some_and(|(_, external)| external),
    };
    let mut due = tx.prepare_cached(
        "SELECT id, claim, type, payload, attempts, max_attempts, created_at, recoveries, :now AS claimed_at FROM job_queue
         WHERE status = 'pending' AND external = :external AND scheduled_at <= :now AND (recoveries = 0 OR :poison_candidates)
         ORDER BY scheduled_at, id LIMIT :limit",
    )?;
    let params = named_params! { ":external": external, ":now": Millis(now), ":limit": limit, ":poison_candidates": poison_candidates };
    let due = due.query_map(params, claim_from_row)?;
    let mut claims: Vec<Claim> = Vec::new();
    for claim in due {
        let claim = claim?;
        let is_suspect = claim.poison_candidate;
        if is_suspect && !claims.is_empty() {
            break;
        }
        claims.push(claim);
        if is_suspect {
            break;
        }
    }
    // Without RETURNING, which makes and drops a table of its own for each row: the write
    // lock is held, so the rows are still what was read.
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'processing', attempts = :attempts, claim = :claim, batched = :batched,
             claimed_by = :worker, claimed_at = :now, lease_expires_at = :lease_expires_at
         WHERE id = :id AND status = 'pending'",
    )?;
    let batched = claims.len() > 1;
    for claim in &mut claims {
        claim.number += 1;
        claim.attempt += 1;
        let changed = statement.execute(named_params! {
            ":attempts": claim.attempt,
            ":claim": claim.number,
            ":batched": batched,
            ":worker": worker,
            ":now": Millis(now),
            ":lease_expires_at": Millis(now + delta(lease)),
            ":id": claim.id,
        })?;
        expect_one(changed, "queue::jobs::claim")?;
    }
    Ok(claims)
}

/// Whether the claim still holds its job.
pub(in crate::queue) fn is_held(tx: &Tx<'_>, claim: &Claim) -> db::Result<bool> {
    let mut statement =
        tx.prepare_cached("SELECT 1 FROM job_queue WHERE id = :id AND claim = :claim AND status = 'processing'")?;
    Ok(statement.exists(named_params! { ":id": claim.id, ":claim": claim.number })?)
}

pub(super) fn claim_from_row(row: &Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim {
        id: row.get("id")?,
        number: row.get("claim")?,
        job_type: row.get("type")?,
        payload: row.get("payload")?,
        attempt: row.get("attempts")?,
        max_attempts: row.get("max_attempts")?,
        claimed_at: row.get::<_, Millis>("claimed_at")?.0,
        created_at: row.get::<_, Millis>("created_at")?.0,
        poison_candidate: row.get::<_, i64>("recoveries")? > 0,
    })
}
