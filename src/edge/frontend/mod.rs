//! The front end: the only thing that touches untrusted sockets. It collects requests byte by byte within limits and deadlines, rejects
//! what is malformed, and hands whole, checked requests to the server behind it over upstream connections.
//!
//! ```text
//!  clients ──TCP──▶ client.rs ─ receive.rs ─▶ head.rs, chunks.rs       (bytes → checked request, or rejection.rs)
//!                      ▲                         │
//!                 event_loop.rs ◀── timers.rs    ▼
//!                      │                     protocol.rs                (checked request → forwarded request)
//!                      ▼                         │
//!                   upstream.rs ◀─Unix socket─▶ backend, tiny_http
//! ```
//!
//! One thread runs `event_loop.rs`. Everything it calls is pure or does one socket's work; nothing in it waits. The front end knows
//! nothing of routes, shops or the database, and not what the server behind it is made of.

mod chunks;
mod client;
mod client_address;
mod counts;
mod descriptors;
mod event_loop;
mod head;
mod limits;
mod memory;
mod protocol;
mod receive;
mod rejection;
mod timers;
mod upstream;

pub use client_address::Network;
pub use limits::FrontEndLimits;

pub(crate) use descriptors::{fit, have_spare};
pub(crate) use protocol::{
    BackendMessage, FRONTEND_FIELD, ForwardedRequest, UNBELIEVED, read_forwarded, read_frontend_field,
};

use crate::metrics::Metrics;
use event_loop::EventLoop;
use log::{error, warn};
use mio::Waker;
use parking_lot::Mutex;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Opens one more upstream connection, checked; may wait for a moment.
pub(crate) type OpenUpstream = Arc<dyn Fn() -> io::Result<UnixStream> + Send + Sync>;

/// What a front end is made of.
pub(crate) struct Parts {
    pub(crate) listener: TcpListener,
    pub(crate) upstreams: Vec<UnixStream>,
    pub(crate) open_upstream: OpenUpstream,
    /// What the server knows the front end by.
    pub(crate) secret: String,
    /// Starts every request id of this process.
    pub(crate) id_prefix: String,
    pub(crate) limits: FrontEndLimits,
    pub(crate) metrics: Arc<Metrics>,
}

/// The order to stop.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    requested: AtomicBool,
    until: Mutex<Option<Instant>>,
}

impl StopSignal {
    /// When the front end must be gone, once it has been asked to stop.
    pub(crate) fn until(&self) -> Option<Instant> {
        if !self.requested.load(Ordering::Acquire) {
            return None;
        }
        *self.until.lock()
    }
}

/// What another event loop can be made of, alongside the listener, should the present one panic.
struct RestartParts {
    upstreams: usize,
    open_upstream: OpenUpstream,
    secret: String,
    id_prefix: String,
    limits: FrontEndLimits,
    metrics: Arc<Metrics>,
}

impl RestartParts {
    fn of(parts: &Parts) -> Self {
        Self {
            upstreams: parts.upstreams.len(),
            open_upstream: parts.open_upstream.clone(),
            secret: parts.secret.clone(),
            id_prefix: parts.id_prefix.clone(),
            limits: parts.limits.clone(),
            metrics: parts.metrics.clone(),
        }
    }

    /// The parts of the event loop that comes after `panics` others. Its requests are named otherwise than theirs.
    fn parts(&self, listener: &TcpListener, panics: u32) -> io::Result<Parts> {
        Ok(Parts {
            listener: listener.try_clone()?,
            upstreams: (0..self.upstreams).map(|_| (self.open_upstream)()).collect::<io::Result<_>>()?,
            open_upstream: self.open_upstream.clone(),
            secret: self.secret.clone(),
            id_prefix: format!("{}{panics}", self.id_prefix),
            limits: self.limits.clone(),
            metrics: self.metrics.clone(),
        })
    }
}

