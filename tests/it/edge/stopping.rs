//! Stopping: nothing that was answered is lost, nothing new is begun.

use super::harness::{Edge, Wire};
use crate::support::waiting::wait_until;
use quotegrid::http::Response;
use quotegrid::metrics::MetricsSnapshot;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn what_is_under_way_ends_and_what_is_idle_is_closed() {
    let edge = Edge::start();
    let address = edge.server.address();
    let mut idle = edge.connect();
    idle.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(idle.answer().status, 200);
    let mut busy = edge.connect();
    busy.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let (_, reply) = edge.next_held();
    let mut half = edge.connect();
    half.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\no");
    wait_until("all three are there", || edge.metrics.connections.get() == 3);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| edge.server.stop(Duration::from_secs(60)));
        idle.assert_ended();
        wait_until("nobody is let in", || TcpStream::connect(address).is_err());
        half.send("k");
        let answer = half.answer();
        assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
        half.assert_ended();
        assert!(!stopping.is_finished());
        reply.send(Response::new(200, "text/plain", "done"));
        assert_eq!(busy.answer().body, b"done");
        busy.assert_ended();
    });
}

#[test]
fn the_grace_ends() {
    let edge = Edge::start();
    let mut wire = edge.connect();
    wire.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let (_, reply) = edge.next_held();
    edge.server.stop(Duration::from_millis(50));
    wire.assert_ended();
    // Too late, and harmless.
    reply.send(Response::empty(200));
}

#[test]
fn a_stop_under_load_loses_no_answer_that_was_given() {
    let edge = Edge::start();
    let address = edge.server.address();
    let (asked, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut wire = Wire::to(address);
                loop {
                    wire.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok");
                    let Some(answer) = wire.try_answer() else { return };
                    assert_eq!(answer.status, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                    if answer.field("Connection") == Some("close") {
                        wire.assert_ended();
                        return;
                    }
                }
            });
        }
        wait_until("there is load", || answered.load(Ordering::Relaxed) > 500);
        asked.store(answered.load(Ordering::Relaxed), Ordering::Relaxed);
        edge.server.stop(Duration::from_secs(60));
    });
    let page = edge.metrics.render(MetricsSnapshot::default());
    let line =
        page.lines().find(|line| line.starts_with("quotegrid_http_requests_total{")).expect("requests are counted");
    let given: usize = line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a count");
    assert_eq!(given, answered.load(Ordering::Relaxed), "every answer that the service gave was received");
}

#[test]
fn an_address_in_use_is_reported_at_once() {
    let edge = Edge::start();
    let options = quotegrid::edge::ServerOptions::new(edge.server.address());
    let error = quotegrid::edge::Server::start(options, std::sync::Arc::new(super::harness::Playground::alone()))
        .expect_err("the address is taken");
    assert!(error.to_string().starts_with(&format!("cannot listen on {}", edge.server.address())), "{error}");
}
