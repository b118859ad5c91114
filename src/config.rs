//! The only reader of the environment. clap takes raw strings from flags and `QUOTEGRID_…` variables; each group of settings
//! turns its own into checked values, or a sentence that says what to mend. Secrets print as `***`.

use crate::alerts;
use crate::db::Synchronous;
use crate::housekeeping::Retention;
use crate::http::gate::{Limits, Network};
use crate::http::guard::RATE_LIMIT;
use crate::orders::handover;
use crate::queue;
use crate::shopify::admin::{VERSION, is_version};
use chrono::TimeDelta;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The shortest secret that `serve` accepts: Shopify's have 32 characters, and a short one can be guessed.
const SECRET_MIN: usize = 8;

/// The level of the log, by `QUOTEGRID_LOG`; info where that is unset.
pub fn log_filter() -> String {
    std::env::var("QUOTEGRID_LOG").unwrap_or_else(|_unset| "info".to_owned())
}

/// For tests of crashes: `QUOTEGRID_KILL_AT`, a failpoint's name and, after `=`, at which of its passings the process is killed.
///
/// # Panics
/// When the number is none.
pub fn kill_point() -> Option<(String, usize)> {
    let wanted = std::env::var("QUOTEGRID_KILL_AT").ok()?;
    let (point, times) = wanted.split_once('=').unwrap_or((&wanted, "1"));
    Some((point.to_owned(), times.parse().expect("QUOTEGRID_KILL_AT=point=n has a number")))
}

/// A value that must not be seen. `Debug` and `Display` show `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value itself: for signing and comparing, never for printing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

/// Which database, and how it is written: for every command.
#[derive(Debug, Clone, clap::Args)]
pub struct DatabaseSettings {
    /// The database file; made with its directory where the command may make it
    #[arg(long, env = "QUOTEGRID_DATABASE", value_name = "FILE", default_value = "data/quotegrid.db", global = true)]
    pub database: PathBuf,
    /// How hard a commit is pushed to the disk: full survives a power cut, normal may lose the last commits in one
    #[arg(
        long,
        env = "QUOTEGRID_SYNCHRONOUS",
        value_name = "full|normal",
        default_value = "full",
        global = true,
        hide_short_help = true
    )]
    pub synchronous: Synchronous,
}

/// How many jobs run beside each other, and how long they may take to end: for `serve` and `work`.
#[derive(Debug, Clone, clap::Args)]
pub struct WorkerSettings {
    /// Threads that work jobs off; 0: none. [default: 2, with --clock-at 0]
    #[arg(long, env = "QUOTEGRID_WORKERS", value_name = "THREADS",
          value_parser = clap::value_parser!(u16).range(0..=64))]
    pub workers: Option<u16>,
    /// Milliseconds after which a job is taken from a worker that has stopped renewing its claim
    #[arg(long, env = "QUOTEGRID_LEASE_MS", value_name = "MS", default_value_t = 30_000,
          value_parser = clap::value_parser!(u32).range(1_000..=3_600_000))]
    pub lease_ms: u32,
    /// Milliseconds that running jobs and requests get to end after SIGTERM or SIGINT; a second signal stops at once
    #[arg(long, env = "QUOTEGRID_GRACE_MS", value_name = "MS", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(0..=600_000))]
    pub grace_ms: u32,
}

/// Where the server listens where nothing is said.
pub const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

/// Threads that work jobs off where nothing is said.
pub const WORKERS: u16 = 2;

