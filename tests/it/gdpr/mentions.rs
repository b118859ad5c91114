//! Jobs that name an erased shop where nobody would look for it.

use super::{request, small_store, verification, without_job};
use quotegrid::erasure::SHOP_REDACT;
use quotegrid::erasure::requests::RequestKind;
use quotegrid::queue::{Claim, Context, Finish, Handler, JobError, NewJob, Registry, Status};
use quotegrid::testing::Fixture;
use serde_json::json;
use std::time::Duration;

/// Fails with words that name the shop, each time.
struct Telltale;

impl Handler for Telltale {
    fn run(&self, job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        let words = "there is no page at https://Glass.myshopify.com/pages".to_owned();
        if job.attempt == 1 { Err(JobError::Retry(words)) } else { Err(JobError::Permanent(words)) }
    }
}

#[test]
fn a_job_by_hand_names_an_erased_shop_nowhere_any_more_and_a_living_one_as_before() {
    let fixture = Fixture::with_handlers(Registry::new().with("telltale", Telltale));
    let glass = small_store(&fixture, "glass");
    small_store(&fixture, "bestglass");
    let enqueue = |job: NewJob| fixture.app.enqueue(job).expect("enqueued");
    let telltale = enqueue(NewJob::new("telltale", json!({ "of": "bestglass.myshopify.com" })));
    let by_type = enqueue(NewJob::new("sync-glass.myshopify.com", json!({})).max_attempts(1));
    let by_key = enqueue(NewJob::new("nobody-knows", json!({})).max_attempts(1).dedupe_key("glass.myshopify.com"));
    let by_member = enqueue(
        NewJob::new("nobody-knows", json!({ "domain": "glass.myshopify.com", "also": "bestglass.myshopify.com" }))
            .max_attempts(1),
    );
    let waiting = enqueue(
        NewJob::new("nobody-knows", json!({ "GLASS.myshopify.com": ["x glass.myshopify.com"] }))
            .scheduled_at(fixture.now() + Duration::from_secs(86_400)),
    );
    fixture.run_jobs();
    fixture.advance(Duration::from_secs(60));
    fixture.run_jobs();
    assert_eq!(fixture.job(telltale).status, Status::Failed);
    request(&fixture, &glass, RequestKind::ShopRedact, fixture.now());
    fixture.run_jobs();
    let text = "SELECT type || ' ' || payload FROM job_queue WHERE id = ";
    let text = |id: &dyn std::fmt::Display| fixture.query::<String>(&format!("{text}'{id}'"));
    assert_eq!(text(&telltale), r#"telltale {"of":"bestglass.myshopify.com"}"#);
    assert_eq!(text(&by_type), "sync-erased-shop {}");
    assert_eq!(text(&by_key), "nobody-knows {}");
    assert_eq!(text(&by_member), r#"nobody-knows {"also":"bestglass.myshopify.com","domain":"erased-shop"}"#);
    assert_eq!(text(&waiting), r#"nobody-knows {"erased-shop":["x erased-shop"]}"#);
    assert_eq!(fixture.job(waiting).status, Status::Pending);
    for sql in [
        "SELECT count(*) FROM job_queue WHERE dedupe_key IS NOT NULL OR lower(error) LIKE '% https://glass.%'",
        "SELECT count(*) FROM job_attempts WHERE lower(error) LIKE '%glass.%'",
    ] {
        assert_eq!(fixture.query::<i64>(sql), 0, "{sql}");
    }
    let found = verification(&fixture);
    assert!(found.is_ok(), "{found:?}");
}

#[test]
fn what_a_finished_job_says_of_an_erased_shop_in_any_field_is_found() {
    for plant in [
        "UPDATE job_queue SET type = 'sync-glass.myshopify.com'",
        "UPDATE job_queue SET dedupe_key = 'glass.myshopify.com'",
        "UPDATE job_queue SET error = 'no glass.myshopify.com'",
        "UPDATE job_attempts SET error = 'no glass.myshopify.com'",
    ] {
        let fixture = Fixture::new();
        small_store(&fixture, "glass");
        fixture.enqueue(SHOP_REDACT, json!({ "shop": "glass.myshopify.com" }));
        fixture.run_jobs();
        let planted: quotegrid::db::Result<()> = fixture.app.db.write(move |tx| Ok(tx.execute_batch(plant)?));
        planted.expect("writable");
        let found = verification(&fixture);
        assert!(found.leftovers.iter().any(|leftover| leftover.place == "job_queue"), "{plant}: {found:?}");
    }
}

#[test]
fn a_duty_without_a_job_is_named_at_once() {
    let fixture = Fixture::new();
    let glass = small_store(&fixture, "glass");
    let (id, job) = request(&fixture, &glass, RequestKind::ShopRedact, fixture.now());
    let without = || without_job(&fixture);
    assert!(without().is_empty());
    // One that was changed to see to another request does not see to this one.
    let with_payload = |payload: String| {
        let sql = "UPDATE job_queue SET payload = ?1 WHERE id = ?2";
        let changed: quotegrid::db::Result<usize> =
            fixture.app.db.write(move |tx| Ok(tx.execute(sql, (payload, job.to_string()))?));
        changed.expect("changed");
    };
    with_payload(json!({ "requestId": "another" }).to_string());
    assert_eq!(without().len(), 1);
    with_payload(json!({ "requestId": id.to_string() }).to_string());
    assert!(without().is_empty());
    let (queue, now) = (fixture.app.queue.clone(), fixture.now());
    fixture.app.db.write(move |tx| queue.cancel(tx, now, job)).expect("called off");
    assert_eq!(without().iter().map(|request| request.id).collect::<Vec<_>>(), [id]);
    // A job by hand that names the request sees to it, though it names no shop; one that names the shop to all that is open of it.
    let by_hand = fixture.enqueue(SHOP_REDACT, json!({ "requestId": id.to_string() }));
    assert!(without().is_empty());
    let (queue, now) = (fixture.app.queue.clone(), fixture.now());
    fixture.app.db.write(move |tx| queue.cancel(tx, now, by_hand)).expect("called off");
    assert_eq!(without().len(), 1);
    fixture.enqueue(SHOP_REDACT, json!({ "shop": "Glass.myshopify.com" }));
    assert!(without().is_empty());
}
