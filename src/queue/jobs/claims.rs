//! Which job is next, and whose it is.

use super::{delta, pauses};
use crate::db::{self, Millis, Tx, expect_one};
use crate::queue::{Claim, Share};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use std::time::Duration;

/// When the next waiting job is due; a past instant means now.
///
/// # Errors
/// The database's.
pub fn next_due_at(connection: &Connection) -> db::Result<Option<DateTime<Utc>>> {
    next_claimable_at(connection, Share::All, true)
}

/// The same for a worker that takes this share, and perhaps may not claim suspects now.
pub(in crate::queue) fn next_claimable_at(
    connection: &Connection,
    share: Share,
    suspects: bool,
) -> db::Result<Option<DateTime<Utc>>> {
    Ok(first_of(connection, share, suspects)?.map(|(at, _)| at))
}

/// When the first waiting job of a share is due, and whether it is one that waits outside.
fn first_of(connection: &Connection, share: Share, suspects: bool) -> db::Result<Option<(DateTime<Utc>, bool)>> {
    let mut first = None;
    for outside in share.kinds() {
        // A look by the index for each: one condition on both kinds would have to sort.
        let mut statement = connection.prepare_cached(
            "SELECT scheduled_at FROM job_queue
             WHERE status = 'pending' AND held = 0 AND outside = :outside AND (rescues = 0 OR :suspects)
             ORDER BY scheduled_at, id LIMIT 1",
        )?;
        let params = named_params! { ":outside": outside, ":suspects": suspects };
        let found = statement.query_row(params, |row| row.get::<_, Millis>("scheduled_at")).optional()?;
        first = first.into_iter().chain(found.map(|at| (at.0, *outside))).min();
    }
    Ok(first)
}

/// Claims up to `limit` due jobs of `share` for `worker`, oldest first, all of one kind. A suspect, a job whose last claim was
/// lost, comes alone, and only when `suspects` may come: should it be the one that kills its worker, no other is charged for it.
pub(in crate::queue) fn claim(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    worker: &str,
    lease: Duration,
    limit: usize,
    share: Share,
    suspects: bool,
) -> db::Result<Vec<Claim>> {
    let paused = paused_now(tx)?;
    for _ in 0..HOLDING_ROUNDS {
        let (claims, has_held) = claim_unpaused(tx, now, worker, lease, limit, share, suspects, &paused)?;
        if !claims.is_empty() || !has_held {
            return Ok(claims);
        }
    }
    // More jobs of a paused type than one transaction should hold: the next claim goes on.
    Ok(Vec::new())
}

/// How often one claim may find nothing but jobs of paused types, and hold them.
const HOLDING_ROUNDS: usize = 5;

/// The types that are paused. On the way jobs of types that were resumed are released.
fn paused_now(tx: &Tx<'_>) -> db::Result<Vec<String>> {
    let mut paused = Vec::new();
    for pause in pauses::list_pauses(tx)? {
        if pause.is_ending {
            pauses::release_some(tx, &pause.job_type)?;
        } else {
            paused.push(pause.job_type);
        }
    }
    Ok(paused)
}

/// The same for what is not paused; also whether jobs of paused types were in the way and are held now.
#[expect(clippy::too_many_arguments, reason = "the arguments of a claim, and what is paused")]
fn claim_unpaused(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    worker: &str,
    lease: Duration,
    wanted: usize,
    share: Share,
    suspects: bool,
    paused: &[String],
) -> db::Result<(Vec<Claim>, bool)> {
    let limit = if paused.is_empty() { wanted } else { wanted.max(pauses::MOVED_AT_ONCE) };
    let outside = match share {
        Share::Inside => false,
        Share::Outside => true,
        Share::All => first_of(tx, share, suspects)?.is_some_and(|(_, outside)| outside),
    };
    let mut due = tx.prepare_cached(
        "SELECT id, claim, type, payload, attempts, max_attempts, created_at, rescues, :now AS claimed_at FROM job_queue
         WHERE status = 'pending' AND held = 0 AND outside = :outside AND scheduled_at <= :now AND (rescues = 0 OR :suspects)
         ORDER BY scheduled_at, id LIMIT :limit",
    )?;
    let params = named_params! { ":outside": outside, ":now": Millis(now), ":limit": limit, ":suspects": suspects };
    let due = due.query_map(params, claim_from_row)?.collect::<rusqlite::Result<Vec<Claim>>>()?;
    let mut claims: Vec<Claim> = Vec::new();
    let mut has_held = false;
    for claim in due {
        if paused.contains(&claim.job_type) {
            pauses::hold(tx, claim.id)?;
            has_held = true;
            continue;
        }
        if claims.len() == wanted {
            break;
        }
        let is_suspect = claim.suspect;
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
    Ok((claims, has_held))
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
        suspect: row.get::<_, i64>("rescues")? > 0,
    })
}
