//! `/admin/api/gdpr`: the duties, their reports, and the proof that what was erased is gone.

use super::{commit, take_time};
use crate::backup::verify_with_copies;
use crate::db::Tx;
use crate::documents::gdpr as documents;
use crate::domain::ids::{JobId, RequestId, ShopDomain};
use crate::erasure::hold;
use crate::erasure::requests::{self, Filter};
use crate::error::{Error, Kind, Result};
use crate::http::query::Query;
use crate::http::respond::Answer;
use crate::http::routes::{Params, Route, Site};
use crate::http::{Method, Request, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines.
pub(in crate::http) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/gdpr/requests", list),
    Route::now(Method::Get, "/admin/api/gdpr/requests/{id}", show),
    Route::now(Method::Get, "/admin/api/gdpr/requests/{id}/report", report),
    Route::later(Method::Post, "/admin/api/gdpr/requests/{id}/confirm", confirm),
    Route::later(Method::Post, "/admin/api/gdpr/requests/{id}/reject", reject),
    Route::later(Method::Get, "/admin/api/gdpr/verify", verify),
];

fn list(site: &Arc<Site>, request: &Request, _params: &Params) -> Result<Response> {
    let query = Query::of(request, &["shop", "limit", "cursor"])?;
    let page = query.page::<RequestId>()?;
    let shop: Option<ShopDomain> = query.parse("shop", "must look like name.myshopify.com")?;
    let filter = Filter { shop, before: page.after, limit: page.fetch() };
    let mut found = site.app.db.read(|connection| requests::list(connection, &filter))?;
    let next = page.cut(&mut found, |request| request.id.to_string());
    let found: Vec<Value> = found.iter().map(documents::request).collect();
    Ok(Response::json(200, &json!({ "requests": found, "next": next })))
}

fn show(site: &Arc<Site>, _request: &Request, params: &Params) -> Result<Response> {
    let id: RequestId = params.parse("id", "privacy request")?;
    let request = site.app.db.read(|connection| requests::load(connection, id))?;
    Ok(Response::json(200, &documents::request(&request)))
}

fn report(site: &Arc<Site>, _request: &Request, params: &Params) -> Result<Response> {
    let id: RequestId = params.parse("id", "privacy request")?;
    let report = site.app.db.read(|connection| requests::load_report(connection, id))?;
    Ok(Response::json(200, &report))
}

/// Has a held erasure carried out.
fn confirm(site: &Arc<Site>, _request: Request, params: Params, answer: Answer) {
    let id: RequestId = match params.parse("id", "privacy request") {
        Ok(id) => id,
        Err(error) => return answer.send(Err(error)),
    };
    let (queue, hasher, now) = (site.app.queue.clone(), site.app.hasher.clone(), site.app.clock.now());
    let done = |job: JobId| Response::json(202, &json!({ "jobId": job.to_string() }));
    commit(site, answer, move |tx| hold::confirm(tx, now, &queue, &hasher, id), done);
}

/// Ends a held erasure.
fn reject(site: &Arc<Site>, _request: Request, params: Params, answer: Answer) {
    let id: RequestId = match params.parse("id", "privacy request") {
        Ok(id) => id,
        Err(error) => return answer.send(Err(error)),
    };
    let now = site.app.clock.now();
    let change = move |tx: &Tx<'_>| {
        hold::reject(tx, now, id)?;
        requests::load(tx, id)
    };
    commit(site, answer, change, |request| Response::json(200, &documents::request(&request)));
}

/// Reads every page of the files, in a child process.
fn verify(site: &Arc<Site>, _request: Request, _params: Params, answer: Answer) {
    take_time(site, answer, |site| {
        let failed =
            |error: std::io::Error| Error::new(Kind::Internal, "the files could not be verified").with_source(error);
        let program = match &site.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(failed)?,
        };
        let verification = verify_with_copies(&site.app.db, &site.app.hasher, &program).map_err(failed)?;
        Ok(Response::json(200, &documents::verification(&verification)))
    });
}
