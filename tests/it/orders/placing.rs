//! One order: the contract's table of requests, the order of the checks, the price it is sold at, and what is remembered of it.

use super::{assert_orders, example_order, keyed_request, order, order_request, page};
use crate::storefront::harness::{Example, OTHER_SHOP, PRODUCT, SHOP, Server, body, fixed, grid, matrix, request};
use quotegrid::catalog::{Expected, assignments, keys, matrices, options, stores};
use quotegrid::domain::length::Unit;
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::domain::options::Requirement;
use quotegrid::orders::records;
use serde_json::{Value, json};
use uuid::Uuid;

/// `order` with other values for some fields; null takes one out.
fn with(order: &Value, members: &Value) -> Value {
    let mut order = order.clone();
    for (name, value) in members.as_object().expect("an object") {
        order[name] = value.clone();
    }
    order
}

#[test]
fn an_order_is_answered_with_its_price_and_the_way_to_go_on() {
    let server = Server::new();
    let example = server.example();
    let Example { shop, required, share, optional, fixed, .. } = &example;
    let options = json!([
        {"optionGroupId": optional.to_string(), "choiceId": fixed.to_string()},
        {"optionGroupId": required.to_string(), "choiceId": share.to_string(), "extra": 1},
    ]);
    let wanted = with(&example_order(&example), &json!({"quantity": 2, "options": options, "utm": {"source": "x"}}));
    let response = order(&server, &shop.key.key, &wanted);
    assert_eq!(response.status, 201, "{response:?}");
    let answer = body(&response);
    let id: String = server.fixture.query("SELECT id FROM draft_order_records");
    let token: String = server.fixture.query("SELECT token FROM draft_order_records");
    let expected = json!({
        "draftOrderId": id,
        "name": "#D1",
        "checkoutUrl": format!("http://127.0.0.1:8080/q/{token}"),
        "total": "79.00",
        "currency": "USD",
        "price": 39.5,
        "dimensions": {"width": 450, "height": 350, "unit": "mm"},
        "quantity": 2,
        "basePrice": 30,
        "optionModifiers": [
            {"optionGroup": "Holes", "choice": "Holes: 1", "modifierType": "FIXED", "modifierValue": 500, "appliedAmount": 5},
            {"optionGroup": "Edge", "choice": "Edge: 2", "modifierType": "PERCENTAGE", "modifierValue": 1500, "appliedAmount": 4.5},
        ],
    });
    let mut answer = answer;
    // What its one item says is looked at elsewhere.
    assert_eq!(
        answer.as_object_mut().expect("an object").remove("items").map(|items| items[0]["title"].clone()),
        Some(json!("a pane"))
    );
    assert_eq!(answer, expected);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(page(&server, &response).status, 200);
    assert_orders(&server, 1);
}

#[test]
fn an_order_without_options_has_no_breakdown_and_numbers_go_up_by_store() {
    let server = Server::new();
    let (shop, other) = (server.shop("a.myshopify.com"), server.shop_in(OTHER_SHOP, "JPY", Unit::Cm));
    for shop in [&shop, &other] {
        let matrix = server.matrix(shop.scope, "Glass", grid(OutOfRange::Reject));
        server.assign(shop.scope, PRODUCT, matrix);
    }
    let names: Vec<Value> = [(&shop, 450), (&other, 450), (&shop, 451)]
        .into_iter()
        .map(|(shop, width)| {
            let wanted =
                json!({"productId": format!("gid://shopify/Product/{PRODUCT}"), "width": width, "height": 350.5});
            let answer = body(&order(&server, &shop.key.key, &wanted));
            assert_eq!((&answer["basePrice"], &answer["optionModifiers"]), (&Value::Null, &Value::Null));
            assert_eq!(answer["quantity"], 1);
            answer["name"].clone()
        })
        .collect();
    assert_eq!(names, ["#D1", "#D1", "#D2"]);
    let other = body(&order(
        &server,
        &other.key.key,
        &json!({"productId": "1001", "width": 900, "height": 600, "quantity": 3}),
    ));
    assert_eq!((&other["total"], &other["dimensions"]["unit"]), (&json!("15000"), &json!("cm")));
    assert_orders(&server, 4);
}

