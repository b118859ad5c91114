//! Price lists: CSV in, looked at or used, and CSV out.

use super::super::commit;
use super::super::edits::{etag, if_match, prepared, store_of};
use super::{changed, created, id};
use crate::catalog::matrices::{self, Edit};
use crate::catalog::stores::{self, Scope};
use crate::documents::catalog as documents;
use crate::domain::ids::MatrixId;
use crate::domain::matrix_csv::{self, Import, Layout};
use crate::domain::name::Name;
use crate::error::{Error, Kind, Result};
use crate::http::query::Query;
use crate::http::respond::Answer;
use crate::http::routes::{Params, Route, Site};
use crate::http::{Method, Request, Response};
use std::sync::Arc;

/// The table's lines.
pub(in crate::http) const ROUTES: &[Route] = &[
    Route::later(Method::Post, "/admin/api/stores/{shop}/matrices/import", import_new),
    Route::later(Method::Put, "/admin/api/stores/{shop}/matrices/{id}/import", import_into),
    Route::now(Method::Get, "/admin/api/stores/{shop}/matrices/{id}/export", export),
];

/// How a list is to be read, and what for.
struct Wanted {
    scope: Scope,
    name: Option<Name>,
    preview: bool,
    import: Import,
}

fn wanted(site: &Site, request: &Request, params: &Params) -> Result<Wanted> {
    let scope = store_of(site, params)?.scope();
    let query = Query::of(request, &["name", "preview", "layout", "skipBad"])?;
    let name = match query.get("name").map(str::parse::<Name>).transpose() {
        Ok(name) => name,
        Err(fault) => {
            return Err(
                Error::new(Kind::Invalid, "the query's parameters are wrong").with_fault("name", fault.to_string())
            );
        }
    };
    let layout = match query.get("layout") {
        Some("auto") => None,
        _ => query.parse::<Layout>("layout", "must be auto, long or grid")?,
    };
    let (preview, skip_bad) = (query.flag("preview")?, query.flag("skipBad")?);
    let options = matrices::import_options(scope, layout, skip_bad);
    Ok(Wanted { scope, name, preview, import: matrix_csv::import(&request.body, &options) })
}

fn import_new(site: &Arc<Site>, request: Request, params: Params, answer: Answer) {
    let read = || -> Result<_> {
        let Wanted { scope, name, preview, import } = wanted(site, &request, &params)?;
        if preview {
            return Ok(Err(Response::json(200, &documents::import(&import, None, scope))));
        }
        site.app.disk.admit()?;
        let name = name.ok_or_else(|| {
            Error::new(Kind::Invalid, "the price matrix needs a name").with_fault("name", "is required")
        })?;
        Ok(Ok((scope, name, matrices::accept(import)?)))
    };
    let (answer, (scope, name, matrix)) = match prepared(answer, read()) {
        Some((answer, Ok(new))) => (answer, new),
        Some((answer, Err(preview))) => return answer.send(Ok(preview)),
        None => return,
    };
    let now = site.app.clock.now();
    let id = MatrixId::new(now, site.app.entropy.array());
    commit(site, answer, move |tx| matrices::insert(tx, now, id, scope, &name, &matrix), move |()| created(id));
}

fn import_into(site: &Arc<Site>, request: Request, params: Params, answer: Answer) {
    let read = || -> Result<_> {
        let (id, expected) = (id(&params)?, if_match(&request)?);
        let Wanted { scope, name, preview, import } = wanted(site, &request, &params)?;
        if preview {
            let current = site.app.db.read(|connection| matrices::load(connection, scope.store, id))?;
            let response = Response::json(200, &documents::import(&import, Some(&current.matrix), scope));
            return Ok(Err(response.with_header("ETag", etag(current.version))));
        }
        site.app.disk.admit()?;
        // What does not exist is told before what is wrong with the list for it.
        site.app.db.read(|connection| matrices::load(connection, scope.store, id))?;
        Ok(Ok((id, expected, scope, Edit { name, grid: Some(matrices::accept(import)?), ..Edit::default() })))
    };
    let (answer, (id, expected, scope, edit)) = match prepared(answer, read()) {
        Some((answer, Ok(edit))) => (answer, edit),
        Some((answer, Err(preview))) => return answer.send(Ok(preview)),
        None => return,
    };
    let now = site.app.clock.now();
    commit(
        site,
        answer,
        move |tx| matrices::edit(tx, now, scope, id, expected, &edit),
        move |version| changed(200, id, version),
    );
}

fn export(site: &Arc<Site>, request: &Request, params: &Params) -> Result<Response> {
    let (shop, id) = (super::super::shop(params)?, id(params)?);
    let layout = Query::of(request, &["layout"])?.parse("layout", "must be long or grid")?.unwrap_or(Layout::Long);
    let (currency, stored) = site.app.db.read(|connection| -> Result<_> {
        let scope = stores::load(connection, &shop)?.scope();
        Ok((scope.currency, matrices::load(connection, scope.store, id)?))
    })?;
    let text = matrix_csv::export(&stored.matrix, currency, layout);
    Ok(Response::new(200, "text/csv; charset=utf-8", text)
        .with_header("Content-Disposition", format!("attachment; filename=\"{id}.csv\""))
        .with_header("ETag", etag(stored.version)))
}
