//! tiny_http behind the gate: the only file that names it. The server listens on a Unix socket in a private directory, where the gate
//! alone can reach it, and turns its requests into a [`Service`]'s and the answers back.
//!
//! What tiny_http does not survive (`design.md` section 9) never reaches it: the gate opens the connections one by one, sends only
//! whole, checked requests, one at a time on each, and takes every answer at once.

use super::gate::{self, Burst, GATE_FIELD, Gate, Limits, Sent, Told};
use super::{Headers, Method, Reply, Request, Response, Service};
use crate::config::{EdgeSettings, LISTEN, ServerSettings};
use crate::db::writer::panic_message;
use crate::entropy::{Entropy, OsEntropy};
use crate::metrics::Metrics;
use log::{debug, error, warn};
use std::collections::HashMap;
use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How to run a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Threads that answer requests.
    pub handlers: usize,
    /// What the gate lets in.
    pub limits: Limits,
    /// An answer that took longer than this is logged as a warning.
    pub slow: Duration,
    /// Where to count.
    pub metrics: Arc<Metrics>,
}

impl ServerOptions {
    /// The defaults, listening on `listen`.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            handlers: 2,
            limits: Limits::default(),
            slow: Duration::from_secs(1),
            metrics: Arc::new(Metrics::default()),
        }
    }

    /// As the settings say.
    pub fn from_settings(server: &ServerSettings, edge: &EdgeSettings, metrics: Arc<Metrics>) -> Self {
        Self {
            listen: server.listen.unwrap_or(LISTEN),
            handlers: usize::from(server.handlers),
            limits: edge.limits(),
            slow: Duration::from_millis(u64::from(edge.slow_request_ms)),
            metrics,
        }
    }
}

/// Why a server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The private side cannot be set up.
    #[error("the private side of the server cannot be set up: {0}")]
    Private(#[from] io::Error),
}

/// A running server. Dropped, it stops at once; see [`Server::stop`].
pub struct Server {
    gate: Gate,
    inside: Arc<Inside>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts to answer with `service`. Connections are accepted when this returns.
    ///
    /// # Errors
    /// When the address is taken, or the machine has no descriptors, threads or temporary directory to give.
    pub fn start(options: ServerOptions, service: Arc<dyn Service>) -> Result<Self, StartError> {
        let ServerOptions { listen, handlers, mut limits, slow, metrics } = options;
        let listener = TcpListener::bind(listen).map_err(|source| StartError::Listen { address: listen, source })?;
        gate::fit(&mut limits);
        let entropy: &dyn Entropy = &OsEntropy;
        let secret = hex(&entropy.array::<16>());
        let answering = Answering::new(slow, metrics.clone());
        let inside = Arc::new(Inside {
            directory: private_directory()?,
            secret: secret.clone(),
            service,
            answering: Arc::new(answering),
            handlers,
            stopping: AtomicBool::new(false),
            generations: Mutex::new(Vec::new()),
        });
        inside.clone().start_generation()?;
        let mut lanes = Vec::new();
        for _ in 0..limits.lanes {
            match inside.open_lane() {
                Ok(lane) => lanes.push(lane),
                Err(error) if lanes.is_empty() => return Err(error.into()),
                Err(error) => {
                    warn!("{} private connections and not {}: {error}", lanes.len(), limits.lanes);
                    break;
                }
            }
        }
        limits.urgent_lanes = limits.urgent_lanes.min(lanes.len() / 2);
        let opening = inside.clone();
        let open_lane = Arc::new(move || opening.clone().reopen_lane());
        let id_prefix = hex(&entropy.array::<4>());
        let gate = Gate::start(gate::Parts { listener, lanes, open_lane, secret, id_prefix, limits, metrics })?;
        Ok(Self { gate, inside })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.gate.address()
    }

