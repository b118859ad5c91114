//! What becomes of a run: its end is handed to the writer, logged once it is committed, and tried again where the database
//! could not take it.

use super::Worker;
use crate::db::{self, Tx, WriteHandle};
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
pub(super) enum RunOutcome {
    Failed { error: String, permanent: bool },
    Release { delay: Option<Duration>, error: Option<String> },
}

/// How long a job is delayed whose type no handler here knows, before another program, or a newer one in this place, may take it. A
/// minute: such a job holds up no other, and an operator who starts the program that knows it does not wait long.
const UNKNOWN_TYPE_REST: Duration = Duration::from_secs(60);

/// What recording a run's end came to.
pub(super) enum Recorded {
    Failed(AfterFailure),
    Released,
}

impl Worker {
    /// How an end is written: a completion that finds its claim lost has written nothing yet, effects may fail at any point.
    pub(super) fn finishing(&self, finish: &Finish) -> WriteHandle<'_> {
        if finish.effects.is_some() { self.db.with_savepoint() } else { self.db.without_savepoint() }
    }

    /// Logs how a finishing transaction went; an error is left to be recorded.
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
        match outcome_of(error) {
            None => {
                warn!("job lost id={} type={}: another worker has it, or it was cancelled", claim.id, claim.job_type);
                self.release(&claim);
            }
            Some(outcome) => self.record(claim, outcome, text),
        }
    }

    fn record(self: &Arc<Self>, claim: Claim, outcome: RunOutcome, text: String) {
        let (worker, ended, clock) = (self.clone(), claim.clone(), self.clock.clone());
        let recording = outcome.clone();
        self.db.without_savepoint().write_unbounded(
            move |tx| record_in(tx, clock.now(), &ended, &recording),
            move |recorded| match recorded {
                Ok(recorded) => {
                    worker.log_end(&claim, recorded, &text);
                    worker.release(&claim);
                }
                Err(db::Error::LostRow { .. }) => worker.release(&claim),
                Err(fault) => {
                    error!("the end of job id={} could not be recorded, trying again: {fault}", claim.id);
                    worker.state().unrecorded.push((claim, outcome));
                }
            },
        );
    }

    /// Tries again to record what could not be recorded: the disk may have room again.
    pub(in crate::queue) fn record_again(self: &Arc<Self>) {
        for (claim, outcome) in std::mem::take(&mut self.state().unrecorded) {
            let text = match &outcome {
                RunOutcome::Failed { error, .. } => error.clone(),
                RunOutcome::Release { error, .. } => error.clone().unwrap_or_default(),
            };
            self.record(claim, outcome, text);
        }
    }

    pub(super) fn log_end(&self, claim: &Claim, recorded: Recorded, error: &str) {
        let (id, job_type, attempt) = (claim.id, &claim.job_type, claim.attempt);
        match recorded {
            Recorded::Failed(AfterFailure::Retry(delay)) => {
                let delay = delay.as_millis();
                warn!("job failed id={id} type={job_type} attempt={attempt} retry_in_ms={delay} error={error:?}");
            }
            Recorded::Failed(AfterFailure::Discarded) => {
                log_discarded(&self.queue, id, job_type, attempt, error);
            }
            Recorded::Released if self.queue.registry().knows(job_type) => {
                info!("job released id={id} type={job_type}");
            }
            Recorded::Released => {
                let delay = UNKNOWN_TYPE_REST.as_millis();
                warn!("job put back id={id} type={job_type} retry_in_ms={delay}: this program does not know its type");
            }
        }
    }

    pub(in crate::queue) fn log_lost(&self, held: &jobs::Held, job_type: &str, after: AfterFailure, why: &str) {
        match after {
            AfterFailure::Retry(delay) => {
                let delay = delay.as_millis();
                warn!("job recovered id={} type={job_type} retry_in_ms={delay} error={why:?}", held.id);
            }
            AfterFailure::Discarded => log_discarded(&self.queue, held.id, job_type, 0, why),
        }
    }
}

pub(super) fn outcome_of(error: JobError) -> Option<RunOutcome> {
    match error {
        JobError::Retry(error) => Some(RunOutcome::Failed { error, permanent: false }),
        JobError::Permanent(error) => Some(RunOutcome::Failed { error, permanent: true }),
        JobError::Snooze(delay) => Some(RunOutcome::Release { delay: Some(delay), error: None }),
        JobError::UnknownType(_) => {
            Some(RunOutcome::Release { delay: Some(UNKNOWN_TYPE_REST), error: Some(error.to_string()) })
        }
        JobError::Stopped => Some(RunOutcome::Release { delay: None, error: None }),
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

pub(super) fn record_in(tx: &Tx<'_>, now: DateTime<Utc>, claim: &Claim, outcome: &RunOutcome) -> db::Result<Recorded> {
    match outcome {
        RunOutcome::Failed { error, permanent } => jobs::fail(tx, now, claim, error, *permanent).map(Recorded::Failed),
        RunOutcome::Release { delay, error } => {
            jobs::release(tx, now, claim, *delay, error.as_deref()).map(|()| Recorded::Released)
        }
    }
}

fn is_lost_claim(error: &Error) -> bool {
    use std::error::Error as _;
    let source = error.source().and_then(|source| source.downcast_ref::<db::Error>());
    matches!(source, Some(db::Error::LostRow { operation: jobs::COMPLETE, .. }))
}

fn log_discarded(queue: &Queue, id: JobId, job_type: &str, attempt: u32, why: &str) {
    let operator_hint = queue.registry().find(job_type).and_then(|handler| handler.operator_hint()).unwrap_or_default();
    error!("job failed permanently id={id} type={job_type} attempt={attempt} error={why:?} {operator_hint}");
}
