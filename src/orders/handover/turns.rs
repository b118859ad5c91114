//! Whose order goes over first. Everybody's goes at once while there are threads for it; this is for when there are not.
//!
//! Orders go over in the order of their jobs' times, and a job may be dated back ([`crate::queue::NewJob::ahead`]): the first
//! order of a client goes before the second of any other, and within such a round each shop has its turn. So a client that orders by
//! the hundred is in its own way, and the queue, which knows nothing of clients and shops, looks at one index as before. In
//! memory only, for some minutes: after a restart everybody is new.

use crate::domain::ids::{DraftOrderId, ShopDomain};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

/// By how much each further order of a client goes behind, and how long it takes until one is forgotten.
const ROUND: Duration = Duration::from_secs(60);

/// Rounds that are distinguished: a client's eleventh order within a minute goes with its tenth.
const ROUNDS: u32 = 10;

/// By how much each further order of a shop goes behind within its round.
const SHOP_STEP: Duration = Duration::from_millis(500);

/// The longest that an order goes ahead of its time. Also for how long others may go before a job that had to wait.
const AHEAD_MAX: Duration = Duration::from_secs(60 * 10);

/// Clients, shops and orders that are remembered, each: beyond it those that are new count as the first.
const REMEMBERED_MAX: usize = 50_000;

/// How often those that are forgotten make room, where there is none: each look is at all of them.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How far an order is behind those of others who have ordered less: from nothing to [`AHEAD_MAX`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(Duration);

impl Place {
    /// By how much its job goes ahead of its time.
    pub(super) fn ahead(self) -> Duration {
        AHEAD_MAX.saturating_sub(self.0)
    }

    /// A rest that all orders of a shop take, so that each comes back in its place: those that end in one moment would be in the order
    /// of their coming again. At most twelve milliseconds longer.
    pub(super) fn after(self, rest: Duration) -> Duration {
        rest + self.0 / 50_000
    }
}

#[derive(Default)]
pub(super) struct Turns(Mutex<State>);

#[derive(Default)]
struct State {
    clients: Steps<(ShopDomain, u128)>,
    shops: Steps<(ShopDomain, u32)>,
    /// With when each was given.
    places: HashMap<DraftOrderId, (Place, Duration)>,
    swept_at: Duration,
}

/// Until when each name is behind.
struct Steps<K> {
    until: HashMap<K, Duration>,
    swept_at: Duration,
}

impl<K> Default for Steps<K> {
    fn default() -> Self {
        Self { until: HashMap::new(), swept_at: Duration::ZERO }
    }
}

impl Turns {
    /// The place of a new order. `uptime` must not run backwards.
    pub(super) fn take(&self, order: DraftOrderId, shop: &ShopDomain, client: IpAddr, uptime: Duration) -> Place {
        let mut state = self.lock();
        let behind = state.clients.step((shop.clone(), network(client)), uptime, ROUND, ROUND * ROUNDS);
        let round = u32::try_from(behind.as_millis().div_ceil(ROUND.as_millis())).unwrap_or(ROUNDS).min(ROUNDS - 1);
        // The last of a round stays before the first of the next.
        let within = state.shops.step((shop.clone(), round), uptime, SHOP_STEP, ROUND - SHOP_STEP);
        let place = Place(ROUND * round + within.min(ROUND - SHOP_STEP));
        if state.places.len() >= REMEMBERED_MAX && uptime.saturating_sub(state.swept_at) >= SWEEP_EVERY {
            // Another process may hand them over, and then this one does not learn that they are over.
            state.places.retain(|_, (_, given_at)| uptime.saturating_sub(*given_at) < AHEAD_MAX);
            state.swept_at = uptime;
        }
        if state.places.len() < REMEMBERED_MAX {
            state.places.insert(order, (place, uptime));
        }
        place
    }

    /// The place of an order that has been given one and is not over.
    pub(super) fn of(&self, order: DraftOrderId) -> Place {
        self.lock().places.get(&order).map(|(place, _)| *place).unwrap_or_default()
    }

