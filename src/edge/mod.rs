//! tiny_http behind the front end: the only folder that names it. The server listens on a Unix socket in a private directory, where the
//! front end alone can reach it, and turns its requests into a [`Service`]'s and the responses back.
//!
//! What tiny_http does not survive (`design.md` section 9) never reaches it: the front end opens the connections one by one, sends only
//! whole, checked requests, one at a time on each, and takes every response at once.
//!
//! Read on in `backend/mod.rs` (the backend), `backend/handler.rs` (a request's way in) and `backend/responses.rs` (its way out).

mod backend;
pub mod frontend;

use crate::entropy::{Entropy, OsEntropy};
use crate::http::Service;
use crate::metrics::Metrics;
use backend::{Backend, ResponseWriter};
use frontend::{FrontEnd, FrontEndLimits};
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
    /// What the front end lets in.
    pub limits: FrontEndLimits,
    /// A response that took longer than this is logged as a warning.
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
            limits: FrontEndLimits::default(),
            slow: Duration::from_secs(1),
            metrics: Arc::new(Metrics::default()),
        }
    }
}

/// Why a server cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The backend cannot be set up.
    #[error("the backend of the server cannot be set up: {0}")]
    Private(#[from] io::Error),
}

/// A running server. Dropped, it stops at once; see [`Server::stop`].
pub struct Server {
    frontend: FrontEnd,
    backend: Arc<Backend>,
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
        frontend::fit(&mut limits);
        let entropy: &dyn Entropy = &OsEntropy;
        let secret = hex(&entropy.array::<16>());
        let response_writer = ResponseWriter::new(slow, metrics.clone());
        let backend = Backend::start(secret.clone(), service, response_writer, handlers)?;
        let mut upstreams = Vec::new();
        for _ in 0..limits.upstreams {
            match backend.open_upstream() {
                Ok(upstream) => upstreams.push(upstream),
                Err(error) if upstreams.is_empty() => return Err(error.into()),
                Err(error) => {
                    warn!("{} upstream connections and not {}: {error}", upstreams.len(), limits.upstreams);
                    break;
                }
            }
        }
        limits.critical_upstreams = limits.critical_upstreams.min(upstreams.len() / 2);
        let opening = backend.clone();
        let open_upstream = Arc::new(move || opening.clone().reopen_upstream());
        let id_prefix = hex(&entropy.array::<4>());
        let frontend = FrontEnd::start(frontend::Parts {
            listener,
            upstreams,
            open_upstream,
            secret,
            id_prefix,
            limits,
            metrics,
        })?;
        Ok(Self { frontend, backend })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.frontend.address()
    }

    /// Stops: accepts nothing more, closes idle connections, lets requests under way end within `grace`, and returns when all is
    /// closed. Requests that take longer lose their connection; what they do to the database is not undone.
    pub fn stop(&self, grace: Duration) {
        self.frontend.stop(grace);
        self.backend.stop();
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
