//! The one thread of the front end: waits for sockets and deadlines, and moves each connection on as far as it goes without waiting.

mod accept;
mod bodies;
mod requests;
mod upstreams;

use super::client::ClientConnection;
use super::counts::Counts;
use super::memory::MemoryBudget;
use super::receive::{Class, Rules};
use super::rejection::http_date;
use super::timers::Timers;
use super::upstream::Upstream;
use super::{OpenUpstream, Parts, StopSignal};
use crate::log_limit::LogLimiter;
use crate::metrics::Metrics;
use log::{error, warn};
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Inbox, Sender, channel};
use std::time::{Duration, Instant};

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
/// Upstream connections come behind these two, clients behind the upstream connections.
const UPSTREAMS_FROM: usize = 2;

/// Read from an upstream connection at once.
const UPSTREAM_READ: usize = 64 * 1024;
/// Connections that the kernel holds for us until we accept them.
const ACCEPT_QUEUE: i32 = 4096;
/// The pause in accepting after it has failed, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long and how much a connection is listened to after its last answer, so that no reset arrives before that.
const LINGER: Duration = Duration::from_secs(1);

/// The text of the Date field, made anew once a second.
#[derive(Default)]
struct Date {
    text: String,
    made: Option<Instant>,
}

impl Date {
    fn text(&mut self, now: Instant) -> &str {
        if self.made.is_none_or(|made| now >= made + Duration::from_secs(1)) {
            self.text = http_date();
            self.made = Some(now);
        }
        &self.text
    }
}

/// Requests that wait for an upstream connection, by the key and serial of their connections.
struct RequestQueues {
    critical: VecDeque<(usize, u64)>,
    webhooks: VecDeque<(usize, u64)>,
    normal: VecDeque<(usize, u64)>,
    /// Which of the two that take turns has had one.
    last: Class,
}

impl Default for RequestQueues {
    fn default() -> Self {
        Self { critical: VecDeque::new(), webhooks: VecDeque::new(), normal: VecDeque::new(), last: Class::Normal }
    }
}

impl RequestQueues {
    fn of(&mut self, class: Class) -> &mut VecDeque<(usize, u64)> {
        match class {
            Class::Critical => &mut self.critical,
            Class::Webhook => &mut self.webhooks,
            Class::Normal => &mut self.normal,
        }
    }

    /// The two that take turns, in the order in which they are looked at now.
    fn in_turn(&self) -> [Class; 2] {
        if self.last == Class::Webhook { [Class::Normal, Class::Webhook] } else { [Class::Webhook, Class::Normal] }
    }
}

/// The state of the front end.
pub(crate) struct EventLoop {
    poll: Poll,
    listener: Option<TcpListener>,
    /// New connections may wait.
    acceptable: bool,
    accept_again: Option<Instant>,
    accept_warned: Option<Instant>,
    clients: Slab<ClientConnection>,
    serials: u64,
    /// Clients that have no place; see [`ClientConnection::is_extra`].
    extras: usize,
    /// Since when there has been no place for a new connection; it waits in the kernel's queue meanwhile.
    full_since: Option<Instant>,
    /// Bytes of responses that clients have not taken yet.
    output_bytes: usize,
    counts: Counts,
    upstreams: Vec<Option<Upstream>>,
    free_upstreams: Vec<usize>,
    waiting: RequestQueues,
    date: Date,
    timers: Timers,
    /// Clients that have just been given some of their responses; kept for its memory.
    responded: Vec<usize>,
    /// Clients to move on, and upstream connections to read on, once the present step is done.
    resumed: Vec<usize>,
    unpaused: Vec<usize>,
    /// Clients that have had their share of this round and go on in the next.
    later: Vec<usize>,
    rules: Rules,
    /// Which rejections for want of room the log reports, by reason.
    reported: HashMap<&'static str, LogLimiter>,
    scratch: Vec<u8>,
    metrics: Arc<Metrics>,
    stop: Arc<StopSignal>,
    stopping: Option<Instant>,
    open_upstream: OpenUpstream,
    opened: Inbox<UnixStream>,
    opener: Sender<UnixStream>,
    waker: Arc<Waker>,
}

