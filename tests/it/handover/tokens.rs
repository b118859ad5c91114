//! The token that calls need: how it is had, for how long, and what comes of not having it.

use super::Shop;
use super::fake::{CLIENT_ID, CLIENT_SECRET, Manner};
use crate::support::files::contains;
use quotegrid::secret::Secret;
use serde_json::json;
use std::io::{Read, Write};
use std::time::Duration;

#[test]
fn a_server_whose_certificate_is_invalid_is_sent_no_secret() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let impostor = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a caller");
        let mut heard = vec![0; 16 << 10];
        let length = socket.read(&mut heard).expect("it speaks first");
        heard.truncate(length);
        // Whatever it takes this for, it is no proof.
        let _gone = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        let _gone = socket.read_to_end(&mut heard);
        heard
    });
    let shop = Shop::with(|options| options.address = format!("https://{address}/{{shop}}").parse().expect("one"));
    let order = shop.order();
    let error = shop.run().expect("it fails");
    assert!(error.starts_with("no access token: "), "{error}");
    assert_eq!(shop.column::<Option<i64>>(&order, "handover_attempted_at"), None);
    let heard = impostor.join().expect("no panic");
    assert!(!heard.is_empty());
    for secret in [CLIENT_SECRET, CLIENT_ID, "client_credentials"] {
        assert!(!contains(&heard, secret), "{secret}");
    }
}

#[test]
fn a_token_that_lasts_for_ever_is_a_token() {
    let shop = Shop::new();
    shop.fake.state().token_life = u64::MAX;
    let orders = [shop.order(), shop.order()];
    assert_eq!((shop.run(), shop.run()), (None, None));
    orders.iter().for_each(|order| shop.assert_sent(order));
    assert_eq!(shop.fake.granted(), 1);
    // And one that has none is asked for each time, with no end but that of the work.
    let shop = Shop::new();
    shop.fake.state().token_life = 0;
    let order = shop.order();
    assert_eq!(shop.run(), None);
    shop.assert_sent(&order);
}

#[test]
fn a_token_is_asked_for_once_and_again_when_it_ends_or_is_refused() {
    let shop = Shop::new();
    for _ in 0..3 {
        shop.order();
    }
    shop.settle();
    assert_eq!(shop.fake.granted(), 1);
    // It ends early at Shopify: nothing is lost, and no attempt.
    shop.fake.revoke_tokens();
    let order = shop.order();
    assert_eq!(shop.run(), None);
    shop.assert_sent(&order);
    assert_eq!(shop.fake.granted(), 2);
    // Its life nears the end.
    shop.fixture.advance(Duration::from_secs(86_399 / 20 * 19 + 60));
    shop.order();
    shop.settle();
    assert_eq!(shop.fake.granted(), 3);
    assert!(shop.fake.doubles().is_empty());
}

#[test]
fn a_token_that_cannot_be_had_leaves_no_trace_of_an_attempt() {
    for manner in [
        Manner::Status(500),
        Manner::Garbage,
        Manner::Close,
        Manner::HalfAnswer,
        Manner::Redirect,
        Manner::Nothing,
        Manner::RetryAfter(429, 5),
    ] {
        let shop = Shop::new();
        shop.fake.state().token_faults.extend([manner; 2]);
        let order = shop.order();
        shop.run().expect("it fails");
        assert_eq!(shop.column::<Option<i64>>(&order, "handover_attempted_at"), None, "{manner:?}");
        shop.settle();
        shop.assert_sent(&order);
        assert_eq!((shop.fake.creates(), shop.fake.granted()), (1, 3), "{manner:?}");
        assert_eq!(shop.fake.state().redirected, 0, "the secret goes nowhere else");
    }
}

#[test]
fn refused_credentials_are_reported_by_doctor_and_lose_no_order() {
    let shop = Shop::with(|options| options.client_secret = Secret::new("another-secret"));
    let order = shop.order();
    let error = shop.run().expect("it fails");
    assert!(error.contains("refuses the app's credentials (invalid_client)"), "{error}");
    assert!(!error.contains("another-secret"));
    assert_eq!(shop.column::<Option<String>>(&order, "handover_error").as_ref(), Some(&error));
    let ready = shop.fixture.admin("GET", "/readyz", None);
    assert_eq!(ready.status, 200, "orders are taken all the same");
    assert_eq!(ready.json_body()["handover"]["problems"], json!([error]));
    // While that is known, no other order asks: a look by hand is let through.
    for _ in 0..5 {
        shop.order();
    }
    shop.fixture.run_jobs();
    assert_eq!(shop.fake.granted(), 1);
    assert!(shop.fixture.app.handover.check(&shop.demo.shop).is_err());
    assert_eq!((shop.column::<String>(&order, "status"), shop.fake.creates()), ("open".to_owned(), 0));
    let metrics = shop.fixture.admin("GET", "/metrics", None);
    let page = String::from_utf8(metrics.body).expect("text");
    assert!(page.contains(r#"quotegrid_handovers_total{outcome="blocked"} 1"#), "{page}");
}

#[test]
fn the_token_of_a_shop_that_is_gone_is_forgotten() {
    let shop = Shop::new();
    shop.order();
    shop.settle();
    let (handover, db) = (&shop.fixture.app.handover, &shop.fixture.app.db);
    handover.sweep(db).expect("readable");
    assert_eq!(handover.sessions(), 1);
    let body = json!({ "id": 1, "myshopify_domain": shop.demo.shop.as_str() });
    assert_eq!(shop.fixture.post_webhook("app/uninstalled", &body).status, 200);
    handover.sweep(db).expect("readable");
    assert_eq!(handover.sessions(), 0);
}
