//! What people do to many jobs, and to a type.

use super::{Person, text};
use crate::support::waiting::wait_until;
use quotegrid::queue::{Claim, Context, Finish, Handler, JobError, NewJob, Registry, Status};
use quotegrid::testing::Fixture;
use serde_json::json;
use std::time::Duration;

struct Broken(&'static str);

impl Handler for Broken {
    fn run(&self, _job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        Err(JobError::Permanent(self.0.to_owned()))
    }
}

struct Fine;

impl Handler for Fine {
    fn run(&self, _job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        Ok(Finish::done())
    }
}

fn fixture() -> Fixture {
    let handlers =
        Registry::new().with("mail", Broken("<b>no</b> & down")).with("fax", Broken("busy")).with("fine", Fine);
    Fixture::with_handlers(handlers)
}

#[test]
fn failed_jobs_are_grouped_by_their_error_and_retried_together() {
    let fixture = fixture();
    for _ in 0..3 {
        fixture.enqueue("mail", json!({}));
    }
    let fax = fixture.enqueue("fax", json!({}));
    fixture.run_jobs();
    let operator = Person::operator(&fixture);
    let page = text(&operator.get("/admin/jobs?status=failed"));
    assert!(page.contains("&#60;b&#62;no&#60;/b&#62;") && !page.contains("<b>no</b>"), "{page}");
    let query = "status=failed&type=mail&error=%3Cb%3Eno%3C%2Fb%3E%20%26%20down";
    let confirm = text(&operator.get(&format!("/admin/jobs/all?change=retry&{query}")));
    assert!(confirm.contains("Retry 3 jobs?"), "{confirm}");
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'failed'"), 4);
    let done = operator.post("/admin/jobs/all/retry", query);
    assert_eq!((done.status, done.header("location")), (303, Some("../../../admin/jobs?done=all-retried")));
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'pending' AND type = 'mail'"), 3);
    assert_eq!(fixture.job(fax).status, Status::Failed);
}

#[test]
fn the_api_changes_what_matches_and_says_how_many_and_a_dry_run_changes_nothing() {
    let fixture = fixture();
    for _ in 0..250 {
        fixture.enqueue("fine", json!({}));
    }
    fixture.enqueue("shop_redact", json!({ "shop": "a.myshopify.com" }));
    let ask = |path: &str, body| {
        let response = fixture.admin("POST", path, Some(&body));
        (response.status, response.json_body())
    };
    let dry = ask("/admin/api/jobs/cancel", json!({ "type": "fine", "dryRun": true }));
    assert_eq!(dry, (200, json!({ "matched": 250, "changed": 0 })));
    assert_eq!(ask("/admin/api/jobs/cancel", json!({})), (200, json!({ "matched": 250, "changed": 250 })));
    assert_eq!(ask("/admin/api/jobs/cancel", json!({ "type": "shop_redact" })).0, 409, "an obligation");
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'pending'"), 1);
    let again = ask("/admin/api/jobs/retry", json!({ "status": "cancelled", "type": "fine" }));
    assert_eq!(again, (200, json!({ "matched": 250, "changed": 250 })));
    assert_eq!(ask("/admin/api/jobs/retry", json!({ "status": "pending" })).0, 422);
    assert_eq!(ask("/admin/api/jobs/cancel", json!({ "status": "failed" })).0, 422);
}

#[test]
fn a_retry_of_all_leaves_a_job_whose_place_another_has_taken() {
    let fixture = fixture();
    let keyed = || fixture.app.enqueue(NewJob::new("fax", json!({})).dedupe_key("k")).expect("enqueued");
    let first = keyed();
    fixture.run_jobs();
    keyed();
    let answer = fixture.admin("POST", "/admin/api/jobs/retry", Some(&json!({ "type": "fax" }))).json_body();
    assert_eq!(answer, json!({ "matched": 1, "changed": 0 }));
    assert_eq!(fixture.job(first).status, Status::Failed);
}

#[test]
fn jobs_of_a_paused_type_wait_others_run_and_after_the_resumption_all_have_run() {
    let fixture = fixture();
    let operator = Person::operator(&fixture);
    assert_eq!(operator.post("/admin/jobs/types/pause", "type=fine").status, 303);
    // More of them than one claim holds, and before the other.
    for _ in 0..1_500 {
        fixture.enqueue("fine", json!({}));
    }
    fixture.advance(Duration::from_secs(1));
    let fax = fixture.enqueue("fax", json!({}));
    assert_eq!(fixture.admin("POST", "/admin/api/jobs/run", Some(&json!({}))).json_body()["processed"], 0);
    fixture.run_jobs();
    fixture.run_jobs();
    assert_eq!(fixture.job(fax).status, Status::Failed, "it ran");
    assert_eq!(
        fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE type = 'fine' AND status = 'pending'"),
        1_500
    );
    let listed = fixture.admin("GET", "/admin/api/jobs/types", None).json_body();
    assert_eq!(listed["paused"][0]["type"], "fine");
    assert!(text(&operator.get("/admin")).contains("are paused since"));
    assert_eq!(operator.post("/admin/jobs/types/resume", "type=fine").status, 303);
    assert_eq!(operator.post("/admin/jobs/types/resume", "type=fine").status, 409, "it is resumed");
    fixture.run_jobs();
    assert_eq!(
        fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE type = 'fine' AND status = 'completed'"),
        1_500
    );
    assert_eq!(fixture.count("paused_job_types"), 0);
}

#[test]
fn a_worker_that_has_nothing_else_to_do_runs_what_a_resumption_releases() {
    let fixture = fixture();
    let operator = Person::operator(&fixture);
    assert_eq!(operator.post("/admin/jobs/types/pause", "type=fine").status, 303);
    let job = fixture.enqueue("fine", json!({}));
    let running = std::sync::Arc::new(fixture.app.worker().expect("a worker")).start(1).expect("threads");
    wait_until("the job is held", || fixture.query::<bool>("SELECT held FROM job_queue"));
    assert_eq!(operator.post("/admin/jobs/types/resume", "type=fine").status, 303);
    wait_until("it is run", || fixture.job(job).status == Status::Completed);
    wait_until("the pause has ended", || fixture.count("paused_job_types") == 0);
    drop(running);
}

#[test]
fn an_obligation_is_never_paused() {
    let fixture = Fixture::new();
    for job_type in ["shop_redact", "customer_redact", "customers_data_request", "shop_redact_inquiry"] {
        let refused = fixture.admin("POST", &format!("/admin/api/jobs/types/{job_type}/pause"), None);
        assert_eq!(refused.status, 409, "{job_type}");
    }
    assert_eq!(fixture.count("paused_job_types"), 0);
}

#[test]
fn no_look_at_jobs_deliveries_or_counts_walks_a_whole_table() {
    let fixture = Fixture::new();
    for (sql, index) in [
        (
            "SELECT count(*) FROM (SELECT 1 FROM job_queue INDEXED BY job_queue_pending WHERE status = 'pending' LIMIT 9)",
            "job_queue_pending",
        ),
        (
            "SELECT id FROM job_queue INDEXED BY job_queue_failed WHERE status = 'failed' AND type = 'a' AND error = 'b' LIMIT 9",
            "job_queue_failed",
        ),
        ("SELECT id FROM job_queue INDEXED BY job_queue_held WHERE held = 1 AND type = 'a' LIMIT 9", "job_queue_held"),
        (
            "SELECT topic FROM other_webhook_deliveries WHERE (received_at, topic, webhook_id) < (1, 'a', 'b') ORDER BY received_at DESC, topic DESC, webhook_id DESC LIMIT 9",
            "other_webhook_deliveries_received_at",
        ),
        ("SELECT type FROM gdpr_requests WHERE webhook_id IS NOT NULL AND id < 'g' ORDER BY id DESC", "PRIMARY KEY"),
        ("SELECT hour FROM activity_counts WHERE name = 'a' AND hour >= 1 ORDER BY hour", "PRIMARY KEY"),
        ("SELECT max(hour) FROM activity_counts WHERE name = 'a'", "PRIMARY KEY"),
    ] {
        let plan = crate::support::plans::plan(&fixture, sql);
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}
