//! `cargo bench --bench queue`: what the queue, the webhook path, a start and a backup cost, each alongside a reference that is
//! measured in the same run on the same disk. Medians of several rounds; the ratios are what to hold on to.
//!
//! Names after `--` choose parts: enqueue, claim, webhooks, start, memory. `ROUNDS=5` measures more often, `WAITING=1000` leaves the
//! long backlogs out, `WEBHOOKS=100000` makes the last part shorter.

#[path = "queue/jobs.rs"]
mod jobs;
#[path = "queue/plainly.rs"]
mod plainly;
#[path = "queue/start.rs"]
mod start;
#[path = "usage.rs"]
mod usage;
#[path = "queue/webhooks.rs"]
mod webhooks;

use quotegrid::app::{App, Options};
use quotegrid::queue::{NewJob, Registry};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a rate is measured.
const WINDOW: Duration = Duration::from_millis(1_500);

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    if asked.first().is_some_and(|name| name == "memory-child") {
        return webhooks::memory_child();
    }
    let wants = |part: &str| asked.is_empty() || asked.iter().any(|name| name == part);
    let parts: [(&str, fn()); 5] = [
        ("enqueue", jobs::enqueue),
        ("claim", jobs::claim),
        ("webhooks", webhooks::webhooks),
        ("start", start::start),
        ("memory", webhooks::memory),
    ];
    for (name, part) in parts {
        if wants(name) {
            part();
        }
    }
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn rounds() -> usize {
    setting("ROUNDS", 3)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A rate, and what each time took.
#[derive(Debug, Clone, Copy)]
struct Figure {
    rate: f64,
    micros: f64,
    kib: f64,
}

/// Measures what `work` uses, which returns how many times it has done something.
fn figure(work: impl FnOnce() -> usize) -> Figure {
    let (started, before) = (Instant::now(), usage::Usage::now());
    let times = work();
    let used = usage::Usage::now().since(before);
    Figure {
        rate: times as f64 / started.elapsed().as_secs_f64(),
        micros: used.micros_each(times),
        kib: used.kib_each(times),
    }
}

/// As [`print`], with the processor time and the bytes of each.
fn print_figures(what: &str, figures: &[Figure], reference: Option<(&str, f64)>) {
    print(what, &figures.iter().map(|figure| figure.rate).collect::<Vec<_>>(), reference);
    println!(
        "{:<52} {:>9.0} µs CPU, {:.1} KiB written each",
        "",
        median(figures.iter().map(|figure| figure.micros).collect()),
        median(figures.iter().map(|figure| figure.kib).collect()),
    );
}

fn print(what: &str, figures: &[f64], reference: Option<(&str, f64)>) {
    let per_second = median(figures.to_vec());
    match reference {
        None => println!("{what:<52} {per_second:>9.0}/s"),
        Some((name, figure)) => println!("{what:<52} {per_second:>9.0}/s  {:>6.2} x {name}", per_second / figure),
    }
}

fn open(directory: &Path, handlers: Registry) -> Arc<App> {
    let mut options = Options::new(directory.join("bench.db"));
    options.handlers = handlers;
    Arc::new(App::open(options).expect("a database"))
}

fn job() -> NewJob {
    NewJob::new("noop", json!({ "shop": "a-shop-of-the-benchmark.myshopify.com", "requestId": "0197f0c0" }))
}

/// Calls `work` for [`WINDOW`] and returns how many times a second it could be.
fn rate(mut work: impl FnMut()) -> f64 {
    let (started, mut times) = (Instant::now(), 0_u32);
    while started.elapsed() < WINDOW {
        work();
        times += 1;
    }
    f64::from(times) / started.elapsed().as_secs_f64()
}
