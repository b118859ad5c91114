//! `/admin`: the console, pages for people who run shops and this server. Everything is rendered here; scripts only add to it.
//!
//! A page is a line of its file's `ROUTES`: `Page::show` and `Page::show_later` for what only reads, `Page::preview` for a form that is looked at
//! before it is saved, `Page::write` for what changes something. Before a handler is called, its caller is signed in
//! (`super::session`), allowed to (`super::permission`), and a form carries its session's token. What a write changes is committed
//! together with its row of the audit log (`super::deferred`).

mod activity;
pub(in crate::http) mod assets;
mod chart;
mod enter;
mod findings;
mod form;
mod health;
mod jobs;
mod layout;
mod multipart;
mod number;
mod options;
mod orders;
mod overview;
mod paging;
mod prices;
mod privacy;
mod products;
mod shops;
mod webhooks;
mod words;

use super::admin;
use super::deferred::Deferred;
use super::permission;
use super::respond::{self, Responder};
use super::route::{Params, match_path};
use super::session::{self, SignedIn};
use super::state::AppState;
use super::{Method, Reply, Request, Response};
use crate::access::audit::Entry;
use crate::access::sessions::Session;
use crate::catalog::stores::{self, Store};
use crate::domain::ids::ShopDomain;
use crate::erasure;
use crate::error::{Error, Result};
use form::Form;
use layout::{Frame, Section};
use std::sync::Arc;

/// Every page. The first pattern that matches decides.
const PAGES: &[&[Page]] = &[
    overview::ROUTES,
    jobs::ROUTES,
    privacy::ROUTES,
    webhooks::ROUTES,
    activity::ROUTES,
    health::ROUTES,
    shops::ROUTES,
    prices::ROUTES,
    options::ROUTES,
    products::ROUTES,
    orders::ROUTES,
];

/// Where the console begins.
const ROOT: &str = "/admin";

/// Below this are the style and scripts, for everybody.
const ASSETS: &str = "/admin/assets/";

/// A line of the table.
struct Page {
    method: Method,
    pattern: &'static str,
    handler: Handler,
}

/// How a page answers.
#[derive(Clone, Copy)]
enum Handler {
    Now(fn(&Arc<AppState>, &Visit, &Params) -> Result<Response>),
    /// When what the handler returns is done. A write has its name in the audit log.
    Deferred(Option<&'static str>, fn(&Arc<AppState>, Visit, &Params) -> Result<Deferred>),
}

impl Page {
    /// A page that is shown.
    const fn show(pattern: &'static str, handler: fn(&Arc<AppState>, &Visit, &Params) -> Result<Response>) -> Self {
        Self { method: Method::Get, pattern, handler: Handler::Now(handler) }
    }

    /// A file that takes long to write: its handler answers from a thread of its own.
    const fn show_later(
        pattern: &'static str,
        handler: fn(&Arc<AppState>, Visit, &Params) -> Result<Deferred>,
    ) -> Self {
        Self { method: Method::Get, pattern, handler: Handler::Deferred(None, handler) }
    }

    /// A form that is answered with a page and changes nothing.
    const fn preview(pattern: &'static str, handler: fn(&Arc<AppState>, &Visit, &Params) -> Result<Response>) -> Self {
        Self { method: Method::Post, pattern, handler: Handler::Now(handler) }
    }

    /// A form that changes something. `action` is its name in the audit log: an object and a verb, such as `matrix.update`.
    const fn write(
        pattern: &'static str,
        action: &'static str,
        handler: fn(&Arc<AppState>, Visit, &Params) -> Result<Deferred>,
    ) -> Self {
        Self { method: Method::Post, pattern, handler: Handler::Deferred(Some(action), handler) }
    }
}

/// A request of a person who is signed in and allowed to make it.
#[derive(Debug)]
struct Visit {
    /// The request.
    request: Request,
    /// Who makes it.
    session: Session,
    /// What a form has sent; empty for a page that is only shown.
    form: Form,
    /// The way from this page to the server's root: put it before every address, as in `{root}admin/jobs`.
    root: String,
    csrf: String,
    merchants_shop: Option<ShopDomain>,
    store: Option<Store>,
}

impl Visit {
    /// What surrounds the page.
    fn frame(&self, section: Section) -> Frame {
        Frame::new(self, section)
    }

