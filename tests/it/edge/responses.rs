//! What comes back: framing, large answers, panics, and answers that come late or never.

use super::harness::{Edge, pattern};
use crate::support::waiting::wait_until;
use quotegrid::http::Response;
use quotegrid::metrics::MetricsSnapshot;
use std::time::Duration;

#[test]
fn head_and_bodiless_answers_have_no_body() {
    let edge = Edge::start();
    let mut wire = edge.connect();
    wire.send("HEAD /big?5000 HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = wire.head().expect("an answer");
    assert!(head.contains("Content-Length: 5000\r\n"), "{head}");
    for status in [204, 304] {
        wire.send(format!("GET /status?{status} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let head = wire.head().expect("an answer");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(!head.contains("Content-Length"), "{head}");
    }
    // A body where none belongs would be read as this one's head.
    wire.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.answer().status, 200);
    wire.send("GET /status?200 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.answer().body, b"body");
    wire.send("GET /status?101 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.answer().status, 500);
}

#[test]
fn fields_go_out_as_they_are_but_for_what_belongs_to_the_connection() {
    let edge = Edge::start();
    let mut wire = edge.connect();
    wire.send("GET /fields HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = wire.answer();
    assert_eq!(answer.field("A"), Some("b"));
    assert!(answer.head.contains("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"), "{}", answer.head);
    assert_eq!(answer.field("Content-Length"), Some("0"));
    for absent in ["Injected", "Evil", "Server", "Connection", "Transfer-Encoding"] {
        assert_eq!(answer.field(absent), None, "{}", answer.head);
    }
}

#[test]
fn large_answers_arrive_whole_in_both_versions() {
    let edge = Edge::start();
    let mut wire = edge.connect();
    for length in [0, 900, 1024, 8192, 32_768, 65_000, 70_000, 1_000_000, 10_000_000] {
        wire.send(format!("GET /big?{length} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = wire.answer();
        assert_eq!(answer.field("Transfer-Encoding"), None);
        assert!(answer.body == pattern(length), "{length}");
    }
    let all = edge.ask_all("GET /big?300000 HTTP/1.0\r\n\r\n");
    assert!(all.ends_with(&String::from_utf8(pattern(300_000)).expect("text")));
}

#[test]
fn clients_that_do_not_read_their_responses_delay_no_other() {
    let edge = Edge::with(|limits| {
        limits.upstreams = 8;
        limits.responses_bytes = 1_000_000;
    });
    // Far more than all the buffers between here and there, for more clients than there are upstream connections.
    let lazy: Vec<_> = (0..12)
        .map(|_| {
            let mut wire = edge.connect();
            wire.send("GET /big?20000000 HTTP/1.1\r\nHost: x\r\n\r\n");
            wire
        })
        .collect();
    wait_until("the upstream connections are needed for others", || edge.metrics.rejections("response_not_taken") >= 1);
    for _ in 0..20 {
        edge.assert_serves();
    }
    // Those that are left get all of theirs once they take it.
    let whole =
        lazy.into_iter().filter_map(|mut wire| wire.try_answer()).filter(|answer| answer.body.len() == 20_000_000);
    assert!(whole.count() >= 4);
}

#[test]
fn a_client_that_takes_its_answer_in_drips_is_cut_off() {
    let edge = Edge::with(|limits| {
        limits.write_time = Duration::from_millis(300);
        limits.write_bytes_per_second = usize::MAX;
    });
    let mut wire = edge.connect();
    wire.send("GET /big?20000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut drips = wire.socket.try_clone().expect("a clone");
    let mut taken = 0;
    wait_until("it is cut off", || {
        use std::io::Read;
        taken += drips.read(&mut [0; 10]).unwrap_or_default();
        edge.metrics.connections.get() == 0
    });
    assert!(taken < 10_000_000);
    edge.assert_serves();
}

#[test]
fn a_panic_or_a_lost_reply_is_a_500_for_that_request_alone() {
    let edge = Edge::start();
    for path in ["/panic", "/drop"] {
        for _ in 0..10 {
            let answer = edge.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert_eq!(answer.status, 500);
            assert_eq!(answer.field("Content-Type"), Some("application/problem+json"));
            assert!(answer.field("X-Request-Id").is_some());
        }
    }
    // The reply is dropped, and so answered, before the panic has come to its end.
    wait_until("all panics are counted", || edge.metrics.panics.get() == 10);
    edge.assert_serves();
    assert!(
        edge.metrics
            .render(MetricsSnapshot::default())
            .contains(r#"quotegrid_http_requests_total{route="playground",status="500"} 20"#)
    );
}

#[test]
fn an_answer_that_does_not_come_is_a_504_and_its_lane_lives_on() {
    let edge = Edge::with(|limits| {
        limits.upstreams = 2;
        limits.critical_upstreams = 0;
        limits.response_time = Duration::from_millis(200);
    });
    let mut wire = edge.connect();
    wire.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let (_, reply) = edge.next_held();
    assert_eq!(wire.answer().status, 504);
    wire.assert_ended();
    reply.send(Response::new(200, "text/plain", "too late"));
    // Both upstream connections are good: none gives one client the answer of another. On a slow machine some of these may take
    // too long too.
    let mut served = 0;
    wait_until("both serve on", || {
        let answer = edge.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok");
        if answer.status != 504 {
            assert_eq!((answer.status, answer.json()["body"].as_str()), (200, Some("ok")), "{answer:?}");
            served += 1;
        }
        served == 20
    });
}

#[test]
fn a_client_that_goes_away_costs_no_upstream_connection() {
    let edge = Edge::with(|limits| {
        limits.upstreams = 2;
        limits.critical_upstreams = 0;
    });
    for round in 0..10 {
        let mut wire = edge.connect();
        wire.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
        let (_, reply) = edge.next_held();
        drop(wire);
        reply.send(Response::new(200, "text/plain", pattern(round * 50_000)));
        edge.assert_serves();
    }
    assert_eq!(edge.metrics.upstreams_reopened.get(), 0);
}

#[test]
fn pages_may_load_nothing_from_elsewhere_and_the_api_is_left_as_it_is() {
    let edge = Edge::start();
    let page = edge.ask("GET /page HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(page.field("Content-Security-Policy").is_some_and(|policy| policy.contains("default-src 'self'")));
    assert!(page.field("Referrer-Policy").is_some());
    let api = edge.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(api.field("Content-Security-Policy"), None);
    for answer in [page, api] {
        assert_eq!(answer.field("X-Content-Type-Options"), Some("nosniff"));
    }
}
