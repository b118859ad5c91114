//! How webhooks come in: every answer of the table, what is written by which, and what is never written at all.

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
use quotegrid::http::{Headers, Method, Reply, Request, Response, Router, Service, Site};
use quotegrid::shopify::sample::{sample_body, sign};
use quotegrid::shopify::{Secrets, Topic};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

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
        change(&mut options);
        let app = Arc::new(App::open(options).expect("a new database"));
        let router = Router::new(Arc::new(Site::new(app, Secrets::new(["hush", "older-secret"]))));
        Self { directory, clock, router }
    }

    fn app(&self) -> &App {
        &self.router.site().app
    }

    fn start(&self, request: Request) -> Receiver<Response> {
        let (sender, receiver) = channel();
        self.router.call(request, Reply::new(move |response| drop(sender.send(response))));
        receiver
    }

    fn call(&self, request: Request) -> Response {
        self.start(request).recv_timeout(Duration::from_secs(30)).expect("answered")
    }

    fn get(&self, path: &str) -> Response {
        self.call(Request { method: Method::Get, ..request(path, &[], b"") })
    }

    /// Posts `body`, rightly signed, under `topic` for the fixture's shop, with `more` headers.
    fn post(&self, topic: &str, body: &str, more: &[(&str, &str)]) -> Response {
        self.call(signed(topic, body, more))
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

#[test]
fn a_known_webhook_is_answered_with_its_job() {
    let server = Server::new();
    for (topic, kind, job_type) in [
        (Topic::CustomersDataRequest, "CUSTOMERS_DATA_REQUEST", "customers_data_request"),
        (Topic::CustomersRedact, "CUSTOMERS_REDACT", "customer_redact"),
        (Topic::ShopRedact, "SHOP_REDACT", "shop_redact"),
    ] {
        let response = server.post(topic.as_str(), &sample(&topic), &[("X-Shopify-Webhook-Id", "w-1")]);
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("application/json"));
        let answer = json_of(&response);
        let job = answer["jobId"].as_str().expect("a job");
        assert_eq!(answer, json!({"status": "accepted", "jobId": job}));
        let stored: String =
            server.one(&format!("SELECT type FROM job_queue WHERE id = '{job}' AND status = 'pending'"));
        assert_eq!(stored, job_type);
        let request: String = server.one(&format!("SELECT id FROM gdpr_requests WHERE type = '{kind}'"));
        let payload: Value = server.one(&format!("SELECT payload FROM job_queue WHERE id = '{job}'"));
        assert_eq!(payload, json!({"shop": SHOP, "requestId": request}));
        let delivery: String =
            server.one(&format!("SELECT webhook_id || ' ' || shop FROM webhook_deliveries WHERE job_id = '{job}'"));
        assert_eq!(delivery, format!("w-1 {SHOP}"));
    }
    let payload = |kind: &str| server.one::<Value>(&format!("SELECT payload FROM gdpr_requests WHERE type = '{kind}'"));
    assert_eq!(payload("SHOP_REDACT"), json!({}));
    assert_eq!(payload("CUSTOMERS_DATA_REQUEST"), json!({"dataRequestId": 9999}));
    assert_eq!(
        payload("CUSTOMERS_REDACT"),
        json!({"customerId": 191_167, "ordersToRedact": [299_938, 280_263, 220_458]})
    );
}

#[test]
fn every_path_below_webhooks_takes_every_topic() {
    let server = Server::new();
    for path in ["/webhooks", "/webhooks/", "/webhooks/shop/redact", "/webhooks/customers%2Fredact"] {
        let response = server.call(Request { path: path.to_owned(), ..signed("shop/redact", SHOP_REDACT, &[]) });
        assert_eq!(response.status, 200, "{path}");
    }
    assert_problem(&server.call(request("/webhook", &[], b"")), 404);
}

#[test]
fn another_method_is_told_to_post() {
    let server = Server::new();
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let request = Request { method: Method::from(method), ..signed("shop/redact", SHOP_REDACT, &[]) };
        let response = server.call(request);
        assert_problem(&response, 405);
        assert_eq!(response.header("allow"), Some("POST"), "{method}");
    }
    server.nothing_is_written();
}