#[test]
fn an_order_that_says_a_thing_twice_is_refused() {
    let server = Server::new();
    let example = server.example();
    let mut request = order_request(&example.shop.key.key, &Value::Null);
    let good = example_order(&example).to_string();
    for twice in [
        good.replacen('{', "{\"quantity\": 1, \"quantity\": 2, ", 1),
        good.replacen("\"choiceId\"", "\"choiceId\": \"x\", \"choiceId\"", 1),
    ] {
        request.body = twice.clone().into_bytes();
        let response = server.ask(request.clone());
        assert_eq!(
            (response.status, &body(&response)["detail"]),
            (400, &json!("The body has a duplicate field")),
            "{twice}"
        );
    }
    assert_orders(&server, 0);
}

#[test]
fn an_order_that_cannot_be_made_says_why_and_writes_nothing() {
    let server = Server::new();
    let example = server.example();
    let (key, good) = (&example.shop.key.key, example_order(&example));
    let stranger = Uuid::nil();
    let pick = |group: &dyn ToString, choice: &dyn ToString| json!({"optionGroupId": group.to_string(), "choiceId": choice.to_string()});
    let Example { required, free, share, optional, fixed, .. } = &example;
    // Fields that are changed; the status; the code, where there is one; where the fault stands.
    let cases: Vec<(Value, u16, Option<&str>, Vec<String>)> = vec![
        (json!({"productId": 1001}), 400, None, vec!["productId".into()]),
        (json!({"productId": null}), 400, None, vec!["productId".into()]),
        (json!({"productId": "abc"}), 400, None, vec!["productId".into()]),
        (json!({"productId": "gid://shopify/Variant/1"}), 400, None, vec!["productId".into()]),
        (json!({"productId": "12 "}), 400, None, vec!["productId".into()]),
        (json!({"width": "450", "height": null}), 400, None, vec!["height".into(), "width".into()]),
        (
            json!({"width": 0, "height": -1, "quantity": 0}),
            400,
            None,
            vec!["height".into(), "quantity".into(), "width".into()],
        ),
        (json!({"width": 450.1234}), 400, None, vec!["width".into()]),
        (json!({"width": 1e300, "height": true}), 400, None, vec!["height".into(), "width".into()]),
        (json!({"quantity": null}), 400, None, vec!["quantity".into()]),
        (json!({"quantity": 1.5}), 400, None, vec!["quantity".into()]),
        (json!({"quantity": "1"}), 400, None, vec!["quantity".into()]),
        (json!({"quantity": 10_001}), 400, None, vec!["quantity".into()]),
        (json!({"options": null}), 400, None, vec!["options".into()]),
        (json!({"options": {"selections": []}}), 400, None, vec!["options".into()]),
        (json!({"options": [1]}), 400, None, vec!["options".into()]),
        (json!({"options": [{"optionGroupId": "", "choiceId": "x"}]}), 400, None, vec!["options".into()]),
        (json!({"options": vec![pick(required, free); 6]}), 400, None, vec!["options".into()]),
        // V27 and V17: nothing is ordered below its price.
        (json!({"options": []}), 400, Some("options_missing"), vec![required.to_string()]),
        (json!({"options": [pick(optional, fixed)]}), 400, Some("options_missing"), vec![required.to_string()]),
        // V19: not the product's; and everything that is wrong, at once.
        (
            json!({"options": [pick(&stranger, free)]}),
            400,
            Some("options_not_allowed"),
            vec![stranger.to_string(), required.to_string()],
        ),
        (json!({"options": [pick(required, fixed)]}), 400, Some("stale_options"), vec![required.to_string()]),
        (
            json!({"options": [pick(required, free), pick(required, share)]}),
            400,
            Some("options_not_allowed"),
            vec![required.to_string()],
        ),
        (
            json!({"options": [pick(required, &"x"), pick(optional, fixed), pick(optional, fixed)]}),
            400,
            Some("stale_options"),
            vec![required.to_string(), optional.to_string()],
        ),
        // V22: no matrix.
        (json!({"productId": "77", "options": []}), 404, Some("no_matrix"), vec![]),
        (json!({"productId": "77"}), 404, Some("no_matrix"), vec![]),
        (json!({"width": 901}), 422, Some("size_outside"), vec![]),
        (json!({"height": 1}), 422, Some("size_outside"), vec![]),
    ];
    for (members, status, code, mut faults) in cases {
        let response = order(&server, key, &with(&good, &members));
        let answer = body(&response);
        let code = code.unwrap_or("validation_failed");
        assert_eq!((response.status, answer["code"].as_str()), (status, Some(code)), "{members}: {answer}");
        let told: Vec<String> =
            answer["errors"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        faults.sort();
        assert_eq!(told, faults, "{members}: {answer}");
        if status == 400 && code == "validation_failed" {
            assert_eq!(answer["title"], "Validation Failed");
        }
    }
    for name in ["productId", "width", "height"] {
        let mut wanted = good.clone();
        wanted.as_object_mut().expect("an object").remove(name);
        assert_eq!(body(&order(&server, key, &wanted))["errors"], json!({name: ["is required"]}));
    }
    for text in ["", "nonsense", "[]", "null", "\"x\"", "{\"productId\":\"1001\"", "{\"a\":\u{1}}"] {
        let mut request = order_request(key, &Value::Null);
        request.body = text.as_bytes().to_vec();
        let response = server.ask(request);
        assert_eq!((response.status, &body(&response)["title"]), (400, &json!("Bad Request")), "{text}");
    }
    assert_orders(&server, 0);
    assert_eq!(order(&server, key, &good).status, 201);
}

#[test]
fn faults_are_reported_in_the_order_of_the_checks() {
    let server = Server::with_rate_limit(2);
    let example = server.example();
    let key = &example.shop.key.key;
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE"] {
        let response = server.ask(request(method, "/api/v1/draft-orders", &[]));
        assert_eq!((response.status, response.header("allow")), (405, Some("OPTIONS, POST")), "{method}");
    }
    let sized = |key: &str, length: usize| {
        let mut request = order_request(key, &Value::Null);
        request.body = vec![b' '; length];
        server.ask(request)
    };
    assert_eq!(sized("", 70_000).status, 401);
    assert_eq!(sized("pm_wrong", 70_000).status, 401);
    let too_large = sized(key, 65_537);
    assert_eq!((too_large.status, too_large.header("x-ratelimit-remaining")), (413, Some("1")));
    let malformed = sized(key, 65_536);
    assert_eq!((malformed.status, malformed.header("x-ratelimit-remaining")), (400, Some("0")));
    let limited = sized(key, 65_537);
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("1")));
    assert_orders(&server, 0);
}

