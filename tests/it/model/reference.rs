//! What should happen, in plain values: no SQL, no threads, no files.

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// 2026-01-01 00:00 UTC, where the manual clock begins.
pub(super) const START: i64 = 1_767_225_600_000;

/// How long a claim lasts.
pub(super) const LEASE: i64 = 30_000;

pub(super) const SHOPS: usize = 3;

/// How long what is over is kept: some of it goes when a lease's time has passed, the rest after ten minutes.
pub(super) const KEPT_FINISHED: i64 = 20_000;
pub(super) const KEPT_FAILED: i64 = 500_000;
pub(super) const KEPT_DELIVERIES: i64 = 25_000;
pub(super) const KEPT_REQUESTS: i64 = 400_000;

/// Jobs that a worker's threads claim at once.
const CLAIM_BATCH: usize = 50;

/// What a job of the test's own type does when it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Counts its effect.
    Succeed,
    /// Fails in each attempt up to this one, then succeeds.
    FailUntil(u32),
    /// Snoozes in each claim up to this one, then succeeds.
    SnoozeUntil(i64),
    Permanent,
    Panic,
    /// Its closing effect is undone by an error after it.
    EffectFails,
    /// Is of a type that nobody knows.
    Unknown,
}

/// How long a snoozing job rests.
pub(super) const SNOOZE: i64 = 7_000;

/// The topics, without `Topic::Unknown`, which writes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Hook {
    DataRequest,
    CustomersRedact,
    ShopRedact,
    Uninstalled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    DataRequest,
    CustomersRedact,
    ShopRedact,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::DataRequest => "CUSTOMERS_DATA_REQUEST",
            Self::CustomersRedact => "CUSTOMERS_REDACT",
            Self::ShopRedact => "SHOP_REDACT",
        }
    }

    pub(super) fn job_type(self) -> &'static str {
        match self {
            Self::DataRequest => "customers_data_request",
            Self::CustomersRedact => "customer_redact",
            Self::ShopRedact => "shop_redact",
        }
    }
}

/// Where a paused run waits: before its handler has done anything, or when it is about to commit its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PauseAt {
    Before,
    After,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    /// Time passes.
    Pass {
        ms: i64,
    },
    /// The clock is set.
    Set {
        by_ms: i64,
    },
    Enqueue {
        act: Act,
        shop: Option<usize>,
        key: Option<u8>,
        at: Option<i64>,
        max_attempts: u32,
    },
    /// A duty by hand, with only the shop.
    EnqueueDuty {
        kind: Kind,
        shop: usize,
    },
    /// A delivery; `id` is Shopify's, without one its body, shop and time tell it apart. `event` is when it happened, from now.
    Deliver {
        hook: Hook,
        shop: usize,
        id: Option<u8>,
        event: Option<i64>,
    },
    Install {
        shop: usize,
    },
    /// A process works one job off.
    Run {
        process: usize,
    },
    /// A process claims a job and pauses in it.
    Begin {
        process: usize,
        pause: PauseAt,
    },
    /// A process's paused run goes on to its end.
    Resume {
        process: usize,
    },
    /// A process dies, in its paused run where it has one, and is started again.
    Crash {
        process: usize,
    },
    /// A process that has claimed some jobs at once dies before it has begun any.
    CrashWithClaims {
        limit: usize,
    },
    Scrub {
        process: usize,
    },
    /// An operator calls a job off.
    Cancel {
        job: usize,
    },
    /// An operator has a job tried again.
    Retry {
        job: usize,
    },
    /// What is old enough goes.
    Prune {
        process: usize,
    },
    /// A process starts threads that work jobs off, and stops them when each of them runs one and waits.
    Stop(Stop),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) process: usize,
    pub(super) threads: usize,
    pub(super) pause: PauseAt,
    /// Whether the runs end within the grace period; one alone does then. Else they go on when it is over.
    pub(super) in_time: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Pending,
    Processing,
    Completed,
    Failed,
    Cancelled,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Which job it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Act(Act),
    /// For a request, or by hand for all of the shop.
    Duty(Kind, Option<usize>),
}

/// What a job's row still holds of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    Whole,
    Request(usize),
    Empty,
}

/// Who signed a claim: a process and which of its lives, or one that is dead.
pub(super) type Owner = Option<(usize, u32)>;

