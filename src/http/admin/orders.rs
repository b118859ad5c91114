//! `/admin/api/stores/{shop}/draft-orders`: what shoppers have ordered, with the snapshot each price came from.

use super::conditional::store_of;
use super::shop;
use super::store_settings::{Bounded, EXPORT_BYTES_MAX};
use crate::catalog::stores;
use crate::domain::ids::{DraftOrderId, StoreId};
use crate::error::{Error, Kind, Result};
use crate::http::deferred::Deferred;
use crate::http::query::Query;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::orders::records::{self, Selected, State};
use crate::views::orders as views;
use crate::views::{NotATime, Time};
use crate::workshop::{self, Format, WriteError};
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/stores/{shop}/draft-orders", list),
    Route::deferred(Method::Get, "/admin/api/stores/{shop}/draft-orders.csv", export),
    Route::now(Method::Get, "/admin/api/stores/{shop}/draft-orders/{id}", show),
    Route::write(Method::Post, "/admin/api/stores/{shop}/draft-orders/{id}/cancel", "order.cancel", cancel),
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

/// What the workshop needs, for spreadsheets.
fn export(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let (store, selected) = (store_of(state, params)?.id, selected(request)?);
    Ok(Deferred::on_own_thread(move |state, _record| workshop_file(state, store, selected)))
}

/// The workshop's file as an answer. May take long: for a thread of its own.
///
/// # Errors
/// `TooLarge` where it has more than [`EXPORT_BYTES_MAX`], and when the database fails.
pub(in crate::http) fn workshop_file(state: &AppState, store: StoreId, selected: Selected) -> Result<Response> {
    let mut rows = Bounded::new(EXPORT_BYTES_MAX);
    match workshop::write(&state.app.db, store, selected, &state.public_url(), Format::Csv, &mut rows) {
        Ok(()) => Ok(Response::new(200, "text/csv; charset=utf-8", rows.into_bytes())
            .with_header("Content-Disposition", "attachment; filename=\"orders.csv\"")),
        Err(WriteError::Read(error)) => Err(error),
        Err(WriteError::Write(_full)) => Err(Error::new(
            Kind::TooLarge,
            format!(
                "the rows have more than {EXPORT_BYTES_MAX} bytes: ask for fewer days, or use quotegrid orders export"
            ),
        )),
    }
}

fn selected(request: &Request) -> Result<Selected> {
    let query = Query::of(request, &["since", "until", "state"])?;
    let time = |name| -> Result<_> { Ok(query.parse::<Time>(name, &NotATime.to_string())?.map(|Time(at)| at)) };
    let state = query.read::<State>("state")?;
    Ok(Selected { since: time("since")?, until: time("until")?, state, number: None })
}

fn show(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Response> {
    let (shop, id) = (shop(params)?, params.parse::<DraftOrderId>("id", "draft order")?);
    let record = state.app.db.read(|connection| records::load(connection, stores::load(connection, &shop)?.id, id))?;
    Ok(Response::json(200, &views::draft_order_with_page(&record, &state.public_url())))
}

/// Cancels an order; a job deletes its draft at Shopify.
fn cancel(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let (shop, id) = (shop(params)?, params.parse::<DraftOrderId>("id", "draft order")?);
    let (handover, queue) = (state.app.handover.clone(), state.app.queue.clone());
    let (now, url) = (state.app.clock.now(), state.public_url());
    Ok(Deferred::commit(
        move |tx| handover.cancel(tx, now, &queue, &shop, id),
        move |record| Response::json(200, &views::draft_order_with_page(&record, &url)),
    ))
}
