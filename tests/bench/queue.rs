//! `cargo bench --bench queue`: what the queue, the webhook path, a start and a backup cost, each beside a reference that is measured
//! in the same run on the same disk. Medians of several rounds; the ratios are what to hold on to.
//!
//! Names after `--` choose parts: enqueue, claim, webhooks, start, memory. `ROUNDS=5` measures more often, `WAITING=1000` leaves the
//! long backlogs out, `WEBHOOKS=100000` makes the last part shorter.

use chrono::Utc;
use quotegrid::app::{App, Options};
use quotegrid::backup;
use quotegrid::db;
use quotegrid::error::Error;
use quotegrid::http::{Headers, Method, Reply, Request, Router, Service, Site};
use quotegrid::queue::{Claim, Context, Finish, Handler, JobError, NewJob, Registry};
use quotegrid::shopify::sample::{sample_body, sign};
use quotegrid::shopify::{Secrets, Topic};
use rusqlite::Connection;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long a rate is measured.
const WINDOW: Duration = Duration::from_millis(1_500);

/// Jobs whose running is measured at a time.
const JOBS: usize = 20_000;

const SECRET: &str = "a-secret-of-a-benchmark";

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    if asked.first().is_some_and(|name| name == "memory-child") {
        return memory_child();
    }
    let wants = |part: &str| asked.is_empty() || asked.iter().any(|name| name == part);
    let parts: [(&str, fn()); 5] =
        [("enqueue", enqueue), ("claim", claim), ("webhooks", webhooks), ("start", start), ("memory", memory)];
    for (name, part) in parts {
        if wants(name) {
            part();
        }
    }
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn rounds() -> usize {
    setting("ROUNDS", 3)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn print(what: &str, figures: &[f64], reference: Option<(&str, f64)>) {
    let per_second = median(figures.to_vec());
    match reference {
        None => println!("{what:<52} {per_second:>9.0}/s"),
        Some((name, figure)) => println!("{what:<52} {per_second:>9.0}/s  {:>6.2} x {name}", per_second / figure),
    }
}

fn open(directory: &Path, handlers: Registry) -> Arc<App> {
    let mut options = Options::new(directory.join("bench.db"));
    options.handlers = handlers;
    Arc::new(App::open(options).expect("a database"))
}

/// A connection as a plain program would have it, durable.
fn plain(directory: &Path) -> Connection {
    let connection = Connection::open(directory.join("bench.db")).expect("a database");
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON")
        .expect("settings");
    connection.set_prepared_statement_cache_capacity(32);
    connection
}

fn job() -> NewJob {
    NewJob::new("noop", json!({ "shop": "a-shop-of-the-benchmark.myshopify.com", "requestId": "0197f0c0" }))
}

/// Calls `work` for [`WINDOW`] and returns how many times a second it could be.
fn rate(mut work: impl FnMut()) -> f64 {
    let (started, mut times) = (Instant::now(), 0_u32);
    while started.elapsed() < WINDOW {
        work();
        times += 1;
    }
    f64::from(times) / started.elapsed().as_secs_f64()
}

/// One transaction a job, one thread.
fn reference_enqueue() -> f64 {
    let directory = tempfile::tempdir().expect("a temporary directory");
    drop(open(directory.path(), Registry::new()));
    let connection = plain(directory.path());
    let mut number = 0_u64;
    rate(|| {
        number += 1;
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        insert_plainly(&connection, number);
        connection.execute_batch("COMMIT").expect("committed");
    })
}

fn insert_plainly(connection: &Connection, number: u64) {
    let mut statement = connection
        .prepare_cached(
            "INSERT INTO job_queue (id, type, payload, scheduled_at, created_at) VALUES (?1, ?2, ?3, ?4, ?4)",
        )
        .expect("prepared");
    let payload = r#"{"shop":"a-shop-of-the-benchmark.myshopify.com","requestId":"0197f0c0"}"#;
    let now = Utc::now().timestamp_millis();
    statement.execute((format!("{now:012x}-0000-7000-8000-{number:012x}"), "noop", payload, now)).expect("inserted");
}

fn enqueue() {
    let mut references = Vec::new();
    let mut by_producers = [1, 16, 64].map(|producers| (producers, Vec::new()));
    let mut bulk = Vec::new();
    for _ in 0..rounds() {
        references.push(reference_enqueue());
        for (producers, figures) in &mut by_producers {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let app = open(directory.path(), Registry::new());
            figures.push(produce(&app, *producers));
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let app = open(directory.path(), Registry::new());
        bulk.push(500.0 * rate(|| enqueue_some(&app, 500)));
    }
    let reference = median(references.clone());
    print("one transaction a job, one thread", &references, None);
    for (producers, figures) in by_producers {
        print(&format!("enqueue, a call a job, {producers} producers"), &figures, Some(("that", reference)));
    }
    print("enqueue in bulk, 500 a transaction", &bulk, Some(("that", reference)));
}

fn produce(app: &Arc<App>, producers: usize) -> f64 {
    let (stop, times) = (AtomicBool::new(false), AtomicUsize::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..producers {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    app.enqueue_plain(job());
                    times.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(WINDOW);
        stop.store(true, Ordering::Relaxed);
    });
    times.into_inner() as f64 / started.elapsed().as_secs_f64()
}

trait EnqueuePlain {
    fn enqueue_plain(&self, job: NewJob);
}

impl EnqueuePlain for Arc<App> {
    /// As a program that embeds the queue does, in a transaction that could hold more.
    fn enqueue_plain(&self, job: NewJob) {
        let (queue, now) = (self.queue.clone(), self.clock.now());
        self.db.write(move |tx| queue.enqueue(tx, now, job)).expect("enqueued");
    }
}

fn enqueue_some(app: &Arc<App>, jobs: usize) {
    let (queue, now) = (app.queue.clone(), app.clock.now());
    let done: Result<(), Error> = app.db.write(move |tx| {
        for _ in 0..jobs {
            queue.enqueue(tx, now, job())?;
        }
        Ok(())
    });
    done.expect("enqueued");
}

/// Does nothing, and counts it.
struct Noop(Arc<AtomicUsize>);

impl Handler for Noop {
    fn run(&self, _job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Finish::done())
    }
}

/// Two transactions a job, one thread, with 1,000 waiting behind.
fn reference_claim() -> f64 {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let app = open(directory.path(), Registry::new());
    (0..40).for_each(|_| enqueue_some(&app, 500));
    drop(app);
    let connection = plain(directory.path());
    rate(|| {
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        let now = Utc::now().timestamp_millis();
        let mut statement = connection
            .prepare_cached(
                "UPDATE job_queue
                 SET status = 'processing', attempts = attempts + 1, claim = claim + 1, claimed_by = 'me',
                     claimed_at = ?1, lease_expires_at = ?1 + 30000
                 WHERE id = (SELECT id FROM job_queue WHERE status = 'pending' AND scheduled_at <= ?1
                             ORDER BY scheduled_at, id LIMIT 1)
                   AND status = 'pending'
                 RETURNING id, claim",
            )
            .expect("prepared");
        let (id, claim): (String, i64) =
            statement.query_row([now], |row| Ok((row.get(0)?, row.get(1)?))).expect("claimed");
        connection.execute_batch("COMMIT; BEGIN IMMEDIATE").expect("committed");
        connection
            .prepare_cached(
                "UPDATE job_queue
                 SET status = 'completed', processed_at = ?3, payload = '{}', claimed_by = NULL, claimed_at = NULL,
                     lease_expires_at = NULL
                 WHERE id = ?1 AND claim = ?2",
            )
            .and_then(|mut statement| statement.execute((&id, claim, now)))
            .expect("completed");
        connection
            .prepare_cached("INSERT INTO job_attempts VALUES (?1, ?2, 1, ?3, ?3, 'completed', NULL)")
            .and_then(|mut statement| statement.execute((&id, claim, now)))
            .expect("noted");
        connection.execute_batch("COMMIT").expect("committed");
    })
}

fn claim() {
    let references: Vec<f64> = (0..rounds()).map(|_| reference_claim()).collect();
    let reference = median(references.clone());
    print("two transactions a job, one thread", &references, None);
    let mut first = None;
    for waiting in [1_000, 100_000, 1_000_000].into_iter().filter(|waiting| *waiting <= setting("WAITING", 1_000_000)) {
        let figures = run_with(waiting);
        print(&format!("claim + run + complete, {waiting} waiting"), &figures, Some(("that", reference)));
        let figure = median(figures);
        let first = *first.get_or_insert(figure);
        println!("{:<52} {:>19.2} of 1000 waiting", "", figure / first);
    }
}

/// Runs a second, for each round, with at least `waiting` jobs left behind.
fn run_with(waiting: usize) -> Vec<f64> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ran = Arc::new(AtomicUsize::new(0));
    let app = open(directory.path(), Registry::new().with("noop", Noop(ran.clone())));
    for _ in 0..(waiting + JOBS * (rounds() + 1)).div_ceil(500) {
        enqueue_some(&app, 500);
    }
    let background = app.start(2).expect("threads");
    let wait_for = |jobs: usize| {
        while ran.load(Ordering::Relaxed) < jobs {
            std::thread::sleep(Duration::from_micros(200));
        }
        (Instant::now(), ran.load(Ordering::Relaxed))
    };
    // The first ones warm the caches.
    let mut last = wait_for(JOBS / 2);
    let figures = (0..rounds())
        .map(|_| {
            let next = wait_for(last.1 + JOBS);
            let figure = (next.1 - last.1) as f64 / (next.0 - last.0).as_secs_f64();
            last = next;
            figure
        })
        .collect();
    background.stop(Duration::from_secs(60));
    figures
}

