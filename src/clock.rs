//! The only reader of the system's wall clock. Everything below takes `now` as an argument, so tests move time and never sleep.

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, TimeZone, Utc};
use parking_lot::{Mutex, MutexGuard};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The earliest instant that a clock shows: ids (UUIDv7) count milliseconds from here and can hold none before.
pub const EARLIEST: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// The latest: the start of the last year that RFC 3339 can write, so that what is reckoned from it (leases, pauses, deadlines)
/// can be written too.
pub const LATEST: DateTime<Utc> = match DateTime::from_timestamp(253_370_764_800, 0) {
    Some(latest) => latest,
    None => panic!("9999-01-01 exists"),
};

/// The instant, or the nearest that a clock shows: a machine whose battery is empty, or whose clock is set to nonsense, goes on
/// working, with times that are wrong.
fn within(at: DateTime<Utc>) -> DateTime<Utc> {
    at.clamp(EARLIEST, LATEST).trunc_subsecs(3)
}

/// The time. Asked once per request, worker step or command, so that all rows of one change agree.
pub trait Clock: Send + Sync + 'static {
    /// The present instant, in whole milliseconds, which is what the database can hold, from [`EARLIEST`] to [`LATEST`].
    fn now(&self) -> DateTime<Utc>;

    /// Time that has really passed since some fixed moment, however the wall clock is set meanwhile. Held against
    /// [`Clock::now`] it shows that the clock was moved.
    fn uptime(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        // Not by chrono, which panics where the clock shows a time that it cannot hold.
        shown(SystemTime::now())
    }

    fn uptime(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// What is shown when the machine's clock shows `at`.
fn shown(at: SystemTime) -> DateTime<Utc> {
    let Ok(passed) = at.duration_since(UNIX_EPOCH) else { return EARLIEST };
    let millis = i64::try_from(passed.as_millis()).ok();
    millis.and_then(DateTime::from_timestamp_millis).map_or(LATEST, within)
}

/// A clock that is frozen until it is moved.
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
        Self(Mutex::new(Shown { now: within(start), uptime: Duration::ZERO }))
    }

    /// Lets `by` pass, and returns the new time.
    pub fn advance(&self, by: Duration) -> DateTime<Utc> {
        let mut shown = self.shown();
        shown.uptime += by;
        let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
        shown.now = within(shown.now.checked_add_signed(by).unwrap_or(LATEST));
        shown.now
    }

    /// Sets the clock to `to`, forwards or backwards, as an administrator or a time server would: no time passes.
    pub fn set(&self, to: DateTime<Utc>) {
        self.shown().now = within(to);
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock()
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

/// An instant as every output shows it: RFC 3339, UTC, milliseconds.
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An instant that may be absent.
pub fn optional_instant(at: Option<DateTime<Utc>>) -> Option<String> {
    at.map(instant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::JobId;

    #[test]
    fn a_clock_shows_only_what_every_part_can_write() {
        let clock = ManualClock::default();
        let far = |text: &str| text.parse::<DateTime<Utc>>().expect("chrono holds it");
        for (set, shown) in [
            (DateTime::<Utc>::MIN_UTC, "1970-01-01T00:00:00+00:00"),
            (far("1969-12-31T23:59:59.999Z"), "1970-01-01T00:00:00+00:00"),
            (far("+10000-01-01T00:00:00Z"), "9999-01-01T00:00:00+00:00"),
            (DateTime::<Utc>::MAX_UTC, "9999-01-01T00:00:00+00:00"),
            (far("2026-01-01T00:00:00.1239Z"), "2026-01-01T00:00:00.123+00:00"),
        ] {
            clock.set(set);
            assert_eq!(clock.now().to_rfc3339(), shown);
            assert_eq!(ManualClock::new(set).now(), clock.now());
            // Neither the id nor a deadline that is reckoned from it is out of anybody's reach.
            let _id = JobId::new(clock.now(), [0; 10]);
            assert_eq!((clock.now() + TimeDelta::days(300)).to_rfc3339().find('-'), Some(4));
        }
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), LATEST);
    }

    #[test]
    fn the_machines_clock_may_show_anything() {
        assert_eq!(shown(UNIX_EPOCH - Duration::from_secs(315_619_200)), EARLIEST);
        assert_eq!(shown(UNIX_EPOCH + Duration::from_micros(1_999)).timestamp_millis(), 1);
        for seconds in [253_402_300_800, 9_000_000_000_000, u64::MAX / 4] {
            assert_eq!(shown(UNIX_EPOCH + Duration::from_secs(seconds)), LATEST);
        }
    }
}
