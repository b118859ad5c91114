//! The one thread of the gate: waits for sockets and deadlines, and moves each connection on as far as it goes without waiting.

use super::client::{Client, Got, Phase, Serving, Then};
use super::lane::Lane;
use super::limits::Purse;
use super::origin;
use super::private::{self, Broken, Burst};
use super::receive::{Awaited, Rules, Step, Whole};
use super::refusal::{Refusal, http_date};
use super::slab::Slab;
use super::timers::Timers;
use super::{OpenLane, Parts, StopSignal};
use crate::metrics::Metrics;
use log::{debug, error, warn};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Inbox, Sender, channel};
use std::time::{Duration, Instant};

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
/// Lanes come behind these two, clients behind the lanes.
const LANES_FROM: usize = 2;

/// Read from a client at once: what one connection may hold unread in the gate.
const CLIENT_READ: usize = 16 * 1024;
/// Read from a lane at once.
const LANE_READ: usize = 64 * 1024;
/// A client may always have this much to take. While it has more, and all together have as much as they may, no more is read
/// from its lane.
const OUTPUT_FREE: usize = 64 * 1024;
/// Reads from one client before the others get their turn.
const STEPS_AT_ONCE: usize = 32;
/// Connections that the kernel holds for us until we accept them.
const ACCEPT_QUEUE: i32 = 4096;
/// Connections accepted before the others get their turn.
const ACCEPTS_AT_ONCE: usize = 64;
/// How long accepting rests when it fails, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How often a lasting trouble is logged.
const LOG_PAUSE: Duration = Duration::from_secs(10);
/// How long and how much a connection is listened to after its last answer, so that no reset overtakes that.
const LINGER: Duration = Duration::from_secs(1);
/// Connections beyond the limit that are told so; more are only closed. A quarter of the limit where that is less.
const TURNED_AWAY_MAX: usize = 64;

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

/// The state of the gate.
pub(crate) struct EventLoop {
    poll: Poll,
    listener: Option<TcpListener>,
    /// New connections may wait.
    acceptable: bool,
    accept_again: Option<Instant>,
    accept_warned: Option<Instant>,
    clients: Slab<Client>,
    serials: u64,
    turned_away: usize,
    /// Bytes of answers that clients have not taken yet.
    output_bytes: usize,
    per_address: HashMap<IpAddr, usize>,
    lanes: Vec<Option<Lane>>,
    free_lanes: Vec<usize>,
    queue: VecDeque<(usize, u64)>,
    urgent: VecDeque<(usize, u64)>,
    bursts: u64,
    date: Date,
    timers: Timers,
    /// Clients that have just been given some of their answers; kept for its memory.
    answered: Vec<usize>,
    /// Clients to move on, and lanes to read on, once the present step is done.
    resumed: Vec<usize>,
    unpaused: Vec<usize>,
    /// Clients that have had their share of this round and go on in the next.
    later: Vec<usize>,
    rules: Rules,
    scratch: Vec<u8>,
    metrics: Arc<Metrics>,
    stop: Arc<StopSignal>,
    stopping: Option<Instant>,
    open_lane: OpenLane,
    opened: Inbox<UnixStream>,
    opener: Sender<UnixStream>,
    waker: Arc<Waker>,
}

