//! kill -9 at each step of a hand-over, on the real binary: after the restart the order is at Shopify, once.

use super::PRODUCT;
use super::fake::{CLIENT_ID, CLIENT_SECRET, Fake, Fault, Manner};
use crate::process::harness::{Machine, Process, Starting};
use crate::support::dice::Dice;
use crate::support::waiting::wait_until;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Long enough that a look comes before it ends, short enough to wait for.
const SETTLE_MS: &str = "2000";

pub(super) fn serve(machine: &Machine, fake: &Fake, more: &[&str]) -> Starting {
    // A lease of an hour: only the end of the process can be what frees its jobs.
    let mut args = vec!["--dev", "--workers", "1", "--lease-ms", "3600000"];
    args.extend(more);
    machine
        .serve(&args)
        .env("QUOTEGRID_SHOPIFY_CLIENT_ID", CLIENT_ID)
        .env("QUOTEGRID_SHOPIFY_CLIENT_SECRET", CLIENT_SECRET)
        .env("QUOTEGRID_SHOPIFY_ADMIN_URL", &fake.url())
        .env("QUOTEGRID_SHOPIFY_SETTLE_MS", SETTLE_MS)
}

/// Posts an order; an error means that nobody knows whether it was taken.
pub(super) fn post_order(address: SocketAddr, key: &str, idempotency_key: &str) -> io::Result<(u16, Value)> {
    let body = json!({ "productId": PRODUCT, "width": 600, "height": 250 }).to_string();
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(120)))?;
    write!(
        socket,
        "POST /api/v1/draft-orders HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\nIdempotency-Key: {idempotency_key}\r\n\
         Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}

pub(super) fn key(process: &Process) -> String {
    process.ready["apiKey"].as_str().expect("the demo store has a key").to_owned()
}

fn is_over(machine: &Machine) -> bool {
    let open = "SELECT count(*) FROM job_queue WHERE status IN ('pending', 'processing')";
    machine.query::<i64>(open) == 0
}

/// An order is placed at a server that is killed at `point`, and which meets `faults`; then another server goes on. Returns whether
/// it was killed.
fn killed_at(point: &str, times: u32, faults: &[Fault]) -> bool {
    let (machine, fake) = (Machine::new(), Fake::start());
    fake.fail(faults);
    let kill_at = format!("{point}={times}");
    let mut first = serve(&machine, &fake, &[]).env("QUOTEGRID_KILL_AT", &kill_at).spawn();
    let mut killed = !first.wait_ready();
    if !killed {
        // It may be killed before it answers: the order is there, or it is not and nobody was told that it is.
        let placed = post_order(first.address(), &key(&first), "one");
        if let Ok((status, answer)) = &placed {
            assert_eq!(*status, 201, "{answer}");
        }
        wait_until("it is killed, or all is done", || {
            killed = first.has_ended();
            killed || is_over(&machine)
        });
        killed = first.has_ended();
    }
    if killed {
        first.wait_killed();
    }
    drop(first);
    let second = serve(&machine, &fake, &[]).ready();
    if machine.query::<i64>("SELECT count(*) FROM job_queue WHERE type = 'draft_order_handover'") == 0 {
        let placed = post_order(second.address(), &key(&second), "one").expect("an answer");
        assert_eq!(placed.0, 201, "{point}: {placed:?}");
    }
    wait_until("the order is over", || is_over(&machine));
    let sent = "SELECT count(*) FROM draft_order_records WHERE status = 'sent'";
    assert_eq!(machine.query::<i64>(sent), 1, "{point}: {}", second.log());
    assert_eq!(fake.state().drafts.len(), 1, "{point}: {}", second.log());
    assert_eq!(machine.query::<i64>("SELECT count(*) FROM job_queue WHERE status <> 'completed'"), 0, "{point}");
    killed
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_at_any_step_of_a_handover_the_order_is_at_shopify_once() {
    for (point, times) in [
        ("queue::claimed", 1),
        ("queue::run", 1),
        ("handover::noted", 1),
        ("handover::answered", 1),
        ("queue::ran", 1),
        ("queue::completing", 1),
        ("queue::effects", 1),
    ] {
        assert!(killed_at(point, times, &[]), "{point} was never come to");
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_while_an_unclear_call_is_settled_the_order_is_at_shopify_once() {
    for works in [true, false] {
        let fault = Fault { works, manner: Manner::Close };
        for (point, times) in [("handover::answered", 1), ("handover::looked", 1), ("queue::ran", 2)] {
            assert!(killed_at(point, times, &[fault]), "{point} was never come to");
        }
    }
    // The note is taken back, and the process dies before the job's end is recorded.
    let throttled = Fault::before(Manner::RetryAfter(429, 1));
    assert!(killed_at("handover::cleared", 1, &[throttled]), "the throttle was never come to");
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_at_any_commit_the_order_is_at_shopify_once() {
    let mut killed = 0;
    for point in ["db::before_commit", "db::after_commit"] {
        // The first commits make the demo store; then come the order, the claim, the note, the end.
        for times in 2..=8 {
            let was_killed = killed_at(point, times, &[]);
            println!("{point} {times}: killed {was_killed}");
            killed += usize::from(was_killed);
        }
    }
    assert!(killed >= 8, "{killed} of 14 were killed");
}

/// Killed at a random step of one of a few orders that meet random faults, over and over, each is at Shopify once.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_over_and_over_among_faults_each_order_is_at_shopify_once() {
    const POINTS: [&str; 9] = [
        "queue::claimed",
        "queue::run",
        "handover::noted",
        "handover::answered",
        "handover::looked",
        "handover::cleared",
        "queue::ran",
        "queue::effects",
        "db::after_commit",
    ];
    const FAULTS: [Manner; 8] = [
        Manner::Answer,
        Manner::Close,
        Manner::HalfAnswer,
        Manner::Status(502),
        Manner::CodeWithin("ACCESS_DENIED"),
        Manner::RetryAfter(429, 1),
        Manner::Busy,
        Manner::Status(401),
    ];
    let (machine, fake, mut dice) = (Machine::new(), Fake::start(), Dice(0x0bad_cafe));
    // The list of the newest is what finds a draft in time here.
    fake.state().index_lag = 3;
    let (mut killed, mut placed) = (0, 0);
    for round in 0..12 {
        for _ in 0..dice.below(3) {
            let manner = FAULTS[usize::try_from(dice.below(FAULTS.len() as u64)).expect("small")];
            let is_clear = matches!(manner, Manner::RetryAfter(..) | Manner::Busy | Manner::Status(401));
            let works = manner == Manner::Answer || (!is_clear && dice.below(2) == 0);
            fake.fail(&[Fault { works, manner }]);
        }
        let point = POINTS[usize::try_from(dice.below(POINTS.len() as u64)).expect("small")];
        let kill_at = format!("{point}={}", 1 + dice.below(3));
        let mut server = serve(&machine, &fake, &[]).env("QUOTEGRID_KILL_AT", &kill_at).spawn();
        if server.wait_ready() {
            // Nobody need be answered: whoever is not asks again with the same key, below.
            let _nobody_knows = post_order(server.address(), &key(&server), &format!("order-{round}"));
        }
        wait_until("it is killed, or all is done", || server.has_ended() || is_over(&machine));
        killed += usize::from(server.has_ended());
        drop(server);
        let second = serve(&machine, &fake, &[]).ready();
        let answer = post_order(second.address(), &key(&second), &format!("order-{round}")).expect("an answer");
        assert_eq!(answer.0, 201, "{kill_at}: {answer:?}");
        placed += 1;
        wait_until("all orders are over", || is_over(&machine));
        assert_eq!(second.stop(), Some(0));
        let sent = "SELECT count(*) FROM draft_order_records WHERE status = 'sent'";
        assert_eq!(machine.query::<i64>(sent), placed, "round {round}, {kill_at}");
        assert_eq!(fake.doubles(), Vec::<String>::new(), "round {round}, {kill_at}");
        assert_eq!(fake.state().drafts.len(), usize::try_from(placed).expect("few"), "round {round}, {kill_at}");
    }
    println!("{killed} of 12 were killed");
    assert!(killed >= 4, "{killed} of 12 were killed");
}
