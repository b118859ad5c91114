//! Sessions, and rows of the audit log.

use crate::access::audit::Recorded;
use crate::access::sessions::Session;
use crate::clock::instant;
use crate::keyed_hash::hex;
use serde_json::{Value, json};

/// A session.
pub fn session(session: &Session) -> Value {
    json!({
        "id": session.id.to_string(),
        "role": session.role.as_str(),
        "label": session.label,
        "createdAt": instant(session.created_at),
        "lastUsedAt": instant(session.last_used_at),
        "endsAt": instant(session.ends_at()),
    })
}

/// A row of the audit log.
pub fn audit_entry(row: &Recorded) -> Value {
    json!({
        "id": row.id.to_string(),
        "at": instant(row.at),
        "role": row.role,
        "actor": row.actor,
        "action": row.action,
        "storeHash": row.store.as_deref().map(hex),
        "objects": row.objects,
    })
}
