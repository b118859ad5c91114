//! The limit of one kind of request: what a client, an IPv6 site and a store may ask at once and in the long run, and who goes first
//! once a store has used up what it may.
//!
//! A store's bucket is shared by strangers: some dozens of addresses can empty it, each within its own limit. So once it was empty the
//! store is *contested*, until it is full again: the last quarter of it is for those who have used least of theirs, the less of
//! it there is the less they may have used, and a shopper's first request passes.

use super::ClientAddress;
use super::buckets::{Buckets, Level, Rate};
use crate::domain::ids::StoreId;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

/// What is remembered of a client's use comes back so many times more slowly than its bucket: a client that asks all the time has used much,
/// however fast the bucket fills.
const MEMORY: u32 = 20;

/// How many buckets' worth of use is remembered of a client.
const REMEMBERED: u32 = 2;

/// The share of a contested store's bucket that those who have used most do not get: one in so many.
const CONTESTED_SHARE: u32 = 4;

/// How many requests, and how fast they come back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) client: Rate,
    /// How many clients' worth a whole IPv6 site has.
    pub(super) site_share: u32,
    pub(super) store: Rate,
}

/// The limit of one kind of request; clients are distinguished below a `K`.
#[derive(Debug)]
pub(super) struct Limit<K> {
    plan: Plan,
    clients: Buckets<(K, ClientAddress)>,
    sites: Buckets<(K, ClientAddress)>,
    stores: Buckets<StoreId>,
    used: Buckets<(StoreId, ClientAddress)>,
    /// As many as stores that have keys.
    contested: Mutex<HashSet<StoreId>>,
}

/// Not now: what the client has left, and how long it should wait.
pub(super) type NotNow = (Level, Duration);

impl<K: Copy + Hash + Eq> Limit<K> {
    pub(super) fn new(plan: Plan) -> Self {
        let Plan { client: Rate { tokens, refill }, site_share, store } = plan;
        Self {
            plan,
            clients: Buckets::new(plan.client),
            sites: Buckets::new(Rate { tokens: tokens.saturating_mul(site_share), refill: refill / site_share }),
            stores: Buckets::new(store),
            used: Buckets::new(Rate { tokens: tokens.saturating_mul(REMEMBERED), refill: refill * MEMORY }),
            contested: Mutex::default(),
        }
    }

    /// A client's burst.
    pub(super) fn tokens(&self) -> u32 {
        self.plan.client.tokens
    }

    /// What a client has left.
    pub(super) fn look(&self, below: K, client: ClientAddress, uptime: Duration) -> Level {
        self.clients.look(&(below, client), uptime)
    }

    /// What a whole store may ask at once.
    pub(super) fn store_tokens(&self) -> u32 {
        self.plan.store.tokens
    }

    /// Takes a request from the client's bucket, its site's and the store's.
    pub(super) fn take(
        &self,
        below: K,
        store: StoreId,
        client: ClientAddress,
        uptime: Duration,
    ) -> Result<Level, NotNow> {
        self.take_many(below, store, client, 1, uptime)
    }

    /// Takes `count` requests of a store whose clients cannot be told apart.
    pub(super) fn take_of_store(&self, store: StoreId, count: u32, uptime: Duration) -> Result<Level, NotNow> {
        let level = self.stores.take_many(store, count, uptime);
        match level.refused_for {
            Some(pause) => {
                self.lock().insert(store);
                Err((level, pause))
            }
            None => Ok(level),
        }
    }

    /// Takes `count` requests, or none.
    pub(super) fn take_many(
        &self,
        below: K,
        store: StoreId,
        client: ClientAddress,
        count: u32,
        uptime: Duration,
    ) -> Result<Level, NotNow> {
        let level = self.clients.take_many((below, client), count, uptime);
        if let Some(pause) = level.refused_for {
            return Err((level, pause));
        }
        let site = client.site().and_then(|site| self.sites.take_many((below, site), count, uptime).refused_for);
        if let Some(pause) = site.or_else(|| self.behind(store, client, uptime)) {
            return Err((level, pause));
        }
        if let Err((_, pause)) = self.take_of_store(store, count, uptime) {
            return Err((level, pause));
        }
        self.used.take_many((store, client), count, uptime);
        Ok(level)
    }

