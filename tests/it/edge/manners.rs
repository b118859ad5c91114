//! Clients of `quotegrid serve` that do not behave: out of turn, half gone, or deaf. What they do is theirs alone.

use super::target::{Target, room_for_connections};
use crate::process::harness::Hook;
use quotegrid::shopify::Topic;
use rustix::net::sockopt::set_socket_linger;
use std::io::Read;
use std::time::Duration;

fn hook() -> Hook {
    Hook::new(Topic::CustomersDataRequest, "edge.myshopify.com")
}

/// How many webhooks the server has made durable.
fn taken(target: &Target) -> i64 {
    target.machine.query("SELECT count(*) FROM webhook_deliveries")
}

#[test]
fn what_stands_behind_an_error_is_not_asked_and_what_stands_before_it_is_answered() {
    let target = Target::start(&[]);
    for (number, (error, status)) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505),
        ("POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n", 413),
        ("POST /webhooks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 400),
        ("POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: nothing\r\n\r\n", 417),
        ("\0", 400),
    ]
    .into_iter()
    .enumerate()
    {
        let mut wire = target.connect();
        wire.send([&hook().bytes()[..], &hook().bytes(), error.as_bytes(), &hook().bytes()].concat());
        for expected in [200, 200, status] {
            assert_eq!(wire.answer().status, expected, "{error:?}");
        }
        wire.assert_ended();
        assert_eq!(taken(&target), 2 * (number as i64 + 1), "{error:?}");
    }
    target.assert_unharmed();
}

