//! `/admin/api/gdpr`: privacy requests, their reports, and the proof that what was erased is gone.

use crate::backup::verify_with_copies;
use crate::db::Tx;
use crate::domain::ids::{JobId, RequestId, ShopDomain};
use crate::erasure::hold;
use crate::erasure::requests::{self, Filter};
use crate::error::{Error, Kind, Result};
use crate::http::deferred::Deferred;
use crate::http::query::Query;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::views::gdpr as views;
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/gdpr/requests", list),
    Route::now(Method::Get, "/admin/api/gdpr/requests/{id}", show),
    Route::now(Method::Get, "/admin/api/gdpr/requests/{id}/report", report),
    Route::write(Method::Post, "/admin/api/gdpr/requests/{id}/confirm", "request.confirm", confirm),
    Route::write(Method::Post, "/admin/api/gdpr/requests/{id}/reject", "request.reject", reject),
    Route::deferred(Method::Get, "/admin/api/gdpr/verify", verify),
];

fn list(state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Response> {
    let query = Query::of(request, &["shop", "limit", "cursor"])?;
    let page = query.page::<RequestId>()?;
    let shop: Option<ShopDomain> = query.parse("shop", "must look like name.myshopify.com")?;
    let filter = Filter { shop, before: page.after, limit: page.fetch() };
    let mut found = state.app.db.read(|connection| requests::list(connection, &filter))?;
    let next = page.cut(&mut found, |request| request.id.to_string());
    let found: Vec<Value> = found.iter().map(views::request).collect();
    Ok(Response::json(200, &json!({ "requests": found, "next": next })))
}

fn show(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Response> {
    let id: RequestId = params.parse("id", "privacy request")?;
    let request = state.app.db.read(|connection| requests::load(connection, id))?;
    Ok(Response::json(200, &views::request(&request)))
}

fn report(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Response> {
    let id: RequestId = params.parse("id", "privacy request")?;
    let report = state.app.db.read(|connection| requests::load_report(connection, id))?;
    Ok(Response::json(200, &report))
}

/// Has a held erasure carried out.
fn confirm(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let id: RequestId = params.parse("id", "privacy request")?;
    let (queue, hasher, now) = (state.app.queue.clone(), state.app.hasher.clone(), state.app.clock.now());
    let done = |job: JobId| Response::json(202, &json!({ "jobId": job.to_string() }));
    Ok(Deferred::commit(move |tx| hold::confirm(tx, now, &queue, &hasher, id), done))
}

/// Ends a held erasure.
fn reject(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let id: RequestId = params.parse("id", "privacy request")?;
    let now = state.app.clock.now();
    let change = move |tx: &Tx<'_>| {
        hold::reject(tx, now, id)?;
        requests::load(tx, id)
    };
    Ok(Deferred::commit(change, |request| Response::json(200, &views::request(&request))))
}

/// Reads every page of the files, in a child process.
fn verify(_state: &Arc<AppState>, _request: &Request, _params: &Params) -> Result<Deferred> {
    Ok(Deferred::on_own_thread(|state, _record| {
        let failed =
            |error: std::io::Error| Error::new(Kind::Internal, "the files could not be verified").with_source(error);
        let program = match &state.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(failed)?,
        };
        let verification = verify_with_copies(&state.app.db, &state.app.hasher, &program).map_err(failed)?;
        Ok(Response::json(200, &views::verification(&verification)))
    }))
}
