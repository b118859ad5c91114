//! One order and one thing that goes wrong.

use super::fake::{Fault, Manner};
use super::{SETTLE, Shop, order_unwaited, shelf};
use crate::support::waiting::wait_until;
use quotegrid::orders::handover::DRAFT_ORDER_HANDOVER;
use quotegrid::queue::Status;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_order_goes_over_with_all_that_is_needed_to_make_it() {
    let shop = Shop::new();
    let choice = |label: &str| {
        let ids: (String, String) = shop
            .fixture
            .app
            .db
            .read(|connection| -> quotegrid::db::Result<_> {
                let sql = "SELECT option_group_id, id FROM option_choices WHERE label = ?1";
                Ok(connection.query_row(sql, [label], |row| Ok((row.get(0)?, row.get(1)?)))?)
            })
            .expect("a choice");
        json!({ "optionGroupId": ids.0, "choiceId": ids.1 })
    };
    let mut order = shelf();
    order["quantity"] = json!(3);
    order["options"] = json!([choice("Oiled"), choice("Rounded 10 mm")]);
    let placed = shop.place(&order);
    let id = placed["draftOrderId"].as_str().expect("an id");
    assert_eq!(shop.job().payload, json!({ "draftOrderId": id }));
    assert_eq!(shop.settle(), Duration::ZERO);
    shop.assert_sent(id);
    let draft = shop.fake.state().drafts[0].clone();
    assert_eq!(draft.shop, shop.demo.shop.as_str());
    let price = placed["price"].as_f64().expect("a price");
    let line = &draft.input["lineItems"][0];
    assert_eq!(
        line["customAttributes"],
        json!([
            { "key": "Width", "value": "600mm" },
            { "key": "Height", "value": "250mm" },
            { "key": "Finish", "value": "Oiled" },
            { "key": "Corners", "value": "Rounded 10 mm" },
            { "key": "Price list", "value": "Shelf, solid oak" },
        ])
    );
    assert_eq!((&line["title"], &line["quantity"]), (&json!("Oak shelf Quercus"), &json!(3)));
    let money = json!({ "amount": format!("{price:.2}"), "currencyCode": "EUR" });
    assert_eq!(line["originalUnitPriceWithCurrency"], money);
    assert_eq!(line.get("variantId"), None);
    assert_eq!(draft.input["tags"], json!(["price-matrix", format!("pm-{id}")]));
    assert_eq!(shop.job().payload, json!({}), "a finished job forgets");
    assert_eq!(shop.figure("sent"), 1);
    let total: i64 = shop.column(id, "shopify_total_minor");
    assert_eq!(total, shop.column::<i64>(id, "total_price_minor"));
    let url: String = shop.column(id, "checkout_url");
    assert_eq!(url, format!("https://{}/invoices/1", shop.demo.shop));
    let path = format!("/admin/api/stores/{}/draft-orders/{id}", shop.demo.shop);
    let shown = shop.fixture.admin("GET", &path, None);
    crate::storefront::spec::check("GET", &path, &shown);
    let shown = shown.json_body();
    let expected = json!({
        "status": "sent", "shopifyDraftOrderId": "gid://shopify/DraftOrder/1", "shopifyOrderName": "#S1",
        "shopifyTotal": shown["total"], "checkoutUrl": url, "handoverError": null,
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&shown[name], value, "{name}");
    }
}

#[test]
fn without_an_app_orders_stay_here() {
    let fixture = quotegrid::testing::Fixture::new();
    let demo = fixture.demo_store();
    let shop = Shop::new();
    let mut request = shop.request(&shelf());
    request.headers = quotegrid::http::Headers::default();
    request.headers.push("X-API-Key", demo.key.key);
    let response = fixture.call(request);
    assert_eq!(response.status, 201);
    assert_eq!(fixture.count("job_queue"), 0);
}

