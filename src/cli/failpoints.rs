//! Failpoints armed from outside, for tests that look at a whole process. Never in a release build, and without effect in a debug build
//! that is not for tests.

use crate::config::{hold_point, kill_point};
use fail::FailScenario;
use rustix::process::{Signal, getpid, kill_process};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Arms the failpoints that the environment names, until the returned value is dropped.
///
/// # Panics
/// When the environment names one wrongly: a test is written wrongly then.
pub fn arm_failpoints() -> Option<FailScenario<'static>> {
    let scenario = fail::has_failpoints().then(FailScenario::setup)?;
    if let Some((point, times)) = kill_point() {
        kill_at(&point, times);
    }
    if let Some((point, file)) = hold_point() {
        hold_at(&point, file);
    }
    Some(scenario)
}

/// Has this process killed, as by `kill -9`, when it comes to `point` for the `times`th time. The failpoints' own actions can only
/// panic, which unwinds and cleans up.
fn kill_at(point: &str, times: usize) {
    let seen = AtomicUsize::new(0);
    let kill = move || {
        if seen.fetch_add(1, Ordering::Relaxed) + 1 == times {
            let _not_permitted = kill_process(getpid(), Signal::KILL);
            std::process::abort();
        }
    };
    fail::cfg_callback(point, kill).expect("failpoints exist here");
}

/// Has a thread that comes to `point` wait there as long as `file` is there: a test does in between what it is about, and removes it then.
/// The failpoints' own sleep is over at some time, on a slow machine before the test has come to that.
fn hold_at(point: &str, file: PathBuf) {
    let hold = move || {
        while file.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    fail::cfg_callback(point, hold).expect("failpoints exist here");
}
