//! What privacy law asks, and what this program does about it.
//!
//! | Shopify sends | when | we owe (within 30 days) | job |
//! | --- | --- | --- | --- |
//! | `shop/redact` | 48 h after an uninstall | everything about the shop is gone | [`SHOP_REDACT`], `shop.rs`; of a store that looks live see `hold.rs` |
//! | `customers/redact` | a customer is to be forgotten | the labels of the customer's orders are gone: nothing else is kept | [`CUSTOMER_REDACT`], `customer.rs` |
//! | `customers/data_request` | a customer asks what is held | a report to the merchant | [`CUSTOMERS_DATA_REQUEST`], `customer.rs` |
//!
//! A privacy request is a row of `gdpr_requests` (`requests.rs`), which outlives the store. It is *processed* when its job's effects are
//! committed, and *erased* when no job speaks of the shop (`late_jobs.rs`, `mentions.rs`) and the bytes have left database file and WAL
//! as well (`scrub.rs`). Each of both is proved by a
//! receipt in a chain of hashes (`receipts.rs`); `verify.rs` walks the chain, compares it
//! with the requests (`agreement.rs`) and looks for leftovers.
//!
//! Held here: rows and receipt are one transaction; a re-installed store is not erased by an older event; nothing of the shop
//! stays but its domain in `gdpr_requests` and `webhook_deliveries`, and both go with retention.

mod agreement;
pub mod customer;
mod finding;
pub mod hold;
pub mod inquiry;
pub mod late_jobs;
mod mentions;
pub mod ordered;
pub mod receipts;
pub mod requests;
#[doc(hidden)]
pub mod scan;
pub mod scrub;
pub mod shop;
pub mod verify;

use crate::db;
use crate::domain::ids::{RequestId, ShopDomain};
use crate::entropy::Entropy;
use crate::keyed_hash::{KeyedHasher, hex};
use crate::orders::handover::Handover;
use crate::queue::{self, Claim, JobError, NewJob, Registry};
use chrono::TimeDelta;
use customer::{CustomerRedact, CustomersDataRequest};
use hold::Policy;
use inquiry::Inquiry;
use requests::{PrivacyRequest, RequestKind};
use rusqlite::Connection;
use serde_json::{Value, json};
use shop::{Gone, ShopRedact};
use std::collections::HashSet;
use std::sync::Arc;

/// Erases a store: job type, payload `{"shop", "requestId"?}`.
pub const SHOP_REDACT: &str = "shop_redact";

/// Asks Shopify whether a shop that is to be erased still has the app: job type, payload `{"requestId"}`.
pub const SHOP_REDACT_INQUIRY: &str = "shop_redact_inquiry";

/// Forgets a customer: job type, payload `{"shop", "requestId"?}`.
pub const CUSTOMER_REDACT: &str = "customer_redact";

/// Reports what is held about a customer: job type, payload `{"shop", "requestId"}`.
pub const CUSTOMERS_DATA_REQUEST: &str = "customers_data_request";

/// Every job type that sees to a request: one is open as long as no other has taken over.
pub const PRIVACY_JOBS: [&str; 4] = {
    let [data_request, customer, shop] = RequestKind::ALL;
    [shop.job_type(), SHOP_REDACT_INQUIRY, customer.job_type(), data_request.job_type()]
};

/// Shopify: "complete the action within 30 days of receiving the request" (privacy law compliance).
pub const RESPONSE_DEADLINE: TimeDelta = TimeDelta::days(30);

/// Attempts of the jobs of privacy requests: with delays that grow to six hours these go on for a week, and leave a person three more.
const REDACTION_ATTEMPTS: u32 = 40;

/// What the log adds when the job of a privacy request is discarded.
const OPEN_REQUEST_HINT: &str =
    "- a privacy request stays open: a person must act before its due date, see `quotegrid gdpr list`";

/// The member of a job's payload that names its request, and the only one that survives the erasure of the job's shop.
const REQUEST_ID: &str = "requestId";

/// What the jobs of privacy requests need.
pub struct Parts<'a> {
    /// Names shops in receipts.
    pub hasher: &'a KeyedHasher,
    /// The source of ids.
    pub entropy: Arc<dyn Entropy>,
    /// What becomes of a store that looks live.
    pub policy: Policy,
    /// Called when a store is gone.
    pub gone: Gone,
    /// Asks Shopify.
    pub handover: &'a Handover,
}

/// Adds what runs the jobs of privacy requests to `registry`.
pub fn register(registry: Registry, parts: Parts<'_>) -> Registry {
    let Parts { hasher, entropy, policy, gone, handover } = parts;
    registry
        .with(SHOP_REDACT, ShopRedact::new(hasher.clone(), entropy).holding(policy).notifying(gone))
        .with(SHOP_REDACT_INQUIRY, Inquiry::new(hasher.clone(), handover.clone()))
        .with(CUSTOMER_REDACT, CustomerRedact::new(hasher.clone()))
        .with(CUSTOMERS_DATA_REQUEST, CustomersDataRequest)
}

