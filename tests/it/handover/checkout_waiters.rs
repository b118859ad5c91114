//! Whoever orders waits for Shopify's checkout, for a while, and without a thread.

use super::fake::{Fault, Manner};
use super::{Shop, body, shelf};
use crate::support::waiting::{PATIENCE, wait_until};
use quotegrid::http::{Reply, Request, Response, Service};
use quotegrid::orders::handover::Options;
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(60);
/// A wait that no test sits out.
fn for_ever(options: &mut Options) {
    options.wait = Duration::from_secs(20 * 3_600);
    // Calls that hang must not end by themselves.
    options.timeout = Duration::from_secs(3_600);
}

/// Asks, and returns at once, as a handler thread does.
fn ask(shop: &Shop, request: Request) -> Receiver<Response> {
    let (sender, answer) = channel();
    shop.fixture.router.call(
        request,
        Reply::new(move |response| {
            let _nobody_waits = sender.send(response);
        }),
    );
    answer
}

fn is_ours(answer: &Value) -> bool {
    answer["checkoutUrl"].as_str().expect("never missing").contains("/q/")
}

#[test]
fn an_order_is_answered_with_shopifys_checkout_name_and_total() {
    let shop = Shop::with(for_ever);
    let background = shop.fixture.app.start(2).expect("threads");
    let mut order = shelf();
    order["quantity"] = json!(2);
    let placed = shop.place(&order);
    let url = format!("https://{}/invoices/1", shop.demo.shop);
    assert_eq!((&placed["checkoutUrl"], &placed["name"]), (&json!(url), &json!("#S1")));
    let total: f64 = placed["total"].as_str().expect("text").parse().expect("a number");
    assert!((total - 2.0 * placed["price"].as_f64().expect("a price")).abs() < 0.001, "{placed}");
    // The page leads there too.
    let token: String = shop.column(placed["draftOrderId"].as_str().expect("an id"), "token");
    let page = shop.fixture.admin("GET", &format!("/q/{token}"), None);
    assert!(String::from_utf8(page.body).expect("text").contains(&url));
    // What it comes to there is what the shopper is told, as the decimals of the currency have it.
    shop.fake.state().comes_to = Some("119.9");
    let taxed = shop.place(&order);
    assert_eq!((&taxed["total"], &taxed["price"]), (&json!("119.90"), &placed["price"]));
    background.stop(GRACE);
}

#[test]
fn what_shopify_cannot_do_now_is_answered_at_once_with_our_own_page() {
    for manner in [Manner::Status(500), Manner::RetryAfter(429, 3_600), Manner::UserErrors, Manner::Close] {
        let shop = Shop::with(for_ever);
        shop.fake.fail(&[Fault::before(manner)]);
        let background = shop.fixture.app.start(2).expect("threads");
        // It would wait for hours if it waited.
        let placed = shop.place(&shelf());
        assert!(is_ours(&placed), "{manner:?}: {placed}");
        background.stop(GRACE);
    }
}

#[test]
fn repeating_an_order_that_has_failed_does_not_wait_for_its_checkout() {
    let shop = Shop::with(for_ever);
    shop.fake.fail(&[Fault::before(Manner::UserErrors)]);
    let background = shop.fixture.app.start(2).expect("threads");
    let request = shop.request(&shelf());
    let first = body(&shop.fixture.call(request.clone()));
    let again = body(&shop.fixture.call(request));
    assert!(is_ours(&again), "{again}");
    assert_eq!(again, first);
    background.stop(GRACE);
}

#[test]
fn past_the_deadline_the_answer_is_our_page_and_the_order_goes_over_later_once() {
    let shop = Shop::with(|options| {
        for_ever(options);
        options.wait = Duration::from_millis(50);
    });
    shop.fake.fail(&[Fault::after(Manner::Hang)]);
    let background = shop.fixture.app.start(2).expect("threads");
    let request = shop.request(&shelf());
    let first = body(&shop.fixture.call(request.clone()));
    assert!(is_ours(&first), "{first}");
    shop.fake.wait_until("the call hangs", |state| state.hanging == 1);
    shop.fake.let_go();
    let order = first["draftOrderId"].as_str().expect("an id").to_owned();
    wait_until("it is there", || shop.column::<String>(&order, "status") == "sent");
    shop.assert_sent(&order);
    // Who asks again with the same key is sent to the checkout.
    let again = body(&shop.fixture.call(request));
    assert_eq!(again["draftOrderId"], json!(order));
    assert!(!is_ours(&again), "{again}");
    background.stop(GRACE);
}

#[test]
fn no_thread_waits_with_a_request_and_only_so_many_requests_wait() {
    let shop = Shop::with(for_ever);
    shop.fake.state().always = Some(Fault::after(Manner::Hang));
    let background = shop.fixture.app.start(2).expect("threads");
    let answers: Vec<_> = (0..16).map(|_| ask(&shop, shop.request(&shelf()))).collect();
    wait_until("sixteen wait", || shop.fixture.app.handover.waiting() == 16);
    // This thread would be a handler's: it is free, and none has been answered.
    assert!(answers.iter().all(|answer| answer.try_recv().is_err()));
    let metrics = shop.fixture.admin("GET", "/metrics", None);
    let page = String::from_utf8(metrics.body).expect("text");
    assert!(page.contains("quotegrid_handover_waiting_requests 16"), "{page}");
    let one_more = ask(&shop, shop.request(&shelf())).recv_timeout(PATIENCE).expect("answered at once");
    assert!(is_ours(&body(&one_more)));
    shop.fake.state().always = None;
    for answer in answers {
        // A call that was told to hang may only now begin to.
        let mut answered = None;
        wait_until("answered", || {
            shop.fake.let_go();
            answered = answer.try_recv().ok();
            answered.is_some()
        });
        let placed = body(&answered.expect("answered"));
        assert!(!is_ours(&placed), "{placed}");
    }
    shop.fake.let_go();
    background.stop(GRACE);
    assert!(shop.fake.doubles().is_empty());
}

#[test]
fn a_server_that_stops_lets_those_go_who_wait() {
    let shop = Shop::with(for_ever);
    shop.fake.fail(&[Fault::after(Manner::Hang)]);
    let background = shop.fixture.app.start(2).expect("threads");
    let answer = ask(&shop, shop.request(&shelf()));
    shop.fake.wait_until("the call hangs", |state| state.hanging == 1);
    // Without grace: the call is given back, with the note that it may have done its work.
    background.stop(Duration::ZERO);
    let placed = body(&answer.recv_timeout(PATIENCE).expect("answered"));
    assert!(is_ours(&placed));
    let order = placed["draftOrderId"].as_str().expect("an id");
    assert!(shop.column::<Option<i64>>(order, "handover_attempted_at").is_some());
    shop.fake.let_go();
    shop.settle();
    shop.assert_sent(order);
}
