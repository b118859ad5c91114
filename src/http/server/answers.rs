//! How answers go back to the gate: those of a burst together, a large one by a thread of its own.

use super::head::render;
use crate::http::Response;
use crate::http::gate::Burst;
use crate::http::log_limit::{LogLimiter, cut};
use crate::metrics::Metrics;
use log::{debug, warn};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Answers up to this size fit into the lane's socket buffer whole, so that writing them never waits.
const SMALL_ANSWER_MAX: usize = 64 * 1024;

/// Lines about slow requests.
static SLOW: LogLimiter = LogLimiter::new();

/// A request that is being answered.
pub(super) struct Asked {
    pub(super) id: String,
    /// What a proxy calls it.
    pub(super) proxy_id: Option<String>,
    pub(super) path: String,
    pub(super) route: &'static str,
    pub(super) started: Instant,
    pub(super) burst: Option<Burst>,
    pub(super) incoming: tiny_http::Request,
}

/// An answer on its way: the request it belongs to, its head and its body.
type Rendered = (tiny_http::Request, Vec<u8>, Vec<u8>);

/// How answers are given.
pub(super) struct Answering {
    slow: Duration,
    pub(super) metrics: Arc<Metrics>,
    /// The answers of bursts that are not all there, by the bursts' numbers.
    bursts: Mutex<HashMap<u64, Vec<Option<Rendered>>>>,
}

impl Answering {
    pub(super) fn new(slow: Duration, metrics: Arc<Metrics>) -> Self {
        Self { slow, metrics, bursts: Mutex::new(HashMap::new()) }
    }

    pub(super) fn answer(&self, asked: Asked, response: Response) {
        let Asked { id, proxy_id, path, route, started, burst, incoming } = asked;
        let (status, took) = (response.status, started.elapsed());
        let method = incoming.method().as_str();
        let (path, proxy_id) = (cut(&path), proxy_id.as_deref().unwrap_or("-"));
        if took < self.slow {
            let took = took.as_micros();
            debug!("request id={id} proxy_id={proxy_id} method={method} path={path} status={status} took_us={took}");
        } else if let Some(left_out) = SLOW.admit() {
            let took = took.as_millis();
            warn!(
                "slow request id={id} proxy_id={proxy_id} method={method} path={path} status={status} took_ms={took} \
                 more={left_out}"
            );
        }
        self.metrics.count_request(route, status, took);
        let (head, body) = render(response, &id, *incoming.method() == tiny_http::Method::Head);
        match burst {
            None => write_answers(vec![(incoming, head, body)]),
            Some(burst) => {
                if let Some(answers) = self.complete(burst, (incoming, head, body)) {
                    write_answers(answers);
                }
            }
        }
    }

    /// Keeps an answer until its burst is complete: tiny_http would have the thread that is early wait for the others. Returns all
    /// of them, in order, with the last.
    fn complete(&self, burst: Burst, answer: Rendered) -> Option<Vec<Rendered>> {
        let mut bursts = self.bursts.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = bursts.entry(burst.number).or_insert_with(|| (0..burst.size).map(|_| None).collect());
        *answers.get_mut(burst.place)? = Some(answer);
        if answers.iter().any(Option::is_none) {
            return None;
        }
        bursts.remove(&burst.number).map(|answers| answers.into_iter().flatten().collect())
    }
}

/// Writes answers of one lane, in their order, with one write where they are small.
fn write_answers(answers: Vec<Rendered>) {
    let length: usize = answers.iter().map(|(_, head, body)| head.len() + body.len()).sum();
    if length <= SMALL_ANSWER_MAX {
        let mut bytes = Vec::with_capacity(length);
        let mut lanes = Vec::with_capacity(answers.len());
        for (incoming, head, body) in answers {
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(&body);
            lanes.push(incoming.into_writer());
        }
        // All of them write to the same lane, each in its turn; the first has it.
        let Some(first) = lanes.first_mut() else { return };
        return log_loss(first.write_all(&bytes).and_then(|()| first.flush()));
    }
    // A large answer is taken only as fast as the client takes it, and neither a handler nor the thread that answers after a
    // commit may wait for that. There is one for each lane at the most, and seldom any.
    let answers = Arc::new(Mutex::new(answers));
    let write = {
        let answers = answers.clone();
        move || {
            for (incoming, head, body) in std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner)) {
                let mut lane = incoming.into_writer();
                log_loss(lane.write_all(&head).and_then(|()| lane.write_all(&body)).and_then(|()| lane.flush()));
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("http-large-answer".to_owned()).spawn(write.clone()) {
        warn!("no thread for a large answer, writing it here: {error}");
        write();
    }
}

fn log_loss(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        // The gate has given up on this lane, as in a stop whose grace is over.
        debug!("an answer was not taken: {error}");
    }
}
