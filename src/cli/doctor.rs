//! `quotegrid doctor`: looks at everything that could be wrong and says what is. Exit code 1 when something is, for a timer.

mod live_stores;

use super::output::Output;
use super::{Failure, options};
use crate::app::App;
use crate::backup::unfinished;
use crate::catalog::matrices::{self, FreeSizes};
use crate::catalog::stores;
use crate::clock::{instant, optional_instant};
use crate::config::{DatabaseSettings, ShopifySettings, UpkeepSettings};
use crate::db::{self, FileSizes, Schema, Space};
use crate::disk;
use crate::domain::ids::ShopDomain;
use crate::domain::money::Currency;
use crate::erasure::requests::{self, OpenRequests};
use crate::erasure::verify::{self, Verification};
use crate::erasure::{self, RESPONSE_DEADLINE};
use crate::intake;
use crate::orders::handover::{DRAFT_ORDER_DELETION, DRAFT_ORDER_HANDOVER};
use crate::orders::records;
use crate::queue::{self, Counts};
use crate::views::{gdpr, jobs};
use chrono::{DateTime, TimeDelta, Utc};
use live_stores::LiveStores;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    shopify: ShopifySettings,
    #[command(flatten)]
    upkeep: UpkeepSettings,
    /// First write the file anew, without free pages: what your own sqlite3 shell has deleted is gone then. Stop the server before;
    /// needs as much disk and memory as the file is large
    #[arg(long)]
    vacuum: bool,
}

/// Writes that are timed: enough for a median.
const PROBES: usize = 21;

/// Bytes of each: about a small commit.
const PROBE_BYTES: usize = 8 << 10;

/// A job that has been due for this long is not being processed.
const WAITED_TOO_LONG: TimeDelta = TimeDelta::hours(1);

/// An erasure that has waited for the scrub for this long waits for something that does not end by itself. Longer than a day, for a
/// replicator that is paused every night.
const UNSCRUBBED_TOO_LONG: TimeDelta = TimeDelta::hours(30);

/// Percent of the time for a privacy request below which its deadline is near.
const DEADLINE_SHARE_LEFT: i32 = 5;

/// Orders that differ at Shopify are reported for this long: nothing takes their warning away.
const DIFFERING_TOLD: TimeDelta = TimeDelta::days(30);

/// Products that are named because their lines at Shopify differ.
const PRODUCTS_NAMED: usize = 10;

/// Stores whose access to Shopify is tried: the first few say whether the app works, and each may take a call's whole time.
const SHOPS_TRIED: usize = 3;

/// Stores among which they are found.
const STORES_LOOKED_AT: usize = 100;

/// Matrices that are named because they sell sizes for nothing.
const FREE_NAMED: usize = 20;

/// Free bytes on the disk below which it is as good as full.
const DISK_FREE_MIN: u64 = 100 << 20;

