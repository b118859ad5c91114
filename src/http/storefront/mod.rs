//! `/api/v1`: what a shop's pages ask. An existing widget calls it unchanged, so every name, status and header here is a promise
//! (`tests/it/storefront` holds them); the sentences are for shoppers, who read them in the widget.

mod item;
mod orders;
mod prices;
mod product;
mod sizes;

use super::body;
use super::guard::Admission;
use super::route::{Params, Route};
use super::state::AppState;
use super::{Method, Request, Response};
use crate::domain::ids::ProductId;
use crate::domain::length::{Length, Unit};
use crate::domain::money::{BasisPoints, Currency};
use crate::domain::options::{OptionGroup, RequiredGroups, SELECTIONS_MAX, Selection};
use crate::domain::quote::{QUANTITY_MAX, Quantity, Quote, QuoteRequest};
use crate::error::{Error, Kind, Result};
use crate::http::query::Query;
use crate::pricing::ProductPricing;
use serde::Serialize;
use serde_json::{Number, Value};
use sizes::{Side, SizeUnit};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/api/v1/products/{*productId}/price", price),
    Route::now(Method::Get, "/api/v1/products/{*productId}/options", options),
    Route::now(Method::Get, "/api/v1/products/{*productId}", product::product),
    Route::now(Method::Post, "/api/v1/prices", prices::prices),
    Route::later(Method::Post, "/api/v1/draft-orders", orders::order),
    // The same through a shop's own domain.
    Route::now(Method::Get, "/proxy/products/{*productId}/price", price),
    Route::now(Method::Get, "/proxy/products/{*productId}/options", options),
    Route::now(Method::Get, "/proxy/products/{*productId}", product::product),
    Route::now(Method::Post, "/proxy/prices", prices::prices),
    Route::later(Method::Post, "/proxy/draft-orders", orders::order),
];

