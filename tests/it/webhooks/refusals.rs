//! What is refused: what is not signed, makes no sense, or was captured and sent as something else.

use super::{SHOP, SHOP_REDACT, Server, assert_problem, request, sample};
use quotegrid::shopify::Topic;
use quotegrid::shopify::sample::{sample_body, sign};

#[test]
fn a_body_over_a_mebibyte_is_too_large_even_when_signed() {
    let server = Server::new();
    let padding =
        |length: usize| format!(r#"{{"shop_id":1,"shop_domain":"{SHOP}","padding":"{}"}}"#, "x".repeat(length));
    let frame = padding(0).len();
    assert_eq!(server.post("shop/redact", &padding((1 << 20) - frame), &[]).status, 200);
    assert_problem(&server.post("shop/redact", &padding((1 << 20) - frame + 1), &[]), 413);
    assert_problem(&server.call(request("/webhooks", &[], &vec![b'x'; (1 << 20) + 1])), 413);
}

#[test]
fn nothing_but_the_right_signature_passes_and_it_is_looked_at_first() {
    let server = Server::new();
    let right = sign("hush", SHOP_REDACT.as_bytes());
    let longer = format!("{right}x");
    for wrong in [
        "",
        "fake",
        "wronghash",
        "YmxhaGJsYWgK",
        "%%%",
        &longer,
        &sign("another", SHOP_REDACT.as_bytes()),
        &sign("hush", b""),
    ] {
        // Whatever else is wrong too: topic and shop missing, body no JSON.
        for body in [SHOP_REDACT.as_bytes(), b"no JSON"] {
            for more in [&[][..], &[("X-Shopify-Topic", "shop/redact"), ("X-Shopify-Shop-Domain", SHOP)]] {
                let headers = [&[("X-Shopify-Hmac-Sha256", wrong)], more].concat();
                assert_problem(&server.call(request("/webhooks", &headers, body)), 401);
                assert_problem(&server.call(request("/webhooks/shop/redact", &headers[1..], body)), 401);
            }
        }
    }
    let with_empty_body = [("X-Shopify-Hmac-Sha256", right.as_str()), ("X-Shopify-Topic", "shop/redact")];
    assert_problem(&server.call(request("/webhooks", &with_empty_body, b"")), 401);
    assert_problem(&server.post("shop/redact", SHOP_REDACT, &[("X-Shopify-Hmac-Sha256", &right)]), 401);
    assert_problem(&server.post("shop/redact", SHOP_REDACT, &[("Shopify-Hmac-Sha256", "fake")]), 401);
    server.nothing_is_written();
}

#[test]
fn a_signed_webhook_that_makes_no_sense_is_malformed() {
    let server = Server::new();
    let signature = sign("hush", SHOP_REDACT.as_bytes());
    let complete =
        [("X-Shopify-Hmac-Sha256", &*signature), ("X-Shopify-Topic", "shop/redact"), ("X-Shopify-Shop-Domain", SHOP)];
    let without_topic = [complete[0], complete[2]];
    assert_problem(&server.call(request("/webhooks", &without_topic, SHOP_REDACT.as_bytes())), 400);
    for shop in [
        "fixture",
        "a.b.myshopify.com",
        "fixture.myshopify.com.evil.example",
        "fixture.myshopify.com/",
        "-a.myshopify.com",
    ] {
        let headers = [complete[0], complete[1], ("X-Shopify-Shop-Domain", shop)];
        assert_problem(&server.call(request("/webhooks", &headers, SHOP_REDACT.as_bytes())), 400);
    }
    for body in [
        "",
        "{",
        "no JSON",
        "<xml/>",
        "null",
        "[]",
        "{}",
        r#"{"shop_id":1}"#,
        r#"{"shop_domain":null}"#,
        r#"{"shop_domain":"fixture.myshopify.com","more":1}"#,
    ] {
        for topic in Topic::KNOWN {
            assert_problem(&server.post(topic.as_str(), body, &[]), 400);
        }
    }
    for name in [
        "X-Shopify-Topic",
        "X-Shopify-Shop-Domain",
        "X-Shopify-Webhook-Id",
        "X-Shopify-Event-Id",
        "X-Shopify-Triggered-At",
    ] {
        assert_problem(&server.post("shop/redact", SHOP_REDACT, &[(name, "1"), (name, "1")]), 400);
    }
    server.nothing_is_written();
}

#[test]
fn a_captured_body_passes_under_no_other_topic_and_for_no_other_shop() {
    let server = Server::new();
    for body_topic in Topic::KNOWN {
        for topic in Topic::KNOWN.into_iter().filter(|topic| *topic != body_topic) {
            assert_problem(&server.post(topic.as_str(), &sample(&body_topic), &[]), 400);
        }
        let other = sample_body(&body_topic, &"other.myshopify.com".parse().expect("valid")).expect("a sample");
        assert_problem(&server.post(body_topic.as_str(), &other, &[]), 401);
    }
    let order = r#"{"id":1,"admin_graphql_api_id":"gid://shopify/Order/1","email":"a@example.invalid","shop_id":1,"shop_domain":"fixture.myshopify.com"}"#;
    for topic in Topic::KNOWN {
        assert_problem(&server.post(topic.as_str(), order, &[]), 400);
    }
    server.nothing_is_written();
    assert_eq!(server.router.state().refusals.other_shop.load(std::sync::atomic::Ordering::Relaxed), 4);
}
