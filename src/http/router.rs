//! The table of every surface: method, path, handler. A surface is a file with a `ROUTES` list and a line in `SURFACES`.
//!
//! A path pattern has literal segments, `{name}` for one segment, and once `{*name}` for any number of them: product ids have
//! slashes, and storefronts send them as they are. The first pattern that matches decides, and the lines of a path are those with its
//! pattern, so literal segments go before parameters. HEAD is answered wherever GET is.
//!
//! What is below `/api/` is for scripts of other sites: every answer there, whoever gives it, carries what browsers ask for
//! (`guard/cors.rs`).

use super::admin;
use super::guard::bearer::{self, BearerTokens, Guesses};
use super::guard::{self, Guard, cors};
use super::ops::Readiness;
use super::respond::{self, Responder};
use super::{Method, Reply, Request, Response, Service, openapi, ops, pages, proxy, storefront, webhooks, widget};
use crate::app::App;
use crate::clock::ManualClock;
use crate::config::{LISTEN, Operator, Secret};
use crate::demo::DemoStore;
use crate::error::{Error, Kind, Result};
use crate::intake::Intake;
use crate::languages::Language;
use crate::metrics::Metrics;
use crate::orders::Orders;
use crate::shopify::Secrets;
use log::error;
use serde_json::Map;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

/// Fields that say who asks, and from where: of two, a proxy before us may have checked the other. Others that must not be given twice
/// are looked at where they are read.
const ONE_OF_EACH: [&str; 2] = ["x-api-key", "origin"];

/// Every surface.
const SURFACES: &[&[Route]] = &[
    storefront::ROUTES,
    webhooks::ROUTES,
    pages::ROUTES,
    widget::ROUTES,
    ops::ROUTES,
    openapi::ROUTES,
    admin::jobs::ROUTES,
    admin::gdpr::ROUTES,
    admin::stores::ROUTES,
    admin::keys::ROUTES,
    admin::store_settings::ROUTES,
    admin::matrices::PRICE_LIST_ROUTES,
    admin::matrices::ROUTES,
    admin::matrices::ADJUST_ROUTES,
    admin::products::ROUTES,
    admin::options::ROUTES,
    admin::orders::ROUTES,
    admin::clock::ROUTES,
];

/// What handlers work on.
#[derive(Debug)]
pub struct AppState {
    /// The database, the queue, the clock.
    pub app: Arc<App>,
    /// The way in for webhooks.
    pub intake: Intake,
    /// The way in for orders.
    pub orders: Orders,
    /// How people reach this server from outside; where it listens until that is known.
    public_url: OnceLock<String>,
    /// Who runs this server, for the privacy page.
    pub operator: Operator,
    /// The app's client secrets.
    pub secrets: Secrets,
    /// How many webhooks were refused, and why.
    pub refusals: webhooks::Refusals,
    /// The figures that /metrics shows.
    pub metrics: Arc<Metrics>,
    /// What whoever asks for the figures may bear alongside the admin tokens.
    pub metrics_tokens: Option<BearerTokens>,
    /// The storefront's keys and limits.
    pub guard: Guard,
    /// What callers of the admin API must bear; without one there is no admin API.
    pub admin_tokens: Option<BearerTokens>,
    /// How often somebody may guess one.
    pub guesses: Guesses,
    /// Whether the server can do its work, as it was found last.
    pub(super) readiness: Arc<Readiness>,
    /// The demo store, where there is one: its page shows it to anybody.
    pub demo: Option<DemoStore>,
    /// The clock, where it stands still until it is told to move.
    pub frozen_clock: Option<Arc<ManualClock>>,
    /// The quotegrid binary that scans the files for leftovers; this process's own where unset.
    pub program: Option<PathBuf>,
    /// Calls that run on threads of their own now.
    pub(super) long_calls: Arc<AtomicUsize>,
}

impl AppState {
    /// The site of `app`, for webhooks signed with one of `secrets`.
    pub fn new(app: Arc<App>, secrets: Secrets) -> Self {
        let (intake, orders) = (Intake::new(&app), app.orders());
        Self {
            app,
            intake,
            orders,
            public_url: OnceLock::new(),
            operator: Operator::default(),
            secrets,
            refusals: webhooks::Refusals::default(),
            metrics: Arc::default(),
            metrics_tokens: None,
            guard: Guard::default(),
            admin_tokens: None,
            guesses: Guesses::default(),
            readiness: Arc::default(),
            demo: None,
            frozen_clock: None,
            program: None,
            long_calls: Arc::default(),
        }
    }

