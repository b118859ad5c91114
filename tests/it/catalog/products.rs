//! What is assigned to a product.

use super::{Shop, fields};
use crate::support::command::program;
use quotegrid::testing::Fixture;
use serde_json::{Value, json};

#[test]
fn a_product_changes_its_matrix_only_when_that_is_confirmed_and_keeps_its_options() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let (first, second, group) = (shop.matrix("first"), shop.matrix("second"), shop.group("g"));
    shop.assign("1001", &first);
    assert_eq!(shop.put(&format!("/products/1001/option-groups/{group}"), None, &json!({})).0, 200);
    let wanted = json!({ "matrixId": second, "title": "New title" });
    let (status, problem) = shop.put("/products/1001/matrix", None, &wanted);
    assert_eq!((status, &problem["currentMatrix"]), (409, &json!({ "id": first, "name": "first" })));
    assert_eq!(shop.get("/products/1001")["matrix"]["name"], "first");
    let confirmed = json!({ "matrixId": second, "title": "New title", "confirm": true });
    let (status, product) = shop.put("/products/1001/matrix", None, &confirmed);
    assert_eq!(status, 200);
    assert_eq!(
        product,
        json!({
            "productId": "gid://shopify/Product/1001", "title": "New title",
            "matrix": { "id": second, "name": "second" }, "assignedAt": "2026-01-01T00:00:00.000Z",
            "optionGroups": [{ "id": group, "name": "g" }],
            "sku": null, "variantId": null, "requiresShipping": true, "taxable": true, "weight": null,
            "warnings": ["it is shipped and has no weight: shipping rates by weight take it for 0 g"],
        })
    );
    // The same again is no conflict.
    assert_eq!(shop.put("/products/1001/matrix", None, &wanted).0, 200);
    assert_eq!(shop.send("DELETE", "/products/1001/matrix", None, b"").status, 204);
    assert_eq!(shop.send("DELETE", "/products/1001/matrix", None, b"").status, 404);
    let product = shop.get("/products/1001");
    assert_eq!((&product["matrix"], &product["title"]), (&Value::Null, &Value::Null));
    assert_eq!(product["optionGroups"], json!([{ "id": group, "name": "g" }]));
}

#[test]
fn a_product_id_has_three_spellings_and_anything_else_is_refused() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let matrix = shop.matrix("m");
    for spelling in
        ["1001", "gid%3A%2F%2Fshopify%2FProduct%2F1001", "gid://shopify/Product/1001", "gid:/shopify/Product/1001"]
    {
        shop.assign(spelling, &matrix);
        assert_eq!(shop.get(&format!("/products/{spelling}"))["productId"], "gid://shopify/Product/1001");
    }
    assert_eq!(fixture.count("product_matrices"), 1);
    let body = json!({ "matrixId": matrix, "title": "t" });
    for spelling in ["abc", "12%20", "gid://shopify/Variant/1", "%2531", "-1", "1001/2"] {
        assert_eq!(shop.put(&format!("/products/{spelling}/matrix"), None, &body).0, 400, "{spelling}");
    }
    assert_eq!(shop.json("GET", "/products/404", None, None).0, 404);
    for (method, path, allowed) in [
        ("PUT", "/products/1001", "GET, HEAD, PATCH"),
        ("GET", "/products/gid://shopify/Product/1001/matrix", "DELETE, PUT"),
        ("POST", "/products/1001/option-groups/1", "DELETE, PUT"),
    ] {
        let response = shop.send(method, path, None, body.to_string().as_bytes());
        assert_eq!((response.status, response.header("allow")), (405, Some(allowed)), "{method} {path}");
    }
}

#[test]
fn a_faulty_assignment_names_its_fields() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let matrix = shop.matrix("m");
    for (body, faulty) in [
        (json!({}), vec!["matrixId", "title"]),
        (json!({ "matrixId": 7, "title": " " }), vec!["matrixId", "title"]),
        (json!({ "matrixId": matrix, "title": "t".repeat(256) }), vec!["title"]),
        (json!({ "matrixId": matrix, "title": "t", "confirm": "yes" }), vec!["confirm"]),
    ] {
        let (status, problem) = shop.put("/products/1/matrix", None, &body);
        assert_eq!((status, super::fields(&problem)), (422, faulty), "{body}");
    }
    for id in ["x", "01a00000-0000-7000-8000-000000000000"] {
        let body = json!({ "matrixId": id, "title": "t" });
        assert_eq!(shop.put("/products/1/matrix", None, &body).0, 404, "{id}");
    }
    assert_eq!(fixture.count("product_matrices"), 0);
}

