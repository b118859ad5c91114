//! How a webhook becomes durable: the delivery, the privacy request and its job, in one transaction, before 200 is answered.
//!
//! Nothing is looked up first: a shop that is not known here has its request recorded and processed like any other. Whether a
//! delivery came before is decided by the request that it led to, whose row it shares, and for the few others by a row of their own
//! (`deliveries.rs`). What a webhook means is read in `shopify`; what a request leads to is done in `erasure`.

pub mod deliveries;

pub use deliveries::{
    DeliveryPlace, ListedDelivery, last_received_at, list_newest, prune as prune_deliveries, prune_requests,
};

use crate::activity::{self, Activity, Event};
use crate::catalog::stores;
use crate::clock::Clock;
use crate::db::{self, Db, Tx};
use crate::domain::ids::{JobId, RequestId, ShopDomain};
use crate::entropy::Entropy;
use crate::erasure;
use crate::erasure::requests::{self, NewRequest, PrivacyRequest, RequestKind};
use crate::error::Error;
use crate::keyed_hash::{KeyedHasher, hex};
use crate::orders::handover::{self, Handover, Report, Reported};
use crate::queue::{Queue, find as find_job};
use crate::shopify::{Topic, Webhook, WebhookEvent};
use chrono::{DateTime, Utc};
use deliveries::Delivery;
use log::{debug, info};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntakeOutcome {
    /// It is durable, with this job where it asks for one.
    Accepted(Option<JobId>),
    /// It came before, or asks for what an open request asks for already, and led to this job where it asked for one. Nothing was
    /// written but its delivery, when the open request's event happened last, and a job for it where it had lost its own.
    Duplicate(Option<JobId>),
    /// Its topic means nothing here. Nothing was written.
    Ignored,
}

/// How many webhooks became what, since the start.
#[derive(Debug, Default)]
pub struct IntakeCounters {
    /// Made durable.
    pub accepted: AtomicU64,
    /// Seen before.
    pub duplicates: AtomicU64,
    /// Of an unknown topic.
    pub ignored: AtomicU64,
}

/// The way in for webhooks. Clones share it.
#[derive(Clone)]
pub struct Intake {
    db: Db,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    queue: Queue,
    handover: Handover,
    hasher: KeyedHasher,
    figures: Arc<IntakeCounters>,
    activity: Arc<Activity>,
}

