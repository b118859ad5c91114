//! Things that are named by a small number, which is used again when they are gone.

/// A list with holes.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(crate) fn insert(&mut self, thing: T) -> usize {
        if let Some(key) = self.free.pop() {
            self.places[key] = Some(thing);
            key
        } else {
            self.places.push(Some(thing));
            self.places.len() - 1
        }
    }

    pub(crate) fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        self.places.get_mut(key).and_then(Option::as_mut)
    }

    pub(crate) fn remove(&mut self, key: usize) -> Option<T> {
        let thing = self.places.get_mut(key).and_then(Option::take)?;
        self.free.push(key);
        Some(thing)
    }

    /// The names of all that are there.
    pub(crate) fn keys(&self) -> Vec<usize> {
        self.places.iter().enumerate().filter(|(_, thing)| thing.is_some()).map(|(key, _)| key).collect()
    }
}