/// What leaves no doubt that nothing was made, and that another try is in order: the draft is asked for again without a look.
#[test]
fn what_surely_did_nothing_is_tried_again_without_a_look() {
    for (manner, rest) in [
        (Manner::RetryAfter(429, 7), 7),
        (Manner::Status(429), 2),
        (Manner::Throttled, 3),
        (Manner::Busy, 2),
        (Manner::Code("ACCESS_DENIED"), 2),
        (Manner::Status(402), 2),
        (Manner::Status(403), 2),
        (Manner::Status(404), 2),
        (Manner::Status(423), 2),
        (Manner::Redirect, 2),
        (Manner::Status(401), 2),
        (Manner::Passing, 2),
        (Manner::TooMany, 2),
        (Manner::Status(422), 2),
    ] {
        let shop = Shop::new();
        shop.fake.fail(&[Fault::before(manner)]);
        let order = shop.order();
        if manner == Manner::Status(401) {
            // Once is answered with a new token.
            shop.fake.fail(&[Fault::before(manner)]);
        }
        let error = shop.run().expect("it fails");
        assert_eq!(shop.column::<Option<i64>>(&order, "handover_attempted_at"), None, "{manner:?}: {error}");
        assert_eq!(shop.settle(), SECOND * rest, "{manner:?}: {error}");
        shop.assert_sent(&order);
        assert_eq!((shop.fake.finds(), shop.fake.state().redirected), (0, 0), "{manner:?}");
        let throttled =
            matches!(manner, Manner::RetryAfter(..) | Manner::Status(429) | Manner::Throttled | Manner::Busy);
        // A pause that Shopify asks for costs no attempt.
        assert_eq!(shop.job().attempts, if throttled { 1 } else { 2 }, "{manner:?}");
        let passing = matches!(manner, Manner::Passing | Manner::TooMany | Manner::Status(422));
        let figure = if throttled {
            "throttled"
        } else if passing {
            "passing"
        } else {
            "blocked"
        };
        assert_eq!(shop.figure(figure), 1, "{manner:?}");
    }
}

/// Everything after which the draft may be there.
fn unclear() -> Vec<Manner> {
    vec![
        Manner::Status(500),
        Manner::Status(502),
        Manner::RetryAfter(503, 9),
        Manner::Status(504),
        Manner::Status(408),
        Manner::Status(430),
        Manner::Code("INTERNAL_SERVER_ERROR"),
        Manner::CodeWithin("ACCESS_DENIED"),
        Manner::CodeWithin("THROTTLED"),
        Manner::CodeWithin("MAX_COST_EXCEEDED"),
        Manner::Close,
        Manner::Garbage,
        Manner::HalfAnswer,
        Manner::Shortened,
        Manner::Endless,
        Manner::Deep,
        Manner::Nothing,
        Manner::Anothers,
    ]
}

#[test]
fn after_an_unclear_answer_a_draft_that_was_made_is_found_and_no_second_one_asked_for() {
    for manner in unclear() {
        let shop = Shop::new();
        shop.fake.fail(&[Fault::after(manner)]);
        let order = shop.order();
        shop.run().expect("it fails");
        assert!(shop.column::<Option<i64>>(&order, "handover_attempted_at").is_some(), "{manner:?}");
        let passed = shop.settle();
        shop.assert_sent(&order);
        assert!(passed < SECOND * 20, "{manner:?}: found at once, not after {passed:?}");
        assert_eq!((shop.figure("uncertain"), shop.figure("found")), (1, 1), "{manner:?}");
        assert_eq!(shop.fake.creates(), 1, "{manner:?}");
    }
}

#[test]
fn after_an_unclear_answer_nothing_is_sent_again_before_the_settling_time_is_over() {
    for manner in unclear() {
        let shop = Shop::new();
        shop.fake.fail(&[Fault::before(manner)]);
        let order = shop.order();
        let passed = shop.settle();
        assert!(passed >= SETTLE && passed < SETTLE + SECOND * 60, "{manner:?}: {passed:?}");
        shop.assert_sent(&order);
        assert_eq!((shop.figure("uncertain"), shop.figure("sent")), (1, 1), "{manner:?}");
        assert!(shop.fake.finds() >= 3, "{manner:?}");
        assert!(shop.job().attempts <= 3, "{manner:?}: looks that find nothing cost no attempts");
    }
}

#[test]
fn a_draft_that_the_search_finds_late_is_still_the_only_one() {
    for newest_is_late in [false, true] {
        let shop = Shop::new();
        {
            let mut state = shop.fake.state();
            (state.index_lag, state.newest_is_late) = (4, newest_is_late);
        }
        shop.fake.fail(&[Fault::after(Manner::Close)]);
        let order = shop.order();
        let passed = shop.settle();
        shop.assert_sent(&order);
        assert!(passed < SETTLE);
        // The list of the newest drafts needs no index.
        assert_eq!(shop.fake.finds(), if newest_is_late { 5 } else { 1 });
    }
}