impl Intake {
    /// The way in to `db` and `queue`, which counts in `activity` what comes.
    pub fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        queue: Queue,
        handover: Handover,
        hasher: KeyedHasher,
        activity: Arc<Activity>,
    ) -> Self {
        Self { db, clock, entropy, queue, handover, hasher, figures: Arc::default(), activity }
    }

    /// Takes a verified webhook and returns at once, or where no other writes after a commit of its own; `answer` runs once it is durable,
    /// or once it is clear that it is not. `body` distinguishes deliveries that have no id, and is not kept.
    pub fn accept_then(
        &self,
        webhook: Webhook,
        body: &[u8],
        answer: impl FnOnce(Result<IntakeOutcome, Error>) + Send + 'static,
    ) {
        self.accept(webhook, body, true, answer);
    }

    /// The same for a caller that has other webhooks to hand in: always returns at once, so that all of them are one commit.
    pub fn accept_among_others_then(
        &self,
        webhook: Webhook,
        body: &[u8],
        answer: impl FnOnce(Result<IntakeOutcome, Error>) + Send + 'static,
    ) {
        self.accept(webhook, body, false, answer);
    }

    fn accept(
        &self,
        webhook: Webhook,
        body: &[u8],
        may_lead: bool,
        answer: impl FnOnce(Result<IntakeOutcome, Error>) + Send + 'static,
    ) {
        let Some(action) = Action::of(&webhook.event) else {
            self.figures.ignored.fetch_add(1, Ordering::Relaxed);
            self.activity.count(self.clock.as_ref(), Event::Ignored);
            debug!("webhook ignored topic={}", webhook.topic);
            return answer(Ok(IntakeOutcome::Ignored));
        };
        let now = self.clock.now();
        let key = webhook.webhook_id.is_none().then(|| self.key_without_id(&webhook, body, now));
        let delivery =
            PendingDelivery { webhook, key, action, now, request: RequestId::new(now, self.entropy.array()) };
        let subject = erasure::subject(&self.hasher, &delivery.webhook.shop);
        let taken = activity::of_topic(delivery.webhook.topic.as_str());
        let (activity, clock) = (self.activity.clone(), self.clock.clone());
        let (queue, handover, figures) = (self.queue.clone(), self.handover.clone(), self.figures.clone());
        let change = move |tx: &Tx<'_>| delivery.write(tx, &queue, &handover, subject);
        let answer = move |outcome| {
            let outcome = match outcome {
                Ok(outcome) => Ok(outcome),
                Err(NotRecorded::Duplicate(job)) => Ok(IntakeOutcome::Duplicate(job)),
                Err(NotRecorded::Fault(error)) => Err(error),
            };
            match outcome {
                Ok(IntakeOutcome::Accepted(_)) => figures.accepted.fetch_add(1, Ordering::Relaxed),
                Ok(IntakeOutcome::Duplicate(_)) => figures.duplicates.fetch_add(1, Ordering::Relaxed),
                Ok(IntakeOutcome::Ignored) => figures.ignored.fetch_add(1, Ordering::Relaxed),
                Err(_) => 0,
            };
            let event = match outcome {
                Ok(IntakeOutcome::Accepted(_)) => taken,
                Ok(IntakeOutcome::Duplicate(_)) => Some(Event::Duplicate),
                Ok(IntakeOutcome::Ignored) | Err(_) => None,
            };
            if let Some(event) = event {
                activity.count(clock.as_ref(), event);
            }
            answer(outcome);
        };
        let writer = self.db.without_savepoint();
        if may_lead {
            writer.write_then_or_lead(change, answer);
        } else {
            writer.write_then(change, answer);
        }
    }

    /// How many webhooks became what.
    pub fn figures(&self) -> &IntakeCounters {
        &self.figures
    }

    /// The key of a delivery without an id: keyed, for a plain hash of a body would confirm a guessed e-mail address.
    ///
    /// All `shop/redact` bodies of a shop are the same, so the body alone would take the second uninstallation's for a
    /// duplicate of the first's, and an erasure would be lost. The time of the event distinguishes them, which Shopify repeats
    /// when it sends again; without it the day does, and a repetition past midnight is a second request, which does no harm.
    fn key_without_id(&self, webhook: &Webhook, body: &[u8], now: DateTime<Utc>) -> String {
        let when = webhook.triggered_at.map_or_else(
            || now.date_naive().to_string(),
            |at| format!("{}.{}", at.timestamp(), at.timestamp_subsec_nanos()),
        );
        let hash = self.hasher.hash("delivery", &[webhook.topic.as_str().as_bytes(), body, when.as_bytes()]);
        format!("body:{}", hex(&hash))
    }
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("figures", &self.figures).finish_non_exhaustive()
    }
}

/// What a known webhook asks for.
enum Action {
    Request { kind: RequestKind, payload: Value },
    Uninstall,
    DraftOrder { draft_id: String, report: Report },
}

impl Action {
    fn of(event: &WebhookEvent) -> Option<Self> {
        let (kind, payload) = match event {
            WebhookEvent::CustomersDataRequest { data_request_id } => (
                RequestKind::CustomersDataRequest,
                known_members([("dataRequestId", data_request_id.map(Value::from))]),
            ),
            WebhookEvent::CustomersRedact { customer_id, orders_to_redact } => (
                RequestKind::CustomersRedact,
                known_members([
                    ("customerId", customer_id.map(Value::from)),
                    (erasure::customer::ORDERS_TO_REDACT, orders_to_redact.as_deref().map(Value::from)),
                ]),
            ),
            WebhookEvent::ShopRedact => (RequestKind::ShopRedact, known_members([])),
            WebhookEvent::AppUninstalled => return Some(Self::Uninstall),
            WebhookEvent::DraftOrderUpdated { draft_id, is_completed, order_id, completed_at } => {
                let completed = Report::Completed { order_id: *order_id, order_name: None, at: *completed_at };
                let report = if *is_completed { completed } else { Report::Standing };
                return Some(Self::DraftOrder { draft_id: draft_id.clone(), report });
            }
            WebhookEvent::DraftOrderDeleted { draft_id } => {
                return Some(Self::DraftOrder { draft_id: draft_id.clone(), report: Report::Deleted });
            }
            WebhookEvent::Unknown => return None,
        };
        Some(Self::Request { kind, payload })
    }
}

