//! `/admin/jobs`: the queue. Failed jobs by their error, one job with its attempts, and what people do to one, to all that match, and to
//! a type.

use super::layout::{Frame, Section, page};
use super::words::{capped, figure, in_query, many, optional_time, span, time};
use super::{Page, Visit};
use crate::access::Role;
use crate::catalog::stores;
use crate::db;
use crate::domain::ids::{JobId, ShopDomain};
use crate::erasure::{self, SHOP_REDACT};
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::deferred::{Deferred, write_record};
use crate::http::query::Query;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::queue::{self, Attempt, BULK_MAX, BulkChange, FailureGroup, Filter, Job, Pause, Selection, Status};
use askama::Template;
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Page] = &[
    Page::show("/admin/jobs", list),
    Page::show("/admin/jobs/all", confirm_all),
    Page::write("/admin/jobs/all/retry", "jobs.retry", retry_all),
    Page::write("/admin/jobs/all/cancel", "jobs.cancel", cancel_all),
    Page::write("/admin/jobs/types/pause", "jobs.pause", pause),
    Page::write("/admin/jobs/types/resume", "jobs.resume", resume),
    Page::show("/admin/jobs/{id}", show),
    Page::write("/admin/jobs/{id}/retry", "job.retry", retry),
    Page::write("/admin/jobs/{id}/cancel", "job.cancel", cancel),
];

/// Jobs of a status that are counted: beyond it a page would take longer than anybody needs to know exactly.
const COUNTED_MAX: u64 = 10_000;

/// What a page says after a write.
const DONE: &[(&str, &str)] = &[
    ("retried", "The job is due again."),
    ("cancelled", "The job is cancelled."),
    ("all-retried", "The jobs that matched are due again."),
    ("all-cancelled", "The jobs that matched are cancelled."),
    ("paused", "The type is paused. Jobs that run go on; new ones wait."),
    ("resumed", "The type is resumed."),
];

struct Tab {
    name: &'static str,
    status: &'static str,
    count: Option<String>,
    is_current: bool,
}

#[derive(Template)]
#[template(path = "jobs.html", config = "src/http/console/askama.toml")]
struct Jobs {
    frame: Frame,
    tabs: Vec<Tab>,
    groups: Vec<GroupRow>,
    jobs: Vec<JobRow>,
    /// What is filtered by, as it is in addresses.
    query: String,
    next: Option<String>,
    status: &'static str,
    job_type: String,
    error: String,
    /// What can be done to all that match: the form's `change`, and the button.
    bulk: Option<(&'static str, &'static str)>,
    pauses: Vec<(String, String)>,
    may_pause: bool,
}

struct GroupRow {
    job_type: String,
    error: String,
    count: String,
    query: String,
}

impl GroupRow {
    fn new(group: FailureGroup) -> Self {
        let query = query_of(Status::Failed.as_str(), &group.job_type, &group.error);
        Self { job_type: group.job_type, error: group.error, count: figure(group.count), query }
    }
}

fn query_of(status: &str, job_type: &str, error: &str) -> String {
    format!("status={status}&type={}&error={}", in_query(job_type), in_query(error))
}

struct JobRow {
    id: JobId,
    job_type: String,
    status: &'static str,
    tone: &'static str,
    attempts: String,
    at: String,
    error: String,
}

impl JobRow {
    fn new(job: &Job) -> Self {
        Self {
            id: job.id,
            job_type: job.job_type.clone(),
            status: job.status.as_str(),
            tone: tone(job.status),
            attempts: format!("{} of {}", job.attempts, job.max_attempts),
            at: time(job.processed_at.unwrap_or(job.scheduled_at)),
            error: job.error.clone().unwrap_or_default(),
        }
    }
}

fn tone(status: Status) -> &'static str {
    match status {
        Status::Completed => "good",
        Status::Failed => "bad",
        Status::Processing => "warn",
        Status::Pending | Status::Cancelled => "quiet",
    }
}

const TABS: &[(&str, Option<Status>)] = &[
    ("All", None),
    ("Failed", Some(Status::Failed)),
    ("Waiting", Some(Status::Pending)),
    ("Running", Some(Status::Processing)),
    ("Done", Some(Status::Completed)),
    ("Cancelled", Some(Status::Cancelled)),
];