impl EventLoop {
    pub(crate) fn new(parts: Parts, stop: Arc<StopSignal>) -> io::Result<(Self, Arc<Waker>)> {
        let Parts { listener, lanes, open_lane, secret, id_prefix, limits, metrics } = parts;
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        listener.set_nonblocking(true)?;
        // The library's default is 128 connections; while that is full, the kernel drops new ones and they try again a second later.
        rustix::net::listen(&listener, ACCEPT_QUEUE)?;
        // Accepted sockets inherit it: answers go out whole, and waiting to fill a packet would only delay a large one's end.
        rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
        let mut listener = TcpListener::from_std(listener);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let (opener, opened) = channel();
        let purse = Purse::new(limits.large_bodies_bytes);
        let rules = Rules { limits, purse, secret, id_prefix, requests: Cell::new(0) };
        let mut this = Self {
            poll,
            listener: Some(listener),
            acceptable: true,
            accept_again: None,
            accept_warned: None,
            clients: Slab::new(),
            serials: 0,
            turned_away: 0,
            output_bytes: 0,
            per_address: HashMap::new(),
            lanes: (0..lanes.len()).map(|_| None).collect(),
            free_lanes: Vec::new(),
            queue: VecDeque::new(),
            urgent: VecDeque::new(),
            bursts: 0,
            date: Date::default(),
            timers: Timers::default(),
            answered: Vec::new(),
            resumed: Vec::new(),
            unpaused: Vec::new(),
            later: Vec::new(),
            rules,
            scratch: vec![0; LANE_READ],
            metrics,
            stop,
            stopping: None,
            open_lane,
            opened,
            opener,
            waker: waker.clone(),
        };
        for lane in lanes {
            this.add_lane(lane)?;
        }
        Ok((this, waker))
    }

