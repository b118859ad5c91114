//! Price lists: CSV in, looked at or used, and CSV out.

use super::super::conditional::{etag, if_match, store_of};
use super::{SameName, id, made};
use crate::catalog::matrices::{self, Edit, FIRST_VERSION};
use crate::catalog::stores::{self, Scope};
use crate::domain::ids::MatrixId;
use crate::domain::matrix_csv::{self, Import, Layout, Zero};
use crate::domain::name::Name;
use crate::error::{Error, Kind, Result};
use crate::http::deferred::Deferred;
use crate::http::query::Query;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::views::catalog as views;
use serde_json::json;
use std::sync::Arc;

/// The table's lines.
pub(in crate::http::admin) const ROUTES: &[Route] = &[
    Route::write(Method::Post, "/admin/api/stores/{shop}/matrices/import", "matrix.import", import_new),
    Route::write(Method::Put, "/admin/api/stores/{shop}/matrices/{id}/import", "matrix.import", import_into),
    Route::now(Method::Get, "/admin/api/stores/{shop}/matrices/{id}/export", export),
];

/// How a list is to be read, and what for.
struct PriceListRequest {
    scope: Scope,
    name: Option<Name>,
    preview: bool,
    same_name: SameName,
    import: Import,
}

fn price_list_request(state: &AppState, request: &Request, params: &Params) -> Result<PriceListRequest> {
    let scope = store_of(state, params)?.scope();
    let query = Query::of(request, &["name", SameName::PARAMETER, "preview", "layout", "zero", "skipBad"])?;
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
    let zero = query.parse::<Zero>("zero", "must be free or not-offered")?;
    let (preview, skip_bad) = (query.flag("preview")?, query.flag("skipBad")?);
    let options = matrices::import_options(scope, layout, zero, skip_bad);
    let same_name = SameName::of(&query)?;
    Ok(PriceListRequest { scope, name, preview, same_name, import: matrix_csv::import(&request.body, &options) })
}

fn import_new(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let PriceListRequest { scope, name, preview, same_name, import } = price_list_request(state, request, params)?;
    if preview {
        let mut document = views::import(&import, None, scope);
        if let Some(name) = name {
            let same =
                state.app.db.read(|connection| matrices::find_by_name(connection, scope.store, name.as_str()))?;
            document["sameName"] = views::ids(&same);
        }
        return Ok(Deferred::answered(Response::json(200, &document)));
    }
    state.app.disk.admit()?;
    let name = name
        .ok_or_else(|| Error::new(Kind::Invalid, "the price matrix needs a name").with_fault("name", "is required"))?;
    let matrix = matrices::accept(import)?;
    let now = state.app.clock.now();
    let (id, zeros) = (MatrixId::new(now, state.app.entropy.array()), views::zero_prices(&matrix));
    Ok(Deferred::commit(
        move |tx| {
            let same = same_name.look(tx, scope.store, &name)?;
            matrices::insert(tx, now, id, scope, &name, &matrix)?;
            Ok(same)
        },
        move |same: Vec<MatrixId>| {
            made(json!({ "id": id.to_string(), "version": FIRST_VERSION, "zeroPrices": zeros }), &same)
        },
    )
    .concerning(id))
}

fn import_into(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let (id, expected) = (id(params)?, if_match(request)?);
    let PriceListRequest { scope, name, preview, import, .. } = price_list_request(state, request, params)?;
    if preview {
        let current = state.app.db.read(|connection| matrices::load(connection, scope.store, id))?;
        let response = Response::json(200, &views::import(&import, Some(&current.matrix), scope));
        return Ok(Deferred::answered(response.with_header("ETag", etag(current.version))));
    }
    state.app.disk.admit()?;
    // What does not exist is reported before what is wrong with the list for it.
    state.app.db.read(|connection| matrices::load(connection, scope.store, id))?;
    let grid = matrices::accept(import)?;
    let zeros = views::zero_prices(&grid);
    let edit = Edit { name, grid: Some(grid), ..Edit::default() };
    let now = state.app.clock.now();
    Ok(Deferred::commit(
        move |tx| matrices::edit(tx, now, scope, id, expected, &edit),
        move |version| {
            let body = json!({ "id": id.to_string(), "version": version, "zeroPrices": zeros });
            Response::json(200, &body).with_header("ETag", etag(version))
        },
    ))
}

fn export(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Response> {
    let (shop, id) = (super::super::shop(params)?, id(params)?);
    let layout = Query::of(request, &["layout"])?.parse("layout", "must be long or grid")?.unwrap_or(Layout::Long);
    let (currency, stored) = state.app.db.read(|connection| -> Result<_> {
        let scope = stores::load(connection, &shop)?.scope();
        Ok((scope.currency, matrices::load(connection, scope.store, id)?))
    })?;
    let text = matrix_csv::export(&stored.matrix, currency, layout);
    Ok(Response::new(200, "text/csv; charset=utf-8", text)
        .with_header("Content-Disposition", format!("attachment; filename=\"{id}.csv\""))
        .with_header("ETag", etag(stored.version)))
}
