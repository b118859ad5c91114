//! What honest clients may send, and what of it reaches the service.

use super::harness::{Edge, pattern};
use crate::support::waiting::wait_until;
use quotegrid::http::Response;
use std::io::Write;

#[test]
fn a_request_arrives_as_it_was_sent() {
    let edge = Edge::start();
    let answer = edge.ask(
        "PATCH /echo/%C3%BC?a=1&b=%20 HTTP/1.1\r\nHost: x:8080\r\nX-Thing: A  b\r\nX-Thing: second\r\n\
         Content-Length: 5\r\n\r\nhello",
    );
    let seen = answer.json();
    assert_eq!(seen["method"], "PATCH");
    assert_eq!((&seen["path"], &seen["query"]), (&"/echo/%C3%BC".into(), &"a=1&b=%20".into()));
    assert_eq!((&seen["body"], &seen["client"]), (&"hello".into(), &"127.0.0.1".into()));
    assert_eq!(seen["headers"], serde_json::json!([["host", "x:8080"], ["x-thing", "A  b"], ["x-thing", "second"]]));
    assert_eq!(answer.field("X-Request-Id"), seen["id"].as_str());
    assert_eq!(answer.field("Server"), None);
    assert!(answer.field("Date").is_some_and(|date| date.ends_with(" GMT")), "{answer:?}");
}

#[test]
fn bodies_of_every_size_arrive_whole() {
    let edge = Edge::start();
    let mut wire = edge.connect();
    for length in [0, 1, 1023, 1024, 1025, 8191, 8192, 8193, 32 * 1024, 40_000, 300_000, 1024 * 1024] {
        wire.send(format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"));
        wire.send(pattern(length));
        let seen = wire.answer().json();
        assert_eq!((seen["length"].as_u64(), seen["matches"].as_bool()), (Some(length as u64), Some(true)), "{length}");
        wire.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in pattern(length).chunks(70_000) {
            wire.send(format!("{:x};note=\"x\"\r\n", chunk.len()));
            wire.send(chunk);
            wire.send("\r\n");
        }
        wire.send("0\r\nTrailer: forgotten\r\n\r\n");
        let seen = wire.answer().json();
        assert_eq!((seen["length"].as_u64(), seen["matches"].as_bool()), (Some(length as u64), Some(true)), "{length}");
    }
}

#[test]
fn requests_in_one_piece_are_answered_in_order() {
    let edge = Edge::start();
    let mut wire = edge.connect();
    let mut bytes = Vec::new();
    for number in 0..200 {
        write!(bytes, "POST /echo?{number} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{number:03}")
            .expect("a Vec");
    }
    let mut sending = wire.socket.try_clone().expect("a clone");
    let sender = std::thread::spawn(move || sending.write_all(&bytes));
    for number in 0..200 {
        let seen = wire.answer().json();
        assert_eq!(seen["query"], number.to_string());
        assert_eq!(seen["body"], format!("{number:03}"));
    }
    sender.join().expect("no panic").expect("all is taken");
}

#[test]
fn requests_byte_by_byte_are_answered_too() {
    let edge = Edge::start();
    let mut wire = edge.connect();
    for byte in b"\r\n\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\
                  GET /echo?second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    {
        wire.send([*byte]);
    }
    assert_eq!(wire.answer().json()["body"], "ok");
    assert_eq!(wire.answer().json()["query"], "second");
    wire.assert_ended();
}

