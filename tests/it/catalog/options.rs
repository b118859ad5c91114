//! Option groups over the admin API.

use super::{Shop, fields, group, made};
use quotegrid::testing::Fixture;
use serde_json::{Value, json};

fn choice_ids(group: &Value) -> Vec<String> {
    let choices = group["choices"].as_array().expect("choices");
    choices.iter().map(|choice| choice["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_group_comes_back_with_its_choices_in_order() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let response = shop.send("POST", "/option-groups", None, group("Frame").to_string().as_bytes());
    assert_eq!((response.status, response.header("etag")), (201, Some("\"1\"")));
    let made = response.json_body();
    let ids = choice_ids(&made);
    assert_eq!(
        made,
        json!({
            "id": made["id"], "name": "Frame", "version": 1, "requirement": "REQUIRED", "products": 0,
            "choices": [
                { "id": ids[0], "label": "White", "modifierType": "FIXED", "modifierValue": 0,
                  "amount": "0.00", "percent": null, "isDefault": true },
                { "id": ids[1], "label": "Oak", "modifierType": "PERCENTAGE", "modifierValue": 1500,
                  "amount": null, "percent": "15", "isDefault": false },
            ],
            "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z",
        })
    );
    let path = format!("/option-groups/{}", made["id"].as_str().expect("an id"));
    assert_eq!(shop.get(&path), made);
    assert_eq!(shop.get("/option-groups"), json!({ "optionGroups": [made], "next": null }));
}

#[test]
fn an_edit_keeps_the_ids_of_choices_that_are_sent_with_theirs() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let path = format!("/option-groups/{}", shop.group("Frame"));
    let ids = choice_ids(&shop.get(&path));
    let edit = json!({
        "name": "Frame colour", "requirement": "OPTIONAL",
        "choices": [
            { "label": "Black", "modifierType": "FIXED", "modifierValue": -250 },
            { "id": ids[1], "label": "Oak, oiled", "modifierType": "PERCENTAGE", "modifierValue": 2000, "isDefault": true },
        ],
    });
    let (status, edited) = shop.put(&path, Some("\"1\""), &edit);
    assert_eq!((status, &edited["version"], &edited["name"]), (200, &json!(2), &json!("Frame colour")));
    let now = choice_ids(&edited);
    assert_eq!(now[1], ids[1]);
    assert!(!ids.contains(&now[0]));
    assert_eq!(
        (&edited["choices"][0]["label"], &edited["choices"][0]["modifierValue"]),
        (&json!("Black"), &json!(-250))
    );
    assert_eq!(edited, shop.get(&path));
    assert_eq!(fixture.count("option_choices"), 2, "the one that was not sent is gone");
    // The order is the one that was sent, whatever it was before.
    let turned = json!({ "name": "Frame colour", "choices": [edited["choices"][1], edited["choices"][0]] });
    let (_, turned) = shop.put(&path, Some("\"2\""), &turned);
    assert_eq!(choice_ids(&turned), [now[1].clone(), now[0].clone()]);
    assert_eq!(turned["requirement"], "OPTIONAL");
    // What was read can be sent back.
    assert_eq!(shop.put(&path, Some("\"3\""), &turned).0, 200);
}

#[test]
fn a_modifier_may_be_given_as_people_write_it_and_is_always_answered_in_both_ways() {
    let fixture = Fixture::new();
    for (shop, currency, fixed, amount) in
        [("euros", "EUR", 8_900, "89.00"), ("yen", "JPY", 89, "89"), ("dinars", "KWD", 89_000, "89.000")]
    {
        let shop = Shop::install_in(&fixture, shop, currency, "mm");
        for choice in [
            json!({ "label": "x", "amount": amount }),
            json!({ "label": "x", "amount": 89 }),
            json!({ "label": "x", "amount": 89.0, "modifierType": "FIXED", "percent": null }),
            json!({ "label": "x", "amount": amount, "modifierType": "FIXED", "modifierValue": fixed }),
        ] {
            let (status, made) = shop.post("/option-groups", &json!({ "name": "g", "choices": [choice] }));
            let made = &made["choices"][0];
            let found = (&made["modifierType"], &made["modifierValue"], &made["amount"], &made["percent"]);
            assert_eq!(
                (status, found),
                (201, (&json!("FIXED"), &json!(fixed), &json!(amount), &json!(null))),
                "{choice}"
            );
        }
    }
    let shop = Shop::install(&fixture, "shares");
    for (percent, value, answered) in [
        (json!("5"), 500, "5"),
        (json!(5), 500, "5"),
        (json!(5.25), 525, "5.25"),
        (json!("-2.50"), -250, "-2.5"),
        (json!("0"), 0, "0"),
    ] {
        let body = json!({ "name": "g", "choices": [{ "label": "x", "percent": percent }] });
        let made = &shop.post("/option-groups", &body).1["choices"][0];
        let found = (&made["modifierType"], &made["modifierValue"], &made["amount"], &made["percent"]);
        assert_eq!(found, (&json!("PERCENTAGE"), &json!(value), &json!(null), &json!(answered)));
    }
    // A discount, and integers as other JSON writers write them.
    for written in [
        r#""amount":"-2.5""#,
        r#""modifierType":"FIXED","modifierValue":-250.0"#,
        r#""modifierType":"FIXED","modifierValue":-2.5e2"#,
    ] {
        let body = format!(r#"{{"name":"g","choices":[{{"label":"x",{written}}}]}}"#);
        let response = shop.send("POST", "/option-groups", None, body.as_bytes());
        assert_eq!(response.json_body()["choices"][0]["modifierValue"], -250, "{written}");
    }
}

#[test]
fn a_modifier_that_says_two_things_is_refused() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    for (choice, faulty) in [
        (json!({ "amount": "89.00", "modifierType": "FIXED", "modifierValue": 89 }), "amount"),
        (json!({ "percent": "5", "modifierType": "PERCENTAGE", "modifierValue": 5 }), "percent"),
        (json!({ "amount": "89.00", "modifierType": "PERCENTAGE" }), "amount"),
        (json!({ "percent": "5", "modifierType": "FIXED" }), "percent"),
        (json!({ "percent": "5", "amount": "5" }), "percent"),
        (json!({ "amount": "89.001" }), "amount"),
        (json!({ "amount": "89,00" }), "amount"),
        (json!({ "amount": true }), "amount"),
        (json!({ "percent": "5%" }), "percent"),
        (json!({ "percent": "0.005" }), "percent"),
        (json!({ "amount": "900000000000000.00" }), "amount"),
        (json!({ "modifierValue": 500 }), "modifierType"),
    ] {
        let mut choice = choice;
        choice["label"] = json!("x");
        let (status, problem) = shop.post("/option-groups", &json!({ "name": "g", "choices": [choice] }));
        assert_eq!(
            (status, fields(&problem)),
            (422, vec![format!("choices[0].{faulty}").as_str()]),
            "{choice}: {problem}"
        );
    }
}

#[test]
fn a_group_that_was_read_may_be_sent_back_with_either_spelling_of_a_modifier_changed() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let path = format!("/option-groups/{}", shop.group("Frame"));
    for (changes, kind, value) in [
        (json!({ "modifierValue": 600 }), "FIXED", 600),
        (json!({ "amount": "7.00" }), "FIXED", 700),
        (json!({ "percent": "9" }), "PERCENTAGE", 900),
        (json!({ "percent": "9.5" }), "PERCENTAGE", 950),
        (json!({ "modifierType": "FIXED" }), "FIXED", 950),
    ] {
        let mut group = shop.get(&path);
        changes.as_object().expect("members").iter().for_each(|(name, new)| group["choices"][0][name] = new.clone());
        let tag = format!("\"{}\"", group["version"]);
        let (status, edited) = shop.put(&path, Some(&tag), &group);
        let choice = &edited["choices"][0];
        assert_eq!(
            (status, &choice["modifierType"], &choice["modifierValue"]),
            (200, &json!(kind), &json!(value)),
            "{changes}"
        );
    }
    let mut group = shop.get(&path);
    (group["choices"][0]["modifierValue"], group["choices"][0]["amount"]) = (json!(100), json!("2.00"));
    let (status, problem) = shop.put(&path, Some("*"), &group);
    assert_eq!((status, fields(&problem)), (422, vec!["choices[0].amount"]));
}

