//! The program's settings for Shopify, what it says when they are wrong, and what it never says.

use super::crashes::{key, post_order, serve};
use super::fake::{CLIENT_ID, CLIENT_SECRET, Fake, Variant};
use crate::process::harness::Machine;
use crate::support::waiting::wait_until;
use serde_json::{Value, json};

#[test]
fn neither_secret_nor_token_is_logged_or_stored() {
    let (machine, fake) = (Machine::new(), Fake::start());
    // As much as there is: libraries that tell every byte of a call would tell these.
    let server = serve(&machine, &fake, &[]).env("QUOTEGRID_LOG", "trace").ready();
    let (status, placed) = post_order(server.address(), &key(&server), "one").expect("an answer");
    assert_eq!(status, 201, "{placed}");
    wait_until("it is sent", || {
        machine.query::<i64>("SELECT count(*) FROM draft_order_records WHERE status = 'sent'") == 1
    });
    // The line comes after the commit.
    wait_until("it is told", || server.log().contains("draft order handed over"));
    let log = server.log();
    assert_eq!(server.stop(), Some(0));
    for secret in [CLIENT_SECRET, "shpat_fake", "/invoices/"] {
        // Nor in pieces, as dumps of bytes have it.
        for piece in secret.as_bytes().windows(8) {
            let piece = std::str::from_utf8(piece).expect("ASCII");
            assert!(!log.contains(piece), "{piece} of {secret} is in the log:\n{log}");
        }
    }
    for secret in [CLIENT_SECRET, "shpat_fake"] {
        assert_eq!(crate::process::harness::lines_with(&machine, secret), 0, "{secret} is in the files");
    }
}

#[test]
fn wrong_settings_are_reported_before_anything_is_touched() {
    let machine = Machine::new();
    for (settings, says) in [
        (&[("QUOTEGRID_SHOPIFY_CLIENT_ID", "id")][..], "there is no client secret"),
        (
            &[
                ("QUOTEGRID_SHOPIFY_CLIENT_ID", "id"),
                ("QUOTEGRID_SHOPIFY_CLIENT_SECRET", "long-enough"),
                ("QUOTEGRID_SHOPIFY_ADMIN_URL", "http://proxy.example/{shop}"),
            ],
            "QUOTEGRID_SHOPIFY_ADMIN_URL must look like https://{shop}",
        ),
        (
            &[
                ("QUOTEGRID_SHOPIFY_CLIENT_ID", "id"),
                ("QUOTEGRID_SHOPIFY_CLIENT_SECRET", "long-enough"),
                ("QUOTEGRID_SHOPIFY_API_VERSION", "latest/../x"),
            ],
            "QUOTEGRID_SHOPIFY_API_VERSION must look like 2026-10",
        ),
        (
            &[("QUOTEGRID_SHOPIFY_CLIENT_ID", "id"), ("QUOTEGRID_SHOPIFY_CLIENT_SECRET", "short")],
            "QUOTEGRID_SHOPIFY_CLIENT_SECRET is shorter than",
        ),
    ] {
        let mut command = machine.command(&["work"]);
        command.envs(settings.iter().copied());
        let output = command.output().expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(says), "{settings:?}: {told}");
        assert!(!told.contains("long-enough"), "{told}");
        assert!(!machine.database.exists(), "{settings:?}");
    }
}

#[test]
fn the_webhook_secret_is_the_client_secret_where_none_other_is_set() {
    let (machine, fake) = (Machine::new(), Fake::start());
    let mut command = machine.command(&["serve", "--json", "--listen", "127.0.0.1:0", "--dev"]);
    command
        .env("QUOTEGRID_SHOPIFY_API_SECRET", format!("{CLIENT_SECRET},an-older-one"))
        .env("QUOTEGRID_SHOPIFY_CLIENT_ID", CLIENT_ID)
        .env("QUOTEGRID_SHOPIFY_ADMIN_URL", fake.url());
    let server = machine.start(command).ready();
    let (_, placed) = post_order(server.address(), &key(&server), "one").expect("an answer");
    wait_until("it is sent", || {
        machine.query::<i64>("SELECT count(*) FROM draft_order_records WHERE status = 'sent'") == 1
    });
    assert_eq!(fake.state().drafts.len(), 1, "{placed}");
}

fn doctor(machine: &Machine, fake: &Fake, secret: &str) -> (bool, Value) {
    let mut command = machine.command(&["doctor", "--json"]);
    command
        .env("QUOTEGRID_SHOPIFY_CLIENT_ID", CLIENT_ID)
        .env("QUOTEGRID_SHOPIFY_CLIENT_SECRET", secret)
        .env("QUOTEGRID_SHOPIFY_ADMIN_URL", fake.url());
    let output = command.output().expect("it runs");
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.success(), document)
}

#[test]
fn the_doctor_says_when_shopify_refuses_the_app() {
    let (machine, fake) = (Machine::new(), Fake::start());
    let server = serve(&machine, &fake, &[]).ready();
    assert_eq!(server.stop(), Some(0));
    let (ok, report) = doctor(&machine, &fake, CLIENT_SECRET);
    assert!(ok, "{report}");
    assert_eq!(
        report["handover"],
        json!({ "configured": true, "failedJobs": 0, "failedDeletions": 0, "differingProducts": [], "differingOrders": 0, "refused": [] })
    );
    let (ok, report) = doctor(&machine, &fake, "another-secret");
    assert!(!ok);
    let problem = report["problems"][0].as_str().expect("a problem");
    assert!(problem.contains("refuses the app's credentials (invalid_client)"), "{problem}");
    assert!(!report.to_string().contains("another-secret"));
}

