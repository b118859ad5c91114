//! The console as a person uses it who has never seen a terminal and was given a link: from a spreadsheet to an order on the workshop's
//! sheet, to an erasure with its receipts, and to jobs that failed. In a real browser, by what its pages show.

use super::link;
use crate::shop_pages::{SHOP, with_shop};
use crate::support::browser::{Browser, Look};
use quotegrid::access::Role;
use quotegrid::edge::{Server, ServerOptions};
use quotegrid::http::{Headers, Method, Request};
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// As a spreadsheet in German saves it.
const SPREADSHEET: &str = "height/width;600;1200\r\n800;50,00;70,00\r\n1600;60,00;80,00\r\n";

/// The first products of a shop, as they are listed in Shopify.
const PRODUCTS: &str = "1001 Roller blind Nox\n1002 Roller blind Umbra\n1003 Roller blind Alba\n1004 Roller blind Lumen\n1005 Roller blind Lino";

/// A person with a browser and a link.
struct Walker {
    fixture: Fixture,
    browser: Browser,
    _server: Server,
}

impl Walker {
    fn come_in() -> Self {
        let (fixture, _scope) = with_shop();
        // Late in the evening, so that what is ordered now was ordered yesterday soon.
        fixture.advance(Duration::from_secs(23 * 60 * 60 + 30 * 60));
        let options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        let server = Server::start(options, Arc::new(fixture.router.clone())).expect("a server");
        let browser = Browser::start();
        browser.resize(1_280, 900);
        let token = link(&fixture, Role::Operator, None);
        browser.open(&format!("http://{}/admin/enter#{token}", server.address()));
        let walker = Self { fixture, browser, _server: server };
        walker.sees("Overview");
        walker
    }

    /// Waits for the page with this heading, and looks at it: nothing is blocked, nothing is in anybody's way.
    fn sees(&self, heading: &str) {
        let heading = json!(heading);
        self.browser.wait_for(&format!(
            "return document.readyState === 'complete' && document.querySelector('h1')?.textContent.startsWith({heading})"
        ));
        assert_eq!(self.browser.barriers(), Vec::<String>::new(), "{heading}");
        assert_eq!(self.browser.complaints(), Vec::<String>::new(), "{heading}");
    }

    /// Waits for words on the page.
    fn reads(&self, words: &str) {
        let words = json!(words);
        self.browser.wait_for(&format!(
            "return document.readyState === 'complete' && document.querySelector('main').textContent.includes({words})"
        ));
    }

    fn click_text(&self, words: &str) {
        self.browser.click_text("a, button, summary", words);
    }

    /// Types into a field, of several with this name into the one at `at`.
    fn enters(&self, name: &str, at: usize, text: &str) {
        self.browser.ask(&format!(
            "const field = document.querySelectorAll('[name=\"{name}\"]')[{at}]; field.focus(); if (field.select) field.select();"
        ));
        self.browser.press(&[], text);
    }

    /// Chooses of a list what begins with these words.
    fn chooses(&self, name: &str, at: usize, words: &str) {
        let words = json!(words);
        let is_there = self.browser.ask(&format!(
            "const list = document.querySelectorAll('[name=\"{name}\"]')[{at}];
             const option = [...list.options].find(option => option.textContent.startsWith({words}));
             if (option) {{ list.value = option.value; list.dispatchEvent(new Event('change', {{ bubbles: true }})); }}
             return Boolean(option)"
        ));
        assert_eq!(is_there, true, "{name} offers {words}");
    }

    fn prints(&self) {
        self.browser.look(Look::Paper);
        assert_eq!(self.browser.ask("return document.querySelector('.bar').getClientRects().length"), 0);
        assert!(self.browser.print().starts_with(b"%PDF"));
        self.browser.look(Look::Light);
    }

    fn count(&self, selector: &str) -> Value {
        self.browser.ask(&format!("return document.querySelectorAll('{selector}').length"))
    }

    /// A shopper orders on the shop's page, with the key that the shop's theme was given.
    fn is_ordered(&self, key: &str) {
        let body = json!({ "productId": "1001", "width": 1_193, "height": 1_388, "quantity": 1 }).to_string();
        let mut headers = Headers::default();
        headers.push("X-API-Key", key);
        let request = Request {
            method: Method::Post,
            path: "/api/v1/draft-orders".to_owned(),
            query: String::new(),
            headers,
            body: body.into_bytes(),
            client: IpAddr::from([127, 0, 0, 1]),
            id: "shopper".to_owned(),
        };
        let answer = self.fixture.call(request);
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    }

    fn sets_up_prices(&self) {
        self.click_text("Shops");
        self.sees("Shops");
        self.click_text(SHOP);
        self.sees(SHOP);
        self.click_text("Prices");
        self.sees("Price lists");
        self.enters("name", 0, "Roller blinds");
        self.click_text("Add");
        self.sees("Roller blinds");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("prices.csv");
        std::fs::write(&file, SPREADSHEET).expect("written");
        self.click_text("Import");
        self.sees("Import prices");
        self.browser.choose_file("#file", &file);
        self.click_text("Preview");
        self.sees("Roller blinds");
        assert_eq!(self.fixture.count("matrix_cells"), 0, "nothing is saved unseen");
        self.browser.click_text("[data-save]", "Save");
        self.browser.wait_for("return document.querySelector('.flash') !== null");
        // 4 % more: seen in the sheet first.
        self.enters("percent", 0, "4");
        self.browser.click_text("[data-adjust]", "");
        self.reads("4 unsaved changes");
        self.sees("Roller blinds");
        self.browser.click_text("[data-save]", "Save");
        self.browser.wait_for(
            "return document.readyState === 'complete' && document.querySelector('.flash') !== null && document.querySelector('[name=p]').value === '52.00'",
        );
        self.sees("Roller blinds");
    }

