//! What the server lets in, and how long it waits.

use crate::edge::frontend::{FrontEndLimits, Network};
use std::time::Duration;

/// What the server lets in, and how long it waits: for `serve`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct EdgeSettings {
    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses or ranges such as 10.0.0.0/8, with commas
    #[arg(long, env = "QUOTEGRID_TRUSTED_PROXIES", value_name = "ADDRESS[,…]", value_delimiter = ',')]
    pub trusted_proxies: Vec<Network>,
    /// Connections open at once; idle and slow ones are closed to make room for new ones
    #[arg(long, env = "QUOTEGRID_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = 1_024, hide_short_help = true,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_connections: u32,
    /// Connections open at once from one address; loopback and trusted proxies are exempt
    #[arg(long, env = "QUOTEGRID_MAX_CONNECTIONS_PER_ADDRESS", value_name = "COUNT", default_value_t = 64,
          hide_short_help = true, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_connections_per_address: u32,
    /// Milliseconds that a request's head may take to arrive
    #[arg(long, env = "QUOTEGRID_HEAD_TIMEOUT_MS", value_name = "MS", default_value_t = 10_000, hide_short_help = true,
          value_parser = clap::value_parser!(u32).range(100..=600_000))]
    pub head_timeout_ms: u32,
    /// Milliseconds that a request's body may take to arrive after its head
    #[arg(long, env = "QUOTEGRID_BODY_TIMEOUT_MS", value_name = "MS", default_value_t = 10_000, hide_short_help = true,
          value_parser = clap::value_parser!(u32).range(100..=600_000))]
    pub body_timeout_ms: u32,
    /// Milliseconds that a client may take to read an answer, plus a second for each 16 KiB
    #[arg(long, env = "QUOTEGRID_WRITE_TIMEOUT_MS", value_name = "MS", default_value_t = 30_000, hide_short_help = true,
          value_parser = clap::value_parser!(u32).range(100..=600_000))]
    pub write_timeout_ms: u32,
    /// Milliseconds that a connection may stay open between two requests
    #[arg(long, env = "QUOTEGRID_IDLE_TIMEOUT_MS", value_name = "MS", default_value_t = 60_000, hide_short_help = true,
          value_parser = clap::value_parser!(u32).range(100..=3_600_000))]
    pub idle_timeout_ms: u32,
    /// Milliseconds after which an answer is logged as slow
    #[arg(long, env = "QUOTEGRID_SLOW_REQUEST_MS", value_name = "MS", default_value_t = 1_000, hide_short_help = true,
          value_parser = clap::value_parser!(u32).range(1..=600_000))]
    pub slow_request_ms: u32,
}

impl EdgeSettings {
    /// The front end's limits; those that need no setting have their defaults.
    pub(crate) fn limits(&self) -> FrontEndLimits {
        let time = |ms: u32| Duration::from_millis(u64::from(ms));
        FrontEndLimits {
            connections: self.max_connections as usize,
            connections_per_address: self.max_connections_per_address as usize,
            head_time: time(self.head_timeout_ms),
            body_time: time(self.body_timeout_ms),
            write_time: time(self.write_timeout_ms),
            idle_time: time(self.idle_timeout_ms),
            trusted_proxies: self.trusted_proxies.clone(),
            ..FrontEndLimits::default()
        }
    }
}
