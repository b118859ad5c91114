//! What is left to do after a commit: its callbacks, and the answers to the callers of its changes.

use super::super::AfterCommit;
use super::change::{Change, CommitOutcome};
use super::{ROLE, ThreadRole};
use crate::background::panic_message;
use log::error;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Receiver;

/// What is left to do after a commit, or after one that failed.
pub(super) struct AfterBatch {
    pub(super) after_commit: Vec<AfterCommit>,
    pub(super) answers: Vec<PendingAnswer>,
}

/// A change that has run, and what became of its transaction.
pub(super) struct PendingAnswer {
    pub(super) change: Box<dyn Change>,
    pub(super) outcome: CommitOutcome,
}

impl AfterBatch {
    /// Log lines first, so that a change is logged before its caller acts on it.
    pub(super) fn give(self) {
        for then in self.after_commit {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(then)) {
                error!("an after-commit callback panicked: {}", panic_message(panic.as_ref()));
            }
        }
        for PendingAnswer { change, outcome } in self.answers {
            give_answer(change, outcome);
        }
    }
}

/// Gives answers until no more will come: what the threads for answers do.
pub(super) fn give_answers(outbox: &Mutex<Receiver<AfterBatch>>) {
    ROLE.set(Some(ThreadRole::GivesAnswers));
    loop {
        let received = outbox.lock().recv();
        let Ok(answers) = received else { return };
        answers.give();
    }
}

fn give_answer(change: Box<dyn Change>, outcome: CommitOutcome) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| change.answer(outcome))) {
        error!("an answer after a commit panicked: {}", panic_message(panic.as_ref()));
    }
}
