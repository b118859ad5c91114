//! What is sent: a draft order whose lines have fixed prices, the look for one by its tag or id, what became of some, and the end of one.

use serde_json::{Value, json};

/// Creates a draft order.
pub const CREATE: &str =
    concat!(include_str!("create.graphql"), include_str!("draft.graphql"), include_str!("lines.graphql"));

/// Finds draft orders: those that the search knows by their tag, and the newest, which need not be in its index yet.
pub const FIND: &str = concat!(include_str!("find.graphql"), include_str!("draft.graphql"));

/// Looks at one draft order.
pub const LOOK: &str =
    concat!(include_str!("look.graphql"), include_str!("draft.graphql"), include_str!("lines.graphql"));

/// Says what became of draft orders.
pub const STATES: &str = include_str!("states.graphql");

/// Deletes a draft order.
pub const DELETE: &str = include_str!("delete.graphql");

/// Draft orders that [`states`] asks for at once. A draft with its order is two points of the thousand that a query may cost.
pub const STATES_MAX: usize = 100;

/// What every draft is tagged with, alongside its own tag.
const COMMON_TAG: &str = "price-matrix";

/// The longest title of a line that Shopify takes.
const TITLE_MAX: usize = 255;

/// An order as Shopify is to have it. The merchant must be able to make the thing from this alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Names it for ever: see [`tag`].
    pub order_id: String,
    /// Its name here: `#D12`.
    pub name: String,
    /// ISO 4217 code.
    pub currency: String,
    /// What is sold: at least one, in the order in which they were asked for.
    pub lines: Vec<DraftLine>,
    /// Whether the checkout takes discount codes, which change what was quoted.
    pub allow_discount_codes: bool,
    /// Whether the shop's automatic discounts apply, which do too.
    pub allow_automatic_discounts: bool,
}

/// A line of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftLine {
    /// The variant it is sold as, `gid://shopify/ProductVariant/…`: Shopify takes title, weight, tax and shipping from it, and the
    /// price is locked. None: a line of its own, for which all of that is said here.
    pub variant_id: Option<String>,
    /// What is sold.
    pub title: String,
    /// How many.
    pub quantity: i64,
    /// The price of one, in major units as decimal text.
    pub unit_price: String,
    /// Whether it is shipped. Always said: Shopify takes a line that does not say so for one that needs no address.
    pub requires_shipping: bool,
    /// Whether it is taxed.
    pub taxable: bool,
    /// Its stock keeping unit.
    pub sku: Option<String>,
    /// What one weighs, in grams.
    pub weight_grams: Option<i64>,
    /// Size, options and the like: what they are called, and what was chosen.
    pub attributes: Vec<(String, String)>,
}

impl Draft {
    /// Whether a line is sold as a variant.
    pub fn has_variants(&self) -> bool {
        self.lines.iter().any(|line| line.variant_id.is_some())
    }

    /// The same without variants, for where Shopify does not take one of them.
    #[must_use]
    pub fn without_variants(mut self) -> Self {
        self.lines.iter_mut().for_each(|line| line.variant_id = None);
        self
    }
}

/// The tag of the draft that belongs to this order. Shopify's tags have 40 characters at the most; a UUID leaves room for four.
pub fn tag(order_id: &str) -> String {
    format!("pm-{order_id}")
}

/// The body that asks for a draft.
pub fn create(draft: &Draft) -> Value {
    json!({ "query": CREATE, "operationName": "QuotegridCreate", "variables": { "input": input(draft) } })
}

/// The body that asks for the drafts of an order.
pub fn find(order_id: &str) -> Value {
    let search = format!("tag:'{}'", tag(order_id));
    json!({ "query": FIND, "operationName": "QuotegridFind", "variables": { "search": search } })
}

/// The body that asks for one draft order by Shopify's id.
pub fn look(draft_id: &str) -> Value {
    json!({ "query": LOOK, "operationName": "QuotegridLook", "variables": { "id": draft_id } })
}

/// The body that asks what became of draft orders, [`STATES_MAX`] at the most.
pub fn states(draft_ids: &[String]) -> Value {
    json!({ "query": STATES, "operationName": "QuotegridStates", "variables": { "ids": draft_ids } })
}

/// The body that deletes a draft order.
pub fn delete(draft_id: &str) -> Value {
    json!({ "query": DELETE, "operationName": "QuotegridDelete", "variables": { "input": { "id": draft_id } } })
}

/// A `DraftOrderInput`. No customer, e-mail or address: the shopper gives them to Shopify's checkout.
fn input(draft: &Draft) -> Value {
    json!({
        "lineItems": draft.lines.iter().map(|item| line(item, &draft.currency)).collect::<Vec<_>>(),
        "presentmentCurrencyCode": draft.currency,
        "acceptAutomaticDiscounts": draft.allow_automatic_discounts,
        "allowDiscountCodesInCheckout": draft.allow_discount_codes,
        "customAttributes": [{ "key": "Quote", "value": draft.name }],
        "tags": [COMMON_TAG, tag(&draft.order_id)],
    })
}

