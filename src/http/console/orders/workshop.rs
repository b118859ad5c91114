//! What the workshop needs of the orders that match: an item a line, to print; and as the CSV of `crate::workshop`.

use super::view::OrderView;
use super::{Filter, load};
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::admin;
use crate::http::console::Visit;
use crate::http::console::form::Form;
use crate::http::console::layout::{Frame, page, with_headers};
use crate::http::console::shops::area::{ShopArea, Tab, frame_of};
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::orders::records::{self, Record, Selected, State};
use crate::orders::search::Search;
use crate::views::orders as documents;
use askama::Template;
use std::sync::Arc;

/// Orders of one sheet: more are another day.
const ORDERS_MAX: usize = 500;

#[derive(Template)]
#[template(path = "orders/workshop.html", config = "src/http/console/askama.toml")]
struct WorkshopPage {
    frame: Frame,
    area: ShopArea,
    orders: Vec<OrderView>,
    filter: Filter,
    query: String,
    is_cut: bool,
    orders_max: usize,
}

/// The orders that the address asks for, and whether there are more than one sheet holds.
fn wanted(state: &AppState, visit: &Visit) -> Result<(Filter, Vec<OrderView>, bool)> {
    let query = Form::of_query(&visit.request)?;
    let (filter, store) = (Filter::of(&query), visit.store()?.id);
    let invalid = |fault: String| Error::new(Kind::Invalid, fault);
    let mut found = match filter.number().map_err(invalid)? {
        Some(number) => {
            let found = state.app.db.read(|connection| records::find_by_number(connection, store, number))?;
            vec![found.ok_or_else(|| Error::not_found(format!("order #D{number}")))?]
        }
        None => {
            let search: Search = filter.search(ORDERS_MAX + 1).map_err(invalid)?;
            load(state, store, &search)?
        }
    };
    let is_cut = found.len() > ORDERS_MAX;
    found.truncate(ORDERS_MAX);
    // A cancelled order is not made.
    let is_made = |order: &&Record| order.status != State::Cancelled || filter.state == State::Cancelled.as_str();
    // The workshop begins with the oldest.
    let orders = found.iter().rev().filter(is_made);
    let orders = orders.map(|record| OrderView::of(&documents::draft_order(record))).collect();
    Ok((filter, orders, is_cut))
}

pub(super) fn show(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let (filter, orders, is_cut) = wanted(state, visit)?;
    let query = if filter.number.is_empty() { filter.query() } else { visit.request.query.clone() };
    let (frame, area) = (frame_of(visit, &[]), ShopArea::of(visit, Tab::Orders)?);
    page(200, &WorkshopPage { frame, area, orders, filter, query, is_cut, orders_max: ORDERS_MAX })
}

/// The file that the admin API and `quotegrid orders export` give: with the cancelled orders too, each with its state.
pub(super) fn csv(_state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    let filter = Filter::of(&Form::of_query(&visit.request)?);
    let mut selected = filter.selected().map_err(|fault| Error::new(Kind::Invalid, fault))?;
    if selected.number.is_some() {
        // As in the list, a number says it all.
        selected = Selected { number: selected.number, ..Selected::default() };
    }
    let store = visit.store()?.id;
    Ok(Deferred::on_own_thread(move |state, _record| {
        Ok(with_headers(admin::orders::workshop_file(state, store, selected)?))
    }))
}
