//! What Shopify is sent of each item, and what is said where it has it otherwise.

use super::fake::{Fault, Manner, Variant};
use super::{PRODUCT, Shop, shelf};
use serde_json::{Value, json};

const VARIANT: &str = "gid://shopify/ProductVariant/77";

/// Says what the shelf's line at Shopify is to have.
#[track_caller]
fn set(shop: &Shop, settings: &Value) {
    let number = PRODUCT.rsplit('/').next().expect("a number");
    let path = format!("/admin/api/stores/{}/products/{number}", shop.demo.shop);
    let response = shop.fixture.admin("PATCH", &path, Some(settings));
    assert_eq!(response.status, 200, "{response:?}");
}

fn shown(shop: &Shop, order: &str) -> Value {
    let path = format!("/admin/api/stores/{}/draft-orders/{order}", shop.demo.shop);
    let response = shop.fixture.admin("GET", &path, None);
    crate::storefront::spec::check("GET", &path, &response);
    response.json_body()
}

fn sent_lines(shop: &Shop) -> Vec<Value> {
    shop.fake.state().drafts.last().expect("a draft").input["lineItems"].as_array().expect("lines").clone()
}

#[test]
fn each_item_is_a_line_that_always_says_whether_it_is_shipped_and_taxed() {
    let shop = Shop::new();
    set(&shop, &json!({ "sku": "SH-1", "weight": { "gramsPerSquareMetre": 1000, "baseGrams": 5 }, "taxable": false }));
    let mut first = shelf();
    first["label"] = json!("Kitchen, left");
    let mut second = shelf();
    second["quantity"] = json!(3);
    let placed = shop.place(&json!({ "items": [first, second] }));
    shop.settle();
    let order = placed["draftOrderId"].as_str().expect("an id");
    shop.assert_sent(order);
    let lines = sent_lines(&shop);
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert_eq!(
            (&line["requiresShipping"], &line["taxable"], &line["sku"]),
            (&json!(true), &json!(false), &json!("SH-1"))
        );
        // 600 x 250 mm are 0.15 square metres.
        assert_eq!(line["weight"], json!({ "value": 155, "unit": "GRAMS" }));
    }
    assert_eq!((&lines[0]["quantity"], &lines[1]["quantity"]), (&json!(1), &json!(3)));
    let keys = |line: &Value| -> Vec<String> {
        let attributes = line["customAttributes"].as_array().expect("attributes");
        attributes.iter().map(|attribute| attribute["key"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(keys(&lines[0])[..3], ["Width", "Height", "Label"]);
    assert_eq!(keys(&lines[0]).last().map(String::as_str), Some("Price list"));
    assert!(!keys(&lines[1]).contains(&"Label".to_owned()));
    assert_eq!(shown(&shop, order)["handoverWarnings"], json!([]));
}

#[test]
fn a_product_with_a_variant_is_sold_as_the_variant_at_the_price_that_was_quoted() {
    let shop = Shop::new();
    set(&shop, &json!({ "variantId": "77", "sku": "ignored-there" }));
    shop.fake.state().variants.insert(VARIANT.to_owned(), Variant::PLAIN);
    let order = shop.order();
    shop.settle();
    shop.assert_sent(&order);
    let line = sent_lines(&shop).remove(0);
    assert_eq!(line["variantId"], VARIANT);
    for name in ["title", "requiresShipping", "taxable", "weight", "sku", "originalUnitPriceWithCurrency"] {
        assert_eq!(line.get(name), None, "{name} is the variant's");
    }
    let price: i64 = shop.column(&order, "total_price_minor");
    assert_eq!(line["priceOverride"]["amount"], json!(format!("{}.{:02}", price / 100, price % 100)));
    assert_eq!(shown(&shop, &order)["handoverWarnings"], json!([]));
}

#[test]
fn a_variant_that_shopify_does_not_take_is_replaced_by_a_line_of_its_own_once() {
    for names_no_field in [false, true] {
        let shop = Shop::new();
        set(&shop, &json!({ "variantId": "77", "sku": "SH-1" }));
        shop.fake.state().names_no_field = names_no_field;
        let order = shop.order();
        shop.settle();
        shop.assert_sent(&order);
        assert_eq!(shop.fake.creates(), 2);
        let line = sent_lines(&shop).remove(0);
        assert_eq!(
            (line.get("variantId"), &line["requiresShipping"], &line["sku"]),
            (None, &json!(true), &json!("SH-1"))
        );
        let warnings = shown(&shop, &order)["handoverWarnings"].to_string();
        assert!(
            warnings.contains("in place of each variant") && warnings.contains("no longer available"),
            "{warnings}"
        );
        assert_eq!(shop.figure("differing"), 1);
    }
}

#[test]
fn attributes_are_the_size_the_options_the_label_the_step_and_the_price_list_in_this_order() {
    let shop = Shop::new();
    let options: Vec<(String, String)> = {
        let path = format!("/admin/api/stores/{}/option-groups", shop.demo.shop);
        let groups = shop.fixture.admin("GET", &path, None).json_body();
        let offered = |id: &str| {
            let path = format!("/admin/api/stores/{}/products/1001", shop.demo.shop);
            let product = shop.fixture.admin("GET", &path, None).json_body();
            product["optionGroups"].as_array().expect("a list").iter().any(|group| group["id"] == id)
        };
        let groups = groups["optionGroups"].as_array().expect("a list");
        let of_product = groups.iter().filter(|group| offered(group["id"].as_str().expect("an id")));
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        of_product.map(|group| (text(&group["id"]), text(&group["choices"][0]["id"]))).collect()
    };
    assert!(!options.is_empty(), "the demo store's blind has options");
    let selections: Vec<Value> =
        options.iter().map(|(group, choice)| json!({ "optionGroupId": group, "choiceId": choice })).collect();
    let blind = json!({ "productId": "1001", "width": 1193, "height": 1388, "options": selections, "label": "Hall" });
    shop.place(&json!({ "items": [blind] }));
    shop.settle();
    let line = sent_lines(&shop).remove(0);
    let attributes = line["customAttributes"].as_array().expect("attributes");
    let keys: Vec<&str> = attributes.iter().map(|attribute| attribute["key"].as_str().expect("text")).collect();
    let (first, rest) = keys.split_at(2);
    let (chosen, last) = rest.split_at(options.len());
    assert_eq!((first, last), (&["Width", "Height"][..], &["Label", "Priced as", "Price list"][..]), "{keys:?}");
    assert!(chosen.iter().all(|key| !["Label", "Priced as", "Price list"].contains(key)), "{keys:?}");
    assert_eq!(
        (&attributes[0]["value"], &attributes[keys.len() - 2]["value"]),
        (&json!("1193mm"), &json!("1200 x 1400 mm"))
    );
}

#[test]
fn an_order_with_variants_that_shopify_refuses_for_whatever_reason_goes_over_once_more_without_them() {
    let shop = Shop::new();
    set(&shop, &json!({ "variantId": "77" }));
    shop.fake.state().variants.insert(VARIANT.to_owned(), Variant::PLAIN);
    // What is named is the title of a line.
    shop.fake.fail(&[Fault::before(Manner::UserErrors)]);
    let order = shop.order();
    shop.settle();
    shop.assert_sent(&order);
    assert_eq!((shop.fake.creates(), sent_lines(&shop).remove(0).get("variantId")), (2, None));
    // Without variants a refusal is final.
    set(&shop, &json!({ "variantId": null }));
    shop.fake.fail(&[Fault::before(Manner::UserErrors)]);
    let other = shop.order();
    shop.settle();
    assert_eq!((shop.column::<String>(&other, "status"), shop.fake.creates()), ("open".to_owned(), 3));
}

#[test]
fn a_variant_that_needs_no_shipping_though_the_product_is_shipped_stands_on_the_order() {
    for (is_shipped, warns) in [(true, true), (false, false)] {
        let shop = Shop::new();
        set(&shop, &json!({ "variantId": "77", "requiresShipping": is_shipped }));
        let digital = Variant { requires_shipping: false, taxable: false, ..Variant::PLAIN };
        shop.fake.state().variants.insert(VARIANT.to_owned(), digital);
        let order = shop.order();
        shop.settle();
        shop.assert_sent(&order);
        let warnings = shown(&shop, &order)["handoverWarnings"].to_string();
        assert_eq!(warnings.contains("the checkout may ask for no address"), warns, "{warnings}");
        assert!(!warnings.contains("taxed"), "whether it is taxed is the variant's: {warnings}");
    }
}

#[test]
fn of_the_two_calls_for_a_refused_variant_either_may_be_lost_and_the_order_is_there_once() {
    for faults in [
        vec![Fault::before(Manner::Close)],
        vec![Fault::after(Manner::Answer), Fault::after(Manner::Close)],
        vec![Fault::after(Manner::Answer), Fault::before(Manner::HalfAnswer)],
        vec![Fault::after(Manner::Answer), Fault::before(Manner::Throttled)],
        vec![Fault::after(Manner::Answer), Fault::before(Manner::Passing)],
    ] {
        let shop = Shop::new();
        set(&shop, &json!({ "variantId": "77" }));
        shop.fake.fail(&faults);
        let order = shop.order();
        shop.settle();
        shop.assert_sent(&order);
        let warnings = shown(&shop, &order)["handoverWarnings"].to_string();
        assert!(warnings.contains("in place of"), "{faults:?}: {warnings}");
    }
}

#[test]
fn what_a_line_has_otherwise_at_shopify_stands_on_the_order() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 6] = [
        (|line| line["quantity"] = json!(7), "7 of item 1"),
        (|line| line["requiresShipping"] = json!(false), "needs no shipping"),
        (|line| line["taxable"] = json!(false), "not taxed"),
        (|line| line["originalUnitPriceSet"]["presentmentMoney"]["amount"] = json!("0.5"), "at 0.5 EUR"),
        (|line| line["variant"] = json!({ "id": "gid://shopify/ProductVariant/1" }), "none was asked for"),
        (|line| line["originalUnitPriceSet"]["presentmentMoney"]["currencyCode"] = json!("USD"), "USD"),
    ];
    for (change, says) in changes {
        let shop = Shop::new();
        shop.fake.state().line_change = Some(change);
        let order = shop.order();
        shop.settle();
        // Whatever it is, the sale goes on.
        shop.assert_sent(&order);
        let warnings = shown(&shop, &order)["handoverWarnings"].to_string();
        assert!(warnings.contains(says), "{says}: {warnings}");
        assert_eq!(shop.figure("differing"), 1);
        assert_eq!(named(&shop).len(), 1, "{says}");
    }
}

