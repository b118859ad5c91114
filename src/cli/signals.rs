//! Signals: the first SIGTERM, SIGINT or SIGHUP asks for a graceful stop, the second ends the process at once; SIGUSR1 and SIGUSR2,
//! whose default is to kill, are ignored.

use super::{Exit, log_lines};
use crate::db::Db;
use log::{debug, info, warn};
use rustix::fs::FileType;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::io;
use std::time::Duration;

/// Asks this process to stop once the process that holds the other end of its standard input closes it, most likely by ending. Only where it is
/// a pipe: what a shell puts in the background reads from /dev/null, which is at its end from the start.
pub(super) fn stop_when_stdin_closes() -> io::Result<()> {
    let kind = rustix::fs::fstat(io::stdin()).map(|stdin| FileType::from_raw_mode(stdin.st_mode));
    if !matches!(kind, Ok(FileType::Fifo | FileType::Socket)) {
        return Ok(());
    }
    std::thread::Builder::new().name("stdin".to_owned()).spawn(|| {
        // What is written to it means nothing; only its end does.
        let _ended = io::copy(&mut io::stdin().lock(), &mut io::sink());
        info!("standard input was closed");
        let _stops = signal_hook::low_level::raise(SIGTERM);
    })?;
    Ok(())
}

/// Asks this process to stop once the disk has failed the database: the next start recovers it.
pub(super) fn stop_when_disk_fails(db: &Db) {
    db.on_failed_sync(|| {
        let _stops = signal_hook::low_level::raise(SIGTERM);
        let last_resort = || {
            std::thread::sleep(END_AFTER_FAILURE);
            log_lines::flush();
            // No connection is closed by this.
            std::process::exit(Exit::Failed as i32);
        };
        let _stops_by_itself = std::thread::Builder::new().name("disk-failed".to_owned()).spawn(last_resort);
    });
}

/// After this the process ends whatever is still going on: the next start cannot recover before.
const END_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// How long running jobs and requests get to end: as long as `grace`, but for a failed disk, which has them fail anyway.
pub(super) fn grace_for(db: &Db, grace: Duration) -> Duration {
    if db.has_sync_failed() { grace.min(GRACE_AFTER_FAILURE) } else { grace }
}

/// Enough to answer those who wait that they are rejected.
const GRACE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Signals that have been caught since this was made.
pub(super) struct StopSignals(Signals);

impl StopSignals {
    /// Catches them from now on. SIGHUP stays ignored where it already was: `nohup` asks for that.
    pub(super) fn catch() -> io::Result<Self> {
        let mut signals = vec![SIGTERM, SIGINT, SIGUSR1, SIGUSR2];
        if !is_ignored(SIGHUP) {
            signals.push(SIGHUP);
        }
        Ok(Self(Signals::new(signals)?))
    }

    /// Waits for the first one. From then on the next one ends the process.
    pub(super) fn wait(mut self) {
        if next_stop(&mut self.0) {
            info!("stopping: running jobs and requests may end; a second signal stops at once");
        }
        let _detached = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if next_stop(&mut self.0) {
                warn!("stopped at once; what was running is run again by the next worker");
                log_lines::flush();
                std::process::exit(Exit::Failed as i32);
            }
        });
    }
}

/// Waits for the next signal that asks for a stop; `false` when there will be none.
fn next_stop(signals: &mut Signals) -> bool {
    signals.forever().any(|signal| {
        let asks_to_stop = !matches!(signal, SIGUSR1 | SIGUSR2);
        if !asks_to_stop {
            debug!("signal {signal} means nothing to this program and is ignored");
        }
        asks_to_stop
    })
}

/// Whether this process was started with `signal` ignored. Known on Linux only; elsewhere no.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}
