//! What comes in: jobs, deliveries, stores.

use super::{Model, TURN};
use crate::model::ops::{Act, Answer, Hook, Kind};
use crate::model::rows::{Job, Payload, Request, Status, Store, What};

impl Model {
    pub(super) fn insert(
        &mut self,
        process: usize,
        what: What,
        shop: Option<usize>,
        key: Option<u8>,
        at: Option<i64>,
        max_attempts: u32,
    ) -> usize {
        let turn_at = shop.filter(|_| at.is_none()).and_then(|shop| {
            let last = self.turns[process].get(&shop).copied();
            let turn_at = last.map(|last| last.max(self.now) + TURN);
            self.turns[process].insert(shop, turn_at.unwrap_or(self.now));
            turn_at
        });
        self.jobs.push(Job {
            what,
            shop,
            key,
            created_at: self.now,
            scheduled_at: at.unwrap_or(self.now),
            scheduled_from: at.is_none().then_some(self.now),
            turn_at,
            status: Status::Pending,
            attempts: 0,
            max_attempts,
            claim: 0,
            owner: None,
            claimed_at: 0,
            lease_until: 0,
            batched: false,
            recoveries: 0,
            processed_at: None,
            has_error: false,
            payload: Payload::Whole,
            history: Vec::new(),
            effects: 0,
            is_pruned: false,
        });
        self.jobs.len() - 1
    }

    pub(super) fn enqueue(
        &mut self,
        act: Act,
        shop: Option<usize>,
        key: Option<u8>,
        at: Option<i64>,
        attempts: u32,
    ) -> Answer {
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
        Answer::Enqueued(self.insert(0, what, shop, key, at, attempts))
    }

    pub(super) fn deliver(&mut self, hook: Hook, shop: usize, id: Option<u8>, event: Option<i64>) -> Answer {
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
        let known = self.deliveries.get(&(hook, key.clone())).map(|(_, _, job)| *job);
        let kind = match hook {
            Hook::DataRequest => Some(Kind::DataRequest),
            Hook::CustomersRedact => Some(Kind::CustomersRedact),
            Hook::ShopRedact => Some(Kind::ShopRedact),
            Hook::Uninstalled => None,
        };
        if let Some(request) =
            kind.filter(|kind| *kind == Kind::ShopRedact).and_then(|kind| self.open(kind, shop).first().copied())
        {
            let job = self.repeat(hook, request, known, triggered_at);
            if known.is_none() {
                self.deliveries.insert((hook, key), (shop, self.now, Some(job)));
            }
            return Answer::Duplicate(Some(job));
        }
        if let Some(job) = known {
            let abandoned = kind.and_then(|kind| self.abandoned(kind, shop, id, job));
            return Answer::Duplicate(abandoned.map_or(job, |request| Some(self.insert_again(request))));
        }
        let job = kind.map(|kind| {
            self.request(kind, shop, id, triggered_at, true);
            let request = self.requests.len() - 1;
            let key = if id.is_none() { key_of(request) } else { None };
            self.insert(shop % 2, What::Duty(kind, Some(request)), Some(shop), key, None, 40)
        });
        if hook == Hook::Uninstalled
            && let Some(store) = self.stores.get_mut(&shop)
            && store.uninstalled_at.is_none()
            && !store.is_installed_after(triggered_at, self.now)
        {
            store.uninstalled_at = Some(self.now);
        }
        self.deliveries.insert((hook, key), (shop, self.now, job));
        Answer::Accepted(job)
    }

    /// What asks for the same as an open request: a later event counts, and a job that was lost is made again.
    fn repeat(&mut self, hook: Hook, request: usize, known: Option<Option<usize>>, triggered_at: i64) -> usize {
        let before = self.requests[request].triggered_at;
        let open = &mut self.requests[request];
        let (kind, delivery) = (open.kind, open.delivery);
        if kind == Kind::ShopRedact {
            open.triggered_at = open.triggered_at.max(triggered_at);
        }
        let job = match delivery {
            Some(id) => self.deliveries.get(&(hook, format!("id {id}"))).and_then(|(_, _, job)| *job),
            None => known.flatten(),
        };
        if let Some(job) = job.filter(|job| self.jobs[*job].is_unfinished()) {
            if known.is_some() {
                // Nothing is written.
                self.requests[request].triggered_at = before;
            }
            return job;
        }
        self.insert_again(request)
    }

    /// The open request of a delivery that comes again, where the job that was to fulfil it has ended.
    fn abandoned(&self, kind: Kind, shop: usize, id: Option<u8>, job: Option<usize>) -> Option<usize> {
        let job = job.map(|job| &self.jobs[job]).filter(|job| !job.is_pruned);
        if job.is_some_and(Job::is_unfinished) {
            return None;
        }
        let is_open = |request: &Request| {
            request.kind == kind && request.shop == shop && request.processed_at.is_none() && !request.is_pruned
        };
        match id {
            Some(_) => self.requests.iter().position(|request| request.delivery == id && is_open(request)),
            // Known by the job alone, for as long as that names it.
            None => match job.filter(|job| job.payload == Payload::Whole)?.what {
                What::Duty(_, request) => request.filter(|request| is_open(&self.requests[*request])),
                What::Act(_) => None,
            },
        }
    }

    /// A job for an open request, unless one that repeats it waits or runs.
    fn insert_again(&mut self, request: usize) -> usize {
        let Request { kind, shop, .. } = self.requests[request];
        let key = key_of(request);
        let again = |job: &Job| job.key == key && job.job_type() == kind.job_type() && job.is_unfinished();
        match self.jobs.iter().position(again) {
            Some(job) => job,
            None => self.insert(shop % 2, What::Duty(kind, Some(request)), Some(shop), key, None, 40),
        }
    }

    pub(super) fn request(
        &mut self,
        kind: Kind,
        shop: usize,
        delivery: Option<u8>,
        triggered_at: i64,
        has_payload: bool,
    ) {
        self.requests.push(Request {
            kind,
            shop,
            delivery,
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

    pub(super) fn install(&mut self, shop: usize) -> Answer {
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
}

/// The dedupe key of a job for a request; those of others are lower.
fn key_of(request: usize) -> Option<u8> {
    u8::try_from(100 + request).ok()
}