    fn adds_options(&self) {
        for (group, choice, value, kind) in [("Operation", "Motor", "89.00", "EUR"), ("Mounting", "Ceiling", "5", "%")]
        {
            self.click_text("Options");
            self.sees("Option groups");
            self.click_text("Add an option group");
            self.sees("A new option group");
            self.enters("name", 0, group);
            self.enters("label", 0, choice);
            self.enters("value", 0, value);
            self.chooses("kind", 0, kind);
            self.browser.click_text("button.main", "Save");
            self.browser.wait_for("return document.querySelector('.flash') !== null");
            self.sees(group);
        }
    }

    fn assigns_products(&self) {
        self.click_text("Products");
        self.sees("Products");
        self.browser.ask(&format!("document.querySelector('[name=new]').value = {}", json!(PRODUCTS)));
        self.chooses("list", 0, "Roller blinds");
        self.chooses("add-group", 0, "Operation");
        self.browser.click_text("button.main", "Assign");
        self.browser.wait_for("return document.querySelectorAll('[name=product]').length === 5");
        self.browser.ask("for (const box of document.querySelectorAll('[name=product]')) box.checked = true;");
        self.chooses("add-group", 0, "Mounting");
        self.browser.click_text("button.main", "Assign");
        self.browser.wait_for("return document.readyState === 'complete' && document.querySelectorAll('[name=product]:checked').length === 0");
        self.sees("Products");
        assert_eq!(self.fixture.count("product_option_groups"), 10);
    }

    fn prices_a_size(&self) {
        self.click_text("Roller blind Nox");
        self.sees("Roller blind Nox");
        self.enters("width", 0, "1193");
        self.enters("height", 0, "1388");
        let group = |at: usize| {
            let name = self
                .browser
                .ask(&format!("return document.querySelectorAll('main form[method=get] select')[{at}].name"));
            name.as_str().expect("a name").to_owned()
        };
        for (at, choice) in [(0, "Motor"), (1, "Ceiling")] {
            self.chooses(&group(at), 0, choice);
        }
        self.click_text("Calculate price");
        // 83.20 for 1200 x 1600, 89.00 for the motor, and 5 % of 83.20.
        self.reads("176.36 EUR");
        self.reads("rounded up to the step 1200 mm");
        self.sees("Roller blind Nox");
    }

    fn finds_yesterdays_orders(&self) {
        self.click_text("Shops");
        self.sees("Shops");
        self.click_text(SHOP);
        self.sees(SHOP);
        self.enters("label", 0, "Live theme");
        self.click_text("Issue a key");
        self.sees("A new key");
        let key = self.browser.ask("return document.querySelector('.secret').textContent");
        self.is_ordered(key.as_str().expect("a key"));
        self.fixture.advance(Duration::from_secs(60 * 60));
        self.click_text("I have copied it");
        self.sees(SHOP);
        self.click_text("Orders");
        self.sees("Orders");
        self.click_text("Today");
        self.reads("No order matches.");
        self.click_text("Yesterday");
        self.reads("#D1");
        self.sees("Orders");
        assert_eq!(self.count("tbody tr"), 1);
        self.click_text("Workshop sheet");
        self.sees("Workshop sheet");
        assert_eq!(self.count("tbody tr"), 1);
        self.reads("1193");
        self.prints();
    }

    fn sees_an_erasure_come_in_and_finish(&self) {
        self.click_text("Privacy");
        self.sees("Privacy");
        self.reads("No requests");
        self.fixture.post_webhook("shop/redact", &json!({ "shop_id": 1, "shop_domain": SHOP }));
        self.click_text("Privacy");
        self.click_text("Erase a shop");
        self.sees("Erase a shop");
        self.reads("30 days left");
        // The page is left open: it shows by itself that the erasure is done.
        self.fixture.run_jobs();
        self.browser.wait_for("return document.querySelectorAll('.receipt').length === 2");
        self.sees("Erase a shop");
        self.prints();
        assert_eq!(self.fixture.count("stores"), 0);
    }

    fn finds_out_why_jobs_failed_and_retries_them(&self) {
        for _ in 0..3 {
            self.fixture.enqueue("shop_redact", json!({ "note": "no shop" }));
        }
        self.fixture.run_jobs();
        self.click_text("Overview");
        self.sees("Overview");
        self.reads("3 jobs for legal obligations failed permanently");
        self.browser.click_text("main a.button", "Failed jobs");
        self.sees("Jobs");
        self.click_text("Show");
        self.browser.wait_for("return document.readyState === 'complete' && location.search.includes('error=')");
        self.browser.click_text("[data-live=jobs] a", "shop_redact");
        self.sees("shop_redact");
        self.reads("It is not retried automatically.");
        assert_eq!(self.count(".timeline li"), 1, "each attempt is shown");
        self.browser.ask("history.back()");
        self.sees("Jobs");
        self.click_text("Retry all that match");
        self.sees("Retry 3 jobs?");
        self.browser.click_text("button.main", "Retry 3 jobs");
        self.reads("The jobs that matched are due again.");
        self.sees("Jobs");
        let waiting = "SELECT count(*) FROM job_queue WHERE type = 'shop_redact' AND status = 'pending'";
        assert_eq!(self.fixture.query::<u64>(waiting), 3);
    }
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_walks_from_a_link_to_prices_orders_erasure_and_failed_jobs() {
    let walker = Walker::come_in();
    walker.sets_up_prices();
    walker.adds_options();
    walker.assigns_products();
    walker.prices_a_size();
    walker.finds_yesterdays_orders();
    walker.sees_an_erasure_come_in_and_finish();
    walker.finds_out_why_jobs_failed_and_retries_them();
}
