//! Who has which job: claims, their loss, and workers that stop.

use super::runs::{Run, backoff};
use super::{LEASE, Model};
use crate::model::ops::{Act, Answer, PauseAt, Stop};
use crate::model::rows::{Job, Owner, Status, What};
use std::collections::VecDeque;

/// Jobs that a worker's threads claim at once.
const CLAIM_BATCH: usize = 50;

/// A claim whose run is paused.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) job: usize,
    pub(super) claim: i64,
    pub(super) attempt: u32,
    pub(super) claimed_at: i64,
    /// Its last claim was lost; a process runs one such job at a time.
    pub(super) poison_candidate: bool,
    /// Its worker wants to stop.
    pub(super) stopping: bool,
    /// What its handler has come to; `None`: it has not begun.
    pub(super) run: Option<Run>,
}

impl Model {
    /// Frees lost claims, as a worker does before it looks for work, but its own.
    fn recover(&mut self, own: Option<&Held>) {
        let own: Vec<(usize, i64)> = own.iter().map(|held| (held.job, held.claim)).collect();
        for index in 0..self.jobs.len() {
            let job = &self.jobs[index];
            if job.status != Status::Processing || own.contains(&(index, job.claim)) {
                continue;
            }
            if self.is_alive(job.owner) && job.lease_until > self.now {
                continue;
            }
            self.end(index, job.claim, job.attempts, job.claimed_at, "lost", true);
            let now = self.now;
            let job = &mut self.jobs[index];
            job.has_error = true;
            if !job.batched && job.attempts >= job.max_attempts {
                (job.status, job.processed_at, job.recoveries) = (Status::Failed, Some(now), 0);
                continue;
            }
            job.status = Status::Pending;
            job.attempts -= u32::from(job.batched);
            job.scheduled_at = match job.recoveries {
                0 => job.scheduled_at.min(now),
                recoveries => now + backoff(recoveries),
            };
            (job.scheduled_from, job.turn_at) = (Some(now), None);
            job.recoveries += 1;
        }
    }

    /// Jobs whose time was reckoned by a clock that was since set back keep their distance.
    fn follow_clock(&mut self) {
        for job in &mut self.jobs {
            if let Some(from) = job.scheduled_from
                && job.status == Status::Pending
                && job.turn_at.is_none()
                && job.scheduled_at > self.now
                && from > self.now
            {
                job.scheduled_at = self.now + (job.scheduled_at - from);
                job.scheduled_from = Some(self.now);
            }
        }
    }

    fn due(&self, limit: usize, poison_candidates: bool) -> Vec<usize> {
        let may_come = |job: &Job| poison_candidates || job.recoveries == 0;
        // A job that has a turn was due when it came.
        let is_due = |job: &Job| {
            job.status == Status::Pending && (job.turn_at.is_some() || job.scheduled_at <= self.now) && may_come(job)
        };
        let mut due: Vec<usize> = (0..self.jobs.len()).filter(|index| is_due(&self.jobs[*index])).collect();
        due.sort_by_key(|index| {
            let job = &self.jobs[*index];
            let (place, has_turn) = (job.turn_at.unwrap_or(job.scheduled_at), job.turn_at.is_some());
            (place, has_turn, job.scheduled_at, job.created_at)
        });
        due.truncate(limit);
        // A job that was recovered is claimed alone.
        let recovered = due.iter().position(|index| self.jobs[*index].recoveries > 0);
        due.truncate(recovered.map_or(limit, |at| at.max(1)));
        due
    }

    pub(super) fn claim(&mut self, owner: Owner, limit: usize, poison_candidates: bool) -> Vec<usize> {
        let due = self.due(limit, poison_candidates);
        for index in &due {
            let now = self.now;
            let job = &mut self.jobs[*index];
            job.status = Status::Processing;
            job.attempts += 1;
            job.claim += 1;
            job.owner = owner;
            (job.claimed_at, job.lease_until) = (now, now + LEASE);
            job.batched = due.len() > 1;
        }
        due
    }

