//! Orders of the last few seconds that came without an `Idempotency-Key`: a double click is one order. In memory only, and by hashes
//! whose key ends with the process, for a client's address is part of what is compared.
//!
//! It is written by changes in their transaction, so that of twenty at once one makes the order and the others find it. Should
//! that transaction be lost with its order, what is noted here leads nowhere, and the next change makes the order.

use super::shopper::Shopper;
use crate::domain::ids::{DraftOrderId, KeyId};
use crate::entropy::Entropy;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// How long the same order again counts as the first one.
const WINDOW: Duration = Duration::from_secs(5);

/// Orders remembered at the most: all of five seconds at 10,000 a second.
const ORDERS_MAX: usize = 50_000;

/// What distinguishes orders: who made it, and what was ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

pub(super) struct RecentOrders {
    secret: [u8; 32],
    orders: Mutex<ByFingerprint>,
}

#[derive(Default)]
struct ByFingerprint {
    by_fingerprint: HashMap<Fingerprint, (Duration, DraftOrderId)>,
    in_order: VecDeque<(Duration, Fingerprint)>,
}

impl RecentOrders {
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        Self { secret: entropy.array(), orders: Mutex::default() }
    }

    pub(super) fn fingerprint(&self, key: KeyId, shopper: &Shopper<'_>, order_hash: &[u8; 32]) -> Fingerprint {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        let address = match shopper.address.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        // All three have one length each, so they need nothing between them.
        mac.update(key.to_string().as_bytes());
        mac.update(&address.octets());
        mac.update(order_hash);
        // Two shoppers behind one address, and everybody where a proxy is not known as one, differ in these only.
        for text in shopper.traits {
            mac.update(&(text.len() as u64).to_le_bytes());
            mac.update(text.as_bytes());
        }
        Fingerprint(mac.finalize().into_bytes().into())
    }

    /// The order that was made like this, if it was a moment ago.
    pub(super) fn find(&self, uptime: Duration, fingerprint: &Fingerprint) -> Option<DraftOrderId> {
        let orders = self.orders.lock();
        let &(at, order) = orders.by_fingerprint.get(fingerprint)?;
        (uptime.saturating_sub(at) < WINDOW).then_some(order)
    }

    pub(super) fn note(&self, uptime: Duration, fingerprint: Fingerprint, order: DraftOrderId) {
        let mut orders = self.orders.lock();
        let ByFingerprint { by_fingerprint, in_order } = &mut *orders;
        while let Some((at, oldest)) = in_order.front().copied()
            && (uptime.saturating_sub(at) >= WINDOW || in_order.len() >= ORDERS_MAX)
        {
            in_order.pop_front();
            // Noted again meanwhile, it has a later place in the line.
            if by_fingerprint.get(&oldest).is_some_and(|(noted, _)| *noted == at) {
                by_fingerprint.remove(&oldest);
            }
        }
        in_order.push_back((uptime, fingerprint));
        by_fingerprint.insert(fingerprint, (uptime, order));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;
    use uuid::Uuid;

    fn id(number: u128) -> DraftOrderId {
        Uuid::from_u128(number).into()
    }

    fn shopper<'a>(address: &str, traits: &'a [&'a str]) -> Shopper<'a> {
        Shopper { address: address.parse().expect("an address"), traits }
    }

    #[test]
    fn two_browsers_behind_one_address_are_two_shoppers() {
        let recent = RecentOrders::new(&SeededEntropy::new(1));
        let fingerprint =
            |traits: &[&str]| recent.fingerprint(Uuid::from_u128(1).into(), &shopper("192.0.2.1", traits), &[1; 32]);
        assert_eq!(fingerprint(&["Firefox", "de"]), fingerprint(&["Firefox", "de"]));
        let all = [
            fingerprint(&["Firefox", "de"]),
            fingerprint(&["Firefox", "en"]),
            fingerprint(&["Firefoxd", "e"]),
            fingerprint(&["Firefox"]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "{at}");
        }
    }

    #[test]
    fn the_same_order_is_found_for_five_seconds() {
        let recent = RecentOrders::new(&SeededEntropy::new(1));
        let key = KeyId::from(Uuid::from_u128(1));
        let fingerprint = |client: &str, order| recent.fingerprint(key, &shopper(client, &[]), &[order; 32]);
        let (first, second) = (fingerprint("192.0.2.1", 1), Duration::from_secs(1));
        assert_eq!(recent.find(second, &first), None);
        recent.note(second, first, id(1));
        assert_eq!(recent.find(second * 5, &first), Some(id(1)));
        assert_eq!(recent.find(second * 6, &first), None);
        assert_eq!(fingerprint("::ffff:192.0.2.1", 1), first);
        for other in [fingerprint("192.0.2.2", 1), fingerprint("192.0.2.1", 2), fingerprint("2001:db8::1", 1)] {
            assert_eq!(recent.find(second, &other), None);
        }
        let other_key = recent.fingerprint(Uuid::from_u128(2).into(), &shopper("192.0.2.1", &[]), &[1; 32]);
        assert_ne!(other_key, first);
    }

    #[test]
    fn memory_is_bounded_and_what_is_noted_again_stays() {
        let recent = RecentOrders::new(&SeededEntropy::new(1));
        let client = shopper("192.0.2.1", &[]);
        let fingerprint = |number: u128| recent.fingerprint(Uuid::from_u128(number).into(), &client, &[0; 32]);
        recent.note(Duration::ZERO, fingerprint(0), id(0));
        recent.note(Duration::from_millis(1), fingerprint(0), id(1));
        for number in 1..ORDERS_MAX as u128 {
            recent.note(Duration::from_millis(2), fingerprint(number), id(number));
        }
        assert_eq!(recent.find(Duration::from_millis(3), &fingerprint(0)), Some(id(1)), "its first place is gone");
        let kept = |recent: &RecentOrders| {
            let orders = recent.orders.lock();
            (orders.by_fingerprint.len(), orders.in_order.len())
        };
        assert!(kept(&recent).0 <= ORDERS_MAX && kept(&recent).1 <= ORDERS_MAX);
        recent.note(Duration::from_secs(60), fingerprint(7), id(7));
        assert_eq!(kept(&recent), (1, 1));
    }
}
