//! A job that kills whoever runs it.

use super::harness::*;
use serde_json::{Value, json};

/// Enqueues a job by hand that is tried twice.
fn enqueue(machine: &Machine, job_type: &str, payload: &Value) -> String {
    let payload = payload.to_string();
    let enqueued = machine.json(&["jobs", "enqueue", job_type, &payload, "--max-attempts", "2"]);
    enqueued["jobId"].as_str().expect("an id").to_owned()
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn a_job_that_kills_its_process_fails_and_those_claimed_or_running_beside_it_do_not() {
    let machine = Machine::new();
    let mates_before = (0..2).map(|number| enqueue(&machine, "shop_redact", &redact(number))).collect::<Vec<_>>();
    let poison = enqueue(&machine, "poison", &json!({}));
    let mates_after = (2..5).map(|number| enqueue(&machine, "shop_redact", &redact(number))).collect::<Vec<_>>();
    let connection = machine.connection();
    let status = format!("SELECT status FROM job_queue WHERE id = '{poison}'");
    let mut deaths = 0;
    while query::<String>(&connection, &status) != "failed" || !is_settled(&connection) {
        // The mates are slow: whenever the poison runs, the other thread is in the middle of one.
        let server = machine
            .serve(&["--workers", "2"])
            .env("QUOTEGRID_KILL_AT", "queue::run::poison")
            .env("FAILPOINTS", "queue::run::shop_redact=sleep(300)");
        let mut server = server.spawn();
        wait_until("the server is killed, or has nothing left to do", || server.has_ended() || is_settled(&connection));
        if server.has_ended() {
            server.wait_killed();
            deaths += 1;
            assert!(deaths < 20, "the poison never ends");
        }
    }
    let attempts = format!("SELECT attempts FROM job_queue WHERE id = '{poison}'");
    assert_eq!(query::<i64>(&connection, &attempts), 2);
    for mate in mates_before.iter().chain(&mates_after) {
        let job = machine.json(&["jobs", "show", mate]);
        assert_eq!((&job["status"], &job["attempts"]), (&json!("completed"), &json!(1)), "{job}");
    }
    println!("the poison took {deaths} processes with it");
    assert_exactly_once(&machine);
}

fn redact(number: usize) -> Value {
    json!({ "shop": format!("mate-{number}.myshopify.com") })
}
