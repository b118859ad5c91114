//! How many webhooks were refused, and which of them the log reports.

use crate::log_limit::LogLimiter;
use crate::shopify::Refusal;
use std::sync::atomic::AtomicU64;

/// How many webhooks were refused since the start, by reason: a truncating proxy and a wrong secret must look different.
#[derive(Debug, Default)]
pub struct Refusals {
    /// Not signed with one of the secrets (401).
    pub unsigned: AtomicU64,
    /// Signed for another shop than the header's (401).
    pub other_shop: AtomicU64,
    /// Signed, but not what Shopify sends (400).
    pub malformed: AtomicU64,
    /// Over the size limit (413).
    pub too_large: AtomicU64,
    unsigned_log: LogLimiter,
    other_shop_log: LogLimiter,
    malformed_log: LogLimiter,
}

impl Refusals {
    /// The count of webhooks that are refused as this one is, and which of them the log reports. Any client can send something unsigned,
    /// and a client that has one signed body can send it under any header: neither must fill a disk.
    pub(super) fn of(&self, refusal: &Refusal) -> (&AtomicU64, &LogLimiter) {
        match refusal {
            Refusal::Unsigned => (&self.unsigned, &self.unsigned_log),
            Refusal::OtherShop => (&self.other_shop, &self.other_shop_log),
            Refusal::Malformed(_) => (&self.malformed, &self.malformed_log),
        }
    }
}
