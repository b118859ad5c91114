//! What a webhook writes, and what it never does.

use super::{SHOP, SHOP_REDACT, Server, assert_problem, json_of, request, sample, signed};
use crate::support::waiting::{PATIENCE, wait_until};
use quotegrid::clock::Clock;
use quotegrid::http::{Reply, Response, Service};
use quotegrid::shopify::Topic;
use quotegrid::shopify::sample::sign;
use serde_json::json;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

#[test]
fn an_event_of_the_future_counts_as_one_of_now_and_an_unreadable_time_too() {
    let server = Server::new();
    let now = server.clock.now().timestamp_millis();
    for (id, at, kept) in [
        ("1", "2999-01-01T00:00:00Z", now),
        ("2", "yesterday", now),
        ("3", "2025-12-31T23:59:59.123456789Z", now - 877),
    ] {
        server.post("shop/redact", SHOP_REDACT, &[("X-Shopify-Webhook-Id", id), ("X-Shopify-Triggered-At", at)]);
        let stored: i64 = server.one(&format!("SELECT triggered_at FROM gdpr_requests WHERE webhook_id = '{id}'"));
        assert_eq!(stored, kept, "{at}");
        server.work();
    }
}

#[test]
fn a_duty_whose_shop_header_is_missing_or_empty_is_written_for_the_shop_that_the_signed_body_names() {
    let server = Server::new();
    let topics = [Topic::ShopRedact, Topic::CustomersRedact, Topic::CustomersDataRequest];
    for (number, topic) in topics.iter().enumerate() {
        for (at, shop_header) in [None, Some("")].into_iter().enumerate() {
            let (body, id) = (sample(topic), format!("w-{number}-{at}"));
            let signature = sign("hush", body.as_bytes());
            let mut headers = vec![
                ("X-Shopify-Hmac-Sha256", &*signature),
                ("X-Shopify-Topic", topic.as_str()),
                ("X-Shopify-Webhook-Id", &*id),
            ];
            headers.extend(shop_header.map(|shop| ("X-Shopify-Shop-Domain", shop)));
            let response = server.call(request("/webhooks", &headers, body.as_bytes()));
            assert_eq!(response.status, 200, "{topic} {shop_header:?}");
            assert!(["accepted", "duplicate"].iter().any(|status| json_of(&response)["status"] == *status), "{topic}");
        }
    }
    let duties: i64 = server.one(&format!("SELECT count(DISTINCT type) FROM gdpr_requests WHERE shop = '{SHOP}'"));
    assert_eq!(duties, 3);
    server.app().run_due(100).expect("a working database");
    assert_eq!(server.one::<i64>("SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL"), 0);
}

#[test]
fn an_uninstalled_store_is_marked_in_the_transaction_that_takes_the_webhook() {
    let server = Server::new();
    server.install();
    let body = sample(&Topic::AppUninstalled);
    server.clock.advance(Duration::from_secs(60));
    let response = server.post("app/uninstalled", &body, &[("X-Shopify-Webhook-Id", "w-1")]);
    assert_eq!(json_of(&response), json!({"status": "accepted", "jobId": null}));
    assert!(!server.is_live());
    assert_eq!((server.rows("webhook_deliveries"), server.rows("gdpr_requests"), server.rows("job_queue")), (1, 0, 0));

    server.clock.advance(Duration::from_secs(60));
    server.install();
    let again = server.post("app/uninstalled", &body, &[("X-Shopify-Webhook-Id", "w-1")]);
    assert_eq!(json_of(&again), json!({"status": "duplicate", "jobId": null}));
    assert!(server.is_live(), "the repetition of an old delivery uninstalls nothing");
    let late = [("X-Shopify-Webhook-Id", "w-2"), ("X-Shopify-Triggered-At", "2026-01-01T00:01:30Z")];
    assert_eq!(json_of(&server.post("app/uninstalled", &body, &late))["status"], "accepted");
    assert!(server.is_live(), "neither does an event from before the installation");
    server.clock.advance(Duration::from_secs(60));
    server.post("app/uninstalled", &body, &[("X-Shopify-Webhook-Id", "w-3")]);
    assert!(!server.is_live());
}

#[test]
fn personal_data_never_reaches_the_files_not_even_before_the_job_has_run() {
    let server = Server::new();
    server.install();
    for topic in Topic::KNOWN {
        assert_eq!(server.post(topic.as_str(), &sample(&topic), &[]).status, 200);
    }
    assert!(server.is_in_the_files(SHOP), "the search finds what is there");
    assert!(server.is_in_the_files("191167"), "the customer's id is kept until the job is done");
    for personal in
        ["example.invalid", "sample.customer", "555-01", "Sam Sample", "Sample Street", "Sampleton", "Sample Panes"]
    {
        assert!(!server.is_in_the_files(personal), "{personal}");
    }
}

#[test]
fn a_webhook_that_others_follow_is_left_to_the_writer_so_that_all_are_one_commit() {
    let server = Server::new();
    let is_answered_here = |number: u32, others_follow: bool| {
        let (sender, receiver) = channel();
        let answer = move |response: Response| sender.send((response.status, thread::current().id())).expect("awaited");
        let reply = Reply::new(answer);
        let reply = if others_follow { reply.with_others_following() } else { reply };
        let id = format!("w-{number}");
        let webhook = signed("customers/redact", &sample(&Topic::CustomersRedact), &[("X-Shopify-Webhook-Id", &id)]);
        server.router.call(webhook, reply);
        let (status, thread) = receiver.recv_timeout(PATIENCE).expect("answered");
        assert_eq!(status, 200);
        thread == thread::current().id()
    };
    for number in 0..20 {
        assert!(!is_answered_here(number, true), "this thread has others to see to");
    }
    let mut number = 20;
    wait_until("a lone one is committed by the thread that has it", || {
        number += 1;
        is_answered_here(number, false)
    });
}

#[test]
fn intake_is_all_or_nothing_whichever_part_fails() {
    // Once something is written, what fails undoes its whole batch, and all in it are asked to come again.
    for (table, status) in [("job_queue", 500), ("gdpr_requests", 503)] {
        let server = Server::new();
        let break_it =
            format!("CREATE TRIGGER broken AFTER INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'on purpose'); END");
        server.stranger().execute_batch(&break_it).expect("a trigger");
        let response = server.post("shop/redact", SHOP_REDACT, &[]);
        assert_problem(&response, status);
        assert!(!json_of(&response)["detail"].to_string().contains("on purpose"));
        server.nothing_is_written();
        server.stranger().execute_batch("DROP TRIGGER broken").expect("dropped");
        assert_eq!(json_of(&server.post("shop/redact", SHOP_REDACT, &[]))["status"], "accepted");
    }
    let server = Server::new();
    server.install();
    let break_it =
        "CREATE TRIGGER broken AFTER INSERT ON other_webhook_deliveries BEGIN SELECT RAISE(ABORT, 'on purpose'); END";
    server.stranger().execute_batch(break_it).expect("a trigger");
    assert_problem(&server.post("app/uninstalled", &sample(&Topic::AppUninstalled), &[]), 503);
    assert!(server.is_live());
}
