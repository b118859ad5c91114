//! What becomes of the catalog when a store is uninstalled or erased.

use super::{Shop, grid, group};
use quotegrid::catalog::stores;
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn an_uninstalled_store_keeps_its_catalog_for_the_return() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let id = shop.matrix("m");
    fixture.advance(Duration::from_secs(1));
    let body = json!({ "myshopify_domain": "panes.myshopify.com", "id": 1 });
    assert_eq!(fixture.post_webhook("app/uninstalled", &body).status, 200);
    // The operator may look at it and fix it; only a key would be dead, so there is none.
    assert_eq!(shop.get(&format!("/matrices/{id}"))["name"], "m");
    assert_eq!(shop.put(&format!("/matrices/{id}"), Some("\"1\""), &grid("n")).0, 200);
    assert_eq!(shop.post("/keys", &json!({})).0, 409);
    let again = json!({ "shop": "panes.myshopify.com" });
    assert_eq!(fixture.admin("POST", "/admin/api/stores", Some(&again)).status, 200);
    assert_eq!(shop.get(&format!("/matrices/{id}"))["name"], "n");
}

#[test]
fn a_store_that_is_installed_again_says_what_is_kept_and_what_works_again() {
    let fixture = Fixture::new();
    let wanted = json!({ "shop": "panes.myshopify.com", "currency": "EUR" });
    let first = fixture.admin("POST", "/admin/api/stores", Some(&wanted)).json_body();
    assert_eq!(
        (&first["currency"], &first["unit"], &first["reinstalled"]),
        (&json!("EUR"), &json!("mm"), &json!(false))
    );
    assert_eq!((&first["keysAlive"], &first["ignored"]), (&json!([]), &json!({ "currency": null, "unit": null })));
    let uninstall = || {
        fixture.advance(Duration::from_secs(1));
        let body = json!({ "myshopify_domain": "panes.myshopify.com", "id": 1 });
        assert_eq!(fixture.post_webhook("app/uninstalled", &body).status, 200);
        fixture.advance(Duration::from_secs(1));
    };
    uninstall();
    let wanted = json!({ "shop": "panes.myshopify.com", "currency": "USD", "unit": "mm" });
    let again = fixture.admin("POST", "/admin/api/stores", Some(&wanted));
    let (status, again) = (again.status, again.json_body());
    assert_eq!((status, &again["currency"], &again["reinstalled"]), (200, &json!("EUR"), &json!(true)));
    assert_eq!(again["ignored"], json!({ "currency": "USD", "unit": null }));
    let alive = again["keysAlive"].as_array().expect("a list");
    assert!(
        alive.len() == 1
            && first["apiKey"].as_str().expect("a key").starts_with(alive[0]["prefix"].as_str().expect("a prefix")),
        "{again}"
    );
    uninstall();
    let wanted = json!({ "shop": "panes.myshopify.com", "revokeKeys": true });
    let again = fixture.admin("POST", "/admin/api/stores", Some(&wanted)).json_body();
    assert_eq!((&again["keysAlive"], &again["keysRevoked"]), (&json!([]), &json!(2)));
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL"), 1, "the new one");
    let wanted = json!({ "shop": "panes.myshopify.com", "revokeKeys": "all" });
    assert_eq!(fixture.admin("POST", "/admin/api/stores", Some(&wanted)).status, 422);
}

#[test]
fn below_a_store_that_is_being_erased_nothing_is_read_or_written() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let (matrix, option_group) = (shop.matrix("m"), shop.group("g"));
    shop.assign("1001", &matrix);
    let (domain, now) = ("panes.myshopify.com".parse().expect("a shop"), fixture.advance(Duration::from_secs(1)));
    fixture.app.db.write(move |tx| stores::begin_erasure(tx, now, &domain, now)).expect("written");
    let json = |value: Value| value.to_string().into_bytes();
    for (method, path, body) in [
        ("GET", "/matrices".to_owned(), Vec::new()),
        ("POST", "/matrices".to_owned(), json(grid("x"))),
        ("POST", "/matrices/import?name=x".to_owned(), b"1,1,1".to_vec()),
        ("PUT", format!("/matrices/{matrix}"), json(grid("x"))),
        ("PATCH", format!("/matrices/{matrix}"), json(json!({ "name": "x" }))),
        ("DELETE", format!("/matrices/{matrix}"), Vec::new()),
        ("POST", format!("/matrices/{matrix}/duplicate"), Vec::new()),
        ("POST", "/option-groups".to_owned(), json(group("x"))),
        ("PUT", format!("/option-groups/{option_group}"), json(group("x"))),
        ("DELETE", format!("/option-groups/{option_group}"), Vec::new()),
        ("PUT", format!("/products/1001/option-groups/{option_group}"), Vec::new()),
        ("DELETE", "/products/1001/matrix".to_owned(), Vec::new()),
        ("GET", "/export".to_owned(), Vec::new()),
        ("PATCH", String::new(), json(json!({ "unit": "cm" }))),
        ("POST", "/keys".to_owned(), json(json!({}))),
    ] {
        let response = shop.send(method, &path, Some("*"), &body);
        assert_eq!(response.status, 409, "{method} {path}");
        assert!(response.header("retry-after").is_some(), "{method} {path}");
    }
    assert_eq!(shop.get("")["erasingSince"], "2026-01-01T00:00:01.000Z");
}

