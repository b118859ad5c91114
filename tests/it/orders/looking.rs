//! Orders as merchants look at them: the admin API, the commands, the export.

use crate::storefront::spec;
use crate::support::command::run;
use quotegrid::http::Response;
use quotegrid::testing::Fixture;
use serde_json::{Value, json};

fn admin(fixture: &Fixture, path: &str) -> Response {
    let response = fixture.admin("GET", path, None);
    spec::check("GET", path.split('?').next().unwrap_or(path), &response);
    response
}

#[test]
fn the_admin_api_lists_orders_page_by_page_and_shows_each() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let base = format!("/admin/api/stores/{}/draft-orders", demo.shop);
    let mut seen: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let response = admin(&fixture, &format!("{base}?limit=7{cursor}"));
        assert_eq!((response.status, response.header("cache-control")), (200, Some("no-store")));
        let page = response.json_body();
        let found = page["draftOrders"].as_array().expect("a list").clone();
        assert!(found.len() <= 7);
        seen.extend(found);
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let names: Vec<&str> = seen.iter().filter_map(|order| order["name"].as_str()).collect();
    let expected: Vec<String> = (1..=24).rev().map(|number| format!("#D{number}")).collect();
    assert_eq!(names, expected);
    for order in &seen {
        let one = admin(&fixture, &format!("{base}/{}", order["id"].as_str().expect("an id")));
        assert_eq!((one.status, &one.json_body()), (200, order));
    }
    let token: String = fixture.query("SELECT token FROM draft_order_records WHERE number = 12");
    let order = &seen[12];
    let expected = json!({
        "name": "#D12", "status": "open", "width": 893, "height": 200, "pricedWidth": 900, "pricedHeight": 200, "quantity": 3,
        "currency": "EUR", "basePrice": "31.70", "price": "40.74", "total": "122.22", "checkoutUrl": null,
        "pageUrl": format!("http://127.0.0.1:8080/q/{token}"),
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&order[name], value, "{name}");
    }
    assert_eq!(order["options"][0]["optionGroup"], "Edge");
    assert_eq!(order["options"][0]["appliedAmount"], "9.04");
}

#[test]
fn orders_of_another_store_are_404_and_none_are_shown_during_an_erasure() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let body = json!({ "shop": "other.myshopify.com" });
    assert_eq!(fixture.admin("POST", "/admin/api/stores", Some(&body)).status, 201);
    let id: String = fixture.query("SELECT id FROM draft_order_records LIMIT 1");
    let of = |shop: &str| format!("/admin/api/stores/{shop}/draft-orders");
    assert_eq!(admin(&fixture, &of("other.myshopify.com")).json_body()["draftOrders"], json!([]));
    assert_eq!(admin(&fixture, &format!("{}/{id}", of("other.myshopify.com"))).status, 404);
    assert_eq!(admin(&fixture, &format!("{}/x", of(demo.shop.as_str()))).status, 404);
    assert_eq!(admin(&fixture, &of("unknown.myshopify.com")).status, 404);
    assert_eq!(admin(&fixture, &format!("{}?limit=0", of(demo.shop.as_str()))).status, 422);
    assert_eq!(admin(&fixture, &format!("{}?cursor=x", of(demo.shop.as_str()))).status, 422);
    let (shop, now) = (demo.shop.clone(), fixture.now());
    let begun: quotegrid::db::Result<_> =
        fixture.app.db.write(move |tx| quotegrid::catalog::stores::begin_erasure(tx, now, &shop, now));
    begun.expect("written");
    assert_eq!(admin(&fixture, &of(demo.shop.as_str())).status, 409);
    assert_eq!(admin(&fixture, &format!("{}/{id}", of(demo.shop.as_str()))).status, 409);
}