#[test]
fn a_choice_of_another_group_is_not_found_and_nothing_is_changed() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let (path, other) = (format!("/option-groups/{}", shop.group("a")), format!("/option-groups/{}", shop.group("b")));
    let before = (shop.get(&path), shop.get(&other));
    for id in [before.1["choices"][0]["id"].clone(), json!("no-uuid"), json!("01a00000-0000-7000-8000-000000000000")] {
        let mut edit = group("a");
        edit["choices"][0]["id"] = id;
        assert_eq!(shop.put(&path, Some("\"1\""), &edit).0, 404);
    }
    assert_eq!((shop.get(&path), shop.get(&other)), before);
}

#[test]
fn an_invalid_group_is_refused_with_every_fault_at_its_field() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let choice = |change: Value| {
        let mut body = group("g");
        change.as_object().expect("members").iter().for_each(|(name, value)| body["choices"][1][name] = value.clone());
        body
    };
    let choices = |count: usize| {
        let choice = json!({ "label": "x", "modifierType": "FIXED", "modifierValue": 1 });
        json!({ "name": "g", "choices": vec![choice; count] })
    };
    for (body, faulty) in [
        (json!({}), vec!["choices", "name"]),
        (json!({ "name": "g", "choices": {} }), vec!["choices"]),
        (json!({ "name": "g", "choices": [7] }), vec!["choices[0]"]),
        (choices(0), vec!["choices"]),
        (choices(21), vec!["choices"]),
        (choice(json!({ "isDefault": true })), vec!["choices"]),
        (choice(json!({ "isDefault": 1 })), vec!["choices[1].isDefault"]),
        (choice(json!({ "label": "  " })), vec!["choices[1].label"]),
        (
            choice(json!({ "label": null, "modifierType": 7, "modifierValue": null })),
            vec!["choices[1].label", "choices[1].modifierType", "choices[1].modifierValue"],
        ),
        (choice(json!({ "modifierType": "fixed" })), vec!["choices[1].modifierType"]),
        (choice(json!({ "modifierValue": 1.5 })), vec!["choices[1].modifierValue"]),
        (choice(json!({ "modifierValue": "100" })), vec!["choices[1].modifierValue"]),
        (choice(json!({ "modifierValue": 9_007_199_254_740_992_i64 })), vec!["choices[1].modifierValue"]),
        (choice(json!({ "price": 1 })), vec!["choices[1].price"]),
    ] {
        let (status, problem) = shop.post("/option-groups", &body);
        assert_eq!((status, fields(&problem)), (422, faulty), "{body}: {problem}");
    }
    let mut unknown = group("g");
    unknown["requirement"] = json!("MAYBE");
    assert_eq!(fields(&shop.post("/option-groups", &unknown).1), ["requirement"]);
    assert_eq!(shop.post("/option-groups", &choices(20)).0, 201);
    let twice = choice_ids(&shop.get("/option-groups")["optionGroups"][0]);
    let twice = json!({ "name": "g", "choices": [
        { "id": twice[0], "label": "x", "modifierType": "FIXED", "modifierValue": 1 },
        { "id": twice[0], "label": "y", "modifierType": "FIXED", "modifierValue": 1 },
    ] });
    let id = shop.get("/option-groups")["optionGroups"][0]["id"].as_str().expect("an id").to_owned();
    let (status, problem) = shop.put(&format!("/option-groups/{id}"), Some("\"1\""), &twice);
    assert_eq!((status, fields(&problem)), (422, vec!["choices"]));
}

