//! Finished jobs go once they are old enough, and their attempts with them. Those that were discarded are kept much longer: each is
//! something that a person has yet to look at.

use crate::db::{self, Millis, Tx};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::named_params;

/// How long finished jobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Completed and cancelled ones.
    pub finished: TimeDelta,
    /// Those that were discarded.
    pub failed: TimeDelta,
}

/// Which jobs of one status are old. Kept apart so that a test can look at its plan.
pub(super) const OLD: &str = "SELECT id FROM job_queue
     WHERE status NOT IN ('pending', 'processing') AND status = :status AND processed_at < :before
     ORDER BY processed_at LIMIT :limit";

/// Deletes up to `limit` jobs that are older than they are kept, and returns how many it were. Their attempts go by ON DELETE
/// CASCADE. Unfinished jobs are never old.
///
/// # Errors
/// When the database fails.
pub fn prune(tx: &Tx<'_>, now: DateTime<Utc>, retention: &Retention, limit: usize) -> db::Result<usize> {
    let mut pruned = 0;
    for (status, kept) in
        [("completed", retention.finished), ("cancelled", retention.finished), ("failed", retention.failed)]
    {
        let mut statement = tx.prepare_cached(&format!("DELETE FROM job_queue WHERE id IN ({OLD})"))?;
        let params = named_params! { ":status": status, ":before": Millis(now - kept), ":limit": limit - pruned };
        pruned += statement.execute(params)?;
        if pruned >= limit {
            break;
        }
    }
    Ok(pruned)
}