/// Where and for whom the server listens: for `serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerSettings {
    /// Address and port to listen on; port 0 picks a free one. TLS is a reverse proxy's job. [default: 127.0.0.1:8080, with
    /// --ephemeral 127.0.0.1:0]
    #[arg(long, env = "QUOTEGRID_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// The bearer token of /admin/api; without one the admin API is off (404)
    #[arg(long, env = "QUOTEGRID_ADMIN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub admin_token: Option<Secret>,
    /// A file that holds the admin token
    #[arg(long, env = "QUOTEGRID_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// The bearer token of /metrics; the admin token where unset, and without either there is no /metrics
    #[arg(long, env = "QUOTEGRID_METRICS_TOKEN", value_name = "TOKEN", hide_env_values = true, hide_short_help = true)]
    pub metrics_token: Option<Secret>,
    /// A file that holds the metrics token
    #[arg(long, env = "QUOTEGRID_METRICS_TOKEN_FILE", value_name = "FILE", hide_short_help = true)]
    pub metrics_token_file: Option<PathBuf>,
    /// How people reach this server from outside, such as `https://quotes.example.com`; the listen address where unset
    #[arg(long, env = "QUOTEGRID_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    #[command(flatten)]
    operator: Operator,
    /// Storefront requests that each client of an API key may make at once; two a second more come back. 0: no limits at all
    #[arg(long, env = "QUOTEGRID_RATE_LIMIT", value_name = "REQUESTS", default_value_t = RATE_LIMIT,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub rate_limit: u32,
    /// Threads that answer requests; none of them ever waits for a commit
    #[arg(long, env = "QUOTEGRID_HANDLERS", value_name = "THREADS", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub handlers: u16,
}

/// The app at Shopify, and how it is used: for commands that take webhooks or work jobs off.
#[derive(Debug, Clone, clap::Args)]
pub struct ShopifySettings {
    /// The app's client secret, which signs webhooks; several with commas while one is being rotated, the newest first
    #[arg(long, env = "QUOTEGRID_SHOPIFY_API_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub shopify_api_secret: Option<Secret>,
    /// A file that holds the client secret, or several, a line each
    #[arg(long, env = "QUOTEGRID_SHOPIFY_API_SECRET_FILE", value_name = "FILE")]
    pub shopify_api_secret_file: Option<PathBuf>,
    /// The app's client id: with it, orders are handed over to Shopify's checkout. Without, they stay here, with their own page
    #[arg(long, env = "QUOTEGRID_SHOPIFY_CLIENT_ID", value_name = "ID")]
    pub shopify_client_id: Option<String>,
    /// The client secret that belongs to the client id, where it is not the first of those that sign webhooks
    #[arg(
        long,
        env = "QUOTEGRID_SHOPIFY_CLIENT_SECRET",
        value_name = "SECRET",
        hide_env_values = true,
        hide_short_help = true
    )]
    pub shopify_client_secret: Option<Secret>,
    /// A file that holds the client secret that belongs to the client id
    #[arg(long, env = "QUOTEGRID_SHOPIFY_CLIENT_SECRET_FILE", value_name = "FILE", hide_short_help = true)]
    pub shopify_client_secret_file: Option<PathBuf>,
    /// Version of Shopify's Admin API
    #[arg(long, env = "QUOTEGRID_SHOPIFY_API_VERSION", value_name = "VERSION", default_value = VERSION,
          hide_short_help = true)]
    pub shopify_api_version: String,
    /// Where Shopify's Admin API is: for proxies and test servers; {shop} stands for the shop's domain
    #[arg(
        long,
        env = "QUOTEGRID_SHOPIFY_ADMIN_URL",
        value_name = "URL",
        default_value = "https://{shop}",
        hide_short_help = true
    )]
    pub shopify_admin_url: String,
    /// Milliseconds that a call to Shopify may take
    #[arg(long, env = "QUOTEGRID_SHOPIFY_TIMEOUT_MS", value_name = "MS", default_value_t = 10_000, hide_short_help = true,
          value_parser = clap::value_parser!(u32).range(100..=25_000))]
    pub shopify_timeout_ms: u32,
    /// Milliseconds for which an order is looked for at Shopify after a call whose outcome is unclear, before it is sent again
    #[arg(long, env = "QUOTEGRID_SHOPIFY_SETTLE_MS", value_name = "MS", default_value_t = 600_000, hide_short_help = true,
          value_parser = clap::value_parser!(u32).range(1_000..=86_400_000))]
    pub shopify_settle_ms: u32,
    /// Threads that hand orders over; they wait for Shopify and for nothing else
    #[arg(long, env = "QUOTEGRID_SHOPIFY_CALLS", value_name = "THREADS", default_value_t = 4, hide_short_help = true,
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub shopify_calls: u16,
    /// Milliseconds that a shopper who has ordered waits for Shopify's checkout, before the order's own page is the answer
    #[arg(long, env = "QUOTEGRID_CHECKOUT_WAIT_MS", value_name = "MS", default_value_t = 3_000, hide_short_help = true,
          value_parser = clap::value_parser!(u32).range(0..=20_000))]
    pub checkout_wait_ms: u32,
}

