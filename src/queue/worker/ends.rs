//! What becomes of a run: its end is handed to the writer, told in the log once it is committed, and tried again where the database
//! could not take it.

use super::Worker;
use crate::db::{self, Tx, Writes};
use crate::domain::ids::JobId;
use crate::error::Error;
use crate::queue::handler::Effect;
use crate::queue::jobs::{self, AfterFailure};
use crate::queue::{Claim, Finish, JobError, Queue};
use chrono::{DateTime, Utc};
use log::{error, info, warn};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// How a run ended, as it is to be recorded.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    Failed { error: String, permanent: bool },
    GiveBack { rest: Option<Duration>, error: Option<String> },
}

/// How long a job rests whose type no handler here knows, before another program, or a newer one in this place, may take it. A
/// minute: such a job is in nobody's way, and whoever starts the program that knows it does not wait long.
const UNKNOWN_TYPE_REST: Duration = Duration::from_secs(60);

/// What recording a run's end came to.
pub(super) enum Recorded {
    Failed(AfterFailure),
    GivenBack,
}

impl Worker {
    /// How an end is written: a completion that finds its claim lost has written nothing yet, effects may fail at any point.
    pub(super) fn finishing(&self, finish: &Finish) -> Writes<'_> {
        if finish.effects.is_some() { self.db.guarded() } else { self.db.looking_first() }
    }

    /// Tells how a finishing transaction went; an error is left to be recorded.
    pub(super) fn after_finish(&self, claim: &Claim, committed: Result<(), Error>) -> Option<JobError> {
        match committed {
            Ok(()) => {
                let took = (self.clock.now() - claim.claimed_at).num_milliseconds();
                info!("job completed id={} type={} took_ms={took}", claim.id, claim.job_type);
                None
            }
            Err(error) if is_lost_claim(&error) => Some(JobError::ClaimLost),
            Err(error) => Some(JobError::from(error)),
        }
    }

    /// Records how a run that did not succeed ended.
    pub(super) fn end(self: &Arc<Self>, claim: Claim, error: JobError) {
        let text = error.to_string();
        match verdict_on(error) {
            None => {
                warn!("job lost id={} type={}: another worker has it, or it was cancelled", claim.id, claim.job_type);
                self.release(&claim);
            }
            Some(verdict) => self.record(claim, verdict, text),
        }
    }

    fn record(self: &Arc<Self>, claim: Claim, verdict: Verdict, text: String) {
        let (worker, ended, clock) = (self.clone(), claim.clone(), self.clock.clone());
        let recording = verdict.clone();
        self.db.looking_first().write_patiently(
            move |tx| record_in(tx, clock.now(), &ended, &recording),
            move |recorded| match recorded {
                Ok(recorded) => {
                    worker.tell(&claim, recorded, &text);
                    worker.release(&claim);
                }
                Err(db::Error::LostRow { .. }) => worker.release(&claim),
                Err(fault) => {
                    error!("the end of job id={} could not be recorded, trying again: {fault}", claim.id);
                    worker.state().unrecorded.push((claim, verdict));
                }
            },
        );
    }

    /// Tries again to record what could not be recorded: the disk may have room again.
    pub(in crate::queue) fn record_again(self: &Arc<Self>) {
        for (claim, verdict) in std::mem::take(&mut self.state().unrecorded) {
            let text = match &verdict {
                Verdict::Failed { error, .. } => error.clone(),
                Verdict::GiveBack { error, .. } => error.clone().unwrap_or_default(),
            };
            self.record(claim, verdict, text);
        }
    }

    pub(super) fn tell(&self, claim: &Claim, recorded: Recorded, error: &str) {
        let (id, job_type, attempt) = (claim.id, &claim.job_type, claim.attempt);
        match recorded {
            Recorded::Failed(AfterFailure::Retry(rest)) => {
                let rest = rest.as_millis();
                warn!("job failed id={id} type={job_type} attempt={attempt} retry_in_ms={rest} error={error:?}");
            }
            Recorded::Failed(AfterFailure::GivenUp) => {
                tell_given_up(&self.queue, id, job_type, attempt, error);
            }
            Recorded::GivenBack if self.queue.registry().knows(job_type) => {
                info!("job given back id={id} type={job_type}");
            }
            Recorded::GivenBack => {
                let rest = UNKNOWN_TYPE_REST.as_millis();
                warn!("job put back id={id} type={job_type} retry_in_ms={rest}: this program does not know its type");
            }
        }
    }

    pub(in crate::queue) fn tell_lost(&self, held: &jobs::Held, job_type: &str, after: AfterFailure, why: &str) {
        match after {
            AfterFailure::Retry(rest) => {
                let rest = rest.as_millis();
                warn!("job rescued id={} type={job_type} retry_in_ms={rest} error={why:?}", held.id);
            }
            AfterFailure::GivenUp => tell_given_up(&self.queue, held.id, job_type, 0, why),
        }
    }
}

pub(super) fn verdict_on(error: JobError) -> Option<Verdict> {
    match error {
        JobError::Retry(error) => Some(Verdict::Failed { error, permanent: false }),
        JobError::Permanent(error) => Some(Verdict::Failed { error, permanent: true }),
        JobError::Snooze(rest) => Some(Verdict::GiveBack { rest: Some(rest), error: None }),
        JobError::UnknownType(_) => {
            Some(Verdict::GiveBack { rest: Some(UNKNOWN_TYPE_REST), error: Some(error.to_string()) })
        }
        JobError::Stopped => Some(Verdict::GiveBack { rest: None, error: None }),
        JobError::ClaimLost => None,
    }
}

/// Effects and completion, in one savepoint: both or neither.
pub(super) fn finish_in(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    claim: &Claim,
    effects: Option<Effect>,
    keep: &Value,
) -> Result<(), Error> {
    // The fence first: effects may do much, and must not be begun by a worker that has lost its claim.
    jobs::complete(tx, now, claim, keep)?;
    fail_point!("queue::completing");
    if let Some(effects) = effects {
        effects(tx, now)?;
    }
    fail_point!("queue::effects");
    Ok(())
}

pub(super) fn record_in(tx: &Tx<'_>, now: DateTime<Utc>, claim: &Claim, verdict: &Verdict) -> db::Result<Recorded> {
    match verdict {
        Verdict::Failed { error, permanent } => jobs::fail(tx, now, claim, error, *permanent).map(Recorded::Failed),
        Verdict::GiveBack { rest, error } => {
            jobs::give_back(tx, now, claim, *rest, error.as_deref()).map(|()| Recorded::GivenBack)
        }
    }
}

fn is_lost_claim(error: &Error) -> bool {
    use std::error::Error as _;
    let source = error.source().and_then(|source| source.downcast_ref::<db::Error>());
    matches!(source, Some(db::Error::LostRow { operation: jobs::COMPLETE, .. }))
}

fn tell_given_up(queue: &Queue, id: JobId, job_type: &str, attempt: u32, why: &str) {
    let alarm = queue.registry().find(job_type).and_then(|handler| handler.alarm()).unwrap_or_default();
    error!("job failed for good id={id} type={job_type} attempt={attempt} error={why:?} {alarm}");
}