#[test]
fn a_change_that_was_made_for_another_unit_or_currency_is_refused() {
    use quotegrid::catalog::matrices;
    use quotegrid::domain::ids::{MatrixId, ShopDomain};
    use quotegrid::domain::length::Unit;
    use quotegrid::domain::matrix::{OutOfRange, SizeLimits, Template};
    use quotegrid::error::Kind;
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let domain: ShopDomain = "panes.myshopify.com".parse().expect("a shop");
    let scope = fixture.app.db.read(|connection| stores::load(connection, &domain)).expect("there").scope();
    let matrix = Template::Small.build(Unit::Mm, OutOfRange::Reject, SizeLimits::default()).expect("sound");
    assert_eq!(shop.json("PATCH", "", None, Some(&json!({ "unit": "cm" }))).0, 200);
    let (now, id) = (fixture.now(), MatrixId::new(fixture.now(), [0; 10]));
    let name = "m".parse().expect("a name");
    let refused = fixture.app.db.write(move |tx| matrices::insert(tx, now, id, scope, &name, &matrix));
    let error = refused.expect_err("300 mm are no 300 cm");
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.retry_after().is_some());
    assert_eq!(fixture.count("price_matrices"), 0);
}

#[test]
fn an_erasure_reaches_all_that_the_admin_api_has_made() {
    let fixture = Fixture::new();
    let (shop, other) = (Shop::install(&fixture, "panes"), Shop::install(&fixture, "other"));
    let kept = other.matrix("kept");
    let (matrix, option_group) = (shop.matrix("m"), shop.group("g"));
    shop.assign("1001", &matrix);
    assert_eq!(shop.put(&format!("/products/1001/option-groups/{option_group}"), None, &json!({})).0, 200);
    fixture.advance(Duration::from_secs(1));
    fixture.enqueue("shop_redact", json!({ "shop": "panes.myshopify.com" }));
    assert_eq!(fixture.run_jobs(), 1);
    assert_eq!(shop.json("GET", &format!("/matrices/{matrix}"), None, None).0, 404);
    let children = ["product_matrices", "option_groups", "option_choices", "product_option_groups"];
    assert_eq!(children.map(|table| fixture.count(table)), [0; 4]);
    assert_eq!((fixture.count("stores"), fixture.count("price_matrices")), (1, 1));
    assert_eq!(other.get(&format!("/matrices/{kept}"))["name"], "kept");
    // What is left is the duty, and nothing of the store.
    let document = shop.get("/export");
    assert_eq!((&document["store"], &document["matrices"]), (&Value::Null, &json!([])));
    assert_eq!(document["privacyRequests"][0]["outcome"], "erased");
    // Installed again it begins with nothing.
    let again = Shop::install(&fixture, "panes");
    assert_eq!(again.get("/matrices")["matrices"], json!([]));
}

#[test]
fn the_export_shows_the_demo_store_whole() {
    let fixture = Fixture::new();
    fixture.demo_store();
    let shop = Shop { fixture: &fixture, name: "demo-store" };
    let document = shop.get("/export");
    for (name, table) in [
        ("keys", "api_keys"),
        ("matrices", "price_matrices"),
        ("optionGroups", "option_groups"),
        ("products", "product_matrices"),
        ("draftOrders", "draft_order_records"),
    ] {
        assert_eq!(document[name].as_array().expect("a list").len() as u64, fixture.count(table), "{name}");
    }
    let text = document.to_string();
    let token: String = fixture.query("SELECT token FROM draft_order_records LIMIT 1");
    assert!(!text.contains(&token), "tokens open pages");
    let digest: String = fixture.query("SELECT lower(hex(digest)) FROM api_keys");
    assert!(!text.contains(&digest));
}
