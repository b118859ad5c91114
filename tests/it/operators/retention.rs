//! What is pruned and when, that nothing else is, and that the files stop growing.

use super::redact;
use crate::support::command::PROGRAM;
use crate::support::plans::plan;
use chrono::TimeDelta;
use quotegrid::app::{App, Options};
use quotegrid::background::Stop;
use quotegrid::clock::ManualClock;
use quotegrid::db::Synchronous;
use quotegrid::housekeeping::{Pruned, Retention};
use quotegrid::intake::IntakeOutcome;
use quotegrid::queue::{self, Claim, Context, Finish, Handler, JobError, NewJob, Registry};
use quotegrid::shopify::{Topic, Webhook, WebhookEvent};
use quotegrid::testing::Fixture;
use serde_json::json;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Does as its payload says.
struct Obedient;

impl Handler for Obedient {
    fn run(&self, job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        match job.payload.as_str() {
            Some("fail") => Err(JobError::Permanent("as asked".to_owned())),
            _ => Ok(Finish::done()),
        }
    }
}

fn fixture() -> Fixture {
    Fixture::with_handlers(Registry::new().with("obedient", Obedient))
}

fn prune(fixture: &Fixture) -> Pruned {
    fixture.app.housekeeper().prune(&Stop::default()).expect("a working database")
}

#[test]
fn finished_jobs_go_when_they_are_old_and_failed_and_unfinished_ones_stay() {
    let fixture = fixture();
    let done = fixture.enqueue("obedient", json!("succeed"));
    let failed = fixture.enqueue("obedient", json!("fail"));
    fixture.run_jobs();
    let cancelled = fixture.enqueue("obedient", json!("succeed"));
    let (queue, now) = (fixture.app.queue.clone(), fixture.now());
    fixture.app.db.write(move |tx| queue.cancel(tx, now, cancelled)).expect("it waits");
    let later = NewJob::new("obedient", json!("succeed")).scheduled_at(now + chrono::TimeDelta::days(4_000));
    let waiting = fixture.app.enqueue(later).expect("enqueued");
    fixture.advance(30 * DAY);
    assert_eq!(prune(&fixture), Pruned::default(), "they are 30 days old, and not older");
    fixture.advance(Duration::from_millis(1));
    assert_eq!(prune(&fixture), Pruned { jobs: 2, ..Pruned::default() });
    let left = |id: quotegrid::domain::ids::JobId| {
        fixture.query::<u64>(&format!("SELECT count(*) FROM job_queue WHERE id = '{id}'"))
    };
    assert_eq!([done, cancelled, failed, waiting].map(left), [0, 0, 1, 1]);
    assert_eq!(fixture.count("job_attempts"), 1, "attempts go with their job");
    fixture.advance(1_066 * DAY);
    assert_eq!(prune(&fixture).jobs, 1, "a failed one goes at last");
    assert_eq!(left(waiting), 1, "one that waits is never old");
}

#[test]
fn deliveries_and_settled_requests_go_each_in_their_time_and_receipts_stay() {
    let fixture = Fixture::new();
    redact(&fixture, "gone.myshopify.com");
    fixture.run_jobs();
    assert_eq!((fixture.count("webhook_deliveries"), fixture.count("gdpr_requests")), (1, 1));
    fixture.advance(30 * DAY + Duration::from_millis(1));
    assert_eq!(prune(&fixture), Pruned { jobs: 1, ..Pruned::default() }, "the request is the delivery");
    fixture.advance(1_065 * DAY);
    assert_eq!(prune(&fixture), Pruned { requests: 1, ..Pruned::default() });
    assert_eq!((fixture.count("gdpr_requests"), fixture.count("erasure_receipts")), (0, 2));
    // Now no place is left where the domain may stand, neither in the tables nor in the files.
    let program = std::path::Path::new(PROGRAM);
    let found = quotegrid::erasure::verify::verify(&fixture.app.db, &fixture.app.hasher, program).expect("verifiable");
    assert!(found.is_ok(), "{found:?}");
}

