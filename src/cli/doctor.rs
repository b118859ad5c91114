//! `quotegrid doctor`: looks at everything that could be wrong and says what is. Exit code 1 when something is, for a timer.

mod live_stores;
mod products;

use super::output::Output;
use super::{Failure, options};
use crate::app::App;
use crate::backup::unfinished;
use crate::catalog::matrices::{self, FreeSizes};
use crate::catalog::stores;
use crate::clock::optional_instant;
use crate::config::{DatabaseSettings, ShopifySettings, UpkeepSettings};
use crate::db::{self, FileSizes, Schema, Space};
use crate::erasure;
use crate::erasure::requests::OpenRequests;
use crate::erasure::verify::{self, Verification};
use crate::findings::{self, Condition, DIFFERING_SINCE, Finding, UnknownCurrency};
use crate::orders::handover::{DRAFT_ORDER_DELETION, DRAFT_ORDER_HANDOVER};
use crate::orders::records;
use crate::queue::{self, Counts};
use crate::views::{gdpr, jobs};
use chrono::{DateTime, TimeDelta, Utc};
use live_stores::LiveStores;
use products::ProductLines;
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

/// Products that are named because their lines at Shopify differ.
const PRODUCTS_NAMED: usize = 10;

/// Stores whose access to Shopify is tried: the first few say whether the app works, and each may take a call's whole time.
const SHOPS_TRIED: usize = 3;

/// Stores among which they are found.
const STORES_LOOKED_AT: usize = 100;

/// Matrices that are named because they sell sizes for nothing.
const FREE_NAMED: usize = 20;

