//! For those who watch the server: `/healthz` (the process is up), `/readyz` (it can do its work, with details), and `/metrics`.

use super::admin;
use super::respond::{self, Answer};
use super::routes::{Params, Route, Site};
use super::{Method, Request, Response};
use crate::db;
use crate::erasure::{self, requests};
use crate::error::{Error, Result};
use crate::intake;
use crate::metrics::{CONTENT_TYPE, Figures, PLAIN_CONTENT_TYPE};
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
    let looked = db.read(|connection| -> db::Result<_> {
        Ok((duties(connection, now)?, handovers(connection, &site.app.handover)?))
    });
    let looked = looked.map(|(duties, handovers)| {
        members.insert("privacyRequests".to_owned(), duties);
        members.insert("handover".to_owned(), handovers);
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

/// The figures, for Prometheus. They tell a competitor how a shop is doing, and behind a proxy everybody comes from loopback: so a
/// token it is.
fn metrics(site: &Arc<Site>, request: Request, _params: Params, answer: Answer) {
    let Some(token) = site.metrics_token.as_ref().or(site.admin_token.as_ref()) else {
        return answer.send(Err(Error::not_found("path")));
    };
    // Whoever may do everything may look at figures too.
    let admitted = admin::demand(token, &request).or_else(|error| match &site.admin_token {
        Some(admin_token) => admin::demand(admin_token, &request),
        None => Err(error),
    });
    if let Err(error) = admitted {
        let response = admin::refusal(&error, answer.request_id());
        return answer.send(Ok(response));
    }
    answer.send(figures(site).map(|figures| {
        site.metrics.show(&figures);
        let accept: Vec<&str> = request.headers.all("accept").collect();
        let response = if wants_plain(&accept.join(",")) {
            Response::new(200, PLAIN_CONTENT_TYPE, site.metrics.render_plain())
        } else {
            Response::new(200, CONTENT_TYPE, site.metrics.render())
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
            // A weight that is none counts as the least that still accepts.
            Some((place, weight.map_or(1.0, |weight| weight.parse::<f64>().unwrap_or(0.001))))
        });
        // The most exact name decides.
        ranges.min_by_key(|(place, _)| *place).map_or(0.0, |(_, weight)| weight)
    };
    weight(["text/plain", "text/*", "*/*"]) > weight(["application/openmetrics-text", "application/*", "*/*"])
}

/// What is counted at the time of asking. Each look is at an index or a counter, whatever the tables hold.
fn figures(site: &Site) -> Result<Figures> {
    let (db, now) = (&site.app.db, site.app.clock.now());
    let seconds = |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).as_seconds_f64();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (writer, sizes) = (db.writer_figures(), db.file_sizes());
    let written = |counter: &AtomicUsize| counter.load(Ordering::Relaxed) as u64;
    let (taken, refused) = (site.intake.figures(), &site.refusals);
    db.read(|connection| -> Result<Figures> {
        let duties = requests::duties(connection, now)?;
        let space = db::space(connection)?;
        let jobs = queue::counts(connection)?;
        let due = queue::next_due_at(connection)?;
        Ok(Figures {
            jobs: [
                ("pending", jobs.pending),
                ("processing", jobs.processing),
                ("completed", jobs.completed),
                ("failed", jobs.failed),
                ("cancelled", jobs.cancelled),
            ],
            oldest_due_seconds: due.map_or(0.0, |due| seconds(due, now).max(0.0)),
            failed_duty_jobs: erasure::count_failed_jobs(connection)?,
            duties: [("open", duties.open), ("overdue", duties.overdue), ("to_scrub", duties.to_scrub)],
            next_deadline_seconds: duties.next_due_at.map(|due| seconds(now, due)),
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
            handovers: site.app.handover.figures().all(),
            handover_waiting: site.app.handover.waiting() as u64,
            writer_waiting: written(&writer.waiting),
            writer_commits: written(&writer.commits),
            writer_changes: written(&writer.changes),
            writer_refused: written(&writer.refused),
            writer_busy_seconds: written(&writer.busy_micros) as f64 / 1e6,
            database_bytes: sizes.database,
            wal_bytes: sizes.wal,
            free_bytes: space.free * space.page_size,
        })
    })
}

/// How handing orders over to Shopify stands. It makes the server no less ready: orders are taken, and have a page of their own.
fn handovers(connection: &Connection, handover: &Handover) -> db::Result<Value> {
    Ok(json!({
        "configured": handover.options().is_some(),
        "problems": handover.problems(),
        "failedJobs": queue::count_failed(connection, &[DRAFT_ORDER_HANDOVER])?,
        "waitingRequests": handover.waiting(),
    }))
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
