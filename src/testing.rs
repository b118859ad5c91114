//! The app in a test: a real database file in a directory of its own, a clock that is frozen until it is moved, and nothing in
//! the background. For this project's tests, and for those of programs that embed it.
//!
//! ```
//! use quotegrid::testing::Fixture;
//! use serde_json::json;
//!
//! let fixture = Fixture::new();
//! let demo = fixture.demo_store();
//! let body = json!({ "shop_id": 1, "shop_domain": demo.shop.as_str() });
//! assert_eq!(fixture.post_webhook("shop/redact", &body).status, 200);
//! assert_eq!(fixture.run_jobs(), 1);
//! assert_eq!(fixture.count("stores"), 0);
//! assert_eq!(fixture.admin("GET", "/admin/api/gdpr/requests", None).json_body()["requests"][0]["outcome"], "erased");
//! ```
//!
//! Job types of an embedding program run in it as well, and their delays pass as soon as the test says so:
//!
//! ```
//! use quotegrid::queue::{Claim, Context, Finish, Handler, JobError, Registry, Status};
//! use quotegrid::testing::Fixture;
//! use serde_json::json;
//! use std::time::Duration;
//!
//! struct SendMail;
//!
//! impl Handler for SendMail {
//!     fn run(&self, job: &Claim, _context: &Context) -> Result<Finish, JobError> {
//!         match job.attempt {
//!             1 => Err(JobError::Retry("the mail server is down".to_owned())),
//!             _ => Ok(Finish::done()),
//!         }
//!     }
//! }
//!
//! let fixture = Fixture::with_handlers(Registry::new().with("send_mail", SendMail));
//! let job = fixture.enqueue("send_mail", json!({ "order": 7 }));
//! assert_eq!(fixture.run_jobs(), 1);
//! assert_eq!(fixture.job(job).status, Status::Pending);
//! fixture.advance(Duration::from_secs(2));
//! assert_eq!(fixture.run_jobs(), 1);
//! assert_eq!(fixture.job(job).status, Status::Completed);
//! ```

use crate::app::{App, Options};
use crate::clock::{Clock, ManualClock};
use crate::demo::{self, DemoStore};
use crate::domain::ids::{JobId, uuid_v7};
use crate::entropy::{Entropy, SeededEntropy};
use crate::http::{AppState, Headers, Method, Reply, Request, Response, Router, Service};
use crate::queue::{self, Job, NewJob, Registry, StepOutcome};
use crate::secret::Secret;
use crate::shopify::Secrets;
use crate::shopify::sample::sign;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use tempfile::TempDir;

/// More jobs than any test means to run at once: a job that enqueues itself for ever panics.
const RUN_MAX: usize = 100_000;

/// How long an answer is waited for. None takes this long unless it hangs.
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);

/// An app on a database that vanishes with it. Its methods panic when something does not work: that is what a test wants.
#[derive(Debug)]
pub struct Fixture {
    /// The app.
    pub app: Arc<App>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// What answers requests, without a socket.
    pub router: Router,
    directory: TempDir,
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture {
    /// The secret that signs its webhooks.
    pub const SECRET: &'static str = "fixture-secret";

    /// The token of its admin API.
    pub const ADMIN_TOKEN: &'static str = "fixture-admin-token";

    /// An app with an empty database, at 2026-01-01 00:00 UTC.
    pub fn new() -> Self {
        Self::with_handlers(Registry::new())
    }

    /// The same with the job types of the embedding program.
    ///
    /// # Panics
    /// When no temporary directory or database can be made.
    pub fn with_handlers(handlers: Registry) -> Self {
        Self::opened_with(|options| options.handlers = handlers)
    }

    /// The same with other options: the database, the clock and the entropy are the fixture's own.
    ///
    /// # Panics
    /// When no temporary directory or database can be made.
    pub fn opened_with(adjust: impl FnOnce(&mut Options)) -> Self {
        let directory = tempfile::Builder::new().prefix("quotegrid-").tempdir().expect("a temporary directory");
        let clock = Arc::new(ManualClock::default());
        let mut options = Options::new(directory.path().join("quotegrid.db"));
        // What a webhook's sender would not wait for is nothing to a test: a machine that is busy is no fault.
        options.database.write_wait = ANSWER_PATIENCE;
        options.database.read_limit = ANSWER_PATIENCE;
        adjust(&mut options);
        options.clock = clock.clone();
        options.entropy = Arc::new(SeededEntropy::new(1));
        let app = Arc::new(App::open(options).expect("a new database"));
        // Without limits of requests: a frozen clock gives none back.
        let state = AppState::new(app.clone(), Secrets::new([Self::SECRET]))
            .with_rate_limit(0)
            .with_admin_token(&Secret::new(Self::ADMIN_TOKEN))
            .with_frozen_clock(clock.clone());
        Self { app, clock, router: Router::new(Arc::new(state)), directory }
    }

    /// The directory of the database.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.app.db.path().to_path_buf()
    }

