//! kill -9 at random moments under load, many times: what was acknowledged is kept, and nothing is done twice.

use super::harness::*;
use quotegrid::shopify::Topic;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SHOPS: u64 = 150;
const SENDERS: u64 = 4;

/// What the senders and the installer share with the killer.
#[derive(Default)]
struct Shared {
    address: Mutex<Option<SocketAddr>>,
    ledger: Ledger,
    done: AtomicBool,
    /// The killer has failed: nobody will take what is still owed.
    failed: AtomicBool,
    sent: AtomicUsize,
    duplicates: AtomicUsize,
}

/// Dropped by a panic of the killer, it ends the others, which would go on for ever and keep the failure from being told.
struct EndOthers<'a>(&'a Shared);

impl Drop for EndOthers<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::Relaxed);
            self.0.done.store(true, Ordering::Relaxed);
        }
    }
}

fn shop(number: u64) -> String {
    format!("loop-{number}.myshopify.com")
}

/// Sends webhooks of all topics as Shopify does: what was not acknowledged is sent again, and some of what was, too.
fn send(shared: &Shared, seed: u64) {
    let mut dice = Dice(seed);
    let mut again: Vec<Hook> = Vec::new();
    let mut client: Option<(SocketAddr, Client)> = None;
    while !shared.done.load(Ordering::Relaxed) || !again.is_empty() {
        if shared.failed.load(Ordering::Relaxed) {
            return;
        }
        let Some(address) = *shared.address.lock().expect("no panic") else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        if client.as_ref().is_none_or(|(connected, _)| *connected != address) {
            client = Client::to(address).ok().map(|client| (address, client));
        }
        let Some((_, connection)) = &mut client else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        let hook = again.pop().unwrap_or_else(|| {
            let topics =
                [Topic::ShopRedact, Topic::CustomersRedact, Topic::CustomersDataRequest, Topic::AppUninstalled];
            let topic = topics[usize::try_from(dice.below(4)).expect("small")].clone();
            Hook::new(topic, &shop(dice.below(SHOPS)))
        });
        shared.sent.fetch_add(1, Ordering::Relaxed);
        match connection.try_post(&hook) {
            Ok(answer) if answer.status == 200 => {
                if answer.body["status"] == "duplicate" {
                    shared.duplicates.fetch_add(1, Ordering::Relaxed);
                }
                shared.ledger.note(&hook, &answer);
                if dice.below(20) == 0 && !shared.done.load(Ordering::Relaxed) {
                    again.push(hook);
                }
            }
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{answer:?}");
                again.push(hook);
            }
            Err(_killed) => {
                again.push(hook);
                client = None;
            }
        }
        std::thread::sleep(Duration::from_millis(1 + dice.below(6)));
    }
}

/// Adds stores alongside the server, as a second process would.
fn install(machine: &Machine, shared: &Shared) -> HashSet<String> {
    let mut connection = machine.connection();
    let mut dice = Dice(77);
    let mut added = HashSet::new();
    while !shared.done.load(Ordering::Relaxed) {
        let shop = shop(dice.below(SHOPS));
        if !query::<bool>(&connection, &format!("SELECT EXISTS (SELECT 1 FROM stores WHERE shop = '{shop}')")) {
            fill(&mut connection, &shop, "loop-mark");
            added.insert(shop);
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    added
}

#[test]
fn an_acknowledged_webhook_survives_kill_9_and_is_done_once() {
    let rounds: u64 =
        std::env::var("QUOTEGRID_KILL_ROUNDS").ok().map_or(20, |rounds| rounds.parse().expect("a number"));
    let machine = Machine::new();
    machine.json(&["migrate"]);
    let shared = Arc::new(Shared::default());
    let (mut early, mut dice) = (0, Dice(0x5EED));
    let started = Instant::now();
    let stores = std::thread::scope(|scope| {
        let _end_others = EndOthers(&shared);
        let senders: Vec<_> = (0..SENDERS)
            .map(|number| {
                scope.spawn({
                    let shared = &shared;
                    move || send(shared, 1000 + number)
                })
            })
            .collect();
        let installer = scope.spawn(|| install(&machine, &shared));
        for _ in 0..rounds {
            let mut server = machine.serve(&["--workers", "2", "--lease-ms", "3600000"]).spawn();
            if dice.below(8) == 0 {
                // Some die while they open the database and free the jobs of the one before.
                std::thread::sleep(Duration::from_millis(dice.below(60)));
                early += 1;
            } else {
                if !server.wait_ready() {
                    // On a slow machine the installer may keep it out for longer than it waits: a supervisor starts it again.
                    assert!(server.log().contains("is locked by another process"), "{}", server.log());
                    continue;
                }
                *shared.address.lock().expect("no panic") = Some(server.address());
                std::thread::sleep(Duration::from_millis(dice.below(300)));
            }
            server.kill();
            *shared.address.lock().expect("no panic") = None;
        }
        shared.done.store(true, Ordering::Relaxed);
        let added = installer.join().expect("stores are added");
        // The last one lives: it takes what the senders still owe, and works everything off.
        let server = machine.serve(&["--workers", "2", "--lease-ms", "3600000"]).ready();
        *shared.address.lock().expect("no panic") = Some(server.address());
        for sender in senders {
            sender.join().expect("no answer but 200 and 503");
        }
        let killing = started.elapsed();
        machine.settle();
        println!("{rounds} kills ({early} before ready) in {killing:.1?}, settled after {:.1?}", started.elapsed());
        assert_eq!(server.stop(), Some(0));
        added
    });
    let connection = machine.connection();
    println!(
        "sent {}, acknowledged {}, of these duplicates {}; stores added {}, left {}; jobs {}, lost claims {}, erasures {}",
        shared.sent.load(Ordering::Relaxed),
        shared.ledger.len(),
        shared.duplicates.load(Ordering::Relaxed),
        stores.len(),
        query::<i64>(&connection, "SELECT count(*) FROM stores"),
        query::<i64>(&connection, "SELECT count(*) FROM job_queue"),
        query::<i64>(&connection, "SELECT count(*) FROM job_attempts WHERE outcome = 'lost'"),
        query::<i64>(&connection, "SELECT count(*) FROM gdpr_requests WHERE outcome = 'erased'"),
    );
    shared.ledger.assert_kept(&connection);
    assert_exactly_once(&machine);
    assert_eq!(query::<i64>(&connection, "SELECT count(*) FROM job_queue WHERE status <> 'completed'"), 0);
    // Whatever a store had is gone with it: no count was lost or taken twice, whoever was killed in between.
    let odd = format!(
        "SELECT count(*) FROM gdpr_requests WHERE outcome = 'erased' AND deleted ->> 'stores' = 1 AND json(deleted) <> json('{}')",
        serde_json::json!(filled_counts())
    );
    assert_eq!(query::<i64>(&connection, &odd), 0, "rows were lost from a count, or counted twice");
}