#[test]
fn a_deleted_group_is_offered_nowhere() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let (kept, gone) = (shop.group("kept"), shop.group("gone"));
    for id in [&kept, &gone] {
        assert_eq!(shop.put(&format!("/products/1001/option-groups/{id}"), None, &json!({})).0, 200);
    }
    let path = format!("/option-groups/{gone}");
    let (status, refused) = shop.json("DELETE", &path, Some("\"1\""), None);
    let products = json!([{ "productId": "gid://shopify/Product/1001", "title": null }]);
    assert_eq!((status, &refused["products"], &refused["productCount"]), (409, &products, &json!(1)));
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("1001")), "{refused}");
    assert_eq!(shop.send("DELETE", &path, Some("\"1\""), br#"{"confirm":false}"#).status, 409);
    assert_eq!(shop.send("DELETE", &path, Some("\"1\""), br#"{"confirm":true}"#).status, 204);
    let product = shop.get("/products/1001");
    assert_eq!(product["optionGroups"], json!([{ "id": kept, "name": "kept" }]));
    assert_eq!(fixture.count("option_choices"), 2);
    assert_eq!(made(shop.post("/option-groups", &group("new"))).len(), 36);
}

#[test]
fn a_copied_group_has_choices_of_its_own_and_no_products() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let id = shop.group("Frame");
    assert_eq!(shop.put(&format!("/products/1001/option-groups/{id}"), None, &json!({})).0, 200);
    let original = shop.get(&format!("/option-groups/{id}"));
    let (status, copy) = shop.post(&format!("/option-groups/{id}/duplicate"), &json!({}));
    assert_eq!(
        (status, &copy["name"], &copy["version"], &copy["products"]),
        (201, &json!("Frame (copy)"), &json!(1), &json!(0))
    );
    assert!(choice_ids(&copy).iter().all(|id| !choice_ids(&original).contains(id)));
    let without_ids = |group: &Value| {
        let mut choices = group["choices"].clone();
        choices.as_array_mut().expect("choices").iter_mut().for_each(|choice| choice["id"] = Value::Null);
        choices
    };
    assert_eq!(without_ids(&copy), without_ids(&original));
    assert_eq!(shop.get(&format!("/option-groups/{id}")), original);
    let other = Shop::install(&fixture, "blinds");
    assert_eq!(other.post(&format!("/option-groups/{id}/duplicate"), &json!({})).0, 404);
}
