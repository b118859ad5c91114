//! What keeps a database that runs for years small and its operator informed: what is old enough is pruned, free pages go back to
//! the file system while there is nothing else to do, and what a person must know of is raised as an alert. All of it in steps
//! that keep the writer's budget, and with pauses as long as the steps.

use crate::access::audit;
use crate::activity;
use crate::alerts::Alerts;
use crate::background::Stop;
use crate::clock::Clock;
use crate::db::{self, Db, Tx};
use crate::domain::ids::StoreId;
use crate::intake;
use crate::orders::{idempotency, records};
use crate::queue;
use chrono::{DateTime, TimeDelta, Utc};
use log::{debug, info, warn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Rows deleted in one transaction: a few milliseconds, where each is in several indexes.
const BATCH: usize = 200;

/// What one transaction that deletes orders is worth in cheap rows: each is in five indexes and has items of its own.
const ORDERS_BUDGET: usize = 2_500;

/// How often the loop looks round.
const ROUND: Duration = Duration::from_secs(10);

/// How often it prunes, by the wall clock.
const PRUNE_EVERY: TimeDelta = TimeDelta::hours(1);

/// Free pages that stay in the file (2 MiB): the next rows need them again.
const FREE_KEPT: u64 = 256;

/// Free pages given back in one transaction: half a megabyte, a few milliseconds.
const VACUUM_STEP: u32 = 128;

/// Between two such steps the writer must have had next to nothing to do for this long.
const VACUUM_PAUSE: Duration = Duration::from_millis(50);

/// Changes within [`VACUUM_PAUSE`] up to which the writer counts as idle.
const IDLE_CHANGES: usize = 4;

/// How long emptying the WAL after a pruning may be tried. What is left then, the next checkpoints overwrite.
const SCRUB_PATIENCE: Duration = Duration::from_secs(5);

/// Rows that a person might ask for are kept this long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Jobs.
    pub jobs: queue::Retention,
    /// Webhook deliveries, by which repetitions are recognized: Shopify can be days late.
    pub deliveries: TimeDelta,
    /// Privacy requests that are done: the proof, alongside the receipts, that names the shop.
    pub requests: TimeDelta,
    /// Orders that never went to Shopify; `None`: as long as their store.
    pub open_orders: Option<TimeDelta>,
}

impl Default for Retention {
    fn default() -> Self {
        let requests = TimeDelta::days(1_095);
        Self {
            jobs: queue::Retention { finished: TimeDelta::days(30), failed: requests },
            deliveries: TimeDelta::days(30),
            requests,
            open_orders: None,
        }
    }
}

/// What a pruning deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Jobs.
    pub jobs: usize,
    /// Webhook deliveries.
    pub deliveries: usize,
    /// Privacy requests.
    pub requests: usize,
    /// Idempotency keys of orders.
    pub order_keys: usize,
    /// Rows of the audit log.
    pub audit: usize,
    /// Counts of what happened.
    pub activity: usize,
    /// Orders that never went to Shopify.
    pub open_orders: usize,
}

/// Runs the maintenance.
pub struct Housekeeper {
    db: Db,
    clock: Arc<dyn Clock>,
    retention: Retention,
    alerts: Option<Alerts>,
}

impl Housekeeper {
    /// One for `db`; without `alerts` nothing is posted.
    pub fn new(db: Db, clock: Arc<dyn Clock>, retention: Retention, alerts: Option<Alerts>) -> Self {
        Self { db, clock, retention, alerts }
    }

    /// Deletes what is older than it is kept, until nothing is left of it or `stop` is asked for.
    ///
    /// # Errors
    /// When the database fails; what was deleted before stays deleted.
    pub fn prune(&self, stop: &Stop) -> db::Result<Pruned> {
        let (now, retention) = (self.clock.now(), self.retention);
        let pruned = Pruned {
            jobs: self.prune_jobs(stop)?,
            deliveries: self
                .in_batches(stop, move |tx| intake::prune_deliveries(tx, now - retention.deliveries, BATCH))?,
            requests: self.in_batches(stop, move |tx| {
                intake::prune_requests(tx, now - retention.requests, now - retention.deliveries, BATCH)
            })?,
            order_keys: self.in_batches(stop, move |tx| idempotency::prune(tx, now - idempotency::KEPT, BATCH))?,
            audit: self.in_batches(stop, move |tx| audit::prune(tx, now - audit::KEPT, BATCH))?,
            activity: self.in_batches(stop, move |tx| activity::prune(tx, now - activity::KEPT, BATCH))?,
            open_orders: match retention.open_orders {
                Some(kept) => self.prune_open_orders(stop, now - kept)?,
                None => 0,
            },
        };
        if pruned.deliveries + pruned.requests + pruned.open_orders > 0 {
            // The WAL still holds the shops' domains and what was ordered; what is gone should be gone there too.
            self.db.empty_wal(SCRUB_PATIENCE)?;
        }
        let Pruned { jobs, deliveries, requests, order_keys, open_orders, audit, activity } = pruned;
        if pruned != Pruned::default() {
            info!(
                "pruned jobs={jobs} deliveries={deliveries} privacy_requests={requests} order_keys={order_keys} open_orders={open_orders} audit={audit} activity={activity}"
            );
        }
        Ok(pruned)
    }