impl ShopifySettings {
    /// The webhook secrets that are configured, newest first; empty when there are none.
    ///
    /// # Errors
    /// When they are given twice, cannot be read, or are too short.
    pub fn secrets(&self) -> Result<Vec<Secret>, ConfigError> {
        let text = one_of(SHOPIFY_SECRET, self.shopify_api_secret.as_ref(), self.shopify_api_secret_file.as_deref())?;
        let secrets = text.split([',', '\n']).map(str::trim).filter(|secret| !secret.is_empty()).map(Secret::new);
        let secrets: Vec<Secret> = secrets.collect();
        if secrets.iter().any(|secret| secret.expose().len() < SECRET_MIN) {
            return Err(ConfigError::ShortSecret { name: SHOPIFY_SECRET });
        }
        Ok(secrets)
    }

    /// How orders are handed over; `None` without a client id.
    ///
    /// # Errors
    /// When there is an id and no secret, or something cannot be what it says.
    pub fn handover(&self) -> Result<Option<handover::Options>, ConfigError> {
        let id = self.shopify_client_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
        let (value, file) = (self.shopify_client_secret.as_ref(), self.shopify_client_secret_file.as_deref());
        let own = token(SHOPIFY_CLIENT_SECRET, value, file)?;
        let Some(id) = id else { return Ok(None) };
        let secret = match own {
            Some(secret) => secret,
            None => self.secrets()?.into_iter().next().ok_or(ConfigError::NoClientSecret)?,
        };
        if !is_version(&self.shopify_api_version) {
            return Err(ConfigError::ApiVersion);
        }
        let time = |ms: u32| Duration::from_millis(u64::from(ms));
        Ok(Some(handover::Options {
            version: self.shopify_api_version.clone(),
            address: self.shopify_admin_url.parse().map_err(ConfigError::AdminUrl)?,
            timeout: time(self.shopify_timeout_ms),
            settle: time(self.shopify_settle_ms),
            wait: time(self.checkout_wait_ms),
            threads: usize::from(self.shopify_calls),
            ..handover::Options::new(id, secret)
        }))
    }
}

/// Who runs the server, as its privacy page says.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Operator {
    /// Who runs this server: a person or a company, as the page /privacy names them
    #[arg(
        id = "operator_name",
        long = "operator-name",
        env = "QUOTEGRID_OPERATOR_NAME",
        value_name = "NAME",
        hide_short_help = true
    )]
    pub name: Option<String>,
    /// How to reach them: an e-mail address, a web page, or a sentence
    #[arg(
        id = "operator_contact",
        long = "operator-contact",
        env = "QUOTEGRID_OPERATOR_CONTACT",
        value_name = "TEXT",
        hide_short_help = true
    )]
    pub contact: Option<String>,
}

/// What the server lets in, and how long it waits: for `serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct EdgeSettings {
    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses or ranges such as 10.0.0.0/8, with commas
    #[arg(long, env = "QUOTEGRID_TRUSTED_PROXIES", value_name = "ADDRESS[,…]", value_delimiter = ',')]
    pub trusted_proxies: Vec<Network>,
    /// Connections open at once; idle ones are closed to make room for new ones
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
    /// Milliseconds that a client may take to read an answer, beside a second for each 16 KiB
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
    /// The gate's limits; those that nobody needs to set have their defaults.
    pub fn limits(&self) -> Limits {
        let time = |ms: u32| Duration::from_millis(u64::from(ms));
        Limits {
            connections: self.max_connections as usize,
            connections_per_address: self.max_connections_per_address as usize,
            head_time: time(self.head_timeout_ms),
            body_time: time(self.body_timeout_ms),
            write_time: time(self.write_timeout_ms),
            idle_time: time(self.idle_timeout_ms),
            trusted_proxies: self.trusted_proxies.clone(),
            ..Limits::default()
        }
    }
}

