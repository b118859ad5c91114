//! The pages for shoppers in four languages: which one is spoken, how it writes money and dates, and that no name becomes markup in any.

use super::pages::{html, text};
use super::{example_order, order, order_request};
use crate::storefront::harness::{Example, PRODUCT, SHOP, Server, ask, body, grid, request};
use crate::storefront::spec;
use quotegrid::catalog::assignments;
use quotegrid::catalog::settings::{self, Change};
use quotegrid::domain::ids::ProductId;
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::domain::options::{Modifier, Requirement};
use quotegrid::domain::tax_label::TaxLabel;
use quotegrid::http::state::Operator;
use quotegrid::http::{AppState, Response, Router};
use quotegrid::languages::Language;
use quotegrid::shopify::Secrets;
use serde_json::json;
use std::sync::Arc;

const HTML: &str = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

/// A page as a browser that prefers `accepted` gets it, held against what is promised of every one.
fn get(server: &Server, target: &str, accepted: &str) -> Response {
    let response = server.ask(request("GET", target, &[("Accept", HTML), ("Accept-Language", accepted)]));
    spec::check("GET", target.split('?').next().unwrap_or_default(), &response);
    assert_eq!(response.header("vary"), Some("Accept-Language"), "{target}");
    let language = response.header("content-language").unwrap_or_else(|| panic!("{target} has no language"));
    assert!(html(&response).contains(&format!("<html lang=\"{language}\">")), "{target}");
    response
}

fn language(response: &Response) -> &str {
    response.header("content-language").unwrap_or_default()
}

/// The page of the order that the example product makes, as a path.
fn placed(server: &Server, example: &Example, quantity: u32) -> String {
    let wanted = json!({"productId": PRODUCT, "width": 450.5, "height": 350, "quantity": quantity, "options": [
        {"optionGroupId": example.optional.to_string(), "choiceId": example.fixed.to_string()},
        {"optionGroupId": example.required.to_string(), "choiceId": example.share.to_string()},
    ]});
    path_of(&order(server, &example.shop.key.key, &wanted))
}

fn path_of(placed: &Response) -> String {
    let url = body(placed)["checkoutUrl"].as_str().expect("an address").to_owned();
    url.strip_prefix("http://127.0.0.1:8080").expect("ours").to_owned()
}

#[test]
fn an_order_is_told_in_four_languages_with_money_and_dates_as_each_writes_them() {
    let server = Server::new();
    let example = server.example();
    let path = placed(&server, &example, 10_000);
    let told = |language| text(&get(&server, &format!("{path}?lang={language}"), "en"));
    assert_eq!(
        told("de"),
        "Angebot #D1 von fixture.myshopify.com a pane 450,5 × 350 mm, nach Maß gefertigt 450,5 350 So setzt sich der Preis zusammen \
         450,5 × 350 mm berechnet als 600 × 400 mm 30,00 $ Holes: Holes: 1 +5,00 $ Edge: Edge: 2 15 % von 30,00 $ +4,50 $ \
         Einzelpreis 39,50 $ Stückzahl 10.000 Gesamtsumme 395.000,00 $ \
         Angebot vom 1. Januar 2026, 00:00 Uhr UTC, nach der Preisliste „Glass“. Ändert sich die Liste später, bleibt es bei diesem Preis. \
         Wenn Sie Fragen haben oder bestellen möchten, nennen Sie fixture.myshopify.com bitte die Angebotsnummer #D1. Geben Sie die Adresse \
         dieser Seite nicht weiter: Wer sie kennt, kann dieses Angebot sehen. English Deutsch Nederlands Français"
    );
    for (language, sentences) in [
        (
            "en",
            [
                "15% of $30.00",
                "$395,000.00",
                "Quoted on 1 January 2026, 00:00 UTC from",
                "450.5 × 350 mm, made to measure",
            ],
        ),
        (
            "nl",
            [
                "15% van US$ 30,00",
                "US$ 395.000,00",
                "Offerte van 1 januari 2026, 00:00 UTC,",
                "450,5 × 350 mm, op maat gemaakt",
            ],
        ),
        (
            "fr",
            [
                "15 % de 30,00 $US",
                "395 000,00 $US",
                "Devis du 1er janvier 2026 à 00:00 UTC,",
                "450,5 × 350 mm, fabriqué sur mesure",
            ],
        ),
    ] {
        let told = told(language);
        for sentence in sentences {
            assert!(told.contains(sentence), "{language}: {sentence}: {told}");
        }
    }
}

