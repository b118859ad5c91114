//! The real thing: two apps on one file, driven by the operations, and compared with the model row by row.

mod compare;
mod handlers;
mod process;

use super::ops::{Act, Answer, Hook, Op};
use super::reference::{Model, START};
use chrono::DateTime;
use handlers::{DIES, Event};
use process::Process;
use proptest_state_machine::StateMachineTest;
use quotegrid::app::App;
use quotegrid::background::Stop;
use quotegrid::catalog::{matrices, stores};
use quotegrid::clock::{Clock, ManualClock};
use quotegrid::db;
use quotegrid::domain::ids::{JobId, MatrixId, RequestId, ShopDomain};
use quotegrid::domain::length::{Length, Unit};
use quotegrid::domain::matrix::{OutOfRange, PriceMatrix, SizeLimits};
use quotegrid::domain::money::Minor;
use quotegrid::erasure::receipts;
use quotegrid::erasure::scrub::Scrubbed;
use quotegrid::error::{Error, Kind};
use quotegrid::housekeeping::Pruned;
use quotegrid::intake::IntakeOutcome;
use quotegrid::queue::{NewJob, StepOutcome};
use quotegrid::shopify::{Topic, Webhook, WebhookEvent};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How often something is looked at that another thread brings about.
pub(super) const LOOK: Duration = Duration::from_millis(1);

pub(super) struct System {
    processes: Vec<Process>,
    jobs: Vec<JobId>,
    /// In the order in which they were written.
    requests: RefCell<Vec<RequestId>>,
    clock: Arc<ManualClock>,
    lives: u64,
    directory: tempfile::TempDir,
}

impl StateMachineTest for System {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(_model: &Model) -> Self {
        // The same for every history, so that tests alongside each other do no harm.
        fail::cfg_callback("queue::ran", || {
            if DIES.take() {
                panic!("dies on purpose");
            }
        })
        .expect("a failpoint");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let clock = Arc::new(ManualClock::new(instant(START)));
        let (processes, jobs, requests) = (Vec::new(), Vec::new(), RefCell::default());
        let mut system = Self { processes, jobs, requests, clock, lives: 0, directory };
        for _ in 0..2 {
            system.lives += 1;
            system.processes.push(Process::start(system.database(), system.clock.clone(), system.lives));
        }
        system
    }

    fn apply(mut system: Self, model: &Model, op: Op) -> Self {
        system.act(model, op);
        system
    }

    fn check_invariants(system: &Self, model: &Model) {
        system.compare(model);
    }

    fn teardown(mut system: Self, model: Model) {
        for process in &mut system.processes {
            process.die();
        }
        let broken = system.app().db.read(receipts::walk).expect("readable").broken_at;
        assert_eq!(broken, None);
        for job in &model.jobs {
            assert!(job.effects <= 1, "{job:?}");
        }
    }
}

impl System {
    fn database(&self) -> PathBuf {
        self.directory.path().join("model.db")
    }

    fn app(&self) -> &App {
        &self.processes[0].app
    }

    fn index(&self, id: JobId) -> usize {
        self.jobs.iter().position(|known| *known == id).expect("a job that the test has seen enqueued")
    }

