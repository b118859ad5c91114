//! Orders of the demo shop: found, looked at, printed for the workshop.

use super::{SHOP, Visitor, install, text};
use quotegrid::access::Role;
use quotegrid::orders::search::{self, Place, Search};
use quotegrid::testing::Fixture;

const ORDERS: &str = "/admin/shops/demo-store.myshopify.com/orders";

#[test]
fn orders_are_found_by_number_state_and_day() {
    let fixture = Fixture::new();
    fixture.demo_store();
    let viewer = Visitor::new(&fixture, Role::Viewer, None);
    let listed = |query: &str| {
        let page = viewer.page(&format!("{ORDERS}?{query}"));
        page.matches("data-label=\"Order\"").count()
    };
    let count = |sql: &str| usize::try_from(fixture.query::<i64>(sql)).expect("a count");
    let all = count("SELECT count(*) FROM draft_order_records");
    // Demo orders end before the clock's now.
    assert!(all > 5);
    assert_eq!((listed(""), listed("number=%23D3"), listed("number=3&state=")), (all, 1, 1));
    for state in ["open", "sent"] {
        assert_eq!(
            listed(&format!("state={state}")),
            count(&format!("SELECT count(*) FROM draft_order_records WHERE status = '{state}'"))
        );
    }
    let day: String =
        fixture.query("SELECT date(created_at / 1000, 'unixepoch') FROM draft_order_records WHERE number = 3");
    let on_day = count(&format!(
        "SELECT count(*) FROM draft_order_records WHERE date(created_at / 1000, 'unixepoch') = '{day}'"
    ));
    assert_eq!(listed(&format!("from={day}&to={day}")), on_day);
    for (query, words) in [
        ("number=99999", "There is no order"),
        ("number=abc", "not an order"),
        ("from=yesterday", "not a day"),
        ("state=lost", "no state"),
    ] {
        let found = viewer.get(&format!("{ORDERS}?{query}"));
        assert_eq!(found.status, 404, "{query}");
        assert!(text(&found).contains(words), "{query}: {}", text(&found));
    }
}

#[test]
fn a_list_of_many_orders_goes_on_by_key_and_names_each_once() {
    let fixture = Fixture::new();
    fixture.demo_store();
    let store = fixture.app.db.read(|connection| {
        quotegrid::catalog::stores::find(connection, &"demo-store.myshopify.com".parse().expect("a shop"))
    });
    let store = store.expect("readable").expect("there").id;
    let look =
        |search: Search| fixture.app.db.read(|connection| search::search(connection, store, &search)).expect("found");
    let all = look(Search { limit: 1_000, ..Search::default() });
    let mut paged: Vec<Place> = Vec::new();
    loop {
        let next = look(Search { limit: 3, after: paged.last().copied(), ..Search::default() });
        if next.is_empty() {
            break;
        }
        paged.extend(next);
    }
    assert_eq!(paged, all);
    assert_eq!(all.len() as i64, fixture.query::<i64>("SELECT count(*) FROM draft_order_records"));
    // No look walks the orders of all stores, or sorts.
    let plan: String = fixture.app.db.read(|connection| -> quotegrid::db::Result<String> {
        let mut statement = connection.prepare(
            "EXPLAIN QUERY PLAN SELECT created_at, number FROM draft_order_records
             WHERE store_id = ?1 AND status = ?2 AND created_at >= ?3 AND created_at < ?4 AND (created_at, number) < (?5, ?6)
             ORDER BY created_at DESC, number DESC LIMIT ?7",
        )?;
        let details = statement.query_map((1, 2, 3, 4, 5, 6, 7), |row| row.get::<_, String>("detail"))?;
        Ok(details.collect::<rusqlite::Result<Vec<_>>>()?.join("; "))
    })
    .expect("a plan");
    assert!(plan.starts_with("SEARCH draft_order_records USING COVERING INDEX draft_order_records_state"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn the_workshop_gets_what_is_to_be_made_as_a_page_and_as_csv() {
    let fixture = Fixture::new();
    fixture.demo_store();
    let changed = fixture.app.db.write(|tx| -> quotegrid::error::Result<_> {
        Ok(tx.execute(
            "UPDATE draft_order_lines SET product_title = '=HYPERLINK(\"http://x\")'
             WHERE draft_order_id = (SELECT id FROM draft_order_records WHERE number = 2)",
            (),
        )?)
    });
    assert_eq!(changed.expect("written"), 1);
    let viewer = Visitor::new(&fixture, Role::Viewer, None);
    let page = viewer.page(&format!("{ORDERS}/workshop?number=2"));
    assert!(page.contains("=HYPERLINK(&#34;http://x&#34;)") && page.contains("#D2"), "{page}");
    let response = viewer.get(&format!("{ORDERS}/workshop.csv"));
    let csv = text(&response);
    assert!(response.header("Content-Disposition").is_some_and(|value| value.starts_with("attachment")));
    let lines: Vec<&str> = csv.strip_prefix('\u{feff}').expect("a mark for Excel").split("\r\n").collect();
    assert!(lines[0].starts_with("order,ordered at,state,item,product"));
    assert_eq!(lines.len() as i64, 2 + fixture.query::<i64>("SELECT count(*) FROM draft_order_lines"));
    assert!(lines[1].starts_with("#D1,"), "the oldest first: {}", lines[1]);
    assert!(lines[2].contains("\"'=HYPERLINK(\"\"http://x\"\")\""), "no spreadsheet runs it: {}", lines[2]);
}

#[test]
fn an_order_shows_what_its_price_came_from_and_another_shops_order_does_not_exist() {
    let fixture = Fixture::new();
    fixture.demo_store();
    let other = install(&fixture, SHOP);
    let (operator, stranger) =
        (Visitor::new(&fixture, Role::Operator, None), Visitor::new(&fixture, Role::Merchant, Some(other)));
    let id: String =
        fixture.query("SELECT draft_order_id FROM draft_order_lines WHERE option_selections <> '[]' LIMIT 1");
    let page = operator.page(&format!("{ORDERS}/{id}"));
    let matrix: String =
        fixture.query(&format!("SELECT matrix_name FROM draft_order_lines WHERE draft_order_id = '{id}'"));
    assert!(page.contains(&matrix) && page.contains("One piece"), "{page}");
    assert_eq!(stranger.get(&format!("{ORDERS}/{id}")).status, 404);
    assert_eq!(stranger.get(&format!("/admin/shops/{SHOP}/orders/{id}")).status, 404);
    // Without an app there is nothing to hand over to.
    assert!(!page.contains("/retry"), "{page}");
    assert_eq!(operator.post_from(ORDERS, &format!("{ORDERS}/{id}/retry"), &[]).status, 409);
}
