//! Orders on their way to Shopify: a fake Admin API that fails in every way, and never two drafts, never an order lost.

mod checkout_waiters;
mod checkouts;
mod clocks;
mod crashes;
mod differences;
mod documents;
mod erasure;
mod fairness;
mod fake;
mod fates;
mod faults;
mod inquiries;
mod lines;
mod rounds;
mod settings;
mod tokens;

use crate::support::waiting::wait_until;
use fake::{CLIENT_ID, CLIENT_SECRET, Fake};
use quotegrid::demo::DemoStore;
use quotegrid::http::{Headers, Method, Reply, Request, Response, Service};
use quotegrid::orders::handover::{DRAFT_ORDER_HANDOVER, Options};
use quotegrid::queue::{Filter, Job, StepOutcome};
use quotegrid::secret::Secret;
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a draft is looked for after an unclear call.
const SETTLE: Duration = Duration::from_secs(600);

/// A shelf of the demo store that needs no option.
const PRODUCT: &str = "gid://shopify/Product/1009";

/// The app with the demo store, handing over to a fake.
struct Shop {
    fake: Fake,
    fixture: Fixture,
    demo: DemoStore,
}

/// As the program hands over to `fake`, with a patience that no slow machine uses up.
fn options(fake: &Fake) -> Options {
    Options {
        address: fake.url().parse().expect("an address"),
        timeout: Duration::from_secs(60),
        settle: SETTLE,
        wait: Duration::from_secs(60),
        ..Options::new(CLIENT_ID, Secret::new(CLIENT_SECRET))
    }
}

impl Shop {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(adjust: impl FnOnce(&mut Options)) -> Self {
        let fake = Fake::start();
        let mut handover = options(&fake);
        adjust(&mut handover);
        let fixture = Fixture::opened_with(|options| options.handover = Some(handover));
        let demo = fixture.demo_store();
        Self { fake, fixture, demo }
    }

    fn request(&self, order: &Value) -> Request {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut headers = Headers::default();
        headers.push("X-API-Key", self.demo.key.key.clone());
        // No two orders of these tests are the same by chance.
        headers.push("Idempotency-Key", format!("key-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        Request {
            method: Method::Post,
            path: "/api/v1/draft-orders".to_owned(),
            query: String::new(),
            headers,
            body: order.to_string().into_bytes(),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            id: "handover".to_owned(),
        }
    }

    /// Places an order, and returns its id.
    #[track_caller]
    fn order(&self) -> String {
        let placed = self.place(&shelf());
        placed["draftOrderId"].as_str().expect("an id").to_owned()
    }

    #[track_caller]
    fn place(&self, order: &Value) -> Value {
        let response = self.fixture.call(self.request(order));
        assert_eq!(response.status, 201, "{response:?}");
        response.json_body()
    }

    /// Lets time pass until every job has ended, and returns how much passed.
    fn settle(&self) -> Duration {
        let mut passed = Duration::ZERO;
        // Days of it: the longest that any job of an order goes on.
        while passed < Duration::from_secs(30 * 86_400) {
            self.fixture.run_jobs();
            let next = self.fixture.app.db.read(quotegrid::queue::next_due_at).expect("readable");
            let Some(next) = next else { return passed };
            let rest = (next - self.fixture.now()).to_std().unwrap_or_default().max(Duration::from_millis(1));
            self.fixture.advance(rest);
            passed += rest;
        }
        panic!("jobs come to no end");
    }

    /// Processes the next due job, which must be a hand-over, and returns its error.
    #[track_caller]
    fn run(&self) -> Option<String> {
        match self.fixture.run_next() {
            StepOutcome::Ran { job_type, error, .. } if job_type == DRAFT_ORDER_HANDOVER => error,
            other => panic!("no hand-over: {other:?}"),
        }
    }

    fn job(&self) -> Job {
        let filter = Filter { job_type: Some(DRAFT_ORDER_HANDOVER.to_owned()), limit: 1, ..Filter::default() };
        let jobs = self.fixture.app.db.read(|connection| quotegrid::queue::list(connection, &filter));
        jobs.expect("readable").pop().expect("a job")
    }

    fn column<T: rusqlite::types::FromSql>(&self, order: &str, column: &str) -> T {
        self.fixture.query(&format!("SELECT {column} FROM draft_order_records WHERE id = '{order}'"))
    }

    fn figure(&self, name: &str) -> u64 {
        let figures = self.fixture.app.handover.figures().all();
        figures.into_iter().find(|(found, _)| *found == name).expect("a figure").1
    }

    /// The order is at Shopify, once, and our record says so.
    #[track_caller]
    fn assert_sent(&self, order: &str) {
        assert_eq!(self.column::<String>(order, "status"), "sent");
        assert_eq!(self.fake.drafts_of(order), 1);
        let (id, name): (String, String) =
            (self.column(order, "shopify_draft_order_id"), self.column(order, "shopify_order_name"));
        assert_eq!(id.rsplit('/').next(), name.strip_prefix("#S"));
        assert_eq!(self.column::<Option<i64>>(order, "handover_attempted_at"), None);
    }
}

/// Places an order, does not wait for the answer, and returns its id once it is written.
fn order_unwaited(shop: &Shop) -> String {
    let before: u64 = shop.fixture.query("SELECT count(*) FROM draft_order_records");
    shop.fixture.router.call(shop.request(&shelf()), Reply::new(|_answer| {}));
    wait_until("the order is written", || {
        shop.fixture.query::<u64>("SELECT count(*) FROM draft_order_records") > before
    });
    shop.fixture.query("SELECT id FROM draft_order_records ORDER BY number DESC LIMIT 1")
}

fn shelf() -> Value {
    json!({ "productId": PRODUCT, "width": 600, "height": 250 })
}

fn body(response: &Response) -> Value {
    response.json_body()
}
