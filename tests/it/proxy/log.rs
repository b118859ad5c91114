//! What the program writes of requests through a shop's own domain: nothing, at any level, whether they are answered or refused.

use super::signed;
use crate::edge::harness::Wire;
use crate::operators::ephemeral::Ephemeral;

/// What no other line of a log has a reason to name: a product, and the customer that `signed` names.
const PRODUCT: &str = "987654321098";
const CUSTOMER: &str = "7700000004711";

#[test]
fn nothing_of_a_proxied_request_is_in_the_log_of_the_program_at_any_level() {
    let (server, log) = Ephemeral::traced(&["--rate-limit", "1"]);
    let (shop, secret) = (server.text("shop").to_owned(), server.text("shopifyApiSecret").to_owned());
    let address = server.address();
    let now = chrono::Utc::now().timestamp();
    let size = [("width", "1193"), ("height", "1388"), ("note", "shopper@example.com")];
    let target = |path: &str, seconds, secret: &str| signed(path, &size, &shop, seconds, secret);
    let price = format!("/proxy/products/{PRODUCT}/price");
    let good = target("/proxy/products/1001/price", now, &secret);
    // More than the store may ask at once, and so refused by the limit.
    let item = "{\"productId\":\"1001\",\"width\":1193,\"height\":1388,\"label\":\"shopper\"}";
    let many = format!("{{\"items\":[{}]}}", vec![item; 100].join(","));
    let requests = [
        ("GET", good.clone(), "", 200),
        ("GET", format!("/{good}"), "", 404),
        ("GET", target(&price, now, &secret), "", 404),
        ("GET", target(&price, now - 3_600, &secret), "", 401),
        ("GET", target(&price, now, "another"), "", 401),
        ("GET", format!("{good}&shop={shop}"), "", 401),
        ("GET", price.clone(), "", 401),
        ("DELETE", target(&price, now, &secret), "", 405),
        ("POST", target("/proxy/prices", now, &secret), "{\"items\":[{\"label\":\"shopper@example.com\"}", 400),
        ("POST", target("/proxy/draft-orders", now, &secret), "{\"label\":\"shopper@example.com\"}", 400),
        ("POST", target("/proxy/prices", now, &secret), &many, 429),
        ("GET", target("/proxy/nothing", now, &secret), "", 404),
        // Rejected before any route is looked at.
        ("GET", target(&format!("/proxy/{}", "x".repeat(9_000)), now, &secret), "", 414),
    ];
    for (method, target, body, status) in requests {
        let mut wire = Wire::to(address);
        wire.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nIdempotency-Key: shopper@example.com\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ));
        let answer = wire.answer();
        assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
    }
    let mut wire = Wire::to(address);
    wire.send("GET /healthz?seen HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(wire.answer().status, 200);
    drop(wire);
    assert!(server.end().0.success());
    let log = log.join().expect("read");
    assert!(log.contains("path=/healthz") && log.contains("path=/proxy/***"), "requests are logged: {log}");
    let signature = good.rsplit_once("signature=").expect("a signature").1;
    let secrets = ["draft-orders", "/price", "xxxx", "apps", "timestamp", &now.to_string()];
    for line in log.lines() {
        // The demo store is made at the start, and says so.
        let is_of_a_request = line.contains("request") || line.contains("path=");
        for secret in secrets {
            assert!(!line.contains(secret) || !is_of_a_request, "{secret} is in the log: {line}");
        }
        assert!(!is_of_a_request || !line.contains(&shop), "{shop} is in the log: {line}");
    }
    for secret in [signature, PRODUCT, CUSTOMER, "shopper", "path_prefix", "logged_in", &secret] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}
