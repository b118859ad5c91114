//! `POST /api/v1/draft-orders`: a price becomes an order, and the shopper is sent to where it goes on.

use super::super::body;
use super::super::guard::Entry;
use super::super::respond::Responder;
use super::super::route::Params;
use super::super::state::AppState;
use super::super::{Request, Response};
use super::item::{product, quantity, selections, side};
use super::sizes::SizeUnit;
use super::{Dimensions, Faults, json_response};
use crate::activity::Event;
use crate::domain::length::Unit;
use crate::domain::name::Label;
use crate::error::{Error, Kind, Result};
use crate::http::query::Query;
use crate::orders::idempotency::{IdempotencyKey, NotAKey};
use crate::orders::lines::Line;
use crate::orders::place::{ITEMS_MAX, ItemRequest};
use crate::orders::records::Record;
use crate::orders::{OrderRequest, Shopper};
use crate::views::orders::page_url;
use serde::Serialize;
use serde_json::{Map, Number, Value};
use std::sync::Arc;

/// The longest body: an order with all its options has less than a kilobyte.
const BODY_MAX: usize = 64 * 1024;

/// The order's own key, as a header field and in faults.
const KEY_FIELD: &str = "Idempotency-Key";

/// What an order of several items has, and one of a single item has not.
const ITEMS_FIELD: &str = "items";

/// Key and limits, then the body, then the order; a repetition of an order is answered as it was.
pub(super) fn order(state: &Arc<AppState>, request: Request, _params: Params, responder: Responder) {
    let admission = match state.guard.enter(&state.app, &state.secrets, &request) {
        Ok(Entry::Admission(admission)) => admission,
        Ok(Entry::Refused(response)) => return responder.send(Ok(response)),
        Err(error) => return responder.send(Err(error)),
    };
    let OrderBody { order_request, key, unit } = match OrderBody::read(&request, admission.authenticated.key.unit) {
        Ok(body) => body,
        Err(error) => return responder.send(Ok(admission.finish(Err(error)))),
    };
    let is_list = order_request.is_list;
    let (authenticated, at) = (admission.authenticated.clone(), state.clone());
    let traits = traits(&request);
    let traits: Vec<&str> = traits.iter().map(String::as_str).collect();
    let shopper = Shopper { address: request.client, traits: &traits };
    let (store, client) = (authenticated.key.store, admission.client);
    let admit = || {
        state.app.disk.admit()?;
        state.guard.admit_order(store, client, state.app.clock.uptime())
    };
    state.orders.place_then(authenticated, &shopper, key.as_ref(), order_request, admit, move |outcome| {
        if outcome.as_ref().is_ok_and(|placed| !placed.repeated) {
            at.app.activity.count(at.app.clock.as_ref(), Event::Order);
        }
        let outcome = outcome.map(|placed| created(&placed.record, unit, is_list, &at.public_url()));
        responder.send(Ok(admission.finish(outcome)));
    });
}

/// Header fields that differ from one browser to another, and not from one click to the next.
const TRAITS: [&str; 8] = [
    "user-agent",
    "accept-language",
    "accept-encoding",
    "origin",
    "referer",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
];

/// Fields in which proxies name their clients. They are not believed where their proxy is not trusted, and distinguish shoppers all the
/// same: a client that makes them up orders twice where others order once.
const FORWARDED: [&str; 4] = ["unbelieved-forwarded-for", "x-real-ip", "cf-connecting-ip", "true-client-ip"];

/// What distinguishes one shopper behind an address from another, as long as no client makes it up.
fn traits(request: &Request) -> Vec<String> {
    let fields = |name| request.headers.all(name).collect::<Vec<_>>().join(",");
    let traits = TRAITS.into_iter().map(fields);
    // Some proxies write the port too, which is another for each connection.
    let forwarded =
        FORWARDED.into_iter().map(|name| fields(name).split(',').map(without_port).collect::<Vec<_>>().join(","));
    traits.chain(forwarded).collect()
}

fn without_port(hop: &str) -> &str {
    let hop = hop.trim();
    match hop.rsplit_once(':') {
        // Of an IPv6 address without brackets the last group is no port.
        Some((address, _)) if address.ends_with(']') || !address.contains(':') => address,
        _ => hop,
    }
}

/// The one place that composes the answer to an order, from its record alone: a repetition finds the same words.
fn created(record: &Record, unit: SizeUnit, is_list: bool, public_url: &str) -> Response {
    Response { status: 201, ..json_response(&CreatedBody::new(record, unit, is_list, public_url)) }
}

/// What is ordered, and the key that distinguishes it from another order of the same.
struct OrderBody {
    order_request: OrderRequest,
    key: Option<IdempotencyKey>,
    unit: SizeUnit,
}

impl OrderBody {
    fn read(request: &Request, of_store: Unit) -> Result<Self> {
        let unit = SizeUnit::read(&Query::open(&request.query), of_store)?;
        if request.body.len() > BODY_MAX {
            return Err(Error::new(Kind::TooLarge, format!("an order has at most {BODY_MAX} bytes")));
        }
        let body = match body::json(&request.body) {
            Ok(Value::Object(body)) => body,
            Ok(_) => return Err(Error::new(Kind::Malformed, "the body must be a JSON object")),
            Err(fault) if fault.is_data() => {
                return Err(Error::new(Kind::Malformed, "the body has a duplicate field"));
            }
            Err(_fault) => return Err(Error::new(Kind::Malformed, "the body must be JSON")),
        };
        let mut faults = Faults::default();
        let key = faults.take(KEY_FIELD, idempotency_key(request));
        let is_list = body.contains_key(ITEMS_FIELD);
        let items = match is_list {
            true => items(&body, unit, &mut faults),
            false => item(&body, "", unit, &mut faults).map(|only| vec![only]),
        };
        match (key, items, faults.is_empty()) {
            (Some(key), Some(items), true) => Ok(Self { order_request: OrderRequest { items, is_list }, key, unit }),
            _ => Err(faults.error()),
        }
    }
}

