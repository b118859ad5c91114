//! For those who watch the server: `/healthz` (the process is up) and `/readyz` (it can do its work, with details).

use super::respond::{self, Answer};
use super::routes::{Params, Route, Site};
use super::{Method, Request, Response};
use crate::db;
use crate::erasure::requests;
use crate::error::{Error, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use log::warn;
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] =
    &[Route::now(Method::Get, "/healthz", health), Route::later(Method::Get, "/readyz", ready)];

/// A look at the database for `/readyz`. It must be quick and name nobody: the page is open to all.
type Look = dyn Fn(&Connection, DateTime<Utc>) -> db::Result<Map<String, Value>> + Send + Sync;

/// A change that shows whether one can be committed, and leaves nothing behind.
type Probe = dyn Fn(&db::Tx<'_>) -> db::Result<()> + Send + Sync;

/// What `/readyz` tells beside its own checks, supplied by whoever knows more.
#[derive(Clone)]
pub struct Details {
    looks: Vec<Arc<Look>>,
    probe: Arc<Probe>,
}

impl Details {
    /// Adds the members that `look` returns.
    pub fn add(
        &mut self,
        look: impl Fn(&Connection, DateTime<Utc>) -> db::Result<Map<String, Value>> + Send + Sync + 'static,
    ) {
        self.looks.push(Arc::new(look));
    }

    /// Has `probe` run in the transaction that shows whether one can be committed.
    pub fn set_probe(&mut self, probe: impl Fn(&db::Tx<'_>) -> db::Result<()> + Send + Sync + 'static) {
        self.probe = Arc::new(probe);
    }
}

impl Default for Details {
    /// The open privacy duties, and a transaction that writes nothing.
    fn default() -> Self {
        Self { looks: vec![Arc::new(duties)], probe: Arc::new(|_tx| Ok(())) }
    }
}

impl std::fmt::Debug for Details {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Details").field("looks", &self.looks.len()).finish_non_exhaustive()
    }
}

/// Touches nothing that could be busy: a process that is merely overloaded must not be restarted.
#[expect(clippy::unnecessary_wraps, reason = "all handlers of the table have one type")]
fn health(_site: &Arc<Site>, _request: &Request, _params: &Params) -> Result<Response> {
    let body = json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") });
    Ok(Response::json(200, &body).with_header("Cache-Control", "no-store"))
}

fn ready(site: &Arc<Site>, _request: Request, _params: Params, answer: Answer) {
    let (db, now) = (&site.app.db, site.app.clock.now());
    let schema = db.migrated().to;
    let mut members = Map::new();
    members.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    members.insert("schema".to_owned(), json!({ "version": schema, "current": schema == db::newest_version() }));
    let looked = db.read(|connection| -> db::Result<()> {
        for look in &site.details.looks {
            members.extend(look(connection, now)?);
        }
        Ok(())
    });
    let probe = site.details.probe.clone();
    db.write_then(
        move |tx| probe(tx),
        move |committed| {
            let response = verdict(looked, committed, members, answer.request_id());
            answer.send(Ok(response.with_header("Cache-Control", "no-store")));
        },
    );
}

fn verdict(
    looked: db::Result<()>,
    committed: db::Result<()>,
    mut members: Map<String, Value>,
    request_id: &str,
) -> Response {
    members.insert("canRead".to_owned(), json!(looked.is_ok()));
    members.insert("canCommit".to_owned(), json!(committed.is_ok()));
    match committed.and(looked) {
        Ok(()) => {
            members.insert("status".to_owned(), json!("ready"));
            Response::json(200, &Value::Object(members))
        }
        Err(error) => {
            // SQLite's words may name a file: they are for the log.
            warn!("not ready id={request_id}: {error}");
            let detail = Error::from(error);
            let detail = if detail.retry_after().is_some() { detail.to_string() } else { "database error".to_owned() };
            respond::problem(503, &detail, request_id, members).with_header("Retry-After", "2")
        }
    }
}

fn duties(connection: &Connection, now: DateTime<Utc>) -> db::Result<Map<String, Value>> {
    let duties = requests::duties(connection, now)?;
    let mut members = Map::new();
    members.insert(
        "privacyRequests".to_owned(),
        json!({
            "open": duties.open,
            "overdue": duties.overdue,
            "waitingForScrub": duties.to_scrub,
            "nextDueAt": duties.next_due_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)),
        }),
    );
    Ok(members)
}
