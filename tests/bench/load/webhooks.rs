//! What the load benchmark asks.

use crate::client::Requests;
use crate::servers::SECRET;
use quotegrid::shopify::sample::sign;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// A webhook as Shopify sends it: these many header fields, this size.
pub(crate) struct Webhooks {
    body: Vec<u8>,
    head: String,
}

impl Webhooks {
    pub(crate) fn new() -> Self {
        let body = serde_json::json!({
            "shop_id": 954_889,
            "shop_domain": "bench-shop.myshopify.com",
        });
        let body = body.to_string().into_bytes();
        let head = format!(
            "POST /webhooks HTTP/1.1\r\nHost: quotes.example.com\r\nUser-Agent: Shopify-Captain-Hook\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nAccept: */*\r\n\
             Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3\r\nX-Shopify-Api-Version: 2026-01\r\n\
             X-Shopify-Hmac-Sha256: {}\r\nX-Shopify-Shop-Domain: bench-shop.myshopify.com\r\n\
             X-Shopify-Topic: shop/redact\r\nX-Shopify-Triggered-At: 2026-01-01T00:00:00.000000000Z\r\n",
            body.len(),
            sign(SECRET, &body),
        );
        Self { body, head }
    }
}

impl Requests for Webhooks {
    /// Each has a webhook id of its own.
    fn write(&self, out: &mut Vec<u8>, close: bool) {
        out.clear();
        out.extend_from_slice(self.head.as_bytes());
        if close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        let number = SENT.fetch_add(1, Ordering::Relaxed);
        let _infallible = write!(out, "X-Shopify-Webhook-Id: b54557e4-bdd9-4b37-8a5f-{number:012x}\r\n\r\n");
        out.extend_from_slice(&self.body);
    }
}

/// Webhooks of all runs, so that none is taken for another.
static SENT: AtomicU64 = AtomicU64::new(0);
