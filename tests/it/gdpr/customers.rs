//! Requests about a customer.

use super::{load, request, shop};
use quotegrid::erasure::requests::{self, RequestKind, RequestOutcome};
use quotegrid::erasure::scrub::Scrubbed;
use quotegrid::queue::StepOutcome;
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn customer_redact_forgets_the_ids_that_came_with_it() {
    let fixture = Fixture::new();
    let (id, job) = request(&fixture, &shop("a"), RequestKind::CustomersRedact, fixture.now());
    let payload = |fixture: &Fixture| fixture.query::<String>("SELECT payload FROM gdpr_requests");
    assert!(payload(&fixture).contains("191167"));
    fixture.run_jobs();
    assert_eq!(load(&fixture, id).outcome, Some(RequestOutcome::Acknowledged));
    assert_eq!(payload(&fixture), "{}");
    assert_eq!(fixture.job(job).payload, json!({ "requestId": id.to_string() }));
    assert!(load(&fixture, id).erased_at.is_some());
}

#[test]
fn a_data_request_ends_in_a_report_that_names_no_customer() {
    let fixture = Fixture::new();
    let (id, _) = request(&fixture, &shop("a"), RequestKind::CustomersDataRequest, fixture.now());
    fixture.run_jobs();
    let report: Value =
        fixture.app.db.read(|connection| requests::find_report(connection, id)).expect("readable").expect("a report");
    assert_eq!((&report["dataRequestId"], &report["customerDataHeld"]), (&json!(9_999), &json!([])));
    // It must not say that there is nothing where a shopper may have written their name.
    assert!(report["explanation"].as_str().is_some_and(|text| text.contains("label")), "{report}");
}

#[test]
fn what_a_data_request_came_with_is_gone_from_the_files_when_it_is_stamped_and_no_receipt_claims_an_erasure() {
    let fixture = Fixture::new();
    let (id, _) = request(&fixture, &shop("a"), RequestKind::CustomersDataRequest, fixture.now());
    // In the report the number is between others.
    let came_with = r#"{"dataRequestId":9999}"#;
    let worker = fixture.app.worker().expect("a worker");
    assert_ne!(worker.step().expect("a working database"), StepOutcome::Idle);
    assert!(files_hold(&fixture, came_with), "the search finds what the WAL still holds");
    assert_eq!(load(&fixture, id).erased_at, None);
    fixture.advance(Duration::from_secs(1));
    assert_eq!(fixture.app.scrubber().scrub().expect("it works"), Scrubbed::Erased(1));
    assert!(!files_hold(&fixture, came_with));
    let stamped = load(&fixture, id);
    assert_eq!((stamped.outcome, stamped.erased_at), (Some(RequestOutcome::Reported), Some(fixture.now())));
    assert!(fixture.app.db.read(|connection| requests::find_report(connection, id)).expect("readable").is_some());
    assert_eq!(fixture.count("erasure_receipts"), 0);
}

/// Whether the bytes of the database or its WAL hold a text, searched in a process of its own: closing the file here would drop
/// SQLite's locks.
fn files_hold(fixture: &Fixture, text: &str) -> bool {
    let (database, mut wal) = (fixture.database(), fixture.database().into_os_string());
    wal.push("-wal");
    let mut search = std::process::Command::new("grep");
    let found = search.args(["-qaF", "-e", text]).arg(database).arg(wal).status().expect("grep runs");
    found.success()
}
