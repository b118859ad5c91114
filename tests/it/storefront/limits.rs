//! How often: per client of a key, per store, and for those without a valid key. Time is the fixture's; nothing here waits.

use super::harness::{Example, OTHER_SHOP, PRODUCT, Server, body, request};
use quotegrid::clock::Clock;
use quotegrid::http::Response;
use std::net::IpAddr;
use std::time::Duration;

fn from(server: &Server, client: &str, key: &str, resource: &str) -> Response {
    let mut request = request("GET", &format!("/api/v1/products/{PRODUCT}/{resource}"), &[("X-API-Key", key)]);
    request.client = client.parse::<IpAddr>().expect("an address");
    server.ask(request)
}

fn number(response: &Response, name: &str) -> i64 {
    response.header(name).unwrap_or_else(|| panic!("no {name} in {response:?}")).parse().expect("a number")
}

#[test]
fn a_client_has_its_burst_and_then_two_a_second() {
    let server = Server::with_rate_limit(120);
    let Example { shop, .. } = server.example();
    let now = server.fixture.clock.now().timestamp();
    // Answers of every kind count, and all of them say where the client stands.
    let resources =
        [("price?width=450&height=350", 200), ("price", 400), ("price?width=1&height=1", 422), ("options", 200)];
    for request in 0..120 {
        let (resource, status) = resources[request % 4];
        let response = from(&server, "192.0.2.1", &shop.key.key, resource);
        assert_eq!(response.status, status);
        assert_eq!(number(&response, "X-RateLimit-Limit"), 120);
        assert_eq!(number(&response, "X-RateLimit-Remaining"), 119 - i64::try_from(request).expect("small"));
        assert_eq!(number(&response, "X-RateLimit-Reset"), now + (i64::try_from(request).expect("small") + 2) / 2);
    }
    for _refused_requests_count_for_nothing in 0..10 {
        let response = from(&server, "192.0.2.1", &shop.key.key, "options");
        assert_eq!((response.status, response.header("retry-after")), (429, Some("1")));
        assert_eq!((number(&response, "X-RateLimit-Remaining"), number(&response, "X-RateLimit-Reset")), (0, now + 60));
        assert_eq!(body(&response)["title"], "Too Many Requests");
    }
    assert_eq!(from(&server, "192.0.2.2", &shop.key.key, "options").status, 200, "others have their own");
    assert_eq!(from(&server, "2001:db8::1", &shop.key.key, "options").status, 200);
    server.fixture.advance(Duration::from_millis(500));
    assert_eq!(from(&server, "192.0.2.1", &shop.key.key, "options").status, 200);
    assert_eq!(from(&server, "192.0.2.1", &shop.key.key, "options").status, 429);
    server.fixture.advance(Duration::from_secs(60));
    assert_eq!(number(&from(&server, "192.0.2.1", &shop.key.key, "options"), "X-RateLimit-Remaining"), 119);
}

#[test]
fn a_machine_with_many_addresses_of_one_network_is_one_client() {
    let server = Server::with_rate_limit(2);
    let Example { shop, .. } = server.example();
    let statuses = ["2001:db8::1", "2001:db8::2", "2001:db8::3"]
        .map(|client| from(&server, client, &shop.key.key, "options").status);
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn a_site_with_many_networks_cannot_take_the_store_from_its_shoppers() {
    let server = Server::with_rate_limit(2);
    let Example { shop, .. } = server.example();
    let statuses: Vec<u16> = (0..100)
        .map(|number| from(&server, &format!("2001:db8:1:{number:x}::1"), &shop.key.key, "options").status)
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 20, "ten clients' worth");
    assert_eq!(from(&server, "2001:db8:2::1", &shop.key.key, "options").status, 200, "another site");
    assert_eq!(from(&server, "192.0.2.1", &shop.key.key, "options").status, 200);
}

#[test]
fn a_store_cannot_take_the_server_from_the_others() {
    let server = Server::with_rate_limit(2);
    let Example { shop, .. } = server.example();
    let other = server.shop(OTHER_SHOP);
    let statuses: Vec<u16> = (0..101)
        .map(|number| from(&server, &format!("198.51.100.{}", number / 2 + 1), &shop.key.key, "options").status)
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 100, "fifty clients' worth");
    assert_eq!(statuses.last(), Some(&429));
    // A second key of the store does not double it, and another store has its own.
    let second = server.key(shop.scope, &[]);
    assert_eq!(from(&server, "203.0.113.1", &second.key, "options").status, 429);
    assert_eq!(from(&server, "203.0.113.1", &other.key.key, "options").status, 200);
}

#[test]
fn guessing_keys_is_slow_and_does_not_touch_those_who_have_one() {
    let server = Server::with_rate_limit(120);
    let Example { shop, .. } = server.example();
    for _guess in 0..30 {
        assert_eq!(from(&server, "192.0.2.1", "pm_guess", "options").status, 401);
    }
    let refused = from(&server, "192.0.2.1", "pm_guess", "options");
    assert_eq!(
        (refused.status, refused.header("retry-after"), refused.header("x-ratelimit-limit")),
        (429, Some("2"), None)
    );
    assert_eq!(from(&server, "192.0.2.1", &shop.key.key, "options").status, 200, "a valid key is unaffected");
    assert_eq!(from(&server, "192.0.2.2", "pm_guess", "options").status, 401, "so is another address");
    server.fixture.advance(Duration::from_secs(60));
    assert_eq!(from(&server, "192.0.2.1", "pm_guess", "options").status, 401);
}

#[test]
fn zero_is_no_limit_at_all() {
    let server = Server::new();
    let Example { shop, .. } = server.example();
    for _request in 0..200 {
        assert_eq!(from(&server, "192.0.2.1", "pm_guess", "options").status, 401);
        let response = from(&server, "192.0.2.1", &shop.key.key, "options");
        assert_eq!((response.status, response.header("x-ratelimit-limit")), (200, None));
    }
}

#[test]
fn the_use_of_a_key_is_noted_now_and_then() {
    let server = Server::new();
    let Example { shop, .. } = server.example();
    let last_used = || server.fixture.query::<Option<i64>>("SELECT last_used_at FROM api_keys");
    assert_eq!(last_used(), None);
    let ask = || assert_eq!(from(&server, "192.0.2.1", &shop.key.key, "options").status, 200);
    // The note is written some time after the answer; a later change is committed after it.
    let settle = || server.write(|_tx| Ok(()));
    ask();
    settle();
    let first = last_used().expect("noted");
    server.fixture.advance(Duration::from_secs(60));
    ask();
    settle();
    assert_eq!(last_used(), Some(first), "a minute later is no news");
    server.fixture.advance(Duration::from_secs(3_600));
    ask();
    settle();
    assert_eq!(last_used(), Some(first + 3_660_000));
}
