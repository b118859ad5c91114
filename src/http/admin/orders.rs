//! `/admin/api/stores/{shop}/draft-orders`: what shoppers have ordered, with the snapshot each price came from.

use super::shop;
use crate::catalog::stores;
use crate::domain::ids::DraftOrderId;
use crate::error::Result;
use crate::http::query::Query;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::orders::records;
use crate::views::orders as views;
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines.
pub(in crate::http) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/stores/{shop}/draft-orders", list),
    Route::now(Method::Get, "/admin/api/stores/{shop}/draft-orders/{id}", show),
];

fn list(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Response> {
    let shop = shop(params)?;
    let page = Query::of(request, &["limit", "cursor"])?.page::<i64>()?;
    let mut found = state.app.db.read(|connection| -> Result<_> {
        let store = stores::load(connection, &shop)?.id;
        Ok(records::list(connection, store, page.after, page.fetch())?)
    })?;
    let next = page.cut(&mut found, |record| record.number.to_string());
    let url = state.public_url();
    let found: Vec<Value> = found.iter().map(|record| views::draft_order_with_page(record, &url)).collect();
    Ok(Response::json(200, &json!({ "draftOrders": found, "next": next })))
}

fn show(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Response> {
    let (shop, id) = (shop(params)?, params.parse::<DraftOrderId>("id", "draft order")?);
    let record = state.app.db.read(|connection| records::load(connection, stores::load(connection, &shop)?.id, id))?;
    Ok(Response::json(200, &views::draft_order_with_page(&record, &state.public_url())))
}
