//! What the load benchmark asks.

use crate::client::Requests;
use crate::servers::SECRET;
use quotegrid::shopify::sample::sign;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shops that send in turn: as many as a program for merchants may well have.
const SHOPS: u64 = 100;

/// Webhooks as Shopify sends them: these many header fields, this size.
pub(crate) struct Webhooks(Vec<Webhook>);

/// Of one shop, without its id.
struct Webhook {
    body: Vec<u8>,
    head: String,
}

impl Webhooks {
    pub(crate) fn new() -> Self {
        Self((0..SHOPS).map(Webhook::of).collect())
    }
}

impl Webhook {
    fn of(number: u64) -> Self {
        let shop = format!("bench-shop-{number}.myshopify.com");
        let body = serde_json::json!({
            "shop_id": 954_889 + number,
            "shop_domain": shop,
            "customer": { "id": 191_167, "email": "jo@example.invalid", "phone": "555-625-1199" },
            "orders_to_redact": [299_938, 280_263, 220_458],
        });
        let body = body.to_string().into_bytes();
        let head = format!(
            "POST /webhooks HTTP/1.1\r\nHost: quotes.example.com\r\nUser-Agent: Shopify-Captain-Hook\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nAccept: */*\r\n\
             Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3\r\nX-Shopify-Api-Version: 2026-01\r\n\
             X-Shopify-Hmac-Sha256: {}\r\nX-Shopify-Shop-Domain: {shop}\r\n\
             X-Shopify-Topic: customers/redact\r\nX-Shopify-Triggered-At: 2026-01-01T00:00:00.000000000Z\r\n",
            body.len(),
            sign(SECRET, &body),
        );
        Self { body, head }
    }
}

impl Requests for Webhooks {
    /// Each has a webhook id of its own, in no order.
    fn write(&self, out: &mut Vec<u8>, close: bool) {
        let number = SENT.fetch_add(1, Ordering::Relaxed);
        let webhook = &self.0[usize::try_from(number % SHOPS).unwrap_or(0)];
        out.clear();
        out.extend_from_slice(webhook.head.as_bytes());
        if close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        // An odd factor gives each number another one of 64 bits.
        let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (high, low) = (scattered >> 32, scattered & 0xffff_ffff);
        let _infallible = write!(out, "X-Shopify-Webhook-Id: {high:08x}-bdd9-4b37-8a5f-0000{low:08x}\r\n\r\n");
        out.extend_from_slice(&webhook.body);
    }
}

/// Webhooks of all runs, so that none is taken for another.
static SENT: AtomicU64 = AtomicU64::new(0);
