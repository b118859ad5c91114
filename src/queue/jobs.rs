//! SQL of `job_queue`. Every statement that ends a claim names `(id, claim)` and must change exactly one row.

use super::{AttemptOutcome, Claim, Job, NewJob, Share, Status, attempts, backoff};
use crate::db::{self, Millis, Tx, expect_one};
use crate::domain::ids::JobId;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde_json::{Map, Value};
use std::time::Duration;

/// Longer error texts are cut: a stack of causes is for the log.
const ERROR_MAX: usize = 2_000;

/// Writes a job, or returns the id of the unfinished one that holds its dedupe key.
pub(super) fn insert(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    id: JobId,
    job: &NewJob,
    payload: &str,
    max_attempts: u32,
    outside: bool,
) -> db::Result<Option<JobId>> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO job_queue
             (id, type, payload, max_attempts, scheduled_at, scheduled_from, created_at, outside, dedupe_key, subject)
         VALUES (:id, :type, :payload, :max_attempts, :scheduled_at, :scheduled_from, :created_at, :outside, :dedupe_key,
             :subject)
         ON CONFLICT (type, dedupe_key) WHERE dedupe_key IS NOT NULL AND status IN ('pending', 'processing')
         DO NOTHING",
    )?;
    let inserted = statement.execute(named_params! {
        ":id": id,
        ":type": job.job_type,
        ":payload": payload,
        ":max_attempts": max_attempts,
        ":scheduled_at": Millis(job.scheduled_at.unwrap_or(now)),
        ":scheduled_from": job.scheduled_at.is_none().then_some(Millis(now)),
        ":created_at": Millis(now),
        ":outside": outside,
        ":dedupe_key": job.dedupe_key,
        ":subject": job.subject,
    })?;
    if inserted == 1 {
        return Ok(None);
    }
    let mut statement = tx.prepare_cached(
        "SELECT id FROM job_queue
         WHERE type = :type AND dedupe_key = :dedupe_key AND status IN ('pending', 'processing')",
    )?;
    let existing = named_params! { ":type": job.job_type, ":dedupe_key": job.dedupe_key };
    Ok(Some(statement.query_row(existing, |row| row.get("id"))?))
}

/// When the next waiting job is due; a past instant means now.
///
/// # Errors
/// The database's.
pub fn next_due_at(connection: &Connection) -> db::Result<Option<DateTime<Utc>>> {
    next_claimable_at(connection, Share::All, true)
}

/// The same for a worker that takes this share, and perhaps may not claim suspects now.
pub(super) fn next_claimable_at(
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
             WHERE status = 'pending' AND outside = :outside AND (rescues = 0 OR :suspects)
             ORDER BY scheduled_at, id LIMIT 1",
        )?;
        let params = named_params! { ":outside": outside, ":suspects": suspects };
        let found = statement.query_row(params, |row| row.get::<_, Millis>("scheduled_at")).optional()?;
        first = first.into_iter().chain(found.map(|at| (at.0, *outside))).min();
    }
    Ok(first)
}

/// Which due jobs to claim, in order. Kept apart so that a test can look at its plan.
pub(super) const DUE: &str =
    "SELECT id, claim, type, payload, attempts, max_attempts, created_at, rescues, :now AS claimed_at FROM job_queue
     WHERE status = 'pending' AND outside = :outside AND scheduled_at <= :now AND (rescues = 0 OR :suspects)
     ORDER BY scheduled_at, id LIMIT :limit";

