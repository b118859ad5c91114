//! `/admin/api/stores/{shop}/products`: which product has which matrix and which option groups.
//!
//! A product is named in a path as the storefront names it: digits, `gid%3A%2F%2F…` in one segment, or the id with its slashes.

use super::commit;
use super::conditional::{prepared, store_of};
use crate::catalog::assignments::{self, Title};
use crate::catalog::stores::Scope;
use crate::domain::ids::{MatrixId, OptionGroupId, ProductId};
use crate::error::{Error, Kind, Result};
use crate::http::body::{self, Fields};
use crate::http::query::Query;
use crate::http::respond::Responder;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::views::catalog as views;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines.
pub(in crate::http) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/stores/{shop}/products", list),
    Route::later(Method::Put, MATRIX, assign),
    Route::later(Method::Delete, MATRIX, unassign),
    Route::later(Method::Put, GROUP, offer),
    Route::later(Method::Delete, GROUP, withdraw),
    Route::now(Method::Get, "/admin/api/stores/{shop}/products/{*productId}", show),
];

const MATRIX: &str = "/admin/api/stores/{shop}/products/{*productId}/matrix";
const GROUP: &str = "/admin/api/stores/{shop}/products/{*productId}/option-groups/{groupId}";

fn product_id(params: &Params) -> Result<ProductId> {
    let text = params.get("productId");
    // The table has decoded it once; an id has nothing that would need decoding twice.
    let read = if text.contains('%') { text.parse() } else { ProductId::from_path(text) };
    read.map_err(|fault| Error::new(Kind::Malformed, format!("the product in the path {fault}")))
}

fn group_id(params: &Params) -> Result<OptionGroupId> {
    params.parse("groupId", "option group")
}

fn list(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Response> {
    let store = store_of(state, params)?;
    let page = Query::of(request, &["limit", "cursor"])?.page::<ProductId>()?;
    let mut found = state
        .app
        .db
        .read(|connection| assignments::list_products(connection, store.id, page.after.as_ref(), page.fetch()))?;
    let next = page.cut(&mut found, |product| product.id.to_string());
    let found: Vec<Value> = found.iter().map(views::product).collect();
    Ok(Response::json(200, &json!({ "products": found, "next": next })))
}

fn show(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Response> {
    let (scope, product) = (store_of(state, params)?.scope(), product_id(params)?);
    let document = state.app.db.read(|connection| document(connection, scope, &product))?;
    Ok(Response::json(200, &document))
}

fn document(connection: &Connection, scope: Scope, product: &ProductId) -> Result<Value> {
    let found = assignments::find_product(connection, scope.store, product)?;
    Ok(views::product(&found.ok_or_else(|| Error::not_found(format!("product {product}")))?))
}

fn assign(state: &Arc<AppState>, request: Request, params: Params, responder: Responder) {
    let read = || -> Result<_> { Ok((store_of(state, &params)?.scope(), product_id(&params)?, assignment(&request)?)) };
    let Some((responder, (scope, product, assignment))) = prepared(responder, read()) else { return };
    let now = state.app.clock.now();
    commit(
        state,
        responder,
        move |tx| {
            let Assignment { matrix, title, confirmed } = assignment;
            assignments::assign_matrix(tx, now, scope, &product, &title, matrix, confirmed)?;
            document(tx, scope, &product)
        },
        |document| Response::json(200, &document),
    );
}

fn offer(state: &Arc<AppState>, _request: Request, params: Params, responder: Responder) {
    let read = || -> Result<_> { Ok((store_of(state, &params)?.scope(), product_id(&params)?, group_id(&params)?)) };
    let Some((responder, (scope, product, group))) = prepared(responder, read()) else { return };
    let now = state.app.clock.now();
    commit(
        state,
        responder,
        move |tx| {
            assignments::add_group(tx, now, scope, &product, group)?;
            document(tx, scope, &product)
        },
        |document| Response::json(200, &document),
    );
}

struct Assignment {
    matrix: MatrixId,
    title: Title,
    confirmed: bool,
}

fn assignment(request: &Request) -> Result<Assignment> {
    const CANNOT: &str = "the matrix cannot be assigned";
    let mut fields = Fields::of(request)?;
    let matrix = fields.required("matrixId", body::text);
    let title = fields.required("title", body::parsed::<Title>);
    let confirmed = fields.optional("confirm", body::flag).unwrap_or(false);
    fields.finish(CANNOT)?;
    let (Some(matrix), Some(title)) = (matrix, title) else { return Err(Error::new(Kind::Invalid, CANNOT)) };
    // Another store's id is not found, and so is what can be nobody's.
    let matrix = matrix.parse().map_err(|_unreadable| Error::not_found("price matrix"))?;
    Ok(Assignment { matrix, title, confirmed })
}

fn unassign(state: &Arc<AppState>, _request: Request, params: Params, responder: Responder) {
    let read = || -> Result<_> { Ok((store_of(state, &params)?.scope(), product_id(&params)?)) };
    let Some((responder, (scope, product))) = prepared(responder, read()) else { return };
    let now = state.app.clock.now();
    commit(state, responder, move |tx| assignments::remove_matrix(tx, now, scope, &product), |()| Response::empty(204));
}

fn withdraw(state: &Arc<AppState>, _request: Request, params: Params, responder: Responder) {
    let read = || -> Result<_> { Ok((store_of(state, &params)?.scope(), product_id(&params)?, group_id(&params)?)) };
    let Some((responder, (scope, product, group))) = prepared(responder, read()) else { return };
    let now = state.app.clock.now();
    commit(
        state,
        responder,
        move |tx| assignments::remove_group(tx, now, scope, &product, group),
        |()| Response::empty(204),
    );
}
