//! `GET /privacy`: what is kept about whom, and how long. Its periods are those by which this server deletes, so that the words
//! cannot promise anything else.

use super::super::guard::language_for;
use super::super::route::Params;
use super::super::state::{AppState, Operator};
use super::super::{Request, Response};
use super::page;
use crate::error::Result;
use crate::housekeeping::Retention;
use crate::languages::pages::{PrivacyTexts, Section};
use crate::languages::{Language, fill};
use crate::orders::idempotency;
use askama::Template;
use chrono::{NaiveDate, TimeDelta};
use std::sync::Arc;

/// The day on which the words were last changed, as year, month and day. A change of them changes this.
const CHANGED: (i32, u32, u32) = (2026, 11, 29);

#[derive(Template)]
#[template(path = "privacy.html", config = "src/http/pages/askama.toml")]
struct PrivacyPage<'a> {
    language: Language,
    text: &'static PrivacyTexts,
    /// Whose server it is, where that is set.
    operator: Option<&'a str>,
    contact: Contact<'a>,
    /// Periods and the like, by the names they have in the texts.
    values: [(&'static str, String); 6],
    open_order_time: Option<String>,
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
    fn new(operator: &'a Operator, retention: &Retention, language: Language) -> Self {
        let texts = language.texts();
        let days = |kept: TimeDelta| texts.figures.days(kept.num_days());
        let (year, month, day) = CHANGED;
        let changed = NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default();
        Self {
            language,
            text: &texts.pages.privacy,
            operator: operator.name.as_deref(),
            contact: Contact::of(operator.contact.as_deref()),
            values: [
                ("orderKeyTime", texts.figures.hours(idempotency::KEPT.num_hours())),
                ("deliveryTime", days(retention.deliveries)),
                ("requestTime", days(retention.requests)),
                ("jobTime", days(retention.jobs.finished)),
                ("failedJobTime", days(retention.jobs.failed)),
                ("date", texts.figures.date(changed)),
            ],
            open_order_time: retention.open_orders.map(days),
        }
    }

    /// `text` with what it says of this server in its places.
    fn say(&self, text: &str) -> String {
        let mut values: Vec<(&str, &str)> = self.values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        values.push(("operator", self.operator.unwrap_or(&self.text.operator)));
        values.extend(self.open_order_time.as_deref().map(|time| ("openOrderTime", time)));
        fill(text, &values)
    }

    fn sections(&self) -> [&'static Section; 3] {
        [&self.text.shoppers, &self.text.merchants, &self.text.others]
    }

    fn contact_name(&self) -> &str {
        self.operator.unwrap_or(&self.text.contact.operator)
    }
}

/// The page, for any reader.
pub(super) fn privacy_page(state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Response> {
    let language = language_for(request, None);
    let shown = page(200, language, &PrivacyPage::new(&state.operator, state.app.retention(), language))?;
    Ok(shown.with_header("Cache-Control", "public, max-age=86400"))
}
