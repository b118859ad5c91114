//! Looks at the queue, and what its statements cost.

use super::fixture;
use quotegrid::queue::{self, Filter, Finish, Status};
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
fn the_claim_walks_the_index_of_waiting_jobs_and_sorts_nothing() {
    let fixture = Fixture::new();
    for sql in [
        "SELECT id, recoveries FROM job_queue WHERE status = 'pending' AND external = 0 AND turn_at IS NULL AND scheduled_at <= 1 ORDER BY scheduled_at, id LIMIT 50",
        "SELECT id, recoveries FROM job_queue WHERE status = 'pending' AND external = 0 AND turn_at IS NOT NULL ORDER BY turn_at, scheduled_at, id LIMIT 50",
        "SELECT scheduled_at FROM job_queue WHERE status = 'pending' AND external = 1 AND turn_at IS NULL ORDER BY scheduled_at, id LIMIT 1",
        "SELECT 1 FROM job_queue WHERE status = 'pending' AND external = 0 AND turn_at IS NULL AND scheduled_at > 1 AND scheduled_from > 1 LIMIT 1",
    ] {
        let plan = plan(&fixture, sql);
        assert!(plan.contains("job_queue_pending"), "{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{plan}");
    }
    let turns = plan(
        &fixture,
        "SELECT turn_at FROM job_queue WHERE status = 'pending' AND subject = 's' AND external = 0 ORDER BY turn_at DESC LIMIT 1",
    );
    assert!(turns.contains("job_queue_turns") && !turns.contains("TEMP B-TREE"), "{turns}");
    let plan =
        plan(&fixture, "SELECT id, claim, claimed_by, lease_expires_at FROM job_queue WHERE status = 'processing'");
    assert!(plan.contains("job_queue_processing"), "{plan}");
}

#[test]
fn no_row_of_the_busy_tables_costs_a_table_of_its_own() {
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

fn plan(fixture: &Fixture, sql: &str) -> String {
    let lines = fixture.app.db.read(|connection| -> quotegrid::db::Result<Vec<String>> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let lines = statement.query_map((), |row| row.get("detail"))?.collect::<Result<_, _>>()?;
        Ok(lines)
    });
    lines.expect("a plan").join("\n")
}
