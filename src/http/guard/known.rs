//! Addresses that have proved who they are, and are let in while others guess from elsewhere.

use super::ClientAddress;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Addresses that are remembered. Operators have few.
const KNOWN_MAX: usize = 64;

/// The addresses that were right last. Of as many as there are, the one that has not been right for longest is forgotten.
#[derive(Debug, Default)]
pub(super) struct KnownAddresses(Mutex<VecDeque<ClientAddress>>);

impl KnownAddresses {
    /// This one was right.
    pub(super) fn remember(&self, client: ClientAddress) {
        let mut known = self.0.lock();
        if known.back() == Some(&client) {
            return;
        }
        known.retain(|found| *found != client);
        known.push_back(client);
        if known.len() > KNOWN_MAX {
            known.pop_front();
        }
    }

    /// Whether this one was.
    pub(super) fn has(&self, client: ClientAddress) -> bool {
        self.0.lock().contains(&client)
    }
}

/// Who guesses from this address. A whole IPv6 site is one here: whoever has one has 65,536 networks to guess from.
pub(super) fn guesser(address: IpAddr) -> ClientAddress {
    let client = ClientAddress::of(address);
    client.site().unwrap_or(client)
}
