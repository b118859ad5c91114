//! `quotegrid admin`, and the link of a server's first start, with the real binary.

use crate::process::harness::{Machine, Process};
use crate::support::command::program;
use crate::support::files::holds;
use crate::support::waiting::wait_until;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;

fn quotegrid(database: &Path, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let output = program()
        .args(["--json", "--database"])
        .arg(database)
        .args(arguments)
        .env_remove("QUOTEGRID_PUBLIC_URL")
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let document = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), document, String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn links_are_made_for_each_role_and_invalid_arguments_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let database = directory.path().join("quotegrid.db");
    let run = |arguments: &[&str]| quotegrid(&database, arguments);
    assert_eq!(run(&["admin", "link"]).0, Some(3), "there is no database yet");
    assert_eq!(run(&["stores", "add", "a.myshopify.com"]).0, Some(0));
    let (code, made, _) = run(&["admin", "link", "--public-url", "https://quotes.example.com/shop"]);
    let link = made["link"].as_str().expect("a link");
    assert!(link.starts_with("https://quotes.example.com/shop/admin/enter#") && link.len() > 100, "{link}");
    assert_eq!((code, &made["role"]), (Some(0), &json!("operator")));
    let (_, made, _) = run(&["admin", "link", "--role", "viewer", "--hours", "24", "--label", "till 2"]);
    assert_eq!(made["role"], "viewer");
    let (_, made, _) = run(&["admin", "link", "--shop", "a.myshopify.com"]);
    assert_eq!((&made["role"], &made["shop"]), (&json!("merchant"), &json!("a.myshopify.com")));
    for wrong in [
        &["admin", "link", "--shop", "none.myshopify.com"][..],
        &["admin", "link", "--role", "merchant"],
        &["admin", "link", "--role", "viewer", "--shop", "a.myshopify.com"],
        &["admin", "link", "--hours", "0"],
        &["admin", "link", "--hours", "169"],
        &["admin", "link", "--label", "a\nb"],
        &["admin", "sessions", "end"],
    ] {
        let (code, _, said) = run(wrong);
        assert!(matches!(code, Some(1 | 2)) && !said.contains("panicked"), "{wrong:?}: {code:?} {said}");
    }
    let (_, listed, _) = run(&["admin", "audit"]);
    let actions: Vec<&str> =
        listed["entries"].as_array().expect("a list").iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, ["link.create", "link.create", "link.create", "store.add"]);
    assert_eq!(listed["entries"][0]["actor"], "cli");
    assert_eq!(run(&["admin", "sessions", "list"]).1, json!({ "sessions": [] }));
    assert_eq!(run(&["admin", "sessions", "end", "--all"]).1, json!({ "ended": 0 }));
    let (_, token) = link.rsplit_once('#').expect("a token");
    assert!(!holds(&database, token), "only its digest is kept");
}

#[test]
fn a_server_prints_a_link_at_its_first_start_and_never_again() {
    let machine = Machine::new();
    let lines = |process: &Process| process.log().lines().filter(|line| line.contains("/admin/enter#")).count();
    let first = machine.serve(&[]).ready();
    wait_until("the link is printed", || lines(&first) == 1);
    assert!(first.log().contains("No person has signed in"), "{}", first.log());
    // The link was not used: making a server start again must not yield another one.
    assert_eq!(first.stop(), Some(0));
    for _ in 0..2 {
        let mut again = machine.serve(&[]).ready();
        assert_eq!(again.ready["consoleLink"], Value::Null);
        again.signal(Signal::TERM);
        assert!(again.wait().success());
        assert_eq!(lines(&again), 0, "{}", again.log());
    }
    assert_eq!(machine.query::<u64>("SELECT count(*) FROM admin_links"), 1);
    assert_eq!(machine.query::<u64>("SELECT count(*) FROM audit_log WHERE action = 'link.create'"), 1);
}
