//! The console in a real browser: by its first link, on every page, wide and narrow, by day and by night.

use crate::operators::ephemeral::Ephemeral;
use crate::support::browser::{Browser, Look};
use serde_json::json;

const PAGES: [(&str, &str); 7] = [
    ("overview", "/admin"),
    ("jobs", "/admin/jobs"),
    ("failed", "/admin/jobs?status=failed"),
    ("privacy", "/admin/privacy"),
    ("webhooks", "/admin/webhooks"),
    ("activity", "/admin/activity"),
    ("health", "/admin/health"),
];

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
    // As long as a name may be, without a place to break it.
    let long = json!({ "type": "t".repeat(60), "payload": { "note": "x".repeat(300) } });
    assert_eq!(server.ask("POST", "/admin/api/jobs", &[("Authorization", &bearer)], &long.to_string()).0, 201);
    let job = json!({ "type": "unknown<b>", "payload": { "note": "x".repeat(300) } });
    assert_eq!(server.ask("POST", "/admin/api/jobs", &[("Authorization", &bearer)], &job.to_string()).0, 201);
    let browser = Browser::start();
    browser.resize(1280, 900);
    browser.open(server.text("consoleLink"));
    browser.wait_for("return document.querySelector('h1')?.textContent === 'Overview'");
    assert_eq!(browser.ask("return location.hash + location.search"), "", "the token stays in no address");
    assert_eq!(browser.ask("return document.cookie"), "", "no script reads the session");
    let url = server.text("url").to_owned();
    for (name, path) in PAGES {
        browser.open(&format!("{url}{path}"));
        for (look, width) in [(Look::Light, 1280), (Look::Dark, 1280), (Look::Light, 360), (Look::Dark, 360)] {
            browser.look(look);
            browser.resize(width, 900);
            assert_eq!(browser.barriers(), Vec::<String>::new(), "{name} {look:?} {width}");
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
    browser.wait_for("return document.querySelectorAll('.receipt').length === 2");
    assert_eq!(browser.barriers(), Vec::<String>::new());
    browser.picture("console-request");
    browser.look(Look::Paper);
    browser.picture("console-request-paper");
    browser.look(Look::Light);
    browser.ask("document.querySelector('nav form button').click()");
    browser.wait_for("return document.querySelector('h1')?.textContent === 'Sign in'");
    assert_eq!(browser.barriers(), Vec::<String>::new());
    browser.picture("console-enter");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
