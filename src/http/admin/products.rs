//! `/admin/api/stores/{shop}/products`: which product has which matrix and which option groups, and what its line at Shopify is to
//! have.
//!
//! A product is named in a path as the storefront names it: digits, `gid%3A%2F%2F…` in one segment, or the id with its slashes.

use super::conditional::store_of;
use crate::catalog::assignments::{self, SettingsEdit, Title};
use crate::catalog::stores::Scope;
use crate::domain::ids::{MatrixId, OptionGroupId, ProductId, VariantId};
use crate::domain::name::Sku;
use crate::domain::weight::{self, GRAMS_MAX, Weight};
use crate::error::{Error, Kind, Result};
use crate::http::body::{self, Fields};
use crate::http::deferred::Deferred;
use crate::http::query::Query;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::views::catalog as views;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/stores/{shop}/products", list),
    Route::write(Method::Put, MATRIX, "product.assign", assign),
    Route::write(Method::Delete, MATRIX, "product.unassign", unassign),
    Route::write(Method::Put, GROUP, "product.offer", offer),
    Route::write(Method::Delete, GROUP, "product.withdraw", withdraw),
    Route::now(Method::Get, PRODUCT, show),
    Route::write(Method::Patch, PRODUCT, "product.update", set),
];

const PRODUCT: &str = "/admin/api/stores/{shop}/products/{*productId}";
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

fn assign(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let (scope, product, assignment) = (store_of(state, params)?.scope(), product_id(params)?, assignment(request)?);
    let now = state.app.clock.now();
    Ok(Deferred::commit(
        move |tx| {
            let Assignment { matrix, title, confirmed } = assignment;
            assignments::assign_matrix(tx, now, scope, &product, &title, matrix, confirmed)?;
            document(tx, scope, &product)
        },
        |document| Response::json(200, &document),
    ))
}

fn offer(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let (scope, product, group) = (store_of(state, params)?.scope(), product_id(params)?, group_id(params)?);
    let now = state.app.clock.now();
    Ok(Deferred::commit(
        move |tx| {
            assignments::add_group(tx, now, scope, &product, group)?;
            document(tx, scope, &product)
        },
        |document| Response::json(200, &document),
    ))
}

/// What the product's line at Shopify is to have. No version is asked for: the last edit wins.
fn set(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let (scope, product, edit) = (store_of(state, params)?.scope(), product_id(params)?, settings(request)?);
    let now = state.app.clock.now();
    Ok(Deferred::commit(
        move |tx| assignments::edit_settings(tx, now, scope, &product, edit),
        |product| Response::json(200, &views::product(&product)),
    ))
}

fn settings(request: &Request) -> Result<SettingsEdit> {
    let mut fields = Fields::of(request)?;
    let edit = SettingsEdit {
        title: fields.nullable("title", body::parsed::<Title>),
        sku: fields.nullable("sku", body::parsed::<Sku>),
        variant: fields.nullable("variantId", body::parsed::<VariantId>),
        requires_shipping: fields.nullable("requiresShipping", body::flag),
        taxable: fields.nullable("taxable", body::flag),
        weight: fields.nullable("weight", read_weight),
    };
    fields.finish("the product cannot be changed")?;
    Ok(edit)
}

/// Reads `{"grams"}` or `{"gramsPerSquareMetre", "baseGrams"?}`.
fn read_weight(value: &Value) -> std::result::Result<Weight, String> {
    const SHAPE: &str = "must be {\"grams\": …} or {\"gramsPerSquareMetre\": …, \"baseGrams\": …}";
    let grams = |value: &Value| {
        let number = body::whole(0, GRAMS_MAX.into())(value)?;
        weight::grams(number).map_err(|fault| fault.to_string())
    };
    let mut fields = Fields::of_value(value).ok_or(SHAPE)?;
    let (piece, by_area) = (fields.optional("grams", grams), fields.optional("gramsPerSquareMetre", grams));
    let base = fields.optional("baseGrams", grams);
    if let Some(fault) = fields.into_sentences(|_| SHAPE.to_owned()).into_iter().next() {
        return Err(fault);
    }
    match (piece, by_area, base) {
        (Some(grams), None, None) => Ok(Weight::Piece { grams }),
        (None, Some(grams_per_square_metre), base) => {
            Ok(Weight::Area { grams_per_square_metre, base_grams: base.unwrap_or(0) })
        }
        _ => Err(SHAPE.to_owned()),
    }
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
    // Another store's id is not found, and so is what cannot be an id.
    let matrix = matrix.parse().map_err(|_unreadable| Error::not_found("price matrix"))?;
    Ok(Assignment { matrix, title, confirmed })
}

fn unassign(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let (scope, product) = (store_of(state, params)?.scope(), product_id(params)?);
    let now = state.app.clock.now();
    Ok(Deferred::commit(move |tx| assignments::remove_matrix(tx, now, scope, &product), |()| Response::empty(204)))
}

fn withdraw(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let (scope, product, group) = (store_of(state, params)?.scope(), product_id(params)?, group_id(params)?);
    let now = state.app.clock.now();
    Ok(Deferred::commit(
        move |tx| assignments::remove_group(tx, now, scope, &product, group),
        |()| Response::empty(204),
    ))
}