/// What an item has, alone or in a list.
const ITEM_FIELDS: [&str; 6] = ["productId", "width", "height", "quantity", "options", "label"];

/// The items of an order that came as a list; what is wrong with any is named under its place.
fn items(body: &Map<String, Value>, unit: SizeUnit, faults: &mut Faults) -> Option<Vec<ItemRequest>> {
    if let Some(field) = ITEM_FIELDS.into_iter().find(|field| body.contains_key(*field)) {
        let both = format!("cannot be sent together with {field}: what is ordered goes into the items");
        return faults.take(ITEMS_FIELD, Err(both));
    }
    let listed = body.get(ITEMS_FIELD).and_then(Value::as_array);
    let listed = listed.filter(|listed| (1..=ITEMS_MAX).contains(&listed.len()));
    let listed = faults.take(ITEMS_FIELD, listed.ok_or(format!("must be a list of 1 to {ITEMS_MAX} items")))?;
    let items: Vec<Option<ItemRequest>> = listed
        .iter()
        .enumerate()
        .map(|(place, value)| {
            let place = format!("{ITEMS_FIELD}[{place}]");
            let fields = faults.take(&place, value.as_object().ok_or_else(|| "must be an object".to_owned()))?;
            item(fields, &format!("{place}."), unit, faults)
        })
        .collect();
    items.into_iter().collect()
}

fn item(fields: &Map<String, Value>, place: &str, unit: SizeUnit, faults: &mut Faults) -> Option<ItemRequest> {
    let product = faults.take(&format!("{place}productId"), product(fields));
    let width = faults.take(&format!("{place}width"), side(fields, "width", unit));
    let height = faults.take(&format!("{place}height"), side(fields, "height", unit));
    let quantity = faults.take(&format!("{place}quantity"), quantity(fields));
    let selections = faults.take(&format!("{place}options"), selections(fields));
    let label = faults.take(&format!("{place}label"), label(fields));
    Some(ItemRequest {
        product: product?,
        width: width?.length,
        height: height?.length,
        quantity: quantity?,
        selections: selections?,
        label: label?,
    })
}

type Read<T> = std::result::Result<T, String>;

fn idempotency_key(request: &Request) -> Read<Option<IdempotencyKey>> {
    let mut fields = request.headers.all("idempotency-key");
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err("is given more than once".to_owned());
    }
    field.parse().map(Some).map_err(|fault: NotAKey| fault.to_string())
}

fn label(body: &Map<String, Value>) -> Read<Option<Label>> {
    let Some(value) = body.get("label") else { return Ok(None) };
    Label::read(value.as_str().ok_or("must be a text")?).map_err(|fault| fault.to_string())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedBody<'a> {
    draft_order_id: String,
    name: String,
    checkout_url: String,
    /// Text, as widgets expect it of an order, unlike a price's.
    total: String,
    currency: &'a str,
    /// Of an order that was not asked for as a list: its item's own.
    #[serde(flatten)]
    only: Option<PricedBody<'a>>,
    items: Vec<ItemBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PricedBody<'a> {
    price: Number,
    dimensions: Dimensions,
    quantity: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_price: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    option_modifiers: Option<Vec<ModifierBody<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemBody<'a> {
    product_id: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    /// Text, as the order's.
    total: String,
    #[serde(flatten)]
    priced: PricedBody<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModifierBody<'a> {
    option_group: &'a str,
    choice: &'a str,
    modifier_type: &'a str,
    modifier_value: i64,
    applied_amount: Number,
}

impl<'a> CreatedBody<'a> {
    fn new(record: &'a Record, unit: SizeUnit, is_list: bool, public_url: &str) -> Self {
        let only = record.lines.first().filter(|_| !is_list);
        let unit = unit.of(record.unit);
        Self {
            draft_order_id: record.id.to_string(),
            // Shopify's, once it is there: it is what the merchant and the checkout call it.
            name: record.shopify_order_name.clone().unwrap_or_else(|| record.name()),
            // Widgets send the shopper there whatever it is: it is never missing.
            checkout_url: record.checkout_url.clone().unwrap_or_else(|| page_url(record, public_url)),
            total: record.currency.format(record.shopify_total.unwrap_or(record.total_price)),
            currency: record.currency.code(),
            only: only.map(|line| PricedBody::new(line, unit, record)),
            items: record.lines.iter().map(|line| ItemBody::new(line, unit, record)).collect(),
        }
    }
}

impl<'a> PricedBody<'a> {
    fn new(line: &'a Line, unit: SizeUnit, record: &Record) -> Self {
        let money = |amount| record.currency.to_number(amount);
        let modifiers = line.selections.iter().map(|option| ModifierBody {
            option_group: &option.option_group_name,
            choice: &option.choice_label,
            modifier_type: &option.modifier_type,
            modifier_value: option.modifier_value,
            applied_amount: money(option.applied()),
        });
        let with_options = !line.selections.is_empty();
        Self {
            price: money(line.unit_price),
            dimensions: unit.dimensions_of(line.width, line.height),
            quantity: line.quantity,
            base_price: with_options.then(|| money(line.base_price)),
            option_modifiers: with_options.then(|| modifiers.collect()),
        }
    }
}

impl<'a> ItemBody<'a> {
    fn new(line: &'a Line, unit: SizeUnit, record: &Record) -> Self {
        Self {
            product_id: &line.product_id,
            title: &line.product_title,
            label: line.label.as_deref(),
            total: record.currency.format(line.total_price),
            priced: PricedBody::new(line, unit, record),
        }
    }
}