#[test]
fn a_sign_to_go_on_is_given_once_and_never_after_a_refusal() {
    let target = Target::start(&["--body-timeout-ms", "300"]);
    let text = String::from_utf8(hook().bytes()).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let mut wire = target.connect();
    wire.send(format!("{head}\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(wire.head().as_deref(), Some("HTTP/1.1 100 Continue\r\n\r\n"));
    wire.send(body);
    assert_eq!(wire.answer().status, 200);
    // The body never comes.
    wire.send(format!("{head}\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(wire.head().as_deref(), Some("HTTP/1.1 100 Continue\r\n\r\n"));
    assert_eq!(wire.answer().status, 408);
    wire.assert_ended();
    for (refused, status) in [
        ("Content-Length: 1048577\r\n", 413),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
    ] {
        let mut wire = target.connect();
        wire.send(format!("POST /webhooks HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{refused}\r\n"));
        assert_eq!(wire.answer().status, status);
        wire.assert_ended();
    }
    assert_eq!(taken(&target), 1);
    target.assert_unharmed();
}

#[test]
fn a_webhook_whose_sender_ends_its_half_is_answered_and_half_of_one_is_not_taken() {
    let target = Target::start(&[]);
    let whole = hook().bytes();
    let mut wire = target.connect();
    wire.send(&whole);
    wire.end();
    assert_eq!(wire.answer().status, 200);
    wire.assert_ended();
    for length in [1, 60, whole.len() / 2, whole.len() - 1] {
        let mut wire = target.connect();
        wire.send(&hook().bytes()[..length]);
        wire.end();
        wire.assert_ended();
    }
    assert_eq!(taken(&target), 1);
    target.assert_unharmed();
}

#[test]
fn the_same_webhook_is_taken_however_its_target_is_written_and_other_targets_are_refused() {
    let target = Target::start(&[]);
    let ask = |written: &str| {
        let text = String::from_utf8(hook().bytes()).expect("text");
        target.ask(text.replacen("POST /webhooks HTTP/1.1", &format!("POST {written} HTTP/1.1"), 1)).status
    };
    let good = ["/webhooks", "/webhooks?x", "http://localhost/webhooks", "HTTPS://u:p@[::1]:443/webhooks/shop"];
    for written in good {
        assert_eq!(ask(written), 200, "{written}");
    }
    for (written, status) in [
        ("localhost:8080", 400),
        ("webhooks", 400),
        ("http:/webhooks", 400),
        ("http:///webhooks", 400),
        ("ftp://localhost/webhooks", 400),
        ("http://localhost?/webhooks", 400),
        ("*", 400),
        ("/webhooks#x", 400),
        ("/webhooks\u{e4}", 400),
        ("//webhooks", 404),
        ("/./webhooks", 404),
        ("/%77ebhooks", 404),
        ("/webhooks%2fshop", 404),
    ] {
        assert_eq!(ask(written), status, "{written}");
    }
    assert_eq!(taken(&target), good.len() as i64);
    target.assert_unharmed();
}

#[test]
fn no_path_is_so_odd_that_the_server_is_at_fault() {
    let token = "fake-token-of-the-manners-tests";
    let target = Target::start(&["--admin-token", token, "--rate-limit", "0"]);
    let odd = [
        "%00",
        "a%00b",
        "%ff%fe",
        "%C0%80",
        "%",
        "%zz",
        "%2e%2e%2f",
        "..",
        "",
        "%0d%0aSet-Cookie:x",
        "\"<>|^`{}\\",
        "'--",
        "%F0%9F%98%80",
        "-9223372036854775809",
        "99999999999999999999",
        "?cursor=%00&limit=-1",
        "?limit=%ff",
    ];
    let mut wire = target.connect();
    let mut asked = 0;
    // A verification starts a process of its own each time, whatever is behind its path.
    for (_, pattern) in quotegrid::http::router::all().filter(|(_, pattern)| !pattern.ends_with("/gdpr/verify")) {
        for odd in odd {
            let mut path = String::new();
            let mut rest = pattern;
            while let Some((before, after)) = rest.split_once('{') {
                path += before;
                path += odd;
                rest = after.split_once('}').map_or("", |(_, after)| after);
            }
            path += rest;
            let target = if path == pattern { format!("{path}{odd}") } else { path };
            // Nothing that changes anything: those need bodies, and have tests of their own.
            wire.send(format!(
                "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-API-Key: %00\r\n\r\n"
            ));
            let answer = wire.answer();
            assert!(answer.status < 500, "{target}: {answer:?}");
            assert_ne!(answer.field("Connection"), Some("close"), "{target}: {answer:?}");
            asked += 1;
        }
    }
    assert!(asked > 500, "{asked}");
    target.assert_unharmed();
}

#[test]
fn clients_that_never_read_responses_cost_little_and_cut_off_no_other() {
    let count = room_for_connections(400);
    let target = Target::start(&[]);
    let ask = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    let document = target.ask(ask).body;
    // More than all the buffers between here and there can hold.
    let mut deaf: Vec<_> = (0..count)
        .map(|_| {
            let mut wire = target.connect();
            wire.send(ask.repeat(150));
            wire
        })
        .collect();
    let mut client = target.server.client();
    for _ in 0..20 {
        target.post_on(&mut client, &Topic::CustomersDataRequest);
    }
    let (mut late, mut whole) = (target.connect(), 0);
    while whole < 20 {
        late.send(ask);
        let answer = late.answer();
        match answer.status {
            // Too much to do; but whatever is begun is ended.
            503 => late = target.connect(),
            _ => {
                assert!(answer.body == document, "{answer:?}");
                whole += 1;
            }
        }
    }
    target.assert_modest();
    deaf.clear();
    // In small sips, too.
    let mut slow = target.connect();
    slow.send(ask.replace("Host: x", "Host: x\r\nConnection: close"));
    let (mut text, mut sip) = (Vec::new(), [0; 1000]);
    loop {
        match slow.socket.read(&mut sip).expect("it goes on") {
            0 => break,
            some => text.extend_from_slice(&sip[..some]),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(text.ends_with(&document));
    target.assert_unharmed();
}

#[test]
fn connections_that_are_reset_in_the_middle_of_a_response_cost_no_upstream_connection() {
    let target = Target::start(&[]);
    let before = target.held_at_rest();
    for number in 0..1000 {
        let mut wire = target.connect();
        wire.send("GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3));
        if number % 2 == 0 {
            // Some of it has come.
            wire.socket.read_exact(&mut [0; 100]).expect("an answer begins");
        }
        set_socket_linger(&wire.socket, Some(Duration::ZERO)).expect("set");
    }
    target.wait_for_no_more_than(before);
    assert!(!target.server.log().contains("private connection"), "{}", target.server.log());
    target.assert_unharmed();
}
