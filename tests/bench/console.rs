//! How long the console's pages take on a large database: `cargo bench --bench console`.
//!
//! In process, requests through the router, on a million jobs (a thousand of them failed, a thousand waiting), 10,000 stores, 100,000
//! orders of one of them, 10,000 deliveries, 10,000 privacy requests, 100,000 rows of the audit log and a price list of 50 x 50. Each page is asked for several times; the median is printed
//! with the bound, and the run fails where a page is over it.

#[path = "large.rs"]
mod large;

use large::{ID, insert_orders, is_over_the_bound, numbers};
use quotegrid::access::Role;
use quotegrid::access::links::{self, Invitation, LINK_LIFE};
use quotegrid::app::{App, Options};
use quotegrid::db;
use quotegrid::demo;
use quotegrid::http::{AppState, Headers, Method, Reply, Request, Response, Router, Service};
use quotegrid::shopify::Secrets;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

const HOST: &str = "127.0.0.1:8080";

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
    let router = Router::new(Arc::new(AppState::new(app.clone(), Secrets::new(["hush"]))));
    let cookie = sign_in(&app, &router);
    let shop = &demo.shop;
    let id = |sql: &'static str| {
        let found =
            app.db.read(|connection| -> db::Result<String> { Ok(connection.query_row(sql, (), |row| row.get(0))?) });
        found.unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    let pages = [
        "/admin".to_owned(),
        "/admin/jobs".to_owned(),
        "/admin/jobs?status=failed".to_owned(),
        "/admin/jobs?status=completed".to_owned(),
        "/admin/jobs?type=bench".to_owned(),
        "/admin/privacy".to_owned(),
        "/admin/webhooks".to_owned(),
        "/admin/activity".to_owned(),
        "/admin/health".to_owned(),
        "/admin/shops".to_owned(),
        format!("/admin/shops/{shop}"),
        format!("/admin/shops/{shop}/prices"),
        format!("/admin/shops/{shop}/options"),
        format!("/admin/shops/{shop}/products"),
        format!("/admin/shops/{shop}/orders"),
        format!("/admin/shops/{shop}/orders?state=cancelled"),
        format!("/admin/shops/{shop}/orders?number=50000"),
        format!("/admin/shops/{shop}/orders/workshop?from=2020-01-01&to=2020-01-01"),
        format!("/admin/jobs/{}", id("SELECT id FROM job_queue WHERE status = 'failed' LIMIT 1")),
        format!("/admin/privacy/{}", id("SELECT id FROM gdpr_requests LIMIT 1")),
        format!("/admin/shops/{shop}/orders/{}", id("SELECT id FROM draft_order_records LIMIT 1")),
        format!("/admin/shops/{shop}/options/{}", id("SELECT id FROM option_groups LIMIT 1")),
        format!(
            "/admin/shops/{shop}/products/one?width=1000&height=1000&id={}",
            id("SELECT product_id FROM product_matrices LIMIT 1")
        ),
        format!("/admin/shops/{shop}/prices/{}", id("SELECT id FROM price_matrices WHERE name = 'Largest'")),
    ];
    let mut is_over = false;
    for path in &pages {
        is_over |= is_over_the_bound(path, || {
            let response = call(&router, request("GET", path, Some(&cookie), ""));
            assert_eq!(response.status, 200, "{path}");
        });
    }
    if is_over { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn fill(app: &App) {
    let jobs = format!(
        "{} INSERT INTO job_queue (id, type, payload, status, scheduled_at, processed_at, error, created_at)
         SELECT {ID}, 'bench', '{{}}', iif(n % 1000 = 1, 'failed', iif(n % 1000 = 2, 'pending', 'completed')), n,
             iif(n % 1000 = 2, NULL, n), iif(n % 1000 = 1, 'the error ' || n % 7, NULL), n FROM numbers",
        numbers(1_000_000)
    );
    let stores = format!(
        "{} INSERT INTO stores (id, shop, installed_at, created_at, updated_at)
         SELECT {ID}, 'shop-' || n || '.myshopify.com', n, n, n FROM numbers",
        numbers(10_000)
    );
    let deliveries = format!(
        "{} INSERT INTO other_webhook_deliveries (topic, webhook_id, shop, received_at)
         SELECT 'app/uninstalled', 'w' || n, 'shop-' || n || '.myshopify.com', n FROM numbers",
        numbers(10_000)
    );
    let audit = format!(
        "{} INSERT INTO audit_log (id, recorded_at, role, actor, action, objects)
         SELECT {ID}, n, 'operator', 'api', 'job.retry', 'a' FROM numbers",
        numbers(100_000)
    );
    let requests = format!(
        "{} INSERT INTO gdpr_requests (id, shop, type, payload, webhook_id, triggered_at, due_at, created_at, processed_at, outcome, erased_at)
         SELECT {ID}, 'shop-' || n || '.myshopify.com', 'SHOP_REDACT', '{{}}', 'r' || n, n, n, n, n, 'erased', n FROM numbers",
        numbers(10_000)
    );
    let largest = [
        "INSERT INTO price_matrices (id, store_id, name, unit, currency, created_at, updated_at)
         SELECT 'ffffffff-0000-7000-8000-000000000000', id, 'Largest', unit, currency, 1, 1 FROM stores WHERE draft_order_count > 0".to_owned(),
        format!(
            "{} INSERT INTO breakpoints SELECT 'ffffffff-0000-7000-8000-000000000000', axis.name, n - 1, n * 100000
             FROM numbers, (SELECT 'width' AS name UNION ALL SELECT 'height') AS axis",
            numbers(50)
        ),
        format!(
            "{} INSERT INTO matrix_cells SELECT 'ffffffff-0000-7000-8000-000000000000', h.n - 1, w.n - 1, 1000 + h.n * w.n
             FROM numbers AS h, numbers AS w",
            numbers(50)
        ),
    ];
    let filled = app.db.write(move |tx| -> db::Result<()> {
        for sql in [jobs, stores, deliveries, audit, requests].into_iter().chain(largest) {
            tx.execute(&sql, ())?;
        }
        insert_orders(tx, &numbers(100_000))
    });
    filled.expect("filled");
}

fn sign_in(app: &App, router: &Router) -> String {
    let (now, entropy) = (app.clock.now(), app.entropy.clone());
    let invitation = Invitation { role: Role::Operator, store: None, label: "bench".to_owned() };
    let made: db::Result<_> =
        app.db.write(move |tx| links::insert(tx, now, entropy.as_ref(), &invitation, now + LINK_LIFE));
    let body = format!("token={}", made.expect("a link").expose());
    let entered = call(router, request("POST", "/admin/enter", None, &body));
    let cookie = entered.header("set-cookie").expect("a session");
    cookie.split(';').next().unwrap_or_default().to_owned()
}

fn request(method: &str, path: &str, cookie: Option<&str>, body: &str) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut headers = Headers::default();
    headers.push("Host", HOST);
    headers.push("Origin", format!("http://{HOST}"));
    if let Some(cookie) = cookie {
        headers.push("Cookie", cookie);
    }
    Request {
        method: Method::from(method),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: body.as_bytes().to_vec(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: "bench".to_owned(),
    }
}

fn call(router: &Router, request: Request) -> Response {
    let (sender, answer) = sync_channel(1);
    router.call(
        request,
        Reply::new(move |response| {
            let _nobody_waits = sender.send(response);
        }),
    );
    answer.recv().expect("an answer")
}
