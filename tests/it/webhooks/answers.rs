//! What is taken, and how it is answered.

use super::{SHOP, SHOP_REDACT, Server, assert_problem, json_of, request, sample, signed};
use quotegrid::http::{Method, Request};
use quotegrid::shopify::Topic;
use quotegrid::shopify::sample::sign;
use serde_json::{Value, json};

#[test]
fn a_known_webhook_is_answered_with_its_job() {
    let server = Server::new();
    for (topic, kind, job_type) in [
        (Topic::CustomersDataRequest, "CUSTOMERS_DATA_REQUEST", "customers_data_request"),
        (Topic::CustomersRedact, "CUSTOMERS_REDACT", "customer_redact"),
        (Topic::ShopRedact, "SHOP_REDACT", "shop_redact"),
    ] {
        let response = server.post(topic.as_str(), &sample(&topic), &[("X-Shopify-Webhook-Id", "w-1")]);
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("application/json"));
        let answer = json_of(&response);
        let job = answer["jobId"].as_str().expect("a job");
        assert_eq!(answer, json!({"status": "accepted", "jobId": job}));
        let stored: String =
            server.one(&format!("SELECT type FROM job_queue WHERE id = '{job}' AND status = 'pending'"));
        assert_eq!(stored, job_type);
        let request: String = server.one(&format!("SELECT id FROM gdpr_requests WHERE type = '{kind}'"));
        let payload: Value = server.one(&format!("SELECT payload FROM job_queue WHERE id = '{job}'"));
        assert_eq!(payload, json!({"shop": SHOP, "requestId": request}));
        let delivery: String =
            server.one(&format!("SELECT webhook_id || ' ' || shop FROM webhook_deliveries WHERE job_id = '{job}'"));
        assert_eq!(delivery, format!("w-1 {SHOP}"));
    }
    let payload = |kind: &str| server.one::<Value>(&format!("SELECT payload FROM gdpr_requests WHERE type = '{kind}'"));
    assert_eq!(payload("SHOP_REDACT"), json!({}));
    assert_eq!(payload("CUSTOMERS_DATA_REQUEST"), json!({"dataRequestId": 9999}));
    assert_eq!(
        payload("CUSTOMERS_REDACT"),
        json!({"customerId": 191_167, "ordersToRedact": [299_938, 280_263, 220_458]})
    );
}

#[test]
fn every_path_below_webhooks_takes_every_topic() {
    let server = Server::new();
    for path in ["/webhooks", "/webhooks/", "/webhooks/shop/redact", "/webhooks/customers%2Fredact"] {
        let response = server.call(Request { path: path.to_owned(), ..signed("shop/redact", SHOP_REDACT, &[]) });
        assert_eq!(response.status, 200, "{path}");
    }
    assert_problem(&server.call(request("/webhook", &[], b"")), 404);
}

#[test]
fn another_method_is_answered_with_post_in_allow() {
    let server = Server::new();
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let request = Request { method: Method::from(method), ..signed("shop/redact", SHOP_REDACT, &[]) };
        let response = server.call(request);
        assert_problem(&response, 405);
        assert_eq!(response.header("allow"), Some("POST"), "{method}");
    }
    server.nothing_is_written();
}

#[test]
fn the_published_vectors_are_answered() {
    let server = Server::new();
    let headers = |signature, topic| {
        [("x-shopify-hmac-sha256", signature), ("x-shopify-topic", topic), ("x-shopify-shop-domain", SHOP)]
    };
    for (topic, body, signature) in [
        ("shop/redact", SHOP_REDACT, "7HRmgQxRDU4sW2iiDqGO6QiJ/vIzKkJ6vMaZz7t7UJE="),
        (
            "customers/redact",
            r#"{"shop_id":954889,"shop_domain":"fixture.myshopify.com","customer":{"id":191167,"email":"a@example.invalid","phone":"555-0100"},"orders_to_redact":[299938,280263]}"#,
            "fljMgsDRSD349VQ6jMJZwaxN2yidFgjKqFjAcBNiIP8=",
        ),
        (
            "shop/redact",
            "{ \"shop_id\": 954889, \"shop_domain\": \"fixture.myshopify.com\" }\n",
            "0pwR6FAdbldfZXMY9ZXoyRPP/e54JjqaC6GwoatAhxo=",
        ),
    ] {
        let response = server.call(request("/webhooks", &headers(signature, topic), body.as_bytes()));
        assert_eq!(json_of(&response)["status"], "accepted", "{body}");
        // So that none asks for what another asks for already.
        server.work();
    }
    let text = request(
        "/webhooks",
        &headers("hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI=", "shop/redact"),
        b"\"my secret message\"",
    );
    assert_problem(&server.call(text), 400);
}

#[test]
fn either_secret_of_a_rotation_and_either_family_of_headers_is_taken() {
    let server = Server::new();
    for secret in ["hush", "older-secret"] {
        for family in ["X-Shopify-", "Shopify-", "x-shopify-", "SHOPIFY-"] {
            let names = ["Hmac-SHA256", "Topic", "Shop-Domain", "Webhook-Id"].map(|name| format!("{family}{name}"));
            let signature = sign(secret, SHOP_REDACT.as_bytes());
            let id = format!("{secret} {family}").replace(' ', "-");
            let values = [&*signature, "shop/redact", SHOP, &id];
            let headers: Vec<_> = names.iter().map(String::as_str).zip(values).collect();
            let response = server.call(request("/webhooks", &headers, SHOP_REDACT.as_bytes()));
            assert_eq!(json_of(&response)["status"], "accepted", "{secret} {family}");
            server.work();
        }
    }
    assert_eq!(server.rows("webhook_deliveries"), 8);
}

#[test]
fn an_unknown_topic_is_counted_and_not_stored() {
    let server = Server::new();
    for topic in ["orders/create", "shop/update", "Product", "customers/redact/x"] {
        let response = server.post(topic, "{}", &[("X-Shopify-Webhook-Id", "w-1")]);
        assert_eq!((response.status, json_of(&response)), (200, json!({"status": "ignored"})));
    }
    server.nothing_is_written();
    assert_eq!(server.router.state().intake.figures().ignored.load(std::sync::atomic::Ordering::Relaxed), 4);
}
