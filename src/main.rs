//! The `quotegrid` binary: starts the logger, hands over to [`quotegrid::cli`], and turns its answer into an exit code.

use rustix::process::{Signal, getpid, kill_process};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

fn main() -> ExitCode {
    quotegrid::cli::start_logger();
    // Failpoints exist only in builds for tests.
    let _failpoints = fail::has_failpoints().then(fail::FailScenario::setup);
    if fail::has_failpoints() {
        kill_at();
    }
    quotegrid::cli::run().into()
}

/// For tests of crashes: `QUOTEGRID_KILL_AT=point` or `point=n` has this process killed, as by `kill -9`, when it comes to that
/// failpoint for the n-th time. The failpoints' own actions can only panic, which unwinds and cleans up.
fn kill_at() {
    let Ok(wanted) = std::env::var("QUOTEGRID_KILL_AT") else { return };
    let (point, times) = wanted.split_once('=').unwrap_or((&wanted, "1"));
    let times: usize = times.parse().expect("QUOTEGRID_KILL_AT=point=n has a number");
    let seen = AtomicUsize::new(0);
    let kill = move || {
        if seen.fetch_add(1, Ordering::Relaxed) + 1 == times {
            let _not_permitted = kill_process(getpid(), Signal::KILL);
            std::process::abort();
        }
    };
    fail::cfg_callback(point, kill).expect("failpoints exist here");
}
