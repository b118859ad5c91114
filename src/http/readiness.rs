//! Whether the server can do its work, found out for all who ask at once.

use super::Response;
use super::respond::{self, Responder};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer to "can it do its work" holds: a client that asks more often costs no commit.
const READINESS_HOLDS: Duration = Duration::from_secs(1);

/// Whether the server can do its work: found out at most once a second, for all who ask.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    /// When it was last found out, and what.
    last: Option<(Instant, Verdict)>,
    /// Those who wait for the next answer; the first of them has had the server look.
    waiting: Vec<Waiting>,
}

/// What came of a read and of a commit.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) can_read: bool,
    pub(super) can_commit: bool,
    /// What a client may learn of the fault, if there is one.
    pub(super) fault: Option<String>,
}

/// A request that asks.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) responder: Responder,
    /// Details, for operators.
    pub(super) details: Option<Map<String, Value>>,
}

impl Readiness {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock()
    }

    /// Answers at once where it is known, and otherwise later. Returns whether it must be found out now.
    pub(super) fn wait(&self, waiting: Waiting) -> bool {
        let mut found = self.lock();
        if let Some((at, verdict)) = &found.last
            && at.elapsed() < READINESS_HOLDS
        {
            let verdict = verdict.clone();
            drop(found);
            waiting.answer(&verdict);
            return false;
        }
        found.waiting.push(waiting);
        found.waiting.len() == 1
    }

    /// Answers all who wait.
    fn settle(&self, verdict: &Verdict) {
        let mut found = self.lock();
        found.last = Some((Instant::now(), verdict.clone()));
        let waiting = std::mem::take(&mut found.waiting);
        drop(found);
        for waiting in waiting {
            waiting.answer(verdict);
        }
    }
}

impl Waiting {
    fn answer(self, verdict: &Verdict) {
        let mut members = Map::new();
        if let Some(details) = self.details {
            members.extend(details);
            members.insert("canRead".to_owned(), json!(verdict.can_read));
            members.insert("canCommit".to_owned(), json!(verdict.can_commit));
        }
        let response = match &verdict.fault {
            None => {
                members.insert("status".to_owned(), json!("ready"));
                Response::json(200, &Value::Object(members))
            }
            Some(fault) => {
                respond::problem(503, fault, self.responder.request_id(), members).with_header("Retry-After", "2")
            }
        };
        self.responder.send(Ok(response.with_header("Cache-Control", "no-store")));
    }
}

/// A look at whether the server can do its work. However it ends, those who wait for it are answered, and the next one can begin.
pub(super) struct Looking {
    readiness: Arc<Readiness>,
    verdict: Option<Verdict>,
}

impl Looking {
    /// A look whose end `readiness` is to learn of.
    pub(super) fn new(readiness: Arc<Readiness>) -> Self {
        Self { readiness, verdict: None }
    }

    /// Says what was found.
    pub(super) fn end(mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let lost = || Verdict { can_read: false, can_commit: false, fault: Some("database error".to_owned()) };
        self.readiness.settle(&self.verdict.take().unwrap_or_else(lost));
    }
}
