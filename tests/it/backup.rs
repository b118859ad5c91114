//! Backups are whole whatever is written meanwhile; a restore brings nobody back who was erased, and loses no duty.

use quotegrid::app::{App, Options};
use quotegrid::backup::{self, BackupError, Report, Restore};
use quotegrid::catalog::{keys, matrices, stores};
use quotegrid::clock::{Clock, ManualClock};
use quotegrid::db::{self, OpenError};
use quotegrid::domain::ids::{MatrixId, ShopDomain};
use quotegrid::domain::length::{Length, Unit};
use quotegrid::domain::matrix::{Limits, Outside, PriceMatrix};
use quotegrid::domain::money::Minor;
use quotegrid::entropy::SeededEntropy;
use quotegrid::erasure::{receipts, verify};
use quotegrid::error::Error;
use quotegrid::intake::{Intake, Outcome};
use quotegrid::queue::{NewJob, Step};
use quotegrid::shopify::{Notice, Topic, Webhook};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quotegrid");

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
        options.entropy = Arc::new(SeededEntropy::new(OPENINGS.fetch_add(1, Ordering::Relaxed)));
        App::open(options).expect("a database")
    }

    fn back_up(&self) -> PathBuf {
        let target = self.path("backup.db");
        backup::create(&self.database(), &target, true, &mut |_done, _all| {}).expect("backed up");
        target
    }

    fn restore(&self) -> Result<Report, BackupError> {
        self.restore_from("backup.db", false)
    }

    fn restore_from(&self, name: &str, without_replay: bool) -> Result<Report, BackupError> {
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

    /// What lies in the directory.
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
        let matrix = PriceMatrix::new(&widths, &[step(1_000)], &prices, Outside::Reject, Limits::default());
        let (name, matrix) = (title.parse().expect("a name"), matrix.expect("sound"));
        matrices::insert(tx, now, MatrixId::new(now, entropy.array()), scope, &name, &matrix)?;
        Ok(())
    });
    done.expect("installed");
}

fn run_all(app: &App) -> usize {
    let mut ran = 0;
    while app.process_next_job().expect("a working database") != Step::Idle {
        ran += 1;
    }
    ran
}

fn erase(app: &App, name: &str) {
    deliver(app, Topic::ShopRedact, Notice::ShopRedact, name, "erase");
    assert!(run_all(app) > 0);
    assert!(!has_store(app, name));
}

