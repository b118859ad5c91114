//! The handlers of `customers/redact` and `customers/data_request`. This program keeps no customer data, so one has only the ids
//! of the request itself to forget, and the other reports that nothing is held.

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
use serde_json::{Value, json};

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
        let (requests, keep) = open_requests(job, context, RequestKind::CustomersRedact)?;
        let hasher = self.hasher.clone();
        Ok(Finish::with(move |tx, now| {
            for request in &requests {
                // Customer data would be deleted here, by the customer and order ids in the request's payload, if any were kept:
                // draft orders record sizes, options and prices, and no person.
                acknowledge(tx, now, &hasher, request)?;
            }
            Ok(())
        })
        .keeping(keep))
    }

    fn max_attempts(&self) -> u32 {
        REDACTION_ATTEMPTS
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
        let (requests, keep) = open_requests(job, context, RequestKind::CustomersDataRequest)?;
        Ok(Finish::with(move |tx, now| {
            for request in &requests {
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
            }
            Ok(())
        })
        .keeping(keep))
    }

    fn max_attempts(&self) -> u32 {
        REDACTION_ATTEMPTS
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
        "explanation": "quotegrid keeps no data about customers. Draft orders record product, size, options and price, \
                        without a name, an address, an e-mail address, a phone number or a customer id.",
    })
}

/// The open requests that a job is to fulfil, and what its row keeps of its payload.
fn open_requests(job: &Claim, context: &Context, kind: RequestKind) -> Result<(Vec<PrivacyRequest>, Value), JobError> {
    match RedactionTarget::of(job)? {
        RedactionTarget::Request(id) => {
            let request = find_of_kind(context, id, kind)?;
            let open = request.processed_at.is_none().then_some(request);
            Ok((open.into_iter().collect(), json!({ REQUEST_ID: id.to_string() })))
        }
        RedactionTarget::Shop(shop) => {
            let open = context.db().read(|connection| requests::list_open(connection, &shop, kind))?;
            Ok((open, json!({})))
        }
    }
}

fn find_of_kind(context: &Context, id: RequestId, kind: RequestKind) -> Result<PrivacyRequest, JobError> {
    let found = context.db().read(|connection| -> db::Result<_> { requests::find(connection, id) })?;
    found
        .filter(|request| request.kind == kind)
        .ok_or_else(|| JobError::Permanent(format!("there is no such {} request", kind.as_str())))
}
