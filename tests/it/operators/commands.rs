//! The operators' commands, through the real binary on a real file.

use super::{quotegrid, run, run_json};
use crate::support::files::holds;
use quotegrid::app::{App, Options};
use quotegrid::demo;
use quotegrid::domain::ids::RequestId;
use quotegrid::erasure::requests::{self, NewRequest, RequestKind};
use quotegrid::error::Error;
use serde_json::{Value, json};
use std::path::PathBuf;

fn database() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("test.db");
    (directory, path)
}

#[test]
fn jobs_are_cancelled_retried_and_pruned() {
    let (_directory, path) = database();
    let (code, made) = run_json(&path, &["jobs", "enqueue", "shop_redact", r#"{"shop":7}"#, "--max-attempts", "1"]);
    assert_eq!(code, 0);
    let id = made["jobId"].as_str().expect("an id").to_owned();
    assert_eq!(run(&path, &["jobs", "retry", &id]).0, 1, "it waits");
    assert_eq!(run_json(&path, &["jobs", "cancel", &id]).1["status"], "cancelled");
    assert_eq!(run(&path, &["jobs", "cancel", &id]).0, 1, "it is cancelled already");
    let (code, retried) = run_json(&path, &["jobs", "retry", &id]);
    assert_eq!((code, &retried["status"]), (0, &json!("pending")));
    assert_eq!(run_json(&path, &["jobs", "run-next"]).1["processed"], true);
    assert_eq!(run_json(&path, &["jobs", "list", "--status", "failed"]).1["jobs"][0]["id"], json!(id));
    assert_eq!(run_json(&path, &["jobs", "prune"]), (0, json!({ "jobs": 0 })), "nothing is old");
    assert_eq!(run(&path, &["jobs", "prune", "--job-retention-days", "0"]).0, 2);
    assert_eq!(run(&path, &["jobs", "retry", "0190aaaa-0000-7000-8000-000000000000"]).0, 1);
}

#[test]
fn a_store_is_erased_and_its_keys_are_issued_listed_and_revoked() {
    let (_directory, path) = database();
    let shop = "panes.myshopify.com";
    assert_eq!(run_json(&path, &["stores", "add", shop, "--currency", "EUR", "--unit", "cm"]).0, 0);
    assert_eq!(run(&path, &["stores", "add", "x.myshopify.com", "--currency", "eur"]).0, 2);
    let keys = |arguments: &[&str]| run_json(&path, &[&["stores", "keys", shop], arguments].concat());
    let (code, issued) = keys(&["issue", "--label", "page", "--origin", "https://panes.example.com"]);
    assert_eq!((code, issued["apiKey"].as_str().map(str::len)), (0, Some(67)));
    let id = issued["id"].as_str().expect("an id").to_owned();
    assert_eq!(keys(&["list"]).1["keys"][0]["origins"], json!(["https://panes.example.com"]));
    assert_eq!(keys(&["revoke", &id]).0, 0);
    assert!(keys(&["list"]).1["keys"][0]["revokedAt"].is_string());
    assert_eq!(keys(&["issue", "--origin", "panes"]).0, 2);
    let (code, rehearsal) = run_json(&path, &["stores", "erase", shop, "--dry-run"]);
    assert_eq!((code, &rehearsal["rows"]), (0, &json!({ "api_keys": 2, "stores": 1 })));
    let (code, ordered) = run_json(&path, &["stores", "erase", shop]);
    assert_eq!(code, 0);
    assert_eq!(run_json(&path, &["stores", "erase", shop]).1, ordered, "asked twice, erased once");
    assert_eq!(run_json(&path, &["jobs", "run-next"]).1["jobId"], ordered["jobId"]);
    assert_eq!(run_json(&path, &["stores", "list"]).1, json!({ "stores": [] }));
    assert_eq!(run(&path, &["stores", "erase", shop]).0, 1);
}

#[test]
fn the_doctor_finds_nothing_on_a_healthy_database_and_says_what_is_wrong_on_another() {
    let (_directory, path) = database();
    assert_eq!(run(&path, &["doctor"]).0, 3, "there is no database");
    demo::load(&App::open(Options::new(&path)).expect("a new database")).expect("the demo store loads");
    let (code, report) = run_json(&path, &["doctor"]);
    assert_eq!((code, &report["ok"], &report["problems"]), (0, &json!(true), &json!([])), "{report}");
    assert_eq!(
        (&report["settings"]["secure_delete"], &report["settings"]["journal_mode"]),
        (&json!("1"), &json!("wal"))
    );
    assert!(
        report["disk"]["fsyncMedianMs"].is_number() && report["files"]["databaseBytes"].as_u64() > Some(0),
        "{report}"
    );
    // A duty's job that cannot be done.
    run(&path, &["jobs", "enqueue", "shop_redact", r#"{"shop":7}"#]);
    run(&path, &["jobs", "run-next"]);
    let (code, report) = run_json(&path, &["doctor"]);
    let problems: Vec<&str> = report["problems"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!((code, problems.len()), (1, 1), "{report}");
    assert!(problems[0].starts_with("1 job for legal obligations failed permanently"), "{problems:?}");
    let (code, text) = run(&path, &["doctor"]);
    assert!(code == 1 && text.contains("PROBLEM: 1 job for"), "{text}");
}

#[test]
fn the_doctor_names_failed_jobs_of_any_type_and_jobs_of_unknown_types() {
    let (_directory, path, connection) = planted();
    let failed = "INSERT INTO job_queue (id, type, payload, status, scheduled_at, processed_at, created_at, error)
                  VALUES ('0190aaaa-0000-7000-8000-000000000000', 'reindex', '{}', 'failed', 0, 1, 0, 'why')";
    connection.execute(failed, ()).expect("writable");
    run(&path, &["jobs", "enqueue", "nobody-knows", "{}"]);
    let (code, report) = run_json(&path, &["doctor"]);
    let problems = report["problems"].to_string();
    assert_eq!((code, report["problems"].as_array().map(Vec::len)), (1, Some(2)), "{problems}");
    assert!(problems.contains("1 job of type") && problems.contains("reindex"), "{problems}");
    assert!(problems.contains("nobody-knows") && problems.contains("does not know that type"), "{problems}");
}

#[test]
fn a_misspelt_setting_or_log_level_is_warned_of() {
    let (_directory, path) = database();
    let told = |name: &str, value: &str| {
        let mut command = quotegrid(&path, &["stores", "list"]);
        let output = command.env("QUOTEGRID_LOG", "warn").env(name, value).output().expect("the binary runs");
        String::from_utf8(output.stderr).expect("text")
    };
    run(&path, &["migrate"]);
    assert_eq!(told("QUOTEGRID_LOG", "warn"), "");
    let slip = told("QUOTEGRID_DATABSE", "hush");
    assert!(
        slip.contains("QUOTEGRID_DATABSE") && slip.contains("QUOTEGRID_DATABASE?") && !slip.contains("hush"),
        "{slip}"
    );
    let level = told("QUOTEGRID_LOG", "verbose");
    assert!(level.contains("\"verbose\"") && level.contains("info is used"), "{level}");
}

#[test]
fn a_wrong_command_line_is_answered_in_words_that_say_what_to_write() {
    let (_directory, path) = database();
    let told = |arguments: &[&str]| {
        let output = quotegrid(&path, arguments).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    for (arguments, expected) in [
        (&["jobs", "show", "x"][..], "must look like 01"),
        (&["serve", "--workers", "two"], "must be a whole number"),
        (&["serve", "--rate-limit", "99999999999999999999999"], "the number is too large"),
        (&["jobs", "list", "--limit", "x"], "must be a whole number"),
        (&["serve", "--listen", "example.com"], "such as 127.0.0.1:8080"),
        (&["jobs", "enqueue", "a", "{}", "--at", "tomorrow"], "must be a time such as"),
        (&["serve", "--ephemeral", "--clock-at", "now"], "must be a time such as"),
    ] {
        let told = told(arguments);
        assert!(told.contains(expected), "{arguments:?}: {told}");
        for raw in ["invalid digit", "invalid characters", "UUID", "socket address syntax", "too large to fit"] {
            assert!(!told.contains(raw), "{arguments:?}: {told}");
        }
    }
}

/// A healthy database, and a connection for what tests plant in it.
fn planted() -> (tempfile::TempDir, PathBuf, rusqlite::Connection) {
    let (directory, path) = database();
    run(&path, &["migrate"]);
    let connection = rusqlite::Connection::open(&path).expect("opens");
    (directory, path, connection)
}

#[test]
fn a_silence_is_a_problem_only_for_those_who_expect_webhooks() {
    let (_directory, path, connection) = planted();
    let long_ago = "INSERT INTO other_webhook_deliveries (topic, webhook_id, shop, received_at)
                    VALUES ('shop/redact', 'w', 'a.myshopify.com', 1000)";
    assert_eq!(run(&path, &["doctor", "--silence-hours", "1"]).0, 0, "before the first webhook nobody expects one");
    connection.execute(long_ago, ()).expect("writable");
    assert_eq!(run(&path, &["doctor"]).0, 0);
    let (code, report) = run_json(&path, &["doctor", "--silence-hours", "1"]);
    assert!(code == 1 && report["problems"][0].as_str().is_some_and(|told| told.contains("no webhook")), "{report}");
}

#[test]
fn an_erasure_that_waits_for_days_for_the_scrub_is_a_problem() {
    let (_directory, path, connection) = planted();
    let insert =
        "INSERT INTO gdpr_requests (id, shop, type, payload, triggered_at, due_at, created_at, processed_at, outcome)
                  VALUES (?1, 'a.myshopify.com', 'CUSTOMERS_DATA_REQUEST', '{}', 0, 0, 0, ?2, 'reported')";
    let hours_ago = |hours| (chrono::Utc::now() - chrono::TimeDelta::hours(hours)).timestamp_millis();
    connection.execute(insert, ("0190aaaa-0000-7000-8000-000000000001", hours_ago(29))).expect("writable");
    assert_eq!(run(&path, &["doctor"]).0, 0, "a replicator may be paused once a day");
    connection.execute(insert, ("0190aaaa-0000-7000-8000-000000000002", hours_ago(31))).expect("writable");
    let (code, report) = run_json(&path, &["doctor"]);
    assert!(code == 1 && report["problems"][0].as_str().is_some_and(|told| told.contains("scrub")), "{report}");
}

#[test]
fn the_doctor_rewrites_the_file_and_what_another_program_left_in_it_is_gone() {
    let (_directory, path) = database();
    demo::load(&App::open(Options::new(&path)).expect("a new database")).expect("the demo store loads");
    let stores = run_json(&path, &["stores", "list"]);
    // As an operator's own shell would, without secure_delete.
    let shell = rusqlite::Connection::open(&path).expect("opens");
    shell.pragma_update(None, "secure_delete", "OFF").expect("set");
    shell
        .execute_batch(
            "CREATE TABLE scratch (x TEXT); INSERT INTO scratch VALUES ('telltale-text'); DROP TABLE scratch",
        )
        .expect("writable");
    let busy = run(&path, &["doctor", "--vacuum"]);
    assert_eq!(busy.0, 3, "somebody has it open: {busy:?}");
    drop(shell);
    assert!(holds(&path, "telltale-text"));
    let (code, report) = run_json(&path, &["doctor", "--vacuum"]);
    assert_eq!((code, &report["ok"]), (0, &json!(true)), "{report}");
    assert_eq!((&report["settings"]["auto_vacuum"], &report["settings"]["page_size"]), (&json!("2"), &json!("4096")));
    assert!(!holds(&path, "telltale-text"));
    assert_eq!(run_json(&path, &["stores", "list"]), stores);
}

#[test]
fn what_to_enter_at_shopify_is_shown() {
    let (_directory, path) = database();
    let (code, text) = run(&path, &["webhook", "setup", "--public-url", "https://quotes.example.com/"]);
    assert_eq!(code, 0);
    for part in [
        "compliance_topics = [\"customers/data_request\", \"customers/redact\", \"shop/redact\"]",
        "uri = \"https://quotes.example.com/webhooks\"",
        "shopify app deploy",
        "url = \"https://quotes.example.com/proxy\"",
        "<quote-grid product=\"{{ product.id }}\" proxy=\"/apps/quotes\" lang=\"{{ request.locale.iso_code }}\"></quote-grid>",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (_, document) = run_json(&path, &["webhook", "setup", "--public-url", "https://quotes.example.com"]);
    assert_eq!(document["url"], "https://quotes.example.com/webhooks");
    assert_eq!(run(&path, &["webhook", "setup", "--public-url", "quotes.example.com"]).0, 4);
    assert_ne!(run(&path, &["webhook", "setup", "--public-url", "http://quotes.example.com"]).0, 0);
    assert!(!path.exists(), "it needs no database");
}

#[test]
fn settings_of_the_upkeep_are_checked() {
    let (_directory, path) = database();
    run(&path, &["migrate"]);
    for wrong in [
        ["--job-retention-days", "0"],
        ["--delivery-retention-days", "2"],
        ["--gdpr-retention-days", "30"],
        ["--job-retention-days", "40000"],
    ] {
        assert_eq!(run(&path, &[&["jobs", "run-next"][..], &wrong].concat()).0, 2, "{wrong:?}");
    }
    assert_eq!(run(&path, &["jobs", "run-next", "--alert-url", "alerts.example.com"]).0, 4);
}

#[test]
fn the_doctor_names_redactions_of_live_stores_and_commands_decide_held_ones() {
    let (_directory, path) = database();
    let shop = "live.myshopify.com";
    run(&path, &["stores", "add", shop]);
    let connection = rusqlite::Connection::open(&path).expect("opens");
    let now = chrono::Utc::now();
    let request = |id: &str, at: chrono::DateTime<chrono::Utc>| {
        let at = at.timestamp_millis();
        let due = at + 30 * 86_400_000;
        connection
            .execute(
                "INSERT INTO gdpr_requests (id, shop, type, payload, triggered_at, due_at, created_at)
                 VALUES (?1, ?2, 'SHOP_REDACT', '{}', ?3, ?4, ?3)",
                (id, shop, at, due),
            )
            .expect("writable");
        run(&path, &["jobs", "enqueue", "shop_redact", &json!({ "shop": shop, "requestId": id }).to_string()]);
        assert_eq!(run(&path, &["jobs", "run-next", "--redact-hold-days", "7"]).0, 0);
    };
    let held = "01900000-0000-7000-8000-000000000001";
    request(held, now);
    let (code, report) = run_json(&path, &["doctor"]);
    let problem = report["problems"][0].as_str().unwrap_or_default();
    assert!(code == 1 && problem.contains("redact_of_live_store") && problem.contains(held), "{report}");
    assert!(problem.contains("last used: never") && problem.contains("gdpr confirm"), "{problem}");
    assert_eq!(report["redactsOfLiveStores"][0]["requestId"], held);
    assert!(run(&path, &["gdpr", "list"]).1.contains("held until"));
    assert!(run(&path, &["gdpr", "show", held]).1.contains("live store    found"));
    let (code, rejected) = run_json(&path, &["gdpr", "reject", held]);
    assert_eq!((code, &rejected["outcome"], &rejected["decision"]), (0, &json!("rejected"), &json!("rejected")));
    assert_eq!(run(&path, &["gdpr", "confirm", held]).0, 1, "decided");
    let (code, report) = run_json(&path, &["doctor"]);
    assert_eq!((code, report["notes"].as_array().map(Vec::len)), (0, Some(1)), "{report}");
    assert!(run(&path, &["doctor"]).1.contains("NOTE: redact_of_live_store"));

    let second = "01900000-0000-7000-8000-000000000002";
    request(second, chrono::Utc::now());
    let (code, confirmed) = run_json(&path, &["gdpr", "confirm", second]);
    assert!(code == 0 && confirmed["jobId"].is_string(), "{confirmed}");
    while run_json(&path, &["jobs", "run-next"]).1["processed"] == true {}
    assert_eq!(run_json(&path, &["stores", "list"]).1, json!({ "stores": [] }));
    assert_eq!(run_json(&path, &["gdpr", "show", second]).1["outcome"], "erased");
    let (code, text) = run(&path, &["jobs", "run-next", "--redact-hold-days", "29"]);
    assert_eq!((code, text.as_str()), (2, ""), "no hold goes up to the day on which the duty is due");
}

#[test]
fn a_live_store_in_use_that_was_erased_is_a_problem_for_two_days_and_a_note_for_thirty() {
    let (_directory, path, connection) = planted();
    let hours_ago = |hours: i64| (chrono::Utc::now() - chrono::TimeDelta::hours(hours)).timestamp_millis();
    // Planted requests have no receipts, which is a problem of its own.
    for (id, found, used, problems, notes) in [
        ("r1", 1, Some(2), 1, 0),
        ("r2", 1, Some(50), 0, 1),
        ("r3", 1, None, 0, 1),
        ("r4", 49, Some(50), 0, 1),
        ("r5", 31 * 24, Some(31 * 24), 0, 0),
    ] {
        let id = format!("01900000-0000-7000-8000-0000000000{id}").replace('r', "0");
        connection
            .execute(
                "INSERT INTO gdpr_requests (id, shop, type, payload, triggered_at, due_at, created_at, processed_at, outcome,
                     erased_at, found_live_at, keys_used_at)
                 VALUES (?1, 'a.myshopify.com', 'SHOP_REDACT', '{}', 1, 1, 1, 1, 'nothing_held', 1, ?2, ?3)",
                (&id, hours_ago(found), used.map(hours_ago)),
            )
            .expect("writable");
        let (_code, report) = run_json(&path, &["doctor"]);
        let told = report["problems"].to_string().matches("redact_of_live_store").count();
        assert_eq!((told, report["notes"].as_array().map(Vec::len)), (problems, Some(notes)), "{id} {report}");
        connection.execute("DELETE FROM gdpr_requests", ()).expect("writable");
    }
}

#[test]
fn the_doctor_names_a_store_that_was_installed_in_the_future() {
    let (_directory, path, connection) = planted();
    run(&path, &["stores", "add", "ahead.myshopify.com"]);
    assert_eq!(run(&path, &["doctor"]).0, 0);
    let next_year = (chrono::Utc::now() + chrono::TimeDelta::days(365)).timestamp_millis();
    connection.execute("UPDATE stores SET installed_at = ?1", [next_year]).expect("writable");
    let (code, report) = run_json(&path, &["doctor"]);
    let problem = report["problems"][0].as_str().unwrap_or_default();
    assert!(code == 1 && problem.contains("ahead.myshopify.com") && problem.contains("clock"), "{report}");
    run(&path, &["stores", "erase", "ahead.myshopify.com"]);
    run(&path, &["jobs", "run-next"]);
    assert_eq!(run_json(&path, &["stores", "list"]).1, json!({ "stores": [] }));
}

#[test]
fn a_duty_that_was_called_off_is_named_by_the_doctor() {
    let (_directory, path) = database();
    let app = App::open(Options::new(&path)).expect("a new database");
    let (now, id) = (app.clock.now(), RequestId::new(app.clock.now(), [7; 10]));
    let job = app.db.write(move |tx| -> Result<(), Error> {
        let shop = "a.myshopify.com".parse().expect("a domain");
        let kind = RequestKind::ShopRedact;
        let new = NewRequest {
            shop,
            kind,
            payload: json!({}),
            webhook_id: None,
            event_id: None,
            job: None,
            triggered_at: now,
        };
        Ok(requests::insert(tx, id, now, &new)?)
    });
    job.expect("written");
    drop(app);
    let (code, report) = run_json(&path, &["doctor"]);
    assert_eq!((code, &report["duties"]["withoutJob"]), (1, &json!(1)));
    assert!(report["problems"][0].as_str().is_some_and(|problem| problem.contains("no job")), "{report}");
}

#[test]
fn without_a_look_into_pages_no_erasure_counts_as_gone_from_the_files_until_they_are_written_anew() {
    let (_directory, path) = database();
    let shop = "panes.myshopify.com";
    assert_eq!(run_json(&path, &["stores", "add", shop, "--currency", "EUR"]).0, 0);
    let payload = json!({ "shop": shop }).to_string();
    let without = |arguments: &[&str]| {
        let mut command = quotegrid(&path, arguments);
        let output = command
            .env("FAILPOINTS", "db::no_dbpage=return")
            .env("QUOTEGRID_LOG", "warn")
            .arg("--json")
            .output()
            .expect("it runs");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("a document");
        (output.status.code(), answer, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run_json(&path, &["jobs", "enqueue", "shop_redact", &payload]).0, 0);
    let (_, ran, log) = without(&["jobs", "run-next"]);
    assert_eq!(ran["processed"], true);
    assert!(log.contains("doctor --vacuum"), "{log}");
    let request = || run_json(&path, &["gdpr", "list"]).1["requests"][0].clone();
    assert_eq!((&request()["outcome"], &request()["erasedAt"]), (&json!("erased"), &Value::Null));
    let receipts = || run_json(&path, &["gdpr", "receipts"]).1["receipts"].as_array().map(Vec::len);
    assert_eq!(receipts(), Some(1), "nothing is verified");
    let (code, report, _) = without(&["doctor"]);
    assert_eq!((code, &report["duties"]["waitingForScrub"]), (Some(1), &json!(1)), "{report}");
    let problems = report["problems"].to_string();
    assert!(problems.contains("LIBSQLITE3_FLAGS=") && problems.contains("doctor --vacuum"), "{problems}");
    let (_, report, _) = without(&["doctor", "--vacuum"]);
    assert_eq!(report["duties"]["waitingForScrub"], json!(0));
    assert!(request()["erasedAt"].is_string());
    assert_eq!(receipts(), Some(2));
    assert_eq!(run(&path, &["gdpr", "verify"]).0, 0);
}
