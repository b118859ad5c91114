//! The element for everybody: without a mouse, to a screen reader, on a page that reads from right to left, at four times the size, and
//! what axe-core finds.

use super::browser::{Shop, TOOLS};
use crate::storefront::harness::Server;
use crate::support::browser::Look;
use quotegrid::http::{AppState, Router};
use quotegrid::shopify::Secrets;
use serde_json::{Value, json};
use std::sync::Arc;

/// What axe-core finds in the page, by rule.
pub(super) fn faults_found_by_axe(shop: &Shop) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/widget/axe.min.js");
    let axe = std::fs::read_to_string(path).expect("axe-core, which is not part of the shipped package");
    shop.act(&format!("window.found = null; {axe}; axe.run({{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }}).then((found) => {{ window.found = found; }})"));
    shop.wait("window.found");
    shop.see("found.violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])")
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_works_without_a_mouse_and_names_everything_for_screen_readers() {
    let shop = Shop::new();
    shop.ready();
    const TAB: char = '\u{e004}';
    const ENTER: char = '\u{e007}';
    shop.browser.press(&[], &format!("{TAB}450{TAB}350"));
    shop.wait("said('amount') === '$30.00'");
    assert_eq!(shop.see("part('price').getAttribute('aria-live')"), "polite");
    // Every field has a name and says what it wants.
    let fields = shop.see("[...qg().querySelectorAll('input, select')].map((field) => [field.labels[0].innerText, field.getAttribute('aria-describedby').split(' ').every((id) => qg().getElementById(id))])");
    for field in fields.as_array().expect("fields") {
        assert!(field[0].as_str().is_some_and(|name| !name.is_empty()) && field[1] == true, "{field}");
    }
    let tree = shop.browser.command("Accessibility.getFullAXTree", &json!({}));
    let names: Vec<&str> =
        tree["nodes"].as_array().into_iter().flatten().filter_map(|node| node["name"]["value"].as_str()).collect();
    for name in ["Width (mm)", "Height (mm)", "Edge", "Holes", "Quantity", "Order made to measure"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    // The focus is seen, and Enter orders.
    let outline = shop.see("getComputedStyle(qg().activeElement).outlineStyle");
    assert_eq!(outline, "solid");
    assert_eq!(faults_found_by_axe(&shop), json!([]));
    shop.browser.press(&[], &ENTER.to_string());
    shop.wait("heard.some(([name]) => name === 'order')");
    assert_eq!(shop.orders(), 1);
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_element_fits_a_page_that_reads_from_right_to_left_and_one_at_four_times_the_size() {
    let shop = Shop::new();
    shop.open("lang=en dir=rtl", "<quote-grid product=1001 key=KEY cart=list></quote-grid>");
    shop.wait("qg() && part('button')");
    assert_eq!(shop.price("450", "350"), "$30.00");
    shop.act("order()");
    shop.wait("said('sum').includes('$30.00')");
    // It is where such a page begins, and in itself runs as its language does: no size and no sentence is turned round.
    let at = shop.see("[document.documentElement.clientWidth - qg().querySelector('form').getBoundingClientRect().right, qg().querySelector('form').getBoundingClientRect().left]");
    assert!(at[0].as_f64() < at[1].as_f64(), "the form is on the right: {at}");
    let turned = shop.see("[part('sum').children[0], part('sum').children[1], part('drawing').querySelector('rect'), part('drawing').querySelectorAll('text')[1]].map((part) => part.getBoundingClientRect().left)");
    let left = |at: usize| turned[at].as_f64().expect("a number");
    assert!(left(0) < left(1) && left(2) < left(3), "{turned}");
    let apart = shop.see("part('drawing').querySelectorAll('text')[1].getBoundingClientRect().left - part('drawing').querySelector('rect').getBoundingClientRect().right");
    assert!(
        apart.as_f64().is_some_and(|apart| apart > 0.0),
        "the height is next to the drawing and not in it: {apart}"
    );
    assert_eq!(faults_found_by_axe(&shop), json!([]));
    // 1280 pixels at 400 % are 320.
    shop.browser.resize(320, 256);
    for language in ["en", "de", "nl", "fr"] {
        shop.act(&format!("document.querySelector('quote-grid').setAttribute('lang', '{language}')"));
        shop.wait(&format!("qg().querySelector('form')?.lang === '{language}' && said('sum') !== ''"));
        let width = shop.see("document.documentElement.scrollWidth");
        assert!(width.as_u64().is_some_and(|width| width <= 320), "{language}: {width}");
        let small = shop.see("[...qg().querySelectorAll('button, input, select')].filter((part) => part.getBoundingClientRect().height < 24 || part.getBoundingClientRect().width < 24).length");
        assert_eq!(small, 0, "{language}");
    }
    shop.browser.picture("element-at-320-pixels");
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_finds_nothing_wrong_with_the_demo_page() {
    let server = Server::new();
    let demo = server.fixture.demo_store();
    let state =
        AppState::new(server.fixture.app.clone(), Secrets::new(["hush"])).with_rate_limit(0).with_demo(Some(demo));
    let server = Server { router: Router::new(Arc::new(state)), ..server };
    let shop = Shop::of(server);
    for language in ["en", "de", "nl", "fr"] {
        shop.browser.open(&format!("{}/widget/demo?lang={language}", shop.api));
        shop.act(TOOLS);
        shop.wait("[...document.querySelectorAll('quote-grid')].every((element) => element.shadowRoot?.querySelector('form'))");
        shop.act("for (const at of [0, 1]) { fill('width', '600', at); fill('height', '400', at); }");
        shop.wait("said('amount', 0) && said('amount', 1)");
        shop.act("order(1)");
        shop.wait("said('sum', 1)");
        assert_eq!(shop.see("document.documentElement.lang"), language);
        // With something to say that is in red.
        shop.act("fill('width', '1', 0)");
        shop.wait("fault('width', 0)");
        for look in [Look::Light, Look::Dark] {
            shop.browser.look(look);
            assert_eq!(faults_found_by_axe(&shop), json!([]), "{language} {look:?}");
            shop.browser.picture(&format!("demo-{language}-{look:?}"));
        }
    }
    let lost = shop.browser.complaints();
    assert!(!lost.iter().any(|line| line.contains("Security Policy") || line.contains("Refused")), "{lost:?}");
}