#[test]
fn of_ten_groups_assigned_at_once_exactly_five_stick() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let groups: Vec<String> = (0..10).map(|number| shop.group(&format!("g{number}"))).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let put = |group: &str| shop.put(&format!("/products/1001/option-groups/{group}"), None, &json!({})).0;
        let threads: Vec<_> = groups.iter().map(|group| scope.spawn(move || put(group))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let with = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((with(200), with(409)), (5, 5), "{statuses:?}");
    let product = shop.get("/products/1001");
    let offered = product["optionGroups"].as_array().expect("a list");
    assert_eq!(offered.len(), 5);
    // One that is offered may be offered again; a place that is given up is free.
    let first = offered[0]["id"].as_str().expect("an id");
    let path = format!("/products/1001/option-groups/{first}");
    assert_eq!(shop.put(&path, None, &json!({})).0, 200);
    assert_eq!(shop.send("DELETE", &path, None, b"").status, 204);
    assert_eq!(shop.send("DELETE", &path, None, b"").status, 404);
    let refused = groups.iter().zip(&statuses).find(|(_, status)| **status == 409).expect("one").0;
    assert_eq!(shop.put(&format!("/products/1001/option-groups/{refused}"), None, &json!({})).0, 200);
    let last = shop.get("/products/1001")["optionGroups"][4]["id"].clone();
    assert_eq!(last, json!(refused), "the newest comes last");
    let unknown = "/products/1001/option-groups/01a00000-0000-7000-8000-000000000000";
    assert_eq!(shop.put(unknown, None, &json!({})).0, 404, "even where there is no room");
}

#[test]
fn products_are_listed_with_all_that_is_assigned_to_them() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let (matrix, group) = (shop.matrix("m"), shop.group("g"));
    for product in ["1", "3", "5"] {
        shop.assign(product, &matrix);
    }
    for product in ["2", "3", "4"] {
        assert_eq!(shop.put(&format!("/products/{product}/option-groups/{group}"), None, &json!({})).0, 200);
    }
    let mut seen = Vec::new();
    let mut path = "/products?limit=2".to_owned();
    loop {
        let page = shop.get(&path);
        for product in page["products"].as_array().expect("a list") {
            let id = product["productId"].as_str().expect("an id").rsplit('/').next().expect("a number").to_owned();
            seen.push((id, product["matrix"].is_object(), product["optionGroups"].as_array().expect("a list").len()));
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/products?limit=2&cursor={}", next.replace('/', "%2F").replace(':', "%3A")),
            None => break,
        }
    }
    let expected = [("1", true, 0), ("2", false, 1), ("3", true, 1), ("4", false, 1), ("5", true, 0)];
    assert_eq!(seen, expected.map(|(id, priced, groups)| (id.to_owned(), priced, groups)));
}

