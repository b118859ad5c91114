//! What the doctor says of erasures of stores that looked live, and of stores that were installed in the future.

use crate::catalog::stores;
use crate::clock::{instant, optional_instant};
use crate::db;
use crate::erasure::RESPONSE_DEADLINE;
use crate::erasure::hold::Decision;
use crate::erasure::requests::{self, PrivacyRequest, RequestOutcome};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use serde_json::{Value, json};

/// Of each, that many are named.
const NAMED: usize = 20;

/// For how long an erasure of a live store counts as a problem that an operator has yet to look at. Then it is a note.
const PROBLEM_FOR: TimeDelta = TimeDelta::days(2);

/// A store whose keys were used this short a time before was in use: longer than what Shopify waits before it asks for the erasure.
const IN_USE: TimeDelta = TimeDelta::hours(48);

/// What was found.
#[derive(Default)]
pub(super) struct LiveStores {
    requests: Vec<PrivacyRequest>,
    ahead: Vec<(String, DateTime<Utc>)>,
}

impl LiveStores {
    pub(super) fn look(connection: &Connection, now: DateTime<Utc>) -> db::Result<Self> {
        let ahead = stores::list_installed_in_future(connection, now, NAMED)?;
        Ok(Self {
            requests: requests::list_found_live(connection, now - RESPONSE_DEADLINE, NAMED)?,
            ahead: ahead.into_iter().map(|store| (store.shop.to_string(), store.installed_at)).collect(),
        })
    }

    /// What a person has yet to look at.
    pub(super) fn problems(&self, now: DateTime<Utc>) -> Vec<String> {
        let ahead = self.ahead.iter().map(|(shop, at)| {
            format!(
                "store {shop} was installed in the future, at {}: the clock was ahead then or is behind now",
                instant(*at)
            )
        });
        ahead.chain(self.requests.iter().filter(|request| is_problem(request, now)).map(sentence)).collect()
    }

    /// What is good to know.
    pub(super) fn notes(&self, now: DateTime<Utc>) -> Vec<String> {
        self.requests.iter().filter(|request| !is_problem(request, now)).map(sentence).collect()
    }

    pub(super) fn document(&self) -> Value {
        let document = |request: &PrivacyRequest| {
            json!({
                "requestId": request.id.to_string(),
                "shop": request.shop.as_str(),
                "outcome": request.outcome.map(RequestOutcome::as_str),
                "foundLiveAt": optional_instant(request.hold.found_live_at),
                "keysLastUsedAt": optional_instant(request.hold.keys_used_at),
                "heldUntil": optional_instant(request.waits_until()),
            })
        };
        Value::from_iter(self.requests.iter().map(document))
    }
}

/// Whether an operator must decide, or should know that a store in use is gone or was to go. An operator who has decided knows.
fn is_problem(request: &PrivacyRequest, now: DateTime<Utc>) -> bool {
    if request.waits_until().is_some() {
        return true;
    }
    let (Some(found), None) = (request.hold.found_live_at, request.hold.decision) else { return false };
    let was_in_use = request.hold.keys_used_at.is_some_and(|used| found - used < IN_USE);
    was_in_use && now - found < PROBLEM_FOR
}

fn sentence(request: &PrivacyRequest) -> String {
    let (id, shop) = (request.id, &request.shop);
    let used = optional_instant(request.hold.keys_used_at).unwrap_or_else(|| "never".to_owned());
    let came_to = match (request.outcome, request.waits_until()) {
        (Some(outcome), _) => outcome.as_str().to_owned(),
        (None, Some(until)) => format!(
            "it is held until {}, decide by `quotegrid gdpr confirm {id}` or `quotegrid gdpr reject {id}`",
            instant(until)
        ),
        (None, None) => request.hold.decision.map_or("open", Decision::as_str).to_owned(),
    };
    format!(
        "redact_of_live_store: request {id} to erase {shop} met a store that was not uninstalled 47 hours before; its keys were last used: {used}; {came_to}"
    )
}
