//! Price matrices over the admin API.

use super::{Shop, fields, grid, made};
use quotegrid::catalog::matrices::{self, Deletion, MATRICES_MAX};
use quotegrid::catalog::options::{self, OPTION_GROUPS_MAX};
use quotegrid::catalog::{Expected, stores};
use quotegrid::error::Error;
use quotegrid::orders::records;
use quotegrid::testing::Fixture;
use serde_json::{Value, json};

#[test]
fn a_matrix_comes_back_as_it_was_sent_with_exact_sizes_and_prices() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let response = shop.send("POST", "/matrices", None, grid(" Roller ").to_string().as_bytes());
    assert_eq!((response.status, response.header("etag")), (201, Some("\"1\"")));
    let id = response.json_body()["id"].as_str().expect("an id").to_owned();
    assert_eq!(response.json_body(), json!({ "id": id, "version": 1 }));
    let response = shop.send("GET", &format!("/matrices/{id}"), None, b"");
    assert_eq!((response.status, response.header("etag")), (200, Some("\"1\"")));
    assert_eq!(
        response.json_body(),
        json!({
            "id": id, "name": "Roller", "version": 1, "unit": "mm", "currency": "EUR",
            "widths": [300, 600, 900.5], "heights": [200, 400],
            "prices": [["10.00", "15.50", null], ["20.00", "25.50", "30.00"]],
            "outside": "reject",
            "limits": { "minWidth": null, "maxWidth": null, "minHeight": null, "maxHeight": null },
            "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z",
        })
    );
    let listed = shop.get("/matrices");
    assert_eq!(
        listed,
        json!({
            "matrices": [{
                "id": id, "name": "Roller", "version": 1, "outside": "reject", "widths": 3, "heights": 2, "products": 0,
                "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z",
            }],
            "next": null,
        })
    );
}

#[test]
fn axes_are_sorted_and_their_prices_move_with_them() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let body = json!({ "name": "m", "widths": [600, 300], "heights": [2, 1], "prices": [[4, 3], [2, 1]] });
    let id = made(shop.post("/matrices", &body));
    let matrix = shop.get(&format!("/matrices/{id}"));
    assert_eq!((&matrix["widths"], &matrix["heights"]), (&json!([300, 600]), &json!([1, 2])));
    assert_eq!(matrix["prices"], json!([["1.00", "2.00"], ["3.00", "4.00"]]));
}

#[test]
fn a_matrix_may_begin_as_a_template_in_the_stores_unit() {
    let fixture = Fixture::new();
    let shop = Shop::install_in(&fixture, "cm", "USD", "cm");
    for (template, widths) in
        [("small", json!([30, 60, 90])), ("medium", json!([20, 40, 60, 80, 100])), ("custom", json!([]))]
    {
        let id = made(shop.post("/matrices", &json!({ "name": template, "template": template })));
        let matrix = shop.get(&format!("/matrices/{id}"));
        assert_eq!((&matrix["widths"], &matrix["heights"]), (&widths, &widths), "{template}");
    }
    let (status, problem) = shop.post("/matrices", &json!({ "name": "x", "template": "large" }));
    assert_eq!((status, fields(&problem)), (422, vec!["template"]));
    let both = json!({ "name": "x", "template": "small", "widths": [1], "heights": [1], "prices": [[1]] });
    assert_eq!(shop.post("/matrices", &both).0, 422, "a grid and a template are one too many");
}