    /// The present time.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) -> DateTime<Utc> {
        let now = self.clock.advance(by);
        // Background threads, where a test has started them, wait by the machine's clock.
        self.app.db.notifier().notify();
        now
    }

    /// Asks the router and waits for its answer.
    ///
    /// # Panics
    /// When none comes.
    pub fn call(&self, request: Request) -> Response {
        let (sender, answer) = channel();
        self.router.call(
            request,
            Reply::new(move |response| {
                let _nobody_waits = sender.send(response);
            }),
        );
        answer.recv_timeout(ANSWER_PATIENCE).expect("an answer")
    }

    /// Posts a webhook as Shopify would: signed, with a delivery id of its own, about the shop that its body names, triggered now.
    pub fn post_webhook(&self, topic: &str, body: &Value) -> Response {
        let named = ["shop_domain", "myshopify_domain"].iter().find_map(|name| body.get(name)?.as_str());
        self.post_webhook_of(topic, named.unwrap_or("fixture.myshopify.com"), body)
    }

    /// The same about a shop that the body may not name.
    pub fn post_webhook_of(&self, topic: &str, shop: &str, body: &Value) -> Response {
        let entropy: &dyn Entropy = self.app.entropy.as_ref();
        let id = uuid_v7(self.now(), entropy.array()).to_string();
        let text = body.to_string();
        let mut request = request("POST", "/webhooks", text.clone().into_bytes());
        for (name, value) in [
            ("X-Shopify-Topic", topic),
            ("X-Shopify-Shop-Domain", shop),
            ("X-Shopify-Webhook-Id", &id),
            ("X-Shopify-Triggered-At", &self.now().to_rfc3339()),
            ("X-Shopify-Hmac-Sha256", &sign(Self::SECRET, text.as_bytes())),
        ] {
            request.headers.push(name, value);
        }
        self.call(request)
    }

    /// Asks the admin API, bearing its token. `path` may have a query.
    pub fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let mut request = request(method, path, body.map(|body| body.to_string().into_bytes()).unwrap_or_default());
        request.headers.push("Authorization", format!("Bearer {}", Self::ADMIN_TOKEN));
        self.call(request)
    }

    /// The demo store, filled.
    ///
    /// # Panics
    /// When it cannot be loaded.
    pub fn demo_store(&self) -> DemoStore {
        demo::load(&self.app).expect("the demo store loads")
    }

    /// Enqueues a job.
    ///
    /// # Panics
    /// When it is refused.
    pub fn enqueue(&self, job_type: &str, payload: Value) -> JobId {
        self.app.enqueue(NewJob::new(job_type, payload)).expect("enqueued")
    }

    /// Processes the oldest due job, if there is one.
    ///
    /// # Panics
    /// When the database does not work.
    pub fn run_next(&self) -> StepOutcome {
        self.app.process_next_job().expect("a working database")
    }

    /// Processes everything that is due and returns how many jobs were run.
    ///
    /// # Panics
    /// When the database does not work, or there is no end to it.
    pub fn run_jobs(&self) -> usize {
        (0..RUN_MAX).find(|_| self.run_next() == StepOutcome::Idle).expect("jobs come to an end")
    }

    /// The job with this id.
    ///
    /// # Panics
    /// When there is none.
    pub fn job(&self, id: JobId) -> Job {
        self.app.db.read(|connection| queue::find(connection, id)).expect("readable").expect("the job exists")
    }

    /// The rows of a table.
    ///
    /// # Panics
    /// When there is no such table.
    pub fn count(&self, table: &str) -> u64 {
        self.query(&format!("SELECT count(*) FROM {table}"))
    }

    /// The one value that a query answers.
    ///
    /// # Panics
    /// When the query fails or answers none.
    pub fn query<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        let value = self
            .app
            .db
            .read(|connection| -> crate::db::Result<T> { Ok(connection.query_row(sql, (), |row| row.get(0))?) });
        value.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

fn request(method: &str, path: &str, body: Vec<u8>) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Request {
        method: Method::from(method),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: Headers::default(),
        body,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: "fixture".to_owned(),
    }
}
