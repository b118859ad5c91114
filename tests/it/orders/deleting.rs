//! Orders that never went to Shopify go: by hand, and by their age.

use crate::storefront::harness::Server;
use crate::support::command::run_json;
use crate::support::plans;
use chrono::TimeDelta;
use quotegrid::background::Stop;
use quotegrid::db;
use quotegrid::housekeeping::Retention;
use quotegrid::testing::Fixture;
use serde_json::json;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// Of the demo store's 24 open orders two are sent, and one may be; one was cancelled before it went anywhere, one when it had, and of
/// one the draft may still stand there.
fn prepare(fixture: &Fixture) {
    let written: db::Result<()> = fixture.app.db.write(|tx| {
        Ok(tx.execute_batch(
            "UPDATE draft_order_records SET status = 'sent' WHERE number IN (3, 4);
             UPDATE draft_order_records SET handover_attempted_at = created_at WHERE number = 5;
             UPDATE draft_order_records SET status = 'cancelled', cancelled_at = created_at WHERE number IN (6, 7, 8);
             UPDATE draft_order_records SET shopify_draft_order_id = 'gid://shopify/DraftOrder/1' WHERE number = 7;
             UPDATE draft_order_records SET deletion_due_at = created_at WHERE number = 8",
        )?)
    });
    written.expect("written");
}

#[test]
fn the_command_deletes_what_never_went_anywhere_before_a_time() {
    let fixture = Fixture::new();
    fixture.demo_store();
    prepare(&fixture);
    let day = (fixture.now() + TimeDelta::days(1)).date_naive().to_string();
    let earlier = ["orders", "delete", "--never-sent", "--before", "2000-01-01"];
    assert_eq!(run_json(&fixture.database(), &earlier), (0, json!({ "deleted": 0 })));
    let looked = run_json(&fixture.database(), &["orders", "delete", "--never-sent", "--before", &day, "--dry-run"]);
    assert_eq!(looked, (0, json!({ "neverSent": 19 })));
    assert_eq!(fixture.count("draft_order_records"), 24);
    let deleted = run_json(&fixture.database(), &["orders", "delete", "--never-sent", "--before", &day]);
    assert_eq!(deleted, (0, json!({ "deleted": 19 })));
    assert_eq!(
        fixture.query::<String>(
            "SELECT group_concat(number) FROM (SELECT number FROM draft_order_records ORDER BY number)"
        ),
        "3,4,5,7,8"
    );
    // Nobody deletes orders by leaving something out.
    for arguments in [
        &["orders", "delete", "--before", &day][..],
        &["orders", "delete", "--never-sent"],
        &["orders", "delete"],
        &["orders", "delete", "--never-sent", "--before", "yesterday"],
    ] {
        assert_eq!(run_json(&fixture.database(), arguments).0, 2, "{arguments:?}");
    }
}

#[test]
fn numbers_of_deleted_orders_are_not_given_again_and_their_keys_lead_to_a_new_order() {
    let server = Server::new();
    let example = server.example();
    let request = super::keyed_request(&example.shop.key.key, &super::example_order(&example), "one");
    let first = server.ask(request.clone()).json_body();
    let (now, store) = (server.fixture.now() + TimeDelta::hours(1), example.shop.scope.store);
    let deleted = server.fixture.app.housekeeper().delete_never_sent(&Stop::default(), store, now);
    assert_eq!(deleted.expect("deleted"), 1);
    let again = server.ask(request).json_body();
    assert_eq!((&first["name"], &again["name"]), (&json!("#D1"), &json!("#D2")));
}

#[test]
fn an_open_order_that_is_too_old_is_pruned_and_what_went_to_shopify_stays() {
    let kept = TimeDelta::days(90);
    let fixture = Fixture::opened_with(|options| {
        options.retention = Retention { open_orders: Some(kept), ..Retention::default() };
    });
    fixture.demo_store();
    prepare(&fixture);
    let newest: i64 = fixture.query("SELECT max(created_at) FROM draft_order_records");
    let age = Duration::from_millis((fixture.now().timestamp_millis() - newest).unsigned_abs());
    let prune = |fixture: &Fixture| fixture.app.housekeeper().prune(&Stop::default()).expect("pruned").open_orders;
    fixture.advance(DAY * 60);
    prune(&fixture);
    assert!(fixture.count("draft_order_records") > 5 || age > DAY * 30);
    fixture.advance(DAY * 31);
    prune(&fixture);
    assert_eq!(fixture.count("draft_order_records"), 5);
    assert_eq!(prune(&fixture), 0);
    let privacy = fixture.admin("GET", "/privacy", None);
    assert!(String::from_utf8(privacy.body).expect("text").contains("never handed over to Shopify: after 90 days"));
}

#[test]
fn without_an_age_open_orders_are_kept_as_long_as_their_store() {
    let fixture = Fixture::new();
    fixture.demo_store();
    fixture.advance(DAY * 4_000);
    fixture.app.housekeeper().prune(&Stop::default()).expect("pruned");
    assert_eq!(fixture.count("draft_order_records"), 24);
}

#[test]
fn old_open_orders_are_found_by_an_index_however_many_there_are() {
    let fixture = Fixture::new();
    let plan = |sql: &str| plans::plan(&fixture, sql);
    let never_sent = plan(
        "SELECT id FROM draft_order_records WHERE store_id = 'a' AND status = 'open' AND created_at < 1
           AND handover_attempted_at IS NULL ORDER BY created_at LIMIT 200",
    );
    assert!(never_sent.contains("draft_order_records_state") && !never_sent.contains("B-TREE"), "{never_sent}");
    let cancelled = plan(
        "SELECT id FROM draft_order_records INDEXED BY draft_order_records_never_sent
         WHERE store_id = 'a' AND created_at < 1 AND status = 'cancelled' AND shopify_draft_order_id IS NULL
           AND handover_attempted_at IS NULL AND deletion_due_at IS NULL
         ORDER BY created_at LIMIT 200",
    );
    assert!(cancelled.contains("draft_order_records_never_sent") && !cancelled.contains("B-TREE"), "{cancelled}");
    let differing =
        plan("SELECT count(*) FROM draft_order_records WHERE handover_warnings IS NOT NULL AND created_at >= 1");
    assert!(differing.contains("draft_order_records_differing"), "{differing}");
}
