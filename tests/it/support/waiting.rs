//! Waiting for what another thread or process brings about, and its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Nothing that a test waits for takes this long unless it hangs, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Time between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits for `condition`, which something else brings about, and fails when it does not hold within [`PATIENCE`].
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Sets its flag when it is dropped, also by a panic: threads of a scope that went on would keep the failure from ever being reported.
pub(crate) struct SetAtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
