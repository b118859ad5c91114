//! What passes as a webhook of Shopify, and what does not.

use super::super::sample::{sample_body, sign};
use super::body::WRONG_SHAPE;
use super::*;

const SHOP: &str = "fixture.myshopify.com";
const SHOP_REDACT: &[u8] = br#"{"shop_id":954889,"shop_domain":"fixture.myshopify.com"}"#;
const CUSTOMER_REDACT: &[u8] = br#"{"shop_id":954889,"shop_domain":"fixture.myshopify.com","customer":{"id":191167,"email":"a@example.invalid","phone":"555-0100"},"orders_to_redact":[299938,280263]}"#;

fn shop() -> ShopDomain {
    SHOP.parse().expect("valid")
}

/// Receives `body`, rightly signed, under the headers of `family` with `topic`, the fixture's shop and `more`.
fn receive(family: &str, topic: &str, body: &[u8], more: &[(&str, &str)]) -> Result<Webhook, Refusal> {
    let names = ["Hmac-Sha256", "Topic", "Shop-Domain"].map(|name| format!("{family}{name}"));
    let signature = sign("hush", body);
    let mut headers = vec![(&*names[0], &*signature), (&*names[1], topic), (&*names[2], SHOP)];
    headers.extend_from_slice(more);
    Webhook::receive(&Secrets::new(["hush"]), headers, body)
}

fn classic(topic: &str, body: &[u8]) -> Result<Webhook, Refusal> {
    receive("x-shopify-", topic, body, &[])
}

