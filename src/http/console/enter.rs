//! `/admin/enter`: the way in, by a link's token or the admin token, and `/admin/sign-out`.

use super::form::Form;
use super::layout::{page, sentence, who, with_headers};
use super::{ROOT, Visit, see_other, way_to_root};
use crate::access::audit::{self, Entry};
use crate::access::links::{self, Invitation};
use crate::access::sessions::{self, Session};
use crate::access::{Role, TokenDigest};
use crate::catalog::stores;
use crate::domain::ids::{SessionId, StoreId};
use crate::erasure::subject_hash;
use crate::error::{Error, Kind, Result};
use crate::http::deferred::Deferred;
use crate::http::respond::{self, Responder};
use crate::http::session::{self, SignedIn, check_origin, check_write, cookie, cookie_name, without_cookie};
use crate::http::state::AppState;
use crate::http::{Method, Reply, Request, Response, permission};
use crate::keyed_hash::KeyedHasher;
use askama::Template;
use rusqlite::Connection;
use std::sync::Arc;

/// Where people come in.
pub(super) const ENTER: &str = "/admin/enter";

/// Where they leave.
pub(super) const SIGN_OUT: &str = "/admin/sign-out";

/// How a session is called that the admin token has begun.
const TOKEN_LABEL: &str = "admin token";

#[derive(Template)]
#[template(path = "enter.html", config = "src/http/console/askama.toml")]
struct EnterPage {
    root: String,
    next: String,
    fault: Option<String>,
    /// Whether the browser is sent on at once: it has come from another site, and sends its cookie only when one of our pages asks.
    comes_back: bool,
}

/// Asks a person who is signed in already whether they mean to sign in as another person. Otherwise the sender of a link could have them work in a
/// session that is not theirs.
#[derive(Template)]
#[template(path = "enter_instead.html", config = "src/http/console/askama.toml")]
struct InsteadPage {
    root: String,
    next: String,
    who: String,
    token: String,
    csrf: String,
}

/// Sends a person who is not signed in to where they can sign in, and back afterwards.
pub(super) fn ask_to_sign_in(request: &Request) -> Response {
    let root = way_to_root(&request.path);
    if !permission::is_read(&request.method) {
        return see_other(&root, "admin/enter");
    }
    // The path came as it is in the request line: nothing in it needs to be encoded once more but what ends a parameter.
    let next = request.path.trim_start_matches('/').replace('%', "%25").replace('&', "%26").replace('+', "%2B");
    let from_elsewhere = request.headers.get("sec-fetch-site") == Some("cross-site");
    see_other(&root, &format!("admin/enter?next={next}{}", if from_elsewhere { "&back=1" } else { "" }))
}

pub(super) fn call(state: &Arc<AppState>, request: Request, reply: Reply) {
    match &request.method {
        Method::Get | Method::Head => reply.send(shown(&request)),
        Method::Post => enter(state, request, reply),
        _ => {
            let problem = respond::problem(405, "this path takes GET, HEAD, POST", &request.id, serde_json::Map::new());
            reply.send(with_headers(problem.with_header("Allow", "GET, HEAD, POST")));
        }
    }
}

fn shown(request: &Request) -> Response {
    let parameter = |name: &str| {
        let form = Form::of(&Request { body: request.query.clone().into_bytes(), ..request.clone() });
        form.map(|form| form.get(name).to_owned()).unwrap_or_default()
    };
    let next = checked_next(&parameter("next"));
    let comes_back = parameter("back") == "1" && !next.is_empty();
    enter_page(200, request, next, None, comes_back)
}

fn enter_page(status: u16, request: &Request, next: String, fault: Option<String>, comes_back: bool) -> Response {
    let template = EnterPage { root: way_to_root(&request.path), next, fault, comes_back };
    page(status, &template).unwrap_or_else(|error| respond::failure(&error, &request.id))
}

/// A page of the console, without a slash in front; empty for anything else, so that no person is sent to another site.
fn checked_next(next: &str) -> String {
    let path = format!("/{next}");
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>?#".contains(&byte));
    if super::owns(&path) && is_plain && !next.contains("//") && !next.contains("..") {
        next.to_owned()
    } else {
        String::new()
    }
}

