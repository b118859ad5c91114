//! Rounds of random faults: whatever happens, in whatever order, each order is at Shopify once in the end.

use super::fake::{Fault, Manner};
use super::{Shop, order_unwaited};
use crate::support::dice::Dice;
use chrono::TimeDelta;
use quotegrid::orders::handover::DRAFT_ORDER_HANDOVER;
use quotegrid::queue::{Filter, Status};
use std::time::Duration;

/// Every manner but to hang, which takes real time.
const MANNERS: [Manner; 29] = [
    Manner::Anothers,
    Manner::Answer,
    Manner::Chunks,
    Manner::Status(401),
    Manner::Status(408),
    Manner::Status(430),
    Manner::CodeWithin("ACCESS_DENIED"),
    Manner::CodeWithin("THROTTLED"),
    Manner::Busy,
    Manner::Deep,
    Manner::Shortened,
    Manner::Status(500),
    Manner::Status(502),
    Manner::Status(403),
    Manner::Status(404),
    Manner::Status(422),
    Manner::RetryAfter(429, 30),
    Manner::RetryAfter(503, 20),
    Manner::Code("INTERNAL_SERVER_ERROR"),
    Manner::Code("ACCESS_DENIED"),
    Manner::Throttled,
    Manner::Close,
    Manner::Garbage,
    Manner::HalfAnswer,
    Manner::Redirect,
    Manner::UserErrors,
    Manner::Passing,
    Manner::TooMany,
    Manner::Nothing,
];

/// Answers after which nothing may have been made: a server that says so and did it all the same is none that can be dealt with.
fn is_clear(manner: Manner) -> bool {
    matches!(
        manner,
        Manner::Status(401 | 403 | 404 | 422)
            | Manner::RetryAfter(429, _)
            | Manner::Busy
            | Manner::Code("ACCESS_DENIED")
            | Manner::Throttled
            | Manner::Redirect
            | Manner::UserErrors
            | Manner::Passing
            | Manner::TooMany
    )
}

fn manner(dice: &mut Dice) -> Manner {
    MANNERS[usize::try_from(dice.below(MANNERS.len() as u64)).expect("small")]
}

fn fault(dice: &mut Dice) -> Fault {
    let manner = manner(dice);
    let works = matches!(manner, Manner::Answer | Manner::Chunks) || (!is_clear(manner) && dice.below(2) == 0);
    Fault { works, manner }
}

/// Up to `most` of something.
fn some<T>(dice: &mut Dice, most: u64, mut make: impl FnMut(&mut Dice) -> T) -> Vec<T> {
    let count = dice.below(most + 1);
    (0..count).map(|_| make(dice)).collect()
}

/// What will go wrong next.
fn plan(shop: &Shop, dice: &mut Dice, lag_max: u64) {
    let creates = some(dice, 4, fault);
    let finds = some(dice, 3, manner);
    let tokens = some(dice, 2, manner);
    let lag = Duration::from_secs(dice.below(lag_max));
    let (address_lag, looks) = (dice.below(3), some(dice, 2, manner));
    let comes_to = (dice.below(4) == 0).then_some("0.01");
    let mut state = shop.fake.state();
    state.address_lag = usize::try_from(address_lag).expect("small");
    state.look_faults.extend(looks);
    state.comes_to = comes_to;
    state.create_faults.extend(creates);
    state.find_faults.extend(finds);
    state.token_faults.extend(tokens);
    state.newest_is_late = dice.below(2) == 0;
    state.index_lag_time = Some((shop.fixture.clock.clone(), lag));
}

