//! `cargo bench --bench erasure`: a shop of a million rows is erased while others enqueue. Prints how long that takes alongside one
//! cascading delete of the same rows, in this schema and in a plain one (`erasure/plain.rs`), and how long an enqueue waits with
//! and without it; afterwards no byte of the shop may be left. `ROWS=130000` makes it smaller, `WITHOUT_KEYS=1` leaves out the
//! keys of its orders, which no real store has that many of (they are kept for a day), and `WITHOUT_ORDERS=1` leaves out both.

#[path = "erasure/plain.rs"]
mod plain;

use quotegrid::app::{App, Options};
use quotegrid::catalog::matrices;
use quotegrid::catalog::stores;
use quotegrid::domain::ids::{DraftOrderId, MatrixId, ShopDomain, StoreId};
use quotegrid::domain::length::{Length, Unit};
use quotegrid::domain::matrix::{OutOfRange, PriceMatrix, SizeLimits};
use quotegrid::domain::money::{Currency, Minor};
use quotegrid::erasure::verify;
use quotegrid::error::Error;
use quotegrid::orders::idempotency::{self, OriginalOrder};
use quotegrid::orders::lines::Line;
use quotegrid::orders::records::{self, NewRecord, PageToken};
use quotegrid::queue::NewJob;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Breakpoints an axis: the largest matrix there is.
const SIDE: usize = 50;

/// Items of an order.
const LINES: usize = 5;

/// Threads that enqueue all the time.
const PRODUCERS: usize = 4;

fn main() {
    let rows: usize = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let app = Arc::new(App::open(Options::new(directory.path().join("bench.db"))).expect("a new database"));
    let shop: ShopDomain = "a-large-shop.myshopify.com".parse().expect("a shop domain");

    println!("filling shops with {rows} rows each …");
    let plain: ShopDomain = "the-reference.myshopify.com".parse().expect("a shop domain");
    let store = fill(&app, &plain, rows);
    let started = Instant::now();
    let deleted: quotegrid::db::Result<usize> =
        app.db.write(move |tx| Ok(tx.execute("DELETE FROM stores WHERE id = ?1", [store.to_string()])?));
    deleted.expect("deleted");
    let cascade = started.elapsed();
    let plain = plain::delete(&directory.path().join("plain.db"), rows).expect("a plain database");
    let background = app.start(2).expect("threads");
    let alone_shop: ShopDomain = "a-large-shop-at-night.myshopify.com".parse().expect("a shop domain");
    fill(&app, &alone_shop, rows);
    let alone = erase(&app, &alone_shop, 1);
    fill(&app, &shop, rows);

    let idle = enqueue_while(&app, || std::thread::sleep(Duration::from_secs(3)));
    let mut beside = [Duration::ZERO; 2];
    let busy = enqueue_while(&app, || beside = erase(&app, &shop, 2));
    background.stop(Duration::from_secs(60));

    let deleted: String = app
        .db
        .read(|connection| -> quotegrid::db::Result<_> {
            Ok(connection.query_row("SELECT deleted FROM gdpr_requests LIMIT 1", (), |row| row.get(0))?)
        })
        .expect("readable");
    println!("deleted: {deleted}");
    println!("one cascading delete                          {:>8.1} ms", millis(cascade));
    println!("the same with plain, indexed foreign keys     {:>8.1} ms", millis(plain));
    println!("in steps, each as a part of both:");
    let steps = [
        ("alone, until the rows are gone", alone[0]),
        ("alone, until no byte is left", alone[1]),
        ("beside enqueues, until the rows are gone", beside[0]),
        ("beside enqueues, until no byte is left", beside[1]),
    ];
    for (what, took) in steps {
        let (part, plain_part) = (took.div_duration_f64(cascade), took.div_duration_f64(plain));
        println!("  {what:<43} {:>8.1} ms {part:>8.2} {plain_part:>8.2}", millis(took));
    }
    println!("an enqueue waits            p50       p99     p99.9   longest   a second");
    print_waits("  before                ", &idle);
    print_waits("  while it is erased    ", &busy);

    let program = Path::new(env!("CARGO_BIN_EXE_quotegrid"));
    let verification = verify::verify(&app.db, &app.hasher, program).expect("verifiable");
    assert!(verification.is_ok(), "{verification:?}");
    println!("no byte of the shop is left in {} bytes of file", app.db.path().metadata().expect("it exists").len());
}

/// Waits of enqueues while `meanwhile` runs, and how long that was.
fn enqueue_while(app: &Arc<App>, meanwhile: impl FnOnce()) -> (Vec<Duration>, Duration) {
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let waits = std::thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut waits = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        let later = app.clock.now() + chrono::TimeDelta::days(1);
                        let job = NewJob::new("later", json!({ "n": 1 })).scheduled_at(later);
                        app.enqueue(job).expect("enqueued");
                        waits.push(begun.elapsed());
                    }
                    waits
                })
            })
            .collect();
        meanwhile();
        stop.store(true, Ordering::Relaxed);
        producers.into_iter().flat_map(|producer| producer.join().expect("no panic")).collect()
    });
    (waits, started.elapsed())
}

