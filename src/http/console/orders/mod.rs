//! `/admin/shops/{shop}/orders`: search, one order, and what the workshop needs. What an order says is read from its document
//! (`crate::views::orders`), in `view.rs`.

mod view;
mod workshop;

use super::form::Form;
use super::layout::{Frame, page};
use super::paging::{PAGE_ITEMS, next_cursor};
use super::shops::area::{ShopArea, Tab, frame_of};
use super::{Page, Visit};
use crate::domain::ids::DraftOrderId;
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::orders::records::{self, Selected, State};
use crate::orders::search::{self, Place, Search};
use crate::views::orders as documents;
use askama::Template;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use std::sync::Arc;
use view::OrderView;

/// The pages.
pub(super) const ROUTES: &[Page] = &[
    Page::show("/admin/shops/{shop}/orders", list),
    Page::show("/admin/shops/{shop}/orders/workshop", workshop::show),
    Page::show_later("/admin/shops/{shop}/orders/workshop.csv", workshop::csv),
    Page::show("/admin/shops/{shop}/orders/{order}", show),
    Page::write("/admin/shops/{shop}/orders/{order}/retry", "order.retry", retry),
    Page::write("/admin/shops/{shop}/orders/{order}/cancel", "order.cancel", cancel),
];

/// What was done just now, in words.
const FLASHES: &[(&str, &str)] = &[
    ("retried", "The hand-over is tried again. Reload the page in a moment to see how it went."),
    ("cancelled", "The order is cancelled. What stands at Shopify of it is deleted now."),
];

/// What a search form asks for.
#[derive(Debug, Default)]
struct Filter {
    number: String,
    state: String,
    from: String,
    to: String,
}

impl Filter {
    fn of(query: &Form) -> Self {
        let text = |name: &str| query.get(name).trim().to_owned();
        Self { number: text("number"), state: text("state"), from: text("from"), to: text("to") }
    }

    fn is_empty(&self) -> bool {
        [&self.number, &self.state, &self.from, &self.to].iter().all(|text| text.is_empty())
    }

    /// The filter for another page's address. Everything in it has been read before, so nothing needs escaping.
    fn query(&self) -> String {
        format!("state={}&from={}&to={}", self.state, self.from, self.to)
    }

    /// What to look for.
    fn search(&self, limit: usize) -> std::result::Result<Search, String> {
        let Selected { since, until, state, number: _ } = self.selected()?;
        Ok(Search { state, since, until, after: None, limit })
    }

    /// Which orders that are.
    fn selected(&self) -> std::result::Result<Selected, String> {
        let unknown = |_unreadable| format!("There is no state “{}”.", self.state);
        let state = Some(&self.state).filter(|state| !state.is_empty());
        let state = state.map(|state| state.parse().map_err(unknown)).transpose()?;
        let until = day(&self.to)?.map(|day| day + TimeDelta::days(1));
        Ok(Selected { since: day(&self.from)?, until, state, number: self.number()? })
    }

    /// The number that is asked for: `12`, `D12` or `#D12`.
    fn number(&self) -> std::result::Result<Option<i64>, String> {
        let digits = self.number.trim_start_matches('#').trim_start_matches(['D', 'd']);
        if self.number.is_empty() {
            return Ok(None);
        }
        let fault = || format!("“{}” is not an order’s number, such as #D12.", self.number);
        digits.parse().map(Some).map_err(|_unreadable| fault())
    }
}

/// The beginning of a day in UTC.
fn day(text: &str) -> std::result::Result<Option<DateTime<Utc>>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let day: NaiveDate = text.parse().map_err(|_unreadable| format!("“{text}” is not a day, such as 2026-11-30."))?;
    Ok(Some(day.and_time(NaiveTime::MIN).and_utc()))
}

#[derive(Template)]
#[template(path = "orders/list.html", config = "src/http/console/askama.toml")]
struct ListPage {
    frame: Frame,
    area: ShopArea,
    orders: Vec<OrderView>,
    next: Option<String>,
    filter: Filter,
    states: Vec<&'static str>,
    today: String,
    yesterday: String,
    fault: Option<String>,
}

