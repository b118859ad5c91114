//! Privacy requests, receipts and what a verification found.

use crate::clock::{instant, optional_instant};
use crate::erasure::hold::{Decision, ShopifySays};
use crate::erasure::receipts::Receipt;
use crate::erasure::requests::{self, PrivacyRequest};
use crate::erasure::verify::Verification;
use crate::keyed_hash::hex;
use serde_json::{Value, json};

/// A privacy request.
pub fn request(request: &PrivacyRequest) -> Value {
    json!({
        "id": request.id.to_string(),
        "shop": request.shop.as_str(),
        "type": request.kind.as_str(),
        "webhookId": request.webhook_id,
        "triggeredAt": instant(request.triggered_at),
        "createdAt": instant(request.created_at),
        "dueAt": instant(request.due_at),
        "processedAt": optional_instant(request.processed_at),
        "erasedAt": optional_instant(request.erased_at),
        "outcome": request.outcome.map(requests::RequestOutcome::as_str),
        "deleted": request.deleted,
        "orderedBy": request.ordered_by.as_str(),
        "foundLiveAt": optional_instant(request.hold.found_live_at),
        "keysLastUsedAt": optional_instant(request.hold.keys_used_at),
        "heldUntil": optional_instant(request.hold.held_until),
        "shopifySays": request.hold.shopify_says.map(ShopifySays::as_str),
        "decision": request.hold.decision.map(Decision::as_str),
        "decidedAt": optional_instant(request.hold.decided_at),
    })
}

/// What a verification found.
pub fn verification(verification: &Verification) -> Value {
    json!({
        "ok": verification.is_ok(),
        "receipts": verification.chain.receipts,
        "head": hex(&verification.chain.head),
        "broken": verification.chain.broken_at.map(|(sequence, why)| json!({ "sequence": sequence, "why": why })),
        "mismatches": verification.mismatches,
        "leftovers": verification.leftovers,
        "toScrub": verification.to_scrub,
    })
}

/// A receipt with all that its hash is reckoned from.
pub fn receipt(receipt: &Receipt) -> Value {
    json!({
        "sequence": receipt.sequence,
        "previousHash": hex(&receipt.previous_hash),
        "kind": receipt.kind,
        "requestId": receipt.request_id,
        "type": receipt.request_type,
        "subjectHash": hex(&receipt.subject_hash),
        "outcome": receipt.outcome,
        "counts": receipt.counts,
        "createdAt": instant(receipt.created_at),
        "version": receipt.version,
        "hash": hex(&receipt.hash),
    })
}