#[test]
fn the_commands_list_and_show_orders() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let (code, text) = run(&fixture.database(), &["orders", "list", "--limit", "2"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((code, lines.len()), (0, 3), "{text}");
    assert!(lines[0].starts_with("ORDER") && lines[1].starts_with("#D24") && lines[2].starts_with("#D23"), "{text}");
    let (code, text) = run(&fixture.database(), &["orders", "list", "--before", "3", "--json"]);
    let found: Value = serde_json::from_str(&text).expect("JSON");
    let listed = found["draftOrders"].as_array().expect("a list");
    assert_eq!((code, listed.len(), &listed[0]["name"]), (0, 2, &json!("#D2")));
    let token: String = fixture.query("SELECT token FROM draft_order_records WHERE number = 12");
    let id = listed[0]["id"].as_str().expect("an id");
    let (code, text) =
        run(&fixture.database(), &["orders", "show", "#D12", "--public-url", "https://quotes.example.com/"]);
    assert_eq!(code, 0);
    for line in [
        "order       #D12 (open)",
        "size        893 x 200 mm",
        "option      Edge, Bevelled 15 mm: 9.04 EUR",
        "total       122.22 EUR",
        &format!("page        https://quotes.example.com/q/{token}"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    for name in ["2", "D2", "d2", id] {
        let (code, text) = run(&fixture.database(), &["orders", "show", name, "--json", "--shop", demo.shop.as_str()]);
        assert_eq!((code, &serde_json::from_str::<Value>(&text).expect("JSON")), (0, &listed[0]), "{name}");
    }
    assert_eq!(run(&fixture.database(), &["orders", "show", "99"]).0, 1);
    assert_eq!(run(&fixture.database(), &["orders", "show", "x"]).0, 2);
    assert_eq!(run(&fixture.database(), &["orders", "list", "--public-url", "nowhere"]).0, 4);
    assert_eq!(run(&fixture.database(), &["orders", "list", "--shop", "unknown.myshopify.com"]).0, 1);
}

#[test]
fn an_order_says_what_became_of_it_at_shopify() {
    let fixture = Fixture::new();
    fixture.demo_store();
    let (_, text) = run(&fixture.database(), &["orders", "show", "12"]);
    assert!(!text.contains("at Shopify") && !text.contains("handed"), "{text}");
    let written: quotegrid::db::Result<()> = fixture.app.db.write(|tx| {
        Ok(tx.execute_batch(
            "UPDATE draft_order_records SET handover_error = 'Shopify refuses the order: title: is bad' WHERE number = 12;
             UPDATE draft_order_records SET status = 'sent', shopify_order_name = '#S7', shopify_total_minor = 12345,
                 checkout_url = 'https://pay.example/7' WHERE number = 11",
        )?)
    });
    written.expect("written");
    let (_, refused) = run(&fixture.database(), &["orders", "show", "12"]);
    assert!(
        refused.lines().any(|line| line == "not handed over: Shopify refuses the order: title: is bad"),
        "{refused}"
    );
    let (_, sent) = run(&fixture.database(), &["orders", "show", "11"]);
    for line in ["order       #D11 (sent)", "at Shopify  #S7", "checkout    https://pay.example/7"] {
        assert!(sent.lines().any(|found| found == line), "{line}: {sent}");
    }
    let (_, document) = run(&fixture.database(), &["orders", "show", "11", "--json"]);
    let document: Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!(document["shopifyTotal"], "123.45");
}

#[test]
fn the_export_holds_orders_and_opens_no_page() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let (code, text) = run(&fixture.database(), &["stores", "export", demo.shop.as_str()]);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let orders = document["draftOrders"].as_array().expect("a list");
    assert_eq!((code, orders.len()), (0, 24));
    assert_eq!((&orders[12]["name"], &orders[12]["total"]), (&json!("#D12"), &json!("122.22")));
    let token: String = fixture.query("SELECT token FROM draft_order_records WHERE number = 12");
    assert!(!text.contains(&token) && orders[12].get("pageUrl").is_none());
}
