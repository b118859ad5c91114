//! How often a client may try to sign in to the console.

use super::ClientAddress;
use super::buckets::{Buckets, Rate};
use super::known::{KnownAddresses, guesser};
use crate::error::{Error, Kind, Result};
use std::net::IpAddr;
use std::time::Duration;

/// Attempts that an address, or an IPv6 site, may make at once.
const ADDRESS_ATTEMPTS: u32 = 10;

/// How long it takes until an address may try once more. Tokens cannot be guessed; this keeps logs and the writer quiet.
const ADDRESS_REFILL: Duration = Duration::from_secs(30);

/// Attempts that all addresses together may make at once. Those that somebody has come in from before are not counted: however many
/// addresses a stranger has, people still get in.
const TOTAL_ATTEMPTS: u32 = 200;

/// How long it takes until one more of them may try.
const TOTAL_REFILL: Duration = Duration::from_secs(1);

/// Counts attempts to sign in.
#[derive(Debug)]
pub struct SignInLimits {
    addresses: Buckets<ClientAddress>,
    total: Buckets<()>,
    known: KnownAddresses,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self {
            addresses: Buckets::new(Rate { tokens: ADDRESS_ATTEMPTS, refill: ADDRESS_REFILL }),
            total: Buckets::new(Rate { tokens: TOTAL_ATTEMPTS, refill: TOTAL_REFILL }),
            known: KnownAddresses::default(),
        }
    }
}

impl SignInLimits {
    /// Lets an address try. What it takes is not given back: a person signs in a few times a day.
    ///
    /// # Errors
    /// `Limited`.
    pub(in crate::http) fn admit(&self, address: IpAddr, uptime: Duration) -> Result<()> {
        let limited = |pause: Duration| {
            Err(Error::new(Kind::Limited, "too many attempts to sign in, please try again in a minute")
                .with_retry_after(pause))
        };
        let client = guesser(address);
        if let Some(pause) = self.addresses.take(client, uptime).refused_for {
            return limited(pause);
        }
        if self.known.has(client) {
            return Ok(());
        }
        match self.total.take((), uptime).refused_for {
            Some(pause) => limited(pause),
            None => Ok(()),
        }
    }

    /// Somebody has come in from this address.
    pub(in crate::http) fn remember(&self, address: IpAddr) {
        self.known.remember(guesser(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(limits: &SignInLimits, address: &str) -> bool {
        limits.admit(address.parse().expect("an address"), Duration::ZERO).is_ok()
    }

    #[test]
    fn strangers_with_many_addresses_keep_nobody_out_who_has_come_in_before() {
        let limits = SignInLimits::default();
        limits.remember("192.0.2.1".parse().expect("an address"));
        for number in 0..TOTAL_ATTEMPTS {
            assert!(admits(&limits, &format!("198.51.{}.{}", number / 100, number % 100)));
        }
        assert!(!admits(&limits, "203.0.113.9"), "all strangers together have tried often enough");
        let tried = (0..=ADDRESS_ATTEMPTS).filter(|_| admits(&limits, "192.0.2.1")).count();
        assert_eq!(tried, ADDRESS_ATTEMPTS as usize, "and who is known may try as often as any one");
    }

    #[test]
    fn a_whole_ipv6_site_is_one_who_tries() {
        let limits = SignInLimits::default();
        for network in 0..ADDRESS_ATTEMPTS {
            assert!(admits(&limits, &format!("2001:db8:1:{network}::1")));
        }
        assert!(!admits(&limits, "2001:db8:1:ffff::1"));
        assert!(admits(&limits, "2001:db8:2::1"));
    }
}
