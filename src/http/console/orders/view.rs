//! An order as pages show it, read from its document: an order of several items has them as `items`, one of a single item is one itself.

use crate::domain::money::Currency;
use crate::domain::options::Modifier;
use crate::http::console::options::effect;
use serde_json::Value;

/// A chosen option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OptionView {
    pub(super) group: String,
    pub(super) choice: String,
    /// What it adds, as it is defined: `+5 %`.
    pub(super) effect: String,
    /// What it added to the price of one piece.
    pub(super) amount: String,
}

/// An item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ItemView {
    pub(super) title: String,
    pub(super) label: String,
    pub(super) sku: String,
    pub(super) width: String,
    pub(super) height: String,
    pub(super) unit: String,
    /// The step of the grid that priced it, where it is another size.
    pub(super) priced_as: Option<String>,
    pub(super) quantity: String,
    pub(super) base_price: String,
    pub(super) options: Vec<OptionView>,
    pub(super) price: String,
    pub(super) total: String,
    pub(super) list: String,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrderView {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) created_at: String,
    pub(super) currency: String,
    pub(super) total: String,
    pub(super) items: Vec<ItemView>,
    /// Shopify's name for the draft.
    pub(super) draft_name: Option<String>,
    /// Shopify's name for the order that the draft became.
    pub(super) order_name: Option<String>,
    pub(super) ordered_at: Option<String>,
    pub(super) cancelled_at: Option<String>,
    pub(super) shopify_total: Option<String>,
    pub(super) checkout_url: Option<String>,
    pub(super) error: Option<String>,
    pub(super) warnings: Vec<String>,
}

impl OrderView {
    /// The view of an order's document.
    pub(super) fn of(document: &Value) -> Self {
        let currency = text(document, &["currency"]);
        let items = match document.get("items").and_then(Value::as_array) {
            Some(items) => items.iter().map(|item| ItemView::of(item, document)).collect(),
            None => vec![ItemView::of(document, document)],
        };
        Self {
            id: text(document, &["id"]),
            name: text(document, &["name"]),
            status: text(document, &["status"]),
            created_at: text(document, &["createdAt"]),
            total: text(document, &["total"]),
            items,
            draft_name: optional(document, &["shopifyOrderName"]),
            order_name: optional(document, &["orderName"]),
            ordered_at: optional(document, &["orderedAt"]),
            cancelled_at: optional(document, &["cancelledAt"]),
            shopify_total: optional(document, &["shopifyTotal"]),
            checkout_url: optional(document, &["checkoutUrl"]),
            error: optional(document, &["handoverError"]),
            warnings: strings(document.get("handoverWarnings")),
            currency,
        }
    }

    /// How the state looks.
    pub(super) fn class(&self) -> &'static str {
        match self.status.as_str() {
            _ if self.error.is_some() => "bad",
            _ if !self.warnings.is_empty() => "warn",
            "sent" | "ordered" => "good",
            _ => "quiet",
        }
    }

    /// What the list says of its items.
    pub(super) fn summary(&self) -> String {
        match self.items.as_slice() {
            [] => String::new(),
            [item] => format!("{} × {}, {}", item.quantity, item.title, item.size()),
            [first, rest @ ..] => format!("{}, {} and {} more", first.title, first.size(), rest.len()),
        }
    }
}

impl ItemView {
    fn of(item: &Value, order: &Value) -> Self {
        // What an item does not say of itself, its order says for all.
        let either = |names: &[&str]| optional(item, names).unwrap_or_else(|| text(order, names));
        let currency: Option<Currency> = either(&["currency"]).parse().ok();
        let (width, height) = (text(item, &["width"]), text(item, &["height"]));
        let priced_as = optional(item, &["pricedWidth"]).zip(optional(item, &["pricedHeight"]));
        let priced_as = priced_as
            .filter(|(priced_width, priced_height)| (priced_width, priced_height) != (&width, &height))
            .map(|(width, height)| format!("{width} × {height}"));
        let options = item.get("options").and_then(Value::as_array).into_iter().flatten();
        Self {
            title: text(item, &["productTitle", "title"]),
            label: text(item, &["label"]),
            sku: text(item, &["sku"]),
            unit: either(&["unit"]),
            priced_as,
            quantity: text(item, &["quantity"]),
            base_price: text(item, &["basePrice"]),
            options: options.map(|option| option_of(option, currency)).collect(),
            price: text(item, &["price"]),
            total: text(item, &["total"]),
            list: text(item, &["matrix", "matrixName"]),
            width,
            height,
        }
    }

    /// Its size with the unit.
    pub(super) fn size(&self) -> String {
        format!("{} × {} {}", self.width, self.height, self.unit)
    }
}

fn option_of(option: &Value, currency: Option<Currency>) -> OptionView {
    let value = option.get("modifierValue").and_then(Value::as_i64).unwrap_or_default();
    let modifier = Modifier::from_parts(&text(option, &["modifierType"]), value).ok();
    OptionView {
        group: text(option, &["optionGroup"]),
        choice: text(option, &["choice"]),
        effect: modifier.zip(currency).map(|(modifier, currency)| effect(modifier, currency)).unwrap_or_default(),
        amount: text(option, &["appliedAmount"]),
    }
}

/// The first of these fields that says something.
fn optional(document: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match document.get(*name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

fn text(document: &Value, names: &[&str]) -> String {
    optional(document, names).unwrap_or_default()
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_order_of_one_item_is_its_item_and_one_of_several_has_them() {
        let option = json!({ "optionGroup": "Operation", "choice": "Motor", "modifierType": "FIXED", "modifierValue": 8_900,
            "appliedAmount": "89.00" });
        let item = json!({ "productTitle": "Blind", "width": 450, "height": 350.5, "pricedWidth": 600, "pricedHeight": 400,
            "quantity": 2, "options": [option], "price": "1.00", "total": "2.00" });
        let mut single = item.clone();
        for (name, value) in [("name", "#D1"), ("currency", "EUR"), ("unit", "mm"), ("status", "open")] {
            single[name] = json!(value);
        }
        let several =
            json!({ "name": "#D2", "currency": "EUR", "unit": "mm", "status": "sent", "items": [item, item] });
        let (one, two) = (OrderView::of(&single), OrderView::of(&several));
        assert_eq!(one.items[0], two.items[1]);
        assert_eq!(one.items[0].priced_as.as_deref(), Some("600 × 400"));
        assert_eq!(one.items[0].options[0].effect, "+89.00 EUR");
        assert_eq!(
            (one.summary(), two.summary()),
            ("2 × Blind, 450 × 350.5 mm".to_owned(), "Blind, 450 × 350.5 mm and 1 more".to_owned())
        );
    }
}
