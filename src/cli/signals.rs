//! Signals: the first SIGTERM, SIGINT or SIGHUP asks for a graceful stop, the second ends the process at once; SIGUSR1 and SIGUSR2,
//! whose default is to kill, are ignored.

use super::{Exit, log_lines};
use log::{debug, info, warn};
use rustix::fs::FileType;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::io;

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