    /// The same with another limit of storefront requests; see [`Guard::new`].
    #[must_use]
    pub fn with_rate_limit(self, rate_limit: u32) -> Self {
        Self { guard: Guard::new(rate_limit), ..self }
    }

    /// The same with another limit of orders; see [`Guard::with_order_limit`].
    #[must_use]
    pub fn with_order_limit(self, order_limit: u32) -> Self {
        Self { guard: self.guard.with_order_limit(order_limit), ..self }
    }

    /// The same site, run by `operator`.
    #[must_use]
    pub fn with_operator(mut self, operator: Operator) -> Self {
        self.operator = operator;
        self
    }

    /// Says how people reach this server, without a slash at the end. The first word counts.
    pub fn set_public_url(&self, url: impl Into<String>) {
        let _known_already = self.public_url.set(url.into());
    }

    /// How people reach this server, without a slash at the end.
    pub fn public_url(&self) -> String {
        self.public_url.get().cloned().unwrap_or_else(|| format!("http://{LISTEN}"))
    }

    /// The same site with an admin API for those who bear `token`, or one of several with commas between them.
    #[must_use]
    pub fn with_admin_token(mut self, token: &Secret) -> Self {
        self.admin_tokens = Some(BearerTokens::new(token));
        self
    }

    /// The same site, showing these figures.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// The same site with a token of its own for /metrics, so that whoever scrapes it cannot do anything else.
    #[must_use]
    pub fn with_metrics_token(mut self, token: &Secret) -> Self {
        self.metrics_tokens = Some(BearerTokens::new(token));
        self
    }

    /// The same state with a page that shows the demo store.
    #[must_use]
    pub fn with_demo(self, demo: Option<DemoStore>) -> Self {
        Self { demo, ..self }
    }

    /// The same site whose app was opened with this clock, to be moved through the admin API.
    #[must_use]
    pub fn with_frozen_clock(mut self, clock: Arc<ManualClock>) -> Self {
        self.frozen_clock = Some(clock);
        self
    }
}

/// How a route answers.
#[derive(Clone, Copy)]
pub(super) enum RouteHandler {
    /// At once.
    Now(fn(&Arc<AppState>, &Request, &Params) -> Result<Response>),
    /// Later, from another thread: whatever has to wait for a commit.
    Later(fn(&Arc<AppState>, Request, Params, Responder)),
}

/// A line of the table.
pub(super) struct Route {
    method: Method,
    pattern: &'static str,
    handler: RouteHandler,
}

impl Route {
    pub(super) const fn now(
        method: Method,
        pattern: &'static str,
        handler: fn(&Arc<AppState>, &Request, &Params) -> Result<Response>,
    ) -> Self {
        Self { method, pattern, handler: RouteHandler::Now(handler) }
    }

    pub(super) const fn later(
        method: Method,
        pattern: &'static str,
        handler: fn(&Arc<AppState>, Request, Params, Responder),
    ) -> Self {
        Self { method, pattern, handler: RouteHandler::Later(handler) }
    }
}

/// The values of a pattern's parameters, percent-decoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(&'static str, String)>);

impl Params {
    /// The value of the parameter `name`; empty when the pattern has none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }

