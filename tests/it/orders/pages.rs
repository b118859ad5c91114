//! The page of an order: what it says, that it runs nothing and tells nobody, and who cannot see it.

use super::{example_order, order, order_request, page};
use crate::edge::harness::Wire;
use crate::operators::ephemeral::Ephemeral;
use crate::storefront::harness::{
    Example, OTHER_SHOP, PRODUCT, SHOP, Server, ask, body, entropy, fixed, grid, request,
};
use crate::storefront::spec;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::TimeDelta;
use quotegrid::app::{App, Options};
use quotegrid::catalog::{assignments, stores};
use quotegrid::domain::ids::{ProductId, ShopDomain};
use quotegrid::domain::length::Unit;
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::domain::options::{Modifier, Requirement};
use quotegrid::housekeeping::Retention;
use quotegrid::http::state::Operator;
use quotegrid::http::{AppState, Response, Router};
use quotegrid::queue;
use quotegrid::shopify::Secrets;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::Arc;

pub(super) fn html(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("text")
}

/// What a reader sees: the text between tags, blanks made one.
pub(super) fn text(response: &Response) -> String {
    let html = html(response);
    let body = html.split("<body>").nth(1).expect("a body");
    let mut text = String::new();
    for piece in body.split('<') {
        text.push(' ');
        text.push_str(piece.split_once('>').map_or(piece, |(_, text)| text));
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn get(server: &Server, path: &str) -> Response {
    server.ask(request("GET", path, &[]))
}

fn token(server: &Server) -> String {
    server.fixture.query("SELECT token FROM draft_order_records ORDER BY number DESC LIMIT 1")
}

#[test]
fn it_says_how_the_price_is_made_up() {
    let server = Server::new();
    let Example { shop, required, share, optional, fixed, .. } = server.example();
    let wanted = json!({"productId": PRODUCT, "width": 450.5, "height": 350, "quantity": 2, "options": [
        {"optionGroupId": optional.to_string(), "choiceId": fixed.to_string()},
        {"optionGroupId": required.to_string(), "choiceId": share.to_string()},
    ]});
    let shown = page(&server, &order(&server, &shop.key.key, &wanted));
    assert_eq!(shown.status, 200);
    let expected = "Quote #D1 from fixture.myshopify.com a pane 450.5 × 350 mm, made to measure 450.5 350 How the price is made up \
        450.5 × 350 mm priced as 600 × 400 mm $30.00 Holes: Holes: 1 +$5.00 Edge: Edge: 2 15% of $30.00 +$4.50 \
        One piece $39.50 Quantity 2 Total $79.00 \
        Quoted on 1 January 2026, 00:00 UTC from the price list “Glass”. Later changes of that list do not change this quote. \
        To go on, or to ask something, name quote #D1 to fixture.myshopify.com . Keep this page’s address to yourself: whoever has \
        it can see this quote. English Deutsch Nederlands Français";
    assert_eq!(text(&shown), expected);
    assert!(html(&shown).contains("<title>Quote #D1: a pane</title>"));
}

#[test]
fn an_only_item_shows_what_the_shopper_calls_it() {
    let server = Server::new();
    let example = server.example();
    let mut wanted = example_order(&example);
    wanted["label"] = json!("Küche <links>");
    let shown = page(&server, &order(&server, &example.shop.key.key, &wanted));
    assert_eq!(html(&shown).matches("<p class=\"label\">Küche &#60;links&#62;</p>").count(), 1, "{}", html(&shown));
}

#[test]
fn on_paper_no_item_is_broken_in_two() {
    let server = Server::new();
    let example = server.example();
    let wanted = json!({"items": [example_order(&example), example_order(&example)]});
    let shown = html(&page(&server, &order(&server, &example.shop.key.key, &wanted)));
    let items: Vec<&str> = shown.split("<section class=\"item\">").skip(1).collect();
    assert_eq!(items.len(), 2, "{shown}");
    for item in items {
        let (item, _) = item.split_once("</section>").expect("its end");
        assert!(item.contains("<svg class=\"sketch\"") && item.contains("</tfoot>"), "{item}");
    }
    let print = shown.split("@media print {").nth(1).expect("rules for paper");
    let rule = print.lines().find(|line| line.contains("break-inside: avoid")).expect("a rule");
    assert!(rule.contains(".item"), "{rule}");
}

#[test]
fn a_size_that_is_a_step_and_a_price_of_nothing_are_said_too() {
    let server = Server::new();
    let shop = server.shop_in("a.myshopify.com", "JPY", Unit::Cm);
    let (group, choices) = server.group(shop.scope, "6", "Edge", Requirement::Optional, &[fixed(-99_999)]);
    let matrix = server.matrix(shop.scope, "Grid", grid(OutOfRange::Clamp));
    server.assign(shop.scope, "6", matrix);
    let wanted = json!({"productId": "6", "width": 300, "height": 200, "options": [{"optionGroupId": group.to_string(), "choiceId": choices[0].to_string()}]});
    let text = text(&page(&server, &order(&server, &shop.key.key, &wanted)));
    assert!(!text.contains("priced as"), "{text}");
    let expected =
        "300 × 200 cm JPY 1,000 Edge: Edge: 1 −JPY 99,999 A price never falls below zero +JPY 98,999 One piece JPY 0";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn an_order_that_shopify_has_leads_to_its_checkout() {
    let server = Server::new();
    let example = server.example();
    let placed = order(&server, &example.shop.key.key, &example_order(&example));
    assert!(!html(&page(&server, &placed)).contains("Go to checkout"));
    server.write(|tx| {
        Ok(tx.execute("UPDATE draft_order_records SET checkout_url = 'https://pay.example/?a=1&b=2'", ())?)
    });
    let shown = html(&page(&server, &placed));
    assert!(
        shown.contains("href=\"https://pay.example/?a=1&#38;b=2\" rel=\"noreferrer\">Go to checkout</a>"),
        "{shown}"
    );
}

#[test]
fn whatever_things_are_called_it_stays_text() {
    let hostile = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'><svg/onload=alert(1)>",
        "</style><script>alert(1)</script>",
        "{{ 7 * 7 }}{% if true %}",
        "&lt;script&gt;alert(1)",
        "\u{202e}txt.exe",
        "javascript:alert(1)",
    ];
    for name in hostile {
        let server = Server::new();
        let shop = server.shop(SHOP);
        let matrix = server.matrix(shop.scope, name, grid(OutOfRange::Reject));
        let (now, scope, product) =
            (server.fixture.now(), shop.scope, PRODUCT.parse::<ProductId>().expect("a product"));
        let title = name.parse().expect("a title");
        server.write(move |tx| assignments::set_matrix(tx, now, scope, &product, &title, matrix));
        let share = Modifier::from_parts("PERCENTAGE", 100).expect("a modifier");
        let (group, choices) = server.group(shop.scope, PRODUCT, name, Requirement::Optional, &[share]);
        let wanted = json!({"productId": PRODUCT, "width": 450, "height": 350, "options": [{"optionGroupId": group.to_string(), "choiceId": choices[0].to_string()}]});
        let shown = page(&server, &order(&server, &shop.key.key, &wanted));
        let page = html(&shown);
        // Title, heading, price list, group and choice: five times, and each time as text.
        let escaped: String = name
            .chars()
            .map(|c| match c {
                '<' | '>' | '&' | '"' | '\'' => format!("&#{};", c as u32),
                c => c.to_string(),
            })
            .collect();
        assert_eq!(page.matches(&escaped).count(), 5, "{page}");
        let lower = page.to_lowercase();
        for tag in ["<script", "<img", "<svg/", "<iframe"] {
            assert!(!lower.contains(tag), "{name}: {page}");
        }
        assert_eq!((lower.matches("<style").count(), lower.matches("</style").count()), (1, 1));
    }
}

#[test]
fn a_page_runs_no_script_loads_nothing_and_sends_no_referrer() {
    let server = Server::new();
    let example = server.example();
    let shown = page(&server, &order(&server, &example.shop.key.key, &example_order(&example)));
    let missing = get(&server, "/q/unknown");
    for (response, status) in [(&shown, 200), (&missing, 404)] {
        assert_eq!(response.status, status);
        for (name, value) in [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Robots-Tag", "noindex, nofollow"),
            ("Cache-Control", "private, no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ] {
            assert_eq!(response.header(name), Some(value), "{name}");
        }
        let page = html(response);
        let style = page.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).expect("a style");
        let hash = BASE64_STANDARD.encode(Sha256::digest(style));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        assert_eq!(response.header("Content-Security-Policy"), Some(&*policy));
        let lower = page.to_lowercase();
        for forbidden in
            ["<script", " src=", " style=", " onload=", " onclick=", "javascript:", "<link", "<form", "url(", "@import"]
        {
            assert!(!lower.contains(forbidden), "{forbidden}");
        }
        assert!(lower.contains("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"));
        assert!(page.len() < 16 * 1_024, "{}", page.len());
    }
}

#[test]
fn every_other_order_address_gets_the_same_404() {
    let server = Server::new();
    let example = server.example();
    order(&server, &example.shop.key.key, &example_order(&example));
    let token = token(&server);
    assert_eq!(get(&server, &format!("/q/{token}")).status, 200);
    let missing = get(&server, &format!("/q/{}", "0".repeat(64)));
    assert!(text(&missing).starts_with("404 There is no quote here"), "{missing:?}");
    for other in [
        "x",
        "%00",
        "%",
        &token[..63],
        &format!("{token}0"),
        &token.to_uppercase(),
        &format!("{token}%20"),
        "..%2f..%2fetc",
    ] {
        let response = get(&server, &format!("/q/{other}"));
        assert_eq!(response.status, 404, "{other}");
        assert!(response.body == missing.body, "{other}: a person gets the page");
    }
    for (method, status) in [("HEAD", 200), ("POST", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 405)] {
        assert_eq!(server.ask(request(method, &format!("/q/{token}"), &[])).status, status, "{method}");
    }
    // The page is for people: scripts of other sites cannot read it.
    assert_eq!(get(&server, &format!("/q/{token}")).header("access-control-allow-origin"), None);
}

#[test]
fn it_is_closed_while_the_store_is_uninstalled_and_open_again_after() {
    let server = Server::new();
    let example = server.example();
    let placed = order(&server, &example.shop.key.key, &example_order(&example));
    let other = server.shop(OTHER_SHOP);
    let matrix = server.matrix(other.scope, "Glass", grid(OutOfRange::Reject));
    server.assign(other.scope, PRODUCT, matrix);
    let theirs = order(&server, &other.key.key, &json!({"productId": PRODUCT, "width": 300, "height": 200}));
    let (now, shop) = (server.fixture.now(), SHOP.parse::<ShopDomain>().expect("a shop"));
    let left = shop.clone();
    assert!(server.write(move |tx| Ok(stores::mark_uninstalled(tx, &left, now, now)?)));
    assert_eq!((page(&server, &placed).status, page(&server, &theirs).status), (404, 200));
    let currency = "USD".parse().expect("a currency");
    server.write(move |tx| stores::install(tx, now, entropy(), &shop, currency, Unit::Mm));
    assert_eq!(page(&server, &placed).status, 200);
}

#[test]
fn the_address_of_an_orders_page_is_in_no_log() {
    let (server, log) = Ephemeral::traced(&[]);
    let mut wire = Wire::to(server.address());
    let key = server.text("apiKey");
    let mut ask = |head: String, body: &str| {
        wire.send(format!("{head} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\nIdempotency-Key: shopper@example.com\r\nContent-Length: {}\r\n\r\n{body}",
            key, body.len()));
        wire.answer()
    };
    let options = ask("GET /api/v1/products/1001/options".to_owned(), "").json();
    let groups = options["optionGroups"].as_array().expect("groups").iter();
    let required = groups.filter(|group| group["requirement"] == "REQUIRED");
    let required = required.map(|group| json!({"optionGroupId": group["id"], "choiceId": group["choices"][0]["id"]}));
    let order = json!({"productId": "1001", "width": 1_193, "height": 1_388, "options": required.collect::<Vec<_>>()});
    let placed = ask("POST /api/v1/draft-orders".to_owned(), &order.to_string());
    assert_eq!(placed.status, 201, "{placed:?}");
    let address = placed.json()["checkoutUrl"].as_str().expect("an address").to_owned();
    let path = address.strip_prefix(server.text("url")).expect("below the listen address");
    let token = path.strip_prefix("/q/").expect("a page");
    for (target, status) in [(path.to_owned(), 200), (format!("{path}/"), 404), (format!("/elsewhere{path}?x=1"), 404)]
    {
        assert_eq!(ask(format!("GET {target}"), "").status, status, "{target}");
    }
    drop(wire);
    let key = key.to_owned();
    assert!(server.end().0.success());
    let log = log.join().expect("read");
    assert!(log.contains("path=/q/***") && log.contains("draft order placed"), "{log}");
    for secret in [&token[12..], "shopper@example.com", &key] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}

#[test]
fn the_privacy_page_has_the_periods_by_which_the_server_deletes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut options = Options::new(directory.path().join("test.db"));
    options.retention = Retention {
        jobs: queue::Retention { finished: TimeDelta::days(17), failed: TimeDelta::days(1_234) },
        deliveries: TimeDelta::days(19),
        requests: TimeDelta::days(555),
        open_orders: None,
    };
    let app = Arc::new(App::open(options).expect("a new database"));
    let shown = |operator: Operator| {
        let state = AppState::new(app.clone(), Secrets::new(["hush"])).with_operator(operator);
        let response = ask(&Router::new(Arc::new(state)), request("GET", "/privacy", &[]));
        spec::check("GET", "/privacy", &response);
        assert_eq!((response.status, response.header("cache-control")), (200, Some("public, max-age=86400")));
        response
    };
    let anonymous = text(&shown(Operator::default()));
    for sentence in [
        "for 24 hours",
        "after 19 days",
        "555 days after that",
        "after 17 days",
        "after 1234 days",
        "Please ask the shop whose page brought you here.",
    ] {
        assert!(anonymous.contains(sentence), "{sentence}: {anonymous}");
    }
    for (contact, expected) in [
        (
            "help@panes.example",
            "Panes &#38; &#60;Sons&#62;, <a href=\"mailto:help@panes.example\">help@panes.example</a>",
        ),
        ("https://panes.example/?a&b", "<a href=\"https://panes.example/?a&#38;b\">https://panes.example/?a&#38;b</a>"),
        ("javascript:alert(1)", "<p>Panes &#38; &#60;Sons&#62;, javascript:alert(1)</p>"),
    ] {
        let operator = Operator { name: Some("Panes & <Sons>".to_owned()), contact: Some(contact.to_owned()) };
        let page = html(&shown(operator));
        assert!(page.contains(expected), "{expected}: {page}");
    }
}

#[test]
fn an_order_of_another_address_space_is_not_found_by_its_id() {
    let server = Server::new();
    let example = server.example();
    let placed = server.ask(order_request(&example.shop.key.key, &example_order(&example)));
    let id = body(&placed)["draftOrderId"].as_str().expect("an id").to_owned();
    for path in [format!("/q/{id}"), "/q/1".to_owned(), "/q/%23D1".to_owned()] {
        assert_eq!(get(&server, &path).status, 404, "{path}");
    }
}

#[test]
fn people_get_a_page_where_nothing_is_and_programs_a_problem() {
    let server = Server::new();
    let html = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";
    for (path, status) in [("/", 200), ("/nothing/here", 404), ("/administer", 404)] {
        let page = server.ask(request("GET", path, &[("accept", html)]));
        assert_eq!((page.status, page.header("content-type")), (status, Some("text/html; charset=utf-8")), "{path}");
        assert!(page.header("content-security-policy").is_some(), "{path}");
        let problem = server.ask(request("GET", path, &[("accept", "*/*")]));
        assert_eq!((problem.status, problem.header("content-type")), (404, Some("application/problem+json")), "{path}");
    }
    // What is below these is for programs, whoever asks.
    for path in ["/api/v1/nothing", "/admin/api/nothing"] {
        let problem = server.ask(request("GET", path, &[("accept", html)]));
        assert_eq!(problem.header("content-type"), Some("application/problem+json"), "{path}");
    }
    let icon = get(&server, "/favicon.ico");
    assert_eq!((icon.status, icon.header("content-type")), (200, Some("image/svg+xml")));
}