/// A `DraftOrderLineItemInput`.
fn line(item: &DraftLine, currency: &str) -> Value {
    let attribute = |(key, value): (String, &String)| json!({ "key": key, "value": value });
    let values = item.attributes.iter().map(|(_, value)| value);
    let attributes: Vec<Value> = distinct(&item.attributes).into_iter().zip(values).map(attribute).collect();
    let price = json!({ "amount": item.unit_price, "currencyCode": currency });
    let mut line = json!({ "quantity": item.quantity, "customAttributes": attributes });
    if let Some(variant) = &item.variant_id {
        line["variantId"] = json!(variant);
        line["priceOverride"] = price;
        return line;
    }
    line["title"] = json!(item.title.chars().take(TITLE_MAX).collect::<String>());
    line["originalUnitPriceWithCurrency"] = price;
    line["requiresShipping"] = json!(item.requires_shipping);
    line["taxable"] = json!(item.taxable);
    if let Some(sku) = &item.sku {
        line["sku"] = json!(sku);
    }
    if let Some(grams) = item.weight_grams {
        line["weight"] = json!({ "value": grams, "unit": "GRAMS" });
    }
    line
}

/// The keys, each of them once: of two attributes with one key, Shopify would show one.
fn distinct(attributes: &[(String, String)]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::with_capacity(attributes.len());
    for (key, _) in attributes {
        let mut candidate = key.clone();
        let mut number = 1;
        while keys.contains(&candidate) {
            number += 1;
            candidate = format!("{key} ({number})");
        }
        keys.push(candidate);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        let attributes = [("Width", "450mm"), ("Height", "300mm"), ("Glass", "Frosted"), ("Width", "wide frame")];
        let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let pane = DraftLine {
            variant_id: None,
            title: "Pane".to_owned(),
            quantity: 2,
            unit_price: "12.50".to_owned(),
            requires_shipping: true,
            taxable: true,
            sku: None,
            weight_grams: None,
            attributes,
        };
        let blind = DraftLine {
            variant_id: Some("gid://shopify/ProductVariant/7".to_owned()),
            sku: Some("B-1".to_owned()),
            weight_grams: Some(1_200),
            attributes: Vec::new(),
            ..pane.clone()
        };
        Draft {
            order_id: "01900000-0000-7000-8000-000000000001".to_owned(),
            name: "#D12".to_owned(),
            currency: "EUR".to_owned(),
            lines: vec![pane, blind],
            allow_discount_codes: false,
            allow_automatic_discounts: true,
        }
    }

    #[test]
    fn a_draft_has_a_line_at_a_fixed_price_for_each_item_and_all_that_is_needed_to_make_it() {
        let price = json!({ "amount": "12.50", "currencyCode": "EUR" });
        let pane = json!({
            "title": "Pane",
            "quantity": 2,
            "originalUnitPriceWithCurrency": price,
            "requiresShipping": true,
            "taxable": true,
            "customAttributes": [
                { "key": "Width", "value": "450mm" },
                { "key": "Height", "value": "300mm" },
                { "key": "Glass", "value": "Frosted" },
                { "key": "Width (2)", "value": "wide frame" },
            ],
        });
        let body = create(&draft());
        let input = &body["variables"]["input"];
        // Of a variant everything else is Shopify's.
        let variant = json!({
            "variantId": "gid://shopify/ProductVariant/7",
            "quantity": 2,
            "priceOverride": price,
            "customAttributes": [],
        });
        assert_eq!(input["lineItems"], json!([pane, variant]));
        let custom = json!({
            "title": "Pane",
            "quantity": 2,
            "originalUnitPriceWithCurrency": price,
            "requiresShipping": true,
            "taxable": true,
            "sku": "B-1",
            "weight": { "value": 1_200, "unit": "GRAMS" },
            "customAttributes": [],
        });
        assert!(draft().has_variants() && !draft().without_variants().has_variants());
        let without = create(&draft().without_variants());
        assert_eq!(without["variables"]["input"]["lineItems"], json!([pane, custom]));
        assert_eq!(input["tags"], json!(["price-matrix", "pm-01900000-0000-7000-8000-000000000001"]));
        assert_eq!(
            (&input["acceptAutomaticDiscounts"], &input["allowDiscountCodesInCheckout"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(input["presentmentCurrencyCode"], "EUR");
        assert!(tag(&draft().order_id).chars().count() <= 40);
    }

    #[test]
    fn a_draft_is_looked_for_by_the_tag_that_it_was_made_with() {
        let body = find("abc");
        assert_eq!(body["variables"]["search"], "tag:'pm-abc'");
    }

    #[test]
    fn a_long_title_is_cut_between_two_characters() {
        let mut long = draft();
        long.lines[0].title = "ä".repeat(300);
        let body = create(&long);
        let title = body["variables"]["input"]["lineItems"][0]["title"].as_str().map(|title| title.chars().count());
        assert_eq!(title, Some(TITLE_MAX));
    }
}
