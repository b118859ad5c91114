//! The element through a shop's own domain: without a key in the page, signed by Shopify's app proxy.

use super::site::{AppProxy, site, started};
use crate::storefront::harness::{SHOP, Server};
use crate::support::browser::Browser;

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_sells_through_the_shops_own_domain_without_a_key() {
    let server = Server::new();
    let _example = super::browser::example(&server);
    let (_http, api) = started(&server);
    let page = format!(
        "<!doctype html><html lang=de><meta charset=utf-8><title>Ein Laden</title><h1>Glas</h1>\
         <quote-grid product='gid://shopify/Product/1001' proxy='/apps/quotes/'></quote-grid>\
         <script type=module src='{api}/widget/v1.js'></script>"
    );
    let seconds = server.fixture.now().timestamp();
    let proxy = AppProxy { api, shop: SHOP, secret: "hush", seconds };
    let browser = Browser::start();
    browser.open(&site(page, Some(proxy)));
    let inside = "const root = document.querySelector('quote-grid').shadowRoot;";
    browser.wait_for(&format!("{inside} return root.getElementById('width') !== null"));
    browser.ask(&format!(
        "{inside} for (const [id, value] of [['width', '450,5'], ['height', '350']]) {{ const input = root.getElementById(id); input.value = value; input.dispatchEvent(new Event('input')); }}"
    ));
    browser.wait_for(&format!("{inside} return root.querySelector('[part=amount]')?.innerText === '30,00\u{a0}$'"));
    browser.ask(&format!("{inside} root.querySelector('button').click()"));
    browser.wait_for("return location.pathname.startsWith('/q/')");
    assert_eq!(server.fixture.query::<i64>("SELECT count(*) FROM draft_order_records"), 1);
    let key: Option<String> = server.fixture.query("SELECT group_concat(last_used_at) FROM api_keys");
    assert_eq!(key, None, "no key was used");
}
