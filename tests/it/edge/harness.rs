//! A server with a service that does as its path says, and a client that writes bytes.

use crate::support::waiting::PATIENCE;
use quotegrid::edge::frontend::FrontEndLimits;
use quotegrid::edge::{Server, ServerOptions};
use quotegrid::http::{Reply, Request, Response, Service};
use quotegrid::metrics::Metrics;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

pub(crate) struct Edge {
    pub(crate) server: Server,
    pub(crate) metrics: Arc<Metrics>,
    /// Requests to /hold, to be answered by the test.
    pub(crate) held: Mutex<Receiver<(Request, Reply)>>,
}

impl Edge {
    pub(crate) fn start() -> Self {
        Self::with(|_limits| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut FrontEndLimits)) -> Self {
        let mut options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        change(&mut options.limits);
        let metrics = options.metrics.clone();
        let (hold, held) = channel();
        let server = Server::start(options, Arc::new(Playground { hold: Mutex::new(hold) })).expect("a server starts");
        Self { server, metrics, held: Mutex::new(held) }
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::to(self.server.address())
    }

    /// The next request to /hold.
    pub(crate) fn next_held(&self) -> (Request, Reply) {
        self.held.lock().expect("no panic").recv_timeout(PATIENCE).expect("a request to /hold")
    }

    /// Sends `bytes` on a connection of its own and reads the one answer.
    pub(crate) fn ask(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut wire = self.connect();
        wire.send(bytes);
        wire.answer()
    }

    /// Sends `bytes` and reads until the server closes: all it says.
    pub(crate) fn ask_all(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut wire = self.connect();
        wire.send(bytes);
        wire.rest()
    }

    /// That all is well for an honest client.
    pub(crate) fn assert_serves(&self) {
        let answer = self.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!((answer.status, answer.json()["body"].as_str()), (200, Some("ok")), "{answer:?}");
    }
}

pub(crate) struct Playground {
    pub(crate) hold: Mutex<Sender<(Request, Reply)>>,
}

impl Playground {
    pub(crate) fn alone() -> Self {
        Self { hold: Mutex::new(channel().0) }
    }
}

impl Service for Playground {
    fn call(&self, request: Request, reply: Reply) {
        let number = |default: usize| request.query.parse().unwrap_or(default);
        // Below /webhooks it is all the same, but that requests share upstream connections.
        let path = request.path.strip_prefix("/webhooks").unwrap_or(&request.path).to_owned();
        match path.as_str() {
            "/hold" => {
                if let Err(nobody_waits) = self.hold.lock().expect("no panic").send((request, reply)) {
                    drop(nobody_waits);
                }
            }
            "/followed" => {
                let followed = reply.others_follow().to_string();
                reply.send(Response::new(200, "text/plain", followed));
            }
            "/panic" => panic!("on purpose"),
            "/drop" => drop(reply),
            "/status" => reply.send(Response::new(u16::try_from(number(200)).unwrap_or(0), "text/plain", "body")),
            "/page" => reply.send(Response::new(200, "text/html; charset=utf-8", "<p>")),
            "/big" => reply.send(Response::new(200, "text/plain", pattern(number(1)))),
            "/fields" => reply.send(
                Response::empty(200)
                    .with_header("A", "b")
                    .with_header("Set-Cookie", "a=1")
                    .with_header("Set-Cookie", "b=2")
                    .with_header("Evil", "x\r\nInjected: y")
                    .with_header("Content-Length", "99")
                    .with_header("Connection", "close")
                    .with_header("Server", "secret/1.2.3"),
            ),
            _ => {
                let headers: Vec<Value> = request.headers.iter().map(|(name, value)| json!([name, value])).collect();
                reply.send(Response::json(
                    200,
                    &json!({
                        "method": request.method.as_str(),
                        "path": request.path,
                        "query": request.query,
                        "client": request.client.to_string(),
                        "id": request.id,
                        "headers": headers,
                        "length": request.body.len(),
                        "body": String::from_utf8_lossy(&request.body[..request.body.len().min(100)]),
                        "matches": request.body == pattern(request.body.len()),
                    }),
                ));
            }
        }
    }

    fn route_of(&self, _method: &quotegrid::http::Method, _path: &str) -> &'static str {
        "playground"
    }
}

/// Bytes in which a lost or doubled piece shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let period: Vec<u8> =
        (0..19_997).map(|at| b'a' + u8::try_from((at / 7 + at / 1000) % 26).expect("below 26")).collect();
    let mut bytes = period.repeat(length / period.len() + 1);
    bytes.truncate(length);
    bytes
}

/// A connection to write bytes on.
pub(crate) struct Wire {
    pub(crate) socket: TcpStream,
    input: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON answer")
    }
}

impl Wire {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).expect("the server listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out is set");
        socket.set_nodelay(true).expect("nodelay is set");
        Self { socket, input: Vec::new() }
    }

    /// Sends; a server that has hung up already is noticed by reading.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _hung_up = self.socket.write_all(bytes.as_ref());
    }

    pub(crate) fn end(&mut self) {
        let _hung_up = self.socket.shutdown(Shutdown::Write);
    }

    /// Whether there is more; a reset is an end.
    fn read_more(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        loop {
            match self.socket.read(&mut piece) {
                Ok(count) => {
                    self.input.extend_from_slice(&piece[..count]);
                    return count > 0;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("no answer came: {error}"),
            }
        }
    }

    /// The next head, interim ones too.
    pub(crate) fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.input.drain(..end + 4).collect();
                return Some(String::from_utf8(head).expect("a head is text"));
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    /// The next answer with a body as long as it says.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer before the end")
    }

    pub(crate) fn try_answer(&mut self) -> Option<Answer> {
        let head = self.head()?;
        let mut answer = Answer { status: head[9..12].parse().expect("a status"), head, body: Vec::new() };
        let length: usize = answer.field("Content-Length").map_or(0, |length| length.parse().expect("a length"));
        while self.input.len() < length {
            if !self.read_more() {
                return None;
            }
        }
        answer.body = self.input.drain(..length).collect();
        Some(answer)
    }

    /// All that comes until the end.
    pub(crate) fn rest(&mut self) -> String {
        while self.read_more() {}
        String::from_utf8(std::mem::take(&mut self.input)).expect("text")
    }

    /// That the server has ended this connection, without another word.
    pub(crate) fn assert_ended(&mut self) {
        assert_eq!(self.rest(), "", "nothing more was to come");
    }
}
