//! What hostile clients cannot do to `quotegrid serve`: each row of the table in `design.md` section 9, and then some. Signed webhooks
//! go on being taken permanently meanwhile, and memory, threads and descriptors stay what they are.

use super::harness::{Wire, pattern};
use super::target::{Target, room_for_connections};
use crate::process::harness::Hook;
use crate::support::waiting::{PATIENCE, SetAtEnd, wait_until};
use quotegrid::shopify::Topic;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn connections_that_come_at_once_are_all_answered() {
    let target = Target::start(&[]);
    for (count, rounds) in [(8, 3), (32, 3), (200, 1)] {
        let mut wires: Vec<_> = (0..count).map(|_| target.connect()).collect();
        for _ in 0..rounds {
            let hooks: Vec<_> = wires.iter().map(|_| Hook::new(Topic::AppUninstalled, "edge.myshopify.com")).collect();
            for (wire, hook) in wires.iter_mut().zip(&hooks) {
                wire.send(hook.bytes());
            }
            for (wire, hook) in wires.iter_mut().zip(&hooks) {
                let answer = wire.answer();
                assert_eq!(answer.status, 200, "of {count}: {answer:?}");
                target.ledger.note_as(hook, answer.status, None);
            }
        }
    }
    target.assert_unharmed();
}

