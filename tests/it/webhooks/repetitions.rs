//! Deliveries that come twice.

use super::{SHOP_REDACT, Server, json_of, sample};
use quotegrid::clock::Clock;
use quotegrid::shopify::Topic;
use serde_json::{Value, json};
use std::sync::Barrier;
use std::time::Duration;

#[test]
fn a_repeated_delivery_is_answered_with_the_first_ones_job() {
    let server = Server::new();
    let id = [("X-Shopify-Webhook-Id", "w-1")];
    let first = json_of(&server.post("shop/redact", SHOP_REDACT, &id));
    server.clock.advance(Duration::from_secs(3600));
    let again = json_of(&server.post("shop/redact", SHOP_REDACT, &id));
    assert_eq!(again, json!({"status": "duplicate", "jobId": first["jobId"]}));
    assert_eq!((server.rows("webhook_deliveries"), server.rows("gdpr_requests"), server.rows("job_queue")), (1, 1, 1));
    let other_topic = server.post("customers/redact", &sample(&Topic::CustomersRedact), &id);
    assert_eq!(json_of(&other_topic)["status"], "accepted", "ids are those of a topic");
}

#[test]
fn the_same_delivery_on_many_connections_at_once_is_one_request_and_one_job() {
    const THREADS: usize = 16;
    let server = Server::new();
    let start = Barrier::new(THREADS);
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let post = || {
            start.wait();
            (0..20)
                .map(|id: u32| {
                    json_of(&server.post("shop/redact", SHOP_REDACT, &[("X-Shopify-Webhook-Id", &id.to_string())]))
                })
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(post)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("answered")).collect()
    });
    assert_eq!((server.rows("webhook_deliveries"), server.rows("gdpr_requests"), server.rows("job_queue")), (20, 1, 1));
    assert_eq!(answers.iter().filter(|answer| answer["status"] == "accepted").count(), 1);
    assert!(answers.iter().all(|answer| answer["jobId"] == answers[0]["jobId"] && answer["jobId"].is_string()));
}

#[test]
fn what_an_open_request_asks_for_already_is_a_duplicate_under_any_id() {
    let server = Server::new();
    let post = |topic: &str, body: &str, id: &str, at: &str| {
        let more = [("X-Shopify-Webhook-Id", id), ("X-Shopify-Triggered-At", at)];
        json_of(&server.post(topic, body, &more))
    };
    let customer = |id: u32| {
        format!(
            r#"{{"shop_id":954889,"shop_domain":"fixture.myshopify.com","customer":{{"id":{id}}},"orders_to_redact":[]}}"#
        )
    };
    let first = post("shop/redact", SHOP_REDACT, "w-1", "2025-12-31T12:00:00Z");
    for number in 0..50 {
        let again = post("shop/redact", SHOP_REDACT, &format!("r-{number}"), "2025-12-31T11:00:00Z");
        assert_eq!(again, json!({"status": "duplicate", "jobId": first["jobId"]}));
    }
    assert_eq!((server.rows("webhook_deliveries"), server.rows("gdpr_requests"), server.rows("job_queue")), (51, 1, 1));
    // Requests about customers are each their own.
    let of_one = post("customers/redact", &customer(1), "c-1", "2025-12-31T12:00:00Z");
    assert_eq!(of_one["status"], "accepted");
    assert_eq!(post("customers/redact", &customer(2), "c-2", "2025-12-31T12:00:00Z")["status"], "accepted");
    assert_eq!(post("customers/redact", &customer(1), "c-3", "2025-12-31T12:00:00Z")["status"], "accepted");
    // Once it is fulfilled, the next is a request of its own.
    server.work();
    assert_eq!(post("shop/redact", SHOP_REDACT, "w-2", "2025-12-31T12:00:00Z")["status"], "accepted");
}

#[test]
fn a_later_event_of_an_open_request_counts_so_that_no_reinstallation_in_between_supersedes_it() {
    let server = Server::new();
    let post = |id: &str| json_of(&server.post("shop/redact", SHOP_REDACT, &[("X-Shopify-Webhook-Id", id)]));
    let first = post("w-1");
    let due = server.one::<i64>("SELECT due_at FROM gdpr_requests");
    server.clock.advance(Duration::from_secs(60));
    server.install();
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(post("w-2"), json!({"status": "duplicate", "jobId": first["jobId"]}));
    assert_eq!(server.one::<i64>("SELECT due_at FROM gdpr_requests"), due, "it stays due when it was");
    server.work();
    assert_eq!(server.one::<String>("SELECT group_concat(outcome) FROM gdpr_requests"), "erased");
    assert_eq!(server.rows("stores"), 0);
}

