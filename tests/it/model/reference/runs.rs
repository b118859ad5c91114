//! What a run comes to, and how its end is written.

use super::claims::Held;
use super::{Model, SNOOZE, UNKNOWN_TYPE_REST};
use crate::model::ops::{Act, Answer, Kind};
use crate::model::rows::{Attempt, Payload, Status, What};

/// What a handler returned.
#[derive(Debug, Clone)]
pub(super) enum Run {
    Effect { fails: bool },
    Nothing,
    ShopRedact { target: Target, triggered_at: i64, forgotten_at: Option<i64> },
    Stamp(Vec<usize>),
    Retry,
    Permanent,
    Snooze,
    UnknownType,
    Stopped,
    Lost,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    Store(usize),
    InstalledAgain,
    Unknown,
}

impl Model {
    /// What a handler does outside its closing transaction.
    pub(super) fn run(&mut self, held: &Held) -> Run {
        let job = &self.jobs[held.job];
        let (kind, request) = match job.what {
            // One that was forgotten and is tried again no longer knows what it was to do.
            What::Act(act) if act != Act::Unknown && job.payload == Payload::Empty => {
                return Run::Effect { fails: false };
            }
            What::Act(act) => {
                return match act {
                    Act::Succeed => Run::Effect { fails: false },
                    Act::EffectFails => Run::Effect { fails: true },
                    Act::FailUntil(attempt) if held.attempt > attempt => Run::Effect { fails: false },
                    Act::SnoozeUntil(claim) if held.claim > claim => Run::Effect { fails: false },
                    Act::SnoozeUntil(_) => Run::Snooze,
                    Act::Permanent => Run::Permanent,
                    Act::Unknown => Run::UnknownType,
                    Act::FailUntil(_) | Act::Panic => Run::Retry,
                };
            }
            What::Duty(kind, request) => (kind, request),
        };
        if job.payload == Payload::Empty || request.is_some_and(|request| self.requests[request].is_pruned) {
            return Run::Permanent;
        }
        let shop = job.shop.expect("a duty has a shop");
        if kind != Kind::ShopRedact {
            return Run::Stamp(match request {
                Some(request) => {
                    Some(request).filter(|id| self.requests[*id].processed_at.is_none()).into_iter().collect()
                }
                None => self.open(kind, shop),
            });
        }
        let triggered_at = match request {
            Some(request) if self.requests[request].processed_at.is_some() => return Run::Nothing,
            Some(request) => self.requests[request].triggered_at,
            None => job.created_at,
        };
        if !self.holds(held) {
            return Run::Lost;
        }
        let now = self.now;
        let target = match self.stores.get_mut(&shop) {
            None => Target::Unknown,
            Some(store) if store.erasing_since.is_none() && store.is_installed_after(triggered_at, now) => {
                Target::InstalledAgain
            }
            Some(store) => {
                store.erasing_since = Some(store.erasing_since.unwrap_or(now));
                // It stops before its first step, and would before the next.
                store.is_full &= held.stopping;
                Target::Store(store.number)
            }
        };
        if held.stopping && !matches!(target, Target::InstalledAgain) {
            return Run::Stopped;
        }
        let forgotten_at = (!matches!(target, Target::InstalledAgain)).then_some(self.now);
        if forgotten_at.is_some() {
            // In steps before the closing transaction.
            self.forget(shop, held.job, None);
        }
        Run::ShopRedact { target, triggered_at, forgotten_at }
    }

    /// The end of a run.
    pub(super) fn finish(&mut self, mut held: Held) -> Answer {
        let run = held.run.take().unwrap_or_else(|| self.run(&held));
        let index = held.job;
        let answer = |failed| Answer::Ran { job: index, failed };
        if !self.holds(&held) {
            // Whatever it came to, it changes nothing.
            return answer(true);
        }
        let before = self.clone();
        let closed = match run {
            Run::Stopped => {
                self.give_back(&held);
                return answer(true);
            }
            Run::Retry | Run::Permanent | Run::Snooze | Run::UnknownType | Run::Lost => false,
            Run::Effect { .. } | Run::Nothing | Run::ShopRedact { .. } | Run::Stamp(_) => self.close(&held, &run),
        };
        if closed {
            return answer(false);
        }
        *self = before;
        let is_unknown = matches!(run, Run::UnknownType);
        if is_unknown || matches!(run, Run::Snooze) {
            self.end(index, held.claim, held.attempt, held.claimed_at, "snoozed", is_unknown);
            let now = self.now;
            let job = &mut self.jobs[index];
            job.has_error |= is_unknown;
            job.status = Status::Pending;
            job.attempts -= 1;
            let rest = if is_unknown { UNKNOWN_TYPE_REST } else { SNOOZE };
            (job.scheduled_at, job.scheduled_from, job.turn_at) = (now + rest, Some(now), None);
            return answer(true);
        }
        let now = self.now;
        let job = &mut self.jobs[index];
        (job.has_error, job.recoveries) = (true, 0);
        if matches!(run, Run::Permanent) || held.attempt >= job.max_attempts {
            (job.status, job.processed_at) = (Status::Failed, Some(now));
            self.end(index, held.claim, held.attempt, held.claimed_at, "failed", true);
        } else {
            job.status = Status::Pending;
            (job.scheduled_at, job.scheduled_from, job.turn_at) = (now + backoff(held.attempt), Some(now), None);
            self.end(index, held.claim, held.attempt, held.claimed_at, "retried", true);
        }
        answer(true)
    }

    /// The closing transaction; `false` when it is undone.
    fn close(&mut self, held: &Held, run: &Run) -> bool {
        let now = self.now;
        let index = held.job;
        let job = &mut self.jobs[index];
        (job.status, job.processed_at, job.has_error, job.recoveries) = (Status::Completed, Some(now), false, 0);
        job.key = None;
        job.payload = match job.what {
            What::Duty(_, Some(request)) => Payload::Request(request),
            _ => Payload::Empty,
        };
        self.end(index, held.claim, held.attempt, held.claimed_at, "completed", false);
        match run {
            Run::Effect { fails: true } => false,
            Run::Effect { fails: false } => {
                self.jobs[index].effects += 1;
                true
            }
            Run::Stamp(requests) => {
                let What::Duty(kind, _) = self.jobs[index].what else { return false };
                let outcome = if kind == Kind::DataRequest { "reported" } else { "acknowledged" };
                requests.iter().all(|id| self.stamp(*id, outcome, false))
            }
            Run::ShopRedact { target, triggered_at, forgotten_at } => {
                self.redact(index, *target, *triggered_at, *forgotten_at)
            }
            Run::Nothing | Run::Retry | Run::Permanent | Run::Snooze | Run::UnknownType | Run::Stopped | Run::Lost => {
                true
            }
        }
    }

    pub(super) fn end(
        &mut self,
        job: usize,
        claim: i64,
        attempt: u32,
        started_at: i64,
        outcome: &'static str,
        has_error: bool,
    ) {
        let ended_at = self.now;
        self.jobs[job].history.push(Attempt { claim, attempt, started_at, ended_at, outcome, has_error });
    }
}

pub(super) fn backoff(attempt: u32) -> i64 {
    (1_000 << attempt).min(6 * 3_600_000)
}