#[test]
fn a_content_length_beyond_all_limits_harms_no_other_client() {
    let target = Target::start(&[]);
    for length in ["4611686018427387904", "18446744073709551615", "1048577"] {
        for expect in ["", "Expect: 100-continue\r\n"] {
            let head = format!("POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{expect}\r\n");
            assert_eq!(target.ask(head).status, 413);
        }
    }
    // And one that is allowed but never sent.
    let promised: Vec<_> = (0..500)
        .map(|_| {
            let mut wire = target.connect();
            wire.send("POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
            wire
        })
        .collect();
    target.post();
    drop(promised);
    target.assert_unharmed();
}

/// Ways to have two readers see two different requests; the second one is in what one of them takes for a body.
const AMBIGUOUS: [(&str, u16); 16] = [
    ("Content-Length: 0\r\nContent-Length: LENGTH\r\n", 400),
    ("Content-Length: LENGTH\r\nContent-Length: 0\r\n", 400),
    ("Content-Length: 0, LENGTH\r\n", 400),
    ("Content-Length: 0\r\ncontent-length: 0\r\n", 400),
    ("Content-Length: +0\r\n", 400),
    ("Content-Length: 0x0\r\n", 400),
    ("Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n", 400),
    ("Transfer-Encoding: chunked\r\nContent-Length: LENGTH\r\n", 400),
    ("Content-Length: LENGTH\r\nTransfer-Encoding: xchunked\r\n", 400),
    ("Content-Length: LENGTH\r\nTransfer-Encoding : chunked\r\n", 400),
    ("Content-Length: LENGTH\r\nTransfer-Encoding\r\n : chunked\r\n", 400),
    ("Content-Length: LENGTH\r\nX: y\nTransfer-Encoding: chunked\r\n", 400),
    ("Content-Length: LENGTH\r\nTransfer-Encoding:\x0bchunked\r\n", 400),
    ("Transfer-Encoding: chunked, identity\r\n", 501),
    ("Transfer-Encoding: , chunked\r\n", 501),
    ("Transfer-Encoding: \"chunked\"\r\n", 501),
];

#[test]
fn a_webhook_that_is_hidden_in_another_request_is_never_seen() {
    let target = Target::start(&[]);
    for (fields, status) in AMBIGUOUS {
        // It is signed and all: whatever reaches the server of it would be taken.
        let hidden = Hook::new(Topic::CustomersDataRequest, "hidden.myshopify.com").bytes();
        let body = [b"0\r\n\r\n".as_slice(), &hidden].concat();
        let fields = fields.replace("LENGTH", &body.len().to_string());
        let mut wire = target.connect();
        wire.send([format!("POST /webhooks HTTP/1.1\r\nHost: x\r\n{fields}\r\n").as_bytes(), &body].concat());
        let answer = wire.answer();
        assert_eq!((answer.status, answer.field("Connection")), (status, Some("close")), "{fields}: {answer:?}");
        wire.assert_ended();
    }
    // In the chunks themselves, too: what is refused there ends the connection with all that follows.
    for chunks in [
        "0\r\n\n",
        "0\n\r\n",
        "0 \r\n\r\n",
        "0\r\nX: y\n\r\n",
        "-0\r\n\r\n",
        "0x0\r\n\r\n",
        "0;a\nb\r\n\r\n",
        ";\r\n\r\n",
    ] {
        let hidden = Hook::new(Topic::CustomersDataRequest, "hidden.myshopify.com").bytes();
        let head = format!("POST /webhooks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let mut wire = target.connect();
        wire.send([head.as_bytes(), &hidden].concat());
        assert_eq!(wire.answer().status, 400, "{chunks:?}");
        wire.assert_ended();
    }
    target.post();
    let seen = "SELECT count(*) FROM webhook_deliveries WHERE shop = 'hidden.myshopify.com'";
    assert_eq!(target.machine.query::<i64>(seen), 0);
    assert_eq!(target.machine.query::<i64>("SELECT count(*) FROM webhook_deliveries"), 1);
    target.assert_unharmed();
}

#[test]
fn a_line_without_end_costs_its_limit_and_no_more() {
    let target = Target::start(&[]);
    std::thread::scope(|scope| {
        for start in [
            "GET /",
            "GET / HTTP/1.1\r\nA: ",
            "\r\n\r\n\r\n",
            "POST /webhooks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
            "POST /webhooks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ",
        ] {
            let mut wire = target.connect();
            scope.spawn(move || {
                wire.send(start);
                let piece = if start.starts_with('\r') { b"\r\n".repeat(50_000) } else { vec![b'a'; 100_000] };
                // Until the server has hung up, or has been sent 100 MB in vain.
                for _ in 0..1000 {
                    if wire.socket.write_all(&piece).is_err() {
                        break;
                    }
                }
            });
        }
    });
    target.assert_unharmed();
}

#[test]
fn slow_heads_and_bodies_hold_up_no_webhook() {
    let each = room_for_connections(1000) / 2;
    let target = Target::start(&[]);
    let mut slow: Vec<_> = (0..2 * each)
        .map(|number| {
            let mut wire = target.connect();
            wire.send(if number % 2 == 0 {
                "GET / HTTP/1.1\r\nA: "
            } else {
                "POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
            });
            wire
        })
        .collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for wire in &mut slow {
                    wire.send("a");
                }
            }
        });
        let mut client = target.server.client();
        for turn in 0..100 {
            target.post_on(&mut client, &Topic::CustomersDataRequest);
            if turn % 10 == 0 {
                target.post();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    target.assert_unharmed();
}

#[test]
fn large_bodies_from_everywhere_stay_within_the_memory() {
    let count = room_for_connections(900);
    let target = Target::start(&[]);
    let body = pattern(1024 * 1024 - 1);
    let mut wires: Vec<_> = (0..count).map(|_| target.connect()).collect();
    std::thread::scope(|scope| {
        for some in wires.chunks_mut(count.div_ceil(8)) {
            let body = &body;
            scope.spawn(move || {
                for wire in some {
                    wire.send("POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
                    wire.socket.set_write_timeout(Some(PATIENCE)).expect("a time-out is set");
                    wire.send(body);
                }
            });
        }
        for _ in 0..20 {
            target.post();
        }
    });
    target.assert_unharmed();
}

#[test]
fn thousands_of_silent_connections_cost_no_threads_and_little_memory() {
    let count = room_for_connections(4000);
    let target = Target::start(&["--max-connections", "5000"]);
    let before = target.held_at_rest();
    let silent: Vec<_> = (0..count).map(|_| target.connect()).collect();
    target.post();
    assert!(target.figure("Threads") <= before.threads + 4, "{before:?}, then {:?}", target.held());
    drop(silent);
    target.wait_for_no_more_than(before);
    target.assert_unharmed();
}

/// Far more than there are places for, and they come again as soon as they are thrown out.
#[test]
fn a_server_full_of_silent_and_slow_clients_has_room_for_webhooks() {
    let count = room_for_connections(1200);
    // A place for fewer than there are, and no deadline that would come to help.
    let most = (count / 2).to_string();
    let target =
        Target::start(&["--max-connections", &most, "--head-timeout-ms", "600000", "--body-timeout-ms", "600000"]);
    for start in [
        "",
        "GET / HTTP/1.1\r\nA: ",
        "POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let connect = || {
            let mut wire = target.connect();
            wire.send(start);
            wire
        };
        let mut crowd: Vec<_> = (0..count).map(|_| connect()).collect();
        let mut taken = 0;
        wait_until("webhooks are taken again and again", || {
            crowd.splice(..20, (0..20).map(|_| connect()));
            let hook = Hook::new(Topic::CustomersDataRequest, "edge.myshopify.com");
            // Before the slow ones have had their time it may well be told to come again.
            if let Ok(answer) = target.server.client().try_post(&hook) {
                target.ledger.note(&hook, &answer);
                taken += usize::from(answer.status == 200);
            }
            taken > 20
        });
    }
    target.assert_unharmed();
}

#[test]
fn ten_thousand_connections_that_come_and_go_leave_nothing_behind() {
    let target = Target::start(&[]);
    let before = target.held_at_rest();
    std::thread::scope(|scope| {
        for way in 0..4 {
            let target = &target;
            scope.spawn(move || {
                let hook = Hook::new(Topic::CustomersDataRequest, "gone.myshopify.com").bytes();
                for _ in 0..2500 {
                    let mut wire = target.connect();
                    match way {
                        0 => {}
                        1 => wire.send("GET / HT"),
                        2 => wire.send(&hook),
                        _ => wire.send("POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\nabc"),
                    }
                }
            });
        }
    });
    target.wait_for_no_more_than(before);
    target.assert_unharmed();
}

/// tiny_http's accept loop ends when a time-out is set on its listening socket and nobody connects; here each time-out that there is
/// goes by with nobody there, and connections that were accepted before and after have none of them.
#[test]
fn timeouts_that_pass_without_clients_end_nothing() {
    let short = ["--head-timeout-ms", "100", "--body-timeout-ms", "100", "--write-timeout-ms", "100"];
    let target = Target::start(&[&short[..], &["--idle-timeout-ms", "3600000"]].concat());
    let mut early = target.server.client();
    target.post_on(&mut early, &Topic::CustomersDataRequest);
    // Longer than those, and longer than the two seconds that a private connection is given to prove itself.
    std::thread::sleep(Duration::from_millis(2_500));
    target.post_on(&mut early, &Topic::CustomersDataRequest);
    let mut late: Vec<_> = (0..100).map(|_| target.server.client()).collect();
    for client in &mut late {
        client.send(&Hook::new(Topic::AppUninstalled, "edge.myshopify.com")).expect("it is open");
    }
    for client in &mut late {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
    target.assert_unharmed();
}

#[test]
fn constant_other_requests_keep_no_webhook_waiting() {
    for paths in [["/healthz", "/readyz"], ["/openapi.json", "/privacy"]] {
        let target = Target::start(&[]);
        let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let _stops = SetAtEnd(&done);
            for path in [paths, paths].concat() {
                let (target, done, answered) = (&target, &done, &answered);
                scope.spawn(move || {
                    // More at once than there are upstream connections, and each of them has its next request sent already.
                    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
                    let mut wires: Vec<_> = (0..60).map(|_| target.connect()).collect();
                    for wire in &mut wires {
                        wire.send(request.repeat(4));
                    }
                    while !done.load(Ordering::Relaxed) {
                        for wire in &mut wires {
                            let Some(_answer) = wire.try_answer() else { continue };
                            answered.fetch_add(1, Ordering::Relaxed);
                            wire.send(&request);
                        }
                    }
                });
            }
            wait_until("the flood is there", || answered.load(Ordering::Relaxed) > 1000);
            let mut client = target.server.client();
            // Each is answered 200 or it fails: one that waits for the flood to end is told 503.
            for _ in 0..50 {
                target.post_on(&mut client, &Topic::CustomersDataRequest);
            }
        });
        target.assert_unharmed();
    }
}

