//! The handlers of `customers/redact` and `customers/data_request`. This program keeps nothing by customer, but items of orders may have
//! a label, in the shopper's own words. So one forgets the labels of the orders that the request names, and the ids that came with it;
//! the other reports that nothing is held, and where shoppers' own words may be.

use super::receipts::{self, NewReceipt, ReceiptKind};
use super::requests::{self, PrivacyRequest, RequestKind, RequestOutcome};
use super::{OPEN_REQUEST_HINT, REDACTION_ATTEMPTS, REQUEST_ID, RedactionTarget, subject_hash};
use crate::db::{self, RowCounts, Tx};
use crate::domain::ids::RequestId;
use crate::error::Error;
use crate::keyed_hash::KeyedHasher;
use crate::orders::labels;
use crate::queue::{Claim, Context, Finish, Handler, JobError};
use chrono::{DateTime, SecondsFormat, Utc};
use log::info;
use rusqlite::Connection;
use serde_json::{Value, json};

/// Requests that one transaction fulfils: each is a mark and a receipt.
const CLOSED_AT_ONCE: usize = 100;

/// Orders that one step before that looks for: a few milliseconds of the writer's time.
const LOOKED_FOR_AT_ONCE: usize = 1_000;

/// Orders that may be left of a request for the transaction that fulfils it, with up to [`CLOSED_AT_ONCE`] others: as many as customers
/// have, so that most requests need no step.
const LEFT_TO_CLOSING: usize = 20;

/// The member of a request's payload that names Shopify's orders by their numbers.
pub const ORDERS_TO_REDACT: &str = "ordersToRedact";

/// And the one that says how many labels are forgotten already: a crash between two steps loses no count.
const LABELS_FORGOTTEN: &str = "labelsForgotten";

/// What receipts and requests count labels by: the items stay.
const LABELS: &str = "draft_order_lines.label";

/// Forgets a customer.
pub struct CustomerRedact {
    hasher: KeyedHasher,
}

impl CustomerRedact {
    /// A handler that names shops in receipts by `hasher`.
    pub fn new(hasher: KeyedHasher) -> Self {
        Self { hasher }
    }
}

