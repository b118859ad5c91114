//! How long a job is delayed after an attempt that failed: 2 s, 4 s, 8 s, … without jitter, so that the times can be tested and documented.

use std::time::Duration;

/// No rest is longer, however often a job has failed.
const LONGEST: Duration = Duration::from_secs(6 * 60 * 60);

/// The rest after the attempt with this number (from 1).
pub(crate) fn after_attempt(attempt: u32) -> Duration {
    let seconds = 1_u64.checked_shl(attempt).unwrap_or(u64::MAX);
    Duration::from_secs(seconds).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_doubles_from_two_seconds_and_stops_at_six_hours() {
        let rests: Vec<u64> = (1..=5).map(|attempt| after_attempt(attempt).as_secs()).collect();
        assert_eq!(rests, [2, 4, 8, 16, 32]);
        assert_eq!(after_attempt(14).as_secs(), 16_384);
        for attempt in [15, 40, 63, 64, 65, u32::MAX] {
            assert_eq!(after_attempt(attempt), LONGEST, "{attempt}");
        }
    }
}