    fn act(&mut self, model: &Model, op: Op) {
        self.clock.set(instant(model.now));
        let answer = match op {
            Op::Pass { .. } | Op::Set { .. } => Answer::Nothing,
            Op::Enqueue { act, shop, key, at, max_attempts } => {
                let job_type = if act == Act::Unknown { "nobody_knows" } else { "act" };
                let job = NewJob::new(job_type, act_payload(act, shop)).max_attempts(max_attempts);
                self.enqueue(model, job, key, at)
            }
            Op::EnqueueDuty { kind, shop: number } => {
                let job = NewJob::new(kind.job_type(), json!({ "shop": shop(number).as_str() }));
                self.enqueue(model, job, None, None)
            }
            Op::Deliver { hook, shop, id, event } => self.deliver(model, hook, shop, id, event),
            Op::Install { shop } => self.install(shop),
            Op::Run { process } => {
                let step = self.processes[process].worker.step().expect("a working database");
                self.ran(step)
            }
            Op::Begin { process, pause } => match self.processes[process].begin(pause) {
                Event::Ended(step) => self.ran(step),
                Event::Broken(why) => panic!("{why}"),
                Event::Begun => match model.answer {
                    // Which job it is shows in the rows.
                    Answer::Begun(job) => Answer::Begun(job),
                    _ => panic!("a job was begun, expected {:?}", model.answer),
                },
            },
            Op::Resume { process } => {
                let step = self.processes[process].resume();
                self.ran(step)
            }
            Op::Crash { process } => {
                self.processes[process].die();
                // Gone before it is there again, or it would be its own neighbour.
                let gone = self.processes.remove(process);
                drop(gone);
                self.lives += 1;
                let again = Process::start(self.database(), self.clock.clone(), self.lives);
                self.processes.insert(process, again);
                Answer::Nothing
            }
            Op::CrashWithClaims { .. } => {
                if let Answer::Claimed(claimed) = &model.answer {
                    self.crash_with_claims(claimed, model.now);
                }
                model.answer.clone()
            }
            Op::Scrub { process } => match self.processes[process].app.scrubber().scrub_all().expect("it works") {
                Scrubbed::Nothing => Answer::Scrubbed(0),
                Scrubbed::Erased(requests) => Answer::Scrubbed(requests),
                Scrubbed::Busy | Scrubbed::Unchecked => panic!("nobody reads, and this build can look"),
            },
            Op::Cancel { job } => {
                let (now, id) = (self.clock.now(), self.jobs[job]);
                self.processes[job % 2].change(move |queue, tx| queue.cancel(tx, now, id))
            }
            Op::Retry { job } => {
                let (now, id) = (self.clock.now(), self.jobs[job]);
                self.processes[job % 2].change(move |queue, tx| queue.retry(tx, now, id))
            }
            Op::Prune { process } => {
                let stop = Stop::default();
                let pruned = self.processes[process].app.housekeeper().prune(&stop).expect("a working database");
                let Pruned { jobs, deliveries, requests, order_keys: 0, open_orders: 0, audit: 0, activity: 0 } =
                    pruned
                else {
                    panic!("the model orders nothing")
                };
                Answer::Pruned { jobs, deliveries, requests }
            }
            Op::Stop(stop) => {
                if let Answer::Stopped { given_back } = &model.answer {
                    let given_back: Vec<JobId> = given_back.iter().map(|index| self.jobs[*index]).collect();
                    self.processes[stop.process].stop(&stop, &given_back);
                }
                model.answer.clone()
            }
        };
        assert_eq!(answer, model.answer);
    }

    fn ran(&self, step: StepOutcome) -> Answer {
        match step {
            StepOutcome::Idle => Answer::Idle,
            StepOutcome::Ran { id, error, .. } => Answer::Ran { job: self.index(id), failed: error.is_some() },
        }
    }

    /// The place of a job, which gets the next one when it is new.
    fn place(&mut self, id: JobId) -> usize {
        if !self.jobs.contains(&id) {
            self.jobs.push(id);
        }
        self.index(id)
    }

    fn enqueue(&mut self, model: &Model, job: NewJob, key: Option<u8>, at: Option<i64>) -> Answer {
        let job = match key {
            Some(key) => job.dedupe_key(format!("key {key}")),
            None => job,
        };
        let job = match at {
            Some(at) => job.scheduled_at(instant(model.now + at)),
            None => job,
        };
        let id = self.app().enqueue(job).expect("enqueued");
        Answer::Enqueued(self.place(id))
    }