#[test]
fn what_a_products_line_is_to_have_is_set_shown_and_taken_back() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let matrix = shop.matrix("m");
    shop.assign("1", &matrix);
    let path = "/products/gid%3A%2F%2Fshopify%2FProduct%2F1";
    let patch = |body: &Value| shop.json("PATCH", path, None, Some(body));
    let shown = |product: &Value| {
        let names = ["title", "sku", "variantId", "requiresShipping", "taxable", "weight"];
        names.map(|name| product[name].clone()).to_vec()
    };
    let plain = vec![json!("A product"), json!(null), json!(null), json!(true), json!(true), json!(null)];
    assert_eq!(shown(&shop.get("/products/1")), plain);
    let all = json!({"title": " Cut glass ", "sku": "G-1", "variantId": 42, "requiresShipping": false, "taxable": false,
        "weight": {"gramsPerSquareMetre": 850}});
    let (status, answer) = patch(&all);
    assert_eq!((status, fields(&answer)), (422, vec!["variantId"]), "an id is a text");
    let all = json!({"title": " Cut glass ", "sku": "G-1", "variantId": "42", "requiresShipping": false, "taxable": false,
        "weight": {"gramsPerSquareMetre": 850}});
    let (status, answer) = patch(&all);
    let set = vec![
        json!("Cut glass"),
        json!("G-1"),
        json!("gid://shopify/ProductVariant/42"),
        json!(false),
        json!(false),
        json!({"gramsPerSquareMetre": 850, "baseGrams": 0}),
    ];
    assert_eq!((status, shown(&answer)), (200, set.clone()));
    assert_eq!(shown(&shop.get("/products")["products"][0]), set);
    // What is not mentioned stays.
    assert_eq!(shown(&patch(&json!({})).1), set);
    assert_eq!(patch(&json!({"weight": {"grams": 1200}})).1["weight"], json!({"grams": 1200}));
    // What was read may not be sent back, for most of it is not set here: each fault is named.
    for (body, field) in [
        (json!({"weight": {}}), "weight"),
        (json!({"weight": 1200}), "weight"),
        (json!({"weight": {"grams": 1, "baseGrams": 1}}), "weight"),
        (json!({"weight": {"grams": 1.5}}), "weight"),
        (json!({"weight": {"grams": -1}}), "weight"),
        (json!({"weight": {"grams": 10_000_001}}), "weight"),
        (json!({"weight": {"baseGrams": 1}}), "weight"),
        (json!({"weight": {"grams": 1, "kilos": 1}}), "weight"),
        (json!({"sku": ""}), "sku"),
        (json!({"sku": "x".repeat(256)}), "sku"),
        (json!({"title": "a\nb"}), "title"),
        (json!({"variantId": "gid://shopify/Product/1"}), "variantId"),
        (json!({"requiresShipping": "true"}), "requiresShipping"),
        (json!({"taxed": true}), "taxed"),
    ] {
        let (status, answer) = patch(&body);
        assert_eq!((status, fields(&answer)), (422, vec![field]), "{body}");
    }
    // A title that comes with an assignment is the newest.
    shop.assign("1", &matrix);
    assert_eq!(shop.get("/products/1")["title"], json!("A product"));
    // Without its matrix the product is still known by what was said of it, until that is taken back.
    assert_eq!(shop.send("DELETE", "/products/1/matrix", None, b"").status, 204);
    assert_eq!(
        (&shop.get("/products/1")["sku"], shop.get("/products")["products"].as_array().map(Vec::len)),
        (&json!("G-1"), Some(1))
    );
    let none = json!({"title": null, "sku": null, "variantId": null, "requiresShipping": null, "taxable": null, "weight": null});
    let (status, answer) = patch(&none);
    assert_eq!((status, &answer["sku"], &answer["requiresShipping"]), (200, &Value::Null, &json!(true)));
    assert_eq!((patch(&none).0, shop.json("GET", "/products/1", None, None).0), (404, 404));
    assert_eq!(fixture.count("product_settings"), 0);
    assert_eq!(shop.json("PATCH", "/products/2", None, Some(&json!({"sku": "x"}))).0, 404);
    let other = Shop::install(&fixture, "others");
    assert_eq!(other.json("PATCH", path, None, Some(&json!({"sku": "x"}))).0, 404);
}

#[test]
fn a_product_says_what_of_its_line_may_not_be_as_expected() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    shop.assign("1", &shop.matrix("m"));
    let warned = |settings: &Value| -> Vec<String> {
        let (status, product) = shop.json("PATCH", "/products/1", None, Some(settings));
        assert_eq!(status, 200, "{product}");
        assert_eq!(shop.get("/products/1")["warnings"], product["warnings"]);
        assert_eq!(shop.get("/products")["products"][0]["warnings"], product["warnings"]);
        let warnings = product["warnings"].as_array().expect("a list");
        warnings.iter().map(|warning| warning.as_str().expect("text").to_owned()).collect()
    };
    let weightless = |settings: &Value| warned(settings).iter().any(|warning| warning.contains("has no weight"));
    assert!(weightless(&json!({})), "it is shipped where nothing is said");
    assert!(!weightless(&json!({"requiresShipping": false})));
    assert!(weightless(&json!({"requiresShipping": true})));
    assert_eq!(warned(&json!({"weight": {"grams": 0}})), Vec::<String>::new(), "that was said");
    assert_eq!(warned(&json!({"variantId": "7", "weight": null, "requiresShipping": null})), Vec::<String>::new());
    let all = json!({"title": "T", "sku": "S", "weight": {"grams": 5}, "requiresShipping": true, "taxable": false});
    let warnings = warned(&all);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("(title, SKU, weight, shipping, tax) counts only if Shopify rejects"), "{warnings:?}");
}

