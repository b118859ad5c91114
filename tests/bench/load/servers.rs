//! What is measured.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use quotegrid::clock::{Clock, SystemClock};
use quotegrid::db::{self, Db};
use quotegrid::http::server::{Server, ServerOptions};
use quotegrid::http::{Reply, Request, Response, Service};
use rusqlite::named_params;
use sha2::Sha256;
use std::net::SocketAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tempfile::TempDir;

pub(crate) const SECRET: &[u8] = b"bench-secret-bench-secret-bench-";
/// Handler threads of plain tiny_http, as many as it was measured best with.
const PLAIN_HANDLERS: usize = 4;

pub(crate) fn sign(secret: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length will do");
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// A running server.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    _running: Option<(Server, Option<TempDir>)>,
}

impl Target {
    pub(crate) fn start(name: &'static str) -> Self {
        if name == "tiny_http" {
            return Self { name, address: plain_tiny_http(), _running: None };
        }
        let (database, directory) = if name == "durable" {
            let directory = tempfile::tempdir().expect("a directory");
            let options = db::Options::new(directory.path().join("bench.db"));
            (Some(Db::open(&options).expect("a database")), Some(directory))
        } else {
            (None, None)
        };
        let options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        let server = Server::start(options, Arc::new(Webhooks { database })).expect("a server");
        Self { name, address: server.address(), _running: Some((server, directory)) }
    }
}

fn plain_tiny_http() -> SocketAddr {
    let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").expect("a server"));
    for _ in 0..PLAIN_HANDLERS {
        let server = server.clone();
        std::thread::spawn(move || {
            while let Ok(request) = server.recv() {
                let _gone = request.respond(tiny_http::Response::empty(200));
            }
        });
    }
    server.server_addr().to_ip().expect("a TCP address")
}

/// Checks a webhook, and stores it where there is a database.
struct Webhooks {
    database: Option<Db>,
}

impl Service for Webhooks {
    fn call(&self, request: Request, reply: Reply) {
        let signature = request.headers.get("x-shopify-hmac-sha256").unwrap_or_default();
        if !bool::from(sign(SECRET, &request.body).as_bytes().ct_eq(signature.as_bytes())) {
            return reply.send(Response::empty(401));
        }
        let Some(database) = &self.database else { return reply.send(Response::empty(200)) };
        let field = |name: &str| request.headers.get(name).unwrap_or_default().to_owned();
        let (topic, webhook_id, shop) =
            (field("x-shopify-topic"), field("x-shopify-webhook-id"), field("x-shopify-shop-domain"));
        let body: serde_json::Value = serde_json::from_slice(&request.body).expect("the bench sends JSON");
        let payload = serde_json::json!({ "shop": body["shop_domain"] }).to_string();
        let now = SystemClock.now().timestamp_millis();
        let (job, gdpr) = (new_id(), new_id());
        let answer_job = job.clone();
        database.write_then(
            move |tx| {
                tx.prepare_cached(
                    "INSERT INTO webhook_deliveries (topic, webhook_id, shop, received_at, job_id)
                     VALUES (:topic, :webhook_id, :shop, :now, :job)",
                )?
                .execute(named_params! { ":topic": topic, ":webhook_id": webhook_id, ":shop": shop, ":now": now, ":job": job })?;
                tx.prepare_cached(
                    "INSERT INTO gdpr_requests (id, shop, type, payload, webhook_id, triggered_at, due_at, created_at)
                     VALUES (:id, :shop, 'SHOP_REDACT', :payload, :webhook_id, :now, :now, :now)",
                )?
                .execute(named_params! { ":id": gdpr, ":shop": shop, ":payload": payload, ":webhook_id": webhook_id, ":now": now })?;
                tx.prepare_cached(
                    "INSERT INTO job_queue (id, type, payload, scheduled_at, created_at, scheduled_from, subject)
                     VALUES (:id, 'shop_redact', :payload, :now, :now, :now, :shop)",
                )?
                .execute(named_params! { ":id": job, ":payload": payload, ":now": now, ":shop": shop })?;
                Ok::<(), db::Error>(())
            },
            move |outcome| match outcome {
                Ok(()) => reply.send(Response::json(200, &serde_json::json!({ "status": "accepted", "jobId": answer_job }))),
                Err(error) => {
                    eprintln!("not stored: {error}");
                    reply.send(Response::empty(503));
                }
            },
        );
    }
}

/// An id as the server makes them: ordered by time, then random.
fn new_id() -> String {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).expect("random bytes");
    let millis = u64::try_from(SystemClock.now().timestamp_millis()).expect("after 1970");
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid().to_string()
}
