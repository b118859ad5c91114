//! Jobs that are retried or cancelled together. They are found on a reader, so that however many rows are looked at, the writer is only
//! asked for small steps.

use crate::db;
use crate::domain::ids::JobId;
use crate::queue::Status;
use rusqlite::{Connection, named_params};

/// Which jobs are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Only those with this status.
    pub status: Status,
    /// Only those of this type.
    pub job_type: Option<String>,
    /// Only those that failed with exactly this error.
    pub error: Option<String>,
}

/// The jobs of a selection and their types, `most` of them at the most.
///
/// # Errors
/// When the database fails.
pub fn list_matching(connection: &Connection, selection: &Selection, most: usize) -> db::Result<Vec<(JobId, String)>> {
    let mut statement = connection.prepare_cached(&format!("SELECT id, type {} LIMIT :most", from(selection)))?;
    let params = named_params! { ":type": selection.job_type, ":error": selection.error, ":most": most };
    let jobs = statement.query_map(params, |row| Ok((row.get("id")?, row.get("type")?)))?;
    Ok(jobs.collect::<rusqlite::Result<_>>()?)
}

/// How many jobs have a status; those beyond `most` are not counted.
///
/// # Errors
/// When the database fails.
pub fn count_up_to(connection: &Connection, status: Status, most: u64) -> db::Result<u64> {
    let selection = Selection { status, job_type: None, error: None };
    let sql = format!("SELECT count(*) FROM (SELECT 1 {} LIMIT :most)", from(&selection));
    let params = named_params! { ":type": Option::<String>::None, ":error": Option::<String>::None, ":most": most };
    Ok(connection.prepare_cached(&sql)?.query_row(params, |row| row.get(0))?)
}

/// The index of each status, and its condition word by word: a partial index is used only where its condition is found so.
fn from(selection: &Selection) -> String {
    let (index, status) = match selection.status {
        Status::Failed => ("job_queue_failed", "status = 'failed'"),
        Status::Pending => ("job_queue_pending", "status = 'pending'"),
        Status::Processing => ("job_queue_processing", "status = 'processing'"),
        Status::Completed => ("job_queue_finished", "status NOT IN ('pending', 'processing') AND status = 'completed'"),
        Status::Cancelled => ("job_queue_finished", "status NOT IN ('pending', 'processing') AND status = 'cancelled'"),
    };
    let job_type = if selection.job_type.is_some() { "type = :type" } else { ":type IS NULL" };
    let error = if selection.error.is_some() { "error = :error" } else { ":error IS NULL" };
    format!("FROM job_queue INDEXED BY {index} WHERE {status} AND {job_type} AND {error}")
}

/// Jobs that failed of one type with one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureGroup {
    /// Their type.
    pub job_type: String,
    /// Their error.
    pub error: String,
    /// How many.
    pub count: u64,
    /// The one that was enqueued last.
    pub newest: JobId,
}

/// Failed jobs that [`group_failures`] looks at: more would take too long for a page.
pub const GROUPED_MAX: usize = 10_000;

/// Groups that it reports.
const GROUPS_MAX: usize = 50;

/// The failed jobs by type and error, the largest group first.
///
/// # Errors
/// When the database fails.
pub fn group_failures(connection: &Connection) -> db::Result<Vec<FailureGroup>> {
    let mut statement = connection.prepare_cached(
        "SELECT type, coalesce(error, '') AS error, count(*) AS count, max(id) AS newest
         FROM (SELECT type, error, id FROM job_queue INDEXED BY job_queue_failed WHERE status = 'failed' LIMIT :looked_at)
         GROUP BY type, error ORDER BY count DESC, newest DESC LIMIT :groups",
    )?;
    let groups = statement.query_map(named_params! { ":looked_at": GROUPED_MAX, ":groups": GROUPS_MAX }, |row| {
        Ok(FailureGroup {
            job_type: row.get("type")?,
            error: row.get("error")?,
            count: row.get("count")?,
            newest: row.get("newest")?,
        })
    })?;
    Ok(groups.collect::<rusqlite::Result<_>>()?)
}