    /// Stops: accepts nothing more, closes idle connections, lets requests under way end within `grace`, and returns when all is
    /// closed. Requests that take longer lose their connection; what they do to the database is not undone.
    pub fn stop(&self, grace: Duration) {
        self.gate.stop(grace);
        self.inside.stop();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

/// How long a handler that is at work gets to notice the end.
const HANDLER_PATIENCE: Duration = Duration::from_secs(2);
/// How long a new lane is waited for.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// Descriptors that must be free before a lane is opened: the three that it needs, and some for whoever else needs one meanwhile.
const SPARE_DESCRIPTORS: usize = 8;

/// The private side.
struct Inside {
    directory: TempDir,
    secret: String,
    service: Arc<dyn Service>,
    answering: Arc<Answering>,
    handlers: usize,
    stopping: AtomicBool,
    /// The tiny_http servers: one, and another each time its accept thread has died. Older ones go on with the lanes they have.
    generations: Mutex<Vec<Generation>>,
}

/// One tiny_http server with its handlers.
struct Generation {
    server: Arc<tiny_http::Server>,
    path: PathBuf,
    handlers: Vec<JoinHandle<()>>,
    ended: Receiver<()>,
}

impl Inside {
    /// Starts a tiny_http server and its handlers.
    fn start_generation(self: Arc<Self>) -> io::Result<()> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.directory.path().join(generations.len().to_string());
        let server = Arc::new(tiny_http::Server::http_unix(&path).map_err(io::Error::other)?);
        let (end, ended) = channel();
        let mut handlers = Vec::new();
        for number in 0..self.handlers {
            let handler = Handler {
                server: server.clone(),
                inside: HandlerParts {
                    secret: self.secret.clone(),
                    service: self.service.clone(),
                    answering: self.answering.clone(),
                },
                stopping: Arc::downgrade(&self),
                _end: end.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("http-handler-{number}"));
            handlers.push(thread.spawn(move || handler.run())?);
        }
        generations.push(Generation { server, path, handlers, ended });
        Ok(())
    }

    /// Opens a lane and sees that it is served. One at a time: tiny_http miscounts its idle threads when several connections
    /// come at once, and never serves some of them.
    fn open_lane(&self) -> io::Result<UnixStream> {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let path = generations.last().map(|generation| generation.path.clone()).ok_or(io::ErrorKind::NotConnected)?;
        if !gate::have_spare(SPARE_DESCRIPTORS) {
            return Err(io::Error::other("too few file descriptors are free"));
        }
        let mut lane = UnixStream::connect(path)?;
        lane.set_read_timeout(Some(PROBE_PATIENCE))?;
        lane.set_write_timeout(Some(PROBE_PATIENCE))?;
        lane.write_all(format!("GET / HTTP/1.1\r\n{GATE_FIELD}: {}\r\n\r\n", self.secret).as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0; 256];
        while !answer.ends_with(b"\r\n\r\n") {
            match lane.read(&mut byte)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => answer.extend_from_slice(&byte[..count]),
            }
        }
        if !answer.starts_with(b"HTTP/1.1 204 ") {
            return Err(io::Error::other("the private side does not know the gate"));
        }
        Ok(lane)
    }

    /// Opens a lane, on a new tiny_http server when the present one takes no more connections.
    fn reopen_lane(self: Arc<Self>) -> io::Result<UnixStream> {
        if !gate::have_spare(SPARE_DESCRIPTORS) {
            return Err(io::Error::other("too few file descriptors are free"));
        }
        self.open_lane().or_else(|error| {
            if self.stopping.load(Ordering::Acquire) {
                return Err(error);
            }
            warn!("the private side takes no more connections, starting another: {error}");
            self.clone().start_generation()?;
            self.open_lane()
        })
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let generations = std::mem::take(&mut *self.generations.lock().unwrap_or_else(PoisonError::into_inner));
        for Generation { server, handlers, ended, .. } in generations {
            for _ in &handlers {
                server.unblock();
            }
            // Each handler holds a sender until it ends.
            match ended.recv_timeout(HANDLER_PATIENCE) {
                Err(RecvTimeoutError::Disconnected) => {
                    for handler in handlers {
                        let _panicked = handler.join();
                    }
                }
                Ok(()) | Err(RecvTimeoutError::Timeout) => {
                    warn!("a request is still being worked on; not waiting for it")
                }
            }
        }
    }
}