/// A gate for as many requests as may be under way.
struct Window {
    open: Mutex<usize>,
    changed: Condvar,
}

impl Window {
    fn enter(&self, most: usize) {
        let mut open = self.open.lock().expect("unpoisoned");
        while *open >= most {
            open = self.changed.wait(open).expect("unpoisoned");
        }
        *open += 1;
    }

    fn leave(&self) {
        *self.open.lock().expect("unpoisoned") -= 1;
        self.changed.notify_one();
    }
}

fn site(app: &Arc<App>) -> Router {
    Router::new(Arc::new(Site::new(app.clone(), Secrets::new([SECRET]))))
}

fn request(topic: &str, body: &str, number: usize) -> Request {
    let mut headers = Headers::default();
    headers.push("x-shopify-topic", topic);
    headers.push("x-shopify-shop-domain", "a-shop.myshopify.com");
    headers.push("x-shopify-webhook-id", format!("b54557e4-bdd9-4b37-8a5f-{number:012}"));
    headers.push("x-shopify-hmac-sha256", sign(SECRET, body.as_bytes()));
    Request {
        method: Method::Post,
        path: "/webhooks".to_owned(),
        query: String::new(),
        headers,
        body: body.as_bytes().to_vec(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: number.to_string(),
    }
}

/// Posts webhooks with `most` under way, by two threads as the server has them, until `stop` says so; returns how many.
fn post(router: &Router, numbers: &AtomicUsize, most: usize, stop: impl Fn(usize) -> bool + Sync) -> usize {
    let shop = "a-shop.myshopify.com".parse().expect("a shop domain");
    let bodies = [Topic::CustomersDataRequest, Topic::CustomersRedact]
        .map(|topic| (topic.to_string(), sample_body(&topic, &shop).expect("a sample")));
    let window = Arc::new(Window { open: Mutex::new(0), changed: Condvar::new() });
    let first = numbers.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    window.enter(most);
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    if stop(number - first) {
                        numbers.fetch_sub(1, Ordering::Relaxed);
                        window.leave();
                        return;
                    }
                    let (topic, body) = &bodies[number % 2];
                    let window = window.clone();
                    router.call(
                        request(topic, body, number),
                        Reply::new(move |response| {
                            assert_eq!(response.status, 200);
                            window.leave();
                        }),
                    );
                }
            });
        }
    });
    window.enter(1);
    numbers.load(Ordering::Relaxed) - first
}

