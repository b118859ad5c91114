//! Orders of the demo shop: found, looked at, printed for the workshop.

use super::{SHOP, Visitor, install, location, text};
use crate::support::plans::plan;
use quotegrid::access::Role;
use quotegrid::orders::search::{self, Place, Search};
use quotegrid::testing::Fixture;

const ORDERS: &str = "/admin/shops/demo-store.myshopify.com/orders";

/// The same orders in the admin API.
const API: &str = "/admin/api/stores/demo-store.myshopify.com/draft-orders";

/// Has drafts of these orders stand at Shopify.
fn hand_over(fixture: &Fixture, numbers: &'static [i64]) {
    let written = fixture.app.db.write(move |tx| -> quotegrid::error::Result<usize> {
        let mut statement = tx.prepare(
            "UPDATE draft_order_records
             SET status = 'sent', shopify_draft_order_id = 'gid://shopify/DraftOrder/' || number WHERE number = ?1",
        )?;
        Ok(numbers.iter().map(|number| statement.execute([number])).sum::<rusqlite::Result<usize>>()?)
    });
    assert_eq!(written.expect("written"), numbers.len());
}

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
    hand_over(&fixture, &[2, 3]);
    // Demo orders end before the clock's now.
    assert!(all > 5);
    assert_eq!((listed(""), listed("number=%23D3"), listed("number=3&state=")), (all, 1, 1));
    for state in ["open", "sent", "ordered", "cancelled"] {
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
    let plan = plan(
        &fixture,
        "SELECT created_at, number FROM draft_order_records
             WHERE store_id = ?1 AND status = ?2 AND created_at >= ?3 AND created_at < ?4 AND (created_at, number) < (?5, ?6)
             ORDER BY created_at DESC, number DESC LIMIT ?7",
    );
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
    assert_eq!(lines.len() as i64, 2 + fixture.query::<i64>("SELECT count(*) FROM draft_order_lines"));
    assert!(lines[1].starts_with("#D1,"), "the oldest first: {}", lines[1]);
    assert!(lines[2].contains("\"'=HYPERLINK(\"\"http://x\"\")\""), "no spreadsheet runs it: {}", lines[2]);
}

#[test]
fn the_workshops_file_of_the_console_is_that_of_the_api() {
    let fixture = Fixture::new();
    fixture.demo_store();
    hand_over(&fixture, &[1, 3]);
    let id: String = fixture.query("SELECT id FROM draft_order_records WHERE number = 2");
    let operator = Visitor::new(&fixture, Role::Operator, None);
    let order = format!("{ORDERS}/{id}");
    assert_eq!(operator.post_from(&order, &format!("{order}/cancel"), &[("confirmed", "yes")]).status, 303);
    let of_api = |query: &str| {
        let response = fixture.admin("GET", &format!("{API}.csv{query}"), None);
        assert_eq!(response.status, 200, "{query}: {}", text(&response));
        text(&response)
    };
    let of_console = |query: &str| {
        let response = operator.get(&format!("{ORDERS}/workshop.csv{query}"));
        assert_eq!(response.status, 200, "{query}: {}", text(&response));
        assert_eq!(response.header("Content-Type"), Some("text/csv; charset=utf-8"));
        text(&response)
    };
    let day: String =
        fixture.query("SELECT date(created_at / 1000, 'unixepoch') FROM draft_order_records WHERE number = 3");
    let next: String = fixture.query(&format!("SELECT date('{day}', '+1 day')"));
    for (asked_here, asked_there) in [
        (String::new(), String::new()),
        ("?number=&state=sent&from=&to=".to_owned(), "?state=sent".to_owned()),
        ("?state=cancelled".to_owned(), "?state=cancelled".to_owned()),
        (format!("?from={day}&to={day}"), format!("?since={day}T00:00:00Z&until={next}T00:00:00Z")),
    ] {
        let (here, there) = (of_console(&asked_here), of_api(&asked_there));
        assert!(here == there && here.lines().count() > 1, "{asked_here}: {here}");
    }
    let only: Vec<String> = of_console("?number=D3").lines().map(str::to_owned).collect();
    assert!(only.len() == 2 && only[1].starts_with("#D3,"), "{only:?}");
    // On the sheet to print is what is to be made.
    assert!(!operator.page(&format!("{ORDERS}/workshop")).contains("#D2<"));
    assert!(operator.page(&format!("{ORDERS}/workshop?state=cancelled")).contains("#D2<"));
    for wrong in ["?state=lost", "?number=abc", "?from=yesterday"] {
        assert_eq!(operator.get(&format!("{ORDERS}/workshop.csv{wrong}")).status, 422, "{wrong}");
    }
}

