//! The table of every surface: method, path, handler. A surface is a file with a `ROUTES` list and a line in `SURFACES`; the admin
//! API, which is many files, lists its own (`admin/mod.rs`).
//!
//! The first pattern that matches decides, and the lines of a path are those with its pattern, so literal segments go before
//! parameters. HEAD is answered wherever GET is.
//!
//! What is below `/api/` is for scripts of other sites: every response there, whichever part gives it, carries what browsers ask for
//! (`guard/cors.rs`).

use super::guard::{self, bearer, cors};
use super::respond::{self, Responder};
use super::route::{Params, Route, RouteHandler, match_path, matches};
use super::state::AppState;
use super::{
    Method, Reply, Request, Service, admin, console, openapi, ops, pages, proxy, storefront, webhooks, widget,
};
use crate::error::{Error, Kind};
use crate::languages::Language;
use log::error;
use serde_json::Map;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

/// Fields that say who asks, and from where: of two, a proxy before us may have checked the other. Others that must not be given twice
/// are looked at where they are read.
const ONE_OF_EACH: [&str; 2] = ["x-api-key", "origin"];

/// Every surface but the admin API.
const SURFACES: &[&[Route]] =
    &[storefront::ROUTES, webhooks::ROUTES, pages::ROUTES, widget::ROUTES, ops::ROUTES, openapi::ROUTES];

/// The table's lines.
fn routes() -> impl Iterator<Item = &'static Route> {
    SURFACES.iter().chain(admin::SURFACES).copied().flatten()
}

/// Answers requests by the table.
#[derive(Debug, Clone)]
pub struct Router(Arc<AppState>);

impl Router {
    /// The router of `state`.
    pub fn new(state: Arc<AppState>) -> Self {
        Self(state)
    }

    /// What handlers work on.
    pub fn state(&self) -> &Arc<AppState> {
        &self.0
    }
}

impl Service for Router {
    fn call(&self, mut request: Request, reply: Reply) {
        with_one_slash(&mut request.path);
        let id = request.id.clone();
        let state = &self.0;
        if console::owns(&request.path) {
            // As below: a panic answers 500 and ends no thread.
            if catch_unwind(AssertUnwindSafe(|| console::call(state, request, reply))).is_err() {
                error!("request handler panicked id={id}");
            }
            return;
        }
        let is_proxied = proxy::owns(&request.path);
        let is_open = !cors::applies(&request.path) && !admin::owns(&request.path) && !is_proxied;
        let mut actor = None;
        let reply = if cors::applies(&request.path) {
            if let Some(name) = ONE_OF_EACH.into_iter().find(|name| request.headers.all(name).nth(1).is_some()) {
                let error = Error::new(Kind::Malformed, format!("the header {name} is given twice"));
                return for_other_sites(reply, &request).send(respond::failure(&error, &id));
            }
            if request.method == Method::Options {
                return reply.send(cors::mark(cors::preflight(), methods(&request.path)));
            }
            for_other_sites(reply, &request)
        } else if proxy::owns(&request.path) {
            for_shoppers(reply, guard::language_for(&request, None))
        } else if admin::owns(&request.path) {
            let reply = admin::for_operators(reply);
            match admin::caller(state, &request) {
                Ok(caller) => actor = Some(caller),
                Err(error) => return reply.send(bearer::refusal(&error, &id)),
            }
            reply
        } else {
            reply
        };
        // Who asks without a signature learns nothing, not even that nothing is there; where something is, its handler looks.
        let is_unknown = || !matches!(find(routes(), &request.method, &request.path), Found::Route(..));
        if is_proxied
            && is_unknown()
            && let Err(error) = proxy::authenticate(&state.app, &state.secrets, &request)
        {
            return reply.send(respond::failure(&error, &id));
        }
        // The reply answers 500 by itself when a panic drops it; the handler's thread has other requests to see to.
        let answered = catch_unwind(AssertUnwindSafe(|| match find(routes(), &request.method, &request.path) {
            Found::Route(route, params) => {
                let mut responder = Responder::new(reply, request.id.clone());
                if let Some(actor) = actor {
                    responder = match admin::permitted(state, actor, &request, route, &params, responder) {
                        Some(responder) => responder,
                        None => return,
                    };
                }
                match route.handler {
                    RouteHandler::Now(handler) => responder.send(handler(state, &request, &params)),
                    RouteHandler::Deferred(handler) => match handler(state, &request, &params) {
                        Ok(deferred) => deferred.begin(state, responder),
                        Err(error) => responder.send(Err(error)),
                    },
                    RouteHandler::Later(handler) => handler(state, request, params, responder),
                }
            }
            Found::OtherMethods(allow) => {
                let detail = format!("this path takes {allow}");
                reply.send(respond::problem(405, &detail, &request.id, Map::new()).with_header("Allow", allow));
            }
            // What is below /api/ and /admin/api/ is for programs, whoever asks.
            Found::Nothing if is_open && pages::is_for_a_person(&request) => {
                let page = pages::unknown_path_page(&request);
                Responder::new(reply, request.id).send(page);
            }
            Found::Nothing => reply.send(respond::failure(&Error::not_found("path"), &request.id)),
        }));
        if answered.is_err() {
            error!("request handler panicked id={id}");
        }
    }