#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) what: What,
    pub(super) shop: Option<usize>,
    pub(super) key: Option<u8>,
    pub(super) created_at: i64,
    pub(super) scheduled_at: i64,
    pub(super) scheduled_from: Option<i64>,
    pub(super) status: Status,
    pub(super) attempts: u32,
    pub(super) max_attempts: u32,
    pub(super) claim: i64,
    pub(super) owner: Owner,
    pub(super) claimed_at: i64,
    pub(super) lease_until: i64,
    pub(super) batched: bool,
    pub(super) rescues: u32,
    pub(super) processed_at: Option<i64>,
    pub(super) has_error: bool,
    pub(super) payload: Payload,
    pub(super) history: Vec<Attempt>,
    pub(super) effects: u32,
    pub(super) is_pruned: bool,
}

impl Job {
    fn is_unfinished(&self) -> bool {
        matches!(self.status, Status::Pending | Status::Processing)
    }

    pub(super) fn job_type(&self) -> &'static str {
        match self.what {
            What::Act(Act::Unknown) => "nobody_knows",
            What::Act(_) => "act",
            What::Duty(kind, _) => kind.job_type(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) claim: i64,
    pub(super) attempt: u32,
    pub(super) started_at: i64,
    pub(super) ended_at: i64,
    pub(super) outcome: &'static str,
    pub(super) has_error: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) shop: usize,
    pub(super) triggered_at: i64,
    pub(super) created_at: i64,
    pub(super) processed_at: Option<i64>,
    pub(super) outcome: Option<&'static str>,
    pub(super) deleted_store: bool,
    pub(super) erased_at: Option<i64>,
    pub(super) has_payload: bool,
    pub(super) is_pruned: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) kind: &'static str,
    pub(super) request: usize,
    pub(super) outcome: &'static str,
    pub(super) deleted_store: bool,
    pub(super) created_at: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Store {
    /// Tells a store from one of the same shop that was made after its erasure.
    pub(super) number: usize,
    pub(super) installed_at: i64,
    pub(super) uninstalled_at: Option<i64>,
    pub(super) erasing_since: Option<i64>,
    pub(super) is_full: bool,
}

/// A claim whose run is paused.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) job: usize,
    claim: i64,
    attempt: u32,
    claimed_at: i64,
    /// Its last claim was lost; a process runs one such job at a time.
    suspect: bool,
    /// Its worker wants to stop.
    stopping: bool,
    /// What its handler has come to; `None`: it has not begun.
    run: Option<Run>,
}

/// What a handler returned.
#[derive(Debug, Clone)]
enum Run {
    Effect { fails: bool },
    Nothing,
    ShopRedact { target: Target, triggered_at: i64 },
    Stamp(Vec<usize>),
    Retry,
    Permanent,
    Snooze,
    Stopped,
    Lost,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Store(usize),
    InstalledAgain,
    Unknown,
}

