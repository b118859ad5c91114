//! `/admin/api/jobs`: list, look, enqueue, retry, cancel, and process what is due within the call.

use crate::app;
use crate::db::Tx;
use crate::domain::ids::{JobId, ShopDomain};
use crate::erasure;
use crate::error::{Error, Kind, Result};
use crate::http::body::{self, Fields};
use crate::http::deferred::Deferred;
use crate::http::query::Query;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::queue::{self, Filter, NewJob, Queue, Status};
use crate::views::jobs as views;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/jobs", list),
    Route::write(Method::Post, "/admin/api/jobs", "job.enqueue", enqueue),
    Route::write(Method::Post, "/admin/api/jobs/run", "jobs.run", run),
    Route::now(Method::Get, "/admin/api/jobs/{id}", show),
    Route::write(Method::Post, "/admin/api/jobs/{id}/retry", "job.retry", retry),
    Route::write(Method::Post, "/admin/api/jobs/{id}/cancel", "job.cancel", cancel),
];

/// The most attempts a job can have, as far as this surface cares: the queue has the last word.
const ATTEMPTS_MAX: u64 = u32::MAX as u64;

fn list(state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Response> {
    let query = Query::of(request, &["status", "type", "shop", "limit", "cursor"])?;
    let page = query.page::<JobId>()?;
    let shop: Option<ShopDomain> = query.parse("shop", "must look like name.myshopify.com")?;
    let filter = Filter {
        status: query.read::<Status>("status")?,
        job_type: query.get("type").map(str::to_owned),
        error: None,
        subject: shop.map(|shop| erasure::subject(&state.app.hasher, &shop)),
        before: page.after,
        limit: page.fetch(),
    };
    let mut jobs = state.app.db.read(|connection| queue::list(connection, &filter))?;
    let next = page.cut(&mut jobs, |job| job.id.to_string());
    let jobs: Vec<Value> = jobs.iter().map(views::job).collect();
    Ok(Response::json(200, &json!({ "jobs": jobs, "next": next })))
}

fn show(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Response> {
    let id: JobId = params.parse("id", "job")?;
    let document = state.app.db.read(|connection| -> Result<_> {
        let job = queue::find(connection, id)?.ok_or_else(|| Error::not_found(format!("job {id}")))?;
        Ok(views::job_in_full(&job, &queue::list_attempts(connection, id)?))
    })?;
    Ok(Response::json(200, &document))
}

fn enqueue(state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Deferred> {
    let job = state.app.about_its_shop(new_job(request)?);
    let (queue, now) = (state.app.queue.clone(), state.app.clock.now());
    Ok(Deferred::commit_new(
        move |tx| queue.enqueue(tx, now, job),
        |id| Some(*id),
        |id| Response::json(201, &json!({ "jobId": id.to_string() })),
    ))
}

fn new_job(request: &Request) -> Result<NewJob> {
    let mut fields = Fields::of(request)?;
    let job_type = fields.required("type", body::text);
    let payload = fields.required("payload", body::any);
    let max_attempts = fields.optional("maxAttempts", body::whole(1, ATTEMPTS_MAX));
    let scheduled_at = fields.optional("scheduledAt", |value| {
        let text = body::text(value)?;
        let at = DateTime::parse_from_rfc3339(&text).map(|at| at.with_timezone(&Utc));
        at.map_err(|_unreadable| "must be an RFC 3339 time, such as 2027-01-31T08:00:00Z".to_owned())
    });
    let dedupe_key = fields.optional("dedupeKey", body::text);
    fields.finish("the job cannot be enqueued")?;
    let (Some(job_type), Some(payload)) = (job_type, payload) else {
        return Err(Error::new(Kind::Invalid, "the job cannot be enqueued"));
    };
    let mut job = NewJob::new(job_type, payload);
    if let Some(attempts) = max_attempts {
        job = job.max_attempts(u32::try_from(attempts).unwrap_or(u32::MAX));
    }
    if let Some(at) = scheduled_at {
        job = job.scheduled_at(at);
    }
    if let Some(key) = dedupe_key {
        job = job.dedupe_key(key);
    }
    Ok(job)
}

fn retry(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    change(state, params, Queue::retry)
}

fn cancel(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    change(state, params, Queue::cancel)
}

/// Changes a job's status and answers with the job as it is then.
fn change(
    state: &Arc<AppState>,
    params: &Params,
    change: fn(&Queue, &Tx<'_>, DateTime<Utc>, JobId) -> Result<()>,
) -> Result<Deferred> {
    let id: JobId = params.parse("id", "job")?;
    let (queue, now) = (state.app.queue.clone(), state.app.clock.now());
    Ok(Deferred::commit(
        move |tx| {
            change(&queue, tx, now, id)?;
            queue::find(tx, id)?.ok_or_else(|| Error::not_found(format!("job {id}")))
        },
        |job| Response::json(200, &views::job(&job)),
    ))
}

fn run(_state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Deferred> {
    let limit = run_limit(request)?;
    Ok(Deferred::on_own_thread(move |state, record| {
        if let Some(record) = record {
            state.app.db.write(move |tx| record.write(tx))?;
        }
        let ran = state
            .app
            .run_due(limit)
            .map_err(|error| Error::new(Kind::Internal, "the jobs could not be run").with_source(error))?;
        Ok(Response::json(200, &json!({ "processed": ran.processed, "errors": ran.errors })))
    }))
}

fn run_limit(request: &Request) -> Result<usize> {
    let mut fields = Fields::of_optional(request)?;
    let limit = fields.optional("limit", body::whole(1, app::RUN_MAX as u64));
    fields.finish("the jobs cannot be run")?;
    Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(app::RUN_MAX))
}