/// Claims up to `limit` due jobs of `share` for `worker`, oldest first, all of one kind. A suspect, a job whose last claim was
/// lost, comes alone, and only when `suspects` may come: should it be the one that kills its worker, no other is charged for it.
pub(super) fn claim(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    worker: &str,
    lease: Duration,
    limit: usize,
    share: Share,
    suspects: bool,
) -> db::Result<Vec<Claim>> {
    let outside = match share {
        Share::Inside => false,
        Share::Outside => true,
        Share::All => first_of(tx, share, suspects)?.is_some_and(|(_, outside)| outside),
    };
    let mut due = tx.prepare_cached(DUE)?;
    let params = named_params! { ":outside": outside, ":now": Millis(now), ":limit": limit, ":suspects": suspects };
    let due = due.query_map(params, claim_from_row)?;
    let mut claims: Vec<Claim> = Vec::new();
    for claim in due {
        let claim = claim?;
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
    Ok(claims)
}

/// Whether the claim still holds its job.
pub(super) fn is_held(tx: &Tx<'_>, claim: &Claim) -> db::Result<bool> {
    let mut statement =
        tx.prepare_cached("SELECT 1 FROM job_queue WHERE id = :id AND claim = :claim AND status = 'processing'")?;
    Ok(statement.exists(named_params! { ":id": claim.id, ":claim": claim.number })?)
}

/// What a completion is called in `LostRow`: that one means a lost claim, another the handler's own affairs.
pub(super) const COMPLETE: &str = "queue::jobs::complete";

/// Marks the job done and leaves it `payload`. Fails with `LostRow` when the claim was lost.
pub(super) fn complete(tx: &Tx<'_>, now: DateTime<Utc>, claim: &Claim, payload: &Value) -> db::Result<()> {
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
pub(super) enum AfterFailure {
    /// It is tried again after this rest.
    Retry(Duration),
    /// It is given up.
    GivenUp,
}

/// Records a failed attempt: another one after a rest, or none when the attempts are used up or the failure is `permanent`.
pub(super) fn fail(
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

/// Puts a job back with its attempt: at once when it was not worked on or stopped half-way, or after a rest it asked for.
pub(super) fn give_back(tx: &Tx<'_>, now: DateTime<Utc>, claim: &Claim, rest: Option<Duration>) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'pending', attempts = attempts - 1,
             scheduled_at = coalesce(:scheduled_at, scheduled_at),
             scheduled_from = iif(:scheduled_at IS NULL, scheduled_from, :now),
             claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let params = named_params! {
        ":scheduled_at": rest.map(|rest| Millis(now + delta(rest))),
        ":now": Millis(now),
        ":id": claim.id,
        ":claim": claim.number,
    };
    expect_one(statement.execute(params)?, "queue::jobs::give_back")?;
    let outcome = if rest.is_some() { AttemptOutcome::Snoozed } else { AttemptOutcome::GivenBack };
    attempts::insert(tx, now, claim, outcome, None)?;
    tx.announce();
    Ok(())
}

/// A claim whose worker may be gone.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) id: JobId,
    pub(super) number: i64,
    pub(super) worker: String,
    pub(super) lease_expires_at: DateTime<Utc>,
}

/// Every claim there is.
pub(super) fn list_held(connection: &Connection) -> db::Result<Vec<Held>> {
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

/// Whether any job is being run.
///
/// # Errors
/// The database's.
pub fn is_any_running(connection: &Connection) -> db::Result<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM job_queue WHERE status = 'processing' LIMIT 1")?.exists(())?)
}

/// Frees a job whose worker was lost. One that was claimed with others gets its attempt back, for it may never have been
/// begun, and so does one that the worker held `in_company`, for the other may have killed it. Both are suspects from now on: a
/// suspect is claimed alone, beside no other suspect, and a lost worker costs it an attempt. `None`: the claim has ended
/// meanwhile.
pub(super) fn rescue(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    held: &Held,
    in_company: bool,
    why: &str,
) -> db::Result<Option<(String, AfterFailure)>> {
    let mut statement = tx.prepare_cached(
        "SELECT id, claim, type, payload, attempts, max_attempts, claimed_at, created_at, batched, rescues
         FROM job_queue
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let found = statement
        .query_row(named_params! { ":id": held.id, ":claim": held.number }, |row| {
            Ok((claim_from_row(row)?, row.get::<_, bool>("batched")?, row.get::<_, u32>("rescues")?))
        })
        .optional()?;
    let Some((claim, batched, rescues)) = found else { return Ok(None) };
    attempts::insert(tx, now, &claim, AttemptOutcome::Lost, Some(why))?;
    let given_back = batched || (in_company && !claim.suspect);
    if !given_back && claim.attempt >= claim.max_attempts {
        give_up(tx, now, &claim, why)?;
        return Ok(Some((claim.job_type, AfterFailure::GivenUp)));
    }
    // At once the first time, for most crashes are not the job's fault; a job that goes on losing its workers rests longer.
    let rest = if rescues == 0 { Duration::ZERO } else { backoff::after_attempt(rescues) };
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'pending', attempts = attempts - :given_back, rescues = rescues + 1, error = :error,
             scheduled_at = iif(:rest_ms = 0, min(scheduled_at, :now), :now + :rest_ms), scheduled_from = :now,
             claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let params = named_params! {
        ":given_back": given_back,
        ":error": why,
        ":rest_ms": delta(rest).num_milliseconds(),
        ":now": Millis(now),
        ":id": claim.id,
        ":claim": claim.number,
    };
    expect_one(statement.execute(params)?, "queue::jobs::rescue")?;
    tx.announce();
    Ok(Some((claim.job_type, AfterFailure::Retry(rest))))
}

fn give_up(tx: &Tx<'_>, now: DateTime<Utc>, claim: &Claim, error: &str) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'failed', processed_at = :now, error = :error, rescues = 0,
             claimed_by = NULL, claimed_at = NULL, lease_expires_at = NULL
         WHERE id = :id AND claim = :claim AND status = 'processing'",
    )?;
    let params = named_params! { ":now": Millis(now), ":error": error, ":id": claim.id, ":claim": claim.number };
    expect_one(statement.execute(params)?, "queue::jobs::give_up")
}

/// Puts a job that was given up or called off back with a fresh set of attempts; its history stays. `false`: it stands elsewhere.
/// Fails with a broken unique constraint when another unfinished job has its dedupe key.
pub(super) fn retry(tx: &Tx<'_>, now: DateTime<Utc>, id: JobId) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'pending', attempts = 0, rescues = 0, processed_at = NULL, scheduled_at = :now, scheduled_from = :now
         WHERE id = :id AND status IN ('failed', 'cancelled')",
    )?;
    Ok(statement.execute(named_params! { ":now": Millis(now), ":id": id })? == 1)
}

/// Calls off a job that waits. `false`: it stands elsewhere.
pub(super) fn cancel(tx: &Tx<'_>, now: DateTime<Utc>, id: JobId) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue SET status = 'cancelled', processed_at = :now
         WHERE id = :id AND status = 'pending'",
    )?;
    Ok(statement.execute(named_params! { ":now": Millis(now), ":id": id })? == 1)
}