/// A thread that takes requests from tiny_http and gives them to the service.
struct Handler {
    server: Arc<tiny_http::Server>,
    inside: HandlerParts,
    stopping: std::sync::Weak<Inside>,
    /// Dropped at the end, which tells the one who waits for it.
    _end: Sender<()>,
}

struct HandlerParts {
    secret: String,
    service: Arc<dyn Service>,
    answering: Arc<Answering>,
}

impl Handler {
    fn run(self) {
        loop {
            match self.server.recv() {
                Ok(request) => {
                    // Beyond the service, whose own panics are answered: without this a handler is lost, and with the last of them
                    // everything but the gate.
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.inside.handle(request))) {
                        self.inside.answering.metrics.panics.inc();
                        error!("a request could not be handled: {}", panic_message(panic.as_ref()));
                    }
                }
                Err(error) => {
                    if self.stopping.upgrade().is_none_or(|inside| inside.stopping.load(Ordering::Acquire)) {
                        return;
                    }
                    // Its accept thread has ended. The lanes it has are served on; the gate asks for others as it needs them.
                    error!("tiny_http accepts no more private connections: {error}");
                }
            }
        }
    }
}

impl HandlerParts {
    fn handle(&self, mut incoming: tiny_http::Request) {
        let started = Instant::now();
        let sent = incoming.headers().iter().find(|header| header.field.equiv(GATE_FIELD));
        let sent = sent.map(|header| header.value.to_string()).unwrap_or_default();
        let told = match gate::read_gate_field(&sent, &self.secret) {
            Some(Sent::Request(told)) => told,
            Some(Sent::Probe) => {
                let _gone = incoming.respond(tiny_http::Response::empty(204).with_header(no_date()));
                return;
            }
            None => {
                warn!("somebody other than the gate has reached the private side");
                let _gone = incoming.respond(tiny_http::Response::empty(403).with_header(no_date()));
                return;
            }
        };
        let Some(request) = read_request(&mut incoming, &told) else { return };
        let asked = Asked {
            id: request.id.clone(),
            path: self.service.shown(&request.path),
            route: self.service.route_of(&request.method, &request.path),
            started,
            burst: told.burst,
            incoming,
        };
        let answering = self.answering.clone();
        // A panic drops the reply on its way out, and a dropped reply answers 500.
        let reply = Reply::new(move |response| answering.answer(asked, response));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.service.call(request, reply))) {
            self.answering.metrics.panics.inc();
            error!("a handler panicked id={}: {}", told.id, panic_message(panic.as_ref()));
        }
    }
}

/// Our own request from tiny_http's and what the gate has told of it; `None` when the gate hung up in the middle.
fn read_request(incoming: &mut tiny_http::Request, told: &Told<'_>) -> Option<Request> {
    // The gate has checked the length, so that much is wanted and comes.
    let mut body = vec![0; incoming.body_length().unwrap_or(0)];
    incoming.as_reader().read_exact(&mut body).ok()?;
    let (path, query) = incoming.url().split_once('?').unwrap_or((incoming.url(), ""));
    let mut headers = Headers::default();
    for (name, value) in told.fields() {
        headers.push(name, value);
    }
    Some(Request {
        method: Method::from(incoming.method().as_str()),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
        client: told.client,
        id: told.id.to_owned(),
    })
}

/// A request that is being answered.
struct Asked {
    id: String,
    path: String,
    route: &'static str,
    started: Instant,
    burst: Option<Burst>,
    incoming: tiny_http::Request,
}

/// An answer on its way: the request it belongs to, its head and its body.
type Rendered = (tiny_http::Request, Vec<u8>, Vec<u8>);

/// How answers are given.
struct Answering {
    slow: Duration,
    metrics: Arc<Metrics>,
    /// The answers of bursts that are not all there, by the bursts' numbers.
    bursts: Mutex<HashMap<u64, Vec<Option<Rendered>>>>,
}

/// Answers up to this size fit into the lane's socket buffer whole, so that writing them never waits.
const SMALL_ANSWER_MAX: usize = 64 * 1024;

