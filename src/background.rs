//! Threads that go on until they are stopped, whatever panics: the stop signal, the loop around them, and what a
//! panic says.

use log::error;
use parking_lot::{Condvar, Mutex};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Asks a loop to stop, at once even while it pauses.
#[derive(Debug, Default)]
pub struct Stop {
    asked: Mutex<bool>,
    wake: Condvar,
}

impl Stop {
    /// Asks.
    pub fn ask(&self) {
        *self.asked.lock() = true;
        self.wake.notify_all();
    }

    /// Waits for `pause`, or until it is asked to stop; returns whether it is.
    pub fn rest(&self, pause: Duration) -> bool {
        let mut asked = self.asked.lock();
        self.wake.wait_while_for(&mut asked, |asked| !*asked, pause);
        *asked
    }
}

/// The pause of a loop in the background after it has panicked.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// Starts a loop in the background that ends when it is asked to, and goes on after a panic: a process whose erasures are never
/// scrubbed would look as if all were well.
///
/// # Errors
/// When the thread cannot be started.
pub fn keep_going(
    name: &'static str,
    stop: Arc<Stop>,
    run: impl Fn(&Stop) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&stop))) {
            error!("the {name} loop panicked, it goes on after a pause: {}", panic_message(panic.as_ref()));
            if stop.rest(PANIC_PAUSE) {
                return;
            }
        }
    })
}

/// The text of a panic, where it has one.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