#[test]
fn a_body_over_a_mebibyte_is_too_large_even_when_signed() {
    let server = Server::new();
    let padding =
        |length: usize| format!(r#"{{"shop_id":1,"shop_domain":"{SHOP}","padding":"{}"}}"#, "x".repeat(length));
    let frame = padding(0).len();
    assert_eq!(server.post("shop/redact", &padding((1 << 20) - frame), &[]).status, 200);
    assert_problem(&server.post("shop/redact", &padding((1 << 20) - frame + 1), &[]), 413);
    assert_problem(&server.call(request("/webhooks", &[], &vec![b'x'; (1 << 20) + 1])), 413);
}

#[test]
fn nothing_but_the_right_signature_passes_and_it_is_looked_at_first() {
    let server = Server::new();
    let right = sign("hush", SHOP_REDACT.as_bytes());
    let longer = format!("{right}x");
    for wrong in [
        "",
        "fake",
        "wronghash",
        "YmxhaGJsYWgK",
        "%%%",
        &longer,
        &sign("another", SHOP_REDACT.as_bytes()),
        &sign("hush", b""),
    ] {
        // Whatever else is wrong too: topic and shop missing, body no JSON.
        for body in [SHOP_REDACT.as_bytes(), b"no JSON"] {
            for more in [&[][..], &[("X-Shopify-Topic", "shop/redact"), ("X-Shopify-Shop-Domain", SHOP)]] {
                let headers = [&[("X-Shopify-Hmac-Sha256", wrong)], more].concat();
                assert_problem(&server.call(request("/webhooks", &headers, body)), 401);
                assert_problem(&server.call(request("/webhooks/shop/redact", &headers[1..], body)), 401);
            }
        }
    }
    let with_empty_body = [("X-Shopify-Hmac-Sha256", right.as_str()), ("X-Shopify-Topic", "shop/redact")];
    assert_problem(&server.call(request("/webhooks", &with_empty_body, b"")), 401);
    assert_problem(&server.post("shop/redact", SHOP_REDACT, &[("X-Shopify-Hmac-Sha256", &right)]), 401);
    assert_problem(&server.post("shop/redact", SHOP_REDACT, &[("Shopify-Hmac-Sha256", "fake")]), 401);
    server.nothing_is_written();
}

#[test]
fn the_published_vectors_are_answered() {
    let server = Server::new();
    let headers = |signature, topic| {
        [("x-shopify-hmac-sha256", signature), ("x-shopify-topic", topic), ("x-shopify-shop-domain", SHOP)]
    };
    for (topic, body, signature) in [
        ("shop/redact", SHOP_REDACT, "7HRmgQxRDU4sW2iiDqGO6QiJ/vIzKkJ6vMaZz7t7UJE="),
        (
            "customers/redact",
            r#"{"shop_id":954889,"shop_domain":"fixture.myshopify.com","customer":{"id":191167,"email":"a@example.invalid","phone":"555-0100"},"orders_to_redact":[299938,280263]}"#,
            "fljMgsDRSD349VQ6jMJZwaxN2yidFgjKqFjAcBNiIP8=",
        ),
        (
            "shop/redact",
            "{ \"shop_id\": 954889, \"shop_domain\": \"fixture.myshopify.com\" }\n",
            "0pwR6FAdbldfZXMY9ZXoyRPP/e54JjqaC6GwoatAhxo=",
        ),
    ] {
        let response = server.call(request("/webhooks", &headers(signature, topic), body.as_bytes()));
        assert_eq!(json_of(&response)["status"], "accepted", "{body}");
    }
    let text = request(
        "/webhooks",
        &headers("hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI=", "shop/redact"),
        b"\"my secret message\"",
    );
    assert_problem(&server.call(text), 400);
}

#[test]
fn either_secret_of_a_rotation_and_either_family_of_headers_is_taken() {
    let server = Server::new();
    for secret in ["hush", "older-secret"] {
        for family in ["X-Shopify-", "Shopify-", "x-shopify-", "SHOPIFY-"] {
            let names = ["Hmac-SHA256", "Topic", "Shop-Domain", "Webhook-Id"].map(|name| format!("{family}{name}"));
            let signature = sign(secret, SHOP_REDACT.as_bytes());
            let id = format!("{secret} {family}").replace(' ', "-");
            let values = [&*signature, "shop/redact", SHOP, &id];
            let headers: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
            let response = server.call(request("/webhooks", &headers, SHOP_REDACT.as_bytes()));
            assert_eq!(json_of(&response)["status"], "accepted", "{secret} {family}");
        }
    }
    assert_eq!(server.rows("webhook_deliveries"), 8);
}

#[test]
fn a_signed_webhook_that_makes_no_sense_is_malformed() {
    let server = Server::new();
    let signature = sign("hush", SHOP_REDACT.as_bytes());
    let complete =
        [("X-Shopify-Hmac-Sha256", &*signature), ("X-Shopify-Topic", "shop/redact"), ("X-Shopify-Shop-Domain", SHOP)];
    for missing in 1..complete.len() {
        let headers: Vec<_> =
            complete.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, field)| *field).collect();
        assert_problem(&server.call(request("/webhooks", &headers, SHOP_REDACT.as_bytes())), 400);
    }
    for shop in [
        "",
        "fixture",
        "a.b.myshopify.com",
        "fixture.myshopify.com.evil.example",
        "fixture.myshopify.com/",
        "-a.myshopify.com",
    ] {
        let headers = [complete[0], complete[1], ("X-Shopify-Shop-Domain", shop)];
        assert_problem(&server.call(request("/webhooks", &headers, SHOP_REDACT.as_bytes())), 400);
    }
    for body in [
        "",
        "{",
        "no JSON",
        "<xml/>",
        "null",
        "[]",
        "{}",
        r#"{"shop_id":1}"#,
        r#"{"shop_domain":"fixture.myshopify.com"}"#,
    ] {
        for topic in Topic::KNOWN {
            assert_problem(&server.post(topic.as_str(), body, &[]), 400);
        }
    }
    for name in [
        "X-Shopify-Topic",
        "X-Shopify-Shop-Domain",
        "X-Shopify-Webhook-Id",
        "X-Shopify-Event-Id",
        "X-Shopify-Triggered-At",
    ] {
        assert_problem(&server.post("shop/redact", SHOP_REDACT, &[(name, "1"), (name, "1")]), 400);
    }
    server.nothing_is_written();
}

