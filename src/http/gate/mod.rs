//! The gate: the only thing that touches untrusted sockets. It collects requests byte by byte within limits and deadlines, refuses
//! what is malformed, and hands whole, checked requests to the server behind it over private connections, its lanes.
//!
//! ```text
//!  clients ──TCP──▶ client.rs ─ receive.rs ─▶ head.rs, chunks.rs       (bytes → checked request, or refusal.rs)
//!                      ▲                         │
//!                 event_loop.rs ◀── timers.rs    ▼
//!                      │                     private.rs                 (checked request → private request)
//!                      ▼                         │
//!                   lane.rs  ◀──Unix socket──▶ server.rs, tiny_http
//! ```
//!
//! One thread runs [`event_loop`]. Everything it calls is pure or does one socket's work; nothing in it waits. The gate knows
//! nothing of routes, shops or the database, and not what the server behind it is made of.

mod chunks;
mod client;
mod descriptors;
mod event_loop;
mod head;
mod lane;
mod limits;
mod origin;
mod private;
mod receive;
mod refusal;
mod slab;
mod timers;

pub use limits::Limits;
pub use origin::Network;

pub(crate) use descriptors::{fit, have_spare};
pub(crate) use private::GATE_FIELD;

use crate::metrics::Metrics;
use event_loop::EventLoop;
use mio::Waker;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Opens one more lane, checked; may wait for a moment.
pub(crate) type OpenLane = Arc<dyn Fn() -> io::Result<UnixStream> + Send + Sync>;

/// What a gate is made of.
pub(crate) struct Parts {
    pub(crate) listener: TcpListener,
    pub(crate) lanes: Vec<UnixStream>,
    pub(crate) open_lane: OpenLane,
    /// What the server knows the gate by.
    pub(crate) secret: String,
    /// Starts every request id of this process.
    pub(crate) id_prefix: String,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
}

/// The order to stop.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    asked: AtomicBool,
    until: Mutex<Option<Instant>>,
}

impl StopSignal {
    /// When the gate must be gone, once it has been asked to stop.
    pub(crate) fn until(&self) -> Option<Instant> {
        if !self.asked.load(Ordering::Acquire) {
            return None;
        }
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running gate.
pub(crate) struct Gate {
    address: SocketAddr,
    stop: Arc<StopSignal>,
    waker: Arc<Waker>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Gate {
    /// Opens the gate.
    pub(crate) fn start(parts: Parts) -> io::Result<Self> {
        let address = parts.listener.local_addr()?;
        let stop = Arc::new(StopSignal::default());
        let (event_loop, waker) = EventLoop::new(parts, stop.clone())?;
        let thread = std::thread::Builder::new().name("http-gate".to_owned()).spawn(move || event_loop.run())?;
        Ok(Self { address, stop, waker, thread: Mutex::new(Some(thread)) })
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the gate: no new connections, what is under way gets `grace` to end. Returns when all is closed.
    pub(crate) fn stop(&self, grace: Duration) {
        *self.stop.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + grace);
        self.stop.asked.store(true, Ordering::Release);
        let _gone_already = self.waker.wake();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _panicked = thread.join();
        }
    }
}