#[test]
fn a_request_whose_delivery_another_copy_of_the_database_has_brought_along_is_forgotten_too() {
    let fixture = Fixture::new();
    redact(&fixture, "gone.myshopify.com");
    fixture.run_jobs();
    // As a restore does it from a copy in which the request was forgotten already.
    let brought: quotegrid::db::Result<usize> = fixture
        .app
        .db
        .write(|tx| Ok(tx.execute("INSERT INTO other_webhook_deliveries SELECT * FROM webhook_deliveries", ())?));
    assert_eq!(brought.expect("writable"), 1);
    let now = fixture.advance(40 * DAY);
    let (before, deliveries_since) = (now - TimeDelta::days(31), now - TimeDelta::days(60));
    let pruned = fixture.app.db.write(move |tx| quotegrid::intake::prune_requests(tx, before, deliveries_since, 10));
    assert_eq!(pruned.expect("nothing is known twice"), 1);
    assert_eq!((fixture.count("gdpr_requests"), fixture.count("other_webhook_deliveries")), (0, 1));
}

#[test]
fn what_is_open_or_not_yet_scrubbed_is_never_pruned() {
    let fixture = Fixture::new();
    redact(&fixture, "unscrubbed.myshopify.com");
    fixture.advance(Duration::from_millis(1));
    redact(&fixture, "open.myshopify.com");
    // Worked off, and the scrub has not come by.
    let worker = fixture.app.worker().expect("a worker");
    worker.step().expect("a working database");
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL"), 1);
    fixture.advance(10_000 * DAY);
    assert_eq!(prune(&fixture).requests, 0);
    fixture.app.scrubber().scrub_all().expect("it works");
    assert_eq!(prune(&fixture).requests, 1);
    assert_eq!(
        fixture.query::<String>("SELECT group_concat(shop) FROM gdpr_requests WHERE processed_at IS NULL"),
        "open.myshopify.com",
        "an open one stays for ever"
    );
}

#[test]
fn many_old_rows_go_in_batches() {
    let fixture = fixture();
    for number in 0..1_001 {
        fixture.enqueue("obedient", json!(number));
    }
    fixture.run_jobs();
    fixture.advance(31 * DAY);
    let before = fixture.app.db.writer_figures().commits.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(prune(&fixture).jobs, 1_001);
    let commits = fixture.app.db.writer_figures().commits.load(std::sync::atomic::Ordering::Relaxed) - before;
    assert!(commits >= 6, "no transaction took them all: {commits}");
}

#[test]
fn free_pages_are_given_back_while_nothing_else_is_written() {
    let fixture = Fixture::new();
    for _ in 0..200 {
        fixture.enqueue("unknown", json!({ "filling": "x".repeat(50_000) }));
    }
    let space = || fixture.app.db.read(quotegrid::db::space).expect("readable");
    let full = space();
    let deleted: quotegrid::db::Result<usize> = fixture.app.db.write(|tx| Ok(tx.execute("DELETE FROM job_queue", ())?));
    deleted.expect("writable");
    assert!(space().free > 1_000, "{:?}", space());
    assert!(fixture.app.housekeeper().vacuum(&Stop::default()).expect("a working database"));
    let after = space();
    assert!(after.free <= 256 && after.pages < full.pages / 2, "{full:?} {after:?}");
    assert!(fixture.app.db.empty_wal(Duration::from_secs(60)).expect("it works"));
    assert_eq!(fixture.app.db.file_sizes().database, after.pages * after.page_size);
}

