//! Figures that are read at the time of a scrape. They are the collector of that scrape: nothing is kept between two, and two at the
//! same time do not mix.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;

/// Figures that are read from the database and from counters kept elsewhere, at the time of asking.
#[derive(Debug, Clone, Default)]
pub struct MetricsSnapshot {
    /// Jobs by status.
    pub jobs: [(&'static str, u64); 5],
    /// For how long the oldest due job has been due.
    pub oldest_due_seconds: f64,
    /// Jobs of privacy requests that were discarded.
    pub failed_privacy_jobs: u64,
    /// Privacy requests by state.
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

impl Collector for MetricsSnapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.gauges("jobs", "Jobs by status", "status", &self.jobs)?;
        page.gauge(
            "jobs_oldest_due_seconds",
            "For how long the oldest due job has been due; 0 when none is",
            self.oldest_due_seconds,
        )?;
        page.gauge(
            "jobs_failed_privacy",
            "Jobs of privacy requests that were discarded: a person must act",
            self.failed_privacy_jobs,
        )?;
        page.gauges("privacy_requests", "Privacy requests that are not settled", "status", &self.open_requests)?;
        // A comparison with NaN is false: what is not known raises no alarm.
        page.gauge(
            "privacy_next_deadline_seconds",
            "Until the nearest deadline of an open privacy request; NaN when none is open",
            self.next_deadline_seconds.unwrap_or(f64::NAN),
        )?;
        page.gauge(
            "webhooks_last_accepted_seconds",
            "Since the last webhook was accepted; NaN when none is known",
            self.last_webhook_seconds.unwrap_or(f64::NAN),
        )?;
        page.counters("webhooks", "Webhooks by what became of them", "outcome", &self.webhooks)?;
        page.counters(
            "handovers",
            "Orders by what became of handing them over to Shopify",
            "outcome",
            &self.handovers,
        )?;
        page.gauge(
            "handover_waiting_requests",
            "Requests that wait for Shopify's checkout now",
            self.handover_waiting,
        )?;
        page.gauge("writer_waiting", "Changes that wait for the writer now", self.writer_waiting)?;
        page.counter("writer_commits", "Transactions committed", self.writer_commits)?;
        page.counter("writer_changes", "Changes committed", self.writer_changes)?;
        page.counter("writer_rejected", "Changes rejected or lost", self.writer_rejected)?;
        page.counter("writer_busy_seconds", "Time spent in transactions", self.writer_busy_seconds)?;
        page.gauge("database_bytes", "Bytes of the database file", self.database_bytes)?;
        page.gauge("wal_bytes", "Bytes of the write-ahead log", self.wal_bytes)?;
        page.gauge("database_free_bytes", "Bytes of the file's free pages", self.free_bytes)
    }
}

/// The page of a scrape.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// A gauge for each value of a label.
    fn gauges(&mut self, name: &str, help: &str, label: &str, figures: &[(&str, u64)]) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        figures
            .iter()
            .try_for_each(|&(value, figure)| ConstGauge::new(figure).encode(family.encode_family(&[(label, value)])?))
    }

    /// A counter for each value of a label.
    fn counters(&mut self, name: &str, help: &str, label: &str, figures: &[(&str, u64)]) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        figures
            .iter()
            .try_for_each(|&(value, figure)| ConstCounter::new(figure).encode(family.encode_family(&[(label, value)])?))
    }
}
