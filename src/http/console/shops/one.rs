//! One shop: its settings, keys, connection to Shopify, and what it has.

use super::area::{ShopArea, Tab, frame_of};
use super::state_of;
use crate::access::Role;
use crate::catalog::keys::{self, ApiKey};
use crate::catalog::settings::{self, Change};
use crate::catalog::stores::Store;
use crate::clock::{instant, optional_instant};
use crate::domain::length::Unit;
use crate::domain::money::Currency;
use crate::error::{Error, Kind, NEEDS_CONFIRMATION, Result};
use crate::http::Response;
use crate::http::console::Visit;
use crate::http::console::form::Form;
use crate::http::console::layout::{Frame, page, sentence};
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::views::stores::Counted;
use askama::Template;
use std::sync::Arc;

/// What was done just now, in words.
const FLASHES: &[(&str, &str)] = &[
    ("changed", "The settings are saved."),
    ("revoked", "The key is revoked: it opens nothing any more."),
    ("erasing", "The erasure is ordered. It shows under Privacy, with its receipts once it is done."),
];

/// Keys that the page lists: a store has at most a hundred live ones.
const KEYS_LISTED: usize = 200;

/// A key as the page shows it.
struct KeyLine {
    id: String,
    prefix: String,
    label: String,
    origins: String,
    created_at: String,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
}

impl From<ApiKey> for KeyLine {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            prefix: key.prefix,
            label: key.label.unwrap_or_default(),
            origins: key.origins.listed().map_or_else(|| "any page".to_owned(), |origins| origins.join(", ")),
            created_at: instant(key.created_at),
            last_used_at: optional_instant(key.last_used_at),
            revoked_at: optional_instant(key.revoked_at),
        }
    }
}

#[derive(Template)]
#[template(path = "shops/one.html", config = "src/http/console/askama.toml")]
struct OnePage {
    frame: Frame,
    area: ShopArea,
    is_operators: bool,
    state: &'static str,
    state_class: &'static str,
    installed_at: String,
    uninstalled_at: Option<String>,
    unit: Unit,
    currency: String,
    counted: Counted,
    keys: Vec<KeyLine>,
    has_app: bool,
    /// What keeps orders from Shopify, as far as it has shown.
    problem: Option<String>,
    /// What was entered in the settings, what is wrong with it, and whether it must be confirmed.
    fault: Option<String>,
    needs_confirmation: bool,
}

pub(super) fn show(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let store = visit.store()?;
    one_page(
        state,
        visit,
        200,
        Shown { unit: store.unit, currency: store.currency.to_string(), fault: None, needs_confirmation: false },
    )
}

/// What the settings' form shows.
struct Shown {
    unit: Unit,
    currency: String,
    fault: Option<String>,
    needs_confirmation: bool,
}

fn one_page(state: &AppState, visit: &Visit, status: u16, shown: Shown) -> Result<Response> {
    let store = visit.store()?;
    let is_operators = visit.session.role != Role::Merchant;
    let (counted, keys) = state.app.db.read(|connection| -> Result<_> {
        let keys = if is_operators { keys::list(connection, store.id, None, KEYS_LISTED)? } else { Vec::new() };
        Ok((Counted::load(connection, store)?, keys))
    })?;
    let handover = &state.app.handover;
    let problem = handover.problem_of(&store.shop);
    let (state_text, state_class) = state_of(store);
    let Shown { unit, currency, fault, needs_confirmation } = shown;
    let Store { installed_at, uninstalled_at, .. } = store;
    page(
        status,
        &OnePage {
            frame: frame_of(visit, FLASHES),
            area: ShopArea::of(visit, Tab::Shop)?,
            is_operators,
            state: state_text,
            state_class,
            installed_at: instant(*installed_at),
            uninstalled_at: optional_instant(*uninstalled_at),
            unit,
            currency,
            counted,
            keys: keys.into_iter().map(KeyLine::from).collect(),
            has_app: handover.options().is_some(),
            problem,
            fault,
            needs_confirmation,
        },
    )
}

fn change_of(form: &Form) -> Result<(Change, bool)> {
    let mut error = Error::new(Kind::Invalid, "the settings cannot be saved");
    let currency = form.get("currency").trim().to_uppercase().parse::<Currency>();
    if let Err(fault) = &currency {
        error = error.with_fault("Currency", fault.to_string());
    }
    let unit = form.get("unit").parse::<Unit>();
    if let Err(fault) = &unit {
        error = error.with_fault("Unit", fault.to_string());
    }
    match (currency, unit) {
        (Ok(currency), Ok(unit)) => {
            let change = Change { currency: Some(currency), unit: Some(unit), convert: true, ..Change::default() };
            Ok((change, form.has("confirmed")))
        }
        _ => Err(error),
    }
}

pub(super) fn change(_state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    let (shop, (change, confirmed)) = (visit.store()?.shop.clone(), change_of(&visit.form)?);
    // Every price of the store is looked at.
    Ok(Deferred::on_own_thread(move |state, record| {
        let app = &state.app;
        match settings::carry_out(&app.db, app.clock.as_ref(), &shop, change, confirmed, record.as_ref()) {
            Ok(_store) => Ok(visit.see_other(&format!("admin/shops/{shop}?done=changed"))),
            Err(error) if error.kind() == Kind::Conflict => {
                let code = error.members().get("code").and_then(|code| code.as_str());
                let shown = Shown {
                    unit: change.unit.unwrap_or(Unit::Mm),
                    currency: change.currency.map(|currency| currency.to_string()).unwrap_or_default(),
                    fault: Some(sentence(&error.to_string())),
                    needs_confirmation: code == Some(NEEDS_CONFIRMATION),
                };
                one_page(state, &visit, 409, shown)
            }
            Err(error) => Err(error),
        }
    }))
}
