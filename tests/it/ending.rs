//! The end of what goes on alongside a test.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets its flag when it is dropped, also by a panic: threads of a scope that went on would keep the failure from ever being told.
pub(crate) struct SetAtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
