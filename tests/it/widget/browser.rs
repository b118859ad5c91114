//! The element in a real browser, on a page of another site with a key: every state that a shopper may meet.

use super::site::{site, started};
use crate::storefront::harness::{Example, PRODUCT, Server, fixed, matrix};
use crate::support::browser::Browser;
use quotegrid::app::{App, Options};
use quotegrid::catalog::settings::{self, Change};
use quotegrid::domain::length::Unit;
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::domain::options::Requirement;
use quotegrid::domain::tax_label::TaxLabel;
use quotegrid::edge::Server as HttpServer;
use quotegrid::http::{AppState, Router};
use quotegrid::orders::open_limit::OpenOrderLimit;
use quotegrid::shopify::Secrets;
use serde_json::{Value, json};
use std::sync::Arc;

/// A shop's page with elements, in a browser, and the server that they ask.
pub(super) struct Shop {
    pub(super) server: Server,
    pub(super) example: Example,
    pub(super) browser: Browser,
    pub(super) api: String,
    _http: HttpServer,
}

/// What a test asks a page with.
pub(super) const TOOLS: &str = r"
window.heard = [];
for (const name of ['price', 'order', 'error']) {
  document.addEventListener('quotegrid:' + name, (event) => {
    heard.push([name, event.detail]);
    if (name === 'order' && !window.letGo) event.preventDefault();
  });
}
window.qg = (at = 0) => document.querySelectorAll('quote-grid')[at].shadowRoot;
window.part = (name, at) => qg(at).querySelector(`[part~='${name}']`);
window.said = (name, at) => part(name, at)?.innerText ?? '';
window.all = (at) => qg(at).textContent;
window.fill = (id, value, at) => {
  const input = qg(at).getElementById(id);
  input.value = value;
  input.dispatchEvent(new Event(input.localName === 'select' ? 'change' : 'input', { bubbles: true }));
};
window.fault = (id, at) => qg(at).getElementById(id + '-fault').textContent;
window.order = (at) => part('button', at).click();
";

/// The usual example, in which an item has no holes unless they are chosen.
pub(super) fn example(server: &Server) -> Example {
    let example = server.example();
    let holes = example.fixed.to_string();
    server.write(move |tx| {
        tx.execute("UPDATE option_choices SET is_default = 0 WHERE id = ?1", [holes])?;
        Ok(())
    });
    example
}

impl Shop {
    pub(super) fn new() -> Self {
        Self::of(Server::new())
    }

    pub(super) fn of(server: Server) -> Self {
        let example = example(&server);
        let (http, api) = started(&server);
        Self { server, example, browser: Browser::start(), api, _http: http }
    }

    /// Opens a page with `elements`, in which `KEY` is the shop's key.
    pub(super) fn open(&self, head: &str, elements: &str) {
        let Self { api, example, .. } = self;
        let elements = elements.replace("KEY", &example.shop.key.key);
        let page = format!(
            "<!doctype html><html {head}><head><meta charset=utf-8><meta name=viewport content='width=device-width'><title>A shop</title></head>\
             <body><main><h1>A pane</h1>{elements}</main><script>{TOOLS}</script>\
             <script type=module src='{api}/widget/v1.js'></script></body></html>"
        );
        self.browser.open(&site(page, None));
    }

    /// The usual page, ready for sizes.
    pub(super) fn ready(&self) {
        self.open("lang=en", "<quote-grid product=1001 key=KEY></quote-grid>");
        self.wait("qg() && part('button')");
    }

    pub(super) fn wait(&self, expression: &str) -> Value {
        self.browser.wait_for(&format!("return {expression}"))
    }

    pub(super) fn see(&self, expression: &str) -> Value {
        self.browser.ask(&format!("return {expression}"))
    }

    pub(super) fn act(&self, script: &str) {
        self.browser.ask(script);
    }