    fn route_of(&self, _method: &Method, path: &str) -> &'static str {
        if console::owns(path) {
            return console::pattern_of(path).unwrap_or("none");
        }
        routes().find(|route| matches(route.pattern, path)).map_or("none", |route| route.pattern)
    }

    fn redact_path(&self, path: &str) -> String {
        loggable(path)
    }
}

/// Hides what follows `/q/` and `/proxy/`, wherever it is: a proxy may put something before it, and a person something after it.
/// Behind the one is a token, behind the other what a shopper does in a shop.
fn loggable(path: &str) -> String {
    let secrets = [pages::TOKENS_BELOW, proxy::BELOW].into_iter();
    match secrets.filter_map(|below| Some(path.find(below)? + below.len())).min() {
        Some(end) => format!("{}***", &path[..end]),
        None => path.to_owned(),
    }
}

/// A reply to shoppers that pages of other sites may read, also the one that it gives by itself when it is dropped.
fn for_other_sites(reply: Reply, request: &Request) -> Reply {
    let (methods, reply) = (methods(&request.path), for_shoppers(reply, guard::language_for(request, None)));
    Reply::new(move |response| reply.send(cors::mark(response, methods)))
}

/// A reply to a shopper, in their language. No cache on the way may keep it: a price is for now, and so is that there is none.
fn for_shoppers(reply: Reply, language: Language) -> Reply {
    Reply::new(move |response| {
        let response = respond::for_shoppers(respond::in_language(response, language));
        reply.send(response.with_header("Cache-Control", "no-store"));
    })
}

/// `//api/…` as `/api/…`: shops write their server's address with a slash at its end, and widgets put another one behind it.
fn with_one_slash(path: &mut String) {
    let rest = path.trim_start_matches('/').len();
    if path.len() > rest + 1 && cors::applies(&path[path.len() - rest - 1..]) {
        path.drain(..path.len() - rest - 1);
    }
}

/// Method and pattern of every line, for those who compare the table with something.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    routes().map(|route| (route.method.as_str(), route.pattern))
}

/// The methods of a path as a preflight gets them; HEAD is always allowed and not listed. A path that is not there takes any of
/// ours, so that its 404 can be read.
fn methods(path: &str) -> &'static str {
    /// The patterns below `/api/` in their order, each once, with the methods of its lines.
    static LISTED: LazyLock<Vec<(&'static str, String)>> = LazyLock::new(|| {
        let mut listed: Vec<(&str, String)> = Vec::new();
        for route in routes().filter(|route| cors::applies(route.pattern)) {
            let place = listed.iter().position(|(pattern, _)| *pattern == route.pattern).unwrap_or(listed.len());
            if place == listed.len() {
                listed.push((route.pattern, String::new()));
            }
            listed[place].1 += &format!("{}, ", route.method.as_str());
        }
        listed.into_iter().map(|(pattern, methods)| (pattern, methods + Method::Options.as_str())).collect()
    });
    let listed = LISTED.iter().find(|(pattern, _)| matches(pattern, path));
    listed.map_or("GET, POST, OPTIONS", |(_, methods)| methods)
}

/// What the table says about a request.
enum Found<'a> {
    Route(&'a Route, Params),
    OtherMethods(String),
    Nothing,
}