fn price(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Response> {
    admit(state, request, params, |Admission { authenticated, .. }, product| {
        let query = Query::open(&request.query);
        let unit = SizeUnit::read(&query, authenticated.key.unit)?;
        let query = PriceQuery::read(&query, unit)?;
        let pricing = state.app.pricing.load(&state.app.db, authenticated, product)?;
        let quote = quote_in(&pricing, &query.request(), unit)?;
        let dimensions = unit.dimensions(query.width, query.height);
        Ok(json_response(&PriceBody::new(&pricing, &quote, dimensions, !query.selections.is_empty(), query.explain)))
    })
}

/// The price of a size, or why it has none, with the nearest size that is offered.
fn quote_in(pricing: &ProductPricing, request: &QuoteRequest<'_>, unit: SizeUnit) -> Result<Quote> {
    pricing.quote(request).map_err(|error| match (error.kind(), &pricing.offer) {
        (Kind::Invalid, Some(offer)) => {
            let nearest = offer.matrix.nearest(request.width, request.height);
            // A size that is too dear has a price, and is itself the nearest.
            unit.with_nearest(error, nearest.filter(|&nearest| nearest != (request.width, request.height)))
        }
        _ => error,
    })
}

fn options(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Response> {
    admit(state, request, params, |Admission { authenticated, .. }, product| {
        let pricing = state.app.pricing.load(&state.app.db, authenticated, product)?;
        Ok(json_response(&OptionsBody::new(&pricing)))
    })
}

/// Key, limits and product id, in this order, before anything else is looked at.
fn admit(
    state: &Arc<AppState>,
    request: &Request,
    params: &Params,
    handler: impl FnOnce(&Admission, &ProductId) -> Result<Response>,
) -> Result<Response> {
    state.guard.admit(&state.app, &state.secrets, request, |admission| {
        let product = product_id(params.get("productId"))?;
        handler(admission, &product)
    })
}

/// The product id of a path, which has been decoded once already.
fn product_id(text: &str) -> Result<ProductId> {
    let once_only = Some(text).filter(|text| !text.contains('%'));
    once_only.and_then(|text| ProductId::from_path(text).ok()).ok_or_else(|| {
        Error::new(Kind::Malformed, "the product id must be digits, or gid://shopify/Product/ and digits")
    })
}

fn json_response(body: &impl Serialize) -> Response {
    Response::new(200, "application/json", serde_json::to_vec(body).expect("text, numbers and lists are JSON"))
}

/// What a price is asked for.
#[derive(Debug)]
struct PriceQuery {
    width: Side,
    height: Side,
    quantity: Quantity,
    selections: Vec<Selection>,
    explain: bool,
}

impl PriceQuery {
    fn read(query: &Query, unit: SizeUnit) -> Result<Self> {
        let mut faults = Faults::default();
        let width = faults.take("width", side(query, "width", unit));
        let height = faults.take("height", side(query, "height", unit));
        let quantity = faults.take("quantity", quantity(query));
        let options = faults.take("options", query.once("options").map_err(|fault| fault.to_string()));
        let explain = matches!(query.once("explain"), Ok(Some("1" | "true")));
        match (width, height, quantity, options) {
            (Some(width), Some(height), Some(quantity), Some(options)) => {
                Ok(Self { width, height, quantity, selections: selections(options.unwrap_or_default())?, explain })
            }
            _ => Err(faults.error()),
        }
    }

    fn request(&self) -> QuoteRequest<'_> {
        let Self { width, height, quantity, ref selections, explain: _ } = *self;
        // A shopper sees a price before choosing anything; what is still missing is reported alongside it.
        let (width, height) = (width.length, height.length);
        QuoteRequest { width, height, quantity, selections, required: RequiredGroups::Reported }
    }
}

fn side(query: &Query, name: &str, unit: SizeUnit) -> std::result::Result<Side, String> {
    let text = query.once(name).map_err(|fault| fault.to_string())?.ok_or("is required")?;
    // As it was typed: a blank too many is no other size.
    unit.parse(text.trim())
}

fn quantity(query: &Query) -> std::result::Result<Quantity, String> {
    match query.once("quantity").map_err(|fault| fault.to_string())? {
        Some(text) => Quantity::parse(text.trim(), QUANTITY_MAX).map_err(|fault| fault.to_string()),
        None => Ok(Quantity::ONE),
    }
}

/// The faults of all fields, reported together.
#[derive(Debug, Default)]
struct Faults(Vec<(String, String)>);

/// Faults that the sentence for shoppers names; all of them are in `errors`.
const FAULTS_LISTED: usize = 6;

impl Faults {
    fn take<T>(&mut self, field: &str, read: std::result::Result<T, String>) -> Option<T> {
        read.map_err(|text| self.0.push((field.to_owned(), text))).ok()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn error(self) -> Error {
        let listed = self.0.iter().take(FAULTS_LISTED).map(|(field, text)| format!("the {} {text}", shown(field)));
        let more = self.0.len().saturating_sub(FAULTS_LISTED);
        let more = (more > 0).then(|| format!("and {more} more"));
        let sentences: Vec<String> = listed.chain(more).collect();
        let error = Error::new(Kind::Malformed, sentences.join("; "));
        self.0.into_iter().fold(error, |error, (field, text)| error.with_fault(field, text))
    }
}

/// What people call a field: they count items from one.
fn shown(field: &str) -> String {
    let listed = || {
        let (place, rest) = field.strip_prefix("items[")?.split_once(']')?;
        let name = format!("item {}", place.parse::<usize>().ok()? + 1);
        Some(rest.strip_prefix('.').map_or_else(|| name.clone(), |field| format!("{} of {name}", shown(field))))
    };
    match field {
        "productId" => "product".to_owned(),
        other => listed().unwrap_or_else(|| other.to_owned()),
    }
}

/// Reads `{"selections":[{"optionGroupId","choiceId"}]}`; no text means no selections.
fn selections(text: &str) -> Result<Vec<Selection>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let value = body::json(text.as_bytes()).map_err(|_fault| {
        Error::new(Kind::Malformed, "the options must be JSON without duplicate fields, percent-encoded")
    })?;
    let list = value.get("selections").and_then(Value::as_array);
    let read = match list {
        Some(list) => selection_list(list),
        None => Err("must be an object with a list \"selections\"".to_owned()),
    };
    let mut faults = Faults::default();
    faults.take("options", read).ok_or_else(|| faults.error())
}

/// Reads a list of `{"optionGroupId","choiceId"}`.
fn selection_list(list: &[Value]) -> std::result::Result<Vec<Selection>, String> {
    if list.len() > SELECTIONS_MAX {
        return Err(format!("must have at most {SELECTIONS_MAX} selections"));
    }
    let id = |entry: &Value, name: &str| {
        entry.get(name).and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned)
    };
    let read = list.iter().map(|entry| {
        Some(Selection { option_group_id: id(entry, "optionGroupId")?, choice_id: id(entry, "choiceId")? })
    });
    let read: Option<Vec<Selection>> = read.collect();
    read.ok_or_else(|| "must have text for optionGroupId and choiceId in each selection".to_owned())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PriceBody<'a> {
    price: Number,
    currency: &'a str,
    dimensions: Dimensions,
    quantity: u32,
    total: Number,
    matrix: &'a str,
    dimension_range: Range,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_price: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    option_modifiers: Option<Vec<AppliedBody<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_required: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Vec<StepBody>>,
}