#[test]
fn a_repetition_of_a_request_whose_job_was_called_off_makes_a_new_job() {
    let server = Server::new();
    let post = |id: &str| json_of(&server.post("shop/redact", SHOP_REDACT, &[("X-Shopify-Webhook-Id", id)]));
    let first = post("w-1")["jobId"].as_str().expect("a job").to_owned();
    let app = server.app();
    let (queue, now, id) = (app.queue.clone(), server.clock.now(), first.parse().expect("an id"));
    app.db.write(move |tx| queue.cancel(tx, now, id)).expect("called off");
    let again = post("w-1");
    assert_eq!(again["status"], "duplicate");
    assert_ne!(again["jobId"], first);
    assert_eq!(post("w-2")["jobId"], again["jobId"], "one at a time");
    assert_eq!((server.rows("gdpr_requests"), server.rows("job_queue")), (1, 2));
    server.work();
    assert_eq!(server.one::<String>("SELECT outcome FROM gdpr_requests"), "nothing_held");
}

#[test]
fn a_repetition_about_a_customer_whose_job_has_failed_or_was_called_off_makes_a_new_job() {
    for topic in [Topic::CustomersRedact, Topic::CustomersDataRequest] {
        for id in ["c-1", ""] {
            let server = Server::new();
            let post = || json_of(&server.post(topic.as_str(), &sample(&topic), &[("X-Shopify-Webhook-Id", id)]));
            let first = post();
            assert_eq!(post(), json!({"status": "duplicate", "jobId": first["jobId"]}), "it is being seen to");
            let job = first["jobId"].as_str().expect("a job").to_owned();
            let (queue, now, cancelled) = (server.app().queue.clone(), server.clock.now(), job.parse().expect("an id"));
            server.app().db.write(move |tx| queue.cancel(tx, now, cancelled)).expect("called off");
            let again = post();
            assert_eq!(again["status"], "duplicate");
            assert_ne!(again["jobId"], first["jobId"], "{topic} {id:?}");
            assert_eq!(post(), again, "one at a time");
            assert_eq!((server.rows("gdpr_requests"), server.rows("job_queue")), (1, 2));
            server.work();
            assert_eq!(server.one::<i64>("SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL"), 0);
            // What is fulfilled is not done once more.
            assert_eq!(post(), json!({"status": "duplicate", "jobId": first["jobId"]}));
            assert_eq!(server.rows("job_queue"), 2);
        }
    }
}

#[test]
fn a_delivery_without_an_id_is_known_by_topic_body_and_event_time() {
    let server = Server::new();
    let status = |body: &str, more: &[(&str, &str)]| json_of(&server.post("shop/redact", body, more))["status"].clone();
    let noon = [("X-Shopify-Triggered-At", "2025-12-31T12:00:00.000000001Z")];
    assert_eq!(status(SHOP_REDACT, &noon), "accepted");
    assert_eq!(status(SHOP_REDACT, &noon), "duplicate");
    server.work();
    assert_eq!(status(SHOP_REDACT, &noon), "duplicate");
    // All shop/redact bodies of a shop are the same: a later event must not pass for a repetition.
    assert_eq!(status(SHOP_REDACT, &[("X-Shopify-Triggered-At", "2025-12-31T12:00:00.000000002Z")]), "accepted");
    server.work();
    assert_eq!(status(SHOP_REDACT, &[]), "accepted");
    server.work();
    assert_eq!(status(SHOP_REDACT, &[("X-Shopify-Webhook-Id", "")]), "duplicate");
    assert_eq!(status(SHOP_REDACT, &[("X-Shopify-Webhook-Id", &"x".repeat(256))]), "duplicate");
    server.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(status(SHOP_REDACT, &[]), "accepted");
    assert_eq!(server.one::<i64>("SELECT max(length(webhook_id)) FROM webhook_deliveries"), 69);
    assert_eq!(
        server.one::<i64>("SELECT count(webhook_id) FROM gdpr_requests"),
        0,
        "an id of our own is not Shopify's"
    );
}
