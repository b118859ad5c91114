//! What is left to do after a commit: its callbacks, and the answers to the callers of its changes.

use super::super::AfterCommit;
use super::super::notify::CommitNotifier;
use super::super::wal_sync::WalSync;
use super::WriteQueue;
use super::change::{Change, CommitOutcome};
use super::role::{Role, ThreadRole};
use crate::background::panic_message;
use log::error;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// What is left to do after a commit, or after one that failed.
pub(super) struct AfterBatch {
    /// Set where SQLite has not synced the commit: who gives the answers does so first.
    pub(super) unsynced: Option<Unsynced>,
    pub(super) after_commit: Vec<AfterCommit>,
    pub(super) answers: Vec<PendingAnswer>,
}

/// A commit that is not on the disk yet.
pub(super) struct Unsynced {
    pub(super) wal: Arc<WalSync>,
    /// Others are to be woken by it.
    pub(super) is_announced: bool,
}

/// Whom a commit concerns that has come to the disk.
pub(super) struct Syncing {
    pub(super) queue: Arc<WriteQueue>,
    pub(super) notifier: Arc<CommitNotifier>,
}

impl Syncing {
    /// Brings the commit of these answers to the disk, or has them tell that it could not be.
    fn settle(&self, answers: &mut AfterBatch) {
        let Some(Unsynced { wal, is_announced }) = answers.unsynced.take() else { return };
        let synced = wal.sync();
        self.queue.end_sync();
        if let Err(error) = synced {
            answers.after_commit.clear();
            let outcome = CommitOutcome::unsynced(&error);
            for answer in answers.answers.iter_mut().filter(|answer| matches!(answer.outcome, CommitOutcome::Committed))
            {
                answer.outcome = outcome.clone();
            }
        } else if is_announced {
            self.notifier.notify();
        }
    }
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
pub(super) fn give_answers(outbox: &Mutex<Receiver<AfterBatch>>, syncing: &Syncing) {
    let _role = Role::begin(ThreadRole::GivesAnswers);
    loop {
        let received = outbox.lock().recv();
        let Ok(mut answers) = received else { return };
        syncing.settle(&mut answers);
        answers.give();
    }
}

fn give_answer(change: Box<dyn Change>, outcome: CommitOutcome) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| change.answer(outcome))) {
        error!("an answer after a commit panicked: {}", panic_message(panic.as_ref()));
    }
}
