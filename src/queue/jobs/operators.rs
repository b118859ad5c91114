//! What people see of jobs, and do to them.

use crate::db::{self, Millis, Tx};
use crate::domain::ids::JobId;
use crate::queue::{Job, Status};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those with this status.
    pub status: Option<Status>,
    /// Only those of this type.
    pub job_type: Option<String>,
    /// Only those with exactly this error.
    pub error: Option<String>,
    /// Only those about this subject.
    pub subject: Option<String>,
    /// Only those enqueued before this one: the last of the page before.
    pub before: Option<JobId>,
    /// At most this many; 0: none.
    pub limit: usize,
}

/// How many jobs have which status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting.
    pub pending: u64,
    /// Claimed.
    pub processing: u64,
    /// Done.
    pub completed: u64,
    /// Discarded.
    pub failed: u64,
    /// Called off.
    pub cancelled: u64,
}

const JOB_COLUMNS: &str =
    "id, type, payload, status, attempts, max_attempts, scheduled_at, processed_at, error, created_at";

/// The job with this id.
///
/// # Errors
/// When the database fails.
pub fn find(connection: &Connection, id: JobId) -> db::Result<Option<Job>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {JOB_COLUMNS} FROM job_queue WHERE id = :id"))?;
    Ok(statement.query_row(named_params! { ":id": id }, job_from_row).optional()?)
}

/// The jobs that match, newest first.
///
/// # Errors
/// When the database fails.
pub fn list(connection: &Connection, filter: &Filter) -> db::Result<Vec<Job>> {
    let mut statement = connection.prepare_cached(&list_sql(filter))?;
    let jobs = statement.query_map(
        named_params! {
            ":type": filter.job_type,
            ":error": filter.error,
            ":subject": filter.subject,
            ":before": filter.before,
            ":limit": filter.limit,
        },
        job_from_row,
    )?;
    Ok(jobs.collect::<rusqlite::Result<_>>()?)
}

/// The ids of the jobs about `:subject` that wait or run.
pub(super) const UNFINISHED_ABOUT: &str = "SELECT id FROM job_queue INDEXED BY job_queue_pending
     WHERE status = 'pending' AND subject = :subject
     UNION ALL
     SELECT id FROM job_queue INDEXED BY job_queue_processing
     WHERE status = 'processing' AND subject = :subject";

/// The listing that `filter` asks for. Jobs that are few among many are found by their index and sorted; otherwise the rows are
/// walked from the newest, and the first page is soon full. Without statistics SQLite cannot know, so the query says it.
fn list_sql(filter: &Filter) -> String {
    let by = match filter {
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
    let job_type = if filter.job_type.is_some() { "type = :type" } else { ":type IS NULL" };
    let error = if filter.error.is_some() { "error = :error" } else { ":error IS NULL" };
    let before = if filter.before.is_some() { "id < :before" } else { ":before IS NULL" };
    let matches = format!("{job_type} AND {error} AND {before} {status}");
    if filter.subject.is_some() {
        // Those that are not finished are few, or are looked for among all that wait, within their indexes.
        return format!(
            "SELECT {JOB_COLUMNS} FROM job_queue
             WHERE id IN ({UNFINISHED_ABOUT}
                          UNION ALL
                          SELECT id FROM (SELECT id FROM job_queue INDEXED BY job_queue_subject
                                          WHERE subject = :subject AND status NOT IN ('pending', 'processing') AND {matches}
                                          ORDER BY id DESC LIMIT :limit))
               AND {matches}
             ORDER BY id DESC LIMIT :limit"
        );
    }
    format!(
        "SELECT {JOB_COLUMNS} FROM job_queue {by}
         WHERE :subject IS NULL AND {matches}
         ORDER BY id DESC LIMIT :limit"
    )
}

/// How many jobs [`list_failed_since`] lists at the most.
const FAILED_LISTED: usize = 1_000;

/// The jobs that were discarded after `since`, oldest first.
///
/// # Errors
/// When the database fails.
pub fn list_failed_since(connection: &Connection, since: DateTime<Utc>) -> db::Result<Vec<Job>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {JOB_COLUMNS} FROM job_queue
         WHERE status NOT IN ('pending', 'processing') AND status = 'failed' AND processed_at > :since
         ORDER BY processed_at LIMIT :limit"
    ))?;
    let jobs = statement.query_map(named_params! { ":since": Millis(since), ":limit": FAILED_LISTED }, job_from_row)?;
    Ok(jobs.collect::<rusqlite::Result<_>>()?)
}

