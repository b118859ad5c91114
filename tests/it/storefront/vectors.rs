//! The vectors of `data/price-vectors.json`, asked over HTTP: each number in the answer is the vector's, to the last digit.

use super::harness::{PRODUCT, SHOP, Server, body, grid, matrix, selections};
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::domain::money::{Currency, Minor};
use quotegrid::domain::options::{Modifier, Requirement};
use serde_json::{Value, json};

fn vectors(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../../data/price-vectors.json")).expect("JSON");
    let found: Vec<Value> =
        all["vectors"].as_array().expect("a list").iter().filter(|vector| vector["kind"] == kind).cloned().collect();
    assert!(!found.is_empty(), "{kind}");
    found
}

/// Cents as the API writes them.
fn dollars(cents: &Value) -> Value {
    Value::Number(Currency::USD.to_number(Minor::new(cents.as_i64().expect("an integer"))))
}

fn modifiers(vector: &Value) -> Vec<Modifier> {
    let parts = vector["modifiers"].as_array().expect("a list").iter();
    parts
        .map(|part| {
            let value = part["value"].as_i64().expect("an integer");
            Modifier::from_parts(part["type"].as_str().expect("text"), value).expect("a modifier")
        })
        .collect()
}

/// The `options` that select each of a product's groups, made for these modifiers.
fn offer(server: &Server, scope: quotegrid::catalog::stores::Scope, product: &str, modifiers: &[Modifier]) -> String {
    let pairs: Vec<(String, String)> = modifiers
        .iter()
        .zip(1..)
        .map(|(&modifier, number)| {
            let (group, choices) =
                server.group(scope, product, &format!("group {number}"), Requirement::Optional, &[modifier]);
            (group.to_string(), choices[0].to_string())
        })
        .collect();
    if pairs.is_empty() { String::new() } else { selections(&pairs) }
}

#[test]
fn grid_vectors() {
    let server = Server::new();
    let shop = server.shop(SHOP);
    server.assign(shop.scope, PRODUCT, server.matrix(shop.scope, "Glass", grid(OutOfRange::Clamp)));
    for vector in vectors("grid") {
        let response = server.price(&shop.key, &format!("width={}&height={}", vector["width"], vector["height"]));
        let found = body(&response);
        assert_eq!((response.status, &found["price"]), (200, &dollars(&vector["unitCents"])), "{vector} {found}");
        assert_eq!(
            (&found["dimensions"]["width"], &found["dimensions"]["height"]),
            (&vector["width"], &vector["height"])
        );
        assert_eq!(
            found["dimensionRange"],
            json!({"minWidth": 1, "maxWidth": 100_000, "minHeight": 1, "maxHeight": 100_000}),
            "any size has a price, and pages must let it through"
        );
    }
}

#[test]
fn modifier_vectors() {
    let server = Server::new();
    let shop = server.shop(SHOP);
    for (vector, product) in vectors("modifiers").iter().zip(2_000..) {
        let product = product.to_string();
        let base = vector["baseCents"].as_i64();
        let one_cell = matrix(&[300], &[200], &[vec![base]], OutOfRange::Reject);
        server.assign(shop.scope, &product, server.matrix(shop.scope, "one", one_cell));
        let options = offer(&server, shop.scope, &product, &modifiers(vector));
        let target = format!("/api/v1/products/{product}/price?width=300&height=200&options={options}&explain=1");
        let found = body(&server.get(&shop.key, &target));
        assert_eq!(found["price"], dollars(&vector["unitCents"]), "{vector} {found}");
        if options.is_empty() {
            assert_eq!((found.get("basePrice"), found.get("optionModifiers")), (None, None), "{vector}");
            continue;
        }
        assert_eq!(found["basePrice"], dollars(&vector["baseCents"]), "{vector}");
        let applied: Vec<Value> =
            found["optionModifiers"].as_array().expect("a list").iter().map(|m| m["appliedAmount"].clone()).collect();
        let expected: Vec<Value> = vector["appliedCents"].as_array().expect("a list").iter().map(dollars).collect();
        assert_eq!(applied, expected, "{vector}");
        assert_adds_up(&found);
    }
}

#[test]
fn end_to_end_vectors() {
    let server = Server::new();
    let shop = server.shop(SHOP);
    let matrix = server.matrix(shop.scope, "Glass", grid(OutOfRange::Clamp));
    for (vector, product) in vectors("endToEnd").iter().zip(3_000..) {
        let product = product.to_string();
        server.assign(shop.scope, &product, matrix);
        let options = offer(&server, shop.scope, &product, &modifiers(vector));
        let (width, height, quantity) = (&vector["width"], &vector["height"], &vector["quantity"]);
        let target = format!(
            "/api/v1/products/{product}/price?width={width}&height={height}&quantity={quantity}&options={options}&explain=1"
        );
        let found = body(&server.get(&shop.key, &target));
        assert_eq!(found["price"], dollars(&vector["unitCents"]), "{vector} {found}");
        assert_eq!(found["total"], dollars(&vector["totalCents"]), "{vector} {found}");
        assert_eq!(&found["quantity"], quantity, "{vector}");
        assert_adds_up(&found);
    }
}

/// That the amounts of the explanation add up to the total, each subtotal to what is before it, and all to the last digit.
pub(super) fn assert_adds_up(found: &Value) {
    let millionths = |text: &Value| -> i128 {
        let text = text.as_str().expect("decimal text");
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        sign * format!("{whole}{fraction:0<8}").parse::<i128>().expect("digits")
    };
    let mut sum = 0;
    for step in found["explanation"].as_array().expect("steps") {
        sum += millionths(&step["amount"]);
        assert_eq!(millionths(&step["subtotal"]), sum, "{step}");
    }
    assert_eq!(sum, millionths(&Value::String(found["total"].to_string())), "{found}");
}
