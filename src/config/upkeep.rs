//! How long data is kept, and where alerts go.

use super::ConfigError;
use super::secret::one_of;
use crate::alerts;
use crate::disk::Floor;
use crate::housekeeping::Retention;
use crate::queue;
use crate::secret::Secret;
use chrono::TimeDelta;
use std::net::IpAddr;
use std::path::PathBuf;

/// The variable of the address for alerts, for messages.
const ALERT_URL: &str = "QUOTEGRID_ALERT_URL";

/// The longest hold: the 30 days for the request without the last two, which are for carrying it out. The erasure itself keeps to that
/// limit too (`erasure/hold.rs`).
const REDACT_HOLD_DAYS_MAX: i64 = 28;

/// How long data is kept, and where alerts go: for commands that process jobs or run maintenance.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct UpkeepSettings {
    /// Days after which completed and cancelled jobs are pruned
    #[arg(long, env = "QUOTEGRID_JOB_RETENTION_DAYS", value_name = "DAYS", default_value_t = 30, hide_short_help = true,
          value_parser = clap::value_parser!(u16).range(1..=36_500))]
    pub job_retention_days: u16,
    /// Days for which a repeated webhook is known as one; Shopify can be days late
    #[arg(long, env = "QUOTEGRID_DELIVERY_RETENTION_DAYS", value_name = "DAYS", default_value_t = 30,
          hide_short_help = true, value_parser = clap::value_parser!(u16).range(3..=36_500))]
    pub delivery_retention_days: u16,
    /// Days after which privacy requests that are done, and jobs that failed permanently, are pruned; receipts are kept permanently
    #[arg(long, env = "QUOTEGRID_GDPR_RETENTION_DAYS", value_name = "DAYS", default_value_t = 1_095,
          hide_short_help = true, value_parser = clap::value_parser!(u16).range(31..=36_500))]
    pub gdpr_retention_days: u16,
    /// Days that the erasure of a store which was not uninstalled waits for `gdpr confirm` or `gdpr reject`, before it is carried out;
    /// 0: it is erased at once
    #[arg(long, env = "QUOTEGRID_REDACT_HOLD_DAYS", value_name = "DAYS", default_value_t = 0, hide_short_help = true,
          value_parser = clap::value_parser!(u16).range(0..=REDACT_HOLD_DAYS_MAX))]
    pub redact_hold_days: u16,
    /// Days after which orders that never went to Shopify go; 0: never. [default: 365 where orders are handed over, else 0]
    #[arg(long, env = "QUOTEGRID_OPEN_ORDER_DAYS", value_name = "DAYS", hide_short_help = true,
          value_parser = clap::value_parser!(u16).range(0..=36_500))]
    pub open_order_days: Option<u16>,
    /// Free bytes on the disk below which no orders and imports are taken, such as 2GiB; auto: 1 GiB or 5 % of the disk, whichever is
    /// more; 0: none. Webhooks are always taken
    #[arg(long, env = "QUOTEGRID_DISK_FLOOR", value_name = "BYTES", default_value_t = Floor::Auto, hide_short_help = true)]
    pub disk_floor: Floor,
    /// Where to post what a person must know of, as small JSON documents: a job failed permanently, a legal deadline nears, no webhook
    /// has come for long, a live store is to be erased or was uninstalled while in use, the disk is nearly full
    #[arg(long, env = "QUOTEGRID_ALERT_URL", value_name = "URL", hide_env_values = true)]
    pub alert_url: Option<Secret>,
    /// A file that holds the address for alerts
    #[arg(long, env = "QUOTEGRID_ALERT_URL_FILE", value_name = "FILE")]
    pub alert_url_file: Option<PathBuf>,
    /// Hours without a webhook that are worth an alert; 0: none are, for a small shop's may be weeks apart
    #[arg(long, env = "QUOTEGRID_SILENCE_HOURS", value_name = "HOURS", default_value_t = 0, hide_short_help = true)]
    pub silence_hours: u16,
}

/// Days after which an order that never went to Shopify is deleted, where nothing is said and orders are meant to go there. Where they
/// are not, they are all that the shop knows of its sales.
const OPEN_ORDER_DAYS: u16 = 365;

impl UpkeepSettings {
    /// What is kept how long, where orders are handed over to Shopify or not.
    pub(crate) fn retention(&self, hands_over: bool) -> Retention {
        let days = |days: u16| TimeDelta::days(days.into());
        let requests = days(self.gdpr_retention_days);
        // A failed job is something that a person has yet to look at.
        let failed = requests.max(days(self.job_retention_days));
        Retention {
            jobs: queue::Retention { finished: days(self.job_retention_days), failed },
            deliveries: days(self.delivery_retention_days),
            requests,
            open_orders: match self.open_order_days {
                Some(0) => None,
                None if !hands_over => None,
                chosen => Some(days(chosen.unwrap_or(OPEN_ORDER_DAYS))),
            },
        }
    }

    /// How long the erasure of a store that looks live waits for a decision.
    pub(crate) fn redact_hold(&self) -> TimeDelta {
        TimeDelta::days(self.redact_hold_days.into())
    }

    /// After how long a silence of Shopify's is worth an alert.
    pub(crate) fn silence(&self) -> Option<TimeDelta> {
        (self.silence_hours > 0).then(|| TimeDelta::hours(self.silence_hours.into()))
    }

    /// Whom to report what.
    ///
    /// # Errors
    /// When the address is given twice, cannot be read, or is not valid.
    pub(crate) fn alerts(&self) -> Result<alerts::Options, ConfigError> {
        let text = one_of(ALERT_URL, self.alert_url.as_ref(), self.alert_url_file.as_deref())?;
        let url = text.trim();
        if !url.is_empty() && !is_alert_address(url) {
            return Err(ConfigError::AlertUrl);
        }
        let url = (!url.is_empty()).then(|| Secret::new(url));
        Ok(alerts::Options { url, silence: self.silence() })
    }
}

/// Whether `url` is one to post alerts to: over TLS, or to this machine. What is posted says how the server is, and the address may
/// be a secret; neither is for a listener on the way.
fn is_alert_address(url: &str) -> bool {
    let Ok(uri) = url.parse::<ureq::http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    !host.is_empty() && (uri.scheme_str() == Some("https") || uri.scheme_str() == Some("http") && is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_go_over_tls_or_stay_on_this_machine() {
        for url in ["https://a.example/hook?x=1", "http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]:8080"] {
            assert!(is_alert_address(url), "{url}");
        }
        for url in [
            "http://a.example/hook",
            "http://10.0.0.1/x",
            "http://localhost.evil.example",
            "ftp://localhost",
            "https://",
            "x",
        ] {
            assert!(!is_alert_address(url), "{url}");
        }
    }
}