#[test]
fn an_invalid_matrix_is_refused_with_every_fault_at_its_field() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let fifty_one: Vec<usize> = (1..=51).collect();
    let with = |change: Value| {
        let mut body = grid("m");
        change.as_object().expect("members").iter().for_each(|(name, value)| body[name] = value.clone());
        body
    };
    for (change, faulty) in [
        (json!({ "name": " " }), vec!["name"]),
        (json!({ "name": "x".repeat(101) }), vec!["name"]),
        (json!({ "name": null, "widths": null, "prices": null }), vec!["name", "prices", "widths"]),
        (json!({ "widths": [300, 600, 600] }), vec!["widths"]),
        (json!({ "widths": [300, 600, "900"] }), vec!["widths"]),
        (json!({ "widths": [300, 600, 900.0001] }), vec!["widths"]),
        (json!({ "widths": [0, 600, 900], "heights": [-1, 5] }), vec!["heights", "widths"]),
        (json!({ "widths": [300, 600] }), vec!["prices"]),
        (json!({ "heights": fifty_one }), vec!["heights"]),
        (json!({ "widths": [], "heights": [1], "prices": [[]] }), vec!["widths"]),
        (json!({ "prices": [[1, 2, 3]] }), vec!["prices"]),
        (json!({ "prices": [[1, 2, 3], [1, 2, -3]] }), vec!["prices"]),
        (json!({ "prices": [[1, 2, 3], [1, 2, "10.005"]] }), vec!["prices"]),
        (json!({ "prices": [[1, 2, 3], [1, 2, true]] }), vec!["prices"]),
        (json!({ "prices": [[1, 2, 3], 7] }), vec!["prices"]),
        (json!({ "prices": "free" }), vec!["prices"]),
        (json!({ "prices": vec![vec![1; 51]; 2] }), vec!["prices"]),
        (json!({ "outside": "maybe" }), vec!["outside"]),
        (json!({ "limits": { "minWidth": 500, "maxWidth": 400 } }), vec!["limits"]),
        (json!({ "limits": { "minWidth": "5", "min": 1 } }), vec!["limits"]),
        (json!({ "limits": [] }), vec!["limits"]),
        (json!({ "unit": "cm", "currency": "USD" }), vec!["currency", "unit"]),
        (json!({ "colour": "red" }), vec!["colour"]),
    ] {
        let (status, problem) = shop.post("/matrices", &with(change.clone()));
        assert_eq!((status, fields(&problem)), (422, faulty), "{change}: {problem}");
    }
    for body in ["", "{", "[]", "null", "\"x\""] {
        assert_eq!(shop.send("POST", "/matrices", None, body.as_bytes()).status, 400, "{body:?}");
    }
    assert_eq!(fixture.count("price_matrices") + fixture.count("breakpoints") + fixture.count("matrix_cells"), 0);
}

#[test]
fn what_was_read_can_be_sent_back_and_a_put_replaces_the_grid() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let id = shop.matrix("m");
    let path = format!("/matrices/{id}");
    let patch = json!({ "outside": "clamp", "limits": { "minWidth": 100.5, "maxHeight": 900 } });
    assert_eq!(shop.json("PATCH", &path, Some("\"1\""), Some(&patch)), (200, json!({ "id": id, "version": 2 })));
    let read = shop.get(&path);
    assert_eq!((&read["outside"], &read["limits"]["minWidth"]), (&json!("clamp"), &json!(100.5)));
    let response = shop.send("PUT", &path, Some("\"2\""), read.to_string().as_bytes());
    assert_eq!((response.status, response.header("etag")), (200, Some("\"3\"")));
    let again = shop.get(&path);
    let without = |document: &Value| {
        let mut document = document.clone();
        document["version"] = Value::Null;
        document
    };
    assert_eq!(without(&again), without(&read));
    // A grid alone leaves policy and limits as they are: forgetting them would change what is sold at which price.
    let smaller = json!({ "name": "n", "widths": [1], "heights": [1], "prices": [[null]] });
    assert_eq!(shop.put(&path, Some("\"3\""), &smaller).0, 200);
    let last = shop.get(&path);
    assert_eq!((&last["name"], &last["prices"], &last["outside"]), (&json!("n"), &json!([[null]]), &json!("clamp")));
    assert_eq!(last["limits"], read["limits"]);
    assert_eq!((fixture.count("breakpoints"), fixture.count("matrix_cells")), (2, 1));
}

