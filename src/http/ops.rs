//! For those who watch the server: `/healthz` (the process is up) and `/readyz` (it can do its work, with details).

use super::respond::{self, Answer};
use super::routes::{Params, Route, Site};
use super::{Method, Request, Response};
use crate::db;
use crate::erasure::{self, requests};
use crate::error::{Error, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use log::warn;
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] =
    &[Route::now(Method::Get, "/healthz", health), Route::later(Method::Get, "/readyz", ready)];

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
    let looked = db.read(|connection| duties(connection, now)).map(|duties| {
        members.insert("privacyRequests".to_owned(), duties);
    });
    db.write_then(
        // A page is written: a full disk would let an empty transaction pass.
        |tx| tx.touch(),
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

/// How the privacy duties stand. A `failed` job means that a person must act before the duty is due.
fn duties(connection: &Connection, now: DateTime<Utc>) -> db::Result<Value> {
    let duties = requests::duties(connection, now)?;
    Ok(json!({
        "open": duties.open,
        "overdue": duties.overdue,
        "failedJobs": erasure::count_failed_jobs(connection)?,
        "waitingForScrub": duties.to_scrub,
        "nextDueAt": duties.next_due_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)),
    }))
}
