//! Every state that a shopper may meet, in each of the three places where the element is used: a page of another site with a key, a page
//! below Shopify's app proxy, and a page on which the original widget sells too.

use super::accessibility::faults_found_by_axe;
use super::browser::{Shop, TOOLS};
use super::site::{AppProxy, site};
use crate::proxy::signed;
use crate::storefront::harness::{PRODUCT, SHOP, Server, ask, encoded, fixed, matrix, request};
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::domain::options::Requirement;
use serde_json::json;
use std::time::Duration;

/// Where the element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    OtherSite,
    AppProxy,
    NextToTheOriginalWidget,
}

/// The page of the original widget's contract, with its functions: `price`, `order` and others.
const ORIGINAL: &str = include_str!("../storefront/page.html");

/// Opens a page with an element for each of `products`, in a place.
fn open(shop: &Shop, place: Place, products: &[&str]) {
    let key = &shop.example.shop.key.key;
    // As a theme may write them: the product as the Admin API names it, the path with a slash at its end.
    let (prefix, access) = match place {
        Place::AppProxy => ("gid://shopify/Product/", "proxy='/apps/quotes/'".to_owned()),
        Place::OtherSite | Place::NextToTheOriginalWidget => ("", format!("key='{key}'")),
    };
    let elements =
        products.iter().map(|product| format!("<quote-grid product='{prefix}{product}' {access}></quote-grid>"));
    let elements: String = elements.collect();
    let original = if place == Place::NextToTheOriginalWidget { ORIGINAL } else { "" };
    let page = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width'><title>A shop</title>\
         {original}</head><body><main><h1>A pane</h1>{elements}</main><script>{TOOLS}window.press = (at) => part('button', at).click();</script>\
         <script type=module src='{}/widget/v1.js'></script></body></html>",
        shop.api
    );
    let seconds = shop.server.fixture.now().timestamp();
    let proxy = AppProxy { api: shop.api.clone(), shop: SHOP, secret: "hush", seconds };
    let origin = site(page, (place == Place::AppProxy).then_some(proxy));
    shop.browser.open(&format!("{origin}/?api={}&key={key}", encoded(&shop.api)));
    for at in 0..products.len() {
        shop.wait(&format!("qg({at}) && all({at}) !== '' && !all({at}).startsWith('One moment')"));
    }
}

fn each_state_is_shown(place: Place) {
    let shop = Shop::new();
    let store = shop.example.shop.scope;
    let rows = [vec![Some(100), None], vec![Some(300), Some(400)]];
    let holes = shop.server.matrix(store, "Holes", matrix(&[300, 600], &[200, 400], &rows, OutOfRange::Reject));
    shop.server.assign(store, "1002", holes);
    let (colour, _) = shop.server.group(store, "1002", "Colour", Requirement::Required, &[fixed(0)]);
    let colour = colour.to_string();
    shop.server.write(move |tx| {
        Ok(tx.execute("UPDATE option_choices SET is_default = 0 WHERE option_group_id = ?1", [colour])?)
    });
    open(&shop, place, &["1001", "1002", "77"]);

    // A product without prices, next to two that have some.
    assert_eq!(shop.see("all(2)"), "This product cannot be ordered made to measure right now.");

    // A slow network: what was typed last counts.
    shop.network(false, 600);
    shop.act("fill('width', '300'); fill('height', '200')");
    shop.wait("part('price').getAttribute('aria-busy') === 'true'");
    shop.act("fill('width', '450'); fill('height', '350')");
    shop.wait("said('amount') === '$30.00'");
    shop.network(false, 0);

    // A size that is not offered, and a required option.
    shop.act("fill('width', '450', 1); fill('height', '200', 1)");
    shop.wait("said('error', 1).includes('We do not make it in this size.')");
    shop.act("part('nearest', 1).click()");
    shop.wait("said('amount', 1) === '$4.00'");
    shop.act("press(1)");
    shop.wait("fault('group-0', 1) === 'Please choose'");
    shop.act("fill('group-0', qg(1).getElementById('group-0').options[1].value, 1); press(1)");
    shop.wait("heard.some(([name]) => name === 'order')");
    assert_eq!(shop.orders(), 1, "{place:?}");
    assert_eq!(shop.see("said('amount')"), "$30.00", "the other element has not noticed");

    // No connection, and the same order when there is one again.
    shop.network(true, 0);
    shop.act("heard.length = 0; press()");
    shop.wait("said('error').includes('There is no connection right now.')");
    shop.network(false, 0);
    shop.act("part('again').click()");
    shop.wait("heard.some(([name]) => name === 'order')");
    assert_eq!(shop.orders(), 2, "{place:?}");

    // Taken out and put in again, elsewhere.
    shop.act("const moved = document.querySelector('quote-grid'); moved.remove(); document.querySelector('main').prepend(moved)");
    shop.wait("qg().getElementById('width')?.value === '450' && said('amount') === '$30.00'");
    assert_eq!(faults_found_by_axe(&shop), json!([]), "{place:?}");

    // The element and the original widget do not affect each other.
    if place == Place::NextToTheOriginalWidget {
        let found = shop.see(&format!("price('{PRODUCT}', {{ width: '450', height: '350' }})"));
        assert_eq!((&found["status"], &found["body"]["price"]), (&json!(200), &json!(30)), "{found}");
        let required =
            json!({ "optionGroupId": shop.example.required.to_string(), "choiceId": shop.example.free.to_string() });
        let wanted = json!({ "productId": PRODUCT, "width": 450, "height": 350, "options": [required] });
        let placed = shop.see(&format!("order({wanted})"));
        assert_eq!(placed["status"], 201, "{placed}");
    }

    // A price that changes between look and order.
    let dearer = shop.server.matrix(store, "Dearer", matrix(&[900], &[600], &[vec![Some(4_000)]], OutOfRange::Clamp));
    shop.server.assign(store, PRODUCT, dearer);
    shop.act("window.letGo = true; press()");
    shop.wait("said('status') === 'The price has changed: it is $40.00 now.'");
    shop.act("part('button').click()");
    shop.wait("location.pathname.startsWith('/q/')");
    assert_eq!(shop.see("document.documentElement.lang"), "en");
}

fn a_limit_is_waited_for(place: Place) {
    let shop = Shop::of(Server::with_rate_limit(3));
    open(&shop, place, &["1001"]);
    assert_eq!(shop.price("450", "350"), "$30.00");
    // The whole store's limit is used up as well, which is what counts below the proxy.
    let seconds = shop.server.fixture.now().timestamp();
    let target = signed("/proxy/products/1001/price", &[("width", "450"), ("height", "350")], SHOP, seconds, "hush");
    let mut spent = (0..1_000).map(|_| ask(&shop.server.router, request("GET", &target, &[])).status);
    assert!(spent.any(|status| status == 429));
    shop.act("fill('width', '900')");
    shop.wait("said('status').startsWith('We try again in')");
    // The server's clock stops until it is moved: before that, no request passes.
    shop.server.fixture.advance(Duration::from_secs(60));
    shop.wait("said('amount') === '$35.00' && said('status') === ''");
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_shows_each_state_on_a_page_of_another_site() {
    each_state_is_shown(Place::OtherSite);
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_shows_each_state_below_the_app_proxy() {
    each_state_is_shown(Place::AppProxy);
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_shows_each_state_next_to_the_original_widget() {
    each_state_is_shown(Place::NextToTheOriginalWidget);
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_waits_for_a_limit_in_each_place() {
    for place in [Place::OtherSite, Place::AppProxy, Place::NextToTheOriginalWidget] {
        a_limit_is_waited_for(place);
    }
}
