//! The threads of a worker: one of them at a time claims for all, and each runs one job after the other until the worker stops.

use super::outcome::finish_in;
use super::stopping::Running;
use super::{FAULT_PAUSE, Worker, WorkerState};
use crate::background::panic_message;
use crate::db;
use crate::queue::worker::maintenance::Maintenance;
use crate::queue::{Claim, JobError, Share, jobs};
use log::{debug, error, warn};
use parking_lot::MutexGuard;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Jobs claimed in one transaction when much is due: one fsync then serves them all.
const CLAIM_BATCH: usize = 50;

/// Claims that a worker may hold at once, those whose completion waits for its commit included.
const HELD_MAX: usize = 400;

/// How long an idle thread waits at the most before it looks again, should a wake-up ever go astray.
const IDLE: Duration = Duration::from_secs(5);

impl Worker {
    /// Starts `threads` that run jobs, and one that keeps claims alive, frees those of the dead and listens for other
    /// processes' jobs.
    ///
    /// # Errors
    /// When a thread or a connection cannot be had.
    pub fn start(self: &Arc<Self>, threads: usize) -> std::io::Result<Running> {
        // Orphans first, so that they run again at once after a crash.
        let mut maintenance = Maintenance::new(self);
        maintenance.recover().and_then(|()| maintenance.follow_clock()).map_err(std::io::Error::other)?;
        let watch = self.db.watch().map_err(std::io::Error::other)?;
        let kind = if self.options.share == Share::External { "external-" } else { "" };
        let mut handles = Vec::new();
        // Not a look of its own: until its thread runs, jobs may have been claimed and the clock set.
        let (worker, looked) = (self.clone(), maintenance.last_look);
        handles.push(
            std::thread::Builder::new()
                .name("jobs-maintenance".to_owned())
                .spawn(move || Maintenance::since(&worker, looked).run(&worker, watch))?,
        );
        for number in 0..threads {
            let worker = self.clone();
            handles
                .push(std::thread::Builder::new().name(format!("jobs-{kind}{number}")).spawn(move || worker.work())?);
        }
        Ok(Running { worker: self.clone(), handles })
    }