/// Renews the leases of all claims of `worker`. Returns how many there were.
pub(super) fn renew_leases(tx: &Tx<'_>, now: DateTime<Utc>, worker: &str, lease: Duration) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue SET lease_expires_at = :lease_expires_at
         WHERE status = 'processing' AND claimed_by = :worker",
    )?;
    Ok(statement.execute(named_params! { ":lease_expires_at": Millis(now + delta(lease)), ":worker": worker })?)
}

/// Moves waiting jobs whose time was reckoned by a clock that has since stepped back: each keeps its distance. Times that a
/// caller gave are left alone. At most `limit` jobs of each kind; returns how many were moved.
pub(super) fn follow_clock(tx: &Tx<'_>, now: DateTime<Utc>, limit: usize) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET scheduled_at = :now + (scheduled_at - scheduled_from), scheduled_from = :now
         WHERE status = 'pending' AND id IN (
             SELECT id FROM job_queue
             WHERE status = 'pending' AND outside = :outside AND scheduled_at > :now AND scheduled_from > :now
             ORDER BY scheduled_at, id LIMIT :limit)",
    )?;
    let mut moved = 0;
    for outside in Share::All.kinds() {
        moved += statement.execute(named_params! { ":outside": outside, ":now": Millis(now), ":limit": limit })?;
    }
    if moved > 0 {
        tx.announce();
    }
    Ok(moved)
}

