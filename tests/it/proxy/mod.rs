//! The storefront API through a shop's own domain: what Shopify signs is let in, and nothing else is, and nothing of it is written.

mod log;

use crate::storefront::harness::{Example, OTHER_SHOP, PRODUCT, SHOP, Server, ask, body, encoded, grid, request};
use crate::storefront::spec;
use quotegrid::catalog::stores;
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::http::{AppState, Response, Router};
use quotegrid::shopify::{Secrets, app_proxy};
use serde_json::{Value, json};
use std::sync::Arc;

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// A target as Shopify passes it on: the page's own parameters, then Shopify's, then the signature of all.
pub(crate) fn signed(path: &str, own: Pairs<'_>, shop: &str, seconds: i64, secret: &str) -> String {
    let time = seconds.to_string();
    let of_shopify = [
        ("shop", shop),
        ("path_prefix", "/apps/quotes"),
        ("logged_in_customer_id", "7700000004711"),
        ("timestamp", time.as_str()),
    ];
    let pairs: Vec<(String, String)> =
        own.iter().chain(&of_shopify).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let query: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    format!("{path}?{}&signature={}", query.join("&"), app_proxy::sign(secret, &pairs))
}

fn now(server: &Server) -> i64 {
    server.fixture.now().timestamp()
}

/// Asks, and holds the answer against what is promised of every one: no CORS, and no cache.
fn get(server: &Server, target: &str) -> Response {
    checked(ask(&server.router, request("GET", target, &[])), "GET", target)
}

fn checked(response: Response, method: &str, target: &str) -> Response {
    spec::check(method, target.split('?').next().unwrap_or_default(), &response);
    for (name, _) in &response.headers {
        assert!(!name.to_ascii_lowercase().starts_with("access-control"), "{name} in an answer for one site");
    }
    assert_eq!(response.header("cache-control"), Some("no-store"), "{target}");
    response
}

fn post(server: &Server, target: &str, content: &Value, headers: &[(&str, &str)]) -> Response {
    let mut request = request("POST", target, headers);
    request.body = content.to_string().into_bytes();
    checked(ask(&server.router, request), "POST", target)
}

const SIZE: [(&str, &str); 2] = [("width", "450"), ("height", "350")];

