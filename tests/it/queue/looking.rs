//! Looks at the queue, and what its statements cost.

use super::fixture;
use crate::support::plans::plan;
use quotegrid::queue::{self, Filter, Finish, JobError, Status};
use quotegrid::testing::Fixture;
use serde_json::json;

#[test]
fn list_and_counts_tell_where_jobs_stand() {
    let fixture = fixture("good", |_job, _context| Ok(Finish::done()));
    let ids: Vec<_> = (0..3).map(|_| fixture.enqueue("good", json!({}))).collect();
    fixture.enqueue("unknown", json!({}));
    fixture.run_next();
    let list = |filter: Filter| -> Vec<_> {
        let jobs = fixture.app.db.read(|connection| queue::list(connection, &filter)).expect("readable");
        jobs.into_iter().map(|job| job.id).collect()
    };
    assert_eq!(list(Filter { limit: 10, ..Filter::default() }).len(), 4);
    assert_eq!(list(Filter { limit: 10, status: Some(Status::Completed), ..Filter::default() }), [ids[0]]);
    assert_eq!(list(Filter { limit: 1, job_type: Some("good".to_owned()), ..Filter::default() }), [ids[2]]);
    assert_eq!(list(Filter { limit: 10, before: Some(ids[1]), ..Filter::default() }), [ids[0]]);
    let counts = fixture.app.db.read(queue::counts).expect("readable");
    assert_eq!((counts.pending, counts.completed, counts.failed), (3, 1, 0));
}

#[test]
fn how_many_jobs_stand_where_is_counted_as_the_rows_are_whatever_becomes_of_them() {
    let fixture = fixture("picky", |job, _context| match job.payload.as_str() {
        Some("fail") => Err(JobError::Permanent("as asked".to_owned())),
        _ => Ok(Finish::done()),
    });
    let agree = |step: &str| {
        let counts = fixture.app.db.read(queue::counts).expect("readable");
        let rows =
            |status: &str| fixture.query::<u64>(&format!("SELECT count(*) FROM job_queue WHERE +status = '{status}'"));
        let told = [counts.pending, counts.processing, counts.completed, counts.failed, counts.cancelled];
        assert_eq!(told, ["pending", "processing", "completed", "failed", "cancelled"].map(rows), "{step}");
        told
    };
    let write = |change: &'static str| {
        let changed: quotegrid::db::Result<()> = fixture.app.db.write(move |tx| Ok(tx.execute_batch(change)?));
        changed.expect("writable");
    };
    assert_eq!(agree("a new file"), [0; 5]);
    for payload in ["succeed", "fail", "fail", "succeed"] {
        fixture.enqueue("picky", json!(payload));
    }
    fixture.run_jobs();
    for _ in 0..2 {
        fixture.enqueue("picky", json!("wait"));
    }
    assert_eq!(agree("two done, two failed, two wait"), [2, 0, 2, 2, 0]);
    let (queue, now) = (fixture.app.queue.clone(), fixture.now());
    let of = |status| {
        let filter = Filter { limit: 1, status: Some(status), ..Filter::default() };
        fixture.app.db.read(|connection| queue::list(connection, &filter)).expect("readable")[0].id
    };
    let (failed, waiting) = (of(Status::Failed), of(Status::Pending));
    let retried = queue.clone();
    fixture.app.db.write(move |tx| retried.retry(tx, now, failed)).expect("retried");
    fixture.app.db.write(move |tx| queue.cancel(tx, now, waiting)).expect("called off");
    assert_eq!(agree("one retried, one called off"), [2, 0, 2, 1, 1]);
    let undone: Result<(), quotegrid::error::Error> = fixture.app.db.write(|tx| {
        tx.execute("DELETE FROM job_queue", ()).map_err(quotegrid::db::Error::from)?;
        Err(quotegrid::error::Error::not_found("whatever"))
    });
    assert!(undone.is_err());
    agree("a deletion that was rolled back");
    write("UPDATE job_queue SET status = 'cancelled', processed_at = 1 WHERE status <> 'processing'");
    agree("an operator's own statement");
    write("DELETE FROM job_queue WHERE status = 'cancelled'");
    assert_eq!(agree("all gone"), [0; 5]);
    write(
        "INSERT INTO job_queue (id, type, payload, status, scheduled_at, processed_at, created_at)
           VALUES ('i', 't', '{}', 'completed', 1, 1, 1)",
    );
    agree("one that came finished");
}

#[test]
fn the_claim_walks_the_index_of_waiting_jobs_and_sorts_nothing() {
    let fixture = Fixture::new();
    for sql in [
        "SELECT id, recoveries FROM job_queue WHERE status = 'pending' AND held = 0 AND external = 0 AND turn_at IS NULL AND scheduled_at <= 1 ORDER BY scheduled_at, id LIMIT 50",
        "SELECT id, recoveries FROM job_queue WHERE status = 'pending' AND held = 0 AND external = 0 AND turn_at IS NOT NULL ORDER BY turn_at, scheduled_at, id LIMIT 50",
        "SELECT scheduled_at FROM job_queue WHERE status = 'pending' AND held = 0 AND external = 1 AND turn_at IS NULL ORDER BY scheduled_at, id LIMIT 1",
        "SELECT 1 FROM job_queue WHERE status = 'pending' AND held = 0 AND external = 0 AND turn_at IS NULL AND scheduled_at > 1 AND scheduled_from > 1 LIMIT 1",
    ] {
        let plan = plan(&fixture, sql);
        assert!(plan.contains("job_queue_pending"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
    let about = plan(
        &fixture,
        "SELECT id FROM job_queue INDEXED BY job_queue_pending WHERE status = 'pending' AND subject = 's'",
    );
    assert!(about.contains("COVERING INDEX"), "no row is read of the jobs about others: {about}");
    let plan =
        plan(&fixture, "SELECT id, claim, claimed_by, lease_expires_at FROM job_queue WHERE status = 'processing'");
    assert!(plan.contains("job_queue_processing"), "{plan}");
}

#[test]
fn no_statement_of_the_busy_tables_builds_a_temporary_table() {
    let fixture = Fixture::new();
    for sql in [
        "INSERT INTO job_queue (id, type, payload, scheduled_at, created_at) VALUES ('i', 't', '{}', 1, 1)",
        "UPDATE job_queue SET status = 'completed', processed_at = 1, payload = '{}', claimed_by = NULL, claimed_at = NULL,
             lease_expires_at = NULL WHERE id = 'i' AND claim = 1 AND status = 'processing'",
        "INSERT INTO job_attempts VALUES ('i', 1, 1, 1, 1, 'completed', NULL)",
        "INSERT INTO other_webhook_deliveries VALUES ('t', 'w', NULL, 's', 1, 'i')",
        "INSERT INTO gdpr_requests (id, shop, type, payload, triggered_at, due_at, created_at)
             VALUES ('r', 's', 'SHOP_REDACT', '{}', 1, 1, 1)",
        "UPDATE gdpr_requests SET processed_at = 1, outcome = 'erased' WHERE id = 'r'",
    ] {
        let tables = fixture.app.db.read(|connection| -> quotegrid::db::Result<usize> {
            let mut statement = connection.prepare(&format!("EXPLAIN {sql}"))?;
            let steps = statement.query_map((), |row| row.get::<_, String>("opcode"))?;
            Ok(steps.collect::<Result<Vec<_>, _>>()?.iter().filter(|step| *step == "OpenEphemeral").count())
        });
        assert_eq!(tables.expect("explained"), 0, "{sql}");
    }
}