/// Whether any waiting job was reckoned by a clock that has since stepped back.
pub(super) fn is_ahead_of_clock(connection: &Connection, now: DateTime<Utc>) -> db::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM job_queue
         WHERE status = 'pending' AND outside = :outside AND scheduled_at > :now AND scheduled_from > :now
         LIMIT 1",
    )?;
    for outside in Share::All.kinds() {
        if statement.exists(named_params! { ":outside": outside, ":now": Millis(now) })? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those that stand here.
    pub status: Option<Status>,
    /// Only those of this type.
    pub job_type: Option<String>,
    /// Only those about this subject.
    pub subject: Option<String>,
    /// Only those enqueued before this one: the last of the page before.
    pub before: Option<JobId>,
    /// At most this many; 0: none.
    pub limit: usize,
}

const JOB_COLUMNS: &str =
    "id, type, payload, status, attempts, max_attempts, scheduled_at, processed_at, error, created_at";

/// The job with this id.
///
/// # Errors
/// The database's.
pub fn find(connection: &Connection, id: JobId) -> db::Result<Option<Job>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {JOB_COLUMNS} FROM job_queue WHERE id = :id"))?;
    Ok(statement.query_row(named_params! { ":id": id }, job_from_row).optional()?)
}

/// The jobs that match, newest first.
///
/// # Errors
/// The database's.
pub fn list(connection: &Connection, filter: &Filter) -> db::Result<Vec<Job>> {
    let mut statement = connection.prepare_cached(&list_sql(filter))?;
    let jobs = statement.query_map(
        named_params! {
            ":type": filter.job_type,
            ":subject": filter.subject,
            ":before": filter.before,
            ":limit": filter.limit,
        },
        job_from_row,
    )?;
    Ok(jobs.collect::<rusqlite::Result<_>>()?)
}

/// The listing that `filter` asks for. Jobs that are few among many are found by their index and sorted; otherwise the rows are
/// walked from the newest, and the first page is soon full. Without statistics SQLite cannot know, so it is told.
pub(super) fn list_sql(filter: &Filter) -> String {
    let by = match filter {
        Filter { subject: Some(_), .. } => "INDEXED BY job_queue_subject",
        Filter { status: Some(Status::Failed), .. } => "INDEXED BY job_queue_failed",
        Filter { status: Some(Status::Processing), .. } => "INDEXED BY job_queue_processing",
        Filter { status: Some(Status::Cancelled), .. } => "INDEXED BY job_queue_finished",
        _ => "",
    };
    // A partial index needs its condition word by word.
    let status = filter.status.map_or("", |status| match status {
        Status::Pending => "AND status = 'pending'",
        Status::Processing => "AND status = 'processing'",
        Status::Completed => "AND +status = 'completed'",
        Status::Failed => "AND status = 'failed'",
        // SQLite does not see by itself that this one condition is among those of the index.
        Status::Cancelled => "AND status NOT IN ('pending', 'processing') AND status = 'cancelled'",
    });
    let subject = if filter.subject.is_some() { "subject = :subject" } else { ":subject IS NULL" };
    let job_type = if filter.job_type.is_some() { "type = :type" } else { ":type IS NULL" };
    let before = if filter.before.is_some() { "id < :before" } else { ":before IS NULL" };
    format!(
        "SELECT {JOB_COLUMNS} FROM job_queue {by}
         WHERE {subject} AND {job_type} AND {before} {status}
         ORDER BY id DESC LIMIT :limit"
    )
}

/// How many jobs [`list_failed_since`] lists at the most.
const FAILED_LISTED: usize = 1_000;