#[test]
fn shopifys_own_vectors_verify() {
    for (secret, body, signature) in [
        ("test_secret_key", &br#"{"foo": "bar"}"#[..], "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g="),
        ("7008c5f4da4718b9b45d26d3fcbbb157", br#"{"foo":"bar"}"#, "+R9TwYM4mbLTk3hEAOBkpA7zW2lc9vNFmVKs2u2jtyY="),
        ("hush", br#""my secret message""#, "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI="),
        ("hush", SHOP_REDACT, "7HRmgQxRDU4sW2iiDqGO6QiJ/vIzKkJ6vMaZz7t7UJE="),
        ("hush", CUSTOMER_REDACT, "fljMgsDRSD349VQ6jMJZwaxN2yidFgjKqFjAcBNiIP8="),
        (
            "hush",
            b"{ \"shop_id\": 954889, \"shop_domain\": \"fixture.myshopify.com\" }\n",
            "0pwR6FAdbldfZXMY9ZXoyRPP/e54JjqaC6GwoatAhxo=",
        ),
    ] {
        assert_eq!(sign(secret, body), signature);
        assert!(Secrets::new([secret]).verify(signature, body), "{secret}");
        assert!(Secrets::new(["another", secret]).verify(signature, body), "rotation, {secret}");
        assert!(!Secrets::new(["another"]).verify(signature, body));
        assert!(!Secrets::new([secret]).verify(signature, b""));
        assert!(!Secrets::new([secret]).verify(signature, &body[1..]));
    }
}

#[test]
fn what_is_no_signature_verifies_nothing() {
    let right = sign("hush", SHOP_REDACT);
    let unpadded = right.trim_end_matches('=');
    let loose = right.replace("E=", "F=");
    assert_ne!(loose, right, "other bits after the last byte decode leniently to the same 32 bytes");
    for wrong in [
        "",
        "fake",
        "wronghash",
        "YmxhaGJsYWgK",
        "YmxhaGJsYWhibGFoYmxhaGJsYWhibGFoYmxhaGJsYWhibGFoYmxhaGJsYWhibGFoCg==",
        "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "======================================================",
        &format!("{right}x"),
        &format!("{right},{right}"),
        &format!(" {}", &right[1..]),
        &format!("{unpadded}A"),
        &right.to_lowercase(),
        &loose,
        unpadded,
        "äöüäöüäöüäöüäöüäöüäöüä",
    ] {
        assert!(!Secrets::new(["hush"]).verify(wrong, SHOP_REDACT), "{wrong}");
    }
}

#[test]
fn an_empty_secret_and_no_secret_sign_nothing() {
    assert!(!Secrets::new([""]).verify(&sign("", b"x"), b"x"));
    assert!(!Secrets::new([]).verify(&sign("", b"x"), b"x"));
    assert_eq!(format!("{:?}", Secrets::new(["hush", "older"])), "Secrets(*** x 2)");
}

#[test]
fn what_is_kept_is_ids_only() {
    let webhook = classic("customers/redact", CUSTOMER_REDACT).expect("valid");
    let expected =
        WebhookEvent::CustomersRedact { customer_id: Some(191_167), orders_to_redact: Some(vec![299_938, 280_263]) };
    assert_eq!(webhook.event, expected);
    let shown = format!("{webhook:?}");
    assert!(!shown.contains("example.invalid") && !shown.contains("555-0100"), "{shown}");
}

#[test]
fn ids_come_as_numbers_or_text_and_may_be_missing() {
    let body = |customer: &str, orders: &str| {
        format!(r#"{{"shop_id":"954889","shop_domain":"{SHOP}","customer":{customer},"orders_to_redact":{orders}}}"#)
    };
    for (customer, orders, customer_id, orders_to_redact) in [
        (r#"{"id":"7"}"#, r#"["8",9]"#, Some(7), Some(vec![8, 9])),
        (r#"{"id":18446744073709551615}"#, "[]", Some(u64::MAX), Some(vec![])),
        (r#"{"id":null,"email":null}"#, "null", None, None),
        ("{}", "null", None, None),
    ] {
        let webhook = classic("customers/redact", body(customer, orders).as_bytes()).expect("valid");
        assert_eq!(webhook.event, WebhookEvent::CustomersRedact { customer_id, orders_to_redact });
    }
}

#[test]
fn what_cannot_be_read_of_a_duty_is_left_out_and_the_duty_counts() {
    let digits = "9".repeat(400);
    for (members, customer_id, orders_to_redact) in [
        (r#""customer":null,"orders_to_redact":[1]"#, None, Some(vec![1])),
        (r#""customer":null"#, None, None),
        (r#""orders_to_redact":[1,null,2]"#, None, Some(vec![1, 2])),
        (r#""customer":{"id":-7},"orders_to_redact":[-1,1.5,"+5","",true,{"id":7},[8],9]"#, None, Some(vec![9])),
        (
            r#""customer":{"id":"gid://shopify/Customer/7"},"orders_to_redact":["gid://shopify/Order/8"]"#,
            Some(7),
            Some(vec![8]),
        ),
        (
            r#""customer":{"id":"gid://shopify/Customer/x"},"orders_to_redact":["gid://evil/8","gid://shopify/8"]"#,
            None,
            Some(vec![]),
        ),
        (r#""customer":{"id":18446744073709551616},"orders_to_redact":[18446744073709551616]"#, None, Some(vec![])),
        (r#""customer":{"id":"18446744073709551616"},"orders_to_redact":7"#, None, None),
        (r#""customer":7,"orders_to_redact":"8""#, None, None),
        (r#""customer":[],"orders_to_redact":{}"#, None, None),
        (r#""customer":{"id":{"id":7}},"orders_to_redact":null"#, None, None),
        (&format!(r#""customer":{{"id":{digits}}},"orders_to_redact":[1]"#), None, Some(vec![1])),
    ] {
        for shop_id in ["", r#""shop_id":null,"#, r#""shop_id":"gid://shopify/Shop/1","#, r#""shop_id":1e999,"#] {
            let body = format!(r#"{{{shop_id}"shop_domain":"{SHOP}",{members}}}"#);
            let event = classic("customers/redact", body.as_bytes()).expect(&body).event;
            let expected = WebhookEvent::CustomersRedact { customer_id, orders_to_redact: orders_to_redact.clone() };
            assert_eq!(event, expected, "{body}");
        }
    }
    for (members, data_request_id) in [
        (r#""customer":null,"orders_requested":[null],"data_request":{"id":"9"}"#, Some(9)),
        (r#""customer":{},"orders_requested":null"#, None),
        (r#""data_request":null"#, None),
        (r#""data_request":{"id":"gid://shopify/DataRequest/9"}"#, Some(9)),
        (r#""data_request":{"id":18446744073709551616}"#, None),
        (r#""data_request":9"#, None),
    ] {
        let body = format!(r#"{{"shop_domain":"{SHOP}",{members}}}"#);
        let event = classic("customers/data_request", body.as_bytes()).expect(&body).event;
        assert_eq!(event, WebhookEvent::CustomersDataRequest { data_request_id }, "{body}");
    }
    for members in ["", r#","shop_id":null"#, r#","shop_id":18446744073709551616,"more":1"#] {
        let body = format!(r#"{{"shop_domain":"{SHOP}"{members}}}"#);
        assert_eq!(classic("shop/redact", body.as_bytes()).expect(&body).event, WebhookEvent::ShopRedact);
    }
    for members in ["", r#","id":null"#, r#","id":"gid://shopify/Shop/1""#] {
        let body = format!(r#"{{"myshopify_domain":"{SHOP}"{members}}}"#);
        assert_eq!(classic("app/uninstalled", body.as_bytes()).expect(&body).event, WebhookEvent::AppUninstalled);
    }
}

#[test]
fn a_body_without_its_own_topics_mark_is_refused() {
    for (topic, members) in [
        ("shop/redact", r#","reason":"no number and something else""#),
        ("customers/redact", ""),
        ("customers/redact", r#","shop_id":1"#),
        ("customers/redact", r#","shop_id":1,"customer":{},"orders_requested":[]"#),
        ("customers/redact", r#","shop_id":1,"customer":{},"data_request":null"#),
        ("customers/redact", r#","shop_id":1,"customer":{},"id":null"#),
        ("customers/data_request", ""),
        ("customers/data_request", r#","shop_id":1,"customer":{}"#),
        ("customers/data_request", r#","shop_id":1,"customer":{},"orders_to_redact":[]"#),
        ("app/uninstalled", ""),
    ] {
        let body = format!(r#"{{"shop_domain":"{SHOP}"{members}}}"#);
        assert_eq!(classic(topic, body.as_bytes()), Err(WRONG_SHAPE), "{topic} {body}");
    }
}

#[test]
fn a_body_passes_under_its_own_topic_only() {
    for body_topic in Topic::KNOWN {
        let body = sample_body(&body_topic, &shop()).expect("a sample");
        for topic in Topic::KNOWN {
            let outcome = classic(topic.as_str(), body.as_bytes());
            if topic == body_topic {
                assert_eq!(outcome.expect("its own").topic, topic);
            } else {
                assert_eq!(outcome, Err(WRONG_SHAPE), "{body_topic} under {topic}");
            }
        }
    }
}

#[test]
fn the_sample_of_a_draft_order_passes_under_its_own_topic_only() {
    let body = |topic: &Topic| sample_body(topic, &shop()).expect("a sample");
    let (updated, deleted) = (body(&Topic::DraftOrdersUpdate), body(&Topic::DraftOrdersDelete));
    let draft_id = "gid://shopify/DraftOrder/994118539".to_owned();
    match classic("draft_orders/update", updated.as_bytes()).expect("its own").event {
        WebhookEvent::DraftOrderUpdated { draft_id: found, is_completed: true, completed_at: Some(_), .. } => {
            assert_eq!(found, draft_id);
        }
        other => panic!("{other:?}"),
    }
    let event = classic("draft_orders/delete", deleted.as_bytes()).expect("its own").event;
    assert_eq!(event, WebhookEvent::DraftOrderDeleted { draft_id });
    assert_eq!(classic("draft_orders/delete", updated.as_bytes()), Err(WRONG_SHAPE));
    for topic in Topic::KNOWN {
        assert_eq!(classic(topic.as_str(), updated.as_bytes()), Err(WRONG_SHAPE), "{topic}");
        assert_eq!(classic(topic.as_str(), deleted.as_bytes()), Err(WRONG_SHAPE), "{topic}");
    }
}

#[test]
fn a_body_with_a_member_of_another_topic_is_refused_even_where_that_is_null() {
    for member in [
        "customer",
        "orders_to_redact",
        "orders_requested",
        "data_request",
        "myshopify_domain",
        "id",
        "admin_graphql_api_id",
    ] {
        let body = format!(r#"{{"shop_id":1,"shop_domain":"{SHOP}","{member}":null}}"#);
        assert_eq!(classic("shop/redact", body.as_bytes()), Err(WRONG_SHAPE), "{member}");
    }
    let body = format!(r#"{{"shop_id":1,"shop_domain":"{SHOP}","another":[{{}}]}}"#);
    classic("shop/redact", body.as_bytes()).expect("unknown fields are skipped");
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    let array = format!(r#"[954889,"{SHOP}"]"#);
    for (body, reason) in [
        ("", "the body is not JSON"),
        ("{", "the body is not JSON"),
        ("{}x", "the body is not JSON"),
        ("[1", "the body is not JSON"),
        ("null", "the body does not match its topic"),
        ("7", "the body does not match its topic"),
        ("{}", "the body does not match its topic"),
        (&array, "the body does not match its topic"),
        (r#"{"shop_id":1,"shop_domain":null}"#, "the body does not match its topic"),
        (r#"{"shop_id":1,"shop_domain":"x"}"#, "the shop in the body must look like name.myshopify.com"),
    ] {
        assert_eq!(classic("shop/redact", body.as_bytes()), Err(Refusal::Malformed(reason)), "{body}");
    }
}

#[test]
fn the_signed_shop_must_be_the_headers() {
    for topic in Topic::KNOWN {
        let other = "other.myshopify.com".parse().expect("valid");
        let body = sample_body(&topic, &other).expect("a sample");
        assert_eq!(classic(topic.as_str(), body.as_bytes()), Err(Refusal::OtherShop), "{topic}");
        assert_eq!(classic("shop/update", body.as_bytes()), Err(Refusal::OtherShop), "{topic}");
    }
    let shouted = SHOP.to_uppercase();
    let body = sample_body(&Topic::ShopRedact, &shop()).expect("a sample").replace(SHOP, &shouted);
    assert_eq!(classic("shop/redact", body.as_bytes()).expect("the same shop").shop, shop());
}

#[test]
fn without_a_shop_header_the_signed_body_names_the_shop() {
    let secrets = Secrets::new(["hush"]);
    for topic in Topic::KNOWN {
        let body = sample_body(&topic, &shop()).expect("a sample");
        let signature = sign("hush", body.as_bytes());
        let signed = [("x-shopify-hmac-sha256", &*signature), ("x-shopify-topic", topic.as_str())];
        for shop_header in [None, Some(""), Some("  ")] {
            let more = shop_header.map(|shop| ("x-shopify-shop-domain", shop));
            let webhook = Webhook::receive(&secrets, signed.into_iter().chain(more), body.as_bytes());
            assert_eq!(webhook.expect("the body says whose it is").shop, shop(), "{topic} {shop_header:?}");
        }
        let other = [("x-shopify-shop-domain", ""), ("shopify-shop-domain", "other.myshopify.com")];
        let refused = Webhook::receive(&secrets, signed.into_iter().chain(other), body.as_bytes());
        assert_eq!(refused, Err(Refusal::OtherShop), "{topic}");
    }
    let unnamed = [("x-shopify-hmac-sha256", sign("hush", b"{}")), ("x-shopify-topic", "orders/create".to_owned())];
    let refused = Webhook::receive(&secrets, unnamed.iter().map(|(name, value)| (*name, value.as_str())), b"{}");
    assert!(matches!(refused, Err(Refusal::Malformed(_))), "{refused:?}");
}

#[test]
fn an_unknown_topic_may_say_anything_in_json() {
    for body in ["{}", "[]", "null", r#"{"shop_domain":7}"#, r#"{"id":1,"shop_domain":{"x":1},"customer":3}"#] {
        let webhook = classic("orders/create", body.as_bytes()).expect(body);
        assert_eq!(webhook.event, WebhookEvent::Unknown);
        assert_eq!(webhook.topic, Topic::Unknown("orders/create".to_owned()));
    }
    assert_eq!(classic("orders/create", b"<xml/>"), Err(Refusal::Malformed("the body is not JSON")));
}

#[test]
fn both_families_are_read_in_any_case_and_one_completes_the_other() {
    for family in ["x-shopify-", "X-Shopify-", "X-SHOPIFY-", "shopify-", "Shopify-"] {
        receive(family, "shop/redact", SHOP_REDACT, &[]).expect(family);
    }
    let signature = sign("hush", SHOP_REDACT);
    let other = sign("other", SHOP_REDACT);
    let secrets = Secrets::new(["hush"]);
    let receive = |headers: &[(&str, &str)]| Webhook::receive(&secrets, headers.iter().copied(), SHOP_REDACT);
    let mixed = [
        ("x-shopify-hmac-sha256", &*signature),
        ("x-shopify-topic", ""),
        ("shopify-topic", "shop/redact"),
        ("shopify-shop-domain", SHOP),
        ("shopify-webhook-id", "a-1"),
        ("shopify-triggered-at", "2026-01-01T00:00:00Z"),
    ];
    let webhook = receive(&mixed).expect("what the signed family lacks, the other has");
    assert_eq!((webhook.topic, webhook.webhook_id.as_deref()), (Topic::ShopRedact, Some("a-1")));
    assert!(webhook.triggered_at.is_some());
    let classic =
        [("x-shopify-hmac-sha256", &*signature), ("x-shopify-topic", "shop/redact"), ("x-shopify-shop-domain", SHOP)];
    let with = |more: (&'static str, &str)| receive(&[&classic[..], &[(more.0, more.1)]].concat());
    assert_eq!(with(("shopify-hmac-sha256", &other)), Err(Refusal::Unsigned));
    assert_eq!(with(("x-shopify-hmac-sha256", &signature)), Err(Refusal::Unsigned));
    with(("shopify-hmac-sha256", &signature)).expect("two that agree");
    with(("shopify-topic", "Product")).expect("the classic family is the signed one");
    for twice in ["topic", "shop-domain"] {
        let value = if twice == "topic" { "shop/redact" } else { SHOP };
        let name: &'static str = if twice == "topic" { "x-shopify-topic" } else { "x-shopify-shop-domain" };
        assert!(matches!(with((name, value)), Err(Refusal::Malformed(_))), "{twice}");
    }
    assert_eq!(receive(&[]), Err(Refusal::Unsigned));
    assert_eq!(receive(&classic[1..]), Err(Refusal::Unsigned));
}

#[test]
fn ids_that_cannot_be_kept_are_absent_and_times_are_read_to_the_nanosecond() {
    let long = "x".repeat(256);
    let longest = "x".repeat(255);
    for (given, kept) in [
        ("a-1", Some("a-1")),
        (&longest, Some(&*longest)),
        (&long, None),
        ("", None),
        ("a b", None),
        ("\u{7f}", None),
        ("ä", None),
    ] {
        let more = [("x-shopify-webhook-id", given), ("x-shopify-event-id", given)];
        let webhook = receive("x-shopify-", "shop/redact", SHOP_REDACT, &more).expect("valid");
        assert_eq!((webhook.webhook_id.as_deref(), webhook.event_id.as_deref()), (kept, kept));
    }
    for (given, nanos) in [
        ("2023-11-09T16:28:37.556612022Z", Some(1_699_547_317_556_612_022)),
        ("2023-11-09T17:28:37+01:00", Some(1_699_547_317_000_000_000)),
        ("yesterday", None),
        ("", None),
    ] {
        let more = [("x-shopify-triggered-at", given)];
        let webhook = receive("x-shopify-", "shop/redact", SHOP_REDACT, &more).expect("valid");
        assert_eq!(webhook.triggered_at.and_then(|at| at.timestamp_nanos_opt()), nanos, "{given}");
    }
    let twice = [("x-shopify-webhook-id", "1"), ("x-shopify-webhook-id", "1")];
    assert!(matches!(receive("x-shopify-", "shop/redact", SHOP_REDACT, &twice), Err(Refusal::Malformed(_))));
}

#[test]
fn a_topic_is_known_in_any_case_and_bounded() {
    assert_eq!(classic("Shop/Redact", SHOP_REDACT).expect("known").topic, Topic::ShopRedact);
    for topic in ["", "a b", "a\tb", &"x".repeat(256)] {
        assert!(matches!(classic(topic, SHOP_REDACT), Err(Refusal::Malformed(_))), "{topic}");
    }
}