#[test]
fn a_body_of_64_kib_is_read() {
    let server = Server::new();
    let example = server.example();
    let wanted = with(&example_order(&example), &json!({"note": "x".repeat(65_000)}));
    assert_eq!(order(&server, &example.shop.key.key, &wanted).status, 201);
}

#[test]
fn an_order_answers_with_its_clients_remaining_limit() {
    let server = Server::with_rate_limit(5);
    let example = server.example();
    let response = order(&server, &example.shop.key.key, &example_order(&example));
    assert_eq!((response.status, response.header("x-ratelimit-limit")), (201, Some("5")));
    assert_eq!(response.header("x-ratelimit-remaining"), Some("4"));
    assert!(response.header("x-ratelimit-reset").is_some());
}

#[test]
fn only_pages_of_the_keys_origins_can_order() {
    let server = Server::new();
    let example = server.example();
    let key = server.key(example.shop.scope, &["https://shop.example"]).key;
    let from = |origin: &str| {
        let mut request = order_request(&key, &example_order(&example));
        request.headers.push("Origin", origin);
        server.ask(request)
    };
    let foreign = from("https://evil.example");
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (403, None));
    assert_orders(&server, 0);
    let own = from("https://shop.example");
    assert_eq!((own.status, own.header("access-control-allow-origin")), (201, Some("https://shop.example")));
}

#[test]
fn another_stores_products_and_options_cannot_be_ordered() {
    let server = Server::new();
    let example = server.example();
    let other = server.shop(OTHER_SHOP);
    assert_eq!(order(&server, &other.key.key, &example_order(&example)).status, 404);
    // Even where both sell the same product.
    let matrix = server.matrix(other.scope, "Glass", grid(OutOfRange::Reject));
    server.assign(other.scope, PRODUCT, matrix);
    let response = order(&server, &other.key.key, &example_order(&example));
    assert_eq!((response.status, &body(&response)["code"]), (400, &json!("options_not_allowed")));
    assert_orders(&server, 0);
}

