//! `/admin/webhooks`: what Shopify has sent, and what was rejected.

use super::chart::Chart;
use super::layout::{Frame, Section, page};
use super::words::{figure, in_query, time};
use super::{Page, Visit};
use crate::activity::{self, Event};
use crate::db;
use crate::error::Result;
use crate::http::Response;
use crate::http::query::Query;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::intake::{self, DeliveryPlace};
use crate::shopify::webhook::Topic;
use askama::Template;
use chrono::{DateTime, Utc};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Page] = &[Page::show("/admin/webhooks", list)];

#[derive(Template)]
#[template(path = "webhooks.html", config = "src/http/console/askama.toml")]
struct Webhooks {
    frame: Frame,
    is_first: bool,
    accepted: Vec<Sum>,
    not_processed: Vec<Sum>,
    deliveries: Vec<Row>,
    next: Option<String>,
}

struct Sum {
    name: &'static str,
    meaning: &'static str,
    day: String,
    month: String,
    last: String,
}

struct Row {
    topic: String,
    shop: String,
    at: String,
    job: Option<String>,
}

fn list(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let asked = Query::of(&visit.request, &["cursor", "limit"])?.page::<DeliveryPlace>()?;
    let now = state.app.clock.now();
    let (mut found, accepted, not_processed) = state.app.db.read(|connection| -> db::Result<_> {
        let found = intake::list_newest(connection, asked.after.as_ref(), asked.fetch())?;
        let last = activity::last_hours(connection)?;
        let sum = |event| sum(connection, now, event, last.get(&event).copied());
        let accepted: db::Result<Vec<Sum>> = Event::accepted().map(sum).collect();
        let not_processed: db::Result<Vec<Sum>> = Event::not_processed().map(sum).collect();
        Ok((found, accepted?, not_processed?))
    })?;
    let next = asked.cut(&mut found, |delivery| in_query(&DeliveryPlace::of(delivery).to_string()));
    let deliveries = found.into_iter().map(|delivery| Row {
        at: time(delivery.received_at),
        job: delivery.job.map(|job| job.to_string()),
        topic: delivery.topic,
        shop: delivery.shop,
    });
    let template = Webhooks {
        frame: visit.frame(Section::Webhooks),
        is_first: asked.after.is_none(),
        accepted,
        not_processed,
        deliveries: deliveries.collect(),
        next,
    };
    page(200, &template)
}

fn sum(connection: &rusqlite::Connection, now: DateTime<Utc>, event: Event, last: Option<i64>) -> db::Result<Sum> {
    let chart = Chart::load(connection, now, "", [event])?;
    let last = last.and_then(|hour| DateTime::from_timestamp(hour * 3_600, 0));
    Ok(Sum {
        name: event.as_str(),
        meaning: meaning(event),
        day: figure(chart.day),
        month: figure(chart.month),
        last: last.map_or_else(|| "never".to_owned(), time),
    })
}

fn meaning(event: Event) -> &'static str {
    match event {
        Event::Accepted(topic) => Topic::find_known(topic).and_then(|topic| topic.meaning()).unwrap_or_default(),
        Event::Duplicate => "a repeated delivery: acknowledged, not processed again",
        Event::Ignored => "a topic that this server does not use: unsubscribe from it",
        Event::Unsigned => "no valid signature: a wrong secret, a proxy that changes bodies, or not from Shopify",
        Event::OtherShop => "signed for another shop than the header names",
        Event::Malformed => "signed, but not what Shopify sends: see the log",
        Event::TooLarge => "over the size limit",
        Event::Order => "an order",
    }
}
