//! The handler of `shop_redact`: children in steps that keep the writer's budget, then, in one transaction, the cascading delete of
//! the store, its request's mark as processed, the receipt, and the jobs' forgetting.

use super::hold::{self, Next, Policy};
use super::receipts::{self, NewReceipt, ReceiptKind};
use super::requests::{self, NewRequest, OrderedBy, RequestKind, RequestOutcome};
use super::{OPEN_REQUEST_HINT, REDACTION_ATTEMPTS, REQUEST_ID, RedactionTarget, subject, subject_hash};
use crate::catalog;
use crate::catalog::stores::{self, Erasing, Store};
use crate::db::{self, Db, RowCounts, Tx};
use crate::domain::ids::{JobId, RequestId, ShopDomain, StoreId};
use crate::entropy::Entropy;
use crate::error::{Error, Kind};
use crate::keyed_hash::KeyedHasher;
use crate::orders;
use crate::queue::{self, Claim, Context, Finish, Handler, JobError};
use chrono::{DateTime, TimeDelta, Utc};
use log::info;
use rusqlite::Connection;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of the cheap, clustered kind that the first step deletes: about the cells of the largest matrix.
const STEP_ROWS: usize = 2_500;

/// The fewest and the most that a later one deletes.
const STEP_ROWS_BOUNDS: (usize, usize) = (500, 40_000);

/// How long a step should take at the most where others write, and where nobody does. With shorter ones commits dominate; with longer ones
/// webhooks feel it.
const STEP_TIME: Duration = Duration::from_millis(5);
const STEP_TIME_ALONE: Duration = Duration::from_millis(10);

/// Jobs that forget in one step: each is a row, its indexes and its attempts.
pub(super) const FORGET_STEP: usize = 200;

/// Jobs that one look for those that have something to forget goes through: a few milliseconds of a reader's time. Each look also reads
/// the index of all that wait.
const FORGET_LOOK: usize = 2_000;

/// How long before it is committed a job may have got its id.
const ENQUEUING_MAX: TimeDelta = TimeDelta::seconds(5);

/// Requests that one closing transaction fulfils: each is a mark and a receipt. Those beyond have jobs of their own.
const CLOSED_AT_ONCE: usize = 100;

/// What is called for a store that is gone, so that it is gone from this process's memory as well.
pub type Gone = Arc<dyn Fn(StoreId, &ShopDomain) + Send + Sync>;

/// Erases a store.
pub struct ShopRedact {
    hasher: KeyedHasher,
    entropy: Arc<dyn Entropy>,
    policy: Policy,
    gone: Option<Gone>,
}

impl ShopRedact {
    /// A handler that names shops in receipts by `hasher` and holds no erasure.
    pub fn new(hasher: KeyedHasher, entropy: Arc<dyn Entropy>) -> Self {
        Self { hasher, entropy, policy: Policy::default(), gone: None }
    }

    /// The same, and the erasure of stores that look live is held as `policy` says.
    #[must_use]
    pub fn holding(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// The same handler, which calls `gone` once a store's erasure is committed.
    #[must_use]
    pub fn notifying(mut self, gone: Gone) -> Self {
        self.gone = Some(gone);
        self
    }
}

impl Handler for ShopRedact {
    fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError> {
        let (shop, triggered_at, request) = match RedactionTarget::of(job)? {
            RedactionTarget::Request(id) => {
                let found = context.db().read(|connection| requests::find(connection, id))?;
                let request = found
                    .filter(|request| request.kind == RequestKind::ShopRedact)
                    .ok_or_else(|| JobError::Permanent("there is no such SHOP_REDACT request".to_owned()))?;
                if request.processed_at.is_some() {
                    return Ok(Finish::done().keeping(json!({ REQUEST_ID: id.to_string() })));
                }
                (request.shop, request.triggered_at, Some(id))
            }
            RedactionTarget::Shop(shop) => (shop, job.created_at, None),
        };
        let keep = request.map_or_else(|| json!({}), |id| json!({ REQUEST_ID: id.to_string() }));
        let (wanted, now, policy) = (shop.clone(), context.now(), self.policy);
        // From this commit on the store's keys and pages are dead and nothing new can be written below it.
        let next = context.write(move |tx| match request {
            Some(id) => hold::next(tx, now, id, policy),
            None => Ok(Next::Erase(stores::begin_erasure(tx, now, &wanted, triggered_at)?)),
        })?;
        let target = match next {
            Next::Erase(target) => target,
            Next::Wait(rest) => return Err(JobError::Snooze(rest)),
            Next::Ask => {
                let inquiry = request.map(hold::inquiry).map(|job| job.about(subject(&self.hasher, &shop)));
                return Ok(inquiry.into_iter().fold(Finish::done().keeping(keep), Finish::followed_by));
            }
            Next::Nothing => return Ok(Finish::done().keeping(keep)),
        };
        if let Erasing::Store(store) = target {
            let mut rows = STEP_ROWS;
            loop {
                fail_point!("erasure::step");
                if context.is_stopping() {
                    return Err(JobError::Stopped);
                }
                let step = move |tx: &Tx<'_>| {
                    let begun = Instant::now();
                    Ok((delete_step(tx, store, rows)?, begun.elapsed()))
                };
                let (deleted_some, took) = context.write(step)?;
                if !deleted_some {
                    break;
                }
                rows = next_step(rows, took, if context.writes_alone() { STEP_TIME_ALONE } else { STEP_TIME });
            }
        }
        let mut forgotten_at = None;
        if target != Erasing::InstalledAgain {
            // A busy shop has thousands of jobs, too many for the closing transaction to take them all.
            let about = subject(&self.hasher, &shop);
            let go_on = || if context.is_stopping() { Err(JobError::Stopped) } else { Ok(()) };
            go_on()?;
            forgotten_at = Some(context.now());
            forget_in_steps(context.db(), &about, job.id, |jobs| {
                go_on()?;
                context.write(move |tx| Ok(queue::forget(tx, now, &jobs, REQUEST_ID)?))
            })?;
        }
        let closing = Closing {
            hasher: self.hasher.clone(),
            entropy: self.entropy.clone(),
            job: job.id,
            shop,
            triggered_at,
            target,
            forgotten_at,
        };
        let gone = self.gone.clone();
        let effects = move |tx: &Tx<'_>, now| {
            if let (Some(gone), Erasing::Store(store)) = (gone, closing.target) {
                let shop = closing.shop.clone();
                tx.after_commit(move || gone(store, &shop));
            }
            closing.commit(tx, now, request)
        };
        Ok(Finish::with(effects).keeping(keep))
    }

    fn max_attempts(&self) -> u32 {
        REDACTION_ATTEMPTS
    }

    fn may_be_paused(&self) -> bool {
        false
    }

    fn operator_hint(&self) -> Option<&'static str> {
        Some(OPEN_REQUEST_HINT)
    }
}