#[test]
fn everything_that_the_price_came_from_is_kept_through_edits_and_deletions() {
    let server = Server::new();
    let example = server.example();
    let Example { shop, matrix, required, share, .. } = &example;
    let options = json!([{"optionGroupId": required.to_string(), "choiceId": share.to_string()}]);
    let placed =
        order(&server, &shop.key.key, &with(&example_order(&example), &json!({"quantity": 2, "options": options})));
    let snapshot = |server: &Server| {
        server.fixture.query::<String>(
            "SELECT json_object('matrix', matrix_name, 'product', product_id, 'title', product_title, 'width', width,
                 'height', height, 'unit', unit, 'priced', json_array(priced_width, priced_height), 'quantity', quantity,
                 'currency', currency, 'prices', json_array(base_price_minor, unit_price_minor, l.total_price_minor),
                 'options', json(option_selections))
             FROM draft_order_records AS o JOIN draft_order_lines AS l ON l.draft_order_id = o.id",
        )
    };
    let expected = json!({
        "matrix": "Glass", "product": "gid://shopify/Product/1001", "title": "a pane",
        "width": 450_000, "height": 350_000, "unit": "mm", "priced": [600_000, 400_000], "quantity": 2, "currency": "USD",
        "prices": [3_000, 3_450, 6_900],
        "options": [{
            "optionGroupId": required.to_string(), "optionGroupName": "Edge", "choiceId": share.to_string(),
            "choiceLabel": "Edge: 2", "modifierType": "PERCENTAGE", "modifierValue": 1_500, "appliedMinor": 450,
        }],
    });
    assert_eq!(serde_json::from_str::<Value>(&snapshot(&server)).expect("JSON"), expected);
    let shown = page(&server, &placed);
    let (scope, matrix, group, now) = (shop.scope, *matrix, *required, server.fixture.now());
    server.write(move |tx| options::delete(tx, now, scope, group, Some(Expected::Any), 1_000));
    let deleted = server.write(move |tx| matrices::delete(tx, now, scope, matrix, Some(Expected::Any), 1_000));
    assert_eq!(deleted, matrices::Deletion::Done);
    assert_eq!(serde_json::from_str::<Value>(&snapshot(&server)).expect("JSON"), expected);
    assert_eq!(page(&server, &placed), shown);
    let lines = server.fixture.app.db.read(|connection| records::list(connection, scope.store, None, 1));
    assert_eq!(lines.expect("readable")[0].lines[0].matrix, None, "the matrix is gone, and no longer named");
}

/// The contract's grid, one dollar dearer.
fn dearer() -> matrices::Edit {
    let rows = [[1_100, 1_600, 2_100], [2_600, 3_100, 3_600], [4_100, 4_600, 5_100]];
    let grid = matrix(&[300, 600, 900], &[200, 400, 600], &rows.map(|row| row.map(Some).to_vec()), OutOfRange::Reject);
    matrices::Edit { grid: Some(grid), ..matrices::Edit::default() }
}

#[test]
fn an_edit_between_price_and_order_is_what_is_sold() {
    let server = Server::new();
    let example = server.example();
    let (scope, matrix, now) = (example.shop.scope, example.matrix, server.fixture.now());
    let ask = || server.price(&example.shop.key, "width=450&height=350");
    assert_eq!(body(&ask())["price"], 30);
    let edit = dearer();
    server.write(move |tx| matrices::edit(tx, now, scope, matrix, Some(Expected::Any), &edit));
    let answer = body(&order(&server, &example.shop.key.key, &example_order(&example)));
    assert_eq!((&answer["price"], &answer["total"]), (&json!(31), &json!("31.00")));
    // What is taken off the list between the two cannot be ordered any more.
    let product = PRODUCT.parse().expect("a product");
    server.write(move |tx| assignments::remove_matrix(tx, now, scope, &product));
    let wanted = with(&example_order(&example), &json!({"width": 460}));
    assert_eq!(order(&server, &example.shop.key.key, &wanted).status, 404);
    assert_orders(&server, 1);
}

#[test]
fn an_edit_that_is_committed_while_an_order_waits_for_the_writer_is_what_is_sold() {
    let server = Server::new();
    let example = server.example();
    let (scope, matrix, now) = (example.shop.scope, example.matrix, server.fixture.now());
    let edit = dearer();
    assert_eq!(body(&server.price(&example.shop.key, "width=450&height=350"))["price"], 30);
    // A change that holds the writer until the order, priced at the old price, is in the line behind it.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (done, edited) = std::sync::mpsc::channel();
    server.fixture.app.db.write_then(
        move |tx| {
            held.recv().expect("released");
            matrices::edit(tx, now, scope, matrix, Some(Expected::Any), &edit)
        },
        move |outcome: Result<_, quotegrid::error::Error>| drop(done.send(outcome.map(|_| ()))),
    );
    let (sender, answered) = std::sync::mpsc::channel();
    let reply = quotegrid::http::Reply::new(move |response| drop(sender.send(response)));
    let request = order_request(&example.shop.key.key, &example_order(&example));
    quotegrid::http::Service::call(&server.router, request, reply);
    assert!(answered.try_recv().is_err(), "the handler's thread is back and nothing is answered before its commit");
    release.send(()).expect("the writer waits");
    edited.recv().expect("answered").expect("edited");
    let answer = body(&answered.recv().expect("answered"));
    assert_eq!((&answer["price"], &answer["total"]), (&json!(31), &json!("31.00")));
    assert_orders(&server, 1);
}

