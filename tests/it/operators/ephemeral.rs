//! `serve --ephemeral`, as a test suite in another language would use it: a child process, its ready line, HTTP, and the end of its
//! standard input.

use super::quotegrid;
use crate::support::waiting::PATIENCE;
use quotegrid::shopify::sample::sign;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

fn command(arguments: &[&str]) -> Command {
    // What is configured elsewhere must not be touched.
    let elsewhere = Path::new("/nowhere/at/all.db");
    let mut command = quotegrid(elsewhere, &[&["serve", "--ephemeral", "--json"], arguments].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The child process; killed where a test does not end it.
pub(crate) struct Ephemeral {
    pub(crate) child: Child,
    ready: Value,
}

impl Ephemeral {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut command(arguments))
    }

    /// One that logs all that it ever logs, as if every request were a slow one; and its log, once it has ended.
    pub(crate) fn traced(arguments: &[&str]) -> (Self, JoinHandle<String>) {
        let mut command = command(&[&["--slow-request-ms", "1"], arguments].concat());
        let mut server = Self::spawn(command.env("QUOTEGRID_LOG", "trace").stderr(Stdio::piped()));
        let mut stderr = server.child.stderr.take().expect("piped");
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).expect("text");
            log
        });
        (server, log)
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a ready line");
        Self { child, ready: serde_json::from_str(&line).expect("JSON") }
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.ready))
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let address = self.text("url").strip_prefix("http://").expect("plain HTTP");
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out is set");
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("\r\n{body}"));
        socket.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head[9..12].parse().expect("a status"), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {}", self.text("adminToken"));
        self.ask(method, &format!("/admin/api{path}"), &[("Authorization", &bearer)], &body.to_string())
    }

    pub(crate) fn redact(&self, id: &str) -> (u16, Value) {
        let body = json!({ "shop_id": 1, "shop_domain": self.text("shop") }).to_string();
        let signature = sign(self.text("shopifyApiSecret"), body.as_bytes());
        let headers = [
            ("X-Shopify-Topic", "shop/redact"),
            ("X-Shopify-Shop-Domain", self.text("shop")),
            ("X-Shopify-Webhook-Id", id),
            ("X-Shopify-Hmac-Sha256", &signature),
        ];
        self.ask("POST", "/webhooks", &headers, &body)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.text("url").trim_start_matches("http://").parse().expect("an address")
    }

    pub(crate) fn end(mut self) -> (ExitStatus, PathBuf) {
        let database = PathBuf::from(self.text("database"));
        drop(self.child.stdin.take());
        (self.child.wait().expect("it ends"), database)
    }
}

impl Drop for Ephemeral {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn an_ephemeral_server_with_a_frozen_clock_moves_only_as_asked_and_leaves_no_files() {
    let server = Ephemeral::start(&["--clock-at", "2027-03-01T00:00:00Z"]);
    assert!(server.text("apiKey").starts_with("pm_"));
    let store = format!("/stores/{}", server.text("shop"));
    assert_eq!(server.admin("GET", &store, &Value::Null).1["installedAt"], "2027-03-01T00:00:00.000Z");
    let (status, moved) = server.admin("POST", "/clock", &json!({ "advanceMs": 86_400_000 }));
    assert_eq!((status, &moved["now"]), (200, &json!("2027-03-02T00:00:00.000Z")));
    let (status, accepted) = server.redact("w-1");
    assert_eq!((status, &accepted["status"]), (200, &json!("accepted")));
    assert_eq!(server.admin("GET", &store, &Value::Null).0, 200, "nothing runs until it is asked for");
    assert_eq!(server.admin("POST", "/jobs/run", &json!({})), (200, json!({ "processed": 1, "errors": 0 })));
    assert_eq!(server.admin("GET", &store, &Value::Null).0, 404);
    let (_, requests) = server.admin("GET", "/gdpr/requests", &Value::Null);
    assert_eq!(requests["requests"][0]["processedAt"], "2027-03-02T00:00:00.000Z");
    let (status, verified) = server.admin("GET", "/gdpr/verify", &Value::Null);
    assert_eq!((status, &verified["ok"]), (200, &json!(true)), "{verified}");
    let (status, database) = server.end();
    assert!(status.success(), "{status}");
    assert!(!database.parent().expect("a directory").exists(), "its directory is gone");
}

#[test]
fn an_ephemeral_server_with_its_own_workers_has_done_what_was_due_when_run_answers() {
    let server = Ephemeral::start(&[]);
    assert_eq!(server.redact("w-1").0, 200);
    let (status, _) = server.admin("POST", "/jobs/run", &json!({}));
    assert_eq!(status, 200);
    assert_eq!(server.admin("GET", "/jobs?status=completed", &Value::Null).1["jobs"][0]["type"], "shop_redact");
    assert_eq!(server.admin("POST", "/clock", &json!({ "advanceMs": 1 })).0, 404, "time goes by itself");
    assert!(server.end().0.success());
}

#[test]
fn a_frozen_clock_is_for_ephemeral_servers_only() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("test.db");
    let output = quotegrid(&path, &["serve", "--dev", "--clock-at", "2027-01-01T00:00:00Z"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(!path.exists());
    // Nor can it are at a time that ids or log lines cannot hold.
    for at in ["1969-12-31T23:59:59Z", "+10000-01-01T00:00:00Z", "noon"] {
        let output = quotegrid(&path, &["serve", "--ephemeral", "--clock-at", at]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{at}");
    }
}