/// What the last operation should have answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Nothing,
    Enqueued(usize),
    Accepted(Option<usize>),
    Duplicate(Option<usize>),
    Installed {
        again: bool,
    },
    Conflict,
    Idle,
    Ran {
        job: usize,
        failed: bool,
    },
    Begun(usize),
    Claimed(Vec<usize>),
    Scrubbed(usize),
    Changed,
    NotFound,
    Pruned {
        jobs: usize,
        deliveries: usize,
        requests: usize,
    },
    /// Those that were claimed and not begun were given back.
    Stopped {
        given_back: Vec<usize>,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) now: i64,
    pub(super) jobs: Vec<Job>,
    pub(super) requests: Vec<Request>,
    pub(super) receipts: Vec<Receipt>,
    pub(super) deliveries: BTreeMap<(Hook, String), (usize, i64, Option<usize>)>,
    pub(super) stores: BTreeMap<usize, Store>,
    pub(super) held: [Option<Held>; 2],
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

    fn insert(
        &mut self,
        what: What,
        shop: Option<usize>,
        key: Option<u8>,
        at: Option<i64>,
        max_attempts: u32,
    ) -> usize {
        self.jobs.push(Job {
            what,
            shop,
            key,
            created_at: self.now,
            scheduled_at: at.unwrap_or(self.now),
            scheduled_from: at.is_none().then_some(self.now),
            status: Status::Pending,
            attempts: 0,
            max_attempts,
            claim: 0,
            owner: None,
            claimed_at: 0,
            lease_until: 0,
            batched: false,
            rescues: 0,
            processed_at: None,
            has_error: false,
            payload: Payload::Whole,
            history: Vec::new(),
            effects: 0,
            is_pruned: false,
        });
        self.jobs.len() - 1
    }

    fn enqueue(&mut self, act: Act, shop: Option<usize>, key: Option<u8>, at: Option<i64>, attempts: u32) -> Answer {
        let what = What::Act(act);
        self.take_millisecond();
        let is_unknown = act == Act::Unknown;
        let holds_key = |job: &Job| {
            let same_type = matches!(job.what, What::Act(other) if (other == Act::Unknown) == is_unknown);
            same_type && job.key == key && job.is_unfinished()
        };
        if let Some(existing) = key.and_then(|_| self.jobs.iter().position(holds_key)) {
            return Answer::Enqueued(existing);
        }
        let at = at.map(|at| self.now + at);
        Answer::Enqueued(self.insert(what, shop, key, at, attempts))
    }

    fn deliver(&mut self, hook: Hook, shop: usize, id: Option<u8>, event: Option<i64>) -> Answer {
        self.take_millisecond();
        let claimed = event.map(|event| self.now + event);
        let triggered_at = claimed.unwrap_or(self.now).min(self.now);
        let key = match id {
            Some(id) => format!("id {id}"),
            // The body differs by shop; the day tells deliveries without a time apart.
            None => claimed.map_or_else(
                || format!("{shop} day {}", self.now.div_euclid(86_400_000)),
                |at| format!("{shop} at {at}"),
            ),
        };
        if let Some((_, _, job)) = self.deliveries.get(&(hook, key.clone())) {
            return Answer::Duplicate(*job);
        }
        let kind = match hook {
            Hook::DataRequest => Some(Kind::DataRequest),
            Hook::CustomersRedact => Some(Kind::CustomersRedact),
            Hook::ShopRedact => Some(Kind::ShopRedact),
            Hook::Uninstalled => None,
        };
        let job = kind.map(|kind| {
            self.request(kind, shop, triggered_at, true);
            self.insert(What::Duty(kind, Some(self.requests.len() - 1)), Some(shop), None, None, 40)
        });
        if hook == Hook::Uninstalled
            && let Some(store) = self.stores.get_mut(&shop)
            && store.uninstalled_at.is_none()
            && store.installed_at <= triggered_at
        {
            store.uninstalled_at = Some(self.now);
        }
        self.deliveries.insert((hook, key), (shop, self.now, job));
        Answer::Accepted(job)
    }

    fn request(&mut self, kind: Kind, shop: usize, triggered_at: i64, has_payload: bool) {
        self.requests.push(Request {
            kind,
            shop,
            triggered_at: triggered_at.min(self.now),
            created_at: self.now,
            processed_at: None,
            outcome: None,
            deleted_store: false,
            erased_at: None,
            has_payload: has_payload && kind != Kind::ShopRedact,
            is_pruned: false,
        });
    }

    fn install(&mut self, shop: usize) -> Answer {
        self.take_millisecond();
        let (now, number) = (self.now, self.stores_made);
        match self.stores.get_mut(&shop) {
            None => {
                self.stores_made += 1;
                let store =
                    Store { number, installed_at: now, uninstalled_at: None, erasing_since: None, is_full: true };
                self.stores.insert(shop, store);
                Answer::Installed { again: false }
            }
            Some(store) if store.erasing_since.is_none() && store.uninstalled_at.is_some() => {
                (store.installed_at, store.uninstalled_at) = (now, None);
                Answer::Installed { again: true }
            }
            Some(_) => Answer::Conflict,
        }
    }

    /// Frees lost claims, as a worker does before it looks for work, but its own.
    fn rescue(&mut self, own: Option<&Held>) {
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
                (job.status, job.processed_at, job.rescues) = (Status::Failed, Some(now), 0);
                continue;
            }
            job.status = Status::Pending;
            job.attempts -= u32::from(job.batched);
            job.scheduled_at = match job.rescues {
                0 => job.scheduled_at.min(now),
                rescues => now + backoff(rescues),
            };
            job.scheduled_from = Some(now);
            job.rescues += 1;
        }
    }

    /// Jobs whose time was reckoned by a clock that was since set back keep their distance.
    fn follow_clock(&mut self) {
        for job in &mut self.jobs {
            if let Some(from) = job.scheduled_from
                && job.status == Status::Pending
                && job.scheduled_at > self.now
                && from > self.now
            {
                job.scheduled_at = self.now + (job.scheduled_at - from);
                job.scheduled_from = Some(self.now);
            }
        }
    }

    fn due(&self, limit: usize, suspects: bool) -> Vec<usize> {
        let may_come = |job: &Job| suspects || job.rescues == 0;
        let is_due = |job: &Job| job.status == Status::Pending && job.scheduled_at <= self.now && may_come(job);
        let mut due: Vec<usize> = (0..self.jobs.len()).filter(|index| is_due(&self.jobs[*index])).collect();
        due.sort_by_key(|index| (self.jobs[*index].scheduled_at, self.jobs[*index].created_at));
        due.truncate(limit);
        // A job that was rescued is claimed alone.
        let rescued = due.iter().position(|index| self.jobs[*index].rescues > 0);
        due.truncate(rescued.map_or(limit, |at| at.max(1)));
        due
    }

    fn claim(&mut self, owner: Owner, limit: usize, suspects: bool) -> Vec<usize> {
        let due = self.due(limit, suspects);
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
    fn step(&mut self, process: usize, pause: Option<PauseAt>) -> Answer {
        let own = self.held[process].clone();
        self.rescue(own.as_ref());
        self.follow_clock();
        let owner = Some((process, self.lives[process]));
        let suspects = !self.held[process].as_ref().is_some_and(|held| held.suspect);
        let Some(index) = self.claim(owner, 1, suspects).pop() else { return Answer::Idle };
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
            suspect: job.rescues > 0,
            stopping: false,
            run: None,
        }
    }

    /// A worker of `stop.process` whose threads are stopped; `None` where there are too few jobs to keep all of them busy, or what
    /// comes first is left to chance.
    fn stop(&mut self, stop: &Stop) -> Option<Answer> {
        self.rescue(None);
        self.follow_clock();
        let owner = Some((stop.process, self.lives[stop.process]));
        let (mut waiting, mut begun) = (VecDeque::new(), Vec::<Held>::new());
        while begun.len() < stop.threads {
            if waiting.is_empty() {
                let suspects = !begun.iter().any(|held| held.suspect);
                waiting = self.claim(owner, CLAIM_BATCH, suspects).into();
            }
            let mut held = self.held_for(waiting.pop_front()?);
            if !self.is_known(held.job) {
                // Whether the next suspect may come depends on when its end is written.
                if held.suspect {
                    return None;
                }
                self.finish(held);
                continue;
            }
            if stop.pause == PauseAt::After {
                held.run = Some(self.run(&held));
            }
            held.stopping = true;
            begun.push(held);
        }
        for index in &waiting {
            let held = self.held_for(*index);
            self.give_back(&held);
        }
        for held in begun {
            if stop.in_time {
                self.finish(held);
            } else {
                self.give_back(&held);
            }
        }
        Some(Answer::Stopped { given_back: waiting.into() })
    }

    /// Puts a job back with its attempt.
    fn give_back(&mut self, held: &Held) {
        self.end(held.job, held.claim, held.attempt, held.claimed_at, "given_back", false);
        let job = &mut self.jobs[held.job];
        job.status = Status::Pending;
        job.attempts -= 1;
    }

    fn cancel(&mut self, index: usize) -> Answer {
        let now = self.now;
        let job = &mut self.jobs[index];
        match job.status {
            _ if job.is_pruned => Answer::NotFound,
            Status::Pending => {
                (job.status, job.processed_at) = (Status::Cancelled, Some(now));
                Answer::Changed
            }
            _ => Answer::Conflict,
        }
    }

    fn retry(&mut self, index: usize) -> Answer {
        let now = self.now;
        let (job_type, key) = (self.jobs[index].job_type(), self.jobs[index].key);
        let has_key = |job: &Job| key.is_some() && job.key == key && job.job_type() == job_type;
        let is_taken = self.jobs.iter().any(|job| job.is_unfinished() && has_key(job));
        let job = &mut self.jobs[index];
        match job.status {
            _ if job.is_pruned => Answer::NotFound,
            Status::Failed | Status::Cancelled if !is_taken => {
                (job.status, job.attempts, job.rescues, job.processed_at) = (Status::Pending, 0, 0, None);
                (job.scheduled_at, job.scheduled_from) = (now, Some(now));
                Answer::Changed
            }
            _ => Answer::Conflict,
        }
    }

    fn prune(&mut self) -> Answer {
        let now = self.now;
        let (mut jobs, mut requests) = (0, 0);
        for job in self.jobs.iter_mut().filter(|job| !job.is_pruned && !job.is_unfinished()) {
            let kept = if job.status == Status::Failed { KEPT_FAILED } else { KEPT_FINISHED };
            job.is_pruned = job.processed_at.is_some_and(|at| at < now - kept);
            jobs += usize::from(job.is_pruned);
        }
        let before = self.deliveries.len();
        self.deliveries.retain(|_, (_, received_at, _)| *received_at >= now - KEPT_DELIVERIES);
        let deliveries = before - self.deliveries.len();
        for request in self.requests.iter_mut().filter(|request| !request.is_pruned) {
            let is_settled = request.erased_at.is_some() || request.outcome == Some("superseded_by_reinstall");
            let is_old = |at: i64| at < now - KEPT_REQUESTS;
            request.is_pruned = is_settled && is_old(request.created_at) && request.processed_at.is_some_and(is_old);
            requests += usize::from(request.is_pruned);
        }
        Answer::Pruned { jobs, deliveries, requests }
    }

    fn holds(&self, held: &Held) -> bool {
        let job = &self.jobs[held.job];
        job.status == Status::Processing && job.claim == held.claim
    }

    /// What a handler does outside its closing transaction.
    fn run(&mut self, held: &Held) -> Run {
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
                    Act::FailUntil(_) | Act::Panic | Act::Unknown => Run::Retry,
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
            Some(store) if store.erasing_since.is_none() && store.installed_at > triggered_at => Target::InstalledAgain,
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
        if !matches!(target, Target::InstalledAgain) {
            // Finished jobs forget in steps before the closing transaction.
            self.forget_finished(shop);
        }
        Run::ShopRedact { target, triggered_at }
    }

    /// Every finished job about the shop forgets it.
    fn forget_finished(&mut self, shop: usize) {
        for job in self.jobs.iter_mut().filter(|job| job.shop == Some(shop) && !job.is_unfinished()) {
            (job.has_error, job.payload) = (false, Payload::Empty);
            for attempt in &mut job.history {
                attempt.has_error = false;
            }
        }
    }

    /// Open requests, oldest first.
    fn open(&self, kind: Kind, shop: usize) -> Vec<usize> {
        let is_open =
            |request: &Request| request.kind == kind && request.shop == shop && request.processed_at.is_none();
        let mut open: Vec<usize> = (0..self.requests.len()).filter(|id| is_open(&self.requests[*id])).collect();
        open.sort_by_key(|id| self.requests[*id].created_at);
        open
    }

    /// The end of a run.
    fn finish(&mut self, mut held: Held) -> Answer {
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
            Run::Retry | Run::Permanent | Run::Snooze | Run::Lost => false,
            Run::Effect { .. } | Run::Nothing | Run::ShopRedact { .. } | Run::Stamp(_) => self.close(&held, &run),
        };
        if closed {
            return answer(false);
        }
        *self = before;
        if matches!(run, Run::Snooze) {
            self.end(index, held.claim, held.attempt, held.claimed_at, "snoozed", false);
            let now = self.now;
            let job = &mut self.jobs[index];
            job.status = Status::Pending;
            job.attempts -= 1;
            (job.scheduled_at, job.scheduled_from) = (now + SNOOZE, Some(now));
            return answer(true);
        }
        let now = self.now;
        let job = &mut self.jobs[index];
        (job.has_error, job.rescues) = (true, 0);
        if matches!(run, Run::Permanent) || held.attempt >= job.max_attempts {
            (job.status, job.processed_at) = (Status::Failed, Some(now));
            self.end(index, held.claim, held.attempt, held.claimed_at, "failed", true);
        } else {
            job.status = Status::Pending;
            (job.scheduled_at, job.scheduled_from) = (now + backoff(held.attempt), Some(now));
            self.end(index, held.claim, held.attempt, held.claimed_at, "retried", true);
        }
        answer(true)
    }

    /// The closing transaction; `false` when it is undone.
    fn close(&mut self, held: &Held, run: &Run) -> bool {
        let now = self.now;
        let index = held.job;
        let job = &mut self.jobs[index];
        (job.status, job.processed_at, job.has_error, job.rescues) = (Status::Completed, Some(now), false, 0);
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
            Run::ShopRedact { target, triggered_at } => self.redact(index, *target, *triggered_at),
            Run::Nothing | Run::Retry | Run::Permanent | Run::Snooze | Run::Stopped | Run::Lost => true,
        }
    }

    fn redact(&mut self, index: usize, target: Target, triggered_at: i64) -> bool {
        let (What::Duty(_, request), Some(shop)) = (self.jobs[index].what, self.jobs[index].shop) else { return false };
        let (outcome, deleted) = match target {
            Target::InstalledAgain => ("superseded_by_reinstall", false),
            Target::Unknown => ("nothing_held", false),
            Target::Store(number) if self.stores.get(&shop).is_some_and(|store| store.number == number) => {
                self.stores.remove(&shop);
                ("erased", true)
            }
            Target::Store(_) => ("nothing_held", false),
        };
        let superseded = outcome == "superseded_by_reinstall";
        let mut ids = match request {
            Some(request) => vec![request],
            None => self.open(Kind::ShopRedact, shop),
        };
        if request.is_none() {
            if superseded {
                ids.retain(|id| self.requests[*id].triggered_at <= triggered_at);
            } else if ids.is_empty() {
                self.request(Kind::ShopRedact, shop, triggered_at, false);
                ids.push(self.requests.len() - 1);
            }
        }
        for (number, id) in ids.into_iter().enumerate() {
            if !self.stamp(id, outcome, deleted && number == 0) {
                return false;
            }
        }
        if !superseded {
            self.forget(shop, index);
        }
        true
    }

    /// Marks a request as fulfilled, with its receipt; `false` when it was fulfilled meanwhile.
    fn stamp(&mut self, id: usize, outcome: &'static str, deleted_store: bool) -> bool {
        let created_at = self.now;
        let request = &mut self.requests[id];
        if request.processed_at.is_some() {
            return false;
        }
        request.processed_at = Some(created_at);
        request.outcome = Some(outcome);
        request.deleted_store = deleted_store;
        request.has_payload = false;
        if !matches!(outcome, "superseded_by_reinstall" | "reported") {
            self.receipts.push(Receipt { kind: "erased", request: id, outcome, deleted_store, created_at });
        }
        true
    }

    /// Every other job about the shop forgets it.
    fn forget(&mut self, shop: usize, except: usize) {
        let now = self.now;
        for (index, job) in self.jobs.iter_mut().enumerate() {
            if job.shop != Some(shop) || index == except {
                continue;
            }
            job.has_error = false;
            for attempt in &mut job.history {
                attempt.has_error = false;
            }
            let request = match (job.what, job.payload) {
                (_, Payload::Request(request)) | (What::Duty(_, Some(request)), Payload::Whole) => Some(request),
                _ => None,
            };
            match request.filter(|_| job.is_unfinished()) {
                Some(request) => job.payload = Payload::Request(request),
                None => {
                    if job.is_unfinished() {
                        (job.status, job.processed_at) = (Status::Cancelled, Some(now));
                    }
                    job.payload = Payload::Empty;
                }
            }
        }
    }

    fn end(&mut self, job: usize, claim: i64, attempt: u32, started_at: i64, outcome: &'static str, has_error: bool) {
        let ended_at = self.now;
        self.jobs[job].history.push(Attempt { claim, attempt, started_at, ended_at, outcome, has_error });
    }

    fn crash(&mut self, process: usize) {
        self.lives[process] += 1;
        self.held[process] = None;
    }

    fn scrub(&mut self) -> Answer {
        let waits = |request: &Request| {
            request.erased_at.is_none() && request.outcome.is_some_and(|outcome| outcome != "superseded_by_reinstall")
        };
        let mut waiting: Vec<usize> = (0..self.requests.len()).filter(|id| waits(&self.requests[*id])).collect();
        waiting.sort_by_key(|id| (self.requests[*id].processed_at, *id));
        for id in &waiting {
            let created_at = self.now;
            let request = &mut self.requests[*id];
            request.erased_at = Some(created_at);
            if request.outcome == Some("reported") {
                continue;
            }
            self.receipts.push(Receipt {
                kind: "verified",
                request: *id,
                outcome: request.outcome.unwrap_or_default(),
                deleted_store: request.deleted_store,
                created_at,
            });
        }
        Answer::Scrubbed(waiting.len())
    }
}