/// The rows that erasing `store` would delete now, by table.
///
/// # Errors
/// When the database fails.
pub fn preview(connection: &Connection, store: &Store) -> db::Result<RowCounts> {
    let mut rows = catalog::count_rows(connection, store.id)?;
    rows.merge(&orders::count_rows(connection, store.id)?);
    rows.add("stores", 1);
    Ok(rows)
}

/// Erases a store at once, without a job and whenever it was installed: in a copy of the database in which it has come back. Its
/// requests, receipts and jobs are seen to as by the job.
///
/// # Errors
/// When the database fails.
pub fn erase_again(
    db: &Db,
    now: DateTime<Utc>,
    hasher: &KeyedHasher,
    entropy: &Arc<dyn Entropy>,
    shop: &ShopDomain,
) -> Result<(), Error> {
    let wanted = shop.clone();
    let target = db.write(move |tx| stores::begin_erasure(tx, now, &wanted, DateTime::<Utc>::MAX_UTC))?;
    if let Erasing::Store(store) = target {
        while db.write(move |tx| delete_step(tx, store, STEP_ROWS))? {}
    }
    let job = JobId::new(now, entropy.array());
    forget_in_steps(db, &subject(hasher, shop), job, |jobs| {
        db.write(move |tx| queue::forget(tx, now, &jobs, REQUEST_ID))
    })?;
    let (hasher, entropy, shop) = (hasher.clone(), entropy.clone(), shop.clone());
    let closing = Closing { hasher, entropy, job, shop, triggered_at: now, target, forgotten_at: Some(now) };
    db.write(move |tx| closing.commit(tx, now, None))
}

/// Has every job about a shop but `except` forget it, [`FORGET_STEP`] of them with each call of `forget`.
fn forget_in_steps<E: From<db::Error>>(
    db: &Db,
    about: &str,
    except: JobId,
    mut forget: impl FnMut(Vec<JobId>) -> Result<(), E>,
) -> Result<(), E> {
    let mut until = None;
    loop {
        let found = db.read(|connection| {
            queue::list_to_forget(connection, about, Some(except), REQUEST_ID, until, FORGET_LOOK)
        })?;
        for step in found.ids.chunks(FORGET_STEP) {
            forget(step.to_vec())?;
        }
        until = found.looked_until;
        if !found.more {
            return Ok(());
        }
    }
}

/// How many rows the step after one of so many should delete, which took so long and should take half of `most_time` to all of it.
fn next_step(rows: usize, took: Duration, most_time: Duration) -> usize {
    let (fewest, most) = STEP_ROWS_BOUNDS;
    let rows = match took {
        long if long > most_time => rows / 2,
        short if short < most_time / 2 => rows * 2,
        _ => rows,
    };
    rows.clamp(fewest, most)
}

/// Deletes `rows` cheap rows' worth and notes how many it were; `false` when nothing was left.
fn delete_step(tx: &Tx<'_>, store: StoreId, rows: usize) -> Result<bool, Error> {
    let mut deleted = orders::delete_some(tx, store, rows)?;
    if deleted.is_empty() {
        deleted = catalog::delete_some(tx, store, rows)?;
    }
    if deleted.is_empty() {
        return Ok(false);
    }
    stores::note_erased(tx, store, &deleted)?;
    Ok(true)
}

