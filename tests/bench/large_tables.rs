//! How long operators wait for what they see of large tables: `cargo bench --bench large_tables`.
//!
//! On a million jobs (400,000 of them wait, 1,000 failed), 300,000 privacy requests of 100 shops (3,000 of them open) and 100,000 orders,
//! while 16 threads enqueue without a pause. Each look is taken several times; the median is printed with the longest, and the run fails
//! where a median is over the bound. `ROWS=10` divides all tables by ten.

#[path = "large.rs"]
mod large;

use large::{ID, insert_orders, is_over_the_bound, numbers};
use quotegrid::app::{App, Options};
use quotegrid::db;
use quotegrid::demo;
use quotegrid::domain::ids::ShopDomain;
use quotegrid::erasure::{self, requests};
use quotegrid::http::{AppState, Headers, Method, Reply, Request, Router, Service};
use quotegrid::intake;
use quotegrid::orders::records;
use quotegrid::queue::{self, NewJob, Status};
use quotegrid::secret::Secret;
use quotegrid::shopify::Secrets;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

const PRODUCERS: usize = 16;

const TOKEN: &str = "a-token-of-a-benchmark-that-is-long-enough";

fn main() -> ExitCode {
    // `cargo test` builds and runs benchmarks too, to see that they work; this one would take it a minute.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut options = Options::new(directory.path().join("bench.db"));
    options.database.write_wait = Duration::from_secs(600);
    let app = Arc::new(App::open(options).expect("a new database"));
    let demo = demo::load(&app).expect("the demo store loads");
    let started = Instant::now();
    fill(&app);
    println!("filled in {:.0?}", started.elapsed());
    let state = AppState::new(app.clone(), Secrets::new(["hush"])).with_metrics_token(&Secret::new(TOKEN));
    let router = Router::new(Arc::new(state));
    let shop: ShopDomain = "shop-7.myshopify.com".parse().expect("a shop");
    let subject = erasure::subject(&app.hasher, &shop);
    let now = app.clock.now();
    let read = |look: &dyn Fn(&rusqlite::Connection) -> db::Result<()>| {
        app.db.read(|connection| look(connection)).expect("readable");
    };
    let jobs = |filter: queue::Filter| {
        read(&|connection| queue::list(connection, &filter).map(|jobs| assert!(!jobs.is_empty(), "{filter:?}")));
    };
    let filter = || queue::Filter { limit: 50, ..queue::Filter::default() };
    let looks: [(&str, &dyn Fn()); 12] = [
        ("jobs stats", &|| read(&|connection| queue::counts(connection).map(|_| ()))),
        ("jobs list", &|| jobs(filter())),
        ("jobs list --type, of one in a thousand", &|| {
            jobs(queue::Filter { job_type: Some("seldom".to_owned()), ..filter() });
        }),
        ("jobs list --status pending", &|| jobs(queue::Filter { status: Some(Status::Pending), ..filter() })),
        ("jobs list --status failed", &|| jobs(queue::Filter { status: Some(Status::Failed), ..filter() })),
        ("jobs list --shop", &|| jobs(queue::Filter { subject: Some(subject.clone()), ..filter() })),
        ("gdpr list", &|| {
            read(&|connection| {
                requests::list(connection, &requests::Filter { limit: 50, ..requests::Filter::default() }).map(|_| ())
            });
        }),
        ("gdpr list --shop", &|| {
            let filter = requests::Filter { shop: Some(shop.clone()), limit: 50, ..requests::Filter::default() };
            read(&|connection| requests::list(connection, &filter).map(|found| assert_eq!(found.len(), 50)));
        }),
        ("webhooks list", &|| read(&|connection| intake::list_newest(connection, None, 50).map(|_| ()))),
        ("orders list", &|| {
            read(&|connection| {
                let store = quotegrid::catalog::stores::find(connection, &demo.shop)?.expect("the demo store");
                records::list(connection, store.id, None, 50).map(|found| assert_eq!(found.len(), 50))
            });
        }),
        ("duties that are open, overdue or without a job", &|| {
            read(&|connection| requests::open_requests(connection, now).map(|_| ()));
            read(&|connection| erasure::list_without_job(connection, &app.hasher).map(|_| ()));
        }),
        ("/metrics", &|| scrape(&router)),
    ];
    let (stop, enqueued) = (AtomicBool::new(false), AtomicUsize::new(0));
    let begun = Instant::now();
    let is_over = std::thread::scope(|scope| {
        for _ in 0..PRODUCERS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let later = app.clock.now() + chrono::TimeDelta::days(1);
                    app.enqueue(NewJob::new("later", json!({ "n": 1 })).scheduled_at(later)).expect("enqueued");
                    enqueued.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut is_over = false;
        for (what, look) in looks {
            is_over |= is_over_the_bound(what, look);
        }
        stop.store(true, Ordering::Relaxed);
        is_over
    });
    println!(
        "{PRODUCERS} threads have enqueued {:.0} jobs a second meanwhile",
        enqueued.into_inner() as f64 / begun.elapsed().as_secs_f64()
    );
    if is_over { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Which requests are open. Each has a job that waits for it.
const IS_OPEN: &str = "n % 100 = n / 100 % 100";

fn fill(app: &App) {
    let part = std::env::var("ROWS").ok().and_then(|part| part.parse::<usize>().ok()).unwrap_or(1);
    let numbers = |count: usize| numbers(count / part);
    let subjects: Vec<String> = (0..100)
        .map(|number| {
            let shop = format!("shop-{number}.myshopify.com").parse().expect("a shop");
            format!("({number}, '{}')", erasure::subject(&app.hasher, &shop))
        })
        .collect();
    let later = (app.clock.now() + chrono::TimeDelta::days(1)).timestamp_millis();
    let jobs = format!(
        "{}, subjects (number, subject) AS (VALUES {})
         INSERT INTO job_queue (id, type, payload, status, scheduled_at, processed_at, error, created_at, subject)
         SELECT {ID}, iif(n % 1000 = 3, 'seldom', 'customer_redact'), json_object('requestId', {ID}),
             iif(n % 1000 = 1, 'failed', iif(n % 5 < 2 OR {IS_OPEN}, 'pending', 'completed')), iif(n % 5 < 2 OR {IS_OPEN}, {later}, n),
             iif(n % 1000 <> 1 AND (n % 5 < 2 OR {IS_OPEN}), NULL, n), iif(n % 1000 = 1, 'the error ' || (n % 7), NULL), n, subject
         FROM numbers JOIN subjects ON subjects.number = n % 100",
        numbers(1_000_000),
        subjects.join(", ")
    );
    let requests = format!(
        "{} INSERT INTO gdpr_requests (id, shop, type, payload, webhook_id, job_id, triggered_at, due_at, created_at, processed_at,
             outcome, erased_at)
         SELECT {ID}, 'shop-' || (n % 100) || '.myshopify.com', 'CUSTOMERS_REDACT', '{{}}', 'w' || n, {ID}, n, n + 2592000000, n,
             iif({IS_OPEN}, NULL, n), iif({IS_OPEN}, NULL, 'acknowledged'), iif({IS_OPEN}, NULL, n) FROM numbers",
        numbers(300_000)
    );
    let of_orders = numbers(100_000);
    let filled = app.db.write(move |tx| -> db::Result<()> {
        for sql in [jobs, requests] {
            tx.execute(&sql, ())?;
        }
        insert_orders(tx, &of_orders)
    });
    filled.expect("filled");
}

fn scrape(router: &Router) {
    let mut headers = Headers::default();
    headers.push("Authorization", format!("Bearer {TOKEN}"));
    let request = Request {
        method: Method::Get,
        path: "/metrics".to_owned(),
        query: String::new(),
        headers,
        body: Vec::new(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: "bench".to_owned(),
    };
    let (sender, answer) = sync_channel(1);
    router.call(
        request,
        Reply::new(move |response| {
            let _nobody_waits = sender.send(response.status);
        }),
    );
    assert_eq!(answer.recv().expect("an answer"), 200);
}
