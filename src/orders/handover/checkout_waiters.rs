//! Those who have placed an order and wait for Shopify's checkout. No thread waits with them: one answers all of them, each when its
//! order's hand-over has come to something or its time is over.

use super::turns::Place;
use crate::background::panic_message;
use crate::domain::ids::DraftOrderId;
use log::error;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Who waits at once. A request that waits keeps one of the front end's 64 upstream connections, and webhooks need them. Who
/// comes when there is no room takes the place of the one that is furthest behind, who is answered at once, or is answered at once.
const WAITING_MAX: usize = 16;

/// Orders that are remembered as reported. Between an order's commit and its wait there are moments only, and who asks for an order
/// again need not wait for what has come to nothing.
const SETTLED_MAX: usize = 256;

/// What is done when the wait is over.
type Then = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(super) struct CheckoutWaiters {
    state: Mutex<WaitersState>,
    changed: Condvar,
}

#[derive(Default)]
struct WaitersState {
    /// A worker hands orders over, so waiting makes sense.
    is_running: bool,
    waiters: VecDeque<Waiter>,
    /// The last that were reported.
    settled: VecDeque<DraftOrderId>,
}

struct Waiter {
    order: DraftOrderId,
    place: Place,
    /// `None`: now.
    until: Option<Instant>,
    then: Then,
}

impl WaitersState {
    /// Whether a request at this place may wait; makes room where those who wait are further behind. Those who are let go count for
    /// nothing: they are answered in a moment.
    fn has_room_for(&mut self, place: Place) -> bool {
        let staying = self.waiters.iter_mut().filter(|waiter| waiter.until.is_some());
        let mut staying: Vec<&mut Waiter> = staying.collect();
        if staying.len() < WAITING_MAX {
            return true;
        }
        // Of those with the same place the last one goes.
        match staying.iter_mut().max_by_key(|waiter| waiter.place) {
            Some(last) if last.place > place => {
                last.until = None;
                true
            }
            _ => false,
        }
    }
}

impl CheckoutWaiters {
    fn state(&self) -> MutexGuard<'_, WaitersState> {
        self.state.lock()
    }

    pub(super) fn len(&self) -> usize {
        self.state().waiters.len()
    }

    /// Runs `then` when the order is reported, at the end of `wait` at the latest; at once if no worker runs, there is no room,
    /// it has been reported, or `is_sent` says that it has happened already. That is asked last, so that no end falls between.
    pub(super) fn wait(
        &self,
        order: DraftOrderId,
        place: Place,
        wait: Duration,
        is_sent: impl FnOnce() -> bool,
        then: Then,
    ) {
        {
            let mut state = self.state();
            let is_over = wait.is_zero() || state.settled.contains(&order);
            if is_over || !state.is_running || !state.has_room_for(place) {
                drop(state);
                return then();
            }
            let until = Some(Instant::now() + wait);
            state.waiters.push_back(Waiter { order, place, until, then });
        }
        self.changed.notify_all();
        if is_sent() {
            self.answer(order);
        }
    }

    /// The hand-over of this order has come to something: the request that waits for it waits no longer.
    pub(super) fn answer(&self, order: DraftOrderId) {
        let mut state = self.state();
        if !state.settled.contains(&order) {
            state.settled.truncate(SETTLED_MAX - 1);
            state.settled.push_front(order);
        }
        for waiter in state.waiters.iter_mut().filter(|waiter| waiter.order == order) {
            waiter.until = None;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// No worker runs any more: requests that wait are let go.
    pub(super) fn close(&self) {
        self.state().is_running = false;
        self.changed.notify_all();
    }

    /// Answers until it is closed.
    fn run_waiters(&self) {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let is_closing = !state.is_running;
            let is_over = |waiter: &Waiter| is_closing || waiter.until.is_none_or(|until| until <= now);
            if let Some(at) = state.waiters.iter().position(is_over) {
                let waiter = state.waiters.remove(at);
                drop(state);
                // One answer that panics must not leave those behind it without any.
                if let Some(waiter) = waiter
                    && let Err(panic) = catch_unwind(AssertUnwindSafe(waiter.then))
                {
                    error!("an answer to an order panicked: {}", panic_message(panic.as_ref()));
                }
                state = self.state();
                continue;
            }
            if is_closing {
                return;
            }
            let next = state.waiters.iter().filter_map(|waiter| waiter.until).min();
            match next {
                Some(until) => {
                    self.changed.wait_for(&mut state, until.saturating_duration_since(now));
                }
                None => self.changed.wait(&mut state),
            }
        }
    }
}

impl std::fmt::Debug for CheckoutWaiters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiting").field("waiters", &self.len()).finish_non_exhaustive()
    }
}

