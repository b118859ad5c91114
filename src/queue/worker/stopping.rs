//! How a worker's threads are stopped.

use super::Worker;
use crate::db;
use crate::queue::{Claim, JobError, jobs};
use log::{debug, error, warn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The threads of a worker that was started.
#[derive(Debug)]
pub struct Running {
    pub(super) worker: Arc<Worker>,
    pub(super) handles: Vec<JoinHandle<()>>,
}

impl Running {
    /// Stops: nothing new is begun, running jobs get `grace` to end; what is unfinished then is released with its attempt.
    pub fn stop(self, grace: Duration) {
        self.worker.ask_to_stop();
        let left = self.worker.wait_for_ends(grace);
        if left.is_empty() {
            for handle in self.handles {
                let _panicked = handle.join();
            }
            return;
        }
        warn!("{} jobs did not end within the grace period and are released", left.len());
        for claim in left {
            let (now, id) = (self.worker.clock.now(), claim.id);
            let released = self.worker.db.write(move |tx| jobs::release(tx, now, &claim, None, None));
            if let Err(error) = released
                && !matches!(error, db::Error::LostRow { .. })
            {
                error!("job id={id} could not be released: {error}");
            }
        }
        // Their threads may still run; whatever they try to write fails at the fence.
    }
}

impl Worker {
    /// Asks the threads to stop: nothing new is claimed, what was claimed and not begun is released.
    fn ask_to_stop(self: &Arc<Self>) {
        self.stopping.store(true, Ordering::Relaxed);
        debug!("no more jobs are begun");
        let waiting = std::mem::take(&mut self.state().waiting);
        self.released.notify_all();
        self.db.notifier().notify();
        for claim in waiting {
            self.end(claim, JobError::Stopped);
        }
    }

    /// Waits until no claim is held or being made, for at most `grace`; returns those that are held.
    fn wait_for_ends(&self, grace: Duration) -> Vec<Claim> {
        let until = Instant::now() + grace;
        let mut state = self.state();
        while state.claiming || !state.held.is_empty() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { break };
            self.released.wait_for(&mut state, left);
        }
        state.held.values().cloned().collect()
    }
}
