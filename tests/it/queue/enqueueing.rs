//! What becomes a job, and what does not.

use super::fixture;
use quotegrid::error::{Error, Kind};
use quotegrid::queue::{Finish, NewJob, Status};
use quotegrid::testing::Fixture;
use serde_json::json;

#[test]
fn enqueue_stores_type_and_payload() {
    let fixture = Fixture::new();
    let payload = json!({ "shop": "a.myshopify.com", "n": 1, "deep": [null, { "é": "ü" }] });
    let id = fixture.enqueue("shop_redact", payload.clone());
    let job = fixture.job(id);
    assert_eq!((job.job_type.as_str(), &job.payload, job.status), ("shop_redact", &payload, Status::Pending));
    assert_eq!((job.attempts, job.scheduled_at, job.created_at), (0, fixture.now(), fixture.now()));
    let other = fixture.enqueue("anything", json!(null));
    assert_eq!(fixture.job(other).max_attempts, 3, "three attempts are the default");
}

#[test]
fn a_job_of_a_transaction_that_is_rolled_back_does_not_exist() {
    let fixture = Fixture::new();
    let (queue, now) = (fixture.app.queue.clone(), fixture.now());
    let refused: Result<(), Error> = fixture.app.db.write(move |tx| {
        queue.enqueue(tx, now, NewJob::new("t", json!({})))?;
        Err(Error::new(Kind::Conflict, "no"))
    });
    assert!(refused.is_err());
    assert_eq!(fixture.count("job_queue"), 0);
}

#[test]
fn what_cannot_be_a_job_is_refused_and_nothing_is_written() {
    let fixture = Fixture::new();
    for (job, kind) in [
        (NewJob::new("", json!({})), Kind::Invalid),
        (NewJob::new("with blank", json!({})), Kind::Invalid),
        (NewJob::new("line\nbreak", json!({})), Kind::Invalid),
        (NewJob::new("t".repeat(201), json!({})), Kind::Invalid),
        (NewJob::new("t", json!({})).max_attempts(0), Kind::Invalid),
        (NewJob::new("t", json!({})).max_attempts(1_001), Kind::Invalid),
        (NewJob::new("t", json!({})).dedupe_key(""), Kind::Invalid),
        (NewJob::new("t", json!("x".repeat(1 << 20))), Kind::TooLarge),
    ] {
        assert_eq!(fixture.app.enqueue(job.clone()).map_err(|error| error.kind()), Err(kind), "{job:?}");
    }
    assert_eq!(fixture.count("job_queue"), 0);
}

#[test]
fn an_unfinished_job_with_the_same_dedupe_key_is_not_enqueued_again() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done()));
    let enqueue = |job_type: &str, key: &str| {
        fixture.app.enqueue(NewJob::new(job_type, json!({})).dedupe_key(key)).expect("enqueued")
    };
    let first = enqueue("any", "k");
    assert_eq!(enqueue("any", "k"), first);
    assert_ne!(enqueue("any", "other"), first);
    assert_ne!(enqueue("other", "k"), first);
    assert_eq!(fixture.count("job_queue"), 3);
    fixture.run_next();
    assert_ne!(enqueue("any", "k"), first, "a finished job holds its key no more");
}
