//! The registry, and every metric's name and help text. Code that counts holds an `Arc` of [`Metrics`] or a clone of one metric;
//! only this file knows how they are written out.

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The media type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The media type of [`Metrics::render_plain`].
pub const PLAIN_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the latency buckets, in seconds: a price takes under a millisecond, a durable webhook a few, and Shopify
/// gives up after five seconds.
const LATENCY_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 5.0];

/// why the edge rejected something: the reason's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason(pub &'static str);

impl EncodeLabelValue for Reason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.encode(encoder)
    }
}

/// The label of what was refused.
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

/// The label of things that are counted by where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StatusLabels {
    /// Where.
    pub status: &'static str,
}

/// The label of things that are counted by what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// What became of it.
    pub outcome: &'static str,
}

/// Figures that are read from the database and from counters kept elsewhere, at the time of asking.
#[derive(Debug, Clone)]
pub struct MetricsSnapshot {
    /// Jobs by status.
    pub jobs: [(&'static str, u64); 5],
    /// For how long the oldest due job has been due.
    pub oldest_due_seconds: f64,
    /// Jobs of legal duties that were discarded.
    pub failed_privacy_jobs: u64,
    /// Privacy requests by where they stand.
    pub open_requests: [(&'static str, u64); 3],
    /// Until the nearest deadline of an open one; negative when it is past, `None` when none is open.
    pub next_deadline_seconds: Option<f64>,
    /// Since the last webhook was taken; `None` when none is known.
    pub last_webhook_seconds: Option<f64>,
    /// Webhooks by what became of them, since the start.
    pub webhooks: [(&'static str, u64); 7],
    /// Orders by what became of handing them over, since the start.
    pub handovers: [(&'static str, u64); 9],
    /// Requests that wait for Shopify's checkout now.
    pub handover_waiting: u64,
    /// Changes that wait for the writer now.
    pub writer_waiting: u64,
    /// Transactions committed.
    pub writer_commits: u64,
    /// Changes committed.
    pub writer_changes: u64,
    /// Changes rejected or lost.
    pub writer_rejected: u64,
    /// Time spent in transactions.
    pub writer_busy_seconds: f64,
    /// Bytes of the database file.
    pub database_bytes: u64,
    /// Bytes of its WAL.
    pub wal_bytes: u64,
    /// Bytes of the file's free pages.
    pub free_bytes: u64,
}

/// Where [`MetricsSnapshot`] are shown.
#[derive(Debug, Default, Clone)]
struct SnapshotMetrics {
    jobs: Family<StatusLabels, Gauge>,
    oldest_due_seconds: Gauge<f64, AtomicU64>,
    failed_privacy_jobs: Gauge,
    open_requests: Family<StatusLabels, Gauge>,
    next_deadline_seconds: Gauge<f64, AtomicU64>,
    last_webhook_seconds: Gauge<f64, AtomicU64>,
    webhooks: Family<OutcomeLabels, Counter>,
    handovers: Family<OutcomeLabels, Counter>,
    handover_waiting: Gauge,
    writer_waiting: Gauge,
    writer_commits: Counter,
    writer_changes: Counter,
    writer_rejected: Counter,
    writer_busy_seconds: Counter<f64, AtomicU64>,
    database_bytes: Gauge,
    wal_bytes: Gauge,
    free_bytes: Gauge,
}

impl SnapshotMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register("jobs", "Jobs by status", self.jobs.clone());
        registry.register(
            "jobs_oldest_due_seconds",
            "For how long the oldest due job has been due; 0 when none is",
            self.oldest_due_seconds.clone(),
        );
        registry.register(
            "jobs_failed_privacy",
            "Jobs of legal duties that were given up: a person must act",
            self.failed_privacy_jobs.clone(),
        );
        registry.register("privacy_requests", "Privacy requests that are not settled", self.open_requests.clone());
        registry.register(
            "privacy_next_deadline_seconds",
            "Until the nearest deadline of an open privacy request; NaN when none is open",
            self.next_deadline_seconds.clone(),
        );
        registry.register(
            "webhooks_last_accepted_seconds",
            "Since the last webhook was accepted; NaN when none is known",
            self.last_webhook_seconds.clone(),
        );
        registry.register("webhooks", "Webhooks by what became of them", self.webhooks.clone());
        registry.register("handovers", "Orders by what became of handing them over to Shopify", self.handovers.clone());
        registry.register(
            "handover_waiting_requests",
            "Requests that wait for Shopify's checkout now",
            self.handover_waiting.clone(),
        );
        registry.register("writer_waiting", "Changes that wait for the writer now", self.writer_waiting.clone());
        registry.register("writer_commits", "Transactions committed", self.writer_commits.clone());
        registry.register("writer_changes", "Changes committed", self.writer_changes.clone());
        registry.register("writer_rejected", "Changes rejected or lost", self.writer_rejected.clone());
        registry.register("writer_busy_seconds", "Time spent in transactions", self.writer_busy_seconds.clone());
        registry.register("database_bytes", "Bytes of the database file", self.database_bytes.clone());
        registry.register("wal_bytes", "Bytes of the write-ahead log", self.wal_bytes.clone());
        registry.register("database_free_bytes", "Bytes of the file's free pages", self.free_bytes.clone());
    }

    fn show(&self, figures: &MetricsSnapshot) {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for (status, count) in figures.jobs {
            self.jobs.get_or_create(&StatusLabels { status }).set(signed(count));
        }
        for (status, count) in figures.open_requests {
            self.open_requests.get_or_create(&StatusLabels { status }).set(signed(count));
        }
        for (outcome, count) in figures.webhooks {
            self.webhooks.get_or_create(&OutcomeLabels { outcome }).inner().store(count, Ordering::Relaxed);
        }
        for (outcome, count) in figures.handovers {
            self.handovers.get_or_create(&OutcomeLabels { outcome }).inner().store(count, Ordering::Relaxed);
        }
        self.handover_waiting.set(signed(figures.handover_waiting));
        self.oldest_due_seconds.set(figures.oldest_due_seconds);
        self.failed_privacy_jobs.set(signed(figures.failed_privacy_jobs));
        // A comparison with NaN is false: what is not known alarms nobody.
        self.next_deadline_seconds.set(figures.next_deadline_seconds.unwrap_or(f64::NAN));
        self.last_webhook_seconds.set(figures.last_webhook_seconds.unwrap_or(f64::NAN));
        self.writer_waiting.set(signed(figures.writer_waiting));
        for (counter, count) in [
            (&self.writer_commits, figures.writer_commits),
            (&self.writer_changes, figures.writer_changes),
            (&self.writer_rejected, figures.writer_rejected),
        ] {
            counter.inner().store(count, Ordering::Relaxed);
        }
        self.writer_busy_seconds.inner().store(figures.writer_busy_seconds.to_bits(), Ordering::Relaxed);
        self.database_bytes.set(signed(figures.database_bytes));
        self.wal_bytes.set(signed(figures.wal_bytes));
        self.free_bytes.set(signed(figures.free_bytes));
    }
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
    snapshot: SnapshotMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("quotegrid")),
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
            snapshot: SnapshotMetrics::default(),
        };
        metrics.register(|registry| metrics.snapshot.register(registry));
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

    /// Everything, as OpenMetrics text.
    pub fn render(&self) -> String {
        let mut page = String::new();
        let registry = self.registry.lock();
        text::encode(&mut page, &registry).expect("writing to a String does not fail");
        page
    }

    /// The same in the older text format of Prometheus, where a counter's family is called as its samples are.
    pub fn render_plain(&self) -> String {
        let page = self.render();
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

    /// Shows these figures until others are shown.
    pub fn show(&self, figures: &MetricsSnapshot) {
        self.snapshot.show(figures);
    }

    /// Counts one refusal.
    pub fn count_rejection(&self, reason: &'static str) {
        self.rejected.get_or_create(&RejectedLabels { reason: Reason(reason) }).inc();
    }

    /// Refusals for `reason` so far.
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
        let page = metrics.render();
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
