//! What stays in the bytes of the files: nothing of a person, ever; of an erased store only its domain, in its two places.

use super::harness::*;
use quotegrid::shopify::Topic;
use rusqlite::Connection;
use rustix::process::Signal;

/// Texts of the sample webhooks that are about a person.
const PERSONAL: [&str; 7] = [
    "sample.customer@example.invalid",
    "sample.owner@example.invalid",
    "sample.help@example.invalid",
    "555-0100",
    "555-0101",
    "Sam Sample",
    "1 Sample Street",
];

fn assert_nothing_personal(machine: &Machine, when: &str) {
    for text in PERSONAL {
        assert_eq!(lines_with(machine, text), 0, "{text:?} {when}");
    }
}

#[test]
fn nothing_of_a_person_is_ever_in_the_files_or_the_log_not_even_before_the_job_ran() {
    let machine = Machine::new();
    let server = machine.serve(&["--workers", "0"]).ready();
    let mut client = server.client();
    for topic in [Topic::CustomersRedact, Topic::CustomersDataRequest, Topic::AppUninstalled, Topic::ShopRedact] {
        assert_eq!(client.post(&Hook::new(topic, "person.myshopify.com")).status, 200);
    }
    assert!(lines_with(&machine, "person.myshopify.com") > 0, "the search does find what is there");
    assert_nothing_personal(&machine, "before the jobs ran");
    let server_log = server.log();
    assert_eq!(server.stop(), Some(0));
    assert_nothing_personal(&machine, "after the stop");
    let server = machine.serve(&[]).ready();
    machine.settle();
    assert_nothing_personal(&machine, "after the jobs ran");
    for text in PERSONAL {
        assert!(!server_log.contains(text) && !server.log().contains(text), "{text:?} in the log");
    }
    assert_exactly_once(&machine);
}

const MARK: &str = "Lavender-Mark";

/// A store of many rows that came and changed in random order, so that pages were split, moved and freed.
fn scatter(connection: &mut Connection, shop: &str, mark: &str, seed: u64) {
    fill(connection, shop, mark);
    let store: String = query(connection, &format!("SELECT id FROM stores WHERE shop = '{shop}'"));
    let mut dice = Dice(seed);
    for round in 0..12 {
        let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("writable");
        for _ in 0..60 {
            let product = format!("gid://shopify/Product/{}", dice.below(1 << 40));
            let title = format!("{mark} {}", "x".repeat(usize::try_from(dice.below(1500)).expect("small")));
            tx.prepare_cached(
                "INSERT OR REPLACE INTO product_matrices (store_id, product_id, matrix_id, product_title, assigned_at)
                 SELECT ?1, ?2, id, ?3, 0 FROM price_matrices WHERE store_id = ?1 LIMIT 1",
            )
            .and_then(|mut statement| statement.execute([&store, &product, &title]))
            .expect("inserted");
        }
        // Longer and shorter texts: rows move between pages, and into overflow pages.
        tx.execute(
            "UPDATE product_matrices SET product_title = ?2 || substr(hex(randomblob(3000)), 1, ?3)
             WHERE store_id = ?1 AND unicode(substr(product_id, -1)) % 3 = ?4 % 3",
            rusqlite::params![store, mark, 1 + dice.below(6000), round],
        )
        .expect("updated");
        tx.execute(
            "DELETE FROM product_matrices WHERE store_id = ?1 AND unicode(substr(product_id, -1)) % 5 = ?2 % 5",
            rusqlite::params![store, round],
        )
        .expect("deleted");
        tx.commit().expect("committed");
    }
}

/// That only the domain is left of an erased store, and only where it may be.
fn assert_gone(machine: &Machine, mark: &str, when: &str) {
    assert_eq!(lines_with(machine, mark), 0, "{mark:?} {when}");
    assert_exactly_once(machine);
}

#[test]
fn an_erased_store_is_gone_from_the_bytes_with_the_wal_and_without() {
    let machine = Machine::new();
    let mut server = machine.serve(&[]).ready();
    scatter(&mut machine.connection(), "lavender.myshopify.com", MARK, 7);
    // The other shop's rows are between: pages are shared.
    scatter(&mut machine.connection(), "thyme.myshopify.com", "Thyme-Mark", 8);
    scatter(&mut machine.connection(), "lavender-blue.myshopify.com", "Bluebell-Mark", 9);
    assert!(lines_with(&machine, MARK) > 0, "the search does find what is there");
    let mut client = server.client();
    for shop in ["lavender.myshopify.com", "lavender-blue.myshopify.com"] {
        assert_eq!(client.post(&Hook::new(Topic::ShopRedact, shop)).status, 200);
    }
    machine.settle();
    assert_gone(&machine, MARK, "while the server runs");
    assert_gone(&machine, "Bluebell-Mark", "while the server runs");
    assert!(lines_with(&machine, "Thyme-Mark") > 0, "the other shop is untouched");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    assert_gone(&machine, MARK, "after the stop");
    assert_gone(&machine, "Bluebell-Mark", "after the stop");
    assert!(lines_with(&machine, "Thyme-Mark") > 0);
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn an_erasure_that_was_killed_half_way_leaves_nothing_in_the_bytes_after_the_restart() {
    for kill_at in ["erasure::step=4", "erasure::scrubbed=1", "db::before_commit=6"] {
        let machine = Machine::new();
        machine.json(&["migrate"]);
        scatter(&mut machine.connection(), "lavender.myshopify.com", MARK, 11);
        let mut server = machine.serve(&["--workers", "1"]).env("QUOTEGRID_KILL_AT", kill_at).ready();
        let hook = Hook::new(Topic::ShopRedact, "lavender.myshopify.com");
        let answered = server.client().try_post(&hook);
        server.wait_killed();
        if kill_at.starts_with("erasure::step") {
            assert!(lines_with(&machine, MARK) > 0, "killed half-way");
        }
        let server = machine.serve(&[]).ready();
        if answered.is_err() {
            assert_eq!(server.client().post(&hook).status, 200);
        }
        machine.settle();
        assert_gone(&machine, MARK, kill_at);
        assert_eq!(server.stop(), Some(0));
        assert_gone(&machine, MARK, kill_at);
    }
}

#[test]
fn a_repeated_delivery_writes_nothing_for_what_is_rolled_back_may_stay_in_free_pages() {
    let machine = Machine::new();
    let server = machine.serve(&[]).ready();
    let hook = Hook::new(Topic::ShopRedact, "again.myshopify.com");
    let mut client = server.client();
    assert_eq!(client.post(&hook).status, 200);
    machine.settle();
    // By size, not opened: this process has the database open in SQLite.
    let mut wal = machine.database.clone().into_os_string();
    wal.push("-wal");
    let size = || std::fs::metadata(&wal).expect("it is there while the server runs").len();
    let before = size();
    for _ in 0..20 {
        assert_eq!(client.post(&hook).body["status"], "duplicate");
    }
    assert_eq!(size(), before, "duplicates write");
}
