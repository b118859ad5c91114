//! What Shopify has otherwise than was quoted: it never stops the sale, and it is told.

use super::{Shop, shelf};
use serde_json::{Value, json};

/// The warnings of an order of 10 pieces when it comes to `total` in `currency` at Shopify, with so much tax added.
fn warnings(total: Option<&'static str>, currency: Option<&'static str>, tax: Option<&'static str>) -> (Shop, Value) {
    let shop = Shop::new();
    {
        let mut state = shop.fake.state();
        (state.comes_to, state.charged_in, state.added_tax) = (total, currency, tax);
    }
    let mut order = shelf();
    order["quantity"] = json!(10);
    let placed = shop.place(&order);
    let id = placed["draftOrderId"].as_str().expect("an id");
    shop.settle();
    // Whatever it is, the order is there and can be paid.
    shop.assert_sent(id);
    assert!(shop.column::<Option<String>>(id, "checkout_url").is_some());
    let path = format!("/admin/api/stores/{}/draft-orders", shop.demo.shop);
    let listed = shop.fixture.admin("GET", &path, None);
    crate::storefront::spec::check("GET", &path, &listed);
    let listed = listed.json_body()["draftOrders"].as_array().expect("a list").clone();
    let order = listed.into_iter().find(|order| order["id"] == json!(id)).expect("listed");
    (shop, order)
}

fn quote() -> i64 {
    let (shop, _) = warnings(None, None, None);
    shop.fixture.query("SELECT total_price_minor FROM draft_order_records ORDER BY number DESC LIMIT 1")
}

fn text(minor: i64) -> &'static str {
    format!("{}.{:02}", minor / 100, minor % 100).leak()
}

#[test]
fn what_comes_to_what_was_quoted_says_nothing() {
    let quote = quote();
    for (total, tax) in [(quote, None), (quote, Some("9.99")), (quote * 119 / 100, None), (quote + 100, Some("1.00"))] {
        let (shop, order) = warnings(Some(text(total)), None, tax);
        assert_eq!(order["handoverWarnings"], json!([]), "{total}");
        assert_eq!((order["shopifyTotal"].as_str(), shop.figure("differing")), (Some(text(total)), 0));
    }
}

#[test]
fn a_total_that_is_too_low_too_high_or_in_another_currency_stands_on_the_order() {
    let quote = quote();
    for (total, currency, tax, says) in [
        (quote - 1, None, None, "less than"),
        (quote * 10, None, None, "more than"),
        (quote * 14 / 10, None, None, "more than"),
        (quote + 101, None, Some("1.00"), "more than"),
        (quote, Some("USD"), None, "another currency"),
        (quote, Some("JPY"), None, "another currency"),
    ] {
        let (shop, order) = warnings(Some(text(total)), currency, tax);
        let warnings = order["handoverWarnings"].as_array().expect("a list");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let warning = warnings[0].as_str().expect("text");
        assert!(warning.contains(says) && warning.contains(&format!("{} EUR", text(quote))), "{warning}");
        assert_eq!(shop.figure("differing"), 1);
        assert_eq!(
            order["shopifyTotal"].is_null(),
            currency.is_some(),
            "an amount of another currency is none of ours"
        );
        let metrics = String::from_utf8(shop.fixture.admin("GET", "/metrics", None).body).expect("text");
        assert!(metrics.contains(r#"quotegrid_handovers_total{outcome="differing"} 1"#), "{metrics}");
        let counted = shop
            .fixture
            .app
            .db
            .read(|connection| quotegrid::orders::records::count_differing(connection, shop.fixture.now()));
        assert_eq!(counted.expect("readable"), 1);
    }
}

#[test]
fn a_total_that_is_no_amount_is_reported_without_personal_data() {
    let (_, order) = warnings(Some("12.345 bob@example.com"), None, None);
    let warning = order["handoverWarnings"][0].as_str().expect("text");
    assert!(warning.contains("cannot be read") && !warning.contains("bob"), "{warning}");
}
