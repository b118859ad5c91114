//! What the workshop gets: a row an item, which every spreadsheet opens and none runs.

use super::{example_order, order};
use crate::storefront::harness::{Example, PRODUCT, SHOP, Server, fixed, grid};
use crate::storefront::spec;
use crate::support::command::run;
use crate::support::plans::plan;
use quotegrid::domain::ids::ProductId;
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::domain::options::Requirement;
use quotegrid::http::Response;
use serde_json::{Value, json};
use std::time::Duration;

fn export(server: &Server, query: &str) -> Response {
    let path = format!("/admin/api/stores/{SHOP}/draft-orders.csv");
    let response = server.fixture.admin("GET", &format!("{path}?{query}"), None);
    spec::check("GET", &path, &response);
    response
}

/// The rows as a reader of RFC 4180 has them, without the byte order mark.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv(text.strip_prefix('\u{feff}').expect("a byte order mark"));
    let mut rows = Vec::new();
    while let Some(row) = reader() {
        rows.push(row);
    }
    rows
}

/// Reads records one by one: quoted fields, doubled quotes, CRLF.
fn csv(text: &str) -> impl FnMut() -> Option<Vec<String>> {
    let mut letters = text.chars().peekable();
    move || {
        letters.peek()?;
        let (mut row, mut field, mut quoted) = (Vec::new(), String::new(), false);
        loop {
            match letters.next() {
                Some('"') if quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
                Some('"') => quoted = !quoted,
                Some(',') if !quoted => row.push(std::mem::take(&mut field)),
                Some('\r') if !quoted => {
                    assert_eq!(letters.next(), Some('\n'));
                    row.push(field);
                    return Some(row);
                }
                Some(letter) => field.push(letter),
                None => panic!("the last row has no end"),
            }
        }
    }
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("UTF-8")
}

fn orders(server: &Server, example: &Example) {
    let Example { shop, required, share, optional, fixed, .. } = example;
    let all = json!([
        {"optionGroupId": optional.to_string(), "choiceId": fixed.to_string()},
        {"optionGroupId": required.to_string(), "choiceId": share.to_string()},
    ]);
    let second = json!({"productId": PRODUCT, "width": 300, "height": 200.5, "quantity": 3, "options": all, "label": "Küche, \"links\""});
    let wanted = json!({"items": [example_order(example), second]});
    assert_eq!(order(server, &shop.key.key, &wanted).status, 201);
    server.fixture.advance(Duration::from_secs(3_600));
    assert_eq!(order(server, &shop.key.key, &example_order(example)).status, 201);
}

#[test]
fn each_item_is_a_row_with_everything_that_is_needed_to_make_it() {
    let server = Server::new();
    let example = server.example();
    orders(&server, &example);
    let edit = json!({"sku": "G-1"});
    assert_eq!(
        server.fixture.admin("PATCH", &format!("/admin/api/stores/{SHOP}/products/{PRODUCT}"), Some(&edit)).status,
        200
    );
    server.fixture.advance(Duration::from_secs(10));
    assert_eq!(order(&server, &example.shop.key.key, &example_order(&example)).status, 201);
    server.write(|tx| {
        Ok(tx.execute("UPDATE draft_order_records SET status = 'ordered', order_name = '#1001' WHERE number = 2", ())?)
    });
    let response = export(&server, "");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/csv; charset=utf-8"));
    let written = text(&response);
    let page = |number: u32| {
        let token: String =
            server.fixture.query(&format!("SELECT token FROM draft_order_records WHERE number = {number}"));
        format!("http://127.0.0.1:8080/q/{token}")
    };
    let head = [
        "order",
        "ordered at",
        "state",
        "shopify order",
        "item",
        "product",
        "sku",
        "label",
        "width",
        "height",
        "unit",
        "priced as",
        "quantity",
        "Edge",
        "Holes",
        "unit price",
        "total",
        "currency",
        "page",
    ];
    let (first, second, third) = (page(1), page(2), page(3));
    let expected = [
        head,
        [
            "#D1",
            "2026-01-01T00:00:00.000Z",
            "open",
            "",
            "1",
            "a pane",
            "",
            "",
            "450",
            "350",
            "mm",
            "600 x 400",
            "1",
            "Edge: 1",
            "",
            "30.00",
            "30.00",
            "USD",
            &first,
        ],
        [
            "#D1",
            "2026-01-01T00:00:00.000Z",
            "open",
            "",
            "2",
            "a pane",
            "",
            "Küche, \"links\"",
            "300",
            "200.5",
            "mm",
            "300 x 400",
            "3",
            "Edge: 2",
            "Holes: 1",
            "33.75",
            "101.25",
            "USD",
            &first,
        ],
        [
            "#D2",
            "2026-01-01T01:00:00.000Z",
            "ordered",
            "#1001",
            "1",
            "a pane",
            "",
            "",
            "450",
            "350",
            "mm",
            "600 x 400",
            "1",
            "Edge: 1",
            "",
            "30.00",
            "30.00",
            "USD",
            &second,
        ],
        [
            "#D3",
            "2026-01-01T01:00:10.000Z",
            "open",
            "",
            "1",
            "a pane",
            "G-1",
            "",
            "450",
            "350",
            "mm",
            "600 x 400",
            "1",
            "Edge: 1",
            "",
            "30.00",
            "30.00",
            "USD",
            &third,
        ],
    ];
    assert_eq!(rows(&written), expected.map(|row| row.map(str::to_owned).to_vec()).to_vec());
    // The command prints the same bytes, and the same as JSON.
    let (code, printed) = run(&server.fixture.database(), &["orders", "--shop", SHOP, "export"]);
    assert_eq!((code, printed), (0, written));
    for arguments in [&["orders", "export", "--format", "json"][..], &["--json", "orders", "export"]] {
        let (code, printed) = run(&server.fixture.database(), arguments);
        let document: Value = serde_json::from_str(&printed).expect("JSON");
        let items = document["items"].as_array().expect("a list");
        assert_eq!((code, items.len(), &items[1]["label"]), (0, 4, &json!("Küche, \"links\"")));
        assert_eq!(items[1]["options"][0], json!({"optionGroup": "Holes", "choice": "Holes: 1"}));
        assert_eq!((&items[2]["orderName"], &items[3]["sku"]), (&json!("#1001"), &json!("G-1")));
    }
}

