//! Where and for whom the server listens.

use super::secret::own_tokens;
use super::{ConfigError, EdgeSettings};
use crate::edge::ServerOptions;
use crate::http::guard::{ORDER_LIMIT, RATE_LIMIT};
use crate::http::state::{LISTEN, Operator};
use crate::metrics::Metrics;
use crate::orders::open_limit::{OPEN_ORDER_LIMIT, OpenOrderLimit};
use crate::secret::Secret;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The variable of the metrics token, for messages.
const METRICS_TOKEN: &str = "QUOTEGRID_METRICS_TOKEN";

/// The variable of the admin token, for messages.
const ADMIN_TOKEN: &str = "QUOTEGRID_ADMIN_TOKEN";

/// Where and for whom the server listens: for `serve`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerSettings {
    /// Address and port to listen on; port 0 picks a free one. TLS is a reverse proxy's job. [default: 127.0.0.1:8080, with
    /// --ephemeral 127.0.0.1:0]; a port alone is one of 127.0.0.1
    #[arg(long, env = "QUOTEGRID_LISTEN", value_name = "ADDRESS:PORT", value_parser = parse_listen)]
    pub listen: Option<SocketAddr>,
    /// The bearer token of /admin/api, at least 16 characters; two with a comma between them while one replaces the other. Without one
    /// the admin API is off (404)
    #[arg(long, env = "QUOTEGRID_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub admin_token: Option<Secret>,
    /// A file that holds the admin token
    #[arg(long, env = "QUOTEGRID_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// A bearer token for /metrics and the details of /readyz, alongside the admin token, of at least 16 characters; without
    /// either there is no /metrics
    #[arg(long, env = "QUOTEGRID_METRICS_TOKEN", value_name = "TOKEN", hide_env_values = true, hide_short_help = true)]
    pub metrics_token: Option<Secret>,
    /// A file that holds the metrics token
    #[arg(long, env = "QUOTEGRID_METRICS_TOKEN_FILE", value_name = "FILE", hide_short_help = true)]
    pub metrics_token_file: Option<PathBuf>,
    /// How people reach this server from outside, such as `https://quotes.example.com`; the listen address where unset
    #[arg(long, env = "QUOTEGRID_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    #[command(flatten)]
    operator: OperatorSettings,
    /// Storefront requests that each client of an API key may make at once; two a second more come back. 0: no limits at all
    #[arg(long, env = "QUOTEGRID_RATE_LIMIT", value_name = "REQUESTS", default_value_t = RATE_LIMIT,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub rate_limit: u32,
    /// Orders that each client may place at once; one more comes back each 30 seconds, and a store takes 60 a minute. 0: any number.
    /// [default: 10; 0 with --rate-limit 0]
    #[arg(long, env = "QUOTEGRID_ORDER_LIMIT", value_name = "ORDERS", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub order_limit: Option<u32>,
    /// Orders of one hour that a store may hold which nobody has paid or called off: a flood is refused from there on. 0: any number.
    /// [default: 1000; 0 with --rate-limit 0]
    #[arg(long, env = "QUOTEGRID_OPEN_ORDER_LIMIT", value_name = "ORDERS", hide_short_help = true,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub open_order_limit: Option<u32>,
    /// Threads that answer requests; none of them ever waits for a commit
    #[arg(long, env = "QUOTEGRID_HANDLERS", value_name = "THREADS", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub handlers: u16,
}

impl ServerSettings {
    /// How many orders each client may place at once. Without any rate limit there is none of orders either, unless one is set.
    pub(crate) fn order_limit(&self) -> u32 {
        self.order_limit.unwrap_or(if self.rate_limit == 0 { 0 } else { ORDER_LIMIT })
    }

    /// How many unpaid orders of an hour a store may hold.
    pub(crate) fn open_order_limit(&self) -> OpenOrderLimit {
        OpenOrderLimit::new(self.open_order_limit.unwrap_or(if self.rate_limit == 0 { 0 } else { OPEN_ORDER_LIMIT }))
    }

