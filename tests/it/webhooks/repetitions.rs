//! Deliveries that come twice.

use super::{SHOP_REDACT, Server, json_of, sample};
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
    assert_eq!(
        (server.rows("webhook_deliveries"), server.rows("gdpr_requests"), server.rows("job_queue")),
        (20, 20, 20)
    );
    assert_eq!(answers.iter().filter(|answer| answer["status"] == "accepted").count(), 20);
    for id in 0..20 {
        let of_one: Vec<_> = answers.iter().skip(id).step_by(20).map(|answer| &answer["jobId"]).collect();
        assert!(of_one.iter().all(|job| *job == of_one[0] && job.is_string()), "{of_one:?}");
    }
}

#[test]
fn a_delivery_without_an_id_is_known_by_topic_body_and_event_time() {
    let server = Server::new();
    let status = |body: &str, more: &[(&str, &str)]| json_of(&server.post("shop/redact", body, more))["status"].clone();
    let noon = [("X-Shopify-Triggered-At", "2025-12-31T12:00:00.000000001Z")];
    assert_eq!(status(SHOP_REDACT, &noon), "accepted");
    assert_eq!(status(SHOP_REDACT, &noon), "duplicate");
    // All shop/redact bodies of a shop are the same: a later event must not pass for a repetition.
    assert_eq!(status(SHOP_REDACT, &[("X-Shopify-Triggered-At", "2025-12-31T12:00:00.000000002Z")]), "accepted");
    assert_eq!(status(SHOP_REDACT, &[]), "accepted");
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
