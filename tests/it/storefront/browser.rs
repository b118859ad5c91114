//! A page of another site in a real browser, which asks as the storefront widget does. That widget is not ours to keep here; what it
//! sends and what it makes of the answers is in `page.html`.

use super::harness::{PRODUCT, Server, encoded};
use crate::support::browser::Browser;
use quotegrid::edge::{Server as HttpServer, ServerOptions};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Serves the shop's page from an origin of its own, which is returned, until the process ends.
fn shop_site() -> String {
    let listener = TcpListener::bind(LOCAL).expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A thread each: browsers open connections ahead of what they ask on them.
            thread::spawn(move || {
                let head = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
                if head.count() > 0 {
                    let page = include_str!("page.html");
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
                    let _gone = write!(&stream, "{head}Content-Length: {}\r\n\r\n{page}", page.len());
                }
            });
        }
    });
    origin
}

fn started(server: &Server) -> (HttpServer, String) {
    let http = HttpServer::start(ServerOptions::new(LOCAL), Arc::new(server.router.clone())).expect("a server");
    let url = format!("http://{}", http.address());
    server.router.state().set_public_url(&url);
    (http, url)
}

/// A page that asks `api` with `key`.
struct Page<'a> {
    browser: &'a Browser,
}

impl<'a> Page<'a> {
    fn open(browser: &'a Browser, site: &str, api: &str, key: &str) -> Self {
        browser.open(&format!("{site}/?api={}&key={key}", encoded(api)));
        Self { browser }
    }

