//! What needs a person, in a sentence and with a link: what it means, and what to do. Only what costs nothing to find out; `quotegrid
//! doctor` and the page of the privacy requests check the rest.

use super::words::{many, span};
use crate::alerts::ALERT;
use crate::backup::folder::{self, Backup};
use crate::disk::Seen;
use crate::erasure::requests::{self, OpenRequests};
use crate::erasure::{self};
use crate::error::Result;
use crate::http::state::AppState;
use crate::orders::handover::{DRAFT_ORDER_DELETION, DRAFT_ORDER_HANDOVER};
use crate::orders::records;
use crate::queue::{self, Pause};
use chrono::{DateTime, TimeDelta, Utc};

/// A request that is due within this is near its end.
const NEARLY_DUE: TimeDelta = TimeDelta::days(3);

/// A job that has been due for this long is not being run.
const WAITED_TOO_LONG: TimeDelta = TimeDelta::hours(1);

/// An erasure that has waited for its last step for this long waits for something that does not end by itself.
const UNSCRUBBED_TOO_LONG: TimeDelta = TimeDelta::hours(30);

/// A backup that is older than this is old.
const OLD_BACKUP: TimeDelta = TimeDelta::days(8);

/// Orders that differ at Shopify are reported for this long.
const DIFFERING_SINCE: TimeDelta = TimeDelta::days(30);

/// Something that needs a person.
#[derive(Debug)]
pub(super) struct Finding {
    /// Whether it harms now; otherwise it may later.
    pub(super) is_bad: bool,
    /// What is the matter.
    pub(super) what: String,
    /// What that means, and what to do.
    pub(super) advice: &'static str,
    /// Where to do it, below the server's root, and the link's text.
    pub(super) link: Option<(&'static str, &'static str)>,
}

impl Finding {
    fn bad(what: String, advice: &'static str, link: Option<(&'static str, &'static str)>) -> Self {
        Self { is_bad: true, what, advice, link }
    }

    fn warning(what: String, advice: &'static str, link: Option<(&'static str, &'static str)>) -> Self {
        Self { is_bad: false, what, advice, link }
    }
}

/// What was looked at.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) findings: Vec<Finding>,
    pub(super) requests: OpenRequests,
    pub(super) failed_jobs: u64,
    pub(super) disk: Option<Seen>,
    pub(super) last_backup: Option<Backup>,
}

impl Standing {
    pub(super) fn look(state: &AppState) -> Result<Self> {
        let now = state.app.clock.now();
        let (requests, duty_jobs, failed, due_at, next_types, pauses, differing) =
            state.app.db.read(|connection| -> crate::db::Result<_> {
                Ok((
                    requests::open_requests(connection, now)?,
                    erasure::count_failed_jobs(connection)?,
                    queue::count_failed_by_type(connection)?,
                    queue::next_due_at(connection)?,
                    queue::next_types(connection)?,
                    queue::list_pauses(connection)?,
                    records::count_differing(connection, now - DIFFERING_SINCE)?,
                ))
            })?;
        let disk = state.app.disk.look();
        let last_backup = folder::list(state.app.db.path()).unwrap_or_default().into_iter().next();
        let mut findings = Vec::new();
        of_requests(&mut findings, now, &requests, duty_jobs);
        of_jobs(&mut findings, now, &failed, due_at, &pauses);
        let unknown: Vec<&String> =
            next_types.iter().filter(|job_type| !state.app.queue.registry().knows(job_type)).collect();
        if let Some(first) = unknown.first() {
            findings.push(Finding::warning(
                format!("Jobs of type “{first}” wait, and this program does not know that type"),
                "They wait for a program that does: another version of this server, or the one that has enqueued them. Cancel them if there is none.",
                Some(("admin/jobs?status=pending", "Waiting jobs")),
            ));
        }
        if differing > 0 {
            findings.push(Finding::warning(
                format!("{} of the last 30 days are not at Shopify as they were quoted", many(differing, "order", "orders")),
                "Somebody has changed them there, or Shopify has added taxes or rounding. The page of each order says how it differs.",
                Some(("admin/shops", "Shops and their orders")),
            ));
        }
        if disk.is_some_and(|disk| disk.is_low()) {
            findings.push(Finding::bad(
                "The disk is nearly full".to_owned(),
                "New orders and imports are refused until there is room again; erasures go on. Make room, or use a larger disk.",
                Some(("admin/health", "Files and disk")),
            ));
        }
        of_backups(&mut findings, now, last_backup.as_ref());
        findings.sort_by_key(|finding| !finding.is_bad);
        let failed_jobs = failed.iter().map(|(_, count)| count).sum();
        Ok(Self { findings, requests, failed_jobs, disk, last_backup })
    }
}

