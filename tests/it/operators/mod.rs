//! What operators live with: retention, alerts, figures, and the commands and servers that the binary offers them.

mod access;
mod alerts;
mod commands;
mod deployment;
pub(crate) mod ephemeral;
mod handbook;
mod metrics;
mod proxies;
mod retention;

use crate::support::command::{quotegrid, run, run_json};
use quotegrid::testing::Fixture;
use serde_json::json;

fn redact(fixture: &Fixture, shop: &str) {
    let body = json!({ "shop_id": 1, "shop_domain": shop });
    assert_eq!(fixture.post_webhook("shop/redact", &body).status, 200);
}