#[test]
fn without_descriptors_it_waits_quietly_and_serves_again_when_they_return() {
    for limit in [100, 130, 300] {
        let target = Target::start_with_descriptors(limit);
        let mut kept = target.server.client();
        target.post_on(&mut kept, &Topic::CustomersDataRequest);
        target.machine.settle();
        // Serving again within two seconds is what it must be able to do; a busy machine may keep it from that now and then.
        let mut fastest = Duration::MAX;
        for round in 0.. {
            let (soft, _) = target.descriptor_limits();
            let taken = target.descriptors();
            let free = (0..).find(|number| !taken.contains(number)).expect("there are more numbers");
            target.limit_descriptors(free);
            let told = || target.server.log().matches("no connection can be accepted").count();
            let mut waiting: Vec<_> = (0..10).map(|_| target.connect()).collect();
            for wire in &mut waiting {
                wire.send(Hook::new(Topic::CustomersDataRequest, "waits.myshopify.com").bytes());
            }
            wait_until("accepting has failed", || told() > 0);
            // Who is connected is served on.
            for _ in 0..20 {
                target.post_on(&mut kept, &Topic::CustomersDataRequest);
            }
            let (ticks, since) = (processor_time(&target), Instant::now());
            std::thread::sleep(Duration::from_millis(500));
            let (used, took) = (processor_time(&target) - ticks, since.elapsed());
            assert!(used < took / 2, "it used the processor for {used:?} of {took:?}, with nothing to do");
            target.limit_descriptors(soft);
            let since = Instant::now();
            for wire in &mut waiting {
                assert_eq!(wire.answer().status, 200);
            }
            target.post();
            fastest = fastest.min(since.elapsed());
            if fastest < Duration::from_secs(2) {
                break;
            }
            assert!(round < 5, "at its fastest it served again after {fastest:?}");
        }
        target.assert_unharmed();
    }
}

