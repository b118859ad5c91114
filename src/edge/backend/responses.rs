//! How responses go back to the front end: those of a batch together, a large one by a thread of its own.

use super::head::render;
use crate::http::{Method, Response};
use crate::log_limit::{LogLimiter, cut};
use crate::metrics::Metrics;
use log::{debug, warn};
use parking_lot::Mutex;
use std::borrow::Cow;
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
    pub(super) method: Method,
    pub(super) started: Instant,
    pub(super) batch: Arc<Batch>,
    /// Its place in the batch, from 0.
    pub(super) place: usize,
}

/// A response on its way: its head, and its body where that is not behind the head already.
type Rendered = (Vec<u8>, Vec<u8>);

/// The way back to an upstream connection.
type UpstreamWriter = Box<dyn Write + Send>;

/// The requests that have come together, one or more, and their responses until all are there.
pub(super) struct Batch {
    pub(super) size: usize,
    state: Mutex<BatchState>,
}

struct BatchState {
    /// None once all responses are on their way.
    upstream: Option<UpstreamWriter>,
    responses: Vec<Option<Rendered>>,
    missing: usize,
}

impl Batch {
    pub(super) fn new(upstream: UpstreamWriter, size: usize) -> Self {
        let responses = std::iter::repeat_with(|| None).take(size).collect();
        Self { size, state: Mutex::new(BatchState { upstream: Some(upstream), responses, missing: size }) }
    }

    /// Keeps a response until its batch is complete: the front end reads them in order. Returns all of them with the last.
    fn complete(&self, place: usize, response: Rendered) -> Option<(UpstreamWriter, Vec<Rendered>)> {
        let mut state = self.state.lock();
        let kept = state.responses.get_mut(place)?;
        if kept.replace(response).is_none() {
            state.missing -= 1;
        }
        if state.missing > 0 {
            return None;
        }
        Some((state.upstream.take()?, state.responses.drain(..).flatten().collect()))
    }
}

impl Drop for Batch {
    /// Where a panic has come before a reply was made: the front end must not wait for a response that will never be.
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let Some(upstream) = state.upstream.take() else { return };
        let failed = || render(Response::empty(500), "", false);
        write_responses(upstream, state.responses.drain(..).map(|response| response.unwrap_or_else(failed)).collect());
    }
}

/// How responses are given.
pub(in crate::edge) struct ResponseWriter {
    slow: Duration,
    pub(super) metrics: Arc<Metrics>,
}

impl ResponseWriter {
    pub(in crate::edge) fn new(slow: Duration, metrics: Arc<Metrics>) -> Self {
        Self { slow, metrics }
    }

    pub(super) fn respond(&self, open_request: OpenRequest, response: Response) {
        let OpenRequest { id, proxy_id, path, route, method, started, batch, place } = open_request;
        let (status, took) = (response.status, started.elapsed());
        let is_head = method == Method::Head;
        let method = method.as_str();
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
        if let Some((upstream, responses)) = batch.complete(place, render(response, &id, is_head)) {
            write_responses(upstream, responses);
        }
    }
}

/// Writes the responses of a batch in their order, with one write where they are small.
fn write_responses(mut upstream: UpstreamWriter, responses: Vec<Rendered>) {
    let length: usize = responses.iter().map(|(head, body)| head.len() + body.len()).sum();
    if length <= SMALL_RESPONSE_MAX {
        let bytes = match &responses[..] {
            [(head, body)] if body.is_empty() => Cow::Borrowed(&head[..]),
            _ => Cow::Owned(
                responses.iter().flat_map(|(head, body)| [&head[..], &body[..]]).collect::<Vec<_>>().concat(),
            ),
        };
        return log_loss(upstream.write_all(&bytes).and_then(|()| upstream.flush()));
    }
    // A large response is taken only as fast as the client takes it, and neither a handler nor the thread that answers after a
    // commit may wait for that. There is one for each upstream connection at the most, and seldom any.
    let responses = Arc::new(Mutex::new(Some((upstream, responses))));
    let write = {
        let responses = responses.clone();
        move || {
            let Some((mut upstream, responses)) = responses.lock().take() else { return };
            for (head, body) in responses {
                log_loss(upstream.write_all(&head).and_then(|()| upstream.write_all(&body)));
            }
            log_loss(upstream.flush());
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
