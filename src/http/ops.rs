//! For those who watch the server: `/healthz` (the process is up), `/readyz` (it can do its work; with details for operators),
//! and `/metrics`.

use super::guard::bearer;
use super::readiness::{Looking, Verdict, Waiting};
use super::respond::Responder;
use super::route::{Params, Route};
use super::state::AppState;
use super::{Method, Request, Response};
use crate::db;
use crate::erasure::{self, requests};
use crate::error::{Error, Result};
use crate::intake;
use crate::log_limit::LogLimiter;
use crate::metrics::{CONTENT_TYPE, MetricsSnapshot, PLAIN_CONTENT_TYPE};
use crate::orders::handover::{DRAFT_ORDER_HANDOVER, Handover};
use crate::queue;
use chrono::{DateTime, SecondsFormat, Utc};
use log::warn;
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/healthz", health),
    Route::later(Method::Get, "/readyz", ready),
    Route::later(Method::Get, "/metrics", metrics),
];

/// Touches nothing that could be busy: a process that is merely overloaded must not be restarted.
#[expect(clippy::unnecessary_wraps, reason = "all handlers of the table have one type")]
fn health(_state: &Arc<AppState>, _request: &Request, _params: &Params) -> Result<Response> {
    let body = json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") });
    Ok(Response::json(200, &body).with_header("Cache-Control", "no-store"))
}

/// Lines about a server that is not ready.
static NOT_READY: LogLimiter = LogLimiter::new();

/// Any client may ask whether the server is ready; the details are for those that bear a token.
fn ready(state: &Arc<AppState>, request: Request, _params: Params, responder: Responder) {
    let mut details = None;
    if bearer::bears_one(&request) && (state.admin_tokens.is_some() || state.metrics_tokens.is_some()) {
        if let Err(error) = demand(state, &request) {
            let response = bearer::refusal(&error, responder.request_id());
            return responder.send(Ok(response));
        }
        // What cannot be read is left out; that it cannot is the answer.
        details = Some(look(state).unwrap_or_default());
    }
    if !state.readiness.wait(Waiting { responder, details }) {
        return;
    }
    let looking = Looking::new(state.readiness.clone());
    let looked = state.app.db.read(|connection| open_requests(connection, state.app.clock.now()).map(|_figures| ()));
    state.app.db.write_then(
        // A page is written: a full disk would let an empty transaction pass.
        |tx| tx.touch(),
        move |committed: db::Result<()>| looking.end(verdict(looked, committed)),
    );
}

fn verdict(looked: db::Result<()>, committed: db::Result<()>) -> Verdict {
    let (can_read, can_commit) = (looked.is_ok(), committed.is_ok());
    let fault = committed.and(looked).err().map(|error| {
        // SQLite's words may name a file: they are for the log.
        if let Some(left_out) = NOT_READY.admit() {
            warn!("not ready: {error} more={left_out}");
        }
        let error = Error::from(error);
        if error.retry_after().is_some() { error.to_string() } else { "database error".to_owned() }
    });
    Verdict { can_read, can_commit, fault }
}

/// The details of readiness.
fn look(state: &AppState) -> db::Result<Map<String, Value>> {
    let (db, now) = (&state.app.db, state.app.clock.now());
    let schema = db.migrated().to;
    let mut members = Map::new();
    members.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    members.insert("schema".to_owned(), json!({ "version": schema, "current": schema == db::newest_version() }));
    db.read(|connection| {
        members.insert("privacyRequests".to_owned(), open_requests(connection, now)?);
        members.insert("handover".to_owned(), handovers(connection, &state.app.handover)?);
        Ok(members)
    })
}

/// Lets only those pass who bear the metrics token or the admin token.
fn demand(state: &AppState, request: &Request) -> Result<()> {
    let tokens: Vec<_> = state.metrics_tokens.iter().chain(&state.admin_tokens).collect();
    if tokens.is_empty() { Err(Error::not_found("path")) } else { state.guesses.demand(&tokens, request) }
}

/// The figures, for Prometheus. They show a competitor how a shop is doing, and behind a proxy everybody comes from loopback: so a
/// token it is.
fn metrics(state: &Arc<AppState>, request: Request, _params: Params, responder: Responder) {
    if let Err(error) = demand(state, &request) {
        let response = bearer::refusal(&error, responder.request_id());
        return responder.send(Ok(response));
    }
    responder.send(figures(state).map(|figures| {
        let accept: Vec<&str> = request.headers.all("accept").collect();
        let response = if wants_plain(&accept.join(",")) {
            Response::new(200, PLAIN_CONTENT_TYPE, state.metrics.render_plain(figures))
        } else {
            Response::new(200, CONTENT_TYPE, state.metrics.render(figures))
        };
        response.with_header("Cache-Control", "no-store").with_header("Vary", "Accept")
    }));
}

