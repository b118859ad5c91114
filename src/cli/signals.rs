//! SIGTERM and SIGINT: the first asks for a graceful stop, the second ends the process at once.

use super::Exit;
use log::{info, warn};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;

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
                std::process::exit(Exit::Failed as i32);
            }
        });
    }
}
