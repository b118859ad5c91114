//! One of the two processes: an app on the file, and runs that pause where the history wants it.

use super::handlers::{Acting, Control, Event, Pausing, Word};
use crate::model::ops::{Answer, PauseAt, Stop};
use crate::model::reference::{KEPT_DELIVERIES, KEPT_FAILED, KEPT_FINISHED, KEPT_REQUESTS};
use crate::support::waiting::wait_until;
use chrono::TimeDelta;
use quotegrid::app::{App, Options};
use quotegrid::clock::ManualClock;
use quotegrid::db::{self, Synchronous};
use quotegrid::domain::ids::JobId;
use quotegrid::entropy::SeededEntropy;
use quotegrid::erasure;
use quotegrid::erasure::customer::{CustomerRedact, CustomersDataRequest};
use quotegrid::erasure::shop::ShopRedact;
use quotegrid::error::{Error, Kind};
use quotegrid::housekeeping::Retention;
use quotegrid::intake::Intake;
use quotegrid::queue::{self, Queue, Registry, StepOutcome, Worker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longer than any run takes.
const LONG: Duration = Duration::from_secs(120);

fn new_worker(app: &App, queue: &Queue) -> Arc<Worker> {
    // A run that is paused is not kept alive: what a history leads to must not depend on how long it takes.
    let options = queue::Options { tick: Duration::from_secs(86_400), ..queue::Options::default() };
    let worker = Worker::new(app.db.clone(), queue.clone(), app.clock.clone(), app.entropy.as_ref(), options);
    Arc::new(worker.expect("a worker"))
}

pub(super) struct Process {
    pub(super) app: App,
    pub(super) intake: Intake,
    pub(super) queue: Queue,
    pub(super) worker: Arc<Worker>,
    pub(super) control: Arc<Control>,
    pub(super) events: Receiver<Event>,
    /// For the run that tells its end.
    pub(super) ended: Sender<Event>,
    pub(super) words: Sender<Word>,
    pub(super) paused: Option<JoinHandle<()>>,
}

impl Process {
    pub(super) fn start(database: PathBuf, clock: Arc<ManualClock>, seed: u64) -> Self {
        let mut options = Options::new(database);
        // What is tested here is what is written, not whether it survives a power cut.
        options.database.synchronous = Synchronous::Normal;
        options.database.readers = 1;
        options.database.write_wait = LONG;
        options.clock = clock.clone();
        options.entropy = Arc::new(SeededEntropy::new(seed));
        let kept = TimeDelta::milliseconds;
        options.retention = Retention {
            jobs: queue::Retention { finished: kept(KEPT_FINISHED), failed: kept(KEPT_FAILED) },
            deliveries: kept(KEPT_DELIVERIES),
            requests: kept(KEPT_REQUESTS),
            open_orders: None,
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
        Self { intake: app.intake(), app, queue, worker, control, events, ended, words, paused: None }
    }

    pub(super) fn begin(&mut self, pause: PauseAt) -> Event {
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

    pub(super) fn resume(&mut self) -> StepOutcome {
        self.words.send(Word::GoOn).expect("it waits");
        let event = self.events.recv().expect("the run tells");
        self.paused.take().expect("it was paused").join().expect("no panic");
        match event {
            Event::Ended(step) => step,
            Event::Broken(why) => panic!("{why}"),
            Event::Begun => panic!("it had begun before"),
        }
    }

    /// Has threads process jobs, and stops them when each of them runs one. `given_back` are those that were claimed and not begun.
    pub(super) fn stop(&self, stop: &Stop, given_back: &[JobId]) {
        let worker = new_worker(&self.app, &self.queue);
        *self.control.pause.lock().expect("unpoisoned") = Some((stop.pause, stop.threads));
        self.control.until_stop.store(true, Ordering::Relaxed);
        let running = worker.start(stop.threads).expect("threads");
        for _ in 0..stop.threads {
            assert!(matches!(self.events.recv().expect("the runs tell"), Event::Begun));
        }
        if stop.in_time {
            let stopper = std::thread::spawn(move || running.stop(LONG));
            // First all others, or the end of this one might call them off before they are released.
            wait_until("what was not begun is given back", || !given_back.iter().any(|id| self.is_running(*id)));
            self.words.send(Word::GoOn).expect("it waits");
            stopper.join().expect("stopped");
        } else {
            running.stop(Duration::ZERO);
            for _ in 0..stop.threads {
                self.words.send(Word::GoOn).expect("it waits");
            }
        }
        // Threads that are late must have failed to write what they came to.
        wait_until("no thread of the worker is left", || Arc::strong_count(&worker) == 1);
        self.control.until_stop.store(false, Ordering::Relaxed);
    }

    fn is_running(&self, id: JobId) -> bool {
        let job = self.app.db.read(|connection| queue::find(connection, id)).expect("readable");
        job.expect("a job").status == queue::Status::Processing
    }

    /// Changes a job as an operator does.
    pub(super) fn change(
        &self,
        change: impl FnOnce(&Queue, &db::Tx<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Answer {
        let queue = self.queue.clone();
        match self.app.db.write(move |tx| change(&queue, tx)).map_err(|error: Error| error.kind()) {
            Ok(()) => Answer::Changed,
            Err(Kind::Conflict) => Answer::Conflict,
            Err(Kind::NotFound) => Answer::NotFound,
            Err(kind) => panic!("{kind:?}"),
        }
    }

    /// Ends a paused run as the death of its process would.
    pub(super) fn die(&mut self) {
        if let Some(paused) = self.paused.take() {
            self.words.send(Word::Die).expect("it waits");
            paused.join().expect("no panic");
            let event = self.events.recv().expect("the run tells");
            assert!(matches!(event, Event::Broken(_)), "it dies before its end is written");
        }
    }
}
