//! A map of bounded size. What was not asked for while half of it was filled anew is forgotten: near enough to "least recently used",
//! and both looking up and forgetting take no time that grows with it.

use std::collections::HashMap;
use std::hash::Hash;

#[derive(Debug)]
pub(super) struct Cache<K, V> {
    half: usize,
    young: HashMap<K, Kept<V>>,
    young_bytes: usize,
    old: HashMap<K, Kept<V>>,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    bytes: usize,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// A cache for values that take about `bytes` together.
    pub(super) fn new(bytes: usize) -> Self {
        Self { half: bytes / 2, young: HashMap::new(), young_bytes: 0, old: HashMap::new() }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(kept) = self.young.get(key) {
            return Some(kept.value.clone());
        }
        let (key, kept) = self.old.remove_entry(key)?;
        let value = kept.value.clone();
        self.put(key, kept);
        Some(value)
    }

    pub(super) fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        self.put(key, Kept { value, bytes });
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(kept) = self.young.remove(key) {
            self.young_bytes -= kept.bytes;
        }
        self.old.remove(key);
    }

    /// Forgets what `stays` says no to.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&K, &V) -> bool) {
        self.old.retain(|key, kept| stays(key, &kept.value));
        self.young.retain(|key, kept| stays(key, &kept.value));
        self.young_bytes = self.young.values().map(|kept| kept.bytes).sum();
    }

    pub(super) fn keys(&self) -> Vec<K> {
        self.young.keys().chain(self.old.keys()).cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn put(&mut self, key: K, kept: Kept<V>) {
        if self.young_bytes + kept.bytes > self.half {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += kept.bytes;
        self.young.insert(key, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let mut cache = Cache::new(100);
        cache.insert("often", 0, 10);
        for number in 1..1_000 {
            cache.insert("seldom", 1, 10);
            let name: &'static str = ["a", "b", "c", "d", "e", "f", "g", "h"][number % 8];
            cache.insert(name, number, 10);
            assert_eq!(cache.get(&"often"), Some(0), "{number}");
            assert!(cache.len() <= 10, "{}", cache.len());
        }
        cache.remove(&"often");
        assert_eq!(cache.get(&"often"), None);
        cache.retain(|_, _| false);
        assert_eq!((cache.len(), cache.young_bytes), (0, 0));
    }

    #[test]
    fn a_value_larger_than_all_is_kept_and_goes_like_any_other() {
        let mut cache = Cache::new(10);
        cache.insert("large", 0, 1_000);
        assert_eq!(cache.get(&"large"), Some(0));
        for (number, name) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
            cache.insert(name, number, 1);
        }
        assert_eq!((cache.get(&"large"), cache.get(&"f"), cache.len()), (None, Some(5), 6));
    }
}