#[test]
fn the_doctor_names_products_whose_line_would_not_be_as_expected_before_anybody_orders_one() {
    let (machine, fake) = (Machine::new(), Fake::start());
    assert_eq!(serve(&machine, &fake, &[]).ready().stop(), Some(0));
    let texts = |report: &Value, list: &str| -> Vec<String> {
        let list = report[list].as_array().expect("a list");
        list.iter().map(|text| text.as_str().expect("text").to_owned()).collect()
    };
    // What is known without a variant: one call says what the shop takes.
    let (ok, report) = doctor(&machine, &fake, CLIENT_SECRET);
    let notes = texts(&report, "notes");
    assert!(
        ok && notes.len() == 1 && notes[0].contains("have no weight") && notes[0].contains(": 1004, 1005"),
        "{report}"
    );
    assert_eq!(fake.state().variant_looks, 1);
    let set = |product: &str, settings: &[&str]| {
        machine.json(&[&["products", "set", product], settings].concat());
    };
    let looks = |change: &dyn Fn(&mut super::fake::State)| {
        change(&mut fake.state());
        doctor(&machine, &fake, CLIENT_SECRET)
    };
    set("1009", &["--variant", "77", "--sku", "S-1"]);
    let (ok, report) = looks(&|_| {});
    let problems = texts(&report, "problems");
    assert!(!ok && problems.len() == 1, "{report}");
    assert!(problems[0].contains("Product/1009") && problems[0].contains("does not have"), "{problems:?}");
    assert!(texts(&report, "notes").iter().any(|note| note.contains("(SKU) counts only if")), "{report}");
    let with = |variant: Variant| {
        move |state: &mut super::fake::State| {
            state.variants.insert("gid://shopify/ProductVariant/77".to_owned(), variant);
        }
    };
    let (ok, report) = looks(&with(Variant::PLAIN));
    assert!(ok && texts(&report, "problems").is_empty(), "{report}");
    for (variant, says) in [
        (Variant { requires_shipping: false, ..Variant::PLAIN }, "the checkout may ask for no address"),
        (Variant { taxable: false, ..Variant::PLAIN }, ""),
    ] {
        let (ok, report) = looks(&with(variant));
        let problems = texts(&report, "problems");
        assert_eq!(ok, says.is_empty(), "{report}");
        assert!(problems.iter().all(|problem| problem.contains(says)), "{problems:?}");
    }
    // Only where the merchant has said it.
    set("1009", &["--taxable", "true"]);
    let (ok, report) = looks(&with(Variant { taxable: false, ..Variant::PLAIN }));
    assert!(!ok && texts(&report, "problems")[0].contains("is not taxed at Shopify"), "{report}");
    set("1009", &["--clear", "taxable", "--requires-shipping", "false"]);
    let (ok, report) = looks(&with(Variant::PLAIN));
    assert!(!ok && texts(&report, "problems")[0].contains("is shipped at Shopify, and the product is not"), "{report}");
    set("1009", &["--clear", "requires-shipping", "--clear", "sku"]);
    for (variant, says) in [
        (Variant { grams: 0, ..Variant::PLAIN }, "has no weight, so"),
        (Variant { product: 5, ..Variant::PLAIN }, "of another product"),
    ] {
        let (ok, report) = looks(&with(variant));
        assert!(ok && texts(&report, "notes").iter().any(|note| note.contains(says)), "{says}: {report}");
    }
    // An app that may not see products knows nothing of variants, and says nothing wrong.
    let (ok, report) = looks(&|state| state.hides_products = true);
    assert!(ok && texts(&report, "notes").len() == 1, "{report}");
    let (ok, report) = looks(&|state| state.currencies = vec!["USD", "CHF"]);
    let problems = texts(&report, "problems");
    assert!(!ok && problems[0].contains("are in EUR") && problems[0].contains("USD, CHF"), "{report}");
    let before = fake.state().variant_looks;
    let (_, report) = looks(&|state| state.token_faults.push_back(super::fake::Manner::Refused("invalid_client")));
    assert_eq!(fake.state().variant_looks, before, "a shop that lets nobody in is not asked: {report}");
    // Without an app there are no lines at Shopify.
    let output = machine.command(&["doctor", "--json"]).output().expect("it runs");
    let alone: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&alone["notes"], &alone["problems"]), (&json!([]), &json!([])));
}

#[test]
fn the_doctor_names_currencies_that_shopify_does_not_know() {
    let fake = Fake::start();
    let machine = Machine::new();
    for (shop, currency) in [("a.myshopify.com", "JEP"), ("b.myshopify.com", "CLF"), ("c.myshopify.com", "CLF")] {
        assert!(machine.command(&["stores", "add", shop, "--currency", currency]).status().expect("it runs").success());
    }
    let (ok, report) = doctor(&machine, &fake, CLIENT_SECRET);
    let problems = report["problems"].as_array().expect("a list");
    assert!(!ok && report["unknownCurrencies"] == json!(["CLF"]), "{report}");
    assert!(
        problems.iter().any(|text| text.as_str().is_some_and(|text| text.starts_with("2 stores have prices in CLF"))),
        "{report}"
    );
    let output = machine.command(&["doctor", "--json"]).output().expect("it runs");
    let alone: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(alone["unknownCurrencies"], json!([]), "without an app nobody hands anything over");
}
