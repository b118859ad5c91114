//! The only reader of the system's wall clock. Everything below takes `now` as an argument, so tests move time and never sleep.

use chrono::{DateTime, SubsecRound, TimeDelta, TimeZone, Utc};
use std::sync::{Mutex, PoisonError};

/// Tells the time. Asked once per request, worker step or command, so that all rows of one change agree.
pub trait Clock: Send + Sync + 'static {
    /// The present instant, in whole milliseconds: what the database can hold.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(3)
    }
}

/// A clock that stands still until it is moved, forwards or backwards.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: DateTime<Utc>) -> Self {
        Self(Mutex::new(start.trunc_subsecs(3)))
    }

    /// Moves the clock by `by`, which may be negative, and returns the new time.
    pub fn advance(&self, by: TimeDelta) -> DateTime<Utc> {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
        *now
    }

    /// Sets the clock to `to`.
    pub fn set(&self, to: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to.trunc_subsecs(3);
    }
}

impl Default for ManualClock {
    /// A fixed, memorable instant: 2026-01-01 00:00 UTC.
    fn default() -> Self {
        Self::new(Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().expect("the first of January exists in UTC"))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
