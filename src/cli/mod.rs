//! The command line: data on stdout (people's text, or one JSON document with `--json`), logs and errors on stderr, and an exit
//! code that says what kind of thing went wrong ([`Exit`]).

mod admin;
mod alert;
mod backup;
mod doctor;
#[cfg(debug_assertions)]
mod failpoints;
mod gdpr;
mod jobs;
mod log_lines;
mod matrices;
mod migrate;
mod options;
mod orders;
mod output;
mod products;
mod quote;
mod restore;
mod serve;
mod settings;
mod signals;
mod stores;
mod terminal;
mod usage;
mod webhook;
mod work;

use crate::access::Actor;
use crate::access::audit::{Entry, Record};
use crate::app::{self, App};
use crate::backup::{BackupError, unfinished};
use crate::catalog::stores::{self as catalog_stores, Scope};
use crate::config::{ConfigError, DatabaseSettings, UpkeepSettings, log_filter};
use crate::db::{self, Schema, Tx};
use crate::domain::ids::ShopDomain;
use crate::erasure;
use crate::error::{Error, Kind, NEEDS_CONFIRMATION};
use crate::orders::handover;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
#[cfg(debug_assertions)]
pub use failpoints::arm_failpoints;
use log::{info, warn};
use output::Output;
use std::process::ExitCode;
use terminal::visible;

/// What an exit code means. Scripts may rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done. Also when the job that was run failed: running it was what was asked.
    Done = 0,
    /// It could not be done, or what was looked for is not as it should be; the message says why.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The database cannot be opened.
    Database = 3,
    /// A setting is missing or wrong.
    Config = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Self-hosted backend for size-priced Shopify shops: takes webhooks, erases what the law says must go, prices by size
#[derive(Debug, Parser)]
#[command(name = "quotegrid", version, max_term_width = 110, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    database: DatabaseSettings,
    /// Print one JSON document instead of text for people
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failed, 2 wrong command line, 3 database cannot be opened, 4 wrong setting.
Logs go to stderr; QUOTEGRID_LOG sets their level (error, warn, info, debug; default info).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve webhooks and the API, and process jobs; creates and migrates the database
    Serve(Box<serve::Args>),
    /// Process jobs without serving, alongside a server on the same database
    Work(work::Args),
    /// Bring the database's schema up to date and report
    Migrate,
    /// Enqueue, show, run, retry and cancel jobs
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Show privacy requests and verify that what was erased is gone
    #[command(subcommand)]
    Gdpr(gdpr::Command),
    /// Add, show, change and erase stores, and their keys
    #[command(subcommand)]
    Stores(stores::Command),
    /// Import, export, change and assign price matrices
    Matrices(matrices::Matrices),
    /// Option groups: what may be added to a size
    Options(options::Options),
    /// Show what is assigned to which product
    Products(products::Products),
    /// Show what shoppers have ordered
    Orders(orders::OrdersCommand),
    /// Let people in to the console, and end their sessions
    #[command(subcommand)]
    Admin(admin::Command),
    /// Try whether alerts arrive
    #[command(subcommand)]
    Alert(alert::Command),
    /// Check everything that could be wrong: settings, disk, open privacy requests, leftovers; exit code 1 when something is
    Doctor(doctor::Args),
    /// Copy the database to a file, while others serve from it
    Backup(backup::Args),
    /// Put a backup in the place of the database, without bringing back anyone who was erased
    Restore(restore::Args),
    /// Price a size and say why it costs that
    Quote(quote::Args),
    /// Send webhooks as Shopify does, and print its configuration
    #[command(subcommand)]
    Webhook(webhook::Command),
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Open(#[from] app::OpenError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("{0}")]
    Failed(#[from] Error),
    #[error("{0}")]
    Database(#[from] db::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// What was asked for has been printed, and it reports a problem.
    #[error("")]
    Reported,
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Self::Open(_) => Exit::Database,
            Self::Config(_) => Exit::Config,
            Self::Failed(error) if matches!(error.kind(), Kind::Malformed | Kind::Invalid) => Exit::Usage,
            Self::Backup(BackupError::Open(_)) => Exit::Database,
            Self::Failed(_) | Self::Backup(_) | Self::Database(_) | Self::Io(_) | Self::Reported => Exit::Failed,
        }
    }

    fn report(&self) {
        use std::error::Error as _;
        match self {
            Self::Reported => {}
            Self::Failed(error) => {
                let mut text = format!("quotegrid: {error}\n");
                for (field, texts) in error.faults() {
                    text.push_str(&format!("  {field}: {}\n", texts.join("; ")));
                }
                if let Some(source) = error.source() {
                    text.push_str(&format!("  because: {source}\n"));
                }
                eprint!("{}", visible(&text));
            }
            other => eprintln!("quotegrid: {}", visible(&other.to_string())),
        }
    }
}

/// Starts the logger on stderr, at the level of `QUOTEGRID_LOG`.
pub fn start_logger() {
    let mut logger = env_logger::Builder::new();
    logger
        .parse_filters(&log_filter())
        // It logs each migration in four lines; we log all of them in one.
        .filter_module("refinery_core", log::LevelFilter::Warn)
        // They log every byte of a call to Shopify, its token and the client secret among them.
        .filter_module("ureq", log::LevelFilter::Warn)
        .filter_module("ureq_proto", log::LevelFilter::Warn)
        .format(log_lines::format);
    // Without a descriptor or a thread to spare lines are written by the thread that logs, as they would be without all this.
    if let Ok(lines) = log_lines::to_stderr() {
        logger.target(env_logger::Target::Pipe(Box::new(lines)));
    }
    logger.init();
}

