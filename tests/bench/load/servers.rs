//! What is measured.

use crate::plain;
use crate::store;
use quotegrid::app::{App, Background, Options};
use quotegrid::domain::ids::ShopDomain;
use quotegrid::edge::{Server, ServerOptions};
use quotegrid::http::{AppState, Reply, Request, Response, Router, Service};
use quotegrid::queue::NewJob;
use quotegrid::shopify::{Secrets, Webhook};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Widths and heights of each price list of a store that is erased.
const SIDE: usize = 50;

pub(crate) const SECRET: &str = "bench-secret-bench-secret-bench-";

/// A running server.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    _server: Option<Server>,
    app: Option<(Arc<App>, TempDir)>,
}

impl Target {
    pub(crate) fn start(name: &'static str, handlers: Option<usize>, upstreams: Option<usize>) -> Self {
        if name == "tiny_http" {
            return Self { name, address: plain::start(), _server: None, app: None };
        }
        let secrets = Secrets::new([SECRET]);
        let (service, app): (Arc<dyn Service>, _) = if name == "checked" {
            (Arc::new(Checked(secrets)), None)
        } else {
            let directory = tempfile::tempdir().expect("a directory");
            let app = App::open(Options::new(directory.path().join("bench.db"))).expect("a database");
            let app = Arc::new(app);
            (Arc::new(Router::new(Arc::new(AppState::new(app.clone(), secrets)))), Some((app, directory)))
        };
        let mut options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        options.handlers = handlers.unwrap_or(options.handlers);
        options.limits.upstreams = upstreams.unwrap_or(options.limits.upstreams);
        let server = Server::start(options, service);
        let server = server.expect("a server");
        Self { name, address: server.address(), _server: Some(server), app }
    }

    /// Begins to erase a store of `rows` rows, with one worker, which has no time for the webhooks' own jobs meanwhile.
    pub(crate) fn begin_erasure(&self, rows: usize) -> Erasure {
        let (app, _) = self.app.as_ref().expect("this server stores");
        let shop: ShopDomain = "a-large-shop.myshopify.com".parse().expect("a shop domain");
        store::fill(app, &shop, rows.div_ceil(SIDE * SIDE), SIDE);
        // Before whatever the webhooks of earlier runs have left.
        let long_ago = app.clock.now() - chrono::TimeDelta::hours(1);
        let job = NewJob::new("shop_redact", serde_json::json!({ "shop": shop.as_str() })).scheduled_at(long_ago);
        app.enqueue(job).expect("enqueued");
        Erasure { background: app.start(1).expect("a worker"), app: app.clone(), shop }
    }
}

/// A million rows take some seconds.
const ERASURE_PATIENCE: Duration = Duration::from_secs(120);

/// An erasure that goes on.
pub(crate) struct Erasure {
    app: Arc<App>,
    background: Background,
    shop: ShopDomain,
}

impl Erasure {
    /// Waits for its end. Returns whether it was still going on.
    pub(crate) fn finish(self) -> bool {
        let remains = || {
            let shop = self.shop.clone();
            let count: quotegrid::db::Result<bool> = self.app.db.read(move |connection| {
                Ok(connection
                    .query_row("SELECT count(*) > 0 FROM stores WHERE shop = ?1", [shop.as_str()], |row| row.get(0))?)
            });
            count.expect("readable")
        };
        let was_going_on = remains();
        let begun = Instant::now();
        while remains() {
            assert!(begun.elapsed() < ERASURE_PATIENCE, "the erasure does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.background.stop(Duration::from_secs(60));
        was_going_on
    }
}

/// Checks a webhook as the server does, and stores nothing.
struct Checked(Secrets);

impl Service for Checked {
    fn call(&self, request: Request, reply: Reply) {
        let status = match Webhook::receive(&self.0, request.headers.iter(), &request.body) {
            Ok(_) => 200,
            Err(_) => 401,
        };
        reply.send(Response::new(status, "application/json", r#"{"status":"checked"}"#));
    }
}
