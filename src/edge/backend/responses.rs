//! How responses go back to the front end: those of a batch together, a large one by a thread of its own.

use super::head::render;
use crate::edge::frontend::Batch;
use crate::http::Response;
use crate::log_limit::{LogLimiter, cut};
use crate::metrics::Metrics;
use log::{debug, warn};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Responses up to this size fit into the upstream connection's socket buffer whole, so that writing them never waits.
const SMALL_RESPONSE_MAX: usize = 64 * 1024;

/// Lines about slow requests.
static SLOW: LogLimiter = LogLimiter::new();
/// Lines about large responses for which the system has no thread.
static NO_THREAD: LogLimiter = LogLimiter::new();

/// A request that is being answered.
pub(super) struct OpenRequest {
    pub(super) id: String,
    /// What a proxy calls it.
    pub(super) proxy_id: Option<String>,
    pub(super) path: String,
    pub(super) route: &'static str,
    pub(super) started: Instant,
    pub(super) batch: Option<Batch>,
    pub(super) incoming: tiny_http::Request,
}

/// A response on its way: the request it belongs to, its head and its body.
type Rendered = (tiny_http::Request, Vec<u8>, Vec<u8>);

/// How responses are given.
pub(in crate::edge) struct ResponseWriter {
    slow: Duration,
    pub(super) metrics: Arc<Metrics>,
    /// The responses of batches that are not all there, by the batches' numbers.
    batches: Mutex<HashMap<u64, Vec<Option<Rendered>>>>,
}

impl ResponseWriter {
    pub(in crate::edge) fn new(slow: Duration, metrics: Arc<Metrics>) -> Self {
        Self { slow, metrics, batches: Mutex::new(HashMap::new()) }
    }

    pub(super) fn respond(&self, open_request: OpenRequest, response: Response) {
        let OpenRequest { id, proxy_id, path, route, started, batch, incoming } = open_request;
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
        match batch {
            None => write_responses(vec![(incoming, head, body)]),
            Some(batch) => {
                if let Some(responses) = self.complete(batch, (incoming, head, body)) {
                    write_responses(responses);
                }
            }
        }
    }

    /// Keeps a response until its batch is complete: tiny_http would have the thread that is early wait for the others. Returns all
    /// of them, in order, with the last.
    fn complete(&self, batch: Batch, response: Rendered) -> Option<Vec<Rendered>> {
        let mut batches = self.batches.lock();
        let responses = batches.entry(batch.number).or_insert_with(|| (0..batch.size).map(|_| None).collect());
        *responses.get_mut(batch.place)? = Some(response);
        if responses.iter().any(Option::is_none) {
            return None;
        }
        batches.remove(&batch.number).map(|responses| responses.into_iter().flatten().collect())
    }
}

/// Writes responses of one upstream connection, in their order, with one write where they are small.
fn write_responses(responses: Vec<Rendered>) {
    let length: usize = responses.iter().map(|(_, head, body)| head.len() + body.len()).sum();
    if length <= SMALL_RESPONSE_MAX {
        let mut bytes = Vec::with_capacity(length);
        let mut upstreams = Vec::with_capacity(responses.len());
        for (incoming, head, body) in responses {
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(&body);
            upstreams.push(incoming.into_writer());
        }
        // All of them write to the same upstream connection, each in its turn; the first has it.
        let Some(first) = upstreams.first_mut() else { return };
        return log_loss(first.write_all(&bytes).and_then(|()| first.flush()));
    }
    // A large response is taken only as fast as the client takes it, and neither a handler nor the thread that answers after a
    // commit may wait for that. There is one for each upstream connection at the most, and seldom any.
    let responses = Arc::new(Mutex::new(responses));
    let write = {
        let responses = responses.clone();
        move || {
            for (incoming, head, body) in std::mem::take(&mut *responses.lock()) {
                let mut upstream = incoming.into_writer();
                log_loss(
                    upstream.write_all(&head).and_then(|()| upstream.write_all(&body)).and_then(|()| upstream.flush()),
                );
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("http-large-response".to_owned()).spawn(write.clone()) {
        if let Some(left_out) = NO_THREAD.admit() {
            warn!("no thread for a large response, writing it here more={left_out}: {error}");
        }
        write();
    }
}

fn log_loss(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        // The front end has given up on this upstream connection, as in a stop whose grace is over.
        debug!("a response was not taken: {error}");
    }
}