/// Keeps secrets and customers' data out of core dumps, and this process out of the reach of other processes of its user.
pub fn forbid_core_dumps() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable) {
        warn!("core dumps could not be forbidden: {error}");
    }
}

/// Runs the command line of this process.
pub fn run() -> Exit {
    let command = Cli::command();
    let parsed = command.clone().try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are answers and go to stdout; a wrong command line goes to stderr.
            if error.use_stderr() {
                eprint!("{}", usage::in_plain_words(&error));
                return Exit::Usage;
            }
            let _closed = error.print();
            return Exit::Done;
        }
    };
    settings::warn_of_unknown(&command);
    if matches!(cli.command, Command::Serve(_) | Command::Work(_)) {
        info!(
            "quotegrid {} starts, settings: {}",
            env!("CARGO_PKG_VERSION"),
            settings::in_force(&command, &matches).join(" ")
        );
    }
    let done = dispatch(cli);
    // What led to a failure is logged before it.
    log_lines::flush();
    match done {
        Ok(()) => Exit::Done,
        Err(failure) => {
            failure.report();
            failure.exit()
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let Cli { database, json, command } = cli;
    let output = Output::new(json);
    match command {
        Command::Serve(args) => serve::run(&database, *args, output),
        Command::Work(args) => work::run(&database, args, output),
        Command::Migrate => migrate::run(&database, output),
        Command::Jobs(command) => jobs::run(&database, command, output),
        Command::Gdpr(command) => gdpr::run(&database, command, output),
        Command::Stores(command) => stores::run(&database, command, output),
        Command::Matrices(command) => matrices::run(&database, command, output),
        Command::Options(options) => options::run(&database, options, output),
        Command::Products(products) => products::run(&database, products, output),
        Command::Orders(orders) => orders::run(&database, orders, output),
        Command::Admin(command) => admin::run(&database, command, output),
        Command::Alert(command) => alert::run(command, output),
        Command::Doctor(args) => doctor::run(&database, &args, output),
        Command::Backup(args) => backup::run(&database, &args, output),
        Command::Restore(args) => restore::run(&database, args, output),
        Command::Quote(args) => quote::run(&database, &args, output),
        Command::Webhook(command) => webhook::run(command, output),
    }
}

/// Adds to an error that goes away with a confirmation how a command line confirms.
fn say_confirm(error: Error) -> Error {
    let needed = error.members().get("code").is_some_and(|code| code == NEEDS_CONFIRMATION);
    if needed { error.with_fault("--confirm", "carries it out anyway") } else { error }
}

/// The app's options for a command that may make a new database (`MakeIfMissing`) or must find one (`MustBeCurrent`).
fn options(database: &DatabaseSettings, schema: Schema) -> app::Options {
    let mut options = app::Options::new(&database.database);
    options.database.synchronous = database.synchronous;
    options.database.schema = schema;
    options
}

/// Opens the app for a command.
fn open(database: &DatabaseSettings, schema: Schema) -> Result<App, Failure> {
    Ok(App::open(options(database, schema))?)
}

/// The same for a command that processes jobs or runs the maintenance.
fn open_with(
    database: &DatabaseSettings,
    upkeep: &UpkeepSettings,
    handover: Option<handover::Options>,
    schema: Schema,
) -> Result<App, Failure> {
    let mut options = options(database, schema);
    options.retention = upkeep.retention(handover.is_some());
    options.handover = handover;
    options.redact_hold = upkeep.redact_hold();
    options.alerts = upkeep.alerts()?;
    Ok(App::open(options)?)
}

/// Warns of what is wrong with the files as they lie on the disk, and may lose what is committed.
fn warn_of_files(app: &App) {
    for fault in db::file_faults(app.db.path()) {
        warn!("{fault}");
    }
}

/// Commits a change that a command makes, together with its row of the audit log. Every write of the command line goes through here.
fn write_recorded<T, E>(
    app: &App,
    entry: Entry,
    change: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<db::Error> + Send + 'static,
{
    let record = recorded(app, entry);
    app.db.write(move |tx| {
        let done = change(tx)?;
        record.write(tx)?;
        Ok(done)
    })
}

/// The same for a change of what a store has.
fn write_in_store<T, E>(
    app: &App,
    scope: Scope,
    entry: Entry,
    change: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<db::Error> + Send + 'static,
{
    let store = app.db.read(|connection| catalog_stores::find_by_id(connection, scope.store))?;
    // A store that is gone has no name any more, and the change says so.
    let entry =
        store.iter().fold(entry, |entry, store| entry.of_store(erasure::subject_hash(&app.hasher, &store.shop)));
    write_recorded(app, entry, change)
}

/// The row of the audit log for what a command does.
fn recorded(app: &App, entry: Entry) -> Record {
    Record::new(app.clock.now(), app.entropy.clone(), Actor::command_line(), entry)
}

/// What the audit log calls a command that concerns this shop.
fn entry_of(app: &App, action: &'static str, shop: &ShopDomain) -> Entry {
    Entry::new(action).of_store(erasure::subject_hash(&app.hasher, shop))
}

/// Removes what a killed restore or backup has left next to the database: it holds what was erased since. For the commands that work
/// jobs off, and so erase.
fn remove_unfinished(app: &App) {
    match unfinished::remove(app.db.path()) {
        Ok(removed) => {
            for path in removed {
                info!("{} is removed, a copy that was cut off", path.display());
            }
        }
        Err(error) => warn!("a copy that was cut off could not be removed, see `quotegrid doctor`: {error}"),
    }
}