impl Answering {
    fn new(slow: Duration, metrics: Arc<Metrics>) -> Self {
        Self { slow, metrics, bursts: Mutex::new(HashMap::new()) }
    }

    fn answer(&self, asked: Asked, response: Response) {
        let Asked { id, path, route, started, burst, incoming } = asked;
        let (status, took) = (response.status, started.elapsed());
        let method = incoming.method().as_str();
        if took >= self.slow {
            warn!("slow request id={id} method={method} path={path} status={status} took_ms={}", took.as_millis());
        } else {
            debug!("request id={id} method={method} path={path} status={status} took_us={}", took.as_micros());
        }
        self.metrics.count_request(route, status, took);
        let (head, body) = render(&incoming, response, &id);
        match burst {
            None => write_answers(vec![(incoming, head, body)]),
            Some(burst) => {
                if let Some(answers) = self.complete(burst, (incoming, head, body)) {
                    write_answers(answers);
                }
            }
        }
    }

    /// Keeps an answer until its burst is complete: tiny_http would have the thread that is early wait for the others. Returns all
    /// of them, in order, with the last.
    fn complete(&self, burst: Burst, answer: Rendered) -> Option<Vec<Rendered>> {
        let mut bursts = self.bursts.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = bursts.entry(burst.number).or_insert_with(|| (0..burst.size).map(|_| None).collect());
        *answers.get_mut(burst.place)? = Some(answer);
        if answers.iter().any(Option::is_none) {
            return None;
        }
        bursts.remove(&burst.number).map(|answers| answers.into_iter().flatten().collect())
    }
}

/// Writes answers of one lane, in their order, with one write where they are small.
fn write_answers(answers: Vec<Rendered>) {
    let length: usize = answers.iter().map(|(_, head, body)| head.len() + body.len()).sum();
    if length <= SMALL_ANSWER_MAX {
        let mut bytes = Vec::with_capacity(length);
        let mut lanes = Vec::with_capacity(answers.len());
        for (incoming, head, body) in answers {
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(&body);
            lanes.push(incoming.into_writer());
        }
        // All of them write to the same lane, each in its turn; the first has it.
        let Some(first) = lanes.first_mut() else { return };
        return log_loss(first.write_all(&bytes).and_then(|()| first.flush()));
    }
    // A large answer is taken only as fast as the client takes it, and neither a handler nor the thread that answers after a
    // commit may wait for that. There is one for each lane at the most, and seldom any.
    let answers = Arc::new(Mutex::new(answers));
    let write = {
        let answers = answers.clone();
        move || {
            for (incoming, head, body) in std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner)) {
                let mut lane = incoming.into_writer();
                log_loss(lane.write_all(&head).and_then(|()| lane.write_all(&body)).and_then(|()| lane.flush()));
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("http-large-answer".to_owned()).spawn(write.clone()) {
        warn!("no thread for a large answer, writing it here: {error}");
        write();
    }
}

fn log_loss(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        // The gate has given up on this lane, as in a stop whose grace is over.
        debug!("an answer was not taken: {error}");
    }
}

/// The head of the answer as it goes to the gate, and the body that belongs behind it. Not by tiny_http, which would take several
/// allocations for each field, name itself and copy the body out 8 KiB at a time.
fn render(incoming: &tiny_http::Request, response: Response, id: &str) -> (Vec<u8>, Vec<u8>) {
    let Response { status, headers, body } = response;
    let status = if (200..=599).contains(&status) {
        status
    } else {
        error!("no such status: {status}, answering 500 id={id}");
        500
    };
    let mut head = Vec::with_capacity(256);
    let reason = tiny_http::StatusCode(status).default_reason_phrase();
    // Writing to a Vec does not fail.
    let _infallible = write!(head, "HTTP/1.1 {status} {reason}\r\nContent-Length: {}\r\n", body.len());
    let has = |name: &str| headers.iter().any(|(found, _)| found.eq_ignore_ascii_case(name));
    let is_page = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("content-type") && value.trim_start().to_ascii_lowercase().starts_with("text/html")
    });
    for (name, value) in PAGE_FIELDS {
        if is_page && !has(name) {
            let _infallible = write!(head, "{name}: {value}\r\n");
        }
    }
    if !has("x-content-type-options") {
        head.extend_from_slice(b"X-Content-Type-Options: nosniff\r\n");
    }
    for (name, value) in &headers {
        if name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding") {
            continue;
        }
        // A line end in a value would be the start of another field, or of another answer.
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_name || !value.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte)) {
            error!("the answer's field {name:?} is not plain text and left out id={id}");
            continue;
        }
        let _infallible = write!(head, "{name}: {value}\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let is_bodiless = *incoming.method() == tiny_http::Method::Head || status == 204 || status == 304;
    (head, if is_bodiless { Vec::new() } else { body })
}