#[test]
fn a_look_that_fails_is_not_the_end_and_sends_nothing() {
    for manner in [
        Manner::Status(500),
        Manner::Garbage,
        Manner::Close,
        Manner::Throttled,
        Manner::Code("ACCESS_DENIED"),
        Manner::Code("MAX_COST_EXCEEDED"),
        Manner::Status(400),
        Manner::Nothing,
    ] {
        let shop = Shop::new();
        shop.fake.fail(&[Fault::after(Manner::Close)]);
        shop.fake.state().find_faults.extend([manner; 3]);
        let order = shop.order();
        shop.run().expect("it fails");
        shop.fixture.advance(SECOND * 2);
        shop.fixture.run_jobs();
        let (why, asked_at): (Option<String>, Option<i64>) =
            (shop.column(&order, "handover_error"), shop.column(&order, "handover_attempted_at"));
        assert!(why.is_some() && asked_at.is_some(), "{manner:?}: it says why, and that it may be there");
        shop.settle();
        shop.assert_sent(&order);
        assert_eq!((shop.fake.creates(), shop.fake.finds()), (1, 4), "{manner:?}");
    }
}

#[test]
fn a_call_that_hangs_or_is_answered_byte_by_byte_ends_and_its_draft_is_found() {
    for manner in [Manner::Hang, Manner::DripHead, Manner::DripBody] {
        // Faults that need a short time-out; should the machine be so slow that other calls run into it, they are repeated.
        let shop = Shop::with(|options| options.timeout = Duration::from_secs(2));
        shop.fake.fail(&[Fault::after(manner)]);
        let order = shop.order();
        let error = shop.run().expect("it fails");
        assert_eq!(error, "Shopify did not answer in time", "{manner:?}");
        shop.settle();
        shop.assert_sent(&order);
    }
}

#[test]
fn an_answer_in_chunks_and_after_interim_ones_is_understood() {
    let shop = Shop::new();
    shop.fake.fail(&[Fault::after(Manner::Chunks)]);
    let order = shop.order();
    assert_eq!(shop.run(), None);
    shop.assert_sent(&order);
}

#[test]
fn of_two_jobs_for_one_order_one_asks_for_a_draft() {
    let shop = Shop::new();
    // Both have seen that nothing was asked for by the time there is a token.
    shop.fake.state().token_faults.push_back(Manner::Hang);
    let order = shop.order();
    // As somebody would by hand: nothing tells it from another order's.
    shop.fixture.enqueue(DRAFT_ORDER_HANDOVER, json!({ "draftOrderId": order }));
    let background = shop.fixture.app.start(1).expect("threads");
    shop.fake.wait_until("the token is asked for", |state| state.hanging == 1);
    wait_until("both jobs run", || {
        shop.fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'processing'") == 2
    });
    // Should the other not have come to the token yet, it finds what the first has noted: no less right, and no test.
    std::thread::sleep(Duration::from_millis(200));
    shop.fake.let_go();
    wait_until("one is done", || shop.column::<String>(&order, "status") == "sent");
    shop.fixture.advance(SECOND * 10);
    background.stop(Duration::from_secs(60));
    shop.settle();
    shop.assert_sent(&order);
    assert_eq!(shop.fake.creates(), 1);
}

#[test]
fn of_two_drafts_with_the_tag_the_older_one_is_the_orders() {
    let shop = Shop::new();
    shop.fake.fail(&[Fault::after(Manner::Close)]);
    let order = shop.order();
    shop.run().expect("it fails");
    // As when its merchant makes a copy of it before we have found it.
    shop.fake.copy_draft_of(&order);
    shop.settle();
    let (name, status): (String, String) = (shop.column(&order, "shopify_order_name"), shop.column(&order, "status"));
    assert_eq!((name.as_str(), status.as_str(), shop.fake.creates()), ("#S1", "sent", 1));
}

#[test]
fn a_shop_that_hangs_takes_one_thread_and_leaves_the_others_to_other_shops() {
    let shop = Shop::with(|options| {
        options.threads = 2;
        options.timeout = Duration::from_secs(3_600);
    });
    let (_, key) = store_in(&shop, "JPY", "30");
    shop.fake.fail(&[Fault::before(Manner::RetryAfter(503, 1))]);
    shop.order();
    shop.run().expect("it fails: something is wrong with this shop");
    shop.fake.state().hangs = Some(shop.demo.shop.to_string());
    shop.fixture.advance(SECOND);
    for _ in 0..3 {
        order_unwaited(&shop);
    }
    let background = shop.fixture.app.start(1).expect("threads");
    shop.fake.wait_until("one hangs", |state| state.hanging == 1);
    let mut request = shop.request(&json!({ "productId": "1", "width": 900, "height": 900 }));
    request.headers = quotegrid::http::Headers::default();
    request.headers.push("X-API-Key", key);
    let answer = shop.fixture.call(request);
    assert_eq!(answer.status, 201, "{answer:?}");
    let other = answer.json_body()["draftOrderId"].as_str().expect("an id").to_owned();
    wait_until("the other shop's order is there", || shop.column::<String>(&other, "status") == "sent");
    assert_eq!(shop.fake.state().hanging, 1);
    shop.fake.state().hangs = None;
    shop.fake.let_go();
    background.stop(Duration::from_secs(60));
    shop.settle();
    assert_eq!(shop.fake.doubles(), Vec::<String>::new());
    assert_eq!(shop.fixture.query::<u64>("SELECT count(*) FROM draft_order_records WHERE status = 'sent'"), 5);
}

