//! What a page needs before a size is asked for: the product, prices of lists, the nearest size, other units, other languages.

use super::harness::{Example, PRODUCT, SHOP, Server, body, encoded, fixed, matrix, request, selections};
use quotegrid::catalog::settings::{self, Change};
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::domain::options::Requirement;
use quotegrid::domain::tax_label::TaxLabel;
use quotegrid::http::{Request, Response};
use quotegrid::languages::Language;
use serde_json::{Value, json};

/// `POST /api/v1/prices`.
pub(crate) fn prices(server: &Server, key: &str, query: &str, list: &Value) -> Response {
    let mut request: Request = request("POST", &format!("/api/v1/prices{query}"), &[("X-API-Key", key)]);
    request.body = list.to_string().into_bytes();
    server.ask(request)
}

fn change(server: &Server, change: Change) {
    let shop = SHOP.parse().expect("a shop");
    let app = &server.fixture.app;
    settings::carry_out(&app.db, app.clock.as_ref(), &shop, change, false, None).expect("changed");
}

#[test]
fn one_call_says_all_that_a_page_needs() {
    let server = Server::new();
    let Example { shop, required, free, .. } = server.example();
    change(&server, Change { tax_label: Some(TaxLabel::Incl), ..Change::default() });
    for product in
        [PRODUCT, "gid://shopify/Product/1001", "gid%3A%2F%2Fshopify%2FProduct%2F1001", "gid:/shopify/Product/1001"]
    {
        let response = server.get(&shop.key, &format!("/api/v1/products/{product}"));
        let found = body(&response);
        assert_eq!(response.status, 200, "{product}: {found}");
        assert_eq!(
            (&found["productId"], &found["title"], &found["currency"], &found["unit"], &found["taxLabel"]),
            (&json!("gid://shopify/Product/1001"), &json!("a pane"), &json!("USD"), &json!("mm"), &json!("incl"))
        );
        let range = json!({ "minWidth": 300, "maxWidth": 900, "minHeight": 200, "maxHeight": 600 });
        assert_eq!(found["dimensionRange"], range);
        assert_eq!(found["steps"], json!({ "widths": [300, 600, 900], "heights": [200, 400, 600] }));
        assert_eq!(found["offered"], "all");
        let group = &found["optionGroups"][0];
        assert_eq!(
            (&group["id"], &group["choices"][0]["id"]),
            (&json!(required.to_string()), &json!(free.to_string()))
        );
    }
    for (path, status, code) in [
        ("/api/v1/products/77", 404, "no_matrix"),
        ("/api/v1/products/x", 400, "bad_request"),
        ("/api/v1/products/", 400, "bad_request"),
        ("/api/v1/products/1001/", 404, "not_found"),
        ("/api/v1/products/1001/price/", 404, "not_found"),
    ] {
        let response = server.get(&shop.key, path);
        assert_eq!((response.status, &body(&response)["code"]), (status, &json!(code)), "{path}");
    }
    assert_eq!(server.ask(request("GET", "/api/v1/products/1001", &[])).status, 401);
}

