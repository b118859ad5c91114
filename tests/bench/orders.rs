//! Orders a second alongside webhooks a second, and what webhooks and prices feel of a Shopify that hangs: `cargo bench --bench
//! orders`.
//!
//! Signed `app/uninstalled` webhooks (they lead to no job, whose work would count too) over 16 connections, orders over 32 and prices
//! over 1, each alone and together, all answered after their commit with `synchronous=FULL`, against
//!
//! - `kept`: a server without a Shopify app: orders stay here;
//! - `hanging`: one whose Shopify takes connections and never answers: four threads hang in calls, sixteen orders wait at any time, and
//!   hand-overs pile up;
//! - `quick`: one whose Shopify answers at once.
//!
//! All run in this process, load generator and fake Shopify included, so on two cores everything shares those; rounds are
//! interleaved and the median of each figure is shown. Beside them orders of five items; and what it costs to look whether a shop has too
//! many unpaid orders, which each order does where there is a limit: at most that many rows of an index are read. Compare the lines;
//! absolute figures say little. `--seconds 2 --rounds 5` takes longer.

#[path = "load/arguments.rs"]
mod arguments;
#[allow(dead_code, reason = "the other benchmarks use more of it")]
#[path = "load/client.rs"]
mod client;
#[path = "usage.rs"]
mod usage;

use arguments::Arguments;
use client::{Load, Requests, Run, median};
use quotegrid::app::{App, Background, Options};
use quotegrid::demo;
use quotegrid::edge::{Server, ServerOptions};
use quotegrid::http::{AppState, Router};
use quotegrid::orders::handover;
use quotegrid::orders::open_limit::OPEN_ORDER_LIMIT;
use quotegrid::orders::records;
use quotegrid::secret::Secret;
use quotegrid::shopify::Secrets;
use quotegrid::shopify::sample::sign;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// What a shopper waits for Shopify: shorter than in earnest, for each connection's first order waits for the one before.
const WAIT: Duration = Duration::from_millis(250);

/// Signs the webhooks.
const SECRET: &str = "bench-secret-bench-secret-bench-";

/// Which loads run alongside each other.
const MIXES: [(&str, &[&str]); 6] = [
    ("webhooks", &["webhooks"]),
    ("orders", &["orders"]),
    ("orders of five", &["orders of five"]),
    ("webhooks + orders of five", &["webhooks", "orders of five"]),
    ("webhooks + prices", &["webhooks", "prices"]),
    ("webhooks + orders + prices", &["webhooks", "orders", "prices"]),
];

fn main() {
    let Some(arguments) = Arguments::of_benchmark() else { return };
    let targets = ["kept", "hanging", "quick"].map(Target::start);
    let mut runs: BTreeMap<(usize, &str, usize), Vec<Run>> = BTreeMap::new();
    for _ in 0..arguments.rounds() {
        for (which_mix, (_, loads)) in MIXES.iter().enumerate() {
            for (which, target) in targets.iter().enumerate() {
                for (load, run) in target.run(loads, Duration::from_secs_f64(arguments.seconds())) {
                    runs.entry((which_mix, load, which)).or_default().push(run);
                }
            }
        }
    }
    println!(
        "| beside each other | load | Shopify | a second | p50 ms | p99 ms | p99.9 ms | µs computed, each | KiB written, each |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for ((which_mix, load, which), runs) in &runs {
        let quantile = |quantile: f64| median(runs, |run| run.quantile_ms(quantile));
        println!(
            "| {} | {load} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.0} | {:.1} |",
            MIXES[*which_mix].0,
            targets[*which].name,
            median(runs, Run::rate),
            quantile(0.5),
            quantile(0.99),
            quantile(0.999),
            median(runs, Run::micros_each),
            median(runs, Run::kib_each),
        );
    }
    time_looks_at_the_limit();
    for target in targets {
        println!("{}: hand-overs {:?}", target.name, target.app.handover.figures().all());
        target.stop();
    }
}

/// How long each order takes to look whether its shop has too many unpaid ones, where there are as many as there may be.
fn time_looks_at_the_limit() {
    const LOOKS: u32 = 2_000;
    let directory = tempfile::tempdir().expect("a directory");
    let app = App::open(Options::new(directory.path().join("limit.db"))).expect("a database");
    let shop = demo::load(&app).expect("the demo store loads").shop;
    let (now, limit) = (app.clock.now(), i64::from(OPEN_ORDER_LIMIT));
    let store = app.db.write(move |tx| -> quotegrid::db::Result<_> {
        tx.execute("UPDATE draft_order_records SET status = 'ordered'", ())?;
        tx.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO draft_order_records (id, store_id, number, token, unit, currency, total_price_minor, created_at)
             SELECT 'o' || i, s.id, 1000 + i, 't' || i, 'mm', 'EUR', 1, ?2 FROM n, stores AS s",
            (limit, now.timestamp_millis()),
        )?;
        Ok(quotegrid::catalog::stores::find(tx, &shop)?.expect("the demo store").id)
    });
    let store = store.expect("written");
    let look = |connection: &rusqlite::Connection| {
        records::count_unpaid(connection, store, now - chrono::TimeDelta::hours(1), now)
    };
    let begun = std::time::Instant::now();
    for _ in 0..LOOKS {
        assert_eq!(app.db.read(look).expect("readable").0, u64::from(OPEN_ORDER_LIMIT));
    }
    println!("a look at {limit} unpaid orders takes {:.0} µs", begun.elapsed().as_secs_f64() * 1e6 / f64::from(LOOKS));
}

