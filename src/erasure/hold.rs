//! Redactions of stores that still look live. The signature of a `shop/redact` never changes and its time is unsigned, so an attacker who has
//! seen one can send it again while the app is installed. The privacy request comes first: by default such a store is erased at once as any
//! other, and it is reported to the operator. Where more is known or wanted, its erasure is held:
//!
//! - with a Shopify app, Shopify is asked whether the app is installed in the shop (`inquiry.rs`);
//! - with a hold, it waits for a person's decision, and is carried out at the end if no decision was made.
//!
//! No hold goes beyond `LAST_CALL` before the request is due. An operator's own order is never held.

pub use super::requests::types::{Decision, Hold, ShopifySays};

use super::requests::{self, OrderedBy, PrivacyRequest, RequestKind, RequestOutcome};
use super::{SHOP_REDACT_INQUIRY, job_for};
use crate::catalog::keys;
use crate::catalog::stores::{self, Erasing, Store};
use crate::db::{self, Millis, RowCounts, Tx, expect_one};
use crate::domain::ids::{JobId, RequestId, ShopDomain};
use crate::error::{Error, Kind};
use crate::keyed_hash::KeyedHasher;
use crate::queue::{NewJob, Queue};
use chrono::{DateTime, TimeDelta, Utc};
use log::{info, warn};
use rusqlite::{Connection, named_params};
use serde_json::json;
use std::time::Duration;

/// Shopify sends `shop/redact` this long after the uninstallation.
const REDACT_AFTER: TimeDelta = TimeDelta::hours(48);

/// A `shop/redact` that comes earlier than this after the uninstallation is not what Shopify sends: an hour less than
/// [`REDACT_AFTER`], because the webhook of the uninstallation takes its time too.
const REDACT_EARLIEST: TimeDelta = TimeDelta::hours(47);

/// No erasure is held for longer than until this long before it is due: time enough for a job that fails, and for the operator who fixes that.
const LAST_CALL: TimeDelta = TimeDelta::days(2);

/// How often a held erasure is looked at: the store may have been uninstalled, or installed again, meanwhile.
const LOOK_AGAIN: TimeDelta = TimeDelta::hours(6);

/// When an erasure is held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// How long the erasure of a live store waits for a decision; zero: not at all.
    pub hold: TimeDelta,
    /// Whether there is an app by which Shopify can be asked.
    pub asks_shopify: bool,
}

impl PrivacyRequest {
    /// Until when it waits for a decision or for Shopify, if it does.
    pub fn waits_until(&self) -> Option<DateTime<Utc>> {
        self.hold.held_until.filter(|_| self.processed_at.is_none() && self.hold.decision.is_none())
    }

    /// Until when it can be held.
    pub(super) fn last_call(&self) -> DateTime<Utc> {
        self.due_at - LAST_CALL
    }
}

/// What is to be done about a request to erase a shop.
#[derive(Debug)]
pub(super) enum Next {
    /// Erase this; its store is marked already.
    Erase(Erasing),
    /// Look again after this time.
    Wait(Duration),
    /// Ask Shopify first.
    Ask,
    /// Nothing: it is fulfilled.
    Nothing,
}

/// Checks if a request is to be carried out now, and begins to where it is.
pub(super) fn next(tx: &Tx<'_>, now: DateTime<Utc>, id: RequestId, policy: Policy) -> Result<Next, Error> {
    let request = requests::load(tx, id)?;
    if request.processed_at.is_some() {
        return Ok(Next::Nothing);
    }
    let begin = |event: DateTime<Utc>| -> Result<Next, Error> {
        Ok(Next::Erase(stores::begin_erasure(tx, now, &request.shop, event)?))
    };
    if request.ordered_by == OrderedBy::Operator {
        // An operator means the store that is there, whenever that was installed.
        return begin(DateTime::<Utc>::MAX_UTC);
    }
    let store = stores::find(tx, &request.shop)?.filter(|store| looks_live(store, &request, now));
    let Some(store) = store else { return begin(request.triggered_at) };
    note_live(tx, now, &request, &store)?;
    let says = request.hold.shopify_says;
    if request.hold.decision == Some(Decision::Confirmed) || says == Some(ShopifySays::NotInstalled) {
        return begin(request.triggered_at);
    }
    let is_unanswered = matches!(says, None | Some(ShopifySays::Asking));
    let last_call = request.last_call();
    if policy.asks_shopify && is_unanswered && now < last_call {
        hold_until(tx, id, last_call)?;
        note_answer(tx, id, ShopifySays::Asking)?;
        return Ok(Next::Ask);
    }
    match end_of_hold(&request, &store, policy, now).filter(|end| *end > now) {
        Some(end) if says != Some(ShopifySays::Unclear) => {
            hold_until(tx, id, end)?;
            let rest = (end - now).min(LOOK_AGAIN);
            Ok(Next::Wait(rest.to_std().unwrap_or_default()))
        }
        _ => begin(request.triggered_at),
    }
}

/// Whether a store is one that Shopify would not have erased yet: live, or uninstalled a short while ago. One that is being erased
/// is neither, nor one that was installed after the event, which is about an earlier installation then.
pub(super) fn looks_live(store: &Store, request: &PrivacyRequest, now: DateTime<Utc>) -> bool {
    if store.erasing_since.is_some() || store.is_installed_after(request.triggered_at, now) {
        return false;
    }
    let earliest = if request.hold.held_until.is_some() { REDACT_AFTER } else { REDACT_EARLIEST };
    store.uninstalled_at.is_none_or(|at| now - at < earliest)
}

