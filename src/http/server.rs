//! tiny_http behind the gate: the only folder that names it. The server listens on a Unix socket in a private directory, where the
//! gate alone can reach it, and turns its requests into a [`Service`]'s and the answers back.
//!
//! What tiny_http does not survive (`design.md` section 9) never reaches it: the gate opens the connections one by one, sends only
//! whole, checked requests, one at a time on each, and takes every answer at once.
//!
//! Read on in `server/inside.rs` (the private side), `server/handler.rs` (a request's way in) and `server/answers.rs` (its way out).

mod answers;
mod handler;
mod head;
mod inside;

use super::Service;
use super::gate::{self, Gate, Limits};
use crate::config::{EdgeSettings, LISTEN, ServerSettings};
use crate::entropy::{Entropy, OsEntropy};
use crate::metrics::Metrics;
use answers::Answering;
use inside::Inside;
use log::warn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

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
        let inside = Inside::start(secret.clone(), service, answering, handlers)?;
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