/// What is kept how long, and whom to tell what a person must know of: for commands that work jobs off or keep house.
#[derive(Debug, Clone, clap::Args)]
pub struct UpkeepSettings {
    /// Days after which completed and cancelled jobs are pruned
    #[arg(long, env = "QUOTEGRID_JOB_RETENTION_DAYS", value_name = "DAYS", default_value_t = 30, hide_short_help = true,
          value_parser = clap::value_parser!(u16).range(1..=36_500))]
    pub job_retention_days: u16,
    /// Days for which a repeated webhook is known as one; Shopify can be days late
    #[arg(long, env = "QUOTEGRID_DELIVERY_RETENTION_DAYS", value_name = "DAYS", default_value_t = 30,
          hide_short_help = true, value_parser = clap::value_parser!(u16).range(3..=36_500))]
    pub delivery_retention_days: u16,
    /// Days after which privacy requests that are done, and jobs that failed for good, are pruned; receipts are kept for ever
    #[arg(long, env = "QUOTEGRID_GDPR_RETENTION_DAYS", value_name = "DAYS", default_value_t = 1_095,
          hide_short_help = true, value_parser = clap::value_parser!(u16).range(31..=36_500))]
    pub gdpr_retention_days: u16,
    /// Where to post what a person must know of, as small JSON documents: a job failed for good, a legal deadline nears, no webhook
    /// has come for long
    #[arg(long, env = "QUOTEGRID_ALERT_URL", value_name = "URL", hide_env_values = true)]
    pub alert_url: Option<Secret>,
    /// A file that holds the address for alerts
    #[arg(long, env = "QUOTEGRID_ALERT_URL_FILE", value_name = "FILE")]
    pub alert_url_file: Option<PathBuf>,
    /// Hours without a webhook that are worth an alert; 0: none are, for a small shop's may be weeks apart
    #[arg(long, env = "QUOTEGRID_SILENCE_HOURS", value_name = "HOURS", default_value_t = 0, hide_short_help = true)]
    pub silence_hours: u16,
}

impl UpkeepSettings {
    /// What is kept how long.
    pub fn retention(&self) -> Retention {
        let days = |days: u16| TimeDelta::days(days.into());
        let requests = days(self.gdpr_retention_days);
        // A failed job is something that a person has yet to look at.
        let failed = requests.max(days(self.job_retention_days));
        Retention {
            jobs: queue::Retention { finished: days(self.job_retention_days), failed },
            deliveries: days(self.delivery_retention_days),
            requests,
        }
    }

    /// After how long a silence of Shopify's is worth telling.
    pub fn silence(&self) -> Option<TimeDelta> {
        (self.silence_hours > 0).then(|| TimeDelta::hours(self.silence_hours.into()))
    }

    /// Whom to tell of what.
    ///
    /// # Errors
    /// When the address is given twice, cannot be read, or is none.
    pub fn alerts(&self) -> Result<alerts::Options, ConfigError> {
        let text = one_of(ALERT_URL, self.alert_url.as_ref(), self.alert_url_file.as_deref())?;
        let url = text.trim();
        if !url.is_empty() && !is_http_address(url) {
            return Err(ConfigError::AlertUrl);
        }
        let url = (!url.is_empty()).then(|| Secret::new(url));
        Ok(alerts::Options { url, silence: self.silence() })
    }
}

