//! Every size, count and wait that a client could choose, with its limit; and the purse that large bodies are paid from.

use super::origin::Network;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The limits of the gate.
#[derive(Debug, Clone)]
pub struct Limits {
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
    /// From the first byte of a head (of a connection, for its first head) to its last.
    pub head_time: Duration,
    /// From the end of the head to the last byte of the body.
    pub body_time: Duration,
    /// From a whole request to the first byte of its answer.
    pub answer_time: Duration,
    /// How much of that may pass before a private connection is free.
    pub queue_time: Duration,
    /// For the client to take the answer, beside the time that its length takes at `write_bytes_per_second`.
    pub write_time: Duration,
    /// The pace of a slow but honest client.
    pub write_bytes_per_second: usize,
    /// Bytes of answers that the gate holds for all slow clients together. What is more waits in the server.
    pub answers_bytes: usize,
    /// Between two requests of a connection.
    pub idle_time: Duration,
    /// Private connections to the server.
    pub lanes: usize,
    /// Those of them that are kept for [`Limits::urgent_paths`].
    pub urgent_lanes: usize,
    /// Paths that must be answered through any overload.
    pub urgent_paths: Vec<&'static str>,
    /// Where webhooks come in: small ones share lanes with each other. Their answers must not be long in coming, because the answers
    /// of a burst come together.
    pub shared_paths: Vec<&'static str>,
    /// Requests that may share a lane at once.
    pub burst: usize,
    /// Proxies whose X-Forwarded-… fields are believed.
    pub trusted_proxies: Vec<Network>,
}

impl Default for Limits {
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
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            answer_time: Duration::from_secs(30),
            queue_time: Duration::from_secs(4),
            write_time: Duration::from_secs(30),
            write_bytes_per_second: 16 * 1024,
            answers_bytes: 16 * 1024 * 1024,
            idle_time: Duration::from_secs(60),
            lanes: 64,
            urgent_lanes: 2,
            urgent_paths: vec!["/healthz", "/readyz", "/metrics"],
            shared_paths: vec!["/webhooks"],
            burst: 16,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Limits {
    /// Whether requests to `path` may share a lane.
    pub(crate) fn is_shared(&self, path: &str) -> bool {
        self.shared_paths
            .iter()
            .any(|shared| path.strip_prefix(shared).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }
}

/// What large bodies may still hold.
#[derive(Debug)]
pub(crate) struct Purse {
    spent: AtomicUsize,
    total: usize,
}

impl Purse {
    pub(crate) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { spent: AtomicUsize::new(0), total })
    }

    /// Bytes that are held now.
    pub(crate) fn spent(&self) -> usize {
        self.spent.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spent| {
            spent.checked_add(bytes).filter(|spent| *spent <= self.total)
        });
        taken.is_ok()
    }
}

/// A body that is being collected. Its memory grows with what has arrived, never with what was promised.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    purse: Arc<Purse>,
    paid: usize,
}

impl Body {
    pub(crate) fn new(purse: Arc<Purse>) -> Self {
        Self { bytes: Vec::new(), purse, paid: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends `bytes`. `expected` is the length the body will have in the end, or the most it may have. `false` when it is too
    /// large for what others have left.
    #[must_use]
    pub(crate) fn push(&mut self, bytes: &[u8], expected: usize, free: usize) -> bool {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            let room = needed.max(self.bytes.capacity() * 2).min(expected).max(needed);
            if room > free {
                let price = room - self.paid;
                if !self.purse.take(price) {
                    return false;
                }
                self.paid += price;
            }
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        true
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.purse.spent.fetch_sub(self.paid, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_bodies_are_free_and_large_ones_are_paid_back() {
        let purse = Purse::new(100);
        let mut small = Body::new(purse.clone());
        assert!(small.push(&[0; 10], 10, 10));
        assert_eq!(purse.spent(), 0);
        let mut large = Body::new(purse.clone());
        assert!(large.push(&[0; 10], 90, 10));
        assert!(large.push(&[0; 20], 90, 10));
        assert_eq!(purse.spent(), 30);
        assert!(large.push(&[0; 60], 90, 10));
        assert_eq!(purse.spent(), 90);
        let mut other = Body::new(purse.clone());
        assert!(!other.push(&[0; 11], 11, 10));
        drop(large);
        assert_eq!(purse.spent(), 0);
        assert!(other.push(&[0; 11], 11, 10));
    }
}