/// How many jobs of these types were discarded.
///
/// # Errors
/// When the database fails.
pub fn count_failed(connection: &Connection, types: &[&str]) -> db::Result<u64> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM job_queue WHERE status = 'failed' AND type = :type")?;
    let mut failed = 0;
    for job_type in types {
        failed += statement.query_row(named_params! { ":type": job_type }, |row| row.get::<_, u64>(0))?;
    }
    Ok(failed)
}

/// How many jobs of each type were discarded, by type.
///
/// # Errors
/// When the database cannot be read.
pub fn count_failed_by_type(connection: &Connection) -> db::Result<Vec<(String, u64)>> {
    let mut statement = connection.prepare_cached(
        "SELECT type, count(*) AS failed FROM job_queue INDEXED BY job_queue_failed
         WHERE status = 'failed'
         GROUP BY type",
    )?;
    let counts = statement.query_map((), |row| Ok((row.get("type")?, row.get("failed")?)))?;
    Ok(counts.collect::<rusqlite::Result<_>>()?)
}

/// The waiting jobs that [`next_types`] looks at.
const NEXT_LOOKED_AT: usize = 1_000;

/// The types of the jobs that are next. Jobs whose type no handler knows are put back for a minute at a time, and so are among them.
///
/// # Errors
/// When the database cannot be read.
pub fn next_types(connection: &Connection) -> db::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT type FROM (
             SELECT type FROM job_queue WHERE status = 'pending' AND held = 0 AND external = 0
             ORDER BY scheduled_at, id LIMIT :limit
         )",
    )?;
    let types = statement.query_map(named_params! { ":limit": NEXT_LOOKED_AT }, |row| row.get(0))?;
    Ok(types.collect::<rusqlite::Result<_>>()?)
}

/// How many jobs have which status.
///
/// # Errors
/// When the database fails.
pub fn counts(connection: &Connection) -> db::Result<Counts> {
    // Counted as they change; those that run are few, and counted by their index.
    let mut statement = connection.prepare_cached(
        "SELECT
             coalesce((SELECT jobs FROM job_counts WHERE status = 'pending'), 0) AS pending,
             (SELECT count(*) FROM job_queue WHERE status = 'processing') AS processing,
             coalesce((SELECT jobs FROM job_counts WHERE status = 'completed'), 0) AS completed,
             coalesce((SELECT jobs FROM job_counts WHERE status = 'failed'), 0) AS failed,
             coalesce((SELECT jobs FROM job_counts WHERE status = 'cancelled'), 0) AS cancelled",
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

/// Whether any job is being run.
///
/// # Errors
/// When the database fails.
pub fn is_any_running(connection: &Connection) -> db::Result<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM job_queue WHERE status = 'processing' LIMIT 1")?.exists(())?)
}

/// Puts a job that was discarded or cancelled back with a fresh set of attempts; its history stays. `false`: it has another status.
/// Fails with a broken unique constraint when another unfinished job has its dedupe key.
pub(in crate::queue) fn retry(tx: &Tx<'_>, now: DateTime<Utc>, id: JobId) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET status = 'pending', attempts = 0, recoveries = 0, processed_at = NULL, scheduled_at = :now, scheduled_from = :now,
             turn_at = NULL
         WHERE id = :id AND status IN ('failed', 'cancelled')",
    )?;
    Ok(statement.execute(named_params! { ":now": Millis(now), ":id": id })? == 1)
}

/// Calls off a job that waits. `false`: it has another status.
pub(in crate::queue) fn cancel(tx: &Tx<'_>, now: DateTime<Utc>, id: JobId) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue SET status = 'cancelled', processed_at = :now
         WHERE id = :id AND status = 'pending'",
    )?;
    Ok(statement.execute(named_params! { ":now": Millis(now), ":id": id })? == 1)
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