#[test]
fn orders_are_selected_by_time_and_state() {
    let server = Server::new();
    let example = server.example();
    orders(&server, &example);
    server.write(|tx| Ok(tx.execute("UPDATE draft_order_records SET status = 'sent' WHERE number = 2", ())?));
    let names = |query: &str| -> Vec<String> {
        rows(&text(&export(&server, query))).into_iter().skip(1).map(|row| row[0].clone()).collect()
    };
    assert_eq!(names("since=2026-01-01T01:00:00Z"), ["#D2"]);
    assert_eq!(names("until=2026-01-01T01:00:00Z"), ["#D1", "#D1"]);
    assert_eq!(names("since=2026-01-01&until=2026-01-02"), ["#D1", "#D1", "#D2"]);
    assert_eq!(names("since=2026-01-02"), Vec::<String>::new());
    assert_eq!((names("state=sent"), names("state=ordered")), (vec!["#D2".to_owned()], Vec::new()));
    for query in ["since=yesterday", "until=1", "state=paid", "from=2026-01-01", "since="] {
        assert_eq!(export(&server, query).status, 422, "{query}");
    }
    let (code, printed) =
        run(&server.fixture.database(), &["orders", "export", "--state", "sent", "--since", "2026-01-01"]);
    assert_eq!((code, rows(&printed).len()), (0, 2));
    assert_eq!(run(&server.fixture.database(), &["orders", "export", "--state", "paid"]).0, 2);
    let unknown = server.fixture.admin("GET", "/admin/api/stores/unknown.myshopify.com/draft-orders.csv", None);
    assert_eq!(unknown.status, 404);
}

#[test]
fn nothing_that_anybody_wrote_is_run_by_a_spreadsheet() {
    let server = Server::new();
    let shop = server.shop(SHOP);
    let glass = server.matrix(shop.scope, "Glass", grid(OutOfRange::Reject));
    let (now, scope, product) = (server.fixture.now(), shop.scope, PRODUCT.parse::<ProductId>().expect("a product"));
    let title = "=HYPERLINK(\"http://x\")".parse().expect("a title");
    server.write(move |tx| quotegrid::catalog::assignments::set_matrix(tx, now, scope, &product, &title, glass));
    let (group, choices) = server.group(shop.scope, PRODUCT, "+Edge", Requirement::Optional, &[fixed(0)]);
    let edit = json!({"sku": "-1+1"});
    assert_eq!(
        server.fixture.admin("PATCH", &format!("/admin/api/stores/{SHOP}/products/{PRODUCT}"), Some(&edit)).status,
        200
    );
    let options = json!([{"optionGroupId": group.to_string(), "choiceId": choices[0].to_string()}]);
    for label in ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)"] {
        let wanted = json!({"productId": PRODUCT, "width": 450, "height": 350, "options": options, "label": label});
        assert_eq!(order(&server, &shop.key.key, &wanted).status, 201);
    }
    let rows = rows(&text(&export(&server, "")));
    assert_eq!(rows[0][13], "'+Edge");
    for (row, label) in rows[1..].iter().zip(["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)"]) {
        assert_eq!(row[5..8], ["'=HYPERLINK(\"http://x\")".to_owned(), "'-1+1".to_owned(), format!("'{label}")]);
        assert_eq!(row[13], "'+Edge: 1");
    }
    assert!(rows.iter().flatten().all(|field| !field.starts_with(['=', '+', '-', '@', '\t', '\r'])), "{rows:?}");
}

#[test]
fn many_orders_of_one_moment_are_exported_each_once() {
    let server = Server::new();
    let example = server.example();
    for number in 0..250 {
        let wanted = super::keyed_request(&example.shop.key.key, &example_order(&example), &format!("k{number}"));
        assert_eq!(server.ask(wanted).status, 201);
    }
    let found = rows(&text(&export(&server, "")));
    let names: Vec<String> = found.into_iter().skip(1).map(|row| row[0].clone()).collect();
    assert_eq!(names, (1..=250).map(|number| format!("#D{number}")).collect::<Vec<_>>());
    let plan = plan(
        &server.fixture,
        "SELECT * FROM draft_order_records AS o
                 WHERE o.store_id = 's' AND o.status = 'open' AND (o.created_at, o.number) > (1, 1) AND o.created_at < 9
                 ORDER BY o.created_at, o.number LIMIT 100",
    );
    assert!(plan.contains("draft_order_records_state") && !plan.contains("TEMP B-TREE"), "{plan}");
}
