//! What should happen, in plain values: no SQL, no threads, no files.

mod claims;
mod erasing;
mod histories;
mod intake;
mod operators;
mod runs;

use super::ops::{Answer, Hook, Op};
use super::rows::{Job, Owner, Receipt, Request, Store, What};
use claims::Held;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use proptest_state_machine::ReferenceStateMachine;
use std::collections::{BTreeMap, BTreeSet};

/// 2026-01-01 00:00 UTC, where the manual clock begins.
pub(super) const START: i64 = 1_767_225_600_000;

/// How long a claim lasts.
pub(super) const LEASE: i64 = 30_000;

/// How long what is over is kept: some of it goes when a lease's time has passed, the rest after ten minutes.
pub(super) const KEPT_FINISHED: i64 = 20_000;

pub(super) const KEPT_FAILED: i64 = 500_000;

pub(super) const KEPT_DELIVERIES: i64 = 25_000;

pub(super) const KEPT_REQUESTS: i64 = 400_000;

/// How far behind one another the jobs of one shop stand.
pub(super) const TURN: i64 = 100;

/// How long a snoozing job rests.
pub(super) const SNOOZE: i64 = 7_000;

/// How long a job rests whose type nobody knows.
pub(super) const UNKNOWN_TYPE_REST: i64 = 60_000;

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) now: i64,
    pub(super) jobs: Vec<Job>,
    pub(super) requests: Vec<Request>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) deliveries: BTreeMap<(Hook, String), (usize, i64, Option<usize>)>,
    pub(super) stores: BTreeMap<usize, Store>,
    /// The place of the last job of each shop that a process has enqueued. Other programs run them here, so none is forgotten.
    turns: [BTreeMap<usize, i64>; 2],
    held: [Option<Held>; 2],
    pub(super) lives: [u32; 2],
    pub(super) answer: Answer,
    /// Milliseconds in which something was made: ids sort by them, so no two things share one.
    used: BTreeSet<i64>,
    stores_made: usize,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            now: START,
            jobs: Vec::new(),
            requests: Vec::new(),
            receipts: Vec::new(),
            deliveries: BTreeMap::new(),
            stores: BTreeMap::new(),
            turns: [BTreeMap::new(), BTreeMap::new()],
            held: [None, None],
            lives: [0, 0],
            answer: Answer::Nothing,
            used: BTreeSet::new(),
            stores_made: 0,
        }
    }

    fn take_millisecond(&mut self) {
        while !self.used.insert(self.now) {
            self.now += 1;
        }
    }

    fn is_alive(&self, owner: Owner) -> bool {
        owner.is_some_and(|(process, life)| self.lives[process] == life)
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::new()).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Op> {
        histories::next_operation(state)
    }

    fn preconditions(state: &Self, op: &Op) -> bool {
        match op {
            Op::Begin { process, .. } => state.held[*process].is_none(),
            Op::Resume { process } => state.held[*process].is_some(),
            Op::Cancel { job } | Op::Retry { job } => *job < state.jobs.len(),
            Op::Stop(stop) => state.held[stop.process].is_none() && state.clone().stop(stop).is_some(),
            _ => true,
        }
    }

    fn apply(mut state: Self, op: &Op) -> Self {
        state.answer = match op {
            Op::Pass { ms } | Op::Set { by_ms: ms } => {
                state.now += ms;
                Answer::Nothing
            }
            Op::Enqueue { act, shop, key, at, max_attempts } => state.enqueue(*act, *shop, *key, *at, *max_attempts),
            Op::EnqueueDuty { kind, shop } => {
                state.take_millisecond();
                Answer::Enqueued(state.insert(0, What::Duty(*kind, None), Some(*shop), None, None, 40))
            }
            Op::Deliver { hook, shop, id, event } => state.deliver(*hook, *shop, *id, *event),
            Op::Install { shop } => state.install(*shop),
            Op::Run { process } => state.step(*process, None),
            Op::Begin { process, pause } => state.step(*process, Some(*pause)),
            Op::Resume { process } => match state.held[*process].take() {
                Some(held) => state.finish(held),
                None => Answer::Nothing,
            },
            Op::Crash { process } => {
                state.crash(*process);
                Answer::Nothing
            }
            Op::CrashWithClaims { limit } => Answer::Claimed(state.claim(None, *limit, true)),
            Op::Scrub { .. } => state.scrub(),
            Op::Cancel { job } => state.cancel(*job),
            Op::Retry { job } => state.retry(*job),
            Op::Prune { .. } => state.prune(),
            Op::Stop(stop) => state.stop(stop).expect("looked at before"),
        };
        state
    }
}
