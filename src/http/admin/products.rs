//! `/admin/api/stores/{shop}/products`: which product has which matrix and which option groups.
//!
//! A product is named in a path as the storefront names it: digits, `gid%3A%2F%2F…` in one segment, or the id with its slashes. So the
//! table only sees where a product begins, and this file where it ends.

use super::commit;
use super::edits::{prepared, store_of};
use crate::catalog::assignments::{self, Title};
use crate::catalog::stores::Scope;
use crate::documents::catalog as documents;
use crate::domain::ids::{MatrixId, OptionGroupId, ProductId};
use crate::error::{Error, Kind, Result};
use crate::http::body::{self, Fields};
use crate::http::query::Query;
use crate::http::respond::Answer;
use crate::http::routes::{Params, Route, Site};
use crate::http::{Method, Request, Response};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines.
pub(in crate::http) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/stores/{shop}/products", list),
    Route::now(Method::Get, "/admin/api/stores/{shop}/products/{*rest}", show),
    Route::later(Method::Put, "/admin/api/stores/{shop}/products/{*rest}", put),
    Route::later(Method::Delete, "/admin/api/stores/{shop}/products/{*rest}", delete),
];

/// What a path below `products/` names.
enum Place {
    Product(ProductId),
    Matrix(ProductId),
    Group(ProductId, OptionGroupId),
}

impl Place {
    fn of(params: &Params) -> Result<Self> {
        let rest = params.get("rest");
        if let Some(product) = rest.strip_suffix("/matrix") {
            return Ok(Self::Matrix(product_id(product)?));
        }
        match rest.rsplit_once("/option-groups/") {
            Some((product, group)) => {
                let unknown = |_unreadable| Error::not_found(format!("option group {group:?}"));
                Ok(Self::Group(product_id(product)?, group.parse().map_err(unknown)?))
            }
            None => Ok(Self::Product(product_id(rest)?)),
        }
    }
}

fn product_id(text: &str) -> Result<ProductId> {
    // The table has decoded it once; an id has nothing that would need decoding twice.
    let read = if text.contains('%') { text.parse() } else { ProductId::from_path(text) };
    read.map_err(|fault| Error::new(Kind::Malformed, format!("the product in the path {fault}")))
}

fn list(site: &Arc<Site>, request: &Request, params: &Params) -> Result<Response> {
    let store = store_of(site, params)?;
    let page = Query::of(request, &["limit", "cursor"])?.page::<ProductId>()?;
    let mut found = site
        .app
        .db
        .read(|connection| assignments::list_products(connection, store.id, page.after.as_ref(), page.fetch()))?;
    let next = page.cut(&mut found, |product| product.id.to_string());
    let found: Vec<Value> = found.iter().map(documents::product).collect();
    Ok(Response::json(200, &json!({ "products": found, "next": next })))
}

fn show(site: &Arc<Site>, _request: &Request, params: &Params) -> Result<Response> {
    let scope = store_of(site, params)?.scope();
    match Place::of(params)? {
        Place::Product(product) => {
            let document = site.app.db.read(|connection| document(connection, scope, &product))?;
            Ok(Response::json(200, &document))
        }
        Place::Matrix(_) | Place::Group(..) => Err(only("PUT and DELETE")),
    }
}

fn only(methods: &str) -> Error {
    Error::new(Kind::NotFound, format!("path takes {methods} only"))
}

fn document(connection: &Connection, scope: Scope, product: &ProductId) -> Result<Value> {
    let found = assignments::find_product(connection, scope.store, product)?;
    Ok(documents::product(&found.ok_or_else(|| Error::not_found(format!("product {product}")))?))
}

fn put(site: &Arc<Site>, request: Request, params: Params, answer: Answer) {
    let read = || -> Result<_> {
        let (scope, place) = (store_of(site, &params)?.scope(), Place::of(&params)?);
        let assignment = if let Place::Matrix(_) = place { Some(assignment(&request)?) } else { None };
        Ok((scope, place, assignment))
    };
    let Some((answer, (scope, place, assignment))) = prepared(answer, read()) else { return };
    let now = site.app.clock.now();
    commit(
        site,
        answer,
        move |tx| match (place, assignment) {
            (Place::Matrix(product), Some(Assignment { matrix, title, confirmed })) => {
                assignments::assign_matrix(tx, now, scope, &product, &title, matrix, confirmed)?;
                document(tx, scope, &product)
            }
            (Place::Group(product, group), _) => {
                assignments::add_group(tx, now, scope, &product, group)?;
                document(tx, scope, &product)
            }
            (Place::Matrix(_) | Place::Product(_), _) => Err(only("GET")),
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

fn delete(site: &Arc<Site>, _request: Request, params: Params, answer: Answer) {
    let read = || -> Result<_> { Ok((store_of(site, &params)?.scope(), Place::of(&params)?)) };
    let Some((answer, (scope, place))) = prepared(answer, read()) else { return };
    let now = site.app.clock.now();
    commit(
        site,
        answer,
        move |tx| match place {
            Place::Matrix(product) => assignments::remove_matrix(tx, now, scope, &product),
            Place::Group(product, group) => assignments::remove_group(tx, now, scope, &product, group),
            Place::Product(_) => Err(only("GET")),
        },
        |()| Response::empty(204),
    );
}