fn backoff(attempt: u32) -> i64 {
    (1_000 << attempt).min(6 * 3_600_000)
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::new()).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Op> {
        let act = prop_oneof![
            3 => Just(Act::Succeed),
            2 => (1..4_u32).prop_map(Act::FailUntil),
            2 => (1..4_i64).prop_map(Act::SnoozeUntil),
            2 => Just(Act::Permanent),
            1 => Just(Act::Panic),
            1 => Just(Act::EffectFails),
            1 => Just(Act::Unknown),
        ];
        let kind = prop_oneof![Just(Kind::ShopRedact), Just(Kind::CustomersRedact), Just(Kind::DataRequest)];
        let hook = prop_oneof![
            4 => Just(Hook::ShopRedact),
            2 => Just(Hook::CustomersRedact),
            1 => Just(Hook::DataRequest),
            2 => Just(Hook::Uninstalled),
        ];
        let process = 0..2_usize;
        // Mostly one with which it can be done.
        let any_job = 0..state.jobs.len().max(1);
        let some_job = |can: fn(Status) -> bool| {
            let jobs = state.jobs.iter().enumerate().filter(|(_, job)| can(job.status) && !job.is_pruned);
            let jobs: Vec<usize> = jobs.map(|(index, _)| index).collect();
            match jobs.is_empty() {
                true => any_job.clone().boxed(),
                false => prop_oneof![3 => prop::sample::select(jobs), 1 => any_job.clone()].boxed(),
            }
        };
        let waits = some_job(|status| status == Status::Pending);
        let given_up = some_job(|status| matches!(status, Status::Failed | Status::Cancelled));
        let pause = prop_oneof![Just(PauseAt::Before), Just(PauseAt::After)];
        let event = prop::option::of(prop_oneof![Just(-40_000_i64), Just(-5_000), Just(-1), Just(0), Just(60_000)]);
        let at = prop::option::weighted(0.3, prop_oneof![Just(-10_000_i64), Just(3_000), Just(60_000)]);
        prop_oneof![
            4 => prop_oneof![Just(1_i64), Just(1_999), Just(2_000), Just(5_000), Just(31_000), Just(600_000)]
                .prop_map(|ms| Op::Pass { ms }),
            1 => prop_oneof![Just(-86_400_000_i64), Just(-3_000), Just(3_600_000)].prop_map(|by_ms| Op::Set { by_ms }),
            4 => (act, prop::option::weighted(0.4, 0..SHOPS), prop::option::weighted(0.4, 0..2_u8), at, 1..4_u32)
                .prop_map(|(act, shop, key, at, max_attempts)| Op::Enqueue { act, shop, key, at, max_attempts }),
            1 => (kind, 0..SHOPS).prop_map(|(kind, shop)| Op::EnqueueDuty { kind, shop }),
            5 => (hook, 0..SHOPS, prop::option::weighted(0.7, 0..6_u8), event)
                .prop_map(|(hook, shop, id, event)| Op::Deliver { hook, shop, id, event }),
            3 => (0..SHOPS).prop_map(|shop| Op::Install { shop }),
            8 => process.clone().prop_map(|process| Op::Run { process }),
            4 => (process.clone(), pause).prop_map(|(process, pause)| Op::Begin { process, pause }),
            4 => process.clone().prop_map(|process| Op::Resume { process }),
            1 => process.clone().prop_map(|process| Op::Crash { process }),
            1 => (1..5_usize).prop_map(|limit| Op::CrashWithClaims { limit }),
            2 => process.clone().prop_map(|process| Op::Scrub { process }),
            1 => waits.prop_map(|job| Op::Cancel { job }),
            2 => given_up.prop_map(|job| Op::Retry { job }),
            2 => process.clone().prop_map(|process| Op::Prune { process }),
            2 => (process, prop::sample::select(vec![PauseAt::Before, PauseAt::After]), 0..3_usize).prop_map(
                |(process, pause, threads)| {
                    let (threads, in_time) = if threads == 0 { (1, true) } else { (threads, false) };
                    Op::Stop(Stop { process, threads, pause, in_time })
                }
            ),
        ]
        .boxed()
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
                Answer::Enqueued(state.insert(What::Duty(*kind, None), Some(*shop), None, None, 40))
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