/// One transaction a webhook, one thread.
fn reference_webhook() -> f64 {
    let directory = tempfile::tempdir().expect("a temporary directory");
    drop(open(directory.path(), Registry::new()));
    let connection = plain(directory.path());
    let mut number = 0_u64;
    rate(|| {
        number += 1;
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        insert_plainly(&connection, number);
        connection
            .prepare_cached(
                "INSERT INTO webhook_deliveries VALUES ('customers/redact', ?1, NULL, 'a.myshopify.com', 1, ?1)",
            )
            .and_then(|mut statement| statement.execute([number.to_string()]))
            .expect("inserted");
        connection
            .prepare_cached(
                "INSERT INTO gdpr_requests (id, shop, type, payload, triggered_at, due_at, created_at)
                 VALUES (?1, 'a.myshopify.com', 'CUSTOMERS_REDACT', '{}', 1, 1, 1)",
            )
            .and_then(|mut statement| statement.execute([number.to_string()]))
            .expect("inserted");
        connection.execute_batch("COMMIT").expect("committed");
    })
}

fn webhooks() {
    let references: Vec<f64> = (0..rounds()).map(|_| reference_webhook()).collect();
    let reference = median(references.clone());
    print("one transaction a webhook, one thread", &references, None);
    for most in [1, 32, 256] {
        let figures: Vec<f64> = (0..rounds())
            .map(|_| {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let app = open(directory.path(), Registry::new());
                let (router, numbers, started) = (site(&app), AtomicUsize::new(0), Instant::now());
                let posted = post(&router, &numbers, most, |_number| started.elapsed() >= WINDOW);
                posted as f64 / started.elapsed().as_secs_f64()
            })
            .collect();
        print(&format!("webhook, signature to commit, {most} at once"), &figures, Some(("that", reference)));
    }
}