#[test]
fn the_command_sets_and_clears_what_the_admin_api_does() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    shop.assign("1", &shop.matrix("m"));
    let run = |arguments: &[&str]| {
        let output = program()
            .env("QUOTEGRID_LOG", "error")
            .arg("--database")
            .arg(fixture.database())
            .args(arguments)
            .output()
            .expect("the program runs");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let set =
        |arguments: &[&str]| run(&[&["products", "--shop", "panes.myshopify.com", "set", "1"], arguments].concat());
    let (code, text) = set(&[
        "--sku",
        "G-1",
        "--variant",
        "7",
        "--requires-shipping",
        "false",
        "--taxable",
        "false",
        "--grams-per-square-metre",
        "850",
        "--base-grams",
        "300",
        "--title",
        "Cut glass",
    ]);
    assert_eq!(code, Some(0), "{text}");
    for line in [
        "title          Cut glass",
        "sku            G-1",
        "shipping       is not shipped",
        "weight         850 g a square metre and 300 g",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    let shown = shop.get("/products/1");
    assert_eq!(shown["weight"], json!({"gramsPerSquareMetre": 850, "baseGrams": 300}));
    assert_eq!((&shown["variantId"], &shown["taxable"]), (&json!("gid://shopify/ProductVariant/7"), &json!(false)));
    assert_eq!(set(&["--weight", "1200", "--clear", "title", "--clear", "variant", "--clear", "taxable"]).0, Some(0));
    let shown = shop.get("/products/1");
    assert_eq!((&shown["title"], &shown["variantId"]), (&json!("A product"), &Value::Null));
    assert_eq!(
        (&shown["taxable"], &shown["requiresShipping"], &shown["weight"]),
        (&json!(true), &json!(false), &json!({"grams": 1200}))
    );
    for wrong in [
        &[][..],
        &["--weight", "1", "--base-grams", "1"],
        &["--base-grams", "1"],
        &["--weight", "x"],
        &["--variant", "x"],
        &["--clear", "x"],
    ] {
        assert_eq!(set(wrong).0, Some(2), "{wrong:?}");
    }
    assert_eq!(run(&["products", "--shop", "panes.myshopify.com", "set", "2", "--sku", "x"]).0, Some(1));
    let (_, listed) = run(&["products", "list"]);
    assert!(listed.contains("G-1"), "{listed}");
}

#[test]
fn a_store_sets_which_discounts_count_at_shopify_and_by_default_none_do() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let flags = |store: &Value| (store["allowDiscountCodes"].clone(), store["allowAutomaticDiscounts"].clone());
    assert_eq!(flags(&shop.get("")), (json!(false), json!(false)));
    let (status, answer) = shop.json("PATCH", "", None, Some(&json!({"allowDiscountCodes": true})));
    assert_eq!((status, flags(&answer)), (200, (json!(true), json!(false))));
    let (status, answer) = shop.json("PATCH", "", None, Some(&json!({"allowAutomaticDiscounts": true, "unit": "cm"})));
    assert_eq!((status, flags(&answer), &answer["unit"]), (200, (json!(true), json!(true)), &json!("cm")));
    let (status, answer) = shop.json("PATCH", "", None, Some(&json!({"allowDiscountCodes": "yes"})));
    assert_eq!((status, fields(&answer)), (422, vec!["allowDiscountCodes"]));
    let output = program()
        .arg("--database")
        .arg(fixture.database())
        .args(["stores", "set", "panes.myshopify.com", "--allow-discount-codes", "false"])
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(flags(&shop.get("")), (json!(false), json!(true)));
}
