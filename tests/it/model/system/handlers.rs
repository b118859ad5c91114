//! Handlers that do as their payloads say, and that can be paused.

use super::LOOK;
use crate::model::ops::PauseAt;
use crate::model::reference::SNOOZE;
use quotegrid::error::{Error, Kind};
use quotegrid::queue::{Claim, Context, Finish, Handler, JobError, StepOutcome};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

thread_local! {
    /// Set in a run that is to die once its handler has returned.
    pub(super) static DIES: Cell<bool> = const { Cell::new(false) };
}

/// What a paused run is told.
pub(super) enum Word {
    GoOn,
    Die,
}

/// What a run tells.
pub(super) enum Event {
    Begun,
    Ended(StepOutcome),
    /// The database did not work, or the run died.
    Broken(String),
}

/// How a process's next runs are paused.
pub(super) struct Control {
    /// Where, and how many of them.
    pub(super) pause: Mutex<Option<(PauseAt, usize)>>,
    /// A run that goes on waits until its worker wants to stop.
    pub(super) until_stop: AtomicBool,
    pub(super) events: Mutex<Sender<Event>>,
    pub(super) words: Mutex<Receiver<Word>>,
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
pub(super) struct Pausing<H> {
    pub(super) inner: H,
    pub(super) control: Arc<Control>,
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
pub(super) struct Acting;

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
