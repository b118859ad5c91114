//! The page of an order in a real browser: on a phone, at night, on paper.

use super::{example_order, order, page};
use crate::storefront::harness::{PRODUCT, Server, body, fixed, grid};
use crate::support::browser::{Browser, Look};
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::domain::options::{Modifier, Requirement};
use quotegrid::edge::{Server as HttpServer, ServerOptions};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// What is measured of a page, in the page.
const MEASURES: &str = r"
    const shown = [...document.querySelectorAll('body *')].filter(one => one.getClientRects().length);
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
    const texts = shown.filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
    return {
        window: window.innerWidth,
        scrolls: document.documentElement.scrollWidth,
        right: Math.max(...shown.map(one => one.getBoundingClientRect().right)),
        smallest: Math.min(...texts.map(one => parseFloat(getComputedStyle(one).fontSize))),
        contrast: Math.min(...texts.map(contrast)),
        paper: getComputedStyle(document.body).backgroundColor,
        styled: getComputedStyle(document.querySelector('td')).textAlign,
        button: document.querySelector('.button').getClientRects().length,
        scripts: document.scripts.length,
        title: document.title,
    };
";

/// An order of a product with names as long as they may be, of which one has no place to break.
fn long_winded(server: &Server) -> Value {
    let shop = server.shop("a-shop-with-a-really-long-name-that-takes-all-the-room-it-may.myshopify.com");
    let matrix = server.matrix(shop.scope, &"Price list ".repeat(9), grid(OutOfRange::Reject));
    server.assign(shop.scope, PRODUCT, matrix);
    let title = "W".repeat(100);
    server.write(move |tx| Ok(tx.execute("UPDATE product_matrices SET product_title = ?1", [title])?));
    let share = Modifier::from_parts("PERCENTAGE", 725).expect("a modifier");
    let options: Vec<Value> = ["Colour of the chain and of the bottom rail", "Side", &"m".repeat(97), "Edge", "Holes"]
        .into_iter()
        .map(|name| {
            let (group, choices) = server.group(shop.scope, PRODUCT, name, Requirement::Optional, &[share, fixed(-1)]);
            json!({"optionGroupId": group.to_string(), "choiceId": choices[0].to_string()})
        })
        .collect();
    let wanted =
        json!({"productId": PRODUCT, "width": 899.999, "height": 599.999, "quantity": 10_000, "options": options});
    body(&order(server, &shop.key.key, &wanted))
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_shows_the_page_on_a_phone_at_night_and_on_paper() {
    let server = Server::new();
    let example = server.example();
    let placed = order(&server, &example.shop.key.key, &example_order(&example));
    assert_eq!(page(&server, &placed).status, 200);
    let long = long_winded(&server);
    let several: Vec<Value> = (0..9)
        .map(|at| {
            let mut item = example_order(&example);
            item["width"] = json!(300 + 70 * at);
            item["label"] = json!(format!("Window {at} of the long corridor, on the left"));
            item
        })
        .collect();
    let several = body(&order(&server, &example.shop.key.key, &json!({ "items": several })));
    // As once Shopify has it: with a button.
    server.write(|tx| Ok(tx.execute("UPDATE draft_order_records SET checkout_url = 'https://pay.example/'", ())?));
    let options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    let http = HttpServer::start(options, Arc::new(server.router.clone())).expect("a server");
    let tokens: String = server
        .fixture
        .query("SELECT group_concat(token, ' ') FROM (SELECT token FROM draft_order_records ORDER BY number)");
    let urls: Vec<String> = tokens.split(' ').map(|token| format!("http://{}/q/{token}", http.address())).collect();
    assert_eq!((urls.len(), &long["quantity"]), (3, &json!(10_000)));
    assert_eq!(several["items"].as_array().map(Vec::len), Some(9));
    let browser = Browser::start();
    for (url, name) in urls.iter().zip(["plain", "long", "several"]) {
        let mut papers = Vec::new();
        for (width, look) in
            [(360, Look::Light), (320, Look::Light), (360, Look::Dark), (1_280, Look::Light), (794, Look::Paper)]
        {
            browser.resize(width, 800);
            browser.look(look);
            browser.open(url);
            browser.picture(&format!("quote-{name}-{width}-{look:?}"));
            let found = browser.ask(MEASURES);
            let at = format!("{name} {width} {look:?}: {found}");
            let number = |member: &str| found[member].as_f64().unwrap_or_else(|| panic!("{member}: {at}"));
            assert_eq!(number("window"), f64::from(width), "{at}");
            assert!(number("scrolls") <= f64::from(width) && number("right") <= f64::from(width) + 0.5, "{at}");
            assert!(number("smallest") >= 13.0 && number("contrast") >= 4.5, "{at}");
            assert_eq!(
                (&found["styled"], number("scripts")),
                (&json!("end"), 0.0),
                "the policy lets our style in: {at}"
            );
            assert_eq!(number("button") > 0.0, look != Look::Paper, "there is no button on paper: {at}");
            assert!(found["title"].as_str().is_some_and(|title| title.starts_with("Quote #D")), "{at}");
            papers.push(found["paper"].clone());
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{at}");
        }
        assert_ne!(papers[0], papers[2], "night is not day");
        assert_eq!(papers[4], "rgb(255, 255, 255)");
        let pdf = browser.print();
        assert!(pdf.starts_with(b"%PDF"));
        let pages = String::from_utf8_lossy(&pdf).matches("/Type /Page\n").count();
        assert!(pages <= 1 || name != "plain", "one sheet: {pages}");
        // On paper no item is cut in two: each asks for that, and is no higher than a sheet between its margins.
        let whole = "return [...document.querySelectorAll('.item')].every(item =>
            getComputedStyle(item).breakInside === 'avoid' && item.getBoundingClientRect().height < 970)";
        assert!(name == "long" || browser.ask(whole) == true, "{name}");
    }
    // The page for whoever has no address of one.
    browser.look(Look::Light);
    browser.resize(360, 800);
    browser.open(&format!("http://{}/q/none", http.address()));
    browser.picture("not-found");
    assert_eq!(browser.ask("return document.querySelector('h1').textContent"), "There is no quote here");
    assert_eq!(browser.ask("return document.documentElement.scrollWidth"), 360);
    browser.open(&format!("http://{}/privacy", http.address()));
    browser.picture("privacy");
    assert_eq!(browser.ask("return document.documentElement.scrollWidth"), 360);
    // What gets into a page by mistake is not run.
    browser.open(&urls[0]);
    let ran = browser.ask(
        "const script = document.createElement('script'); script.textContent = 'window.ran = 1'; document.body.append(script);
         const style = document.createElement('style'); style.textContent = 'td { text-align: center }'; document.head.append(style);
         return [window.ran || 0, getComputedStyle(document.querySelector('td')).textAlign]",
    );
    assert_eq!(ran, json!([0, "end"]));
}
