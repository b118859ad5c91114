//! A store's unit and currency.

use super::{Shop, made};
use quotegrid::testing::Fixture;
use serde_json::{Value, json};

fn patch(shop: &Shop<'_>, body: Value) -> (u16, Value) {
    shop.json("PATCH", "", None, Some(&body))
}

fn sizes(shop: &Shop<'_>, id: &str) -> (Value, Value, Value, Value) {
    let matrix = shop.get(&format!("/matrices/{id}"));
    (matrix["widths"].clone(), matrix["limits"]["maxWidth"].clone(), matrix["unit"].clone(), matrix["version"].clone())
}

#[test]
fn a_change_of_unit_converts_every_size_exactly_and_back() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let id = shop.matrix("m");
    shop.json("PATCH", &format!("/matrices/{id}"), Some("\"1\""), Some(&json!({ "limits": { "maxWidth": 1200.5 } })));
    let (status, store) = patch(&shop, json!({ "unit": "cm" }));
    assert_eq!((status, &store["unit"]), (200, &json!("cm")));
    assert_eq!(sizes(&shop, &id), (json!([30, 60, 90.05]), json!(120.05), json!("cm"), json!(3)));
    // A grid that was read in the old unit must not be saved in the new one.
    assert_eq!(shop.put(&format!("/matrices/{id}"), Some("\"2\""), &super::grid("m")).0, 412);
    assert_eq!(patch(&shop, json!({ "unit": "mm" })).0, 200);
    assert_eq!(sizes(&shop, &id), (json!([300, 600, 900.5]), json!(1200.5), json!("mm"), json!(4)));
}

#[test]
fn an_edit_after_a_change_of_unit_is_kept_in_the_new_one() {
    let fixture = Fixture::new();
    let shop = Shop::install_in(&fixture, "panes", "EUR", "cm");
    let id = shop.matrix("m");
    assert_eq!(patch(&shop, json!({ "unit": "mm" })).0, 200);
    // Finer than the centimetres that the grid is stored in could say.
    let limits = json!({ "limits": { "maxWidth": 9005.001 } });
    assert_eq!(shop.json("PATCH", &format!("/matrices/{id}"), Some("\"2\""), Some(&limits)).0, 200);
    assert_eq!(sizes(&shop, &id), (json!([3000, 6000, 9005]), json!(9005.001), json!("mm"), json!(3)));
    let copy = made(shop.json("POST", &format!("/matrices/{id}/duplicate"), None, None));
    assert_eq!(sizes(&shop, &copy).0, json!([3000, 6000, 9005]));
    let (status, problem) = patch(&shop, json!({ "unit": "cm" }));
    assert_eq!(status, 409, "{problem}");
}

#[test]
fn a_change_of_unit_that_would_not_be_exact_or_is_not_wanted_is_refused() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    assert_eq!(patch(&shop, json!({ "unit": "cm", "convert": false })).0, 200, "there is nothing to convert");
    assert_eq!(patch(&shop, json!({ "unit": "mm", "convert": false })).0, 200);
    let body = json!({ "name": "fine", "widths": [300.001], "heights": [1], "prices": [[1]] });
    let id = made(shop.post("/matrices", &body));
    let (status, problem) = patch(&shop, json!({ "unit": "cm" }));
    assert_eq!(status, 409);
    assert!(
        problem["detail"].as_str().is_some_and(|detail| detail.contains("300.001") && detail.contains("fine")),
        "{problem}"
    );
    assert_eq!(shop.send("DELETE", &format!("/matrices/{id}"), Some("\"1\""), b"").status, 204);
    shop.matrix("m");
    assert_eq!(patch(&shop, json!({ "unit": "cm", "convert": false })).0, 409);
    assert_eq!(patch(&shop, json!({ "unit": "cm" })).0, 200);
    let long = json!({ "name": "long", "widths": [99_999], "heights": [1], "prices": [[1]] });
    made(shop.post("/matrices", &long));
    assert_eq!(patch(&shop, json!({ "unit": "mm" })).0, 409, "it would grow too long");
}