pub(super) fn run(database: &DatabaseSettings, args: &Args, output: Output) -> Result<(), Failure> {
    let mut options = options(database, Schema::MustBeCurrent);
    options.disk_floor = args.upkeep.disk_floor;
    options.handover = args.shopify.handover()?;
    options.retention = args.upkeep.retention(options.handover.is_some());
    let mut rewritten = Vec::new();
    if args.vacuum {
        // Opened once before, so that a file which is not ours is reported as such and not rewritten.
        let app = App::open(super::options(database, Schema::MustBeCurrent))?;
        rewritten = app.scrubber().waiting()?;
        drop(app);
        db::rewrite(&database.database, database.synchronous).map_err(crate::app::OpenError::from)?;
    }
    let app = App::open(options)?;
    // What was deleted before is not in the new file, whatever this build of SQLite can look at.
    app.scrubber().mark_erased(&rewritten)?;
    let report = DoctorReport::make(&app, args.upkeep.silence())?;
    output.print(&report.document(), || report.text())?;
    if report.problems.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

/// What was looked at, and what is wrong with it.
struct DoctorReport {
    path: String,
    schema: u32,
    settings: Vec<(&'static str, String)>,
    space: Space,
    sizes: FileSizes,
    disk: Option<disk::Seen>,
    fsync: Option<Fsync>,
    jobs: Counts,
    oldest_due_at: Option<DateTime<Utc>>,
    duties: OpenRequests,
    failed_duty_jobs: u64,
    /// Other jobs that were discarded, by type.
    failed_other_jobs: Vec<(String, u64)>,
    /// Types of waiting jobs that this program has no handler for.
    unknown_types: Vec<String>,
    duties_without_job: usize,
    handover: Handovers,
    live_stores: LiveStores,
    notes: Vec<String>,
    last_webhook_at: Option<DateTime<Utc>>,
    /// Matrices that sell sizes for nothing: meant, maybe, so this is reported and no problem.
    free: Vec<FreeSizes>,
    verification: Verification,
    unfinished: Vec<PathBuf>,
    file_faults: Vec<String>,
    can_clear_page_slack: bool,
    problems: Vec<String>,
}

/// The state of handing orders over to Shopify.
#[derive(Default)]
struct Handovers {
    is_configured: bool,
    failed_jobs: u64,
    /// Drafts of cancelled orders that Shopify would not delete.
    failed_deletions: u64,
    /// Products whose lines at Shopify were not what was sent: which, and how.
    products: Vec<(String, String)>,
    /// Orders of the last days that are not at Shopify as they were quoted.
    differing: u64,
    /// Why the app gets no access, by shop.
    refused: Vec<(String, String)>,
    /// Currencies of stores that Shopify does not know: how many stores have them, and the first of those.
    unknown_currencies: Vec<(Currency, u64, ShopDomain)>,
}

impl Handovers {
    fn look(app: &App) -> Result<Self, Failure> {
        let since = app.clock.now() - DIFFERING_TOLD;
        let (failed_jobs, failed_deletions, products, differing, stores, mut unknown_currencies) =
            app.db.read(|connection| -> db::Result<_> {
                Ok((
                    queue::count_failed(connection, &[DRAFT_ORDER_HANDOVER])?,
                    queue::count_failed(connection, &[DRAFT_ORDER_DELETION])?,
                    records::list_differing_products(connection, since, PRODUCTS_NAMED)?,
                    records::count_differing(connection, since)?,
                    stores::list(connection, None, STORES_LOOKED_AT)?,
                    stores::list_currencies(connection)?,
                ))
            })?;
        let is_configured = app.handover.options().is_some();
        unknown_currencies.retain(|(currency, ..)| is_configured && !currency.is_known_to_shopify());
        let live = stores.iter().filter(|store| store.uninstalled_at.is_none() && store.erasing_since.is_none());
        let tried = live.take(if is_configured { SHOPS_TRIED } else { 0 });
        let refused = tried.filter_map(|store| Some((store.shop.to_string(), app.handover.check(&store.shop).err()?)));
        let refused = refused.collect();
        Ok(Self { is_configured, failed_jobs, failed_deletions, products, differing, refused, unknown_currencies })
    }
}

/// How long small durable writes take next to the database.
struct Fsync {
    median: Duration,
    slowest: Duration,
}

impl DoctorReport {
    fn make(app: &App, silence: Option<TimeDelta>) -> Result<Self, Failure> {
        let now = app.clock.now();
        let settings = app.db.write(|tx| db::settings(tx))?;
        let (
            space,
            jobs,
            oldest_due_at,
            duties,
            failed_duty_jobs,
            failed,
            next_types,
            duties_without_job,
            last_webhook_at,
            free,
        ) = app.db.read(|connection| -> db::Result<_> {
            Ok((
                db::space(connection)?,
                queue::counts(connection)?,
                queue::next_due_at(connection)?.filter(|at| *at <= now),
                requests::open_requests(connection, now)?,
                erasure::count_failed_jobs(connection)?,
                queue::count_failed_by_type(connection)?,
                queue::next_types(connection)?,
                erasure::list_without_job(connection)?.len(),
                intake::last_received_at(connection)?,
                matrices::list_free(connection, FREE_NAMED)?,
            ))
        })?;
        let program = std::env::current_exe()?;
        let mut report = Self {
            path: app.db.path().display().to_string(),
            schema: app.db.migrated().to,
            settings,
            space,
            sizes: app.db.file_sizes(),
            disk: app.disk.look(),
            fsync: time_fsync(app.db.path()).ok(),
            jobs,
            oldest_due_at,
            duties,
            failed_duty_jobs,
            failed_other_jobs: failed.into_iter().filter(|(job_type, _)| !is_named_elsewhere(job_type)).collect(),
            unknown_types: next_types.into_iter().filter(|job_type| !app.queue.registry().knows(job_type)).collect(),
            duties_without_job,
            handover: Handovers::look(app)?,
            live_stores: app.db.read(|connection| LiveStores::look(connection, now))?,
            notes: Vec::new(),
            last_webhook_at,
            free,
            verification: verify::verify(&app.db, &app.hasher, &program)?,
            unfinished: unfinished::list(app.db.path())?,
            file_faults: db::file_faults(app.db.path()),
            can_clear_page_slack: app.db.read(db::can_clear_page_slack)?,
            problems: Vec::new(),
        };
        report.judge(now, silence);
        Ok(report)
    }

    fn judge(&mut self, now: DateTime<Utc>, silence: Option<TimeDelta>) {
        let mut problems = std::mem::take(&mut self.file_faults);
        if self.duties.overdue > 0 {
            problems.push(format!("{} privacy requests are overdue: see `quotegrid gdpr list`", self.duties.overdue));
        } else if self.duties.next_due_at.is_some_and(|due| due - now < RESPONSE_DEADLINE * DEADLINE_SHARE_LEFT / 100) {
            problems.push("a privacy request is nearly due and not done: see `quotegrid gdpr list`".to_owned());
        }
        if self.failed_duty_jobs > 0 {
            let count = self.failed_duty_jobs;
            problems.push(format!(
                "{count} jobs of legal duties have failed permanently: see `quotegrid jobs list --status failed`, fix the cause, and `quotegrid jobs retry` them"
            ));
        }
        for (job_type, count) in &self.failed_other_jobs {
            problems.push(format!(
                "{count} jobs of type {job_type:?} have failed: see `quotegrid jobs list --status failed`, then `quotegrid jobs retry` them"
            ));
        }
        for job_type in &self.unknown_types {
            problems.push(format!(
                "jobs of type {job_type:?} wait, and this program does not know that type: start the program that does, or `quotegrid jobs cancel` them"
            ));
        }
        problems.extend(self.live_stores.problems(now));
        self.notes = self.live_stores.notes(now);
        if self.duties_without_job > 0 {
            problems.push(erasure::without_job_problem(self.duties_without_job));
        }
        for (shop, why) in &self.handover.refused {
            problems.push(format!("orders of {shop} cannot be handed over: {why}"));
        }
        for (currency, count, first) in &self.handover.unknown_currencies {
            problems.push(format!(
                "{count} stores have prices in {currency}, which Shopify is not known to take: orders there cannot be handed over. See `quotegrid stores show {first}`, and `quotegrid stores set` for another currency"
            ));
        }
        if self.handover.failed_jobs > 0 {
            let count = self.handover.failed_jobs;
            problems.push(format!(
                "{count} orders could not be handed over to Shopify: see `quotegrid jobs list --status failed`, fix the cause, and `quotegrid jobs retry` them"
            ));
        }
        if self.handover.failed_deletions > 0 {
            let count = self.handover.failed_deletions;
            problems.push(format!(
                "{count} draft orders of cancelled orders could not be deleted at Shopify, and their shoppers can still pay: see `quotegrid jobs list --status failed`, and delete them there or `quotegrid jobs retry`"
            ));
        }
        for (product, how) in &self.handover.products {
            problems.push(format!("the line of product {product} at Shopify is not what was sent: {how}"));
        }
        if self.handover.differing > 0 {
            let count = self.handover.differing;
            problems.push(format!(
                "{count} orders of the last 30 days are not at Shopify as they were quoted: `quotegrid orders list` marks them, and `quotegrid orders show` says how"
            ));
        }
        if self.oldest_due_at.is_some_and(|at| now - at > WAITED_TOO_LONG) {
            problems.push(
                "jobs have been due for over an hour: is `quotegrid serve` or `quotegrid work` running?".to_owned(),
            );
        }
        if let (Some(last), Some(silence)) = (self.last_webhook_at, silence)
            && now - last > silence
        {
            problems.push(format!(
                "no webhook has come since {}: is the server reachable, and the app's webhook address right? (`quotegrid webhook setup`)",
                instant(last)
            ));
        }
        if let Some((sequence, why)) = self.verification.chain.broken_at {
            problems.push(format!("the chain of receipts is broken at number {sequence}: {why}"));
        }
        for mismatch in &self.verification.mismatches {
            problems.push(format!("mismatch in {}: {} ({} times)", mismatch.place, mismatch.what, mismatch.times));
        }
        if self.duties.to_scrub_since.is_some_and(|since| now - since > UNSCRUBBED_TOO_LONG) {
            problems.push(
                "erasures have waited for the scrub for over a day: no server is running, or another program keeps the WAL in use (a replicator, a sqlite3 shell that was left open?)".to_owned(),
            );
        }
        for copy in &self.unfinished {
            problems.push(format!(
                "{} is what a backup, restore or upgrade that was cut off has left, with all that was erased since: it is removed when `quotegrid serve` or `quotegrid work` starts, or delete it",
                copy.display()
            ));
        }
        for leftover in &self.verification.leftovers {
            problems.push(format!("left over in {}: {} ({} times)", leftover.place, leftover.what, leftover.times));
        }
        if let Some(disk) = self.disk.filter(disk::Seen::is_low) {
            let floor = mebibytes(disk.floor);
            problems.push(format!(
                "the disk is nearly full: below {floor} free no orders and imports are taken (QUOTEGRID_DISK_FLOOR); `quotegrid orders delete` makes room, and so does a larger disk"
            ));
        } else if self.disk.is_some_and(|disk| disk.free < DISK_FREE_MIN) {
            problems.push("the disk is nearly full".to_owned());
        }
        if !self.can_clear_page_slack {
            problems.push(
                "this build cannot look for erased rows that SQLite has moved and left in pages: build it in a checkout (see .cargo/config.toml), and run `quotegrid doctor --vacuum` meanwhile".to_owned(),
            );
        }
        if self.settings.iter().any(|(name, value)| *name == "secure_delete" && value != "1") {
            problems.push("secure_delete is off".to_owned());
        }
        self.problems = problems;
    }

    fn document(&self) -> Value {
        let millis = |duration: Duration| (duration.as_secs_f64() * 100_000.0).round() / 100.0;
        json!({
            "ok": self.problems.is_empty(),
            "problems": self.problems,
            "notes": self.notes,
            "redactsOfLiveStores": self.live_stores.document(),
            "database": self.path,
            "versions": {
                "quotegrid": env!("CARGO_PKG_VERSION"),
                "sqlite": rusqlite::version(),
                "schema": self.schema,
            },
            "settings": Value::from_iter(self.settings.iter().map(|(name, value)| (*name, json!(value)))),
            "files": {
                "databaseBytes": self.sizes.database,
                "walBytes": self.sizes.wal,
                "freeBytes": self.space.free * self.space.page_size,
            },
            "disk": {
                "freeBytes": self.disk.map(|disk| disk.free),
                "floorBytes": self.disk.map(|disk| disk.floor),
                "fsyncMedianMs": self.fsync.as_ref().map(|fsync| millis(fsync.median)),
                "fsyncSlowestMs": self.fsync.as_ref().map(|fsync| millis(fsync.slowest)),
            },
            "jobs": jobs::counts(&self.jobs),
            "oldestDueAt": optional_instant(self.oldest_due_at),
            "duties": {
                "open": self.duties.open,
                "overdue": self.duties.overdue,
                "waitingForScrub": self.duties.to_scrub,
                "nextDueAt": optional_instant(self.duties.next_due_at),
                "failedJobs": self.failed_duty_jobs,
                "withoutJob": self.duties_without_job,
            },
            "handover": {
                "configured": self.handover.is_configured,
                "failedJobs": self.handover.failed_jobs,
                "failedDeletions": self.handover.failed_deletions,
                "differingProducts": self.handover.products.iter().map(|(product, how)| json!({ "product": product, "how": how })).collect::<Vec<_>>(),
                "differingOrders": self.handover.differing,
                "refused": self.handover.refused.iter().map(|(shop, why)| json!({ "shop": shop, "why": why })).collect::<Vec<_>>(),
            },
            "unknownCurrencies": Value::from_iter(self.handover.unknown_currencies.iter().map(|(currency, ..)| currency.code())),
            "lastWebhookAt": optional_instant(self.last_webhook_at),
            "zeroPrices": self.free.iter().map(|matrix| json!({
                "shop": matrix.shop.to_string(),
                "matrixId": matrix.id.to_string(),
                "matrix": matrix.name.as_str(),
                "sizes": matrix.count,
            })).collect::<Vec<_>>(),
            "verification": gdpr::verification(&self.verification),
            "unfinishedCopies": Value::from_iter(self.unfinished.iter().map(|path| path.display().to_string())),
        })
    }

    fn text(&self) -> String {
        let settings: Vec<String> = self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut lines = vec![
            format!("quotegrid {}, SQLite {}, schema {}", env!("CARGO_PKG_VERSION"), rusqlite::version(), self.schema),
            format!("database      {}", self.path),
            format!("settings      {}", settings.join(" ")),
            format!(
                "files         {}, {} of it free; WAL {}",
                mebibytes(self.sizes.database),
                mebibytes(self.space.free * self.space.page_size),
                mebibytes(self.sizes.wal)
            ),
        ];
        lines.extend(self.disk.map(|disk| format!("disk          {} free", mebibytes(disk.free))));
        lines.extend(self.fsync.as_ref().map(|Fsync { median, slowest }| {
            format!("fsync         {median:.2?} in the middle, {slowest:.2?} at the slowest")
        }));
        let Counts { pending, processing, failed, .. } = self.jobs;
        lines.push(format!("jobs          {pending} pending, {processing} processing, {failed} failed"));
        let OpenRequests { open, overdue, to_scrub, .. } = self.duties;
        lines.push(format!("duties        {open} open, {overdue} overdue, {to_scrub} waiting for the scrub"));
        let Handovers { is_configured, failed_jobs, .. } = self.handover;
        let app = if is_configured { "by the configured app" } else { "not configured" };
        lines.push(format!("hand-over     {app}, {failed_jobs} failed"));
        let last = optional_instant(self.last_webhook_at).unwrap_or_else(|| "none known".to_owned());
        lines.push(format!("last webhook  {last}"));
        let chain = &self.verification.chain;
        lines.push(format!("receipts      {}", chain.receipts));
        lines.extend(self.notes.iter().map(|note| format!("NOTE: {note}")));
        lines.extend(self.free.iter().map(|FreeSizes { shop, name, count, .. }| {
            let sizes = if *count == 1 { "size that is" } else { "sizes that are" };
            format!("price of 0    {:?} at {shop} has {count} {sizes} sold for nothing", name.as_str())
        }));
        if self.problems.is_empty() {
            lines.push("all is well".to_owned());
        }
        lines.extend(self.problems.iter().map(|problem| format!("PROBLEM: {problem}")));
        lines.join("\n")
    }
}

/// Whether failed jobs of this type have a sentence of their own, which says what they mean.
fn is_named_elsewhere(job_type: &str) -> bool {
    [DRAFT_ORDER_HANDOVER, DRAFT_ORDER_DELETION].contains(&job_type) || erasure::PRIVACY_JOBS.contains(&job_type)
}

fn mebibytes(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20)
}

/// Times small durable writes to a file of its own next to the database.
fn time_fsync(database: &Path) -> std::io::Result<Fsync> {
    let directory = db::files::directory_of(database);
    let mut file = tempfile::tempfile_in(directory)?;
    let block = [0; PROBE_BYTES];
    let mut times = Vec::with_capacity(PROBES);
    for _ in 0..PROBES {
        let started = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(Fsync { median: times[PROBES / 2], slowest: times[PROBES - 1] })
}