fn deliver(app: &App, topic: Topic, notice: Notice, name: &str, id: &str) -> Outcome {
    let id = format!("{name}-{id}-{}", if id == "again" { 0 } else { app.clock.now().timestamp_millis() });
    let webhook = Webhook { topic, webhook_id: Some(id), event_id: None, shop: shop(name), triggered_at: None, notice };
    let (sender, receiver) = channel();
    Intake::new(app).accept_then(webhook, b"", move |outcome| sender.send(outcome).expect("the test waits"));
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

/// Whether the bytes of a file hold a text. Only for files that nobody has open.
fn holds(path: &Path, text: &str) -> bool {
    let bytes = fs::read(path).expect("readable");
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

#[test]
fn a_backup_is_whole_for_its_owner_only_and_laid_out_like_the_database() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    app.enqueue(NewJob::new("later", json!({ "n": 1 }))).expect("enqueued");
    let backup = house.back_up();
    assert_eq!(fs::metadata(&backup).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(house.names(), ["backup.db", "house.db", "house.db-shm", "house.db-wal", "house.db.locks"]);
    // Opening reads back every setting, secure_delete among them.
    let copy = house.open_file("backup.db");
    for table in ["stores", "price_matrices", "matrix_cells", "job_queue", "api_keys", "meta"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(one::<u64>(&copy, &count), one::<u64>(&app, &count), "{table}");
    }
    let layout = "SELECT page_size || ' ' || auto_vacuum FROM pragma_page_size, pragma_auto_vacuum";
    assert_eq!(one::<String>(&copy, layout), "8192 2");
    assert!(copy.hasher == app.hasher);
}

#[test]
fn a_backup_overwrites_nothing_unless_told_to_and_never_the_database() {
    let house = House::new();
    let app = house.open();
    let target = house.path("precious");
    fs::write(&target, "precious").expect("written");
    let create = |target: &Path, force| backup::create(&house.database(), target, force, &mut |_done, _all| {});
    assert!(matches!(create(&target, false), Err(BackupError::Exists { .. })));
    assert_eq!(fs::read(&target).expect("readable"), b"precious");
    assert!(matches!(create(&house.database(), true), Err(BackupError::Itself { .. })));
    create(&target, true).expect("overwritten");
    assert!(matches!(create(&target, false), Err(BackupError::Exists { .. })));
    assert!(backup::create(&house.path("nothing.db"), &target, true, &mut |_done, _all| {}).is_err());
    assert!(!house.names().iter().any(|name| name.contains("backing-up")), "{:?}", house.names());
    drop(app);
}

#[test]
fn a_wal_that_lies_beside_the_name_of_a_backup_does_not_get_into_it() {
    let house = House::new();
    let app = house.open();
    install(&app, "erased");
    let wal = fs::read(house.path("house.db-wal")).expect("a WAL");
    erase(&app, "erased");
    install(&app, "new");
    for _overwritten in [false, true] {
        // What a program leaves that looked into an older backup and was killed.
        fs::write(house.path("backup.db-wal"), &wal).expect("written");
        house.back_up();
        let backup = house.open_file("backup.db");
        assert!(has_store(&backup, "new") && !has_store(&backup, "erased"));
    }
}

#[test]
fn a_backup_under_full_load_is_a_beginning_of_the_history() {
    let house = House::new();
    let app = house.open();
    let (written, stop) = (AtomicU64::new(0), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let number = written.load(Ordering::Relaxed);
                // Padded, so that there is something to copy.
                let payload = json!({ "n": number, "padding": "x".repeat(2_000) });
                app.enqueue(NewJob::new("numbered", payload)).expect("enqueued");
                written.store(number + 1, Ordering::Relaxed);
            }
        });
        for round in 0..3 {
            while written.load(Ordering::Relaxed) < (round + 1) * 200 {
                std::thread::yield_now();
            }
            let before = written.load(Ordering::Relaxed);
            let output = Command::new(PROGRAM)
                .args(["backup", "--force", "--json", "--database"])
                .args([house.database(), house.path("backup.db")])
                .output()
                .expect("it runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(String::from_utf8_lossy(&output.stderr).contains("100 %"), "progress is told");
            let after = written.load(Ordering::Relaxed) + 1;
            let copy = house.open_file("backup.db");
            let count: u64 = one(&copy, "SELECT count(*) FROM job_queue");
            let last: u64 = one(&copy, "SELECT max(payload ->> '$.n') FROM job_queue");
            assert_eq!(last + 1, count, "none is missing before the last");
            assert!((before..=after).contains(&count), "{before} <= {count} <= {after}");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_restore_brings_back_what_was_there_and_nothing_that_came_later() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    let job = app.enqueue(NewJob::new("later", json!({ "n": 1 }))).expect("enqueued");
    house.back_up();
    house.pass_a_minute();
    app.enqueue(NewJob::new("later", json!({ "n": 2 }))).expect("enqueued");
    drop(app);
    assert_eq!(house.restore().expect("restored"), Report::default());
    assert_eq!(house.names(), ["backup.db", "house.db", "house.db.locks"]);
    assert_eq!(fs::metadata(house.database()).expect("there").permissions().mode() & 0o777, 0o600);
    let app = house.open();
    assert_eq!(one::<String>(&app, "SELECT group_concat(id) FROM job_queue"), job.to_string());
    assert!(has_store(&app, "one"));
    assert_clean(&app);
}

#[test]
fn a_restore_without_a_database_makes_one() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    house.back_up();
    drop(app);
    for name in house.names().iter().filter(|name| name.starts_with("house.db")) {
        let path = house.path(name);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removed");
    }
    house.restore().expect("restored");
    assert!(has_store(&house.open(), "one"));
}

#[test]
fn whoever_was_erased_since_the_backup_stays_erased_to_the_last_byte() {
    let house = House::new();
    let app = house.open();
    install(&app, "erased");
    install(&app, "stays");
    app.enqueue(NewJob::new("unknown", json!({ "shop": "erased.myshopify.com", "note": "private-note" })))
        .expect("enqueued");
    house.back_up();
    house.pass_a_minute();
    erase(&app, "erased");
    let head = app.db.read(receipts::walk).expect("readable");
    drop(app);
    assert!(holds(&house.path("backup.db"), "marked-erased"), "the backup has it");
    let report = house.restore().expect("restored");
    assert_eq!((report.erased_again, report.receipts), (1, 2));
    for text in ["marked-erased", "private-note"] {
        assert!(!holds(&house.database(), text), "{text}");
    }
    assert!(holds(&house.database(), "marked-stays"));
    let app = house.open();
    assert!(!has_store(&app, "erased") && has_store(&app, "stays"));
    let chain = app.db.read(receipts::walk).expect("readable");
    assert_eq!((chain.broken_at, chain.receipts), (None, head.receipts + 2), "the second erasure is proved too");
    let kept = app.db.read(|connection| receipts::hash_at(connection, 2)).expect("readable");
    assert_eq!(kept, Some(head.head), "the chain goes on from the old head");
    run_all(&app);
    assert_clean(&app);
}

#[test]
fn a_store_that_was_installed_again_before_the_backup_is_not_erased_by_the_restore() {
    let house = House::new();
    let app = house.open();
    install(&app, "again");
    house.pass_a_minute();
    erase(&app, "again");
    // The clock may even have been set back meanwhile.
    house.clock.set(house.clock.now() - chrono::TimeDelta::days(1));
    install(&app, "again");
    house.back_up();
    drop(app);
    assert_eq!(house.restore().expect("restored").erased_again, 0);
    let app = house.open();
    assert!(has_store(&app, "again"));
    assert_clean(&app);
}

#[test]
fn a_store_that_was_erased_and_installed_again_after_the_backup_comes_back_neither_way() {
    let house = House::new();
    let app = house.open();
    install(&app, "again");
    house.back_up();
    house.pass_a_minute();
    erase(&app, "again");
    house.pass_a_minute();
    install(&app, "again");
    drop(app);
    assert_eq!(house.restore().expect("restored").erased_again, 1);
    let app = house.open();
    assert!(!has_store(&app, "again"), "its old data is erased, its new data came after the backup");
    install(&app, "again");
    assert_clean(&app);
}

#[test]
fn restoring_an_old_backup_and_then_a_newer_one_keeps_every_receipt() {
    let house = House::new();
    let app = house.open();
    install(&app, "first");
    install(&app, "second");
    fs::rename(house.back_up(), house.path("old.db")).expect("renamed");
    house.pass_a_minute();
    erase(&app, "first");
    house.back_up();
    house.pass_a_minute();
    erase(&app, "second");
    drop(app);
    assert_eq!(house.restore_from("old.db", false).expect("restored").erased_again, 2);
    assert_eq!(house.restore().expect("restored").erased_again, 1, "only the second was unknown to it");
    let app = house.open();
    assert!(!has_store(&app, "first") && !has_store(&app, "second"));
    assert_clean(&app);
}

#[test]
fn a_duty_that_was_taken_on_after_the_backup_is_not_lost() {
    let house = House::new();
    let app = house.open();
    install(&app, "gone");
    house.back_up();
    house.pass_a_minute();
    let redact = Notice::CustomersRedact { customer_id: Some(4_711_471_147), orders_to_redact: None };
    let taken = deliver(&app, Topic::ShopRedact, Notice::ShopRedact, "gone", "again");
    assert!(matches!(taken, Outcome::Accepted(Some(_))));
    deliver(&app, Topic::CustomersRedact, redact, "other", "1");
    drop(app);
    let report = house.restore().expect("restored");
    assert_eq!((report.requests, report.deliveries, report.jobs), (2, 2, 2));
    let app = house.open();
    let again = deliver(&app, Topic::ShopRedact, Notice::ShopRedact, "gone", "again");
    assert!(matches!(again, Outcome::Duplicate(_)), "{again:?}");
    assert_eq!(run_all(&app), 2);
    assert!(!has_store(&app, "gone"));
    let open = "SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL OR erased_at IS NULL";
    assert_eq!(one::<u64>(&app, open), 0);
    assert_clean(&app);
}

#[test]
fn what_a_fulfilled_request_has_forgotten_does_not_come_back() {
    let house = House::new();
    let app = house.open();
    let redact = Notice::CustomersRedact { customer_id: Some(4_711_471_147), orders_to_redact: None };
    deliver(&app, Topic::CustomersRedact, redact, "a", "1");
    house.back_up();
    assert!(holds(&house.path("backup.db"), "4711471147"));
    house.pass_a_minute();
    run_all(&app);
    let processed: i64 = one(&app, "SELECT processed_at FROM gdpr_requests");
    drop(app);
    let report = house.restore().expect("restored");
    assert_eq!((report.requests, report.jobs), (1, 0));
    assert!(!holds(&house.database(), "4711471147"));
    let app = house.open();
    assert_eq!(one::<i64>(&app, "SELECT processed_at FROM gdpr_requests"), processed);
    run_all(&app);
    assert_eq!(one::<u64>(&app, "SELECT count(*) FROM erasure_receipts"), 2, "it is not done twice");
    assert_clean(&app);
}

#[test]
fn uninstalled_stores_and_revoked_keys_stay_so() {
    let house = House::new();
    let app = house.open();
    install(&app, "left");
    install(&app, "leaked");
    house.back_up();
    house.pass_a_minute();
    deliver(&app, Topic::AppUninstalled, Notice::AppUninstalled, "left", "1");
    let revoked: db::Result<()> = app.db.write(|tx| {
        tx.execute(
            "UPDATE api_keys SET revoked_at = 7 WHERE store_id = (SELECT id FROM stores WHERE shop LIKE 'leaked%')",
            (),
        )?;
        Ok(())
    });
    revoked.expect("writable");
    drop(app);
    assert_eq!(house.restore().expect("restored").withdrawals, 2);
    let app = house.open();
    let dead = "SELECT group_concat(shop) FROM stores WHERE uninstalled_at IS NOT NULL";
    assert_eq!(one::<String>(&app, dead), "left.myshopify.com");
    assert_eq!(one::<u64>(&app, "SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL"), 1);
}

#[test]
fn a_database_in_use_is_not_replaced() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    house.back_up();
    let names = house.names();
    assert!(matches!(house.restore(), Err(BackupError::InUse { .. })));
    assert_eq!(house.names(), names);
    install(&app, "two");
    assert!(has_store(&app, "two"), "it goes on as before");
    drop(app);
    house.restore().expect("restored");
}

