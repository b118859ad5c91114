//! No store reaches another store's data: every operation of store A on the ids of store B.

use super::{Shop, grid, group};
use quotegrid::testing::Fixture;
use serde_json::{Value, json};

/// Everything that a store has, as its export shows it.
fn everything(shop: &Shop<'_>) -> Value {
    let mut document = shop.get("/export");
    document["exportedAt"] = Value::Null;
    document
}

#[test]
fn every_operation_on_an_id_of_another_store_is_not_found_and_changes_nothing() {
    let fixture = Fixture::new();
    let (a, b) = (Shop::install(&fixture, "a"), Shop::install(&fixture, "b"));
    let (matrix_a, group_a) = (a.matrix("of a"), a.group("of a"));
    let (matrix, group_b) = (b.matrix("secret of b"), b.group("secret of b"));
    b.assign("7001", &matrix);
    assert_eq!(b.put(&format!("/products/7001/option-groups/{group_b}"), None, &json!({})).0, 200);
    let key = b.get("/keys")["keys"][0]["id"].as_str().expect("an id").to_owned();
    let choice = b.get(&format!("/option-groups/{group_b}"))["choices"][0]["id"].clone();
    let mut stolen_choice = group("of a");
    stolen_choice["choices"][0]["id"] = choice;
    let (before_a, before_b) = (everything(&a), everything(&b));

    let assignment = json!({ "matrixId": matrix, "title": "t", "confirm": true });
    let patch = json!({ "name": "taken" });
    let any = Some("*");
    let json = |value: &Value| value.to_string().into_bytes();
    let csv = b"1,1,1".to_vec();
    let none = Vec::new;
    let operations: Vec<(&str, String, Option<&str>, Vec<u8>)> = vec![
        ("GET", format!("/matrices/{matrix}"), None, none()),
        ("PUT", format!("/matrices/{matrix}"), any, json(&grid("taken"))),
        ("PATCH", format!("/matrices/{matrix}"), any, json(&patch)),
        ("DELETE", format!("/matrices/{matrix}"), any, none()),
        ("POST", format!("/matrices/{matrix}/duplicate"), None, none()),
        ("GET", format!("/matrices/{matrix}/export"), None, none()),
        ("PUT", format!("/matrices/{matrix}/import"), any, csv.clone()),
        ("PUT", format!("/matrices/{matrix}/import?preview=true"), None, csv),
        ("GET", format!("/option-groups/{group_b}"), None, none()),
        ("PUT", format!("/option-groups/{group_b}"), any, json(&group("taken"))),
        ("DELETE", format!("/option-groups/{group_b}"), any, none()),
        ("PUT", format!("/option-groups/{group_a}"), any, json(&stolen_choice)),
        ("GET", "/products/7001".to_owned(), None, none()),
        ("PUT", "/products/7001/matrix".to_owned(), None, json(&assignment)),
        ("PUT", "/products/7002/matrix".to_owned(), None, json(&assignment)),
        ("DELETE", "/products/7001/matrix".to_owned(), None, none()),
        ("PUT", format!("/products/7001/option-groups/{group_b}"), None, none()),
        ("DELETE", format!("/products/7001/option-groups/{group_b}"), None, none()),
        ("GET", format!("/keys/{key}"), None, none()),
        ("DELETE", format!("/keys/{key}"), None, none()),
    ];
    for (method, path, if_match, body) in &operations {
        let response = a.send(method, path, *if_match, body);
        let told = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(response.status, 404, "{method} {path}: {told}");
        assert!(!told.contains("secret"), "{method} {path} names what is another's: {told}");
    }
    for list in ["/matrices", "/option-groups", "/products", "/keys"] {
        let listed = a.get(list).to_string();
        assert!(!listed.contains("secret") && !listed.contains("7001") && !listed.contains(&key), "{list}: {listed}");
    }
    assert_eq!((everything(&a), everything(&b)), (before_a, before_b));

    // The same operations do something in the store that they belong to: the test would notice a path that has no route.
    for (method, path, if_match, body) in operations.iter().filter(|(method, ..)| *method == "GET") {
        assert_eq!(b.send(method, path, *if_match, body).status, 200, "{method} {path}");
    }
    // Both may sell the same product, each at its own price.
    a.assign("7001", &matrix_a);
    assert_eq!(a.get("/products/7001")["matrix"]["name"], "of a");
    assert_eq!(b.get("/products/7001")["matrix"]["name"], "secret of b");
}

#[test]
fn below_a_store_that_is_not_there_nothing_is() {
    let fixture = Fixture::new();
    Shop::install(&fixture, "a");
    for name in ["nobody", "A", "..", "%00"] {
        let unknown = Shop { fixture: &fixture, name };
        for (method, path) in [
            ("GET", "/matrices"),
            ("POST", "/matrices"),
            ("POST", "/matrices/import?name=x"),
            ("GET", "/option-groups"),
            ("POST", "/option-groups"),
            ("GET", "/products"),
            ("GET", "/keys"),
            ("GET", "/export"),
            ("PATCH", ""),
        ] {
            let status = unknown.send(method, path, None, grid("m").to_string().as_bytes()).status;
            // A domain is read in any case.
            let expected = if name == "A" { status } else { 404 };
            assert_eq!(status, expected, "{name} {method} {path}");
        }
    }
    // POST of a group with a grid's body, and the rest that is faulty, wrote nothing but the one matrix of `A`, which is `a`.
    assert_eq!((fixture.count("price_matrices"), fixture.count("option_groups")), (1, 0));
}
