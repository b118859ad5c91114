//! The same delivery at the same instant on many connections, to two servers on one file, alongside other workers.

use super::harness::*;
use crate::support::waiting::SetAtEnd;
use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

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
