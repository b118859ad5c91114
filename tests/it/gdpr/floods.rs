//! Whoever floods one shop's duties holds up no other shop's.

use super::{load, request, shop, small_store};
use quotegrid::domain::ids::ShopDomain;
use quotegrid::erasure::requests::{RequestKind, RequestOutcome};
use quotegrid::erasure::{self, SHOP_REDACT};
use quotegrid::error::Error;
use quotegrid::intake;
use quotegrid::queue::{NewJob, Status};
use quotegrid::shopify::{Topic, Webhook, WebhookEvent};
use quotegrid::testing::Fixture;
use serde_json::json;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Delivers `count` webhooks of one shop, each under an id of its own, and returns how many were taken as new.
fn deliver(fixture: &Fixture, shop: &ShopDomain, count: usize, event: impl Fn(u64) -> (Topic, WebhookEvent)) -> usize {
    let intake = fixture.app.intake();
    let (sender, receiver) = channel();
    for number in 0..count {
        let (topic, event) = event(number as u64);
        let webhook = Webhook {
            topic,
            webhook_id: Some(format!("{shop}-{number}")),
            event_id: None,
            shop: shop.clone(),
            triggered_at: Some(fixture.now()),
            event,
        };
        let sender = sender.clone();
        intake.accept_then(webhook, b"{}", move |outcome| sender.send(outcome).expect("the test waits"));
        if number % 500 == 499 {
            // No more at once than the writer takes.
            while intake.figures().accepted.load(std::sync::atomic::Ordering::Relaxed)
                + intake.figures().duplicates.load(std::sync::atomic::Ordering::Relaxed)
                <= number as u64
            {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    drop(sender);
    let outcomes: Vec<_> = receiver.iter().map(|outcome| outcome.expect("taken")).collect();
    assert_eq!(outcomes.len(), count);
    outcomes.iter().filter(|outcome| matches!(outcome, intake::IntakeOutcome::Accepted(_))).count()
}

#[test]
fn ten_thousand_replays_of_one_redaction_are_one_request_and_the_next_shop_is_done_after_it() {
    let fixture = Fixture::new();
    small_store(&fixture, "flooded");
    small_store(&fixture, "honest");
    fixture.advance(Duration::from_secs(1));
    let new = deliver(&fixture, &shop("flooded"), 10_000, |_| (Topic::ShopRedact, WebhookEvent::ShopRedact));
    assert_eq!(new, 1);
    assert_eq!((fixture.count("gdpr_requests"), fixture.count("job_queue")), (1, 1));
    let (honest, _) = request(&fixture, &shop("honest"), RequestKind::ShopRedact, fixture.now());
    assert_eq!(fixture.run_jobs(), 2);
    assert_eq!(load(&fixture, honest).outcome, Some(RequestOutcome::Erased));
    assert_eq!(fixture.count("stores"), 0);
    assert_eq!(fixture.count("erasure_receipts"), 4);
}

#[test]
fn a_shop_whose_customers_are_many_waits_for_no_other_and_no_other_for_it() {
    let fixture = Fixture::new();
    small_store(&fixture, "honest");
    fixture.advance(Duration::from_secs(1));
    let customer = |number| {
        let event = WebhookEvent::CustomersRedact { customer_id: Some(number), orders_to_redact: None };
        (Topic::CustomersRedact, event)
    };
    assert_eq!(deliver(&fixture, &shop("large"), 10_000, customer), 10_000);
    let (honest, _) = request(&fixture, &shop("honest"), RequestKind::ShopRedact, fixture.now());
    fixture.run_next();
    fixture.run_next();
    assert_eq!(
        load(&fixture, honest).outcome,
        Some(RequestOutcome::Erased),
        "behind the first of the others, not the last"
    );
    let open = "SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL";
    assert_eq!(fixture.query::<i64>(open), 9_999);
}

#[test]
fn the_closing_transaction_has_no_jobs_left_to_rewrite_however_many_wait() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    fixture.advance(Duration::from_secs(1));
    let (app, now, about) = (fixture.app.clone(), fixture.now(), erasure::subject(&fixture.app.hasher, &a));
    let written: Result<(), Error> = fixture.app.db.write(move |tx| {
        for number in 0..3_000 {
            let job = NewJob::new("later", json!({ "order": number })).about(about.clone());
            app.queue.enqueue(tx, now, job.scheduled_at(now + Duration::from_secs(3_600)))?;
        }
        // What waits at the moment of the stamp, which is in the closing transaction.
        tx.execute_batch(
            "CREATE TRIGGER look AFTER UPDATE OF processed_at ON gdpr_requests BEGIN
                 INSERT INTO meta SELECT 'waiting', CAST(count(*) AS BLOB) FROM job_queue WHERE status = 'pending';
             END",
        )
        .map_err(|error| Error::from(quotegrid::db::Error::from(error)))
    });
    written.expect("writable");
    let (id, _) = request(&fixture, &a, RequestKind::ShopRedact, fixture.now());
    fixture.run_jobs();
    assert_eq!(load(&fixture, id).outcome, Some(RequestOutcome::Erased));
    assert_eq!(fixture.query::<String>("SELECT CAST(value AS TEXT) FROM meta WHERE name = 'waiting'"), "0");
    assert_eq!(
        fixture.query::<i64>("SELECT count(*) FROM job_queue WHERE status = 'cancelled' AND payload = '{}'"),
        3_000
    );
}

#[test]
fn closing_one_request_of_a_shop_closes_all_that_are_open() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    fixture.advance(Duration::from_secs(1));
    let requests: Vec<_> = (0..150).map(|_| request(&fixture, &a, RequestKind::ShopRedact, fixture.now())).collect();
    fixture.run_next();
    let open = "SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL";
    assert_eq!(fixture.query::<i64>(open), 50, "as many as one transaction has room for");
    fixture.run_jobs();
    assert_eq!(fixture.query::<i64>(open), 0);
    let deleted = requests.iter().filter(|(id, _)| load(&fixture, *id).deleted.of("stores") == 1);
    assert_eq!(deleted.count(), 1, "rows are deleted once and counted once");
    assert!(requests.iter().all(|(_, job)| fixture.job(*job).status == Status::Completed));
}

#[test]
fn a_job_by_hand_fulfils_more_requests_than_one_transaction_has_room_for() {
    let fixture = Fixture::new();
    for _ in 0..250 {
        request(&fixture, &shop("a"), RequestKind::CustomersRedact, fixture.now());
    }
    let done = fixture.app.db.write(|tx| -> quotegrid::db::Result<()> {
        tx.execute("UPDATE job_queue SET status = 'cancelled', processed_at = 1", ())?;
        Ok(())
    });
    done.expect("writable");
    fixture.enqueue("customer_redact", json!({ "shop": "a.myshopify.com" }));
    assert_eq!(fixture.run_jobs(), 1);
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM gdpr_requests WHERE outcome = 'acknowledged'"), 250);
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM erasure_receipts WHERE kind = 'erased'"), 250);
}

#[test]
fn an_erasure_that_finds_the_shop_installed_and_asked_for_again_meanwhile_looks_anew() {
    let fixture = Fixture::new();
    let a = small_store(&fixture, "a");
    // An event from before the installation.
    let before = fixture.now() - Duration::from_secs(60);
    let (id, job) = request(&fixture, &a, RequestKind::ShopRedact, before);
    // The same is asked for once more in the moment in which the first event is found to be superseded.
    let at = fixture.now().timestamp_millis();
    let planted: quotegrid::db::Result<()> = fixture.app.db.write(move |tx| {
        tx.execute_batch(&format!(
            "CREATE TRIGGER again AFTER UPDATE OF status ON job_queue WHEN new.status = 'completed' BEGIN
                 UPDATE gdpr_requests SET triggered_at = {at};
             END"
        ))?;
        Ok(())
    });
    planted.expect("writable");
    fixture.run_next();
    assert_eq!(fixture.job(job).status, Status::Pending, "not closed as superseded");
    assert_eq!(load(&fixture, id).processed_at, None);
    let gone: quotegrid::db::Result<()> = fixture.app.db.write(move |tx| {
        tx.execute_batch(&format!("DROP TRIGGER again; UPDATE gdpr_requests SET triggered_at = {at}"))?;
        Ok(())
    });
    gone.expect("writable");
    fixture.advance(Duration::from_secs(60));
    fixture.run_jobs();
    assert_eq!(load(&fixture, id).outcome, Some(RequestOutcome::Erased));
    assert_eq!(fixture.query::<String>(&format!("SELECT type FROM job_queue WHERE id = '{job}'")), SHOP_REDACT);
}
