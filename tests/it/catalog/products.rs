//! What is assigned to a product.

use super::Shop;
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
fn a_product_has_three_spellings_and_anything_else_is_none() {
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
        ("PUT", "/products/1001", "GET, HEAD"),
        ("GET", "/products/gid://shopify/Product/1001/matrix", "DELETE, PUT"),
        ("POST", "/products/1001/option-groups/1", "DELETE, PUT"),
    ] {
        let response = shop.send(method, path, None, body.to_string().as_bytes());
        assert_eq!((response.status, response.header("allow")), (405, Some(allowed)), "{method} {path}");
    }
}

#[test]
fn a_faulty_assignment_is_told_by_field() {
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