    /// Fills in a size and waits for its price.
    pub(super) fn price(&self, width: &str, height: &str) -> String {
        self.act(&format!("fill('width', '{width}'); fill('height', '{height}')"));
        self.wait("said('amount')").as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn network(&self, is_offline: bool, latency: u32) {
        let conditions =
            json!({ "offline": is_offline, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.browser.command("Network.enable", &json!({}));
        self.browser.command("Network.emulateNetworkConditions", &conditions);
    }

    pub(super) fn orders(&self) -> i64 {
        self.server.fixture.query("SELECT count(*) FROM draft_order_records")
    }

    pub(super) fn change(&self, change: Change) {
        let app = &self.server.fixture.app;
        let shop = crate::storefront::harness::SHOP.parse().expect("a shop");
        settings::carry_out(&app.db, app.clock.as_ref(), &shop, change, false, None).expect("changed");
    }
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_prices_a_size_as_it_is_typed_and_orders_it() {
    let shop = Shop::new();
    shop.change(Change { tax_label: Some(TaxLabel::Incl), ..Change::default() });
    shop.ready();
    assert_eq!(shop.see("qg().querySelector('[role=group]').getAttribute('aria-label')"), "a pane");
    assert!(
        shop.see("all()").as_str().is_some_and(|text| text.contains("300 to 900 mm") && text.contains("200 to 600 mm"))
    );
    // Decimal comma and point, and blanks too many.
    assert_eq!(shop.price("450,5", " 350 "), "$30.00");
    assert_eq!(shop.see("said('tax')"), "incl. VAT");
    assert_eq!(
        shop.see("said('note')"),
        "Priced as 600 × 400 mm, the next size of our price list. It is made to your measurements."
    );
    assert!(shop.see("part('drawing').querySelectorAll('rect, text').length").as_u64() == Some(3));
    shop.act("fill('group-1', qg().getElementById('group-1').options[1].value); fill('quantity', '2')");
    shop.wait("said('amount') === '$70.00'");
    let breakdown = shop.see("said('breakdown')");
    assert!(breakdown.as_str().is_some_and(|text| text.contains("Holes") && text.contains("+$5.00")), "{breakdown}");
    let priced = shop.see("heard.filter(([name]) => name === 'price').at(-1)[1]");
    assert_eq!(
        (&priced["width"], &priced["total"], &priced["currency"]),
        (&json!(450.5), &json!(70), &json!("USD")),
        "{priced}"
    );
    // The edge has a default, so nothing is missing.
    shop.act("order()");
    let placed = shop.wait("heard.find(([name]) => name === 'order')");
    assert_eq!((&placed[1]["name"], &placed[1]["total"]), (&json!("#D1"), &json!("70.00")));
    assert_eq!(shop.orders(), 1);
    // And the shopper goes on from there, unless the page says otherwise.
    shop.act("window.letGo = true; order()");
    shop.wait("location.pathname.startsWith('/q/')");
    assert_eq!(shop.orders(), 2);
    let lost = shop.browser.complaints();
    assert!(!lost.iter().any(|line| line.contains("CORS") || line.contains("Security Policy")), "{lost:?}");
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_says_at_its_field_what_is_wrong_and_names_the_nearest_size() {
    let shop = Shop::new();
    let Example { shop: store, .. } = &shop.example;
    let rows = [vec![Some(100), None], vec![Some(300), Some(400)]];
    let id = shop.server.matrix(store.scope, "Holes", matrix(&[300, 600], &[200, 400], &rows, OutOfRange::Reject));
    shop.server.assign(store.scope, "1002", id);
    shop.server.group(store.scope, "1002", "Colour", Requirement::Required, &[fixed(0)]);
    shop.open("lang=en", "<quote-grid product=1002 key=KEY></quote-grid>");
    shop.wait("qg() && part('button')");
    // A field that was not filled in yet shows no fault.
    assert_eq!(shop.see("fault('width') + fault('height')"), "");
    shop.act("order()");
    assert_eq!(shop.wait("fault('width')"), "Please enter a size.");
    assert_eq!(shop.see("qg().activeElement.id"), "width", "the first field that is wrong has the focus");
    assert_eq!(shop.see("qg().getElementById('width').getAttribute('aria-invalid')"), "true");
    for (width, fault) in [
        ("299.9", "We make it from 300 mm."),
        ("601", "We make it up to 600 mm."),
        ("x", "Please enter a number such as 47.5."),
        ("45 cm", "Please enter a number such as 47.5."),
        ("450 mm", ""),
    ] {
        shop.act(&format!("fill('width', '{width}')"));
        shop.wait(&format!("fault('width') === {}", json!(fault)));
    }
    shop.act("fill('quantity', '1.5')");
    shop.wait("fault('quantity') === 'Please enter a whole number from 1 to 10,000.'");
    shop.act("fill('quantity', '1'); fill('height', '200')");
    shop.wait("said('error').includes('We do not make it in this size.')");
    assert_eq!(shop.see("said('nearest')"), "Take 450 × 200.001 mm");
    assert_eq!(shop.see("heard.at(-1)"), json!(["error", { "code": "size_not_offered", "status": 422 }]));
    shop.act("part('nearest').click()");
    shop.wait("said('amount') === '$4.00' && said('error') === ''");
    assert_eq!(shop.see("qg().activeElement.id"), "width");
    // A required option: a price is shown before it is chosen, and nothing is ordered without.
    shop.act("fill('group-0', ''); qg().getElementById('group-0').value = ''; order()");
    let chosen = shop.see("qg().getElementById('group-0').value");
    assert!(
        chosen.as_str().is_some_and(|choice| !choice.is_empty()) || shop.see("fault('group-0')") == "Please choose",
        "{chosen}"
    );
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_needs_a_choice_of_a_required_option_before_it_orders() {
    let shop = Shop::new();
    let store = &shop.example.shop;
    let (id, _) = shop.server.group(store.scope, "1003", "Colour", Requirement::Required, &[fixed(0)]);
    shop.server.assign(store.scope, "1003", shop.example.matrix);
    shop.server
        .fixture
        .app
        .db
        .write(move |tx| {
            tx.execute("UPDATE option_choices SET is_default = 0 WHERE option_group_id = ?1", [id.to_string()])?;
            Ok::<_, quotegrid::error::Error>(())
        })
        .expect("written");
    shop.open("lang=en", "<quote-grid product=1003 key=KEY></quote-grid>");
    shop.wait("qg() && part('button')");
    assert_eq!(shop.price("450", "350"), "$30.00");
    assert_eq!(shop.see("qg().getElementById('group-0').selectedOptions[0].text"), "Please choose");
    shop.act("order()");
    assert_eq!(shop.wait("fault('group-0')"), "Please choose");
    assert_eq!((shop.see("qg().activeElement.id"), shop.orders()), (json!("group-0"), 0));
    shop.act("fill('group-0', qg().getElementById('group-0').options[1].value); order()");
    shop.wait("heard.some(([name]) => name === 'order')");
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_shows_the_price_of_what_was_typed_last_on_a_slow_network() {
    let shop = Shop::new();
    shop.ready();
    shop.network(false, 1_500);
    shop.act("fill('width', '300'); fill('height', '200')");
    shop.wait("part('price').getAttribute('aria-busy') === 'true'");
    shop.act("fill('width', '900'); fill('height', '600')");
    shop.wait("said('amount') === '$50.00'");
    assert_eq!(shop.see("heard.filter(([name]) => name === 'price').map(([, told]) => told.total)"), json!([50]));
    // A click twice is one order.
    shop.act("order(); order()");
    shop.wait("heard.some(([name]) => name === 'order')");
    assert_eq!(shop.orders(), 1);
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_says_that_there_is_no_connection_and_goes_on_when_there_is() {
    let shop = Shop::new();
    shop.ready();
    shop.network(true, 0);
    shop.act("fill('width', '450'); fill('height', '350')");
    shop.wait("said('error').includes('There is no connection right now.')");
    shop.network(false, 0);
    shop.act("part('again').click()");
    shop.wait("said('amount') === '$30.00' && said('error') === ''");
    // An order whose answer is lost is sent again with the same key.
    shop.network(true, 0);
    shop.act("order()");
    shop.wait("said('error').includes('There is no connection')");
    shop.network(false, 0);
    shop.act("part('again').click()");
    shop.wait("heard.some(([name]) => name === 'order')");
    assert_eq!(shop.orders(), 1);
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_says_at_once_what_a_shopper_would_wait_too_long_for() {
    let server = Server::new();
    let mut options = Options::new(server.fixture.database());
    options.clock = server.fixture.clock.clone();
    options.open_order_limit = OpenOrderLimit::new(1);
    let app = Arc::new(App::open(options).expect("the same database"));
    let state = AppState::new(app, Secrets::new(["hush"])).with_rate_limit(0);
    let shop = Shop::of(Server { router: Router::new(Arc::new(state)), ..server });
    shop.open("lang=nl", "<quote-grid product=1001 key=KEY></quote-grid>");
    shop.wait("qg() && part('button')");
    assert_eq!(shop.price("450", "350"), "US$\u{a0}30,00");
    shop.act("order()");
    shop.wait("heard.some(([name]) => name === 'order')");
    shop.act("fill('quantity', '2')");
    shop.wait("said('amount') === 'US$\u{a0}60,00'");
    // The shop takes no more for an hour, and says so in its own words.
    shop.act("order()");
    shop.wait("said('error').includes('Deze winkel heeft op dit moment te veel openstaande bestellingen.')");
    assert_eq!(
        (shop.see("heard.at(-1)[1].code"), shop.see("said('status')")),
        (json!("too_many_open_orders"), json!(""))
    );
    assert_eq!(shop.orders(), 1);
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_asks_before_it_goes_on_with_a_price_that_has_changed() {
    let shop = Shop::new();
    shop.ready();
    assert_eq!(shop.price("450", "350"), "$30.00");
    let store = &shop.example.shop;
    let rows = vec![vec![Some(4_000)]];
    let dearer = shop.server.matrix(store.scope, "Dearer", matrix(&[900], &[600], &rows, OutOfRange::Clamp));
    shop.server.assign(store.scope, PRODUCT, dearer);
    shop.act("window.letGo = true; order()");
    shop.wait("said('status') === 'The price has changed: it is $40.00 now.'");
    assert_eq!(shop.see("said('button')"), "Continue to the checkout");
    assert_eq!(shop.see("location.pathname"), "/");
    shop.act("part('button').click()");
    shop.wait("location.pathname.startsWith('/q/')");
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_collects_a_list_and_orders_it_as_one() {
    let shop = Shop::new();
    shop.open("lang=en", "<quote-grid product=1001 key=KEY cart=list></quote-grid>");
    shop.wait("qg() && part('button')");
    assert_eq!(shop.price("450", "350"), "$30.00");
    shop.act("fill('label', 'Kitchen, left <b>'); order()");
    shop.wait("said('sum').includes('$30.00')");
    assert!(shop.see("said('item')").as_str().is_some_and(|text| text.contains("Kitchen, left <b>")));
    shop.act("fill('width', '300'); fill('height', '200'); fill('quantity', '2'); order()");
    shop.wait("said('sum').includes('$50.00')");
    shop.act("fill('quantity', '1'); order()");
    shop.wait("said('sum').includes('$60.00')");
    assert_eq!(shop.see("qg().querySelectorAll('li button')[2].getAttribute('aria-label')"), "Remove 1 × 300 × 200 mm");
    shop.act("qg().querySelectorAll('li button')[2].click()");
    shop.wait("said('sum').includes('$50.00')");
    shop.act("part('order').click()");
    let placed = shop.wait("heard.find(([name]) => name === 'order')");
    assert_eq!((&placed[1]["total"], shop.orders()), (&json!("50.00"), 1));
    shop.wait("part('item') === null");
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_says_so_where_there_are_no_prices() {
    let shop = Shop::new();
    let store = &shop.example.shop;
    let empty = shop.server.matrix(store.scope, "Empty", matrix(&[], &[], &[], OutOfRange::Reject));
    shop.server.assign(store.scope, "1004", empty);
    let text = "This product cannot be ordered made to measure right now.";
    shop.open("lang=en", "<quote-grid product=77 key=KEY></quote-grid><quote-grid product=1004 key=KEY></quote-grid><quote-grid product=1001 key=pm_x></quote-grid><quote-grid></quote-grid>");
    for at in 0..4 {
        shop.wait(&format!("all({at}) === {}", json!(text)));
    }
    assert_eq!(
        shop.see("heard.filter(([name]) => name === 'error').map(([, told]) => told.code).sort()[0]"),
        "no_matrix"
    );
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_elements_share_a_page_and_keep_what_is_filled_in_when_they_are_moved() {
    let shop = Shop::new();
    shop.open("lang=en", "<div id=a><quote-grid product=1001 key=KEY></quote-grid></div><div id=b></div><quote-grid product=1001 key=KEY unit=in></quote-grid>");
    shop.wait("qg() && part('button') && part('button', 1)");
    assert_eq!(shop.price("450", "350"), "$30.00");
    assert_eq!(shop.see("said('amount', 1)"), "");
    // Inches take fractions; their limits are rounded inwards to eighths.
    assert!(shop.see("all(1)").as_str().is_some_and(|text| text.contains("11.875 to 35.375 in")));
    shop.act("fill('width', '17 3/4', 1); fill('height', '13¾', 1)");
    shop.wait("said('amount', 1) === '$30.00'");
    assert_eq!(shop.see("heard.at(-1)[1].width"), json!(17.75));
    shop.act("const moved = document.querySelector('quote-grid'); moved.remove(); document.getElementById('b').append(moved)");
    shop.wait("qg().getElementById('width')?.value === '450' && said('amount') === '$30.00'");
    shop.act("document.querySelector('quote-grid').remove()");
    // What is left is the other one, untouched; and a new one begins empty.
    assert_eq!(shop.see("said('amount')"), "$30.00");
    shop.act("const fresh = document.createElement('quote-grid'); fresh.setAttribute('product', '1001'); fresh.setAttribute('key', document.querySelector('quote-grid').getAttribute('key')); fresh.setAttribute('lang', 'de'); document.body.append(fresh)");
    shop.wait("part('button', 1)?.innerText === 'Nach Maß bestellen'");
    shop.act("document.querySelectorAll('quote-grid')[1].setAttribute('lang', 'fr')");
    shop.wait("part('button', 1)?.innerText === 'Commander sur mesure'");
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_speaks_the_languages_of_its_page_and_writes_their_figures() {
    let shop = Shop::new();
    for (lang, button, amount) in [
        ("de", "Nach Maß bestellen", "30,00\u{a0}$"),
        ("de-CH", "Nach Maß bestellen", "$\u{a0}30.00"),
        ("nl", "Op maat bestellen", "US$\u{a0}30,00"),
        ("fr", "Commander sur mesure", "30,00\u{a0}$US"),
        ("sv", "Order made to measure", "$30.00"),
    ] {
        shop.open(&format!("lang={lang}"), "<quote-grid product=1001 key=KEY></quote-grid>");
        shop.wait("qg() && part('button')");
        assert_eq!(shop.see("said('button')"), button, "{lang}");
        assert_eq!(shop.price("450,5", "350"), amount, "{lang}");
        assert_eq!(shop.see("qg().querySelector('form').lang"), if lang == "sv" { "en" } else { &lang[..2] });
    }
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_converts_what_is_typed_to_the_stores_centimetres() {
    let server = Server::new();
    let store = server.shop_in("other.myshopify.com", "EUR", Unit::Cm);
    let id = server.matrix(
        store.scope,
        "Cm",
        matrix(&[30, 60], &[20, 40], &[vec![Some(100), Some(200)], vec![Some(300), Some(400)]], OutOfRange::Reject),
    );
    server.assign(store.scope, PRODUCT, id);
    let shop = Shop::of(server);
    let element = format!(
        "<quote-grid product=1001 key={} unit=mm></quote-grid><quote-grid product=1001 key={0} unit=m></quote-grid>",
        store.key.key
    );
    shop.open("lang=en", &element);
    shop.wait("qg() && part('button') && part('button', 1)");
    assert!(shop.see("all()").as_str().is_some_and(|text| text.contains("300 to 600 mm")));
    assert_eq!(shop.price("455,5", "400"), "€4.00");
    assert_eq!(
        shop.see("said('note')"),
        "Priced as 600 × 400 mm, the next size of our price list. It is made to your measurements."
    );
    shop.act("fill('width', '0.3', 1); fill('height', '0.2', 1)");
    shop.wait("said('amount', 1) === '€1.00'");
    assert_eq!(shop.see("said('note', 1)"), "");
}
