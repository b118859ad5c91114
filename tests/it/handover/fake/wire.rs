//! Calls as they come in, and their ends: an answer, or one of the ways to fail.

use super::{ELSEWHERE, Manner, Shared};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(super) struct Call {
    pub(super) path: String,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Call {
    pub(super) fn read(socket: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let path = head.split(' ').nth(1)?.to_owned();
        let length = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { path, head, body })
    }
}

pub(super) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

impl Shared {
    pub(super) fn end(&self, socket: &TcpStream, manner: Manner, good: &Value) {
        let code = |code: &str, message: &str| json!({ "data": null, "errors": [{ "message": message, "extensions": { "code": code } }] });
        match manner {
            Manner::Answer => answer(socket, 200, "", &good.to_string()),
            Manner::Status(status) => answer(socket, status, "", "{}"),
            Manner::RetryAfter(status, seconds) => answer(socket, status, &format!("Retry-After: {seconds}\r\n"), "{}"),
            Manner::Refused(code) => answer(socket, 400, "", &json!({ "error": code }).to_string()),
            Manner::Code(name) => answer(socket, 200, "", &code(name, "It failed").to_string()),
            Manner::CodeWithin(name) => {
                let mut body = code(name, "It may not be looked at");
                body["data"] = json!({ "draftOrderCreate": null, "tagged": null, "newest": null });
                body["errors"][0]["path"] = json!(["draftOrderCreate", "draftOrder", "totalPriceSet"]);
                answer(socket, 200, "", &body.to_string());
            }
            Manner::Busy => {
                answer(
                    socket,
                    429,
                    "",
                    &json!({ "errors": "Exceeded 2 calls per second for api client." }).to_string(),
                );
            }
            Manner::Throttled => {
                let mut body = code("THROTTLED", "Throttled");
                let status = json!({ "maximumAvailable": 2000.0, "currentlyAvailable": 0, "restoreRate": 100.0 });
                body["extensions"] =
                    json!({ "cost": { "requestedQueryCost": 300, "actualQueryCost": null, "throttleStatus": status } });
                answer(socket, 200, "", &body.to_string());
            }
            Manner::Close => {}
            Manner::Garbage => answer(socket, 200, "", "<html>Something went wrong</html>"),
            Manner::HalfAnswer => {
                let text = good.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
                send(socket, format!("{head}{}", &text[..text.len() / 2]).as_bytes());
            }
            Manner::Endless => {
                let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
                send(socket, head);
                let block = [b' '; 64 << 10];
                let mut socket = socket;
                for _ in 0..1_000 {
                    if socket.write_all(&block).is_err() {
                        break;
                    }
                }
            }
            Manner::Hang => {
                self.hang(socket);
                let manner = self.lock().after_hang.unwrap_or(Manner::Answer);
                self.end(socket, manner, good);
            }
            Manner::DripHead => {
                send(socket, b"HTTP/1.1 200 OK\r\nX-Drip: ");
                self.drip(socket);
            }
            Manner::DripBody => {
                send(socket, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
                self.drip(socket);
            }
            Manner::Chunks => {
                let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
                let mut text = format!("{interim}{head}").into_bytes();
                for byte in good.to_string().bytes() {
                    text.extend(*b"1\r\n");
                    text.push(byte);
                    text.extend(*b"\r\n");
                }
                text.extend(*b"0\r\n\r\n");
                send(socket, &text);
            }
            Manner::Deep => answer(socket, 200, "", &"[".repeat(500_000)),
            Manner::Shortened => {
                let text = good.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len() - 1);
                send(socket, format!("{head}{text}HTTP/1.1 200 OK\r\n").as_bytes());
            }
            Manner::Redirect => {
                let address = socket.local_addr().expect("an address");
                answer(socket, 302, &format!("Location: http://{address}{ELSEWHERE}\r\n"), "");
            }
            Manner::UserErrors => {
                let errors = json!([{ "field": ["input", "lineItems", "0", "title"], "message": "Title is bad: ask bob@example.com" }]);
                let payload = json!({ "draftOrder": null, "userErrors": errors });
                answer(socket, 200, "", &json!({ "data": { "draftOrderCreate": payload } }).to_string());
            }
            Manner::Passing => {
                let errors = json!([{ "field": null, "message": "Too many attempts. Please try again later." }]);
                let payload = json!({ "draftOrder": null, "userErrors": errors });
                answer(socket, 200, "", &json!({ "data": { "draftOrderCreate": payload } }).to_string());
            }
            Manner::TooMany => answer(socket, 422, "", &json!({ "errors": "Too many requests" }).to_string()),
            Manner::Anothers => {
                let mut other = json!({ "id": "gid://shopify/DraftOrder/999", "name": "#S999", "tags": ["price-matrix", "pm-other"] });
                other["invoiceUrl"] = json!("https://other.myshopify.com/invoices/999");
                let payload = json!({ "draftOrder": other, "userErrors": [] });
                let lists = json!({ "nodes": [other] });
                let data = json!({ "draftOrderCreate": payload, "tagged": lists, "newest": lists });
                answer(socket, 200, "", &json!({ "data": data }).to_string());
            }
            Manner::Nothing => answer(socket, 200, "", &json!({ "data": { "draftOrderCreate": null } }).to_string()),
        }
    }

    /// A byte, and a rest, until the fake lets go, or the caller has.
    fn drip(&self, mut socket: &TcpStream) {
        let mut state = self.lock();
        let seen = state.let_go;
        while state.let_go == seen && socket.write_all(b"x").is_ok() {
            self.changed.wait_for(&mut state, Duration::from_millis(20));
        }
    }

    /// Waits until the fake lets go, or the caller has.
    fn hang(&self, socket: &TcpStream) {
        let mut state = self.lock();
        state.hanging += 1;
        let seen = state.let_go;
        self.changed.notify_all();
        socket.set_nonblocking(true).expect("a socket");
        loop {
            self.changed.wait_for(&mut state, Duration::from_millis(20));
            let is_gone = matches!((&*socket).read(&mut [0]), Ok(0));
            if state.let_go != seen || is_gone {
                break;
            }
        }
        state.hanging -= 1;
        drop(state);
        self.changed.notify_all();
        socket.set_nonblocking(false).expect("a socket");
    }
}

pub(super) fn answer(socket: &TcpStream, status: u16, fields: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nX-Shopify-API-Version: {}\r\nConnection: close\r\n{fields}Content-Length: {}\r\n\r\n",
        quotegrid::shopify::admin::VERSION,
        body.len()
    );
    send(socket, format!("{head}{body}").as_bytes());
}

pub(super) fn send(mut socket: &TcpStream, bytes: &[u8]) {
    // Who has gone does not hear it.
    let _gone = socket.write_all(bytes);
}
