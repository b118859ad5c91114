//! Which operation may come next, and how often each does.

use super::Model;
use crate::model::ops::{Act, Hook, Kind, Op, PauseAt, SHOPS, Stop};
use crate::model::rows::Status;
use proptest::prelude::*;

pub(super) fn next_operation(model: &Model) -> BoxedStrategy<Op> {
    let act = prop_oneof![
        3 => Just(Act::Succeed),
        2 => (1..4_u32).prop_map(Act::FailUntil),
        2 => (1..4_i64).prop_map(Act::SnoozeUntil),
        2 => Just(Act::Permanent),
        1 => Just(Act::Panic),
        1 => Just(Act::EffectFails),
        1 => Just(Act::Unknown),
    ];
    let kind = prop_oneof![Just(Kind::ShopRedact), Just(Kind::CustomersRedact), Just(Kind::DataRequest)];
    let hook = prop_oneof![
        4 => Just(Hook::ShopRedact),
        2 => Just(Hook::CustomersRedact),
        1 => Just(Hook::DataRequest),
        2 => Just(Hook::Uninstalled),
    ];
    let process = 0..2_usize;
    // Mostly one with which it can be done.
    let any_job = 0..model.jobs.len().max(1);
    let some_job = |can: fn(Status) -> bool| {
        let jobs = model.jobs.iter().enumerate().filter(|(_, job)| can(job.status) && !job.is_pruned);
        let jobs: Vec<usize> = jobs.map(|(index, _)| index).collect();
        match jobs.is_empty() {
            true => any_job.clone().boxed(),
            false => prop_oneof![3 => prop::sample::select(jobs), 1 => any_job.clone()].boxed(),
        }
    };
    let waits = some_job(|status| status == Status::Pending);
    let given_up = some_job(|status| matches!(status, Status::Failed | Status::Cancelled));
    let pause = prop_oneof![Just(PauseAt::Before), Just(PauseAt::After)];
    let event = prop::option::of(prop_oneof![Just(-40_000_i64), Just(-5_000), Just(-1), Just(0), Just(60_000)]);
    let at = prop::option::weighted(0.3, prop_oneof![Just(-10_000_i64), Just(3_000), Just(60_000)]);
    prop_oneof![
        4 => prop_oneof![Just(1_i64), Just(1_999), Just(2_000), Just(5_000), Just(31_000), Just(600_000)]
            .prop_map(|ms| Op::Pass { ms }),
        1 => prop_oneof![Just(-86_400_000_i64), Just(-3_000), Just(3_600_000)].prop_map(|by_ms| Op::Set { by_ms }),
        4 => (act, prop::option::weighted(0.4, 0..SHOPS), prop::option::weighted(0.4, 0..2_u8), at, 1..4_u32)
            .prop_map(|(act, shop, key, at, max_attempts)| Op::Enqueue { act, shop, key, at, max_attempts }),
        1 => (kind, 0..SHOPS).prop_map(|(kind, shop)| Op::EnqueueDuty { kind, shop }),
        5 => (hook, 0..SHOPS, prop::option::weighted(0.7, 0..6_u8), event)
            .prop_map(|(hook, shop, id, event)| Op::Deliver { hook, shop, id, event }),
        3 => (0..SHOPS).prop_map(|shop| Op::Install { shop }),
        8 => process.clone().prop_map(|process| Op::Run { process }),
        4 => (process.clone(), pause).prop_map(|(process, pause)| Op::Begin { process, pause }),
        4 => process.clone().prop_map(|process| Op::Resume { process }),
        1 => process.clone().prop_map(|process| Op::Crash { process }),
        1 => (1..5_usize).prop_map(|limit| Op::CrashWithClaims { limit }),
        2 => process.clone().prop_map(|process| Op::Scrub { process }),
        1 => waits.prop_map(|job| Op::Cancel { job }),
        2 => given_up.prop_map(|job| Op::Retry { job }),
        2 => process.clone().prop_map(|process| Op::Prune { process }),
        2 => (process, prop::sample::select(vec![PauseAt::Before, PauseAt::After]), 0..3_usize).prop_map(
            |(process, pause, threads)| {
                let (threads, in_time) = if threads == 0 { (1, true) } else { (threads, false) };
                Op::Stop(Stop { process, threads, pause, in_time })
            }
        ),
    ]
    .boxed()
}