#[test]
fn a_captured_body_passes_under_no_other_topic_and_for_no_other_shop() {
    let server = Server::new();
    for body_topic in Topic::KNOWN {
        for topic in Topic::KNOWN.into_iter().filter(|topic| *topic != body_topic) {
            assert_problem(&server.post(topic.as_str(), &sample(&body_topic), &[]), 400);
        }
        let other = sample_body(&body_topic, &"other.myshopify.com".parse().expect("valid")).expect("a sample");
        assert_problem(&server.post(body_topic.as_str(), &other, &[]), 401);
    }
    let order = r#"{"id":1,"admin_graphql_api_id":"gid://shopify/Order/1","email":"a@example.invalid","shop_id":1,"shop_domain":"fixture.myshopify.com"}"#;
    for topic in Topic::KNOWN {
        assert_problem(&server.post(topic.as_str(), order, &[]), 400);
    }
    server.nothing_is_written();
    assert_eq!(server.router.site().refusals.other_shop.load(std::sync::atomic::Ordering::Relaxed), 4);
}

#[test]
fn a_repeated_delivery_is_answered_with_the_first_ones_job() {
    let server = Server::new();
    let id = [("X-Shopify-Webhook-Id", "w-1")];
    let first = json_of(&server.post("shop/redact", SHOP_REDACT, &id));
    server.clock.advance(Duration::from_secs(3600));
    let again = json_of(&server.post("shop/redact", SHOP_REDACT, &id));
    assert_eq!(again, json!({"status": "duplicate", "jobId": first["jobId"]}));
    assert_eq!((server.rows("webhook_deliveries"), server.rows("gdpr_requests"), server.rows("job_queue")), (1, 1, 1));
    let other_topic = server.post("customers/redact", &sample(&Topic::CustomersRedact), &id);
    assert_eq!(json_of(&other_topic)["status"], "accepted", "ids are those of a topic");
}

#[test]
fn the_same_delivery_on_many_connections_at_once_is_one_request_and_one_job() {
    const THREADS: usize = 16;
    let server = Server::new();
    let start = Barrier::new(THREADS);
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let post = || {
            start.wait();
            (0..20)
                .map(|id: u32| {
                    json_of(&server.post("shop/redact", SHOP_REDACT, &[("X-Shopify-Webhook-Id", &id.to_string())]))
                })
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(post)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("answered")).collect()
    });
    assert_eq!(
        (server.rows("webhook_deliveries"), server.rows("gdpr_requests"), server.rows("job_queue")),
        (20, 20, 20)
    );
    assert_eq!(answers.iter().filter(|answer| answer["status"] == "accepted").count(), 20);
    for id in 0..20 {
        let of_one: Vec<_> = answers.iter().skip(id).step_by(20).map(|answer| &answer["jobId"]).collect();
        assert!(of_one.iter().all(|job| *job == of_one[0] && job.is_string()), "{of_one:?}");
    }
}