#[test]
fn what_is_not_offered_is_left_out_of_the_ranges_and_the_nearest_size_is_named() {
    let server = Server::new();
    let shop = server.shop(SHOP);
    let rows = [vec![Some(1), None, Some(3)], vec![Some(4), None, None]];
    let id = server.matrix(shop.scope, "Holes", matrix(&[300, 600, 900], &[200, 400], &rows, OutOfRange::Reject));
    server.assign(shop.scope, PRODUCT, id);
    let found = body(&server.get(&shop.key, "/api/v1/products/1001"));
    let range = |min_width: f64, max_width: i32, min_height: i32, max_height: i32| {
        let number = |value: f64| if value.fract() == 0.0 { json!(value as i64) } else { json!(value) };
        json!({ "minWidth": number(min_width), "maxWidth": max_width, "minHeight": min_height, "maxHeight": max_height })
    };
    assert_eq!(found["offered"], json!([range(600.001, 900, 200, 200), range(300.0, 300, 200, 400)]));
    for (query, code, nearest) in [
        ("width=450&height=200", "size_not_offered", json!({ "width": 600.001, "height": 200 })),
        ("width=450&height=300", "size_not_offered", json!({ "width": 900, "height": 200 })),
        ("width=200&height=100", "size_outside", json!({ "width": 300, "height": 200 })),
        ("width=2000&height=100", "size_outside", json!({ "width": 900, "height": 200 })),
    ] {
        let response = server.price(&shop.key, query);
        let answer = body(&response);
        assert_eq!((response.status, &answer["code"], &answer["nearest"]), (422, &json!(code), &nearest), "{query}");
        // And it is one that has a price, in whatever unit it was asked for.
        for unit in ["mm", "cm", "m", "in"] {
            let asked = server.price(&shop.key, &format!("width=1&height=1&unit={unit}"));
            let near = &body(&asked)["nearest"];
            let again = format!("width={}&height={}&unit={unit}", near["width"], near["height"]);
            assert_eq!(server.price(&shop.key, &again).status, 200, "{again}");
        }
    }
    let limits = &body(&server.price(&shop.key, "width=2000&height=200"))["limits"];
    assert_eq!(*limits, json!({ "axis": "width", "min": 300, "max": 900, "unit": "mm" }));
    // Nothing is offered: nothing is nearest.
    let id = server.matrix(shop.scope, "None", matrix(&[300], &[200], &[vec![None]], OutOfRange::Reject));
    server.assign(shop.scope, "1002", id);
    let answer = body(&server.get(&shop.key, "/api/v1/products/1002/price?width=300&height=200"));
    assert_eq!((&answer["code"], &answer["nearest"]), (&json!("size_not_offered"), &Value::Null));
    assert_eq!(body(&server.get(&shop.key, "/api/v1/products/1002"))["offered"], json!([]));
}

#[test]
fn sizes_are_taken_in_the_unit_that_is_asked_for_and_answered_in_it() {
    let server = Server::new();
    let Example { shop, required, free, .. } = server.example();
    for (query, price, dimensions) in [
        ("width=30&height=20&unit=cm", 10, json!({ "width": 30, "height": 20, "unit": "cm" })),
        ("width=0.45&height=0.35&unit=m", 30, json!({ "width": 0.45, "height": 0.35, "unit": "m" })),
        // 600 mm are 23.622047 inches: a hair more is another column.
        ("width=23.622047&height=13.75&unit=in", 30, json!({ "width": 23.622047, "height": 13.75, "unit": "in" })),
        ("width=23.6221&height=13.75&unit=in", 35, json!({ "width": 23.6221, "height": 13.75, "unit": "in" })),
        ("width=450&height=350&unit=mm", 30, json!({ "width": 450, "height": 350, "unit": "mm" })),
        ("width=450&height=350&unit=", 30, json!({ "width": 450, "height": 350, "unit": "mm" })),
    ] {
        let response = server.price(&shop.key, query);
        let answer = body(&response);
        assert_eq!(
            (response.status, &answer["price"], &answer["dimensions"]),
            (200, &json!(price), &dimensions),
            "{query}"
        );
        assert_eq!(answer["dimensionRange"]["maxWidth"], 900, "limits stay the store's");
    }
    for query in ["unit=ft", "unit=MM", "unit=mm&unit=cm"] {
        let answer = body(&server.price(&shop.key, &format!("width=450&height=350&{query}")));
        assert_eq!((&answer["status"], answer["errors"]["unit"].is_array()), (&json!(400), true), "{query}: {answer}");
    }
    assert_eq!(server.price(&shop.key, "width=17.7165354&height=13&unit=in").status, 400, "too many decimals");
    // An order is placed in the store's unit, and answered in the one that was asked for.
    let order = json!({ "productId": PRODUCT, "width": 17.75, "height": 13.75, "options": [{ "optionGroupId": required.to_string(), "choiceId": free.to_string() }] });
    let mut placed = request("POST", "/api/v1/draft-orders?unit=in", &[("X-API-Key", &shop.key.key)]);
    placed.body = order.to_string().into_bytes();
    let answer = body(&server.ask(placed));
    assert_eq!(answer["dimensions"], json!({ "width": 17.75, "height": 13.75, "unit": "in" }), "{answer}");
}

