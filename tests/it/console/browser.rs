//! The console in a real browser: by its first link, on every page, wide and narrow, by day and by night.

use crate::operators::ephemeral::Ephemeral;
use crate::support::browser::{Browser, Look};
use crate::support::waiting::PATIENCE;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PAGES: [(&str, &str); 7] = [
    ("overview", "/admin"),
    ("jobs", "/admin/jobs"),
    ("failed", "/admin/jobs?status=failed"),
    ("privacy", "/admin/privacy"),
    ("webhooks", "/admin/webhooks"),
    ("activity", "/admin/activity"),
    ("health", "/admin/health"),
];

fn wait(what: &str, browser: &Browser, function: &str) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = browser.ask(function);
        if found != Value::Null && found != json!(false) {
            return found;
        }
        assert!(Instant::now() < until, "{what} never came");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What axe finds wrong on the page that is shown.
fn barriers(browser: &Browser) -> Value {
    // Looks for what keeps people out who see, hear or move otherwise. It is not shipped.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/widget/axe.min.js");
    browser.ask(&std::fs::read_to_string(path).expect("axe-core"));
    browser.ask("window.found = null; axe.run().then((result) => { window.found = result.violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html).join(' | ')}`); });");
    wait("axe's result", browser, "return window.found;")
}

#[test]
#[ignore = "needs Chromium; the gate asks for it"]
fn every_page_of_the_server_is_sound_in_a_browser() {
    let server = Ephemeral::start(&["--workers", "1"]);
    let bearer = format!("Bearer {}", server.text("adminToken"));
    server.redact("w-1");
    // Something to see in the charts, and something that fails.
    for number in 0..3 {
        server.redact(&format!("w-1{number}"));
        server.ask("POST", "/webhooks", &[("X-Shopify-Topic", "shop/redact")], "{}");
    }
    let broken = json!({ "type": "shop_redact", "payload": { "note": "no shop" }, "maxAttempts": 1 });
    assert_eq!(server.ask("POST", "/admin/api/jobs", &[("Authorization", &bearer)], &broken.to_string()).0, 201);
    let job = json!({ "type": "unknown<b>", "payload": { "note": "x".repeat(300) } });
    assert_eq!(server.ask("POST", "/admin/api/jobs", &[("Authorization", &bearer)], &job.to_string()).0, 201);
    let browser = Browser::start();
    browser.resize(1280, 900);
    browser.open(server.text("consoleLink"));
    wait("the overview", &browser, "return document.querySelector('h1')?.textContent === 'Overview'");
    assert_eq!(browser.ask("return location.hash + location.search"), "", "the token stays in no address");
    assert_eq!(browser.ask("return document.cookie"), "", "no script reads the session");
    let url = server.text("url").to_owned();
    for (name, path) in PAGES {
        browser.open(&format!("{url}{path}"));
        for (look, width) in [(Look::Light, 1280), (Look::Dark, 1280), (Look::Light, 360), (Look::Dark, 360)] {
            browser.look(look);
            browser.resize(width, 900);
            assert_eq!(barriers(&browser), json!([]), "{name} {look:?} {width}");
            let wide =
                browser.ask("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(wide, 0, "{name} is wider than a screen of {width}");
            browser.picture(&format!("console-{name}-{look:?}-{width}"));
        }
        // Times are in the reader's zone, with UTC where the pointer rests.
        assert_eq!(
            browser.ask("return [...document.querySelectorAll('time')].every((time) => time.title.endsWith(' UTC'))"),
            true
        );
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{name}");
    }
    browser.resize(1280, 900);
    browser.look(Look::Light);
    browser.open(&format!("{url}/admin/privacy"));
    browser.ask("document.querySelector('td a').click()");
    wait("both receipts", &browser, "return document.querySelectorAll('.receipt').length === 2");
    assert_eq!(barriers(&browser), json!([]));
    browser.picture("console-request");
    browser.look(Look::Paper);
    browser.picture("console-request-paper");
    browser.look(Look::Light);
    browser.ask("document.querySelector('nav form button').click()");
    wait("the way in", &browser, "return document.querySelector('h1')?.textContent === 'Sign in'");
    assert_eq!(barriers(&browser), json!([]));
    browser.picture("console-enter");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
