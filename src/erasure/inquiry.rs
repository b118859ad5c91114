//! The handler of `shop_redact_inquiry`: asks Shopify whether the app is installed in a shop that is to be erased and looks live. It
//! waits for Shopify on a thread of its own and outside of any transaction; the request's erasure is a job again once there is an
//! answer, so a Shopify that hangs holds up no other erasure.

use super::hold::{self, ShopifySays};
use super::requests::{self, PrivacyRequest, RequestKind, RequestOutcome};
use super::{OPEN_REQUEST_HINT, REDACTION_ATTEMPTS, REQUEST_ID, RedactionTarget, job_for};
use crate::catalog::stores;
use crate::db::{self, RowCounts, Tx};
use crate::domain::ids::RequestId;
use crate::error::Error;
use crate::keyed_hash::KeyedHasher;
use crate::orders::handover::Handover;
use crate::queue::{Claim, Context, Finish, Handler, JobError};
use crate::shopify::admin::Installation;
use chrono::{DateTime, TimeDelta, Utc};
use log::warn;
use serde_json::json;
use std::time::Duration;

/// The shortest and longest rest between two times of asking.
const REST: (TimeDelta, TimeDelta) = (TimeDelta::seconds(30), TimeDelta::hours(1));

/// What is due is never due at once again.
const REST_MIN: Duration = Duration::from_secs(1);

/// The rest as a share of the time for which Shopify has been asked: it grows, and needs no count.
const REST_SHARE: i32 = 4;

/// Shopify is asked about a shop once in this time: a client that sends the same signed request again and again must not have Shopify asked
/// as often. While the job is delayed the request is open, and the next one is a repetition of it.
const ASKED_ONCE_IN: TimeDelta = TimeDelta::minutes(10);

/// Asks Shopify.
pub struct Inquiry {
    hasher: KeyedHasher,
    handover: Handover,
}

impl Inquiry {
    /// A handler that asks by the app of `handover`.
    pub fn new(hasher: KeyedHasher, handover: Handover) -> Self {
        Self { hasher, handover }
    }

    /// Notes what Shopify says and goes on with the erasure.
    fn go_on(&self, request: &PrivacyRequest, says: ShopifySays) -> Finish {
        let id = request.id;
        Finish::with(move |tx, _now| Ok(hold::note_answer(tx, id, says)?))
            .keeping(json!({ REQUEST_ID: id.to_string() }))
            .followed_by(job_for(&self.hasher, request.kind, id, &request.shop))
    }
}

impl Handler for Inquiry {
    fn may_be_paused(&self) -> bool {
        false
    }

    fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError> {
        let RedactionTarget::Request(id) = RedactionTarget::of(job)? else {
            return Err(JobError::Permanent("the payload names no request".to_owned()));
        };
        let now = context.now();
        let (request, store, kept_at) = context.db().read(|connection| -> db::Result<_> {
            let request = requests::find(connection, id)?.filter(|request| request.kind == RequestKind::ShopRedact);
            let store = request.as_ref().map(|request| stores::find(connection, &request.shop)).transpose()?;
            let since = now - ASKED_ONCE_IN;
            let kept = request.as_ref().map(|request| hold::find_kept_since(connection, &request.shop, since));
            Ok((request, store.flatten(), kept.transpose()?.flatten()))
        })?;
        let request = request.ok_or_else(|| JobError::Permanent("there is no such SHOP_REDACT request".to_owned()))?;
        if request.processed_at.is_some() || request.hold.decision.is_some() {
            return Ok(Finish::done().keeping(json!({ REQUEST_ID: id.to_string() })));
        }
        if !store.is_some_and(|store| hold::looks_live(&store, &request, now)) {
            return Ok(self.go_on(&request, ShopifySays::NotAsked));
        }
        if let Some(kept_at) = kept_at {
            return Err(JobError::Snooze(rest_until(kept_at + ASKED_ONCE_IN, now)));
        }
        match self.handover.ask_installed(&request.shop) {
            None => Ok(self.go_on(&request, ShopifySays::NotAsked)),
            Some(Installation::NotInstalled) => Ok(self.go_on(&request, ShopifySays::NotInstalled)),
            Some(Installation::Installed) => {
                Ok(Finish::with(move |tx, now| keep_store(tx, now, id)).keeping(json!({ REQUEST_ID: id.to_string() })))
            }
            Some(Installation::Uncertain(why)) if now < request.last_call() => {
                warn!("[GDPR] request={id}: Shopify does not say whether the app is installed, asking again: {why}");
                Err(JobError::Snooze(rest(now - job.created_at, request.last_call() - now)))
            }
            Some(Installation::Uncertain(_)) => Ok(self.go_on(&request, ShopifySays::Unclear)),
        }
    }

    fn max_attempts(&self) -> u32 {
        REDACTION_ATTEMPTS
    }

    fn calls_external_service(&self) -> bool {
        true
    }

    fn operator_hint(&self) -> Option<&'static str> {
        Some(OPEN_REQUEST_HINT)
    }
}

fn rest(asked_for: TimeDelta, left: TimeDelta) -> Duration {
    let rest = (asked_for / REST_SHARE).clamp(REST.0, REST.1).min(left);
    rest.to_std().unwrap_or_default().max(REST_MIN)
}

fn rest_until(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (at - now).min(ASKED_ONCE_IN).to_std().unwrap_or_default().max(REST_MIN)
}

/// Ends a request whose shop has the app installed, unless a person has decided meanwhile or its erasure has begun.
fn keep_store(tx: &Tx<'_>, now: DateTime<Utc>, id: RequestId) -> Result<(), Error> {
    let request = requests::load(tx, id)?;
    let store = stores::find(tx, &request.shop)?;
    let has_begun = store.is_none_or(|store| store.erasing_since.is_some());
    if request.processed_at.is_some() || request.hold.decision.is_some() || has_begun {
        return Ok(());
    }
    hold::note_answer(tx, id, ShopifySays::Installed)?;
    requests::mark_processed(tx, now, id, RequestOutcome::StillInstalled, &RowCounts::default(), None)?;
    tx.after_commit(move || {
        warn!(
            "[GDPR] shop redact not carried out request={id}: Shopify says that the app is still installed in the shop"
        );
    });
    Ok(())
}