#[test]
fn an_order_is_cancelled_where_it_can_be_and_only_when_that_is_ticked() {
    let fixture = Fixture::new();
    fixture.demo_store();
    hand_over(&fixture, &[3, 4]);
    let id_of = |state: &str| {
        fixture.query::<String>(&format!("SELECT id FROM draft_order_records WHERE status = '{state}' LIMIT 1"))
    };
    let status =
        |id: &str| fixture.query::<String>(&format!("SELECT status FROM draft_order_records WHERE id = '{id}'"));
    let (open, sent) = (id_of("open"), id_of("sent"));
    let (operator, viewer) = (Visitor::new(&fixture, Role::Operator, None), Visitor::new(&fixture, Role::Viewer, None));
    let order = format!("{ORDERS}/{sent}");
    let cancel = |visitor: &Visitor<'_>, id: &str, fields: &[(&str, &str)]| {
        visitor.post_from(ORDERS, &format!("{ORDERS}/{id}/cancel"), fields)
    };
    assert!(operator.page(&order).contains("can be paid no more"));
    assert!(!viewer.page(&order).contains("/cancel\""));
    assert_eq!(cancel(&viewer, &sent, &[("confirmed", "yes")]).status, 403);
    assert_eq!(cancel(&operator, &sent, &[]).status, 422);
    assert_eq!(status(&sent), "sent");
    for id in [&open, &sent] {
        fixture.advance(std::time::Duration::from_millis(1));
        assert_eq!(location(&cancel(&operator, id, &[("confirmed", "yes")])), format!("{ORDERS}/{id}?done=cancelled"));
        assert_eq!(status(id), "cancelled");
        let row: String = fixture.query("SELECT action || ' ' || objects FROM audit_log ORDER BY id DESC LIMIT 1");
        assert_eq!(row, format!("order.cancel {id}"));
    }
    let page = operator.page(&order);
    assert!(page.contains("<dt>Cancelled</dt>") && !page.contains("/cancel\""), "{page}");
    // What stands at Shopify of the one that was sent is deleted there.
    let deletions = "SELECT count(*) FROM job_queue WHERE type = 'draft_order_deletion'";
    assert_eq!(fixture.query::<i64>(deletions), 1);
    // One that has been ordered is Shopify's to cancel.
    let ordered = id_of("sent");
    let change = format!(
        "UPDATE draft_order_records SET status = 'ordered', order_name = '#1007', ordered_at = {} WHERE id = '{ordered}'",
        fixture.now().timestamp_millis()
    );
    fixture.app.db.write(move |tx| -> quotegrid::error::Result<_> { Ok(tx.execute(&change, ())?) }).expect("written");
    let page = operator.page(&format!("{ORDERS}/{ordered}"));
    assert!(page.contains("#1007") && !page.contains("/cancel\""), "{page}");
    let refused = cancel(&operator, &ordered, &[("confirmed", "yes")]);
    assert_eq!(refused.status, 409);
    assert!(text(&refused).contains("refund the order there"), "{}", text(&refused));
    assert_eq!(status(&ordered), "ordered");
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
    let written = fixture.app.db.write({
        let id = id.clone();
        move |tx| -> quotegrid::error::Result<_> {
            tx.execute(
                "UPDATE draft_order_lines SET label = 'Kitchen, left', sku = 'RB-1' WHERE draft_order_id = ?1",
                [&id],
            )?;
            let warn =
                "UPDATE draft_order_records SET handover_warnings = '[\"It is not shipped there\"]' WHERE id = ?1";
            Ok(tx.execute(warn, [&id])?)
        }
    });
    assert_eq!(written.expect("written"), 1);
    let page = operator.page(&format!("{ORDERS}/{id}"));
    for shown in ["Kitchen, left", "RB-1", "It is not shipped there"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert_eq!(stranger.get(&format!("{ORDERS}/{id}")).status, 404);
    assert_eq!(stranger.get(&format!("/admin/shops/{SHOP}/orders/{id}")).status, 404);
    // Without an app there is nothing to hand over to.
    assert!(!page.contains("/retry"), "{page}");
    assert_eq!(operator.post_from(ORDERS, &format!("{ORDERS}/{id}/retry"), &[]).status, 409);
}