#[test]
fn files_that_are_no_backup_are_refused_and_the_database_stays() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    let good = house.back_up();
    drop(app);
    let newer = house.path("newer.db");
    fs::copy(&good, &newer).expect("copied");
    let connection = rusqlite::Connection::open(&newer).expect("a database");
    connection
        .execute("INSERT INTO refinery_schema_history (version, name) VALUES (9999, 'from_the_future')", ())
        .expect("written");
    connection.close().expect("closed");
    let foreign = rusqlite::Connection::open(house.path("foreign.db")).expect("a database");
    foreign.execute_batch("CREATE TABLE other (x); INSERT INTO other VALUES (1)").expect("written");
    foreign.close().expect("closed");
    fs::write(house.path("text"), "no database, but long enough to be looked at ".repeat(100)).expect("written");
    fs::write(house.path("empty"), "").expect("written");
    let bytes = fs::read(&good).expect("readable");
    fs::write(house.path("cut"), &bytes[..bytes.len() / 2]).expect("written");
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8_192].fill(0xa5);
    fs::write(house.path("damaged"), damaged).expect("written");
    fs::remove_file(&good).expect("removed");
    for name in ["newer.db", "foreign.db", "text", "empty", "cut", "damaged", "missing"] {
        let error = house.restore_from(name, false).expect_err(name);
        let told =
            matches!(&error, BackupError::Unusable(_)) || name == "missing" && matches!(error, BackupError::Io { .. });
        assert!(told, "{name}: {error}");
        let newer = matches!(&error, BackupError::Unusable(OpenError::Newer { found: 9999, .. }));
        assert_eq!(newer, name == "newer.db", "{error}");
        assert!(!house.names().iter().any(|name| name.contains("restoring")), "{:?}", house.names());
        assert!(has_store(&house.open(), "one"), "{name}");
    }
}

