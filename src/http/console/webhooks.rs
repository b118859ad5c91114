//! `/admin/webhooks`: what Shopify has sent, and what was refused.

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
    taken: Vec<Sum>,
    other: Vec<Sum>,
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
    let (mut found, sums) = state.app.db.read(|connection| -> db::Result<_> {
        let found = intake::list_newest(connection, asked.after.as_ref(), asked.fetch())?;
        let last = activity::last_hours(connection)?;
        let sums: db::Result<Vec<Sum>> = Event::ALL
            .into_iter()
            .filter(|event| *event != Event::Order)
            .map(|event| sum(connection, now, event, last.get(&event).copied()))
            .collect();
        Ok((found, sums?))
    })?;
    let next = asked.cut(&mut found, |delivery| in_query(&DeliveryPlace::of(delivery).to_string()));
    let mut taken = sums;
    let other = taken.split_off(Event::TAKEN.len());
    let deliveries = found.into_iter().map(|delivery| Row {
        at: time(delivery.received_at),
        job: delivery.job.map(|job| job.to_string()),
        topic: delivery.topic,
        shop: delivery.shop,
    });
    let template = Webhooks {
        frame: visit.frame(Section::Webhooks),
        is_first: asked.after.is_none(),
        taken,
        other,
        deliveries: deliveries.collect(),
        next,
    };
    page(200, &template)
}

fn sum(connection: &rusqlite::Connection, now: DateTime<Utc>, event: Event, last: Option<i64>) -> db::Result<Sum> {
    let chart = Chart::load(connection, now, "", &[event])?;
    let last = last.and_then(|hour| DateTime::from_timestamp(hour * 3_600, 0));
    Ok(Sum {
        name: event.as_str(),
        meaning: meaning(event),
        day: figure(chart.day),
        month: figure(chart.month),
        last: last.map_or_else(|| "never".to_owned(), |at| format!("within the hour from {}", time(at))),
    })
}

fn meaning(event: Event) -> &'static str {
    match event {
        Event::CustomersDataRequest => "a shopper asks what is held about them",
        Event::CustomersRedact => "a shopper is to be forgotten",
        Event::ShopRedact => "a shop is to be erased",
        Event::AppUninstalled => "a shop has removed the app",
        Event::Duplicate => "came before: answered again, done once",
        Event::Ignored => "a topic that means nothing here: unsubscribe from it",
        Event::Unsigned => {
            "no valid signature: a wrong secret, a proxy that changes bodies, or a request that is not Shopify's"
        }
        Event::OtherShop => "signed for another shop than the header names",
        Event::Malformed => "signed, and not what Shopify sends: look into the log",
        Event::TooLarge => "over the size limit",
        Event::Order => "an order",
    }
}
