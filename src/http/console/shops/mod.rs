//! `/admin/shops`: the list of shops with its search, and adding one. One shop is in `one.rs`, its keys in `keys.rs`, its erasure in
//! `erasure.rs`; what the pages of one shop have in common is in `area.rs`.

pub(super) mod area;
mod erasure;
mod keys;
mod one;

use super::form::Form;
use super::layout::{Frame, Section, page};
use super::paging::{PAGE_ITEMS, cursor, next_cursor};
use super::{Page, Visit};
use crate::catalog::keys as api_keys;
use crate::catalog::stores::{self, NewStore, Store};
use crate::clock::instant;
use crate::domain::ids::ShopDomain;
use crate::domain::length::Unit;
use crate::domain::money::Currency;
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::views::stores::Counted;
use askama::Template;
use std::sync::Arc;

/// The pages.
pub(super) const ROUTES: &[Page] = &[
    Page::show("/admin/shops", list),
    Page::write("/admin/shops", "store.install", install),
    Page::show("/admin/shops/{shop}", one::show),
    Page::write("/admin/shops/{shop}/settings", "store.update", one::change),
    Page::write("/admin/shops/{shop}/keys", "key.issue", keys::issue),
    Page::write("/admin/shops/{shop}/keys/{key}/revoke", "key.revoke", keys::revoke),
    Page::show("/admin/shops/{shop}/erase", erasure::ask),
    Page::write("/admin/shops/{shop}/erase", "store.erase", erasure::order),
];

/// A shop as the list shows it.
struct Line {
    shop: ShopDomain,
    state: &'static str,
    state_class: &'static str,
    matrices: u64,
    orders: u64,
    installed_at: String,
}

#[derive(Template)]
#[template(path = "shops/list.html", config = "src/http/console/askama.toml")]
struct ListPage {
    frame: Frame,
    lines: Vec<Line>,
    next: Option<String>,
    search: String,
    /// What was entered for a new shop, and what is wrong with it.
    entered: String,
    fault: Option<String>,
}

fn list(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    list_page(state, visit, 200, String::new(), None)
}

fn list_page(state: &AppState, visit: &Visit, status: u16, entered: String, fault: Option<String>) -> Result<Response> {
    let search = Form::of_query(&visit.request)?.get("q").trim().to_lowercase();
    let after = cursor::<ShopDomain>(visit)?;
    let mut found = state.app.db.read(|connection| -> Result<Vec<(Store, Counted)>> {
        let found = stores::list_beginning(connection, &search, after.as_ref(), PAGE_ITEMS + 1)?;
        let counted = |store| Ok((Counted::load(connection, &store)?, store));
        found.into_iter().map(|store| counted(store).map(|(counted, store)| (store, counted))).collect()
    })?;
    let next = next_cursor(&mut found, |(store, _)| store.shop.to_string());
    let lines = found.into_iter().map(|(store, counted)| line(store, counted)).collect();
    page(status, &ListPage { frame: visit.frame(Section::Shops), lines, next, search, entered, fault })
}

fn line(store: Store, counted: Counted) -> Line {
    let (state, state_class) = state_of(&store);
    Line {
        state,
        state_class,
        matrices: counted.matrices,
        orders: counted.draft_orders,
        installed_at: instant(store.installed_at),
        shop: store.shop,
    }
}

/// What a shop's state is called, and how it looks.
fn state_of(store: &Store) -> (&'static str, &'static str) {
    match (store.erasing_since, store.uninstalled_at) {
        (Some(_), _) => ("being erased", "bad"),
        (None, Some(_)) => ("uninstalled", "quiet"),
        (None, None) => ("installed", "good"),
    }
}

fn install(state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    let new = match new_store(&visit.form) {
        Ok(new) => new,
        Err(error) => return again(state, &visit, &error).map(Deferred::answered),
    };
    let (entropy, now) = (state.app.entropy.clone(), state.app.clock.now());
    let (shop, frame) = (new.shop.clone(), visit.frame(Section::Shops));
    let at_work = state.clone();
    let again = move |error: &Error, response| {
        let wrong = matches!(error.kind(), Kind::Conflict | Kind::Invalid);
        if wrong { again(&at_work, &visit, error).unwrap_or(response) } else { response }
    };
    Ok(Deferred::commit(
        move |tx| {
            let installed = stores::install_new(tx, now, entropy.as_ref(), &new)?;
            Ok(api_keys::issue(tx, now, entropy.as_ref(), installed.id(), None)?.key)
        },
        move |key| keys::shown_once(frame, shop, key),
    )
    .with_error_page(again))
}

fn again(state: &AppState, visit: &Visit, error: &Error) -> Result<Response> {
    let status = crate::http::status::of(error.kind());
    let faults =
        error.faults().iter().flat_map(|(field, texts)| texts.iter().map(move |text| format!("{field} {text}")));
    let faults: Vec<String> = faults.collect();
    let text = if faults.is_empty() { error.to_string() } else { faults.join("; ") };
    list_page(state, visit, status, visit.form.get("shop").to_owned(), Some(super::layout::sentence(&text)))
}

fn new_store(form: &Form) -> Result<NewStore> {
    let mut error = Error::new(Kind::Invalid, "the shop cannot be added");
    let shop = form.get("shop").trim();
    // People write the name, or the whole address of the shop.
    let shop = shop.trim_start_matches("https://").trim_end_matches('/');
    let shop = if shop.contains('.') { shop.to_owned() } else { format!("{shop}.myshopify.com") };
    let shop = shop.parse::<ShopDomain>();
    if let Err(fault) = &shop {
        error = error.with_fault("the shop", fault.to_string());
    }
    let currency = form.get("currency").trim().to_uppercase().parse::<Currency>();
    if let Err(fault) = &currency {
        error = error.with_fault("the currency", fault.to_string());
    }
    let unit = form.get("unit").parse::<Unit>();
    if let Err(fault) = &unit {
        error = error.with_fault("the unit", fault.to_string());
    }
    match (shop, currency, unit) {
        (Ok(shop), Ok(currency), Ok(unit)) => Ok(NewStore { currency, unit, ..NewStore::new(shop) }),
        _ => Err(error),
    }
}
