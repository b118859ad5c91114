//! `/admin/api/jobs/retry`, `/admin/api/jobs/cancel`, `/admin/api/jobs/types/{type}`: what is done to many jobs at once.

use crate::db::Tx;
use crate::error::Result;
use crate::http::body::{self, Fields};
use crate::http::deferred::{Deferred, write_record};
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::queue::{self, BulkChange, Selection, Status};
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::write(Method::Post, "/admin/api/jobs/retry", "jobs.retry", retry),
    Route::write(Method::Post, "/admin/api/jobs/cancel", "jobs.cancel", cancel),
    Route::now(Method::Get, "/admin/api/jobs/types", types),
    Route::write(Method::Post, "/admin/api/jobs/types/{type}/pause", "jobs.pause", pause),
    Route::write(Method::Post, "/admin/api/jobs/types/{type}/resume", "jobs.resume", resume),
];

fn retry(_state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Deferred> {
    change(request, BulkChange::Retry)
}

fn cancel(_state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Deferred> {
    change(request, BulkChange::Cancel)
}

fn change(request: &Request, change: BulkChange) -> Result<Deferred> {
    let (selection, dry_run) = wanted(request, change)?;
    let job_type = selection.job_type.clone();
    let deferred = Deferred::on_own_thread(move |state, record| {
        let (queue, db) = (&state.app.queue, &state.app.db);
        let (matched, changed) = if dry_run {
            (queue.list_for_bulk(db, change, &selection)?.len(), 0)
        } else {
            let recorded = move |tx: &Tx<'_>| write_record(record.as_ref(), tx);
            let outcome = queue.change_all(db, state.app.clock.now(), change, &selection, recorded)?;
            (outcome.matched, outcome.changed)
        };
        Ok(Response::json(200, &json!({ "matched": matched, "changed": changed })))
    });
    Ok(job_type.into_iter().fold(deferred, Deferred::concerning))
}

fn wanted(request: &Request, change: BulkChange) -> Result<(Selection, bool)> {
    let mut fields = Fields::of_optional(request)?;
    let status = fields.optional("status", body::parsed::<Status>);
    let job_type = fields.optional("type", body::text);
    let error = fields.optional("error", body::text);
    let dry_run = fields.optional("dryRun", body::flag);
    fields.finish("the jobs cannot be changed")?;
    let status = status.unwrap_or_else(|| change.default_status());
    Ok((Selection { status, job_type, error }, dry_run.unwrap_or(false)))
}

fn types(state: &Arc<AppState>, _request: &Request, _params: &Params) -> Result<Response> {
    let paused = state.app.db.read(queue::list_pauses)?;
    let paused = paused.iter().filter(|pause| !pause.is_ending);
    let paused: Vec<Value> = paused
        .map(|pause| json!({ "type": pause.job_type, "pausedAt": crate::clock::instant(pause.paused_at) }))
        .collect();
    Ok(Response::json(200, &json!({ "paused": paused })))
}

fn pause(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let (queue, now, job_type) = (state.app.queue.clone(), state.app.clock.now(), params.get("type").to_owned());
    Ok(Deferred::commit(move |tx| queue.pause(tx, now, &job_type), |()| Response::empty(204)))
}

fn resume(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let (queue, job_type) = (state.app.queue.clone(), params.get("type").to_owned());
    Ok(Deferred::commit(move |tx| queue.resume(tx, &job_type), |()| Response::empty(204)))
}
