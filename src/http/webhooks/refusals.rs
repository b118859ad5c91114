//! How many webhooks were refused, and which of them the log reports.

use parking_lot::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

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
    unsigned_log: Mutex<UnsignedLog>,
}

/// Which unsigned webhooks the log reports.
#[derive(Debug, Default)]
struct UnsignedLog {
    /// By the clock's uptime.
    last: Option<Duration>,
    unreported: u64,
}

/// Any client can send something unsigned, and must not fill a disk with lines about it: of those within this time the log reports one.
const UNSIGNED_PAUSE: Duration = Duration::from_secs(1);

impl Refusals {
    /// Whether the log reports an unsigned webhook now, and then how many it has left out since the last.
    pub(super) fn report_unsigned(&self, uptime: Duration) -> Option<u64> {
        let mut unsigned_log = self.unsigned_log.lock();
        if unsigned_log.last.is_some_and(|last| uptime.saturating_sub(last) < UNSIGNED_PAUSE) {
            unsigned_log.unreported += 1;
            return None;
        }
        unsigned_log.last = Some(uptime);
        Some(std::mem::take(&mut unsigned_log.unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_flood_of_unsigned_webhooks_the_log_tells_once_a_second() {
        let refusals = Refusals::default();
        let unsigned_log = |ms| refusals.report_unsigned(Duration::from_millis(ms));
        assert_eq!(
            [unsigned_log(5), unsigned_log(6), unsigned_log(1_004), unsigned_log(1_005), unsigned_log(1_006)],
            [Some(0), None, None, Some(2), None]
        );
        assert_eq!(unsigned_log(10_000), Some(1));
    }
}
