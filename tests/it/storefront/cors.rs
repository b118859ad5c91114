//! What browsers need to let a page read an answer. The harness looks for the fields in every answer; here is who may read.

use super::harness::{Example, PRODUCT, Server, body, request};

const HOME: &str = "https://shop.example";

#[test]
fn a_preflight_needs_no_key_and_may_be_remembered() {
    let server = Server::with_rate_limit(1);
    let _example = server.example();
    for (path, methods) in [
        ("/api/v1/products/1001/price", "GET, OPTIONS"),
        ("/api/v1/products/gid://shopify/Product/1001/options", "GET, OPTIONS"),
        ("/api/v1/draft-orders", "POST, OPTIONS"),
        ("/api/v1/nothing/here", "GET, POST, OPTIONS"),
        ("/api", "GET, POST, OPTIONS"),
    ] {
        for _more_than_the_limit in 0..3 {
            let response = server.ask(request("OPTIONS", path, &[("Origin", HOME)]));
            assert_eq!((response.status, response.body.len()), (204, 0), "{path}");
            assert_eq!(response.header("access-control-allow-methods"), Some(methods), "{path}");
            assert_eq!(response.header("access-control-max-age"), Some("7200"));
            assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        }
    }
}

#[test]
fn paths_that_are_not_there_can_be_read_too() {
    let server = Server::new();
    let Example { shop, .. } = server.example();
    for path in ["/api/v1/products", "/api/v1/products/1001/prices", "/api/v2/x", "/api/", "/api"] {
        let response = server.get(&shop.key, path);
        assert_eq!((response.status, response.header("access-control-allow-origin")), (404, Some("*")), "{path}");
        assert!(body(&response)["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
    // A slash too many at the end of the server's address.
    for path in ["//api/v1/products/1001/price?width=450&height=350", "///api/v1/products/1001/options"] {
        assert_eq!(server.ask_unchecked(request("OPTIONS", path, &[])).status, 204, "{path}");
        let response = server.ask_unchecked(request("GET", path, &[("X-API-Key", &shop.key.key)]));
        assert_eq!((response.status, response.header("access-control-allow-origin")), (200, Some("*")), "{path}");
    }
    // Outside of /api nothing is for other sites.
    assert_eq!(server.ask(request("GET", "/healthz", &[])).header("access-control-allow-origin"), None);
    assert_eq!(server.ask(request("OPTIONS", "/webhooks", &[])).status, 405);
}

#[test]
fn a_key_with_a_list_of_origins_answers_only_their_pages() {
    let server = Server::with_rate_limit(3);
    let Example { shop, .. } = server.example();
    let key = server.key(shop.scope, &["https://Shop.example/", "http://localhost:3000"]).key;
    let target = format!("/api/v1/products/{PRODUCT}/price?width=450&height=350");
    let from =
        |origin: &str, target: &str| server.ask(request("GET", target, &[("X-API-Key", &key), ("Origin", origin)]));

    let refused = |origin: &str| {
        let response = from(origin, &target);
        assert_eq!((response.status, response.header("access-control-allow-origin")), (403, None), "{origin}");
        assert_eq!(response.header("vary"), Some("Origin"));
        assert_eq!(response.header("x-ratelimit-remaining"), Some("3"), "a foreign page uses up nothing");
    };
    for origin in ["https://evil.example", "null", "https://shop.example.evil.example", "http://shop.example", ""] {
        refused(origin);
    }
    for (origin, target, status) in
        [(HOME, &*target, 200), ("http://localhost:3000", "/api/v1/products/abc/price", 400)]
    {
        let response = from(origin, target);
        assert_eq!((response.status, response.header("access-control-allow-origin")), (status, Some(origin)));
        assert_eq!(response.header("vary"), Some("Origin"));
    }
    // A program has no origin, and no browser that would let a page read the answer.
    let program = server.ask(request("GET", &target, &[("X-API-Key", &key)]));
    assert_eq!((program.status, program.header("access-control-allow-origin")), (200, None));
    // The limit's refusal can be read as well.
    let limited = from(HOME, &target);
    assert_eq!((limited.status, limited.header("access-control-allow-origin")), (429, Some(HOME)));
}

#[test]
fn two_keys_or_two_origins_in_one_request_are_refused() {
    let server = Server::new();
    let Example { shop, .. } = server.example();
    let key: &str = &shop.key.key;
    for fields in [
        &[("X-API-Key", key), ("X-API-Key", key)][..],
        &[("X-API-Key", key), ("x-api-key", "qg_other")],
        &[("X-API-Key", key), ("Origin", HOME), ("Origin", "https://evil.example")],
    ] {
        let response = server.ask_unchecked(request("GET", "/api/v1/products/1/options", fields));
        assert_eq!(response.status, 400, "{fields:?}");
        assert!(response.json_body()["detail"].as_str().is_some_and(|detail| detail.ends_with("is given twice")));
    }
}
