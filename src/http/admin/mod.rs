//! `/admin/api`: what operators and their scripts do, behind one bearer token. Without a configured token the whole tree does not
//! exist. A part of it is a file here with its `ROUTES`, and a line in [`SURFACES`]; the shapes are those of the commands
//! (`crate::views`).

mod bulk;
mod clock;
mod conditional;
mod gdpr;
mod history;
mod jobs;
mod keys;
mod matrices;
mod options;
pub(super) mod orders;
mod products;
mod store_settings;
mod stores;

use super::permission;
use super::respond::Responder;
use super::route::{Params, Route};
use super::session;
use super::state::AppState;
use super::{Reply, Request};
use crate::access::Actor;
use crate::access::audit::Entry;
use crate::catalog::stores::Store;
use crate::domain::ids::ShopDomain;
use crate::erasure;
use crate::error::{Error, Result};
use rusqlite::Connection;

/// Where the tree begins.
const ROOT: &str = "/admin/api";

/// The table's part: every file's lines.
pub(super) const SURFACES: &[&[Route]] = &[
    bulk::ROUTES,
    history::ROUTES,
    jobs::ROUTES,
    gdpr::ROUTES,
    stores::ROUTES,
    keys::ROUTES,
    store_settings::ROUTES,
    matrices::PRICE_LIST_ROUTES,
    matrices::ROUTES,
    matrices::ADJUST_ROUTES,
    products::ROUTES,
    options::ROUTES,
    orders::ROUTES,
    clock::ROUTES,
];

/// Whether `path` is in the tree.
pub(super) fn owns(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Who calls: a bearer of the token, or a person who is signed in to the console. Before any look at the table, so that no other
/// client learns which paths there are.
///
/// # Errors
/// `NotFound` where there is no token to bear, `Unauthorized` without it, `Limited` after too many wrong ones, `Forbidden` for
/// what another site's page has a browser write.
pub(super) fn caller(state: &AppState, request: &Request) -> Result<Actor> {
    // A browser sends its cookie with every request, a token only who means to.
    if request.headers.get("authorization").is_none()
        && let Some(signed_in) = session::find(state, request)?
    {
        session::check_write(state, request, &signed_in, None)?;
        return Ok(signed_in.session.actor());
    }
    let Some(tokens) = &state.admin_tokens else { return Err(Error::not_found("path")) };
    state.guesses.demand(&[tokens], request)?;
    Ok(Actor::api())
}

/// Lets `actor` call the route, where they may: a write is recorded under its `action` then. Otherwise it is answered.
pub(super) fn permitted(
    state: &AppState,
    actor: Actor,
    request: &Request,
    route: &Route,
    params: &Params,
    responder: Responder,
) -> Option<Responder> {
    if let Err(error) = permission::permit(state, &actor, &request.method, route.pattern, params) {
        responder.send(Err(error));
        return None;
    }
    let responder = responder.for_caller(&actor);
    match route.action {
        Some(action) => Some(responder.recorded_as(state.record(actor, entry(state, action, params)))),
        None => Some(responder),
    }
}

/// What the audit log says of a write.
fn entry(state: &AppState, action: &'static str, params: &Params) -> Entry {
    let mut entry = Entry::new(action);
    if let Ok(shop) = params.get("shop").parse::<ShopDomain>() {
        entry = entry.of_store(erasure::subject_hash(&state.app.hasher, &shop));
    }
    let ids = params.iter().filter(|(name, _)| *name != "shop");
    ids.fold(entry, |entry, (_, id)| entry.object(id))
}

/// The same way back for answers that no cache may keep, for there are keys among them, and that no page of another origin may load:
/// a session's cookie goes along with what a page of the same site asks for.
pub(super) fn for_operators(reply: Reply) -> Reply {
    Reply::new(move |response| {
        reply.send(
            response
                .with_header("Cache-Control", "no-store")
                .with_header("X-Content-Type-Options", "nosniff")
                .with_header("Cross-Origin-Resource-Policy", "same-origin"),
        );
    })
}

/// The `{shop}` of a path. What is no shop's domain names no store.
///
/// # Errors
/// `NotFound`.
pub(super) fn shop(params: &Params) -> Result<ShopDomain> {
    params.parse("shop", "store")
}

/// The store of a path's shop.
///
/// # Errors
/// `NotFound`, and when the database fails.
pub(super) fn load_store(connection: &Connection, shop: &ShopDomain) -> Result<Store> {
    let found = crate::catalog::stores::find(connection, shop)?;
    found.ok_or_else(|| Error::not_found(format!("store {shop}")))
}
