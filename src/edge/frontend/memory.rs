//! The memory budget for large bodies: what all may hold together, what is kept for webhooks, and what one client may hold.

use super::limits::FrontEndLimits;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Why a large body cannot grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// Its client holds as much as one client may.
    ClientConnection,
    /// All but the part for webhooks is held by others that are no webhooks either.
    Normal,
    /// All is held.
    Total,
}

/// On whose account a body is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// The client, where it can be distinguished from others.
    pub(crate) client: Option<IpAddr>,
    /// It came where webhooks come in.
    pub(crate) is_webhook: bool,
}

/// What large bodies hold, and what they may.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    total: usize,
    kept_for_webhooks: usize,
    per_client: usize,
    reserved: Mutex<Reserved>,
}

#[derive(Debug, Default)]
struct Reserved {
    total: usize,
    normal: usize,
    clients: HashMap<IpAddr, usize>,
}

impl MemoryBudget {
    pub(crate) fn new(limits: &FrontEndLimits) -> Arc<Self> {
        Arc::new(Self {
            total: limits.large_bodies_bytes,
            kept_for_webhooks: limits.webhook_bodies_bytes(),
            per_client: limits.client_bodies_bytes(),
            reserved: Mutex::default(),
        })
    }

    /// Bytes that are held now.
    pub(crate) fn reserved(&self) -> usize {
        self.lock().total
    }

    fn reserve(&self, account: Account, bytes: usize) -> Result<(), Shortage> {
        let mut reserved = self.lock();
        let of_client = account.client.and_then(|client| reserved.clients.get(&client).copied()).unwrap_or(0);
        if account.client.is_some() && of_client + bytes > self.per_client {
            return Err(Shortage::ClientConnection);
        }
        if reserved.total + bytes > self.total {
            return Err(Shortage::Total);
        }
        if !account.is_webhook {
            if reserved.normal + bytes > self.total - self.kept_for_webhooks {
                return Err(Shortage::Normal);
            }
            reserved.normal += bytes;
        }
        reserved.total += bytes;
        if let Some(client) = account.client {
            reserved.clients.insert(client, of_client + bytes);
        }
        Ok(())
    }

    fn release(&self, account: Account, bytes: usize) {
        let mut reserved = self.lock();
        reserved.total -= bytes;
        if !account.is_webhook {
            reserved.normal -= bytes;
        }
        if let Some(client) = account.client
            && let Some(of_client) = reserved.clients.get_mut(&client)
        {
            *of_client -= bytes;
            if *of_client == 0 {
                reserved.clients.remove(&client);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reserved> {
        self.reserved.lock()
    }
}

/// A body that is being collected. Its memory grows with what has arrived, never with what was promised.
#[derive(Debug)]
pub(crate) struct Body {
    bytes: Vec<u8>,
    budget: Arc<MemoryBudget>,
    account: Account,
    reserved: usize,
}

impl Body {
    pub(crate) fn new(budget: Arc<MemoryBudget>, account: Account) -> Self {
        Self { bytes: Vec::new(), budget, account, reserved: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn account(&self) -> Account {
        self.account
    }

    /// Bytes that it holds of the budget; none while it is small.
    pub(crate) fn reserved(&self) -> usize {
        self.reserved
    }

    /// Makes room for `count` bytes more. `expected` is the length the body will have in the end, or the most it may have; up to
    /// `free` nothing is reserved.
    pub(crate) fn make_room(&mut self, count: usize, expected: usize, free: usize) -> Result<(), Shortage> {
        let needed = self.bytes.len() + count;
        if needed > self.bytes.capacity() {
            let room = needed.max(self.bytes.capacity() * 2).min(expected).max(needed);
            if room > free {
                let more = room.saturating_sub(self.reserved);
                self.budget.reserve(self.account, more)?;
                self.reserved += more;
            }
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        Ok(())
    }

    /// Appends `bytes`, for which there is room.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.reserved > 0 {
            self.budget.release(self.account, self.reserved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: usize = 10;

    fn budget(total: usize) -> Arc<MemoryBudget> {
        MemoryBudget::new(&FrontEndLimits {
            large_bodies_bytes: total,
            body_bytes: total / 4,
            ..FrontEndLimits::default()
        })
    }

    fn account(client: Option<u8>, is_webhook: bool) -> Account {
        Account { client: client.map(|last| IpAddr::from([192, 0, 2, last])), is_webhook }
    }

    fn push(body: &mut Body, count: usize, expected: usize) -> Result<(), Shortage> {
        body.make_room(count, expected, FREE)?;
        body.push(&vec![0; count]);
        Ok(())
    }

    #[test]
    fn small_bodies_are_free_and_large_ones_are_given_back() {
        let budget = budget(400);
        let mut small = Body::new(budget.clone(), account(None, false));
        assert_eq!(push(&mut small, 10, 10), Ok(()));
        assert_eq!(budget.reserved(), 0);
        let mut large = Body::new(budget.clone(), account(None, false));
        assert_eq!(push(&mut large, 10, 290), Ok(()));
        assert_eq!(push(&mut large, 20, 290), Ok(()));
        assert_eq!(budget.reserved(), 30);
        assert_eq!(push(&mut large, 260, 290), Ok(()));
        assert_eq!(budget.reserved(), 290);
        let mut other = Body::new(budget.clone(), account(None, false));
        assert_eq!(push(&mut other, 11, 11), Err(Shortage::Normal));
        drop(large);
        assert_eq!(budget.reserved(), 0);
        assert_eq!(push(&mut other, 11, 11), Ok(()));
    }

    #[test]
    fn a_quarter_is_kept_for_webhooks_which_may_have_all() {
        let budget = budget(400);
        let mut uploads: Vec<_> = (0..3).map(|_| Body::new(budget.clone(), account(None, false))).collect();
        for upload in &mut uploads {
            assert_eq!(push(upload, 100, 100), Ok(()));
        }
        let mut webhook = Body::new(budget.clone(), account(None, true));
        assert_eq!(push(&mut webhook, 100, 100), Ok(()));
        let mut another = Body::new(budget.clone(), account(None, true));
        assert_eq!(push(&mut another, 20, 20), Err(Shortage::Total));
        uploads.clear();
        assert_eq!(push(&mut another, 300, 300), Ok(()));
        assert_eq!(budget.reserved(), 400);
    }

    #[test]
    fn one_client_has_its_share_and_no_more() {
        let budget = budget(400);
        let mut first = Body::new(budget.clone(), account(Some(1), false));
        assert_eq!(push(&mut first, 90, 90), Ok(()));
        let mut second = Body::new(budget.clone(), account(Some(1), true));
        assert_eq!(push(&mut second, 20, 20), Err(Shortage::ClientConnection));
        assert_eq!(push(&mut Body::new(budget.clone(), account(Some(2), false)), 20, 20), Ok(()));
        drop(first);
        assert_eq!(push(&mut second, 20, 20), Ok(()));
        drop(second);
        assert!(budget.lock().clients.is_empty());
    }
}