/// A store that sells in `currency` at `price`: its domain and key.
pub(super) fn store_in(shop: &Shop, currency: &str, price: &str) -> (String, String) {
    let domain = format!("{}.myshopify.com", currency.to_lowercase());
    let ask = |method: &str, path: &str, body: &Value| {
        let answer = shop.fixture.admin(method, &format!("/admin/api/stores{path}"), Some(body));
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
        answer.json_body()
    };
    let store = ask("POST", "", &json!({ "shop": domain, "currency": currency }));
    let grid = json!({ "name": "Glass", "widths": [900], "heights": [900], "prices": [[price]] });
    let matrix = ask("POST", &format!("/{domain}/matrices"), &grid);
    let assigned = json!({ "matrixId": matrix["id"], "title": "Pane" });
    ask("PUT", &format!("/{domain}/products/1/matrix"), &assigned);
    (domain, store["apiKey"].as_str().expect("a key").to_owned())
}

#[test]
fn prices_go_over_in_the_decimals_of_their_currency_to_the_last_one() {
    for (currency, price, quantity, total) in [
        ("KWD", "0.001", 10_000, 10_000_i64),
        ("KWD", "99999999.999", 10_000, 999_999_999_990_000),
        ("KWD", "999999999999.999", 1, 999_999_999_999_999),
        ("JPY", "999999999999999", 1, 999_999_999_999_999),
        ("JPY", "30", 3, 90),
        ("EUR", "0.00", 1, 0),
    ] {
        let shop = Shop::new();
        let (domain, key) = store_in(&shop, currency, price);
        let mut request = shop.request(&json!({ "productId": "1", "width": 900, "height": 900, "quantity": quantity }));
        request.headers = quotegrid::http::Headers::default();
        request.headers.push("X-API-Key", key);
        let answer = shop.fixture.call(request);
        assert_eq!(answer.status, 201, "{answer:?}");
        let order = answer.json_body()["draftOrderId"].as_str().expect("an id").to_owned();
        shop.settle();
        shop.assert_sent(&order);
        let draft = shop.fake.state().drafts[0].clone();
        assert_eq!((draft.shop.as_str(), &draft.input["presentmentCurrencyCode"]), (domain.as_str(), &json!(currency)));
        let line = &draft.input["lineItems"][0];
        let money = json!({ "amount": price, "currencyCode": currency });
        assert_eq!((&line["originalUnitPriceWithCurrency"], &line["quantity"]), (&money, &json!(quantity)));
        assert_eq!(shop.column::<i64>(&order, "total_price_minor"), total);
        assert_eq!(shop.column::<Option<i64>>(&order, "shopify_total_minor"), Some(total), "{currency} {price}");
    }
}

#[test]
fn a_draft_that_its_merchant_deletes_does_not_come_back() {
    let shop = Shop::new();
    let request = shop.request(&shelf());
    let placed = shop.fixture.call(request.clone()).json_body();
    let order = placed["draftOrderId"].as_str().expect("an id");
    shop.settle();
    shop.fake.delete_drafts_of(order);
    let again = shop.fixture.call(request).json_body();
    assert_eq!(again["draftOrderId"], json!(order));
    // Nor by a job that somebody enqueues.
    shop.fixture.enqueue(DRAFT_ORDER_HANDOVER, json!({ "draftOrderId": order }));
    shop.settle();
    assert_eq!((shop.fake.drafts_of(order), shop.fake.creates()), (0, 1));
    assert_eq!(shop.fake.finds(), 0, "what is sent is not even looked for");
}

