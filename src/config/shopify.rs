//! The app at Shopify, and how it is used.

use super::ConfigError;
use super::secret::{SECRET_MIN, one_of, token};
use crate::orders::handover;
use crate::secret::Secret;
use crate::shopify::admin::{VERSION, is_version};
use std::path::PathBuf;
use std::time::Duration;

/// The variable of the webhook secret, for messages.
const SHOPIFY_SECRET: &str = "QUOTEGRID_SHOPIFY_API_SECRET";

/// The variable of the secret for tokens, for messages.
const SHOPIFY_CLIENT_SECRET: &str = "QUOTEGRID_SHOPIFY_CLIENT_SECRET";

/// The app at Shopify, and how it is used: for commands that take webhooks or process jobs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ShopifySettings {
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
    pub(crate) fn secrets(&self) -> Result<Vec<Secret>, ConfigError> {
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
    pub(crate) fn handover(&self) -> Result<Option<handover::Options>, ConfigError> {
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
