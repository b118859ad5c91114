//! How webhooks come in: every answer of the table, what is written by which, and what is never written at all.

mod answers;
mod overload;
mod refusals;
mod repetitions;
mod written;

use crate::support::waiting::PATIENCE;
use chrono::{DateTime, Utc};
use quotegrid::app::{App, Options};
use quotegrid::catalog::stores;
use quotegrid::clock::{Clock, ManualClock};
use quotegrid::db;
use quotegrid::domain::ids::ShopDomain;
use quotegrid::domain::length::Unit;
use quotegrid::domain::money::Currency;
use quotegrid::entropy::{Entropy, SeededEntropy};
use quotegrid::error::Error;
use quotegrid::http::{AppState, Headers, Method, Reply, Request, Response, Router, Service};
use quotegrid::shopify::sample::{sample_body, sign};
use quotegrid::shopify::{Secrets, Topic};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

const SHOP: &str = "fixture.myshopify.com";

const SHOP_REDACT: &str = r#"{"shop_id":954889,"shop_domain":"fixture.myshopify.com"}"#;

struct Server {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
    router: Router,
}

impl Server {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let clock = Arc::new(ManualClock::default());
        let mut options = Options::new(directory.path().join("test.db"));
        options.clock = clock.clone();
        options.entropy = Arc::new(SeededEntropy::new(7));
        options.database.write_wait = PATIENCE;
        change(&mut options);
        let app = Arc::new(App::open(options).expect("a new database"));
        let router = Router::new(Arc::new(AppState::new(app, Secrets::new(["hush", "older-secret"]))));
        Self { directory, clock, router }
    }

    fn app(&self) -> &App {
        &self.router.state().app
    }

    fn start(&self, request: Request) -> Receiver<Response> {
        let (sender, receiver) = channel();
        self.router.call(request, Reply::new(move |response| drop(sender.send(response))));
        receiver
    }

    fn call(&self, request: Request) -> Response {
        self.start(request).recv_timeout(PATIENCE).expect("answered")
    }

    fn get(&self, path: &str) -> Response {
        self.call(Request { method: Method::Get, ..request(path, &[], b"") })
    }

    /// Posts `body`, rightly signed, under `topic` for the fixture's shop, with `more` headers.
    fn post(&self, topic: &str, body: &str, more: &[(&str, &str)]) -> Response {
        self.call(signed(topic, body, more))
    }

    /// Processes what is due.
    fn work(&self) {
        self.app().run_due(usize::MAX).expect("the database works");
    }

    fn rows(&self, table: &str) -> i64 {
        self.one(&format!("SELECT count(*) FROM {table}"))
    }

    fn one<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.app()
            .db
            .read(|connection| -> db::Result<T> { Ok(connection.query_row(sql, (), |row| row.get(0))?) })
            .expect("readable")
    }

    fn nothing_is_written(&self) {
        for table in ["webhook_deliveries", "gdpr_requests", "job_queue"] {
            assert_eq!(self.rows(table), 0, "{table}");
        }
    }

    fn install(&self) {
        let (now, entropy) = (self.clock.now(), SeededEntropy::new(now_seed(self.clock.now())));
        let install =
            move |tx: &db::Tx<'_>| stores::install(tx, now, &entropy as &dyn Entropy, &shop(), Currency::USD, Unit::Mm);
        let _installed = self.app().db.write::<_, Error, _>(install).expect("installed");
    }

    fn is_live(&self) -> bool {
        self.one("SELECT uninstalled_at IS NULL FROM stores")
    }

    /// A connection of its own, as another process would have.
    fn stranger(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.directory.path().join("test.db")).expect("a second connection")
    }

    /// Whether another process finds `text` in the raw bytes of the database or its WAL.
    fn is_in_the_files(&self, text: &str) -> bool {
        ["test.db", "test.db-wal"].iter().any(|file| {
            let path = self.directory.path().join(file);
            let grep = Command::new("grep").args(["-a", "-i", "-q", "-F", "--", text]).arg(path).status();
            match grep.expect("grep runs").code() {
                Some(0) => true,
                Some(1) => false,
                other => panic!("grep: {other:?}"),
            }
        })
    }
}

fn now_seed(now: DateTime<Utc>) -> u64 {
    now.timestamp_millis().unsigned_abs()
}

fn shop() -> ShopDomain {
    SHOP.parse().expect("valid")
}

fn request(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Request {
    let mut fields = Headers::default();
    for (name, value) in headers {
        fields.push(name, *value);
    }
    Request {
        method: Method::Post,
        path: path.to_owned(),
        query: String::new(),
        headers: fields,
        body: body.to_vec(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: "request-1".to_owned(),
    }
}

fn signed(topic: &str, body: &str, more: &[(&str, &str)]) -> Request {
    let signature = sign("hush", body.as_bytes());
    let mut headers = vec![
        ("X-Shopify-Hmac-Sha256", signature.as_str()),
        ("X-Shopify-Topic", topic),
        ("X-Shopify-Shop-Domain", SHOP),
    ];
    headers.extend_from_slice(more);
    request("/webhooks", &headers, body.as_bytes())
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("a JSON body")
}

fn assert_problem(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{}", String::from_utf8_lossy(&response.body));
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let problem = json_of(response);
    assert_eq!(problem["status"], json!(status));
    assert_eq!(problem["requestId"], "request-1");
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
}

fn sample(topic: &Topic) -> String {
    sample_body(topic, &shop()).expect("a sample")
}