fn of_requests(findings: &mut Vec<Finding>, now: DateTime<Utc>, requests: &OpenRequests, failed_jobs: u64) {
    let page = Some(("admin/privacy", "Privacy requests"));
    if requests.overdue > 0 {
        findings.push(Finding::bad(
            format!("{} overdue", many(requests.overdue, "privacy request is", "privacy requests are")),
            "The law's 30 days are over. Open the request: it says what holds it up.",
            page,
        ));
    } else if let Some(due) = requests.next_due_at.filter(|due| *due - now < NEARLY_DUE) {
        findings.push(Finding::warning(
            format!("A privacy request is due in {}", span(due - now)),
            "It is not fulfilled yet. Open it: it says what holds it up.",
            page,
        ));
    }
    if failed_jobs > 0 {
        findings.push(Finding::bad(
            format!("{} of legal obligations failed permanently", many(failed_jobs, "job", "jobs")),
            "Nothing more is tried by itself, and the deadline runs. Read the error, fix its cause, and retry.",
            Some(("admin/jobs?status=failed", "Failed jobs")),
        ));
    }
    if requests.to_scrub_since.is_some_and(|since| now - since > UNSCRUBBED_TOO_LONG) {
        findings.push(Finding::bad(
            "Erasures have waited for their last step for over a day".to_owned(),
            "The rows are gone, and their bytes are still in the write-ahead log. Another program keeps it in use: a replicator, or a sqlite3 shell that was left open.",
            page,
        ));
    }
}

fn of_jobs(
    findings: &mut Vec<Finding>,
    now: DateTime<Utc>,
    failed: &[(String, u64)],
    due_at: Option<DateTime<Utc>>,
    pauses: &[Pause],
) {
    for (job_type, count) in failed.iter().filter(|(job_type, _)| !erasure::PRIVACY_JOBS.contains(&job_type.as_str())) {
        let (what, advice) = match job_type.as_str() {
            DRAFT_ORDER_HANDOVER => (
                format!("Shopify refused {}", many(*count, "order", "orders")),
                "Their shoppers were given the page of their order in place of a checkout. Read the error, fix its cause (often the app's access), and retry.",
            ),
            DRAFT_ORDER_DELETION => (
                format!("Shopify kept the draft orders of {}", many(*count, "cancelled order", "cancelled orders")),
                "Their shoppers can still pay. Delete the draft orders in Shopify, or read the error, fix its cause, and retry.",
            ),
            ALERT => (
                format!("{} could not be delivered", many(*count, "alert", "alerts")),
                "The alert did not arrive. Check the address in QUOTEGRID_ALERT_URL, then retry.",
            ),
            _ => (
                format!("{} of type “{job_type}” failed", many(*count, "job", "jobs")),
                "Nothing more is tried by itself. Read the error, fix its cause, and retry.",
            ),
        };
        findings.push(Finding::warning(what, advice, Some(("admin/jobs?status=failed", "Failed jobs"))));
    }
    if due_at.is_some_and(|at| now - at > WAITED_TOO_LONG) {
        findings.push(Finding::bad(
            "Jobs have been due for over an hour".to_owned(),
            "No worker takes them: this server was started with no workers, or they are busy. `quotegrid work` runs others.",
            Some(("admin/jobs?status=pending", "Waiting jobs")),
        ));
    }
    for pause in pauses.iter().filter(|pause| !pause.is_ending) {
        findings.push(Finding::warning(
            format!("Jobs of type “{}” are paused since {}", pause.job_type, span(now - pause.paused_at)),
            "They are enqueued and not run until somebody resumes them.",
            Some(("admin/jobs", "Jobs")),
        ));
    }
}

fn of_backups(findings: &mut Vec<Finding>, now: DateTime<Utc>, last: Option<&Backup>) {
    let (what, advice) = match last {
        None => (
            "There is no backup in this server’s folder".to_owned(),
            "If backups are made elsewhere, all is well. Otherwise a lost disk loses prices and orders: make one, and copy it to another machine.",
        ),
        Some(backup) if now - backup.made_at > OLD_BACKUP => (
            format!("The last backup in this server’s folder is {} old", span(now - backup.made_at)),
            "What came since is lost with the disk. Make another, and delete the old one: it still holds what was erased since.",
        ),
        Some(_) => return,
    };
    findings.push(Finding::warning(what, advice, Some(("admin/health", "Backups"))));
}
