//! The handlers of `customers/redact` and `customers/data_request`. This program keeps nothing by customer, so one has only the ids
//! of the request itself to forget, and the other reports that nothing is held, and where shoppers' own words may be.

use super::receipts::{self, NewReceipt, ReceiptKind};
use super::requests::{self, PrivacyRequest, RequestKind, RequestOutcome};
use super::{OPEN_REQUEST_HINT, REDACTION_ATTEMPTS, REQUEST_ID, RedactionTarget, subject_hash};
use crate::db::{self, RowCounts, Tx};
use crate::domain::ids::RequestId;
use crate::error::Error;
use crate::keyed_hash::KeyedHasher;
use crate::queue::{Claim, Context, Finish, Handler, JobError};
use chrono::{DateTime, SecondsFormat, Utc};
use log::info;
use rusqlite::Connection;
use serde_json::{Value, json};

/// Requests that one transaction fulfils: each is a mark and a receipt.
const CLOSED_AT_ONCE: usize = 100;

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
        // Customer data would be deleted here, by the customer and order ids in the request's payload, if any were kept: draft
        // orders record sizes, options and prices, and no person. Labels are a shopper's own words, which no id leads to.
        let close = move |tx: &Tx<'_>, now, request: &PrivacyRequest| acknowledge(tx, now, &hasher, request);
        fulfil(job, context, RequestKind::CustomersRedact, close)
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

fn acknowledge(tx: &Tx<'_>, now: DateTime<Utc>, hasher: &KeyedHasher, request: &PrivacyRequest) -> Result<(), Error> {
    let deleted = RowCounts::default();
    requests::mark_processed(tx, now, request.id, RequestOutcome::Acknowledged, &deleted, None)?;
    let receipt = NewReceipt {
        kind: ReceiptKind::Erased,
        request_id: request.id,
        request_type: RequestKind::CustomersRedact.as_str(),
        subject_hash: subject_hash(hasher, &request.shop),
        outcome: RequestOutcome::Acknowledged,
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
        fulfil(job, context, RequestKind::CustomersDataRequest, close)
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
                        found by the orders' numbers.",
    })
}

/// Fulfils the requests that a job is about, each by `close`: in its closing transaction as many as that has room for, those of a
/// job by hand that are more in steps before.
fn fulfil(
    job: &Claim,
    context: &Context,
    kind: RequestKind,
    close: impl Fn(&Tx<'_>, DateTime<Utc>, &PrivacyRequest) -> Result<(), Error> + Clone + Send + 'static,
) -> Result<Finish, JobError> {
    let (requests, keep) = open_requests(job, context, kind, &close)?;
    let effects = move |tx: &Tx<'_>, now| requests.iter().try_for_each(|request| close(tx, now, request));
    Ok(Finish::with(effects).keeping(keep))
}

/// The open requests that a job is yet to fulfil, and what its row keeps of its payload.
fn open_requests(
    job: &Claim,
    context: &Context,
    kind: RequestKind,
    close: &(impl Fn(&Tx<'_>, DateTime<Utc>, &PrivacyRequest) -> Result<(), Error> + Clone + Send + 'static),
) -> Result<(Vec<PrivacyRequest>, Value), JobError> {
    match RedactionTarget::of(job)? {
        RedactionTarget::Request(id) => {
            let request = find_of_kind(context, id, kind)?;
            let open = request.processed_at.is_none().then_some(request);
            Ok((open.into_iter().collect(), json!({ REQUEST_ID: id.to_string() })))
        }
        RedactionTarget::Shop(shop) => loop {
            let list = |connection: &Connection| requests::list_open(connection, &shop, kind, CLOSED_AT_ONCE + 1);
            let mut open = context.db().read(list)?;
            if open.len() <= CLOSED_AT_ONCE {
                return Ok((open, json!({})));
            }
            if context.is_stopping() {
                return Err(JobError::Stopped);
            }
            open.truncate(CLOSED_AT_ONCE);
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
