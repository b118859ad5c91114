//! The real thing: two apps on one file, driven by the operations, and compared with the model row by row.

use super::reference::{
    Act, Answer, Hook, Job, KEPT_DELIVERIES, KEPT_FAILED, KEPT_FINISHED, KEPT_REQUESTS, Model, Op, PauseAt, Payload,
    SHOPS, SNOOZE, START, Stop, What,
};
use chrono::{DateTime, TimeDelta};
use proptest_state_machine::StateMachineTest;
use quotegrid::app::{App, Options};
use quotegrid::catalog::{matrices, stores};
use quotegrid::clock::{Clock, ManualClock};
use quotegrid::db::{self, Synchronous};
use quotegrid::domain::ids::{JobId, MatrixId, RequestId, ShopDomain};
use quotegrid::domain::length::{Length, Unit};
use quotegrid::domain::matrix::{Limits, Outside, PriceMatrix};
use quotegrid::domain::money::Minor;
use quotegrid::entropy::SeededEntropy;
use quotegrid::erasure::customer::{CustomerRedact, CustomersDataRequest};
use quotegrid::erasure::scrub::Scrubbed;
use quotegrid::erasure::shop::ShopRedact;
use quotegrid::erasure::{self, receipts};
use quotegrid::error::{Error, Kind};
use quotegrid::housekeeping::{self, Pruned, Retention};
use quotegrid::intake::{Intake, Outcome};
use quotegrid::queue::{self, Claim, Context, Finish, Handler, JobError, NewJob, Queue, Registry, Step, Worker};
use quotegrid::shopify::{Notice, Topic, Webhook};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

thread_local! {
    /// Set in a run that is to die once its handler has returned.
    static DIES: Cell<bool> = const { Cell::new(false) };
}

/// How often something is looked at that another thread brings about.
const LOOK: Duration = Duration::from_millis(1);

/// Longer than any run takes.
const LONG: Duration = Duration::from_secs(120);

/// What a paused run is told.
enum Word {
    GoOn,
    Die,
}

/// What a run tells.
enum Event {
    Begun,
    Ended(Step),
    /// The database did not work, or the run died.
    Broken(String),
}

/// How a process's next runs are paused.
struct Control {
    /// Where, and how many of them.
    pause: Mutex<Option<(PauseAt, usize)>>,
    /// A run that goes on waits until its worker wants to stop.
    until_stop: AtomicBool,
    events: Mutex<Sender<Event>>,
    words: Mutex<Receiver<Word>>,
}

impl Control {
    /// Whether a run that begins now is to pause.
    fn take_pause(&self) -> Option<PauseAt> {
        let mut pause = self.pause.lock().expect("unpoisoned");
        let (at, left) = (*pause)?;
        *pause = (left > 1).then_some((at, left - 1));
        Some(at)
    }

    /// Tells that the run has begun and waits; `false`: it is to die.
    fn wait_in(&self, context: &Context) -> bool {
        self.events.lock().expect("unpoisoned").send(Event::Begun).expect("the test listens");
        // A test that has failed hangs up.
        let goes_on = matches!(self.words.lock().expect("unpoisoned").recv(), Ok(Word::GoOn));
        DIES.set(!goes_on);
        while goes_on && self.until_stop.load(Ordering::Relaxed) && !context.is_stopping() {
            std::thread::sleep(LOOK);
        }
        goes_on
    }
}

/// A handler that can be paused.
struct Pausing<H> {
    inner: H,
    control: Arc<Control>,
}

