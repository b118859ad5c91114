//! The only reader of the environment. clap takes raw strings from flags and `QUOTEGRID_…` variables; each group of settings, in a
//! file of its own below, turns its own into checked values, or a sentence that says what to fix. Secrets print as `***`.

mod edge;
mod file;
mod secret;
mod server;
mod shopify;
mod upkeep;

pub(crate) use edge::EdgeSettings;
pub(crate) use file::{read_bounded, read_to_limit};
pub(crate) use secret::read_file;
pub(crate) use server::{ServerSettings, checked_public_url};
pub(crate) use shopify::ShopifySettings;
pub(crate) use upkeep::UpkeepSettings;

use crate::db::Synchronous;
use crate::orders::handover;
use crate::shopify::admin::VERSION;
use secret::{SECRET_MIN, TOKEN_MIN, TOKENS_MAX};
use std::path::PathBuf;

/// What the name of every setting's variable begins with.
pub(crate) const PREFIX: &str = "QUOTEGRID_";

/// The variable that sets the level of the log.
pub(crate) const LOG_VARIABLE: &str = "QUOTEGRID_LOG";

/// The level of the log where nothing is said, or nothing that is one.
const LOG_LEVEL: &str = "info";

/// Variables that are read here and belong to no flag.
pub(crate) const OTHER_VARIABLES: &[&str] = &[
    LOG_VARIABLE,
    #[cfg(debug_assertions)]
    "QUOTEGRID_KILL_AT",
    #[cfg(debug_assertions)]
    "QUOTEGRID_HOLD_AT",
];

/// The level of the log, by `QUOTEGRID_LOG`; info where that is unset or not a level.
pub(crate) fn log_filter() -> String {
    let wanted = std::env::var(LOG_VARIABLE).unwrap_or_default();
    if wanted.trim().is_empty() || faulty_directive(&wanted).is_some() { LOG_LEVEL.to_owned() } else { wanted }
}

/// What of `QUOTEGRID_LOG` is not a level, if anything is.
pub(crate) fn faulty_log_filter() -> Option<String> {
    faulty_directive(&std::env::var(LOG_VARIABLE).unwrap_or_default())
}

/// The first directive of a log filter that sets no level: `level` or `module=level`, with commas between.
fn faulty_directive(filter: &str) -> Option<String> {
    let directives = filter.split('/').next().unwrap_or_default().split(',').map(str::trim);
    let mut levels = directives.filter(|directive| !directive.is_empty()).map(|directive| {
        let level = directive.split_once('=').map_or(directive, |(_module, level)| level);
        (directive, level.parse::<log::LevelFilter>().is_ok())
    });
    levels.find(|(_directive, is_level)| !is_level).map(|(directive, _)| directive.to_owned())
}

/// The names of all environment variables that are text.
pub(crate) fn variable_names() -> impl Iterator<Item = String> {
    std::env::vars_os().filter_map(|(name, _value)| name.into_string().ok())
}

/// For tests of crashes: `QUOTEGRID_KILL_AT`, a failpoint's name and, after `=`, at which of its passings the process is killed.
///
/// # Panics
/// When the number is not valid.
#[cfg(debug_assertions)]
pub(crate) fn kill_point() -> Option<(String, usize)> {
    let wanted = std::env::var("QUOTEGRID_KILL_AT").ok()?;
    let (point, times) = wanted.split_once('=').unwrap_or((&wanted, "1"));
    Some((point.to_owned(), times.parse().expect("QUOTEGRID_KILL_AT=point=n has a number")))
}

/// For tests of moments: `QUOTEGRID_HOLD_AT`, a failpoint's name and, after `=`, the file that has a thread that comes to it wait.
///
/// # Panics
/// When no file is named.
#[cfg(debug_assertions)]
pub(crate) fn hold_point() -> Option<(String, PathBuf)> {
    let wanted = std::env::var("QUOTEGRID_HOLD_AT").ok()?;
    let (point, file) = wanted.split_once('=').expect("QUOTEGRID_HOLD_AT=point=file names a file");
    Some((point.to_owned(), PathBuf::from(file)))
}

/// Which database, and how it is written: for every command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DatabaseSettings {
    /// The database file; made with its directory where the command may make it
    #[arg(
        long,
        env = "QUOTEGRID_DATABASE",
        value_name = "FILE",
        default_value = "data/quotegrid.db",
        global = true,
        allow_hyphen_values = true
    )]
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

/// How many jobs run alongside each other, and how long they may take to end: for `serve` and `work`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WorkerSettings {
    /// Threads that process jobs; 0: none. [default: 2, with --clock-at 0]
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

/// Threads that process jobs where nothing is said.
pub(crate) const WORKERS: u16 = 2;

/// What is wrong with a setting, and how to fix it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
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
    #[error("{name}: {source}")]
    File {
        /// The variable.
        name: &'static str,
        /// Which file, and why not.
        source: std::io::Error,
    },
    /// A secret that protects nothing.
    #[error("{name} is shorter than {SECRET_MIN} characters, which can be guessed: use a longer one")]
    ShortSecret {
        /// The variable.
        name: &'static str,
    },
    /// A secret of another service that cannot be what that has given out.
    #[error(
        "{name} has a blank, quotation marks around it, or a character that is no visible ASCII: copy it as it is, without quotes (docker's --env-file keeps them)"
    )]
    OddSecret {
        /// The variable.
        name: &'static str,
    },
    /// A token of our own that can be guessed, or not be sent.
    #[error(
        "{name} must have at least {TOKEN_MIN} characters, visible ASCII without blanks: make one with `head -c 32 /dev/urandom | base64`"
    )]
    BadToken {
        /// The variable.
        name: &'static str,
    },
    /// More tokens than a rotation needs.
    #[error("{name} holds more than {TOKENS_MAX} tokens: the new one and the old one are enough")]
    TooManyTokens {
        /// The variable.
        name: &'static str,
    },
    /// Not a URL to post to. It is not repeated: such addresses are secrets.
    #[error(
        "QUOTEGRID_ALERT_URL must look like https://alerts.example.com/hook; http is for receivers on this machine only"
    )]
    AlertUrl,
    /// Not a URL to put in front of a path.
    #[error("QUOTEGRID_PUBLIC_URL must look like https://quotes.example.com, without a query or a fragment")]
    PublicUrl,
}
