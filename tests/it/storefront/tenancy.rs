//! A key opens its own store and no other: not its prices, not its options, not even whether it sells something.

use super::harness::{Example, OTHER_SHOP, PRODUCT, SHOP, Server, body, fixed, matrix, selections};
use quotegrid::catalog::keys;
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::domain::options::Requirement;
use quotegrid::entropy::Entropy;
use serde_json::json;

#[test]
fn another_stores_product_is_as_if_it_were_not_there() {
    let server = Server::new();
    let example = server.example();
    let stranger = server.shop(OTHER_SHOP);
    let (priced, unknown) = (
        server.price(&stranger.key, "width=450&height=350"),
        server.get(&stranger.key, "/api/v1/products/999999/price?width=450&height=350"),
    );
    assert_eq!((priced.status, &priced.body), (404, &unknown.body));
    let options = server.get(&stranger.key, &format!("/api/v1/products/{PRODUCT}/options"));
    assert_eq!(options.body, server.get(&stranger.key, "/api/v1/products/999999/options").body);
    assert_eq!(server.price(&example.shop.key, "width=450&height=350").status, 200);
}

#[test]
fn two_stores_sell_the_same_product_each_at_its_own_price() {
    let server = Server::new();
    let example = server.example();
    let stranger = server.shop(OTHER_SHOP);
    let cell = matrix(&[900], &[600], &[vec![Some(700)]], OutOfRange::Clamp);
    server.assign(stranger.scope, PRODUCT, server.matrix(stranger.scope, "theirs", cell));
    let (theirs, choices) = server.group(stranger.scope, PRODUCT, "Theirs", Requirement::Required, &[fixed(1)]);
    for _from_memory_too in 0..2 {
        let found = [&example.shop.key, &stranger.key]
            .map(|key| body(&server.price(key, "width=450&height=350"))["price"].clone());
        assert_eq!(found, [json!(30), json!(7)]);
    }
    // Their option on our product, ours on theirs.
    for (key, options) in [
        (&example.shop.key, selections(&[(theirs, choices[0])])),
        (&stranger.key, selections(&[(example.optional, example.fixed)])),
    ] {
        let response = server.price(key, &format!("width=450&height=350&options={options}"));
        assert_eq!((response.status, &body(&response)["code"]), (400, &json!("options_not_allowed")));
        let text = String::from_utf8(response.body).expect("text");
        assert!(!text.contains("Theirs") && !text.contains("Holes"), "{text}");
    }
    let Example { shop, .. } = example;
    let text =
        String::from_utf8(server.get(&shop.key, &format!("/api/v1/products/{PRODUCT}/options")).body).expect("text");
    assert!(text.contains("Edge") && !text.contains("Theirs"), "{text}");
}

/// Keys that differ in their last byte only.
struct Alike(u8);

impl Entropy for Alike {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
        if let Some(last) = bytes.last_mut() {
            *last = self.0;
        }
    }
}

#[test]
fn two_stores_whose_keys_begin_alike_both_work() {
    let server = Server::new();
    let stores = [(SHOP, 1_i64), (OTHER_SHOP, 2)].map(|(domain, dollars)| {
        let shop = server.shop(domain);
        let cell = matrix(&[900], &[600], &[vec![Some(dollars * 100)]], OutOfRange::Clamp);
        server.assign(shop.scope, PRODUCT, server.matrix(shop.scope, "one", cell));
        let (now, store) = (server.fixture.now(), shop.scope.store);
        let alike = Alike(u8::try_from(dollars).expect("small"));
        let key = server.write(move |tx| keys::issue(tx, now, &alike as &dyn Entropy, store, None));
        (key, dollars)
    });
    assert_eq!(stores[0].0.key[..60], stores[1].0.key[..60]);
    for (key, dollars) in &stores {
        assert_eq!(body(&server.price(key, "width=450&height=350"))["price"], json!(dollars));
    }
}
