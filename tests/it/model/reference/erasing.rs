//! What an erasure leaves: stores that are gone, requests that are stamped, receipts, jobs that have forgotten.

use super::Model;
use super::runs::Target;
use crate::model::ops::{Answer, Kind};
use crate::model::rows::{Job, Payload, Receipt, Request, Status, What};

/// How long before it is committed a job may have got its id.
const ENQUEUING_MAX: i64 = 5_000;

impl Model {
    pub(super) fn redact(
        &mut self,
        index: usize,
        target: Target,
        triggered_at: i64,
        forgotten_at: Option<i64>,
    ) -> bool {
        let (What::Duty(_, request), Some(shop)) = (self.jobs[index].what, self.jobs[index].shop) else { return false };
        let (outcome, deleted) = match target {
            Target::InstalledAgain => ("superseded_by_reinstall", false),
            // Installed meanwhile: for another attempt to look at.
            Target::Unknown if self.stores.contains_key(&shop) => return false,
            Target::Unknown => ("nothing_held", false),
            Target::Store(number) if self.stores.get(&shop).is_some_and(|store| store.number == number) => {
                self.stores.remove(&shop);
                ("erased", true)
            }
            Target::Store(_) => ("nothing_held", false),
        };
        let superseded = outcome == "superseded_by_reinstall";
        if superseded && request.is_some_and(|request| self.requests[request].triggered_at > triggered_at) {
            return false;
        }
        // Its own first, then all others that are open.
        let others = self.open(Kind::ShopRedact, shop);
        let others = others
            .into_iter()
            .filter(|id| Some(*id) != request && !(superseded && self.requests[*id].triggered_at > triggered_at));
        let mut ids: Vec<usize> = request.into_iter().chain(others).collect();
        if ids.is_empty() && !superseded {
            self.request(Kind::ShopRedact, shop, None, triggered_at, false);
            ids.push(self.requests.len() - 1);
        }
        for (number, id) in ids.into_iter().enumerate() {
            if !self.stamp(id, outcome, deleted && number == 0) {
                return false;
            }
        }
        if !superseded {
            self.forget(shop, index, forgotten_at.map(|at| at - ENQUEUING_MAX));
        }
        true
    }

    /// Marks a request as fulfilled, with its receipt; `false` when it was fulfilled meanwhile.
    pub(super) fn stamp(&mut self, id: usize, outcome: &'static str, deleted_store: bool) -> bool {
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

    /// Open requests, oldest first.
    pub(super) fn open(&self, kind: Kind, shop: usize) -> Vec<usize> {
        let is_open =
            |request: &Request| request.kind == kind && request.shop == shop && request.processed_at.is_none();
        let mut open: Vec<usize> = (0..self.requests.len()).filter(|id| is_open(&self.requests[*id])).collect();
        open.sort_by_key(|id| self.requests[*id].created_at);
        open
    }

    /// Every other job about the shop that was made at `since` or later forgets it.
    pub(super) fn forget(&mut self, shop: usize, except: usize, since: Option<i64>) {
        let now = self.now;
        for (index, job) in self.jobs.iter_mut().enumerate() {
            if job.is_pruned || job.shop != Some(shop) || since.is_some_and(|since| job.created_at < since) {
                continue;
            }
            if index == except {
                continue;
            }
            forget_subject(job, now);
        }
    }

    /// What the erasure has not looked at, or what has changed since, and says something, forgets it before the scrub stamps anything. A
    /// duty by hand stays where it has open requests to see to.
    fn forget_late(&mut self, shop: usize) {
        let now = self.now;
        for index in 0..self.jobs.len() {
            let stays = match self.jobs[index] {
                Job { what: What::Duty(kind, None), payload: Payload::Whole, .. } => !self.open(kind, shop).is_empty(),
                _ => false,
            };
            let job = &mut self.jobs[index];
            if job.shop == Some(shop) && job.is_unfinished() && !stays {
                forget_subject(job, now);
            }
        }
        let says_something = |job: &Job| job.payload == Payload::Whole || job.has_error;
        let is_late = |job: &Job| job.shop == Some(shop) && !job.is_unfinished() && says_something(job);
        for job in self.jobs.iter_mut().filter(|job| is_late(job)) {
            (job.payload, job.has_error, job.key) = (Payload::Empty, false, None);
            for attempt in &mut job.history {
                attempt.has_error = false;
            }
        }
    }

    pub(super) fn scrub(&mut self) -> Answer {
        let waits = |request: &Request| {
            request.erased_at.is_none() && request.outcome.is_some_and(|outcome| outcome != "superseded_by_reinstall")
        };
        let mut waiting: Vec<usize> = (0..self.requests.len()).filter(|id| waits(&self.requests[*id])).collect();
        // Shops first.
        let rank = |kind| match kind {
            Kind::ShopRedact => 0,
            Kind::CustomersRedact => 1,
            Kind::DataRequest => 2,
        };
        // Then by their ids, which begin with the time: a clock that was set back has later ones come first.
        waiting.sort_by_key(|id| {
            let request = &self.requests[*id];
            (rank(request.kind), request.processed_at, request.created_at, *id)
        });
        for id in &waiting {
            let Request { kind, shop, .. } = self.requests[*id];
            if kind == Kind::ShopRedact && !self.stores.contains_key(&shop) {
                self.forget_late(shop);
            }
        }
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

/// A job forgets what it is about. One that is not finished goes on where it names a request, and is called off where it does not.
fn forget_subject(job: &mut Job, now: i64) {
    job.key = None;
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