pub(super) fn run(database: &DatabaseSettings, args: &Args, output: Output) -> Result<(), Failure> {
    let mut options = options(database, Schema::MustBeCurrent);
    options.disk_floor = args.upkeep.disk_floor;
    options.handover = args.shopify.handover()?;
    options.retention = args.upkeep.retention(options.handover.is_some());
    let mut rewritten = Vec::new();
    if args.vacuum {
        // Opened once before, so that a file which is not ours is reported as such and not rewritten.
        let app = App::open(super::options(database, Schema::MustBeCurrent))?;
        rewritten = app.scrubber().prepare()?;
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
    fsync: Option<Fsync>,
    jobs: Counts,
    oldest_due_at: Option<DateTime<Utc>>,
    failed_duty_jobs: u64,
    duties_without_job: usize,
    handover: Handovers,
    live_stores: LiveStores,
    notes: Vec<String>,
    /// Matrices that sell sizes for nothing: meant, maybe, so this is reported and no problem.
    free: Vec<FreeSizes>,
    verification: Verification,
    unfinished: Vec<PathBuf>,
    /// What the console shows too.
    condition: Condition,
    problems: Vec<String>,
}

/// The state of handing orders over to Shopify.
#[derive(Default)]
struct Handovers {
    is_configured: bool,
    failed_jobs: u64,
    /// Drafts of cancelled orders that Shopify would not delete.
    failed_draft_deletions: u64,
    /// Products whose lines at Shopify were not what was sent: which, and how.
    products: Vec<(String, String)>,
    /// Why the app gets no access, by shop.
    refused: Vec<(String, String)>,
    /// Currencies of stores that Shopify does not know: how many stores have them, and the first of those.
    unknown_currencies: Vec<UnknownCurrency>,
    /// Products whose lines would not be as expected.
    lines: ProductLines,
}

impl Handovers {
    fn look(app: &App) -> Result<Self, Failure> {
        let since = app.clock.now() - DIFFERING_SINCE;
        let (failed_jobs, failed_draft_deletions, products, stores) = app.db.read(|connection| -> db::Result<_> {
            Ok((
                queue::count_failed(connection, &[DRAFT_ORDER_HANDOVER])?,
                queue::count_failed(connection, &[DRAFT_ORDER_DELETION])?,
                records::list_differing_products(connection, since, PRODUCTS_NAMED)?,
                stores::list(connection, None, STORES_LOOKED_AT)?,
            ))
        })?;
        let is_configured = app.handover.options().is_some();
        let live = stores.iter().filter(|store| store.is_live());
        let tried = live.take(if is_configured { SHOPS_TRIED } else { 0 });
        let refused = tried.filter_map(|store| Some((store.shop.to_string(), app.handover.check(&store.shop).err()?)));
        let refused: Vec<(String, String)> = refused.collect();
        let unknown_currencies = findings::unknown_currencies(app)?;
        let lines = ProductLines::look(app, &stores, &refused)?;
        Ok(Self { is_configured, failed_jobs, failed_draft_deletions, products, refused, unknown_currencies, lines })
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
        let (space, jobs, oldest_due_at, failed_duty_jobs, duties_without_job, free) =
            app.db.read(|connection| -> db::Result<_> {
                Ok((
                    db::space(connection)?,
                    queue::counts(connection)?,
                    queue::next_due_at(connection)?.filter(|at| *at <= now),
                    erasure::count_failed_jobs(connection)?,
                    erasure::list_without_job(connection, &app.hasher)?.len(),
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
            fsync: time_fsync(app.db.path()).ok(),
            jobs,
            oldest_due_at,
            failed_duty_jobs,
            duties_without_job,
            handover: Handovers::look(app)?,
            live_stores: app.db.read(|connection| LiveStores::look(connection, now))?,
            notes: Vec::new(),
            free,
            verification: verify::verify(&app.db, &app.hasher, &program)?,
            unfinished: unfinished::list(app.db.path())?,
            condition: Condition::look(app, silence)?,
            problems: Vec::new(),
        };
        report.judge(now);
        Ok(report)
    }

    fn judge(&mut self, now: DateTime<Utc>) {
        let mut problems = Vec::new();
        problems.extend(self.condition.findings.iter().filter_map(Finding::problem));
        problems.extend(self.live_stores.problems(now));
        self.notes = self.live_stores.notes(now);
        self.notes.append(&mut self.handover.lines.notes);
        if self.duties_without_job > 0 {
            problems.push(erasure::without_job_problem(self.duties_without_job));
        }
        for (shop, why) in &self.handover.refused {
            problems.push(format!("orders of {shop} cannot be handed over: {why}"));
        }
        problems.extend(
            self.handover
                .unknown_currencies
                .iter()
                .map(findings::of_unknown_currency)
                .filter_map(|found| found.problem()),
        );
        for (product, how) in &self.handover.products {
            problems.push(format!("the line of product {product} at Shopify is not what was sent: {how}"));
        }
        problems.append(&mut self.handover.lines.problems);
        if let Some((sequence, why)) = self.verification.chain.broken_at {
            problems.push(format!("the chain of receipts is broken at number {sequence}: {why}"));
        }
        for mismatch in &self.verification.mismatches {
            problems.push(format!("mismatch in {}: {} ({} times)", mismatch.place, mismatch.what, mismatch.times));
        }
        for leftover in &self.verification.leftovers {
            problems.push(format!("left over in {}: {} ({} times)", leftover.place, leftover.what, leftover.times));
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
                "freeBytes": self.condition.disk.map(|disk| disk.free),
                "floorBytes": self.condition.disk.map(|disk| disk.floor),
                "fsyncMedianMs": self.fsync.as_ref().map(|fsync| millis(fsync.median)),
                "fsyncSlowestMs": self.fsync.as_ref().map(|fsync| millis(fsync.slowest)),
            },
            "jobs": jobs::counts(&self.jobs),
            "oldestDueAt": optional_instant(self.oldest_due_at),
            "duties": {
                "open": self.condition.requests.open,
                "overdue": self.condition.requests.overdue,
                "waitingForScrub": self.condition.requests.to_scrub,
                "nextDueAt": optional_instant(self.condition.requests.next_due_at),
                "failedJobs": self.failed_duty_jobs,
                "withoutJob": self.duties_without_job,
            },
            "handover": {
                "configured": self.handover.is_configured,
                "failedJobs": self.handover.failed_jobs,
                "failedDeletions": self.handover.failed_draft_deletions,
                "differingProducts": self.handover.products.iter().map(|(product, how)| json!({ "product": product, "how": how })).collect::<Vec<_>>(),
                "differingOrders": self.condition.differing_orders,
                "refused": self.handover.refused.iter().map(|(shop, why)| json!({ "shop": shop, "why": why })).collect::<Vec<_>>(),
            },
            "unknownCurrencies": Value::from_iter(self.handover.unknown_currencies.iter().map(|(currency, ..)| currency.code())),
            "lastWebhookAt": optional_instant(self.condition.last_webhook_at),
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
        lines.extend(self.condition.disk.map(|disk| format!("disk          {} free", mebibytes(disk.free))));
        lines.extend(self.fsync.as_ref().map(|Fsync { median, slowest }| {
            format!("fsync         {median:.2?} in the middle, {slowest:.2?} at the slowest")
        }));
        let Counts { pending, processing, failed, .. } = self.jobs;
        lines.push(format!("jobs          {pending} pending, {processing} processing, {failed} failed"));
        let OpenRequests { open, overdue, to_scrub, .. } = self.condition.requests;
        lines.push(format!("duties        {open} open, {overdue} overdue, {to_scrub} waiting for the scrub"));
        let Handovers { is_configured, failed_jobs, .. } = self.handover;
        let app = if is_configured { "by the configured app" } else { "not configured" };
        lines.push(format!("hand-over     {app}, {failed_jobs} failed"));
        let last = optional_instant(self.condition.last_webhook_at).unwrap_or_else(|| "none known".to_owned());
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