/// Time that the server has had the processor.
fn processor_time(target: &Target) -> Duration {
    Duration::from_millis(10 * crate::process::harness::ticks(target.server.id()))
}

#[test]
fn more_connections_than_descriptors_are_no_trouble() {
    for limit in [90, 256] {
        let target = Target::start_with_descriptors(limit);
        let mut many: Vec<_> = (0..400).map(|_| target.connect()).collect();
        for wire in &mut many {
            wire.send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        }
        // Some are told that it is full; none is left without an end, and it goes on.
        for wire in &mut many {
            let _told = wire.rest();
        }
        target.assert_unharmed();
    }
}

/// Minutes of everything at once: `QUOTEGRID_TEST_SOAK_SECONDS=600 cargo test --test it edge::hostile::soak -- --ignored`.
#[test]
#[ignore = "takes a minute or more"]
fn soak() {
    let seconds = std::env::var("QUOTEGRID_TEST_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let target = Target::start(&[]);
    let taken = AtomicUsize::new(0);
    let round = |time: Duration| {
        let until = Instant::now() + time;
        std::thread::scope(|scope| {
            for client in 0..8 {
                let (target, taken) = (&target, &taken);
                scope.spawn(move || soak_as(client, target, taken, until));
            }
        });
        // What was left in the middle is forgotten after its time.
        target.machine.settle();
    };
    let calm = || {
        let mut held = target.held();
        wait_until("all clients are forgotten", || {
            held = target.held();
            held.descriptors < 400 && held.threads < 200
        });
        // Longer than any thread that has nothing to do is kept.
        std::thread::sleep(Duration::from_secs(6));
        target.held()
    };
    round(Duration::from_secs(seconds / 6));
    let (memory, held) = (target.figure("VmRSS"), calm());
    println!("after {} s: {memory} KiB, {held:?}, {} webhooks", seconds / 6, taken.load(Ordering::Relaxed));
    round(Duration::from_secs(seconds - seconds / 6));
    target.wait_for_no_more_than(held);
    let now = target.figure("VmRSS");
    let (peak, taken) = (target.figure("VmHWM"), taken.load(Ordering::Relaxed));
    println!("after {seconds} s: {now} KiB (peak {peak} KiB), {:?}, {taken} webhooks", target.held());
    assert!(now < memory + memory / 4 + 4096, "{memory} KiB have become {now} KiB");
    target.assert_unharmed();
}

/// One of the clients of the soak.
fn soak_as(client: usize, target: &Target, taken: &AtomicUsize, until: Instant) {
    let mut shopify = target.server.client();
    let mut wire = target.connect();
    let mut number = 0;
    while Instant::now() < until {
        number += 1;
        match client {
            // Honest ones. Few of theirs are privacy requests, so that the work is done as fast as it comes in.
            0..4 => {
                let topic = if number % 50 == 0 { Topic::CustomersDataRequest } else { Topic::AppUninstalled };
                target.post_on(&mut shopify, &topic);
                taken.fetch_add(1, Ordering::Relaxed);
            }
            4 => {
                let length = number * 7919 % 1_000_000;
                wire.send(format!("POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"));
                wire.send(pattern(length));
                assert_eq!(wire.answer().status, 401);
            }
            5 => {
                wire.send("GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n");
                match wire.answer().status {
                    200 => {}
                    // It waits among what the next one leaves behind, and on a slow machine that may be too long.
                    503 => wire = target.connect(),
                    other => panic!("{other}"),
                }
            }
            // Those that leave in the middle, and those that are refused.
            6 => {
                let mut wire = target.connect();
                wire.send("GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\nPOST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\nabc");
            }
            _ => {
                let mut wire = Wire::to(target.server.address());
                wire.send("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n");
                assert_eq!(wire.answer().status, 400);
            }
        }
    }
}
