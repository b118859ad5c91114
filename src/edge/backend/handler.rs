//! The threads that take requests from tiny_http and give them to the service.

use super::responses::{OpenRequest, ResponseWriter};
use crate::background::panic_message;
use crate::edge::frontend::{self, BackendMessage, FRONTEND_FIELD, ForwardedRequest, UNBELIEVED};
use crate::http::{Headers, Method, Reply, Request, Service};
use log::{error, warn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Once};
use std::time::Instant;

/// Characters of a proxy's id for a request.
const PROXY_ID_MAX: usize = 64;

/// A thread that takes requests from tiny_http and gives them to the service.
pub(super) struct HandlerThread {
    pub(super) server: Arc<tiny_http::Server>,
    pub(super) parts: HandlerParts,
    pub(super) stopping: Arc<AtomicBool>,
    /// Dropped at the end, which wakes the thread that waits for it.
    pub(super) _end: Sender<()>,
}

pub(super) struct HandlerParts {
    pub(super) secret: String,
    pub(super) service: Arc<dyn Service>,
    pub(super) response_writer: Arc<ResponseWriter>,
}

impl HandlerThread {
    pub(super) fn run(self) {
        loop {
            match self.server.recv() {
                Ok(request) => {
                    // Beyond the service, whose own panics are answered: without this a handler is lost, and with the last of them
                    // everything but the front end.
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.parts.handle(request))) {
                        self.parts.response_writer.metrics.panics.inc();
                        error!("a request could not be handled: {}", panic_message(panic.as_ref()));
                    }
                }
                Err(error) => {
                    if self.stopping.load(Ordering::Acquire) {
                        return;
                    }
                    // Its accept thread has ended. The upstream connections it has are served on; the front end asks for others
                    // as it needs them.
                    error!("tiny_http accepts no more upstream connections: {error}");
                }
            }
        }
    }
}

impl HandlerParts {
    fn handle(&self, mut incoming: tiny_http::Request) {
        let started = Instant::now();
        let message = incoming.headers().iter().find(|header| header.field.equiv(FRONTEND_FIELD));
        let message = message.map(|header| header.value.to_string()).unwrap_or_default();
        let forwarded = match frontend::read_frontend_field(&message, &self.secret) {
            Some(BackendMessage::Request(forwarded)) => forwarded,
            Some(BackendMessage::Probe) => {
                let _gone = incoming.respond(tiny_http::Response::empty(204).with_header(no_date()));
                return;
            }
            None => {
                warn!("the backend rejected a connection without the front end's secret");
                let _gone = incoming.respond(tiny_http::Response::empty(403).with_header(no_date()));
                return;
            }
        };
        let Some(request) = read_request(&mut incoming, &forwarded) else { return };
        let open_request = OpenRequest {
            id: request.id.clone(),
            proxy_id: proxy_id(&request.headers),
            path: self.service.redact_path(&request.path),
            route: self.service.route_of(&request.method, &request.path),
            started,
            batch: forwarded.batch,
            incoming,
        };
        let response_writer = self.response_writer.clone();
        // A panic drops the reply on its way out, and a dropped reply responses 500.
        let reply = Reply::new(move |response| response_writer.respond(open_request, response));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.service.call(request, reply))) {
            self.response_writer.metrics.panics.inc();
            error!("a handler panicked id={}: {}", forwarded.id, panic_message(panic.as_ref()));
        }
    }
}

/// Our own request from tiny_http's and what the front end has sent with it; `None` when the front end hung up in the middle.
fn read_request(incoming: &mut tiny_http::Request, forwarded: &ForwardedRequest<'_>) -> Option<Request> {
    // The front end has checked the length, so that much is wanted and comes.
    let mut body = vec![0; incoming.body_length().unwrap_or(0)];
    incoming.as_reader().read_exact(&mut body).ok()?;
    let (path, query) = incoming.url().split_once('?').unwrap_or((incoming.url(), ""));
    let mut headers = Headers::default();
    for (name, value) in forwarded.fields() {
        headers.push(name, value);
    }
    if forwarded.client.is_loopback() && forwarded.fields().any(|(name, _)| name == UNBELIEVED) {
        warn_of_forgotten_proxy();
    }
    Some(Request {
        method: Method::from(incoming.method().as_str()),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
        client: forwarded.client,
        id: forwarded.id.to_owned(),
    })
}

/// The id that a trusted proxy has given the request, where it is a sane one: from others the front end lets none pass. It never is in
/// for our own, which the client must not be able to choose.
fn proxy_id(headers: &Headers) -> Option<String> {
    let id = headers.get("x-request-id")?;
    let is_sane = (1..=PROXY_ID_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_sane.then(|| id.to_owned())
}

/// A program of this machine forwards requests, and its word for whom is not taken: once in the life of the process, for every request
/// says so.
fn warn_of_forgotten_proxy() {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        warn!(
            "a reverse proxy on this machine forwards requests and is not trusted, so all clients count as one: set QUOTEGRID_TRUSTED_PROXIES=127.0.0.1,::1 (or the proxy's address)"
        );
    });
}

/// Keeps tiny_http from asking the clock for a `Date`: it panics where the clock shows a year that it cannot write.
fn no_date() -> tiny_http::Header {
    tiny_http::Header::from_bytes("Date", "Thu, 01 Jan 1970 00:00:00 GMT").expect("it is plain text")
}
