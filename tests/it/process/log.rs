//! Whoever starts a server and does not read its log.

use super::harness::*;
use quotegrid::shopify::Topic;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

/// A pipe holds 64 KiB, and 2,000 lines may wait alongside it; each of these webhooks makes at least four lines.
const WEBHOOKS: usize = 1_500;

#[test]
fn a_full_pipe_of_log_lines_stops_no_webhook_and_the_rest_is_written_at_the_end() {
    let machine = Machine::new();
    let mut command = machine.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
    command.env("QUOTEGRID_SHOPIFY_API_SECRET", SECRET);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut ready = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut ready).expect("a ready line");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    let address = ready["url"].as_str().and_then(|url| url.strip_prefix("http://")).expect("an address");
    let mut client = Client::to(address.parse().expect("an address")).expect("it listens");
    for number in 0..WEBHOOKS {
        let answer = client.post(&Hook::new(Topic::CustomersRedact, "full.myshopify.com"));
        assert_eq!(answer.status, 200, "webhook {number}");
    }
    machine.settle();

    let mut stderr = child.stderr.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).expect("text");
        log
    });
    let id = i32::try_from(child.id()).expect("a process id");
    kill_process(Pid::from_raw(id).expect("not 0"), Signal::TERM).expect("our own child");
    assert!(child.wait().expect("it ends").success());
    let log = reader.join().expect("it reads to the end");
    assert!(log.contains(" log lines were dropped: nobody has read them from stderr\n"), "none had to wait");
    assert!(log.ends_with(" stopped\n"), "the last line is missing: {:?}", log.lines().last());
    // The link to the console is for whoever started it, and no line of the log.
    let is_link = |line: &str| {
        line.is_empty() || ["signed in", "/admin/enter#", "admin link"].iter().any(|part| line.contains(part))
    };
    let broken = log.lines().find(|line| !line.starts_with('[') && !is_link(line));
    assert_eq!(broken, None, "whole lines only");
}
