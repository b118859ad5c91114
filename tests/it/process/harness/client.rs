//! A client that plays Shopify.

use super::{PATIENCE, SECRET};
use quotegrid::domain::ids::ShopDomain;
use quotegrid::shopify::Topic;
use quotegrid::shopify::sample::{sample_body, sign};
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A webhook as Shopify sends it; sent again it is the same.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) topic: Topic,
    pub(crate) shop: String,
    pub(crate) id: String,
    pub(crate) body: String,
}

impl Hook {
    pub(crate) fn new(topic: Topic, shop: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let domain: ShopDomain = shop.parse().expect("a shop domain");
        let body = sample_body(&topic, &domain).expect("a sample");
        let id = format!("hook-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        Self { topic, shop: shop.to_owned(), id, body }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        format!(
            "POST /webhooks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-Shopify-Topic: {}\r\n\
             X-Shopify-Shop-Domain: {}\r\nX-Shopify-Webhook-Id: {}\r\nX-Shopify-Hmac-Sha256: {}\r\nContent-Length: {}\r\n\r\n{}",
            self.topic.as_str(),
            self.shop,
            self.id,
            sign(SECRET, self.body.as_bytes()),
            self.body.len(),
            self.body
        )
        .into_bytes()
    }
}

/// A keep-alive connection.
pub(crate) struct Client {
    socket: TcpStream,
    input: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn job(&self) -> Option<String> {
        self.body["jobId"].as_str().map(str::to_owned)
    }
}

impl Client {
    pub(crate) fn to(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, input: Vec::new() })
    }

    /// Sends a webhook; an error means that nobody knows whether it was taken.
    pub(crate) fn try_post(&mut self, hook: &Hook) -> io::Result<Answer> {
        self.send(hook)?;
        self.answer()
    }

    pub(crate) fn send(&mut self, hook: &Hook) -> io::Result<()> {
        self.socket.write_all(&hook.bytes())
    }

    pub(crate) fn post(&mut self, hook: &Hook) -> Answer {
        self.try_post(hook).expect("an answer")
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        let end = loop {
            if let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more()?;
        };
        let head: Vec<u8> = self.input.drain(..end).collect();
        let head = String::from_utf8(head).map_err(io::Error::other)?;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let mut answer = Answer { status, head, body: Value::Null };
        let length: usize = answer.field("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.input.len() < length {
            self.more()?;
        }
        let body: Vec<u8> = self.input.drain(..length).collect();
        answer.body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(answer)
    }

    fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.input.extend_from_slice(&piece[..count]);
                    return Ok(());
                }
                // A read with a time-out is ended by a mere pause of the whole process or machine.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