    fn deliver(
        &mut self,
        model: &Model,
        hook: Hook,
        shop_number: usize,
        id: Option<u8>,
        triggered: Option<i64>,
    ) -> Answer {
        let (topic, event) = match hook {
            Hook::DataRequest => {
                (Topic::CustomersDataRequest, WebhookEvent::CustomersDataRequest { data_request_id: Some(9) })
            }
            Hook::CustomersRedact => {
                let event = WebhookEvent::CustomersRedact { customer_id: Some(7), orders_to_redact: Some(vec![1, 2]) };
                (Topic::CustomersRedact, event)
            }
            Hook::ShopRedact => (Topic::ShopRedact, WebhookEvent::ShopRedact),
            Hook::Uninstalled => (Topic::AppUninstalled, WebhookEvent::AppUninstalled),
        };
        let webhook = Webhook {
            topic,
            webhook_id: id.map(|id| format!("id-{id}")),
            event_id: None,
            shop: shop(shop_number),
            triggered_at: triggered.map(|at| instant(model.now + at)),
            event,
        };
        let (sender, receiver) = channel();
        let body = format!("the body of shop {shop_number}");
        self.processes[shop_number % 2].intake.accept_then(webhook, body.as_bytes(), move |outcome| {
            sender.send(outcome).expect("the test waits");
        });
        match receiver.recv().expect("answered").expect("taken") {
            IntakeOutcome::Accepted(job) => Answer::Accepted(job.map(|id| self.place(id))),
            IntakeOutcome::Duplicate(job) => Answer::Duplicate(job.map(|id| self.place(id))),
            IntakeOutcome::Ignored => panic!("the topic is known"),
        }
    }

    fn install(&self, shop_number: usize) -> Answer {
        let (now, entropy) = (self.clock.now(), self.app().entropy.clone());
        let installed = self.app().db.write(move |tx| -> Result<_, Error> {
            let currency = "EUR".parse().expect("a currency");
            let installed = stores::install(tx, now, entropy.as_ref(), &shop(shop_number), currency, Unit::Mm)?;
            if let stores::Installed::New(scope) = installed {
                let step = |thousandths| Length::from_thousandths(thousandths).expect("a length");
                let matrix = PriceMatrix::new(
                    &[step(100_000)],
                    &[step(100_000), step(200_000)],
                    &[vec![Some(Minor::new(1))], vec![None]],
                    OutOfRange::Reject,
                    SizeLimits::default(),
                );
                let (name, matrix) = ("matrix".parse().expect("a name"), matrix.expect("sound"));
                matrices::insert(tx, now, MatrixId::new(now, entropy.array()), scope, &name, &matrix)?;
            }
            Ok(installed)
        });
        match installed {
            Ok(stores::Installed::New(_)) => Answer::Installed { again: false },
            Ok(stores::Installed::Again(_)) => Answer::Installed { again: true },
            Err(error) if error.kind() == Kind::Conflict => Answer::Conflict,
            Err(error) => panic!("{error}"),
        }
    }

    /// Leaves claims behind as a process does that was killed right after it had made them.
    fn crash_with_claims(&self, claimed: &[usize], now: i64) {
        let ids: Vec<String> = claimed.iter().map(|index| self.jobs[*index].to_string()).collect();
        // Each crash is of another process: claims of one are taken for each other's company.
        let dead = ids.first().map(|id| format!("0:dead-{id}"));
        let done: db::Result<()> = self.app().db.write(move |tx| {
            for id in &ids {
                let changed = tx.execute(
                    "UPDATE job_queue SET status = 'processing', attempts = attempts + 1, claim = claim + 1,
                         batched = ?1, claimed_by = ?4, claimed_at = ?2, lease_expires_at = ?2 + 30000
                     WHERE id = ?3 AND status = 'pending' AND (scheduled_at <= ?2 OR turn_at IS NOT NULL)",
                    (ids.len() > 1, now, id, &dead),
                )?;
                assert_eq!(changed, 1);
            }
            Ok(())
        });
        done.expect("writable");
    }
}

fn shop(number: usize) -> ShopDomain {
    format!("shop-{number}.myshopify.com").parse().expect("a shop domain")
}

fn instant(millis: i64) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp_millis(millis).expect("in range")
}

fn act_payload(act: Act, shop_number: Option<usize>) -> Value {
    let (name, number) = match act {
        Act::Succeed => ("succeed", 0),
        Act::FailUntil(attempt) => ("fail", i64::from(attempt)),
        Act::SnoozeUntil(claim) => ("snooze", claim),
        Act::Permanent => ("permanent", 0),
        Act::Panic => ("panic", 0),
        Act::EffectFails => ("effect fails", 0),
        Act::Unknown => ("unknown", 0),
    };
    let mut payload = json!({ "act": name, "n": number });
    if let Some(number) = shop_number {
        payload["shop"] = json!(shop(number).as_str());
    }
    payload
}
