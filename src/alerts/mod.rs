//! What an operator must know of: a job that was discarded, a legal deadline that nears, a silence of Shopify's, a disk that is nearly
//! full, a store that is to be erased though it looks live, or was uninstalled while its keys were in use. Each is raised once,
//! as a job that posts one small JSON document (`post.rs`), so that a receiver that is down is tried again. That it was raised is
//! noted in the same transaction (`raised.rs`). No alert names a shop or a person: it leaves this machine.

mod post;
mod raised;

pub use post::Poster;

use crate::catalog::{keys, stores};
use crate::clock::{instant, optional_instant};
use crate::db::{self, Db};
use crate::disk::{DISK_LOW, Disk, Seen};
use crate::erasure::hold::ShopifySays;
use crate::erasure::{RESPONSE_DEADLINE, requests};
use crate::error::Error;
use crate::intake;
use crate::orders::open_limit::{Flooded, OpenOrderLimit, TOO_MANY_OPEN_ORDERS};
use crate::queue::{self, NewJob, Queue};
use crate::secret::Secret;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::sync::Arc;

/// Posts an alert: job type; its payload is what is posted.
pub const ALERT: &str = "alert";

/// Shares of the time for a privacy request, in percent, at which its deadline counts as near.
const DEADLINE_SHARES: [i32; 3] = [95, 80, 50];

/// Jobs that were discarded longer ago than this raise no alert: an operator who sets an alert URL does not get old ones.
const FAILED_NEWS: TimeDelta = TimeDelta::days(1);

/// Redactions of live stores and uninstallations longer ago than this raise none either.
const STORE_NEWS: TimeDelta = TimeDelta::days(1);

/// How many of each are looked at in one look.
const STORE_NEWS_LISTED: usize = 1_000;

/// A store whose keys were used this short a time before it was uninstalled was in use.
const IN_USE: TimeDelta = TimeDelta::hours(1);

/// Things reported in one alert at the most; more come with the next look.
const NAMED_MAX: usize = 50;

/// How long it is remembered that an alert was raised: longer than anything that could raise it again.
const REMEMBERED: TimeDelta = TimeDelta::days(400);

/// Where alerts go, and when silence is one.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where they are posted; nowhere: none are raised.
    pub url: Option<Secret>,
    /// After how long without a webhook one is raised; `None`: never.
    pub silence: Option<TimeDelta>,
}

/// Raises alerts.
pub struct Alerts {
    db: Db,
    queue: Queue,
    disk: Option<Arc<Disk>>,
    silence: Option<TimeDelta>,
    open_orders: OpenOrderLimit,
}

/// Something that may have to be raised.
#[derive(Debug)]
struct Cause {
    /// Distinguishes it from all others, permanently.
    name: String,
    kind: &'static str,
    /// A member of the alert's list.
    item: Value,
}

impl Alerts {
    /// Raises alerts through `queue`.
    pub fn new(db: Db, queue: Queue, options: &Options) -> Self {
        Self { db, queue, disk: None, silence: options.silence, open_orders: OpenOrderLimit::default() }
    }

    /// The same, which looks at this disk too.
    #[must_use]
    pub fn with_disk(self, disk: Arc<Disk>) -> Self {
        Self { disk: Some(disk), ..self }
    }

    /// The same, which looks for stores with too many unpaid orders too.
    #[must_use]
    pub fn with_open_order_limit(self, open_orders: OpenOrderLimit) -> Self {
        Self { open_orders, ..self }
    }

    /// Raises what there is to raise and has not been yet; returns how many alerts that were.
    ///
    /// # Errors
    /// When the database fails; nothing is raised then.
    pub fn look(&self, now: DateTime<Utc>) -> Result<usize, Error> {
        // A look without a write first: there is hardly ever anything to raise.
        let causes = self.db.read(|connection| self.new_causes(connection, now))?;
        if causes.is_empty() {
            return Ok(0);
        }
        let queue = self.queue.clone();
        self.db.write(move |tx| {
            let mut fresh = Vec::new();
            for cause in causes {
                // Another process may have been faster.
                if raised::note(tx, now, &cause.name)? {
                    fresh.push(cause);
                }
            }
            raised::prune(tx, now - REMEMBERED)?;
            let mut raised = 0;
            for kind in [
                "job_failed",
                "deadline_near",
                "no_webhook",
                DISK_LOW,
                TOO_MANY_OPEN_ORDERS,
                "redact_of_live_store",
                "uninstalled_while_in_use",
            ] {
                let items: Vec<Value> =
                    fresh.iter().filter(|cause| cause.kind == kind).map(|cause| cause.item.clone()).collect();
                if !items.is_empty() {
                    queue.enqueue(tx, now, NewJob::new(ALERT, document(kind, now, items)))?;
                    raised += 1;
                }
            }
            Ok(raised)
        })
    }