    /// A process looks for a job; where it finds one it runs it, or pauses in it.
    pub(super) fn step(&mut self, process: usize, pause: Option<PauseAt>) -> Answer {
        let own = self.held[process].clone();
        self.recover(own.as_ref());
        self.follow_clock();
        let owner = Some((process, self.lives[process]));
        let poison_candidates = !self.held[process].as_ref().is_some_and(|held| held.poison_candidate);
        let Some(index) = self.claim(owner, 1, poison_candidates).pop() else { return Answer::Idle };
        let mut held = self.held_for(index);
        match pause.filter(|_| self.is_known(index)) {
            Some(PauseAt::Before) => {}
            Some(PauseAt::After) => held.run = Some(self.run(&held)),
            None => return self.finish(held),
        }
        self.held[process] = Some(held);
        Answer::Begun(index)
    }

    fn is_known(&self, index: usize) -> bool {
        self.jobs[index].what != What::Act(Act::Unknown)
    }

    fn held_for(&self, index: usize) -> Held {
        let job = &self.jobs[index];
        Held {
            job: index,
            claim: job.claim,
            attempt: job.attempts,
            claimed_at: job.claimed_at,
            poison_candidate: job.recoveries > 0,
            stopping: false,
            run: None,
        }
    }

    /// A worker of `stop.process` whose threads are stopped; `None` where there are too few jobs to keep all of them busy, or what
    /// comes first is left to chance.
    pub(super) fn stop(&mut self, stop: &Stop) -> Option<Answer> {
        self.recover(None);
        self.follow_clock();
        let owner = Some((stop.process, self.lives[stop.process]));
        let (mut waiting, mut begun) = (VecDeque::new(), Vec::<Held>::new());
        while begun.len() < stop.threads {
            if waiting.is_empty() {
                let poison_candidates = !begun.iter().any(|held| held.poison_candidate);
                waiting = self.claim(owner, CLAIM_BATCH, poison_candidates).into();
            }
            let mut held = self.held_for(waiting.pop_front()?);
            if !self.is_known(held.job) {
                // Whether the next poison candidate may come depends on when its end is written.
                if held.poison_candidate {
                    return None;
                }
                self.finish(held);
                continue;
            }
            // A duty has the other jobs of its shop forget it; of two runs beside each other either may be first.
            let is_beside = |other: &Held| {
                let (one, other) = (&self.jobs[held.job], &self.jobs[other.job]);
                one.shop.is_some() && one.shop == other.shop && (one.is_duty() || other.is_duty())
            };
            if stop.pause == PauseAt::After && begun.iter().any(is_beside) {
                return None;
            }
            if stop.pause == PauseAt::After {
                held.run = Some(self.run(&held));
            }
            held.stopping = true;
            begun.push(held);
        }
        for index in &waiting {
            let held = self.held_for(*index);
            if self.holds(&held) {
                self.give_back(&held);
            }
        }
        for held in begun {
            if stop.in_time {
                self.finish(held);
            } else if self.holds(&held) {
                self.give_back(&held);
            }
        }
        Some(Answer::Stopped { given_back: waiting.into() })
    }

    /// Puts a job back with its attempt.
    pub(super) fn give_back(&mut self, held: &Held) {
        self.end(held.job, held.claim, held.attempt, held.claimed_at, "released", false);
        let job = &mut self.jobs[held.job];
        job.status = Status::Pending;
        job.attempts -= 1;
    }

    pub(super) fn holds(&self, held: &Held) -> bool {
        let job = &self.jobs[held.job];
        job.status == Status::Processing && job.claim == held.claim
    }

    pub(super) fn crash(&mut self, process: usize) {
        self.lives[process] += 1;
        self.held[process] = None;
        self.turns[process].clear();
    }
}
