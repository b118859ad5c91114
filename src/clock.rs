//! The only reader of the system's wall clock. Everything below takes `now` as an argument, so tests move time and never sleep.

use chrono::{DateTime, SubsecRound, TimeDelta, TimeZone, Utc};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Tells the time. Asked once per request, worker step or command, so that all rows of one change agree.
pub trait Clock: Send + Sync + 'static {
    /// The present instant, in whole milliseconds: what the database can hold.
    fn now(&self) -> DateTime<Utc>;

    /// Time that has really passed since some fixed moment, however the wall clock is set meanwhile. Held against
    /// [`Clock::now`] it tells that the clock was moved.
    fn uptime(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(3)
    }

    fn uptime(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<Shown>);

#[derive(Debug)]
struct Shown {
    now: DateTime<Utc>,
    uptime: Duration,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: DateTime<Utc>) -> Self {
        Self(Mutex::new(Shown { now: start.trunc_subsecs(3), uptime: Duration::ZERO }))
    }

    /// Lets `by` pass, and returns the new time.
    pub fn advance(&self, by: Duration) -> DateTime<Utc> {
        let mut shown = self.shown();
        shown.uptime += by;
        let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
        shown.now = shown.now.checked_add_signed(by).unwrap_or(DateTime::<Utc>::MAX_UTC).trunc_subsecs(3);
        shown.now
    }

    /// Sets the clock to `to`, forwards or backwards, as an administrator or a time server would: no time passes.
    pub fn set(&self, to: DateTime<Utc>) {
        self.shown().now = to.trunc_subsecs(3);
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.shown().now
    }

    fn uptime(&self) -> Duration {
        self.shown().uptime
    }
}
