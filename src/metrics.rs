//! The registry, and every metric's name and help text. Whoever counts holds an `Arc` of [`Metrics`] or a clone of one metric;
//! nobody but this file knows how they are written out.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the latency buckets, in seconds: a price takes under a millisecond, a durable webhook a few, and Shopify
/// gives up after five seconds.
const LATENCY_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 5.0];

/// Why the edge turned something away: the reason's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason(pub &'static str);

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.encode(encoder)
    }
}

/// The label of what was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusedLabels {
    /// Why.
    pub reason: Reason,
}

/// The labels of answered requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The route's name, never the path itself: a client could make any number of those.
    pub route: &'static str,
    /// The status code.
    pub status: u16,
}

/// The label of latencies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RouteLabels {
    /// The route's name.
    pub route: &'static str,
}

/// The program's figures, and the registry that writes them out. Parts with figures of their own add them by
/// [`Metrics::register`].
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Connections that are open now.
    pub connections: Gauge,
    /// Connections accepted since the start.
    pub connections_accepted: Counter,
    /// Connections and requests turned away by the edge, by reason.
    pub refused: Family<RefusedLabels, Counter>,
    /// Failures to accept a connection, such as for want of file descriptors.
    pub accept_failures: Counter,
    /// Bytes of large request bodies that are held now.
    pub body_bytes: Gauge,
    /// Requests that wait for a free private connection now.
    pub requests_waiting: Gauge,
    /// Private connections that had to be opened again.
    pub lanes_reopened: Counter,
    /// Requests whose handler panicked.
    pub panics: Counter,
    /// Requests answered, by route and status.
    pub requests: Family<RequestLabels, Counter>,
    /// Time from a whole request to its answer, by route.
    pub latency: Family<RouteLabels, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("quotegrid")),
            connections: Gauge::default(),
            connections_accepted: Counter::default(),
            refused: Family::default(),
            accept_failures: Counter::default(),
            body_bytes: Gauge::default(),
            requests_waiting: Gauge::default(),
            lanes_reopened: Counter::default(),
            panics: Counter::default(),
            requests: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
        };
        metrics.register(|registry| {
            registry.register("http_connections", "Connections open now", metrics.connections.clone());
            registry.register(
                "http_connections_accepted",
                "Connections accepted since the start",
                metrics.connections_accepted.clone(),
            );
            registry.register(
                "http_refused",
                "Connections and requests turned away by the edge",
                metrics.refused.clone(),
            );
            registry.register(
                "http_accept_failures",
                "Failures to accept a connection, such as for want of file descriptors",
                metrics.accept_failures.clone(),
            );
            registry.register("http_body_bytes", "Bytes of large request bodies held now", metrics.body_bytes.clone());
            registry.register(
                "http_requests_waiting",
                "Requests that wait for a free private connection now",
                metrics.requests_waiting.clone(),
            );
            registry.register(
                "http_lanes_reopened",
                "Private connections between gate and server that had to be opened again",
                metrics.lanes_reopened.clone(),
            );
            registry.register("http_panics", "Requests whose handler panicked", metrics.panics.clone());
            registry.register("http_requests", "Requests answered", metrics.requests.clone());
            registry.register(
                "http_request_duration_seconds",
                "Time from a whole request to its answer",
                metrics.latency.clone(),
            );
        });
        metrics
    }
}

impl Metrics {
    /// Adds metrics of another part; their names get the prefix `quotegrid_`.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Everything, as OpenMetrics text.
    pub fn render(&self) -> String {
        let mut page = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        text::encode(&mut page, &registry).expect("writing to a String does not fail");
        page
    }

    /// Counts one refusal.
    pub fn count_refusal(&self, reason: &'static str) {
        self.refused.get_or_create(&RefusedLabels { reason: Reason(reason) }).inc();
    }

    /// Refusals for `reason` so far.
    pub fn refusals(&self, reason: &'static str) -> u64 {
        self.refused.get_or_create(&RefusedLabels { reason: Reason(reason) }).get()
    }

    /// Counts one answered request.
    pub fn count_request(&self, route: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { route, status }).inc();
        self.latency.get_or_create(&RouteLabels { route }).observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_line() {
        let metrics = Metrics::default();
        metrics.count_refusal("head_too_large");
        metrics.count_request("webhooks", 200, Duration::from_millis(3));
        metrics.connections.set(2);
        let page = metrics.render();
        assert!(page.contains(r#"quotegrid_http_refused_total{reason="head_too_large"} 1"#), "{page}");
        assert!(page.contains(r#"quotegrid_http_requests_total{route="webhooks",status="200"} 1"#), "{page}");
        assert!(
            page.contains(r#"quotegrid_http_request_duration_seconds_bucket{le="0.005",route="webhooks"} 1"#),
            "{page}"
        );
        assert!(page.contains("quotegrid_http_connections 2"), "{page}");
        assert!(page.ends_with("# EOF\n"), "{page}");
    }
}