#[test]
fn a_backup_with_another_chain_of_receipts_is_refused_while_there_is_one_to_lose() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    erase(&app, "one");
    drop(app);
    let other = House::new();
    let app = other.open();
    install(&app, "theirs");
    let theirs = other.back_up();
    drop(app);
    fs::copy(theirs, house.path("backup.db")).expect("copied");
    let error = house.restore().expect_err("two chains");
    assert!(matches!(error, BackupError::OtherChain { receipts: 2, .. }), "{error}");
    assert_eq!(one::<u64>(&house.open(), "SELECT count(*) FROM erasure_receipts"), 2);
    // A database that has erased nobody has no chain to lose: a backup may move to a new machine.
    let fresh = House::new();
    drop(fresh.open());
    fs::copy(house.path("backup.db"), fresh.path("backup.db")).expect("copied");
    fresh.restore().expect("restored");
    assert!(has_store(&fresh.open(), "theirs"));
}

#[test]
fn a_database_that_cannot_be_read_is_replaced_only_without_its_erasures() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    house.back_up();
    drop(app);
    fs::write(house.database(), "ruined ".repeat(10_000)).expect("written");
    let error = house.restore().expect_err("nobody knows what was erased");
    assert!(error.to_string().contains("--without-replay"), "{error}");
    house.restore_from("backup.db", true).expect("restored");
    assert!(has_store(&house.open(), "one"));
}