#[test]
fn an_ended_key_an_uninstalled_store_and_one_that_is_being_erased_take_no_orders() {
    for ending in ["revoked", "uninstalled", "erasing"] {
        let server = Server::new();
        let example = server.example();
        let (scope, id, now) = (example.shop.scope, example.shop.key.id, server.fixture.now());
        let key = example.shop.key.key.clone();
        let placed = server.ask(keyed_request(&key, &example_order(&example), "first"));
        assert_eq!((placed.status, page(&server, &placed).status), (201, 200));
        let shop = SHOP.parse().expect("a shop");
        server.write(move |tx| {
            match ending {
                "revoked" => keys::revoke(tx, now, scope.store, id)?,
                "uninstalled" => assert!(stores::mark_uninstalled(tx, &shop, now, now)?),
                _ => assert!(matches!(stores::begin_erasure(tx, now, &shop, now)?, stores::Erasing::Store(_))),
            }
            Ok(())
        });
        assert_eq!(server.ask(keyed_request(&key, &example_order(&example), "first")).status, 401, "{ending}");
        assert_eq!(order(&server, &key, &example_order(&example)).status, 401, "{ending}");
        // A key may end and its orders go on; a store's end is its pages' end.
        assert_eq!(page(&server, &placed).status, if ending == "revoked" { 200 } else { 404 }, "{ending}");
        assert_orders(&server, 1);
    }
}

#[test]
fn a_product_without_groups_takes_no_options_and_an_empty_grid_has_no_price() {
    let server = Server::new();
    let shop = server.shop("a.myshopify.com");
    let empty = server.matrix(shop.scope, "Empty", matrix(&[], &[], &[], OutOfRange::Reject));
    server.assign(shop.scope, "5", empty);
    let response = order(&server, &shop.key.key, &json!({"productId": "5", "width": 1, "height": 1}));
    assert_eq!((response.status, &body(&response)["code"]), (409, &json!("not_priced_yet")));
    let (group, choices) = server.group(shop.scope, "6", "Edge", Requirement::Optional, &[fixed(-99_999)]);
    let grid = server.matrix(shop.scope, "Grid", grid(OutOfRange::Clamp));
    server.assign(shop.scope, "6", grid);
    // E5: never below zero.
    let wanted = json!({"productId": "6", "width": 100, "height": 100, "options": [{"optionGroupId": group.to_string(), "choiceId": choices[0].to_string()}]});
    let answer = body(&order(&server, &shop.key.key, &wanted));
    assert_eq!((&answer["price"], &answer["total"], &answer["basePrice"]), (&json!(0), &json!("0.00"), &json!(10)));
}

#[test]
fn the_largest_amount_is_sold_to_its_last_digit_and_nothing_beyond_it() {
    let server = Server::new();
    let shop = server.shop_in("a.myshopify.com", "KWD", Unit::Mm);
    let largest = matrix(&[300, 600], &[200], &[vec![Some(999_999_999_999_999), Some(1)]], OutOfRange::Reject);
    let dear = server.matrix(shop.scope, "Dear", largest);
    server.assign(shop.scope, "7", dear);
    let (group, choices) = server.group(shop.scope, "7", "Edge", Requirement::Optional, &[fixed(1)]);
    let ask = |width: u32, quantity: u32, options: Value| {
        let wanted = json!({"productId": "7", "width": width, "height": 200, "quantity": quantity, "options": options});
        order(&server, &shop.key.key, &wanted)
    };
    let placed = ask(300, 1, json!([]));
    let answer = body(&placed);
    assert_eq!(
        (&answer["total"], answer["price"].to_string()),
        (&json!("999999999999.999"), "999999999999.999".into())
    );
    let shown = String::from_utf8(page(&server, &placed).body).expect("text");
    assert!(shown.contains("KWD\u{a0}999,999,999,999.999"), "{shown}");
    let least = body(&ask(600, 10_000, json!([])));
    assert_eq!((&least["total"], &least["price"]), (&json!("10.000"), &json!(0.001)));
    let dearer = json!([{"optionGroupId": group.to_string(), "choiceId": choices[0].to_string()}]);
    for refused in [ask(300, 2, json!([])), ask(300, 1, dearer)] {
        assert_eq!((refused.status, &body(&refused)["code"]), (422, &json!("price_too_large")));
    }
    assert_orders(&server, 2);
}