    /// The text for what was done just now, of `texts` by what [`Visit::see_other`] was given as `done`, as in
    /// `admin/jobs?done=retried`.
    fn flash(&self, texts: &[(&str, &'static str)]) -> Option<&'static str> {
        let done = self.request.query.split('&').find_map(|pair| pair.strip_prefix("done="))?;
        texts.iter().find(|(name, _)| *name == done).map(|(_, text)| *text)
    }

    /// The store that the path's `{shop}` names. That its caller may see it has been checked.
    ///
    /// # Errors
    /// `NotFound`.
    fn store(&self) -> Result<&Store> {
        self.store.as_ref().ok_or_else(|| Error::not_found("store"))
    }

    /// Sends the browser to another page after a write; `path` has no slash in front, as in `admin/jobs`. Reloading that page writes
    /// nothing again.
    fn see_other(&self, path: &str) -> Response {
        see_other(&self.root, path)
    }
}

fn see_other(root: &str, path: &str) -> Response {
    layout::with_headers(Response::empty(303).with_header("Location", format!("{root}{path}")))
}

/// Whether `path` is one of the console.
pub(super) fn owns(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) && !admin::owns(path)
}

/// The pattern of the page that `path` belongs to.
pub(super) fn pattern_of(path: &str) -> Option<&'static str> {
    let fixed = [enter::ENTER, enter::SIGN_OUT].into_iter().find(|fixed| *fixed == path);
    let pages = || PAGES.iter().copied().flatten();
    fixed
        .or_else(|| path.starts_with(ASSETS).then_some("/admin/assets/{file}"))
        .or_else(|| pages().find(|page| match_path(page.pattern, path).is_some()).map(|page| page.pattern))
}

/// The way from a page to the server's root. Relative, so that the console works below whatever prefix a proxy takes away.
fn way_to_root(path: &str) -> String {
    "../".repeat(path.matches('/').count().saturating_sub(1))
}

/// Answers a request for one of the console's paths.
pub(super) fn call(state: &Arc<AppState>, request: Request, reply: Reply) {
    let id = request.id.clone();
    if request.path.starts_with(ASSETS) {
        let served = if permission::is_read(&request.method) {
            assets::serve(&request.path)
        } else {
            Err(Error::not_found("file"))
        };
        return Responder::new(reply, id).send(served);
    }
    if request.path == enter::ENTER {
        return enter::call(state, request, reply);
    }
    let signed_in = match session::find(state, &request) {
        Ok(Some(signed_in)) => signed_in,
        Ok(None) => return reply.send(enter::ask_to_sign_in(&request)),
        Err(error) => return reply.send(respond::failure(&error, &id)),
    };
    match visit(state, request, signed_in) {
        Ok(visit) => dispatch(state, visit, reply),
        Err(error) => reply.send(respond::failure(&error, &id)),
    }
}

fn visit(state: &AppState, request: Request, signed_in: SignedIn) -> Result<Visit> {
    let SignedIn { session, csrf } = signed_in;
    let merchants_shop = match session.store {
        Some(id) => state.app.db.read(|connection| stores::find_by_id(connection, id))?.map(|store| store.shop),
        None => None,
    };
    let root = way_to_root(&request.path);
    Ok(Visit { request, session, form: Form::default(), root, csrf, merchants_shop, store: None })
}

fn dispatch(state: &Arc<AppState>, mut visit: Visit, reply: Reply) {
    let id = visit.request.id.clone();
    let responder = Responder::new(reply, id.clone()).with_error_page({
        let frame = visit.frame(Section::Elsewhere);
        move |error, response| layout::error_page(frame, error, response, &id)
    });
    if visit.request.path == enter::SIGN_OUT {
        return enter::sign_out(state, visit, responder);
    }
    // A merchant comes in where everybody does, and has one shop and nothing else.
    if let (ROOT, Some(shop)) = (visit.request.path.as_str(), &visit.merchants_shop) {
        let shop = visit.see_other(&format!("admin/shops/{shop}"));
        return responder.send(Ok(shop));
    }
    match permitted(state, &mut visit) {
        Err(error) => responder.send(Err(error)),
        Ok((Handler::Now(handler), params, _unrecorded)) => responder.send(handler(state, &visit, &params)),
        Ok((Handler::Deferred(_, handler), params, entry)) => {
            let responder = match entry {
                Some(entry) => responder.recorded_as(state.record(visit.session.actor(), entry)),
                None => responder,
            };
            match handler(state, visit, &params) {
                Ok(deferred) => deferred.begin(state, responder),
                Err(error) => responder.send(Err(error)),
            }
        }
    }
}

/// The handler of a page that its caller may see, or of a write that they may make and have meant to make, with the row of the audit
/// log that it gets.
fn permitted(state: &AppState, visit: &mut Visit) -> Result<(Handler, Params, Option<Entry>)> {
    let as_method = if permission::is_read(&visit.request.method) { Method::Get } else { visit.request.method.clone() };
    let pages = PAGES.iter().copied().flatten().filter(|page| page.method == as_method);
    let found = pages.filter_map(|page| Some((page, match_path(page.pattern, &visit.request.path)?))).next();
    let (page, params) = found.ok_or_else(|| Error::not_found("page"))?;
    if as_method == Method::Post {
        visit.form = check_form(state, visit)?;
    }
    let actor = visit.session.actor();
    visit.store = permission::permit(state, &actor, &visit.request.method, page.pattern, &params)?;
    let Handler::Deferred(Some(action), _) = page.handler else { return Ok((page.handler, params, None)) };
    let mut entry = Entry::new(action);
    if let Some(store) = &visit.store {
        entry = entry.of_store(erasure::subject_hash(&state.app.hasher, &store.shop));
    }
    for (_, value) in params.iter().filter(|(name, _)| *name != "shop") {
        entry = entry.object(value);
    }
    Ok((page.handler, params, Some(entry)))
}

/// Reads a form that carries its session's token.
fn check_form(state: &AppState, visit: &Visit) -> Result<Form> {
    let form = Form::of(&visit.request)?;
    let signed_in = SignedIn { session: visit.session.clone(), csrf: visit.csrf.clone() };
    session::check_write(state, &visit.request, &signed_in, Some(form.get("csrf")))?;
    Ok(form)
}
