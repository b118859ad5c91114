//! The block that the README and the handbook show, pasted as it is into the page of a shop's theme, and the element with a key.

use super::site::{AppProxy, site, started};
use crate::storefront::harness::{SHOP, Server};
use crate::support::browser::Browser;
use quotegrid::shopify::setup;

/// Where the handbook's server is.
const ADDRESS: &str = "https://quotes.example.com";

/// The blocks of HTML that a page of the documentation shows.
fn blocks(path: &str) -> Vec<String> {
    let page = std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect("a page");
    page.split("```html\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
}

/// What Shopify makes of a block of Liquid on the page of a product.
fn rendered(block: &str, product: &str, locale: &str) -> String {
    block.replace("{{ product.id }}", product).replace("{{ request.locale.iso_code }}", locale)
}

#[test]
fn the_readme_the_handbook_and_the_command_show_the_same_block() {
    let block = setup::liquid_block(ADDRESS);
    assert_eq!(blocks("README.md"), [block.as_str()]);
    assert_eq!(blocks("src/docs/widget.md")[0], block);
}

/// Fills in a size on the page, orders, and waits until the shopper is taken to the order's page in German.
fn sells(browser: &Browser, server: &Server) {
    let inside = "const root = document.querySelector('quote-grid').shadowRoot;";
    browser.wait_for(&format!("{inside} return root.getElementById('width') !== null"));
    browser.ask(&format!(
        "{inside} for (const [id, value] of [['width', '450,5'], ['height', '350']]) {{ const input = root.getElementById(id); input.value = value; input.dispatchEvent(new Event('input')); }}"
    ));
    browser.wait_for(&format!("{inside} return root.querySelector('[part=amount]')?.innerText === '30,00\u{a0}$'"));
    browser.ask(&format!("{inside} root.querySelector('button').click()"));
    browser.wait_for("return location.pathname.startsWith('/q/')");
    assert_eq!(server.fixture.query::<i64>("SELECT count(*) FROM draft_order_records"), 1);
    assert_eq!(browser.ask("return document.documentElement.lang"), "de");
    let told = browser.ask("return document.body.innerText");
    assert!(
        told.as_str().is_some_and(|told| told.contains("30,00\u{a0}$") && told.contains("450,5 × 350\u{a0}mm")),
        "{told}"
    );
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_sells_with_the_block_of_the_readme_through_the_shops_own_domain() {
    let server = Server::new();
    let _example = super::browser::example(&server);
    let (_http, api) = started(&server);
    let block = rendered(&blocks("README.md")[0].replace(ADDRESS, &api), "1001", "de");
    assert!(!block.contains("{{") && !block.contains("example.com"), "{block}");
    let page = format!("<!doctype html><html lang=de><meta charset=utf-8><title>Ein Laden</title><h1>Glas</h1>{block}");
    let seconds = server.fixture.now().timestamp();
    let proxy = AppProxy { api, shop: SHOP, secret: "hush", seconds };
    let browser = Browser::start();
    browser.open(&site(page, Some(proxy)));
    sells(&browser, &server);
    let key: Option<String> = server.fixture.query("SELECT group_concat(last_used_at) FROM api_keys");
    assert_eq!(key, None, "no key was used");
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_sells_with_the_block_of_the_handbook_on_a_page_that_is_not_shopifys() {
    let server = Server::new();
    let example = super::browser::example(&server);
    let (_http, api) = started(&server);
    let block = blocks("src/docs/widget.md")[1].replace(ADDRESS, &api).replace("pm_…", &example.shop.key.key);
    let page =
        format!("<!doctype html><html lang=de-DE><meta charset=utf-8><title>Ein Laden</title><h1>Glas</h1>{block}");
    let browser = Browser::start();
    browser.open(&site(page, None));
    sells(&browser, &server);
}
