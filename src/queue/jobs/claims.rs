//! Which job is next, and whose it is.

use super::{delta, pauses};
use crate::db::{self, Millis, Tx, expect_one};
use crate::queue::{Claim, Share};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use std::time::Duration;

/// When the next waiting job is, or has been, due; a past instant means now.
///
/// # Errors
/// When the database fails.
pub fn next_due_at(connection: &Connection) -> db::Result<Option<DateTime<Utc>>> {
    let mut first = None;
    for external in Share::All.kinds() {
        let by_time = first_by_time(connection, *external, true)?.map(|due| due.since());
        first = first.into_iter().chain(by_time).chain(first_by_turn(connection, *external)?).min();
    }
    Ok(first)
}

/// When a job may be had, and when that was reckoned, unless it was given.
struct Due {
    at: DateTime<Utc>,
    from: Option<DateTime<Utc>>,
}

impl Due {
    /// Since when it has really been due: one that goes ahead is dated back, to before it came.
    fn since(&self) -> DateTime<Utc> {
        self.from.map_or(self.at, |from| from.max(self.at))
    }
}

/// The same for a worker that takes this share, and perhaps may not claim poison candidates now.
pub(in crate::queue) fn next_claimable_at(
    connection: &Connection,
    share: Share,
    poison_candidates: bool,
) -> db::Result<Option<DateTime<Utc>>> {
    // A claim releases what is held of a type that was resumed: it may be all that waits.
    if pauses::is_any_ending(connection)? {
        return Ok(Some(DateTime::UNIX_EPOCH));
    }
    Ok(first_of(connection, share, poison_candidates)?.map(|(at, _)| at))
}

/// When the first waiting job of a share can be had, and whether it is external.
fn first_of(
    connection: &Connection,
    share: Share,
    poison_candidates: bool,
) -> db::Result<Option<(DateTime<Utc>, bool)>> {
    let mut first = None;
    for external in share.kinds() {
        let by_time = first_by_time(connection, *external, poison_candidates)?;
        // What has a turn was due when it came, whatever has become of the clock since.
        let by_turn = first_by_turn(connection, *external)?.map(|at| at.min(DateTime::UNIX_EPOCH));
        let by_time = by_time.map(|due| due.at);
        first = first.into_iter().chain(by_time.into_iter().chain(by_turn).min().map(|at| (at, *external))).min();
    }
    Ok(first)
}

/// When the first of those that come by their time is due. A look by the index for each kind: one condition on both would have to sort.
fn first_by_time(connection: &Connection, external: bool, poison_candidates: bool) -> db::Result<Option<Due>> {
    let mut statement = connection.prepare_cached(
        "SELECT scheduled_at, scheduled_from FROM job_queue
         WHERE status = 'pending' AND held = 0 AND external = :external AND turn_at IS NULL AND (recoveries = 0 OR :poison_candidates)
         ORDER BY scheduled_at, id LIMIT 1",
    )?;
    let params = named_params! { ":external": external, ":poison_candidates": poison_candidates };
    let due = statement.query_row(params, |row| {
        let from: Option<Millis> = row.get("scheduled_from")?;
        Ok(Due { at: row.get::<_, Millis>("scheduled_at")?.0, from: from.map(|from| from.0) })
    });
    Ok(due.optional()?)
}

/// Since when the first of those that have a turn has been due.
fn first_by_turn(connection: &Connection, external: bool) -> db::Result<Option<DateTime<Utc>>> {
    let mut statement = connection.prepare_cached(
        "SELECT scheduled_at FROM job_queue
         WHERE status = 'pending' AND held = 0 AND external = :external AND turn_at IS NOT NULL
         ORDER BY turn_at, scheduled_at, id LIMIT 1",
    )?;
    let found =
        statement.query_row(named_params! { ":external": external }, |row| row.get::<_, Millis>("scheduled_at"));
    Ok(found.optional()?.map(|at| at.0))
}

/// Claims up to `limit` due jobs of `share` for `worker`, oldest first but for turns, all of one kind. A poison candidate, a job
/// whose last claim was lost, comes alone, and only when `poison_candidates` may come: should it be the one that kills its
/// worker, no other is charged for it.
pub(in crate::queue) fn claim(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    worker: &str,
    lease: Duration,
    limit: usize,
    share: Share,
    poison_candidates: bool,
) -> db::Result<Vec<Claim>> {
    let paused = paused_now(tx)?;
    for _ in 0..HOLDING_ROUNDS {
        let (claims, has_held) = claim_unpaused(tx, now, worker, lease, limit, share, poison_candidates, &paused)?;
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
    poison_candidates: bool,
    paused: &[String],
) -> db::Result<(Vec<Claim>, bool)> {
    let limit = if paused.is_empty() { wanted } else { wanted.max(pauses::MOVED_AT_ONCE) };
    let external = match share {
        Share::Internal => false,
        Share::External => true,
        Share::All => first_of(tx, share, poison_candidates)?.is_some_and(|(_, external)| external),
    };
    let mut claims: Vec<Claim> = Vec::new();
    let mut has_held = false;
    for claim in due(tx, now, external, limit, poison_candidates)? {
        if paused.contains(&claim.job_type) {
            pauses::hold(tx, claim.id)?;
            has_held = true;
            continue;
        }
        if claims.len() == wanted {
            break;
        }
        let is_candidate = claim.poison_candidate;
        if is_candidate && !claims.is_empty() {
            break;
        }
        claims.push(claim);
        if is_candidate {
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

/// The first due jobs of a kind: of those that come by their time and of those that have a turn, whichever is earlier. Two looks by
/// one index, each of which ends after `limit` rows however many wait.
fn due(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    external: bool,
    limit: usize,
    poison_candidates: bool,
) -> db::Result<Vec<Claim>> {
    let place = |row: &Row<'_>| Ok((row.get::<_, Millis>("place")?.0, claim_from_row(row)?));
    let mut by_time = tx.prepare_cached(
        "SELECT id, claim, type, payload, attempts, max_attempts, created_at, recoveries, :now AS claimed_at,
             scheduled_at AS place
         FROM job_queue
         WHERE status = 'pending' AND held = 0 AND external = :external AND turn_at IS NULL AND scheduled_at <= :now
           AND (recoveries = 0 OR :poison_candidates)
         ORDER BY scheduled_at, id LIMIT :limit",
    )?;
    let params = named_params! { ":external": external, ":now": Millis(now), ":limit": limit, ":poison_candidates": poison_candidates };
    let mut due: Vec<_> = by_time.query_map(params, place)?.collect::<rusqlite::Result<_>>()?;
    let mut by_turn = tx.prepare_cached(
        "SELECT id, claim, type, payload, attempts, max_attempts, created_at, recoveries, :now AS claimed_at,
             turn_at AS place
         FROM job_queue
         WHERE status = 'pending' AND held = 0 AND external = :external AND turn_at IS NOT NULL
         ORDER BY turn_at, scheduled_at, id LIMIT :limit",
    )?;
    let params = named_params! { ":external": external, ":now": Millis(now), ":limit": limit };
    due.extend(by_turn.query_map(params, place)?.collect::<rusqlite::Result<Vec<_>>>()?);
    // Stable: those of one place stay in the order of the index.
    due.sort_by_key(|(place, _)| *place);
    due.truncate(limit);
    Ok(due.into_iter().map(|(_, claim)| claim).collect())
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
