//! Names of things: a shop's domain, parsed once and never a bare string again, and the UUIDv7 ids of everything else.

use super::percent;
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

/// The text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id: it must look like 01a20f8e-08d8-7178-b895-2689ced679b1")]
pub struct NotAnId;

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
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                Uuid::try_parse(text).map(Self).map_err(|_unreadable| NotAnId)
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
id!(/// A person who is signed in to the console.
    SessionId);
id!(/// A change that was made, as it was recorded.
    AuditId);

/// A Shopify product, `gid://shopify/Product/` and digits. Leading zeros stay: `12` and `0012` are different products.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProductId(String);

/// What every product id begins with.
pub const PRODUCT_PREFIX: &str = "gid://shopify/Product/";

/// What proxies that merge slashes make of [`PRODUCT_PREFIX`].
const MERGED_PRODUCT_PREFIX: &str = "gid:/shopify/Product/";

/// The text is no product id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a product id: digits, or {PRODUCT_PREFIX} and digits")]
pub struct NotAProduct;

impl ProductId {
    /// The id as text, with its prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads what is in a path, percent-encoded or not: digits, `gid:%2F%2F…` in one segment, or the id with its slashes,
    /// which the storefront widget sends as they are and some proxies merge.
    ///
    /// # Errors
    /// [`NotAProduct`] for anything else.
    pub fn from_path(path: &str) -> Result<Self, NotAProduct> {
        let decoded = percent::decode(path).ok_or(NotAProduct)?;
        match decoded.strip_prefix(MERGED_PRODUCT_PREFIX) {
            Some(number) => Self::from_number(number),
            None => decoded.parse(),
        }
    }

    fn from_number(number: &str) -> Result<Self, NotAProduct> {
        let all_digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if all_digits { Ok(Self(format!("{PRODUCT_PREFIX}{number}"))) } else { Err(NotAProduct) }
    }
}

impl FromStr for ProductId {
    type Err = NotAProduct;

    fn from_str(text: &str) -> Result<Self, NotAProduct> {
        Self::from_number(text.strip_prefix(PRODUCT_PREFIX).unwrap_or(text))
    }
}

impl fmt::Display for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A variant of a Shopify product, `gid://shopify/ProductVariant/` and digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantId(String);

/// What every variant's id begins with.
pub const VARIANT_PREFIX: &str = "gid://shopify/ProductVariant/";

/// More digits than any id of Shopify's, which are 64-bit numbers.
const VARIANT_DIGITS_MAX: usize = 20;

/// The text is no variant's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of a variant: digits, or {VARIANT_PREFIX} and digits")]
pub struct NotAVariant;

impl FromStr for VariantId {
    type Err = NotAVariant;

    fn from_str(text: &str) -> Result<Self, NotAVariant> {
        let number = text.strip_prefix(VARIANT_PREFIX).unwrap_or(text);
        let is_id =
            (1..=VARIANT_DIGITS_MAX).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_id { Ok(Self(format!("{VARIANT_PREFIX}{number}"))) } else { Err(NotAVariant) }
    }
}

impl From<VariantId> for String {
    fn from(variant: VariantId) -> Self {
        variant.0
    }
}

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

    #[test]
    fn a_product_has_three_spellings_in_a_path() {
        for path in [
            "123",
            "gid%3A%2F%2Fshopify%2FProduct%2F123",
            "gid:%2f%2fshopify%2fProduct%2f123",
            "gid://shopify/Product/123",
            "gid:/shopify/Product/123",
        ] {
            let id = ProductId::from_path(path).expect("a product");
            assert_eq!(id.as_str(), "gid://shopify/Product/123", "{path}");
        }
        assert_ne!("0012".parse::<ProductId>(), "12".parse::<ProductId>());
    }

    #[test]
    fn a_variant_has_two_spellings() {
        for text in ["42", "gid://shopify/ProductVariant/42"] {
            assert_eq!(
                text.parse().map(|id: VariantId| String::from(id)),
                Ok("gid://shopify/ProductVariant/42".to_owned())
            );
        }
        for text in ["", "x", "4 2", "gid://shopify/Product/42", "gid://shopify/ProductVariant/", &"1".repeat(21)] {
            assert_eq!(text.parse::<VariantId>(), Err(NotAVariant), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_product_id_is_refused() {
        for text in [
            "",
            "abc",
            "12 ",
            "12\n",
            "-1",
            "1.0",
            "١٢",
            "gid://shopify/Variant/1",
            "gid://shopify/Product/",
            "gid://shopify/Product/1/2",
            "GID://shopify/Product/1",
            "gid://shopify/Product/gid://shopify/Product/1",
        ] {
            assert_eq!(text.parse::<ProductId>(), Err(NotAProduct), "{text:?}");
            assert_eq!(ProductId::from_path(text), Err(NotAProduct), "{text:?}");
        }
        for path in ["%", "%1", "%zz", "12%20", "%ff", "12%0A", "%2531"] {
            assert_eq!(ProductId::from_path(path), Err(NotAProduct), "{path:?}");
        }
        assert_eq!("gid:/shopify/Product/1".parse::<ProductId>(), Err(NotAProduct));
    }
}
