//! kill -9 at each step of a hand-over, on the real binary: after the restart the order is at Shopify, once.

use super::PRODUCT;
use super::fake::{CLIENT_ID, CLIENT_SECRET, Fake, Fault, Manner, Variant};
use super::rounds;
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
    killed_at_with(point, times, faults, &[]).0
}

/// The same with a change of what the product sends, by a command; also what the order says afterwards.
fn killed_at_with(point: &str, times: u32, faults: &[Fault], product: &[&str]) -> (bool, Option<String>) {
    let (machine, fake) = (Machine::new(), Fake::start());
    fake.fail(faults);
    if !product.is_empty() {
        // The demo store is loaded by the first start.
        assert_eq!(serve(&machine, &fake, &[]).ready().stop(), Some(0));
        machine.json(&[&["products", "set", "1009"], product].concat());
    }
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
    (killed, machine.query("SELECT handover_warnings FROM draft_order_records WHERE status = 'sent'"))
}

/// An order that is at Shopify, or is just being asked for there, is called off at a server that is killed at `point`; then another
/// server goes on. Returns whether it was killed.
fn killed_while_called_off(point: &str, times: u32, deletions: &[Manner], is_paid: bool) -> bool {
    let (machine, fake) = (Machine::new(), Fake::start());
    fake.state().delete_faults.extend(deletions);
    let kill_at = format!("{point}={times}");
    let first = serve(&machine, &fake, &[]).ready();
    let placed = post_order(first.address(), &key(&first), "one").expect("an answer").1;
    let order = placed["draftOrderId"].as_str().expect("an id").to_owned();
    wait_until("it is sent", || is_over(&machine));
    assert_eq!((first.stop(), fake.drafts_of(&order)), (Some(0), 1));
    if is_paid {
        fake.complete_draft_of(&order, "#1042");
    }
    // By a command, while no server runs: the job waits for the one that is killed.
    machine.json(&["orders", "cancel", &order]);
    let mut second = serve(&machine, &fake, &[]).env("QUOTEGRID_KILL_AT", &kill_at).spawn();
    let is_ready = second.wait_ready();
    wait_until("it is killed, or all is done", || second.has_ended() || is_ready && is_over(&machine));
    let killed = second.has_ended();
    drop(second);
    let third = serve(&machine, &fake, &[]).ready();
    wait_until("the order is over", || is_over(&machine));
    let (status, due): (String, Option<i64>) = (
        machine.query(&format!("SELECT status FROM draft_order_records WHERE id = '{order}'")),
        machine.query(&format!("SELECT deletion_due_at FROM draft_order_records WHERE id = '{order}'")),
    );
    let expected = if is_paid { "ordered" } else { "cancelled" };
    assert_eq!((status.as_str(), due), (expected, None), "{point}: {}", third.log());
    assert_eq!(fake.drafts_of(&order), usize::from(is_paid), "{point}: {}", third.log());
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

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_between_the_two_calls_for_a_refused_variant_and_after_each_the_order_is_at_shopify_once() {
    // The fake has no variants.
    let variant = ["--variant", "77"];
    for (point, faults) in [
        ("handover::variant_refused", &[][..]),
        ("handover::answered", &[]),
        // The second call's answer is lost, and the process dies before it is known that it is: with a draft and without.
        ("handover::answered", &[Fault::after(Manner::Answer), Fault::after(Manner::Close)]),
        ("handover::answered", &[Fault::after(Manner::Answer), Fault::before(Manner::Close)]),
        ("queue::effects", &[]),
    ] {
        let (killed, warnings) = killed_at_with(point, 1, faults, &variant);
        assert!(killed, "{point} was never come to");
        assert!(warnings.is_some_and(|text| text.contains("in place of")), "{point}: the order says it");
    }
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_at_any_step_of_a_deletion_what_was_called_off_is_gone_and_what_was_paid_for_is_ordered() {
    for (point, times, deletions, is_paid) in [
        ("queue::claimed", 1, &[][..], false),
        ("queue::run", 1, &[], false),
        // Deleted, and nobody has written it down.
        ("handover::deleted", 1, &[], false),
        ("handover::deleted", 1, &[Manner::Close], false),
        ("handover::deleted", 1, &[Manner::Status(502)], false),
        ("handover::deleted", 2, &[Manner::HalfAnswer], false),
        ("queue::ran", 1, &[], false),
        ("queue::effects", 1, &[], false),
        ("handover::deleted", 1, &[], true),
        ("queue::effects", 1, &[], true),
    ] {
        assert!(killed_while_called_off(point, times, deletions, is_paid), "{point} {deletions:?} was never come to");
    }
}

/// The call for a draft is under way when its order is called off, and the process dies before the answer is written down.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_with_an_order_called_off_while_its_draft_is_asked_for_no_draft_is_left() {
    for works in [true, false] {
        let (machine, fake) = (Machine::new(), Fake::start());
        fake.fail(&[Fault { works, manner: Manner::Hang }]);
        let more = &["--checkout-wait-ms", "0"];
        let mut first = serve(&machine, &fake, more).env("QUOTEGRID_KILL_AT", "handover::answered=1").ready();
        let placed = post_order(first.address(), &key(&first), "one").expect("an answer").1;
        let order = placed["draftOrderId"].as_str().expect("an id").to_owned();
        fake.wait_until("it hangs", |state| state.hanging == 1);
        machine.json(&["orders", "cancel", &order]);
        fake.let_go();
        first.wait_killed();
        let second = serve(&machine, &fake, more).ready();
        wait_until("the order is over", || is_over(&machine));
        assert_eq!(fake.drafts_of(&order), 0, "{works}: {}", second.log());
        let due: Option<i64> = machine.query(&format!(
            "SELECT deletion_due_at FROM draft_order_records WHERE id = '{order}' AND status = 'cancelled'"
        ));
        assert_eq!(due, None);
    }
}

/// Killed at a random step of one of a few orders that meet random faults, over and over, each is at Shopify once, or gone where it was
/// called off.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn killed_over_and_over_among_faults_each_order_is_at_shopify_once() {
    const POINTS: [&str; 11] = [
        "queue::claimed",
        "queue::run",
        "handover::noted",
        "handover::answered",
        "handover::looked",
        "handover::cleared",
        "handover::variant_refused",
        "handover::deleted",
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
    assert_eq!(serve(&machine, &fake, &[]).ready().stop(), Some(0));
    machine.json(&["products", "set", "1009", "--variant", "77"]);
    // The list of the newest is what finds a draft in time here.
    fake.state().index_lag = 3;
    let (rounds, mut killed, mut off) = (rounds(12), 0, 0);
    for round in 0..rounds {
        for _ in 0..dice.below(3) {
            let manner = FAULTS[usize::try_from(dice.below(FAULTS.len() as u64)).expect("small")];
            let is_clear = matches!(manner, Manner::RetryAfter(..) | Manner::Busy | Manner::Status(401));
            let works = manner == Manner::Answer || (!is_clear && dice.below(2) == 0);
            fake.fail(&[Fault { works, manner }]);
            fake.state().delete_faults.push_back(manner);
        }
        // Shopify has the variant in every other round.
        if dice.below(2) == 0 {
            fake.state().variants.clear();
        } else {
            fake.state().variants.insert("gid://shopify/ProductVariant/77".to_owned(), Variant::PLAIN);
        }
        let (is_off, key_of_order) = (dice.below(2) == 0, format!("order-{round}"));
        let point = POINTS[usize::try_from(dice.below(POINTS.len() as u64)).expect("small")];
        let kill_at = format!("{point}={}", 1 + dice.below(3));
        let mut server = serve(&machine, &fake, &[]).env("QUOTEGRID_KILL_AT", &kill_at).spawn();
        if server.wait_ready() {
            // Nobody need be answered: whoever is not asks again with the same key, below.
            let placed = post_order(server.address(), &key(&server), &key_of_order);
            if let Some(order) = placed.ok().and_then(|(_, answer)| answer["draftOrderId"].as_str().map(str::to_owned))
                && is_off
            {
                machine.json(&["orders", "cancel", &order]);
            }
        }
        wait_until("it is killed, or all is done", || server.has_ended() || is_over(&machine));
        killed += u64::from(server.has_ended());
        drop(server);
        let second = serve(&machine, &fake, &[]).ready();
        let (status, answer) = post_order(second.address(), &key(&second), &key_of_order).expect("an answer");
        assert_eq!(status, 201, "{kill_at}: {answer}");
        if is_off {
            machine.json(&["orders", "cancel", answer["draftOrderId"].as_str().expect("an id")]);
            off += 1;
        }
        wait_until("all orders are over", || is_over(&machine));
        assert_eq!(second.stop(), Some(0));
        let there = round + 1 - off;
        let count = |state: &str| {
            machine.query::<u64>(&format!("SELECT count(*) FROM draft_order_records WHERE status = '{state}'"))
        };
        assert_eq!((count("sent"), count("cancelled")), (there, off), "round {round}, {kill_at}");
        assert_eq!(fake.doubles(), Vec::<String>::new(), "round {round}, {kill_at}");
        assert_eq!(fake.state().drafts.len() as u64, there, "round {round}, {kill_at}");
        let unfinished = "SELECT count(*) FROM job_queue WHERE status <> 'completed'";
        assert_eq!(machine.query::<u64>(unfinished), 0, "round {round}, {kill_at}");
    }
    println!("{killed} of {rounds} were killed, {off} orders were called off");
    assert!(killed * 4 >= rounds, "{killed} of {rounds} were killed");
}
