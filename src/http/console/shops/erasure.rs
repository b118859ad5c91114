//! Erasing a shop: first what would go, by table; then, with the shop's name typed out, the order to do it.

use super::area::{ShopArea, Tab, frame_of};
use crate::erasure::shop::preview;
use crate::error::{Kind, Result};
use crate::http::Response;
use crate::http::console::Visit;
use crate::http::console::layout::{Frame, page};
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use askama::Template;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "shops/erase.html", config = "src/http/console/askama.toml")]
struct ErasePage {
    frame: Frame,
    area: ShopArea,
    rows: Vec<(String, u64)>,
    total: u64,
    is_under_way: bool,
    fault: Option<&'static str>,
}

pub(super) fn ask(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    ask_page(state, visit, 200, None)
}

fn ask_page(state: &AppState, visit: &Visit, status: u16, fault: Option<&'static str>) -> Result<Response> {
    let store = visit.store()?;
    let counts = state.app.db.read(|connection| preview(connection, store))?;
    let rows: Vec<(String, u64)> = counts.iter().map(|(table, rows)| (table.replace('_', " "), rows)).collect();
    let total = rows.iter().map(|(_, rows)| rows).sum();
    let (area, is_under_way) = (ShopArea::of(visit, Tab::Shop)?, store.erasing_since.is_some());
    page(status, &ErasePage { frame: frame_of(visit, &[]), area, rows, total, is_under_way, fault })
}

pub(super) fn order(state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    let shop = visit.store()?.shop.clone();
    // In any case, as people write it.
    if visit.form.get("confirm").trim().parse() != Ok(shop.clone()) {
        let fault = "This is not the shop's domain. Nothing is erased.";
        return ask_page(state, &visit, crate::http::status::of(Kind::Invalid), Some(fault)).map(Deferred::answered);
    }
    let (now, order) = (state.app.clock.now(), state.app.erasure_of(&shop));
    let done = visit.see_other(&format!("admin/shops/{shop}?done=erasing"));
    Ok(Deferred::commit(move |tx| order.write(tx, now), move |_job| done))
}