/// Whether a field `Accept` would rather have the older text than OpenMetrics: scrapers that know OpenMetrics name it, and browsers
/// and curl take anything.
fn wants_plain(accept: &str) -> bool {
    let weight = |names: [&str; 3]| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next()?;
            let place = names.iter().position(|wanted| name.eq_ignore_ascii_case(wanted))?;
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            // A weight that is not valid counts as the least that still accepts.
            Some((place, weight.map_or(1.0, |weight| weight.parse::<f64>().unwrap_or(0.001))))
        });
        // The most exact name decides.
        ranges.min_by_key(|(place, _)| *place).map_or(0.0, |(_, weight)| weight)
    };
    weight(["text/plain", "text/*", "*/*"]) > weight(["application/openmetrics-text", "application/*", "*/*"])
}

/// What is counted at the time of asking. Each look is at an index or a counter, whatever the tables hold.
fn figures(state: &AppState) -> Result<MetricsSnapshot> {
    let (db, now) = (&state.app.db, state.app.clock.now());
    let seconds = |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).as_seconds_f64();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (writer, sizes) = (db.writer_figures(), db.file_sizes());
    let written = |counter: &AtomicUsize| counter.load(Ordering::Relaxed) as u64;
    let (taken, refused) = (state.intake.figures(), &state.refusals);
    db.read(|connection| -> Result<MetricsSnapshot> {
        let open_requests = requests::open_requests(connection, now)?;
        let space = db::space(connection)?;
        let jobs = queue::counts(connection)?;
        let due = queue::next_due_at(connection)?;
        Ok(MetricsSnapshot {
            jobs: [
                ("pending", jobs.pending),
                ("processing", jobs.processing),
                ("completed", jobs.completed),
                ("failed", jobs.failed),
                ("cancelled", jobs.cancelled),
            ],
            oldest_due_seconds: due.map_or(0.0, |due| seconds(due, now).max(0.0)),
            failed_privacy_jobs: erasure::count_failed_jobs(connection)?,
            open_requests: [
                ("open", open_requests.open),
                ("overdue", open_requests.overdue),
                ("to_scrub", open_requests.to_scrub),
            ],
            next_deadline_seconds: open_requests.next_due_at.map(|due| seconds(now, due)),
            last_webhook_seconds: intake::last_received_at(connection)?.map(|last| seconds(last, now)),
            webhooks: [
                ("accepted", count(&taken.accepted)),
                ("duplicate", count(&taken.duplicates)),
                ("ignored", count(&taken.ignored)),
                ("unsigned", count(&refused.unsigned)),
                ("other_shop", count(&refused.other_shop)),
                ("malformed", count(&refused.malformed)),
                ("too_large", count(&refused.too_large)),
            ],
            handovers: state.app.handover.figures().all(),
            handover_waiting: state.app.handover.waiting() as u64,
            writer_waiting: written(&writer.waiting),
            writer_commits: written(&writer.commits),
            writer_changes: written(&writer.changes),
            writer_rejected: written(&writer.rejected),
            writer_busy_seconds: written(&writer.busy_micros) as f64 / 1e6,
            database_bytes: sizes.database,
            wal_bytes: sizes.wal,
            free_bytes: space.free * space.page_size,
        })
    })
}

/// The state of handing orders over to Shopify. It makes the server no less ready: orders are taken, and have a page of their own.
fn handovers(connection: &Connection, handover: &Handover) -> db::Result<Value> {
    Ok(json!({
        "configured": handover.options().is_some(),
        "problems": handover.problems(),
        "failedJobs": queue::count_failed(connection, &[DRAFT_ORDER_HANDOVER])?,
        "waitingRequests": handover.waiting(),
    }))
}

/// How many privacy requests are in which state. A `failed` job means that a person must act before the request is due.
fn open_requests(connection: &Connection, now: DateTime<Utc>) -> db::Result<Value> {
    let open_requests = requests::open_requests(connection, now)?;
    Ok(json!({
        "open": open_requests.open,
        "overdue": open_requests.overdue,
        "failedJobs": erasure::count_failed_jobs(connection)?,
        "waitingForScrub": open_requests.to_scrub,
        "nextDueAt": open_requests.next_due_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_text_is_for_those_who_would_rather_have_it() {
        for (accept, plain) in [
            ("", false),
            ("*/*", false),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1", false),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", true),
            ("text/plain", true),
            ("TEXT/PLAIN; charset=utf-8", true),
            ("text/*, application/openmetrics-text;q=0.9", true),
            ("application/openmetrics-text;q=0, */*", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("application/json", false),
            ("text/plain;q=none, application/openmetrics-text;q=0.1", false),
        ] {
            assert_eq!(wants_plain(accept), plain, "{accept}");
        }
    }
}
