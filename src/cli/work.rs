//! `quotegrid work`: workers alongside a server on the same file.

use super::output::Output;
use super::signals::{self, StopSignals};
use super::{Failure, options, remove_unfinished, warn_of_files};
use crate::app::App;
use crate::config::{DatabaseSettings, ShopifySettings, UpkeepSettings, WORKERS, WorkerSettings};
use crate::db::{self, Schema};
use log::info;
use serde_json::json;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    workers: WorkerSettings,
    #[command(flatten)]
    shopify: ShopifySettings,
    #[command(flatten)]
    upkeep: UpkeepSettings,
}

pub(super) fn run(database: &DatabaseSettings, args: Args, output: Output) -> Result<(), Failure> {
    let signals = StopSignals::catch()?;
    let mut options = options(database, Schema::MakeIfMissing);
    options.worker.lease = Duration::from_millis(args.workers.lease_ms.into());
    options.redact_hold = args.upkeep.redact_hold();
    options.alerts = args.upkeep.alerts()?;
    options.disk_floor = args.upkeep.disk_floor;
    options.handover = args.shopify.handover()?;
    options.retention = args.upkeep.retention(options.handover.is_some());
    let app = App::open(options)?;
    warn_of_files(&app);
    remove_unfinished(&app);
    let workers = args.workers.workers.unwrap_or(WORKERS);
    let background = app.start(workers.into())?;
    let path = app.db.path().display().to_string();
    output.print(&json!({ "event": "working", "database": path, "workers": workers }), || {
        format!("quotegrid working on {path}")
    })?;
    signals::stop_when_disk_fails(&app.db);
    signals.wait();
    background.stop(signals::grace_for(&app.db, Duration::from_millis(args.workers.grace_ms.into())));
    let disk_failed = app.db.has_sync_failed();
    drop(app);
    info!("stopped");
    if disk_failed { Err(db::Error::SyncFailed.into()) } else { Ok(()) }
}
