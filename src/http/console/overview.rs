//! `/admin`: what needs a person now, and how much goes on.

use super::chart::Chart;
use super::findings::{Finding, Standing};
use super::layout::{Frame, Section, page};
use super::words::{bytes, figure, optional_time, time};
use super::{Page, Visit};
use crate::activity::Event;
use crate::error::Result;
use crate::http::Response;
use crate::http::route::Params;
use crate::http::state::AppState;
use askama::Template;
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Page] = &[Page::show("/admin", overview)];

#[derive(Template)]
#[template(path = "overview.html", config = "src/http/console/askama.toml")]
struct Overview {
    frame: Frame,
    findings: Vec<Finding>,
    charts: Vec<Chart>,
    failed_jobs: String,
    open_requests: String,
    next_due_at: String,
    last_backup: String,
    disk_free: String,
    version: &'static str,
}

fn overview(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    if let Some(shop) = &visit.merchants_shop {
        return Ok(visit.see_other(&format!("admin/shops/{shop}")));
    }
    let now = state.app.clock.now();
    let standing = Standing::look(state)?;
    let charts = state.app.db.read(|connection| -> crate::db::Result<_> {
        Ok(vec![
            Chart::load(connection, now, "Orders", &[Event::Order])?,
            Chart::load(connection, now, "Webhooks", &Event::TAKEN)?,
            Chart::load(connection, now, "Refused webhooks", &Event::REFUSED)?,
        ])
    })?;
    let template = Overview {
        frame: visit.frame(Section::Overview),
        charts,
        failed_jobs: figure(standing.failed_jobs),
        open_requests: figure(standing.requests.open),
        next_due_at: optional_time(standing.requests.next_due_at),
        last_backup: standing.last_backup.map_or_else(|| "none here".to_owned(), |backup| time(backup.made_at)),
        disk_free: standing.disk.map_or_else(|| "unknown".to_owned(), |disk| bytes(disk.free)),
        findings: standing.findings,
        version: env!("CARGO_PKG_VERSION"),
    };
    page(200, &template)
}
