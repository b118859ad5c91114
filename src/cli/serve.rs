//! `quotegrid serve`: the server, workers and the scrub in one process, until SIGTERM or SIGINT.

use super::output::Output;
use super::signals::{self, StopSignals};
use super::{Cli, Failure, options, remove_unfinished, settings, warn_of_files};
use crate::app::App;
use crate::clock::{EARLIEST, LATEST, ManualClock};
use crate::config::{
    ConfigError, DatabaseSettings, EdgeSettings, ServerSettings, ShopifySettings, UpkeepSettings, WORKERS,
    WorkerSettings,
};
use crate::db::{self, Schema};
use crate::demo::{self, DemoStore};
use crate::edge::Server;
use crate::entropy::{Entropy, OsEntropy};
use crate::error::Kind;
use crate::http::{AppState, Router};
use crate::keyed_hash::hex;
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::shopify::Secrets;
use chrono::{DateTime, Utc};
use clap::CommandFactory;
use log::{info, warn};
use serde_json::json;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerSettings,
    #[command(flatten)]
    shopify: ShopifySettings,
    #[command(flatten)]
    edge: EdgeSettings,
    #[command(flatten)]
    workers: WorkerSettings,
    #[command(flatten)]
    upkeep: UpkeepSettings,
    /// For a laptop: make up secrets that are not configured, load a demo store, and print commands to try
    #[arg(long)]
    dev: bool,
    /// For test suites: a database in a temporary directory that goes with the process, a free port, made-up secrets and a demo store,
    /// all named in the line printed with --json. Ends when its standard input, where that is a pipe, is closed
    #[arg(long)]
    ephemeral: bool,
    /// With --ephemeral: a clock that shows this time (RFC 3339) and stops until POST /admin/api/clock moves it. Jobs run when
    /// POST /admin/api/jobs/run asks for it, unless --workers says otherwise
    #[arg(long, value_name = "TIME", requires = "ephemeral", value_parser = parse_clock_at)]
    clock_at: Option<DateTime<Utc>>,
}

fn parse_clock_at(text: &str) -> Result<DateTime<Utc>, String> {
    let unreadable = |_fault: chrono::ParseError| "must be a time such as 2026-11-29T08:00:00Z".to_owned();
    let at: DateTime<Utc> = text.parse().map_err(unreadable)?;
    // A clock would show the nearest time that it can, and not what the test has asked for.
    if (EARLIEST..=LATEST).contains(&at) { Ok(at) } else { Err(format!("must be from {EARLIEST} to {LATEST}")) }
}

/// How long the last emptying of the WAL may take; whatever is left then is no loss.
const LAST_CHECKPOINT: Duration = Duration::from_secs(2);

/// Where an ephemeral server listens where nothing is said: on a port that is free.
const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// What was made up for this run.
#[derive(Debug, Default)]
struct Generated {
    shopify_api_secret: Option<Secret>,
    admin_token: Option<Secret>,
}