/// Keeps tiny_http from asking the clock for a `Date`: it panics where the clock shows a year that it cannot write.
fn no_date() -> tiny_http::Header {
    tiny_http::Header::from_bytes("Date", "Thu, 01 Jan 1970 00:00:00 GMT").expect("it is plain text")
}

/// What every page gets that does not say otherwise: nothing from elsewhere, in nobody else's frame.
const PAGE_FIELDS: [(&str, &str); 2] = [
    (
        "Content-Security-Policy",
        "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         object-src 'none'; base-uri 'none'; frame-ancestors 'self'",
    ),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
];

/// A directory that nobody else may enter; its default mode would follow the umask.
fn private_directory() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("quotegrid-").permissions(Permissions::from_mode(0o700)).tempdir()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Service for Nothing {
        fn call(&self, _request: Request, reply: Reply) {
            reply.send(Response::empty(204));
        }
    }

    fn inside() -> Arc<Inside> {
        let answering = Answering::new(Duration::from_secs(1), Arc::new(Metrics::default()));
        let inside = Arc::new(Inside {
            directory: private_directory().expect("a directory"),
            secret: "right".to_owned(),
            service: Arc::new(Nothing),
            answering: Arc::new(answering),
            handlers: 2,
            stopping: AtomicBool::new(false),
            generations: Mutex::new(Vec::new()),
        });
        inside.clone().start_generation().expect("a server");
        inside
    }

    #[test]
    fn nobody_but_the_gate_can_use_the_private_side() {
        let inside = inside();
        let mode = std::fs::metadata(inside.directory.path()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        for field in ["", "Gate: wrong 127.0.0.1 id\r\n", "Gate: right\r\n", "Host: x\r\n"] {
            let path = inside.generations.lock().expect("no panic")[0].path.clone();
            let mut lane = UnixStream::connect(path).expect("it listens");
            write!(lane, "GET / HTTP/1.1\r\nConnection: close\r\n{field}\r\n").expect("it reads");
            let mut answer = String::new();
            lane.read_to_string(&mut answer).expect("it answers");
            let expected = if field.ends_with("Gate: right\r\n") { "HTTP/1.1 204 " } else { "HTTP/1.1 403 " };
            assert!(answer.starts_with(expected), "{field:?}: {answer}");
        }
        inside.stop();
    }

    #[test]
    fn when_the_private_side_takes_no_more_connections_another_is_started() {
        let inside = inside();
        let mut old = inside.open_lane().expect("a lane");
        let path = inside.generations.lock().expect("no panic")[0].path.clone();
        // What is seen when its accept thread has died.
        std::fs::remove_file(path).expect("it is there");
        let mut new = inside.clone().reopen_lane().expect("a lane of another server");
        for lane in [&mut old, &mut new] {
            lane.write_all(b"GET / HTTP/1.1\r\nGate: right 127.0.0.1 id\r\n\r\n").expect("it reads");
            let mut start = [0; 13];
            lane.read_exact(&mut start).expect("it answers");
            assert_eq!(&start, b"HTTP/1.1 204 ");
        }
        assert_eq!(inside.generations.lock().expect("no panic").len(), 2);
        // So that the first one's accept thread is found by its end.
        drop(std::os::unix::net::UnixListener::bind(inside.directory.path().join("0")));
        inside.stop();
    }
}