/// The jobs that were given up after `since`, oldest first.
///
/// # Errors
/// The database's.
pub fn list_failed_since(connection: &Connection, since: DateTime<Utc>) -> db::Result<Vec<Job>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {JOB_COLUMNS} FROM job_queue
         WHERE status NOT IN ('pending', 'processing') AND status = 'failed' AND processed_at > :since
         ORDER BY processed_at LIMIT :limit"
    ))?;
    let jobs = statement.query_map(named_params! { ":since": Millis(since), ":limit": FAILED_LISTED }, job_from_row)?;
    Ok(jobs.collect::<rusqlite::Result<_>>()?)
}

/// How many jobs of these types were given up.
///
/// # Errors
/// The database's.
pub fn count_failed(connection: &Connection, types: &[&str]) -> db::Result<u64> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM job_queue WHERE status = 'failed' AND type = :type")?;
    let mut failed = 0;
    for job_type in types {
        failed += statement.query_row(named_params! { ":type": job_type }, |row| row.get::<_, u64>(0))?;
    }
    Ok(failed)
}

/// How many jobs stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting.
    pub pending: u64,
    /// Claimed.
    pub processing: u64,
    /// Done.
    pub completed: u64,
    /// Given up.
    pub failed: u64,
    /// Called off.
    pub cancelled: u64,
}

/// How many jobs stand where.
///
/// # Errors
/// The database's.
pub fn counts(connection: &Connection) -> db::Result<Counts> {
    // One count an index. A partial one is used only where its condition is found word by word: `status = 'completed'` alone
    // would walk the whole table.
    let mut statement = connection.prepare_cached(
        "SELECT
             (SELECT count(*) FROM job_queue WHERE status = 'pending') AS pending,
             (SELECT count(*) FROM job_queue WHERE status = 'processing') AS processing,
             (SELECT count(*) FROM job_queue
              WHERE status NOT IN ('pending', 'processing') AND status = 'completed') AS completed,
             (SELECT count(*) FROM job_queue WHERE status = 'failed') AS failed,
             (SELECT count(*) FROM job_queue
              WHERE status NOT IN ('pending', 'processing') AND status = 'cancelled') AS cancelled",
    )?;
    Ok(statement.query_row((), |row| {
        Ok(Counts {
            pending: row.get("pending")?,
            processing: row.get("processing")?,
            completed: row.get("completed")?,
            failed: row.get("failed")?,
            cancelled: row.get("cancelled")?,
        })
    })?)
}

/// What a finished job may still say of its subject.
const SAYS_SOMETHING: &str = "payload <> '{}' OR error IS NOT NULL
     OR EXISTS (SELECT 1 FROM job_attempts WHERE job_id = job_queue.id AND job_attempts.error IS NOT NULL)";

/// Makes up to `limit` finished jobs about `subject` forget payload and errors. Returns how many there were: fewer than `limit`
/// means that no more are left. What [`forget`] has to do in one transaction becomes bounded by it.
///
/// # Errors
/// The database's.
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
/// The database's.
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

fn claim_from_row(row: &Row<'_>) -> rusqlite::Result<Claim> {
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

fn job_from_row(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: row.get("id")?,
        job_type: row.get("type")?,
        payload: row.get("payload")?,
        status: row.get("status")?,
        attempts: row.get("attempts")?,
        max_attempts: row.get("max_attempts")?,
        scheduled_at: row.get::<_, Millis>("scheduled_at")?.0,
        processed_at: row.get::<_, Option<Millis>>("processed_at")?.map(|at| at.0),
        error: row.get("error")?,
        created_at: row.get::<_, Millis>("created_at")?.0,
    })
}

impl rusqlite::types::FromSql for Status {
    fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|error: String| rusqlite::types::FromSqlError::Other(error.into()))
    }
}

/// A duration as chrono has it; one that is too long is the longest there is.
fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn cut(error: &str) -> &str {
    let mut end = ERROR_MAX.min(error.len());
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    &error[..end]
}
