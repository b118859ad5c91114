//! Every size, count and wait that a client could choose, with its limit.

use super::client_address::Network;
use std::time::Duration;

/// How many addresses' worth of connections an IPv6 site (a /48) may have. A client that has one has 65,536 networks in it, each counted as
/// an address; a mobile carrier's customers, a network each, may share one.
const SITE_SHARE: usize = 4;

/// Connections beyond the limit: they are answered that there is no place, or read first. A quarter of the limit where that is less.
const EXTRAS_MAX: usize = 256;

/// Of the memory for large bodies, this part (a quarter) is kept for webhooks, and no client may have more than this part.
const PART_OF_LARGE_BODIES: usize = 4;

/// The limits of the front end.
#[derive(Debug, Clone)]
pub struct FrontEndLimits {
    /// Open connections in total.
    pub connections: usize,
    /// Open connections from one address; loopback and trusted proxies are exempt.
    pub connections_per_address: usize,
    /// Whether loopback counts for no address. A proxy on this machine is all its clients at once.
    pub loopback_is_exempt: bool,
    /// Bytes of a head.
    pub head_bytes: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// A body up to this size is always taken in; what larger ones hold together is limited by `large_bodies_bytes`.
    pub small_body_bytes: usize,
    /// Bytes that all bodies beyond `small_body_bytes` hold together.
    pub large_bodies_bytes: usize,
    /// How often a large body is checked for its pace.
    pub pace_window: Duration,
    /// Bytes of a large body that must come within each of those. `body_time` asks for far more on the whole; this ends one that has
    /// stopped before its time is over.
    pub pace_bytes: usize,
    /// From the first byte of a head (of a connection, for its first head) to its last.
    pub head_time: Duration,
    /// From the end of the head to the last byte of the body.
    pub body_time: Duration,
    /// From a whole request to the first byte of its response.
    pub response_time: Duration,
    /// How much of that may pass before an upstream connection is free.
    pub queue_time: Duration,
    /// For the client to take the response, alongside the time that its length takes at `write_bytes_per_second`.
    pub write_time: Duration,
    /// The pace of a slow but honest client.
    pub write_bytes_per_second: usize,
    /// Bytes of responses that the front end holds for all slow clients together. What is more waits in the server.
    pub responses_bytes: usize,
    /// Between two requests of a connection.
    pub idle_time: Duration,
    /// Upstream connections to the server.
    pub upstreams: usize,
    /// Those of them that are kept for [`FrontEndLimits::critical_paths`].
    pub critical_upstreams: usize,
    /// Paths that must be answered through any overload.
    pub critical_paths: Vec<&'static str>,
    /// Where webhooks come in: small ones share upstream connections with each other. Their responses must not be long in coming,
    /// because the responses of a batch come together.
    pub webhook_paths: Vec<&'static str>,
    /// What is answered from memory at once, by how its path begins and ends: its GETs share upstream connections as webhooks do.
    pub quick_paths: Vec<(&'static str, &'static str)>,
    /// Requests that may share an upstream connection at once.
    pub batch: usize,
    /// Proxies whose X-Forwarded-… fields are believed.
    pub trusted_proxies: Vec<Network>,
}

impl Default for FrontEndLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 64,
            loopback_is_exempt: true,
            head_bytes: 16 * 1024,
            target_bytes: 8 * 1024,
            body_bytes: 1024 * 1024,
            small_body_bytes: 32 * 1024,
            large_bodies_bytes: 32 * 1024 * 1024,
            // Longer than a lost packet takes to be sent again, twice.
            pace_window: Duration::from_secs(4),
            pace_bytes: 16 * 1024,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            response_time: Duration::from_secs(30),
            queue_time: Duration::from_secs(4),
            write_time: Duration::from_secs(30),
            write_bytes_per_second: 16 * 1024,
            responses_bytes: 16 * 1024 * 1024,
            idle_time: Duration::from_secs(60),
            upstreams: 64,
            critical_upstreams: 2,
            critical_paths: vec!["/healthz", "/readyz", "/metrics"],
            webhook_paths: vec!["/webhooks"],
            quick_paths: vec![("/api/v1/products/", "/price")],
            batch: 16,
            trusted_proxies: Vec::new(),
        }
    }
}

impl FrontEndLimits {
    /// Open connections from one IPv6 site.
    pub(crate) fn connections_per_site(&self) -> usize {
        self.connections_per_address.saturating_mul(SITE_SHARE)
    }

    /// Connections beyond `connections`, for a moment each.
    pub(crate) fn extras(&self) -> usize {
        EXTRAS_MAX.min(self.connections / 4).max(1)
    }

    /// Bytes of large bodies that are kept for webhooks: other clients' uploads must not cost a shop its erasure.
    pub(crate) fn webhook_bodies_bytes(&self) -> usize {
        self.large_bodies_bytes / PART_OF_LARGE_BODIES
    }

    /// Bytes that the large bodies of one client hold together; always enough for one.
    pub(crate) fn client_bodies_bytes(&self) -> usize {
        (self.large_bodies_bytes / PART_OF_LARGE_BODIES).max(self.body_bytes)
    }

    /// Whether a GET of `path` is answered from memory.
    pub(crate) fn is_quick(&self, path: &str) -> bool {
        self.quick_paths.iter().any(|(start, end)| path.starts_with(start) && path.ends_with(end))
    }

    /// Whether requests to `path` are webhooks.
    pub(crate) fn is_webhook(&self, path: &str) -> bool {
        self.webhook_paths
            .iter()
            .any(|shared| path.strip_prefix(shared).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}
