//! The webhook path, from the signature to the commit, and what it leaves in memory.

use crate::{Figure, WINDOW, figure, median, open, plainly, print, print_figures, rounds, setting};
use quotegrid::app::App;
use quotegrid::db;
use quotegrid::http::{AppState, Headers, Method, Reply, Request, Router, Service};
use quotegrid::queue::Registry;
use quotegrid::shopify::sample::{sample_body, sign};
use quotegrid::shopify::{Secrets, Topic};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const SECRET: &str = "a-secret-of-a-benchmark";

pub(crate) fn webhooks() {
    let references: Vec<f64> = (0..rounds()).map(|_| plainly::webhook()).collect();
    let reference = median(references.clone());
    print("one transaction a webhook, one thread", &references, None);
    for most in [1, 32, 256] {
        let figures: Vec<Figure> = (0..rounds())
            .map(|_| {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let app = open(directory.path(), Registry::new());
                let (router, numbers, started) = (site(&app), AtomicUsize::new(0), Instant::now());
                figure(|| post(&router, &numbers, most, |_number| started.elapsed() >= WINDOW))
            })
            .collect();
        print_figures(&format!("webhook, signature to commit, {most} at once"), &figures, Some(("that", reference)));
    }
}

/// In a process of its own, whose memory nobody else uses.
pub(crate) fn memory() {
    let program = std::env::current_exe().expect("this program");
    let status = std::process::Command::new(program).arg("memory-child").status().expect("it runs");
    assert!(status.success());
}

pub(crate) fn memory_child() {
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
    Router::new(Arc::new(AppState::new(app.clone(), Secrets::new([SECRET]))))
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

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap_or_default() / 1_024.0
}
