//! Making and migrating the file.

use super::{assert_sound, names_in};
use crate::support::command::program;
use quotegrid::db::{Db, Options, Schema, newest_version};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

#[test]
fn many_processes_at_once_make_one_database() {
    for round in 0..20 {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("test.db");
        let started: Vec<_> = (0..8)
            .map(|_| {
                program()
                    .arg("--database")
                    .arg(&path)
                    .args(["migrate", "--json"])
                    .env("QUOTEGRID_LOG", "warn")
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("started")
            })
            .collect();
        let mut made = 0;
        for process in started {
            let output = process.wait_with_output().expect("ended");
            let (told, said) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
            assert!(output.status.success(), "round {round}: {told}");
            made += usize::from(said.contains(r#""from":0"#) || said.contains(r#""from": 0"#));
        }
        assert_eq!(made, 1, "round {round}: one of them made it");
        assert_sound(&path);
    }
}

/// Every object of the schema, in an order that does not depend on how it was made.
fn schema_of(connection: &rusqlite::Connection) -> Vec<String> {
    let mut statement = connection
        .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type <> 'table', name")
        .expect("prepared");
    statement.query_map((), |row| row.get(0)).expect("listed").collect::<Result<_, _>>().expect("listed")
}

fn frozen_file(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("data/schema/v{version}.sql"))
}

/// A few rows in every table, so that a later migration has something to lose.
const ROWS: &str = "
    INSERT INTO meta VALUES ('frozen', x'0102');
    INSERT INTO stores (id, shop, installed_at, created_at, updated_at) VALUES ('s1', 'demo.myshopify.com', 1, 1, 1), ('s2', 'other.myshopify.com', 2, 2, 2);
    INSERT INTO api_keys (id, store_id, digest, prefix, created_at) VALUES ('k1', 's1', zeroblob(32), 'qg_12345', 1);
    INSERT INTO price_matrices (id, store_id, name, unit, currency, created_at, updated_at) VALUES ('m1', 's1', 'Blinds', 'mm', 'USD', 1, 1);
    INSERT INTO breakpoints VALUES ('m1', 'width', 0, 1000000), ('m1', 'width', 1, 2000000), ('m1', 'height', 0, 1000000);
    INSERT INTO matrix_cells VALUES ('m1', 0, 0, 4900), ('m1', 0, 1, NULL);
    INSERT INTO product_matrices VALUES ('s1', 'gid://shopify/Product/1', 'm1', 'Blind', 1);
    INSERT INTO option_groups (id, store_id, name, currency, created_at, updated_at) VALUES ('g1', 's1', 'Colour', 'USD', 1, 1);
    INSERT INTO option_choices (id, option_group_id, label, modifier_type, modifier_value, created_at) VALUES ('c1', 'g1', 'Grey', 'FIXED', 500, 1);
    INSERT INTO product_option_groups (store_id, product_id, option_group_id, assigned_at) VALUES ('s1', 'gid://shopify/Product/1', 'g1', 1);
    INSERT INTO product_settings (store_id, product_id, sku, taxable) VALUES ('s1', 'gid://shopify/Product/1', 'B-1', 0);
    INSERT INTO draft_order_records (id, store_id, number, token, unit, currency, total_price_minor, created_at)
        VALUES ('o1', 's1', 1, 't1', 'mm', 'USD', 10800, 1);
    INSERT INTO draft_order_lines (draft_order_id, position, matrix_id, matrix_name, product_id, product_title, label, width, height,
        priced_width, priced_height, quantity, base_price_minor, unit_price_minor, total_price_minor)
        VALUES ('o1', 0, 'm1', 'Blinds', 'gid://shopify/Product/1', 'Blind', 'Kitchen', 1000, 1000, 1000000, 1000000, 2, 4900, 5400, 10800);
    INSERT INTO order_idempotency_keys VALUES ('s1', zeroblob(32), zeroblob(32), 'o1', 1);
    INSERT INTO job_queue (id, type, payload, scheduled_at, created_at) VALUES ('j1', 'shop_redact', '{}', 1, 1);
    INSERT INTO paused_job_types VALUES ('other', 1, 0);
    INSERT INTO job_attempts VALUES ('j1', 1, 1, 1, 2, 'retried', 'an error');
    INSERT INTO other_webhook_deliveries VALUES ('shop/redact', 'w1', NULL, 'demo.myshopify.com', 1, 'j1');
    INSERT INTO gdpr_requests (id, shop, type, payload, triggered_at, due_at, created_at) VALUES ('r1', 'demo.myshopify.com', 'SHOP_REDACT', '{}', 1, 2, 1);
    INSERT INTO admin_links VALUES (zeroblob(32), 'operator', NULL, 'link', 1, 2);
    INSERT INTO admin_sessions VALUES ('a1', zeroblob(32), 'merchant', 's1', 'session', 1, 1, NULL);
    INSERT INTO audit_log VALUES ('l1', 1, 'operator', 'api', 'job.retry', NULL, 'j1');
    INSERT INTO activity_counts VALUES ('webhooks', 1, 1);
    INSERT INTO erasure_receipts VALUES (1, zeroblob(32), 'erased', 'r1', 'SHOP_REDACT', zeroblob(32), 'erased', '{}', 1, 'v', zeroblob(32));
";

/// The database at `path` as SQL: its schema, refinery's history, and rows.
fn dump(connection: &rusqlite::Connection) -> String {
    let mut text = String::new();
    for sql in schema_of(connection) {
        writeln!(text, "{sql};").expect("text");
    }
    let history =
        "SELECT version, name, quote(applied_on), quote(checksum) FROM refinery_schema_history ORDER BY version";
    let mut statement = connection.prepare(history).expect("prepared");
    let mut rows = statement.query(()).expect("read");
    while let Some(row) = rows.next().expect("read") {
        let (version, name): (u32, String) = (row.get(0).expect("a version"), row.get(1).expect("a name"));
        let (applied_on, checksum): (String, String) = (row.get(2).expect("a time"), row.get(3).expect("a checksum"));
        writeln!(text, "INSERT INTO refinery_schema_history VALUES ({version}, '{name}', {applied_on}, {checksum});")
            .expect("text");
    }
    text + ROWS
}

/// The newest schema of any release. What changes after that is a migration of its own.
const RELEASED: u32 = 1;

/// A released migration is never edited: databases that ran it would silently differ from new ones.
#[test]
fn the_newest_schema_is_the_frozen_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("test.db");
    drop(Db::open(&Options::new(&path)).expect("made"));
    let made = rusqlite::Connection::open(&path).expect("opened");
    let file = frozen_file(newest_version());
    if std::env::var_os("QUOTEGRID_FREEZE_SCHEMA").is_some() {
        assert!(newest_version() > RELEASED, "it is released: write a migration instead of editing it");
        std::fs::write(&file, dump(&made)).expect("written");
    }
    let how = if newest_version() > RELEASED {
        "before its release, refresh it with: QUOTEGRID_FREEZE_SCHEMA=1 cargo test the_newest_schema"
    } else {
        "it is released: write a migration instead"
    };
    let frozen = std::fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("data/schema has no frozen schema of version {}: {error}; {how}", newest_version())
    });
    let old = rusqlite::Connection::open(directory.path().join("frozen.db")).expect("opened");
    old.execute_batch(&frozen).unwrap_or_else(|error| panic!("the frozen schema does not load: {error}; {how}"));
    let checksums = |connection: &rusqlite::Connection| -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT version || ' ' || checksum FROM refinery_schema_history ORDER BY version")
            .expect("prepared");
        statement.query_map((), |row| row.get(0)).expect("read").collect::<Result<_, _>>().expect("read")
    };
    assert_eq!(schema_of(&made), schema_of(&old), "a migration was edited; {how}");
    assert_eq!(checksums(&made), checksums(&old), "a migration was edited; {how}");
}

#[test]
fn every_frozen_database_can_be_brought_up_to_date_and_keeps_its_rows() {
    for version in 1..=newest_version() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("test.db");
        let frozen = std::fs::read_to_string(frozen_file(version)).expect("the frozen schema");
        let old = rusqlite::Connection::open(&path).expect("opened");
        old.execute_batch(&frozen).expect("loaded");
        drop(old);
        let mut options = Options::new(&path);
        options.schema = Schema::BringUpToDate;
        let db = Db::open(&options).expect("brought up to date");
        assert_eq!((db.migrated().from, db.migrated().to), (version, newest_version()));
        drop(db);
        assert_sound(&path);
        let now = rusqlite::Connection::open(&path).expect("opened");
        assert_eq!(names_in(&now).expect("read"), ["frozen"]);
        let stores: i64 = now.query_row("SELECT count(*) FROM stores", (), |row| row.get(0)).expect("read");
        assert_eq!(stores, 2);
        drop(now);
        let left: Vec<_> = std::fs::read_dir(directory.path())
            .expect("listed")
            .map(|entry| entry.expect("listed").file_name().into_string().expect("a name"))
            .filter(|name| name != "test.db" && name != "test.db.locks")
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}
