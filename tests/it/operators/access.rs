//! Who is let in where operators look, how often somebody may guess, and what strangers can make the server do there.

use super::run;
use crate::edge::target::Target;
use crate::support::command::program;
use quotegrid::http::{Headers, Method, Request, Response};
use quotegrid::testing::Fixture;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering;
use std::time::Instant;

fn readyz(fixture: &Fixture, authorization: Option<&str>) -> Response {
    let mut headers = Headers::default();
    if let Some(authorization) = authorization {
        headers.push("Authorization", authorization);
    }
    fixture.call(Request {
        method: Method::Get,
        path: "/readyz".to_owned(),
        query: String::new(),
        headers,
        body: Vec::new(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: "r".to_owned(),
    })
}

#[test]
fn readiness_is_for_all_and_its_details_are_for_those_who_bear_a_token() {
    let fixture = Fixture::new();
    let told = readyz(&fixture, None);
    assert_eq!((told.status, told.json_body()), (200, json!({ "status": "ready" })));
    assert_eq!(readyz(&fixture, Some("Bearer wrong")).status, 401);
    let details = fixture.admin("GET", "/readyz", None).json_body();
    assert_eq!((&details["canCommit"], &details["schema"]["current"]), (&json!(true), &json!(true)));
    assert_eq!(details["privacyRequests"]["open"], 0);
}

#[test]
fn however_many_ask_whether_it_is_ready_it_commits_once_a_second() {
    let fixture = Fixture::new();
    let commits = || fixture.app.db.writer_figures().commits.load(Ordering::Relaxed);
    let (before, started) = (commits(), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert_eq!(readyz(&fixture, None).status, 200);
                }
            });
        }
    });
    let most = started.elapsed().as_secs() + 1;
    let made = (commits() - before) as u64;
    assert!((1..=most).contains(&made), "{made} commits for 800 questions in {:?}", started.elapsed());
}

#[test]
fn two_tokens_are_let_in_while_one_replaces_the_other() {
    let (old, new) = ("the-old-token-of-the-test", "the-new-token-of-the-test");
    let target =
        Target::start(&["--admin-token", &format!("{old}, {new}"), "--metrics-token", "the-token-for-figures"]);
    let ask = |path: &str, token: &str| {
        target.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n")).status
    };
    for token in [old, new] {
        assert_eq!((ask("/admin/api/stores", token), ask("/metrics", token)), (200, 200), "{token}");
    }
    assert_eq!(ask("/metrics", "the-token-for-figures"), 200);
    assert_eq!(ask("/admin/api/stores", "the-token-for-figures"), 401);
    assert_eq!(ask("/admin/api/stores", &format!("{old}, {new}")), 401);
}

#[test]
fn a_token_that_can_be_guessed_or_not_be_sent_is_refused_at_the_start() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (tokens, says) in [
        ("fifteen-letters", "at least 16 characters"),
        ("long-enough-to-be-right,short", "at least 16 characters"),
        ("long-enough-but-möbel", "visible ASCII"),
        ("the-first-of-three-tokens,the-second-of-three-tokens,the-third-of-three-tokens", "more than 2"),
    ] {
        let output = program()
            .args(["--database", "unused.db", "serve", "--ephemeral", "--admin-token", tokens])
            .current_dir(directory.path())
            .output()
            .expect("the binary runs");
        let text = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && text.contains(says) && !text.contains(tokens), "{text}");
    }
}

#[test]
fn guessing_is_limited_and_the_log_says_so_once_a_second() {
    let target = Target::start(&["--admin-token", "nobody-guesses-this-one"]);
    let started = Instant::now();
    let mut wire = target.connect();
    let mut statuses = Vec::new();
    for number in 0..300 {
        wire.send(format!("GET /admin/api HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guess-{number}\r\n\r\n"));
        let answer = wire.answer();
        assert_eq!(answer.field("Retry-After").is_some(), answer.status == 429, "{answer:?}");
        statuses.push(answer.status);
    }
    let looked_at = statuses.iter().filter(|status| **status == 401).count() as u64;
    let seconds = started.elapsed().as_secs();
    assert!(looked_at >= 30 && looked_at <= 31 + seconds / 2, "{looked_at} in {seconds} s");
    assert_eq!(looked_at + statuses.iter().filter(|status| **status == 429).count() as u64, 300);
    let lines =
        target.server.log().lines().filter(|line| line.contains("WARN") && line.contains("wrong token")).count();
    assert!(lines >= 1 && lines as u64 <= seconds + 2, "{lines} lines in {seconds} s");
    assert!(!target.server.log().contains("guess-"), "what was guessed is nobody's business");
}

#[test]
fn what_a_stranger_has_made_a_terminal_show_is_written_out() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("test.db");
    assert_eq!(run(&path, &["jobs", "enqueue", "nobody-knows", "{}"]).0, 0);
    let connection = rusqlite::Connection::open(&path).expect("it is there");
    let evil = "\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}txt.exe\u{200b}\r";
    connection.execute("UPDATE job_queue SET error = ?1", [evil]).expect("it can be written");
    let id: String = connection.query_row("SELECT id FROM job_queue", (), |row| row.get(0)).expect("a job");
    for arguments in
        [&["jobs", "list"][..], &["jobs", "show", &id], &["jobs", "list", "--json"], &["jobs", "show", &id, "--json"]]
    {
        let (code, text) = run(&path, arguments);
        assert_eq!(code, 0, "{arguments:?}");
        assert!(text.contains("txt.exe"), "{text}");
        let plain = |character: char| {
            character == '\n' || !(character.is_control() || ['\u{202e}', '\u{200b}'].contains(&character))
        };
        assert!(text.chars().all(plain), "{arguments:?}: {}", text.escape_debug());
        if arguments.contains(&"--json") {
            assert!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON").to_string().contains("owned"));
        }
    }
}
