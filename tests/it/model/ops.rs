//! What can be done to a system, and what it should answer.

pub(super) const SHOPS: usize = 3;

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
    /// A process processes one job.
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
    /// A process starts threads that process jobs, and stops them when each of them runs one and waits.
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
    /// Those that were claimed and not begun were released.
    Stopped {
        given_back: Vec<usize>,
    },
}