pub(super) fn run(database: &DatabaseSettings, mut args: Args, output: Output) -> Result<(), Failure> {
    // Every setting is checked before anything is touched.
    let mut secrets = args.shopify.secrets()?;
    let admin_token = args.server.admin_token()?;
    let metrics_token = args.server.metrics_token()?;
    let public_url = args.server.public_url()?;
    let alerts = args.upkeep.alerts()?;
    let handover = args.shopify.handover()?;
    let makes_up = args.dev || args.ephemeral;
    let mut generated = Generated::default();
    if secrets.is_empty() {
        if !makes_up {
            return Err(ConfigError::NoShopifySecret.into());
        }
        let secret = made_up();
        secrets.push(secret.clone());
        generated.shopify_api_secret = Some(secret);
    }
    if makes_up && admin_token.is_none() {
        generated.admin_token = Some(made_up());
    }

    let signals = StopSignals::catch()?;
    // Dropped last: the directory goes when everything that uses it is closed.
    let directory = if args.ephemeral { Some(temporary_directory()?) } else { None };
    let mut database = database.clone();
    if let Some(directory) = &directory {
        // Whatever is configured: a database that goes with the process must hold no real shop.
        database.database = directory.path().join("quotegrid.db");
        args.server.listen = args.server.listen.or(Some(ANY_PORT));
    }
    let mut options = options(&database, Schema::BringUpToDate);
    options.worker.lease = Duration::from_millis(args.workers.lease_ms.into());
    options.redact_hold = args.upkeep.redact_hold();
    options.retention = args.upkeep.retention(handover.is_some());
    options.alerts = alerts;
    options.disk_floor = args.upkeep.disk_floor;
    options.open_order_limit = args.server.open_order_limit();
    options.handover = handover;
    let frozen_clock = args.clock_at.map(|at| Arc::new(ManualClock::new(at)));
    if let Some(clock) = &frozen_clock {
        options.clock = clock.clone();
    }
    // With a frozen clock, a test wants to say what happens when.
    let workers = args.workers.workers.unwrap_or(if frozen_clock.is_some() { 0 } else { WORKERS });

    let app = Arc::new(App::open(options)?);
    warn_of_files(&app);
    remove_unfinished(&app);
    let demo = if makes_up { load_demo(&app)? } else { None };
    let secret_texts = secrets.iter().map(Secret::expose);
    let metrics = Arc::new(Metrics::default());
    let mut state = AppState::new(app.clone(), Secrets::new(secret_texts))
        .with_metrics(metrics.clone())
        .with_rate_limit(args.server.rate_limit)
        .with_order_limit(args.server.order_limit())
        .with_operator(args.server.operator())
        .with_setting_faults(settings::faults(&Cli::command()))
        .with_demo(demo.clone());
    if let Some(token) = admin_token.as_ref().or(generated.admin_token.as_ref()) {
        state = state.with_admin_token(token);
    }
    if let Some(token) = &metrics_token {
        state = state.with_metrics_token(token);
    }
    if let Some(clock) = frozen_clock {
        state = state.with_frozen_clock(clock);
    }
    let server_options = args.server.options(&args.edge, metrics);
    let state = Arc::new(state);
    if let Some(url) = &public_url {
        state.set_public_url(url);
    }
    let server = Server::start(server_options, Arc::new(Router::new(state.clone()))).map_err(std::io::Error::other)?;
    // A port of our own choosing is not known before this.
    state.set_public_url(format!("http://{}", reachable(server.address())));

    // After the server: one that cannot listen would claim jobs, end, and so cost them an attempt at every restart.
    let background = app.start(workers.into())?;
    info!(
        "serving {} at http://{} with {workers} workers, SQLite {}",
        app.db.path().display(),
        server.address(),
        rusqlite::version()
    );

    let url = format!("http://{}", server.address());
    let link = super::admin::first_link(&app, &state.public_url())?;
    announce(&url, &app, &generated, demo.as_ref(), link.as_deref(), output)?;
    if let Some(link) = &link {
        eprintln!(
            "\nNo person has signed in to the console yet. This link lets one person in, once, within an hour:\n{link}\n(`quotegrid admin link` makes others.)\n"
        );
    }
    if args.dev {
        print_hints(
            &database,
            server.address(),
            &secrets[0],
            admin_token.as_ref().or(generated.admin_token.as_ref()),
            demo.as_ref(),
        );
    }
    warn_of_exposure(server.address(), public_url.as_deref());
    if args.ephemeral {
        signals::stop_when_stdin_closes()?;
    }

    signals::stop_when_disk_fails(&app.db);
    signals.wait();
    let grace = signals::grace_for(&app.db, Duration::from_millis(args.workers.grace_ms.into()));
    server.stop(grace);
    background.stop(grace);
    if let Err(error) = app.db.empty_wal(LAST_CHECKPOINT) {
        warn!("the last checkpoint failed, the next start makes up for it: {error}");
    }
    let disk_failed = app.db.has_sync_failed();
    drop((server, state, app));
    if let Some(directory) = directory {
        directory.close()?;
    }
    info!("stopped");
    if disk_failed { Err(db::Error::SyncFailed.into()) } else { Ok(()) }
}

fn temporary_directory() -> std::io::Result<TempDir> {
    // 0700, and a name that cannot be guessed.
    tempfile::Builder::new().prefix("quotegrid-ephemeral-").tempdir()
}