    /// How long this client has to wait while those go first who have used less of a contested store.
    fn behind(&self, store: StoreId, client: ClientAddress, uptime: Duration) -> Option<Duration> {
        if !self.lock().contains(&store) {
            return None;
        }
        let left = self.stores.look(&store, uptime).remaining;
        if left >= self.plan.store.tokens {
            self.lock().remove(&store);
            return None;
        }
        let enough = (self.plan.store.tokens / CONTESTED_SHARE).max(1);
        let used = self.tokens().saturating_mul(REMEMBERED) - self.used.look(&(store, client), uptime).remaining;
        // A client that has used all of one bucket gets nothing of the last quarter, who has used a tenth of it nothing of its last
        // third, and the very last is for those who have used nothing: by the root, for it is them whom a flood takes it from.
        let enough = u64::from(enough);
        let wanted = 1 + (u64::from(used) * enough * enough / u64::from(self.tokens().max(1))).isqrt();
        let wanted = u32::try_from(wanted.min(enough)).unwrap_or(u32::MAX);
        (left < wanted).then(|| self.plan.store.refill * (wanted - left))
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<StoreId>> {
        self.contested.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// As the storefront has it.
    fn limit() -> Limit<StoreId> {
        Limit::new(Plan {
            client: Rate { tokens: 120, refill: MILLISECOND * 500 },
            site_share: 10,
            store: Rate { tokens: 6_000, refill: MILLISECOND * 10 },
        })
    }

    fn store(number: u128) -> StoreId {
        Uuid::from_u128(number).into()
    }

    fn client(number: u32) -> ClientAddress {
        ClientAddress::of(std::net::Ipv4Addr::from(0x0a00_0000 + number).into())
    }

    /// Two minutes in which so many addresses ask as much as they can, and a new one each second: how many of those are refused,
    /// and how many requests passed.
    fn flood(limit: &Limit<StoreId>, addresses: u32) -> (u32, u32) {
        let (mut refused, mut passed) = (0, 0);
        for tenth in 0..1_200_u32 {
            let uptime = MILLISECOND * 100 * tenth;
            for address in 0..addresses {
                for _ in 0..2 {
                    passed += u32::from(limit.take(store(1), store(1), client(address), uptime).is_ok());
                }
            }
            if tenth % 10 == 9 {
                // A shopper's first requests: the page, its options, a price.
                for _ in 0..3 {
                    let one = limit.take(store(1), store(1), client(1_000_000 + tenth), uptime + MILLISECOND * 50);
                    refused += u32::from(one.is_err());
                }
            }
        }
        (refused, passed)
    }

    #[test]
    fn those_who_use_most_go_without_first_and_a_shoppers_first_requests_pass() {
        for addresses in [70, 200] {
            let limit = limit();
            let (refused, passed) = flood(&limit, addresses);
            // 360 honest ones. The moment in which the bucket is emptied may cost some.
            assert!(refused <= 9, "{addresses}: {refused} of 360 refused");
            let most = 6_000 + 100 * 120 + 360;
            assert!(passed <= most, "{addresses}: the store's own limit holds: {passed}");
            assert!(passed > most / 2, "{addresses}: what no other client wants is theirs: {passed}");
        }
    }

    #[test]
    fn a_store_that_is_not_contested_serves_everybody_alike_and_others_are_not_touched() {
        let limit = limit();
        for number in 0..6_000 {
            assert!(limit.take(store(1), store(1), client(number % 50), Duration::ZERO).is_ok(), "{number}");
        }
        let (_, pause) = limit.take(store(1), store(1), client(51), Duration::ZERO).expect_err("empty");
        assert_eq!(pause, MILLISECOND * 10);
        assert!(limit.take(store(2), store(2), client(1), Duration::ZERO).is_ok());
        // A second later there are a hundred: for those who are new, not for those who had theirs.
        let later = Duration::from_secs(1);
        let (_, pause) = limit.take(store(1), store(1), client(1), later).expect_err("contested");
        assert_eq!(pause, Duration::from_secs(14));
        assert!(limit.take(store(1), store(1), client(51), later).is_ok());
        // A quarter of it is back, and what is above it is anybody's.
        let later = Duration::from_secs(16);
        let passed =
            (0..200).filter(|number| limit.take(store(1), store(1), client(number % 50), later).is_ok()).count();
        assert!((80..=120).contains(&passed), "{passed}");
        assert!(limit.take(store(1), store(1), client(52), later).is_ok());
        // Full again, it is as if nothing had been.
        let later = Duration::from_secs(90);
        let passed =
            (0..6_100).filter(|number| limit.take(store(1), store(1), client(number % 52), later).is_ok()).count();
        assert_eq!(passed, 6_000);
    }
}
