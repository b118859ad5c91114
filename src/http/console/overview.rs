//! `/admin`: what needs a person now, and how much goes on.

use super::chart::Chart;
use super::layout::{Frame, Section, page};
use super::words::{bytes, figure, optional_time, time};
use super::{Page, Visit};
use crate::activity::Event;
use crate::error::Result;
use crate::findings::{self, Condition, Finding};
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

/// How the server is, with what this process alone knows of it.
pub(super) fn condition(state: &AppState) -> Result<Condition> {
    let mut condition = Condition::look(&state.app, state.app.silence())?;
    let currencies = match state.unknown_currencies.get(&()) {
        Some(currencies) => currencies,
        None => {
            let currencies = findings::unknown_currencies(&state.app)?;
            state.unknown_currencies.put((), currencies.clone());
            currencies
        }
    };
    condition.findings.extend(state.setting_faults.iter().map(|fault| findings::of_setting(fault)));
    condition.findings.extend(currencies.iter().map(findings::of_unknown_currency));
    condition.findings.sort_by_key(|finding| !finding.is_bad);
    Ok(condition)
}

fn overview(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    if let Some(shop) = &visit.merchants_shop {
        return Ok(visit.see_other(&format!("admin/shops/{shop}")));
    }
    let now = state.app.clock.now();
    let condition = condition(state)?;
    let charts = state.app.db.read(|connection| -> crate::db::Result<_> {
        Ok(vec![
            Chart::load(connection, now, "Orders", [Event::Order])?,
            Chart::load(connection, now, "Webhooks", Event::accepted())?,
            Chart::load(connection, now, "Rejected webhooks", Event::REJECTED)?,
        ])
    })?;
    let template = Overview {
        frame: visit.frame(Section::Overview),
        charts,
        failed_jobs: figure(condition.failed_jobs),
        open_requests: figure(condition.requests.open),
        next_due_at: optional_time(condition.requests.next_due_at),
        last_backup: condition
            .last_backup
            .map_or_else(|| "none in its folder".to_owned(), |backup| time(backup.made_at)),
        disk_free: condition.disk.map_or_else(|| "unknown".to_owned(), |disk| bytes(disk.free)),
        findings: condition.findings,
        version: env!("CARGO_PKG_VERSION"),
    };
    page(200, &template)
}