#[test]
fn a_patch_changes_what_it_names_and_null_takes_a_limit_away() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let id = shop.matrix("m");
    let path = format!("/matrices/{id}");
    let patch = |version: &str, body: Value| shop.json("PATCH", &path, Some(version), Some(&body));
    assert_eq!(patch("\"1\"", json!({ "limits": { "minWidth": 1, "maxWidth": 2 } })).0, 200);
    assert_eq!(patch("\"2\"", json!({ "limits": { "minWidth": null }, "name": "new" })).0, 200);
    let read = shop.get(&path);
    assert_eq!(
        (&read["name"], &read["limits"]["minWidth"], &read["limits"]["maxWidth"]),
        (&json!("new"), &json!(null), &json!(2))
    );
    let (status, problem) = patch("\"3\"", json!({ "limits": { "minWidth": 3 } }));
    assert_eq!((status, fields(&problem)), (422, vec!["limits"]), "against the saved limit");
    assert_eq!(patch("\"3\"", json!({ "limits": null })).0, 200);
    assert_eq!(shop.get(&path)["limits"]["maxWidth"], json!(null));
    assert_eq!(patch("\"4\"", json!({ "widths": [1] })).0, 422);
}

#[test]
fn an_edit_must_name_the_current_version() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let (id, group) = (shop.matrix("m"), shop.group("g"));
    let (matrix, group) = (format!("/matrices/{id}"), format!("/option-groups/{group}"));
    let before = (shop.get(&matrix), shop.get(&group));
    let patch = json!({ "name": "other" });
    for (method, path, body) in [
        ("PUT", &matrix, Some(&grid("other"))),
        ("PATCH", &matrix, Some(&patch)),
        ("DELETE", &matrix, None),
        ("PUT", &group, Some(&super::group("other"))),
        ("DELETE", &group, None),
    ] {
        for (tag, expected) in [
            (None, 428),
            (Some("\"2\""), 412),
            (Some("\"0\""), 412),
            (Some("\"x\""), 412),
            (Some("1"), 400),
            (Some(""), 400),
        ] {
            let (status, problem) = shop.json(method, path, tag, body);
            assert_eq!(status, expected, "{method} {path} {tag:?}: {problem}");
        }
    }
    assert_eq!((shop.get(&matrix), shop.get(&group)), before, "nothing was changed");
    for tag in ["\"1\"", "W/\"2\"", "*"] {
        assert_eq!(shop.json("PATCH", &matrix, Some(tag), Some(&patch)).0, 200, "{tag}");
    }
}

#[test]
fn of_edits_made_from_the_same_version_exactly_one_is_saved() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let id = shop.matrix("m");
    let path = format!("/matrices/{id}");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let edit = |number: usize| shop.put(&path, Some("\"1\""), &grid(&format!("edit {number}"))).0;
        let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || edit(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let with = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((with(200), with(412)), (1, 7), "{statuses:?}");
    assert_eq!(shop.get(&path)["version"], 2);
}

#[test]
fn a_copy_has_the_grid_and_policy_but_not_the_products() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let id = shop.matrix("m");
    shop.assign("1001", &id);
    let patch = json!({ "outside": "clamp", "limits": { "maxWidth": 5000 } });
    shop.json("PATCH", &format!("/matrices/{id}"), Some("\"1\""), Some(&patch));
    let copy = made(shop.json("POST", &format!("/matrices/{id}/duplicate"), None, None));
    let (original, copied) = (shop.get(&format!("/matrices/{id}")), shop.get(&format!("/matrices/{copy}")));
    for member in ["widths", "heights", "prices", "outside", "limits"] {
        assert_eq!(original[member], copied[member], "{member}");
    }
    assert_eq!((&copied["name"], &copied["version"]), (&json!("m (copy)"), &json!(1)));
    assert_eq!(fixture.count("product_matrices"), 1);
}

#[test]
fn a_deleted_matrix_takes_its_assignments_with_it_and_leaves_orders_and_options() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let shop = Shop { fixture: &fixture, name: "demo-store" };
    assert_eq!(demo.shop.as_str(), "demo-store.myshopify.com");
    let (orders, options) = (fixture.count("draft_order_records"), fixture.count("product_option_groups"));
    for matrix in shop.get("/matrices")["matrices"].as_array().expect("a list") {
        let path = format!("/matrices/{}", matrix["id"].as_str().expect("an id"));
        assert_eq!(shop.send("DELETE", &format!("{path}?confirm=true"), Some("\"1\""), b"").status, 204);
        assert_eq!(shop.json("GET", &path, None, None).0, 404);
    }
    for table in ["price_matrices", "breakpoints", "matrix_cells", "product_matrices"] {
        assert_eq!(fixture.count(table), 0, "{table}");
    }
    assert_eq!((fixture.count("draft_order_records"), fixture.count("product_option_groups")), (orders, options));
    let orders = fixture.app.db.read(|connection| {
        let store = stores::load(connection, &demo.shop)?;
        Ok::<_, quotegrid::Error>(records::list(connection, store.id, None, 100)?)
    });
    let orders = orders.expect("readable");
    assert!(orders.iter().flat_map(|order| &order.lines).all(|line| line.matrix.is_none()), "{orders:?}");
}