    /// The value of the parameter `name` as an id or the like. What cannot be one does not exist.
    ///
    /// # Errors
    /// `NotFound`, naming `thing`.
    pub fn parse<T: FromStr>(&self, name: &str, thing: &str) -> Result<T> {
        self.get(name).parse().map_err(|_unreadable| Error::not_found(thing))
    }
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
        let is_proxied = proxy::owns(&request.path);
        let is_open = !cors::applies(&request.path) && !admin::owns(&request.path) && !is_proxied;
        let reply = if cors::applies(&request.path) {
            if let Some(name) = ONE_OF_EACH.into_iter().find(|name| request.headers.all(name).nth(1).is_some()) {
                let error = Error::new(Kind::Malformed, format!("the header {name} is given twice"));
                return for_other_sites(reply, &request).send(respond::failure(&error, &id));
            }
            if request.method == Method::Options {
                return reply.send(cors::mark(cors::preflight(), &request.path));
            }
            for_other_sites(reply, &request)
        } else if proxy::owns(&request.path) {
            for_shoppers(reply, guard::language_for(&request, None))
        } else if admin::owns(&request.path) {
            let reply = admin::no_store(reply);
            if let Err(error) = admin::guard(state, &request) {
                return reply.send(bearer::refusal(&error, &id));
            }
            reply
        } else {
            reply
        };
        // Who asks without a signature learns nothing, not even that nothing is there; where something is, its handler looks.
        let is_unknown = || !matches!(find(SURFACES, &request.method, &request.path), Found::Route(..));
        if is_proxied
            && is_unknown()
            && let Err(error) = proxy::authenticate(state, &request)
        {
            return reply.send(respond::failure(&error, &id));
        }
        // The reply answers 500 by itself when a panic drops it; the handler's thread has other requests to see to.
        let answered = catch_unwind(AssertUnwindSafe(|| match find(SURFACES, &request.method, &request.path) {
            Found::Route(RouteHandler::Now(handler), params) => {
                let outcome = handler(state, &request, &params);
                Responder::new(reply, request.id).send(outcome);
            }
            Found::Route(RouteHandler::Later(handler), params) => {
                let responder = Responder::new(reply, request.id.clone());
                handler(state, request, params, responder);
            }
            Found::OtherMethods(allow) => {
                let detail = format!("this path takes {allow}");
                reply.send(respond::problem(405, &detail, &request.id, Map::new()).with_header("Allow", allow));
            }
            // What is below /api/ and /admin/api/ is for programs, whoever asks.
            Found::Nothing if is_open && pages::is_for_a_person(&request) => {
                Responder::new(reply, request.id).send(pages::unknown_path_page());
            }
            Found::Nothing => reply.send(respond::failure(&Error::not_found("path"), &request.id)),
        }));
        if answered.is_err() {
            error!("request handler panicked id={id}");
        }
    }

    fn route_of(&self, _method: &Method, path: &str) -> &'static str {
        let mut routes = SURFACES.iter().copied().flatten();
        routes.find(|route| match_path(route.pattern, path).is_some()).map_or("none", |route| route.pattern)
    }

    fn redact_path(&self, path: &str) -> String {
        without_tokens(path)
    }
}

/// Hides what follows `/q/`, wherever it stands: a proxy may put something before it, and a person something after it.
fn without_tokens(path: &str) -> String {
    match path.find(pages::TOKENS_BELOW) {
        Some(at) => format!("{}***", &path[..at + pages::TOKENS_BELOW.len()]),
        None => path.to_owned(),
    }
}

/// A reply to shoppers that pages of other sites may read, also the one that it gives by itself when it is dropped.
fn for_other_sites(reply: Reply, request: &Request) -> Reply {
    let (path, reply) = (request.path.clone(), for_shoppers(reply, guard::language_for(request, None)));
    Reply::new(move |response| reply.send(cors::mark(response, &path)))
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
    SURFACES.iter().copied().flatten().map(|route| (route.method.as_str(), route.pattern))
}

/// The methods that the table has for `path`, which is below `/api/`.
pub(super) fn methods_of(path: &str) -> impl Iterator<Item = &'static str> {
    let below = SURFACES.iter().copied().flatten().filter(|route| cors::applies(route.pattern));
    let mut matching = below.filter(|route| match_path(route.pattern, path).is_some()).peekable();
    let decided = matching.peek().map(|route| route.pattern);
    matching.filter(move |route| decided == Some(route.pattern)).map(|route| route.method.as_str())
}

/// What the table says about a request.
enum Found {
    Route(RouteHandler, Params),
    OtherMethods(String),
    Nothing,
}

