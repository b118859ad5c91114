//! Backups are whole whatever is written meanwhile; a restore brings nobody back who was erased, and loses no duty.

mod commands;
mod erased;
mod interrupted;
mod ordered;
mod restoring;
mod taking;

use crate::support::command::PROGRAM;
use crate::support::files::holds;
use quotegrid::app::{App, Options};
use quotegrid::backup::{self, BackupError, Restore, RestoreReport};
use quotegrid::catalog::{keys, matrices, stores};
use quotegrid::clock::ManualClock;
use quotegrid::db;
use quotegrid::domain::ids::{MatrixId, ShopDomain};
use quotegrid::domain::length::{Length, Unit};
use quotegrid::domain::matrix::{OutOfRange, PriceMatrix, SizeLimits};
use quotegrid::domain::money::Minor;
use quotegrid::entropy::SeededEntropy;
use quotegrid::erasure::verify;
use quotegrid::error::Error;
use quotegrid::intake::IntakeOutcome;
use quotegrid::queue::StepOutcome;
use quotegrid::shopify::{Topic, Webhook, WebhookEvent};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Each opening has ids of its own, and each database a key of its own.
static OPENINGS: AtomicU64 = AtomicU64::new(1);

/// A database that is opened and closed, and a place for its backups.
struct House {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { directory, clock: Arc::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("house.db")
    }

    fn open(&self) -> App {
        self.open_file("house.db")
    }

    fn open_file(&self, name: &str) -> App {
        let mut options = Options::new(self.path(name));
        options.clock = self.clock.clone();
        options.database.write_wait = Duration::from_secs(120);
        options.entropy = Arc::new(SeededEntropy::new(OPENINGS.fetch_add(1, Ordering::Relaxed)));
        App::open(options).expect("a database")
    }

    fn back_up(&self) -> PathBuf {
        let target = self.path("backup.db");
        backup::create(&self.database(), &target, true, &mut |_done, _all| {}).expect("backed up");
        target
    }

    fn restore(&self) -> Result<RestoreReport, BackupError> {
        self.restore_from("backup.db", false)
    }

    fn restore_from(&self, name: &str, without_replay: bool) -> Result<RestoreReport, BackupError> {
        let seed = OPENINGS.fetch_add(1, Ordering::Relaxed);
        let restore = Restore {
            backup: self.path(name),
            database: self.database(),
            clock: self.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(seed)),
            without_replay,
        };
        backup::restore(&restore, &mut |_stage| {})
    }

    fn pass_a_minute(&self) {
        self.clock.advance(Duration::from_secs(60));
    }

    /// What is in the directory.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).expect("readable");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn shop(name: &str) -> ShopDomain {
    format!("{name}.myshopify.com").parse().expect("a shop domain")
}

/// Installs a store with a matrix whose name is told from all other bytes, and a key.
fn install(app: &App, name: &str) {
    let (now, entropy, wanted) = (app.clock.now(), app.entropy.clone(), shop(name));
    let title = format!("marked-{name}");
    let done: Result<(), Error> = app.db.write(move |tx| {
        let currency = "EUR".parse().expect("a currency");
        let scope = stores::install(tx, now, entropy.as_ref(), &wanted, currency, Unit::Mm)?.scope();
        keys::issue(tx, now, entropy.as_ref(), scope.store, None)?;
        let step = |thousandths| Length::from_thousandths(thousandths).expect("a length");
        let widths: Vec<Length> = (1..=20).map(|width| step(width * 1_000)).collect();
        let prices = [vec![Some(Minor::new(1)); 20]];
        let matrix = PriceMatrix::new(&widths, &[step(1_000)], &prices, OutOfRange::Reject, SizeLimits::default());
        let (name, matrix) = (title.parse().expect("a name"), matrix.expect("sound"));
        matrices::insert(tx, now, MatrixId::new(now, entropy.array()), scope, &name, &matrix)?;
        Ok(())
    });
    done.expect("installed");
}

fn run_all(app: &App) -> usize {
    let mut ran = 0;
    while app.process_next_job().expect("a working database") != StepOutcome::Idle {
        ran += 1;
    }
    ran
}

fn erase(app: &App, name: &str) {
    deliver(app, Topic::ShopRedact, WebhookEvent::ShopRedact, name, "erase");
    assert!(run_all(app) > 0);
    assert!(!has_store(app, name));
}

fn deliver(app: &App, topic: Topic, event: WebhookEvent, name: &str, id: &str) -> IntakeOutcome {
    let id = format!("{name}-{id}-{}", if id == "again" { 0 } else { app.clock.now().timestamp_millis() });
    let webhook = Webhook { topic, webhook_id: Some(id), event_id: None, shop: shop(name), triggered_at: None, event };
    let (sender, receiver) = channel();
    app.intake().accept_then(webhook, b"", move |outcome| sender.send(outcome).expect("the test waits"));
    receiver.recv().expect("answered").expect("taken")
}

fn has_store(app: &App, name: &str) -> bool {
    app.db.read(|connection| stores::find(connection, &shop(name))).expect("readable").is_some()
}

fn one<T: rusqlite::types::FromSql>(app: &App, sql: &str) -> T {
    app.db
        .read(|connection| -> db::Result<T> { Ok(connection.query_row(sql, (), |row| row.get(0))?) })
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn assert_clean(app: &App) {
    let found = verify::verify(&app.db, &app.hasher, Path::new(PROGRAM)).expect("verifiable");
    assert!(found.is_ok(), "{found:?}");
    assert_eq!(found.to_scrub, 0);
}
