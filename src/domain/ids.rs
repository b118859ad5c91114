//! Names of things: a shop's domain, parsed once and never a bare string again, and the UUIDv7 ids of everything else.

use chrono::{DateTime, Utc};
use std::fmt;
use std::str::FromStr;
use uuid::{Builder, Uuid};

/// A merchant's domain, `name.myshopify.com`, in lower case.
///
/// The rule is that of Shopify's JavaScript library for this one domain: a letter or digit, then letters, digits, hyphens and
/// underscores; at most 63 characters before the dot, a DNS label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShopDomain(String);

/// What every shop's domain ends in.
pub const SHOP_SUFFIX: &str = ".myshopify.com";

/// The longest label DNS allows.
const LABEL_MAX: usize = 63;

/// The text is no shop domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a shop domain: it must look like name.myshopify.com")]
pub struct NotAShop;

impl ShopDomain {
    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ShopDomain {
    type Err = NotAShop;

    fn from_str(text: &str) -> Result<Self, NotAShop> {
        if text.len() > LABEL_MAX + SHOP_SUFFIX.len() {
            return Err(NotAShop);
        }
        let text = text.to_ascii_lowercase();
        let name = text.strip_suffix(SHOP_SUFFIX).ok_or(NotAShop)?;
        let starts_well = name.starts_with(|first: char| first.is_ascii_alphanumeric());
        let all_allowed = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if starts_well && all_allowed && name.len() <= LABEL_MAX { Ok(Self(text)) } else { Err(NotAShop) }
    }
}

impl fmt::Display for ShopDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Builds a UUIDv7 (RFC 9562) from a passed instant and ten passed random bytes, so that ids are repeatable in tests.
pub fn uuid_v7(now: DateTime<Utc>, random: [u8; 10]) -> Uuid {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id: sortable by `now`, unguessable by `random`.
            pub fn new(now: DateTime<Utc>, random: [u8; 10]) -> Self {
                Self(uuid_v7(now, random))
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::try_parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

id!(/// A merchant's row.
    StoreId);
id!(/// A key of the storefront API (not the key itself).
    KeyId);
id!(/// A price matrix.
    MatrixId);
id!(/// An option group.
    OptionGroupId);
id!(/// A choice of an option group.
    ChoiceId);
id!(/// A recorded draft order.
    DraftOrderId);
id!(/// A job of the queue.
    JobId);
id!(/// A privacy request (`gdpr_requests`).
    RequestId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_domain_is_read_in_any_case_and_kept_in_lower_case() {
        let shop: ShopDomain = "Fixture-1.MyShopify.com".parse().expect("valid");
        assert_eq!(shop.as_str(), "fixture-1.myshopify.com");
    }

    #[test]
    fn what_is_no_shop_domain_is_refused() {
        let long = format!("{}.myshopify.com", "a".repeat(64));
        for text in [
            "",
            "myshopify.com",
            ".myshopify.com",
            "-a.myshopify.com",
            "a.b.myshopify.com",
            "a.myshopify.com.evil.com",
            "https://a.myshopify.com",
            "a.myshopify.com/",
            "a@b.myshopify.com",
            "a.myshopify.io",
            " a.myshopify.com",
            "a.myshopify.com\n",
            "ä.myshopify.com",
            long.as_str(),
        ] {
            assert_eq!(text.parse::<ShopDomain>(), Err(NotAShop), "{text:?}");
        }
    }

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let early = DateTime::from_timestamp_millis(1_000).expect("in range");
        let late = DateTime::from_timestamp_millis(2_000).expect("in range");
        assert!(JobId::new(early, [255; 10]) < JobId::new(late, [0; 10]));
        assert!(JobId::new(early, [255; 10]).to_string() < JobId::new(late, [0; 10]).to_string());
    }
}
