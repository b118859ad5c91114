//! SIGTERM and SIGINT: the first asks for a graceful stop, the second ends the process at once.

use super::{Exit, log_lines};
use crate::db::Db;
use log::{info, warn};
use rustix::fs::FileType;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::time::Duration;

/// Asks this process to stop once whoever holds the other end of its standard input closes it, most likely by ending. Only where it is
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

/// Enough to tell those who wait that they are refused.
const GRACE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Signals that have been caught since this was made.
pub(super) struct StopSignals(Signals);

impl StopSignals {
    /// Catches SIGTERM and SIGINT from now on.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self(Signals::new([SIGTERM, SIGINT])?))
    }

    /// Waits for the first one. From then on the next one ends the process.
    pub(super) fn wait(mut self) {
        if self.0.forever().next().is_some() {
            info!("stopping: running jobs and requests may end; a second signal stops at once");
        }
        let _detached = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if self.0.forever().next().is_some() {
                warn!("stopped at once; what was running is run again by the next worker");
                log_lines::flush();
                std::process::exit(Exit::Failed as i32);
            }
        });
    }
}
