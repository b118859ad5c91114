//! Several items in one order: all of them or none, each priced alone, in their order everywhere.

use super::{assert_orders, example_order, keyed_request, order, order_request, page};
use crate::storefront::harness::{Example, PRODUCT, SHOP, Server, ask, body, entropy, grid, matrix, request};
use quotegrid::catalog::assignments;
use quotegrid::domain::ids::{MatrixId, ProductId};
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::entropy::{Entropy, SeededEntropy};
use quotegrid::http::{Reply, Response, Service};
use serde_json::{Value, json};
use std::sync::mpsc::channel;

/// An item of the example product that is allowed.
pub(super) fn item(example: &Example, width: u32, more: &Value) -> Value {
    let mut item = example_order(example);
    item["width"] = json!(width);
    item.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    item
}

pub(super) fn list(items: impl IntoIterator<Item = Value>) -> Value {
    json!({ "items": items.into_iter().collect::<Vec<_>>() })
}

fn refused(response: &Response) -> (u16, Value, Value) {
    let problem = body(response);
    (response.status, problem["code"].clone(), problem["item"].clone())
}

fn faults(response: &Response) -> Vec<String> {
    let problem = body(response);
    problem["errors"].as_object().map(|errors| errors.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn several_items_are_one_order_with_one_number_one_page_and_the_exact_sum() {
    let server = Server::new();
    let example = server.example();
    let Example { shop, required, share, optional, fixed, .. } = &example;
    let options = json!([
        {"optionGroupId": optional.to_string(), "choiceId": fixed.to_string()},
        {"optionGroupId": required.to_string(), "choiceId": share.to_string()},
    ]);
    let wanted = list([
        item(&example, 450, &json!({"quantity": 2, "options": options, "label": " Kitchen, left "})),
        item(&example, 300, &json!({"height": 200, "label": "  "})),
        item(&example, 900, &json!({"height": 600, "quantity": 3})),
    ]);
    let response = order(&server, &shop.key.key, &wanted);
    assert_eq!(response.status, 201, "{response:?}");
    let answer = body(&response);
    let id: String = server.fixture.query("SELECT id FROM draft_order_records");
    let token: String = server.fixture.query("SELECT token FROM draft_order_records");
    let free = json!([{"optionGroup": "Edge", "choice": "Edge: 1", "modifierType": "FIXED", "modifierValue": 0, "appliedAmount": 0}]);
    let product = format!("gid://shopify/Product/{PRODUCT}");
    let expected = json!({
        "draftOrderId": id,
        "name": "#D1",
        "checkoutUrl": format!("http://127.0.0.1:8080/q/{token}"),
        "total": "239.00",
        "currency": "USD",
        "items": [
            {
                "productId": product, "title": "a pane", "label": "Kitchen, left", "total": "79.00", "price": 39.5,
                "dimensions": {"width": 450, "height": 350, "unit": "mm"}, "quantity": 2, "basePrice": 30,
                "optionModifiers": [
                    {"optionGroup": "Holes", "choice": "Holes: 1", "modifierType": "FIXED", "modifierValue": 500, "appliedAmount": 5},
                    {"optionGroup": "Edge", "choice": "Edge: 2", "modifierType": "PERCENTAGE", "modifierValue": 1500, "appliedAmount": 4.5},
                ],
            },
            {
                "productId": product, "title": "a pane", "total": "10.00", "price": 10,
                "dimensions": {"width": 300, "height": 200, "unit": "mm"}, "quantity": 1, "basePrice": 10, "optionModifiers": free,
            },
            {
                "productId": product, "title": "a pane", "total": "150.00", "price": 50,
                "dimensions": {"width": 900, "height": 600, "unit": "mm"}, "quantity": 3, "basePrice": 50, "optionModifiers": free,
            },
        ],
    });
    assert_eq!(answer, expected);
    assert_orders(&server, 1);
    assert_eq!(server.fixture.count("draft_order_lines"), 3);
    let shown = page(&server, &response);
    let html = String::from_utf8(shown.body).expect("text");
    let places: Vec<usize> = ["1. a pane", "Kitchen, left", "79.00", "2. a pane", "3. a pane", "All items", "239.00"]
        .map(|text| html.find(text).unwrap_or_else(|| panic!("{text}: {html}")))
        .to_vec();
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!((html.matches("<svg").count(), html.matches("<title>Quote #D1: 3 items</title>").count()), (3, 1));
}

#[test]
fn one_item_is_answered_byte_for_byte_as_before_and_with_its_item() {
    let server = Server::new();
    let example = server.example();
    let Example { shop, required, share, .. } = &example;
    let options = json!([{"optionGroupId": required.to_string(), "choiceId": share.to_string()}]);
    let wanted = item(&example, 450, &json!({"quantity": 2, "options": options}));
    let response = order(&server, &shop.key.key, &wanted);
    let id: String = server.fixture.query("SELECT id FROM draft_order_records");
    let token: String = server.fixture.query("SELECT token FROM draft_order_records");
    let priced = r#""price":34.5,"dimensions":{"width":450,"height":350,"unit":"mm"},"quantity":2,"basePrice":30,"optionModifiers":[{"optionGroup":"Edge","choice":"Edge: 2","modifierType":"PERCENTAGE","modifierValue":1500,"appliedAmount":4.5}]"#;
    let expected = format!(
        r##"{{"draftOrderId":"{id}","name":"#D1","checkoutUrl":"http://127.0.0.1:8080/q/{token}","total":"69.00","currency":"USD",{priced},"items":[{{"productId":"gid://shopify/Product/{PRODUCT}","title":"a pane","total":"69.00",{priced}}}]}}"##
    );
    assert_eq!(String::from_utf8(response.body).expect("text"), expected);
    // The same as a list of one is the same order, answered as it was asked for.
    let again = body(&order(&server, &shop.key.key, &list([wanted])));
    assert_eq!((&again["draftOrderId"], again.get("price")), (&json!(id), None));
    assert_orders(&server, 1);
}

#[test]
fn what_is_wrong_with_any_item_is_named_under_its_place_and_nothing_is_written() {
    let server = Server::new();
    let example = server.example();
    let key = &example.shop.key.key;
    let good = || item(&example, 450, &json!({}));
    let wrong = list([
        good(),
        item(&example, 450, &json!({"width": "450", "quantity": 0, "label": "x".repeat(61)})),
        json!({"productId": "x"}),
        json!(7),
    ]);
    let response = order(&server, key, &wrong);
    assert_eq!(response.status, 400);
    let expected = [
        "items[1].label",
        "items[1].quantity",
        "items[1].width",
        "items[2].height",
        "items[2].productId",
        "items[2].width",
        "items[3]",
    ];
    assert_eq!(faults(&response), expected);
    let detail = body(&response)["detail"].as_str().expect("a sentence").to_owned();
    assert!(detail.starts_with("The width of item 2 must be a number"), "{detail}");
    assert!(detail.ends_with("and 1 more"), "{detail}");
    // Both shapes, no items, too many, and what is no list.
    for (wanted, field) in [
        (json!({"items": [good()], "productId": PRODUCT}), "items"),
        (json!({"items": [good()], "quantity": 1}), "items"),
        (list([]), "items"),
        (list((0..101).map(|_| good())), "items"),
        (json!({"items": good()}), "items"),
        (json!({"items": null}), "items"),
        (json!({"items": [null]}), "items[0]"),
        (list([item(&example, 450, &json!({"label": "a\u{7}b"}))]), "items[0].label"),
        (list([item(&example, 450, &json!({"label": null}))]), "items[0].label"),
        (list([good(), item(&example, 450, &json!({"options": null}))]), "items[1].options"),
    ] {
        let response = order(&server, key, &wanted);
        assert_eq!((response.status, faults(&response)), (400, vec![field.to_owned()]), "{wanted}");
    }
    // Options that cannot be selected so, in two of the items.
    let without = |width| item(&example, width, &json!({"options": []}));
    let response = order(&server, key, &list([good(), without(450), good(), without(460)]));
    let required = &example.required;
    assert_eq!(refused(&response), (400, json!("options_missing"), json!(1)));
    assert_eq!(faults(&response), [format!("items[1].{required}"), format!("items[3].{required}")]);
    assert_orders(&server, 0);
    assert_eq!(server.fixture.count("draft_order_lines"), 0);
}

#[test]
fn an_item_without_a_price_answers_its_own_status_and_its_place() {
    let server = Server::new();
    let example = server.example();
    let (key, scope) = (&example.shop.key.key, example.shop.scope);
    let empty = server.matrix(scope, "Empty", matrix(&[], &[], &[], OutOfRange::Reject));
    server.assign(scope, "7", empty);
    let good = || item(&example, 450, &json!({}));
    let plain = |product: &str| json!({"productId": product, "width": 450, "height": 350});
    for (wanted, expected) in [
        (plain("404"), (404, "no_matrix")),
        (plain("7"), (409, "not_priced_yet")),
        (item(&example, 5_000, &json!({})), (422, "size_outside")),
    ] {
        let response = order(&server, key, &list([good(), wanted.clone(), plain("405")]));
        assert_eq!(refused(&response), (expected.0, json!(expected.1), json!(1)), "{wanted}");
        let detail = body(&response)["detail"].as_str().expect("a sentence").to_owned();
        assert!(detail.starts_with("Item 2: "), "{detail}");
        // Of an only item there is no place to be named.
        let alone = order(&server, key, &wanted);
        assert_eq!(refused(&alone), (expected.0, json!(expected.1), Value::Null), "{wanted}");
    }
    assert_orders(&server, 0);
}

#[test]
fn a_hundred_items_go_into_one_order_and_keep_their_order() {
    let server = Server::new();
    let example = server.example();
    let wanted = list((0..100).map(|at| item(&example, 800 - at, &json!({"label": format!("window {at}")}))));
    assert!(wanted.to_string().len() < 64 * 1024);
    let response = order(&server, &example.shop.key.key, &wanted);
    assert_eq!(response.status, 201, "{response:?}");
    let answer = body(&response);
    let items = answer["items"].as_array().expect("a list");
    let widths: Vec<u64> = items.iter().filter_map(|item| item["dimensions"]["width"].as_u64()).collect();
    assert_eq!(widths, (0..100).map(|at| 800 - at).collect::<Vec<u64>>());
    let sum: f64 = items.iter().filter_map(|item| item["price"].as_f64()).sum();
    assert_eq!(answer["total"], json!(format!("{sum:.2}")));
    let html = String::from_utf8(page(&server, &response).body).expect("text");
    assert!(html.contains("100. a pane") && html.contains("window 99"));
    assert_orders(&server, 1);
}

#[test]
fn a_sum_that_cannot_be_said_exactly_is_refused_whole() {
    let server = Server::new();
    let example = server.example();
    let scope = example.shop.scope;
    let most = 999_999_999_999_999;
    let dear = server.matrix(scope, "Dear", matrix(&[1_000], &[1_000], &[vec![Some(most)]], OutOfRange::Clamp));
    server.assign(scope, "8", dear);
    let wanted = json!({"productId": "8", "width": 450, "height": 350});
    let alone = order(&server, &example.shop.key.key, &list([wanted.clone()]));
    assert_eq!((alone.status, &body(&alone)["total"]), (201, &json!("9999999999999.99")));
    let response = order(&server, &example.shop.key.key, &list([wanted.clone(), item(&example, 450, &json!({}))]));
    assert_eq!(refused(&response), (422, json!("price_too_large"), Value::Null));
    assert_eq!(order(&server, &example.shop.key.key, &list(vec![wanted; 100])).status, 422);
    assert_orders(&server, 1);
}

#[test]
fn a_repetition_is_of_all_items_in_their_order_with_their_labels() {
    let server = Server::new();
    let example = server.example();
    let key = &example.shop.key.key;
    let (first, second) = (item(&example, 450, &json!({"label": "a"})), item(&example, 460, &json!({})));
    let placed = server.ask(keyed_request(key, &list([first.clone(), second.clone()]), "k"));
    assert_eq!(placed.status, 201);
    let again = server.ask(keyed_request(key, &list([first.clone(), second.clone()]), "k"));
    assert_eq!((again.status, &again.body), (201, &placed.body));
    let other_label = item(&example, 450, &json!({"label": "b"}));
    let moved_label = item(&example, 460, &json!({"label": "a"}));
    for other in [
        list([second.clone(), first.clone()]),
        list([first.clone()]),
        list([first.clone(), second.clone(), second.clone()]),
        list([other_label, second.clone()]),
        list([item(&example, 450, &json!({})), moved_label]),
    ] {
        let response = server.ask(keyed_request(key, &other, "k"));
        assert_eq!(refused(&response).1, json!("idempotency_key_reused"), "{other}");
    }
    // Without a key, a double click is one order.
    let clicks = [0, 1].map(|_| body(&order(&server, key, &list([second.clone(), first.clone()])))["name"].clone());
    assert_eq!(clicks, [json!("#D2"), json!("#D2")]);
    assert_orders(&server, 2);
}

#[test]
fn all_items_are_sold_at_the_prices_of_one_moment_however_many_products_they_are_of() {
    for products in [2, 12] {
        let server = Server::new();
        let shop = server.shop(SHOP);
        let (scope, now) = (shop.scope, server.fixture.now());
        let flat = |price| matrix(&[1_000], &[1_000], &[vec![Some(price)]], OutOfRange::Clamp);
        let old = server.matrix(scope, "old", flat(100));
        let names: Vec<String> = (1..=products).map(|product| product.to_string()).collect();
        names.iter().for_each(|product| server.assign(scope, product, old));
        let wanted = list(names.iter().map(|product| json!({"productId": product, "width": 450, "height": 350})));
        // The order is priced at the old prices and waits for the writer behind an edit of all products.
        let (release, held) = channel::<()>();
        let (dear, ids) = (flat(700), names.clone());
        server.fixture.app.db.write_then(
            move |tx| {
                held.recv().expect("released");
                let id = MatrixId::new(now, entropy().array());
                quotegrid::catalog::matrices::insert(tx, now, id, scope, &"new".parse().expect("a name"), &dear)?;
                for product in &ids {
                    let product: ProductId = product.parse().expect("a product");
                    assignments::set_matrix(tx, now, scope, &product, &"dearer".parse().expect("a title"), id)?;
                }
                Ok(())
            },
            |outcome: quotegrid::error::Result<()>| outcome.expect("edited"),
        );
        let (sender, answered) = channel();
        let reply = Reply::new(move |response| drop(sender.send(response)));
        server.router.call(order_request(&shop.key.key, &wanted), reply);
        release.send(()).expect("the writer waits");
        let answer = body(&answered.recv().expect("answered"));
        assert_eq!(answer["total"], json!(format!("{}.00", 7 * products)), "{answer}");
        let kept: String = server.fixture.query("SELECT group_concat(DISTINCT product_title) FROM draft_order_lines");
        assert_eq!(kept, "dearer");
        assert_orders(&server, 1);
    }
}

#[test]
fn an_item_that_an_edit_has_taken_from_the_shop_meanwhile_takes_the_order_with_it() {
    for products in [2, 12] {
        let server = Server::new();
        let shop = server.shop(SHOP);
        let (scope, now) = (shop.scope, server.fixture.now());
        let glass = server.matrix(scope, "Glass", grid(OutOfRange::Reject));
        let names: Vec<String> = (1..=products).map(|product| product.to_string()).collect();
        names.iter().for_each(|product| server.assign(scope, product, glass));
        let wanted = list(names.iter().map(|product| json!({"productId": product, "width": 450, "height": 350})));
        let (release, held) = channel::<()>();
        server.fixture.app.db.write_then(
            move |tx| {
                held.recv().expect("released");
                assignments::remove_matrix(tx, now, scope, &"2".parse().expect("a product"))
            },
            |outcome: quotegrid::error::Result<()>| outcome.expect("edited"),
        );
        let (sender, answered) = channel();
        let reply = Reply::new(move |response| drop(sender.send(response)));
        server.router.call(order_request(&shop.key.key, &wanted), reply);
        release.send(()).expect("the writer waits");
        let response = answered.recv().expect("answered");
        assert_eq!(refused(&response), (404, json!("no_matrix"), json!(1)));
        assert_orders(&server, 0);
        assert_eq!(server.fixture.count("draft_order_lines"), 0);
    }
}

#[test]
fn a_line_keeps_what_shopify_is_to_have_of_its_product_as_it_was_when_it_was_ordered() {
    let server = Server::new();
    let example = server.example();
    let (scope, now) = (example.shop.scope, server.fixture.now());
    let product: ProductId = PRODUCT.parse().expect("a product");
    let set = |edit: &Value| {
        let path = format!("/admin/api/stores/{SHOP}/products/{PRODUCT}");
        assert_eq!(server.fixture.admin("PATCH", &path, Some(edit)).status, 200, "{edit}");
    };
    // Priced once before, so that it is in memory.
    assert_eq!(order(&server, &example.shop.key.key, &item(&example, 440, &json!({}))).status, 201);
    set(&json!({"title": "Glass, cut", "sku": "G-1", "variantId": "42", "requiresShipping": false, "taxable": false,
        "weight": {"gramsPerSquareMetre": 10_000, "baseGrams": 5}}));
    assert_eq!(order(&server, &example.shop.key.key, &item(&example, 450, &json!({}))).status, 201);
    set(
        &json!({"title": null, "sku": "G-2", "variantId": null, "requiresShipping": null, "taxable": true, "weight": {"grams": 7}}),
    );
    assert_eq!(order(&server, &example.shop.key.key, &item(&example, 460, &json!({}))).status, 201);
    server.write(move |tx| assignments::remove_matrix(tx, now, scope, &product));
    let lines: String = server.fixture.query(
        "SELECT json_group_array(json_array(product_title, sku, variant_id, requires_shipping, taxable, weight_grams))
         FROM (SELECT l.* FROM draft_order_lines AS l JOIN draft_order_records AS o ON o.id = l.draft_order_id ORDER BY o.number)",
    );
    let expected = json!([
        ["a pane", null, null, 1, 1, null],
        // 0.45 x 0.35 metres of it are 1575 grams.
        ["Glass, cut", "G-1", "gid://shopify/ProductVariant/42", 0, 0, 1_580],
        ["a pane", "G-2", null, 1, 1, 7],
    ]);
    assert_eq!(serde_json::from_str::<Value>(&lines).expect("JSON"), expected);
}

#[test]
fn the_admin_api_shows_all_items_and_an_only_one_on_the_order_too() {
    let server = Server::new();
    let example = server.example();
    let key = &example.shop.key.key;
    assert_eq!(order(&server, key, &item(&example, 450, &json!({"label": "Hall"}))).status, 201);
    assert_eq!(order(&server, key, &list([450, 900].map(|width| item(&example, width, &json!({}))))).status, 201);
    let listed = server.fixture.admin("GET", &format!("/admin/api/stores/{SHOP}/draft-orders"), None);
    crate::storefront::spec::check("GET", &format!("/admin/api/stores/{SHOP}/draft-orders"), &listed);
    let listed = listed.json_body();
    let (two, one) = (&listed["draftOrders"][0], &listed["draftOrders"][1]);
    assert_eq!((&one["width"], &one["label"], &one["items"][0]["width"]), (&json!(450), &json!("Hall"), &json!(450)));
    assert_eq!((two.get("width"), &two["total"]), (None, &json!("65.00")));
    let widths: Vec<&Value> = two["items"].as_array().expect("a list").iter().map(|item| &item["width"]).collect();
    assert_eq!(widths, [&json!(450), &json!(900)]);
}

#[test]
fn a_body_of_many_items_that_is_too_long_is_413() {
    let server = Server::new();
    let example = server.example();
    let mut request = order_request(&example.shop.key.key, &list([item(&example, 450, &json!({}))]));
    request.body = format!("{{\"items\": [{}]}}", " ".repeat(64 * 1024)).into_bytes();
    assert_eq!(ask(&server.router, request).status, 413);
    let options = server.ask(crate::storefront::harness::request("OPTIONS", "/api/v1/draft-orders", &[]));
    assert_eq!(options.status, 204);
    assert_eq!(server.ask(self::request("GET", "/q/none", &[])).status, 404);
}

/// What the price of an item alone is answered with: status, code, and where there is one, its price and total.
fn priced_alone(server: &Server, key: &str, item: &Value) -> (u16, Value, Value, Value) {
    let number = |name: &str| item[name].to_string();
    let path = format!(
        "/api/v1/products/{}/price?width={}&height={}&quantity={}",
        item["productId"].as_str().expect("a text"),
        number("width"),
        number("height"),
        number("quantity"),
    );
    let response = server.ask(request("GET", &path, &[("X-API-Key", key)]));
    let answer = body(&response);
    (response.status, answer["code"].clone(), answer["price"].clone(), answer["total"].clone())
}

/// A model of orders: an order is the items that were asked for at the prices that each has alone, or nothing.
#[test]
fn an_order_of_any_items_is_what_its_items_are_alone_or_nothing() {
    let server = Server::new();
    let shop = server.shop(SHOP);
    let scope = shop.scope;
    server.assign(scope, "1", server.matrix(scope, "Glass", grid(OutOfRange::Reject)));
    server.assign(scope, "2", server.matrix(scope, "Clamped", grid(OutOfRange::Clamp)));
    server.assign(scope, "3", server.matrix(scope, "Empty", matrix(&[], &[], &[], OutOfRange::Reject)));
    let random = SeededEntropy::new(14);
    let pick = |most: u64| {
        let random: &dyn Entropy = &random;
        u64::from_le_bytes(random.array()) % most
    };
    let (mut written, mut refusals) = (0_u64, 0);
    for round in 0..150 {
        let items: Vec<Value> = (0..=pick(5))
            .map(|_| {
                // Most of them can be had.
                let product = ["1", "1", "1", "2", "2", "2", "2", "3", "4"][usize::try_from(pick(9)).expect("small")];
                let width = if pick(12) == 0 { 2_000 } else { 300 + pick(600) };
                json!({"productId": product, "width": width, "height": 200 + pick(400), "quantity": 1 + pick(9)})
            })
            .collect();
        let alone: Vec<_> = items.iter().map(|item| priced_alone(&server, &shop.key.key, item)).collect();
        let response = server.ask(keyed_request(&shop.key.key, &list(items.clone()), &format!("round {round}")));
        let answer = body(&response);
        match alone.iter().position(|(status, ..)| *status != 200) {
            Some(first) => {
                let (status, code, ..) = &alone[first];
                assert_eq!(refused(&response), (*status, code.clone(), json!(first)), "{items:?}");
                refusals += 1;
            }
            None => {
                written += 1;
                assert_eq!((response.status, &answer["name"]), (201, &json!(format!("#D{written}"))), "{items:?}");
                let placed = answer["items"].as_array().expect("a list");
                let mut sum = 0.0;
                for ((item, (_, _, price, total)), found) in items.iter().zip(&alone).zip(placed) {
                    let total = total.as_f64().expect("a number");
                    sum += total;
                    assert_eq!((&found["price"], &found["total"]), (price, &json!(format!("{total:.2}"))));
                    assert_eq!(
                        (&found["quantity"], &found["dimensions"]["width"]),
                        (&item["quantity"], &item["width"])
                    );
                }
                assert_eq!((placed.len(), &answer["total"]), (items.len(), &json!(format!("{sum:.2}"))));
            }
        }
        assert_orders(&server, written);
    }
    assert!(written > 20 && refusals > 20, "{written} orders, {refusals} refusals");
    let lines: u64 = server.fixture.query(
        "SELECT count(*) FROM draft_order_records AS o WHERE o.total_price_minor =
        (SELECT sum(l.total_price_minor) FROM draft_order_lines AS l WHERE l.draft_order_id = o.id)",
    );
    assert_eq!(lines, written, "each order is the sum of its lines");
}
