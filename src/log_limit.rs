//! Log lines that clients can cause without end: one a second of each kind, with the count of those left out, and never
//! longer than a person reads.

use parking_lot::Mutex;
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// Of the lines of one kind within this time one is written: no client must be able to fill a disk with them.
const PAUSE: Duration = Duration::from_secs(1);

/// Characters of a client's text that a line shows.
const TEXT_MAX: usize = 200;

/// Decides which lines of one kind are written.
#[derive(Debug)]
pub(crate) struct LogLimiter(Mutex<State>);

#[derive(Debug)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Default for LogLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl LogLimiter {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(State { last: None, left_out: 0 }))
    }

    /// Whether a line is written now, and then how many were left out since the last.
    pub(crate) fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

/// `text` as far as a line shows it.
pub(crate) fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(TEXT_MAX) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_one_line_a_second_is_written_with_the_count_of_the_others() {
        let (limiter, start) = (LogLimiter::new(), Instant::now());
        let admit = |ms| limiter.admit_at(start + Duration::from_millis(ms));
        assert_eq!(
            [admit(5), admit(6), admit(1_004), admit(1_005), admit(1_006)],
            [Some(0), None, None, Some(2), None]
        );
        assert_eq!(admit(10_000), Some(1));
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ü".repeat(200)), "ü".repeat(200));
        assert_eq!(cut(&"ü".repeat(201)), format!("{}…", "ü".repeat(200)));
    }
}
