//! Jobs that forget what they were about.

use super::fixture;
use quotegrid::domain::ids::JobId;
use quotegrid::queue::{self, Finish, NewJob, Status};
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// The jobs about `s` that have something to forget, as looks at two jobs each find them.
fn to_forget(fixture: &Fixture, except: Option<JobId>) -> Vec<Vec<JobId>> {
    let (mut looks, mut after) = (Vec::new(), None);
    loop {
        let found = fixture
            .app
            .db
            .read(|connection| queue::list_to_forget(connection, "s", except, "requestId", after, 2))
            .expect("readable");
        looks.push(found.ids);
        after = found.looked_until;
        if !found.more {
            return looks;
        }
    }
}

fn forget(fixture: &Fixture, jobs: Vec<JobId>) {
    let now = fixture.now();
    fixture.app.db.write(move |tx| queue::forget(tx, now, &jobs, "requestId")).expect("writable");
}

#[test]
fn jobs_that_have_something_to_forget_are_found_in_steps_and_once() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done().keeping(json!({ "kept": 1 }))));
    let about = |subject: &str| {
        // Ids of one millisecond are in no order.
        fixture.advance(Duration::from_millis(1));
        fixture.app.enqueue(NewJob::new("any", json!({ "name": "x" })).about(subject)).expect("enqueued")
    };
    let ids: Vec<JobId> = (0..5).map(|_| about("s")).collect();
    about("other");
    fixture.run_jobs();
    let waiting = about("s");
    assert_eq!(to_forget(&fixture, Some(waiting)), [&ids[..2], &ids[2..4], &ids[4..], &[]]);
    forget(&fixture, ids[..3].to_vec());
    assert_eq!(to_forget(&fixture, None).concat(), [ids[3], ids[4], waiting]);
    forget(&fixture, to_forget(&fixture, None).concat());
    assert_eq!(to_forget(&fixture, None).concat(), []);
    let left = "SELECT group_concat(subject || status || payload) FROM job_queue WHERE payload <> '{}'";
    assert_eq!(fixture.query::<String>(left), r#"othercompleted{"kept":1}"#);
}

#[test]
fn forgetting_a_subject_reaches_its_jobs_and_no_others() {
    let fixture = fixture("any", |_job, _context| Ok(Finish::done().keeping(json!({ "kept": 1 }))));
    let about = |subject: &str, payload: Value| {
        fixture.advance(Duration::from_millis(1));
        fixture.app.enqueue(NewJob::new("any", payload).about(subject)).expect("enqueued")
    };
    let finished = about("s", json!({ "name": "x" }));
    fixture.run_jobs();
    let with_member = about("s", json!({ "requestId": "r", "name": "x" }));
    let without = about("s", json!({ "name": "x" }));
    let own = about("s", json!({ "name": "x" }));
    let other = about("other", json!({ "name": "x" }));
    let found = to_forget(&fixture, Some(own)).concat();
    assert_eq!(found, [finished, with_member, without]);
    forget(&fixture, found);
    let found: HashMap<_, _> = [finished, with_member, without, own, other]
        .map(|id| (id, (fixture.job(id).status, fixture.job(id).payload)))
        .into();
    assert_eq!(found[&finished], (Status::Completed, json!({})));
    assert_eq!(found[&with_member], (Status::Pending, json!({ "requestId": "r" })));
    assert_eq!(found[&without], (Status::Cancelled, json!({})));
    assert_eq!(found[&own], (Status::Pending, json!({ "name": "x" })));
    assert_eq!(found[&other], (Status::Pending, json!({ "name": "x" })));
}
