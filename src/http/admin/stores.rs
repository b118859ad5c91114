//! `/admin/api/stores`: install, list, look, and erase, by the same job as Shopify's `shop/redact`.

use super::{load_store, shop};
use crate::catalog::installation::{self, Wanted};
use crate::catalog::stores;
use crate::domain::ids::ShopDomain;
use crate::domain::length::Unit;
use crate::domain::money::Currency;
use crate::error::{Error, Kind, Result};
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
    Route::now(Method::Get, "/admin/api/stores", list),
    Route::write(Method::Post, "/admin/api/stores", "store.add", install),
    Route::now(Method::Get, "/admin/api/stores/{shop}", show),
    Route::write(Method::Delete, "/admin/api/stores/{shop}", "store.erase", erase),
];

fn list(state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Response> {
    let page = Query::of(request, &["limit", "cursor"])?.page::<ShopDomain>()?;
    let mut next = None;
    let found = state.app.db.read(|connection| -> Result<Vec<Value>> {
        let mut found = stores::list(connection, page.after.as_ref(), page.fetch())?;
        next = page.cut(&mut found, |store| store.shop.to_string());
        let document = |store| Ok(views::store(store, &views::Counted::load(connection, store)?));
        found.iter().map(document).collect()
    })?;
    Ok(Response::json(200, &json!({ "stores": found, "next": next })))
}

fn show(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Response> {
    let shop = shop(params)?;
    let document = state.app.db.read(|connection| -> Result<Value> {
        let store = load_store(connection, &shop)?;
        let counted = views::Counted::load(connection, &store)?;
        Ok(views::store_in_full(&store, &counted, &views::rows(connection, &store)?))
    })?;
    Ok(Response::json(200, &document))
}

fn install(state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Deferred> {
    let wanted = wanted(request)?;
    let (entropy, now, shop) = (state.app.entropy.clone(), state.app.clock.now(), wanted.shop.clone());
    let hash = crate::erasure::subject_hash(&state.app.hasher, &shop);
    Ok(Deferred::commit(
        move |tx| installation::install(tx, now, entropy.as_ref(), &wanted),
        move |done| Response::json(if done.again { 200 } else { 201 }, &views::installation(&shop, &done)),
    )
    .of_store(hash))
}

fn wanted(request: &Request) -> Result<Wanted> {
    let mut fields = Fields::of(request)?;
    let shop = fields.required("shop", body::parsed::<ShopDomain>);
    let currency = fields.optional("currency", body::parsed::<Currency>);
    let unit = fields.optional("unit", body::parsed::<Unit>);
    let revoke_keys = fields.optional("revokeKeys", body::flag).unwrap_or(false);
    fields.finish("the store cannot be added")?;
    let shop = shop.ok_or_else(|| Error::new(Kind::Invalid, "the store cannot be added"))?;
    Ok(Wanted { shop, currency, unit, revoke_keys })
}

fn erase(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let (shop, dry_run) = erasure_of(request, params)?;
    if dry_run {
        let document = state.app.db.read(|connection| -> Result<Value> {
            let rows = crate::erasure::shop::preview(connection, &load_store(connection, &shop)?)?;
            Ok(json!({ "shop": shop.as_str(), "rows": rows }))
        })?;
        return Ok(Deferred::answered(Response::json(200, &document)));
    }
    let (now, order) = (state.app.clock.now(), state.app.erasure_of(&shop));
    Ok(Deferred::commit_new(
        move |tx| {
            load_store(tx, &shop)?;
            order.write(tx, now)
        },
        |job| Some(*job),
        |id| Response::json(202, &json!({ "jobId": id.to_string() })),
    ))
}

/// Which store is to be erased, and whether only in thought. Deeds are confirmed by naming the shop a second time.
fn erasure_of(request: &Request, params: &Params) -> Result<(ShopDomain, bool)> {
    let shop = shop(params)?;
    if Query::of(request, &["dryRun"])?.flag("dryRun")? {
        return Ok((shop, true));
    }
    let mut fields = Fields::of_optional(request)?;
    let confirmed = fields.required("confirm", body::text);
    // In any case, as in the path.
    if confirmed.is_some_and(|confirmed| confirmed.parse() != Ok(shop.clone())) {
        fields.fault("confirm", "must repeat the shop's domain");
    }
    fields.finish("the erasure is not confirmed")?;
    Ok((shop, false))
}
