//! What is wrong with a server, as far as it costs next to nothing to find out: one list for the console's Overview and Health and for
//! `quotegrid doctor`, which adds what takes longer (`cli/doctor.rs`).
//!
//! A finding says what is wrong, what that means and what to do about it: on a page of the console, and on the command line. Its words
//! are in `jobs.rs` and `server.rs`.

mod jobs;
mod server;

use crate::app::App;
use crate::backup::folder::{self, Backup};
use crate::backup::unfinished;
use crate::catalog::stores;
use crate::db;
use crate::disk::Seen;
use crate::domain::ids::ShopDomain;
use crate::domain::money::Currency;
use crate::erasure;
use crate::erasure::requests::{self, OpenRequests, PrivacyRequest};
use crate::error::Result;
use crate::intake;
use crate::orders::handover::{DRAFT_ORDER_DELETION, DRAFT_ORDER_HANDOVER};
use crate::orders::records;
use crate::queue::{self, Pause};
use chrono::{DateTime, TimeDelta, Utc};

/// A job that has been due for this long is not being run.
const WAITED_TOO_LONG: TimeDelta = TimeDelta::hours(1);

/// An erasure that has waited for its last step for this long waits for something that does not end by itself. Longer than a day, for
/// a replicator that is paused every night.
const UNSCRUBBED_TOO_LONG: TimeDelta = TimeDelta::hours(30);

/// Orders that differ at Shopify are reported for this long: nothing takes their warning away.
pub const DIFFERING_SINCE: TimeDelta = TimeDelta::days(30);

/// A backup that is older than this is old.
const OLD_BACKUP: TimeDelta = TimeDelta::days(8);

/// Erasures of live stores among which those are found that wait for a decision.
const HELD_NAMED: usize = 20;

/// Something that an operator should see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it harms now; otherwise it may later.
    pub is_bad: bool,
    /// What is wrong, without a full stop.
    pub what: String,
    /// What that means, and what to do: sentences for a page of the console.
    pub advice: String,
    /// Where to do it: a path of the console without a slash in front, and the link's text.
    pub page: Option<(String, &'static str)>,
    /// What to do on the command line. `None`: not a problem by which `quotegrid doctor` fails.
    pub command: Option<String>,
}

impl Finding {
    fn bad(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { is_bad: true, what: what.into(), advice: advice.into(), page: None, command: None }
    }

    fn warning(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { is_bad: false, ..Self::bad(what, advice) }
    }

    #[must_use]
    fn on_page(self, path: impl Into<String>, text: &'static str) -> Self {
        Self { page: Some((path.into(), text)), ..self }
    }

    #[must_use]
    fn by_command(self, command: impl Into<String>) -> Self {
        Self { command: Some(command.into()), ..self }
    }

    /// The same as a line of `quotegrid doctor`, where it is a problem there.
    pub fn problem(&self) -> Option<String> {
        self.command.as_ref().map(|command| format!("{}: {command}", self.what))
    }
}

/// How a server is, as far as it costs next to nothing to find out.
#[derive(Debug)]
pub struct Condition {
    /// What is wrong, what harms now first.
    pub findings: Vec<Finding>,
    /// Privacy requests that are not fulfilled.
    pub requests: OpenRequests,
    /// Jobs that failed permanently.
    pub failed_jobs: u64,
    /// Orders of the last days that are not at Shopify as they were quoted.
    pub differing_orders: u64,
    /// When a webhook came last, if that is known.
    pub last_webhook_at: Option<DateTime<Utc>>,
    /// The database's disk, where the system says.
    pub disk: Option<Seen>,
    /// The newest backup in the database's own folder of backups.
    pub last_backup: Option<Backup>,
}

/// What is read of the database at one moment.
struct Rows {
    requests: OpenRequests,
    failed_privacy_jobs: u64,
    failed: Vec<(String, u64)>,
    next_due_at: Option<DateTime<Utc>>,
    next_types: Vec<String>,
    pauses: Vec<Pause>,
    differing: u64,
    held: Vec<PrivacyRequest>,
    last_webhook_at: Option<DateTime<Utc>>,
    can_clear_page_slack: bool,
}