fn list(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let query = Query::of(&visit.request, &["status", "type", "error", "cursor", "limit", "done"])?;
    let asked = query.page::<JobId>()?;
    let status: Option<Status> =
        query.parse("status", "must be pending, processing, completed, failed or cancelled")?;
    let (job_type, error) = (query.get("type").map(str::to_owned), query.get("error").map(str::to_owned));
    let filter = Filter {
        status,
        job_type: job_type.clone(),
        error: error.clone(),
        subject: None,
        before: asked.after,
        limit: asked.fetch(),
    };
    let is_grouped = status == Some(Status::Failed) && job_type.is_none() && error.is_none() && asked.after.is_none();
    let (mut jobs, counts, groups, pauses) = state.app.db.read(|connection| -> db::Result<_> {
        let counts: db::Result<Vec<u64>> = TABS
            .iter()
            .filter_map(|(_, status)| *status)
            .filter(|status| *status != Status::Completed)
            .map(|status| queue::count_up_to(connection, status, COUNTED_MAX + 1))
            .collect();
        let groups = if is_grouped { queue::group_failures(connection)? } else { Vec::new() };
        Ok((queue::list(connection, &filter)?, counts?, groups, queue::list_pauses(connection)?))
    })?;
    let next = asked.cut(&mut jobs, |job| job.id.to_string());
    let mut counts = counts.into_iter();
    let tabs = TABS.iter().map(|(name, tab)| Tab {
        name,
        status: tab.map_or("", Status::as_str),
        // Those that are done are the many: their number is not needed here.
        count: tab
            .filter(|tab| *tab != Status::Completed)
            .and_then(|_| counts.next())
            .map(|count| capped(count, COUNTED_MAX)),
        is_current: *tab == status,
    });
    let tabs = tabs.collect();
    let may_write = visit.session.role == Role::Operator;
    let bulk = status.filter(|_| may_write && !jobs.is_empty()).and_then(|status| match status {
        Status::Failed | Status::Cancelled => Some(("retry", "Retry all that match…")),
        Status::Pending => Some(("cancel", "Cancel all that match…")),
        Status::Processing | Status::Completed => None,
    });
    let (job_type, error) = (job_type.unwrap_or_default(), error.unwrap_or_default());
    let query = query_of(status.map_or("", Status::as_str), &job_type, &error);
    let template = Jobs {
        frame: visit.frame(Section::Jobs).with_flash(visit.flash(DONE)),
        tabs,
        groups: groups.into_iter().map(GroupRow::new).collect(),
        query,
        jobs: jobs.iter().map(JobRow::new).collect(),
        next,
        status: status.map_or("", Status::as_str),
        job_type,
        error,
        bulk,
        pauses: pauses.into_iter().filter(|pause| !pause.is_ending).map(pause_row).collect(),
        may_pause: may_write,
    };
    page(200, &template)
}

fn pause_row(pause: Pause) -> (String, String) {
    (pause.job_type, time(pause.paused_at))
}

#[derive(Template)]
#[template(path = "jobs_all.html", config = "src/http/console/askama.toml")]
struct ConfirmAll {
    frame: Frame,
    change: &'static str,
    verb: &'static str,
    matched: String,
    is_capped: bool,
    is_empty: bool,
    status: &'static str,
    job_type: String,
    error: String,
}

fn change_of(name: &str) -> Result<BulkChange> {
    match name {
        "retry" => Ok(BulkChange::Retry),
        "cancel" => Ok(BulkChange::Cancel),
        _ => Err(Error::not_found("page")),
    }
}

fn confirm_all(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let query = Query::of(&visit.request, &["change", "status", "type", "error"])?;
    let change = change_of(query.get("change").unwrap_or_default())?;
    let selection = Selection {
        status: query.parse("status", "must be a job's status")?.unwrap_or_else(|| change.default_status()),
        job_type: query.get("type").map(str::to_owned),
        error: query.get("error").map(str::to_owned),
    };
    let matched = state.app.queue.list_for_bulk(&state.app.db, change, &selection)?.len();
    let template = ConfirmAll {
        frame: visit.frame(Section::Jobs),
        change: if change == BulkChange::Retry { "retry" } else { "cancel" },
        verb: if change == BulkChange::Retry { "Retry" } else { "Cancel" },
        matched: many(matched as u64, "job", "jobs"),
        is_capped: matched == BULK_MAX,
        is_empty: matched == 0,
        status: selection.status.as_str(),
        job_type: selection.job_type.unwrap_or_default(),
        error: selection.error.unwrap_or_default(),
    };
    page(200, &template)
}

fn retry_all(_state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    change_all(visit, BulkChange::Retry, "all-retried")
}

fn cancel_all(_state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    change_all(visit, BulkChange::Cancel, "all-cancelled")
}

fn change_all(visit: Visit, change: BulkChange, done: &'static str) -> Result<Deferred> {
    let status = visit.form.entered("status").map_or_else(|| Ok(change.default_status()), str::parse);
    let status = status.map_err(|_unknown| {
        Error::new(Kind::Invalid, "the jobs cannot be changed").with_fault("status", "must be a job's status")
    })?;
    let selection = Selection {
        status,
        job_type: visit.form.entered("type").map(str::to_owned),
        error: Some(visit.form.get("error").to_owned()).filter(|error| !error.is_empty()),
    };
    Ok(Deferred::on_own_thread(move |state, record| {
        let recorded = move |tx: &db::Tx<'_>| write_record(record.as_ref(), tx);
        let (queue, db, now) = (&state.app.queue, &state.app.db, state.app.clock.now());
        queue.change_all(db, now, change, &selection, recorded)?;
        Ok(visit.see_other(&format!("admin/jobs?done={done}")))
    }))
}