#[test]
fn the_wal_of_a_database_that_is_gone_does_not_get_into_the_one_that_is_restored() {
    for ruined in [false, true] {
        let house = House::new();
        let app = house.open();
        install(&app, "one");
        house.back_up();
        install(&app, "later");
        // What a process that is killed leaves behind.
        let wal = fs::read(house.path("house.db-wal")).expect("a WAL");
        drop(app);
        if ruined {
            fs::write(house.database(), "ruined ".repeat(10_000)).expect("written");
        } else {
            fs::remove_file(house.database()).expect("removed");
        }
        fs::write(house.path("house.db-wal"), wal).expect("written");
        house.restore_from("backup.db", ruined).expect("restored");
        let restored = rusqlite::Connection::open(house.database()).expect("a database");
        let sound: String = restored.query_row("PRAGMA integrity_check", (), |row| row.get(0)).expect("checked");
        assert_eq!(sound, "ok", "ruined: {ruined}");
        drop(restored);
        let app = house.open();
        assert!(has_store(&app, "one") && !has_store(&app, "later"), "ruined: {ruined}");
    }
}

#[test]
fn a_restore_by_way_of_a_symbolic_link_replaces_the_database_and_not_the_link() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    house.back_up();
    install(&app, "later");
    drop(app);
    let link = house.path("link.db");
    std::os::unix::fs::symlink(house.database(), &link).expect("linked");
    let restore = Restore {
        backup: house.path("backup.db"),
        database: link.clone(),
        clock: house.clock.clone(),
        entropy: Arc::new(SeededEntropy::new(OPENINGS.fetch_add(1, Ordering::Relaxed))),
        without_replay: false,
    };
    backup::restore(&restore, &mut |_stage| {}).expect("restored");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    let app = house.open();
    assert!(has_store(&app, "one") && !has_store(&app, "later"));
    drop(app);
    assert_eq!(house.names(), ["backup.db", "house.db", "house.db.locks", "link.db"]);
}

