//! What a thread does for the writer: one that runs changes, or gives their answers, must not wait for another change.

use std::cell::Cell;

/// What the threads of a writer do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ThreadRole {
    RunsChanges,
    GivesAnswers,
}

thread_local! {
    /// Which part this thread plays, if it is one of a writer.
    static ROLE: Cell<Option<ThreadRole>> = const { Cell::new(None) };
}

/// What this thread does for a writer, if it is one of its threads.
pub(super) fn current() -> Option<ThreadRole> {
    ROLE.get()
}

/// Whether this is the thread of a writer or of its answers: they must not wait for each other.
pub(in crate::db) fn is_own_thread() -> bool {
    ROLE.get().is_some()
}

/// What a thread is for a while, and then is no longer.
pub(super) struct Role(Option<ThreadRole>);

impl Role {
    pub(super) fn begin(role: ThreadRole) -> Self {
        Self(ROLE.replace(Some(role)))
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        ROLE.set(self.0);
    }
}

/// Panics where waiting for a commit, or for the writer, would wait for this very thread.
pub(in crate::db) fn assert_may_wait() {
    match ROLE.get() {
        None => {}
        Some(ThreadRole::RunsChanges) => {
            panic!("a change must not wait for another change: the writer would wait for itself")
        }
        // Two of them waiting would leave no thread to give the answers that they wait for.
        Some(ThreadRole::GivesAnswers) => {
            panic!("an answer must not wait for another change: hand it over with write_then or write_unbounded")
        }
    }
}