/// Why a run is not closed: another attempt sees what has become of the shop.
fn moved_on() -> Error {
    Error::new(Kind::Conflict, "the shop was installed, or asked to be erased again, while its erasure ran")
}

/// What the closing transaction needs.
struct Closing {
    hasher: KeyedHasher,
    entropy: Arc<dyn Entropy>,
    job: JobId,
    shop: ShopDomain,
    triggered_at: DateTime<Utc>,
    target: Erasing,
    /// When its jobs began to forget the shop.
    forgotten_at: Option<DateTime<Utc>>,
}

impl Closing {
    fn commit(self, tx: &Tx<'_>, now: DateTime<Utc>, request: Option<RequestId>) -> Result<(), Error> {
        let (outcome, deleted) = match self.target {
            Erasing::InstalledAgain => (RequestOutcome::SupersededByReinstall, RowCounts::default()),
            // It has been installed since: that store is for another attempt to look at.
            Erasing::Unknown if stores::find(tx, &self.shop)?.is_some() => return Err(moved_on()),
            Erasing::Unknown => (RequestOutcome::NothingHeld, RowCounts::default()),
            Erasing::Store(store) => {
                // Matrices, options and the rest go by ON DELETE CASCADE; gdpr_requests stay, as the proof of erasure.
                let orders = orders::count_rows(tx, store)?;
                match stores::delete(tx, store)? {
                    Some(mut deleted) => {
                        deleted.merge(&orders);
                        (RequestOutcome::Erased, deleted)
                    }
                    // Another request's job was faster.
                    None => (RequestOutcome::NothingHeld, RowCounts::default()),
                }
            }
        };
        for (number, id) in self.requests(tx, now, request, outcome)?.into_iter().enumerate() {
            // The rows were deleted once, so they are counted once.
            let counts = if number == 0 { deleted.clone() } else { RowCounts::default() };
            requests::mark_processed(tx, now, id, outcome, &counts, None)?;
            if outcome != RequestOutcome::SupersededByReinstall {
                let receipt = NewReceipt {
                    kind: ReceiptKind::Erased,
                    request_id: id,
                    request_type: RequestKind::ShopRedact.as_str(),
                    subject_hash: subject_hash(&self.hasher, &self.shop),
                    outcome,
                    counts,
                };
                receipts::append(tx, now, receipt)?;
            }
        }
        if outcome != RequestOutcome::SupersededByReinstall
            && let Some(forgotten_at) = self.forgotten_at
        {
            // What came since the steps. What is not among it, or more than a step's worth, forgets before the scrub marks this.
            let about = subject(&self.hasher, &self.shop);
            let since = forgotten_at - ENQUEUING_MAX;
            let new = queue::list_new_to_forget(tx, &about, self.job, REQUEST_ID, since, FORGET_STEP)?;
            queue::forget(tx, now, &new, REQUEST_ID)?;
        }
        let shop = self.shop;
        tx.after_commit(move || match outcome {
            RequestOutcome::SupersededByReinstall => {
                info!("[GDPR] shop redact not carried out for {shop}: it was installed again after the event");
            }
            _ => info!("[GDPR] shop redact completed for {shop} outcome={} deleted={deleted}", outcome.as_str()),
        });
        Ok(())
    }

    /// Which requests this job fulfils: its own and all open ones of the shop; and where it was enqueued by hand and there are none,
    /// one that is written now, so that no erasure is without its record.
    fn requests(
        &self,
        tx: &Tx<'_>,
        now: DateTime<Utc>,
        request: Option<RequestId>,
        outcome: RequestOutcome,
    ) -> Result<Vec<RequestId>, Error> {
        let superseded = outcome == RequestOutcome::SupersededByReinstall;
        let own = request.map(|id| requests::load(tx, id)).transpose()?;
        // The event has happened again since, and after the installation perhaps.
        if superseded && own.as_ref().is_some_and(|own| own.triggered_at > self.triggered_at) {
            return Err(moved_on());
        }
        let open = requests::list_open(tx, &self.shop, RequestKind::ShopRedact, CLOSED_AT_ONCE)?;
        let others = open
            .into_iter()
            .filter(|other| Some(other.id) != request && (!superseded || other.triggered_at <= self.triggered_at));
        let ids: Vec<RequestId> = request.into_iter().chain(others.map(|request| request.id)).collect();
        if !ids.is_empty() || superseded {
            return Ok(ids);
        }
        let id = RequestId::new(now, self.entropy.array());
        let new = NewRequest {
            shop: self.shop.clone(),
            kind: RequestKind::ShopRedact,
            payload: json!({}),
            webhook_id: None,
            event_id: None,
            job: None,
            triggered_at: self.triggered_at,
        };
        requests::insert_of(tx, id, now, &new, OrderedBy::Operator)?;
        Ok(vec![id])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_they_are_short_and_shrink_while_they_are_long() {
        let of = |rows, millis| next_step(rows, Duration::from_millis(millis), STEP_TIME);
        assert_eq!((of(2_500, 1), of(2_500, 3), of(2_500, 9)), (5_000, 2_500, 1_250));
        assert_eq!((of(40_000, 0), of(500, 90)), (40_000, 500));
    }
}
