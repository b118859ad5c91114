//! Every refusal: its status, its problem JSON, and the end of the connection.

use super::harness::Edge;
use crate::support::waiting::wait_until;
use quotegrid::metrics::MetricsSnapshot;
use std::io::Write;
use std::time::Duration;

fn head(line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: x\r\n{fields}\r\n")
}

#[test]
fn what_is_malformed_or_too_large_is_refused_and_the_connection_ends() {
    let edge = Edge::start();
    let post = "POST /echo HTTP/1.1";
    let cases: Vec<(&str, String, u16)> = vec![
        ("two lengths", head(post, "Content-Length: 2\r\nContent-Length: 2\r\n") + "ok", 400),
        ("two different lengths", head(post, "Content-Length: 2\r\nContent-Length: 3\r\n") + "ok", 400),
        ("a list of lengths", head(post, "Content-Length: 2, 2\r\n") + "ok", 400),
        ("a signed length", head(post, "Content-Length: +2\r\n") + "ok", 400),
        ("a negative length", head(post, "Content-Length: -2\r\n") + "ok", 400),
        ("length and coding", head(post, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400),
        ("coding and length", head(post, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + "0\r\n\r\n", 400),
        ("a coding in 1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        ("chunked twice", head(post, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400),
        ("an unknown coding", head(post, "Transfer-Encoding: gzip\r\n"), 501),
        ("a disguised coding", head(post, "Transfer-Encoding: chunked;q=1\r\n"), 501),
        ("a folded line", head("GET / HTTP/1.1", "A: b\r\n c\r\n"), 400),
        ("a field name with a blank", head("GET / HTTP/1.1", "A : b\r\n"), 400),
        ("an empty field name", head("GET / HTTP/1.1", ": b\r\n"), 400),
        ("a field without a colon", head("GET / HTTP/1.1", "nonsense\r\n"), 400),
        ("a NUL in a value", head("GET / HTTP/1.1", "A: \0\r\n"), 400),
        ("a key beyond ASCII", head("GET / HTTP/1.1", "Idempotency-Key: m\u{f6}bel\r\n"), 400),
        ("a token beyond ASCII", head("GET / HTTP/1.1", "Authorization: Bearer a\r\nAuthorization: \u{e4}\r\n"), 400),
        ("a NUL in a target", head("GET /\0 HTTP/1.1", ""), 400),
        ("a bare LF after the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n".to_owned(), 400),
        ("bare LFs only", "GET / HTTP/1.1\nHost: x\n\n".to_owned(), 400),
        ("a bare LF at the end", "GET / HTTP/1.1\r\nHost: x\r\n\n".to_owned(), 400),
        ("a bare CR in a value", head("GET / HTTP/1.1", "A: b\rc\r\n"), 400),
        ("no Host", "GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("two Hosts", head("GET / HTTP/1.1", "Host: y\r\n"), 400),
        ("no path", head("GET example.com HTTP/1.1", ""), 400),
        ("a tunnel", head("CONNECT example.com:443 HTTP/1.1", ""), 400),
        ("a path that is not ASCII", head("GET /\u{fc} HTTP/1.1", ""), 400),
        ("HTTP/0.9", "GET /\r\n\r\n".to_owned(), 400),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505),
        ("HTTP/1.9", head("GET / HTTP/1.9", ""), 505),
        ("a TLS hello", "\x16\x03\x01\x02\0\x01\0\x01".to_owned(), 400),
        ("an expectation", head(post, "Content-Length: 2\r\nExpect: 200-maybe\r\n"), 417),
        ("a body over the limit", head(post, "Content-Length: 1048577\r\n"), 413),
        ("a body far over the limit", head(post, "Content-Length: 4611686018427387904\r\n"), 413),
        ("a body beyond numbers", head(post, "Content-Length: 99999999999999999999999999\r\n"), 413),
        ("a body over the limit, asked", head(post, "Content-Length: 1048577\r\nExpect: 100-continue\r\n"), 413),
        ("a chunk over the limit", head(post, "Transfer-Encoding: chunked\r\n") + "100001\r\n", 413),
        ("a chunk beyond numbers", head(post, "Transfer-Encoding: chunked\r\n") + "fffffffffffffffff\r\n", 413),
        ("a chunk without a size", head(post, "Transfer-Encoding: chunked\r\n") + "\r\n", 400),
        ("a chunk with a sign", head(post, "Transfer-Encoding: chunked\r\n") + "+1\r\nx\r\n0\r\n\r\n", 400),
        ("a chunk that is too long", head(post, "Transfer-Encoding: chunked\r\n") + "1\r\nxx\r\n0\r\n\r\n", 400),
        ("a chunk line with a bare LF", head(post, "Transfer-Encoding: chunked\r\n") + "1\nx\r\n0\r\n\r\n", 400),
        ("a target over its limit", head(&format!("GET /{} HTTP/1.1", "a".repeat(9000)), ""), 414),
        ("a target without end", format!("GET /{}", "a".repeat(20_000)), 414),
        ("a field over the limit", head("GET / HTTP/1.1", &format!("A: {}\r\n", "a".repeat(17_000))), 431),
        ("a field without end", format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(40_000)), 431),
        ("a hundred fields too many", head("GET / HTTP/1.1", &"A: b\r\n".repeat(200)), 431),
    ];
    let mut refused = 0;
    for (name, bytes, status) in cases {
        let mut wire = edge.connect();
        wire.send(bytes);
        let answer = wire.answer();
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert_eq!(answer.field("Content-Type"), Some("application/problem+json"), "{name}");
        assert_eq!(answer.field("Connection"), Some("close"), "{name}");
        assert!(answer.field("X-Request-Id").is_some() && answer.field("Date").is_some(), "{name}: {answer:?}");
        assert_eq!(answer.json()["status"], status, "{name}");
        wire.assert_ended();
        refused += 1;
    }
    let page = edge.metrics.render(MetricsSnapshot::default());
    let counted: u64 = page
        .lines()
        .filter(|line| line.starts_with("quotegrid_http_rejected_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(counted, refused, "{page}");
    assert!(!page.contains("quotegrid_http_requests_total{"), "nothing of this reached the server: {page}");
    edge.assert_serves();
}

#[test]
fn a_drip_defeats_no_deadline() {
    let edge = Edge::with(|limits| {
        limits.head_time = Duration::from_millis(300);
        limits.body_time = Duration::from_millis(300);
    });
    std::thread::scope(|scope| {
        for start in [
            "GET / HTTP/1.1\r\nA: ",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            let edge = &edge;
            scope.spawn(move || {
                let answer = loop {
                    let mut wire = edge.connect();
                    wire.send(start);
                    let mut dripping = wire.socket.try_clone().expect("a clone");
                    let drip: &[u8] = if start.contains("chunked") { b"1\r\na\r\n" } else { b"a" };
                    scope.spawn(move || {
                        // Until the server has had enough.
                        while dripping.write_all(drip).is_ok() {
                            std::thread::sleep(Duration::from_millis(20));
                        }
                    });
                    // Held up before its first byte, it is closed as one that says nothing, and begins again.
                    if let Some(answer) = wire.try_answer() {
                        break answer;
                    }
                };
                assert_eq!(answer.status, 408, "{start}");
            });
        }
    });
    edge.assert_serves();
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let edge = Edge::with(|limits| limits.head_time = Duration::from_millis(100));
    edge.connect().assert_ended();
    // Another, for on a slow machine a request could come too late for that limit.
    let edge = Edge::with(|limits| limits.idle_time = Duration::from_millis(100));
    let mut idle = edge.connect();
    idle.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(idle.answer().status, 200);
    idle.assert_ended();
}

#[test]
fn one_address_gets_its_share_and_no_more() {
    let edge = Edge::with(|limits| {
        limits.connections_per_address = 3;
        limits.loopback_is_exempt = false;
    });
    let mut held: Vec<_> = (0..3).map(|_| edge.connect()).collect();
    for wire in &mut held {
        wire.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(wire.answer().status, 200);
    }
    let mut fourth = edge.connect();
    let answer = fourth.answer();
    assert_eq!((answer.status, answer.field("Retry-After")), (503, Some("2")));
    fourth.assert_ended();
    assert_eq!(edge.metrics.rejections("address_full"), 1);
    held.pop();
    wait_until("the place is free again", || {
        let mut wire = edge.connect();
        wire.send("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        wire.try_answer().is_some_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_full_server_closes_idle_connections_first_and_refuses_when_there_are_none() {
    let edge = Edge::with(|limits| limits.connections = 4);
    let mut idle: Vec<_> = (0..4).map(|_| edge.connect()).collect();
    for wire in &mut idle {
        wire.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(wire.answer().status, 200);
    }
    let mut busy: Vec<_> = (0..4)
        .map(|_| {
            let mut wire = edge.connect();
            wire.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
            wire
        })
        .collect();
    let replies: Vec<_> = (0..4).map(|_| edge.next_held().1).collect();
    for wire in &mut idle {
        wire.assert_ended();
    }
    let mut fifth = edge.connect();
    assert_eq!(fifth.answer().status, 503);
    assert_eq!(edge.metrics.rejections("connections_full"), 1);
    for reply in replies {
        reply.send(quotegrid::http::Response::empty(200));
    }
    for wire in &mut busy {
        assert_eq!(wire.answer().status, 200);
    }
    edge.assert_serves();
}

#[test]
fn half_closed_connections_make_room_before_idle_ones() {
    let edge = Edge::with(|limits| limits.connections = 4);
    let mut idle = edge.connect();
    idle.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(idle.answer().status, 200);
    // They have most likely gone, and what they have asked for keeps their places for as long as it takes.
    let mut gone: Vec<_> = (0..3)
        .map(|_| {
            let mut wire = edge.connect();
            wire.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
            wire.end();
            wire
        })
        .collect();
    let replies: Vec<_> = (0..3).map(|_| edge.next_held().1).collect();
    let mut late: Vec<_> = (0..3).map(|_| edge.connect()).collect();
    for wire in &mut late {
        wire.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(wire.answer().status, 200);
    }
    idle.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(idle.answer().status, 200);
    assert_eq!(edge.metrics.rejections("evicted"), 3);
    for reply in replies {
        reply.send(quotegrid::http::Response::empty(200));
    }
    for wire in &mut gone {
        wire.assert_ended();
    }
    edge.assert_serves();
}

#[test]
fn each_limit_lets_in_what_just_fits_and_nothing_more() {
    let edge = Edge::start();
    let line = "GET /echo HTTP/1.1\r\nHost: x\r\n";
    let head_of = |bytes: usize| format!("{line}A: {}\r\n\r\n", "a".repeat(bytes - line.len() - 7));
    let fields_of = |count: usize| format!("{line}{}\r\n", "A: b\r\n".repeat(count - 1));
    let target_of = |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(bytes - 1));
    let blank_lines = |count: usize| format!("{}{line}\r\n", "\r\n".repeat(count));
    let body_of = |bytes: usize| {
        format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {bytes}\r\n\r\n{}", "a".repeat(bytes))
    };
    let chunked =
        |chunks: String| format!("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    let chunks_of = |bytes: usize| {
        let (half, rest) = (bytes / 2, bytes - bytes / 2);
        chunked(format!("{half:x}\r\n{}\r\n{rest:x}\r\n{}\r\n0\r\n\r\n", "a".repeat(half), "a".repeat(rest)))
    };
    let size_line_of = |bytes: usize| chunked(format!("1;{}\r\na\r\n0\r\n\r\n", "a".repeat(bytes - 2)));
    let zeros_of = |digits: usize| chunked(format!("{:0digits$x}\r\na\r\n0\r\n\r\n", 1));
    let trailers_of = |bytes: usize| chunked(format!("0\r\nA: {}\r\n\r\n", "a".repeat(bytes - 3)));
    let large = 1024 * 1024;
    for (what, fits, too_much, status) in [
        ("head", head_of(16 * 1024), head_of(16 * 1024 + 1), 431),
        ("fields", fields_of(100), fields_of(101), 431),
        ("target", target_of(8 * 1024), target_of(8 * 1024 + 1), 414),
        ("blank lines", blank_lines(4), blank_lines(5), 400),
        ("body", body_of(large), body_of(large + 1), 413),
        ("chunks", chunks_of(large), chunks_of(large + 1), 413),
        ("size line", size_line_of(128), size_line_of(129), 400),
        ("digits", zeros_of(128), zeros_of(129), 400),
        ("trailers", trailers_of(4096), trailers_of(4097), 400),
    ] {
        assert_eq!(edge.ask(fits).status, 200, "{what}");
        let mut wire = edge.connect();
        wire.send(too_much);
        assert_eq!(wire.answer().status, status, "{what}");
    }
}

#[test]
fn a_head_is_refused_with_a_head() {
    let edge = Edge::with(|limits| {
        limits.upstreams = 2;
        limits.critical_upstreams = 0;
        limits.queue_time = Duration::from_millis(200);
        limits.response_time = Duration::from_millis(600);
        limits.body_time = Duration::from_millis(100);
        limits.head_time = Duration::from_millis(100);
    });
    let mut held: Vec<_> = (0..2)
        .map(|_| {
            let mut wire = edge.connect();
            wire.send("HEAD /hold HTTP/1.1\r\nHost: x\r\n\r\n");
            wire
        })
        .collect();
    let replies: Vec<_> = (0..2).map(|_| edge.next_held().1).collect();
    let refused = |status: u16, wire: &mut super::harness::Wire| {
        let head = wire.head().expect("an answer");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && head.contains("Connection: close\r\n"), "{head}");
        wire.assert_ended();
    };
    for (status, text) in [
        (503, "HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, "HEAD /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        (431, &format!("HEAD /echo HTTP/1.1\r\nA: {}", "a".repeat(20_000))),
        (408, "HEAD /echo HTTP/1.1\r\n"),
        (408, "HEAD /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na"),
        (400, "HEAD /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
    ] {
        let mut wire = edge.connect();
        wire.send(text);
        refused(status, &mut wire);
    }
    for wire in &mut held {
        refused(504, wire);
    }
    drop(replies);
}

#[test]
fn large_bodies_share_a_memory_budget_and_small_ones_need_none() {
    let edge = Edge::with(|limits| limits.large_bodies_bytes = 1_500_000);
    let large = "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
    let mut first = edge.connect();
    first.send(large);
    first.send(vec![b'a'; 999_999]);
    wait_until("the first body is held", || edge.metrics.body_bytes.get() >= 999_999);
    let mut second = edge.connect();
    second.send(large);
    second.send(vec![b'a'; 999_999]);
    let answer = second.answer();
    assert_eq!((answer.status, answer.field("Retry-After")), (503, Some("2")));
    edge.assert_serves();
    first.send("a");
    let (request, reply) = edge.next_held();
    assert_eq!(request.body.len(), 1_000_000);
    reply.send(quotegrid::http::Response::empty(200));
    assert_eq!(first.answer().status, 200);
    wait_until("the memory budget is full again", || edge.metrics.body_bytes.get() == 0);
}

#[test]
fn what_browsers_send_by_themselves_may_be_beyond_ascii() {
    let edge = Edge::start();
    let fields =
        "Cookie: stadt=K\u{f6}ln\r\nUser-Agent: \u{4e2d}\r\nReferer: https://x/\u{fc}\r\nCF-IPCity: S\u{e3}o Paulo\r\n";
    let answer = edge.ask(head("GET /echo HTTP/1.1", fields));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["headers"], serde_json::json!([["host", "x"]]));
}
