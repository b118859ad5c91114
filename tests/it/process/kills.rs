//! kill -9 at each point between a webhook's arrival and the last receipt of its erasure.

use super::harness::*;
use quotegrid::shopify::Topic;
use serde_json::json;
use std::time::Instant;

/// Points that every such run comes to, each with the times at which it is killed there.
const POINTS: [(&str, u32); 7] = [
    ("queue::claimed", 1),
    ("queue::run", 1),
    ("queue::ran", 1),
    ("queue::completing", 1),
    ("queue::effects", 1),
    ("erasure::step", 3),
    ("erasure::scrubbed", 1),
];

/// A store is added, and its redaction sent, to a server that is killed at `point`; then to one that is not. Returns whether it
/// was killed.
fn killed_at(point: &str, times: u32) -> bool {
    let machine = Machine::new();
    machine.json(&["migrate"]);
    fill(&mut machine.connection(), "one.myshopify.com", "one-mark");
    // A lease of an hour: only the end of the process can be what frees its jobs.
    let kill_at = format!("{point}={times}");
    let mut first =
        machine.serve(&["--workers", "1", "--lease-ms", "3600000"]).env("QUOTEGRID_KILL_AT", &kill_at).spawn();
    let ledger = Ledger::default();
    let hook = Hook::new(Topic::ShopRedact, "one.myshopify.com");
    let mut killed = false;
    let mut acknowledged = false;
    if first.wait_ready() {
        if let Ok(mut client) = Client::to(first.address())
            && let Ok(answer) = client.try_post(&hook)
        {
            assert_eq!(answer.status, 200, "{answer:?}");
            ledger.note(&hook, &answer);
            acknowledged = true;
        }
        let connection = machine.connection();
        wait_until("it is killed, or all is done", || {
            killed = first.has_ended();
            killed || acknowledged && is_settled(&connection)
        });
        killed = first.has_ended();
    } else {
        killed = true;
    }
    if killed {
        first.wait_killed();
    }
    drop(first);

    let restarted = Instant::now();
    let second = machine.serve(&["--lease-ms", "3600000"]).ready();
    if !acknowledged {
        // Nobody was told 200, so Shopify sends again; whether the first one was committed makes no difference.
        let answer = second.client().post(&hook);
        assert_eq!(answer.status, 200, "{answer:?}");
        ledger.note(&hook, &answer);
    }
    machine.settle();
    println!("{point} {times}: killed {killed}, settled {} ms after the restart", restarted.elapsed().as_millis());
    assert_eq!(machine.query::<i64>("SELECT count(*) FROM stores"), 0, "{point}");
    for (table, _) in FILLED {
        assert_eq!(machine.query::<i64>(&format!("SELECT count(*) FROM {table}")), 0, "{point}: {table}");
    }
    let requests = machine.json(&["gdpr", "list"]);
    assert_eq!(requests["requests"].as_array().map(Vec::len), Some(1), "{point}");
    assert_eq!(requests["requests"][0]["deleted"], json!(filled_counts()), "{point}");
    ledger.assert_kept(&machine.connection());
    assert_exactly_once(&machine);
    killed
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_at_any_point_of_a_job_it_is_done_exactly_once_after_the_restart() {
    for (point, times) in POINTS {
        assert!(killed_at(point, times), "{point} was never come to");
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_before_any_commit_the_duty_is_done_exactly_once_after_the_restart() {
    let killed = (1..=4).filter(|times| killed_at("db::before_commit", *times)).count();
    assert!(killed >= 3, "{killed}: the webhook, the claim, steps, the completion and the stamp are commits");
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_after_any_commit_and_before_its_answer_the_duty_is_done_exactly_once_after_the_restart() {
    let killed = (1..=4).filter(|times| killed_at("db::after_commit", *times)).count();
    assert!(killed >= 3, "{killed}: the webhook, the claim, steps, the completion and the stamp are commits");
}