impl Rows {
    fn read(app: &App, now: DateTime<Utc>) -> db::Result<Self> {
        app.db.read(|connection| {
            let held = requests::list_found_live(connection, now - erasure::RESPONSE_DEADLINE, HELD_NAMED)?;
            Ok(Self {
                requests: requests::open_requests(connection, now)?,
                failed_privacy_jobs: erasure::count_failed_jobs(connection)?,
                failed: queue::count_failed_by_type(connection)?,
                next_due_at: queue::next_due_at(connection)?,
                next_types: queue::next_types(connection)?,
                pauses: queue::list_pauses(connection)?,
                differing: records::count_differing(connection, now - DIFFERING_SINCE)?,
                held: held.into_iter().filter(|request| request.waits_until().is_some()).collect(),
                last_webhook_at: intake::last_received_at(connection)?,
                can_clear_page_slack: db::can_clear_page_slack(connection)?,
            })
        })
    }
}

impl Condition {
    /// Looks at a server. `silence`: after how long without a webhook that is worth a word.
    ///
    /// # Errors
    /// When the database fails.
    pub fn look(app: &App, silence: Option<TimeDelta>) -> Result<Self> {
        let now = app.clock.now();
        let rows = Rows::read(app, now)?;
        let disk = app.disk.look();
        let last_backup = folder::list(app.db.path()).unwrap_or_default().into_iter().next();
        let mut findings = Vec::new();
        findings.extend(server::of_files(&db::file_faults(app.db.path())));
        findings.extend(server::of_requests(now, &rows.requests, rows.failed_privacy_jobs, &rows.held));
        findings.extend(jobs::of_failed(&rows.failed));
        let unknown = rows.next_types.iter().filter(|job_type| !app.queue.registry().knows(job_type));
        findings.extend(unknown.map(|job_type| jobs::of_unknown_type(job_type)));
        findings.extend(rows.next_due_at.filter(|at| now - *at > WAITED_TOO_LONG).map(|_| jobs::not_run()));
        let pauses = rows.pauses.iter().filter(|pause| !pause.is_ending);
        findings.extend(pauses.map(|pause| jobs::paused(pause, now)));
        findings.extend(app.handover.problems().into_iter().map(server::of_handover));
        findings.extend((rows.differing > 0).then(|| server::of_differing(rows.differing)));
        findings.extend(server::of_silence(now, rows.last_webhook_at, silence));
        findings.extend(server::of_disk(disk));
        findings.extend((!rows.can_clear_page_slack).then(server::cannot_clear_page_slack));
        let unfinished = unfinished::list(app.db.path()).unwrap_or_default();
        findings.extend(unfinished.iter().map(|copy| server::unfinished_copy(copy)));
        findings.extend(server::of_backups(now, last_backup.as_ref()));
        findings.sort_by_key(|finding| !finding.is_bad);
        let failed_jobs = rows.failed.iter().map(|(_, count)| count).sum();
        let Rows { requests, differing: differing_orders, last_webhook_at, .. } = rows;
        Ok(Self { findings, requests, failed_jobs, differing_orders, last_webhook_at, disk, last_backup })
    }
}

/// Stores whose prices are in a currency that Shopify does not know: how many stores have it, and the first of those.
pub type UnknownCurrency = (Currency, u64, ShopDomain);

/// The currencies of stores that orders cannot be handed over in; empty without an app. Reads every store: not for each page.
///
/// # Errors
/// When the database fails.
pub fn unknown_currencies(app: &App) -> db::Result<Vec<UnknownCurrency>> {
    if app.handover.options().is_none() {
        return Ok(Vec::new());
    }
    let mut currencies = app.db.read(stores::list_currencies)?;
    currencies.retain(|(currency, ..)| !currency.is_known_to_shopify());
    Ok(currencies)
}

/// What a store's unknown currency means.
pub fn of_unknown_currency((currency, count, first): &UnknownCurrency) -> Finding {
    server::of_unknown_currency(*currency, *count, first)
}

/// A setting that does nothing, or not what was meant: a sentence of the command line's.
pub fn of_setting(fault: &str) -> Finding {
    server::of_setting(fault)
}

/// Whether failed jobs of this type have a sentence of their own.
fn is_of_orders(job_type: &str) -> bool {
    [DRAFT_ORDER_HANDOVER, DRAFT_ORDER_DELETION].contains(&job_type)
}
