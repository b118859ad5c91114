//! Jobs that forget what they were about.

use super::fixture;
use quotegrid::queue::{self, Finish, NewJob, Status};
use serde_json::{Value, json};
use std::collections::HashMap;

#[test]
fn finished_jobs_forget_in_steps_and_unfinished_ones_are_left_alone() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done().keeping(json!({ "kept": 1 }))));
    let about = |subject: &str| {
        fixture.app.enqueue(NewJob::new("any", json!({ "name": "x" })).about(subject)).expect("enqueued");
    };
    for subject in ["s", "s", "s", "s", "s", "other"] {
        about(subject);
    }
    fixture.run_jobs();
    about("s");
    let steps: Vec<usize> =
        (0..4).map(|_| fixture.app.db.write(|tx| queue::forget_finished(tx, "s", 2)).expect("writable")).collect();
    assert_eq!(steps, [2, 2, 1, 0]);
    let left = "SELECT group_concat(subject || status || payload) FROM (SELECT * FROM job_queue WHERE payload <> '{}' ORDER BY id)";
    assert_eq!(fixture.query::<String>(left), r#"othercompleted{"kept":1},spending{"name":"x"}"#);
}

#[test]
fn forgetting_a_subject_reaches_its_jobs_and_no_others() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done().keeping(json!({ "kept": 1 }))));
    let about = |subject: &str, payload: Value| {
        fixture.app.enqueue(NewJob::new("any", payload).about(subject)).expect("enqueued")
    };
    let finished = about("s", json!({ "name": "x" }));
    fixture.run_jobs();
    let with_member = about("s", json!({ "requestId": "r", "name": "x" }));
    let without = about("s", json!({ "name": "x" }));
    let own = about("s", json!({ "name": "x" }));
    let other = about("other", json!({ "name": "x" }));
    let now = fixture.now();
    let forgotten = fixture.app.db.write(move |tx| queue::forget(tx, now, "s", own, "requestId")).expect("writable");
    assert_eq!(forgotten, 3);
    let found: HashMap<_, _> = [finished, with_member, without, own, other]
        .map(|id| (id, (fixture.job(id).status, fixture.job(id).payload)))
        .into();
    assert_eq!(found[&finished], (Status::Completed, json!({})));
    assert_eq!(found[&with_member], (Status::Pending, json!({ "requestId": "r" })));
    assert_eq!(found[&without], (Status::Cancelled, json!({})));
    assert_eq!(found[&own], (Status::Pending, json!({ "name": "x" })));
    assert_eq!(found[&other], (Status::Pending, json!({ "name": "x" })));
}
