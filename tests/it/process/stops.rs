//! Signals: a graceful stop, a second one at once, and those that mean nothing.

use super::harness::*;
use quotegrid::shopify::Topic;
use rustix::process::Signal;
use serde_json::json;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A grace that no test waits for: who needs it hangs.
const LONG_GRACE: [&str; 2] = ["--grace-ms", "600000"];

#[test]
fn a_stop_under_load_exits_0_and_loses_nothing_acknowledged() {
    let machine = Machine::new();
    let ledger = Ledger::default();
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = machine.serve(&LONG_GRACE).ready();
        let stopped = AtomicBool::new(false);
        let before = ledger.len();
        std::thread::scope(|scope| {
            for number in 0..32 {
                let (mut client, ledger, stopped) = (server.client(), &ledger, &stopped);
                scope.spawn(move || {
                    // Every other one sends several before it looks at the first answer.
                    let ahead = if number % 2 == 0 { 1 } else { 5 };
                    'connected: while !stopped.load(Ordering::Relaxed) {
                        let hooks: Vec<_> = (0..ahead)
                            .map(|_| Hook::new(Topic::CustomersRedact, &format!("stop-{number}.myshopify.com")))
                            .collect();
                        for hook in &hooks {
                            let _hung_up = client.send(hook);
                        }
                        for hook in &hooks {
                            let Ok(answer) = client.answer() else { break 'connected };
                            ledger.note(hook, &answer);
                        }
                    }
                });
            }
            wait_until("there is load", || ledger.len() > before + 100);
            server.signal(signal);
            let status = server.wait();
            stopped.store(true, Ordering::Relaxed);
            assert_eq!(status.code(), Some(0), "{signal:?}: {status}\n{}", server.log());
        });
        let connection = machine.connection();
        let held: i64 = query(&connection, "SELECT count(*) FROM job_queue WHERE status = 'processing'");
        assert_eq!(held, 0, "what was not finished was given back");
        assert_eq!(
            query::<i64>(&connection, "SELECT count(*) FROM job_queue WHERE status = 'pending' AND attempts > 0"),
            0,
            "with its attempt"
        );
    }
    let server = machine.serve(&[]).ready();
    machine.settle();
    ledger.assert_kept(&machine.connection());
    assert_exactly_once(&machine);
    assert_eq!(server.stop(), Some(0));
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn a_job_that_outlasts_the_grace_is_given_back_with_its_attempt() {
    for command in ["serve", "work"] {
        let machine = Machine::new();
        let job = machine.json(&["jobs", "enqueue", "shop_redact", r#"{"shop":"a.myshopify.com"}"#])["jobId"].clone();
        let args = ["--grace-ms", "100"];
        let starting = if command == "serve" { machine.serve(&args) } else { machine.work(&args) };
        let mut process = starting.env("FAILPOINTS", "queue::run=sleep(600000)").ready();
        wait_until("the job is claimed", || machine.json(&["jobs", "stats"])["processing"] == 1);
        process.signal(Signal::TERM);
        assert_eq!(process.wait().code(), Some(0), "{command}: {}", process.log());
        let job = machine.json(&["jobs", "show", job.as_str().expect("an id")]);
        assert_eq!((&job["status"], &job["attempts"]), (&json!("pending"), &json!(0)), "{command}: {job}");
        assert_eq!(job["attemptHistory"][0]["outcome"], "released");
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn an_erasure_stops_between_two_steps_and_goes_on_after_the_restart() {
    let machine = Machine::new();
    machine.json(&["migrate"]);
    fill(&mut machine.connection(), "a.myshopify.com", "a-mark");
    let hold = machine.hold();
    let mut server = machine.serve(&LONG_GRACE).held_at("erasure::step", &hold).ready();
    assert_eq!(server.client().post(&Hook::new(Topic::ShopRedact, "a.myshopify.com")).status, 200);
    let connection = machine.connection();
    wait_until("it has begun", || query(&connection, "SELECT count(erasing_since) = 1 FROM stores"));
    server.signal(Signal::TERM);
    wait_until("the stop has come to the jobs", || server.log().contains("no more jobs are begun"));
    drop(hold);
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(query::<String>(&connection, "SELECT status || attempts FROM job_queue"), "pending0");
    let _server = machine.serve(&[]).ready();
    machine.settle();
    let requests = machine.json(&["gdpr", "list"]);
    assert_eq!(requests["requests"][0]["deleted"], json!(filled_counts()));
    assert_exactly_once(&machine);
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn what_is_claimed_in_the_moment_of_the_stop_is_given_back_and_not_waited_for() {
    let machine = Machine::new();
    for number in 0..8 {
        let payload = json!({ "shop": format!("s-{number}.myshopify.com") }).to_string();
        machine.json(&["jobs", "enqueue", "shop_redact", &payload]);
    }
    // The claim is committed, and its worker has not yet heard of it when the signal comes.
    let hold = machine.hold();
    let mut server = machine.serve(&LONG_GRACE).held_at("queue::claimed", &hold).ready();
    wait_until("jobs are claimed", || machine.json(&["jobs", "stats"])["processing"] == 8);
    server.signal(Signal::TERM);
    wait_until("the stop has come to the jobs", || server.log().contains("no more jobs are begun"));
    drop(hold);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());
    let stats = machine.json(&["jobs", "stats"]);
    assert_eq!(stats["processing"], 0, "{stats}");
    assert_eq!(machine.query::<i64>("SELECT count(*) FROM job_queue WHERE status = 'pending' AND attempts > 0"), 0);
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn a_second_signal_stops_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let machine = Machine::new();
        machine.json(&["jobs", "enqueue", "shop_redact", r#"{"shop":"a.myshopify.com"}"#]);
        let mut server = machine.serve(&LONG_GRACE).env("FAILPOINTS", "queue::run=sleep(600000)").ready();
        wait_until("the job is claimed", || machine.json(&["jobs", "stats"])["processing"] == 1);
        server.signal(signal);
        wait_until("it has noticed", || server.log().contains("a second signal stops at once"));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!server.has_ended(), "it gives the job its grace");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(1));
        // What it held is free at once, for it is dead.
        let _server = machine.serve(&["--lease-ms", "3600000"]).ready();
        machine.settle();
        assert_exactly_once(&machine);
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn a_server_that_cannot_listen_touches_no_job() {
    let machine = Machine::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    machine.json(&["jobs", "enqueue", "shop_redact", r#"{"shop":"a.myshopify.com"}"#]);
    // As a supervisor would, which starts it again and again.
    for _ in 0..10 {
        let mut command = machine.command(&["serve", "--listen", &address]);
        command.env("QUOTEGRID_SHOPIFY_API_SECRET", SECRET);
        let mut server = machine.start(command).env("FAILPOINTS", "queue::run=sleep(5000)").spawn();
        assert!(!server.wait_ready());
        assert_eq!(server.wait().code(), Some(1), "{}", server.log());
    }
    assert_eq!(machine.query::<String>("SELECT status || attempts || claim FROM job_queue"), "pending00");
}

#[test]
fn a_hang_up_stops_gracefully_unless_it_was_ignored_and_user_signals_do_nothing() {
    let machine = Machine::new();
    let mut server = machine.serve(&[]).ready();
    for signal in [Signal::USR1, Signal::USR2] {
        server.signal(signal);
    }
    let hook = Hook::new(Topic::ShopRedact, "a.myshopify.com");
    assert_eq!(server.client().post(&hook).status, 200, "it serves on");
    server.signal(Signal::HUP);
    assert_eq!(server.wait().code(), Some(0), "{}", server.log());

    // As nohup starts a program.
    let direct = machine.serve_command(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(direct.get_program()).args(direct.get_args());
    for (name, value) in direct.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let server = machine.start(command).ready();
    server.signal(Signal::HUP);
    let hook = Hook::new(Topic::ShopRedact, "b.myshopify.com");
    assert_eq!(server.client().post(&hook).status, 200, "it serves on");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_crash_leaves_no_core_dump() {
    let crash = |command: &str| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -c unlimited; {command}")]).current_dir(directory.path());
        (shell, directory)
    };
    let (mut control, _directory) = crash("kill -ABRT $$");
    if !control.status().expect("a shell").core_dumped() {
        eprintln!("this machine dumps no cores at all: nothing to see");
        return;
    }
    let machine = Machine::new();
    let direct = machine.serve_command(&[]);
    let (mut shell, _directory) = crash("exec \"$@\"");
    shell.arg("sh").arg(direct.get_program()).args(direct.get_args()).env("QUOTEGRID_SHOPIFY_API_SECRET", SECRET);
    let mut server = machine.start(shell).ready();
    server.signal(Signal::ABORT);
    let status = server.wait();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false), "{status}");
}