    fn new_causes(&self, connection: &Connection, now: DateTime<Utc>) -> db::Result<Vec<Cause>> {
        let mut causes = failed_jobs(connection, now)?;
        causes.extend(near_deadlines(connection, now)?);
        causes.extend(self.silence(connection, now)?);
        causes.extend(redacts_of_live_stores(connection, now)?);
        causes.extend(uninstalled_while_in_use(connection, now)?);
        causes.extend(self.open_orders.flooded(connection, now)?.into_iter().map(|flooded| flood(flooded, now)));
        causes.extend(self.disk.as_ref().and_then(|disk| low_disk(disk.look()?, now)));
        let mut fresh = Vec::new();
        for cause in causes {
            if fresh.len() < NAMED_MAX && !raised::is_noted(connection, &cause.name)? {
                fresh.push(cause);
            }
        }
        Ok(fresh)
    }

    fn silence(&self, connection: &Connection, now: DateTime<Utc>) -> db::Result<Option<Cause>> {
        let Some(silence) = self.silence else { return Ok(None) };
        // Before the first webhook none is expected.
        let last = intake::last_received_at(connection)?.filter(|last| now - *last > silence);
        Ok(last.map(|last| Cause {
            name: format!("no_webhook:{}", last.timestamp_millis()),
            kind: "no_webhook",
            item: json!({ "lastReceivedAt": instant(last) }),
        }))
    }
}

impl std::fmt::Debug for Alerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerts").field("silence", &self.silence).finish_non_exhaustive()
    }
}

fn failed_jobs(connection: &Connection, now: DateTime<Utc>) -> db::Result<Vec<Cause>> {
    let failed = queue::list_failed_since(connection, now - FAILED_NEWS)?;
    // That an alert could not be posted is nothing to post about.
    let failed = failed.into_iter().filter(|job| job.job_type != ALERT);
    Ok(failed
        .map(|job| Cause {
            // A job that is retried and discarded again is a new alert.
            name: format!("job_failed:{}:{}", job.id, job.processed_at.map_or(0, |at| at.timestamp_millis())),
            kind: "job_failed",
            item: json!({ "jobId": job.id.to_string(), "type": job.job_type }),
        })
        .collect())
}

/// A disk that is nearly full raises an alert once a day, as long as it is.
fn low_disk(seen: Seen, now: DateTime<Utc>) -> Option<Cause> {
    seen.is_low().then(|| Cause {
        name: format!("{DISK_LOW}:{}", now.date_naive()),
        kind: DISK_LOW,
        item: json!({ "freeBytes": seen.free, "floorBytes": seen.floor }),
    })
}

/// A store with too many unpaid orders is a new alert once a day, as long as it has them.
fn flood(flooded: Flooded, now: DateTime<Utc>) -> Cause {
    let Flooded { store, orders, limit } = flooded;
    Cause {
        name: format!("{TOO_MANY_OPEN_ORDERS}:{store}:{}", now.date_naive()),
        kind: TOO_MANY_OPEN_ORDERS,
        item: json!({ "storeId": store.to_string(), "openOrders": orders, "limit": limit }),
    }
}

fn near_deadlines(connection: &Connection, now: DateTime<Utc>) -> db::Result<Vec<Cause>> {
    let first = DEADLINE_SHARES.into_iter().min().unwrap_or(100);
    let near = requests::list_due_before(connection, now + RESPONSE_DEADLINE * (100 - first) / 100)?;
    let cause = |request: requests::PrivacyRequest| {
        let share = DEADLINE_SHARES
            .into_iter()
            .find(|share| request.due_at - now <= RESPONSE_DEADLINE * (100 - share) / 100)?;
        Some(Cause {
            name: format!("deadline_near:{}:{share}", request.id),
            kind: "deadline_near",
            item: json!({
                "requestId": request.id.to_string(),
                "type": request.kind.as_str(),
                "dueAt": instant(request.due_at),
                "timeUsedPercent": share,
            }),
        })
    };
    Ok(near.into_iter().filter_map(cause).collect())
}