/// An object of the fields that are known.
fn known_members<const N: usize>(known_members: [(&str, Option<Value>); N]) -> Value {
    let known = known_members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(known.collect::<Map<_, _>>())
}

/// A webhook on its way into the database.
struct PendingDelivery {
    webhook: Webhook,
    key: Option<String>,
    action: Action,
    now: DateTime<Utc>,
    request: RequestId,
}

/// Why a delivery was rolled back.
enum NotRecorded {
    Duplicate(Option<JobId>),
    Fault(Error),
}

impl<E: Into<Error>> From<E> for NotRecorded {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

impl PendingDelivery {
    /// Writes everything, unless the delivery is known; the job first, so that its request can name it without being written twice.
    /// No other process writes between the look and the end: the transaction holds the write lock.
    fn write(
        self,
        tx: &Tx<'_>,
        queue: &Queue,
        handover: &Handover,
        subject: String,
    ) -> Result<IntakeOutcome, NotRecorded> {
        if let Action::DraftOrder { draft_id, report } = &self.action {
            return Ok(self.write_report(tx, queue, handover, draft_id, report)?);
        }
        let Self {
            webhook: Webhook { topic, webhook_id, event_id, shop, triggered_at, .. },
            key,
            action,
            now,
            request,
        } = self;
        // An unsigned header: an event of the future would pass for one after every installation to come.
        let triggered_at = triggered_at.unwrap_or(now).min(now);
        let key = key.or_else(|| webhook_id.clone()).unwrap_or_default();
        // Looked for first, for SQLite leaves what a rolled-back savepoint wrote into pages of the free list in the file, where
        // no erasure finds it (measured).
        let kind = match &action {
            Action::Request { kind, .. } => Some(*kind),
            Action::Uninstall | Action::DraftOrder { .. } => None,
        };
        let known = deliveries::find(tx, &topic, kind, &key)?;
        if let Action::Request { kind: RequestKind::ShopRedact, .. } = &action
            && let Some(open) = requests::find_open_redact(tx, &shop)?
        {
            // A client that replays a signed body under ever new ids adds nothing to what is open.
            let first = open.webhook_id.as_deref().map(|id| deliveries::find(tx, &topic, kind, id)).transpose()?;
            let job = first.unwrap_or(known).flatten();
            if known.is_some() && job.is_some_and(|job| is_unfinished(tx, job).unwrap_or(false)) {
                return Err(NotRecorded::Duplicate(job));
            }
            let job = Some(repeat(tx, queue, now, &open, job, triggered_at, subject)?);
            if known.is_none() {
                // Acknowledged, so it is known from now on, also when the request is closed.
                let delivery = Delivery { topic: &topic, key: &key, event_id: event_id.as_deref(), shop: &shop, job };
                deliveries::insert(tx, now, &delivery)?;
            }
            return Ok(IntakeOutcome::Duplicate(job));
        }
        if let Some(job) = known {
            return match find_abandoned(tx, kind, &shop, &key, job)? {
                Some(open) => Ok(IntakeOutcome::Duplicate(Some(enqueue_again(tx, queue, now, &open, subject)?))),
                None => Err(NotRecorded::Duplicate(job)),
            };
        }
        let note = |job| {
            let delivery = Delivery { topic: &topic, key: &key, event_id: event_id.as_deref(), shop: &shop, job };
            deliveries::insert(tx, now, &delivery)
        };
        let job = match action {
            Action::Request { kind, payload } => {
                let mut job = erasure::job_of(kind, request, &shop).about(subject);
                if webhook_id.is_none() {
                    // What repeats it finds its job by this; of the others, by their delivery.
                    job = job.dedupe_key(erasure::job_key(request));
                }
                let job = queue.enqueue(tx, now, job)?;
                if webhook_id.is_none() {
                    note(Some(job))?;
                }
                // With an id, the request is what the delivery is known by.
                let new = NewRequest {
                    shop: shop.clone(),
                    kind,
                    payload,
                    webhook_id,
                    event_id: event_id.clone(),
                    job: Some(job),
                    triggered_at,
                };
                requests::insert(tx, request, now, &new)?;
                Some(job)
            }
            Action::Uninstall => {
                uninstall(tx, &shop, triggered_at, now)?;
                note(None)?;
                None
            }
            Action::DraftOrder { .. } => None,
        };
        tx.after_commit(move || log_accepted(&topic, job.map(|job| (request, job))));
        Ok(IntakeOutcome::Accepted(job))
    }
}

impl PendingDelivery {
    /// Writes down what has become of a draft order. No delivery is noted: a report that comes twice changes nothing the second time,
    /// and most are about drafts that others have made.
    fn write_report(
        &self,
        tx: &Tx<'_>,
        queue: &Queue,
        handover: &Handover,
        draft_id: &str,
        report: &Report,
    ) -> Result<IntakeOutcome, Error> {
        let (now, shop) = (self.now, &self.webhook.shop);
        match handover::report(tx, now, shop, draft_id, report)? {
            Reported::Changed => {
                if matches!(report, Report::Completed { .. }) {
                    // The name of the order is not in the webhook.
                    handover.enqueue_looks(tx, now, queue, shop)?;
                }
                let topic = self.webhook.topic.clone();
                tx.after_commit(move || log_accepted(&topic, None));
                Ok(IntakeOutcome::Accepted(None))
            }
            Reported::Known => Ok(IntakeOutcome::Duplicate(None)),
            Reported::NotOurs => Ok(IntakeOutcome::Ignored),
        }
    }
}

/// What asks for the same as the request `open`, to which `job` was to see. A later event counts: the shop may have been installed
/// between the two.
fn repeat(
    tx: &Tx<'_>,
    queue: &Queue,
    now: DateTime<Utc>,
    open: &PrivacyRequest,
    job: Option<JobId>,
    triggered_at: DateTime<Utc>,
    subject: String,
) -> Result<JobId, NotRecorded> {
    if triggered_at > open.triggered_at {
        requests::raise_triggered_at(tx, open.id, triggered_at)?;
    }
    match job {
        Some(job) if is_unfinished(tx, job)? => Ok(job),
        _ => enqueue_again(tx, queue, now, open, subject),
    }
}

/// A job for the request `open`, whose own was cancelled, discarded or is gone: the duty is still there. One such job at a time.
fn enqueue_again(
    tx: &Tx<'_>,
    queue: &Queue,
    now: DateTime<Utc>,
    open: &PrivacyRequest,
    subject: String,
) -> Result<JobId, NotRecorded> {
    let job = erasure::job_of(open.kind, open.id, &open.shop);
    Ok(queue.enqueue(tx, now, job.about(subject).dedupe_key(erasure::job_key(open.id)))?)
}

/// The open request that a known delivery led to, where `job`, which was to fulfil it, has ended without doing so. A delivery without an
/// id of Shopify's is known by that job alone, and its request by the job's payload.
fn find_abandoned(
    tx: &Tx<'_>,
    kind: Option<RequestKind>,
    shop: &ShopDomain,
    key: &str,
    job: Option<JobId>,
) -> db::Result<Option<PrivacyRequest>> {
    let Some(kind) = kind else { return Ok(None) };
    let job = job.map(|job| find_job(tx, job)).transpose()?.flatten();
    if job.as_ref().is_some_and(|job| job.processed_at.is_none()) {
        return Ok(None);
    }
    let open = match requests::find_open_delivered(tx, kind, key)? {
        None => job
            .and_then(|job| erasure::request_of(&job.payload))
            .map(|id| requests::find(tx, id))
            .transpose()?
            .flatten(),
        open => open,
    };
    // The id is not signed: it may come with the body of another shop, which repeats nothing.
    Ok(open.filter(|request| request.processed_at.is_none() && request.kind == kind && request.shop == *shop))
}

fn is_unfinished(tx: &Tx<'_>, job: JobId) -> db::Result<bool> {
    Ok(find_job(tx, job)?.is_some_and(|job| job.processed_at.is_none()))
}

fn uninstall(tx: &Tx<'_>, shop: &ShopDomain, triggered_at: DateTime<Utc>, now: DateTime<Utc>) -> db::Result<()> {
    if stores::mark_uninstalled(tx, shop, triggered_at, now)? {
        let shop = shop.clone();
        tx.after_commit(move || info!("store uninstalled shop={shop}"));
    }
    Ok(())
}

fn log_accepted(topic: &Topic, request: Option<(RequestId, JobId)>) {
    match request {
        Some((request, job)) => info!("webhook accepted topic={topic} request={request} job={job}"),
        None => info!("webhook accepted topic={topic}"),
    }
}