#[test]
fn a_delivery_without_an_id_is_known_by_topic_body_and_event_time() {
    let server = Server::new();
    let status = |body: &str, more: &[(&str, &str)]| json_of(&server.post("shop/redact", body, more))["status"].clone();
    let noon = [("X-Shopify-Triggered-At", "2025-12-31T12:00:00.000000001Z")];
    assert_eq!(status(SHOP_REDACT, &noon), "accepted");
    assert_eq!(status(SHOP_REDACT, &noon), "duplicate");
    // All shop/redact bodies of a shop are the same: a later event must not pass for a repetition.
    assert_eq!(status(SHOP_REDACT, &[("X-Shopify-Triggered-At", "2025-12-31T12:00:00.000000002Z")]), "accepted");
    assert_eq!(status(SHOP_REDACT, &[]), "accepted");
    assert_eq!(status(SHOP_REDACT, &[("X-Shopify-Webhook-Id", "")]), "duplicate");
    assert_eq!(status(SHOP_REDACT, &[("X-Shopify-Webhook-Id", &"x".repeat(256))]), "duplicate");
    server.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(status(SHOP_REDACT, &[]), "accepted");
    assert_eq!(server.one::<i64>("SELECT max(length(webhook_id)) FROM webhook_deliveries"), 69);
    assert_eq!(
        server.one::<i64>("SELECT count(webhook_id) FROM gdpr_requests"),
        0,
        "an id of our own is not Shopify's"
    );
}

#[test]
fn an_unknown_topic_is_counted_and_not_stored() {
    let server = Server::new();
    for topic in ["orders/create", "shop/update", "Product", "customers/redact/x"] {
        let response = server.post(topic, "{}", &[("X-Shopify-Webhook-Id", "w-1")]);
        assert_eq!((response.status, json_of(&response)), (200, json!({"status": "ignored"})));
    }
    server.nothing_is_written();
    assert_eq!(server.router.site().intake.figures().ignored.load(std::sync::atomic::Ordering::Relaxed), 4);
}

#[test]
fn an_event_of_the_future_counts_as_one_of_now_and_an_unreadable_time_too() {
    let server = Server::new();
    let now = server.clock.now().timestamp_millis();
    for (id, at, kept) in [
        ("1", "2999-01-01T00:00:00Z", now),
        ("2", "yesterday", now),
        ("3", "2025-12-31T23:59:59.123456789Z", now - 877),
    ] {
        server.post("shop/redact", SHOP_REDACT, &[("X-Shopify-Webhook-Id", id), ("X-Shopify-Triggered-At", at)]);
        let stored: i64 = server.one(&format!("SELECT triggered_at FROM gdpr_requests WHERE webhook_id = '{id}'"));
        assert_eq!(stored, kept, "{at}");
    }
}

#[test]
fn an_uninstalled_store_is_marked_in_the_transaction_that_takes_the_webhook() {
    let server = Server::new();
    server.install();
    let body = sample(&Topic::AppUninstalled);
    server.clock.advance(Duration::from_secs(60));
    let response = server.post("app/uninstalled", &body, &[("X-Shopify-Webhook-Id", "w-1")]);
    assert_eq!(json_of(&response), json!({"status": "accepted", "jobId": null}));
    assert!(!server.is_live());
    assert_eq!((server.rows("webhook_deliveries"), server.rows("gdpr_requests"), server.rows("job_queue")), (1, 0, 0));

    server.clock.advance(Duration::from_secs(60));
    server.install();
    let again = server.post("app/uninstalled", &body, &[("X-Shopify-Webhook-Id", "w-1")]);
    assert_eq!(json_of(&again), json!({"status": "duplicate", "jobId": null}));
    assert!(server.is_live(), "the repetition of an old delivery uninstalls nothing");
    let late = [("X-Shopify-Webhook-Id", "w-2"), ("X-Shopify-Triggered-At", "2026-01-01T00:01:30Z")];
    assert_eq!(json_of(&server.post("app/uninstalled", &body, &late))["status"], "accepted");
    assert!(server.is_live(), "neither does an event from before the installation");
    server.clock.advance(Duration::from_secs(60));
    server.post("app/uninstalled", &body, &[("X-Shopify-Webhook-Id", "w-3")]);
    assert!(!server.is_live());
}

