//! Someone reads for seconds while an erasure scrubs.

use super::harness::*;
use chrono::{DateTime, Utc};
use quotegrid::shopify::Topic;
use std::time::{Duration, Instant};

#[test]
fn no_webhook_waits_for_a_reader_that_holds_up_the_scrub_and_the_erasure_is_stamped_after_it() {
    let machine = Machine::new();
    let server = machine.serve(&[]).ready();
    fill(&mut machine.connection(), "read.myshopify.com", "read-mark");
    let mut client = server.client();
    let ledger = Ledger::default();
    let mut longest = |times: usize| {
        let mut longest = Duration::ZERO;
        for _ in 0..times {
            let hook = Hook::new(Topic::CustomersDataRequest, "other.myshopify.com");
            let started = Instant::now();
            let answer = client.post(&hook);
            longest = longest.max(started.elapsed());
            assert_eq!(answer.status, 200, "{answer:?}");
            ledger.note(&hook, &answer);
        }
        longest
    };
    let baseline = longest(100);
    // Another process's open transaction, as far as the server can tell: this is not its process.
    let reader = machine.connection();
    reader.execute_batch("BEGIN").expect("begun");
    assert_eq!(query::<i64>(&reader, "SELECT count(*) FROM stores"), 1);
    let hook = Hook::new(Topic::ShopRedact, "read.myshopify.com");
    let answer = server.client().post(&hook);
    ledger.note(&hook, &answer);
    let connection = machine.connection();
    let processed = format!("SELECT count(processed_at) FROM gdpr_requests WHERE webhook_id = '{}'", hook.id);
    wait_until("the rows are gone", || query::<i64>(&connection, &processed) == 1);
    // By now the scrub tries to empty the WAL, again and again, and cannot. A webhook that waited for the reader would wait in each of
    // these rounds; one that waits for a slow machine does not.
    let bound = Duration::from_secs(1).max(baseline * 20);
    let mut longest_of_a_round = || {
        let until = Instant::now() + Duration::from_secs(2);
        let mut during = longest(100);
        while Instant::now() < until {
            during = during.max(longest(50));
        }
        during
    };
    let mut rounds = vec![longest_of_a_round()];
    while rounds.len() < 5 && rounds.iter().all(|longest| *longest >= bound) {
        rounds.push(longest_of_a_round());
    }
    let erased = format!("SELECT erased_at FROM gdpr_requests WHERE webhook_id = '{}'", hook.id);
    assert_eq!(query::<Option<i64>>(&connection, &erased), None, "the reader still sees the old pages");
    assert_eq!(query::<i64>(&reader, "SELECT count(*) FROM stores"), 1, "the reader reads on");
    let ended: DateTime<Utc> = Utc::now();
    reader.execute_batch("ROLLBACK").expect("ended");
    machine.settle();
    let erased_at: i64 = query(&connection, &erased);
    assert!(erased_at >= ended.timestamp_millis(), "stamped {erased_at} before the reader ended at {ended}");
    assert!(rounds.iter().any(|longest| *longest < bound), "{rounds:?}, {baseline:?} without the reader");
    ledger.assert_kept(&connection);
    drop(reader);
    assert_exactly_once(&machine);
}