/// What is wrong with a setting, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A needed secret is missing.
    #[error(
        "no Shopify API secret: set QUOTEGRID_SHOPIFY_API_SECRET (or QUOTEGRID_SHOPIFY_API_SECRET_FILE) to your app's client secret, or try it on this machine with --dev"
    )]
    NoShopifySecret,
    /// A client id is of no use alone.
    #[error(
        "QUOTEGRID_SHOPIFY_CLIENT_ID is set and there is no client secret: set QUOTEGRID_SHOPIFY_API_SECRET (or QUOTEGRID_SHOPIFY_CLIENT_SECRET, or the file of one of both)"
    )]
    NoClientSecret,
    /// No version.
    #[error("QUOTEGRID_SHOPIFY_API_VERSION must look like {VERSION}")]
    ApiVersion,
    /// No address to send secrets to.
    #[error("QUOTEGRID_SHOPIFY_ADMIN_URL {0}")]
    AdminUrl(handover::NotAnAddress),
    /// Given twice.
    #[error("both {name} and {name}_FILE are set: keep one of them")]
    Twice {
        /// The variable.
        name: &'static str,
    },
    /// A secret's file cannot be read.
    #[error("{name}: {path} cannot be read: {source}")]
    File {
        /// The variable.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A secret that protects nothing.
    #[error("{name} is shorter than {SECRET_MIN} characters, which can be guessed: use a longer one")]
    ShortSecret {
        /// The variable.
        name: &'static str,
    },
    /// Not a URL to post to. It is not repeated: such addresses are secrets.
    #[error("QUOTEGRID_ALERT_URL must look like https://alerts.example.com/hook")]
    AlertUrl,
    /// Not a URL to put in front of a path.
    #[error("QUOTEGRID_PUBLIC_URL must look like https://quotes.example.com, without a query or a fragment")]
    PublicUrl,
}

/// The variable of the webhook secret, for messages.
const SHOPIFY_SECRET: &str = "QUOTEGRID_SHOPIFY_API_SECRET";
/// The variable of the secret for tokens, for messages.
const SHOPIFY_CLIENT_SECRET: &str = "QUOTEGRID_SHOPIFY_CLIENT_SECRET";
/// The variable of the address for alerts, for messages.
const ALERT_URL: &str = "QUOTEGRID_ALERT_URL";
/// The variable of the metrics token, for messages.
const METRICS_TOKEN: &str = "QUOTEGRID_METRICS_TOKEN";
/// The variable of the admin token, for messages.
const ADMIN_TOKEN: &str = "QUOTEGRID_ADMIN_TOKEN";

impl ServerSettings {
    /// The admin token, where one is configured.
    ///
    /// # Errors
    /// As [`ShopifySettings::secrets`].
    pub fn admin_token(&self) -> Result<Option<Secret>, ConfigError> {
        token(ADMIN_TOKEN, self.admin_token.as_ref(), self.admin_token_file.as_deref())
    }

    /// The token for /metrics, where one is configured.
    ///
    /// # Errors
    /// As [`ShopifySettings::secrets`].
    pub fn metrics_token(&self) -> Result<Option<Secret>, ConfigError> {
        token(METRICS_TOKEN, self.metrics_token.as_ref(), self.metrics_token_file.as_deref())
    }

    /// Who runs the server; what is blank counts as not said.
    pub fn operator(&self) -> Operator {
        let said =
            |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        Operator { name: said(&self.operator.name), contact: said(&self.operator.contact) }
    }

    /// The public address without a slash at its end, where one is configured.
    ///
    /// # Errors
    /// When it is not an http or https address.
    pub fn public_url(&self) -> Result<Option<String>, ConfigError> {
        checked_public_url(self.public_url.as_deref().unwrap_or_default())
    }
}

/// An address for people without a slash at its end; `None` where it is empty.
///
/// # Errors
/// When it is not an http or https address.
pub fn checked_public_url(url: &str) -> Result<Option<String>, ConfigError> {
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

/// A bearer token that is given by value or by file.
fn token(name: &'static str, value: Option<&Secret>, file: Option<&Path>) -> Result<Option<Secret>, ConfigError> {
    let text = one_of(name, value, file)?;
    let token = text.trim();
    match token.len() {
        0 => Ok(None),
        length if length < SECRET_MIN => Err(ConfigError::ShortSecret { name }),
        _ => Ok(Some(Secret::new(token))),
    }
}

fn is_http_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The text of a secret that is given by value or by file; empty when by neither.
fn one_of(name: &'static str, value: Option<&Secret>, file: Option<&Path>) -> Result<String, ConfigError> {
    let value = value.map(Secret::expose).filter(|value| !value.trim().is_empty());
    match (value, file) {
        (Some(_), Some(_)) => Err(ConfigError::Twice { name }),
        (Some(value), None) => Ok(value.to_owned()),
        (None, Some(path)) => {
            std::fs::read_to_string(path).map_err(|source| ConfigError::File { name, path: path.to_path_buf(), source })
        }
        (None, None) => Ok(String::new()),
    }
}
