//! For how long it has been unclear whether an order is at Shopify, by the time that has really passed. The note in the order's row is
//! by the wall clock: set forward, it would have the settling time be over at once, and the draft be asked for twice. In memory only,
//! for the wall clock is all that another process knows.
//!
//! And which orders' calls are under way. The note is written before the call is sent, and a run that is held up between the two may
//! lose its job to another, which finds the note, waits until the settling time is over, and asks for the draft that the first one is
//! about to ask for. So no job asks while another still may, and the settling time begins when the call has ended.

use crate::domain::ids::DraftOrderId;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Orders that are remembered at once; of more, the wall clock must do.
const ORDERS_MAX: usize = 50_000;

#[derive(Default)]
pub(super) struct Uncertain {
    seen: Mutex<HashMap<DraftOrderId, Seen>>,
    calls: Mutex<HashSet<DraftOrderId>>,
}

/// No other run of this process asks for the order's draft until it is dropped.
pub(super) struct Call<'a> {
    uncertain: &'a Uncertain,
    order: DraftOrderId,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.uncertain.lock_calls().remove(&self.order);
    }
}

/// How old a note was, and when that was seen, by the clock's uptime.
#[derive(Clone, Copy)]
struct Seen {
    age: Duration,
    at: Duration,
}

impl Seen {
    fn age(self, uptime: Duration) -> Duration {
        self.age + uptime.saturating_sub(self.at)
    }
}

impl Uncertain {
    /// The right to ask for an order's draft; `None` while another run has it.
    pub(super) fn call(&self, order: DraftOrderId) -> Option<Call<'_>> {
        let is_first = self.lock_calls().insert(order);
        // Only then: what is made here and dropped would end the other's.
        is_first.then(|| Call { uncertain: self, order })
    }

    /// Whether a run is asking for an order's draft.
    pub(super) fn is_called(&self, order: DraftOrderId) -> bool {
        self.lock_calls().contains(&order)
    }

    /// A draft is asked for now, or has been until now.
    pub(super) fn begin(&self, order: DraftOrderId, uptime: Duration) {
        self.lock().remove(&order);
        self.age(order, Duration::ZERO, uptime, Duration::MAX);
    }

    /// The age of an order's note that is `by_the_wall` old by the wall clock; what was seen of it here may say less. What is older
    /// than `settle` has settled, and is not remembered.
    pub(super) fn age(
        &self,
        order: DraftOrderId,
        by_the_wall: Duration,
        uptime: Duration,
        settle: Duration,
    ) -> Duration {
        let mut orders = self.lock();
        if orders.len() >= ORDERS_MAX {
            orders.retain(|_, seen| seen.age(uptime) < settle);
        }
        if let Some(seen) = orders.get(&order) {
            return by_the_wall.min(seen.age(uptime));
        }
        if by_the_wall < settle && orders.len() < ORDERS_MAX {
            orders.insert(order, Seen { age: by_the_wall, at: uptime });
        }
        by_the_wall
    }

    /// It has become clear, or no run asks any more.
    pub(super) fn end(&self, order: DraftOrderId) {
        self.lock().remove(&order);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DraftOrderId, Seen>> {
        self.seen.lock()
    }

    fn lock_calls(&self) -> MutexGuard<'_, HashSet<DraftOrderId>> {
        self.calls.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SETTLE: Duration = Duration::from_secs(600);

    fn order(number: u128) -> DraftOrderId {
        uuid::Uuid::from_u128(number).into()
    }

    #[test]
    fn a_clock_that_is_set_forward_makes_nothing_older() {
        let uncertain = Uncertain::default();
        uncertain.begin(order(1), SECOND * 100);
        let age = |wall: u32, uptime: u32| uncertain.age(order(1), SECOND * wall, SECOND * uptime, SETTLE);
        assert_eq!(age(5, 105), SECOND * 5);
        assert_eq!(age(86_400, 106), SECOND * 6);
        // Set back again, the wall clock may say less too.
        assert_eq!(age(3, 110), SECOND * 3);
        assert_eq!(age(90_000, 700), SETTLE);
        uncertain.begin(order(1), SECOND * 700);
        assert_eq!(age(90_000, 701), SECOND);
        uncertain.end(order(1));
        assert_eq!(age(90_000, 702), SECOND * 90_000);
    }

    #[test]
    fn of_a_note_that_an_earlier_process_made_the_wall_clock_tells_the_first_time_only() {
        let uncertain = Uncertain::default();
        assert_eq!(uncertain.age(order(1), SECOND * 30, SECOND, SETTLE), SECOND * 30);
        assert_eq!(uncertain.age(order(1), SECOND * 86_400, SECOND * 2, SETTLE), SECOND * 31);
    }

    #[test]
    fn one_run_at_a_time_asks_for_an_orders_draft() {
        let uncertain = Uncertain::default();
        let call = uncertain.call(order(1));
        assert!(call.is_some() && uncertain.is_called(order(1)) && uncertain.call(order(1)).is_none());
        assert!(uncertain.call(order(2)).is_some());
        assert!(uncertain.is_called(order(1)), "who asks in vain takes nothing away");
        drop(call);
        assert!(!uncertain.is_called(order(1)) && uncertain.call(order(1)).is_some());
    }

    #[test]
    fn memory_is_bounded() {
        let uncertain = Uncertain::default();
        for number in 0..ORDERS_MAX as u128 {
            uncertain.begin(order(number), SECOND);
        }
        // There is no room, and then those that have settled make some.
        assert_eq!(uncertain.age(order(ORDERS_MAX as u128), SECOND, SECOND * 2, SETTLE), SECOND);
        assert_eq!(uncertain.lock().len(), ORDERS_MAX);
        uncertain.age(order(ORDERS_MAX as u128), SECOND, SECOND * 601, SETTLE);
        assert_eq!(uncertain.lock().len(), 1);
    }
}
