//! `GET /api/v1/products/{productId}`: everything that a page needs to know of a product before a size is asked for.

use super::{GroupBody, Range, json_response};
use crate::domain::ids::ProductId;
use crate::domain::length::Length;
use crate::domain::sizes::{Offered, SizeRange};
use crate::error::{Error, Result};
use crate::http::guard::Admission;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::http::{Request, Response};
use crate::pricing::{AuthenticatedKey, ProductPricing};
use serde::Serialize;
use serde_json::Number;
use std::sync::Arc;

/// The table's line.
pub(super) fn product(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Response> {
    state.guard.admit(&state.app, &state.secrets, request, |Admission { authenticated, .. }| {
        let path = params.get("productId");
        // What has more segments than a product id is another path, and not one that is here.
        let product =
            super::product_id(path).map_err(|error| match path.contains('/') && !path.starts_with("gid:") {
                true => Error::not_found("path"),
                false => error,
            })?;
        let pricing = state.app.pricing.load(&state.app.db, authenticated, &product)?;
        Ok(json_response(&ProductBody::new(&pricing, authenticated, &product)?))
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProductBody<'a> {
    product_id: &'a str,
    title: &'a str,
    currency: &'a str,
    unit: &'static str,
    tax_label: &'static str,
    dimension_range: Range,
    steps: Steps,
    offered: OfferedBody,
    option_groups: Vec<GroupBody<'a>>,
}

#[derive(Serialize)]
struct Steps {
    widths: Vec<Number>,
    heights: Vec<Number>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OfferedBody {
    All(&'static str),
    Ranges(Vec<Range>),
}

impl<'a> ProductBody<'a> {
    fn new(pricing: &'a ProductPricing, authenticated: &'a AuthenticatedKey, product: &'a ProductId) -> Result<Self> {
        let offer = pricing.offer()?;
        let numbers = |steps: &[Length]| steps.iter().map(|step| step.to_number()).collect();
        Ok(Self {
            product_id: product.as_str(),
            title: &offer.product_title,
            currency: pricing.currency.code(),
            unit: pricing.unit.as_str(),
            tax_label: authenticated.key.tax_label.as_str(),
            dimension_range: Range::new(pricing),
            steps: Steps { widths: numbers(offer.matrix.widths()), heights: numbers(offer.matrix.heights()) },
            offered: match offer.matrix.offered() {
                Offered::All => OfferedBody::All("all"),
                Offered::Ranges(ranges) => OfferedBody::Ranges(ranges.iter().map(Range::of).collect()),
            },
            option_groups: pricing.groups.iter().map(|group| GroupBody::new(group, pricing.currency)).collect(),
        })
    }
}

impl Range {
    fn of(range: &SizeRange) -> Self {
        Self {
            min_width: range.min_width.to_number(),
            max_width: range.max_width.to_number(),
            min_height: range.min_height.to_number(),
            max_height: range.max_height.to_number(),
        }
    }
}
