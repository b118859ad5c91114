//! What is wrong with the queue, in words.

use super::{Finding, is_of_orders};
use crate::alerts::ALERT;
use crate::erasure;
use crate::orders::handover::DRAFT_ORDER_HANDOVER;
use crate::queue::Pause;
use crate::views::words::{in_query, many, span};
use chrono::{DateTime, Utc};

const FAILED: &str = "see `quotegrid jobs list --status failed`, fix the cause, and `quotegrid jobs retry` them";

/// Jobs that failed permanently, by type. Those of legal obligations are one finding of their own (`server.rs`).
pub(super) fn of_failed(failed: &[(String, u64)]) -> impl Iterator<Item = Finding> {
    let others = failed.iter().filter(|(job_type, _)| !erasure::PRIVACY_JOBS.contains(&job_type.as_str()));
    others.map(|(job_type, count)| {
        let (what, advice) = match job_type.as_str() {
            DRAFT_ORDER_HANDOVER => (
                format!("{} could not be handed over to Shopify", many(*count, "order", "orders")),
                "Their shoppers got the page of their order instead of a checkout. Read the error, fix its cause (often the app's access), and retry.",
            ),
            other if is_of_orders(other) => (
                format!("{} could not be deleted at Shopify", many(*count, "draft order of cancelled orders", "draft orders of cancelled orders")),
                "Their shoppers can still pay. Delete the draft orders in Shopify, or read the error, fix its cause, and retry.",
            ),
            ALERT => (
                format!("{} could not be delivered", many(*count, "alert", "alerts")),
                "Its recipient has not been notified. Check the address in QUOTEGRID_ALERT_URL, then retry.",
            ),
            _ => (
                format!("{} of type “{job_type}” failed permanently", many(*count, "job", "jobs")),
                "They are not retried automatically. Read the error, fix its cause, and retry.",
            ),
        };
        Finding::warning(what, advice)
            .on_page(format!("admin/jobs?status=failed&type={}", in_query(job_type)), "Failed jobs")
            .by_command(FAILED)
    })
}

/// Jobs that wait for a program that knows their type.
pub(super) fn of_unknown_type(job_type: &str) -> Finding {
    Finding::warning(
        format!("Jobs of type “{job_type}” wait, and this program does not know that type"),
        "They wait for a program that does: another version of this server, or the one that enqueued them. Cancel them if there is none.",
    )
    .on_page(format!("admin/jobs?status=pending&type={}", in_query(job_type)), "Pending jobs")
    .by_command("start the program that does, or `quotegrid jobs cancel` them")
}

/// Jobs that are due and that no worker takes.
pub(super) fn not_run() -> Finding {
    Finding::bad(
        "Jobs have been due for over an hour",
        "No worker takes them: this server runs without workers, or all of them are busy. `quotegrid work` runs more.",
    )
    .on_page("admin/jobs?status=pending", "Pending jobs")
    .by_command("is `quotegrid serve` or `quotegrid work` running?")
}

/// A type that is paused.
pub(super) fn paused(pause: &Pause, now: DateTime<Utc>) -> Finding {
    Finding::warning(
        format!("Jobs of type “{}” have been paused for {}", pause.job_type, span(now - pause.paused_at)),
        "They wait until the type is resumed.",
    )
    .on_page("admin/jobs", "Resume")
}