#[test]
fn a_list_is_priced_in_one_call_and_each_item_says_what_is_wrong_with_it() {
    let server = Server::new();
    let Example { shop, required, free, optional, fixed: add_on, .. } = server.example();
    let key = &shop.key.key;
    let pick = |group: &dyn ToString, choice: &dyn ToString| json!({ "optionGroupId": group.to_string(), "choiceId": choice.to_string() });
    let good = json!({ "productId": PRODUCT, "width": 450, "height": 350, "quantity": 2, "options": [pick(&required, &free), pick(&optional, &add_on)], "label": "Kitchen" });
    let small = json!({ "productId": PRODUCT, "width": 300, "height": 200, "options": [pick(&required, &free)] });
    let answer = body(&prices(&server, key, "", &json!({ "items": [good, small] })));
    assert_eq!((&answer["total"], &answer["currency"]), (&json!(80), &json!("USD")), "{answer}");
    assert_eq!((&answer["items"][0]["total"], &answer["items"][1]["price"]), (&json!(70), &json!(10)));

    let bad = [
        (json!({ "productId": PRODUCT, "width": 901, "height": 350 }), 400, "options_missing"),
        (
            json!({ "productId": PRODUCT, "width": 901, "height": 350, "options": [pick(&required, &free)] }),
            422,
            "size_outside",
        ),
        (json!({ "productId": "77", "width": 1, "height": 1 }), 404, "no_matrix"),
        (json!({ "productId": PRODUCT, "width": "450", "height": 350 }), 400, "validation_failed"),
        (json!("item"), 400, "validation_failed"),
        (
            json!({ "productId": PRODUCT, "width": 450, "height": 350, "options": [pick(&required, &"x")] }),
            400,
            "stale_options",
        ),
    ];
    let items: Vec<&Value> = bad.iter().map(|(item, ..)| item).chain([&small]).collect();
    let answer = body(&prices(&server, key, "?lang=de", &json!({ "items": items })));
    assert!(answer.get("total").is_none(), "{answer}");
    for ((item, status, code), found) in bad.iter().zip(answer["items"].as_array().expect("a list")) {
        assert_eq!((&found["status"], &found["code"]), (&json!(status), &json!(code)), "{item}: {found}");
    }
    assert_eq!(answer["items"][1]["nearest"], json!({ "width": 900, "height": 600 }));
    assert_eq!(answer["items"][0]["detail"], "Bitte wählen Sie noch: Edge.");
    assert_eq!(answer["items"][6]["price"], 10);

    for list in
        [json!({ "items": [] }), json!({ "items": vec![&small; 101] }), json!({ "items": small }), json!({}), json!([])]
    {
        assert_eq!(prices(&server, key, "", &list).status, 400, "{list}");
    }
    assert_eq!(prices(&server, key, "", &json!({ "items": vec![&small; 100] })).status, 200);
    let mut twice = request("POST", "/api/v1/prices", &[("X-API-Key", key)]);
    twice.body = br#"{"items":[],"items":[]}"#.to_vec();
    assert_eq!(server.ask(twice).status, 400);
    let long = json!({ "items": [{ "productId": PRODUCT, "width": 450, "height": 350, "label": "x".repeat(70_000) }] });
    assert_eq!(prices(&server, key, "", &long).status, 413);
}

