//! Keys of the storefront API: issued, shown once, revoked.

use super::area::{ShopArea, Tab, frame_of};
use crate::catalog::keys::{self, NewKey};
use crate::catalog::stores;
use crate::domain::ids::{KeyId, ShopDomain};
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::console::Visit;
use crate::http::console::layout::{Frame, page};
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use askama::Template;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "shops/key.html", config = "src/http/console/askama.toml")]
struct KeyPage {
    frame: Frame,
    shop: ShopDomain,
    key: String,
}

/// The page with a new key. It is the answer to the form itself and never comes again: reloading it would issue another one, which the
/// browser asks about.
pub(super) fn shown_once(frame: Frame, shop: ShopDomain, key: String) -> Response {
    page(201, &KeyPage { frame, shop, key }).unwrap_or_else(|_unrendered| Response::empty(500))
}

pub(super) fn issue(state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    let shop = visit.store()?.shop.clone();
    let origins = visit.form.get("origins").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let label = visit.form.entered("label").map(str::to_owned);
    let new = NewKey::new(label, (!origins.is_empty()).then_some(origins))?;
    let (entropy, now) = (state.app.entropy.clone(), state.app.clock.now());
    let (frame, named) = (frame_of(&visit, &[]), shop.clone());
    Ok(Deferred::commit(
        move |tx| {
            let store = stores::load_live(tx, &shop)?;
            Ok(keys::issue_new(tx, now, entropy.as_ref(), store.id, &new)?.key)
        },
        move |key| shown_once(frame, named, key),
    ))
}

pub(super) fn revoke(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    let area = ShopArea::of(&visit, Tab::Shop)?;
    if !visit.form.has("confirmed") {
        let message = "tick that the key is to be revoked: pages that use it show no prices from then on";
        return Err(Error::new(Kind::Invalid, message));
    }
    let (key, store) = (params.parse::<KeyId>("key", "key")?, visit.store()?.id);
    let path = format!("{}?done=revoked", area.path());
    let now = state.app.clock.now();
    Ok(Deferred::commit(move |tx| keys::revoke(tx, now, store, key), move |()| visit.see_other(&path)))
}