#[test]
fn what_a_line_has_that_was_not_asked_for_stands_on_the_order_as_well() {
    type Change = fn(&mut Value);
    let sold_here = json!({ "requiresShipping": false, "taxable": false });
    let sold_as_variant = json!({ "variantId": "77" });
    let changes: [(&Value, Change, &str); 4] = [
        (&sold_here, |line| line["requiresShipping"] = json!(true), "is shipped, and it need not be"),
        (&sold_here, |line| line["taxable"] = json!(true), "is taxed, and it is not"),
        (
            &sold_as_variant,
            |line| line["variant"]["id"] = json!("gid://shopify/ProductVariant/78"),
            "another variant for item 1",
        ),
        (
            &sold_as_variant,
            |line| (line["variant"], line["custom"]) = (Value::Null, json!(true)),
            "a line of its own for item 1",
        ),
    ];
    for (settings, change, says) in changes {
        let shop = Shop::new();
        set(&shop, settings);
        shop.fake.state().variants.insert(VARIANT.to_owned(), Variant::PLAIN);
        shop.fake.state().line_change = Some(change);
        let order = shop.order();
        shop.settle();
        shop.assert_sent(&order);
        let warnings = shown(&shop, &order)["handoverWarnings"].clone();
        assert!(warnings.as_array().is_some_and(|warnings| warnings.len() == 1), "{says}: {warnings}");
        assert!(warnings.to_string().contains(says), "{says}: {warnings}");
    }
}