#[test]
fn under_steady_load_the_file_stops_growing() {
    const KEPT: i64 = 4;
    const ROUNDS: usize = 24;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let clock = std::sync::Arc::new(ManualClock::default());
    let mut options = Options::new(directory.path().join("test.db"));
    // It is not the disk that is looked at.
    options.database.synchronous = Synchronous::Normal;
    options.clock = clock.clone();
    options.handlers = Registry::new().with("obedient", Obedient);
    let days = TimeDelta::days(KEPT);
    options.retention = Retention {
        jobs: queue::Retention { finished: days, failed: days },
        deliveries: days,
        requests: days,
        open_orders: None,
    };
    let app = App::open(options).expect("a new database");
    let mut sizes = Vec::new();
    for _ in 0..ROUNDS {
        for number in 0..25 {
            let filling = json!({ "filling": "x".repeat(4_000) });
            app.enqueue(NewJob::new("obedient", filling.clone())).expect("enqueued");
            app.enqueue(NewJob::new("obedient", filling).dedupe_key(format!("{number}"))).expect("enqueued");
        }
        app.run_due(1_000).expect("a working database");
        app.housekeeper().prune(&Stop::default()).expect("a working database");
        sizes.push(app.db.read(quotegrid::db::space).expect("readable").pages);
        clock.advance(DAY);
    }
    let jobs = app.db.read(queue::counts).expect("readable");
    assert_eq!((jobs.completed, jobs.pending), (50 * (u64::try_from(KEPT).expect("few") + 1), 0));
    // A page or two more or less: where rows come to lie is left to chance.
    assert!(sizes[ROUNDS - 1] <= sizes[ROUNDS / 2] * 21 / 20, "{sizes:?}");
}

#[test]
fn a_delivery_is_known_for_its_days_also_where_its_request_is_pruned_earlier() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let clock = std::sync::Arc::new(ManualClock::default());
    let mut options = Options::new(directory.path().join("test.db"));
    options.clock = clock.clone();
    let days = TimeDelta::days(31);
    options.retention = Retention {
        jobs: queue::Retention { finished: days, failed: days },
        deliveries: TimeDelta::days(90),
        requests: days,
        open_orders: None,
    };
    let app = App::open(options).expect("opens");
    let deliver = || {
        let (sender, receiver) = std::sync::mpsc::channel();
        let webhook = Webhook {
            topic: Topic::CustomersRedact,
            webhook_id: Some("w-1".to_owned()),
            event_id: Some("e-1".to_owned()),
            shop: "late.myshopify.com".parse().expect("a shop domain"),
            triggered_at: None,
            event: WebhookEvent::CustomersRedact { customer_id: Some(7), orders_to_redact: None },
        };
        app.intake().accept_then(webhook, b"a body", move |outcome| sender.send(outcome).expect("it waits"));
        receiver.recv().expect("answered").expect("taken")
    };
    let IntakeOutcome::Accepted(job) = deliver() else { panic!("it is new") };
    while app.process_next_job().expect("a working database") != queue::StepOutcome::Idle {}
    app.scrubber().scrub_all().expect("scrubbed");
    clock.advance(31 * DAY + Duration::from_millis(1));
    let pruned = || app.housekeeper().prune(&Stop::default()).expect("a working database");
    assert_eq!(pruned(), Pruned { jobs: 1, requests: 1, ..Pruned::default() });
    assert_eq!(deliver(), IntakeOutcome::Duplicate(job), "it is known, and so is what it led to");
    clock.advance(59 * DAY);
    assert_eq!(pruned(), Pruned { deliveries: 1, ..Pruned::default() });
    assert!(matches!(deliver(), IntakeOutcome::Accepted(_)), "nobody sends it so late");
}

