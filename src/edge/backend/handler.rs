//! The threads that take requests from tiny_http and give them to the service.

use super::responses::{Batch, OpenRequest, ResponseWriter};
use crate::background::panic_message;
use crate::edge::frontend::{self, BackendMessage, FRONTEND_FIELD, ForwardedRequest, UNBELIEVED};
use crate::http::{Headers, Method, Reply, Request, Service};
use log::{error, warn};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Once};
use std::time::Instant;

/// Fields that a request has, or seldom more.
const FIELDS_USUAL: usize = 16;

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
        let message = message.map_or("", |header| header.value.as_str());
        let count = match frontend::read_frontend_field(message, &self.secret) {
            Some(BackendMessage::Requests(count)) => count,
            Some(BackendMessage::Probe) => {
                let _gone = incoming.respond(tiny_http::Response::empty(204).with_header(no_date()));
                return;
            }
            None => return reject(incoming),
        };
        // The front end says how much there is of what it has checked, so that much is wanted and comes.
        let mut bytes = vec![0; incoming.body_length().unwrap_or(0)];
        // Where it does not, the front end has hung up in the middle.
        let Ok(()) = incoming.as_reader().read_exact(&mut bytes) else { return };
        let Some(mut requests) = read_requests(&bytes, count) else { return reject(incoming) };
        if let [(request, body)] = &mut requests[..] {
            // It may be large, and is not copied.
            bytes.drain(..body.start);
            request.body = bytes;
        } else {
            for (request, body) in &mut requests {
                request.body = bytes[body.clone()].to_vec();
            }
        }
        // This also gives the connection's thread its reader back, which waits for that where there was much to read.
        let batch = Arc::new(Batch::new(incoming.into_writer(), count));
        for (place, (request, _)) in requests.into_iter().enumerate() {
            let id = request.id.clone();
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.call(request, started, batch.clone(), place))) {
                self.response_writer.metrics.panics.inc();
                error!("a handler panicked id={id}: {}", panic_message(panic.as_ref()));
            }
        }
    }

    fn call(&self, request: Request, started: Instant, batch: Arc<Batch>, place: usize) {
        let is_last = place + 1 == batch.size;
        let open_request = OpenRequest {
            id: request.id.clone(),
            proxy_id: proxy_id(&request.headers),
            path: self.service.redact_path(&request.path),
            route: self.service.route_of(&request.method, &request.path),
            method: request.method.clone(),
            started,
            batch,
            place,
        };
        let response_writer = self.response_writer.clone();
        // A panic drops the reply on its way out, and a dropped reply responds 500.
        let reply = Reply::new(move |response| response_writer.respond(open_request, response));
        self.service.call(request, if is_last { reply } else { reply.with_others_following() });
    }
}

/// Responds to what the front end has not written.
fn reject(incoming: tiny_http::Request) {
    warn!("the backend rejected a connection without the front end's secret");
    let _gone = incoming.respond(tiny_http::Response::empty(403).with_header(no_date()));
}

/// The `count` requests in a forwarded body, yet without theirs, and where in it those are. `None` where it is not what the front end writes.
fn read_requests(bytes: &[u8], count: usize) -> Option<Vec<(Request, Range<usize>)>> {
    let mut requests = Vec::with_capacity(count.min(bytes.len()));
    let mut start = 0;
    for _ in 0..count {
        let forwarded = frontend::read_forwarded(bytes, start)?;
        start = forwarded.body.end;
        requests.push((request_from(&forwarded), forwarded.body));
    }
    (count > 0 && start == bytes.len()).then_some(requests)
}

fn request_from(forwarded: &ForwardedRequest<'_>) -> Request {
    let (path, query) = forwarded.target.split_once('?').unwrap_or((forwarded.target, ""));
    let mut headers = Headers::with_capacity(FIELDS_USUAL, forwarded.fields_len());
    for (name, value) in forwarded.fields() {
        headers.push(name, value);
    }
    if forwarded.client.is_loopback() && forwarded.fields().any(|(name, _)| name == UNBELIEVED) {
        warn_of_forgotten_proxy();
    }
    Request {
        method: Method::from(forwarded.method),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
        client: forwarded.client,
        id: forwarded.id.to_owned(),
    }
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