/// What `quotegrid alert test` posts.
pub fn test_document(now: DateTime<Utc>) -> Value {
    json!({ "alert": "test", "text": "quotegrid: this is a test, nothing is wrong", "at": instant(now) })
}

/// Each is reported when it is found, and again when something has come of it.
fn redacts_of_live_stores(connection: &Connection, now: DateTime<Utc>) -> db::Result<Vec<Cause>> {
    let found = requests::list_found_live(connection, now - RESPONSE_DEADLINE, STORE_NEWS_LISTED)?;
    let is_news = |at: Option<DateTime<Utc>>| at.is_some_and(|at| now - at < STORE_NEWS);
    let unreported =
        found.iter().filter(|request| is_news(request.hold.found_live_at) || is_news(request.processed_at));
    Ok(unreported.map(redact_of_live_store).collect())
}

fn redact_of_live_store(request: &requests::PrivacyRequest) -> Cause {
    let outcome = request.outcome.map_or("open", requests::RequestOutcome::as_str);
    Cause {
        name: format!("redact_of_live_store:{}:{outcome}", request.id),
        kind: "redact_of_live_store",
        item: json!({
            "requestId": request.id.to_string(),
            "outcome": request.outcome.map(requests::RequestOutcome::as_str),
            "foundLiveAt": optional_instant(request.hold.found_live_at),
            "keysLastUsedAt": optional_instant(request.hold.keys_used_at),
            "heldUntil": optional_instant(request.waits_until()),
            "shopifySays": request.hold.shopify_says.map(ShopifySays::as_str),
        }),
    }
}

fn uninstalled_while_in_use(connection: &Connection, now: DateTime<Utc>) -> db::Result<Vec<Cause>> {
    let mut causes = Vec::new();
    for store in stores::list_uninstalled_since(connection, now - STORE_NEWS, STORE_NEWS_LISTED)? {
        let (Some(at), Some(used)) = (store.uninstalled_at, keys::last_used_at(connection, store.id)?) else {
            continue;
        };
        if at - used <= IN_USE {
            causes.push(Cause {
                name: format!("uninstalled_while_in_use:{}:{}", store.id, at.timestamp_millis()),
                kind: "uninstalled_while_in_use",
                item: json!({ "uninstalledAt": instant(at), "keysLastUsedAt": instant(used) }),
            });
        }
    }
    Ok(causes)
}

/// What is posted. `text` is for people, and what chat services show of it.
fn document(kind: &str, now: DateTime<Utc>, items: Vec<Value>) -> Value {
    let count = items.len();
    let (text, list) = match kind {
        "job_failed" => {
            (format!("quotegrid: {count} jobs failed permanently; see `quotegrid jobs list --status failed`"), "jobs")
        }
        "deadline_near" => (
            format!("quotegrid: {count} privacy requests are open and near their deadline; see `quotegrid gdpr list`"),
            "requests",
        ),
        "redact_of_live_store" => (
            format!(
                "quotegrid: {count} requests to erase a shop met a store that was not uninstalled; see `quotegrid gdpr list` and `quotegrid doctor`"
            ),
            "requests",
        ),
        "uninstalled_while_in_use" => (
            format!(
                "quotegrid: {count} stores were uninstalled while their keys were in use; see `quotegrid stores list`"
            ),
            "stores",
        ),
        TOO_MANY_OPEN_ORDERS => (
            format!(
                "quotegrid: {count} stores take no more orders, for too many of the last hour are unpaid: is it a flood? see `quotegrid orders list`, `quotegrid orders delete` and QUOTEGRID_OPEN_ORDER_LIMIT"
            ),
            "stores",
        ),
        DISK_LOW => (
            "quotegrid: the disk is nearly full, and no orders and imports are taken until there is room: delete what is not needed (`quotegrid orders delete`, old backups), or give it a larger disk"
                .to_owned(),
            "disks",
        ),
        _ => (
            "quotegrid: no webhook has come for a while; is the server reachable, and the app's webhook address right?"
                .to_owned(),
            "webhooks",
        ),
    };
    json!({ "alert": kind, "text": text, "at": instant(now), list: items })
}