#[test]
fn a_matrix_of_many_products_and_orders_is_deleted_in_steps() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let shop = Shop { fixture: &fixture, name: "demo-store" };
    let matrix: String = fixture.query("SELECT matrix_id FROM product_matrices LIMIT 1");
    let many = quotegrid::catalog::DELETION_STEP * 2 + 500;
    let (id, store) = (matrix.clone(), demo.shop.to_string());
    let filled: quotegrid::db::Result<()> = fixture.app.db.write(move |tx| {
        tx.execute(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO product_matrices (store_id, product_id, matrix_id, product_title, assigned_at)
             SELECT (SELECT id FROM stores WHERE shop = ?2), 'gid://shopify/Product/9' || n, ?3, 't', 0 FROM n",
            (many, &store, &id),
        )?;
        tx.execute(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO draft_order_records (id, store_id, number, token, unit, currency, total_price_minor, created_at)
             SELECT 'o' || n, (SELECT id FROM stores WHERE shop = ?2), 100000 + n, 'o' || n, 'mm', 'EUR', 1, 0 FROM n",
            (many, &store),
        )?;
        tx.execute(
            "INSERT INTO draft_order_lines
                 (draft_order_id, position, matrix_id, matrix_name, product_id, product_title, width, height,
                  priced_width, priced_height, quantity, base_price_minor, unit_price_minor, total_price_minor)
             SELECT id, 0, ?1, 'm', 'p', 't', 1, 1, 1, 1, 1, 1, 1, 1 FROM draft_order_records WHERE number > 100000",
            [&id],
        )?;
        Ok(())
    });
    filled.expect("filled");
    let path = format!("/matrices/{matrix}");
    assert_eq!(shop.send("DELETE", &path, Some("\"2\""), b"").status, 412);
    let still = format!("SELECT count(*) FROM product_matrices WHERE matrix_id = '{matrix}'");
    assert!(fixture.query::<usize>(&still) >= many, "a stale deletion takes nothing away");
    assert_eq!(shop.send("DELETE", &format!("{path}?confirm=true"), Some("\"1\""), b"").status, 204);
    assert_eq!(fixture.query::<usize>(&still), 0);
    assert!(fixture.count("draft_order_records") >= many as u64);
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

#[test]
fn a_step_of_a_deletion_takes_no_more_than_its_budget() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let (matrix, group) = (shop.matrix("m"), shop.group("g"));
    for product in 1..=5 {
        shop.assign(&product.to_string(), &matrix);
        assert_eq!(shop.put(&format!("/products/{product}/option-groups/{group}"), None, &json!({})).0, 200);
    }
    let domain = "panes.myshopify.com".parse().expect("a shop");
    let scope = fixture.app.db.read(|connection| stores::load(connection, &domain)).expect("a store").scope();
    let (now, matrix, group) = (fixture.now(), matrix.parse().expect("an id"), group.parse().expect("an id"));
    let expected = Some(Expected::Any);
    let two = |table| {
        let step = match table {
            "product_matrices" => fixture.app.db.write(move |tx| matrices::delete(tx, now, scope, matrix, expected, 2)),
            _ => fixture.app.db.write(move |tx| options::delete(tx, now, scope, group, expected, 2)),
        };
        (step.expect("deleted"), fixture.count(table))
    };
    for table in ["product_matrices", "product_option_groups"] {
        let steps = [two(table), two(table), two(table)];
        assert_eq!(steps, [(Deletion::Continues(2), 3), (Deletion::Continues(3), 1), (Deletion::Done, 0)], "{table}");
    }
    assert_eq!((fixture.count("price_matrices"), fixture.count("option_groups")), (0, 0));
}

