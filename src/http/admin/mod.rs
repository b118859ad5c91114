//! `/admin/api`: what operators and their scripts do, behind one bearer token. Without a configured token the whole tree does not
//! exist. A surface is a file here with its `ROUTES` and a line in `router.rs`; the shapes are those of the commands
//! (`crate::views`).

mod actions;
pub(super) mod bulk;
pub(super) mod clock;
mod conditional;
pub(super) mod gdpr;
pub(super) mod history;
pub(super) mod jobs;
pub(super) mod keys;
pub(super) mod matrices;
pub(super) mod options;
pub(super) mod orders;
pub(super) mod products;
pub(super) mod store_settings;
pub(super) mod stores;

use super::permission;
use super::respond::Responder;
use super::route::Params;
use super::session;
use super::state::AppState;
use super::{Reply, Request, Response};
use crate::access::Actor;
use crate::catalog::stores::Store;
use crate::db::Tx;
use crate::domain::ids::ShopDomain;
use crate::error::{Error, Result};
use rusqlite::Connection;
use std::sync::Arc;

/// Where the tree begins.
const ROOT: &str = "/admin/api";

/// Whether `path` is in the tree.
pub(super) fn owns(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Who calls: a bearer of the token, or somebody who is signed in to the console. Before any look at the table, so that nobody
/// else learns which paths there are.
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

/// Lets `actor` call the route, where they may: the answer's write is recorded then. Otherwise it is answered.
pub(super) fn permitted(
    state: &AppState,
    actor: Actor,
    request: &Request,
    pattern: &'static str,
    params: &Params,
    responder: Responder,
) -> Option<Responder> {
    if let Err(error) = permission::permit(state, &actor, &request.method, pattern, params) {
        responder.send(Err(error));
        return None;
    }
    let responder = responder.for_caller(&actor);
    match actions::entry(state, request, pattern, params) {
        Some(entry) => Some(responder.recorded_as(state.record(actor, entry))),
        None => Some(responder),
    }
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

/// Commits `change` together with its row of the audit log and answers with what `response` makes of its outcome; no handler
/// thread waits for it.
pub(super) fn commit<T: Send + 'static>(
    state: &AppState,
    responder: Responder,
    change: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    response: impl FnOnce(T) -> Response + Send + 'static,
) {
    commit_new(state, responder, change, |_done| None::<String>, response);
}

/// The same for a change that makes something: its row also has the id that `made` takes from the outcome.
pub(super) fn commit_new<T: Send + 'static, I: ToString>(
    state: &AppState,
    mut responder: Responder,
    change: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static,
    made: impl FnOnce(&T) -> Option<I> + Send + 'static,
    response: impl FnOnce(T) -> Response + Send + 'static,
) {
    let record = responder.take_record();
    state.app.db.write_then(
        move |tx| {
            let done = change(tx)?;
            if let Some(record) = record {
                match made(&done) {
                    Some(id) => record.object(id).write(tx)?,
                    None => record.write(tx)?,
                }
            }
            Ok(done)
        },
        move |outcome| responder.send(outcome.map(response)),
    );
}

/// Runs a call that may take long on a thread of its own, so that webhooks never wait for a handler.
pub(super) fn run_on_own_thread(
    state: &Arc<AppState>,
    responder: Responder,
    call: impl FnOnce(&Arc<AppState>) -> Result<Response> + Send + 'static,
) {
    let place = match state.long_calls.take(responder.only_store()) {
        Ok(place) => place,
        Err(error) => return responder.send(Err(error)),
    };
    let at_work = state.clone();
    let thread = std::thread::Builder::new().name("admin-call".to_owned());
    // Where there is no thread to be had the closure is dropped, and its answer says 500 by itself.
    let _no_thread = thread.spawn(move || {
        let outcome = call(&at_work);
        drop(place);
        responder.send(outcome);
    });
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
