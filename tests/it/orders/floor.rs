//! A disk that is nearly full: no orders and imports, and everything that is a duty.

use super::order_request;
use crate::support::waiting::wait_until;
use quotegrid::alerts;
use quotegrid::disk::Floor;
use quotegrid::http::Response;
use quotegrid::secret::Secret;
use quotegrid::testing::Fixture;
use serde_json::{Value, json};

fn on(floor: Floor) -> Fixture {
    Fixture::opened_with(|options| {
        options.disk_floor = floor;
        options.alerts = alerts::Options { url: Some(Secret::new("http://127.0.0.1:9/")), silence: None };
    })
}

fn outcome(response: &Response) -> (u16, Value) {
    (response.status, response.json_body()["code"].clone())
}

#[test]
fn below_the_floor_orders_and_imports_are_refused_and_nothing_else() {
    // No disk has so much.
    let fixture = on(Floor::Bytes(u64::MAX));
    let demo = fixture.demo_store();
    let low = (503, json!("disk_low"));
    let order = json!({ "productId": "1009", "width": 600, "height": 250 });
    let refused = fixture.call(order_request(&demo.key.key, &order));
    assert_eq!(outcome(&refused), low);
    assert_eq!(refused.header("retry-after"), Some("60"));
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    assert_eq!(fixture.count("draft_order_records"), 24, "those of the demo store");
    let shop = demo.shop.as_str();
    let path = |rest: &str| format!("/admin/api/stores/{shop}/matrices{rest}");
    let grid = json!({ "name": "New", "widths": [900], "heights": [900], "prices": [["1"]] });
    assert_eq!(outcome(&fixture.admin("POST", &path(""), Some(&grid))), low);
    let list = json!("not read before the disk is looked at");
    let imported = fixture.admin("POST", &path("/import?name=New"), Some(&list));
    assert_eq!(outcome(&imported), low);
    assert_eq!(
        fixture.admin("POST", &path("/import?preview=true"), Some(&list)).status,
        200,
        "a preview writes nothing"
    );
    let redact = fixture.post_webhook("shop/redact", &json!({ "shop_id": 1, "shop_domain": shop }));
    assert_eq!(redact.status, 200);
    fixture.run_jobs();
    assert_eq!(fixture.count("draft_order_records"), 0, "and is erased");
}

#[test]
fn what_is_known_already_is_answered_however_full_the_disk_is() {
    let fixture = on(Floor::Bytes(u64::MAX));
    let demo = fixture.demo_store();
    let order = json!({ "productId": "1009", "width": 9_000, "height": 250 });
    assert_eq!(fixture.call(order_request(&demo.key.key, &order)).status, 422);
    let list = format!("/admin/api/stores/{}/draft-orders", demo.shop);
    assert_eq!(fixture.admin("GET", &list, None).status, 200);
}

#[test]
fn a_low_disk_is_an_alert_once_a_day() {
    let fixture = on(Floor::Bytes(u64::MAX));
    let raised = |fixture: &Fixture| fixture.app.alerts().look(fixture.now()).expect("looked");
    assert_eq!([raised(&fixture), raised(&fixture)], [1, 0]);
    let payload: String = fixture.query("SELECT payload FROM job_queue WHERE type = 'alert'");
    let payload: Value = serde_json::from_str(&payload).expect("JSON");
    assert_eq!((&payload["alert"], &payload["disks"][0]["floorBytes"]), (&json!("disk_low"), &json!(u64::MAX)));
    assert!(payload["text"].as_str().expect("text").contains("nearly full"));
    fixture.advance(std::time::Duration::from_secs(86_400));
    assert_eq!([raised(&fixture), raised(&fixture)], [1, 0]);
    let fixture = on(Floor::Bytes(1));
    assert_eq!(raised(&fixture), 0);
}

#[test]
fn the_floor_is_a_setting_of_the_program() {
    let machine = crate::process::harness::Machine::new();
    let process = machine.serve(&["--dev", "--disk-floor", "8000000TiB"]).ready();
    let key: String = {
        let printed = machine.json(&["stores", "keys", "demo-store.myshopify.com", "issue"]);
        printed["apiKey"].as_str().unwrap_or_else(|| panic!("{printed}")).to_owned()
    };
    let body = r#"{"productId":"1009","width":600,"height":250}"#;
    for _ in 0..3 {
        let mut wire = crate::edge::harness::Wire::to(process.address());
        wire.send(format!(
            "POST /api/v1/draft-orders HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        let answer = wire.answer();
        assert_eq!(answer.status, 503);
    }
    wait_until("the log says why", || process.log().contains("the disk is nearly full"));
    assert_eq!(process.log().matches("the disk is nearly full").count(), 1, "and not for each request");
    assert_eq!(process.stop(), Some(0));
    let doctor = machine.command(&["doctor", "--json", "--disk-floor", "8000000TiB"]).output().expect("it runs");
    let report: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    assert!(report["problems"].to_string().contains("the disk is nearly full"), "{report}");
}