    /// The admin token, or two with a comma between them, where any is configured.
    ///
    /// # Errors
    /// As [`super::ShopifySettings::secrets`].
    pub(crate) fn admin_token(&self) -> Result<Option<Secret>, ConfigError> {
        own_tokens(ADMIN_TOKEN, self.admin_token.as_ref(), self.admin_token_file.as_deref())
    }

    /// The token for /metrics, or two with a comma between them, where any is configured.
    ///
    /// # Errors
    /// As [`super::ShopifySettings::secrets`].
    pub(crate) fn metrics_token(&self) -> Result<Option<Secret>, ConfigError> {
        own_tokens(METRICS_TOKEN, self.metrics_token.as_ref(), self.metrics_token_file.as_deref())
    }

    /// Who runs the server; what is blank counts as not said.
    pub(crate) fn operator(&self) -> Operator {
        let said =
            |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        Operator { name: said(&self.operator.name), contact: said(&self.operator.contact) }
    }

    /// How the server runs with these settings and those of its edge.
    pub(crate) fn options(&self, edge: &EdgeSettings, metrics: Arc<Metrics>) -> ServerOptions {
        ServerOptions {
            listen: self.listen.unwrap_or(LISTEN),
            handlers: usize::from(self.handlers),
            limits: edge.limits(),
            slow: Duration::from_millis(u64::from(edge.slow_request_ms)),
            metrics,
        }
    }

    /// The public address without a slash at its end, where one is configured.
    ///
    /// # Errors
    /// When it is not an http or https address.
    pub(crate) fn public_url(&self) -> Result<Option<String>, ConfigError> {
        checked_public_url(self.public_url.as_deref().unwrap_or_default())
    }
}

/// Reads an address and port; a port alone, or one of `localhost`, is this machine's own.
fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    let here = |port: u16| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    port.parse().map(here).or_else(|_no_port| text.parse()).map_err(|_no_address| {
        "must be an address and port such as 127.0.0.1:8080 or [::1]:8080, or a port alone".to_owned()
    })
}

/// Who runs the server, as its privacy page says: for `serve`.
#[derive(Debug, Clone, Default, clap::Args)]
struct OperatorSettings {
    /// Who runs this server: a person or a company, as the page /privacy names them
    #[arg(
        id = "operator_name",
        long = "operator-name",
        env = "QUOTEGRID_OPERATOR_NAME",
        value_name = "NAME",
        hide_short_help = true
    )]
    name: Option<String>,
    /// How to reach them: an e-mail address, a web page, or a sentence
    #[arg(
        id = "operator_contact",
        long = "operator-contact",
        env = "QUOTEGRID_OPERATOR_CONTACT",
        value_name = "TEXT",
        hide_short_help = true
    )]
    contact: Option<String>,
}

/// An address for people without a slash at its end; `None` where it is empty.
///
/// # Errors
/// When it is not an http or https address.
pub(crate) fn checked_public_url(url: &str) -> Result<Option<String>, ConfigError> {
    let url = url.trim();
    if url.is_empty() {
        return Ok(None);
    }
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).ok_or(ConfigError::PublicUrl)?;
    if host.is_empty() || host.starts_with('/') || host.contains(['?', '#', ' ', '"', '<', '>']) {
        return Err(ConfigError::PublicUrl);
    }
    Ok(Some(url.trim_end_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        for text in ["8080", "localhost:8080", "127.0.0.1:8080"] {
            assert_eq!(parse_listen(text), Ok(LISTEN), "{text}");
        }
        assert_eq!(parse_listen("[::1]:80"), Ok("[::1]:80".parse().expect("an address")));
        for text in ["", ":8080", "70000", "example.com:80", "127.0.0.1"] {
            assert!(parse_listen(text).is_err(), "{text}");
        }
    }
}
