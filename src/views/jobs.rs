//! Jobs and their attempts.

use crate::clock::{instant, optional_instant};
use crate::queue::{Attempt, Counts, Job};
use serde_json::{Value, json};

/// A job as lists show it: without its payload.
pub fn job(job: &Job) -> Value {
    json!({
        "id": job.id.to_string(),
        "type": job.job_type,
        "status": job.status.as_str(),
        "attempts": job.attempts,
        "maxAttempts": job.max_attempts,
        "scheduledAt": instant(job.scheduled_at),
        "processedAt": optional_instant(job.processed_at),
        "error": job.error,
        "createdAt": instant(job.created_at),
    })
}

/// A job with its payload and history.
pub fn job_in_full(of: &Job, attempts: &[Attempt]) -> Value {
    let mut document = job(of);
    document["payload"] = of.payload.clone();
    document["attemptHistory"] = attempts.iter().map(attempt).collect();
    document
}

/// How many jobs have which status.
pub fn counts(counts: &Counts) -> Value {
    json!({
        "pending": counts.pending,
        "processing": counts.processing,
        "completed": counts.completed,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
    })
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "attempt": attempt.attempt,
        "startedAt": instant(attempt.started_at),
        "endedAt": instant(attempt.ended_at),
        "outcome": attempt.outcome.as_str(),
        "error": attempt.error,
    })
}
