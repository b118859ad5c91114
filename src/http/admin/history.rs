//! `/admin/api/webhooks/deliveries` and `/admin/api/audit`: what has come in, and what was changed.

use crate::access::audit;
use crate::clock::instant;
use crate::domain::ids::{AuditId, ShopDomain};
use crate::erasure;
use crate::error::Result;
use crate::http::query::Query;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::intake::{self, DeliveryPlace};
use crate::views::access::audit_entry;
use serde_json::{Value, json};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/webhooks/deliveries", deliveries),
    Route::now(Method::Get, "/admin/api/audit", audit_log),
];

fn deliveries(state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Response> {
    let page = Query::of(request, &["limit", "cursor"])?.page::<DeliveryPlace>()?;
    let found = state.app.db.read(|connection| intake::list_newest(connection, page.after.as_ref(), page.fetch()));
    let mut found = found?;
    let next = page.cut(&mut found, |delivery| DeliveryPlace::of(delivery).to_string());
    let found: Vec<Value> = found
        .iter()
        .map(|delivery| {
            json!({
                "topic": delivery.topic,
                "webhookId": delivery.webhook_id,
                "eventId": delivery.event_id,
                "shop": delivery.shop,
                "receivedAt": instant(delivery.received_at),
                "jobId": delivery.job.map(|job| job.to_string()),
            })
        })
        .collect();
    Ok(Response::json(200, &json!({ "deliveries": found, "next": next })))
}

fn audit_log(state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Response> {
    let query = Query::of(request, &["shop", "limit", "cursor"])?;
    let page = query.page::<AuditId>()?;
    let shop: Option<ShopDomain> = query.parse("shop", "must look like name.myshopify.com")?;
    let store = shop.map(|shop| erasure::subject_hash(&state.app.hasher, &shop));
    let filter = audit::Filter { store, before: page.after, limit: page.fetch() };
    let mut found = state.app.db.read(|connection| audit::list(connection, &filter))?;
    let next = page.cut(&mut found, |row| row.id.to_string());
    let found: Vec<Value> = found.iter().map(audit_entry).collect();
    Ok(Response::json(200, &json!({ "entries": found, "next": next })))
}