#[test]
fn a_draft_with_fewer_lines_than_items_stands_on_the_order() {
    let shop = Shop::new();
    shop.fake.state().loses_a_line = true;
    let placed = shop.place(&json!({ "items": [shelf(), shelf()] }));
    shop.settle();
    let order = placed["draftOrderId"].as_str().expect("an id");
    shop.assert_sent(order);
    let warnings = shown(&shop, order)["handoverWarnings"].clone();
    assert_eq!(warnings, json!(["Shopify has 1 lines, and 2 were ordered"]));
}

#[test]
fn that_a_variant_was_refused_is_still_said_when_the_address_of_the_checkout_has_come() {
    let shop = Shop::new();
    set(&shop, &json!({ "variantId": "77" }));
    shop.fake.state().address_lag = 3;
    let order = shop.order();
    shop.settle();
    shop.assert_sent(&order);
    assert!(shop.fake.state().looks > 1 && shop.column::<Option<String>>(&order, "checkout_url").is_some());
    let warnings = shown(&shop, &order)["handoverWarnings"].clone();
    assert!(warnings.as_array().is_some_and(|warnings| warnings.len() == 1), "{warnings}");
    assert!(warnings.to_string().contains("in place of each variant"), "{warnings}");
}

/// The products that `doctor` names.
fn named(shop: &Shop) -> Vec<(String, String)> {
    let since = shop.fixture.now() - chrono::TimeDelta::days(30);
    let list =
        |connection: &rusqlite::Connection| quotegrid::orders::records::list_differing_products(connection, since, 10);
    shop.fixture.app.db.read(list).expect("readable")
}

#[test]
fn a_draft_that_was_found_by_its_tag_is_compared_line_by_line_too() {
    let shop = Shop::new();
    shop.fake.state().line_change = Some(|line| line["requiresShipping"] = json!(false));
    shop.fake.fail(&[Fault::after(Manner::Close)]);
    let order = shop.order();
    shop.settle();
    shop.assert_sent(&order);
    let warnings = shown(&shop, &order)["handoverWarnings"].to_string();
    assert!(warnings.contains("needs no shipping"), "{warnings}");
    assert_eq!(shop.figure("found"), 1);
}

#[test]
fn a_store_decides_whether_discounts_apply() {
    let shop = Shop::new();
    let discounts = |shop: &Shop| {
        let state = shop.fake.state();
        let input = &state.drafts.last().expect("a draft").input;
        (input["allowDiscountCodesInCheckout"].clone(), input["acceptAutomaticDiscounts"].clone())
    };
    shop.order();
    shop.settle();
    assert_eq!(discounts(&shop), (json!(false), json!(false)));
    let allow = |tx: &quotegrid::db::Tx<'_>| -> quotegrid::db::Result<usize> {
        Ok(tx.execute("UPDATE stores SET allow_discount_codes = 1", ())?)
    };
    assert_eq!(shop.fixture.app.db.write(allow).expect("written"), 1);
    shop.order();
    shop.settle();
    assert_eq!(discounts(&shop), (json!(true), json!(false)));
}