/// A file of a GiB: how fast it is ready, and how long a backup of it takes while others enqueue.
fn start() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    drop(open(directory.path(), Registry::new()));
    let connection = plain(directory.path());
    connection
        .execute_batch(
            "PRAGMA synchronous = OFF;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900000)
             INSERT INTO job_queue (id, type, payload, status, scheduled_at, processed_at, created_at)
             SELECT printf('%012x-0000-7000-8000-000000000000', i), 'old', json_object('padding', hex(randomblob(450))),
                 'completed', 1, 1, 1 FROM n;
             PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .expect("filled");
    drop(connection);
    let file = directory.path().join("bench.db");
    let size = file.metadata().expect("there").len() as f64 / f64::from(1 << 20);
    let starts: Vec<f64> = (0..rounds() * 2 + 1)
        .map(|_| {
            let started = Instant::now();
            let app = open(directory.path(), Registry::new());
            let background = app.start(2).expect("threads");
            app.db.write(|tx| tx.touch()).expect("it commits");
            let took = started.elapsed().as_secs_f64() * 1_000.0;
            background.stop(Duration::from_secs(60));
            took
        })
        .collect();
    println!("start to ready on {size:.0} MiB {:>36.1} ms", median(starts));

    let app = open(directory.path(), Registry::new());
    let stop = AtomicBool::new(false);
    let wal = directory.path().join("bench.db-wal");
    let (mut waits, largest, took) = std::thread::scope(|scope| {
        let producers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let mut waits = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        app.enqueue_plain(job());
                        waits.push(begun.elapsed().as_secs_f64() * 1_000.0);
                    }
                    waits
                })
            })
            .collect();
        let watcher = scope.spawn(|| {
            let mut largest = 0;
            while !stop.load(Ordering::Relaxed) {
                // Only asked for its size: opening it would be a fault.
                largest = wal.metadata().map_or(0, |wal| wal.len()).max(largest);
                std::thread::sleep(Duration::from_millis(5));
            }
            largest
        });
        std::thread::sleep(Duration::from_secs(1));
        let started = Instant::now();
        backup::create(&file, &directory.path().join("copy.db"), false, &mut |_done, _all| {}).expect("backed up");
        let took = started.elapsed();
        stop.store(true, Ordering::Relaxed);
        let waits: Vec<f64> = producers.into_iter().flat_map(|producer| producer.join().expect("no panic")).collect();
        (waits, watcher.join().expect("no panic"), took)
    });
    waits.sort_by(f64::total_cmp);
    println!(
        "backup and check of it while 16 producers enqueue {:>12.1} s, {} enqueued meanwhile, p99 {:.1} ms, longest {:.0} ms, \
         WAL at most {} MiB",
        took.as_secs_f64(),
        waits.len(),
        waits[waits.len() * 99 / 100],
        waits[waits.len() - 1],
        largest >> 20
    );
}

/// In a process of its own, whose memory nobody else uses.
fn memory() {
    let program = std::env::current_exe().expect("this program");
    let status = std::process::Command::new(program).arg("memory-child").status().expect("it runs");
    assert!(status.success());
}

fn memory_child() {
    let webhooks = setting("WEBHOOKS", 1_000_000);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let app = open(directory.path(), Registry::new());
    let background = app.start(2).expect("threads");
    std::thread::sleep(Duration::from_secs(1));
    println!("memory idle {:>53.1} MiB", resident_mib());
    let (router, numbers) = (site(&app), AtomicUsize::new(0));
    let file = directory.path().join("bench.db");
    let mib = |name: &str| {
        let path = directory.path().join(name);
        path.metadata().map_or(0.0, |file| file.len() as f64 / f64::from(1 << 20))
    };
    let started = Instant::now();
    for part in 1..=10 {
        post(&router, &numbers, 256, |number| number >= webhooks / 10);
        let open = "SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL
                        OR erased_at IS NULL AND type = 'CUSTOMERS_REDACT'";
        let (done, finished) = sync_channel(1);
        while done.try_send(()).is_ok() {
            let left: u64 = app
                .db
                .read(|connection| -> db::Result<_> { Ok(connection.query_row(open, (), |row| row.get(0))?) })
                .expect("readable");
            if left > 0 {
                finished.recv().expect("sent");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        if [1, 2, 5, 10].contains(&part) {
            println!(
                "after {:>8} webhooks, all worked off and erased, {:>5.0} s: memory {:>5.1} MiB, file {:>6.0} MiB, WAL {:>4.0} MiB",
                webhooks / 10 * part,
                started.elapsed().as_secs_f64(),
                resident_mib(),
                mib("bench.db"),
                mib("bench.db-wal")
            );
        }
    }
    drop(file);
    background.stop(Duration::from_secs(60));
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or_default() / 1_024.0
}
