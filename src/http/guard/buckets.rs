//! Token buckets, one a name, in bounded memory. A bucket is one instant: when it will be full again. What is full already is as
//! good as not there, so there is nothing to refill and little to keep.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Buckets kept at once. Beyond it the fullest half is forgotten, which forgives those who asked least: about 6 MiB, and more
/// addresses than reach a small shop's server in the minute that a bucket takes to fill.
const BUCKETS_MAX: usize = 65_536;

/// Buckets below which full ones are not looked for.
const SWEEP_MIN: usize = 1_024;

/// How many tokens a bucket holds, and how long one takes to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Rate {
    pub(in crate::http) tokens: u32,
    pub(in crate::http) refill: Duration,
}

/// Where a bucket is after a token was taken, or asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Level {
    /// Tokens left.
    pub(in crate::http) remaining: u32,
    /// When it is full again.
    pub(in crate::http) full_in: Duration,
    /// Set when there was none to take: when there will be.
    pub(in crate::http) refused_for: Option<Duration>,
}

/// Buckets of one rate, by name.
#[derive(Debug)]
pub(in crate::http) struct Buckets<K> {
    rate: Rate,
    full_at: Mutex<Kept<K>>,
}

#[derive(Debug)]
struct Kept<K> {
    buckets: HashMap<K, Duration>,
    sweep_at: usize,
}

impl<K: Hash + Eq> Buckets<K> {
    pub(in crate::http) fn new(rate: Rate) -> Self {
        Self { rate, full_at: Mutex::new(Kept { buckets: HashMap::new(), sweep_at: SWEEP_MIN }) }
    }

    /// Takes a token, if there is one. `uptime` must not run backwards.
    pub(in crate::http) fn take(&self, name: K, uptime: Duration) -> Level {
        self.take_many(name, 1, uptime)
    }

    /// Takes `count` tokens, or none. More than a bucket holds are as many as it holds: otherwise they could never be had.
    pub(super) fn take_many(&self, name: K, count: u32, uptime: Duration) -> Level {
        let refill = self.rate.refill * count.min(self.rate.tokens);
        let mut kept = self.full_at.lock();
        let standing = kept.buckets.get(&name).copied().unwrap_or_default();
        let after = standing.max(uptime) + refill;
        let over = (after - uptime).checked_sub(self.rate.refill * self.rate.tokens).filter(|over| !over.is_zero());
        if let Some(over) = over {
            return Level { refused_for: Some(over), ..self.level(standing, uptime) };
        }
        kept.make_room(uptime);
        kept.buckets.insert(name, after);
        self.level(after, uptime)
    }

    /// The state of a bucket.
    pub(in crate::http) fn look(&self, name: &K, uptime: Duration) -> Level {
        let kept = self.full_at.lock();
        self.level(kept.buckets.get(name).copied().unwrap_or_default(), uptime)
    }

    fn level(&self, full_at: Duration, uptime: Duration) -> Level {
        let full_in = full_at.saturating_sub(uptime);
        let missing = full_in.as_nanos().div_ceil(self.rate.refill.as_nanos().max(1));
        let remaining = self.rate.tokens.saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX));
        Level { remaining, full_in, refused_for: None }
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.full_at.lock().buckets.len()
    }
}

impl<K: Hash + Eq> Kept<K> {
    fn make_room(&mut self, uptime: Duration) {
        if self.buckets.len() < self.sweep_at {
            return;
        }
        self.buckets.retain(|_, full_at| *full_at > uptime);
        if self.buckets.len() >= BUCKETS_MAX {
            let mut instants: Vec<Duration> = self.buckets.values().copied().collect();
            let middle = instants.len() / 2;
            let (_, &mut median, _) = instants.select_nth_unstable(middle);
            self.buckets.retain(|_, full_at| *full_at > median);
        }
        // Swept again when there are twice as many: a look at each costs little when it is that rare.
        self.sweep_at = (self.buckets.len() * 2).clamp(SWEEP_MIN, BUCKETS_MAX);
        self.buckets.shrink_to(self.sweep_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_A_SECOND: Rate = Rate { tokens: 3, refill: Duration::from_millis(500) };

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_bucket_gives_its_tokens_and_then_one_for_each_refill() {
        let buckets = Buckets::new(HALF_A_SECOND);
        let remaining: Vec<u32> = (0..3).map(|_| buckets.take("a", at(1_000)).remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let refused = buckets.take("a", at(1_100));
        assert_eq!((refused.remaining, refused.full_in, refused.refused_for), (0, at(1_400), Some(at(400))));
        assert_eq!(buckets.take("b", at(1_100)).remaining, 2, "others have their own");
        let next = buckets.take("a", at(1_500));
        assert_eq!((next.remaining, next.full_in, next.refused_for), (0, at(1_500), None));
        assert_eq!(buckets.look(&"a", at(2_000)).remaining, 1);
        assert_eq!(buckets.take("a", at(60_000)).remaining, 2, "it never holds more than it can");
    }

    #[test]
    fn what_is_full_is_forgotten() {
        let buckets = Buckets::new(HALF_A_SECOND);
        for name in 0..SWEEP_MIN {
            buckets.take(name, at(0));
        }
        assert_eq!(buckets.count(), SWEEP_MIN);
        buckets.take(SWEEP_MIN, at(500));
        assert_eq!(buckets.count(), 1);
    }

    #[test]
    fn any_number_of_names_takes_bounded_memory_and_forgives_the_quiet_first() {
        let buckets = Buckets::new(Rate { tokens: 3, refill: Duration::from_secs(3_600) });
        for _ in 0..4 {
            buckets.take(usize::MAX, at(0));
        }
        for name in 0..BUCKETS_MAX * 2 {
            buckets.take(name, at(0));
        }
        assert!(buckets.count() <= BUCKETS_MAX, "{}", buckets.count());
        assert!(buckets.take(usize::MAX, at(0)).refused_for.is_some(), "clients over their limit are remembered");
    }
}