#[test]
fn a_restore_that_is_killed_at_any_point_leaves_the_old_database_or_the_new_one() {
    for (point, line, is_new) in [
        ("restore::copied", "the backup is copied", false),
        ("restore::carried_over", "carried over", false),
        ("restore::ready", "the result is sound", false),
        ("restore::replaced", "it is in place", true),
    ] {
        let house = House::new();
        let app = house.open();
        install(&app, "erased");
        house.back_up();
        house.pass_a_minute();
        erase(&app, "erased");
        app.enqueue(NewJob::new("after the backup".replace(' ', "_"), json!({}))).expect("enqueued");
        drop(app);
        let mut child = Command::new(PROGRAM)
            .args(["restore", "--database"])
            .args([house.database(), house.path("backup.db")])
            .env("FAILPOINTS", format!("{point}=pause"))
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let reached = lines.find(|told| told.as_ref().is_ok_and(|told| told.contains(line)));
        assert!(reached.is_some(), "{point}");
        child.kill().expect("killed");
        child.wait().expect("dead");
        let app = house.open();
        assert!(!has_store(&app, "erased"), "{point}");
        let later: u64 = one(&app, "SELECT count(*) FROM job_queue WHERE type = 'after_the_backup'");
        assert_eq!(later == 0, is_new, "{point}");
        assert_clean(&app);
        drop(app);
        // The next one goes through, and leaves nothing of the first behind.
        house.restore().expect("restored");
        assert_eq!(house.names(), ["backup.db", "house.db", "house.db.locks"], "{point}");
        assert_clean(&house.open());
    }
}

/// Runs a command that is killed, as by `kill -9`, when it comes to `point`.
fn run_killed_at(point: &str, command: &str, database: &Path, file: &Path) {
    let status = Command::new(PROGRAM)
        .args([command, "--database"])
        .args([database, file])
        .env("QUOTEGRID_KILL_AT", point)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert_eq!(status.expect("it runs").signal(), Some(9), "{point}");
}

/// The problems that the doctor finds, and whether it ends as it should with them.
fn doctor(house: &House) -> Vec<String> {
    let output = Command::new(PROGRAM).args(["doctor", "--json", "--database"]).arg(house.database()).output();
    let output = output.expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let problems: Vec<String> = serde_json::from_value(report["problems"].clone()).expect("a list");
    assert_eq!(output.status.code(), Some(i32::from(!problems.is_empty())), "{report}");
    problems
}

/// The places that `gdpr verify` names, and whether it ends as it should with them.
fn leftovers(house: &House) -> Vec<String> {
    let output = Command::new(PROGRAM).args(["gdpr", "verify", "--json", "--database"]).arg(house.database()).output();
    let output = output.expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let places = report["leftovers"].as_array().expect("a list").iter();
    let places: Vec<String> = places.map(|leftover| leftover["place"].as_str().expect("text").to_owned()).collect();
    assert_eq!((output.status.code(), &report["ok"]), (Some(i32::from(!places.is_empty())), &json!(places.is_empty())));
    places
}

/// Starts a server, and kills it once it is ready.
fn start(house: &House) {
    start_with(
        house,
        &["serve", "--listen", "127.0.0.1:0", "--shopify-api-secret", "hush-hush"],
        "quotegrid listening",
    );
}

/// Starts a command that goes on, and kills it once it says `ready`.
fn start_with(house: &House, arguments: &[&str], ready: &str) {
    let mut server = Command::new(PROGRAM)
        .args(arguments)
        .arg("--database")
        .arg(house.database())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
    assert!(line.starts_with(ready), "{line}");
    server.kill().expect("killed");
    server.wait().expect("dead");
}

