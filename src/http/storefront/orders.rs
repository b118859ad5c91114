//! `POST /api/v1/draft-orders`: a price becomes an order, and the shopper is sent to where it goes on.

use super::super::body;
use super::super::guard::Entry;
use super::super::respond::Responder;
use super::super::route::Params;
use super::super::state::AppState;
use super::super::{Request, Response};
use super::{Dimensions, Faults, responder as json, selection_list};
use crate::activity::Event;
use crate::domain::ids::{NotAProduct, ProductId};
use crate::domain::length::Length;
use crate::domain::options::Selection;
use crate::domain::quote::{QUANTITY_MAX, Quantity};
use crate::error::{Error, Kind, Result};
use crate::orders::idempotency::{IdempotencyKey, NotAKey};
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

/// Key and limits, then the body, then the order; a repetition of an order is answered as it was.
pub(super) fn order(state: &Arc<AppState>, request: Request, _params: Params, responder: Responder) {
    let admission = match state.guard.enter(&state.app, &request) {
        Ok(Entry::Admission(admission)) => admission,
        Ok(Entry::Refused(response)) => return responder.send(Ok(response)),
        Err(error) => return responder.send(Err(error)),
    };
    let OrderBody { order_request, key } = match OrderBody::read(&request) {
        Ok(body) => body,
        Err(error) => return responder.send(Ok(admission.finish(Err(error)))),
    };
    let (authenticated, at) = (admission.authenticated.clone(), state.clone());
    let traits = traits(&request);
    let traits: Vec<&str> = traits.iter().map(String::as_str).collect();
    let shopper = Shopper { address: request.client, traits: &traits };
    let store = authenticated.key.store;
    let admit = || {
        state.app.disk.admit()?;
        state.guard.admit_order(store, request.client, state.app.clock.uptime())
    };
    state.orders.place_then(authenticated, &shopper, key.as_ref(), order_request, admit, move |outcome| {
        if outcome.as_ref().is_ok_and(|placed| !placed.repeated) {
            at.app.activity.count(at.app.clock.as_ref(), Event::Order);
        }
        let outcome = outcome.map(|placed| created(&placed.record, &at.public_url()));
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

/// Fields in which proxies name their clients. They are not believed where their proxy is not trusted, and tell shoppers apart all the
/// same: whoever makes them up orders twice where others order once.
const FORWARDED: [&str; 4] = ["unbelieved-forwarded-for", "x-real-ip", "cf-connecting-ip", "true-client-ip"];

/// What tells one shopper behind an address from another, as long as nobody makes it up.
fn traits(request: &Request) -> Vec<String> {
    let fields = |name| request.headers.all(name).collect::<Vec<_>>().join(",");
    let told = TRAITS.into_iter().map(fields);
    // Some proxies write the port too, which is another for each connection.
    let forwarded =
        FORWARDED.into_iter().map(|name| fields(name).split(',').map(without_port).collect::<Vec<_>>().join(","));
    told.chain(forwarded).collect()
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
fn created(record: &Record, public_url: &str) -> Response {
    Response { status: 201, ..json(&CreatedBody::new(record, public_url)) }
}

/// What is ordered, and the key that tells it from another order of the same.
struct OrderBody {
    order_request: OrderRequest,
    key: Option<IdempotencyKey>,
}

impl OrderBody {
    fn read(request: &Request) -> Result<Self> {
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
        let product = faults.take("productId", product(&body));
        let width = faults.take("width", length(&body, "width"));
        let height = faults.take("height", length(&body, "height"));
        let quantity = faults.take("quantity", quantity(&body));
        let selections = faults.take("options", selections(&body));
        match (key, product, width, height, quantity, selections) {
            (Some(key), Some(product), Some(width), Some(height), Some(quantity), Some(selections)) => {
                Ok(Self { order_request: OrderRequest { product, width, height, quantity, selections }, key })
            }
            _ => Err(faults.error()),
        }
    }
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

fn product(body: &Map<String, Value>) -> Read<ProductId> {
    let text = body.get("productId").ok_or("is required")?.as_str().ok_or("must be a text")?;
    text.parse().map_err(|fault: NotAProduct| fault.to_string())
}

fn length(body: &Map<String, Value>, name: &str) -> Read<Length> {
    let number = body.get(name).ok_or("is required")?.as_number().ok_or("must be a number")?;
    Length::from_number(number).map_err(|fault| fault.to_string())
}

fn quantity(body: &Map<String, Value>) -> Read<Quantity> {
    let Some(value) = body.get("quantity") else { return Ok(Quantity::ONE) };
    let number = value.as_number().ok_or("must be a number")?;
    Quantity::from_number(number, QUANTITY_MAX).map_err(|fault| fault.to_string())
}

fn selections(body: &Map<String, Value>) -> Read<Vec<Selection>> {
    match body.get("options") {
        Some(value) => selection_list(value.as_array().ok_or("must be a list")?),
        None => Ok(Vec::new()),
    }
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
struct ModifierBody<'a> {
    option_group: &'a str,
    choice: &'a str,
    modifier_type: &'a str,
    modifier_value: i64,
    applied_amount: Number,
}

impl<'a> CreatedBody<'a> {
    fn new(record: &'a Record, public_url: &str) -> Self {
        let money = |amount| record.currency.to_number(amount);
        let modifiers = record.selections.iter().map(|option| ModifierBody {
            option_group: &option.option_group_name,
            choice: &option.choice_label,
            modifier_type: &option.modifier_type,
            modifier_value: option.modifier_value,
            applied_amount: money(option.applied()),
        });
        let with_options = !record.selections.is_empty();
        Self {
            draft_order_id: record.id.to_string(),
            // Shopify's, once it is there: it is what the merchant and the checkout call it.
            name: record.shopify_order_name.clone().unwrap_or_else(|| record.name()),
            // Widgets send the shopper there whatever it is: it is never missing.
            checkout_url: record.checkout_url.clone().unwrap_or_else(|| page_url(record, public_url)),
            total: record.currency.format(record.shopify_total.unwrap_or(record.total_price)),
            currency: record.currency.code(),
            price: money(record.unit_price),
            dimensions: Dimensions {
                width: record.width.to_number(),
                height: record.height.to_number(),
                unit: record.unit.as_str(),
            },
            quantity: record.quantity,
            base_price: with_options.then(|| money(record.base_price)),
            option_modifiers: with_options.then(|| modifiers.collect()),
        }
    }
}
