//! The changes that wait for the writer, and who may write: the writer's thread, or a caller that leads a batch itself.
//!
//! A caller that finds no change being written and none waiting need not wake the writer's thread and be woken by it: it takes the lead, runs
//! its own change and those that come meanwhile, commits, and leaves what has come since to the thread. While the last batch had more
//! than one change, callers leave the lead to the thread, which then makes batches of all that wait.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::time::Instant;

/// A change that waits, and since when.
pub(super) struct QueuedChange<C> {
    pub(super) change: C,
    pub(super) since: Instant,
}

impl<C> QueuedChange<C> {
    pub(super) fn new(change: C) -> Self {
        Self { change, since: Instant::now() }
    }
}

/// Why a change was not taken.
pub(super) enum NotQueued<C> {
    Full(C),
    Closed(C),
}

/// What the thread of the writer is woken for.
pub(super) enum Turn<C> {
    Change(QueuedChange<C>),
    /// Nothing to run: the checkpointer wants something.
    Look,
}

/// The changes that wait, in their order.
pub(super) struct WriteQueue<C> {
    capacity: usize,
    state: Mutex<State<C>>,
    /// The writer's thread waits for it.
    work: Condvar,
    /// Those wait for it that wait for a place.
    room: Condvar,
    /// The thread that leads waits for it while commits are being synced.
    more: Condvar,
}

struct State<C> {
    waiting: VecDeque<QueuedChange<C>>,
    /// Callers that wait for a place.
    want_room: usize,
    /// A thread runs a batch.
    is_led: bool,
    /// Changes of the last batch.
    last_batch: usize,
    /// Batches that are committed and not synced yet.
    unsynced: usize,
    /// The thread that leads waits for more changes, or for the sync.
    wants_more: bool,
    wants_look: bool,
    is_closed: bool,
}

impl<C> WriteQueue<C> {
    /// A queue in which at most `capacity` changes wait.
    pub(super) fn new(capacity: usize) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            want_room: 0,
            is_led: false,
            last_batch: 0,
            unsynced: 0,
            wants_more: false,
            wants_look: false,
            is_closed: false,
        };
        Self { capacity, state: Mutex::new(state), work: Condvar::new(), room: Condvar::new(), more: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock()
    }

    /// Has a change wait, if there is a place.
    pub(super) fn push(&self, change: C) -> Result<(), NotQueued<C>> {
        let state = self.state();
        if state.is_closed {
            return Err(NotQueued::Closed(change));
        }
        if state.waiting.len() >= self.capacity {
            return Err(NotQueued::Full(change));
        }
        self.add(state, change);
        Ok(())
    }

    /// Has a change wait, once there is a place.
    pub(super) fn push_waiting(&self, change: C) -> Result<(), NotQueued<C>> {
        let mut state = self.state();
        while state.waiting.len() >= self.capacity && !state.is_closed {
            state.want_room += 1;
            self.room.wait(&mut state);
            state.want_room -= 1;
        }
        if state.is_closed {
            return Err(NotQueued::Closed(change));
        }
        self.add(state, change);
        Ok(())
    }

    fn add(&self, mut state: MutexGuard<'_, State<C>>, change: C) {
        state.waiting.push_back(QueuedChange::new(change));
        // The leading thread looks here again before it goes.
        let (wakes, wants_more) = (!state.is_led, state.wants_more);
        drop(state);
        if wakes {
            self.work.notify_one();
        }
        if wants_more {
            self.more.notify_one();
        }
    }

    /// Takes the lead, if no thread has it and nothing is to be done first. The thread that has it must call [`WriteQueue::step_back`].
    pub(super) fn take_lead(&self) -> bool {
        let mut state = self.state();
        let may =
            !state.is_led && state.last_batch <= 1 && state.waiting.is_empty() && !state.wants_look && !state.is_closed;
        state.is_led |= may;
        may
    }

    /// Gives the lead back, and what has come meanwhile to the writer's thread.
    pub(super) fn step_back(&self) {
        let mut state = self.state();
        state.is_led = false;
        let wakes = !state.waiting.is_empty() || state.wants_look || state.is_closed;
        drop(state);
        if wakes {
            self.work.notify_one();
        }
    }

    /// Notes how many changes a batch had.
    pub(super) fn note_batch(&self, changes: usize) {
        self.state().last_batch = changes;
    }

    /// How many changes the last batch had.
    pub(super) fn last_batch(&self) -> usize {
        self.state().last_batch
    }

    /// Notes a batch that is committed and has to be synced.
    pub(super) fn begin_sync(&self) {
        self.state().unsynced += 1;
    }

    /// Notes that a batch is synced, or never will be.
    pub(super) fn end_sync(&self) {
        let mut state = self.state();
        state.unsynced = state.unsynced.saturating_sub(1);
        drop(state);
        self.more.notify_one();
    }

    /// The next change, for the thread that leads. Where none waits and batches are being synced, waits for one until they are, or `until`.
    /// What comes meanwhile could be answered no sooner: one commit takes it all.
    pub(super) fn next(&self, until: Instant) -> Option<QueuedChange<C>> {
        let mut state = self.state();
        loop {
            if let Some(next) = state.waiting.pop_front() {
                self.make_room(&state);
                return Some(next);
            }
            if state.unsynced == 0 || state.is_closed || Instant::now() >= until {
                return None;
            }
            state.wants_more = true;
            let _timed_out = self.more.wait_until(&mut state, until);
            state.wants_more = false;
        }
    }

    /// Waits for something to do and takes the lead; `None` when nothing is left and nothing more can come.
    pub(super) fn wait(&self) -> Option<Turn<C>> {
        let mut state = self.state();
        loop {
            if !state.is_led {
                if let Some(change) = state.waiting.pop_front() {
                    state.is_led = true;
                    self.make_room(&state);
                    return Some(Turn::Change(change));
                }
                if std::mem::take(&mut state.wants_look) {
                    state.is_led = true;
                    return Some(Turn::Look);
                }
                if state.is_closed {
                    return None;
                }
            }
            self.work.wait(&mut state);
        }
    }

    /// How many batches are committed and being synced.
    pub(super) fn unsynced(&self) -> usize {
        self.state().unsynced
    }

    /// Takes out those that `is_over` says.
    pub(super) fn take_out(&self, is_over: impl Fn(&QueuedChange<C>) -> bool) -> Vec<QueuedChange<C>> {
        let mut state = self.state();
        let (over, waiting) = std::mem::take(&mut state.waiting).into_iter().partition(|waiting| is_over(waiting));
        state.waiting = waiting;
        self.make_room(&state);
        Vec::from(over)
    }

    fn make_room(&self, state: &State<C>) {
        if state.want_room > 0 {
            self.room.notify_all();
        }
    }

    /// Has the writer's thread look at what the checkpointer wants; a busy one looks after each batch anyway.
    pub(super) fn want_look(&self) {
        self.state().wants_look = true;
        self.work.notify_one();
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.work.notify_all();
        self.room.notify_all();
        self.more.notify_all();
    }
}