#[test]
fn personal_data_never_reaches_the_files_not_even_before_the_job_has_run() {
    let server = Server::new();
    server.install();
    for topic in Topic::KNOWN {
        assert_eq!(server.post(topic.as_str(), &sample(&topic), &[]).status, 200);
    }
    assert!(server.is_in_the_files(SHOP), "the search finds what is there");
    assert!(server.is_in_the_files("191167"), "the customer's id is kept until the job is done");
    for personal in
        ["example.invalid", "sample.customer", "555-01", "Sam Sample", "Sample Street", "Sampleton", "Sample Panes"]
    {
        assert!(!server.is_in_the_files(personal), "{personal}");
    }
}

#[test]
fn intake_is_all_or_nothing_whichever_part_fails() {
    // Once something is written, what fails undoes its whole batch, and all in it are asked to come again.
    for (table, status) in [("gdpr_requests", 500), ("job_queue", 503), ("webhook_deliveries", 503)] {
        let server = Server::new();
        let break_it =
            format!("CREATE TRIGGER broken AFTER INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'on purpose'); END");
        server.stranger().execute_batch(&break_it).expect("a trigger");
        let response = server.post("shop/redact", SHOP_REDACT, &[]);
        assert_problem(&response, status);
        assert!(!json_of(&response)["detail"].to_string().contains("on purpose"));
        server.nothing_is_written();
        server.stranger().execute_batch("DROP TRIGGER broken").expect("dropped");
        assert_eq!(json_of(&server.post("shop/redact", SHOP_REDACT, &[]))["status"], "accepted");
    }
    let server = Server::new();
    server.install();
    let break_it =
        "CREATE TRIGGER broken AFTER INSERT ON webhook_deliveries BEGIN SELECT RAISE(ABORT, 'on purpose'); END";
    server.stranger().execute_batch(break_it).expect("a trigger");
    assert_problem(&server.post("app/uninstalled", &sample(&Topic::AppUninstalled), &[]), 503);
    assert!(server.is_live());
}

#[test]
fn a_database_that_cannot_commit_is_503_and_leaves_nothing() {
    let server = Server::with(|options| options.database.write_queue = 2);
    let lock = server.stranger();
    lock.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let started = Instant::now();
    let waiting: Vec<_> = (0..10)
        .map(|id: u32| server.start(signed("shop/redact", SHOP_REDACT, &[("X-Shopify-Webhook-Id", &id.to_string())])))
        .collect();
    // One is in the writer's hands and two may wait; the others are refused at once.
    let at_once: Vec<_> =
        waiting.iter().filter_map(|answer| answer.recv_timeout(Duration::from_millis(200)).ok()).collect();
    assert!(at_once.len() >= 7, "{}", at_once.len());
    for response in &at_once {
        assert_problem(response, 503);
        assert!(response.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok_and(|after| after > 0)));
    }
    assert_eq!(server.get("/healthz").status, 200, "alive, if busy");
    assert_problem(&server.get("/readyz"), 503);
    let late: Vec<_> = waiting.iter().filter_map(|answer| answer.recv_timeout(Duration::from_secs(20)).ok()).collect();
    assert_eq!(at_once.len() + late.len(), 10);
    for response in &late {
        assert_problem(response, 503);
    }
    assert!(started.elapsed() < Duration::from_secs(15));
    lock.execute_batch("ROLLBACK").expect("released");
    server.nothing_is_written();
    assert_eq!(json_of(&server.post("shop/redact", SHOP_REDACT, &[]))["status"], "accepted");
}

#[test]
fn health_and_readiness_are_told() {
    let server = Server::new();
    assert_eq!(json_of(&server.get("/healthz"))["status"], "ok");
    server.post("shop/redact", SHOP_REDACT, &[]);
    let response = server.get("/readyz");
    assert_eq!(response.status, 200);
    let ready = json_of(&response);
    assert_eq!(
        (&ready["status"], &ready["canCommit"], &ready["canRead"]),
        (&json!("ready"), &json!(true), &json!(true))
    );
    assert_eq!(ready["schema"]["current"], true);
    assert_eq!(ready["privacyRequests"]["open"], 1);
    assert!(!ready.to_string().contains("myshopify"), "the page is open to all");
    assert_problem(&server.get("/nowhere"), 404);
    assert_problem(&server.call(request("/healthz", &[], b"")), 405);
}