#[test]
fn what_a_killed_restore_has_left_is_named_by_the_doctor_and_removed_by_the_next_start() {
    for point in ["restore::copied", "restore::carried_over", "restore::ready"] {
        let house = House::new();
        let app = house.open();
        install(&app, "erased");
        house.back_up();
        house.pass_a_minute();
        erase(&app, "erased");
        drop(app);
        run_killed_at(point, "restore", &house.database(), &house.path("backup.db"));
        let left = house.path("house.db.restoring");
        assert!(left.exists(), "{point}");
        let held = holds(&left, "marked-erased");
        assert!(held || point != "restore::copied", "it has what was erased since the backup");
        let problems = doctor(&house);
        assert!(problems.len() == 1 && problems[0].contains("house.db.restoring"), "{point}: {problems:?}");
        assert_eq!(leftovers(&house), ["house.db.restoring"], "{point}");
        match point {
            "restore::copied" => start(&house),
            "restore::carried_over" => start_with(&house, &["work"], "quotegrid working"),
            _ => start_with(&house, &["jobs", "run-next"], ""),
        }
        let names = house.names();
        assert!(!names.iter().any(|name| name.contains("restoring")), "{point}: {names:?}");
        assert_eq!(doctor(&house), Vec::<String>::new(), "{point}");
        assert_clean(&house.open());
    }
}

#[test]
fn what_a_killed_backup_has_left_goes_with_the_next_one_or_the_next_start_and_one_that_is_being_written_stays() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    drop(app);
    for point in ["backup::copied", "backup::synced"] {
        let left = house.path("monday.db.backing-up");
        run_killed_at(point, "backup", &house.database(), &house.path("monday.db"));
        assert!(holds(&left, "marked-one"), "{point}");
        let problems = doctor(&house);
        assert!(problems.len() == 1 && problems[0].contains("monday.db.backing-up"), "{point}: {problems:?}");
        assert_eq!(leftovers(&house), ["monday.db.backing-up"], "{point}");
        // Of another name: whoever keeps one a day never writes to the same again.
        house.back_up();
        assert!(!left.exists(), "{point}");

        run_killed_at(point, "backup", &house.database(), &house.path("monday.db"));
        let writing = fs::File::open(&left).expect("there");
        writing.lock().expect("locked, as by whoever writes it");
        house.back_up();
        start(&house);
        assert!(left.exists(), "{point}: it is being written");
        assert_eq!(doctor(&house), Vec::<String>::new(), "{point}");
        drop(writing);
        start(&house);
        assert_eq!(
            house.names(),
            ["backup.db", "house.db", "house.db-shm", "house.db-wal", "house.db.locks"],
            "{point}"
        );
        fs::remove_file(house.path("backup.db")).expect("removed");
    }
}

#[test]
fn a_database_that_is_named_like_an_unfinished_backup_is_none() {
    let house = House::new();
    let database = house.path("house.db.backing-up");
    drop(house.open_file("house.db.backing-up"));
    for command in [&["doctor"][..], &["backup", "copy.db"]] {
        let mut run = Command::new(PROGRAM);
        let output = run.args(command).arg("--database").arg(&database).current_dir(&house.directory).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(database.exists(), "{command:?}");
    }
    quotegrid::backup::unfinished::remove(&database).expect("removed");
    assert!(database.exists());
}

#[test]
fn the_commands_do_what_they_say() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    drop(app);
    let run = |command: &str, more: &[&str]| -> (Value, bool) {
        let output = Command::new(PROGRAM)
            .args([command, "--json"])
            .args(more)
            .arg("--database")
            .args([house.database(), house.path("b")])
            .output()
            .expect("it runs");
        (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.success())
    };
    let (document, done) = run("backup", &[]);
    assert!(done && document["bytes"].as_u64().is_some_and(|bytes| bytes > 8_192), "{document}");
    assert!(!run("backup", &[]).1, "it exists");
    assert!(run("backup", &["--force"]).1);
    let (document, done) = run("restore", &[]);
    assert!(done, "{document}");
    assert_eq!(document["erasedAgain"], json!(0));
}