fn find(surfaces: &[&[Route]], method: &Method, path: &str) -> Found {
    let as_method = if *method == Method::Head { &Method::Get } else { method };
    let mut allow: Vec<&str> = Vec::new();
    let mut decided = None;
    for route in surfaces.iter().copied().flatten() {
        if decided.is_some_and(|pattern| pattern != route.pattern) {
            continue;
        }
        let Some(params) = match_path(route.pattern, path) else { continue };
        decided = Some(route.pattern);
        if route.method == *as_method {
            return Found::Route(route.handler, params);
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

/// The parameters of `path` where it matches `pattern`.
fn match_path(pattern: &'static str, path: &str) -> Option<Params> {
    // Most lines have no parameter, and a look at the whole text settles them.
    if !pattern.contains('{') {
        return (pattern == path).then(Params::default);
    }
    let mut params = Params::default();
    let mut rest = Some(path.strip_prefix('/')?);
    let mut segments = pattern.trim_start_matches('/').split('/');
    while let Some(segment) = segments.next() {
        let unmatched = rest?;
        if let Some(name) = parameter(segment).and_then(|name| name.strip_prefix('*')) {
            // It takes what the segments after it leave over.
            let (taken, after) = split_before_last(unmatched, segments.clone().count())?;
            // What cannot be decoded is kept as it is: the handler knows what to say about it, and to whom.
            params.0.push((name, percent_decoded(taken).unwrap_or_else(|| taken.to_owned())));
            rest = after;
            continue;
        }
        let (found, after) = match unmatched.split_once('/') {
            Some((found, after)) => (found, Some(after)),
            None => (unmatched, None),
        };
        match parameter(segment) {
            Some(_) if found.is_empty() => return None,
            Some(name) => params.0.push((name, percent_decoded(found)?)),
            None if found == segment => {}
            None => return None,
        }
        rest = after;
    }
    rest.is_none().then_some(params)
}

/// The name in `{name}`.
fn parameter(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'))
}

/// `path` without its last `count` segments, and those.
fn split_before_last(path: &str, count: usize) -> Option<(&str, Option<&str>)> {
    match count.checked_sub(1) {
        None => Some((path, None)),
        Some(before) => {
            let (slash, _) = path.rmatch_indices('/').nth(before)?;
            Some((&path[..slash], Some(&path[slash + 1..])))
        }
    }
}

/// `text` with its `%XX` decoded, where that is UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pattern: &'static str, path: &str) -> Option<Vec<String>> {
        match_path(pattern, path).map(|params| params.0.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn patterns_match_whole_paths_and_yield_their_parameters() {
        let none: Option<Vec<String>> = Some(Vec::new());
        let values = |values: &[&str]| Some(values.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(params("/healthz", "/healthz"), none);
        for path in ["/healthz/", "/Healthz", "healthz", "/health", "/", ""] {
            assert_eq!(params("/healthz", path), None, "{path}");
        }
        assert_eq!(params("/stores/{shop}/matrices/{id}", "/stores/a.b/matrices/7"), values(&["a.b", "7"]));
        assert_eq!(params("/stores/{shop}", "/stores/gid:%2F%2Fx%C3%A4"), values(&["gid://xä"]));
        for path in ["/stores/", "/stores", "/stores/a/", "/stores/a/b", "/stores/%zz", "/stores/%f", "/stores/%ff"] {
            assert_eq!(params("/stores/{shop}", path), None, "{path}");
        }
        assert_eq!(params("/webhooks/{*rest}", "/webhooks/shop/redact"), values(&["shop/redact"]));
        assert_eq!(params("/webhooks/{*rest}", "/webhooks/"), values(&[""]));
        assert_eq!(params("/webhooks/{*rest}", "/webhooks"), None);
        let price = "/products/{*id}/price";
        assert_eq!(params(price, "/products/7/price"), values(&["7"]));
        assert_eq!(params(price, "/products/gid://x/7/price"), values(&["gid://x/7"]));
        assert_eq!(params(price, "/products/price/price"), values(&["price"]));
        assert_eq!(params(price, "/products//price"), values(&[""]));
        assert_eq!(params(price, "/products/%/price"), values(&["%"]));
        for path in ["/products/price", "/products", "/products/7/prices", "/products/7/price/"] {
            assert_eq!(params(price, path), None, "{path}");
        }
        let group = "/{shop}/products/{*id}/groups/{group}";
        assert_eq!(params(group, "/s/products/a/groups/b/groups/g"), values(&["s", "a/groups/b", "g"]));
        assert_eq!(params(group, "/s/products/a/groups/"), None);
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        fn handler(_: &Arc<AppState>, _: &Request, _: &Params) -> Result<Response> {
            Ok(Response::empty(204))
        }
        let routes = [Route::now(Method::Get, "/a/{id}", handler), Route::now(Method::Put, "/a/{id}", handler)];
        let allow = |method: &str, path: &str| match find(&[&routes], &Method::from(method), path) {
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
        let allow = |method: &str| match find(&[&routes], &Method::from(method), "/a/run") {
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
    fn logs_show_no_token() {
        for (path, shown) in [
            ("/q/0123", "/q/***"),
            ("/q/0123/", "/q/***"),
            ("/quotes//q/0123?x", "/quotes//q/***"),
            ("/q/", "/q/***"),
            ("/healthz", "/healthz"),
        ] {
            assert_eq!(without_tokens(path), shown);
        }
    }

    #[test]
    fn what_cannot_be_an_id_is_not_found() {
        let params = Params(vec![("id", "7".to_owned())]);
        assert_eq!(params.parse::<u64>("id", "matrix").expect("a number"), 7);
        let error = params.parse::<crate::domain::ids::MatrixId>("id", "price matrix").expect_err("no UUID");
        assert_eq!(error.to_string(), "price matrix not found");
    }
}