impl EventLoop {
    pub(crate) fn new(parts: Parts, stop: Arc<StopSignal>) -> io::Result<(Self, Arc<Waker>)> {
        let Parts { listener, upstreams, open_upstream, secret, id_prefix, limits, metrics } = parts;
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        listener.set_nonblocking(true)?;
        // The library's default is 128 connections; while that is full, the kernel drops new ones and they try again a second later.
        rustix::net::listen(&listener, ACCEPT_QUEUE)?;
        // Accepted sockets inherit it: responses go out whole, and waiting to fill a packet would only delay a large one's end.
        rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (opener, opened) = channel();
        let memory = MemoryBudget::new(&limits);
        let rules = Rules { limits, memory, secret, id_prefix, requests: Cell::new(0) };
        let mut this = Self {
            poll,
            listener: Some(listener),
            acceptable: true,
            accept_again: None,
            accept_warned: None,
            clients: Slab::new(),
            serials: 0,
            extras: 0,
            full_since: None,
            output_bytes: 0,
            counts: Counts::default(),
            upstreams: (0..upstreams.len()).map(|_| None).collect(),
            free_upstreams: Vec::new(),
            waiting: RequestQueues::default(),
            date: Date::default(),
            timers: Timers::default(),
            responded: Vec::new(),
            resumed: Vec::new(),
            unpaused: Vec::new(),
            later: Vec::new(),
            rules,
            reported: HashMap::new(),
            scratch: vec![0; UPSTREAM_READ],
            metrics,
            stop,
            stopping: None,
            open_upstream,
            opened,
            opener,
            waker: waker.clone(),
        };
        for upstream in upstreams {
            this.add_upstream(upstream)?;
        }
        Ok((this, waker))
    }

    /// Runs until the front end is stopped.
    pub(crate) fn run(&mut self) {
        let mut events = Events::with_capacity(1024);
        while !self.is_over() {
            if let Err(error) = self.poll.poll(&mut events, self.patience())
                && error.kind() != ErrorKind::Interrupted
            {
                error!("the front end cannot wait for its sockets: {error}");
                std::thread::sleep(ACCEPT_PAUSE);
            }
            self.resumed.append(&mut self.later);
            for event in &events {
                self.on_event(event);
                self.settle();
            }
            let now = Instant::now();
            self.begin_to_stop();
            self.on_deadlines(now);
            self.accept(now);
            self.settle();
            self.dispatch(now);
            self.settle();
            self.metrics.body_bytes.set(i64::try_from(self.rules.memory.reserved()).unwrap_or(i64::MAX));
        }
        self.metrics.connections.set(0);
    }

    /// The listener, unless it has been closed in order to stop.
    pub(crate) fn into_listener(self) -> Option<std::net::TcpListener> {
        self.listener.map(Into::into)
    }

    /// The keys of all clients, for those who change some of them meanwhile.
    fn client_keys(&self) -> Vec<usize> {
        self.clients.iter().map(|(key, _)| key).collect()
    }

    /// Does what has come of the last step, until nothing more comes of it.
    fn settle(&mut self) {
        loop {
            if let Some(key) = self.resumed.pop() {
                self.advance(key);
            } else if let Some(place) = self.unpaused.pop() {
                self.read_upstream(place);
            } else {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stopping.is_some_and(|until| self.clients.is_empty() || Instant::now() >= until)
    }

    /// How long there is nothing to do if no socket says otherwise.
    fn patience(&self) -> Option<Duration> {
        let accepts = self.acceptable && self.listener.is_some() && self.accept_again.is_none();
        if accepts || !self.later.is_empty() {
            return Some(Duration::ZERO);
        }
        let next = [self.timers.next(), self.accept_again, self.stopping].into_iter().flatten().min()?;
        // epoll counts whole milliseconds: the one on top keeps it from waking just too early.
        Some(next.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    fn on_event(&mut self, event: &Event) {
        match event.token() {
            LISTENER => self.acceptable = true,
            WAKER => {
                while let Ok(upstream) = self.opened.try_recv() {
                    if let Err(error) = self.add_upstream(upstream) {
                        warn!("an upstream connection could not be watched: {error}");
                        self.reopen_upstream();
                    }
                }
            }
            Token(token) if token < self.clients_from() => self.on_upstream_event(token - UPSTREAMS_FROM, event),
            Token(token) => self.on_client_event(token - self.clients_from(), event),
        }
    }

    fn clients_from(&self) -> usize {
        UPSTREAMS_FROM + self.upstreams.len()
    }

    fn client_token(&self, key: usize) -> Token {
        Token(self.clients_from() + key)
    }

    fn begin_to_stop(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let Some(until) = self.stop.until() else { return };
        self.stopping = Some(until);
        if let Some(mut listener) = self.listener.take() {
            let _closing_anyway = self.poll.registry().deregister(&mut listener);
        }
        for key in self.client_keys() {
            // A request may have come that no event has reported yet.
            if let Some(client) = self.clients.get_mut(key).filter(|client| client.is_idle()) {
                client.readable = true;
                self.advance(key);
            }
            if self.clients.get_mut(key).is_some_and(|client| client.is_idle()) {
                self.close(key);
            }
        }
    }
}
