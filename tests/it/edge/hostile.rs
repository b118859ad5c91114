//! What hostile clients cannot do: each row of the table in `design.md` section 9, and then some. The server is a process of its own
//! here, so that its memory, threads and descriptors can be counted and limited.

use super::harness::{Edge, PATIENCE, Wire, pattern, wait_until};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the server may take in memory, whatever is done to it.
const MEMORY_MAX_KIB: u64 = 150 * 1024;

/// The variable that makes [`child`] a server.
const CHILD: &str = "QUOTEGRID_TEST_EDGE_CONNECTIONS";

/// Not a test: the server that the tests here start as a process of its own.
#[test]
#[ignore = "run by the other tests here"]
fn child() {
    let Ok(connections) = std::env::var(CHILD) else { return };
    let edge = Edge::with(|limits| limits.connections = connections.parse().expect("a number"));
    println!("\nlistening {}", edge.server.address());
    let mut hogged = Vec::new();
    for line in std::io::stdin().lines() {
        match line.expect("a line").as_str() {
            "hog" => {
                while let Ok(file) = std::fs::File::open("/dev/null") {
                    hogged.push(file);
                }
                println!("hogged {}", hogged.len());
            }
            "release" => {
                hogged.clear();
                println!("released");
            }
            _ => println!("failures {}", edge.metrics.accept_failures.get()),
        }
    }
}

