//! The gate: the only thing that touches untrusted sockets. It collects requests byte by byte within limits and deadlines, refuses
//! what is malformed, and hands whole, checked requests to the server behind it over private connections, its lanes.
//!
//! ```text
//!  clients ──TCP──▶ client.rs ─ receive.rs ─▶ head.rs, chunks.rs       (bytes → checked request, or refusal.rs)
//!                      ▲                         │
//!                 event_loop.rs ◀── timers.rs    ▼
//!                      │                     private.rs                 (checked request → private request)
//!                      ▼                         │
//!                   lane.rs  ◀──Unix socket──▶ server.rs, tiny_http
//! ```
//!
//! One thread runs `event_loop.rs`. Everything it calls is pure or does one socket's work; nothing in it waits. The gate knows
//! nothing of routes, shops or the database, and not what the server behind it is made of.

mod chunks;
mod client;
mod descriptors;
mod event_loop;
mod head;
mod lane;
mod limits;
mod origin;
mod private;
mod receive;
mod refusal;
mod slab;
mod timers;

pub use limits::Limits;
pub use origin::Network;

pub(crate) use descriptors::{fit, have_spare};
pub(crate) use private::{Burst, GATE_FIELD, Sent, Told, read_gate_field};

use crate::metrics::Metrics;
use event_loop::EventLoop;
use mio::Waker;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Opens one more lane, checked; may wait for a moment.
pub(crate) type OpenLane = Arc<dyn Fn() -> io::Result<UnixStream> + Send + Sync>;

/// What a gate is made of.
pub(crate) struct Parts {
    pub(crate) listener: TcpListener,
    pub(crate) lanes: Vec<UnixStream>,
    pub(crate) open_lane: OpenLane,
    /// What the server knows the gate by.
    pub(crate) secret: String,
    /// Starts every request id of this process.
    pub(crate) id_prefix: String,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
}

/// The order to stop.
#[derive(Debug, Default)]
pub(crate) struct StopSignal {
    asked: AtomicBool,
    until: Mutex<Option<Instant>>,
}

impl StopSignal {
    /// When the gate must be gone, once it has been asked to stop.
    pub(crate) fn until(&self) -> Option<Instant> {
        if !self.asked.load(Ordering::Acquire) {
            return None;
        }
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running gate.
pub(crate) struct Gate {
    address: SocketAddr,
    stop: Arc<StopSignal>,
    waker: Arc<Waker>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Gate {
    /// Opens the gate.
    pub(crate) fn start(parts: Parts) -> io::Result<Self> {
        let address = parts.listener.local_addr()?;
        let stop = Arc::new(StopSignal::default());
        let (event_loop, waker) = EventLoop::new(parts, stop.clone())?;
        let thread = std::thread::Builder::new().name("http-gate".to_owned()).spawn(move || event_loop.run())?;
        Ok(Self { address, stop, waker, thread: Mutex::new(Some(thread)) })
    }

    /// The address it listens on.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the gate: no new connections, what is under way gets `grace` to end. Returns when all is closed.
    pub(crate) fn stop(&self, grace: Duration) {
        *self.stop.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + grace);
        self.stop.asked.store(true, Ordering::Release);
        let _gone_already = self.waker.wake();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _panicked = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A gate whose lanes end in the test.
    struct Rig {
        gate: Gate,
        lanes: Vec<UnixStream>,
        /// Lanes that the gate asks for are taken from here.
        offer: Sender<UnixStream>,
        metrics: Arc<Metrics>,
    }

    impl Rig {
        fn new(count: usize) -> Self {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let (our, their) = UnixStream::pair().expect("a pair");
                ours.push(our);
                theirs.push(their);
            }
            let (offer, offered): (Sender<UnixStream>, Receiver<UnixStream>) = channel();
            let offered = Mutex::new(offered);
            let metrics = Arc::new(Metrics::default());
            let gate = Gate::start(Parts {
                listener: TcpListener::bind("127.0.0.1:0").expect("a port"),
                lanes: theirs,
                open_lane: Arc::new(move || {
                    offered.lock().expect("no panic").recv().map_err(|_| io::ErrorKind::NotConnected.into())
                }),
                secret: "secret".to_owned(),
                id_prefix: "test".to_owned(),
                limits: Limits { urgent_lanes: 0, ..Limits::default() },
                metrics: metrics.clone(),
            });
            Self { gate: gate.expect("a gate"), lanes: ours, offer, metrics }
        }

        fn ask(&self) -> TcpStream {
            let mut client = TcpStream::connect(self.gate.address()).expect("the gate is open");
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("the gate reads");
            client
        }
    }

    fn read_head(mut lane: &UnixStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            lane.read_exact(&mut byte).expect("the gate writes");
            head.push(byte[0]);
        }
    }

    fn all(mut client: TcpStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).expect("text");
        text
    }

    #[test]
    fn a_lost_lane_costs_one_request_and_is_opened_again() {
        let mut rig = Rig::new(1);
        let client = rig.ask();
        let lane = rig.lanes.pop().expect("a lane");
        read_head(&lane);
        drop(lane);
        assert!(all(client).starts_with("HTTP/1.1 502 "));
        // The next one waits for the lane.
        let client = rig.ask();
        let (our, their) = UnixStream::pair().expect("a pair");
        rig.offer.send(their).expect("the gate wants a lane");
        read_head(&our);
        (&our).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("the gate reads");
        assert!(all(client).ends_with("\r\n\r\nok"));
        assert_eq!(rig.metrics.lanes_reopened.get(), 1);
        rig.gate.stop(Duration::ZERO);
    }

    #[test]
    fn an_answer_that_breaks_off_never_looks_whole() {
        for (answer, seen) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"),
            ("HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 502 Bad Gateway\r\n"),
            ("nonsense\r\n\r\n", "HTTP/1.1 502 Bad Gateway\r\n"),
        ] {
            let mut rig = Rig::new(1);
            let client = rig.ask();
            let lane = rig.lanes.pop().expect("a lane");
            read_head(&lane);
            (&lane).write_all(answer.as_bytes()).expect("the gate reads");
            drop(lane);
            let text = all(client);
            assert!(text.starts_with(seen) && !text.contains("\r\n\r\nabc"), "{text}");
            drop(rig.offer);
            rig.gate.stop(Duration::ZERO);
        }
    }

    #[test]
    fn an_answer_in_pieces_is_put_together() {
        let rig = Rig::new(1);
        let client = rig.ask();
        let mut lane = &rig.lanes[0];
        read_head(lane);
        for byte in b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nabc" {
            lane.write_all(&[*byte]).expect("the gate reads");
        }
        let text = all(client);
        assert!(text.contains("A: b\r\n") && text.ends_with("\r\n\r\nabc"), "{text}");
        rig.gate.stop(Duration::ZERO);
    }
}
