//! Threads that process jobs, and how they stop.

use super::{count_effect, fixture, outcomes, paused, worker};
use crate::support::waiting::wait_until;
use quotegrid::queue::{NewJob, Status};
use serde_json::json;
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn threads_work_off_a_backlog_and_what_comes_later() {
    let fixture = fixture("count", |job, _context| Ok(count_effect(&job.id.to_string())));
    for number in 0..300 {
        fixture.enqueue("count", json!(number));
    }
    let running = worker(&fixture).start(4).expect("threads");
    for number in 0..300 {
        fixture.enqueue("count", json!(number));
    }
    wait_until("all are completed", || {
        fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'completed'") == 600
    });
    running.stop(Duration::from_secs(60));
    assert_eq!(fixture.count("meta"), 601);
}

#[test]
fn a_job_scheduled_for_later_wakes_an_idle_worker_in_time() {
    let fixture = fixture("count", |job, _context| Ok(count_effect(&job.id.to_string())));
    let running = worker(&fixture).start(1).expect("threads");
    let at = fixture.now() + chrono::TimeDelta::hours(1);
    let id = fixture.app.enqueue(NewJob::new("count", json!({})).scheduled_at(at)).expect("enqueued");
    fixture.advance(Duration::from_secs(3_599));
    assert_eq!(fixture.job(id).status, Status::Pending);
    fixture.advance(Duration::from_secs(1));
    wait_until("it is completed", || fixture.job(id).status == Status::Completed);
    running.stop(Duration::from_secs(60));
}

#[test]
fn stopping_gives_back_what_was_not_begun_and_what_does_not_end_with_its_attempt() {
    let (begun, has_begun) = channel();
    let (let_go, go_on) = channel();
    let fixture = fixture("slow", paused(begun, go_on));
    let ids: Vec<_> = (0..5).map(|number| fixture.enqueue("slow", json!(number))).collect();
    let running = worker(&fixture).start(1).expect("threads");
    has_begun.recv().expect("the first begins");
    wait_until("five are running", || {
        fixture.query::<u64>("SELECT count(*) FROM job_queue WHERE status = 'processing'") == 5
    });
    running.stop(Duration::ZERO);
    for id in &ids {
        let job = fixture.job(*id);
        assert_eq!((job.status, job.attempts), (Status::Pending, 0));
        assert_eq!(outcomes(&fixture, *id), ["released"]);
    }
    let_go.send(()).expect("it waits");
}

#[test]
fn a_running_job_may_end_within_the_grace_period() {
    let (begun, has_begun) = channel();
    let (let_go, go_on) = channel();
    let fixture = fixture("slow", paused(begun, go_on));
    let id = fixture.enqueue("slow", json!({}));
    let running = worker(&fixture).start(2).expect("threads");
    has_begun.recv().expect("it begins");
    std::thread::scope(|scope| {
        scope.spawn(|| running.stop(Duration::from_secs(600)));
        let_go.send(()).expect("it waits");
    });
    assert_eq!(fixture.job(id).status, Status::Completed);
}