    /// What the page's function answers.
    fn call(&self, expression: &str) -> Value {
        self.browser.ask(&format!("return {expression}"))
    }
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_shows_prices_and_orders_on_a_page_of_another_site() {
    let server = Server::new();
    let example = server.example();
    let (_http, api) = started(&server);
    let site = shop_site();
    let browser = Browser::start();
    let page = Page::open(&browser, &site, &api, &example.shop.key.key);

    // As the shop may spell its product, with the slashes as they are.
    for product in [PRODUCT.to_owned(), format!("gid://shopify/Product/{PRODUCT}")] {
        let found = page.call(&format!("options('{product}')"));
        assert_eq!((&found["status"], &found["shown"]), (&json!(200), &Value::Null), "{found}");
        let groups = found["body"]["optionGroups"].as_array().expect("a list");
        assert_eq!(groups.len(), 2);
        assert_eq!((&groups[0]["requirement"], &groups[1]["requirement"]), (&json!("REQUIRED"), &json!("OPTIONAL")));
        let choice = &groups[0]["choices"][1];
        assert_eq!((&choice["modifierType"], &choice["modifierValue"]), (&json!("PERCENTAGE"), &json!(1_500)));

        let found = page.call(&format!("price('{product}', {{ width: '450', height: '350.5', quantity: '2' }})"));
        let body = &found["body"];
        assert_eq!(
            (&found["status"], &body["price"], &body["total"]),
            (&json!(200), &json!(30), &json!(60)),
            "{found}"
        );
        assert_eq!(body["dimensions"], json!({ "width": 450, "height": 350.5, "unit": "mm" }));
        let range = json!({ "minWidth": 300, "maxWidth": 900, "minHeight": 200, "maxHeight": 600 });
        assert_eq!(body["dimensionRange"], range);
        assert_eq!(page.call(&format!("written({body})")), "$60.00");
    }
    // A product that nobody knows has no options, and that is no error.
    assert_eq!(page.call("options('77')")["body"]["optionGroups"], json!([]));

    // An add-on may be picked before the choice that an order needs.
    let selection = |group: &dyn ToString, choice: &dyn ToString| json!({ "optionGroupId": group.to_string(), "choiceId": choice.to_string() });
    let add_on = selection(&example.optional, &example.fixed);
    let found = page.call(&format!("price('{PRODUCT}', {{ width: 450, height: 350, selections: [{add_on}] }})"));
    assert_eq!((&found["status"], &found["body"]["price"]), (&json!(200), &json!(35)), "{found}");
    let wanted = json!({ "productId": PRODUCT, "width": 450, "height": 350.5, "quantity": 2, "options": [add_on] });
    let refused = page.call(&format!("order({wanted})"));
    assert_eq!(
        (&refused["status"], &refused["shown"]),
        (&json!(400), &json!("Please check the options (Edge: a choice is required)")),
        "{refused}"
    );

    // A shop's address with a slash at its end.
    let slashed = Page::open(&browser, &site, &format!("{api}/"), &example.shop.key.key);
    assert_eq!(slashed.call("price('1001', { width: '450', height: '350' })")["body"]["price"], 30);
    let page = Page::open(&browser, &site, &api, &example.shop.key.key);

    // What goes wrong is told to the shopper in words, whatever it is.
    for (call, status) in [
        ("price('1001', { width: '45,5', height: '350' })", 400),
        ("price('1001', { width: '901', height: '350' })", 422),
        ("price('77', { width: '450', height: '350' })", 404),
        ("price('gid://shopify/Variant/1', { width: '450', height: '350' })", 400),
        ("get('/api/v1/nothing')", 404),
        ("get('/api/v1/products/1001/price/')", 404),
        ("order({ productId: 1001, width: '450', height: null, quantity: null })", 400),
        ("get('/api/v1/draft-orders')", 405),
        ("answer(`${api}/api/v1/products/1001/price`)", 401),
    ] {
        let found = page.call(call);
        assert_eq!(found["status"], status, "{call}: {found}");
        assert!(
            found["shown"].as_str().is_some_and(|text| text.len() > 10 && text != "Network error"),
            "{call}: {found}"
        );
    }

    // The order, and where the shopper goes from there.
    let required = selection(&example.required, &example.share);
    let wanted =
        json!({ "productId": PRODUCT, "width": 450, "height": 350.5, "quantity": 2, "options": [add_on, required] });
    let placed = page.call(&format!("order({wanted}, {{ 'Idempotency-Key': 'a click' }})"));
    let body = &placed["body"];
    assert_eq!(
        (&placed["status"], &body["price"], &body["total"]),
        (&json!(201), &json!(39.5), &json!("79.00")),
        "{placed}"
    );
    assert_eq!(page.call(&format!("order({wanted}, {{ 'Idempotency-Key': 'a click' }})"))["body"], *body);
    let lost = browser.complaints().into_iter().filter(|line| line.contains("CORS") || line.contains("Access-Control"));
    assert_eq!(lost.collect::<Vec<_>>(), Vec::<String>::new());
    browser.open(body["checkoutUrl"].as_str().expect("an address"));
    assert!(browser.ask("return document.body.innerText").as_str().is_some_and(|text| text.contains("79.00")));
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_lets_only_a_keys_origins_read_prices_and_limits() {
    let server = Server::with_rate_limit(2);
    let example = server.example();
    let (_http, api) = started(&server);
    let (home, elsewhere) = (shop_site(), shop_site());
    let key = server.key(example.shop.scope, &[&home]).key;
    let browser = Browser::start();
    let ask = "price('1001', { width: '450', height: '350' })";

    let page = Page::open(&browser, &elsewhere, &api, &key);
    assert_eq!(page.call(ask), json!({ "shown": "Network error" }));
    let page = Page::open(&browser, &home, &api, &key);
    for left in ["1", "0"] {
        let found = page.call(ask);
        assert_eq!((&found["status"], &found["body"]["price"]), (&json!(200), &json!(30)), "{found}");
        assert_eq!(
            (&found["fields"]["X-RateLimit-Limit"], &found["fields"]["X-RateLimit-Remaining"]),
            (&json!("2"), &json!(left))
        );
    }
    // The clock of the server stands still: however slow the browser is, there is no more.
    let limited = page.call(ask);
    assert_eq!((&limited["status"], &limited["fields"]["Retry-After"]), (&json!(429), &json!("1")), "{limited}");
    assert!(limited["shown"].as_str().is_some_and(|text| text.starts_with("Too many requests")), "{limited}");
}
