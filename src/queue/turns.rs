//! Whose turn it is: jobs of one subject stand behind one another, so that a flood of one subject holds up no other.
//!
//! Kept in memory, by the process that enqueues: an index of the waiting jobs by their subject would be another tree in which each job
//! comes to a page of its own, which cost a fifth of the bytes of a webhook (measured). What is forgotten at a restart, or unknown of
//! another process's jobs, costs a subject's own jobs their order among each other, and nobody anything else.

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use std::collections::HashMap;

/// How far behind one another the jobs of one subject stand: where others wait too, it has about ten of them run a second.
const TURN: TimeDelta = TimeDelta::milliseconds(100);

/// Subjects that are remembered; beyond, those whose last job was due before now are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// The place of the last job of each subject that may still wait, for internal and for external jobs.
#[derive(Debug, Default)]
pub(super) struct Turns {
    last: Mutex<[HashMap<String, DateTime<Utc>>; 2]>,
}

impl Turns {
    /// The turn of a job about `subject` that is enqueued now: none where no other is known to wait, else behind the last of them.
    /// However many jobs a subject has waiting, those of others that come later are run before most of them; where no other subject
    /// waits, a turn holds nothing up.
    pub(super) fn next(&self, now: DateTime<Utc>, subject: &str, external: bool) -> Option<DateTime<Utc>> {
        let last = self.last.lock()[usize::from(external)].get(subject).copied()?;
        Some(last.max(now) + TURN)
    }

    /// Notes the place of a job that was enqueued.
    pub(super) fn note(&self, now: DateTime<Utc>, subject: &str, external: bool, place: DateTime<Utc>) {
        let mut last = self.last.lock();
        let of_kind = &mut last[usize::from(external)];
        if let Some(last) = of_kind.get_mut(subject) {
            *last = place;
            return;
        }
        if of_kind.len() >= REMEMBERED_MAX {
            of_kind.retain(|_, last| *last >= now);
        }
        of_kind.insert(subject.to_owned(), place);
    }

    /// Nothing of this kind waits any more.
    pub(super) fn forget(&self, external: bool) {
        self.last.lock()[usize::from(external)].clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_that_waits_stands_behind_itself_until_nothing_of_its_kind_waits() {
        let (turns, now) = (Turns::default(), DateTime::<Utc>::UNIX_EPOCH);
        assert_eq!(turns.next(now, "a", false), None);
        turns.note(now, "a", false, now);
        let second = turns.next(now, "a", false).expect("another waits");
        assert_eq!(second, now + TURN);
        turns.note(now, "a", false, second);
        assert_eq!(turns.next(now, "a", false), Some(now + TURN * 2));
        assert_eq!(
            turns.next(now + TURN * 5, "a", false),
            Some(now + TURN * 6),
            "never before those who have come since"
        );
        assert_eq!((turns.next(now, "b", false), turns.next(now, "a", true)), (None, None));
        turns.forget(true);
        assert_eq!(turns.next(now, "a", false), Some(now + TURN * 2));
        turns.forget(false);
        assert_eq!(turns.next(now, "a", false), None);
    }

    #[test]
    fn what_has_been_due_for_long_is_forgotten_first() {
        let (turns, now) = (Turns::default(), DateTime::<Utc>::UNIX_EPOCH);
        for number in 0..REMEMBERED_MAX {
            turns.note(now, &number.to_string(), false, now + TimeDelta::milliseconds(i64::from(number == 7)));
        }
        let later = now + TimeDelta::milliseconds(1);
        turns.note(later, "new", false, later);
        assert_eq!(turns.last.lock()[0].len(), 2);
        assert!(turns.next(later, "7", false).is_some());
    }
}