/// The pause before a new event loop is tried when it could not be made.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// A running front end.
pub(crate) struct FrontEnd {
    address: SocketAddr,
    stop: Arc<StopSignal>,
    /// Of the present event loop.
    waker: Arc<Mutex<Arc<Waker>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl FrontEnd {
    /// Opens the front end.
    pub(crate) fn start(parts: Parts) -> io::Result<Self> {
        let address = parts.listener.local_addr()?;
        let stop = Arc::new(StopSignal::default());
        let restart_parts = RestartParts::of(&parts);
        let (event_loop, waker) = EventLoop::new(parts, stop.clone())?;
        let waker = Arc::new(Mutex::new(waker));
        let thread = std::thread::Builder::new().name("http-frontend".to_owned()).spawn({
            let (stop, waker) = (stop.clone(), waker.clone());
            move || run(event_loop, &restart_parts, &stop, &waker)
        })?;
        Ok(Self { address, stop, waker, thread: Mutex::new(Some(thread)) })
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the front end: no new connections, what is under way gets `grace` to end. Returns when all is closed.
    pub(crate) fn stop(&self, grace: Duration) {
        *self.stop.until.lock() = Some(Instant::now() + grace);
        self.stop.requested.store(true, Ordering::Release);
        let _gone_already = self.waker.lock().wake();
        if let Some(thread) = self.thread.lock().take() {
            let _panicked = thread.join();
        }
    }
}

/// Runs the front end until it is stopped. A panic costs the connections that are open, and no more: without this the process
/// would live on without accepting, and no supervisor would start it again.
fn run(mut event_loop: EventLoop, restart_parts: &RestartParts, stop: &Arc<StopSignal>, waker: &Mutex<Arc<Waker>>) {
    let mut panics = 0;
    while catch_unwind(AssertUnwindSafe(|| event_loop.run())).is_err() {
        // What it says of itself has been printed where it happened.
        panics += 1;
        error!("the front end panicked, it starts again without its connections");
        restart_parts.metrics.panics.inc();
        restart_parts.metrics.connections.set(0);
        restart_parts.metrics.requests_waiting.set(0);
        // It has let go of this one to stop, and then no thread waits for another.
        let Some(listener) = event_loop.into_listener() else { return };
        let Some((again, its_waker)) = start_again(&listener, restart_parts, stop, panics) else { return };
        event_loop = again;
        *waker.lock() = its_waker.clone();
        // A stop that was asked for just before has woken the one that is gone.
        if stop.until().is_some() {
            let _it_has_not_begun_to_wait = its_waker.wake();
        }
    }
}

/// Another event loop, as soon as there is what it needs; `None` when the front end is to stop.
fn start_again(
    listener: &TcpListener,
    restart_parts: &RestartParts,
    stop: &Arc<StopSignal>,
    panics: u32,
) -> Option<(EventLoop, Arc<Waker>)> {
    while stop.until().is_none() {
        match restart_parts.parts(listener, panics).and_then(|parts| EventLoop::new(parts, stop.clone())) {
            Ok(again) => return Some(again),
            Err(error) => {
                warn!("the front end cannot start again now: {error}");
                std::thread::sleep(RESTART_PAUSE);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A front end whose upstream connections end in the test.
    struct Rig {
        frontend: FrontEnd,
        upstreams: Vec<UnixStream>,
        /// Upstream connections that the front end asks for are taken from here.
        offer: Sender<UnixStream>,
        metrics: Arc<Metrics>,
    }

    impl Rig {
        fn new(count: usize) -> Self {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let (our, their) = UnixStream::pair().expect("a pair");
                ours.push(our);
                theirs.push(their);
            }
            let (offer, offered): (Sender<UnixStream>, Receiver<UnixStream>) = channel();
            let offered = Mutex::new(offered);
            let metrics = Arc::new(Metrics::default());
            let frontend = FrontEnd::start(Parts {
                listener: TcpListener::bind("127.0.0.1:0").expect("a port"),
                upstreams: theirs,
                open_upstream: Arc::new(move || offered.lock().recv().map_err(|_| io::ErrorKind::NotConnected.into())),
                secret: "secret".to_owned(),
                id_prefix: "test".to_owned(),
                limits: FrontEndLimits { critical_upstreams: 0, ..FrontEndLimits::default() },
                metrics: metrics.clone(),
            });
            Self { frontend: frontend.expect("a front end"), upstreams: ours, offer, metrics }
        }

        fn ask(&self) -> TcpStream {
            let mut client = TcpStream::connect(self.frontend.address()).expect("the front end is open");
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("the front end reads");
            client
        }
    }

    fn read_head(mut upstream: &UnixStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            upstream.read_exact(&mut byte).expect("the front end writes");
            head.push(byte[0]);
        }
    }

    fn all(mut client: TcpStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).expect("text");
        text
    }

    #[test]
    fn a_lost_upstream_connection_costs_one_request_and_is_opened_again() {
        let mut rig = Rig::new(1);
        let client = rig.ask();
        let upstream = rig.upstreams.pop().expect("an upstream connection");
        read_head(&upstream);
        drop(upstream);
        assert!(all(client).starts_with("HTTP/1.1 502 "));
        // The next one waits for the upstream connection.
        let client = rig.ask();
        let (our, their) = UnixStream::pair().expect("a pair");
        rig.offer.send(their).expect("the front end wants an upstream connection");
        read_head(&our);
        (&our).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("the front end reads");
        assert!(all(client).ends_with("\r\n\r\nok"));
        assert_eq!(rig.metrics.upstreams_reopened.get(), 1);
        rig.frontend.stop(Duration::ZERO);
    }

    #[test]
    fn a_response_that_breaks_off_never_looks_whole() {
        for (response, seen) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"),
            ("HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 502 Bad Gateway\r\n"),
            ("nonsense\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"),
        ] {
            let mut rig = Rig::new(1);
            let client = rig.ask();
            let upstream = rig.upstreams.pop().expect("an upstream connection");
            read_head(&upstream);
            (&upstream).write_all(response.as_bytes()).expect("the front end reads");
            drop(upstream);
            let text = all(client);
            assert!(text.starts_with(seen) && !text.contains("\r\n\r\nabc"), "{text}");
            drop(rig.offer);
            rig.frontend.stop(Duration::ZERO);
        }
    }

    #[test]
    fn a_response_in_pieces_is_put_together() {
        let rig = Rig::new(1);
        let client = rig.ask();
        let mut upstream = &rig.upstreams[0];
        read_head(upstream);
        for byte in b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nabc" {
            upstream.write_all(&[*byte]).expect("the front end reads");
        }
        let text = all(client);
        assert!(text.contains("A: b\r\n") && text.ends_with("\r\n\r\nabc"), "{text}");
        rig.frontend.stop(Duration::ZERO);
    }
}
