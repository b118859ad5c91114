//! How many prices a second, and what one costs: `cargo bench --bench price`.
//!
//! In process, a request through the router: with everything in memory, after a commit of somebody else (the key is read again), and
//! after an edit of the shop (the matrix is read again). Then over 1, 32 and 256 keep-alive connections, and over a connection
//! for each, alongside tiny_http's empty 200 of the same run, on the same cores as the load generator; compare the ratios,
//! absolute figures say little. `--seconds 2 --rounds 5` takes longer.

#[path = "load/arguments.rs"]
mod arguments;
#[path = "load/client.rs"]
mod client;
#[path = "load/plain.rs"]
mod plain;
#[path = "usage.rs"]
mod usage;

use arguments::Arguments;
use client::{Load, Requests, Run, median};
use quotegrid::app::{App, Options};
use quotegrid::catalog::stores::Scope;
use quotegrid::catalog::{assignments, stores};
use quotegrid::db;
use quotegrid::demo;
use quotegrid::domain::ids::ProductId;
use quotegrid::edge::{Server, ServerOptions};
use quotegrid::error::Error;
use quotegrid::http::{AppState, Headers, Method, Reply, Request, Router, Service};
use quotegrid::shopify::Secrets;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// A product of the demo store whose matrix has 21 x 11 cells, and whose options are a percentage away.
const PRODUCT: &str = "1001";
const TARGET: &str = "/api/v1/products/1001/price";
const QUERY: &str = "width=1193&height=1388&quantity=2";

fn main() {
    let Some(arguments) = Arguments::of_benchmark() else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let app = Arc::new(App::open(Options::new(directory.path().join("bench.db"))).expect("a new database"));
    let demo = demo::load(&app).expect("the demo store loads");
    let scope =
        app.db.read(|connection| stores::load(connection, &demo.shop)).expect("the demo store is there").scope();
    // Without the limit of requests: there is one client here.
    let state = AppState::new(app.clone(), Secrets::new(["hush"])).with_rate_limit(0);
    let router = Router::new(Arc::new(state));
    in_process(&app, &router, scope, &demo.key.key);
    over_sockets(router, &demo.key.key, Duration::from_secs_f64(arguments.seconds()), arguments.rounds());
}

fn in_process(app: &App, router: &Router, scope: Scope, key: &str) {
    let mut headers = Headers::default();
    headers.push("X-API-Key", key);
    let request = |path: &str, query: &str| Request {
        method: Method::Get,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.clone(),
        body: Vec::new(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: "bench".to_owned(),
    };
    let ask = |path: &str, query: &str| {
        let (sender, receiver) = sync_channel(1);
        router.call(request(path, query), Reply::new(move |response| drop(sender.send(response))));
        assert_eq!(receiver.recv().expect("answered").status, 200);
    };
    // Only the request counts, not the commit before it.
    let measure = |what: &str, times: u32, before: &dyn Fn(), path: &str, query: &str| {
        let mut took = Duration::ZERO;
        for _ in 0..times {
            before();
            let started = Instant::now();
            ask(path, query);
            took += started.elapsed();
        }
        println!("| {what} | {:.1} |", took.as_secs_f64() * 1e6 / f64::from(times));
    };
    let commit = || app.db.write(|tx| -> db::Result<()> { tx.touch() }).expect("committed");
    let product: ProductId = PRODUCT.parse().expect("a product");
    let edit = || {
        let (product, now) = (product.clone(), app.clock.now());
        let edited = app.db.write(move |tx| -> Result<(), Error> {
            let assigned = assignments::find_matrix(tx, scope.store, &product)?.expect("it has a matrix");
            assignments::set_matrix(
                tx,
                now,
                scope,
                &product,
                &assigned.title.parse().expect("a title"),
                assigned.matrix,
            )
        });
        edited.expect("edited");
    };
    ask(TARGET, QUERY);
    println!("| a request in process | µs |");
    println!("| --- | --- |");
    measure("price, from memory", 200_000, &|| {}, TARGET, QUERY);
    measure("price with its explanation, from memory", 50_000, &|| {}, TARGET, &format!("{QUERY}&explain=1"));
    measure("options, from memory", 50_000, &|| {}, "/api/v1/products/1001/options", "");
    measure("price, after a commit of somebody else", 2_000, &commit, TARGET, QUERY);
    measure("price, after an edit of its store (231 cells)", 2_000, &edit, TARGET, QUERY);
    println!();
}

fn over_sockets(router: Router, key: &str, time: Duration, rounds: usize) {
    let options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = Server::start(options, Arc::new(router)).expect("a server");
    let prices = Price { head: head(&format!("{TARGET}?{QUERY}"), &format!("X-API-Key: {key}\r\n")) };
    let empty = Price { head: head("/", "") };
    let healthy = Price { head: head("/healthz", "") };
    let targets: [(&str, SocketAddr, &Price); 3] = [
        ("tiny_http's empty 200", plain::start(), &empty),
        ("health, behind the front end", server.address(), &healthy),
        ("price", server.address(), &prices),
    ];
    println!(
        "| connections | answer | requests/s | p50 ms | p99 ms | µs computed, each | KiB written, each | to tiny_http |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for load in [Load::Kept(1), Load::Kept(32), Load::Kept(256), Load::EachItsOwn(32)] {
        // Interleaved, and the median shown, so that what else the machine does falls on all alike.
        let mut runs: [Vec<Run>; 3] = Default::default();
        for _ in 0..rounds {
            for (runs, (_, address, requests)) in runs.iter_mut().zip(targets) {
                runs.push(client::run(address, requests, load, time));
            }
        }
        let reference = median(&runs[0], Run::rate);
        for (runs, (name, ..)) in runs.iter().zip(targets) {
            let rate = median(runs, Run::rate);
            println!(
                "| {load} | {name} | {rate:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.2} |",
                median(runs, |run| run.quantile_ms(0.5)),
                median(runs, |run| run.quantile_ms(0.99)),
                median(runs, Run::micros_each),
                median(runs, Run::kib_each),
                rate / reference,
            );
        }
    }
}

/// A request as the widget's browser sends it.
fn head(target: &str, more: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: quotes.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n\
         Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nOrigin: https://shop.example\r\n\
         Referer: https://shop.example/\r\n{more}"
    )
}

struct Price {
    head: String,
}

impl Requests for Price {
    fn write(&self, out: &mut Vec<u8>, close: bool) {
        out.clear();
        out.extend_from_slice(self.head.as_bytes());
        out.extend_from_slice(if close { b"Connection: close\r\n\r\n" } else { b"\r\n" });
    }
}
