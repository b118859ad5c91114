//! Orders against a reference model, over generated histories: placed, handed over, called off, paid for and deleted at Shopify, told of
//! by webhooks or not, looked at, pruned, and erased with their store. After every step each order must be what the model says, here
//! and at Shopify. It is the sibling of `tests/it/model`, whose jobs have no orders.
//!
//! `MODEL_CASES=1000 cargo test --test it handover::histories` runs more histories than the gate has time for.

use super::fake::{Fake, Fault, Manner, Underway};
use super::fate_rounds::Outside;
use super::fates::{completed, look};
use super::{Shop, options};
use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use quotegrid::background::Stop;
use quotegrid::housekeeping::Retention;
use quotegrid::testing::Fixture;
use serde_json::json;
use std::time::Duration;

/// Histories by default.
const CASES: u32 = 24;

/// Days after which orders that never went to Shopify are pruned.
const KEPT_DAYS: i64 = 90;

/// Days that pass before each pruning: more than those.
const PRUNED_AFTER: i64 = 100;

/// Days after which nobody looks at a draft any more.
const LOOKED_AT_DAYS: i64 = 365;

const DAY: Duration = Duration::from_secs(86_400);

fn config() -> Config {
    let cases = std::env::var("MODEL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    Config { cases, max_shrink_iters: 500, failure_persistence: None, ..Config::default() }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn every_history_leaves_each_order_as_the_model_says(sequential 1..40 => System);
}

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Op {
    /// A shopper orders.
    Place,
    /// What is due is run. `meanwhile` happens while the only draft that is asked for is; `is_lost`: no answer comes to the first call.
    Run { meanwhile: Option<Meanwhile>, is_lost: bool },
    /// The merchant calls an order off, here.
    Cancel(usize),
    /// The shopper pays for its draft.
    Pay(usize),
    /// The merchant deletes its draft at Shopify.
    DeleteThere(usize),
    /// Shopify tells by a webhook how its draft stands.
    Tell { order: usize, is_twice: bool },
    /// A day passes, and what is due is looked at.
    Look,
    /// Months pass, and what is old enough is pruned.
    Prune,
    /// A customer is redacted: no order's state is theirs.
    RedactCustomer,
    /// The store is erased, and made anew.
    Erase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Cancel,
    /// The shopper pays, and Shopify tells so before it answers.
    Pay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Sent,
    Ordered,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Draft {
    None,
    Standing,
    Completed,
    Deleted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    state: State,
    draft: Draft,
    /// Whether its draft is still to be deleted.
    is_deletion_due: bool,
    /// Whether the name of the order at Shopify is known.
    is_named: bool,
    /// Whether Shopify will be asked what became of it.
    is_looked_at: bool,
    /// Gone with its store, or pruned.
    is_gone: bool,
    placed_on: i64,
}

#[derive(Debug, Clone)]
struct Model {
    orders: Vec<Order>,
    /// A webhook has told of an order without its name: Shopify will be asked.
    is_look_enqueued: bool,
    day: i64,
    /// What the last cancelling was answered.
    answer: u16,
}

impl Order {
    /// What was seen or told of its draft.
    fn report(&mut self, is_named: bool) -> bool {
        match self.draft {
            Draft::Completed => {
                let is_news = self.state != State::Ordered && self.state != State::Open;
                if is_news {
                    (self.state, self.is_deletion_due) = (State::Ordered, false);
                }
                if self.state == State::Ordered {
                    // Without a name it is looked at once.
                    self.is_looked_at = if self.is_named || is_named { false } else { is_news || self.is_looked_at };
                    self.is_named |= is_named;
                }
                is_news
            }
            Draft::Deleted => {
                if self.state == State::Sent {
                    (self.state, self.is_looked_at) = (State::Cancelled, false);
                }
                if self.state == State::Cancelled {
                    self.is_deletion_due = false;
                }
                false
            }
            Draft::None | Draft::Standing => false,
        }
    }

    fn hand_over(&mut self) {
        (self.state, self.draft, self.is_looked_at) = (State::Sent, Draft::Standing, true);
    }
}

impl Model {
    fn live(&self) -> impl Iterator<Item = (usize, &Order)> {
        self.orders.iter().enumerate().filter(|(_, order)| !order.is_gone)
    }

    fn waiting(&self) -> usize {
        self.live().filter(|(_, order)| order.state == State::Open).count()
    }

    /// What the due jobs do.
    fn run(&mut self, meanwhile: Option<Meanwhile>) {
        for order in self.orders.iter_mut().filter(|order| !order.is_gone) {
            if order.state == State::Open {
                order.hand_over();
                match meanwhile {
                    Some(Meanwhile::Cancel) => {
                        (order.state, order.draft, order.is_looked_at) = (State::Cancelled, Draft::Deleted, false)
                    }
                    Some(Meanwhile::Pay) => order.draft = Draft::Completed,
                    None => {}
                }
            }
            if order.is_deletion_due {
                if order.draft == Draft::Standing {
                    order.draft = Draft::Deleted;
                }
                order.report(true);
            }
        }
    }

    /// What a look at all that is due shows, a day after the last.
    fn look(&mut self) {
        self.day += 1;
        let day = self.day;
        for order in self.orders.iter_mut().filter(|order| !order.is_gone && order.is_looked_at) {
            order.report(true);
            order.is_looked_at = order.state == State::Sent && day - order.placed_on < LOOKED_AT_DAYS;
        }
        self.is_look_enqueued = false;
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self { orders: Vec::new(), is_look_enqueued: false, day: 0, answer: 0 }).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Op> {
        let order = 0..state.orders.len().max(1);
        let meanwhile = prop::option::weighted(0.4, prop_oneof![Just(Meanwhile::Cancel), Just(Meanwhile::Pay)]);
        prop_oneof![
            4 => Just(Op::Place),
            6 => (meanwhile, prop::bool::weighted(0.3)).prop_map(|(meanwhile, is_lost)| Op::Run { meanwhile, is_lost }),
            3 => order.clone().prop_map(Op::Cancel),
            3 => order.clone().prop_map(Op::Pay),
            2 => order.clone().prop_map(Op::DeleteThere),
            5 => (order, any::<bool>()).prop_map(|(order, is_twice)| Op::Tell { order, is_twice }),
            2 => Just(Op::Look),
            1 => Just(Op::Prune),
            1 => Just(Op::RedactCustomer),
            1 => Just(Op::Erase),
        ]
        .boxed()
    }

    fn preconditions(state: &Self, op: &Op) -> bool {
        let order = |order: &usize| state.orders.get(*order);
        match op {
            Op::Run { meanwhile, .. } => meanwhile.is_none() || state.waiting() == 1,
            Op::Cancel(index) => order(index).is_some_and(|order| !order.is_gone),
            Op::Pay(index) | Op::DeleteThere(index) => order(index).is_some_and(|order| order.draft == Draft::Standing),
            Op::Tell { order: index, .. } => order(index).is_some_and(|order| order.draft != Draft::None),
            _ => true,
        }
    }

    fn apply(mut state: Self, op: &Op) -> Self {
        match op {
            Op::Place => {
                let placed_on = state.day;
                state.orders.push(Order {
                    state: State::Open,
                    draft: Draft::None,
                    is_deletion_due: false,
                    is_named: false,
                    is_looked_at: false,
                    is_gone: false,
                    placed_on,
                });
            }
            Op::Run { meanwhile, .. } => {
                if state.is_look_enqueued {
                    state.look();
                }
                state.run(*meanwhile);
            }
            Op::Cancel(index) => {
                let order = &mut state.orders[*index];
                state.answer = if order.state == State::Ordered { 409 } else { 200 };
                if matches!(order.state, State::Open | State::Sent) {
                    order.is_deletion_due = order.state == State::Sent;
                    (order.state, order.is_looked_at) = (State::Cancelled, false);
                }
            }
            Op::Pay(index) => state.orders[*index].draft = Draft::Completed,
            Op::DeleteThere(index) => state.orders[*index].draft = Draft::Deleted,
            Op::Tell { order, .. } => {
                let order = &mut state.orders[*order];
                if !order.is_gone {
                    state.is_look_enqueued |= order.report(false);
                }
            }
            Op::Look => {
                state.look();
                state.run(None);
            }
            Op::Prune => {
                state.day += PRUNED_AFTER;
                let day = state.day;
                for order in &mut state.orders {
                    let never_sent = match order.state {
                        State::Open => true,
                        State::Cancelled => order.draft == Draft::None,
                        _ => false,
                    };
                    order.is_gone |= never_sent && day - order.placed_on > KEPT_DAYS;
                }
            }
            Op::RedactCustomer => {
                if state.is_look_enqueued {
                    state.look();
                }
                state.run(None);
            }
            Op::Erase => {
                // Erasures take their turn behind what waits already.
                if state.is_look_enqueued {
                    state.look();
                }
                state.run(None);
                state.orders.iter_mut().for_each(|order| order.is_gone = true);
            }
        }
        state
    }
}

struct System {
    shop: Shop,
    orders: Vec<String>,
}

impl StateMachineTest for System {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(_model: &Model) -> Self {
        let fake = Fake::start();
        let handover = options(&fake);
        let fixture = Fixture::opened_with(|options| {
            options.handover = Some(handover);
            options.retention = Retention { open_orders: Some(TimeDelta::days(KEPT_DAYS)), ..Retention::default() };
        });
        let demo = fixture.demo_store();
        // Only the model's own orders.
        let cleared: quotegrid::db::Result<usize> =
            fixture.app.db.write(|tx| Ok(tx.execute("DELETE FROM draft_order_records", ())?));
        cleared.expect("cleared");
        Self { shop: Shop { fake, fixture, demo }, orders: Vec::new() }
    }

    fn apply(mut system: Self, model: &Model, op: Op) -> Self {
        let shop = &system.shop;
        match op {
            Op::Place => {
                let order = shop.order();
                system.orders.push(order);
            }
            Op::Run { meanwhile, is_lost } => {
                system.pass_until_look();
                if let Some(meanwhile) = meanwhile {
                    shop.fake.state().during_create.push_back(act(Outside::of(shop), meanwhile));
                }
                if is_lost {
                    shop.fake.fail(&[Fault::after(Manner::Close)]);
                    shop.settle();
                } else {
                    shop.fixture.run_jobs();
                }
                shop.fake.forget_faults();
            }
            Op::Cancel(order) => assert_eq!(Outside::of(shop).cancel(&system.orders[order]), model.answer),
            Op::Pay(order) => shop.fake.complete_draft_of(&system.orders[order], "#1042"),
            Op::DeleteThere(order) => shop.fake.delete_drafts_of(&system.orders[order]),
            Op::Tell { order, is_twice } => {
                let number = shop.fake.number_of(&system.orders[order]).expect("it had a draft");
                let (topic, body) = match model.orders[order].draft {
                    Draft::Standing => ("draft_orders/update", json!({ "id": number, "status": "open" })),
                    Draft::Completed => ("draft_orders/update", completed(number)),
                    Draft::Deleted | Draft::None => ("draft_orders/delete", json!({ "id": number })),
                };
                for _ in 0..=usize::from(is_twice) {
                    Outside::of(shop).tell(topic, &body);
                }
            }
            Op::Look => {
                shop.fixture.advance(DAY + Duration::from_secs(1));
                look(shop);
            }
            Op::Prune => {
                shop.fixture.advance(DAY * u32::try_from(PRUNED_AFTER).expect("days"));
                shop.fixture.app.housekeeper().prune(&Stop::default()).expect("pruned");
            }
            Op::RedactCustomer => {
                system.pass_until_look();
                let body = json!({ "shop_id": 1, "shop_domain": shop.demo.shop.as_str(), "customer": { "id": 7 },
                    "orders_to_redact": [4_711] });
                assert_eq!(shop.fixture.post_webhook("customers/redact", &body).status, 200);
                shop.settle();
            }
            Op::Erase => {
                system.pass_until_look();
                shop.fixture.run_jobs();
                let domain = shop.demo.shop.as_str();
                let path = format!("/admin/api/stores/{domain}");
                let answer = shop.fixture.admin("DELETE", &path, Some(&json!({ "confirm": domain })));
                assert_eq!(answer.status, 202, "{answer:?}");
                shop.settle();
                for table in ["stores", "draft_order_records", "draft_order_lines", "order_idempotency_keys"] {
                    assert_eq!(shop.fixture.count(table), 0, "{table}");
                }
                let demo = shop.fixture.demo_store();
                let cleared: quotegrid::db::Result<usize> =
                    shop.fixture.app.db.write(|tx| Ok(tx.execute("DELETE FROM draft_order_records", ())?));
                cleared.expect("cleared");
                system.shop.demo = demo;
            }
        }
        system
    }

    fn check_invariants(system: &Self, model: &Model) {
        let shop = &system.shop;
        assert_eq!(shop.fake.doubles(), Vec::<String>::new());
        assert_eq!(shop.fixture.count("draft_order_records"), model.live().count() as u64, "{model:?}");
        let failed: u64 = shop.fixture.query("SELECT count(*) FROM job_queue WHERE status = 'failed'");
        assert_eq!(failed, 0, "{model:?}");
        for (index, order) in model.live() {
            let id = &system.orders[index];
            let text = |column: &str| shop.column::<Option<String>>(id, column);
            let state = match order.state {
                State::Open => "open",
                State::Sent => "sent",
                State::Ordered => "ordered",
                State::Cancelled => "cancelled",
            };
            assert_eq!(text("status").as_deref(), Some(state), "order {index} of {model:?}");
            let is_due = shop.column::<Option<i64>>(id, "deletion_due_at").is_some();
            assert_eq!(is_due, order.is_deletion_due, "order {index} of {model:?}");
            assert_eq!(text("order_name").is_some(), order.is_named, "order {index} of {model:?}");
            let has_draft = matches!(order.draft, Draft::Standing | Draft::Completed);
            assert_eq!(shop.fake.drafts_of(id), usize::from(has_draft), "order {index} of {model:?}");
            let is_looked_at = shop.column::<Option<i64>>(id, "look_due_at").is_some();
            assert_eq!(is_looked_at, order.is_looked_at, "order {index} of {model:?}");
        }
    }
}

impl System {
    /// Where a webhook has had a look enqueued, a day passes first: then all that is looked at is due.
    fn pass_until_look(&self) {
        let waiting: u64 = self
            .shop
            .fixture
            .query("SELECT count(*) FROM job_queue WHERE type = 'draft_order_looks' AND status = 'pending'");
        if waiting > 0 {
            self.shop.fixture.advance(DAY + Duration::from_secs(1));
        }
    }
}

fn act(outside: Outside, meanwhile: Meanwhile) -> Box<dyn FnOnce(&Underway<'_>) + Send> {
    Box::new(move |call| match meanwhile {
        Meanwhile::Cancel => {
            assert_eq!(outside.cancel(call.order.as_deref().expect("an order")), 200);
        }
        Meanwhile::Pay => {
            call.complete("#1042");
            outside.tell("draft_orders/update", &completed(call.number.expect("it was made")));
        }
    })
}