/// The keyed hash of a shop's domain: what receipts name it by.
pub fn subject_hash(hasher: &KeyedHasher, shop: &ShopDomain) -> [u8; 32] {
    hasher.hash("shop", &[shop.as_str().as_bytes()])
}

/// What a shop's jobs are about, for the queue: half of the same hash as text, so that no job row names the shop for longer than
/// needed. It is in each job and in an index, and 128 bits are enough to distinguish shops.
pub fn subject(hasher: &KeyedHasher, shop: &ShopDomain) -> String {
    subject_of(&subject_hash(hasher, shop))
}

/// The same from the hash, for where the shop's name is not known any more.
fn subject_of(hash: &[u8; 32]) -> String {
    hex(&hash[..16])
}

/// The job that fulfils a request.
pub fn job_for(hasher: &KeyedHasher, kind: RequestKind, id: RequestId, shop: &ShopDomain) -> NewJob {
    job_of(kind, id, shop).about(subject(hasher, shop))
}

/// The same, before it is known what it is about.
pub fn job_of(kind: RequestKind, id: RequestId, shop: &ShopDomain) -> NewJob {
    NewJob::new(kind.job_type(), json!({ "shop": shop.as_str(), REQUEST_ID: id.to_string() }))
}

/// The request that a job with this payload is to fulfil; `None` where it was enqueued by hand.
pub fn request_of(payload: &Value) -> Option<RequestId> {
    payload.get(REQUEST_ID)?.as_str()?.parse().ok()
}

/// The dedupe key of a job for a request that nothing else leads to: not by a delivery that names it.
pub fn job_key(request: RequestId) -> String {
    format!("request:{request}")
}

/// The open requests that no unfinished job sees to, oldest first: their jobs were cancelled or discarded, or are gone. A job by hand
/// sees to all of its shop.
///
/// # Errors
/// When the database fails.
pub fn list_without_job(connection: &Connection, hasher: &KeyedHasher) -> db::Result<Vec<PrivacyRequest>> {
    let open = requests::list_all_open_without_own_job(connection)?;
    if open.is_empty() {
        return Ok(open);
    }
    // Some other job sees to them, or none.
    let shops: HashSet<&ShopDomain> = open.iter().map(|request| &request.shop).collect();
    let subjects: Vec<String> = shops.into_iter().map(|shop| subject(hasher, shop)).collect();
    let mut seen_to: HashSet<RequestId> = HashSet::new();
    let mut by_hand: HashSet<(String, String)> = HashSet::new();
    queue::each_unfinished(connection, &PRIVACY_JOBS, &subjects, |job_type, payload| match payload.get(REQUEST_ID) {
        Some(_) => seen_to.extend(request_of(payload)),
        None => {
            let shop = payload.get("shop").and_then(|shop| shop.as_str()).unwrap_or_default();
            by_hand.insert((job_type.to_owned(), shop.to_ascii_lowercase()));
        }
    })?;
    let has_job = |request: &PrivacyRequest| {
        let of_shop = || (request.kind.job_type().to_owned(), request.shop.to_string());
        seen_to.contains(&request.id) || (!by_hand.is_empty() && by_hand.contains(&of_shop()))
    };
    Ok(open.into_iter().filter(|request| !has_job(request)).collect())
}

/// The message about as many requests that [`list_without_job`] has found.
pub fn without_job_problem(count: usize) -> String {
    format!(
        "{count} open privacy requests have no job that would fulfil them, for it was cancelled, discarded or lost: see `quotegrid gdpr list`, then `quotegrid jobs retry` their jobs, or enqueue new ones with `quotegrid jobs enqueue`, type {SHOP_REDACT}, {CUSTOMER_REDACT} or {CUSTOMERS_DATA_REQUEST}, payload {{\"shop\": …}}"
    )
}

/// How many jobs of privacy requests were discarded: each means that a person must act.
///
/// # Errors
/// When the database fails.
pub fn count_failed_jobs(connection: &Connection) -> db::Result<u64> {
    queue::count_failed(connection, &PRIVACY_JOBS)
}

/// What a redaction job is asked to do, read from its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RedactionTarget {
    /// Fulfil this request.
    Request(RequestId),
    /// Enqueued by hand: fulfil whatever is open for this shop.
    Shop(ShopDomain),
}

impl RedactionTarget {
    fn of(job: &Claim) -> Result<Self, JobError> {
        if let Some(id) = job.payload.get(REQUEST_ID) {
            let id = id.as_str().and_then(|id| id.parse().ok());
            return id.map(Self::Request).ok_or_else(|| JobError::Permanent("requestId is not an id".to_owned()));
        }
        let shop = job.payload.get("shop").and_then(|shop| shop.as_str());
        let shop = shop.ok_or_else(|| JobError::Permanent("the payload names no shop".to_owned()))?;
        // The text is not repeated in the error, which is stored: it may be anything.
        shop.parse().map(Self::Shop).map_err(|_| JobError::Permanent("shop is not a shop domain".to_owned()))
    }
}
