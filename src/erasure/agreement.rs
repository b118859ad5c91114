//! Whether receipts and requests say the same. The chain alone does not show that all of it, or its end, was cut off, or that a request
//! was changed: each redaction that is done has exactly its receipts, and what guards them is in place.

use super::finding::Finding;
use super::receipts::{self, Receipt, ReceiptKind};
use super::requests::{self, PrivacyRequest, RequestOutcome};
use super::subject_hash;
use crate::db;
use crate::keyed_hash::KeyedHasher;
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Where receipts and requests contradict each other, or what guards the receipts is not there.
///
/// # Errors
/// When the database fails.
pub(super) fn mismatches(connection: &Connection, hasher: &KeyedHasher) -> db::Result<Vec<Finding>> {
    let mut found: BTreeMap<&'static str, u64> = BTreeMap::new();
    requests::each(connection, |request| {
        // By the hash of its shop as well: receipts that were written with another key are none of its.
        let receipts = receipts::list_of_request(connection, &subject_hash(hasher, &request.shop), request.id)?;
        if let Some(what) = mismatch(request, &receipts) {
            *found.entry(what).or_default() += 1;
        }
        Ok(())
    })?;
    let of =
        |place: &str, (what, times): (&str, u64)| Finding { place: place.to_owned(), what: what.to_owned(), times };
    let mut findings: Vec<Finding> = found.into_iter().map(|found| of("gdpr_requests", found)).collect();
    let missing = receipts::count_missing_triggers(connection)?;
    if missing > 0 {
        findings.push(of("erasure_receipts", ("a trigger that keeps receipts from being changed is gone", missing)));
    }
    Ok(findings)
}

/// What is wrong with a request and its receipts.
fn mismatch(request: &PrivacyRequest, receipts: &[Receipt]) -> Option<&'static str> {
    let count = |kind: ReceiptKind| receipts.iter().filter(|receipt| receipt.kind == kind.as_str()).count();
    let (erased, verified) = (count(ReceiptKind::Erased), count(ReceiptKind::Verified));
    // A report deletes nothing, and what was not carried out has nothing to prove.
    let is_proved = matches!(
        request.outcome,
        Some(RequestOutcome::Erased | RequestOutcome::NothingHeld | RequestOutcome::Acknowledged)
    );
    let wanted = (usize::from(is_proved), usize::from(is_proved && request.erased_at.is_some()));
    if erased < wanted.0 || verified < wanted.1 {
        return Some(
            "a redaction is done and its receipts are not there: receipts, or the key of their hashes, are gone",
        );
    }
    if (erased, verified) != wanted {
        return Some("receipts say that a request was done which says otherwise, or say so more than once");
    }
    let agrees = |receipt: &Receipt| {
        receipt.request_type == request.kind.as_str()
            && Some(receipt.outcome.as_str()) == request.outcome.map(RequestOutcome::as_str)
            && receipt.counts == request.deleted.to_string()
    };
    (!receipts.iter().all(agrees)).then_some("a request and its receipts name different outcomes or counts")
}
