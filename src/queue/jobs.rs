//! SQL of `job_queue`. Every statement that ends a claim names `(id, claim)` and must change exactly one row.
//!
//! Here is how a job comes to be; what becomes of it is below, by who does it: workers (`jobs/claims.rs`, `jobs/ends.rs`), the
//! maintenance alongside them (`jobs/keeping.rs`), people (`jobs/operators.rs`), and those who see that nothing more is said of
//! somebody (`jobs/redaction.rs`).

mod claims;
mod completion;
mod matching;
mod operators;
mod pauses;
mod recovery;
mod redaction;

pub use claims::next_due_at;
pub(super) use claims::{claim, is_held, next_claimable_at};
pub(super) use completion::{AfterFailure, COMPLETE, complete, fail, release};
pub use matching::{FailureGroup, GROUPED_MAX, Selection, count_up_to, group_failures, list_matching};
pub use operators::{
    Counts, Filter, count_failed, count_failed_by_type, counts, find, is_any_running, list, list_failed_since,
    next_types,
};
pub(super) use operators::{cancel, retry};
pub use pauses::{Pause, list_pauses};
pub(super) use pauses::{pause, resume};
pub(super) use recovery::{Held, follow_clock, is_ahead_of_clock, list_held, recover, renew_leases};
pub use redaction::{
    Mentions, ToForget, change_texts, each_finished, each_unfinished, forget, list_about, list_mentions,
    list_new_to_forget, list_to_forget, says_more,
};

use super::NewJob;
use crate::db::{self, Millis, Tx};
use crate::domain::ids::JobId;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::named_params;
use std::time::Duration;

/// A job that is enqueued, with what the queue has found out for it.
pub(super) struct NewRow<'a> {
    pub(super) id: JobId,
    pub(super) job: &'a NewJob,
    pub(super) payload: &'a str,
    pub(super) max_attempts: u32,
    pub(super) external: bool,
    pub(super) turn_at: Option<DateTime<Utc>>,
}

/// Writes a job, or returns the id of the unfinished one that holds its dedupe key.
pub(super) fn insert(tx: &Tx<'_>, now: DateTime<Utc>, row: &NewRow<'_>) -> db::Result<Option<JobId>> {
    let NewRow { id, job, payload, max_attempts, external, turn_at } = *row;
    let mut statement = tx.prepare_cached(
        "INSERT INTO job_queue
             (id, type, payload, max_attempts, scheduled_at, scheduled_from, created_at, external, dedupe_key, subject,
             turn_at)
         VALUES (:id, :type, :payload, :max_attempts, :scheduled_at, :scheduled_from, :created_at, :external, :dedupe_key,
             :subject, :turn_at)
         ON CONFLICT (type, dedupe_key) WHERE dedupe_key IS NOT NULL AND status IN ('pending', 'processing')
         DO NOTHING",
    )?;
    let inserted = statement.execute(named_params! {
        ":id": id,
        ":type": job.job_type,
        ":payload": payload,
        ":max_attempts": max_attempts,
        ":scheduled_at": Millis(job.scheduled_at.unwrap_or_else(|| now - delta(job.ahead.unwrap_or_default()))),
        ":scheduled_from": job.scheduled_at.is_none().then_some(Millis(now)),
        ":created_at": Millis(now),
        ":external": external,
        ":dedupe_key": job.dedupe_key,
        ":subject": job.subject,
        ":turn_at": turn_at.map(Millis),
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

/// A duration as chrono has it; one that is too long is the longest there is.
fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