/// A running server.
struct Target {
    name: &'static str,
    app: Arc<App>,
    server: Server,
    background: Background,
    key: String,
    _directory: TempDir,
}

impl Target {
    fn start(name: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut options = Options::new(directory.path().join("bench.db"));
        options.handover = match name {
            "hanging" => Some(handing_over(shopify(true))),
            "quick" => Some(handing_over(shopify(false))),
            _ => None,
        };
        let app = Arc::new(App::open(options).expect("a database"));
        let key = demo::load(&app).expect("the demo store loads").key.key;
        // Without the limit of requests: there is one client here.
        let state = AppState::new(app.clone(), Secrets::new([SECRET])).with_rate_limit(0);
        let service = Arc::new(Router::new(Arc::new(state)));
        let server = Server::start(ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0))), service);
        let background = app.start(2).expect("threads");
        Self { name, app, server: server.expect("a server"), background, key, _directory: directory }
    }

    fn run(&self, loads: &[&'static str], time: Duration) -> Vec<(&'static str, Run)> {
        let address = self.server.address();
        std::thread::scope(|scope| {
            let started: Vec<_> = loads
                .iter()
                .map(|load| {
                    let run = move || match *load {
                        "webhooks" => client::run(address, &Webhooks, Load::Kept(16), time),
                        "orders" => client::run(address, &Orders { key: &self.key, items: 1 }, Load::Kept(32), time),
                        "orders of five" => {
                            client::run(address, &Orders { key: &self.key, items: 5 }, Load::Kept(32), time)
                        }
                        _ => client::run(address, &Prices { key: &self.key }, Load::Kept(1), time),
                    };
                    (*load, scope.spawn(run))
                })
                .collect();
            started.into_iter().map(|(load, run)| (load, run.join().expect("no panic"))).collect()
        })
    }

    fn stop(self) {
        self.server.stop(Duration::from_secs(1));
        self.background.stop(Duration::from_secs(1));
    }
}

fn handing_over(shopify: SocketAddr) -> handover::Options {
    handover::Options {
        address: format!("http://{shopify}/{{shop}}").parse().expect("an address"),
        wait: WAIT,
        ..handover::Options::new("bench", Secret::new("bench-secret"))
    }
}

/// A Shopify that takes every connection, and answers at once or never.
fn shopify(hangs: bool) -> SocketAddr {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let Some(is_grant) = read_call(&socket) else { return };
                if hangs && !is_grant {
                    // Until the caller gives up.
                    let _ended = (&socket).read(&mut [0]);
                    return;
                }
                let body = if is_grant {
                    r#"{"access_token":"bench-token","expires_in":86399}"#.to_owned()
                } else {
                    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                    format!(
                        r##"{{"data":{{"draftOrderCreate":{{"draftOrder":{{"id":"gid://shopify/DraftOrder/{number}","name":"#S{number}","invoiceUrl":"https://bench.example/{number}"}},"userErrors":[]}}}}}}"##
                    )
                };
                let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
                let _gone = (&socket).write_all(format!("{head}{body}").as_bytes());
            });
        }
    });
    address
}

/// Reads a request; returns whether it asks for a token.
fn read_call(socket: &TcpStream) -> Option<bool> {
    let mut reader = BufReader::new(socket);
    let (mut is_grant, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line == "\r\n" {
            break;
        }
        is_grant = is_grant.or(Some(line.contains("access_token")));
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    is_grant
}

struct Webhooks;

impl Requests for Webhooks {
    /// Each has a webhook id of its own.
    fn write(&self, out: &mut Vec<u8>, _close: bool) {
        static SENT: AtomicU64 = AtomicU64::new(0);
        let body = r#"{"id":954889,"myshopify_domain":"bench-shop.myshopify.com"}"#;
        let (number, signature) = (SENT.fetch_add(1, Ordering::Relaxed), sign(SECRET, body.as_bytes()));
        out.clear();
        let _infallible = write!(
            out,
            "POST /webhooks HTTP/1.1\r\nHost: quotes.example.com\r\nX-Shopify-Hmac-Sha256: {signature}\r\n\
             X-Shopify-Shop-Domain: bench-shop.myshopify.com\r\nX-Shopify-Topic: app/uninstalled\r\n\
             X-Shopify-Webhook-Id: b54557e4-bdd9-4b37-8a5f-{number:012x}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
}

struct Orders<'a> {
    key: &'a str,
    items: usize,
}

impl Requests for Orders<'_> {
    /// Each with an `Idempotency-Key` of its own.
    fn write(&self, out: &mut Vec<u8>, _close: bool) {
        static ORDERED: AtomicU64 = AtomicU64::new(0);
        let (key, number) = (self.key, ORDERED.fetch_add(1, Ordering::Relaxed));
        let item = r#"{"productId":"gid://shopify/Product/1009","width":600,"height":250}"#;
        let items = format!(r#"{{"items":[{}]}}"#, vec![item; self.items].join(","));
        let body = if self.items == 1 { item } else { items.as_str() };
        out.clear();
        let _infallible = write!(
            out,
            "POST /api/v1/draft-orders HTTP/1.1\r\nHost: quotes.example.com\r\nX-API-Key: {key}\r\nIdempotency-Key: {number}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
}

struct Prices<'a> {
    key: &'a str,
}

impl Requests for Prices<'_> {
    fn write(&self, out: &mut Vec<u8>, _close: bool) {
        out.clear();
        let _infallible = write!(
            out,
            "GET /api/v1/products/1009/price?width=600&height=250 HTTP/1.1\r\nHost: quotes.example.com\r\nX-API-Key: {}\r\n\r\n",
            self.key
        );
    }
}