/// Until when the policy has the erasure wait; `None` where it does not.
fn end_of_hold(request: &PrivacyRequest, store: &Store, policy: Policy, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if policy.hold <= TimeDelta::zero() {
        return None;
    }
    // A clock that was ahead must not make it longer.
    let end = match store.uninstalled_at {
        Some(at) => at.min(now) + REDACT_AFTER,
        None => request.created_at.min(now) + policy.hold,
    };
    // The latest time that a person was shown stays so, however the clock is set meanwhile.
    Some(end.min(request.hold.held_until.unwrap_or(end)).min(request.last_call()))
}

fn note_live(tx: &Tx<'_>, now: DateTime<Utc>, request: &PrivacyRequest, store: &Store) -> db::Result<()> {
    if request.hold.found_live_at.is_some() {
        return Ok(());
    }
    let keys_used_at = keys::last_used_at(tx, store.id)?;
    let mut statement = tx
        .prepare_cached("UPDATE gdpr_requests SET found_live_at = :now, keys_used_at = :keys_used_at WHERE id = :id")?;
    let params = named_params! { ":now": Millis(now), ":keys_used_at": keys_used_at.map(Millis), ":id": request.id };
    expect_one(statement.execute(params)?, "erasure::hold::note_live")?;
    let id = request.id;
    tx.after_commit(move || {
        let used = keys_used_at.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339());
        warn!("[GDPR] redact_of_live_store request={id}: the store was not uninstalled 47 hours before; its keys were last used: {used}");
    });
    Ok(())
}

fn hold_until(tx: &Tx<'_>, id: RequestId, until: DateTime<Utc>) -> db::Result<()> {
    let mut statement =
        tx.prepare_cached("UPDATE gdpr_requests SET held_until = :until WHERE id = :id AND held_until IS NOT :until")?;
    if statement.execute(named_params! { ":until": Millis(until), ":id": id })? == 1 {
        tx.after_commit(move || info!("[GDPR] request={id} is held until {}", until.to_rfc3339()));
    }
    Ok(())
}

pub(super) fn note_answer(tx: &Tx<'_>, id: RequestId, says: ShopifySays) -> db::Result<()> {
    let mut statement = tx.prepare_cached("UPDATE gdpr_requests SET shopify_says = :says WHERE id = :id")?;
    expect_one(statement.execute(named_params! { ":says": says.as_str(), ":id": id })?, "erasure::hold::note_answer")
}

/// When a request for this shop last ended because Shopify said that the app is installed, if that was after `since`.
pub(super) fn find_kept_since(
    connection: &Connection,
    shop: &ShopDomain,
    since: DateTime<Utc>,
) -> db::Result<Option<DateTime<Utc>>> {
    // By the index of those that were found live: they are few.
    let mut statement = connection.prepare_cached(
        "SELECT max(processed_at) AS last FROM gdpr_requests
         WHERE found_live_at IS NOT NULL AND processed_at > :since AND shop = :shop AND outcome = 'still_installed'",
    )?;
    let params = named_params! { ":since": Millis(since), ":shop": shop };
    Ok(statement.query_row(params, |row| row.get::<_, Option<Millis>>("last"))?.map(|at| at.0))
}

/// The job that asks Shopify, the same again while it is unfinished.
pub(super) fn inquiry(id: RequestId) -> NewJob {
    NewJob::new(SHOP_REDACT_INQUIRY, json!({ super::REQUEST_ID: id.to_string() })).dedupe_key(id.to_string())
}

/// Has a held erasure carried out at once; returns the job that does it.
///
/// # Errors
/// `NotFound` when there is no such request, `Conflict` when it does not wait for a decision, and when the database fails.
pub fn confirm(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    queue: &Queue,
    hasher: &KeyedHasher,
    id: RequestId,
) -> Result<JobId, Error> {
    let request = load_held(tx, id)?;
    decide(tx, now, id, Decision::Confirmed)?;
    // The one that waits finds everything done when its time has come.
    let job = job_for(hasher, request.kind, id, &request.shop).dedupe_key(format!("confirmed:{id}"));
    queue.enqueue(tx, now, job)
}

/// Ends a held request without an erasure: the store stays.
///
/// # Errors
/// As [`confirm`].
pub fn reject(tx: &Tx<'_>, now: DateTime<Utc>, id: RequestId) -> Result<(), Error> {
    load_held(tx, id)?;
    decide(tx, now, id, Decision::Rejected)?;
    requests::mark_processed(tx, now, id, RequestOutcome::Rejected, &RowCounts::default(), None)?;
    tx.after_commit(move || info!("[GDPR] request={id} is rejected by the operator, the store stays"));
    Ok(())
}

fn load_held(connection: &Connection, id: RequestId) -> Result<PrivacyRequest, Error> {
    let request = requests::load(connection, id)?;
    let erasing = stores::find(connection, &request.shop)?.is_some_and(|store| store.erasing_since.is_some());
    if request.kind == RequestKind::ShopRedact && request.waits_until().is_some() && !erasing {
        return Ok(request);
    }
    let why = match request.processed_at {
        Some(_) => "it is processed already",
        None if erasing => "its erasure has begun",
        None => "only an erasure that is held does",
    };
    Err(Error::new(Kind::Conflict, format!("privacy request {id} waits for no decision: {why}")))
}

fn decide(tx: &Tx<'_>, now: DateTime<Utc>, id: RequestId, decision: Decision) -> db::Result<()> {
    let mut statement =
        tx.prepare_cached("UPDATE gdpr_requests SET decision = :decision, decided_at = :now WHERE id = :id")?;
    let params = named_params! { ":decision": decision.as_str(), ":now": Millis(now), ":id": id };
    expect_one(statement.execute(params)?, "erasure::hold::decide")
}