fn list(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let query = Form::of_query(&visit.request)?;
    let (filter, store) = (Filter::of(&query), visit.store()?.id);
    let after = query.entered("after").map(place).transpose()?;
    let wanted = filter.number().and_then(|number| Ok((number, filter.search(PAGE_ITEMS + 1)?)));
    let (mut found, fault) = match wanted {
        Ok((Some(number), _)) => {
            let found = state.app.db.read(|connection| records::find_by_number(connection, store, number))?;
            let fault = found.is_none().then(|| format!("There is no order #D{number}."));
            (found.into_iter().collect(), fault)
        }
        Ok((None, search)) => (load(state, store, &Search { after, ..search })?, None),
        Err(fault) => (Vec::new(), Some(fault)),
    };
    let next = next_cursor(&mut found, |record| format!("{}-{}", record.created_at.timestamp_millis(), record.number));
    let today = state.app.clock.now().date_naive();
    page(
        if fault.is_some() && found.is_empty() { 404 } else { 200 },
        &ListPage {
            frame: frame_of(visit, FLASHES),
            area: ShopArea::of(visit, Tab::Orders)?,
            orders: found.iter().map(|record| OrderView::of(&documents::draft_order(record))).collect(),
            next,
            filter,
            states: State::ALL.into_iter().map(State::as_str).collect(),
            today: today.to_string(),
            yesterday: today.pred_opt().unwrap_or(today).to_string(),
            fault,
        },
    )
}

/// The orders that match.
fn load(state: &AppState, store: crate::domain::ids::StoreId, wanted: &Search) -> Result<Vec<records::Record>> {
    state.app.db.read(|connection| {
        let places = search::search(connection, store, wanted)?;
        let orders = places.into_iter().map(|place| records::find_by_number(connection, store, place.number));
        Ok(orders.collect::<crate::db::Result<Vec<_>>>()?.into_iter().flatten().collect())
    })
}

/// The last order of the page before: its time and number.
fn place(text: &str) -> Result<Place> {
    let read = text
        .split_once('-')
        .and_then(|(at, number)| Some(Place { at_ms: at.parse().ok()?, number: number.parse().ok()? }));
    read.ok_or_else(|| Error::not_found("page of the list"))
}

#[derive(Template)]
#[template(path = "orders/one.html", config = "src/http/console/askama.toml")]
struct OnePage {
    frame: Frame,
    area: ShopArea,
    id: DraftOrderId,
    order: OrderView,
    page_url: String,
    can_retry: bool,
    /// What cancelling the order does; `None` where it cannot be cancelled.
    cancelling: Option<&'static str>,
}

/// What calling an order off does. One that was ordered is cancelled and refunded at Shopify, for it may have been paid.
fn cancelling(record: &records::Record) -> Option<&'static str> {
    match record.status {
        State::Open => Some("It is not handed over to Shopify then."),
        State::Sent => Some("Its draft at Shopify is deleted: it can be paid no more."),
        State::Ordered | State::Cancelled => None,
    }
}

fn order_id(params: &Params) -> Result<DraftOrderId> {
    params.parse("order", "order")
}

fn show(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    let (id, store) = (order_id(params)?, visit.store()?.id);
    let record = state.app.db.read(|connection| records::load(connection, store, id))?;
    let order = OrderView::of(&documents::draft_order(&record));
    page(
        200,
        &OnePage {
            frame: frame_of(visit, FLASHES),
            area: ShopArea::of(visit, Tab::Orders)?,
            id,
            page_url: documents::page_url(&record, &state.public_url()),
            can_retry: record.is_open() && state.app.handover.options().is_some(),
            cancelling: cancelling(&record),
            order,
        },
    )
}

fn retry(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    let (id, store) = (order_id(params)?, visit.store()?);
    if state.app.handover.options().is_none() {
        return Err(Error::new(Kind::Conflict, "this server has no Shopify app to hand orders over with"));
    }
    let (store, shop) = (store.id, store.shop.clone());
    let (at_work, now, client) = (state.clone(), state.app.clock.now(), visit.request.client);
    let done = visit.see_other(&format!("admin/shops/{shop}/orders/{id}?done=retried"));
    Ok(Deferred::commit(
        move |tx| {
            let record = records::load(tx, store, id)?;
            if !record.is_open() {
                return Err(Error::new(Kind::Conflict, format!("order {} is not open any more", record.name())));
            }
            at_work.app.handover.enqueue(tx, now, &at_work.app.queue, &shop, client, id)
        },
        move |()| done,
    ))
}

/// Cancels an order; a job deletes its draft at Shopify.
fn cancel(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    if !visit.form.has("confirmed") {
        return Err(Error::new(Kind::Invalid, "tick the box to cancel the order: that cannot be undone"));
    }
    let (id, shop) = (order_id(params)?, visit.store()?.shop.clone());
    let (handover, queue, now) = (state.app.handover.clone(), state.app.queue.clone(), state.app.clock.now());
    let done = visit.see_other(&format!("admin/shops/{shop}/orders/{id}?done=cancelled"));
    Ok(Deferred::commit(move |tx| handover.cancel(tx, now, &queue, &shop, id), move |_record| done))
}
