//! What an erasure and a webhook wait for under a steady load, minute by minute: `cargo bench --bench steady`.
//!
//! Signed `customers/redact` webhooks come at a fixed rate over 64 connections, and with them `shop/redact` of stores with a price
//! matrix each, against the real program (`quotegrid serve`) in a process of its own. Printed for each minute:
//!
//! - how long a webhook took from the moment at which it was due, so that one which had to wait to be sent counts as slow;
//! - how long erasures took from the end of their rows (`processed_at`) to the end of their bytes (`erased_at`), the median and the longest;
//! - the largest WAL;
//! - processor time and bytes written, of the server alone.
//!
//! `--rate 1500 --seconds 480` is half of what two cores take, for eight minutes. `--backup-every 30` runs `quotegrid backup` that often
//! (0: one right after another), and tells how long each took and the slowest webhook meanwhile; `--erase-every 1` is the pause between
//! two shops' erasures, `--ballast 1024` begins with so many MiB of other shops' prices, `--keep DIRECTORY` leaves the database there, `--program PATH` runs
//! another build.

#[allow(dead_code, reason = "the other benchmarks use more of it")]
#[path = "load/arguments.rs"]
mod arguments;
#[path = "steady/backups.rs"]
mod backups;
#[path = "steady/client.rs"]
mod client;
#[path = "steady/server.rs"]
mod server;
#[path = "store.rs"]
mod store;
#[allow(dead_code, reason = "the other benchmarks use more of it")]
#[path = "usage.rs"]
mod usage;

use arguments::Arguments;
use server::Server;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A part of the run that has a line of its own.
const MINUTE: Duration = Duration::from_secs(60);

/// What the run is to be.
struct Plan {
    rate: f64,
    length: Duration,
    erase_every: Duration,
    backup_every: Option<Duration>,
}

fn main() {
    let Some(arguments) = Arguments::of_benchmark() else { return };
    let seconds = |name: &str| arguments.find::<f64>(name).map(Duration::from_secs_f64);
    let plan = Plan {
        rate: arguments.find("rate").unwrap_or(1_500.0),
        length: seconds("seconds").unwrap_or(Duration::from_secs(480)),
        erase_every: seconds("erase-every").unwrap_or(Duration::from_secs(1)),
        backup_every: seconds("backup-every"),
    };
    let directory = tempfile::tempdir().expect("a directory");
    let kept = arguments.find::<PathBuf>("keep");
    let place = kept.as_deref().unwrap_or(directory.path());
    let stores = (plan.length.as_secs_f64() / plan.erase_every.as_secs_f64()).ceil() as usize;
    server::fill(place, stores, arguments.find("ballast").unwrap_or(0));
    let program = arguments.find("program").unwrap_or_else(|| PathBuf::from(server::PROGRAM));
    let server = Server::start(&program, place);
    let watch = server.watch();
    let backups = plan.backup_every.map(|every| backups::Backups::start(&program, place, every));
    let begun = Instant::now();
    let answered = client::run(server.address, &plan);
    let backups = backups.map(backups::Backups::stop);
    let (samples, took) = (watch.stop(), begun.elapsed());
    let settled = server.wait_until_erased();
    println!(
        "\n{} webhooks at {:.0} a second of {:.0} wanted; all erased {:.1} s later; file {:.0} MiB",
        answered.len(),
        answered.len() as f64 / took.as_secs_f64(),
        plan.rate,
        settled.as_secs_f64(),
        server.file_mib(),
    );
    server.stop();
    let erasures = server::erasures(place);
    println!(
        "| minute | webhook p50 ms | p99 ms | longest ms | customers: median s to erased | longest s | shops: median s | longest s | largest WAL MiB | CPU s | MiB written |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let minutes = plan.length.div_duration_f64(MINUTE).ceil() as u32;
    for minute in 0..minutes {
        let (from, until) = (MINUTE * minute, MINUTE * (minute + 1));
        let mut waits: Vec<f64> =
            answered.iter().filter(|one| one.due >= from && one.due < until).map(|one| millis(one.took)).collect();
        let waits = quantiles(&mut waits);
        let delays = |kind: &str| {
            let of_minute = |one: &&server::Erasure| {
                one.kind == kind && one.processed >= server.begun + from && one.processed < server.begun + until
            };
            quantiles(&mut erasures.iter().filter(of_minute).map(|one| one.delay.as_secs_f64()).collect::<Vec<_>>())
        };
        let (customers, shops) = (delays("CUSTOMERS_REDACT"), delays("SHOP_REDACT"));
        let samples: Vec<_> = samples.iter().filter(|one| one.at >= begun + from && one.at < begun + until).collect();
        let wal = samples.iter().map(|one| one.wal).max().unwrap_or_default();
        let used = match (samples.first(), samples.last()) {
            (Some(first), Some(last)) => last.used.since(first.used),
            _ => usage::Usage::default(),
        };
        println!(
            "| {} | {:.1} | {:.1} | {:.0} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} | {:.1} | {:.0} |",
            minute + 1,
            waits.median,
            waits.p99,
            waits.longest,
            customers.median,
            customers.longest,
            shops.median,
            shops.longest,
            mib(wal),
            used.computed.as_secs_f64(),
            mib(used.written),
        );
    }
    for backup in backups.unwrap_or_default() {
        let beside =
            answered.iter().filter(|one| begun + one.due + one.took >= backup.begun && begun + one.due <= backup.ended);
        println!(
            "backup: {:.1} s, {:.0} MiB, slowest webhook meanwhile {:.0} ms",
            (backup.ended - backup.begun).as_secs_f64(),
            mib(backup.bytes),
            beside.map(|one| millis(one.took)).fold(0.0, f64::max),
        );
    }
}

struct Quantiles {
    median: f64,
    p99: f64,
    longest: f64,
}

fn quantiles(figures: &mut [f64]) -> Quantiles {
    figures.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let last = figures.len().saturating_sub(1);
        figures.get((last as f64 * part) as usize).copied().unwrap_or(f64::NAN)
    };
    Quantiles { median: at(0.5), p99: at(0.99), longest: at(1.0) }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