pub(super) fn start(waiting: Arc<CheckoutWaiters>) -> std::io::Result<JoinHandle<()>> {
    waiting.state().is_running = true;
    let running = waiting.clone();
    let thread = std::thread::Builder::new().name("handover-waiting".to_owned()).spawn(move || waiting.run_waiters());
    if thread.is_err() {
        running.close();
    }
    thread
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    /// No test waits this long unless something hangs.
    const LONG: Duration = Duration::from_secs(600);

    fn order(number: u8) -> DraftOrderId {
        DraftOrderId::new(chrono::DateTime::UNIX_EPOCH, [number; 10])
    }

    fn wait(waiting: &CheckoutWaiters, order: DraftOrderId, wait: Duration, is_sent: bool) -> Receiver<()> {
        let (sender, receiver) = channel();
        waiting.wait(
            order,
            Place::default(),
            wait,
            || is_sent,
            Box::new(move || sender.send(()).expect("the test listens")),
        );
        receiver
    }

    #[test]
    fn who_waits_is_answered_when_told_and_nobody_else_is() {
        let waiting = Arc::new(CheckoutWaiters::default());
        let thread = start(waiting.clone()).expect("a thread");
        let (first, other) = (wait(&waiting, order(1), LONG, false), wait(&waiting, order(2), LONG, false));
        waiting.answer(order(1));
        first.recv_timeout(LONG).expect("answered");
        assert_eq!(waiting.len(), 1);
        waiting.close();
        other.recv_timeout(LONG).expect("let go");
        thread.join().expect("it ends");
    }

    #[test]
    fn an_answer_that_panics_keeps_nobody_else_waiting() {
        let waiting = Arc::new(CheckoutWaiters::default());
        let thread = start(waiting.clone()).expect("a thread");
        waiting.wait(order(1), Place::default(), LONG, || false, Box::new(|| panic!("as a fault of ours would")));
        let other = wait(&waiting, order(2), LONG, false);
        waiting.answer(order(1));
        waiting.answer(order(2));
        other.recv_timeout(LONG).expect("answered");
        waiting.close();
        thread.join().expect("it ends by itself");
    }

    #[test]
    fn what_is_there_already_or_has_had_its_time_is_answered() {
        let waiting = Arc::new(CheckoutWaiters::default());
        let thread = start(waiting.clone()).expect("a thread");
        wait(&waiting, order(1), LONG, true).recv_timeout(LONG).expect("answered");
        wait(&waiting, order(2), Duration::from_millis(1), false).recv_timeout(LONG).expect("answered");
        waiting.close();
        thread.join().expect("it ends");
    }

    #[test]
    fn what_was_told_of_before_the_wait_began_is_not_waited_for() {
        let waiting = Arc::new(CheckoutWaiters::default());
        let thread = start(waiting.clone()).expect("a thread");
        waiting.answer(order(1));
        wait(&waiting, order(1), LONG, false).try_recv().expect("answered in the call");
        // It is the last that are remembered, each once.
        for _ in 0..2 * SETTLED_MAX {
            waiting.answer(order(2));
        }
        wait(&waiting, order(1), LONG, false).try_recv().expect("answered in the call");
        for number in 0..SETTLED_MAX {
            waiting.answer(DraftOrderId::new(
                chrono::DateTime::UNIX_EPOCH,
                [u8::try_from(number).expect("small") ^ 0x80; 10],
            ));
        }
        assert_eq!(waiting.state().settled.len(), SETTLED_MAX);
        waiting.close();
        thread.join().expect("it ends");
    }

    #[test]
    fn who_has_ordered_less_takes_the_place_of_who_has_ordered_most() {
        let waiting = Arc::new(CheckoutWaiters::default());
        let thread = start(waiting.clone()).expect("a thread");
        let turns = crate::orders::handover::turns::Turns::default();
        let shop = "one.myshopify.com".parse().expect("a shop");
        let enter = |number: u8, client: &str| {
            let place = turns.take(order(number), &shop, client.parse().expect("an address"), Duration::ZERO);
            let (sender, receiver) = channel();
            let then = move || sender.send(()).expect("the test listens");
            waiting.wait(order(number), place, LONG, || false, Box::new(then));
            receiver
        };
        let mut waiters: Vec<_> = (0..16).map(|number| enter(number, "192.0.2.1")).collect();
        let shopper = enter(100, "192.0.2.2");
        waiters.pop().expect("the last").recv_timeout(LONG).expect("let go for the shopper");
        enter(101, "192.0.2.1").try_recv().expect("answered in the call: nobody has ordered more");
        waiting.answer(order(100));
        shopper.recv_timeout(LONG).expect("it has waited");
        assert!(waiters.iter().all(|waiter| waiter.try_recv().is_err()), "the others wait");
        waiting.close();
        thread.join().expect("it ends");
    }

    #[test]
    fn nobody_waits_where_there_is_no_room_or_nobody_answers() {
        let waiting = Arc::new(CheckoutWaiters::default());
        wait(&waiting, order(1), LONG, false).try_recv().expect("answered in the call");
        let thread = start(waiting.clone()).expect("a thread");
        let waiters: Vec<_> = (0..WAITING_MAX).map(|_| wait(&waiting, order(1), LONG, false)).collect();
        wait(&waiting, order(2), LONG, false).try_recv().expect("answered in the call");
        wait(&waiting, order(2), Duration::ZERO, false).try_recv().expect("answered in the call");
        assert_eq!(waiting.len(), WAITING_MAX);
        waiting.answer(order(1));
        for waiter in waiters {
            waiter.recv_timeout(LONG).expect("answered");
        }
        waiting.close();
        thread.join().expect("it ends");
    }
}
