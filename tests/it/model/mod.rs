//! Queue, intake, erasure and receipts against a reference model, over generated histories: two processes on one file, crashes,
//! clocks that are set, leases that end, late finishers, deliveries that come twice, stores that are installed again; jobs that
//! are called off and tried again, rows that are pruned, workers that are stopped while they run something. After every step every
//! row that matters must be what the model says.
//!
//! `MODEL_CASES=5000 cargo test --test it model` runs more histories; the default keeps a debug build under half a minute.

mod ops;
mod reference;
mod rows;
mod system;

use ops::{Act, Hook, Kind, Op, PauseAt};
use proptest::test_runner::Config;
use proptest_state_machine::{StateMachineTest, prop_state_machine};
use reference::Model;
use system::System;

/// Histories by default.
const CASES: u32 = 128;

fn config() -> Config {
    let cases = std::env::var("MODEL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    Config { cases, max_shrink_iters: 2_000, failure_persistence: None, ..Config::default() }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn every_history_leaves_the_rows_that_the_model_says(sequential 1..60 => System);
}

/// Replays a history that once went wrong.
fn replay(history: &[Op]) {
    use proptest_state_machine::ReferenceStateMachine;
    let mut model = Model::new();
    let mut system = System::init_test(&model);
    for op in history {
        model = Model::apply(model, op);
        system = System::apply(system, &model, op.clone());
        System::check_invariants(&system, &model);
    }
    System::teardown(system, model);
}

#[test]
fn a_job_that_fails_after_its_claim_was_lost_is_no_fault_of_the_database() {
    replay(&[
        Op::Enqueue { act: Act::Permanent, shop: None, key: None, at: None, max_attempts: 3 },
        Op::Begin { process: 0, pause: PauseAt::Before },
        Op::Pass { ms: 31_000 },
        Op::Run { process: 1 },
        Op::Resume { process: 0 },
    ]);
}

#[test]
fn a_run_that_lost_its_claim_counts_beside_the_next_claim_of_its_job() {
    replay(&[
        Op::Enqueue { act: Act::Succeed, shop: None, key: None, at: None, max_attempts: 2 },
        Op::Enqueue { act: Act::Succeed, shop: None, key: None, at: None, max_attempts: 1 },
        Op::Begin { process: 1, pause: PauseAt::After },
        Op::EnqueueDuty { kind: Kind::ShopRedact, shop: 0 },
        Op::Crash { process: 1 },
        Op::Begin { process: 0, pause: PauseAt::Before },
        Op::Pass { ms: 31_000 },
        Op::Run { process: 1 },
        Op::CrashWithClaims { limit: 1 },
        Op::Retry { job: 0 },
        Op::Run { process: 0 },
        Op::Run { process: 0 },
    ]);
}

#[test]
fn a_job_that_was_enqueued_by_a_clock_that_is_behind_while_an_erasure_closes_forgets_before_that_is_stamped() {
    let note = |at| Op::Enqueue { act: Act::Succeed, shop: Some(0), key: Some(0), at, max_attempts: 1 };
    replay(&[
        Op::Deliver { hook: Hook::ShopRedact, shop: 0, id: Some(0), event: None },
        Op::Begin { process: 0, pause: PauseAt::After },
        Op::Set { by_ms: -86_400_000 },
        note(Some(60_000)),
        Op::Set { by_ms: 86_400_000 },
        Op::Resume { process: 0 },
        Op::Scrub { process: 1 },
    ]);
}

#[test]
fn what_comes_between_an_erasure_and_its_stamp_forgets_but_a_duty_by_hand_that_has_open_requests() {
    replay(&[
        Op::Deliver { hook: Hook::ShopRedact, shop: 0, id: Some(0), event: None },
        Op::Run { process: 0 },
        Op::Pass { ms: 1 },
        Op::Deliver { hook: Hook::CustomersRedact, shop: 0, id: Some(1), event: None },
        Op::Enqueue { act: Act::FailUntil(2), shop: Some(0), key: None, at: None, max_attempts: 3 },
        Op::EnqueueDuty { kind: Kind::CustomersRedact, shop: 0 },
        Op::EnqueueDuty { kind: Kind::DataRequest, shop: 0 },
        Op::Scrub { process: 1 },
        Op::Run { process: 0 },
        Op::Run { process: 0 },
        Op::Scrub { process: 0 },
    ]);
}
