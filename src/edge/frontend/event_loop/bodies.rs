//! Large bodies that are being received: the pace that they must keep, and who goes first when there is no memory for all.

use super::EventLoop;
use crate::edge::frontend::client::{ClientConnection, Phase};
use crate::edge::frontend::memory::{Account, Shortage};
use crate::edge::frontend::rejection::Rejection;
use log::debug;
use std::time::Instant;

/// Bytes a second above which no client is ended for others: a 1 MiB body is there after four seconds. So of many that come quickly,
/// those that have begun are taken in, and those that follow are answered 503.
const QUICK: u64 = 256 * 1024;

/// A body that holds memory while more of it is awaited.
struct Candidate {
    key: usize,
    account: Account,
    /// Bytes a second of late; `None` while it is too young to say.
    pace: Option<u64>,
}

impl Candidate {
    fn of(key: usize, client: &mut ClientConnection, now: Instant) -> Option<Self> {
        let (bytes, reserved, account) = client.receiver.body()?;
        let is_receiving = matches!(client.phase, Phase::Receiving);
        let pace = client.body.as_mut().and_then(|body| body.pace(bytes, now));
        (is_receiving && reserved > 0).then_some(Self { key, account, pace })
    }

    /// Whether its end would help one that lacks memory for this reason.
    fn helps(&self, asking: Account, shortage: Shortage) -> bool {
        match shortage {
            Shortage::ClientConnection => self.account.client == asking.client,
            // What is kept for webhooks is of no use here.
            Shortage::Normal => !self.account.is_webhook,
            Shortage::Total => asking.is_webhook || !self.account.is_webhook,
        }
    }
}

impl EventLoop {
    /// Finds memory for the body of the client `key` by ending the slowest that holds some. `false` when that would be its own.
    pub(super) fn find_memory(&mut self, key: usize, shortage: Shortage) -> bool {
        let now = Instant::now();
        let Some(client) = self.clients.get_mut(key) else { return false };
        let Some((_, _, asking)) = client.receiver.body() else { return false };
        let own_pace = Candidate::of(key, client, now).and_then(|own| own.pace).unwrap_or(u64::MAX);
        let mut slowest: Option<(u64, usize)> = None;
        for other in self.client_keys() {
            let Some(found) = self.clients.get_mut(other).and_then(|client| Candidate::of(other, client, now)) else {
                continue;
            };
            if other != key
                && found.helps(asking, shortage)
                && let Some(pace) = found.pace.filter(|pace| *pace < QUICK.min(own_pace))
                && slowest.is_none_or(|(slower, _)| pace < slower)
            {
                slowest = Some((pace, found.key));
            }
        }
        let Some((pace, slowest)) = slowest else { return false };
        debug!("the slowest of the large bodies has to go: {pace} bytes a second");
        self.reject_in_time(slowest, Rejection::BodiesFull);
        true
    }

    /// Whether the body whose deadline has come may go on, because that was only a check of its pace. Then its next one is set.
    pub(super) fn keeps_pace(&mut self, key: usize, now: Instant) -> bool {
        let limits = &self.rules.limits;
        let (window, least) = (limits.pace_window, limits.pace_bytes);
        let Some(client) = self.clients.get_mut(key) else { return false };
        let (Some((bytes, reserved, _)), Some(body)) = (client.receiver.body(), client.body.as_mut()) else {
            return false;
        };
        if now >= body.until || (reserved > 0 && bytes - body.seen < least) {
            return false;
        }
        body.seen = bytes;
        let next = body.until.min(now + window);
        self.set_deadline(key, next);
        true
    }
}
