//! `/admin/api/stores/{shop}/matrices`: price matrices and their price lists.

mod adjust;
mod grid;
mod price_lists;

pub(super) use adjust::ROUTES as ADJUST_ROUTES;
pub(super) use price_lists::ROUTES as PRICE_LIST_ROUTES;

use super::conditional::{confirmed, etag, if_match, store_of};
use crate::catalog::DELETION_STEP;
use crate::catalog::assignments;
use crate::catalog::matrices::{self, FIRST_VERSION};
use crate::catalog::stores;
use crate::db::Tx;
use crate::domain::ids::{MatrixId, StoreId};
use crate::domain::name::Name;
use crate::error::Result;
use crate::http::deferred::Deferred;
use crate::http::query::Query;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::views::catalog as views;
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines. Those of price lists go before: `import` is no id.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/stores/{shop}/matrices", list),
    Route::write(Method::Post, "/admin/api/stores/{shop}/matrices", "matrix.create", create),
    Route::now(Method::Get, "/admin/api/stores/{shop}/matrices/{id}", show),
    Route::write(Method::Put, "/admin/api/stores/{shop}/matrices/{id}", "matrix.update", replace),
    Route::write(Method::Patch, "/admin/api/stores/{shop}/matrices/{id}", "matrix.update", patch),
    Route::write(Method::Delete, "/admin/api/stores/{shop}/matrices/{id}", "matrix.delete", delete),
    Route::write(Method::Post, "/admin/api/stores/{shop}/matrices/{id}/duplicate", "matrix.duplicate", duplicate),
];

fn id(params: &Params) -> Result<MatrixId> {
    params.parse("id", "price matrix")
}

fn list(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Response> {
    let store = store_of(state, params)?;
    let page = Query::of(request, &["limit", "cursor"])?.page::<MatrixId>()?;
    let mut found = state.app.db.read(|connection| matrices::list(connection, store.id, page.after, page.fetch()))?;
    let next = page.cut(&mut found, |matrix| matrix.id.to_string());
    let found: Vec<Value> = found.iter().map(views::matrix_summary).collect();
    Ok(Response::json(200, &json!({ "matrices": found, "next": next })))
}

fn show(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Response> {
    let (shop, id) = (super::shop(params)?, id(params)?);
    // In one snapshot: a grid must not be labelled with a unit that it is not in.
    let (scope, matrix) = state.app.db.read(|connection| -> Result<_> {
        let scope = stores::load(connection, &shop)?.scope();
        Ok((scope, matrices::load(connection, scope.store, id)?))
    })?;
    Ok(Response::json(200, &views::matrix(&matrix, scope)).with_header("ETag", etag(matrix.version)))
}

fn create(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let scope = store_of(state, params)?.scope();
    state.app.disk.admit()?;
    let another = SameName::of(&Query::of(request, &[SameName::PARAMETER])?)?;
    let (name, matrix) = grid::new_matrix(request, scope)?;
    let now = state.app.clock.now();
    let id = MatrixId::new(now, state.app.entropy.array());
    Ok(Deferred::commit(
        move |tx| {
            let same = another.look(tx, scope.store, &name)?;
            matrices::insert(tx, now, id, scope, &name, &matrix)?;
            Ok(same)
        },
        move |same: Vec<MatrixId>| made(json!({ "id": id.to_string(), "version": FIRST_VERSION }), &same),
    )
    .concerning(id))
}

/// The answer to a new matrix: `body`, and the others of its name if there are any.
fn made(mut body: Value, same_name: &[MatrixId]) -> Response {
    if !same_name.is_empty() {
        body["sameName"] = views::ids(same_name);
    }
    Response::json(201, &body).with_header("ETag", etag(FIRST_VERSION))
}

/// What becomes of a new matrix under a name that one of the store has. Clients that do not say get another one, as they always
/// have, and the answer lists those that have the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SameName {
    is_refused: bool,
}

impl SameName {
    const PARAMETER: &'static str = "new";

    fn of(query: &Query) -> Result<Self> {
        let another = query.parse::<bool>(Self::PARAMETER, "must be true or false")?;
        Ok(Self { is_refused: another == Some(false) })
    }

    /// The matrices of that name.
    fn look(self, tx: &Tx<'_>, store: StoreId, name: &Name) -> Result<Vec<MatrixId>> {
        if self.is_refused {
            let remedy = "import into that one, or say new=true for another one of that name";
            matrices::refuse_name_taken(tx, store, name, remedy)?;
        }
        Ok(matrices::find_by_name(tx, store, name.as_str())?)
    }
}

fn created(id: MatrixId) -> Response {
    changed(201, id, FIRST_VERSION)
}

/// The answer to a change: the id, and the version to name in the next one.
fn changed(status: u16, id: MatrixId, version: i64) -> Response {
    let body = json!({ "id": id.to_string(), "version": version });
    Response::json(status, &body).with_header("ETag", etag(version))
}

fn replace(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    edit(state, request, params, grid::replacement)
}

fn patch(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    edit(state, request, params, grid::patch)
}

fn edit(
    state: &Arc<AppState>,
    request: &Request,
    params: &Params,
    read: fn(&Request, stores::Scope) -> Result<matrices::Edit>,
) -> Result<Deferred> {
    let (id, scope) = (id(params)?, store_of(state, params)?.scope());
    let (expected, edit) = (if_match(request)?, read(request, scope)?);
    let now = state.app.clock.now();
    Ok(Deferred::commit(
        move |tx| matrices::edit(tx, now, scope, id, expected, &edit),
        move |version| changed(200, id, version),
    ))
}

fn delete(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let (id, scope) = (id(params)?, store_of(state, params)?.scope());
    let (expected, confirmed) = (if_match(request)?, confirmed(request)?);
    let now = state.app.clock.now();
    Ok(Deferred::delete_in_steps(expected, Response::empty(204), move |tx, expected| {
        if !confirmed {
            assignments::refuse_matrix_in_use(tx, scope.store, id, expected)?;
        }
        matrices::delete(tx, now, scope, id, expected, DELETION_STEP)
    }))
}

fn duplicate(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let (original, scope) = (id(params)?, store_of(state, params)?.scope());
    let now = state.app.clock.now();
    let id = MatrixId::new(now, state.app.entropy.array());
    Ok(Deferred::commit(move |tx| matrices::duplicate(tx, now, id, scope, original), move |()| created(id))
        .concerning(id))
}