#[test]
fn a_list_counts_as_many_requests_as_it_has_items() {
    let server = Server::with_rate_limit(10);
    let Example { shop, .. } = server.example();
    let item = json!({ "productId": PRODUCT, "width": 300, "height": 200 });
    let list = |length: usize| prices(&server, &shop.key.key, "", &json!({ "items": vec![&item; length] }));
    let response = list(7);
    assert_eq!((response.status, response.header("x-ratelimit-remaining")), (200, Some("3")));
    let response = list(4);
    assert_eq!((response.status, response.header("retry-after").is_some()), (429, true));
    assert_eq!(list(1).status, 200);
}

#[test]
fn problems_are_worded_in_the_shoppers_language() {
    let server = Server::new();
    let Example { shop, .. } = server.example();
    let ask = |query: &str, accept: &str| {
        let target = format!("/api/v1/products/1001/price?width=901&height=350{query}");
        let response =
            server.ask(request("GET", &target, &[("X-API-Key", &shop.key.key), ("Accept-Language", accept)]));
        let language = response.header("content-language").unwrap_or_default().to_owned();
        (language, body(&response)["detail"].as_str().unwrap_or_default().to_owned())
    };
    let german = "Dieses Maß können wir nicht fertigen. Breite: 300 bis 900 mm.".to_owned();
    let english = "A width of 901 mm is not available: it must be from 300 to 900 mm".to_owned();
    assert_eq!(ask("", ""), ("en".to_owned(), english.clone()));
    assert_eq!(ask("", "de-AT,de;q=0.9"), ("de".to_owned(), german.clone()));
    assert_eq!(ask("&lang=de", "fr"), ("de".to_owned(), german));
    assert_eq!(ask("&lang=sv", "").0, "en");
    change(&server, Change { locale: Some(Some(Language::Nl)), ..Change::default() });
    assert_eq!(ask("", "fr").0, "nl");
    assert_eq!(ask("&lang=en", "fr"), ("en".to_owned(), english));
    change(&server, Change { locale: Some(None), ..Change::default() });
    assert_eq!(ask("", "fr").0, "fr");
    // Before anybody is known, too.
    let response = server.ask(request("GET", "/api/v1/products/1001", &[("Accept-Language", "nl")]));
    assert_eq!(
        (response.status, &body(&response)["detail"]),
        (401, &json!("Er kunnen hier nu geen prijzen worden getoond."))
    );
    let query =
        selections(&[(server.group(shop.scope, PRODUCT, "Farbe & <Form>", Requirement::Required, &[fixed(0)]).0, "x")]);
    let response = server.price(&shop.key, &format!("width=450&height=350&lang=de&options={query}"));
    assert_eq!(body(&response)["code"], "stale_options");
    assert_eq!(encoded("ä"), "%C3%A4");
}

#[test]
fn the_settings_of_a_store_are_shown_and_changed() {
    let fixture = quotegrid::testing::Fixture::new();
    let shop = fixture.demo_store().shop;
    let path = format!("/admin/api/stores/{shop}");
    let shown = fixture.admin("GET", &path, None);
    assert_eq!((&body(&shown)["taxLabel"], &body(&shown)["locale"]), (&json!("none"), &Value::Null));
    let changed = fixture.admin("PATCH", &path, Some(&json!({ "taxLabel": "excl", "locale": "de" })));
    super::spec::check("PATCH", &path, &changed);
    assert_eq!((&body(&changed)["taxLabel"], &body(&changed)["locale"]), (&json!("excl"), &json!("de")));
    let changed = fixture.admin("PATCH", &path, Some(&json!({ "locale": null })));
    assert_eq!((&body(&changed)["taxLabel"], &body(&changed)["locale"]), (&json!("excl"), &Value::Null));
    for wrong in [json!({ "taxLabel": "yes" }), json!({ "locale": "sv" }), json!({ "locale": 1 })] {
        assert_eq!(fixture.admin("PATCH", &path, Some(&wrong)).status, 422, "{wrong}");
    }
}
