//! `GET /api/v1/products/{productId}`: everything that a page needs to know of a product before a size is asked for.

use super::{GroupBody, Range, answer};
use crate::domain::ids::ProductId;
use crate::domain::length::Length;
use crate::domain::sizes::{Offered, SizeRange};
use crate::error::Result;
use crate::http::guard::Pass;
use crate::http::routes::{Params, Site};
use crate::http::{Request, Response};
use crate::pricing::{Shelf, Visitor};
use serde::Serialize;
use serde_json::Number;
use std::sync::Arc;

/// The table's line.
pub(super) fn product(site: &Arc<Site>, request: &Request, params: &Params) -> Result<Response> {
    super::admit(site, request, params, |Pass { visitor, .. }, product| {
        let shelf = site.app.pricing.load(&site.app.db, visitor, product)?;
        Ok(answer(&ProductBody::new(&shelf, visitor, product)?))
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
    fn new(shelf: &'a Shelf, visitor: &'a Visitor, product: &'a ProductId) -> Result<Self> {
        let offer = shelf.offer()?;
        let numbers = |steps: &[Length]| steps.iter().map(|step| step.to_number()).collect();
        Ok(Self {
            product_id: product.as_str(),
            title: &offer.product_title,
            currency: shelf.currency.code(),
            unit: shelf.unit.as_str(),
            tax_label: visitor.key.tax_label.as_str(),
            dimension_range: Range::new(shelf),
            steps: Steps { widths: numbers(offer.matrix.widths()), heights: numbers(offer.matrix.heights()) },
            offered: match offer.matrix.offered() {
                Offered::All => OfferedBody::All("all"),
                Offered::Ranges(ranges) => OfferedBody::Ranges(ranges.iter().map(Range::of).collect()),
            },
            option_groups: shelf.groups.iter().map(|group| GroupBody::new(group, shelf.currency)).collect(),
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
