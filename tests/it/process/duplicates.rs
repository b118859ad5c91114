//! The same delivery at the same instant on many connections, to two servers on one file, alongside other workers.

use super::harness::*;
use crate::support::waiting::SetAtEnd;
use quotegrid::shopify::Topic;
use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

/// A duty whose job was called off is no longer seen to by anyone: the operator hears of it, and Shopify's repetition brings it back.
#[test]
fn a_duty_without_a_job_is_named_at_the_start_and_by_doctor_until_its_webhook_comes_again() {
    let machine = Machine::new();
    let hook = Hook::new(Topic::CustomersRedact, "panes.myshopify.com");
    let server = machine.serve(&["--workers", "0"]).ready();
    let job = server.client().post(&hook).job().expect("a job");
    assert!(!server.log().contains("have no job"), "it has one");
    assert_eq!(server.stop(), Some(0));
    machine.json(&["jobs", "cancel", &job]);
    let server = machine.serve(&["--workers", "0"]).ready();
    wait_until("the start names the duty", || {
        server.log().lines().any(|line| line.contains("WARN") && line.contains("1 open privacy requests have no job"))
    });
    let doctor = || {
        let output = machine.command(&["doctor", "--json"]).output().expect("the program runs");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        report["duties"]["withoutJob"].clone()
    };
    assert_eq!(doctor(), 1);
    let again = server.client().post(&hook);
    assert_eq!((again.status, &again.body["status"]), (200, &serde_json::json!("duplicate")));
    assert_ne!(again.job().expect("a job"), job);
    assert_eq!(doctor(), 0);
    assert_eq!(server.stop(), Some(0));
    let server = machine.serve(&["--workers", "1"]).ready();
    machine.settle();
    assert_eq!(server.stop(), Some(0));
}

const HOOKS: usize = 12;
const CONNECTIONS: usize = 4;

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn deliveries_repeated_at_the_same_instant_on_two_servers_become_one_job_each_and_run_once() {
    let machine = Machine::new();
    // Slow, so that every process gets its share of the jobs.
    let slowly = |starting: Starting| starting.env("FAILPOINTS", "queue::run=sleep(150)").ready();
    let first = slowly(machine.serve(&["--workers", "1"]));
    let second = slowly(machine.serve(&["--workers", "1"]));
    let worker = slowly(machine.work(&["--workers", "1"]));
    assert_eq!(worker.ready["event"], "working");
    for number in 0..4 {
        fill(&mut machine.connection(), &format!("twin-{}.myshopify.com", number % 4), "twin-mark");
    }
    let hooks: Vec<Hook> = (0..HOOKS)
        .map(|number| Hook::new(DUTIES[number % 3].clone(), &format!("twin-{}.myshopify.com", number % 4)))
        .collect();
    let (ledger, barrier, done) = (Ledger::default(), Barrier::new(2 * CONNECTIONS), AtomicBool::new(false));
    let (machine, hooks) = (&machine, &hooks);
    std::thread::scope(|scope| {
        let ends = SetAtEnd(&done);
        let by_hand = scope.spawn(|| {
            let mut ran = 0;
            while !done.load(Ordering::Relaxed) {
                ran += usize::from(machine.json(&["jobs", "run-next"])["processed"] == true);
            }
            ran
        });
        let senders: Vec<_> = (0..2 * CONNECTIONS)
            .map(|number| {
                let mut client = if number % 2 == 0 { first.client() } else { second.client() };
                let (ledger, barrier) = (&ledger, &barrier);
                scope.spawn(move || {
                    let mut accepted = 0;
                    for hook in hooks {
                        barrier.wait();
                        let answer = client.post(hook);
                        assert_eq!(answer.status, 200, "{answer:?}");
                        accepted += usize::from(answer.body["status"] == "accepted");
                        ledger.note(hook, &answer);
                    }
                    accepted
                })
            })
            .collect();
        let accepted: usize = senders.into_iter().map(|sender| sender.join().expect("no panic")).sum();
        assert_eq!(accepted, HOOKS, "each was new exactly once");
        machine.settle();
        drop(ends);
        println!("run-next ran {} of {HOOKS} jobs", by_hand.join().expect("no panic"));
    });
    let connection = machine.connection();
    ledger.assert_kept(&connection);
    assert_exactly_once(machine);
    assert_eq!(query::<i64>(&connection, "SELECT count(*) FROM job_queue"), i64::try_from(HOOKS).expect("small"));
    assert_eq!(query::<i64>(&connection, "SELECT count(*) FROM job_attempts WHERE outcome = 'lost'"), 0);
    // The delete happened once for each store, and once it is counted.
    let erased: i64 = query(&connection, "SELECT sum(deleted ->> 'matrix_cells') FROM gdpr_requests");
    assert_eq!(erased, 4 * 6_000);
    let stopped: HashSet<_> = [first.stop(), second.stop(), worker.stop()].into();
    assert_eq!(stopped, HashSet::from([Some(0)]));
}
