//! Jobs about a shop that are committed while its erasure closes, where the closing does not look for them: before an erasure counts
//! as done, they say no more of the shop either.

use super::{load, request, shop, small_store, verification, without_job};
use crate::support::late_jobs::erase_with;
use chrono::TimeDelta;
use quotegrid::app::App;
use quotegrid::clock::Clock;
use quotegrid::domain::ids::{JobId, ShopDomain};
use quotegrid::erasure::requests::{RequestKind, RequestOutcome};
use quotegrid::erasure::{CUSTOMER_REDACT, CUSTOMERS_DATA_REQUEST};
use quotegrid::queue::{NewJob, Status, StepOutcome};
use quotegrid::testing::Fixture;
use serde_json::json;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// A job about a shop that waits for long.
fn enqueue_note(app: &App, shop: &ShopDomain) {
    let job = NewJob::new("note", json!({ "shop": shop.as_str(), "note": "private-note" }));
    app.enqueue(job.scheduled_at(app.clock.now() + 400 * DAY)).expect("enqueued");
}

/// What the notes say, and whether they wait.
fn notes(fixture: &Fixture) -> String {
    fixture.query("SELECT group_concat(status || ' ' || payload, ', ' ORDER BY id) FROM job_queue WHERE type = 'note'")
}

/// Erases a shop but for the scrub, with a note about it that got its id from a clock that was a day behind.
fn erase_with_an_older_note(fixture: &Fixture, shop: &ShopDomain) {
    request(fixture, shop, RequestKind::ShopRedact, fixture.now());
    let (app, clock, shop) = (fixture.app.clone(), fixture.clock.clone(), shop.clone());
    erase_with(&fixture.app, move || {
        let right = clock.now();
        clock.set(right - TimeDelta::days(1));
        enqueue_note(&app, &shop);
        clock.set(right);
    });
    assert!(notes(fixture).contains("private-note"), "the closing has not seen it");
}

fn erase(fixture: &Fixture, shop: &ShopDomain) {
    request(fixture, shop, RequestKind::ShopRedact, fixture.now());
    erase_with(&fixture.app, || ());
}

fn step(fixture: &Fixture) -> StepOutcome {
    fixture.app.worker().expect("a worker").step().expect("a working database")
}

fn scrub(fixture: &Fixture) {
    fixture.app.scrubber().scrub_all().expect("it works");
    assert_eq!(
        fixture.query::<u64>("SELECT count(*) FROM gdpr_requests WHERE processed_at IS NOT NULL AND erased_at IS NULL"),
        0
    );
}

#[test]
fn a_job_whose_id_is_older_than_the_erasure_forgets_the_shop_before_that_counts_as_done() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    fixture.advance(2 * DAY);
    erase_with_an_older_note(&fixture, &a);
    scrub(&fixture);
    assert_eq!(notes(&fixture), "cancelled {}");
    assert!(verification(&fixture).is_ok());
}

#[test]
fn a_job_in_a_flood_of_others_forgets_the_shop_before_its_erasure_counts_as_done() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    fixture.advance(2 * DAY);
    request(&fixture, &a, RequestKind::ShopRedact, fixture.now());
    let (app, shop) = (fixture.app.clone(), a);
    erase_with(&fixture.app, move || {
        enqueue_note(&app, &shop);
        // More new ones than a closing transaction looks at.
        let flood = "INSERT INTO job_queue (id, type, payload, scheduled_at, created_at)
             WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 20001)
             SELECT printf('ffffffff-ffff-7fff-bfff-%012x', number), 'bulk', '{}', 4102444800000, 0 FROM numbers";
        app.db.write(move |tx| -> quotegrid::db::Result<_> { Ok(tx.execute(flood, ())?) }).expect("written");
    });
    assert!(notes(&fixture).contains("private-note"), "the closing has not seen it");
    scrub(&fixture);
    assert_eq!(notes(&fixture), "cancelled {}");
}

