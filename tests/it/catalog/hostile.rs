//! Malicious bodies and files: an answer below 500, always, and nothing half-written.

use super::{Shop, grid, group};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use quotegrid::testing::Fixture;
use serde_json::{Map, Value, json};

/// Cases of each property: each is a handful of requests to a real database.
const CASES: u32 = 96;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-5_i64..100_001).prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        prop::sample::select(vec![
            "10.50",
            "-1",
            "1e9",
            "FIXED",
            "PERCENTAGE",
            "REQUIRED",
            "clamp",
            "small",
            "\u{0}",
            "mm"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 40, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((names(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn names() -> impl Strategy<Value = String> {
    let known = [
        "name",
        "widths",
        "heights",
        "prices",
        "outside",
        "limits",
        "minWidth",
        "maxHeight",
        "template",
        "requirement",
        "choices",
        "label",
        "modifierType",
        "modifierValue",
        "isDefault",
        "id",
        "matrixId",
        "title",
        "confirm",
        "unit",
        "currency",
        "convert",
    ];
    prop_oneof![9 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

/// A sound body with one field, however deep, put in the place of another.
fn spoilt(sound: Value) -> impl Strategy<Value = Value> {
    let members: Vec<String> = sound.as_object().expect("an object").keys().cloned().collect();
    (prop::sample::select(members), values()).prop_map(move |(name, value)| {
        let mut body = sound.clone();
        body[name.as_str()] = value;
        body
    })
}

fn check(strategy: impl Strategy<Value = Value>, requests: &[(&str, &str)]) {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let (matrix, option_group) = (shop.matrix("m"), shop.group("g"));
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&strategy, |body| {
        for (method, path) in requests {
            let path = path.replace("MATRIX", &matrix).replace("GROUP", &option_group);
            let response = shop.send(method, &path, Some("*"), body.to_string().as_bytes());
            prop_assert!(response.status < 500, "{method} {path} {body}: {response:?}");
        }
        Ok(())
    });
    outcome.expect("no body is too much");
    // Whatever was accepted can be read.
    for list in ["/matrices?limit=200", "/option-groups?limit=200", "/products?limit=200", "/export"] {
        shop.get(list);
    }
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

#[test]
fn no_json_breaks_the_admin_api() {
    check(
        values(),
        &[
            ("POST", "/matrices"),
            ("PUT", "/matrices/MATRIX"),
            ("PATCH", "/matrices/MATRIX"),
            ("POST", "/option-groups"),
            ("PUT", "/option-groups/GROUP"),
            ("PUT", "/products/1/matrix"),
            ("PATCH", ""),
        ],
    );
}

#[test]
fn no_spoilt_matrix_breaks_the_admin_api() {
    check(spoilt(grid("m")), &[("POST", "/matrices"), ("PUT", "/matrices/MATRIX"), ("PATCH", "/matrices/MATRIX")]);
}

#[test]
fn no_spoilt_option_group_breaks_the_admin_api() {
    check(spoilt(group("g")), &[("POST", "/option-groups"), ("PUT", "/option-groups/GROUP")]);
}

#[test]
fn no_file_breaks_an_import_and_what_is_accepted_survives_its_export() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let field = prop_oneof![
        4 => (1_u32..2_000).prop_map(|number| number.to_string()),
        1 => (1_u32..2_000, 0_u32..100).prop_map(|(whole, part)| format!("{whole}.{part:02}")),
        1 => prop::sample::select(vec!["", "-", "\"", "\"1\"", "1,5", "1e3", "x", "width", "\u{feff}", "0"]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ];
    let rows = prop::collection::vec(prop::collection::vec(field, 1..5), 0..8);
    let file = (rows, prop::sample::select(vec![",", ";", "\t"]), prop::sample::select(vec!["\n", "\r\n", "\r"]))
        .prop_map(|(rows, separator, end)| {
            rows.iter().map(|row| row.join(separator)).collect::<Vec<_>>().join(end).into_bytes()
        });
    let files = prop_oneof![3 => file, 1 => prop::collection::vec(any::<u8>(), 0..200)];
    let layouts = prop::sample::select(vec!["auto", "long", "grid"]);
    let skip = any::<bool>();
    let mut runner = TestRunner::new(Config { cases: CASES * 2, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(files, layouts, skip), |(file, layout, skip)| {
        let query = format!("layout={layout}&skipBad={skip}");
        let preview = shop.send("POST", &format!("/matrices/import?preview=true&{query}"), None, &file);
        prop_assert_eq!(preview.status, 200);
        let response = shop.send("POST", &format!("/matrices/import?name=m&{query}"), None, &file);
        if response.status != 201 {
            prop_assert_eq!(response.status, 422);
            prop_assert!(response.json_body()["faults"].as_array().is_some_and(|faults| !faults.is_empty()));
            return Ok(());
        }
        let id = response.json_body()["id"].as_str().expect("an id").to_owned();
        let original = shop.get(&format!("/matrices/{id}"));
        for layout in ["long", "grid"] {
            let csv = shop.send("GET", &format!("/matrices/{id}/export?layout={layout}"), None, b"").body;
            let again = shop.send("PUT", &format!("/matrices/{id}/import?layout={layout}"), Some("*"), &csv);
            prop_assert_eq!(again.status, 200, "{:?}", String::from_utf8_lossy(&csv));
            let read = shop.get(&format!("/matrices/{id}"));
            for member in ["widths", "heights", "prices"] {
                prop_assert_eq!(&read[member], &original[member]);
            }
        }
        Ok(())
    });
    outcome.expect("no file is too much");
}

#[test]
fn depth_and_size_of_a_body_have_a_limit() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    let deep = format!("{{\"name\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(shop.send("POST", "/matrices", None, deep.as_bytes()).status, 400);
    let many = json!({ "name": "m", "widths": vec![1; 100_000], "heights": [1], "prices": vec![vec![1; 10]; 10_000] });
    let (status, problem) = shop.post("/matrices", &many);
    assert_eq!(status, 422);
    assert!(problem.to_string().len() < 10_000, "an answer is not a mirror");
    let many = json!({ "name": "g", "choices": vec![json!({}); 10_000] });
    let (status, problem) = shop.post("/option-groups", &many);
    assert_eq!((status, problem.to_string().len() < 10_000), (422, true));
}

#[test]
fn a_json_member_that_occurs_twice_is_refused() {
    let fixture = Fixture::new();
    let shop = Shop::install(&fixture, "panes");
    for body in [
        r#"{"name":"m","widths":[1],"heights":[1],"prices":[["1.00"]],"prices":[["2.00"]]}"#,
        r#"{"name":"m","widths":[1],"heights":[1],"prices":[["1.00"]],"limits":{"minWidth":1,"minWidth":2}}"#,
    ] {
        let response = shop.send("POST", "/matrices", None, body.as_bytes());
        assert_eq!(response.status, 400, "{body}");
        let detail = response.json_body()["detail"].as_str().expect("text").to_owned();
        assert!(detail.starts_with("the body has a duplicate field at line 1 column "), "{detail}");
    }
    assert_eq!(fixture.count("price_matrices"), 0);
}
