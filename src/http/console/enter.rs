//! `/admin/enter`: the way in, by a link's token or the admin token, and `/admin/sign-out`.

use super::form::Form;
use super::layout::{page, sentence, with_headers};
use super::{ROOT, Visit, see_other, way_to_root};
use crate::access::audit::{self, Entry};
use crate::access::links::{self, Invitation};
use crate::access::sessions;
use crate::access::{Actor, Role, TokenDigest};
use crate::error::{Error, Kind, Result};
use crate::http::deferred::Deferred;
use crate::http::respond::{self, Responder};
use crate::http::session::{check_origin, cookie, cookie_name, without_cookie};
use crate::http::state::AppState;
use crate::http::{Method, Reply, Request, Response, permission};
use askama::Template;
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
            reply.send(problem.with_header("Allow", "GET, HEAD, POST"));
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
    // Who pastes the whole link means what is behind its `#`.
    let token = given.rsplit('#').next().unwrap_or_default().to_owned();
    let bears_admin_token = state.admin_tokens.as_ref().is_some_and(|tokens| tokens.contain(given));
    let (now, entropy) = (state.app.clock.now(), state.app.entropy.clone());
    let at_work = state.clone();
    state.app.db.write_then(
        move |tx| {
            let invitation = if bears_admin_token {
                Some(Invitation { role: Role::Operator, store: None, label: TOKEN_LABEL.to_owned() })
            } else {
                links::take(tx, now, TokenDigest::of(&token))?
            };
            let Some(invitation) = invitation else { return Ok(None) };
            let begun = sessions::begin(tx, now, entropy.as_ref(), &invitation)?;
            let actor = Actor { role: invitation.role, store: invitation.store, name: invitation.label };
            audit::record(tx, now, entropy.as_ref(), &actor, &Entry::new("session.begin"))?;
            Ok(Some(begun))
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
    let form = Form::of(request)?;
    state.sign_ins.admit(request.client, state.app.clock.uptime())?;
    Ok(form)
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
    let responder = responder.recorded_as(state.record(visit.session.actor(), Entry::new("session.end")));
    let ending = Deferred::commit(
        move |tx| Ok(sessions::end(tx, id)?),
        move |_ended| {
            let away = with_headers(Response::empty(303).with_header("Location", format!("{}admin/enter", visit.root)));
            without_cookie().into_iter().fold(away, |away, cookie| away.with_header("Set-Cookie", cookie))
        },
    );
    ending.begin(state, responder);
}