#[test]
fn what_shopify_refuses_for_good_stays_open_with_its_reason_and_can_be_tried_again_by_hand() {
    for (manner, says) in [
        (Manner::UserErrors, "input.lineItems.0.title: Title is bad: ask …"),
        (Manner::Code("undefinedField"), "refuses the request"),
        (Manner::Status(400), "400"),
    ] {
        let shop = Shop::new();
        shop.fake.fail(&[Fault::before(manner)]);
        let order = shop.order();
        assert_eq!(shop.settle(), Duration::ZERO);
        let job = shop.job();
        assert_eq!((job.status, job.attempts), (Status::Failed, 1), "{manner:?}");
        let error: String = shop.column(&order, "handover_error");
        assert!(error.contains(says) && !error.contains("bob"), "{error}");
        assert_eq!(job.error.as_deref(), Some(error.as_str()));
        assert_eq!((shop.column::<String>(&order, "status"), shop.figure("refused")), ("open".to_owned(), 1));
        let token: String = shop.column(&order, "token");
        let page = shop.fixture.admin("GET", &format!("/q/{token}"), None);
        assert_eq!(page.status, 200, "its page stays");
        let (queue, now) = (shop.fixture.app.queue.clone(), shop.fixture.now());
        shop.fixture.app.db.write(move |tx| queue.retry(tx, now, job.id)).expect("it can be tried again");
        shop.settle();
        shop.assert_sent(&order);
        assert_eq!(shop.column::<Option<String>>(&order, "handover_error"), None);
    }
}

#[test]
fn a_shop_that_throttles_is_left_alone_by_all_its_orders() {
    let shop = Shop::new();
    shop.fake.fail(&[Fault::before(Manner::RetryAfter(429, 60))]);
    let orders: Vec<String> = (0..5).map(|_| shop.order()).collect();
    shop.fixture.run_jobs();
    assert_eq!(shop.fake.creates(), 1, "the others wait without asking");
    // Each comes back in its place.
    let passed = shop.settle();
    assert!(passed >= SECOND * 60 && passed < SECOND * 60 + Duration::from_millis(20), "{passed:?}");
    orders.iter().for_each(|order| shop.assert_sent(order));
}

#[test]
fn an_old_copy_of_the_database_does_not_hand_over_again_what_was_handed_over_since() {
    let shop = Shop::new();
    let order = shop.order();
    shop.settle();
    shop.assert_sent(&order);
    // As it stood before.
    let undone: quotegrid::db::Result<()> = shop.fixture.app.db.write(|tx| {
        Ok(tx.execute_batch(
            "UPDATE draft_order_records
             SET status = 'open', shopify_draft_order_id = NULL, shopify_order_name = NULL, checkout_url = NULL
             WHERE status = 'sent';
             UPDATE job_queue
             SET status = 'pending', attempts = 0, processed_at = NULL,
                 payload = json_object('draftOrderId', (SELECT id FROM draft_order_records WHERE status = 'open' AND number = 25))
             WHERE type = 'draft_order_handover'",
        )?)
    });
    undone.expect("writable");
    shop.fixture.advance(SECOND * 61);
    shop.settle();
    shop.assert_sent(&order);
    assert_eq!((shop.fake.creates(), shop.fake.finds()), (1, 1));
}

#[test]
fn an_order_that_has_waited_for_long_is_looked_for_and_then_goes_over() {
    let shop = Shop::new();
    let order = shop.order();
    shop.fixture.advance(SECOND * 3_600);
    assert_eq!(shop.settle(), Duration::ZERO);
    shop.assert_sent(&order);
    assert_eq!((shop.fake.creates(), shop.fake.finds()), (1, 1));
}

#[test]
fn while_a_call_is_under_way_no_other_run_asks_for_the_same_draft_however_long_it_takes() {
    let shop = Shop::with(|options| {
        options.wait = Duration::ZERO;
        options.timeout = Duration::from_secs(3_600);
    });
    // No look finds the draft, and Shopify takes its time.
    shop.fake.state().index_lag_time = Some((shop.fixture.clock.clone(), Duration::from_secs(86_400)));
    shop.fake.state().newest_is_late = true;
    shop.fake.fail(&[Fault::after(Manner::Hang)]);
    let order = shop.order();
    let background = shop.fixture.app.start(1).expect("threads");
    shop.fake.wait_until("it hangs", |state| state.hanging == 1);
    // By this clock the lease of the job ends, and others take it over; and the settling time ends as well.
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        shop.fixture.advance(Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(
        shop.fixture.query::<u64>("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'") > 0,
        "it was taken over"
    );
    assert_eq!(shop.fake.creates(), 1);
    // Once it has ended, what was made is found.
    shop.fake.state().index_lag_time = None;
    shop.fake.state().drafts.iter_mut().for_each(|draft| draft.appear());
    shop.fake.let_go();
    wait_until("it is sent", || {
        shop.fixture.advance(Duration::from_secs(20));
        shop.column::<String>(&order, "status") == "sent"
    });
    background.stop(Duration::from_secs(120));
    assert_eq!(shop.fake.creates(), 1);
    shop.assert_sent(&order);
}
