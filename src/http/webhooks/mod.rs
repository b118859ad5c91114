//! `POST /webhooks`, and any path below it for those who configure one a topic: the topic is read from its header, never from
//! the path. The order of checks is that of the signature first: whoever cannot sign learns nothing but 401.

use super::respond::Responder;
use super::router::{AppState, Params, Route};
use super::{Method, Request, Response};
use crate::error::{Error, Kind};
use crate::intake::IntakeOutcome;
use crate::shopify::{Refusal, Webhook};
use log::{debug, info, warn};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The table's lines.
pub(super) const ROUTES: &[Route] =
    &[Route::later(Method::Post, "/webhooks", receive), Route::later(Method::Post, "/webhooks/{*rest}", receive)];

/// The longest body that is looked at. The front end rejects longer ones too; this holds for embedders that have no front end.
pub const BODY_MAX: usize = 1 << 20;

/// How many webhooks were refused since the start, by reason: a truncating proxy and a wrong secret must look different.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Not signed with one of the secrets (401).
    pub unsigned: AtomicU64,
    /// Signed for another shop than the header's (401).
    pub other_shop: AtomicU64,
    /// Signed, but not what Shopify sends (400).
    pub malformed: AtomicU64,
    /// Over the size limit (413).
    pub too_large: AtomicU64,
    unsigned_log: Mutex<UnsignedLog>,
}

/// Which unsigned webhooks the log reports.
#[derive(Debug, Default)]
struct UnsignedLog {
    /// By the clock's uptime.
    last: Option<Duration>,
    unreported: u64,
}

/// Anybody can send something unsigned, and must not fill a disk with lines about it: of those within this time the log reports one.
const UNSIGNED_PAUSE: Duration = Duration::from_secs(1);

impl Refusals {
    /// Whether the log reports an unsigned webhook now, and then of how many it has not told since the last.
    fn report_unsigned(&self, uptime: Duration) -> Option<u64> {
        let mut unsigned_log = self.unsigned_log.lock().unwrap_or_else(PoisonError::into_inner);
        if unsigned_log.last.is_some_and(|last| uptime.saturating_sub(last) < UNSIGNED_PAUSE) {
            unsigned_log.unreported += 1;
            return None;
        }
        unsigned_log.last = Some(uptime);
        Some(std::mem::take(&mut unsigned_log.unreported))
    }
}

fn receive(state: &Arc<AppState>, request: Request, _params: Params, responder: Responder) {
    if request.body.len() > BODY_MAX {
        state.refusals.too_large.fetch_add(1, Ordering::Relaxed);
        return responder.send(Err(Error::new(Kind::TooLarge, format!("the body is over {BODY_MAX} bytes"))));
    }
    match Webhook::receive(&state.secrets, request.headers.iter(), &request.body) {
        Ok(webhook) => {
            state.intake.accept_then(webhook, &request.body, move |outcome| responder.send(outcome.map(accepted)));
        }
        Err(refusal) => {
            let error = refused(&state.refusals, refusal, responder.request_id(), state.app.clock.uptime());
            responder.send(Err(error));
        }
    }
}

fn accepted(outcome: IntakeOutcome) -> Response {
    let (status, job) = match outcome {
        IntakeOutcome::Accepted(job) => ("accepted", job),
        IntakeOutcome::Duplicate(job) => ("duplicate", job),
        IntakeOutcome::Ignored => return Response::new(200, "application/json", r#"{"status":"ignored"}"#),
    };
    // By hand: a job's id needs no escaping, and this is the busiest answer there is.
    let body = match job {
        Some(job) => format!(r#"{{"status":"{status}","jobId":"{job}"}}"#),
        None => format!(r#"{{"status":"{status}","jobId":null}}"#),
    };
    Response::new(200, "application/json", body)
}

fn refused(refusals: &Refusals, refusal: Refusal, request_id: &str, uptime: Duration) -> Error {
    let (kind, count) = match refusal {
        Refusal::Unsigned => (Kind::Unauthorized, &refusals.unsigned),
        Refusal::OtherShop => (Kind::Unauthorized, &refusals.other_shop),
        Refusal::Malformed(_) => (Kind::Malformed, &refusals.malformed),
    };
    count.fetch_add(1, Ordering::Relaxed);
    // Something signed that we refuse is worth a look.
    match refusal {
        Refusal::Unsigned => match refusals.report_unsigned(uptime) {
            Some(unreported) => info!("webhook refused id={request_id}: {refusal} untold={unreported}"),
            None => debug!("webhook refused id={request_id}: {refusal}"),
        },
        Refusal::OtherShop | Refusal::Malformed(_) => warn!("webhook refused id={request_id}: {refusal}"),
    }
    Error::new(kind, refusal.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_of_unsigned_webhooks_the_log_tells_once_a_second() {
        let refusals = Refusals::default();
        let unsigned_log = |ms| refusals.report_unsigned(Duration::from_millis(ms));
        assert_eq!(
            [unsigned_log(5), unsigned_log(6), unsigned_log(1_004), unsigned_log(1_005), unsigned_log(1_006)],
            [Some(0), None, None, Some(2), None]
        );
        assert_eq!(unsigned_log(10_000), Some(1));
    }
}
