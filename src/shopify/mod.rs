//! Shopify's wire formats turned into plain values, and back for playing Shopify on a laptop. Pure: no database, no clock, no
//! log. What a webhook leads to is decided in `intake`.

pub mod admin;
pub mod app_proxy;
pub mod sample;
pub mod setup;
pub mod webhook;

pub use webhook::{Refusal, Secrets, Topic, Webhook, WebhookEvent};
