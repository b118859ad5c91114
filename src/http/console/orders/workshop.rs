//! What the workshop needs of the orders that match: an item a line, to print or as CSV.

use super::view::{ItemView, OrderView};
use super::{Filter, load};
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::console::Visit;
use crate::http::console::form::Form;
use crate::http::console::layout::{Frame, page, with_headers};
use crate::http::console::shops::area::{ShopArea, Tab, frame_of};
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::orders::records;
use crate::orders::search::Search;
use crate::views::orders as documents;
use crate::workshop;
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
    // The workshop begins with the oldest.
    let orders = found.iter().rev().map(|record| OrderView::of(&documents::draft_order(record)));
    // An order that is called off is not made.
    let is_made = |order: &OrderView| order.status != "cancelled" || filter.state == "cancelled";
    let orders = orders.filter(is_made).collect();
    Ok((filter, orders, is_cut))
}

pub(super) fn show(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let (filter, orders, is_cut) = wanted(state, visit)?;
    let query = if filter.number.is_empty() { filter.query() } else { visit.request.query.clone() };
    let (frame, area) = (frame_of(visit, &[]), ShopArea::of(visit, Tab::Orders)?);
    page(200, &WorkshopPage { frame, area, orders, filter, query, is_cut, orders_max: ORDERS_MAX })
}

/// The columns of the file.
const COLUMNS: [&str; 14] = [
    "order",
    "ordered at",
    "state",
    "item",
    "product",
    "sku",
    "label",
    "width",
    "height",
    "unit",
    "quantity",
    "options",
    "total",
    "currency",
];

pub(super) fn csv(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let (_, orders, _) = wanted(state, visit)?;
    let file = format!("attachment; filename=\"{}-workshop.csv\"", visit.store()?.shop);
    let response = Response::new(200, "text/csv; charset=utf-8", file_of(&orders));
    Ok(with_headers(response.with_header("Content-Disposition", file)))
}

/// RFC 4180, with the mark by which Excel knows UTF-8.
fn file_of(orders: &[OrderView]) -> String {
    let mut file = String::from("\u{feff}");
    push_line(&mut file, COLUMNS.iter().map(|name| (*name).to_owned()));
    for order in orders {
        for (at, item) in order.items.iter().enumerate() {
            push_line(&mut file, fields(order, at + 1, item).into_iter());
        }
    }
    file
}

fn fields(order: &OrderView, place: usize, item: &ItemView) -> [String; 14] {
    [
        order.name.clone(),
        order.created_at.clone(),
        order.status.clone(),
        place.to_string(),
        item.title.clone(),
        item.sku.clone(),
        item.label.clone(),
        item.width.clone(),
        item.height.clone(),
        item.unit.clone(),
        item.quantity.clone(),
        item.chosen(),
        item.total.clone(),
        order.currency.clone(),
    ]
}

fn push_line(file: &mut String, fields: impl Iterator<Item = String>) {
    let fields: Vec<String> = fields.map(|text| workshop::field(&text)).collect();
    file.push_str(&fields.join(","));
    file.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spreadsheet_runs_what_a_shopper_wrote() {
        for (text, field) in [
            ("Blind", "Blind"),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-5", "'-5"),
            ("Kitchen;=1+1", "Kitchen;'=1+1"),
            ("a,b", "\"a,b\""),
            ("two\nlines", "\"two\nlines\""),
        ] {
            let mut line = String::new();
            push_line(&mut line, [text.to_owned()].into_iter());
            assert_eq!(line, format!("{field}\r\n"));
        }
    }
}
