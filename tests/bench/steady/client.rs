//! The load generator: webhooks are due at fixed moments, and each goes out over the connection that has been free longest, so that the server closes none as idle.

use crate::Plan;
use crate::server::{SECRET, erased_shop};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use quotegrid::shopify::sample::sign;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Connections, which are kept.
const CONNECTIONS: usize = 64;

/// Shops whose customers are to be erased, in turn.
const SHOPS: u64 = 100;

/// A webhook that was answered.
pub(crate) struct Answered {
    /// When it was to be sent, since the beginning.
    pub(crate) due: Duration,
    /// How long after that its answer was there.
    pub(crate) took: Duration,
}

struct Connection {
    socket: TcpStream,
    input: Vec<u8>,
    due: Option<Duration>,
}

/// Sends what the plan says.
pub(crate) fn run(address: SocketAddr, plan: &Plan) -> Vec<Answered> {
    let mut poll = Poll::new().expect("epoll");
    let mut events = Events::with_capacity(256);
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|number| open(&poll, address, number)).collect();
    let mut free: VecDeque<usize> = (0..CONNECTIONS).collect();
    let customers: Vec<Hook> =
        (0..SHOPS).map(|number| Hook::of("customers/redact", &format!("steady-{number}"))).collect();
    let (mut answered, mut sent, mut shops) = (Vec::new(), 0_u64, 0_usize);
    let mut scratch = vec![0; 64 * 1024];
    let begun = Instant::now();
    loop {
        let (now, due) = (begun.elapsed(), Duration::from_secs_f64(sent as f64 / plan.rate));
        if due >= plan.length && free.len() == CONNECTIONS {
            return answered;
        }
        if due < plan.length && due <= now && !free.is_empty() {
            let number = free.pop_front().expect("one is free");
            let hook = if due >= plan.erase_every * u32::try_from(shops + 1).expect("a few") {
                shops += 1;
                &Hook::of("shop/redact", &erased_shop(shops - 1))
            } else {
                &customers[(sent % SHOPS) as usize]
            };
            let connection = &mut connections[number];
            connection.due = Some(due);
            let request = hook.request(sent);
            assert_eq!(connection.socket.write(&request).expect("the server reads"), request.len());
            sent += 1;
            continue;
        }
        let wait =
            if free.is_empty() || due >= plan.length { Duration::from_secs(60) } else { due.saturating_sub(now) };
        poll.poll(&mut events, Some(wait)).expect("epoll");
        for event in &events {
            let number = event.token().0;
            let connection = &mut connections[number];
            if connection.is_answered(&mut scratch) {
                let due = connection.due.take().expect("it was asked");
                answered.push(Answered { due, took: begun.elapsed().saturating_sub(due) });
                free.push_back(number);
            }
        }
    }
}

fn open(poll: &Poll, address: SocketAddr, number: usize) -> Connection {
    let socket = std::net::TcpStream::connect(address).expect("the server listens");
    socket.set_nodelay(true).expect("nodelay");
    socket.set_nonblocking(true).expect("nonblocking");
    let mut socket = TcpStream::from_std(socket);
    poll.registry().register(&mut socket, Token(number), Interest::READABLE).expect("epoll");
    Connection { socket, input: Vec::new(), due: None }
}

impl Connection {
    fn is_answered(&mut self, scratch: &mut [u8]) -> bool {
        loop {
            match self.socket.read(scratch) {
                Ok(0) => panic!("the server hung up"),
                Ok(count) => self.input.extend_from_slice(&scratch[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("the server does not answer: {error}"),
            }
        }
        let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
        let head = String::from_utf8_lossy(&self.input[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).expect("a length");
        if self.input.len() < end + 4 + length.trim().parse::<usize>().expect("a number") {
            return false;
        }
        assert!(self.input.starts_with(b"HTTP/1.1 200 "), "{}", self.input.escape_ascii());
        self.input.clear();
        true
    }
}

/// A webhook without its id.
struct Hook {
    head: String,
    body: Vec<u8>,
}

impl Hook {
    fn of(topic: &str, shop: &str) -> Self {
        let shop = format!("{shop}.myshopify.com");
        let body = if topic == "shop/redact" {
            serde_json::json!({ "shop_id": 954_889, "shop_domain": shop })
        } else {
            serde_json::json!({
                "shop_id": 954_889,
                "shop_domain": shop,
                "customer": { "id": 191_167, "email": "jo@example.invalid", "phone": "555-625-1199" },
                "orders_to_redact": [299_938, 280_263, 220_458],
            })
        };
        let body = body.to_string().into_bytes();
        let head = format!(
            "POST /webhooks HTTP/1.1\r\nHost: quotes.example.com\r\nUser-Agent: Shopify-Captain-Hook\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nX-Shopify-Api-Version: 2026-01\r\n\
             X-Shopify-Hmac-Sha256: {}\r\nX-Shopify-Shop-Domain: {shop}\r\nX-Shopify-Topic: {topic}\r\n",
            body.len(),
            sign(SECRET, &body),
        );
        Self { head, body }
    }

    /// With an id of its own, in no order.
    fn request(&self, number: u64) -> Vec<u8> {
        // An odd factor gives each number another one of 64 bits.
        let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (high, low) = (scattered >> 32, scattered & 0xffff_ffff);
        let mut request =
            format!("{}X-Shopify-Webhook-Id: {high:08x}-bdd9-4b37-8a5f-0000{low:08x}\r\n\r\n", self.head).into_bytes();
        request.extend_from_slice(&self.body);
        request
    }
}
