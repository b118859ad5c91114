//! Whose order goes over first where more come than go: clients and shops take turns.

use super::fake::{Fault, Manner};
use super::{Shop, body, shelf};
use crate::support::waiting::{PATIENCE, wait_until};
use quotegrid::http::{Reply, Request, Response, Service};
use quotegrid::queue::StepOutcome;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
fn request(shop: &Shop, client: u32, order: &Value) -> Request {
    let mut request = shop.request(order);
    request.client = Ipv4Addr::from(0x0a00_0000 + client).into();
    request
}

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

fn id(answer: &Response) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json_body()["draftOrderId"].as_str().expect("an id").to_owned()
}

/// Orders that go over before this one does, it included.
fn runs_until_sent(shop: &Shop, order: &str) -> usize {
    for run in 1..10_000 {
        assert!(matches!(shop.fixture.run_next(), StepOutcome::Ran { .. }), "it is never sent");
        if shop.column::<String>(order, "status") == "sent" {
            return run;
        }
    }
    panic!("it is never sent");
}

#[test]
fn a_shoppers_first_order_goes_before_the_second_of_anybody() {
    let shop = Shop::with(|options| options.wait = Duration::ZERO);
    // Ten addresses, twelve orders each.
    for number in 0..120 {
        shop.fixture.call(request(&shop, number % 10, &shelf()));
    }
    shop.fixture.advance(SECOND * 12);
    let honest = id(&shop.fixture.call(request(&shop, 1_000, &shelf())));
    assert!(runs_until_sent(&shop, &honest) <= 11);
    shop.settle();
    assert!(shop.fake.doubles().is_empty());
    assert_eq!(shop.fake.state().drafts.len(), 121, "and all the others go over after it");
}

#[test]
fn a_shop_with_many_orders_leaves_the_others_their_turn() {
    let shop = Shop::with(|options| options.wait = Duration::ZERO);
    let (_, key) = super::faults::store_in(&shop, "JPY", "30");
    for number in 0..100 {
        shop.fixture.call(request(&shop, number, &shelf()));
    }
    shop.fixture.advance(SECOND);
    let mut other = request(&shop, 1_000, &json!({ "productId": "1", "width": 900, "height": 900 }));
    other.headers = quotegrid::http::Headers::default();
    other.headers.push("X-API-Key", key);
    let other = id(&shop.fixture.call(other));
    assert!(runs_until_sent(&shop, &other) <= 4);
}

#[test]
fn turns_last_through_a_pause_that_shopify_asks_for() {
    let shop = Shop::with(|options| options.wait = Duration::ZERO);
    for number in 0..40 {
        shop.fixture.call(request(&shop, number % 4, &shelf()));
    }
    let honest = id(&shop.fixture.call(request(&shop, 1_000, &shelf())));
    shop.fake.fail(&[Fault::before(Manner::RetryAfter(429, 60))]);
    shop.fixture.run_jobs();
    assert_eq!(shop.fake.creates(), 1, "the others wait without asking");
    shop.fixture.advance(SECOND * 61);
    assert!(runs_until_sent(&shop, &honest) <= 5);
}

#[test]
fn the_client_that_has_ordered_most_makes_room_among_those_waiting_for_a_checkout() {
    let shop = Shop::with(|options| {
        options.wait = SECOND * 20 * 3_600;
        options.timeout = SECOND * 3_600;
    });
    shop.fake.state().always = Some(Fault::after(Manner::Hang));
    let background = shop.fixture.app.start(2).expect("threads");
    let flood: Vec<_> = (0..60).map(|number| ask(&shop, request(&shop, number % 10, &shelf()))).collect();
    wait_until("sixteen wait", || shop.fixture.app.handover.waiting() == 16);
    shop.fixture.advance(SECOND * 12);
    let honest = ask(&shop, request(&shop, 1_000, &shelf()));
    wait_until("one of the flood has made room", || {
        shop.fixture.query::<u64>("SELECT count(*) FROM draft_order_records WHERE number > 24") == 61
            && flood.iter().filter(|answer| answer.try_recv().is_ok()).count() > 0
    });
    shop.fake.state().always = None;
    let answer = loop {
        match honest.recv_timeout(Duration::from_millis(50)) {
            Ok(answer) => break answer,
            Err(_) => shop.fake.let_go(),
        }
    };
    let url = body(&answer)["checkoutUrl"].as_str().expect("never missing").to_owned();
    assert!(!url.contains("/q/"), "it has waited, and is sent to Shopify: {url}");
    shop.fake.let_go();
    background.stop(PATIENCE);
}

#[test]
fn no_thread_holds_orders_that_it_does_not_hand_over_yet() {
    let shop = Shop::with(|options| {
        options.wait = Duration::ZERO;
        options.timeout = SECOND * 3_600;
        options.threads = 2;
    });
    shop.fake.state().always = Some(Fault::after(Manner::Hang));
    for number in 0..30 {
        shop.fixture.call(request(&shop, number, &shelf()));
    }
    let background = shop.fixture.app.start(1).expect("threads");
    shop.fake.wait_until("both hang", |state| state.hanging == 2);
    assert_eq!(shop.fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'processing'"), 2);
    shop.fake.state().always = None;
    shop.fake.let_go();
    background.stop(PATIENCE);
}

#[test]
fn a_job_that_goes_ahead_is_not_taken_for_one_that_has_waited() {
    let shop = Shop::with(|options| options.wait = Duration::ZERO);
    shop.fixture.call(request(&shop, 1, &shelf()));
    let due = shop.fixture.app.db.read(quotegrid::queue::next_due_at).expect("readable").expect("one");
    assert_eq!(due, shop.fixture.now());
    // Nor does a clock that is set back keep it waiting.
    shop.fixture.clock.set(shop.fixture.now() - chrono::TimeDelta::hours(1));
    let background = shop.fixture.app.start(1).expect("threads");
    wait_until("it is there", || {
        shop.fixture.query::<u64>("SELECT count(*) FROM draft_order_records WHERE status = 'sent'") == 1
    });
    background.stop(PATIENCE);
}