#[test]
fn a_total_says_in_four_languages_whether_it_is_with_taxes_as_the_element_does() {
    let server = Server::new();
    let example = server.example();
    let (app, shop) = (&server.fixture.app, SHOP.parse().expect("a shop"));
    let words = |label| match label {
        TaxLabel::Incl => ["incl. VAT", "inkl. MwSt.", "incl. btw", "TTC"],
        _ => ["plus VAT", "zzgl. MwSt.", "excl. btw", "HT"],
    };
    // What a store says later changes no order.
    let mut placed_under = Vec::new();
    for label in [TaxLabel::Incl, TaxLabel::Excl, TaxLabel::None] {
        let change = Change { tax_label: Some(label), ..Change::default() };
        settings::carry_out(&app.db, app.clock.as_ref(), &shop, change, false, None).expect("changed");
        // Long enough that the same order is another.
        server.fixture.advance(std::time::Duration::from_secs(3_600));
        placed_under.push((label, placed(&server, &example, 1)));
        let wanted = json!({"items": [example_order(&example), example_order(&example)]});
        placed_under.push((label, path_of(&order(&server, &example.shop.key.key, &wanted))));
    }
    for (label, path) in placed_under {
        for (place, language) in ["en", "de", "nl", "fr"].into_iter().enumerate() {
            let told = html(&get(&server, &format!("{path}?lang={language}"), "en"));
            let of_total = |words: &str| told.matches(&format!("<small>{words}</small></th>")).count();
            for other in [TaxLabel::Incl, TaxLabel::Excl] {
                // Once: the total of an item among several is not what is paid.
                assert_eq!(of_total(words(other)[place]), usize::from(other == label), "{label} {language}: {told}");
            }
        }
    }
}

#[test]
fn the_language_is_what_the_address_says_then_the_stores_then_the_browsers() {
    let server = Server::new();
    let example = server.example();
    let path = placed(&server, &example, 1);
    let spoken = |target: &str, accepted| language(&get(&server, target, accepted)).to_owned();
    let as_of = |lang: &str| format!("{path}?lang={lang}");
    assert_eq!(spoken(&path, "nl-BE,nl;q=0.9,en;q=0.5"), "nl");
    assert_eq!(spoken(&path, "sv"), "en");
    assert_eq!(spoken(&as_of("de-AT"), "nl"), "de");
    for strange in ["xx", "", "%00", "de%2F..", "%3Cscript%3E", "de&lang=fr", "DE-\u{fffd}%FF"] {
        let expected = if strange.starts_with("DE-") { "de" } else { "nl" };
        assert_eq!(spoken(&as_of(strange), "nl"), expected, "{strange}");
    }
    for target in ["/privacy", "/", "/nothing/here", "/q/unknown"] {
        assert_eq!(
            (spoken(target, "fr"), spoken(&format!("{target}?lang=de"), "fr")),
            ("fr".into(), "de".into()),
            "{target}"
        );
    }
    let (app, shop) = (&server.fixture.app, SHOP.parse().expect("a shop"));
    let change = Change { locale: Some(Some(Language::Fr)), ..Change::default() };
    settings::carry_out(&app.db, app.clock.as_ref(), &shop, change, false, None).expect("changed");
    assert_eq!((spoken(&path, "nl"), spoken(&as_of("de"), "nl")), ("fr".to_owned(), "de".to_owned()));
    // Each page leads to itself in the other languages.
    let shown = html(&get(&server, &as_of("nl"), "en"));
    for other in ["en", "de", "fr"] {
        assert!(shown.contains(&format!("<a href=\"?lang={other}\" lang=\"{other}\" hreflang=\"{other}\"")), "{shown}");
    }
    assert!(!shown.contains("href=\"?lang=nl\""), "{shown}");
}

#[test]
fn an_order_goes_on_in_the_language_it_was_placed_in() {
    let server = Server::new();
    let example = server.example();
    let mut wanted = order_request(&example.shop.key.key, &example_order(&example));
    wanted.query = "lang=nl".to_owned();
    let path = path_of(&server.ask(wanted));
    assert!(path.starts_with("/q/") && path.ends_with("?lang=nl"), "{path}");
    assert_eq!(language(&get(&server, &path, "de")), "nl");
    let mut strange = order_request(&example.shop.key.key, &example_order(&example));
    strange.query = "lang=%22%3E".to_owned();
    strange.headers.push("Idempotency-Key", "another");
    assert!(!path_of(&server.ask(strange)).contains('?'));
}

