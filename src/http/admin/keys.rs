//! `/admin/api/stores/{shop}/keys`: keys of the storefront API. A key is shown once; for an overlap the second is issued before
//! the first is revoked.

use super::{load_store, shop};
use crate::catalog::keys::{self, NewKey};
use crate::catalog::stores;
use crate::domain::ids::{KeyId, ShopDomain};
use crate::error::{Error, Result};
use crate::http::body::{self, Fields};
use crate::http::deferred::Deferred;
use crate::http::query::Query;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::views::stores as views;
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/stores/{shop}/keys", list),
    Route::write(Method::Post, "/admin/api/stores/{shop}/keys", "key.issue", issue),
    Route::now(Method::Get, "/admin/api/stores/{shop}/keys/{id}", show),
    Route::write(Method::Delete, "/admin/api/stores/{shop}/keys/{id}", "key.revoke", revoke),
];

fn list(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Response> {
    let shop = shop(params)?;
    let page = Query::of(request, &["limit", "cursor"])?.page::<KeyId>()?;
    let mut found = state.app.db.read(|connection| -> Result<_> {
        Ok(keys::list(connection, load_store(connection, &shop)?.id, page.after, page.fetch())?)
    })?;
    let next = page.cut(&mut found, |key| key.id.to_string());
    let found: Vec<Value> = found.iter().map(views::key).collect();
    Ok(Response::json(200, &json!({ "keys": found, "next": next })))
}

fn show(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Response> {
    let (shop, id) = named(params)?;
    let key = state.app.db.read(|connection| -> Result<_> {
        let found = keys::find(connection, load_store(connection, &shop)?.id, id)?;
        found.ok_or_else(|| Error::not_found(format!("key {id}")))
    })?;
    Ok(Response::json(200, &views::key(&key)))
}

fn issue(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let (shop, new) = (shop(params)?, new_key(request)?);
    let (entropy, now) = (state.app.entropy.clone(), state.app.clock.now());
    Ok(Deferred::commit_new(
        move |tx| {
            let store = stores::load_live(tx, &shop)?;
            keys::issue_new(tx, now, entropy.as_ref(), store.id, &new)
        },
        |key| Some(key.id),
        |key| Response::json(201, &json!({ "id": key.id.to_string(), "apiKey": key.key })),
    ))
}

fn new_key(request: &Request) -> Result<NewKey> {
    let mut fields = Fields::of_optional(request)?;
    let label = fields.optional("label", body::text);
    let origins = fields.optional("origins", |value| {
        let texts =
            value.as_array().map(|origins| origins.iter().map(body::text).collect::<std::result::Result<_, _>>());
        texts.unwrap_or_else(|| Err("must be a list of origins".to_owned()))
    });
    fields.finish("the key cannot be issued")?;
    NewKey::new(label, origins)
}

fn revoke(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let (shop, id) = named(params)?;
    let now = state.app.clock.now();
    Ok(Deferred::commit(move |tx| keys::revoke(tx, now, load_store(tx, &shop)?.id, id), |()| Response::empty(204)))
}

fn named(params: &Params) -> Result<(ShopDomain, KeyId)> {
    Ok((shop(params)?, params.parse("id", "key")?))
}
