//! `POST /webhooks`, and any path below it for those who configure one a topic: the topic is read from its header, never from
//! the path. The order of checks is that of the signature first: whoever cannot sign learns nothing but 401.

use super::respond::Answer;
use super::routes::{Params, Route, Site};
use super::{Method, Request, Response};
use crate::error::{Error, Kind};
use crate::intake::Outcome;
use crate::shopify::{Refusal, Webhook};
use log::{info, warn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
}

fn receive(site: &Arc<Site>, request: Request, _params: Params, answer: Answer) {
    if request.body.len() > BODY_MAX {
        site.refusals.too_large.fetch_add(1, Ordering::Relaxed);
        return answer.send(Err(Error::new(Kind::TooLarge, format!("the body is over {BODY_MAX} bytes"))));
    }
    match Webhook::receive(&site.secrets, request.headers.iter(), &request.body) {
        Ok(webhook) => {
            site.intake.accept_then(webhook, &request.body, move |outcome| answer.send(outcome.map(accepted)));
        }
        Err(refusal) => {
            let error = refused(&site.refusals, refusal, answer.request_id());
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

fn refused(refusals: &Refusals, refusal: Refusal, request_id: &str) -> Error {
    let (kind, count) = match refusal {
        Refusal::Unsigned => (Kind::Unauthorized, &refusals.unsigned),
        Refusal::OtherShop => (Kind::Unauthorized, &refusals.other_shop),
        Refusal::Malformed(_) => (Kind::Malformed, &refusals.malformed),
    };
    count.fetch_add(1, Ordering::Relaxed);
    // Anybody can send something unsigned; something signed that we refuse is worth a look.
    match refusal {
        Refusal::Unsigned => info!("webhook refused id={request_id}: {refusal}"),
        Refusal::OtherShop | Refusal::Malformed(_) => warn!("webhook refused id={request_id}: {refusal}"),
    }
    Error::new(kind, refusal.to_string())
}