    /// The same for jobs alone.
    ///
    /// # Errors
    /// When the database fails; what was deleted before stays deleted.
    pub fn prune_jobs(&self, stop: &Stop) -> db::Result<usize> {
        let (now, retention) = (self.clock.now(), self.retention.jobs);
        self.in_batches(stop, move |tx| queue::prune(tx, now, &retention, BATCH))
    }

    fn prune_open_orders(&self, stop: &Stop, before: DateTime<Utc>) -> db::Result<usize> {
        let stores = self.db.read(|connection| records::stores_with_never_sent(connection, before))?;
        let mut total = 0;
        for store in stores {
            total += self.delete_never_sent(stop, store, before)?;
        }
        Ok(total)
    }

    /// Deletes the orders of a store that were made before `before` and never went to Shopify; returns how many.
    ///
    /// # Errors
    /// When the database fails; what was deleted before stays deleted.
    pub fn delete_never_sent(&self, stop: &Stop, store: StoreId, before: DateTime<Utc>) -> db::Result<usize> {
        self.in_batches_of(1, stop, move |tx| records::delete_never_sent(tx, store, before, ORDERS_BUDGET))
    }

    fn in_batches(
        &self,
        stop: &Stop,
        delete: impl Fn(&Tx<'_>) -> db::Result<usize> + Clone + Send + 'static,
    ) -> db::Result<usize> {
        self.in_batches_of(BATCH, stop, delete)
    }

    /// The same with batches of which the last is smaller than `full`.
    fn in_batches_of(
        &self,
        full: usize,
        stop: &Stop,
        delete: impl Fn(&Tx<'_>) -> db::Result<usize> + Clone + Send + 'static,
    ) -> db::Result<usize> {
        let mut total = 0;
        loop {
            let (started, delete) = (Instant::now(), delete.clone());
            let deleted = self.db.write(move |tx| delete(tx))?;
            total += deleted;
            // At most half of the writer's time, however long a batch takes on this disk.
            if deleted < full || stop.rest(started.elapsed()) {
                return Ok(total);
            }
        }
    }

    /// Gives free pages back to the file system while the writer has nothing else to do. Returns whether all are given back that
    /// should be.
    ///
    /// # Errors
    /// When the database fails.
    pub fn vacuum(&self, stop: &Stop) -> db::Result<bool> {
        loop {
            if self.db.read(db::space)?.free <= FREE_KEPT {
                return Ok(true);
            }
            let changes = || self.db.writer_figures().changes.load(Ordering::Relaxed);
            let before = changes();
            if stop.rest(VACUUM_PAUSE) || changes() - before > IDLE_CHANGES {
                return Ok(false);
            }
            self.db.write(|tx| tx.vacuum_some(VACUUM_STEP))?;
        }
    }

    /// The loop, until `stop` is asked for.
    pub fn run(&self, stop: &Stop) {
        let mut pruned_at: Option<DateTime<Utc>> = None;
        while !stop.rest(ROUND) {
            let now = self.clock.now();
            // A clock that was set back makes it due too: it is not known when the last one was, then.
            if pruned_at.is_none_or(|at| (now - at).abs() >= PRUNE_EVERY) {
                pruned_at = Some(now);
                if let Err(error) = self.prune(stop) {
                    warn!("old rows could not be pruned, trying again in an hour: {error}");
                }
            }
            match self.vacuum(stop) {
                Ok(done) => debug!("free pages given back: {done}"),
                Err(error) => warn!("free pages could not be given back: {error}"),
            }
            if let Some(alerts) = &self.alerts
                && let Err(error) = alerts.look(now)
            {
                warn!("alerts could not be raised: {error}");
            }
        }
    }
}

impl std::fmt::Debug for Housekeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Housekeeper").field("retention", &self.retention).finish_non_exhaustive()
    }
}