    /// Runs until the gate is stopped.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        while !self.is_over() {
            if let Err(error) = self.poll.poll(&mut events, self.patience())
                && error.kind() != ErrorKind::Interrupted
            {
                error!("the gate cannot wait for its sockets: {error}");
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
            self.metrics.body_bytes.set(i64::try_from(self.rules.purse.spent()).unwrap_or(i64::MAX));
        }
        self.metrics.connections.set(0);
    }

    /// Does what has come of the last step, until nothing more comes of it.
    fn settle(&mut self) {
        loop {
            if let Some(key) = self.resumed.pop() {
                self.advance(key);
            } else if let Some(place) = self.unpaused.pop() {
                self.read_lane(place);
            } else {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stopping.is_some_and(|until| self.clients.len() == 0 || Instant::now() >= until)
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
                while let Ok(lane) = self.opened.try_recv() {
                    if let Err(error) = self.add_lane(lane) {
                        warn!("a private connection could not be watched: {error}");
                        self.reopen_lane();
                    }
                }
            }
            Token(token) if token < self.clients_from() => self.on_lane_event(token - LANES_FROM, event),
            Token(token) => self.on_client_event(token - self.clients_from(), event),
        }
    }

    fn clients_from(&self) -> usize {
        LANES_FROM + self.lanes.len()
    }

    fn client_token(&self, key: usize) -> Token {
        Token(self.clients_from() + key)
    }

    // Connections that come and go -------------------------------------------------------------------------------------

    fn accept(&mut self, now: Instant) {
        if self.accept_again.is_some_and(|again| again <= now) {
            self.accept_again = None;
            self.acceptable = true;
        }
        if !self.acceptable || self.accept_again.is_some() {
            return;
        }
        for _ in 0..ACCEPTS_AT_ONCE {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((socket, peer)) => self.welcome(socket, peer.ip().to_canonical(), now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.acceptable = false;
                    return;
                }
                // The client has gone already, or a signal came: the next one is not worse for it.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => {
                    self.metrics.accept_failures.inc();
                    self.accept_again = Some(now + ACCEPT_PAUSE);
                    if self.accept_warned.is_none_or(|warned| now >= warned + LOG_PAUSE) {
                        self.accept_warned = Some(now);
                        warn!("no connection can be accepted, trying again every {ACCEPT_PAUSE:?}: {error}");
                    }
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, socket: TcpStream, peer: IpAddr, now: Instant) {
        self.metrics.connections_accepted.inc();
        let limits = &self.rules.limits;
        let is_exempt =
            (limits.loopback_is_exempt && peer.is_loopback()) || origin::is_trusted(peer, &limits.trusted_proxies);
        let counted = (!is_exempt).then(|| origin::counted_as(peer));
        if let Some(address) = counted
            && self.per_address.get(&address).is_some_and(|count| *count >= limits.connections_per_address)
        {
            return self.turn_away(socket, peer, Refusal::AddressFull, now);
        }
        if self.clients.len() - self.turned_away >= limits.connections && !self.close_longest_idle() {
            return self.turn_away(socket, peer, Refusal::ConnectionsFull, now);
        }
        let head_time = self.rules.limits.head_time;
        if let Some(key) = self.add_client(socket, peer, counted, now) {
            // epoll tells at once of what has come already.
            self.set_deadline(key, now + head_time);
        }
    }

    fn add_client(&mut self, socket: TcpStream, peer: IpAddr, counted: Option<IpAddr>, now: Instant) -> Option<usize> {
        self.serials += 1;
        let key = self.clients.insert(Client::new(socket, peer, counted, self.serials, now));
        let token = self.client_token(key);
        let client = self.clients.get_mut(key)?;
        if let Err(error) = self.poll.registry().register(&mut client.socket, token, Interest::READABLE) {
            debug!("a connection could not be watched: {error}");
            self.clients.remove(key);
            return None;
        }
        if let Some(address) = counted {
            *self.per_address.entry(address).or_insert(0) += 1;
        }
        self.metrics.connections.set(self.clients.len() as i64);
        Some(key)
    }

    /// Says no to a connection, where that costs next to nothing.
    fn turn_away(&mut self, socket: TcpStream, peer: IpAddr, refusal: Refusal, now: Instant) {
        self.metrics.count_refusal(refusal.reason());
        if self.turned_away >= TURNED_AWAY_MAX.min(self.rules.limits.connections / 4) {
            return;
        }
        if let Some(key) = self.add_client(socket, peer, None, now) {
            self.turned_away += 1;
            if let Some(client) = self.clients.get_mut(key) {
                client.is_turned_away = true;
                refusal.write("", client.output());
                client.phase = Phase::Answering(Then::Linger);
            }
            self.set_deadline(key, now + LINGER);
            self.flush(key);
        }
    }

    /// Makes room by closing the connection that has been idle the longest; `false` when none is.
    fn close_longest_idle(&mut self) -> bool {
        let keys = self.clients.keys();
        let idle = keys.into_iter().filter_map(|key| {
            let client = self.clients.get_mut(key)?;
            (client.served && client.is_idle()).then_some((client.idle_since, key))
        });
        let Some((_, key)) = idle.min() else { return false };
        self.close(key);
        true
    }

    fn close(&mut self, key: usize) {
        // Closing its socket also ends the watch on it.
        let Some(client) = self.clients.remove(key) else { return };
        self.output_bytes -= client.counted_output;
        if let Some(address) = client.counted
            && let Some(count) = self.per_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
        if client.is_turned_away {
            self.turned_away -= 1;
        }
        match client.phase {
            Phase::Queued(_) => {
                self.metrics.requests_waiting.dec();
            }
            Phase::OnLane(place) => {
                // The lane is not closed: opening one is the dear and dangerous part. Its answer is read and thrown away.
                if let Some(serving) = self.serving_mut(place, key) {
                    serving.client = None;
                    self.unpaused.push(place);
                }
            }
            Phase::Receiving | Phase::Answering(_) | Phase::Lingering => {}
        }
        self.metrics.connections.set(self.clients.len() as i64);
    }

    // Requests that come in --------------------------------------------------------------------------------------------

    fn on_client_event(&mut self, key: usize, event: &Event) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if event.is_readable() || event.is_read_closed() {
            client.readable = true;
            client.read_closed |= event.is_read_closed();
        }
        if event.is_error() || event.is_write_closed() {
            // Reset, or gone altogether: nobody is there to answer. A half-closed connection is not one of these.
            self.close(key);
            return;
        }
        if event.is_writable() {
            self.flush(key);
        }
        self.advance(key);
    }

    /// Moves a connection on as far as it goes.
    fn advance(&mut self, key: usize) {
        for _ in 0..STEPS_AT_ONCE {
            let Some(client) = self.clients.get_mut(key) else { return };
            match client.phase {
                Phase::Receiving => {}
                Phase::Lingering => {
                    if client.readable {
                        match client.read(&mut self.scratch[..CLIENT_READ]) {
                            Got::End => self.close(key),
                            Got::Bytes(_) => continue,
                            Got::Nothing => {}
                        }
                    }
                    return;
                }
                Phase::Queued(_) | Phase::OnLane(_) | Phase::Answering(_) => return,
            }
            match client.receiver.step(&self.rules, client.peer) {
                Step::More => {
                    if !client.readable {
                        return self.await_more(key);
                    }
                    match client.read(&mut self.scratch[..CLIENT_READ]) {
                        Got::Bytes(bytes) => client.receiver.push(&self.scratch[..bytes]),
                        Got::Nothing => return self.await_more(key),
                        Got::End => return self.close(key),
                    }
                }
                Step::Continue => {
                    client.output().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                    self.flush(key);
                }
                Step::Whole(whole) => {
                    let queue = if whole.is_urgent { &mut self.urgent } else { &mut self.queue };
                    queue.push_back((key, client.serial));
                    client.phase = Phase::Queued(Box::new(whole));
                    self.metrics.requests_waiting.inc();
                    self.set_deadline(key, Instant::now() + self.rules.limits.queue_time);
                    return;
                }
                Step::Refused(refusal, id) => return self.refuse(key, refusal, &id),
            }
        }
        // A client that sends as fast as it is read must not keep the others waiting.
        self.later.push(key);
    }

    /// Sets the deadline of what is awaited now, unless it has been set for that already: a drip must not move it.
    fn await_more(&mut self, key: usize) {
        let now = Instant::now();
        let Some(client) = self.clients.get_mut(key) else { return };
        let awaited = client.receiver.awaited();
        if awaited == client.awaited {
            return;
        }
        let limits = &self.rules.limits;
        let time = match awaited {
            Awaited::Start => limits.idle_time,
            // The first head has its time from the connection's first moment.
            Awaited::Head if !client.served => {
                client.awaited = awaited;
                return;
            }
            Awaited::Head => limits.head_time,
            Awaited::Body => limits.body_time,
        };
        client.awaited = awaited;
        self.set_deadline(key, now + time);
    }

    fn refuse(&mut self, key: usize, refusal: Refusal, id: &str) {
        self.metrics.count_refusal(refusal.reason());
        let now = Instant::now();
        let write_time = self.rules.limits.write_time;
        let Some(client) = self.clients.get_mut(key) else { return };
        debug!("request refused id={id} client={} reason={}", client.peer, refusal.reason());
        refusal.write(id, client.output());
        client.phase = Phase::Answering(Then::Linger);
        self.set_deadline(key, now + write_time);
        self.flush(key);
    }

    fn set_deadline(&mut self, key: usize, at: Instant) {
        if let Some(client) = self.clients.get_mut(key) {
            let serial = client.serial;
            self.timers.set(&mut client.deadline, at, key, serial);
        }
    }

    fn on_deadlines(&mut self, now: Instant) {
        while let Some((key, serial)) = self.timers.pop_due(now) {
            let Some(client) = self.clients.get_mut(key).filter(|client| client.serial == serial) else { continue };
            if !self.timers.is_over(&mut client.deadline, now, key, serial) {
                continue;
            }
            match &client.phase {
                Phase::Receiving => match client.receiver.awaited() {
                    Awaited::Start => self.close(key),
                    Awaited::Head => self.refuse_in_time(key, Refusal::HeadTimeout),
                    Awaited::Body => self.refuse_in_time(key, Refusal::BodyTimeout),
                },
                Phase::Queued(whole) => {
                    let id = whole.asked.id.clone();
                    client.phase = Phase::Receiving;
                    self.metrics.requests_waiting.dec();
                    self.refuse(key, Refusal::Overloaded, &id);
                }
                Phase::OnLane(place) => {
                    let place = *place;
                    match self.serving_mut(place, key) {
                        Some(serving) if serving.body_left.is_none() => {
                            serving.client = None;
                            let id = serving.asked.id.clone();
                            warn!("no answer in time id={id}");
                            self.refuse(key, Refusal::AnswerTimeout, &id);
                        }
                        // The client does not take its answer.
                        _ => self.close(key),
                    }
                }
                Phase::Answering(_) | Phase::Lingering => self.close(key),
            }
        }
    }

    fn refuse_in_time(&mut self, key: usize, refusal: Refusal) {
        let id = self.rules.next_id();
        self.refuse(key, refusal, &id);
    }

    // Lanes ------------------------------------------------------------------------------------------------------------

    fn lane_mut(&mut self, lane: usize) -> Option<&mut Lane> {
        self.lanes.get_mut(lane).and_then(Option::as_mut)
    }

    fn add_lane(&mut self, socket: UnixStream) -> io::Result<()> {
        let Some(place) = self.lanes.iter().position(Option::is_none) else { return Ok(()) };
        socket.set_nonblocking(true)?;
        let mut lane = Lane::new(mio::net::UnixStream::from_std(socket));
        lane.register(self.poll.registry(), Token(LANES_FROM + place))?;
        self.lanes[place] = Some(lane);
        self.free_lanes.push(place);
        Ok(())
    }

    /// What the lane at `place` keeps of the client `key`.
    fn serving_mut(&mut self, place: usize, key: usize) -> Option<&mut Serving> {
        self.lane_mut(place)?.serving.iter_mut().find(|serving| serving.client == Some(key))
    }

    /// Gives waiting requests to free lanes. The last few lanes are for urgent ones.
    fn dispatch(&mut self, now: Instant) {
        while let Some(place) = self.free_lanes.last().copied() {
            let mut burst = Vec::new();
            if let Some(urgent) = self.take_waiting(place, true, |_| true, now) {
                burst.push(urgent);
            } else if self.free_lanes.len() > self.rules.limits.urgent_lanes
                && let Some(first) = self.take_waiting(place, false, |_| true, now)
            {
                let may_share = first.1.may_share;
                burst.push(first);
                while may_share
                    && burst.len() < self.rules.limits.burst
                    && let Some(next) = self.take_waiting(place, false, |next| next.may_share, now)
                {
                    burst.push(next);
                }
            } else {
                return;
            }
            self.free_lanes.pop();
            let Some(lane) = self.lanes.get_mut(place).and_then(Option::as_mut) else { continue };
            let size = burst.len();
            self.bursts += 1;
            for (in_burst, (key, whole)) in burst.into_iter().enumerate() {
                let burst = (size > 1).then_some(Burst { number: self.bursts, place: in_burst, size });
                lane.take(whole, key, &self.rules.secret, burst);
            }
            if let Err(error) = lane.flush(self.poll.registry(), Token(LANES_FROM + place)) {
                self.lose_lane(place, &error);
            }
        }
    }

    /// Takes the next request from its queue for the lane at `place`, where there is one that `fits`.
    fn take_waiting(
        &mut self,
        place: usize,
        is_urgent: bool,
        fits: impl Fn(&Whole) -> bool,
        now: Instant,
    ) -> Option<(usize, Whole)> {
        loop {
            let queue = if is_urgent { &mut self.urgent } else { &mut self.queue };
            let (key, serial) = *queue.front()?;
            let client = self.clients.get_mut(key).filter(|client| client.serial == serial);
            let waiting = client.and_then(|client| match &client.phase {
                Phase::Queued(whole) => Some((fits(whole), client)),
                _ => None,
            });
            let Some((fits, client)) = waiting else {
                // It has gone, or was refused for having waited too long.
                queue.pop_front();
                continue;
            };
            if !fits {
                return None;
            }
            queue.pop_front();
            let Phase::Queued(whole) = std::mem::replace(&mut client.phase, Phase::OnLane(place)) else { continue };
            self.metrics.requests_waiting.dec();
            self.timers.set(&mut client.deadline, now + self.rules.limits.answer_time, key, serial);
            return Some((key, *whole));
        }
    }

    fn on_lane_event(&mut self, place: usize, event: &Event) {
        let Some(lane) = self.lanes.get_mut(place).and_then(Option::as_mut) else { return };
        if event.is_writable()
            && let Err(error) = lane.flush(self.poll.registry(), Token(LANES_FROM + place))
        {
            return self.lose_lane(place, &error);
        }
        if event.is_readable() || event.is_read_closed() {
            lane.readable = true;
            lane.read_closed |= event.is_read_closed();
            self.read_lane(place);
        }
    }

    /// Takes an answer from its lane to its client, as fast as the client takes it.
    fn read_lane(&mut self, place: usize) {
        loop {
            let Some(lane) = self.lanes.get_mut(place).and_then(Option::as_mut) else { return };
            if !lane.readable {
                return;
            }
            let client = lane.serving.front().and_then(|serving| serving.client);
            if let Some(key) = client
                && self.output_bytes > self.rules.limits.answers_bytes
                && self.clients.get_mut(key).is_some_and(|client| client.pending() > OUTPUT_FREE)
            {
                // Read on when the client has taken some of it.
                return self.pause_lane(place, key);
            }
            let Some(lane) = self.lanes.get_mut(place).and_then(Option::as_mut) else { return };
            lane.is_paused = false;
            match lane.read(&mut self.scratch) {
                Ok(None) => return,
                Ok(Some(bytes)) => {
                    if self.take_answer(place, bytes) == Err(Broken) {
                        return self.lose_lane(place, &ErrorKind::InvalidData.into());
                    }
                }
                Err(error) => return self.lose_lane(place, &error),
            }
        }
    }

    /// Leaves an answer on its lane until its client takes more. When half of the lanes wait so, this client's is one too many.
    fn pause_lane(&mut self, place: usize, key: usize) {
        let Some(lane) = self.lane_mut(place) else { return };
        lane.is_paused = true;
        let paused = self.lanes.iter().flatten().filter(|lane| lane.is_paused).count();
        if paused > self.lanes.len() / 2 {
            debug!("too many clients do not take their answers, one of them is cut off");
            self.metrics.count_refusal("answer_not_taken");
            self.close(key);
        }
    }

    /// Hands on what has just been read into the scratch space.
    fn take_answer(&mut self, place: usize, bytes: usize) -> Result<(), Broken> {
        let mut answered = std::mem::take(&mut self.answered);
        let outcome = self.split_answers(place, bytes, &mut answered);
        for key in answered.drain(..) {
            self.flush(key);
        }
        self.answered = answered;
        outcome
    }

    /// Gives each client of a lane its part of what has been read, and notes in `answered` who got some.
    fn split_answers(&mut self, place: usize, bytes: usize, answered: &mut Vec<usize>) -> Result<(), Broken> {
        let now = Instant::now();
        let is_stopping = self.stopping.is_some();
        let limits = &self.rules.limits;
        let Some(lane) = self.lanes.get_mut(place).and_then(Option::as_mut) else { return Ok(()) };
        let mut nobody = Vec::new();
        // The start of an answer that came before, where its head was not all there.
        let mut early = std::mem::take(&mut lane.input);
        let mut fresh = &self.scratch[..bytes];
        if !early.is_empty() {
            early.extend_from_slice(fresh);
            fresh = &early;
        }
        while !fresh.is_empty() {
            let serving = lane.serving.front_mut().ok_or(Broken)?;
            let mut client = serving.client.and_then(|key| self.clients.get_mut(key));
            let output = client.as_mut().map_or(&mut nobody, |client| client.output());
            let (left, is_new) = if let Some(left) = serving.body_left {
                (left, false)
            } else {
                let keep_alive = serving.asked.keep_alive && !is_stopping;
                let Some(head) =
                    private::write_answer_head(fresh, &serving.asked, keep_alive, self.date.text(now), output)?
                else {
                    lane.input = fresh.to_vec();
                    return Ok(());
                };
                fresh = &fresh[head.length..];
                serving.asked.keep_alive = keep_alive;
                (head.body, true)
            };
            let here = left.min(fresh.len());
            output.extend_from_slice(&fresh[..here]);
            fresh = &fresh[here..];
            serving.body_left = Some(left - here);
            if let (Some(client), Some(key)) = (client, serving.client) {
                if is_new {
                    // Set before the first write: no client can put it off by taking a byte now and then.
                    let pace = Duration::from_secs((left / limits.write_bytes_per_second.max(1)) as u64);
                    self.timers.set(&mut client.deadline, now + limits.write_time + pace, key, client.serial);
                }
                if left == here {
                    client.phase = Phase::Answering(if serving.asked.keep_alive { Then::Next } else { Then::Close });
                }
                answered.push(key);
            }
            if left == here {
                lane.serving.pop_front();
            }
        }
        if lane.serving.is_empty() {
            self.free_lanes.push(place);
        }
        Ok(())
    }

    /// Writes what a client takes, and does what follows when it has taken all.
    fn flush(&mut self, key: usize) {
        let token = self.client_token(key);
        let Some(client) = self.clients.get_mut(key) else { return };
        let flushed = client.flush(self.poll.registry(), token);
        self.output_bytes = self.output_bytes + client.pending() - client.counted_output;
        client.counted_output = client.pending();
        let done = match flushed {
            Ok(done) => done,
            Err(_gone) => return self.close(key),
        };
        if let Phase::OnLane(place) = client.phase {
            // More of the answer may wait on the lane.
            if (done || client.pending() <= OUTPUT_FREE) && self.lane_mut(place).is_some_and(|lane| lane.is_paused) {
                self.unpaused.push(place);
            }
            return;
        }
        if !done {
            return;
        }
        let Phase::Answering(then) = client.phase else { return };
        let now = Instant::now();
        match then {
            Then::Next if self.stopping.is_some() => self.linger(key, now),
            Then::Next => {
                client.phase = Phase::Receiving;
                client.served = true;
                client.idle_since = now;
                client.awaited = Awaited::Start;
                self.set_deadline(key, now + self.rules.limits.idle_time);
                self.resumed.push(key);
            }
            Then::Close if !client.readable && client.receiver.awaited() == Awaited::Start => {
                // All that came has been read, and the client has said that nothing follows.
                self.close(key);
            }
            Then::Close | Then::Linger => self.linger(key, now),
        }
    }

    /// Ends the answers of a connection, and gives its client a moment to notice.
    fn linger(&mut self, key: usize, now: Instant) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.end_output();
        client.phase = Phase::Lingering;
        client.receiver = super::receive::Receiver::default();
        self.set_deadline(key, now + LINGER);
        self.resumed.push(key);
    }

    fn lose_lane(&mut self, place: usize, error: &io::Error) {
        warn!("a private connection to the server was lost, opening another: {error}");
        self.metrics.lanes_reopened.inc();
        let Some(mut lane) = self.lanes.get_mut(place).and_then(Option::take) else { return };
        lane.deregister(self.poll.registry());
        self.free_lanes.retain(|free| *free != place);
        for serving in lane.serving.drain(..) {
            match serving.client {
                // Half an answer is out: cutting the connection is the only way to say so.
                Some(key) if serving.body_left.is_some() => self.close(key),
                Some(key) => self.refuse(key, Refusal::NoAnswer, &serving.asked.id),
                None => {}
            }
        }
        self.reopen_lane();
    }

    /// Has another lane opened, by a thread that may wait.
    fn reopen_lane(&self) {
        let (open, opener, waker, stop) =
            (self.open_lane.clone(), self.opener.clone(), self.waker.clone(), self.stop.clone());
        let opening = std::thread::Builder::new().name("http-lane".to_owned()).spawn(move || {
            while stop.until().is_none() {
                match open() {
                    Ok(lane) => {
                        let _stopped_meanwhile = opener.send(lane);
                        let _stopped_meanwhile = waker.wake();
                        return;
                    }
                    Err(error) => {
                        debug!("no private connection can be opened now: {error}");
                        std::thread::sleep(ACCEPT_PAUSE);
                    }
                }
            }
        });
        if let Err(error) = opening {
            error!("no thread for opening a private connection: {error}");
        }
    }

    // The end ----------------------------------------------------------------------------------------------------------

    fn begin_to_stop(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let Some(until) = self.stop.until() else { return };
        self.stopping = Some(until);
        if let Some(mut listener) = self.listener.take() {
            let _closing_anyway = self.poll.registry().deregister(&mut listener);
        }
        for key in self.clients.keys() {
            // A request may have come that no event has told of yet.
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