impl Handler for CustomerRedact {
    fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError> {
        let hasher = self.hasher.clone();
        let close = move |tx: &Tx<'_>, now, request: &PrivacyRequest| forget(tx, now, &hasher, request);
        fulfil(job, context, RequestKind::CustomersRedact, forget_in_steps, close)
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

/// Forgets labels until so few orders are left that the closing transaction sees to them.
fn forget_in_steps(context: &Context, request: &PrivacyRequest) -> Result<(), JobError> {
    loop {
        let payload = context.db().read(|connection| requests::load_payload(connection, request.id))?;
        if orders_left(&payload).len() <= LEFT_TO_CLOSING {
            return Ok(());
        }
        if context.is_stopping() {
            return Err(JobError::Stopped);
        }
        let (id, shop) = (request.id, request.shop.clone());
        context.write(move |tx| -> Result<(), Error> {
            let payload = requests::load_payload(tx, id)?;
            let mut orders = orders_left(&payload);
            let left = orders.split_off(LOOKED_FOR_AT_ONCE.min(orders.len()));
            let forgotten = labels_forgotten(&payload) + labels::forget(tx, &shop, &orders)?;
            requests::set_payload(tx, id, &json!({ ORDERS_TO_REDACT: left, LABELS_FORGOTTEN: forgotten }))?;
            Ok(())
        })?;
    }
}

/// The orders whose labels are still to be forgotten.
fn orders_left(payload: &Value) -> Vec<u64> {
    let orders = payload.get(ORDERS_TO_REDACT).and_then(Value::as_array);
    orders.into_iter().flatten().filter_map(Value::as_u64).collect()
}

fn labels_forgotten(payload: &Value) -> usize {
    payload.get(LABELS_FORGOTTEN).and_then(Value::as_u64).and_then(|count| count.try_into().ok()).unwrap_or_default()
}

/// Forgets what is left of a request, and closes it.
fn forget(tx: &Tx<'_>, now: DateTime<Utc>, hasher: &KeyedHasher, request: &PrivacyRequest) -> Result<(), Error> {
    let payload = requests::load_payload(tx, request.id)?;
    let mut deleted = RowCounts::default();
    deleted.add(LABELS, labels_forgotten(&payload) + labels::forget(tx, &request.shop, &orders_left(&payload))?);
    let outcome = if deleted.is_empty() { RequestOutcome::Acknowledged } else { RequestOutcome::Erased };
    requests::mark_processed(tx, now, request.id, outcome, &deleted, None)?;
    let receipt = NewReceipt {
        kind: ReceiptKind::Erased,
        request_id: request.id,
        request_type: RequestKind::CustomersRedact.as_str(),
        subject_hash: subject_hash(hasher, &request.shop),
        outcome,
        counts: deleted,
    };
    receipts::append(tx, now, receipt)?;
    let (id, shop) = (request.id, request.shop.clone());
    tx.after_commit(move || info!("[GDPR] customer redact completed for {shop} request={id}"));
    Ok(())
}

/// Reports what is held about a customer.
pub struct CustomersDataRequest;

impl Handler for CustomersDataRequest {
    fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError> {
        let close = |tx: &Tx<'_>, now, request: &PrivacyRequest| {
            let report = report(request, &requests::load_payload(tx, request.id)?, now);
            requests::mark_processed(
                tx,
                now,
                request.id,
                RequestOutcome::Reported,
                &RowCounts::default(),
                Some(&report),
            )?;
            let (id, shop) = (request.id, request.shop.clone());
            tx.after_commit(move || info!("[GDPR] data request reported for {shop} request={id}"));
            Ok(())
        };
        fulfil(job, context, RequestKind::CustomersDataRequest, |_context, _request| Ok(()), close)
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

/// What the merchant is given. It names Shopify's number of the request, never the customer.
fn report(request: &PrivacyRequest, payload: &Value, now: DateTime<Utc>) -> Value {
    json!({
        "requestId": request.id.to_string(),
        "dataRequestId": payload.get("dataRequestId"),
        "shop": request.shop.as_str(),
        "receivedAt": request.created_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "reportedAt": now.to_rfc3339_opts(SecondsFormat::Millis, true),
        "customerDataHeld": [],
        "explanation": "quotegrid keeps no data by customer. Draft orders record product, size, options and price, \
                        without a name, an address, an e-mail address, a phone number or a customer id. Items may have a \
                        label, free text that the shopper wrote: look at the labels of this customer's orders, which are \
                        found by the orders' numbers. A customers/redact forgets those labels.",
    })
}

/// Fulfils the requests that a job is about, each by `close` after `prepare`: in its closing transaction as many as that has room for,
/// those of a job by hand that are more in steps before.
fn fulfil(
    job: &Claim,
    context: &Context,
    kind: RequestKind,
    prepare: fn(&Context, &PrivacyRequest) -> Result<(), JobError>,
    close: impl Fn(&Tx<'_>, DateTime<Utc>, &PrivacyRequest) -> Result<(), Error> + Clone + Send + 'static,
) -> Result<Finish, JobError> {
    let (requests, keep) = open_requests(job, context, kind, prepare, &close)?;
    let effects = move |tx: &Tx<'_>, now| requests.iter().try_for_each(|request| close(tx, now, request));
    Ok(Finish::with(effects).keeping(keep))
}

/// The open requests that a job is yet to fulfil, and what its row keeps of its payload.
fn open_requests(
    job: &Claim,
    context: &Context,
    kind: RequestKind,
    prepare: fn(&Context, &PrivacyRequest) -> Result<(), JobError>,
    close: &(impl Fn(&Tx<'_>, DateTime<Utc>, &PrivacyRequest) -> Result<(), Error> + Clone + Send + 'static),
) -> Result<(Vec<PrivacyRequest>, Value), JobError> {
    match RedactionTarget::of(job)? {
        RedactionTarget::Request(id) => {
            let request = find_of_kind(context, id, kind)?;
            let open = request.processed_at.is_none().then_some(request);
            open.iter().try_for_each(|request| prepare(context, request))?;
            Ok((open.into_iter().collect(), json!({ REQUEST_ID: id.to_string() })))
        }
        RedactionTarget::Shop(shop) => loop {
            let list = |connection: &Connection| requests::list_open(connection, &shop, kind, CLOSED_AT_ONCE + 1);
            let mut open = context.db().read(list)?;
            let are_all = open.len() <= CLOSED_AT_ONCE;
            open.truncate(CLOSED_AT_ONCE);
            open.iter().try_for_each(|request| prepare(context, request))?;
            if are_all {
                return Ok((open, json!({})));
            }
            if context.is_stopping() {
                return Err(JobError::Stopped);
            }
            let (close, now) = (close.clone(), context.now());
            context.write(move |tx| open.iter().try_for_each(|request| close(tx, now, request)))?;
        },
    }
}

fn find_of_kind(context: &Context, id: RequestId, kind: RequestKind) -> Result<PrivacyRequest, JobError> {
    let found = context.db().read(|connection| -> db::Result<_> { requests::find(connection, id) })?;
    found
        .filter(|request| request.kind == kind)
        .ok_or_else(|| JobError::Permanent(format!("there is no such {} request", kind.as_str())))
}