impl<H: Handler> Handler for Pausing<H> {
    fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError> {
        let pause = self.control.take_pause();
        if pause == Some(PauseAt::Before) && !self.control.wait_in(context) {
            return Ok(Finish::done());
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| self.inner.run(job, context)));
        if pause == Some(PauseAt::After) && !self.control.wait_in(context) {
            return Ok(Finish::done());
        }
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Does what its payload says.
struct Acting;

impl Handler for Acting {
    fn run(&self, job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        let number = job.payload["n"].as_i64().unwrap_or_default();
        let fails = match job.payload["act"].as_str().unwrap_or_default() {
            "fail" if i64::from(job.attempt) <= number => return Err(JobError::Retry("not yet".to_owned())),
            "snooze" if job.number <= number => {
                return Err(JobError::Snooze(Duration::from_millis(SNOOZE.unsigned_abs())));
            }
            "permanent" => return Err(JobError::Permanent("never".to_owned())),
            "panic" => panic!("on purpose"),
            other => other == "effect fails",
        };
        let name = format!("effect {}", job.id);
        Ok(Finish::with(move |tx, _now| {
            tx.execute(
                "INSERT INTO meta (name, value) VALUES (?1, x'01')
                 ON CONFLICT (name) DO UPDATE SET value = CAST(value || x'01' AS BLOB)",
                [name],
            )?;
            if fails { Err(Error::new(Kind::Internal, "after the effect")) } else { Ok(()) }
        }))
    }
}

fn new_worker(app: &App, queue: &Queue) -> Arc<Worker> {
    // A run that is paused is not kept alive: what a history leads to must not depend on how long it takes.
    let options = queue::Options { round: Duration::from_secs(86_400), ..queue::Options::default() };
    let worker = Worker::new(app.db.clone(), queue.clone(), app.clock.clone(), app.entropy.as_ref(), options);
    Arc::new(worker.expect("a worker"))
}

struct Process {
    app: App,
    intake: Intake,
    queue: Queue,
    worker: Arc<Worker>,
    control: Arc<Control>,
    events: Receiver<Event>,
    /// For the run that tells its end.
    ended: Sender<Event>,
    words: Sender<Word>,
    paused: Option<JoinHandle<()>>,
}

impl Process {
    fn start(database: PathBuf, clock: Arc<ManualClock>, seed: u64) -> Self {
        let mut options = Options::new(database);
        // What is tested here is what is written, not whether it survives a power cut.
        options.database.synchronous = Synchronous::Normal;
        options.database.readers = 1;
        options.clock = clock.clone();
        options.entropy = Arc::new(SeededEntropy::new(seed));
        let kept = TimeDelta::milliseconds;
        options.retention = Retention {
            jobs: queue::Retention { finished: kept(KEPT_FINISHED), failed: kept(KEPT_FAILED) },
            deliveries: kept(KEPT_DELIVERIES),
            requests: kept(KEPT_REQUESTS),
        };
        let app = App::open(options).expect("a database");
        let (ended, events) = channel();
        let (words, heard) = channel();
        let control = Arc::new(Control {
            pause: Mutex::new(None),
            until_stop: AtomicBool::new(false),
            events: Mutex::new(ended.clone()),
            words: Mutex::new(heard),
        });
        let registry = Registry::new()
            .with("act", Pausing { inner: Acting, control: control.clone() })
            .with(
                erasure::SHOP_REDACT,
                Pausing { inner: ShopRedact::new(app.hasher.clone(), app.entropy.clone()), control: control.clone() },
            )
            .with(
                erasure::CUSTOMER_REDACT,
                Pausing { inner: CustomerRedact::new(app.hasher.clone()), control: control.clone() },
            )
            .with(erasure::CUSTOMERS_DATA_REQUEST, Pausing { inner: CustomersDataRequest, control: control.clone() });
        let queue = Queue::new(app.entropy.clone(), registry);
        let worker = new_worker(&app, &queue);
        Self { intake: Intake::new(&app), app, queue, worker, control, events, ended, words, paused: None }
    }