    /// The order needs its place no more.
    pub(super) fn end(&self, order: DraftOrderId) {
        self.lock().places.remove(&order);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl<K: Hash + Eq> Steps<K> {
    /// How far `name` is behind now, of `most`; it is `by` more behind from now on.
    fn step(&mut self, name: K, uptime: Duration, by: Duration, most: Duration) -> Duration {
        if self.until.len() >= REMEMBERED_MAX && uptime.saturating_sub(self.swept_at) >= SWEEP_EVERY {
            self.until.retain(|_, until| *until > uptime);
            self.swept_at = uptime;
        }
        let behind = self.until.get(&name).copied().unwrap_or_default().saturating_sub(uptime);
        if self.until.len() < REMEMBERED_MAX || self.until.contains_key(&name) {
            self.until.insert(name, uptime + (behind + by).min(most));
        }
        behind
    }
}

/// Who counts as one: an IPv4 address, or the network of an IPv6 one, for a single machine has 2^64 addresses in it.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    struct Line {
        turns: Turns,
        placed: Vec<(Duration, &'static str)>,
        number: u128,
    }

    impl Line {
        fn new() -> Self {
            Self { turns: Turns::default(), placed: Vec::new(), number: 0 }
        }

        /// An order, at a time that is long after the start.
        fn order(&mut self, name: &'static str, shop: &str, client: u32, at: Duration) {
            self.number += 1;
            let shop = format!("{shop}.myshopify.com").parse().expect("a shop");
            let address = std::net::Ipv4Addr::from(client).into();
            let place = self.turns.take(uuid::Uuid::from_u128(self.number).into(), &shop, address, at);
            self.placed.push((SECOND * 3_600 + at - place.ahead(), name));
        }

        /// How many go before the first that is called so.
        fn before(&self, name: &str) -> usize {
            let own = self.placed.iter().filter(|(_, found)| *found == name).min().expect("placed");
            self.placed.iter().filter(|(at, found)| *found != name && *at <= own.0).count()
        }
    }

    #[test]
    fn ten_clients_with_many_orders_stand_before_a_shopper_with_one_each() {
        let mut line = Line::new();
        for number in 0..1_000 {
            line.order("flood", "one", number % 10, SECOND);
        }
        line.order("shopper", "one", 1_000, SECOND * 30);
        assert!(line.before("shopper") <= 10, "{}", line.before("shopper"));
    }

    #[test]
    fn a_shop_with_many_clients_leaves_the_others_their_turn() {
        let mut line = Line::new();
        for number in 0..1_000 {
            line.order("flood", "one", number, SECOND);
        }
        line.order("shopper", "other", 5_000, SECOND * 2);
        assert!(line.before("shopper") <= 3, "{}", line.before("shopper"));
    }

    #[test]
    fn those_who_have_waited_for_long_go_before_whoever_comes() {
        let mut line = Line::new();
        for _ in 0..100 {
            line.order("flood", "one", 1, SECOND);
        }
        line.order("shopper", "one", 2, SECOND * 700);
        assert_eq!(line.before("shopper"), 100);
    }

    #[test]
    fn what_is_ordered_now_and_then_goes_in_its_order_and_nothing_is_dated_ahead_of_its_time() {
        let mut line = Line::new();
        for number in 0..50 {
            line.order("shopper", if number % 2 == 0 { "one" } else { "other" }, number, SECOND * number);
        }
        assert!(line.placed.is_sorted(), "{:?}", line.placed);
        for _ in 0..50 {
            line.order("flood", "one", 7, SECOND * 60);
        }
        let now = SECOND * 3_660;
        assert!(line.placed.iter().all(|(at, _)| *at <= now && *at >= SECOND * 3_600 - AHEAD_MAX));
    }

    #[test]
    fn memory_is_bounded() {
        let turns = Turns::default();
        let shop: ShopDomain = "one.myshopify.com".parse().expect("a shop");
        for number in 0..60_000_u32 {
            let order = uuid::Uuid::from_u128(number.into()).into();
            turns.take(order, &shop, std::net::Ipv4Addr::from(number).into(), SECOND);
        }
        let kept = || {
            let state = turns.lock();
            (state.clients.until.len(), state.places.len())
        };
        assert_eq!(kept(), (REMEMBERED_MAX, REMEMBERED_MAX));
        // What is over makes room.
        turns.take(uuid::Uuid::from_u128(1).into(), &shop, std::net::Ipv4Addr::LOCALHOST.into(), SECOND * 3_600);
        assert_eq!(kept(), (1, 1));
        turns.end(uuid::Uuid::from_u128(1).into());
        assert_eq!(kept(), (1, 0));
    }
}