fn pause(state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    let (queue, now, job_type) = (state.app.queue.clone(), state.app.clock.now(), visit.form.get("type").to_owned());
    let away = visit.see_other("admin/jobs?done=paused");
    Ok(Deferred::commit(move |tx| queue.pause(tx, now, &job_type), |()| away))
}

fn resume(state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    let (queue, job_type) = (state.app.queue.clone(), visit.form.get("type").to_owned());
    let away = visit.see_other("admin/jobs?done=resumed");
    Ok(Deferred::commit(move |tx| queue.resume(tx, &job_type), |()| away))
}

#[derive(Template)]
#[template(path = "job.html", config = "src/http/console/askama.toml")]
struct OneJob {
    frame: Frame,
    job: JobRow,
    payload: String,
    created_at: String,
    scheduled_at: String,
    processed_at: String,
    attempts: Vec<AttemptRow>,
    /// What an erasure still has to delete, by table.
    left: Vec<(String, String)>,
    can_retry: bool,
    can_cancel: bool,
}

struct AttemptRow {
    number: u32,
    started_at: String,
    took: String,
    outcome: &'static str,
    tone: &'static str,
    error: String,
}

impl AttemptRow {
    fn new(attempt: &Attempt) -> Self {
        let (outcome, tone) = match attempt.outcome.as_str() {
            "completed" => ("completed", "good"),
            "retried" => ("failed, tried again", "warn"),
            "failed" => ("failed permanently", "bad"),
            "snoozed" => ("put off", "quiet"),
            "lost" => ("its worker was lost", "warn"),
            _ => ("given back", "quiet"),
        };
        let took = attempt.ended_at - attempt.started_at;
        let took = if took.num_seconds() < 10 { format!("{} ms", took.num_milliseconds()) } else { span(took) };
        Self {
            number: attempt.attempt,
            started_at: time(attempt.started_at),
            took,
            outcome,
            tone,
            error: attempt.error.clone().unwrap_or_default(),
        }
    }
}

fn show(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    let id: JobId = params.parse("id", "job")?;
    let (job, attempts, left) = state.app.db.read(|connection| -> Result<_> {
        let job = queue::find(connection, id)?.ok_or_else(|| Error::not_found(format!("job {id}")))?;
        let is_open = matches!(job.status, Status::Pending | Status::Processing);
        let shop: Option<ShopDomain> = job.payload.get("shop").and_then(|shop| shop.as_str()?.parse().ok());
        let store = match shop.filter(|_| is_open && job.job_type == SHOP_REDACT) {
            Some(shop) => stores::find(connection, &shop)?,
            None => None,
        };
        let left = match store {
            Some(store) => Some(erasure::shop::preview(connection, &store)?),
            None => None,
        };
        Ok((job, queue::list_attempts(connection, id)?, left))
    })?;
    let may_write = visit.session.role == Role::Operator;
    let left = left.iter().flat_map(|rows| rows.iter()).filter(|(_, rows)| *rows > 0);
    let template = OneJob {
        frame: visit.frame(Section::Jobs).with_flash(visit.flash(DONE)),
        job: JobRow::new(&job),
        payload: serde_json::to_string_pretty(&job.payload).unwrap_or_default(),
        created_at: time(job.created_at),
        scheduled_at: time(job.scheduled_at),
        processed_at: optional_time(job.processed_at),
        attempts: attempts.iter().map(AttemptRow::new).collect(),
        left: left.map(|(table, rows)| (table.to_string(), figure(rows))).collect(),
        can_retry: may_write && matches!(job.status, Status::Failed | Status::Cancelled),
        can_cancel: may_write && job.status == Status::Pending,
    };
    page(200, &template)
}

fn retry(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    change(state, &visit, params, BulkChange::Retry, "retried")
}

fn cancel(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    change(state, &visit, params, BulkChange::Cancel, "cancelled")
}

fn change(
    state: &Arc<AppState>,
    visit: &Visit,
    params: &Params,
    change: BulkChange,
    done: &'static str,
) -> Result<Deferred> {
    let id: JobId = params.parse("id", "job")?;
    let (queue, now) = (state.app.queue.clone(), state.app.clock.now());
    let away = visit.see_other(&format!("admin/jobs/{id}?done={done}"));
    let change = move |tx: &db::Tx<'_>| match change {
        BulkChange::Retry => queue.retry(tx, now, id),
        BulkChange::Cancel => queue.cancel(tx, now, id),
    };
    Ok(Deferred::commit(change, |()| away))
}
