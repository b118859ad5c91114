//! `POST /webhooks`, and any path below it for those who configure one a topic: the topic is read from its header, never from
//! the path. The order of checks is that of the signature first: a client that cannot sign learns nothing but 401.

pub(crate) mod refusals;

use super::respond::Responder;
use super::route::{Params, Route};
use super::state::AppState;
use super::{Method, Request, Response};
use crate::activity::Event;
use crate::error::{Error, Kind};
use crate::intake::IntakeOutcome;
use crate::log_limit::cut;
use crate::shopify::{Refusal, Webhook};
use log::{Level, debug, log};
use refusals::Refusals;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The table's lines.
pub(super) const ROUTES: &[Route] =
    &[Route::later(Method::Post, "/webhooks", receive), Route::later(Method::Post, "/webhooks/{*rest}", receive)];

/// The longest body that is looked at. The front end rejects longer ones too; this holds for embedders that have no front end.
pub(crate) const BODY_MAX: usize = 1 << 20;

fn receive(state: &Arc<AppState>, request: Request, _params: Params, responder: Responder) {
    if request.body.len() > BODY_MAX {
        state.refusals.too_large.fetch_add(1, Ordering::Relaxed);
        state.app.activity.count(state.app.clock.as_ref(), Event::TooLarge);
        return responder.send(Err(Error::new(Kind::TooLarge, format!("the body is over {BODY_MAX} bytes"))));
    }
    match Webhook::receive(&state.secrets, request.headers.iter(), &request.body) {
        Ok(webhook) => {
            let others_follow = responder.others_follow();
            let answer = move |outcome: Result<_, Error>| responder.send(outcome.map(accepted));
            if others_follow {
                state.intake.accept_among_others_then(webhook, &request.body, answer);
            } else {
                state.intake.accept_then(webhook, &request.body, answer);
            }
        }
        Err(refusal) => {
            let event = match refusal {
                Refusal::Unsigned => Event::Unsigned,
                Refusal::OtherShop => Event::OtherShop,
                Refusal::Malformed(_) => Event::Malformed,
            };
            state.app.activity.count(state.app.clock.as_ref(), event);
            let error = refused(&state.refusals, refusal, responder.request_id());
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

fn refused(refusals: &Refusals, refusal: Refusal, request_id: &str) -> Error {
    let (count, log) = refusals.of(&refusal);
    count.fetch_add(1, Ordering::Relaxed);
    let kind = match refusal {
        Refusal::Unsigned | Refusal::OtherShop => Kind::Unauthorized,
        Refusal::Malformed(_) => Kind::Malformed,
    };
    // Something signed that we refuse is worth a look.
    let level = if refusal == Refusal::Unsigned { Level::Info } else { Level::Warn };
    match log.admit() {
        Some(left_out) => {
            log!(level, "webhook refused id={request_id} more={left_out}: {}", cut(&refusal.to_string()));
        }
        None => debug!("webhook refused id={request_id}: {refusal}"),
    }
    Error::new(kind, refusal.to_string())
}
