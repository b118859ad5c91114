//! Every page of a shop in a real browser: wide, on a phone, by day and by night, with names as long as they may be.

use super::{SHOP, install, link};
use crate::support::browser::{Browser, Look};
use quotegrid::access::Role;
use quotegrid::edge::{Server, ServerOptions};
use quotegrid::http::Service;
use quotegrid::testing::Fixture;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;

/// What is measured of a page, in the page, with everything opened that can be.
const MEASURES: &str = r"
    for (const closed of document.querySelectorAll('details')) closed.open = true;
    const shown = [...document.querySelectorAll('body *')].filter(one => one.getClientRects().length && getComputedStyle(one).visibility === 'visible');
    const luminance = colour => {
        const [r, g, b] = colour.match(/[\d.]+/g).map(Number).map(value => {
            value /= 255;
            return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const background = one => {
        for (; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor;
            if (!/, 0\)$/.test(colour)) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const contrast = one => {
        const [a, b] = [luminance(getComputedStyle(one).color), luminance(background(one))].sort((a, b) => b - a);
        return (a + 0.05) / (b + 0.05);
    };
    const texts = shown.filter(one => !one.disabled && !one.closest('.hidden, .skip') && [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
    const faint = texts.filter(one => contrast(one) < 4.5).map(one => one.outerHTML.slice(0, 120));
    const unnamed = shown.filter(one => one.matches('input:not([type=hidden]), select, textarea, button') && !one.getAttribute('aria-hidden')
        && !(one.labels && one.labels.length) && !one.getAttribute('aria-label') && !one.textContent.trim()).map(one => one.outerHTML.slice(0, 120));
    const ids = [...document.querySelectorAll('[id]')].map(one => one.id);
    return {
        scrolls: Math.max(document.documentElement.scrollWidth, window.innerWidth),
        smallest: Math.min(...texts.map(one => parseFloat(getComputedStyle(one).fontSize))),
        faint, unnamed,
        twice: ids.filter((id, at) => ids.indexOf(id) !== at),
        headings: document.querySelectorAll('h1').length,
    };
";

/// A server with the demo shop, and another one whose names are as long, or as strange, as they may be.
fn served() -> (Fixture, Server, String) {
    let fixture = Fixture::new();
    fixture.demo_store();
    let options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    let router: Arc<dyn Service> = Arc::new(fixture.router.clone());
    let server = Server::start(options, router).expect("a server");
    let url = format!("http://{}", server.address());
    (fixture, server, url)
}

/// Names of the demo shop's things with what strangers may have written into them.
fn strange_names(fixture: &Fixture) {
    let write = |sql: &'static str, name: String| {
        let written = fixture.app.db.write(move |tx| -> quotegrid::error::Result<_> { Ok(tx.execute(sql, [name])?) });
        assert!(written.expect("written") > 0, "{sql}");
    };
    write(
        "UPDATE product_matrices SET product_title = ?1 WHERE product_id = (SELECT min(product_id) FROM product_matrices)",
        "ستارة دوارة".to_owned(),
    );
    write("UPDATE option_groups SET name = ?1 WHERE id = (SELECT min(id) FROM option_groups)", "W".repeat(100));
    write(
        "UPDATE price_matrices SET name = ?1 WHERE id = (SELECT min(id) FROM price_matrices)",
        format!("<script>alert(1)</script>{}", "x".repeat(70)),
    );
    write(
        "UPDATE draft_order_lines SET product_title = ?1 WHERE draft_order_id = (SELECT id FROM draft_order_records WHERE number = 1)",
        "<img src=x onerror=alert(1)> ".repeat(5),
    );
    write(
        "UPDATE draft_order_records SET handover_error = ?1, handover_warnings = '[\"The total is 1.00 EUR lower there\"]' WHERE number = 1",
        "<img src=x onerror=alert(1)> ".repeat(5),
    );
}

fn sign_in(browser: &Browser, url: &str, token: &str) {
    browser.open(&format!("{url}/admin/enter#{token}"));
    for _ in 0..100 {
        if browser.ask("return location.pathname") == "/admin" {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("not signed in: {}", browser.ask("return document.body.innerText"));
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_shows_every_page_of_a_shop_wide_and_on_a_phone_by_day_and_by_night() {
    let (fixture, _server, url) = served();
    install(&fixture, SHOP);
    strange_names(&fixture);
    let shop: String = fixture.query("SELECT shop FROM stores WHERE draft_order_count > 0");
    let id = |sql: &str| fixture.query::<String>(sql);
    let (matrix, group) = (
        id("SELECT id FROM price_matrices ORDER BY id LIMIT 1"),
        id("SELECT id FROM option_groups ORDER BY id LIMIT 1"),
    );
    let (order, product) = (
        id("SELECT id FROM draft_order_records WHERE number = 1"),
        id("SELECT product_id FROM product_matrices ORDER BY product_id LIMIT 1"),
    );
    let filled = format!("{url}/admin/shops/{shop}");
    let empty = format!("{url}/admin/shops/{SHOP}");
    let pages = [
        ("shops", format!("{url}/admin/shops")),
        ("shop", filled.clone()),
        ("shop-empty", empty.clone()),
        ("erase", format!("{filled}/erase")),
        ("prices", format!("{filled}/prices")),
        ("prices-empty", format!("{empty}/prices")),
        ("sheet", format!("{filled}/prices/{matrix}")),
        ("import", format!("{filled}/prices/{matrix}/import")),
        ("delete", format!("{filled}/prices/{matrix}/delete")),
        ("options", format!("{filled}/options")),
        ("options-empty", format!("{empty}/options")),
        ("option-group", format!("{filled}/options/{group}")),
        ("option-new", format!("{filled}/options/new")),
        ("products", format!("{filled}/products")),
        ("products-empty", format!("{empty}/products")),
        ("product", format!("{filled}/products/one?id={product}&width=1000&height=1000&quantity=2")),
        ("orders", format!("{filled}/orders")),
        ("orders-empty", format!("{empty}/orders")),
        ("orders-none", format!("{filled}/orders?number=999999")),
        ("order", format!("{filled}/orders/{order}")),
        ("workshop", format!("{filled}/orders/workshop")),
    ];
    let browser = Browser::start();
    sign_in(&browser, &url, &link(&fixture, Role::Operator, None));
    for (name, page) in &pages {
        for (width, look) in [(1_280, Look::Light), (1_280, Look::Dark), (360, Look::Light), (360, Look::Dark)] {
            browser.resize(width, 800);
            browser.look(look);
            browser.open(page);
            let found = browser.ask(MEASURES);
            browser.picture(&format!("console-{name}-{width}-{look:?}"));
            let at = format!("{name} {width} {look:?}: {found}");
            assert!(found["scrolls"].as_f64().is_some_and(|scrolls| scrolls <= f64::from(width)), "{at}");
            assert!(found["smallest"].as_f64().is_some_and(|smallest| smallest >= 12.0), "{at}");
            for list in ["faint", "unnamed", "twice"] {
                assert_eq!(found[list], json!([]), "{list}: {at}");
            }
            assert_eq!(found["headings"], 1, "{at}");
            let complaints: Vec<String> =
                browser.complaints().into_iter().filter(|text| !text.contains("404 (Not Found)")).collect();
            assert_eq!(complaints, Vec::<String>::new(), "{at}");
        }
    }
    browser.look(Look::Paper);
    browser.resize(794, 1_123);
    browser.open(&format!("{filled}/orders/workshop"));
    browser.picture("console-workshop-paper");
    assert_eq!(
        browser.ask("return document.querySelector('.bar').getClientRects().length"),
        0,
        "no navigation on paper"
    );
}
