//! When each connection must have got on. A connection's deadline mostly moves later, with every request it makes; so the heap
//! holds at most one entry worth the name for each and looks the present deadline up when that comes due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// The deadline of one connection, and when the heap will next look at it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    queued: Option<Instant>,
}

/// All deadlines.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, usize, u64)>>,
}

impl Timers {
    /// Sets the deadline of the connection `key`; `serial` distinguishes it from those that had this key before.
    pub(crate) fn set(&mut self, deadline: &mut Deadline, at: Instant, key: usize, serial: u64) {
        deadline.at = Some(at);
        if deadline.queued.is_none_or(|queued| queued > at) {
            deadline.queued = Some(at);
            self.heap.push(Reverse((at, key, serial)));
        }
    }

    /// When to look next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next connection whose turn has come: its key and serial.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(usize, u64)> {
        let Reverse((at, key, serial)) = *self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        Some((key, serial))
    }

    /// Whether the deadline of a connection whose turn has come is over; otherwise its turn comes again then.
    pub(crate) fn is_over(&mut self, deadline: &mut Deadline, now: Instant, key: usize, serial: u64) -> bool {
        if deadline.queued.is_some_and(|queued| queued <= now) {
            deadline.queued = None;
        }
        match deadline.at {
            None => false,
            Some(at) if at <= now => true,
            Some(at) => {
                self.set(deadline, at, key, serial);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_deadline_that_moves_is_over_once_and_at_its_last_place() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        let mut deadline = Deadline::default();
        timers.set(&mut deadline, after(10), 3, 7);
        timers.set(&mut deadline, after(20), 3, 7);
        assert_eq!(timers.heap.len(), 1, "a later deadline needs no entry of its own");
        assert_eq!(timers.pop_due(after(9)), None);
        assert_eq!(timers.pop_due(after(10)), Some((3, 7)));
        assert!(!timers.is_over(&mut deadline, after(10), 3, 7));
        timers.set(&mut deadline, after(15), 3, 7);
        assert_eq!(timers.next(), Some(after(15)));
        assert_eq!(timers.pop_due(after(15)), Some((3, 7)));
        assert!(timers.is_over(&mut deadline, after(15), 3, 7));
        timers.set(&mut deadline, after(30), 3, 7);
        assert_eq!(timers.pop_due(after(25)), Some((3, 7)), "the entry of the deadline that was moved forward");
        assert!(!timers.is_over(&mut deadline, after(25), 3, 7));
        assert_eq!(timers.pop_due(after(29)), None);
        assert_eq!(timers.pop_due(after(30)), Some((3, 7)));
        assert!(timers.is_over(&mut deadline, after(30), 3, 7));
    }
}