#[derive(Serialize)]
struct Dimensions {
    width: Number,
    height: Number,
    unit: &'static str,
}

/// The smallest and largest sizes; 0 where nothing is priced yet.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Range {
    min_width: Number,
    max_width: Number,
    min_height: Number,
    max_height: Number,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AppliedBody<'a> {
    option_group: &'a str,
    choice: &'a str,
    modifier_type: &'static str,
    modifier_value: i64,
    applied_amount: Number,
}

/// A reason of the price. Amounts are decimal text: percentages have more decimals before they are rounded than a number keeps.
#[derive(Serialize)]
struct StepBody {
    kind: &'static str,
    text: String,
    amount: String,
    subtotal: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OptionsBody<'a> {
    option_groups: Vec<GroupBody<'a>>,
    currency: &'a str,
    unit: &'static str,
    dimension_range: Range,
}

#[derive(Serialize)]
struct GroupBody<'a> {
    id: String,
    name: &'a str,
    requirement: &'static str,
    choices: Vec<ChoiceBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChoiceBody<'a> {
    id: String,
    label: &'a str,
    modifier_type: &'static str,
    modifier_value: i64,
    /// A fixed value in major units, with the currency's decimals: not every minor unit is a hundredth.
    amount: Option<String>,
    /// A percentage as people write it.
    percent: Option<String>,
    is_default: bool,
}

impl<'a> PriceBody<'a> {
    fn new(
        pricing: &'a ProductPricing,
        quote: &'a Quote,
        dimensions: Dimensions,
        with_options: bool,
        explain: bool,
    ) -> Self {
        let money = |amount| pricing.currency.to_number(amount);
        let modifiers = quote.modifiers.iter().map(|modifier| AppliedBody {
            option_group: modifier.option_group.as_str(),
            choice: modifier.choice.as_str(),
            modifier_type: modifier.modifier.kind(),
            modifier_value: modifier.modifier.value(),
            applied_amount: money(modifier.applied),
        });
        Self {
            price: money(quote.unit_price),
            currency: pricing.currency.code(),
            dimensions,
            quantity: quote.quantity.get(),
            total: money(quote.total),
            matrix: pricing.offer.as_ref().map_or("", |offer| offer.name.as_str()),
            dimension_range: Range::new(pricing),
            base_price: with_options.then(|| money(quote.base_price())),
            option_modifiers: with_options.then(|| modifiers.collect()),
            missing_required: quote.missing_required.iter().map(ToString::to_string).collect(),
            explanation: explain.then(|| steps(quote, pricing.currency, pricing.unit)),
        }
    }
}

fn steps(quote: &Quote, currency: Currency, unit: Unit) -> Vec<StepBody> {
    let steps = quote.explain(currency, unit).into_iter().map(|step| StepBody {
        kind: step.kind.as_str(),
        text: step.text,
        amount: step.amount.format(currency),
        subtotal: step.subtotal.format(currency),
    });
    steps.collect()
}

impl Range {
    fn new(pricing: &ProductPricing) -> Self {
        let range = pricing.offer.as_ref().and_then(|offer| offer.matrix.dimension_range());
        let number = |length: Option<Length>| length.map_or_else(|| Number::from(0), Length::to_number);
        Self {
            min_width: number(range.map(|range| range.min_width)),
            max_width: number(range.map(|range| range.max_width)),
            min_height: number(range.map(|range| range.min_height)),
            max_height: number(range.map(|range| range.max_height)),
        }
    }
}

impl<'a> OptionsBody<'a> {
    fn new(pricing: &'a ProductPricing) -> Self {
        Self {
            option_groups: pricing.groups.iter().map(|group| GroupBody::new(group, pricing.currency)).collect(),
            currency: pricing.currency.code(),
            unit: pricing.unit.as_str(),
            dimension_range: Range::new(pricing),
        }
    }
}

impl<'a> GroupBody<'a> {
    fn new(group: &'a OptionGroup, currency: Currency) -> Self {
        let choices = group.choices.iter().map(|choice| ChoiceBody {
            id: choice.id.to_string(),
            label: choice.label.as_str(),
            modifier_type: choice.modifier.kind(),
            modifier_value: choice.modifier.value(),
            amount: choice.modifier.fixed().map(|amount| currency.format(amount)),
            percent: choice.modifier.share().map(BasisPoints::format_percent),
            is_default: choice.is_default,
        });
        Self {
            id: group.id.to_string(),
            name: group.name.as_str(),
            requirement: group.requirement.as_str(),
            choices: choices.collect(),
        }
    }
}
