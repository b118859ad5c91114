//! `quotegrid quote`: the same price from the command line.

use super::harness::{Example, SHOP, Server};
use crate::support::command::program;
use serde_json::{Value, json};
use std::process::Output;

fn quote(server: &Server, arguments: &[&str]) -> Output {
    program()
        .arg("--database")
        .arg(server.fixture.database())
        .args(["quote", "--shop", SHOP, "--product", "1001"])
        .args(arguments)
        .output()
        .expect("the program runs")
}

#[test]
fn a_size_is_priced_and_explained() {
    let server = Server::new();
    let Example { optional, .. } = server.example();
    let by_id = format!("{optional}=Holes: 1");
    let arguments =
        ["--width", "450", "--height", "350", "--quantity", "2", "--option", "edge=Edge: 2", "--option", &by_id];
    let output = quote(&server, &arguments);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = "79.00 USD

  width 450 mm is rounded up to the step 600 mm
  height 350 mm is rounded up to the step 400 mm
  the price of 600 x 400 mm is 30.00 USD
  Edge, Edge: 2: 15 % of 30.00 USD is 4.5 USD
  Holes, Holes: 1: 5.00 USD
  2 x 39.50 USD is 79.00 USD
";
    assert_eq!(text, expected);
    let output = quote(&server, &[&["--json"], &arguments[..]].concat());
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&found["price"], &found["total"], &found["missingRequired"]),
        (&json!("39.50"), &json!("79.00"), &json!([]))
    );
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    let server = Server::new();
    let _example = server.example();
    let output = quote(&server, &["--width", "450", "--height", "350"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(
        output.status.success() && text.contains("An order also needs a choice of Edge: Edge: 1, Edge: 2"),
        "{text}"
    );
    for (arguments, code, sentence) in [
        (&["--width", "45,5", "--height", "350"][..], 2, "plain decimal"),
        (&["--width", "9000", "--height", "350"], 2, "must be from 300 to 900 mm"),
        (&["--width", "450", "--height", "350", "--option", "Colour=red"], 2, "Edge, Holes"),
        (&["--width", "450", "--height", "350", "--option", "Edge=gilded"], 2, "Edge: 1, Edge: 2"),
    ] {
        let output = quote(&server, arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(sentence), "{arguments:?}: {told}");
    }
}

#[test]
fn the_only_store_needs_no_name_and_of_several_one_must_be_named() {
    let server = Server::new();
    let _example = server.example();
    let ask = || {
        program()
            .arg("--database")
            .arg(server.fixture.database())
            .args(["quote", "--product", "1001", "--width", "450", "--height", "350", "--json"])
            .output()
            .expect("the program runs")
    };
    let only = ask();
    assert!(only.status.success(), "{}", String::from_utf8_lossy(&only.stderr));
    let found: Value = serde_json::from_slice(&only.stdout).expect("JSON");
    assert_eq!(found["shop"], SHOP);
    let body = json!({ "shop": "second.myshopify.com" });
    assert_eq!(server.fixture.admin("POST", "/admin/api/stores", Some(&body)).status, 201);
    let several = ask();
    assert_eq!(several.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&several.stderr).contains("say which one with --shop"));
}
