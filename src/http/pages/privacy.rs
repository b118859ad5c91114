//! `GET /privacy`: what is kept about whom, and how long. Its periods are those by which this server deletes, so that the words
//! cannot promise anything else.

use super::super::route::Params;
use super::super::state::{AppState, Operator};
use super::super::{Request, Response};
use super::page;
use crate::error::Result;
use crate::housekeeping::Retention;
use crate::orders::idempotency;
use askama::Template;
use std::sync::Arc;

/// The day on which the words were last changed. A change of them changes this.
const CHANGED: &str = "29 November 2026";

#[derive(Template)]
#[template(path = "privacy.html", config = "src/http/pages/askama.toml")]
struct PrivacyPage<'a> {
    operator: &'a str,
    contact: Contact<'a>,
    delivery_days: i64,
    request_days: i64,
    job_days: i64,
    failed_job_days: i64,
    order_key_hours: i64,
    open_order_days: Option<i64>,
    changed: &'static str,
}

/// Whom to ask.
enum Contact<'a> {
    Mail(&'a str),
    Page(&'a str),
    Text(&'a str),
    Shop,
}

impl<'a> Contact<'a> {
    fn of(text: Option<&'a str>) -> Self {
        match text {
            None => Self::Shop,
            Some(text) if text.starts_with("https://") || text.starts_with("http://") => Self::Page(text),
            Some(text) if text.contains('@') && !text.contains(char::is_whitespace) => Self::Mail(text),
            Some(text) => Self::Text(text),
        }
    }
}

impl<'a> PrivacyPage<'a> {
    fn new(operator: &'a Operator, retention: &Retention) -> Self {
        Self {
            operator: operator.name.as_deref().unwrap_or("the operator of this server"),
            contact: Contact::of(operator.contact.as_deref()),
            delivery_days: retention.deliveries.num_days(),
            request_days: retention.requests.num_days(),
            job_days: retention.jobs.finished.num_days(),
            failed_job_days: retention.jobs.failed.num_days(),
            order_key_hours: idempotency::KEPT.num_hours(),
            open_order_days: retention.open_orders.map(|kept| kept.num_days()),
            changed: CHANGED,
        }
    }
}

/// The page, for any reader.
pub(super) fn privacy_page(state: &Arc<AppState>, _request: &Request, _params: &Params) -> Result<Response> {
    let shown = page(200, &PrivacyPage::new(&state.operator, state.app.retention()))?;
    Ok(shown.with_header("Cache-Control", "public, max-age=86400"))
}