    fn begin(&mut self, pause: PauseAt) -> Event {
        *self.control.pause.lock().expect("unpoisoned") = Some((pause, 1));
        let (worker, ended) = (self.worker.clone(), self.ended.clone());
        let thread = std::thread::spawn(move || {
            let step = catch_unwind(AssertUnwindSafe(|| worker.step()));
            drop(worker);
            let event = match step {
                Ok(Ok(step)) => Event::Ended(step),
                Ok(Err(error)) => Event::Broken(error.to_string()),
                Err(_panic) => Event::Broken("it died".to_owned()),
            };
            // A test that has failed hangs up.
            let _nobody_listens = ended.send(event);
        });
        let event = self.events.recv().expect("the run tells");
        *self.control.pause.lock().expect("unpoisoned") = None;
        match event {
            Event::Begun => self.paused = Some(thread),
            Event::Ended(_) | Event::Broken(_) => thread.join().expect("no panic"),
        }
        event
    }

    fn resume(&mut self) -> Step {
        self.words.send(Word::GoOn).expect("it waits");
        let event = self.events.recv().expect("the run tells");
        self.paused.take().expect("it was paused").join().expect("no panic");
        match event {
            Event::Ended(step) => step,
            Event::Broken(why) => panic!("{why}"),
            Event::Begun => panic!("it had begun before"),
        }
    }

    /// Has threads work jobs off, and stops them when each of them runs one. `given_back` are those that were claimed and not begun.
    fn stop(&self, stop: &Stop, given_back: &[JobId]) {
        let worker = new_worker(&self.app, &self.queue);
        *self.control.pause.lock().expect("unpoisoned") = Some((stop.pause, stop.threads));
        self.control.until_stop.store(true, Ordering::Relaxed);
        let running = worker.start(stop.threads).expect("threads");
        for _ in 0..stop.threads {
            assert!(matches!(self.events.recv().expect("the runs tell"), Event::Begun));
        }
        if stop.in_time {
            let stopper = std::thread::spawn(move || running.stop(LONG));
            // First all others, or the end of this one might call them off before they are given back.
            let until = Instant::now() + LONG;
            while given_back.iter().any(|id| self.is_running(*id)) {
                assert!(Instant::now() < until, "what was not begun is given back");
                std::thread::sleep(LOOK);
            }
            self.words.send(Word::GoOn).expect("it waits");
            stopper.join().expect("stopped");
        } else {
            running.stop(Duration::ZERO);
            for _ in 0..stop.threads {
                self.words.send(Word::GoOn).expect("it waits");
            }
        }
        // Threads that are late must have failed to write what they came to.
        while Arc::strong_count(&worker) > 1 {
            std::thread::sleep(LOOK);
        }
        self.control.until_stop.store(false, Ordering::Relaxed);
    }

    fn is_running(&self, id: JobId) -> bool {
        let job = self.app.db.read(|connection| queue::find(connection, id)).expect("readable");
        job.expect("a job").status == queue::Status::Processing
    }

    /// Changes a job as an operator does.
    fn change(&self, change: impl FnOnce(&Queue, &db::Tx<'_>) -> Result<(), Error> + Send + 'static) -> Answer {
        let queue = self.queue.clone();
        match self.app.db.write(move |tx| change(&queue, tx)).map_err(|error: Error| error.kind()) {
            Ok(()) => Answer::Changed,
            Err(Kind::Conflict) => Answer::Conflict,
            Err(Kind::NotFound) => Answer::NotFound,
            Err(kind) => panic!("{kind:?}"),
        }
    }

    /// Ends a paused run as the death of its process would.
    fn die(&mut self) {
        if let Some(paused) = self.paused.take() {
            self.words.send(Word::Die).expect("it waits");
            paused.join().expect("no panic");
            let event = self.events.recv().expect("the run tells");
            assert!(matches!(event, Event::Broken(_)), "it dies before its end is written");
        }
    }
}

pub(super) struct System {
    processes: Vec<Process>,
    jobs: Vec<JobId>,
    /// In the order in which they were written.
    requests: RefCell<Vec<RequestId>>,
    clock: Arc<ManualClock>,
    lives: u64,
    directory: tempfile::TempDir,
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

