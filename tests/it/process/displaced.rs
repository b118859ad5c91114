//! A running server whose files are taken away under it: nothing is acknowledged that the next start would not find.

use super::harness::*;
use quotegrid::shopify::Topic;

#[test]
fn without_the_index_of_its_wal_a_server_takes_nothing_and_keeps_what_others_add() {
    let machine = Machine::new();
    let server = machine.serve(&["--workers", "0"]).ready();
    let (ledger, mut client) = (Ledger::default(), server.client());
    let mut post = |shop: &str| {
        let hook = Hook::new(Topic::AppUninstalled, shop);
        let answer = client.post(&hook);
        ledger.note(&hook, &answer);
        answer.status
    };
    assert_eq!(post("before.myshopify.com"), 200);
    std::fs::remove_file(machine.database.with_extension("db-shm")).expect("removed");
    let add = |number: usize| {
        machine.json(&["stores", "add", &format!("beside-{number}.myshopify.com")]);
    };
    for number in 0..6 {
        add(number);
        assert_eq!(post("after.myshopify.com"), 503);
    }
    // The connections that the commands have closed have left the WAL to the server, and it must not take it for its own.
    assert_eq!(server.stop(), Some(0));
    let server = machine.serve(&[]).ready();
    let stores = machine.query::<i64>("SELECT count(*) FROM stores WHERE shop LIKE 'beside-%'");
    assert_eq!(stores, 6);
    machine.settle();
    ledger.assert_kept(&machine.connection());
    assert_exactly_once(&machine);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_server_says_at_its_start_that_its_database_has_two_names() {
    let machine = Machine::new();
    machine.json(&["migrate"]);
    std::fs::hard_link(&machine.database, machine.directory().join("other.db")).expect("linked");
    let server = machine.serve(&[]).ready();
    assert!(server.log().contains("2 names"), "{}", server.log());
    assert_eq!(server.client().post(&Hook::new(Topic::AppUninstalled, "two.myshopify.com")).status, 200);
    assert_eq!(server.stop(), Some(0));
}