/// Lets time pass until every job has ended, while somebody sets the clock, and enqueues jobs by hand for what has one.
fn settle_roughly(shop: &Shop, dice: &mut Dice, placed: &[String]) {
    for _ in 0..dice.below(4) {
        for _ in 0..=dice.below(3) {
            shop.fixture.run_next();
        }
        match dice.below(4) {
            0 => {
                let by = TimeDelta::seconds(i64::try_from(dice.below(3 * 3_600)).expect("small"));
                let now = shop.fixture.now();
                shop.fixture.clock.set(if dice.below(2) == 0 { now + by } else { now - by });
            }
            1 => {
                let order = &placed[usize::try_from(dice.below(placed.len() as u64)).expect("small")];
                shop.fixture.enqueue(DRAFT_ORDER_HANDOVER, serde_json::json!({ "draftOrderId": order }));
            }
            2 => {
                shop.fixture.advance(Duration::from_secs(dice.below(100)));
            }
            _ => shop.fake.revoke_tokens(),
        }
    }
    shop.settle();
}

/// Orders that Shopify refused are tried again by hand, as their operator would.
fn retry_failed(shop: &Shop) -> usize {
    let filter = Filter { status: Some(Status::Failed), limit: 1_000, ..Filter::default() };
    let failed = shop.fixture.app.db.read(|connection| quotegrid::queue::list(connection, &filter)).expect("readable");
    for job in &failed {
        let (queue, now, id) = (shop.fixture.app.queue.clone(), shop.fixture.now(), job.id);
        shop.fixture.app.db.write(move |tx| queue.retry(tx, now, id)).expect("retried");
    }
    failed.len()
}

#[test]
fn over_two_hundred_rounds_of_faults_no_order_is_made_twice_and_none_is_lost() {
    let shop = Shop::new();
    let mut dice = Dice(0x5eed_0f07_d3a5);
    let (mut refused, mut orders) = (0, Vec::new());
    for round in 0..200 {
        plan(&shop, &mut dice, 500);
        if dice.below(4) == 0 {
            shop.fake.revoke_tokens();
        }
        let placed: Vec<String> = (0..=dice.below(3)).map(|_| shop.order()).collect();
        settle_roughly(&shop, &mut dice, &placed);
        while retry_failed(&shop) > 0 {
            refused += 1;
            shop.settle();
        }
        for order in &placed {
            assert_eq!(shop.fake.drafts_of(order), 1, "round {round}: {:?}", shop.job());
            shop.assert_sent(order);
        }
        orders.extend(placed);
    }
    assert_eq!(shop.fake.doubles(), Vec::<String>::new());
    assert_eq!(shop.fake.state().drafts.len(), orders.len());
    let figures = shop.fixture.app.handover.figures().all();
    println!("{} orders, {refused} refusals tried again by hand: {figures:?}", orders.len());
    for (name, count) in figures {
        assert!(count > 0 || name == "left", "the rounds come to {name}");
    }
}

#[test]
fn with_threads_beside_each_other_no_order_is_made_twice_and_none_is_lost() {
    let shop = Shop::new();
    let background = shop.fixture.app.start(2).expect("threads");
    let mut dice = Dice(0x00c0_ffee_5eed);
    let orders: Vec<String> = (0..10)
        .flat_map(|_| {
            plan(&shop, &mut dice, 500);
            // Nobody waits: the answers would each take as long as the clock stands still.
            (0..6).map(|_| order_unwaited(&shop)).collect::<Vec<_>>()
        })
        .collect();
    let until = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        let open: u64 = shop.fixture.query("SELECT count(*) FROM draft_order_records WHERE handover_error IS NOT NULL OR status = 'open' AND created_at >= (SELECT min(created_at) FROM job_queue WHERE type = 'draft_order_handover')");
        let unfinished: u64 =
            shop.fixture.query("SELECT count(*) FROM job_queue WHERE status IN ('pending', 'processing')");
        if unfinished == 0 && retry_failed(&shop) == 0 {
            break;
        }
        assert!(std::time::Instant::now() < until, "{open} open, {unfinished} unfinished");
        shop.fixture.advance(Duration::from_secs(1));
        // The clock runs on while a call is under way, by minutes on a busy machine: leases end, and others take the job over.
        std::thread::yield_now();
    }
    background.stop(Duration::from_secs(60));
    assert_eq!(shop.fake.doubles(), Vec::<String>::new());
    orders.iter().for_each(|order| shop.assert_sent(order));
}
