//! What the writer is asked to do on its connection between two batches, while no transaction is open.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

type Errand<W> = Box<dyn FnOnce(&W) + Send>;

/// Errands that wait for a writer `W`.
pub(super) struct Errands<W> {
    waiting: Mutex<Vec<Errand<W>>>,
    any: AtomicBool,
}

impl<W> Errands<W> {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::default(), any: AtomicBool::new(false) }
    }

    pub(super) fn add(&self, errand: impl FnOnce(&W) + Send + 'static) {
        self.waiting.lock().push(Box::new(errand));
        self.any.store(true, Ordering::Release);
    }

    /// Runs those that wait.
    pub(super) fn run(&self, writer: &W) {
        if self.any.swap(false, Ordering::Acquire) {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            for errand in waiting {
                errand(writer);
            }
        }
    }

    /// Drops those that wait: whoever waits for them learns that nobody comes.
    pub(super) fn close(&self) {
        self.waiting.lock().clear();
    }
}
