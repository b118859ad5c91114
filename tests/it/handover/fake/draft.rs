//! Draft orders as the fake keeps and shows them, and what it refuses, as Shopify does.

use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// A draft order that was made.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) shop: String,
    pub(crate) input: Value,
    /// Searches that will still not find it.
    pub(crate) hidden_for: usize,
    /// By the time that has really passed: searches before this do not find it.
    pub(super) hidden_until: Option<Duration>,
    /// Looks by id that will still find no address.
    pub(super) unready_for: usize,
    pub(super) has_idle_address: bool,
    pub(super) number: u64,
    /// The variants of its shop when it was made.
    pub(super) variants: HashMap<String, Variant>,
    /// The order that it became, once it is completed.
    pub(crate) completed: Option<&'static str>,
}

impl Draft {
    /// From now on searches find it.
    pub(crate) fn appear(&mut self) {
        (self.hidden_for, self.hidden_until) = (0, None);
    }

    pub(crate) fn tag(&self) -> &str {
        let tags = self.input["tags"].as_array().expect("tags");
        tags.iter().filter_map(Value::as_str).find(|tag| tag.starts_with("pm-")).expect("a tag of its own")
    }

    /// Shopify's number of the order that it becomes.
    pub(super) fn order_number(&self) -> u64 {
        9_000 + self.number
    }

    pub(super) fn id(&self) -> String {
        format!("gid://shopify/DraftOrder/{}", self.number)
    }

    /// As Shopify shows it, with what it takes where nothing was said.
    pub(super) fn node(&self) -> Value {
        let items = self.input["lineItems"].as_array().expect("lines");
        // Exactly, with the decimals of the price, and then those that Shopify adds.
        let mut decimals = 0;
        let total: i128 = items
            .iter()
            .map(|item| {
                let price = price_of(item)["amount"].as_str().expect("text");
                let (whole, rest) = price.split_once('.').unwrap_or((price, ""));
                decimals = rest.len();
                let minor: i128 = format!("{whole}{rest}").parse().expect("a number");
                minor * i128::from(item["quantity"].as_i64().expect("a number"))
            })
            .sum();
        let total = format!("{total:0>width$}", width = decimals + 1);
        let (whole, decimals) = total.split_at(total.len() - decimals);
        let total = format!("{whole}.{decimals}0");
        let currency = &price_of(&items[0])["currencyCode"];
        let is_ready = self.unready_for == 0;
        let address = format!("https://{}/invoices/{}", self.shop, self.number);
        json!({
            "id": self.id(),
            "name": format!("#S{}", self.number),
            "ready": is_ready,
            "invoiceUrl": (is_ready || self.has_idle_address).then_some(address),
            "tags": self.input["tags"],
            "totalPriceSet": { "presentmentMoney": { "amount": total, "currencyCode": currency } },
            "lineItems": { "nodes": items.iter().map(|item| self.line(item)).collect::<Vec<_>>() },
        })
    }

    /// As a search shows it: its lines are not asked for there.
    pub(super) fn found(&self) -> Value {
        let mut node = self.node();
        node.as_object_mut().expect("an object").remove("lineItems");
        node
    }

    fn line(&self, item: &Value) -> Value {
        let variant = item["variantId"].as_str();
        let seen = variant.and_then(|id| self.variants.get(id)).copied();
        json!({
            "quantity": item["quantity"],
            "custom": variant.is_none(),
            "requiresShipping": seen.map_or(item["requiresShipping"] == true, |seen| seen.requires_shipping),
            "taxable": seen.map_or(item["taxable"] != false, |seen| seen.taxable),
            "variant": variant.map(|id| json!({ "id": id })),
            "priceOverride": item["priceOverride"],
            // Of a variant it is the variant's own.
            "originalUnitPriceSet": { "presentmentMoney":
                if variant.is_some() { json!({ "amount": "1.0", "currencyCode": price_of(item)["currencyCode"] }) }
                else { price_of(item).clone() } },
        })
    }
}

fn price_of(item: &Value) -> &Value {
    let name = if item["variantId"].is_null() { "originalUnitPriceWithCurrency" } else { "priceOverride" };
    &item[name]
}

/// A variant that the shop has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant {
    pub(crate) requires_shipping: bool,
    pub(crate) taxable: bool,
    pub(crate) grams: u32,
    /// The number of its product.
    pub(crate) product: u64,
}

impl Variant {
    /// One that is shipped, taxed and weighs something, of the product that the tests order.
    pub(crate) const PLAIN: Self = Self { requires_shipping: true, taxable: true, grams: 100, product: 1009 };

    pub(super) fn node(self, id: &str) -> Value {
        json!({ "id": id, "taxable": self.taxable,
            "product": { "id": format!("gid://shopify/Product/{}", self.product) },
            "inventoryItem": { "requiresShipping": self.requires_shipping,
                "measurement": { "weight": { "value": self.grams } } } })
    }
}

/// What Shopify does not take, as user errors; `None`: nothing is wrong.
pub(super) fn refusal(input: &Value, variants: &HashMap<String, Variant>, names_no_field: bool) -> Option<Value> {
    let fault = |field: Value, message: &str| Some(json!([{ "field": field, "message": message }]));
    let at = |place: usize, name: &str| json!(["input", "lineItems", place.to_string(), name]);
    let items = input["lineItems"].as_array().expect("lines");
    if items.is_empty() || items.len() > 499 {
        return fault(json!(["input", "lineItems"]), "must have from 1 to 499 lines");
    }
    let is_long = |value: &Value, most: usize| value.as_str().is_some_and(|text| text.chars().count() > most);
    if input["tags"].as_array().expect("tags").iter().any(|tag| is_long(tag, 40)) {
        return fault(json!(["input", "tags"]), "is too long (maximum is 40 characters)");
    }
    for (place, item) in items.iter().enumerate() {
        if !(1..=i64::from(i32::MAX)).contains(&item["quantity"].as_i64().expect("a number")) {
            return fault(at(place, "quantity"), "must be greater than or equal to 1");
        }
        let price = price_of(item);
        if price["currencyCode"] != input["presentmentCurrencyCode"] {
            return fault(at(place, "originalUnitPriceWithCurrency"), "must be in the currency of the draft order");
        }
        if price["amount"].as_str().is_none_or(|amount| amount.starts_with('-')) {
            return fault(at(place, "originalUnitPriceWithCurrency"), "must be greater than or equal to 0");
        }
        match item["variantId"].as_str() {
            Some(id) if !variants.contains_key(id) => {
                let field = if names_no_field { Value::Null } else { at(place, "variantId") };
                return fault(field, "Product with ID is no longer available");
            }
            Some(_) => {}
            None if item["title"].as_str().is_none_or(str::is_empty) => {
                return fault(at(place, "title"), "can't be blank");
            }
            None => {}
        }
        if is_long(&item["title"], 255) || is_long(&item["sku"], 255) {
            return fault(at(place, "title"), "is too long (maximum is 255 characters)");
        }
        let attributes = item["customAttributes"].as_array().cloned().unwrap_or_default();
        let mut keys = HashSet::new();
        for attribute in &attributes {
            let key = attribute["key"].as_str().expect("text");
            if key.is_empty() || is_long(&attribute["key"], 255) || !keys.insert(key.to_owned()) {
                return fault(at(place, "customAttributes"), "keys must be there once and have up to 255 characters");
            }
        }
    }
    None
}
