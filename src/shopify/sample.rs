//! Playing Shopify: sample bodies of the four topics, and the signature Shopify would put on them.

use super::webhook::{Topic, keyed};
use crate::domain::ids::ShopDomain;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;

/// The shop in the sample files, which [`sample_body`] replaces.
const SAMPLE_SHOP: &str = "sample-shop.myshopify.com";

/// A body as Shopify would send it about `shop`, with an invented customer or owner; `None` for a topic without a sample.
pub fn sample_body(topic: &Topic, shop: &ShopDomain) -> Option<String> {
    topic.sample().map(|sample| sample.replace(SAMPLE_SHOP, shop.as_str()))
}

/// The signature of `body`, as the HMAC header carries it.
pub fn sign(secret: &str, body: &[u8]) -> String {
    STANDARD.encode(keyed(secret).chain_update(body).finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_names_the_shop_and_only_it() {
        let shop: ShopDomain = "panes.myshopify.com".parse().expect("valid");
        for topic in Topic::KNOWN {
            let body = sample_body(&topic, &shop).expect("a sample of every known topic");
            assert_eq!(body.matches(".myshopify.com").count(), 1, "{topic}");
            assert!(body.contains("panes.myshopify.com"), "{topic}");
            // example.invalid cannot belong to anyone (RFC 2606), 555-01xx numbers neither.
            assert_eq!(body.matches('@').count(), body.matches("@example.invalid").count(), "{topic}");
        }
    }
}