#[test]
fn a_change_of_currency_keeps_every_amount_or_is_refused() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let whole = json!({ "name": "whole", "widths": [1, 2], "heights": [1], "prices": [["10", null]] });
    let id = made(shop.post("/matrices", &whole));
    let group = shop.post(
        "/option-groups",
        &json!({ "name": "g", "choices": [
        { "label": "fixed", "modifierType": "FIXED", "modifierValue": -500 },
        { "label": "share", "modifierType": "PERCENTAGE", "modifierValue": 1550 },
    ] }),
    );
    let group = format!("/option-groups/{}", made(group));
    let prices = |shop: &Shop<'_>| shop.get(&format!("/matrices/{id}"))["prices"].clone();
    let values = |shop: &Shop<'_>| {
        let group = shop.get(&group);
        (group["choices"][0]["modifierValue"].clone(), group["choices"][1]["modifierValue"].clone())
    };
    for (currency, price, fixed) in [("JPY", "10", -5), ("KWD", "10.000", -5_000), ("USD", "10.00", -500)] {
        let (status, problem) = patch(&shop, json!({ "currency": currency }));
        assert_eq!((status, &problem["code"]), (409, &json!("needs_confirmation")), "{problem}");
        let (status, store) = patch(&shop, json!({ "currency": currency, "confirm": true }));
        assert_eq!((status, &store["currency"]), (200, &json!(currency)), "{store}");
        assert_eq!((prices(&shop), values(&shop)), (json!([[price, null]]), (json!(fixed), json!(1550))), "{currency}");
    }
    // A group that was read in another currency must not be saved in this one.
    let read = shop.get(&group);
    assert_eq!(shop.put(&group, Some("\"1\""), &read).0, 412);
    // Neither prices nor fixed amounts may lose their cents.
    let mut edit = shop.get(&group);
    edit["choices"][0]["modifierValue"] = json!(-550);
    assert_eq!(shop.put(&group, Some(&format!("\"{}\"", edit["version"])), &edit).0, 200);
    assert_eq!(patch(&shop, json!({ "currency": "JPY", "confirm": true })).0, 409);
    edit["choices"][0]["modifierValue"] = json!(-500);
    assert_eq!(shop.put(&group, Some("*"), &edit).0, 200);
    shop.matrix("has cents");
    let (status, problem) = patch(&shop, json!({ "currency": "JPY", "confirm": true }));
    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("has cents")), "{problem}");
    assert_eq!(patch(&shop, json!({ "currency": "CHF", "confirm": true })).0, 200, "the same decimals");
}

#[test]
fn a_change_of_currency_says_that_the_figures_stay_and_is_free_where_there_are_none() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let shares =
        json!({ "name": "g", "choices": [{ "label": "x", "percent": "5" }, { "label": "free", "amount": "0" }] });
    assert_eq!(shop.post("/option-groups", &shares).0, 201);
    assert_eq!(patch(&shop, json!({ "currency": "USD" })).0, 200, "a percentage is in no currency");
    let matrix = shop.matrix("m");
    let (status, problem) = patch(&shop, json!({ "currency": "EUR", "unit": "cm" }));
    let detail = problem["detail"].as_str().expect("a sentence");
    assert!(status == 409 && detail.contains("1.00 USD becomes 1.00 EUR"), "{problem}");
    assert_eq!(
        (&shop.get("")["currency"], &shop.get("")["unit"]),
        (&json!("USD"), &json!("mm")),
        "nothing was changed"
    );
    assert_eq!(patch(&shop, json!({ "unit": "cm" })).0, 200, "a unit is converted");
    assert_eq!(patch(&shop, json!({ "currency": "USD" })).0, 200, "it has it already");
    assert_eq!(shop.send("DELETE", &format!("/matrices/{matrix}"), Some("*"), b"").status, 204);
    assert_eq!(
        shop.post("/option-groups", &json!({ "name": "g", "choices": [{ "label": "x", "amount": "5" }] })).0,
        201
    );
    assert_eq!(patch(&shop, json!({ "currency": "EUR" })).0, 409, "an add-on has a figure too");
}

#[test]
fn setting_a_store_to_what_it_has_is_no_change_and_faults_are_named_by_field() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let version = |fixture: &Fixture| -> i64 { fixture.query("SELECT catalog_version FROM stores") };
    let before = version(&fixture);
    for body in [json!({}), json!({ "unit": "mm", "currency": "EUR" })] {
        assert_eq!(patch(&shop, body).0, 200);
    }
    assert_eq!(version(&fixture), before);
    let (status, problem) = patch(&shop, json!({ "unit": "inch", "currency": "eur", "convert": 1, "shop": "x" }));
    assert_eq!((status, super::fields(&problem)), (422, vec!["convert", "currency", "shop", "unit"]));
    let unknown = Shop { fixture: &fixture, name: "nobody" };
    assert_eq!(patch(&unknown, json!({ "unit": "cm" })).0, 404);
}

#[test]
fn an_edit_between_the_check_and_the_change_is_checked_too() {
    use quotegrid::catalog::settings::{self, Change};
    use quotegrid::domain::ids::ShopDomain;
    use quotegrid::domain::length::Unit;
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let domain: ShopDomain = "panes.myshopify.com".parse().expect("a shop");
    let change = Change { unit: Some(Unit::Cm), convert: true, ..Change::default() };
    let look = || fixture.app.db.read(|connection| settings::check(connection, &domain, change));
    let checked = look().expect("exact");
    let fine = json!({ "name": "fine", "widths": [0.001], "heights": [1], "prices": [[1]] });
    made(shop.post("/matrices", &fine));
    let now = fixture.now();
    assert!(!fixture.app.db.write(move |tx| settings::apply(tx, now, &checked)).expect("a working database"));
    assert!(look().is_err());
    assert_eq!(fixture.query::<String>("SELECT unit FROM stores"), "mm");
}
