//! What goes on alongside the running jobs: leases are renewed, the claims of dead and hung workers freed, a clock that was set is
//! noticed, other processes' commits are heard. All of it costs an idle process a few microseconds a look, and no write.

use super::{FAULT_PAUSE, Worker};
use crate::background::panic_message;
use crate::db::{self, ChangeWatch};
use crate::queue::jobs::{self, Held};
use chrono::{DateTime, Utc};
use log::{error, info, warn};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often the commits of other processes are looked for.
const LISTEN: Duration = Duration::from_millis(50);

/// The wall clock may drift from time passed by this much between two ticks before it counts as set.
const DRIFT: Duration = Duration::from_secs(2);

/// Claims freed in one transaction: a crash may leave hundreds, and the next start waits until they are free.
const RECOVERY_BATCH: usize = 50;

/// Jobs moved in one transaction after the clock was set back.
const FOLLOW_BATCH: usize = 500;

pub(super) struct Maintenance<'a> {
    worker: &'a Worker,
    /// When the leases were last renewed, or nothing was held; `None`: renew at the next tick.
    renewed_at: Option<Duration>,
    pub(super) last_look: (DateTime<Utc>, Duration),
    /// Until then no worker's lease counts as expired: the clock was set, and they have not renewed since.
    trust_until: Duration,
}

impl<'a> Maintenance<'a> {
    pub(super) fn new(worker: &'a Worker) -> Self {
        Self::since(worker, (worker.clock.now(), worker.clock.uptime()))
    }

    /// One that goes on from a look at the clock and the uptime: a clock that was set since is noticed.
    pub(super) fn since(worker: &'a Worker, last_look: (DateTime<Utc>, Duration)) -> Self {
        Self { worker, renewed_at: Some(last_look.1), last_look, trust_until: Duration::ZERO }
    }

    /// The maintenance thread: until the worker stops and nothing is held any more, whatever happens meanwhile. Without it leases
    /// would end under jobs that run, and the claims of dead workers would not be freed.
    pub(super) fn run(mut self, worker: &Arc<Worker>, mut watch: ChangeWatch) {
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.run_on(worker, &mut watch))) {
            error!("lease maintenance panicked, it goes on after a pause: {}", panic_message(panic.as_ref()));
            std::thread::sleep(FAULT_PAUSE);
        }
    }

    fn run_on(&mut self, worker: &Arc<Worker>, watch: &mut ChangeWatch) {
        let mut tick_at = Duration::ZERO;
        while !worker.is_stopping() || worker.holds_any() {
            std::thread::sleep(LISTEN);
            match watch.changed() {
                Ok(true) => worker.db.notifier().notify(),
                Ok(false) => {}
                Err(error) => warn!("other processes' commits could not be looked for: {error}"),
            }
            tick_at += LISTEN;
            if tick_at >= worker.options.tick {
                tick_at = Duration::ZERO;
                fail_point!("queue::tick");
                worker.record_again();
                if let Err(error) = self.tick() {
                    warn!("lease maintenance failed: {error}");
                }
            }
        }
    }

    /// Keeps claims alive until the other end of `ended` is dropped.
    pub(super) fn keep_alive(mut self, ended: &Receiver<()>) {
        while ended.recv_timeout(self.worker.options.tick) == Err(RecvTimeoutError::Timeout) {
            if let Err(error) = self.notice_clock().and_then(|()| self.renew()) {
                warn!("claims could not be renewed: {error}");
            }
        }
    }

    fn tick(&mut self) -> db::Result<()> {
        self.notice_clock()?;
        self.renew()?;
        self.recover()
    }

    /// Distinguishes a clock that was set from time that has passed, and acts on it.
    fn notice_clock(&mut self) -> db::Result<()> {
        let (now, uptime) = (self.worker.clock.now(), self.worker.clock.uptime());
        let (now_before, uptime_before) = std::mem::replace(&mut self.last_look, (now, uptime));
        let passed = i64::try_from((uptime.saturating_sub(uptime_before)).as_millis()).unwrap_or(i64::MAX);
        let leap = (now - now_before).num_milliseconds().saturating_sub(passed);
        if leap.unsigned_abs() <= u64::try_from(DRIFT.as_millis()).unwrap_or(u64::MAX) {
            return Ok(());
        }
        info!("the clock was set by {leap} ms");
        // Leases end by the wall clock, so a leap forward would make every living worker look hung.
        self.trust_until = uptime + self.worker.options.lease;
        self.renewed_at = None;
        self.worker.db.notifier().notify();
        self.follow_clock()
    }

    /// Has jobs that wait by a clock since set back keep their distance from now.
    pub(super) fn follow_clock(&mut self) -> db::Result<()> {
        let now = self.worker.clock.now();
        // A look without a write first: there is hardly ever anything to move.
        while self.worker.db.read(|connection| jobs::is_ahead_of_clock(connection, now))? {
            let moved = self.worker.db.write(move |tx| jobs::follow_clock(tx, now, FOLLOW_BATCH))?;
            info!("{moved} waiting jobs follow the clock, which was set back");
            if moved == 0 {
                break;
            }
        }
        Ok(())
    }

    fn renew(&mut self) -> db::Result<()> {
        let uptime = self.worker.clock.uptime();
        if !self.worker.holds_any() {
            // A claim brings its own lease; only one that lasts needs more.
            self.renewed_at = Some(uptime);
            return Ok(());
        }
        let lease = self.worker.options.lease;
        if self.renewed_at.is_some_and(|at| uptime.saturating_sub(at) < lease / 3) {
            return Ok(());
        }
        let (clock, name) = (self.worker.clock.clone(), self.worker.identity.name().to_owned());
        self.worker.db.write(move |tx| jobs::renew_leases(tx, clock.now(), &name, lease))?;
        self.renewed_at = Some(uptime);
        Ok(())
    }

    /// Frees the claims of workers that are dead, and of those that have let their lease end.
    pub(super) fn recover(&mut self) -> db::Result<()> {
        // As it was looked at last: a clock that was set since then has not been noticed yet, and would make leases look ended.
        let (now, uptime) = self.last_look;
        let held = self.worker.db.read(jobs::list_held)?;
        let mut alive: HashMap<&str, bool> = HashMap::new();
        let mut claims_of: HashMap<&str, usize> = HashMap::new();
        for claim in &held {
            *claims_of.entry(&claim.worker).or_default() += 1;
        }
        let mut lost: Vec<(Held, bool, &'static str)> = Vec::new();
        for claim in &held {
            if claim.worker == self.worker.identity.name() && self.worker.holds(claim.id, claim.number) {
                continue;
            }
            let in_company = claims_of[claim.worker.as_str()] > 1;
            if !*alive.entry(&claim.worker).or_insert_with(|| self.worker.liveness.is_alive(&claim.worker)) {
                lost.push((claim.clone(), in_company, "the worker's process ended while it ran the job"));
            } else if claim.lease_expires_at <= now && uptime >= self.trust_until {
                lost.push((claim.clone(), in_company, "the worker stopped renewing its claim"));
            }
        }
        for batch in lost.chunks(RECOVERY_BATCH) {
            let batch = batch.to_vec();
            let freed = self.worker.db.write(move |tx| -> db::Result<_> {
                let mut freed = Vec::new();
                for (claim, in_company, why) in batch {
                    if let Some((job_type, after)) = jobs::recover(tx, now, &claim, in_company, why)? {
                        freed.push((claim, job_type, after, why));
                    }
                }
                Ok(freed)
            })?;
            for (claim, job_type, after, why) in freed {
                self.worker.log_lost(&claim, &job_type, after, why);
            }
        }
        Ok(())
    }
}
