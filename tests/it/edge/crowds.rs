//! Crowds: more connections than places, heads that are kept back, bodies that hold memory. Whoever has something to ask is heard.

use super::harness::{Edge, Wire, pattern};
use crate::support::waiting::wait_until;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Far from any deadline: what ends here is ended by the crowd.
const NO_DEADLINE: Duration = Duration::from_secs(600);

#[test]
fn of_a_burst_over_the_limit_everybody_gets_an_answer() {
    let edge = Edge::with(|limits| limits.connections = 32);
    for fields in ["Connection: close\r\n", ""] {
        let mut wires: Vec<_> = (0..150).map(|_| edge.connect()).collect();
        for wire in &mut wires {
            wire.send(format!("GET /echo HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
        }
        let statuses: Vec<_> = wires.iter_mut().map(|wire| wire.try_answer().map(|answer| answer.status)).collect();
        let count = |status| statuses.iter().filter(|found| **found == status).count();
        assert_eq!(count(None), 0, "closed without a word: {statuses:?}");
        assert_eq!(count(Some(200)) + count(Some(503)), 150, "{statuses:?}");
        assert!(count(Some(200)) > 32, "{statuses:?}");
    }
    edge.assert_serves();
}

#[test]
fn a_request_that_finds_no_place_for_long_gets_503_with_retry_after() {
    let edge = Edge::with(|limits| limits.connections = 8);
    let mut busy: Vec<_> = (0..8).map(|_| edge.connect()).collect();
    for wire in &mut busy {
        wire.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    let replies: Vec<_> = (0..8).map(|_| edge.next_held().1).collect();
    let mut late: Vec<_> = (0..30).map(|_| edge.connect()).collect();
    for wire in &mut late {
        wire.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for wire in &mut late {
        let answer = wire.answer();
        assert_eq!((answer.status, answer.field("Retry-After")), (503, Some("2")));
    }
    for reply in replies {
        reply.send(quotegrid::http::Response::empty(200));
    }
    for wire in &mut busy {
        assert_eq!(wire.answer().status, 200);
    }
}

/// Sends the crowd home, also when the test fails.
struct EndOfCrowd<'a>(&'a AtomicBool);

impl Drop for EndOfCrowd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn connections_with_half_sent_heads_make_room_for_a_whole_request() {
    for start in ["GET / HTTP/1.1\r\nA: ", ""] {
        let edge = Edge::with(|limits| {
            limits.connections = 64;
            limits.head_time = NO_DEADLINE;
        });
        let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let end_of_crowd = EndOfCrowd(&done);
            let crowd = || {
                let mut held: Vec<Wire> = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    let mut wire = edge.connect();
                    wire.send(start);
                    held.push(wire);
                    // They come again as soon as they are thrown out: always more than there are places.
                    if held.len() > 100 {
                        held.remove(0);
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
            };
            scope.spawn(crowd);
            wait_until("all places are taken", || edge.metrics.connections.get() >= 64);
            wait_until("honest requests are answered again and again", || {
                let mut wire = edge.connect();
                wire.send("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                let answer = wire.answer();
                assert!(matches!(answer.status, 200 | 503), "{answer:?}");
                served.fetch_add(usize::from(answer.status == 200), Ordering::Relaxed) > 30
            });
            drop(end_of_crowd);
        });
    }
}

/// Sends the head of a large upload and most of its body.
fn stalled(edge: &Edge, path: &str, fields: &str, bytes: usize) -> Wire {
    let mut wire = edge.connect();
    wire.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: 1000000\r\n\r\n"));
    wire.send(pattern(bytes));
    wire
}

fn upload(edge: &Edge, path: &str, fields: &str) -> u16 {
    let mut wire = edge.connect();
    wire.send(format!("POST {path} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: 1000000\r\n\r\n"));
    wire.send(pattern(1_000_000));
    wire.answer().status
}

#[test]
fn uploads_that_stall_hold_no_memory_that_others_need() {
    let edge = Edge::with(|limits| {
        limits.large_bodies_bytes = 8_000_000;
        limits.body_time = NO_DEADLINE;
        limits.pace_window = NO_DEADLINE;
    });
    let mut slow: Vec<_> = (0..6).map(|_| stalled(&edge, "/nowhere", "", 999_000)).collect();
    wait_until("they hold all that is not kept for webhooks", || edge.metrics.body_bytes.get() >= 6_000_000);
    // At once, because a part is kept for them.
    assert_eq!(upload(&edge, "/webhooks/echo", ""), 200);
    // As soon as those that stall are slow enough.
    wait_until("an upload is taken", || upload(&edge, "/echo", "") == 200);
    assert!(edge.metrics.rejections("bodies_full") > 0);
    let told = slow.iter_mut().any(|wire| {
        wire.socket.set_nonblocking(true).expect("it is a socket");
        let ended = wire.socket.peek(&mut [0]).is_ok();
        wire.socket.set_nonblocking(false).expect("it is a socket");
        ended && wire.answer().status == 503
    });
    assert!(told, "one of the slow has had to go, and was told");
}

#[test]
fn slow_webhooks_make_room_for_quick_ones() {
    let edge = Edge::with(|limits| {
        limits.large_bodies_bytes = 4_000_000;
        limits.body_time = NO_DEADLINE;
        limits.pace_window = NO_DEADLINE;
    });
    let _slow: Vec<_> = (0..4).map(|_| stalled(&edge, "/webhooks/nowhere", "", 999_000)).collect();
    wait_until("they hold all", || edge.metrics.body_bytes.get() >= 4_000_000);
    wait_until("a webhook is taken", || upload(&edge, "/webhooks/echo", "") == 200);
}

#[test]
fn one_client_behind_a_proxy_holds_its_share_and_no_more() {
    let edge = Edge::with(|limits| {
        limits.large_bodies_bytes = 16_000_000;
        limits.body_time = NO_DEADLINE;
        limits.pace_window = NO_DEADLINE;
        limits.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a range")];
    });
    // One site of IPv6 is one client, however many networks it has.
    let networks = (0..4).map(|number| format!("X-Forwarded-For: 2001:db8:1:{number}::1\r\n"));
    let _held: Vec<_> = networks.map(|client| stalled(&edge, "/nowhere", &client, 999_000)).collect();
    wait_until("its share is held", || edge.metrics.body_bytes.get() >= 4_000_000);
    assert_eq!(upload(&edge, "/echo", "X-Forwarded-For: 2001:db8:1:99::1\r\n"), 503);
    assert_eq!(upload(&edge, "/echo", "X-Forwarded-For: 2001:db8:2::1\r\n"), 200);
    assert_eq!(upload(&edge, "/webhooks/echo", "X-Forwarded-For: 203.0.113.9\r\n"), 200);
}

#[test]
fn a_large_body_that_stops_is_ended_long_before_its_time() {
    let edge = Edge::with(|limits| {
        limits.body_time = NO_DEADLINE;
        limits.pace_window = Duration::from_millis(300);
    });
    assert_eq!(stalled(&edge, "/nowhere", "", 100_000).answer().status, 408);
    // A small one costs nothing, and has its time.
    let mut small = edge.connect();
    small.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n");
    small.send(pattern(19_999));
    std::thread::sleep(Duration::from_millis(700));
    small.send("a");
    assert_eq!(small.answer().status, 200);
}