#[test]
fn jobs_of_many_shops_are_seen_to_together_and_those_of_others_stay() {
    let fixture = Fixture::new();
    let other = small_store(&fixture, "other");
    enqueue_note(&fixture.app, &other);
    let shops: Vec<ShopDomain> = (0..30).map(|number| shop(&format!("s{number}"))).collect();
    for shop in &shops {
        fixture.advance(2 * DAY);
        erase_with_an_older_note(&fixture, shop);
    }
    scrub(&fixture);
    let left = "SELECT count(*) FROM job_queue WHERE type = 'note' AND payload <> '{}'";
    assert_eq!(fixture.query::<u64>(left), 1);
    assert!(notes(&fixture).starts_with("pending {"));
}

#[test]
fn a_job_about_a_shop_that_was_installed_again_before_the_scrub_stays() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    fixture.advance(2 * DAY);
    erase(&fixture, &a);
    small_store(&fixture, "a");
    enqueue_note(&fixture.app, &a);
    scrub(&fixture);
    assert!(notes(&fixture).starts_with("pending {"), "it is about the shop that is there");
}

#[test]
fn jobs_about_a_shop_that_is_installed_again_while_they_are_seen_to_stay() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    fixture.advance(2 * DAY);
    erase(&fixture, &a);
    // More than one transaction has forget; the first of them comes together with the installation.
    for _ in 0..250 {
        enqueue_note(&fixture.app, &a);
    }
    let planted: quotegrid::db::Result<()> = fixture.app.db.write(|tx| {
        tx.execute_batch(
            "CREATE TRIGGER install AFTER UPDATE OF payload ON job_queue BEGIN
                 INSERT OR IGNORE INTO stores (id, shop, installed_at, created_at, updated_at)
                 VALUES ('019b0000-0000-7000-8000-000000000000', 'a.myshopify.com', 0, 0, 0);
             END",
        )?;
        Ok(())
    });
    planted.expect("writable");
    scrub(&fixture);
    let stay = "SELECT count(*) FROM job_queue WHERE type = 'note' AND status = 'pending' AND payload <> '{}'";
    assert_eq!(fixture.query::<u64>(stay), 50);
}

#[test]
fn a_job_of_a_later_request_keeps_what_names_that_and_fulfils_it() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    fixture.advance(2 * DAY);
    erase(&fixture, &a);
    let (later, job) = request(&fixture, &a, RequestKind::CustomersRedact, fixture.now());
    scrub(&fixture);
    assert_eq!(fixture.job(job).payload, json!({ "requestId": later.to_string() }));
    fixture.run_jobs();
    assert_eq!(load(&fixture, later).outcome, Some(RequestOutcome::Acknowledged));
    assert!(load(&fixture, later).erased_at.is_some());
}

#[test]
fn a_job_by_hand_stays_where_it_has_open_requests_to_fulfil() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    fixture.advance(2 * DAY);
    erase(&fixture, &a);
    let (open, its_job) = request(&fixture, &a, RequestKind::CustomersRedact, fixture.now());
    let (queue, now) = (fixture.app.queue.clone(), fixture.now());
    fixture.app.db.write(move |tx| queue.cancel(tx, now, its_job)).expect("called off");
    let by_hand = |job_type: &str, payload| fixture.enqueue(job_type, payload);
    let wanted = by_hand(CUSTOMER_REDACT, json!({ "shop": "a.myshopify.com" }));
    let talkative = by_hand(CUSTOMER_REDACT, json!({ "shop": "a.myshopify.com", "note": "private-note" }));
    let idle = by_hand(CUSTOMERS_DATA_REQUEST, json!({ "shop": "a.myshopify.com" }));
    scrub(&fixture);
    let status = |job: JobId| fixture.job(job).status;
    assert_eq!(
        [status(wanted), status(talkative), status(idle)],
        [Status::Pending, Status::Cancelled, Status::Cancelled]
    );
    assert!(without_job(&fixture).is_empty());
    while step(&fixture) != StepOutcome::Idle {}
    assert_eq!(load(&fixture, open).outcome, Some(RequestOutcome::Acknowledged));
}
