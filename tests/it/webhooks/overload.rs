//! A database that is busy, and what those who watch the server are told.

use super::{PATIENCE, SHOP_REDACT, Server, assert_problem, json_of, request, signed};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn a_database_that_cannot_commit_is_503_and_leaves_nothing() {
    let server = Server::with(|options| {
        options.database.write_queue = 20;
        options.database.write_wait = Duration::from_secs(4);
    });
    let lock = server.stranger();
    lock.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let started = Instant::now();
    let waiting: Vec<_> = (0..30)
        .map(|id: u32| server.start(signed("shop/redact", SHOP_REDACT, &[("X-Shopify-Webhook-Id", &id.to_string())])))
        .collect();
    // One is in the writer's hands and twenty may wait; the others are refused at once.
    let at_once: Vec<_> =
        waiting.iter().filter_map(|answer| answer.recv_timeout(Duration::from_millis(200)).ok()).collect();
    assert!(at_once.len() >= 9, "{}", at_once.len());
    for response in &at_once {
        assert_problem(response, 503);
        assert!(response.header("retry-after").is_some_and(|after| after.parse::<u32>().is_ok_and(|after| after > 0)));
    }
    assert_eq!(server.get("/healthz").status, 200, "alive, if busy");
    assert_problem(&server.get("/readyz"), 503);
    let late: Vec<_> = waiting.iter().filter_map(|answer| answer.recv_timeout(PATIENCE).ok()).collect();
    assert_eq!(at_once.len() + late.len(), 30);
    for response in &late {
        assert_problem(response, 503);
    }
    // Together: one after the other they would take 80 s.
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    lock.execute_batch("ROLLBACK").expect("released");
    server.nothing_is_written();
    assert_eq!(json_of(&server.post("shop/redact", SHOP_REDACT, &[]))["status"], "accepted");
}

#[test]
fn health_and_readiness_are_answered() {
    let server = Server::new();
    assert_eq!(json_of(&server.get("/healthz"))["status"], "ok");
    let response = server.get("/readyz");
    assert_eq!(response.status, 200);
    let ready = json_of(&response);
    // How it stands is for operators.
    assert_eq!(ready, json!({ "status": "ready" }));
    assert_problem(&server.get("/nowhere"), 404);
    assert_problem(&server.call(request("/healthz", &[], b"")), 405);
}