#[test]
fn lists_are_paged_newest_first() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let mut made: Vec<String> = Vec::new();
    for number in 0..5 {
        fixture.advance(std::time::Duration::from_secs(1));
        made.push(shop.matrix(&format!("m{number}")));
    }
    made.reverse();
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/matrices?limit=2".to_owned();
    loop {
        let page = shop.get(&path);
        seen.extend(
            page["matrices"].as_array().expect("a list").iter().map(|m| m["id"].as_str().expect("id").to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/matrices?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, made);
}

#[test]
fn a_store_has_so_many_matrices_and_option_groups_and_no_more() {
    let fixture = Fixture::new();
    let (shop, other) = (Shop::install(&fixture, "panes"), Shop::install(&fixture, "blinds"));
    let (matrix, group) = (shop.matrix("the first"), shop.group("the first"));
    let fill = |table: &str, columns: &str, values: &str, count: usize| {
        let sql = format!(
            "WITH RECURSIVE numbers (number) AS (SELECT 3 UNION ALL SELECT number + 1 FROM numbers WHERE number < {count})
             INSERT INTO {table} (id, store_id, name, currency, created_at, updated_at{columns})
             SELECT printf('00000000-0000-7000-8000-%012d', number),
                 (SELECT id FROM stores WHERE shop = 'panes.myshopify.com'), 'more', 'EUR', 0, 0{values}
             FROM numbers"
        );
        fixture.app.db.write(move |tx| Ok::<_, Error>(tx.execute(&sql, ())?)).expect("written");
    };
    fill("price_matrices", ", unit", ", 'mm'", MATRICES_MAX);
    fill("option_groups", "", "", OPTION_GROUPS_MAX);
    // One more of each, and then none.
    let more = shop.matrix("the last");
    shop.group("the last");
    let (status, problem) = shop.post(&format!("/matrices/{matrix}/duplicate"), &json!({}));
    assert_eq!((status, problem["detail"].as_str().map(|text| text.contains("already"))), (409, Some(true)));
    assert_eq!(shop.post("/option-groups", &super::group("too many")).0, 409);
    assert_eq!(shop.post("/matrices", &grid("too many")).0, 409);
    // Not the other store's business, and one that goes makes room.
    other.matrix("m");
    other.group("g");
    assert_eq!(shop.send("DELETE", &format!("/matrices/{more}"), Some("*"), b"").status, 204);
    assert_eq!(shop.send("DELETE", &format!("/option-groups/{group}"), Some("*"), b"").status, 204);
    shop.matrix("in its place");
    shop.group("in its place");
}

#[test]
fn a_matrix_that_prices_products_is_deleted_only_when_that_is_confirmed() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let (used, unused) = (shop.matrix("used"), shop.matrix("unused"));
    for product in 101..=125 {
        shop.assign(&product.to_string(), &used);
    }
    let path = format!("/matrices/{used}");
    let (status, refused) = shop.json("DELETE", &path, Some("\"1\""), None);
    assert_eq!((status, &refused["productCount"]), (409, &json!(25)));
    let listed = refused["products"].as_array().expect("a list");
    assert_eq!(
        (listed.len(), &listed[0]),
        (20, &json!({ "productId": "gid://shopify/Product/101", "title": "A product" }))
    );
    let detail = refused["detail"].as_str().expect("a sentence");
    assert!(["\"used\"", "25 products", "101", "and 22 more"].iter().all(|part| detail.contains(part)), "{detail}");
    assert_eq!(fixture.count("product_matrices"), 25, "nothing was touched");
    assert_eq!(shop.get(&path)["version"], 1);
    for (confirm, status) in [("?confirm=false", 409), ("?confirm=yes", 422), ("?confirm=", 422), ("?sure=true", 422)] {
        assert_eq!(shop.send("DELETE", &format!("{path}{confirm}"), Some("\"1\""), b"").status, status, "{confirm}");
    }
    assert_eq!(shop.send("DELETE", &path, Some("\"1\""), br#"{"confirm":"yes"}"#).status, 422);
    assert_eq!(shop.send("DELETE", &format!("{path}?confirm=true"), None, b"").status, 428);
    assert_eq!(shop.send("DELETE", &format!("{path}?confirm=true"), Some("\"1\""), b"").status, 204);
    assert_eq!(fixture.count("product_matrices"), 0);
    assert_eq!(shop.send("DELETE", &format!("/matrices/{unused}"), Some("\"1\""), b"").status, 204);
}

#[test]
fn prices_are_adjusted_all_at_once_after_a_look_at_what_changes() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let path = format!("/matrices/{}", shop.matrix("m"));
    let before = shop.get(&path);
    let body = json!({ "percent": "4", "rounding": "0.05", "preview": true });
    let (status, preview) = shop.post(&format!("{path}/adjust"), &body);
    assert_eq!((status, &preview["version"], &preview["changed"]), (200, &json!(1), &json!(5)));
    assert_eq!(preview["changes"][0], json!({ "width": 300, "height": 200, "from": "10.00", "to": "10.40" }));
    assert_eq!(shop.get(&path), before, "a look changes nothing");
    let adjust = |tag: Option<&str>, body: Value| shop.json("POST", &format!("{path}/adjust"), tag, Some(&body));
    assert_eq!(adjust(None, json!({ "percent": "4" })).0, 428);
    assert_eq!(adjust(Some("\"2\""), json!({ "percent": "4" })).0, 412);
    let (status, done) = adjust(Some("\"1\""), json!({ "percent": "4", "rounding": "0.05" }));
    assert_eq!((status, &done["version"], &done["changes"]), (200, &json!(2), &preview["changes"]));
    let after = shop.get(&path);
    assert_eq!(after["prices"], json!([["10.40", "16.10", null], ["20.80", "26.50", "31.20"]]));
    assert_eq!(
        (&after["widths"], &after["name"], &after["limits"]),
        (&before["widths"], &before["name"], &before["limits"])
    );
    // Some of the sizes, and to an ending.
    let (_, done) = adjust(
        Some("\"2\""),
        json!({ "percent": -1.5, "rounding": ".95", "cells": [{ "width": 900.5, "height": 400 }] }),
    );
    assert_eq!(done["changes"], json!([{ "width": 900.5, "height": 400, "from": "31.20", "to": "30.95" }]));
}

#[test]
fn an_invalid_adjustment_is_refused_and_changes_nothing() {
    let fixture = Fixture::new();
    let (shop, other) = (Shop::install(&fixture, "panes"), Shop::install(&fixture, "blinds"));
    let id = shop.matrix("m");
    let path = format!("/matrices/{id}");
    let before = shop.get(&path);
    for (body, faulty) in [
        (json!({}), "percent"),
        (json!({ "percent": "4 %" }), "percent"),
        (json!({ "percent": "-100" }), "percent"),
        (json!({ "percent": 1001 }), "percent"),
        (json!({ "percent": "0.001" }), "percent"),
        (json!({ "percent": "4", "rounding": "0.95" }), "rounding"),
        (json!({ "percent": "4", "rounding": "up" }), "rounding"),
        (json!({ "percent": "-99", "rounding": "1" }), "rounding"),
        (json!({ "percent": "4", "cells": [] }), "cells"),
        (json!({ "percent": "4", "cells": [{ "width": 300 }] }), "cells"),
        (json!({ "percent": "4", "cells": [{ "width": 301, "height": 200 }] }), "cells"),
        (json!({ "percent": "4", "cells": [{ "width": 300, "height": 200, "depth": 1 }] }), "cells"),
        (json!({ "percent": "4", "preview": "yes" }), "preview"),
        (json!({ "percent": "4", "round": "1" }), "round"),
    ] {
        let (status, problem) = shop.json("POST", &format!("{path}/adjust"), Some("*"), Some(&body));
        assert_eq!((status, fields(&problem)), (422, vec![faulty]), "{body}: {problem}");
    }
    for body in [json!({ "percent": "4" }), json!({ "percent": "4", "preview": true })] {
        assert_eq!(other.json("POST", &format!("{path}/adjust"), Some("*"), Some(&body)).0, 404);
    }
    assert_eq!(shop.get(&path), before);
}