/// The demo store; none while an erasure that an earlier run began has yet to end.
fn load_demo(app: &App) -> Result<Option<DemoStore>, Failure> {
    match demo::load(app) {
        Ok(demo) => Ok(Some(demo)),
        Err(error) if error.kind() == Kind::Conflict => {
            warn!("{error}; the next start creates the demo store again");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn made_up() -> Secret {
    let entropy: &dyn Entropy = &OsEntropy;
    Secret::new(hex(&entropy.array::<16>()))
}

/// The one line on stdout: the process that started this one waits for it.
fn announce(
    url: &str,
    app: &App,
    generated: &Generated,
    demo: Option<&DemoStore>,
    link: Option<&str>,
    output: Output,
) -> Result<(), Failure> {
    let mut document = json!({ "event": "listening", "url": url, "database": app.db.path().display().to_string() });
    let made = [
        ("shopifyApiSecret", generated.shopify_api_secret.as_ref().map(Secret::expose)),
        ("adminToken", generated.admin_token.as_ref().map(Secret::expose)),
        ("shop", demo.map(|demo| demo.shop.as_str())),
        ("apiKey", demo.map(|demo| demo.key.key.as_str())),
        ("consoleLink", link),
    ];
    for (name, value) in made {
        if let Some(value) = value {
            document[name] = json!(value);
        }
    }
    output.print(&document, || format!("quotegrid listening on {url}"))?;
    Ok(())
}

/// Commands to paste into another terminal, on stderr.
fn print_hints(
    database: &DatabaseSettings,
    address: SocketAddr,
    secret: &Secret,
    admin_token: Option<&Secret>,
    demo: Option<&DemoStore>,
) {
    let Some(DemoStore { shop, key }) = demo else { return };
    let address = reachable(address);
    let (product, (width, height)) = (demo::EXAMPLE_PRODUCT, demo::EXAMPLE_SIZE);
    let key = &key.key;
    let program =
        std::env::current_exe().map_or_else(|_| "quotegrid".to_owned(), |path| quoted(&path.to_string_lossy()));
    let database = quoted(&database.database.to_string_lossy());
    let secret = quoted(secret.expose());
    let admin_token = admin_token.map_or("", Secret::expose);
    eprintln!(
        "
This is a development server: its secrets are new at each start, and it has a demo store, {shop}.
In another terminal, ask what a size costs:

  curl -H 'X-API-Key: {key}' 'http://{address}/api/v1/products/{product}/price?width={width}&height={height}'

order it, and open the page that the answer names as checkoutUrl:

  curl -H 'X-API-Key: {key}' -d '{{\"productId\":\"{product}\",\"width\":{width},\"height\":{height},\"quantity\":1}}' http://{address}/api/v1/draft-orders

order three sizes at once, and open their page:

  curl -H 'X-API-Key: {key}' -d '{{\"items\":[{{\"productId\":\"{product}\",\"width\":{width},\"height\":{height},\"quantity\":2,\"label\":\"Kitchen, left\"}},{{\"productId\":\"{product}\",\"width\":600,\"height\":250,\"label\":\"Kitchen, right\"}},{{\"productId\":\"{product}\",\"width\":850,\"height\":200,\"label\":\"Hall\"}}]}}' http://{address}/api/v1/draft-orders

get what the workshop makes them by, for any spreadsheet:

  {program} --database {database} orders --shop {shop} export

see what the store sells, and its keys:

  {program} --database {database} matrices --shop {shop} list
  {program} --database {database} stores keys {shop} list
  curl -H 'Authorization: Bearer {admin_token}' http://{address}/admin/api/stores/{shop}/products

Then erase the store as Shopify would ask for it:

  {program} webhook send shop/redact --shop {shop} --url http://{address}/webhooks --secret {secret}

and look at what is left:

  {program} --database {database} stores list
  {program} --database {database} gdpr list
  {program} --database {database} gdpr verify
"
    );
}

/// `text` as one word for a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// An address that a browser on this machine can open, for one that means all of them.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        ip if ip.is_ipv4() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        _ => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
    }
}

fn warn_of_exposure(address: SocketAddr, public_url: Option<&str>) {
    if !address.ip().is_loopback() && !public_url.is_some_and(|url| url.starts_with("https://")) {
        warn!(
            "listening on {address}, beyond this machine, without TLS: put a reverse proxy in front and set QUOTEGRID_PUBLIC_URL"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_for_the_shell_where_it_needs_it() {
        assert_eq!(quoted("/a/b-c_1.db"), "/a/b-c_1.db");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
