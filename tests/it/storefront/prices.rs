//! The price: the contract's table of requests (V1 to V30), the order of its checks, and what a shopper may be told.

use super::harness::{Example, PRODUCT, SHOP, Server, body, encoded, fixed, grid, matrix, request, selections};
use super::vectors::assert_adds_up;
use quotegrid::domain::length::Unit;
use quotegrid::domain::matrix::{OutOfRange, SizeLimits};
use quotegrid::domain::options::Requirement;
use quotegrid::http::Response;
use serde_json::{Value, json};

/// Title and fields at fault of a 400.
fn faults(response: &Response) -> (u16, String, Vec<String>) {
    let found = body(response);
    let fields = found["errors"].as_object().into_iter().flat_map(|errors| errors.keys().cloned()).collect();
    (response.status, found["title"].as_str().unwrap_or_default().to_owned(), fields)
}

fn failed(fields: &[&str]) -> (u16, String, Vec<String>) {
    (400, "Validation Failed".to_owned(), fields.iter().map(ToString::to_string).collect())
}

#[test]
fn a_plain_price_has_every_field_of_the_contract_and_no_other() {
    let server = Server::new();
    let Example { shop, required, .. } = server.example();
    let response = server.price(&shop.key, "width=450&height=350&quantity=3");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let expected = json!({
        "price": 30, "currency": "USD", "dimensions": {"width": 450, "height": 350, "unit": "mm"}, "quantity": 3, "total": 90,
        "matrix": "Glass", "dimensionRange": {"minWidth": 300, "maxWidth": 900, "minHeight": 200, "maxHeight": 600},
        "missingRequired": [required.to_string()],
    });
    assert_eq!(body(&response), expected);
    let text = String::from_utf8(response.body).expect("text");
    assert!(text.starts_with(r#"{"price":30,"currency":"USD","#), "whole amounts have no decimals: {text}");
}

#[test]
fn all_faulty_fields_are_named_together() {
    let server = Server::new();
    let Example { shop, .. } = server.example();
    for (query, fields) in [
        ("", &["height", "width"][..]),
        ("width=0&height=-1", &["height", "width"]),
        ("width=300mm&height=1", &["width"]),
        ("width=1,5&height=1", &["width"]),
        ("width=Infinity&height=1", &["width"]),
        ("width=NaN&height=", &["height", "width"]),
        ("width=450&height=350&quantity=0", &["quantity"]),
        ("width=450&height=350&quantity=-1", &["quantity"]),
        ("width=450&height=350&quantity=1.5", &["quantity"]),
        ("width=450&height=350&quantity=", &["quantity"]),
        ("width=450&height=350&quantity=abc", &["quantity"]),
        ("width=450&height=350&quantity=10001", &["quantity"]),
        // V9: what JavaScript would take for numbers.
        ("width=1e3&height=0x10", &["height", "width"]),
        ("width=%2B450&height=350", &["width"]),
        ("width=4+50&height=%20&quantity=+", &["height", "quantity", "width"]),
        ("width=450.1234&height=350", &["width"]),
        ("width=100000.001&height=350", &["width"]),
        ("width=450&width=300&height=350", &["width"]),
        ("width=%D9%A4&height=350", &["width"]),
        ("width=a&height=b&quantity=c&options=x&options=y", &["height", "options", "quantity", "width"]),
    ] {
        let response = server.price(&shop.key, query);
        assert_eq!(faults(&response), failed(fields), "{query}");
        let detail = body(&response)["detail"].as_str().expect("a sentence").to_owned();
        assert!(fields.iter().all(|field| detail.contains(field)), "{query}: {detail}");
    }
}

#[test]
fn an_invalid_product_id_is_400() {
    let server = Server::new();
    let Example { shop, .. } = server.example();
    for id in [
        "abc",
        "12%20",
        "12%0A",
        "gid://shopify/Variant/1",
        "gid%3A%2F%2Fshopify%2FVariant%2F1",
        "",
        "-1",
        "1.5",
        "%2531",
        "%",
        "%zz",
        "%ff",
    ] {
        for resource in ["price?width=450&height=350", "options"] {
            let response = server.get(&shop.key, &format!("/api/v1/products/{id}/{resource}"));
            assert_eq!(faults(&response), (400, "Bad Request".to_owned(), vec![]), "{id}");
        }
    }
}

#[test]
fn a_product_has_three_spellings_and_what_proxies_make_of_them() {
    let server = Server::new();
    let Example { shop, .. } = server.example();
    for id in [
        "1001",
        "gid%3A%2F%2Fshopify%2FProduct%2F1001",
        "gid:%2f%2fshopify%2fProduct%2f1001",
        "gid://shopify/Product/1001",
        "gid:/shopify/Product/1001",
    ] {
        let price = server.get(&shop.key, &format!("/api/v1/products/{id}/price?width=450&height=350"));
        assert_eq!((price.status, &body(&price)["price"]), (200, &json!(30)), "{id}");
        let options = server.get(&shop.key, &format!("/api/v1/products/{id}/options"));
        assert_eq!(body(&options)["optionGroups"].as_array().map(Vec::len), Some(2), "{id}");
    }
    // Leading zeros are another product.
    assert_eq!(server.get(&shop.key, "/api/v1/products/01001/price?width=450&height=350").status, 404);
}

#[test]
fn every_invalid_key_gets_the_same_answer() {
    let server = Server::new();
    let Example { shop, .. } = server.example();
    let target = format!("/api/v1/products/{PRODUCT}/price?width=450&height=350");
    let upper = shop.key.key.to_uppercase();
    let longer = format!("{}0", shop.key.key);
    // The same first eight characters, as a table of prefixes would find.
    let twin = format!("{}{}", &shop.key.key[..8], "0".repeat(59));
    let mut details = Vec::new();
    for key in [None, Some(""), Some("pm_"), Some(&*upper), Some(&*longer), Some(&*twin), Some(&shop.key.key[..66])] {
        let headers: Vec<(&str, &str)> = key.map(|key| ("X-API-Key", key)).into_iter().collect();
        let response = server.ask(request("GET", &target, &headers));
        assert_eq!(response.status, 401, "{key:?}");
        assert_eq!(response.header("x-ratelimit-limit"), None);
        details.push(body(&response)["detail"].clone());
    }
    details.dedup();
    assert_eq!(details.len(), 1, "{details:?}");
    // A key is checked before anything else is.
    assert_eq!(server.ask(request("GET", "/api/v1/products/abc/price", &[])).status, 401);
}

#[test]
fn what_was_typed_with_a_blank_too_many_is_the_same_size() {
    let server = Server::new();
    let Example { shop, .. } = server.example();
    let plain = body(&server.price(&shop.key, "width=450&height=350&quantity=2"));
    for query in ["width=450+&height=+350&quantity=2%20", "width=%20450&height=350%C2%A0&quantity=%092"] {
        let response = server.price(&shop.key, query);
        assert_eq!((response.status, body(&response)), (200, plain.clone()), "{query}");
    }
}

#[test]
fn sentences_for_shoppers_begin_as_sentences_do() {
    let server = Server::new();
    let Example { shop, required, .. } = server.example();
    let unpriced =
        quotegrid::domain::matrix::PriceMatrix::new(&[], &[], &[], OutOfRange::Reject, SizeLimits::default());
    server.assign(shop.scope, "5", server.matrix(shop.scope, "none", unpriced.expect("a matrix")));
    let price = |rest: &str| server.get(&shop.key, &format!("/api/v1/products/{rest}"));
    let stale = selections(&[(required.to_string(), "x".to_owned())]);
    for (answer, tells) in [
        (price("1001/price"), "The width is required; the height is required"),
        (price("1001/price?width=1&height=1"), "A width of 1 mm is not available"),
        (price("77/price?width=1&height=1"), "There are no prices for this product"),
        (price("5/price?width=1&height=1"), "This product is not priced yet"),
        (price("abc/price"), "The product id must be"),
        (price(&format!("1001/price?width=300&height=200&options={stale}")), "Please check the options (Edge: "),
        (price("1001/price?width=300&height=200&options=x"), "The options must be"),
        (server.ask(request("GET", "/api/v1/products/1001/price", &[])), "Prices cannot be shown here"),
        (server.ask(request("GET", "/api/v1/nothing", &[])), "Path not found"),
        (server.ask(request("PATCH", "/api/v1/draft-orders", &[])), "This path takes"),
    ] {
        let problem = body(&answer);
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(answer.status >= 400 && detail.starts_with(tells), "{problem}");
    }
}

#[test]
fn options_of_another_shape_are_refused() {
    let server = Server::new();
    let Example { shop, optional, fixed, .. } = server.example();
    let price = |options: &str| server.price(&shop.key, &format!("width=450&height=350&options={options}"));
    for none in ["", &encoded(r#"{"selections":[]}"#), &encoded(r#" { "selections" : [] , "more": 1 } "#)] {
        let found = body(&price(none));
        assert_eq!((&found["price"], found.get("basePrice")), (&json!(30), None), "{none}");
    }
    for text in ["notjson", "{", "%7B%22selections%22:%5B%5D", "{\"selections\":[]}x", " "] {
        let response = price(&encoded(text));
        assert_eq!(faults(&response), (400, "Bad Request".to_owned(), vec![]), "{text}");
    }
    let entry = |group: Value, choice: Value| json!({ "optionGroupId": group, "choiceId": choice });
    let good = entry(json!(optional.to_string()), json!(fixed.to_string()));
    for shape in [
        json!(null),
        json!([]),
        json!({}),
        json!({ "selections": null }),
        json!({ "selections": {} }),
        json!({ "selections": ["a"] }),
        json!({ "selections": [{}] }),
        json!({ "selections": [entry(json!(1), json!("a"))] }),
        json!({ "selections": [entry(json!("a"), json!(""))] }),
        json!({ "selections": [good, good, good, good, good, good] }),
    ] {
        assert_eq!(faults(&price(&encoded(&shape.to_string()))), failed(&["options"]), "{shape}");
    }
    // Unknown fields are no fault.
    let with_more =
        json!({ "selections": [{ "optionGroupId": optional.to_string(), "choiceId": fixed.to_string(), "x": 1 }] });
    assert_eq!(body(&price(&encoded(&with_more.to_string())))["price"], json!(35));
}

#[test]
fn a_percentage_is_taken_of_the_base_price() {
    let server = Server::new();
    let Example { shop, required, share, optional, fixed, .. } = server.example();
    let options = selections(&[(required, share)]);
    let response = server.price(&shop.key, &format!("width=450&height=350&quantity=2&options={options}&explain=1"));
    let found = body(&response);
    assert_eq!((&found["price"], &found["basePrice"], &found["total"]), (&json!(34.5), &json!(30), &json!(69)));
    assert_eq!(
        found["optionModifiers"],
        json!([{"optionGroup": "Edge", "choice": "Edge: 2", "modifierType": "PERCENTAGE", "modifierValue": 1500, "appliedAmount": 4.5}])
    );
    assert_eq!(found.get("missingRequired"), None);
    assert_adds_up(&found);
    // The list follows the request, whatever the order of display.
    let both = selections(&[(optional, fixed), (required, share)]);
    let found = body(&server.price(&shop.key, &format!("width=450&height=350&options={both}")));
    assert_eq!(found["price"], json!(39.5));
    assert_eq!(
        (&found["optionModifiers"][0]["choice"], &found["optionModifiers"][1]["choice"]),
        (&json!("Holes: 1"), &json!("Edge: 2"))
    );
}

#[test]
fn an_add_on_is_priced_before_the_required_choice_is_made() {
    let server = Server::new();
    let Example { shop, required, optional, fixed, .. } = server.example();
    let options = selections(&[(optional, fixed)]);
    let found = body(&server.price(&shop.key, &format!("width=450&height=350&options={options}")));
    assert_eq!((&found["price"], &found["missingRequired"]), (&json!(35), &json!([required.to_string()])));
}

#[test]
fn selections_that_are_not_allowed_are_all_named_by_group() {
    let server = Server::new();
    let Example { shop, required, free, share, optional, fixed, .. } = server.example();
    let ask = |pairs: &[(String, String)]| {
        let response = server.price(&shop.key, &format!("width=450&height=350&options={}", selections(pairs)));
        assert_eq!(response.status, 400, "{pairs:?}");
        body(&response)
    };
    let (required, optional) = (required.to_string(), optional.to_string());
    let found = ask(&[("G9".to_owned(), free.to_string())]);
    assert_eq!((&found["title"], &found["code"]), (&json!("Bad Request"), &json!("options_not_allowed")));
    assert!(found["errors"]["G9"].is_array(), "{found}");
    // A choice of another group, or one that an edit has taken away: the page should load the options again.
    let found = ask(&[
        (optional.clone(), share.to_string()),
        (required.clone(), free.to_string()),
        (required.clone(), share.to_string()),
    ]);
    assert_eq!(found["code"], json!("stale_options"));
    assert!(found["errors"][&optional].is_array() && found["errors"][&required].is_array(), "{found}");
    let detail = found["detail"].as_str().expect("a sentence");
    assert!(detail.contains("Holes: ") && detail.contains("Edge: ") && !detail.contains(&optional), "{detail}");
    let found = ask(&[(optional.clone(), fixed.to_string()), (optional.to_uppercase(), fixed.to_string())]);
    assert_eq!(found["errors"][&optional], json!(["choose only one"]));
}

#[test]
fn a_product_without_a_matrix_is_404_with_or_without_options() {
    let server = Server::new();
    let Example { shop, required, share, .. } = server.example();
    for options in [String::new(), selections(&[(required, share)])] {
        let response = server.get(&shop.key, &format!("/api/v1/products/77/price?width=1&height=1&options={options}"));
        assert_eq!((response.status, &body(&response)["code"]), (404, &json!("no_matrix")));
    }
}

#[test]
fn sizes_without_a_price_are_422_and_say_why() {
    let server = Server::new();
    let shop = server.shop(SHOP);
    let gap = matrix(&[300, 600], &[200], &[vec![Some(1_000), None]], OutOfRange::Reject);
    server.assign(shop.scope, "1", server.matrix(shop.scope, "gap", gap));
    let price = |size: &str| {
        let response = server.get(&shop.key, &format!("/api/v1/products/1/price?{size}"));
        let found = body(&response);
        (
            response.status,
            found["code"].as_str().unwrap_or_default().to_owned(),
            found["detail"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(price("width=300&height=200").0, 200);
    let outside = |detail: &str| (422, "size_outside".to_owned(), detail.to_owned());
    assert_eq!(
        price("width=600.001&height=200"),
        outside("A width of 600.001 mm is not available: it must be from 300 to 600 mm")
    );
    assert_eq!(
        price("width=299.999&height=200"),
        outside("A width of 299.999 mm is not available: it must be from 300 to 600 mm")
    );
    assert_eq!(price("width=300&height=1").1, "size_outside");
    assert_eq!(
        price("width=301&height=200"),
        (422, "size_not_offered".to_owned(), "The size 301 x 200 mm is not offered".to_owned())
    );
    let beside = SizeLimits { min_width: Some("1000".parse().expect("a length")), ..SizeLimits::default() };
    let beside = grid(OutOfRange::Reject).with_policy(OutOfRange::Reject, beside).expect("a matrix");
    server.assign(shop.scope, "3", server.matrix(shop.scope, "beside", beside));
    let found = body(&server.get(&shop.key, "/api/v1/products/3/price?width=600&height=200"));
    assert_eq!(found["code"], "size_outside");
    assert_eq!(found["detail"], "A width of 600 mm is not available, and no other is at present");
    let huge = matrix(&[300], &[200], &[vec![Some(999_999_999_999_999)]], OutOfRange::Reject);
    server.assign(shop.scope, "2", server.matrix(shop.scope, "huge", huge));
    let huge = server.get(&shop.key, "/api/v1/products/2/price?width=300&height=200");
    assert!(
        String::from_utf8(huge.body).expect("text").contains(r#""price":9999999999999.99,"#),
        "exact to the last cent"
    );
    let too_large = server.get(&shop.key, "/api/v1/products/2/price?width=300&height=200&quantity=2");
    assert_eq!((too_large.status, &body(&too_large)["code"]), (422, &json!("price_too_large")));
}

#[test]
fn a_matrix_without_steps_is_not_priced_yet() {
    let server = Server::new();
    let shop = server.shop(SHOP);
    server.assign(shop.scope, "1", server.matrix(shop.scope, "empty", matrix(&[], &[], &[], OutOfRange::Reject)));
    let response = server.get(&shop.key, "/api/v1/products/1/price?width=300&height=200");
    assert_eq!((response.status, &body(&response)["code"]), (409, &json!("not_priced_yet")));
    let options = body(&server.get(&shop.key, "/api/v1/products/1/options"));
    assert_eq!(options["dimensionRange"], json!({"minWidth": 0, "maxWidth": 0, "minHeight": 0, "maxHeight": 0}));
}

#[test]
fn money_has_the_decimals_of_its_currency_and_sizes_their_unit() {
    let server = Server::new();
    for (domain, currency, minor, expected) in [
        ("yen.myshopify.com", "JPY", 1_050, json!(1_050)),
        ("dinar.myshopify.com", "KWD", 1_050, json!(1.05)),
        ("euro.myshopify.com", "EUR", 435, json!(4.35)),
    ] {
        let shop = server.shop_in(domain, currency, Unit::Cm);
        let cell = matrix(&[300], &[200], &[vec![Some(minor)]], OutOfRange::Reject);
        server.assign(shop.scope, "1", server.matrix(shop.scope, "one", cell));
        let found = body(&server.get(&shop.key, "/api/v1/products/1/price?width=300.00&height=200&quantity=100"));
        assert_eq!((&found["price"], &found["currency"]), (&expected, &json!(currency)));
        assert_eq!((&found["dimensions"]["unit"], &found["dimensions"]["width"]), (&json!("cm"), &json!(300)));
    }
    // 4.35 x 100 and 0.1 x 3 are where floating point shows.
    let euro = server.shop("cents.myshopify.com");
    let cells = matrix(&[1, 2], &[1], &[vec![Some(435), Some(10)]], OutOfRange::Reject);
    server.assign(euro.scope, "1", server.matrix(euro.scope, "cents", cells));
    let total =
        |query: &str| body(&server.get(&euro.key, &format!("/api/v1/products/1/price?{query}")))["total"].to_string();
    assert_eq!(total("width=1&height=1&quantity=100"), "435");
    assert_eq!(total("width=2&height=1&quantity=3"), "0.3");
}

#[test]
fn a_price_explains_itself_to_people() {
    let server = Server::new();
    let shop = server.shop(SHOP);
    server.assign(shop.scope, PRODUCT, server.matrix(shop.scope, "Glass", grid(OutOfRange::Reject)));
    let (group, choices) = server.group(shop.scope, PRODUCT, "Edge", Requirement::Optional, &[fixed(-9_999)]);
    let options = selections(&[(group, choices[0])]);
    let found =
        body(&server.price(&shop.key, &format!("width=450.5&height=400&quantity=2&options={options}&explain=1")));
    let texts: Vec<&str> =
        found["explanation"].as_array().expect("steps").iter().filter_map(|step| step["text"].as_str()).collect();
    assert_eq!(
        texts,
        [
            "width 450.5 mm is rounded up to the step 600 mm",
            "height 400 mm is a step of the grid",
            "the price of 600 x 400 mm is 30.00 USD",
            "Edge, Edge: 1: -99.99 USD",
            "a price never falls below 0.00 USD",
            "2 x 0.00 USD is 0.00 USD",
        ]
    );
    assert_adds_up(&found);
    assert_eq!((&found["price"], &found["optionModifiers"][0]["appliedAmount"]), (&json!(0), &json!(-99.99)));
}

#[test]
fn a_head_is_answered_as_a_get_and_other_methods_learn_which_are_allowed() {
    let server = Server::new();
    let Example { shop, .. } = server.example();
    let target = format!("/api/v1/products/{PRODUCT}/price?width=450&height=350");
    let key = [("X-API-Key", &*shop.key.key)];
    assert_eq!(server.ask(request("HEAD", &target, &key)).status, 200);
    for method in ["PUT", "POST", "PATCH", "DELETE", "TRACE"] {
        for resource in ["price", "options"] {
            let response = server.ask(request(method, &format!("/api/v1/products/{PRODUCT}/{resource}"), &key));
            assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
            assert_eq!(response.header("content-type"), Some("application/problem+json"));
        }
    }
}
