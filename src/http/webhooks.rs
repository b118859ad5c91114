//! `POST /webhooks`, and any path below it for those who configure one a topic: the topic is read from its header, never from
//! the path. The order of checks is that of the signature first: whoever cannot sign learns nothing but 401.

use super::respond::Answer;
use super::routes::{Params, Route, Site};
use super::{Method, Request, Response};
use crate::activity::Event;
use crate::error::{Error, Kind};
use crate::intake::Outcome;
use crate::shopify::{Refusal, Webhook};
use log::{debug, info, warn};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The table's lines.
pub(super) const ROUTES: &[Route] =
    &[Route::later(Method::Post, "/webhooks", receive), Route::later(Method::Post, "/webhooks/{*rest}", receive)];

/// The longest body that is looked at. The gate refuses longer ones too; this holds for embedders that have no gate.
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
    told: Mutex<Told>,
}

/// Which unsigned webhooks the log tells of.
#[derive(Debug, Default)]
struct Told {
    /// By the clock's uptime.
    last: Option<Duration>,
    untold: u64,
}

/// Anybody can send something unsigned, and must not fill a disk with lines about it: of those within this time the log tells of one.
const UNSIGNED_PAUSE: Duration = Duration::from_secs(1);

impl Refusals {
    /// Whether the log tells of an unsigned webhook now, and then of how many it has not told since the last.
    fn tell_unsigned(&self, uptime: Duration) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.last.is_some_and(|last| uptime.saturating_sub(last) < UNSIGNED_PAUSE) {
            told.untold += 1;
            return None;
        }
        told.last = Some(uptime);
        Some(std::mem::take(&mut told.untold))
    }
}

fn receive(site: &Arc<Site>, request: Request, _params: Params, answer: Answer) {
    if request.body.len() > BODY_MAX {
        site.refusals.too_large.fetch_add(1, Ordering::Relaxed);
        site.app.activity.count(site.app.clock.as_ref(), Event::TooLarge);
        return answer.send(Err(Error::new(Kind::TooLarge, format!("the body is over {BODY_MAX} bytes"))));
    }
    match Webhook::receive(&site.secrets, request.headers.iter(), &request.body) {
        Ok(webhook) => {
            site.intake.accept_then(webhook, &request.body, move |outcome| answer.send(outcome.map(accepted)));
        }
        Err(refusal) => {
            let event = match refusal {
                Refusal::Unsigned => Event::Unsigned,
                Refusal::OtherShop => Event::OtherShop,
                Refusal::Malformed(_) => Event::Malformed,
            };
            site.app.activity.count(site.app.clock.as_ref(), event);
            let error = refused(&site.refusals, refusal, answer.request_id(), site.app.clock.uptime());
            answer.send(Err(error));
        }
    }
}

fn accepted(outcome: Outcome) -> Response {
    let (status, job) = match outcome {
        Outcome::Accepted(job) => ("accepted", job),
        Outcome::Duplicate(job) => ("duplicate", job),
        Outcome::Ignored => return Response::new(200, "application/json", r#"{"status":"ignored"}"#),
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
        Refusal::Unsigned => match refusals.tell_unsigned(uptime) {
            Some(untold) => info!("webhook refused id={request_id}: {refusal} untold={untold}"),
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
        let told = |ms| refusals.tell_unsigned(Duration::from_millis(ms));
        assert_eq!([told(5), told(6), told(1_004), told(1_005), told(1_006)], [Some(0), None, None, Some(2), None]);
        assert_eq!(told(10_000), Some(1));
    }
}
