//! How often a client may fail to sign in to the console.

use super::ClientAddress;
use super::buckets::{Buckets, Rate};
use crate::error::{Error, Kind, Result};
use std::net::IpAddr;
use std::time::Duration;

/// Failed sign-ins that an address may make at once.
const ADDRESS_FAILURES: u32 = 10;

/// How long it takes until an address may fail once more. Tokens cannot be guessed; this keeps logs and the writer quiet.
const ADDRESS_REFILL: Duration = Duration::from_secs(30);

/// Failed sign-ins that all addresses together may make at once.
const TOTAL_FAILURES: u32 = 200;

/// How long it takes until one more may fail.
const TOTAL_REFILL: Duration = Duration::from_secs(1);

/// Counts sign-ins that failed.
#[derive(Debug)]
pub struct SignInLimits {
    addresses: Buckets<ClientAddress>,
    total: Buckets<()>,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self {
            addresses: Buckets::new(Rate { tokens: ADDRESS_FAILURES, refill: ADDRESS_REFILL }),
            total: Buckets::new(Rate { tokens: TOTAL_FAILURES, refill: TOTAL_REFILL }),
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
        if let Some(pause) = self.addresses.take(ClientAddress::of(address), uptime).refused_for {
            return limited(pause);
        }
        match self.total.take((), uptime).refused_for {
            Some(pause) => limited(pause),
            None => Ok(()),
        }
    }
}
