//! The rows that a history leaves, in plain values: no SQL, no threads, no files.

use super::ops::{Act, Hook, Kind};

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
    pub(super) turn_at: Option<i64>,
    pub(super) status: Status,
    pub(super) attempts: u32,
    pub(super) max_attempts: u32,
    pub(super) claim: i64,
    pub(super) owner: Owner,
    pub(super) claimed_at: i64,
    pub(super) lease_until: i64,
    pub(super) batched: bool,
    pub(super) recoveries: u32,
    pub(super) processed_at: Option<i64>,
    pub(super) has_error: bool,
    pub(super) payload: Payload,
    pub(super) history: Vec<Attempt>,
    pub(super) effects: u32,
    pub(super) is_pruned: bool,
}

impl Job {
    pub(super) fn is_unfinished(&self) -> bool {
        matches!(self.status, Status::Pending | Status::Processing)
    }

    pub(super) fn is_duty(&self) -> bool {
        matches!(self.what, What::Duty(..))
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
    /// Shopify's id of the delivery that it came with.
    pub(super) delivery: Option<u8>,
    pub(super) triggered_at: i64,
    pub(super) created_at: i64,
    pub(super) processed_at: Option<i64>,
    pub(super) outcome: Option<&'static str>,
    pub(super) deleted_store: bool,
    pub(super) erased_at: Option<i64>,
    pub(super) has_payload: bool,
    pub(super) is_pruned: bool,
}

impl Request {
    /// Whether this delivery led to it.
    pub(super) fn came_by(&self, hook: Hook, key: &str, received_at: i64) -> bool {
        let asks_for = match hook {
            Hook::DataRequest => Kind::DataRequest,
            Hook::CustomersRedact => Kind::CustomersRedact,
            Hook::ShopRedact => Kind::ShopRedact,
            Hook::Uninstalled => return false,
        };
        self.kind == asks_for
            && self.created_at == received_at
            && self.delivery.is_some_and(|id| key == format!("id {id}"))
    }
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

impl Store {
    /// Whether an event is about an installation before this one. An installation more than five minutes ahead is a wrong clock.
    pub(super) fn is_installed_after(&self, event: i64, now: i64) -> bool {
        self.installed_at > event && self.installed_at <= now + 300_000
    }
}