#[test]
fn the_privacy_page_says_the_same_in_four_languages() {
    let server = Server::new();
    let state = |operator| AppState::new(server.fixture.app.clone(), Secrets::new(["hush"])).with_operator(operator);
    let named =
        Operator { name: Some("Panes {days} & <Sons>".to_owned()), contact: Some("help@panes.example".to_owned()) };
    for (operator, is_named) in [(Operator::default(), false), (named, true)] {
        let server = Server { router: Router::new(Arc::new(state(operator))), ..Server::new() };
        for (lang, sentences, unnamed) in [
            (
                "en",
                ["for 24 hours", "Tasks that failed: after 1095 days", "29 November 2026"],
                "the operator of this server",
            ),
            (
                "de",
                ["für 24 Stunden", "Fehlgeschlagene Aufgaben: nach 1095 Tagen", "29. November 2026"],
                "dem Betreiber dieses Servers",
            ),
            (
                "nl",
                ["24 uur lang", "Mislukte taken: na 1095 dagen", "29 november 2026"],
                "de beheerder van deze server",
            ),
            (
                "fr",
                ["pendant 24 heures", "échoué : après 1095 jours", "29 novembre 2026"],
                "l’exploitant de ce serveur",
            ),
        ] {
            let page = ask(&server.router, request("GET", &format!("/privacy?lang={lang}"), &[]));
            let told = text(&page);
            assert_eq!((language(&page), page.header("cache-control")), (lang, Some("public, max-age=86400")));
            assert_eq!(page.header("vary"), Some("Accept-Language"));
            for sentence in sentences {
                assert!(told.contains(sentence), "{lang}: {sentence}: {told}");
            }
            assert_eq!(told.contains(unnamed), !is_named, "{lang}: {told}");
            let name = "Panes {days} &#38; &#60;Sons&#62;";
            assert_eq!(html(&page).matches(name).count(), if is_named { 3 } else { 0 }, "{lang}: {told}");
            // No place for a value was forgotten.
            assert!(!told.replace("{days}", "").contains(['{', '}']), "{lang}: {told}");
        }
    }
}

#[test]
fn whatever_things_are_called_they_stay_text_in_every_language() {
    for name in ["</title><script>alert(1)</script>", "{shop}{name}{list}{date}", "\"><img src=x onerror=alert(1)>"] {
        let server = Server::new();
        let shop = server.shop(SHOP);
        let matrix = server.matrix(shop.scope, name, grid(OutOfRange::Reject));
        let (now, scope, product) =
            (server.fixture.now(), shop.scope, PRODUCT.parse::<ProductId>().expect("a product"));
        let title = name.parse().expect("a title");
        server.write(move |tx| assignments::set_matrix(tx, now, scope, &product, &title, matrix));
        let share = Modifier::from_parts("PERCENTAGE", 100).expect("a modifier");
        let (group, choices) = server.group(shop.scope, PRODUCT, name, Requirement::Optional, &[share]);
        let option = json!([{"optionGroupId": group.to_string(), "choiceId": choices[0].to_string()}]);
        let item = json!({"productId": PRODUCT, "width": 450, "height": 350, "options": option, "label": &name[..20]});
        let paths = [json!({ "items": [item] }), json!({ "items": [item, item] })]
            .map(|wanted| path_of(&order(&server, &shop.key.key, &wanted)));
        for (path, language) in paths.iter().flat_map(|path| Language::ALL.map(|language| (path, language))) {
            let page = html(&get(&server, &format!("{path}?lang={language}"), "en"));
            let escaped = |text: &str| text.replace('<', "&#60;").replace('>', "&#62;").replace('"', "&#34;");
            assert!(page.contains(&escaped(name)) && page.contains(&escaped(&name[..20])), "{language}: {page}");
            let lower = page.to_lowercase();
            assert!(!lower.contains("<script") && !lower.contains("<img"), "{language}: {page}");
            assert_eq!((lower.matches("<title").count(), lower.matches("</title>").count()), (1, 1), "{language}");
        }
    }
}
