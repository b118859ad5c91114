//! What is sent: a draft order with one custom line at a fixed price, and the look for one by its tag.

use serde_json::{Value, json};

/// Creates a draft order.
pub const CREATE: &str = include_str!("create.graphql");

/// Finds draft orders: those that the search knows by their tag, and the newest, which need not be in its index yet.
pub const FIND: &str = include_str!("find.graphql");

/// Looks at one draft order.
pub const LOOK: &str = include_str!("look.graphql");

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
    /// What is sold.
    pub title: String,
    /// How many.
    pub quantity: i64,
    /// The price of one, in major units as decimal text.
    pub unit_price: String,
    /// ISO 4217 code.
    pub currency: String,
    /// Size and options: what they are called, and what was chosen.
    pub attributes: Vec<(String, String)>,
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

/// A `DraftOrderInput`. No variant: with one, Shopify takes the variant's title and price. No customer, e-mail or address: the
/// shopper gives them to Shopify's checkout. No discounts, which would change what was quoted.
fn input(draft: &Draft) -> Value {
    let attribute = |(key, value): (String, &String)| json!({ "key": key, "value": value });
    let values = draft.attributes.iter().map(|(_, value)| value);
    let attributes: Vec<Value> = distinct(&draft.attributes).into_iter().zip(values).map(attribute).collect();
    let title: String = draft.title.chars().take(TITLE_MAX).collect();
    json!({
        "lineItems": [{
            "title": title,
            "quantity": draft.quantity,
            "originalUnitPriceWithCurrency": { "amount": draft.unit_price, "currencyCode": draft.currency },
            "customAttributes": attributes,
        }],
        "presentmentCurrencyCode": draft.currency,
        "acceptAutomaticDiscounts": false,
        "allowDiscountCodesInCheckout": false,
        "customAttributes": [{ "key": "Quote", "value": draft.name }],
        "tags": [COMMON_TAG, tag(&draft.order_id)],
    })
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
        Draft {
            order_id: "01900000-0000-7000-8000-000000000001".to_owned(),
            name: "#D12".to_owned(),
            title: "Pane".to_owned(),
            quantity: 2,
            unit_price: "12.50".to_owned(),
            currency: "EUR".to_owned(),
            attributes: attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
        }
    }

    #[test]
    fn a_draft_has_one_line_at_a_fixed_price_and_all_that_is_needed_to_make_it() {
        let body = create(&draft());
        let input = &body["variables"]["input"];
        assert_eq!(
            input["lineItems"],
            json!([{
                "title": "Pane",
                "quantity": 2,
                "originalUnitPriceWithCurrency": { "amount": "12.50", "currencyCode": "EUR" },
                "customAttributes": [
                    { "key": "Width", "value": "450mm" },
                    { "key": "Height", "value": "300mm" },
                    { "key": "Glass", "value": "Frosted" },
                    { "key": "Width (2)", "value": "wide frame" },
                ],
            }])
        );
        assert_eq!(input["tags"], json!(["price-matrix", "pm-01900000-0000-7000-8000-000000000001"]));
        assert_eq!(
            (&input["acceptAutomaticDiscounts"], &input["presentmentCurrencyCode"]),
            (&json!(false), &json!("EUR"))
        );
        assert!(tag(&draft().order_id).chars().count() <= 40);
    }

    #[test]
    fn a_draft_is_looked_for_by_the_tag_that_it_was_made_with() {
        let body = find("abc");
        assert_eq!(body["variables"]["search"], "tag:'pm-abc'");
    }

    #[test]
    fn a_long_title_is_cut_between_two_characters() {
        let body = create(&Draft { title: "ä".repeat(300), ..draft() });
        let title = body["variables"]["input"]["lineItems"][0]["title"].as_str().map(|title| title.chars().count());
        assert_eq!(title, Some(TITLE_MAX));
    }
}
