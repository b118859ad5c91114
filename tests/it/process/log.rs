//! Whoever starts a server and does not read its log, and whoever makes it long.

use super::harness::*;
use quotegrid::shopify::Topic;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Instant;

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
    assert!(log.contains(" log lines were dropped: stderr was not read fast enough\n"), "none had to wait");
    assert!(log.ends_with(" stopped\n"), "the last line is missing: {:?}", log.lines().last());
    // The link to the console is for whoever started it, and no line of the log.
    let is_link = |line: &str| {
        line.is_empty() || ["signed in", "/admin/enter#", "admin link"].iter().any(|part| line.contains(part))
    };
    let broken = log.lines().find(|line| !line.starts_with('[') && !is_link(line));
    assert_eq!(broken, None, "whole lines only");
}

/// Each kind of refusal has one line a second, however often it comes.
#[test]
fn refused_webhooks_of_a_client_that_can_sign_do_not_fill_the_log() {
    const EACH: usize = 400;
    let machine = Machine::new();
    let mut command = machine.serve_command(&[]);
    command.env("QUOTEGRID_LOG", "info");
    let server = machine.start(command).ready();
    let mut client = server.client();
    let captured = Hook::new(Topic::ShopRedact, "flood.myshopify.com");
    let other_shop = Hook { shop: "other.myshopify.com".to_owned(), ..captured.clone() };
    let malformed = Hook { topic: Topic::CustomersRedact, ..captured.clone() };
    let started = Instant::now();
    for _ in 0..EACH {
        assert_eq!(client.post(&other_shop).status, 401);
        assert_eq!(client.post(&malformed).status, 400);
    }
    let most = 2 * (usize::try_from(started.elapsed().as_secs()).expect("small") + 2);
    let log = server.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("webhook refused")).collect();
    assert!((2..=most).contains(&lines.len()), "{} lines, {most} at the most", lines.len());
    for said in ["names another shop", "does not match its topic"] {
        assert!(lines.iter().any(|line| line.contains(said)), "{said}: {lines:?}");
    }
    // The next line of a kind says how many it stands for.
    let counted = |line: &str| line.split("more=").nth(1)?.split(':').next()?.parse::<usize>().ok();
    let told: usize = lines.iter().map(|line| 1 + counted(line).expect("a count")).sum();
    assert!(told <= 2 * EACH);
    drop(client);
    assert_eq!(server.stop(), Some(0));
}