struct Child {
    process: std::process::Child,
    orders: Option<ChildStdin>,
    words: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Child {
    fn start(connections: usize, descriptors: Option<usize>) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let limit = descriptors.map_or(String::new(), |count| format!("ulimit -n {count};"));
        let mut process = Command::new("sh")
            .args(["-c", &format!(r#"{limit} exec "$0" "$@""#)])
            .arg(program)
            .args(["--exact", "edge::hostile::child", "--ignored", "--nocapture"])
            .env(CHILD, connections.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child starts");
        let orders = process.stdin.take();
        let words = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut child = Self { process, orders, words, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        child.address = child.word("listening").parse().expect("an address");
        child
    }

    /// The rest of the next line that starts with `name`.
    fn word(&mut self, name: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.words.read_line(&mut line).expect("the child lives"), 0, "the child has ended");
            if let Some(rest) = line.trim().strip_prefix(name) {
                return rest.trim().to_owned();
            }
        }
    }

    fn order(&mut self, order: &str, answer: &str) -> String {
        writeln!(self.orders.as_mut().expect("it is piped"), "{order}").expect("the child listens");
        self.word(answer)
    }

    fn connect(&self) -> Wire {
        Wire::to(self.address)
    }

    fn assert_serves(&self) {
        let mut wire = self.connect();
        wire.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(wire.answer().json()["body"], "ok");
    }

    /// A figure of /proc/…/status.
    fn figure(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("the child lives");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the figure is there");
        line.trim_start_matches(':').split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
    }

    fn assert_modest(&self) {
        let peak = self.figure("VmHWM");
        assert!(peak < MEMORY_MAX_KIB, "{peak} KiB at the peak");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// Lets this process have as many descriptors as it may, and returns how many connections it can open at once.
fn room_for_connections(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _as_it_is = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let allowed =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    // Other tests run beside this one.
    wanted.min(allowed.saturating_sub(1000) / 2)
}

#[test]
fn connections_that_come_at_once_are_all_answered() {
    let edge = Edge::start();
    let mut wires: Vec<_> = (0..200).map(|_| edge.connect()).collect();
    for _ in 0..3 {
        for wire in &mut wires {
            wire.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        for wire in &mut wires {
            assert_eq!(wire.answer().status, 200);
        }
    }
}

#[test]
fn thousands_of_silent_connections_cost_no_threads_and_little_memory() {
    let count = room_for_connections(4000);
    let child = Child::start(count + 100, None);
    child.assert_serves();
    let threads = child.figure("Threads");
    let silent: Vec<_> = (0..count).map(|_| child.connect()).collect();
    child.assert_serves();
    assert_eq!(child.figure("Threads"), threads);
    child.assert_modest();
    drop(silent);
}

#[test]
fn a_length_that_nobody_could_send_harms_nobody() {
    let child = Child::start(1024, None);
    for length in ["4611686018427387904", "18446744073709551615", "1048577"] {
        for expect in ["", "Expect: 100-continue\r\n"] {
            let mut wire = child.connect();
            wire.send(format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{expect}\r\n"));
            assert_eq!(wire.answer().status, 413);
        }
    }
    // And one that is allowed but never sent.
    let promised: Vec<_> = (0..500)
        .map(|_| {
            let mut wire = child.connect();
            wire.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
            wire
        })
        .collect();
    child.assert_serves();
    child.assert_modest();
    drop(promised);
}

#[test]
fn a_line_without_end_costs_its_limit_and_no_more() {
    let child = Child::start(1024, None);
    std::thread::scope(|scope| {
        for start in [
            "GET /",
            "GET / HTTP/1.1\r\nA: ",
            "\r\n\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        ] {
            let mut wire = child.connect();
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
    child.assert_serves();
    child.assert_modest();
}

#[test]
fn slow_heads_and_bodies_hold_up_no_webhook() {
    let each = room_for_connections(1000) / 2;
    let child = Child::start(2 * each + 100, None);
    let mut slow: Vec<_> = (0..2 * each)
        .map(|number| {
            let mut wire = child.connect();
            wire.send(if number % 2 == 0 {
                "GET / HTTP/1.1\r\nA: "
            } else {
                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
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
        let mut wire = child.connect();
        for _ in 0..300 {
            wire.send("POST /webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok");
            assert_eq!(wire.answer().status, 200);
        }
        done.store(true, Ordering::Relaxed);
    });
    child.assert_modest();
}

#[test]
fn large_bodies_from_everywhere_stay_within_the_memory() {
    let count = room_for_connections(900);
    let child = Child::start(1024, None);
    let body = pattern(1024 * 1024 - 1);
    let mut wires: Vec<_> = (0..count).map(|_| child.connect()).collect();
    std::thread::scope(|scope| {
        for some in wires.chunks_mut(count.div_ceil(8)) {
            let body = &body;
            scope.spawn(move || {
                for wire in some {
                    wire.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
                    wire.socket.set_write_timeout(Some(PATIENCE)).expect("a time-out is set");
                    wire.send(body);
                }
            });
        }
        for _ in 0..20 {
            child.assert_serves();
        }
    });
    child.assert_modest();
}

#[test]
fn ten_thousand_connections_that_come_and_go_leave_nothing_behind() {
    let child = Child::start(1024, None);
    child.assert_serves();
    let descriptors =
        || std::fs::read_dir(format!("/proc/{}/fd", child.process.id())).expect("the child lives").count();
    wait_until("the first one has gone", || descriptors() < 400);
    let (before, threads) = (descriptors(), child.figure("Threads"));
    std::thread::scope(|scope| {
        for way in 0..4 {
            let child = &child;
            scope.spawn(move || {
                for _ in 0..2500 {
                    let mut wire = child.connect();
                    match way {
                        0 => {}
                        1 => wire.send("GET / HT"),
                        2 => wire.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"),
                        _ => wire.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\nabc"),
                    }
                }
            });
        }
    });
    // Until the server has seen them go, the house may be full.
    wait_until("all have gone", || descriptors() <= before);
    child.assert_serves();
    assert_eq!(child.figure("Threads"), threads);
    child.assert_modest();
}

#[test]
fn without_descriptors_it_waits_quietly_and_serves_again_when_they_return() {
    for limit in [100, 130, 300] {
        let mut child = Child::start(1024, Some(limit));
        let mut kept = child.connect();
        kept.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(kept.answer().status, 200);
        child.order("hog", "hogged");
        let mut waiting: Vec<_> = (0..10).map(|_| child.connect()).collect();
        for wire in &mut waiting {
            wire.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        let failures = |child: &mut Child| child.order("failures", "failures").parse::<u64>().expect("a number");
        wait_until("accepting has failed", || failures(&mut child) > 0);
        let (before, since) = (failures(&mut child), Instant::now());
        // Who is connected is served on.
        for _ in 0..20 {
            kept.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(kept.answer().status, 200);
        }
        let tries = failures(&mut child) - before;
        assert!(u128::from(tries) <= since.elapsed().as_millis() / 100 + 2, "{tries} tries in {:?}", since.elapsed());
        child.order("release", "released");
        for wire in &mut waiting {
            assert_eq!(wire.answer().status, 200);
        }
        child.assert_serves();
    }
}

#[test]
fn more_connections_than_descriptors_are_no_trouble() {
    for limit in [90, 256] {
        let child = Child::start(1024, Some(limit));
        let mut many: Vec<_> = (0..400).map(|_| child.connect()).collect();
        for wire in &mut many {
            wire.send("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        }
        // Some are told that it is full; none is left without a word, and it goes on.
        for wire in &mut many {
            let _told = wire.rest();
        }
        child.assert_serves();
    }
}

/// Minutes of everything at once: `QUOTEGRID_TEST_SOAK_SECONDS=600 cargo test --test it edge::hostile::soak -- --ignored`.
#[test]
#[ignore = "takes a minute or more"]
fn soak() {
    let seconds = std::env::var("QUOTEGRID_TEST_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let child = Child::start(1024, None);
    let descriptors =
        || std::fs::read_dir(format!("/proc/{}/fd", child.process.id())).expect("the child lives").count();
    let idle = || child.figure("Threads") as usize + descriptors();
    let round = |time: Duration| {
        let until = Instant::now() + time;
        std::thread::scope(|scope| {
            for client in 0..8 {
                let (child, until) = (&child, until);
                scope.spawn(move || {
                    let mut number = 0;
                    let mut wire = child.connect();
                    while Instant::now() < until {
                        number += 1;
                        match client {
                            // Honest ones.
                            0..4 => {
                                wire.send("POST /webhooks/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok");
                                assert_eq!(wire.answer().status, 200);
                            }
                            4 => {
                                let length = number * 7919 % 1_000_000;
                                wire.send(format!(
                                    "POST /big?{length} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
                                ));
                                wire.send(pattern(length));
                                assert_eq!(wire.answer().body.len(), length);
                            }
                            // Those that leave in the middle, that are refused, and whose handler panics.
                            5 => child
                                .connect()
                                .send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\nabc"),
                            6 => {
                                let mut wire = child.connect();
                                wire.send("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n");
                                assert_eq!(wire.answer().status, 400);
                            }
                            _ => {
                                wire.send("GET /panic HTTP/1.1\r\nHost: x\r\n\r\n");
                                assert_eq!(wire.answer().status, 500);
                            }
                        }
                    }
                });
            }
        });
    };
    let rest = || wait_until("all clients are forgotten", || idle() < 400);
    round(Duration::from_secs(seconds / 6));
    rest();
    let (memory, things) = (child.figure("VmRSS"), idle());
    round(Duration::from_secs(seconds - seconds / 6));
    wait_until("no thread or descriptor is left over", || idle() <= things);
    let now = child.figure("VmRSS");
    println!("memory {memory} KiB, then {now} KiB; threads and descriptors {things}, then {}", idle());
    assert!(now < memory + memory / 4 + 4096, "{memory} KiB have become {now} KiB");
    child.assert_modest();
}
