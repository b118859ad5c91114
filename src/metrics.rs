//! The registry, and every metric's name and help text. Code that counts holds an `Arc` of [`Metrics`] or a clone of one metric; what
//! is read at the time of a scrape is a [`MetricsSnapshot`]. Only this module knows how they are written out.

mod snapshot;

pub use snapshot::MetricsSnapshot;

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// What every metric's name begins with; an underscore follows.
const PREFIX: &str = "quotegrid";

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The media type of [`Metrics::render_plain`].
pub const PLAIN_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the latency buckets, in seconds: a price takes under a millisecond, a durable webhook a few, and Shopify
/// gives up after five seconds.
const LATENCY_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 5.0];

/// Why the edge rejected something: the reason's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason(pub &'static str);

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.encode(encoder)
    }
}

/// The label of what was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RejectedLabels {
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
    /// Connections and requests rejected by the edge, by reason.
    pub rejected: Family<RejectedLabels, Counter>,
    /// Failures to accept a connection, such as for want of file descriptors.
    pub accept_failures: Counter,
    /// Bytes of large request bodies that are held now.
    pub body_bytes: Gauge,
    /// Requests that wait for a free upstream connection now.
    pub requests_waiting: Gauge,
    /// Upstream connections that had to be opened again.
    pub upstreams_reopened: Counter,
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
            registry: Mutex::new(Registry::with_prefix(PREFIX)),
            connections: Gauge::default(),
            connections_accepted: Counter::default(),
            rejected: Family::default(),
            accept_failures: Counter::default(),
            body_bytes: Gauge::default(),
            requests_waiting: Gauge::default(),
            upstreams_reopened: Counter::default(),
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
                "http_rejected",
                "Connections and requests rejected by the edge",
                metrics.rejected.clone(),
            );
            registry.register(
                "http_accept_failures",
                "Failures to accept a connection, such as for want of file descriptors",
                metrics.accept_failures.clone(),
            );
            registry.register("http_body_bytes", "Bytes of large request bodies held now", metrics.body_bytes.clone());
            registry.register(
                "http_requests_waiting",
                "Requests that wait for a free upstream connection now",
                metrics.requests_waiting.clone(),
            );
            registry.register(
                "http_upstreams_reopened",
                "Upstream connections between front end and backend that had to be opened again",
                metrics.upstreams_reopened.clone(),
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
        add(&mut self.registry.lock());
    }

    /// Everything, as OpenMetrics text: what was counted since the start, and what `snapshot` has read for this page.
    pub fn render(&self, snapshot: MetricsSnapshot) -> String {
        let mut read_now = Registry::with_prefix(PREFIX);
        read_now.register_collector(Box::new(snapshot));
        let mut page = String::new();
        text::encode_registry(&mut page, &read_now)
            .and_then(|()| text::encode_registry(&mut page, &self.registry.lock()))
            .and_then(|()| text::encode_eof(&mut page))
            .expect("writing to a String does not fail");
        page
    }

    /// The same in the older text format of Prometheus, where a counter's family is called as its samples are.
    pub fn render_plain(&self, snapshot: MetricsSnapshot) -> String {
        let page = self.render(snapshot);
        let counters: BTreeSet<&str> =
            page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
        let line = |line: &str| -> Option<String> {
            let Some(comment) = line.strip_prefix("# ") else { return Some(line.to_owned()) };
            let (keyword, rest) = comment.split_once(' ').filter(|(keyword, _)| matches!(*keyword, "TYPE" | "HELP"))?;
            let (name, rest) = rest.split_once(' ')?;
            let total = if counters.contains(name) { "_total" } else { "" };
            Some(format!("# {keyword} {name}{total} {rest}"))
        };
        page.lines().filter_map(line).map(|line| line + "\n").collect()
    }

    /// Counts one rejection.
    pub fn count_rejection(&self, reason: &'static str) {
        self.rejected.get_or_create(&RejectedLabels { reason: Reason(reason) }).inc();
    }

    /// Rejections for `reason` so far.
    pub fn rejections(&self, reason: &'static str) -> u64 {
        self.rejected.get_or_create(&RejectedLabels { reason: Reason(reason) }).get()
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
        metrics.count_rejection("head_too_large");
        metrics.count_request("webhooks", 200, Duration::from_millis(3));
        metrics.connections.set(2);
        let page = metrics.render(MetricsSnapshot::default());
        assert!(page.contains(r#"quotegrid_http_rejected_total{reason="head_too_large"} 1"#), "{page}");
        assert!(page.contains(r#"quotegrid_http_requests_total{route="webhooks",status="200"} 1"#), "{page}");
        assert!(
            page.contains(r#"quotegrid_http_request_duration_seconds_bucket{le="0.005",route="webhooks"} 1"#),
            "{page}"
        );
        assert!(page.contains("quotegrid_http_connections 2"), "{page}");
        assert!(page.ends_with("# EOF\n"), "{page}");
    }
}