    fn ran(&self, step: Step) -> Answer {
        match step {
            Step::Idle => Answer::Idle,
            Step::Ran { id, error, .. } => Answer::Ran { job: self.index(id), failed: error.is_some() },
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

    fn deliver(&mut self, model: &Model, hook: Hook, shop_number: usize, id: Option<u8>, event: Option<i64>) -> Answer {
        let (topic, notice) = match hook {
            Hook::DataRequest => {
                (Topic::CustomersDataRequest, Notice::CustomersDataRequest { data_request_id: Some(9) })
            }
            Hook::CustomersRedact => {
                let notice = Notice::CustomersRedact { customer_id: Some(7), orders_to_redact: Some(vec![1, 2]) };
                (Topic::CustomersRedact, notice)
            }
            Hook::ShopRedact => (Topic::ShopRedact, Notice::ShopRedact),
            Hook::Uninstalled => (Topic::AppUninstalled, Notice::AppUninstalled),
        };
        let webhook = Webhook {
            topic,
            webhook_id: id.map(|id| format!("id-{id}")),
            event_id: None,
            shop: shop(shop_number),
            triggered_at: event.map(|event| instant(model.now + event)),
            notice,
        };
        let (sender, receiver) = channel();
        let body = format!("the body of shop {shop_number}");
        self.processes[shop_number % 2].intake.accept_then(webhook, body.as_bytes(), move |outcome| {
            sender.send(outcome).expect("the test waits");
        });
        match receiver.recv().expect("answered").expect("taken") {
            Outcome::Accepted(job) => Answer::Accepted(job.map(|id| self.place(id))),
            Outcome::Duplicate(job) => Answer::Duplicate(job.map(|id| self.index(id))),
            Outcome::Ignored => panic!("the topic is known"),
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
                    Outside::Reject,
                    Limits::default(),
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
                     WHERE id = ?3 AND status = 'pending' AND scheduled_at <= ?2",
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

impl StateMachineTest for System {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(_model: &Model) -> Self {
        // The same for every history, so that tests beside each other do no harm.
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
                Scrubbed::Busy => panic!("nobody reads"),
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
                let stop = housekeeping::Stop::default();
                let pruned = self.processes[process].app.housekeeper().prune(&stop).expect("a working database");
                let Pruned { jobs, deliveries, requests, order_keys: 0 } = pruned else {
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

    fn compare(&self, model: &Model) {
        let compared = self.processes[1].app.db.read(|connection| {
            compare_requests(connection, model, &mut self.requests.borrow_mut())?;
            let requests = self.requests.borrow();
            self.compare_jobs(connection, model, &requests)?;
            compare_stores(connection, model)?;
            self.compare_deliveries(connection, model)?;
            self.compare_receipts(connection, model, &requests)
        });
        compared.expect("readable");
    }
}

/// A row of `job_queue`, as text: a difference is then told whole.
fn job_text(job: &Job, id: JobId, requests: &[RequestId]) -> String {
    let running = job.status == super::reference::Status::Processing;
    let payload = match (job.payload, job.what) {
        (Payload::Empty, _) => json!({}),
        (Payload::Request(request), _) => json!({ "requestId": requests[request].to_string() }),
        (Payload::Whole, What::Act(act)) => act_payload(act, job.shop),
        (Payload::Whole, What::Duty(_, request)) => {
            let mut payload = json!({ "shop": shop(job.shop.expect("a duty has one")).as_str() });
            if let Some(request) = request {
                payload["requestId"] = json!(requests[request].to_string());
            }
            payload
        }
    };
    let history: Vec<String> = job
        .history
        .iter()
        .map(|attempt| {
            format!(
                "{}:{} {}..{} {} {}",
                attempt.claim,
                attempt.attempt,
                attempt.started_at,
                attempt.ended_at,
                attempt.outcome,
                attempt.has_error
            )
        })
        .collect();
    format!(
        "{id} {} {} attempts {}/{} at {} from {:?} processed {:?} error {} claim {} rescues {} payload {payload} \
         claimed {:?} lease {:?} batched {} effects {} history {}",
        job.job_type(),
        job.status.as_str(),
        job.attempts,
        job.max_attempts,
        job.scheduled_at,
        job.scheduled_from,
        job.processed_at,
        job.has_error,
        job.claim,
        job.rescues,
        running.then_some(job.claimed_at),
        running.then_some(job.lease_until),
        job.batched,
        job.effects,
        history.join(", "),
    )
}

impl System {
    fn compare_jobs(&self, connection: &Connection, model: &Model, requests: &[RequestId]) -> db::Result<()> {
        let mut statement = connection.prepare_cached(
            "SELECT id, type, status, attempts, max_attempts, scheduled_at, scheduled_from, processed_at,
                 error IS NOT NULL AS has_error, claim, rescues, payload, claimed_at, lease_expires_at, batched,
                 (SELECT length(value) FROM meta WHERE name = 'effect ' || id) AS effects,
                 (SELECT group_concat(claim || ':' || attempt || ' ' || started_at || '..' || ended_at || ' ' || outcome
                      || ' ' || iif(error IS NULL, 'false', 'true'), ', ' ORDER BY claim)
                  FROM job_attempts WHERE job_id = job_queue.id) AS history
             FROM job_queue",
        )?;
        let rows = statement.query_map((), |row| {
            let id: JobId = row.get("id")?;
            let text = format!(
                "{id} {} {} attempts {}/{} at {} from {:?} processed {:?} error {} claim {} rescues {} payload {} \
                 claimed {:?} lease {:?} batched {} effects {} history {}",
                row.get::<_, String>("type")?,
                row.get::<_, String>("status")?,
                row.get::<_, i64>("attempts")?,
                row.get::<_, i64>("max_attempts")?,
                row.get::<_, i64>("scheduled_at")?,
                row.get::<_, Option<i64>>("scheduled_from")?,
                row.get::<_, Option<i64>>("processed_at")?,
                row.get::<_, bool>("has_error")?,
                row.get::<_, i64>("claim")?,
                row.get::<_, i64>("rescues")?,
                row.get::<_, Value>("payload")?,
                row.get::<_, Option<i64>>("claimed_at")?,
                row.get::<_, Option<i64>>("lease_expires_at")?,
                row.get::<_, bool>("batched")?,
                row.get::<_, Option<i64>>("effects")?.unwrap_or_default(),
                row.get::<_, Option<String>>("history")?.unwrap_or_default(),
            );
            Ok((id, text))
        })?;
        let rows: BTreeMap<JobId, String> = rows.collect::<rusqlite::Result<_>>()?;
        let kept = model.jobs.iter().zip(&self.jobs).filter(|(job, _)| !job.is_pruned);
        let expected: BTreeMap<JobId, String> = kept.map(|(job, id)| (*id, job_text(job, *id, requests))).collect();
        assert_eq!(rows, expected);
        Ok(())
    }

    fn compare_deliveries(&self, connection: &Connection, model: &Model) -> db::Result<()> {
        let mut expected: Vec<_> = model
            .deliveries
            .iter()
            .map(|((hook, _), (number, received_at, job))| {
                let topic = match hook {
                    Hook::DataRequest => "customers/data_request",
                    Hook::CustomersRedact => "customers/redact",
                    Hook::ShopRedact => "shop/redact",
                    Hook::Uninstalled => "app/uninstalled",
                };
                let job = job.map(|job| self.jobs[job].to_string());
                (topic.to_owned(), shop(*number).to_string(), *received_at, job)
            })
            .collect();
        expected.sort();
        let mut statement = connection.prepare_cached(
            "SELECT topic, shop, received_at, job_id FROM webhook_deliveries ORDER BY topic, shop, received_at",
        )?;
        let found = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        assert_eq!(found.collect::<rusqlite::Result<Vec<_>>>()?, expected);
        Ok(())
    }

    fn compare_receipts(&self, connection: &Connection, model: &Model, requests: &[RequestId]) -> db::Result<()> {
        let found = receipts::list_after(connection, 0, usize::MAX >> 1)?;
        let found: Vec<_> = found
            .iter()
            .map(|receipt| {
                let counts: Value = serde_json::from_str(&receipt.counts).expect("JSON");
                (
                    receipt.kind.clone(),
                    receipt.request_id.clone(),
                    receipt.request_type.clone(),
                    receipt.subject_hash,
                    receipt.outcome.clone(),
                    counts,
                    receipt.created_at.timestamp_millis(),
                )
            })
            .collect();
        let expected: Vec<_> = model
            .receipts
            .iter()
            .map(|receipt| {
                let request = &model.requests[receipt.request];
                (
                    receipt.kind.to_owned(),
                    Some(requests[receipt.request].to_string()),
                    request.kind.as_str().to_owned(),
                    erasure::subject_hash(&self.app().hasher, &shop(request.shop)),
                    receipt.outcome.to_owned(),
                    counts(receipt.deleted_store),
                    receipt.created_at,
                )
            })
            .collect();
        assert_eq!(found, expected);
        Ok(())
    }
}

fn counts(deleted_store: bool) -> Value {
    if deleted_store {
        json!({ "breakpoints": 3, "matrix_cells": 2, "price_matrices": 1, "stores": 1 })
    } else {
        json!({})
    }
}

/// Compares `gdpr_requests`, and adds new ones to the ids that are `known`, in the order in which they were written.
fn compare_requests(connection: &Connection, model: &Model, known: &mut Vec<RequestId>) -> db::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT id, type, shop, triggered_at, created_at, due_at - created_at AS days, processed_at, outcome, deleted,
             erased_at, payload <> '{}' AS has_payload, report IS NOT NULL AS has_report
         FROM gdpr_requests ORDER BY rowid",
    )?;
    let mut rows = statement.query(())?;
    let mut expected = model.requests.iter().enumerate().filter(|(_, request)| !request.is_pruned);
    while let Some(row) = rows.next()? {
        let (number, request) = expected.next().expect("a request that the model knows");
        let id: RequestId = row.get("id")?;
        if number == known.len() {
            known.push(id);
        }
        assert_eq!(known[number], id);
        let found = (
            row.get::<_, String>("type")?,
            row.get::<_, String>("shop")?,
            (row.get::<_, i64>("triggered_at")?, row.get::<_, i64>("created_at")?, row.get::<_, i64>("days")?),
            (row.get::<_, Option<i64>>("processed_at")?, row.get::<_, Option<i64>>("erased_at")?),
            row.get::<_, Option<String>>("outcome")?,
            row.get::<_, Option<Value>>("deleted")?,
            (row.get::<_, bool>("has_payload")?, row.get::<_, bool>("has_report")?),
        );
        let wanted = (
            request.kind.as_str().to_owned(),
            shop(request.shop).to_string(),
            (request.triggered_at, request.created_at, 30 * 86_400_000),
            (request.processed_at, request.erased_at),
            request.outcome.map(str::to_owned),
            request.processed_at.map(|_| counts(request.deleted_store)),
            (request.has_payload, request.outcome == Some("reported")),
        );
        assert_eq!(found, wanted);
    }
    assert!(expected.next().is_none(), "a request is missing");
    Ok(())
}

fn compare_stores(connection: &Connection, model: &Model) -> db::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT installed_at, uninstalled_at, erasing_since,
             (SELECT count(*) FROM price_matrices WHERE store_id = stores.id) AS matrices
         FROM stores WHERE shop = ?1",
    )?;
    for number in 0..SHOPS {
        let found = statement
            .query_map([shop(number).as_str()], |row| {
                let erasing: Option<i64> = row.get("erasing_since")?;
                Ok((row.get(0)?, row.get(1)?, erasing, row.get::<_, i64>("matrices")? > 0))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let expected: Vec<_> = model
            .stores
            .get(&number)
            .map(|store| (store.installed_at, store.uninstalled_at, store.erasing_since, store.is_full))
            .into_iter()
            .collect();
        assert_eq!(found, expected, "shop {number}");
    }
    Ok(())
}