    /// A worker thread: runs jobs until the worker stops, whatever happens meanwhile. A panic of a handler is the job's failure; one of
    /// our own would otherwise leave a process that takes jobs in and runs none.
    fn work(self: &Arc<Self>) {
        while !self.is_stopping() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work_on())) {
                error!("a worker panicked, it goes on after a pause: {}", panic_message(panic.as_ref()));
                self.pause(FAULT_PAUSE);
            }
        }
    }

    fn work_on(self: &Arc<Self>) {
        while !self.is_stopping() {
            // Read before the look for work and waited on after it: a commit in between is not missed.
            let seen = self.db.notifier().seen();
            match self.next() {
                Ok(Some(claim)) => {
                    let unended = Unended { worker: self, claim: Some(claim.clone()) };
                    self.run(claim);
                    unended.let_go();
                }
                Ok(None) => {
                    debug!("no jobs available");
                    self.delay(seen);
                }
                Err(error) => {
                    warn!("no work could be fetched: {error}");
                    self.db.notifier().wait(seen, FAULT_PAUSE);
                }
            }
        }
    }

    /// Waits, or until the worker is to stop.
    fn pause(&self, pause: Duration) {
        self.released.wait_while_for(&mut self.state(), |_state| !self.is_stopping(), pause);
    }

    /// The next claim: one that waits here, or the first of a new batch.
    fn next(self: &Arc<Self>) -> db::Result<Option<Claim>> {
        let mut state = self.state();
        loop {
            if self.is_stopping() {
                return Ok(None);
            }
            if let Some(claim) = state.waiting.pop_front() {
                return Ok(Some(claim));
            }
            if !state.claiming && state.held.len() < HELD_MAX {
                break;
            }
            self.released.wait(&mut state);
        }
        state.claiming = true;
        drop(state);
        let claiming = Claiming(self);
        let claimed =
            self.is_due().and_then(|due| if due { self.claim(self.claimed_at_once()) } else { Ok(Vec::new()) });
        // Under one lock with what is done with the batch: a thread that finds no claim going on finds what was claimed.
        let mut state = claiming.end();
        let mut claims = VecDeque::from(claimed?);
        if self.is_stopping() {
            // The stop came during the claim and has released what waited then; no other thread will look at these.
            drop(state);
            for claim in claims {
                self.end(claim, JobError::Stopped);
            }
            return Ok(None);
        }
        let first = claims.pop_front();
        state.waiting.append(&mut claims);
        Ok(first)
    }

    /// Jobs that wait for others are claimed one by one: each takes many times as long as a commit, and one that is held here is in
    /// line no more, whatever comes meanwhile and would go before it.
    fn claimed_at_once(&self) -> usize {
        if self.options.share == Share::External { 1 } else { CLAIM_BATCH }
    }

    /// A look that writes nothing: an idle worker leaves the disk alone.
    fn is_due(&self) -> db::Result<bool> {
        let (share, poison_candidates) = (self.options.share, self.may_claim_poison_candidates());
        let next = self.db.read(|connection| jobs::next_claimable_at(connection, share, poison_candidates))?;
        let is_due = next.is_some_and(|at| at <= self.clock.now());
        if !is_due {
            self.queue.note_idle(share);
        }
        Ok(is_due)
    }

    fn delay(&self, seen: u64) {
        let (share, poison_candidates) = (self.options.share, self.may_claim_poison_candidates());
        let until_due = match self.db.read(|connection| jobs::next_claimable_at(connection, share, poison_candidates)) {
            Ok(Some(at)) => (at - self.clock.now()).to_std().unwrap_or(Duration::ZERO),
            Ok(None) => IDLE,
            Err(_told_when_claiming) => FAULT_PAUSE,
        };
        // A millisecond at least: what is due now and cannot be had, another worker is claiming.
        self.db.notifier().wait(seen, until_due.clamp(Duration::from_millis(1), IDLE));
    }

    /// Runs one claim and hands its end to the writer, without waiting for the commit.
    fn run(self: &Arc<Self>, claim: Claim) {
        match self.run_handler(&claim) {
            Ok(finish) => {
                let (worker, closing) = (self.clone(), claim.clone());
                let clock = self.clock.clone();
                self.finishing(&finish).write_unbounded(
                    move |tx| finish_in(tx, clock.now(), &closing, finish.effects, &finish.keep),
                    move |committed| match worker.after_finish(&claim, committed) {
                        None => worker.release(&claim),
                        Some(error) => worker.end(claim, error),
                    },
                );
            }
            Err(error) => self.end(claim, error),
        }
    }

    fn end_claiming(&self) -> MutexGuard<'_, WorkerState> {
        let mut state = self.state();
        state.claiming = false;
        self.released.notify_all();
        state
    }
}

/// While it lives, its thread is the one that claims.
struct Claiming<'a>(&'a Worker);

impl<'a> Claiming<'a> {
    /// Ends it, in the lock that is returned.
    fn end(self) -> MutexGuard<'a, WorkerState> {
        let worker = self.0;
        std::mem::forget(self);
        worker.end_claiming()
    }
}

impl Drop for Claiming<'_> {
    fn drop(&mut self) {
        drop(self.0.end_claiming());
    }
}

/// Dropped by a panic, it records that a claim has failed: no other thread would, and maintenance would renew it for ever.
struct Unended<'a> {
    worker: &'a Arc<Worker>,
    claim: Option<Claim>,
}

impl Unended<'_> {
    fn let_go(mut self) {
        self.claim = None;
    }
}

impl Drop for Unended<'_> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            self.worker.end(claim, JobError::Retry("the worker panicked outside the job's handler".to_owned()));
        }
    }
}