#[test]
fn a_signed_request_is_answered_as_the_storefront_answers_without_a_key() {
    let server = Server::new();
    let Example { required, free, .. } = server.example();
    let target = |path: &str, own: Pairs<'_>| signed(path, own, SHOP, now(&server), "hush");
    let price = get(&server, &target("/proxy/products/1001/price", &SIZE));
    assert_eq!((price.status, &body(&price)["price"]), (200, &json!(30)));
    let gid = get(&server, &target("/proxy/products/gid://shopify/Product/1001/price", &SIZE));
    assert_eq!(gid.status, 200);
    assert_eq!(body(&get(&server, &target("/proxy/products/1001", &[])))["title"], "a pane");
    assert_eq!(get(&server, &target("/proxy/products/1001/options", &[])).status, 200);
    // What the page asks with is signed as it is decoded: JSON, blanks and letters beyond ASCII.
    let options =
        json!({ "selections": [{ "optionGroupId": required.to_string(), "choiceId": free.to_string() }] }).to_string();
    let own = [SIZE[0], SIZE[1], ("options", options.as_str()), ("note", "ä b+c&d=e")];
    assert_eq!(get(&server, &target("/proxy/products/1001/price", &own)).status, 200);
    let item = json!({ "productId": PRODUCT, "width": 450, "height": 350, "options": [{ "optionGroupId": required.to_string(), "choiceId": free.to_string() }] });
    let list = post(&server, &target("/proxy/prices", &[]), &json!({ "items": [item] }), &[]);
    assert_eq!((list.status, &body(&list)["total"]), (200, &json!(30)));
    let order = |headers: &[(&str, &str)]| {
        body(&post(&server, &target("/proxy/draft-orders", &[]), &item, headers))["name"].clone()
    };
    assert_eq!(order(&[("Idempotency-Key", "a")]), "#D1");
    assert_eq!(order(&[("Idempotency-Key", "a")]), "#D1");
    // Two shoppers behind Shopify are one address to us: without a key of its own an order is never taken for another's.
    assert_eq!((order(&[]), order(&[])), (json!("#D2"), json!("#D3")));
    // Faults are the storefront's, in the shopper's language.
    let own = [("width", "901"), ("height", "350"), ("lang", "fr")];
    let outside = get(&server, &target("/proxy/products/1001/price", &own));
    assert_eq!((outside.status, outside.header("content-language")), (422, Some("fr")));
    let unknown = get(&server, &target("/proxy/nothing", &[]));
    assert_eq!((unknown.status, &body(&unknown)["code"]), (404, &json!("not_found")));
    let other = post(&server, &target("/proxy/products/1001/price", &[]), &json!({}), &[]);
    assert_eq!((other.status, other.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn whatever_shopify_has_not_signed_for_a_live_store_is_401_and_says_no_more() {
    let server = Server::new();
    let example = server.example();
    let other = server.shop(OTHER_SHOP);
    let id = server.matrix(other.scope, "Other", grid(OutOfRange::Reject));
    server.assign(other.scope, PRODUCT, id);
    let time = now(&server);
    let path = "/proxy/products/1001/price";
    let good = signed(path, &SIZE, SHOP, time, "hush");
    assert_eq!(get(&server, &good).status, 200);
    let signature = good.rsplit_once('=').expect("a signature").1.to_owned();
    let (unsigned, _) = good.rsplit_once('&').expect("a signature");
    let wrong = vec![
        path.to_owned(),
        format!("{path}?"),
        unsigned.to_owned(),
        format!("{unsigned}&signature="),
        format!("{unsigned}&signature={}", signature.to_uppercase()),
        format!("{unsigned}&signature={}", &signature[..63]),
        format!("{unsigned}&signature={signature}0"),
        format!("{unsigned}&signature=%20{signature}"),
        format!("{unsigned}&signature=sha256%3D{signature}"),
        format!("{unsigned}&hmac={signature}"),
        format!("{good}&signature={signature}"),
        format!("{good}&shop={SHOP}"),
        format!("{good}&shop="),
        format!("{good}&timestamp={time}"),
        format!("{good}&extra=1"),
        // Names may be encoded too: these are the ones above.
        format!("{good}&%73ignature={signature}"),
        format!("{good}&s%68op={}", encoded(OTHER_SHOP)),
        format!("{good}&timestam%70={time}"),
        good.replace("shop=", "shop%00="),
        good.replace("shop=", "shop[]="),
        good.replace('&', ";"),
        good.replace("&signature=", "&Signature="),
        good.replace("&signature=", "#signature="),
        format!("{good}&").replace("width=450", "width=451"),
        good.replace(&encoded(SHOP), &encoded(OTHER_SHOP)),
        // Encoded twice, each value says something else.
        good.replace('%', "%25"),
        good.replace(path, "/proxy/products/1002/price").replace("450", "460"),
        signed(path, &SIZE, SHOP, time, "other"),
        signed(path, &SIZE, SHOP, time, ""),
        signed(path, &SIZE, SHOP, time - 601, "hush"),
        signed(path, &SIZE, SHOP, time + 601, "hush"),
        signed(path, &SIZE, SHOP, 0, "hush"),
        signed(path, &SIZE, "unknown.myshopify.com", time, "hush"),
        signed(path, &SIZE, "", time, "hush"),
        signed(path, &SIZE, "example.com", time, "hush"),
        signed(path, &[("shop", OTHER_SHOP), SIZE[0], SIZE[1]], SHOP, time, "hush"),
        signed(path, &[("timestamp", "1"), SIZE[0], SIZE[1]], SHOP, time, "hush"),
    ];
    // Nobody learns what there is and what there is not, or which methods it takes.
    for target in ["/proxy/", "/proxy/nothing", "/proxy/products/1001", "/proxy/draft-orders", "/proxy/products/1001/x"]
    {
        for method in ["GET", "POST", "DELETE"] {
            assert_eq!(ask(&server.router, request(method, target, &[])).status, 401, "{method} {target}");
        }
    }
    let mut said = Vec::new();
    for target in &wrong {
        let response = get(&server, target);
        assert_eq!(response.status, 401, "{target}");
        said.push(body(&response)["detail"].clone());
        let response = ask(&server.router, request("POST", target, &[("X-API-Key", &example.shop.key.key)]));
        assert_eq!(response.status, 401, "{target}: a key opens nothing here");
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    // As often as it is tried: there is nothing to guess, and Shopify's own address must not be locked out.
    assert_eq!(get(&server, &good).status, 200);
    // And no longer than the app is installed.
    let (domain, at) = (SHOP.parse().expect("a shop"), server.fixture.now());
    server.write(move |tx| Ok(stores::mark_uninstalled(tx, &domain, at, at)?));
    assert_eq!(get(&server, &good).status, 401);
}

#[test]
fn what_a_page_adds_is_signed_with_the_rest_and_changes_no_shop_and_no_price() {
    let server = Server::new();
    let _example = server.example();
    let path = "/proxy/products/1001/price";
    let time = now(&server);
    for own in [
        &[("note", "1"), ("note", "2")][..],
        &[("note", "")],
        &[("", "")],
        &[("a[]", "x,y"), ("a[]", "z")],
        &[("note", "a=b&c;d#e%25+ \u{0}ä")],
        &[("Shop", OTHER_SHOP), ("shops", OTHER_SHOP)],
        &[("hmac", "0"), ("key", "pm_x"), ("X-API-Key", "pm_x")],
        &[("logged_in_customer_id", "2")],
        &[("lang", "xx"), ("lang", "%00")],
    ] {
        let own: Vec<(&str, &str)> = SIZE.iter().chain(own).copied().collect();
        let target = signed(path, &own, SHOP, time, "hush");
        let found = get(&server, &target);
        assert_eq!((found.status, &body(&found)["price"]), (200, &json!(30)), "{target}");
        // The order of two values is part of what was signed.
        let turned = target.replace("note=1&note=2", "note=2&note=1");
        assert!(turned == target || get(&server, &turned).status == 401, "{turned}");
    }
    // A size that comes twice is nobody's to guess.
    let twice = signed(path, &[SIZE[0], SIZE[0], SIZE[1]], SHOP, time, "hush");
    assert_eq!((get(&server, &twice).status, get(&server, &twice.replacen("width=450&", "", 1)).status), (400, 401));
    let huge = signed(path, &[("width", "1e999"), ("height", &"9".repeat(400))], SHOP, time, "hush");
    assert_eq!(get(&server, &huge).status, 400);
}

#[test]
fn every_secret_of_a_rotation_signs() {
    let server = Server::new();
    let _example = server.example();
    let state = AppState::new(server.fixture.app.clone(), Secrets::new(["newer", "hush"]));
    let router = Router::new(Arc::new(state));
    for (secret, status) in [("newer", 200), ("hush", 200), ("older", 401)] {
        let target = signed("/proxy/products/1001/price", &SIZE, SHOP, now(&server), secret);
        assert_eq!(ask(&router, request("GET", &target, &[])).status, status, "{secret}");
    }
}

#[test]
fn requests_are_limited_by_store_whatever_address_they_come_from() {
    let server = Server::with_rate_limit(1);
    let _example = server.example();
    let target = signed("/proxy/products/1001/price", &SIZE, SHOP, now(&server), "hush");
    let first = get(&server, &target);
    assert_eq!((first.header("x-ratelimit-limit"), first.header("x-ratelimit-remaining")), (Some("50"), Some("49")));
    for _ in 1..50 {
        assert_eq!(get(&server, &target).status, 200);
    }
    let mut other_address = request("GET", &target, &[("X-Forwarded-For", "203.0.113.9")]);
    other_address.client = [203, 0, 113, 9].into();
    let limited = ask(&server.router, other_address);
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("1")));
}
