//! What opens the page of an order.

use crate::entropy::Entropy;
use crate::keyed_hash::hex;
use chrono::{DateTime, Utc};

/// The unguessable part of an order page's address: it is all that is needed to see the page, so it is printed nowhere but there.
#[derive(Clone, PartialEq, Eq)]
pub struct PageToken(pub(super) String);

/// Digits of a token.
const TOKEN_DIGITS: usize = 64;

impl PageToken {
    /// A new token: 48 bits of time and 208 random ones, as hexadecimal digits. The time in front keeps its index in the order of the
    /// rows, so that an erasure deletes from few pages instead of one a row.
    pub fn new(now: DateTime<Utc>, entropy: &dyn Entropy) -> Self {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default().to_be_bytes();
        Self(format!("{}{}", hex(&millis[2..]), hex(&entropy.array::<26>())))
    }

    /// The token of an address, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == TOKEN_DIGITS && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    /// The token itself: for addresses, never for logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PageToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageToken(***)")
    }
}