#[test]
fn pruning_finds_its_rows_by_index() {
    let fixture = Fixture::new();
    for (sql, index) in [
        (
            "SELECT id FROM job_queue WHERE status NOT IN ('pending', 'processing') AND status = 'completed'
             AND processed_at < 1 ORDER BY processed_at LIMIT 9",
            "job_queue_finished (status=? AND processed_at<?)",
        ),
        (
            "SELECT topic, webhook_id FROM other_webhook_deliveries WHERE received_at < 1 ORDER BY received_at LIMIT 9",
            "webhook_deliveries_received_at (received_at<?)",
        ),
        (
            "SELECT id FROM gdpr_requests WHERE id < 'x' AND processed_at < 1
             AND (erased_at IS NOT NULL OR outcome IN ('superseded_by_reinstall', 'still_installed') OR outcome = 'rejected')
             ORDER BY id LIMIT 9",
            "PRIMARY KEY (id<?)",
        ),
        ("SELECT max(received_at) AS last FROM other_webhook_deliveries", "other_webhook_deliveries_received_at"),
        ("SELECT created_at FROM gdpr_requests WHERE webhook_id IS NOT NULL ORDER BY id DESC LIMIT 1", "SCAN gdpr_requests"),
        (
            "SELECT count(*) FROM job_queue WHERE status NOT IN ('pending', 'processing') AND status = 'completed'",
            "COVERING INDEX job_queue_finished (status=?)",
        ),
        (
            "SELECT id FROM gdpr_requests WHERE processed_at IS NULL AND due_at < 1 ORDER BY due_at",
            "gdpr_requests_open",
        ),
        ("SELECT 1 FROM job_queue WHERE status = 'processing' LIMIT 1", "job_queue_processing"),
    ] {
        let plan = plan(&fixture, sql);
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

/// Takes minutes: by `cargo test -- --ignored`. Prints what it measures with `--nocapture`.
#[test]
#[ignore = "takes minutes"]
fn tens_of_thousands_of_webhooks_leave_file_and_wal_as_large_as_they_were() {
    const ROUNDS: usize = 12;
    const WEBHOOKS: usize = 5_000;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let clock = std::sync::Arc::new(ManualClock::default());
    let mut options = Options::new(directory.path().join("test.db"));
    options.clock = clock.clone();
    let days = TimeDelta::days(3);
    options.retention = Retention {
        jobs: queue::Retention { finished: days, failed: days },
        deliveries: days,
        requests: days,
        open_orders: None,
    };
    let app = std::sync::Arc::new(App::open(options).expect("a new database"));
    let secrets = quotegrid::shopify::Secrets::new(["hush"]);
    let router =
        quotegrid::http::Router::new(std::sync::Arc::new(quotegrid::http::AppState::new(app.clone(), secrets)));
    let background = app.start(2).expect("threads");
    let (mut files, mut wals) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (answer, answers) = std::sync::mpsc::channel();
        let mut wal = 0;
        for number in 0..WEBHOOKS {
            let request = data_request(round * WEBHOOKS + number);
            let answer = answer.clone();
            let reply = quotegrid::http::Reply::new(move |response| answer.send(response.status).expect("awaited"));
            quotegrid::http::Service::call(&router, request, reply);
            // As many at once as a busy shop's server would have.
            if number % 64 == 63 {
                assert!(answers.iter().take(64).all(|status| status == 200));
                wal = wal.max(app.db.file_sizes().wal);
            }
        }
        assert!(answers.iter().take(WEBHOOKS % 64).all(|status| status == 200));
        app.run_due(usize::MAX).expect("a working database");
        app.housekeeper().prune(&Stop::default()).expect("a working database");
        files.push(app.db.read(quotegrid::db::space).expect("readable").pages * 8);
        wals.push(wal >> 10);
        clock.advance(DAY);
    }
    background.stop(Duration::from_secs(60));
    println!("file, KiB after each {WEBHOOKS} webhooks: {files:?}\nWAL, KiB at the most: {wals:?}");
    assert!(files[ROUNDS - 1] <= files[ROUNDS / 2] * 21 / 20, "{files:?}");
    assert!(wals.iter().all(|wal| *wal < 64 << 10), "{wals:?}");
}

fn data_request(number: usize) -> quotegrid::http::Request {
    let shop = format!("s-{}.myshopify.com", number % 1_000);
    let body = json!({
        "shop_id": 1, "shop_domain": shop, "orders_requested": [],
        "customer": { "id": 7, "email": "jo@example.invalid", "phone": "555-0100" }, "data_request": { "id": number },
    });
    let body = body.to_string();
    let mut headers = quotegrid::http::Headers::default();
    headers.push("X-Shopify-Topic", "customers/data_request");
    headers.push("X-Shopify-Shop-Domain", shop);
    headers.push("X-Shopify-Webhook-Id", format!("w-{number}"));
    headers.push("X-Shopify-Hmac-Sha256", quotegrid::shopify::sample::sign("hush", body.as_bytes()));
    quotegrid::http::Request {
        method: quotegrid::http::Method::Post,
        path: "/webhooks".to_owned(),
        query: String::new(),
        headers,
        body: body.into_bytes(),
        client: std::net::IpAddr::from([127, 0, 0, 1]),
        id: "r".to_owned(),
    }
}
