//! The main job, from a signed webhook to an erased store, and the shapes of the commands that show it.

use super::harness::*;
use quotegrid::shopify::Topic;
use serde_json::{Value, json};

#[test]
fn a_signed_shop_redact_erases_the_store_and_every_command_reports_it() {
    let machine = Machine::new();
    machine.json(&["migrate"]);
    fill(&mut machine.connection(), "one.myshopify.com", "one-mark");
    let added = machine.json(&["stores", "add", "two.myshopify.com"]);
    assert_eq!(added["shop"], "two.myshopify.com");
    assert!(added["apiKey"].as_str().is_some_and(|key| key.len() > 20), "{added}");
    let stores = machine.json(&["stores", "list"]);
    assert_eq!(shops(&stores), ["one.myshopify.com", "two.myshopify.com"]);
    let one = &stores["stores"][0];
    assert_eq!((&one["matrices"], &one["optionGroups"], &one["draftOrders"]), (&json!(2), &json!(1), &json!(40)));
    assert_members(one, &["shop", "installedAt", "uninstalledAt", "matrices", "optionGroups", "draftOrders"]);

    let server = machine.serve(&[]).ready();
    assert_eq!(server.ready["event"], "listening");
    assert_eq!(server.ready["database"], json!(machine.database));
    let hook = Hook::new(Topic::ShopRedact, "one.myshopify.com");
    let answer = server.client().post(&hook);
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("accepted")), "{answer:?}");
    let job = answer.job().expect("a job");
    let again = server.client().post(&hook);
    assert_eq!((again.status, &again.body["status"], again.job()), (200, &json!("duplicate"), Some(job.clone())));
    machine.settle();

    assert_eq!(shops(&machine.json(&["stores", "list"])), ["two.myshopify.com"]);
    let jobs = machine.json(&["jobs", "list"]);
    let found = &jobs["jobs"][0];
    assert_members(
        found,
        &["id", "type", "status", "attempts", "maxAttempts", "scheduledAt", "processedAt", "error", "createdAt"],
    );
    assert_eq!(
        (&found["id"], &found["status"], &found["type"]),
        (&json!(job), &json!("completed"), &json!("shop_redact"))
    );
    assert_eq!((&found["attempts"], &found["error"]), (&json!(1), &Value::Null));
    let requests = machine.json(&["gdpr", "list"]);
    let request = &requests["requests"][0];
    assert_members(
        request,
        &["id", "shop", "type", "webhookId", "createdAt", "dueAt", "processedAt", "erasedAt", "outcome", "deleted"],
    );
    assert_eq!(
        (&request["shop"], &request["type"], &request["webhookId"], &request["outcome"]),
        (&json!("one.myshopify.com"), &json!("SHOP_REDACT"), &json!(hook.id), &json!("erased"))
    );
    assert!(request["processedAt"].is_string() && request["erasedAt"].is_string(), "{request}");
    assert_eq!(request["deleted"], json!(filled_counts()));
    let counts = json!({ "pending": 0, "processing": 0, "completed": 1, "failed": 0, "cancelled": 0 });
    assert_eq!(machine.json(&["jobs", "stats"]), counts);
    let verified = machine.json(&["gdpr", "verify"]);
    assert_eq!((&verified["ok"], &verified["receipts"], &verified["leftovers"]), (&json!(true), &json!(2), &json!([])));
    assert!(server.log().contains("[GDPR] shop redact completed for one.myshopify.com"));

    assert_eq!(machine.json(&["jobs", "run-next"]), json!({ "processed": false }));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn run_next_runs_one_job_and_its_exit_code_is_0_when_the_job_fails() {
    let machine = Machine::new();
    let enqueued = machine.json(&["jobs", "enqueue", "shop_redact", r#"{"shop":"a.myshopify.com"}"#]);
    let id = enqueued["jobId"].as_str().expect("an id").to_owned();
    assert_eq!(
        machine.json(&["jobs", "run-next"]),
        json!({ "processed": true, "jobId": id, "type": "shop_redact", "error": null })
    );
    let enqueued = machine.json(&["jobs", "enqueue", "nonsense", "{}", "--max-attempts", "1"]);
    assert_eq!(
        machine.json(&["jobs", "run-next"]),
        json!({ "processed": true, "jobId": enqueued["jobId"], "type": "nonsense", "error": "Unknown job type: nonsense" })
    );
    let waiting = machine.json(&["jobs", "show", enqueued["jobId"].as_str().expect("an id")]);
    assert_eq!(
        (&waiting["status"], &waiting["attempts"]),
        (&json!("pending"), &json!(0)),
        "another program may know it"
    );
    let enqueued = machine.json(&["jobs", "enqueue", "shop_redact", r#"{"shop":7}"#]);
    assert!(machine.json(&["jobs", "run-next"])["error"].is_string());
    let failed = machine.json(&["jobs", "show", enqueued["jobId"].as_str().expect("an id")]);
    assert_eq!((&failed["status"], &failed["attempts"]), (&json!("failed"), &json!(1)));
    assert_eq!(machine.json(&["jobs", "run-next"]), json!({ "processed": false }));
    assert_exactly_once(&machine);
}

fn shops(stores: &Value) -> Vec<&str> {
    let stores = stores["stores"].as_array().expect("a list");
    stores.iter().map(|store| store["shop"].as_str().expect("text")).collect()
}

fn assert_members(document: &Value, members: &[&str]) {
    let object = document.as_object().expect("an object");
    for member in members {
        assert!(object.contains_key(*member), "no {member} in {document}");
    }
}