fn print_waits(name: &str, (waits, took): &(Vec<Duration>, Duration)) {
    let mut sorted = waits.clone();
    sorted.sort_unstable();
    let at = |part: f64| millis(sorted[((sorted.len() - 1) as f64 * part) as usize]);
    println!(
        "{name}{:>6.2} ms {:>6.2} ms {:>6.2} ms {:>6.2} ms {:>8.0}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        sorted.len() as f64 / took.as_secs_f64()
    );
}

/// Has a shop erased, as the erasure of so many, and returns after how long its rows were gone and after how long their bytes.
fn erase(app: &Arc<App>, shop: &ShopDomain, number: usize) -> [Duration; 2] {
    let started = Instant::now();
    app.enqueue(NewJob::new("shop_redact", json!({ "shop": shop.as_str() }))).expect("enqueued");
    ["processed_at", "erased_at"].map(|stamp| {
        let sql = format!("SELECT count({stamp}) FROM gdpr_requests");
        let stamped = || -> quotegrid::db::Result<usize> {
            app.db.read(|connection| Ok(connection.query_row(&sql, (), |row| row.get(0))?))
        };
        while stamped().expect("readable") < number {
            std::thread::sleep(Duration::from_millis(1));
        }
        started.elapsed()
    })
}

/// How many of so many rows are orders.
fn orders_of(rows: usize) -> usize {
    if std::env::var_os("WITHOUT_ORDERS").is_some() { 0 } else { rows / 10 }
}

/// A store whose rows are nine parts cells and one part orders, each with a key of its own alongside it.
fn fill(app: &Arc<App>, shop: &ShopDomain, rows: usize) -> StoreId {
    let (entropy, now, wanted) = (app.entropy.clone(), app.clock.now(), shop.clone());
    let euro: Currency = "EUR".parse().expect("a currency");
    let scope = app
        .db
        .write(move |tx| -> Result<_, Error> {
            Ok(stores::install(tx, now, entropy.as_ref(), &wanted, euro, Unit::Mm)?.scope())
        })
        .expect("installed");
    let store = scope.store;
    let axis: Vec<Length> =
        (1..=SIDE as i64).map(|step| Length::from_thousandths(step * 50_000).expect("a length")).collect();
    let prices = vec![vec![Some(Minor::new(1_999)); SIDE]; SIDE];
    let matrix = Arc::new(
        PriceMatrix::new(&axis, &axis, &prices, OutOfRange::Reject, SizeLimits::default()).expect("a sound matrix"),
    );
    let mut last = None;
    for _ in 0..(rows - orders_of(rows)) / (SIDE * SIDE) {
        let matrix = matrix.clone();
        let id = MatrixId::new(now, app.entropy.array());
        let name = format!("matrix of {shop}").parse().expect("a name");
        let written = app.db.write(move |tx| matrices::insert(tx, now, id, scope, &name, &matrix));
        written.expect("written");
        last = Some(id);
    }
    let matrix = last.expect("a matrix");
    let keys = std::env::var_os("WITHOUT_KEYS").is_none();
    for _ in 0..orders_of(rows) / 500 {
        let (app_, title) = (app.clone(), format!("made for {shop}"));
        let written: quotegrid::db::Result<()> = app.db.write(move |tx| {
            for number in 0..500 {
                // Orders come one after another, and so do their ids and tokens.
                let now = now + chrono::TimeDelta::milliseconds(number);
                let id = DraftOrderId::new(now, app_.entropy.array());
                let line = Line {
                    matrix: Some(matrix),
                    matrix_name: "matrix".to_owned(),
                    product_id: "gid://shopify/Product/1".to_owned(),
                    product_title: title.clone(),
                    label: None,
                    width: Length::ONE,
                    height: Length::ONE,
                    priced_width: Length::ONE,
                    priced_height: Length::ONE,
                    quantity: 1,
                    base_price: Minor::new(1),
                    unit_price: Minor::new(1),
                    total_price: Minor::new(1),
                    selections: Vec::new(),
                    sku: None,
                    variant_id: None,
                    requires_shipping: true,
                    taxable: true,
                    weight_grams: None,
                };
                let lines = vec![line; LINES];
                let total_price = Minor::new(i64::try_from(LINES).expect("a few"));
                let record = NewRecord { unit: Unit::Mm, currency: Currency::USD, total_price, lines: &lines };
                records::insert(tx, now, id, &PageToken::new(now, app_.entropy.as_ref()), store, &record)?;
                if keys {
                    let first = OriginalOrder { order: id, order_hash: app_.entropy.array() };
                    idempotency::insert(tx, now, store, app_.entropy.array(), first)?;
                }
            }
            Ok(())
        });
        written.expect("written");
    }
    store
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
