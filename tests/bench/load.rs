//! How many webhooks a second, and how long each takes: `cargo bench --bench load`.
//!
//! Signed `customers/redact` webhooks of a hundred shops over 1, 32 and 256 keep-alive connections, and over a connection for each request, against
//!
//! - `tiny_http`: its empty 200, without the front end: the reference. Its connections are opened one by one, because it leaves
//!   all but four of those that come at once without an answer;
//! - `checked`: this server, signature checked, nothing stored;
//! - `durable`: this server as `serve` runs it, answered after the commit of delivery, request and job, with `synchronous=FULL`;
//! - `erasing`: the same while a store of a million rows is being erased (over 32 connections only).
//!
//! All run in this process, load generator included, so on two cores everything shares those. Rounds are interleaved, and the median of
//! each figure is shown, so that what else the machine does falls on all alike. Absolute figures say little; compare the ratios.
//!
//! `cargo bench --bench load -- --seconds 2 --rounds 5 --only durable --connections 32` narrows it down, `--rows 100000` makes the
//! store smaller; `--handlers 4` and `--upstreams 32` change this server's threads and upstream connections.

#[path = "load/arguments.rs"]
mod arguments;
#[path = "load/client.rs"]
mod client;
#[path = "load/plain.rs"]
mod plain;
#[path = "load/servers.rs"]
mod servers;
#[path = "store.rs"]
mod store;
#[path = "usage.rs"]
mod usage;
#[path = "load/webhooks.rs"]
mod webhooks;

use arguments::Arguments;
use client::{Load, Run, median};
use servers::Target;
use std::collections::BTreeMap;
use std::time::Duration;

fn main() {
    let Some(arguments) = Arguments::of_benchmark() else { return };
    let (only, connections) = (arguments.find::<String>("only"), arguments.find("connections"));
    let loads = [Load::Kept(1), Load::Kept(32), Load::Kept(256), Load::EachItsOwn(32)];
    let loads = loads.into_iter().filter(|load| connections.is_none_or(|count| *load == Load::Kept(count)));
    let loads: Vec<Load> = loads.collect();
    let targets: Vec<Target> = ["tiny_http", "checked", "durable", "erasing"]
        .into_iter()
        .filter(|name| only.as_deref().is_none_or(|only| only == *name))
        .map(|name| Target::start(name, arguments.find("handlers"), arguments.find("upstreams")))
        .collect();
    let webhooks = webhooks::Webhooks::new();
    let mut runs: BTreeMap<(usize, usize), Vec<Run>> = BTreeMap::new();
    for _ in 0..arguments.rounds() {
        for (which_load, load) in loads.iter().enumerate() {
            for (which, target) in targets.iter().enumerate() {
                let erasure = match target.name {
                    "erasing" if *load != Load::Kept(32) => continue,
                    "erasing" => Some(target.begin_erasure(arguments.find("rows").unwrap_or(1_000_000))),
                    _ => None,
                };
                let run = client::run(target.address, &webhooks, *load, Duration::from_secs_f64(arguments.seconds()));
                if erasure.is_some_and(|erasure| !erasure.finish()) {
                    eprintln!("the erasure ended before the run did: give it more --rows, or less --seconds");
                }
                runs.entry((which_load, which)).or_default().push(run);
            }
        }
    }
    println!(
        "| load | server | requests/s | p50 ms | p99 ms | p99.9 ms | CPU µs each | KiB written each | to tiny_http | to checked |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (which_load, load) in loads.iter().enumerate() {
        for (which, target) in targets.iter().enumerate() {
            let Some(own) = runs.get(&(which_load, which)) else { continue };
            let rate = median(own, Run::rate);
            let ratio = |name: &str| {
                let other = targets.iter().position(|target| target.name == name);
                other.map_or_else(
                    || "–".to_owned(),
                    |other| format!("{:.2}", rate / median(&runs[&(which_load, other)], Run::rate)),
                )
            };
            println!(
                "| {load} | {} | {rate:.0} | {:.2} | {:.2} | {:.2} | {:.0} | {:.1} | {} | {} |",
                target.name,
                median(own, |run| run.quantile_ms(0.5)),
                median(own, |run| run.quantile_ms(0.99)),
                median(own, |run| run.quantile_ms(0.999)),
                median(own, Run::micros_each),
                median(own, Run::kib_each),
                ratio("tiny_http"),
                ratio("checked"),
            );
        }
    }
}