fn find<'a>(routes: impl Iterator<Item = &'a Route>, method: &Method, path: &str) -> Found<'a> {
    let as_method = if *method == Method::Head { &Method::Get } else { method };
    let mut allow: Vec<&str> = Vec::new();
    let mut decided = None;
    for route in routes {
        if decided.is_some_and(|pattern| pattern != route.pattern) {
            continue;
        }
        let Some(params) = match_path(route.pattern, path) else { continue };
        decided = Some(route.pattern);
        if route.method == *as_method {
            return Found::Route(route, params);
        }
        allow.push(route.method.as_str());
        if route.method == Method::Get {
            allow.push(Method::Head.as_str());
        }
    }
    if !allow.is_empty() && cors::applies(path) {
        allow.push(Method::Options.as_str());
    }
    allow.sort_unstable();
    allow.dedup();
    if allow.is_empty() { Found::Nothing } else { Found::OtherMethods(allow.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::http::Response;

    #[test]
    fn every_write_of_the_admin_api_and_nothing_else_is_recorded_in_the_audit_log() {
        for route in routes() {
            let is_admin_write = admin::owns(route.pattern) && route.method != Method::Get;
            assert_eq!(route.action.is_some(), is_admin_write, "{} {}", route.method.as_str(), route.pattern);
        }
    }

    /// What the console does and the admin API has no route for.
    const OF_THE_CONSOLE_ALONE: [&str; 3] = ["order.retry", "backup.create", "chain.verify"];

    #[test]
    fn a_write_of_the_console_is_called_as_the_same_write_of_the_admin_api() {
        let of_the_api: Vec<&str> = routes().filter_map(|route| route.action).collect();
        for (pattern, action) in console::writes() {
            let is_known = of_the_api.contains(&action) || OF_THE_CONSOLE_ALONE.contains(&action);
            assert!(is_known, "{pattern}: {action}");
        }
    }

    #[test]
    fn a_preflight_is_told_the_methods_of_the_path() {
        assert_eq!(methods("/api/v1/products/gid://shopify/Product/1/price"), "GET, OPTIONS");
        assert_eq!(methods("/api/v1/nothing"), "GET, POST, OPTIONS");
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        fn handler(_: &Arc<AppState>, _: &Request, _: &Params) -> Result<Response> {
            Ok(Response::empty(204))
        }
        let routes = [Route::now(Method::Get, "/a/{id}", handler), Route::now(Method::Put, "/a/{id}", handler)];
        let allow = |method: &str, path: &str| match find(routes.iter(), &Method::from(method), path) {
            Found::Route(..) => "found".to_owned(),
            Found::OtherMethods(allow) => allow,
            Found::Nothing => "nothing".to_owned(),
        };
        assert_eq!(allow("HEAD", "/a/1"), "found");
        assert_eq!(allow("PUT", "/a/1"), "found");
        assert_eq!(allow("DELETE", "/a/1"), "GET, HEAD, PUT");
        assert_eq!(allow("put", "/a/1"), "GET, HEAD, PUT");
        assert_eq!(allow("GET", "/b"), "nothing");
        // A more general pattern has no say in it.
        let routes = [
            Route::now(Method::Post, "/a/run", handler),
            Route::now(Method::Get, "/a/{id}", handler),
            Route::now(Method::Put, "/a/run", handler),
        ];
        let allow = |method: &str| match find(routes.iter(), &Method::from(method), "/a/run") {
            Found::Route(..) => "found".to_owned(),
            Found::OtherMethods(allow) => allow,
            Found::Nothing => "nothing".to_owned(),
        };
        assert_eq!((allow("POST"), allow("PUT")), ("found".to_owned(), "found".to_owned()));
        assert_eq!(allow("GET"), "POST, PUT");
    }

    #[test]
    fn pages_can_read_that_a_handler_panicked() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let reply = Reply::new(move |response: Response| sender.send(response).expect("awaited"));
        let request = Request {
            method: Method::Get,
            path: "/api/v1/products/1/price".to_owned(),
            query: String::new(),
            headers: crate::http::Headers::default(),
            body: Vec::new(),
            client: [127, 0, 0, 1].into(),
            id: String::new(),
        };
        drop(for_other_sites(reply, &request));
        let response = receiver.recv().expect("answered");
        assert_eq!((response.status, response.header("access-control-allow-origin")), (500, Some("*")));
        assert_eq!(response.header("access-control-allow-methods"), Some("GET, OPTIONS"));
    }

    #[test]
    fn slashes_are_merged_before_what_pages_of_other_sites_ask_and_nowhere_else() {
        for (path, expected) in [
            ("//api/v1/x", "/api/v1/x"),
            ("///api", "/api"),
            ("/api//v1/x", "/api//v1/x"),
            ("//admin/api/x", "//admin/api/x"),
            ("//apis", "//apis"),
            ("//", "//"),
            ("/", "/"),
            ("*", "*"),
        ] {
            let mut path = path.to_owned();
            with_one_slash(&mut path);
            assert_eq!(path, expected);
        }
    }

    #[test]
    fn logs_show_no_token_and_nothing_of_a_shopper() {
        for (path, shown) in [
            ("/q/0123", "/q/***"),
            ("/q/0123/", "/q/***"),
            ("/quotes//q/0123?x", "/quotes//q/***"),
            ("/q/", "/q/***"),
            ("/proxy/products/1/price", "/proxy/***"),
            ("//proxy/q/0123", "//proxy/***"),
            ("/q/0123/proxy/1", "/q/***"),
            ("/healthz", "/healthz"),
        ] {
            assert_eq!(loggable(path), shown);
        }
    }
}