#[test]
fn connections_are_kept_as_each_version_says() {
    let edge = Edge::start();
    let mut wire = edge.connect();
    wire.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(wire.answer().field("Connection"), None);
    wire.send("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(wire.answer().field("Connection"), Some("close"));
    wire.assert_ended();

    let mut wire = edge.connect();
    wire.send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(wire.answer().field("Connection"), Some("keep-alive"));
    wire.send("GET /echo HTTP/1.0\r\n\r\n");
    assert_eq!(wire.answer().field("Connection"), Some("close"));
    wire.assert_ended();
}

#[test]
fn whichever_way_a_connection_field_is_written_close_is_the_last_word() {
    let edge = Edge::start();
    for fields in [
        "Connection: close, keep-alive\r\n",
        "Connection: keep-alive,CLOSE\r\n",
        "Connection: keep-alive\r\nConnection: x , close\r\n",
        "Connection:close\r\nConnection: keep-alive\r\n",
    ] {
        let mut wire = edge.connect();
        // What follows is not asked any more.
        let request = format!("GET /echo HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        wire.send(format!("{request}GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(wire.answer().field("Connection"), Some("close"), "{fields}");
        wire.assert_ended();
    }
    assert!(edge.held.lock().expect("no panic").try_recv().is_err(), "it was asked nevertheless");
    // Names like it are others.
    let mut wire = edge.connect();
    wire.send("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: closed, not-close\r\n\r\n".repeat(2));
    assert_eq!((wire.answer().status, wire.answer().status), (200, 200));
}

#[test]
fn a_client_that_waits_for_a_sign_gets_one() {
    let edge = Edge::start();
    let mut wire = edge.connect();
    wire.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(wire.head().as_deref(), Some("HTTP/1.1 100 Continue\r\n\r\n"));
    wire.send("ok");
    assert_eq!(wire.answer().json()["body"], "ok");
    // One that does not wait gets none.
    wire.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nok");
    assert_eq!(wire.answer().json()["body"], "ok");
    wire.send("GET /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(wire.answer().json()["body"], "ok");
}

#[test]
fn a_client_that_ends_its_half_is_still_answered() {
    let edge = Edge::start();
    let mut wire = edge.connect();
    wire.send("GET /echo?1 HTTP/1.1\r\nHost: x\r\n\r\nGET /echo?2 HTTP/1.1\r\nHost: x\r\n\r\n");
    wire.end();
    assert_eq!(wire.answer().json()["query"], "1");
    assert_eq!(wire.answer().json()["query"], "2");
    wire.assert_ended();
}

#[test]
fn only_a_trusted_proxy_may_say_who_the_client_is() {
    let forwarded = "GET /echo HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n\
                     X-Forwarded-Proto: https\r\nX-Request-Id: from-the-proxy_1.2\r\n\r\n";
    let edge = Edge::start();
    let answer = edge.ask(forwarded);
    assert_eq!(answer.json()["client"], "127.0.0.1");
    assert_ne!(answer.field("X-Request-Id"), Some("from-the-proxy_1.2"));
    assert!(!answer.json()["headers"].to_string().contains("x-forwarded"), "{answer:?}");

    let edge = Edge::with(|limits| limits.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a range")]);
    let answer = edge.ask(forwarded);
    assert_eq!(answer.json()["client"], "203.0.113.9");
    assert!(answer.json()["headers"].to_string().contains(r#"["x-forwarded-proto","https"]"#), "{answer:?}");
    // A client could have given it to the proxy: it never becomes our own.
    assert_ne!(answer.field("X-Request-Id"), Some("from-the-proxy_1.2"));
    assert_eq!(answer.field("X-Request-Id"), answer.json()["id"].as_str());
    assert!(answer.json()["headers"].to_string().contains(r#"["x-request-id","from-the-proxy_1.2"]"#), "{answer:?}");
}

#[test]
fn a_client_cannot_forge_the_front_ends_field() {
    let edge = Edge::start();
    let answer = edge.ask("GET /echo HTTP/1.1\r\nFront-End: x 6.6.6.6 forged\r\nHost: x\r\nFront-End: y\r\n\r\n");
    assert_eq!(answer.json()["client"], "127.0.0.1");
    assert_eq!(answer.json()["path"], "/echo");
}

#[test]
fn a_slow_answer_holds_up_nobody_else() {
    let edge = Edge::start();
    let mut slow: Vec<_> = (0..8)
        .map(|_| {
            let mut wire = edge.connect();
            wire.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
            wire
        })
        .collect();
    let replies: Vec<_> = (0..8).map(|_| edge.next_held().1).collect();
    for _ in 0..50 {
        edge.assert_serves();
    }
    for reply in replies {
        reply.send(Response::empty(200));
    }
    for wire in &mut slow {
        assert_eq!(wire.answer().status, 200);
    }
}

#[test]
fn health_is_answered_during_an_overload_and_the_rest_gets_503_with_retry_after() {
    let edge = Edge::with(|limits| {
        limits.upstreams = 4;
        limits.critical_upstreams = 1;
        limits.queue_time = std::time::Duration::from_millis(200);
    });
    let mut stuck: Vec<_> = (0..3)
        .map(|_| {
            let mut wire = edge.connect();
            wire.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
            wire
        })
        .collect();
    let replies: Vec<_> = (0..3).map(|_| edge.next_held().1).collect();
    let refused = edge.ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((refused.status, refused.field("Retry-After")), (503, Some("2")));
    assert_eq!(edge.ask("GET /healthz?full HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
    drop(replies);
    for wire in &mut stuck {
        assert_eq!(wire.answer().status, 500);
    }
    edge.assert_serves();
    wait_until("nothing waits", || edge.metrics.requests_waiting.get() == 0);
}

/// Sends a webhook to each path at once, so that they share upstream connections, and returns the connections.
fn send_as_bursts(edge: &Edge, paths: &[String]) -> Vec<super::harness::Wire> {
    let texts = paths.iter();
    let texts =
        texts.map(|path| format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{path}", path.len()));
    send_together(edge, texts.collect())
}

/// Sends each of these at once, and returns the connections.
fn send_together(edge: &Edge, texts: Vec<String>) -> Vec<super::harness::Wire> {
    let mut first = edge.connect();
    first.send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
    let (_, reply) = edge.next_held();
    let mut wires: Vec<_> = texts.iter().map(|_| edge.connect()).collect();
    for (number, (wire, text)) in (1..).zip(wires.iter_mut().zip(&texts)) {
        wire.send(text);
        // In this order.
        wait_until("it waits", || edge.metrics.requests_waiting.get() == number);
    }
    // The only upstream connection was taken; now they go together.
    reply.send(Response::empty(200));
    assert_eq!(first.answer().status, 200);
    wires
}

fn one_upstream() -> Edge {
    Edge::with(|limits| {
        limits.upstreams = 1;
        limits.critical_upstreams = 0;
        limits.queue_time = crate::support::waiting::PATIENCE;
    })
}

#[test]
fn webhooks_that_share_a_lane_each_get_their_own_answer() {
    let edge = one_upstream();
    let paths: Vec<String> = (0..100)
        .map(|number| match number % 5 {
            0 => "/webhooks/panic".to_owned(),
            1 => "/webhooks/drop".to_owned(),
            2 => "/webhooks/status?204".to_owned(),
            3 => format!("/webhooks/big?{}", number * 1000),
            _ => format!("/webhooks/echo?{number}"),
        })
        .collect();
    let mut wires = send_as_bursts(&edge, &paths);
    for (number, (wire, path)) in wires.iter_mut().zip(&paths).enumerate() {
        let answer = wire.answer();
        match number % 5 {
            0 | 1 => assert_eq!(answer.status, 500, "{path}"),
            2 => assert_eq!(answer.status, 204, "{path}"),
            3 => assert!(answer.body == pattern(number * 1000), "{path}"),
            _ => assert_eq!(answer.json()["body"].as_str(), Some(path.as_str())),
        }
        assert!(answer.field("X-Request-Id").is_some());
    }
    edge.assert_serves();
}

#[test]
fn only_webhooks_and_what_is_answered_from_memory_go_together() {
    let edge = Edge::with(|limits| {
        limits.upstreams = 1;
        limits.critical_upstreams = 0;
        limits.queue_time = crate::support::waiting::PATIENCE;
        limits.quick_paths = vec![("/", "/followed")];
        limits.batch = 3;
    });
    // A request of a batch but for its last is told that its thread has others to see to, and must not wait.
    let followed = |texts: Vec<String>| -> Vec<String> {
        send_together(&edge, texts)
            .iter_mut()
            .map(|wire| String::from_utf8(wire.answer().body).expect("text"))
            .collect()
    };
    let post = |path: &str, length: usize| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
    };
    let ask = || "GET /followed?x HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
    let webhook = |length| post("/webhooks/followed", length);
    assert_eq!(followed(vec![webhook(9), webhook(0), webhook(900)]), ["true", "true", "false"]);
    assert_eq!(followed(vec![ask(), ask(), ask(), ask()]), ["true", "true", "false", "false"]);
    assert_eq!(followed(vec![webhook(1), webhook(4097), webhook(1)]), ["false"; 3], "a larger body is alone");
    assert_eq!(followed(vec![ask(), post("/followed", 1), ask()]), ["false"; 3], "and so is what is no GET");
}

#[test]
fn a_client_that_leaves_a_burst_affects_no_other() {
    let edge = one_upstream();
    let paths: Vec<String> = (0..8)
        .map(|number| if number == 3 { "/webhooks/hold".into() } else { format!("/webhooks/echo?{number}") })
        .collect();
    let mut wires = send_as_bursts(&edge, &paths);
    let (_, reply) = edge.next_held();
    // One that waits for its answer, and the one that the others wait for.
    drop(wires.remove(3));
    drop(wires.remove(0));
    reply.send(Response::empty(200));
    for wire in &mut wires {
        assert_eq!(wire.answer().status, 200);
    }
    edge.assert_serves();
}
