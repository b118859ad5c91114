//! Faults of our own, where no handler runs that could be blamed for them: the process goes on working.

use super::harness::*;
use quotegrid::shopify::Topic;

/// Each of these threads panics once, and there is no other to are in for it.
const PANICS: &[(&str, &str)] = &[
    ("queue::run=1*panic", "a worker panicked, it goes on after a pause"),
    // The claim is lost; the keeper frees it, once it has got over its own panic.
    ("queue::claimed=1*panic;queue::tick=1*panic", "lease maintenance panicked, it goes on after a pause"),
    ("erasure::scrubbed=1*panic", "the scrub loop panicked, it goes on after a pause"),
];

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn a_thread_that_panics_outside_a_job_goes_on() {
    for (panics, told) in PANICS {
        let machine = Machine::new();
        let server = machine.serve(&["--workers", "1", "--lease-ms", "1000"]).env("FAILPOINTS", panics).ready();
        let mut client = server.client();
        for shop in ["one.myshopify.com", "two.myshopify.com"] {
            assert_eq!(client.post(&Hook::new(Topic::ShopRedact, shop)).status, 200);
        }
        machine.settle();
        assert_exactly_once(&machine);
        assert_eq!(machine.query::<i64>("SELECT count(*) FROM job_queue WHERE status = 'completed'"), 2, "{panics}");
        assert!(server.log().contains(told), "{panics}:\n{}", server.log());
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn a_front_end_that_panics_loses_its_connections_and_nothing_else() {
    let machine = Machine::new();
    let server = machine.serve(&[]).env("FAILPOINTS", "http::dispatched=3*off->1*panic->3*off->1*panic->off").ready();
    let ledger = Ledger::default();
    let mut client = server.client();
    let (mut taken, mut lost) = (0, 0);
    while taken < 12 {
        let hook = Hook::new(Topic::CustomersDataRequest, "gate.myshopify.com");
        match client.try_post(&hook) {
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                ledger.note(&hook, &answer);
                taken += 1;
            }
            Err(_gone) => {
                lost += 1;
                client = server.client();
            }
        }
    }
    assert_eq!(lost, 2, "{}", server.log());
    assert_eq!(server.log().matches("the front end panicked").count(), 2, "{}", server.log());
    machine.settle();
    ledger.assert_kept(&machine.connection());
    assert_exactly_once(&machine);
    assert_eq!(server.stop(), Some(0));
}
