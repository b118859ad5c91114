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
                { "id": ids[0], "label": "White", "modifierType": "FIXED", "modifierValue": 0, "isDefault": true },
                { "id": ids[1], "label": "Oak", "modifierType": "PERCENTAGE", "modifierValue": 1500, "isDefault": false },
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
fn what_is_no_group_is_refused_with_every_fault_at_its_field() {
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
    let mut odd = group("g");
    odd["requirement"] = json!("MAYBE");
    assert_eq!(fields(&shop.post("/option-groups", &odd).1), ["requirement"]);
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
    assert_eq!(shop.send("DELETE", &format!("/option-groups/{gone}"), Some("\"1\""), b"").status, 204);
    let product = shop.get("/products/1001");
    assert_eq!(product["optionGroups"], json!([{ "id": kept, "name": "kept" }]));
    assert_eq!(fixture.count("option_choices"), 2);
    assert_eq!(made(shop.post("/option-groups", &group("new"))).len(), 36);
}
