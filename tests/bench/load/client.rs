//! The load generator: one thread, one epoll, every connection asks again as soon as it is answered.

use crate::usage::Usage;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How the requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Over so many connections that are kept.
    Kept(usize),
    /// Over a connection for each, so many at once.
    EachItsOwn(usize),
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(count) => write!(f, "{count} kept"),
            Self::EachItsOwn(count) => write!(f, "{count}, each its own"),
        }
    }
}

/// What a run has shown.
pub(crate) struct Run {
    took: Duration,
    /// What this process has used meanwhile.
    used: Usage,
    /// Latencies in microseconds, in order.
    micros: Vec<u32>,
}

impl Run {
    pub(crate) fn rate(&self) -> f64 {
        self.micros.len() as f64 / self.took.as_secs_f64()
    }

    /// Processor time for each request, which hardly depends on what else the machine does.
    pub(crate) fn micros_each(&self) -> f64 {
        self.used.micros_each(self.micros.len())
    }

    /// KiB that went to the disk for each request.
    pub(crate) fn kib_each(&self) -> f64 {
        self.used.kib_each(self.micros.len())
    }

    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        let at = ((self.micros.len() as f64 * quantile) as usize).min(self.micros.len().saturating_sub(1));
        f64::from(self.micros.get(at).copied().unwrap_or_default()) / 1000.0
    }
}

/// The median of a figure of several runs.
pub(crate) fn median(runs: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    let mut figures: Vec<f64> = runs.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// What is asked.
pub(crate) trait Requests {
    /// Writes the next request, with `Connection: close` where it is to be the only one of its connection.
    fn write(&self, out: &mut Vec<u8>, close: bool);
}

struct Connection {
    socket: TcpStream,
    output: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    asked: Instant,
}

/// Asks `address` for `time` after a quarter of it to warm up.
pub(crate) fn run(address: SocketAddr, requests: &dyn Requests, load: Load, time: Duration) -> Run {
    let (count, close) = match load {
        Load::Kept(count) => (count, false),
        Load::EachItsOwn(count) => (count, true),
    };
    let mut poll = Poll::new().expect("epoll");
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Connection> = Vec::new();
    for number in 0..count {
        connections.push(if close {
            open(&poll, address, number)
        } else {
            open_answered(&poll, address, number, requests)
        });
    }
    for connection in &mut connections {
        ask(connection, requests, close);
    }
    let start = Instant::now() + time / 4;
    let end = start + time;
    let mut micros = Vec::new();
    let mut used_before = None;
    let mut scratch = vec![0; 64 * 1024];
    loop {
        poll.poll(&mut events, Some(Duration::from_secs(10))).expect("epoll");
        assert!(!events.is_empty(), "no answer for ten seconds");
        let now = Instant::now();
        if now >= end {
            break;
        }
        if now >= start && used_before.is_none() {
            used_before = Some(Usage::now());
        }
        for event in &events {
            let number = event.token().0;
            let connection = &mut connections[number];
            if event.is_writable() && connection.written < connection.output.len() {
                write(connection);
            }
            if !(event.is_readable() || event.is_read_closed()) || !read(connection, &mut scratch, close) {
                continue;
            }
            if connection.asked >= start {
                micros.push(u32::try_from(connection.asked.elapsed().as_micros()).unwrap_or(u32::MAX));
            }
            if close {
                *connection = open(&poll, address, number);
            }
            ask(&mut connections[number], requests, close);
        }
    }
    let used = Usage::now().since(used_before.unwrap_or_default());
    micros.sort_unstable();
    Run { took: time, used, micros }
}

fn open(poll: &Poll, address: SocketAddr, number: usize) -> Connection {
    let socket = TcpStream::connect(address).expect("the server listens");
    watched(poll, socket, number)
}

fn watched(poll: &Poll, mut socket: TcpStream, number: usize) -> Connection {
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut socket, Token(number), interest).expect("epoll");
    Connection { socket, output: Vec::new(), written: 0, input: Vec::new(), asked: Instant::now() }
}

/// Opens a connection and waits until its first request is answered.
fn open_answered(poll: &Poll, address: SocketAddr, number: usize, requests: &dyn Requests) -> Connection {
    let mut socket = std::net::TcpStream::connect(address).expect("the server listens");
    socket.set_nodelay(true).expect("nodelay");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
    let mut request = Vec::new();
    requests.write(&mut request, false);
    socket.write_all(&request).expect("the server reads");
    let mut input = Vec::new();
    while answer_length(&input).is_none_or(|length| input.len() < length) {
        let mut piece = [0; 4096];
        let count = socket.read(&mut piece).expect("the server answers");
        assert_ne!(count, 0, "the server hung up");
        input.extend_from_slice(&piece[..count]);
    }
    socket.set_nonblocking(true).expect("nonblocking");
    watched(poll, TcpStream::from_std(socket), number)
}

fn ask(connection: &mut Connection, requests: &dyn Requests, close: bool) {
    requests.write(&mut connection.output, close);
    connection.written = 0;
    connection.asked = Instant::now();
    if !close {
        write(connection);
    }
}

fn write(connection: &mut Connection) {
    match connection.socket.write(&connection.output[connection.written..]) {
        Ok(count) => connection.written += count,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
        Err(error) => panic!("the server does not read: {error}"),
    }
}

/// Reads; returns whether an answer is whole.
fn read(connection: &mut Connection, scratch: &mut [u8], close: bool) -> bool {
    match connection.socket.read(scratch) {
        Ok(0) if close && !connection.input.is_empty() => {}
        Ok(0) => panic!("the server hung up"),
        Ok(count) => connection.input.extend_from_slice(&scratch[..count]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
        Err(error) => panic!("the server does not answer: {error}"),
    }
    let Some(length) = answer_length(&connection.input) else { return false };
    if connection.input.len() < length {
        return false;
    }
    let is_good = connection.input.starts_with(b"HTTP/1.1 200 ") || connection.input.starts_with(b"HTTP/1.1 201 ");
    assert!(is_good, "{}", connection.input.escape_ascii());
    connection.input.clear();
    true
}

/// The length of the answer at the start of `input`, once its head is there.
fn answer_length(input: &[u8]) -> Option<usize> {
    let end = input.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&input[..end]).expect("a head is text");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().expect("a length"))
    });
    Some(end + length.expect("every answer says how long it is"))
}