/// Lets a person in, or says why not.
fn enter(state: &Arc<AppState>, request: Request, reply: Reply) {
    let form = match admitted(state, &request) {
        Ok(form) => form,
        Err(error) => return reply.send(refused(&request, &error, String::new())),
    };
    let next = checked_next(form.get("next"));
    let given = form.get("token").trim();
    let replaced = match replaced(state, &request, &form) {
        Ok(Replaced::NoSession) => None,
        Ok(Replaced::Session(session)) => Some(*session),
        Ok(Replaced::Ask(signed_in)) => {
            let SignedIn { session, csrf } = *signed_in;
            let who = who(&session.label, session.role);
            let page_of = InsteadPage { root: way_to_root(&request.path), next, who, token: given.to_owned(), csrf };
            return reply.send(page(200, &page_of).unwrap_or_else(|error| respond::failure(&error, &request.id)));
        }
        Err(error) => return reply.send(refused(&request, &error, next)),
    };
    if let Err(error) = state.sign_ins.admit(request.client, state.app.clock.uptime()) {
        return reply.send(refused(&request, &error, next));
    }
    // Who pastes the whole link means what is behind its `#`.
    let token = given.rsplit('#').next().unwrap_or_default().to_owned();
    let admin_token = state.admin_tokens.as_ref().and_then(|tokens| tokens.digest_of(given));
    let (now, entropy, hasher) = (state.app.clock.now(), state.app.entropy.clone(), state.app.hasher.clone());
    let at_work = state.clone();
    state.app.db.write_then(
        move |tx| {
            let invitation = if admin_token.is_some() {
                Some(Invitation { role: Role::Operator, store: None, label: TOKEN_LABEL.to_owned() })
            } else {
                links::take(tx, now, TokenDigest::of(&token))?
            };
            let Some(invitation) = invitation else { return Ok(None) };
            if let Some(session) = replaced {
                sessions::end(tx, session.id)?;
                let entry = entry(tx, &hasher, "session.end", session.id, session.store)?;
                audit::record(tx, now, entropy.as_ref(), &session.actor(), &entry)?;
            }
            let begun = sessions::begin(tx, now, entropy.as_ref(), &invitation, admin_token)?;
            let entry = entry(tx, &hasher, "session.begin", begun.id, invitation.store)?;
            audit::record(tx, now, entropy.as_ref(), &begun.actor, &entry)?;
            Ok(Some(begun.token))
        },
        move |outcome: Result<_>| {
            let outcome = outcome.and_then(|begun| {
                let gone =
                    "this link or token is not valid: a link is good once and only for a while, ask for a new one";
                let token = begun.ok_or_else(|| Error::new(Kind::Unauthorized, gone))?;
                cookie(&at_work, &request, &token)
            });
            reply.send(match outcome {
                Ok(cookie) => {
                    at_work.sign_ins.remember(request.client);
                    let next = if next.is_empty() { ROOT.trim_start_matches('/') } else { &next };
                    see_other(&way_to_root(&request.path), next).with_header("Set-Cookie", cookie)
                }
                Err(error) => refused(&request, &error, next),
            });
        },
    );
}

/// Everything that can be said no to before a link is used up.
fn admitted(state: &AppState, request: &Request) -> Result<Form> {
    check_origin(state, request)?;
    cookie_name(state, request)?;
    Form::of(request)
}

/// Which session of the same browser a sign-in ends.
enum Replaced {
    /// None: the browser is not signed in.
    NoSession,
    /// This one: the person has confirmed it.
    Session(Box<Session>),
    /// Unknown: the person must be asked first.
    Ask(Box<SignedIn>),
}

fn replaced(state: &AppState, request: &Request, form: &Form) -> Result<Replaced> {
    let Some(signed_in) = session::find(state, request)? else { return Ok(Replaced::NoSession) };
    if !form.has("instead") {
        return Ok(Replaced::Ask(Box::new(signed_in)));
    }
    check_write(state, request, &signed_in, Some(form.get("csrf")))?;
    Ok(Replaced::Session(Box::new(signed_in.session)))
}

/// What the audit log says of a session; of a merchant's also of which store it is.
fn entry(
    connection: &Connection,
    hasher: &KeyedHasher,
    action: &'static str,
    id: SessionId,
    store: Option<StoreId>,
) -> Result<Entry> {
    let entry = Entry::new(action).object(id);
    let store = store.map(|store| stores::find_by_id(connection, store)).transpose()?.flatten();
    Ok(match store {
        Some(store) => entry.of_store(subject_hash(hasher, &store.shop)),
        None => entry,
    })
}

/// The page again, with the reason.
fn refused(request: &Request, error: &Error, next: String) -> Response {
    let failure = respond::failure(error, &request.id);
    if error.kind() == Kind::Internal {
        return failure;
    }
    let page = enter_page(failure.status, request, next, Some(sentence(&error.to_string())), false);
    let kept = failure.headers.into_iter().filter(|(name, _)| *name == "Retry-After");
    kept.fold(page, |page, (name, value)| page.with_header(name, value))
}

/// Ends the session of who asks.
pub(super) fn sign_out(state: &Arc<AppState>, visit: Visit, responder: Responder) {
    if visit.request.method != Method::Post {
        return responder.send(Ok(visit.see_other("admin")));
    }
    if let Err(error) = super::check_form(state, &visit) {
        return responder.send(Err(error));
    }
    let id = visit.session.id;
    let mut entry = Entry::new("session.end").object(id);
    if let Some(shop) = &visit.merchants_shop {
        entry = entry.of_store(subject_hash(&state.app.hasher, shop));
    }
    let responder = responder.recorded_as(state.record(visit.session.actor(), entry));
    let ending = Deferred::commit(
        move |tx| Ok(sessions::end(tx, id)?),
        move |_ended| {
            let away = with_headers(Response::empty(303).with_header("Location", format!("{}admin/enter", visit.root)));
            without_cookie().into_iter().fold(away, |away, cookie| away.with_header("Set-Cookie", cookie))
        },
    );
    ending.begin(state, responder);
}
