//! What was found out a moment ago, for pages that would otherwise ask for it again and again.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Values that are good for a while, the newest few of them.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    life: Duration,
    most: usize,
    held: Mutex<VecDeque<(K, Instant, V)>>,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    /// Holds `most` values, each for `life`.
    pub(super) fn new(life: Duration, most: usize) -> Self {
        Self { life, most, held: Mutex::default() }
    }

    /// The value of `key`, while it is good.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let held = self.held.lock();
        let found = held.iter().find(|(held, at, _)| held == key && at.elapsed() < self.life);
        found.map(|(.., value)| value.clone())
    }

    /// Holds a value. The oldest makes room for it.
    pub(super) fn put(&self, key: K, value: V) {
        let mut held = self.held.lock();
        held.retain(|(held, at, _)| *held != key && at.elapsed() < self.life);
        while held.len() >= self.most {
            held.pop_front();
        }
        held.push_back((key, Instant::now(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_held_and_only_while_they_are_good() {
        let recent = Recent::new(Duration::from_secs(3_600), 2);
        for key in [1, 2, 3, 3] {
            recent.put(key, key * 10);
        }
        assert_eq!([1, 2, 3].map(|key| recent.get(&key)), [None, Some(20), Some(30)]);
        let gone = Recent::new(Duration::ZERO, 2);
        gone.put(1, 1);
        assert_eq!(gone.get(&1), None);
    }
}
