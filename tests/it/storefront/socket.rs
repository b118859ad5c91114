//! The same over a socket, behind the front end: what a browser and a proxy really send.

use super::harness::{Example, Server};
use crate::edge::harness::Wire;
use quotegrid::edge::{Server as HttpServer, ServerOptions};
use std::net::SocketAddr;
use std::sync::Arc;

#[test]
fn a_browser_gets_its_price_whatever_the_product_is_spelled_like() {
    let server = Server::with_rate_limit(120);
    let Example { shop, .. } = server.example();
    let options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    let http = HttpServer::start(options, Arc::new(server.router.clone())).expect("a server");
    let mut wire = Wire::to(http.address());
    let mut ask = |method: &str, target: &str, key: &str| {
        wire.send(format!("{method} {target} HTTP/1.1\r\nHost: quotes.example\r\nOrigin: https://shop.example\r\nX-API-Key: {key}\r\n\r\n"));
        if method == "HEAD" {
            let head = wire.head().expect("a head");
            return (head[9..12].parse().expect("a status"), head, String::new());
        }
        let answer = wire.answer();
        (answer.status, answer.head, String::from_utf8(answer.body).expect("text"))
    };
    for id in
        ["1001", "gid%3A%2F%2Fshopify%2FProduct%2F1001", "gid://shopify/Product/1001", "gid:/shopify/Product/1001"]
    {
        let (status, head, body): (u16, _, _) =
            ask("GET", &format!("/api/v1/products/{id}/price?width=450&height=350"), &shop.key.key);
        assert_eq!(status, 200, "{id} {head}");
        assert!(body.starts_with(r#"{"price":30,"currency":"USD""#), "{body}");
        assert!(
            head.contains("Access-Control-Allow-Origin: *\r\n") && head.contains("X-RateLimit-Remaining: "),
            "{head}"
        );
    }
    let (status, head, _) = ask("OPTIONS", "/api/v1/products/gid://shopify/Product/1001/price", "");
    assert!(status == 204 && head.contains("Access-Control-Allow-Headers: X-API-Key"), "{head}");
    let (status, head, _) = ask("HEAD", "/api/v1/products/1001/price?width=450&height=350", &shop.key.key);
    assert!(status == 200 && head.contains("Content-Type: application/json"), "{head}");
    let (status, head, _) = ask("PUT", "/api/v1/products/1001/price", &shop.key.key);
    assert!(status == 405 && head.contains("Allow: GET, HEAD, OPTIONS"), "{head}");
    let (status, _, body) = ask("GET", "/api/v1/products/1001/price?width=450&height=350", "pm_wrong");
    assert!(status == 401 && body.contains("\"detail\""), "{body}");
}

/// The status line, the problem's title, and the front end's own refusals name a status by one phrase.
#[test]
fn a_status_has_one_phrase_in_all_layers() {
    let server = Server::with_rate_limit(120);
    let Example { shop, .. } = server.example();
    let options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    let http = HttpServer::start(options, Arc::new(server.router.clone())).expect("a server");
    let mut phrases = Vec::new();
    for (method, target, length, sent) in [
        // Larger than an order may be, and larger than anything may be: told by the handler, and by the front end.
        ("POST", "/api/v1/draft-orders", 100_000, 100_000),
        ("POST", "/api/v1/draft-orders", 2_000_000, 0),
        ("GET", "/api/v1/products/1001/price?width=1&height=1", 0, 0),
        ("GET", "/api/v1/products/1001/price", 0, 0),
    ] {
        let mut wire = Wire::to(http.address());
        let key = &shop.key.key;
        wire.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: q.example\r\nX-API-Key: {key}\r\nContent-Length: {length}\r\n\r\n{}",
            "x".repeat(sent)
        ));
        let answer = wire.answer();
        let line = answer.head.lines().next().expect("a status line").to_owned();
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let title = problem["title"].as_str().expect("a title");
        if title != "Validation Failed" {
            assert!(
                line.ends_with(&format!("{} {title}", answer.status)) || problem["code"].is_string(),
                "{line}: {title}"
            );
        }
        phrases.push(line["HTTP/1.1 ".len()..].to_owned());
    }
    let expected = ["413 Content Too Large", "413 Content Too Large", "422 Unprocessable Content", "400 Bad Request"];
    assert_eq!(phrases, expected);
}
