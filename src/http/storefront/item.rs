//! An item of a list: what is wanted of a product, as the body of a request says it.

use super::sizes::{Side, SizeUnit};
use super::{Dimensions, Faults, selection_list};
use crate::domain::ids::{NotAProduct, ProductId};
use crate::domain::options::{RequiredGroups, Selection};
use crate::domain::quote::{QUANTITY_MAX, Quantity, Quote, QuoteRequest};
use crate::error::{Error, Kind, Result};
use crate::http::Request;
use crate::http::body;
use crate::orders::place::ITEMS_MAX;
use crate::pricing::ProductPricing;
use serde_json::{Map, Value};

/// The longest body of a list: an item with all its options has less than a kilobyte.
const BODY_MAX: usize = 64 * 1024;

/// What is wanted of a product.
#[derive(Debug)]
pub(super) struct ListItem {
    pub(super) product: ProductId,
    pub(super) selections: Vec<Selection>,
    width: Side,
    height: Side,
    quantity: Quantity,
    unit: SizeUnit,
}

/// The items of a request's body, in `unit`.
///
/// # Errors
/// `Malformed` where the body is not a list of 1 to 100 items, and `TooLarge`.
pub(super) fn items_of(request: &Request, unit: SizeUnit) -> Result<Vec<Result<ListItem>>> {
    if request.body.len() > BODY_MAX {
        return Err(Error::new(Kind::TooLarge, format!("a list of items has at most {BODY_MAX} bytes")));
    }
    let malformed = |text: &str| Error::new(Kind::Malformed, text);
    let body = body::json(&request.body).map_err(|fault| match fault.is_data() {
        true => malformed("the body has a duplicate field"),
        false => malformed("the body must be JSON"),
    })?;
    let items = body.get("items").and_then(Value::as_array);
    match items {
        Some(items) if (1..=ITEMS_MAX).contains(&items.len()) => {
            Ok(items.iter().map(|item| ListItem::read(item, unit)).collect())
        }
        _ => {
            let mut faults = Faults::default();
            let _none: Option<()> = faults.take("items", Err(format!("must be a list of 1 to {ITEMS_MAX} items")));
            Err(faults.error())
        }
    }
}

impl ListItem {
    fn read(item: &Value, unit: SizeUnit) -> Result<Self> {
        let nothing = Map::new();
        let body = item.as_object().unwrap_or(&nothing);
        let mut faults = Faults::default();
        let product = faults.take("productId", product(body));
        let width = faults.take("width", side(body, "width", unit));
        let height = faults.take("height", side(body, "height", unit));
        let quantity = faults.take("quantity", quantity(body));
        let selections = faults.take("options", selections(body));
        match (product, width, height, quantity, selections) {
            (Some(product), Some(width), Some(height), Some(quantity), Some(selections)) => {
                Ok(Self { product, selections, width, height, quantity, unit })
            }
            _ => Err(faults.error()),
        }
    }

    /// The price of it.
    ///
    /// # Errors
    /// As [`ProductPricing::quote`], with the nearest size that is offered where this one is not.
    pub(super) fn quote(&self, pricing: &ProductPricing, required: RequiredGroups) -> Result<Quote> {
        let Self { width, height, quantity, ref selections, .. } = *self;
        let request = QuoteRequest { width: width.length, height: height.length, quantity, selections, required };
        super::quote_in(pricing, &request, self.unit)
    }

    pub(super) fn dimensions(&self) -> Dimensions {
        self.unit.dimensions(self.width, self.height)
    }
}

pub(super) fn product(body: &Map<String, Value>) -> std::result::Result<ProductId, String> {
    let text = body.get("productId").ok_or("is required")?.as_str().ok_or("must be a text")?;
    text.parse().map_err(|fault: NotAProduct| fault.to_string())
}

pub(super) fn quantity(body: &Map<String, Value>) -> std::result::Result<Quantity, String> {
    let Some(value) = body.get("quantity") else { return Ok(Quantity::ONE) };
    let number = value.as_number().ok_or("must be a number")?;
    Quantity::from_number(number, QUANTITY_MAX).map_err(|fault| fault.to_string())
}

pub(super) fn selections(body: &Map<String, Value>) -> std::result::Result<Vec<Selection>, String> {
    match body.get("options") {
        Some(value) => selection_list(value.as_array().ok_or("must be a list")?),
        None => Ok(Vec::new()),
    }
}

/// Reads a side from a JSON number.
pub(super) fn side(body: &Map<String, Value>, name: &str, unit: SizeUnit) -> std::result::Result<Side, String> {
    let number = body.get(name).ok_or("is required")?.as_number().ok_or("must be a number")?;
    unit.parse_number(number)
}
