//! What may be added to a product, as the widget shows it.

use super::harness::{Example, PRODUCT, Server, body};
use serde_json::{Value, json};

#[test]
fn groups_come_with_their_choices_and_what_they_cost() {
    let server = Server::new();
    let Example { shop, required, free, share, optional, fixed, .. } = server.example();
    let response = server.get(&shop.key, &format!("/api/v1/products/{PRODUCT}/options"));
    let choice = |id: &dyn ToString,
                  label: &str,
                  (kind, value): (&str, i64),
                  (amount, percent): (Value, Value),
                  default: bool| {
        json!({"id": id.to_string(), "label": label, "modifierType": kind, "modifierValue": value, "amount": amount, "percent": percent, "isDefault": default})
    };
    let expected = json!({
        "optionGroups": [
            {"id": required.to_string(), "name": "Edge", "requirement": "REQUIRED", "choices": [
                choice(&free, "Edge: 1", ("FIXED", 0), (json!("0.00"), json!(null)), true),
                choice(&share, "Edge: 2", ("PERCENTAGE", 1_500), (json!(null), json!("15")), false)]},
            {"id": optional.to_string(), "name": "Holes", "requirement": "OPTIONAL", "choices": [
                choice(&fixed, "Holes: 1", ("FIXED", 500), (json!("5.00"), json!(null)), true)]},
        ],
        "currency": "USD",
        "unit": "mm",
        "dimensionRange": {"minWidth": 300, "maxWidth": 900, "minHeight": 200, "maxHeight": 600},
    });
    assert_eq!((response.status, body(&response)), (200, expected));
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[test]
fn a_product_that_is_unknown_or_without_groups_has_an_empty_list() {
    let server = Server::new();
    let Example { shop, matrix, .. } = server.example();
    server.assign(shop.scope, "1002", matrix);
    for product in ["1002", "77"] {
        let response = server.get(&shop.key, &format!("/api/v1/products/{product}/options"));
        assert_eq!((response.status, &body(&response)["optionGroups"]), (200, &json!([])), "{product}");
    }
}
