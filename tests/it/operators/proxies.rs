//! The files for proxies in `data/deploy`, as they are but for names and ports: a burst of more connections than quotegrid has places for gets
//! answers through them, and their logs hold no address of an order's page. Where this machine lacks a proxy, that one is passed over.

use crate::edge::harness::Wire;
use crate::edge::target::{Target, room_for_connections};
use crate::support::waiting::wait_until;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// More than all places together.
const BURST: usize = 1_500;

fn deployed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn is_here(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// `text` with `what` replaced, which must be there.
fn replaced(text: &str, what: &str, with: &str) -> String {
    assert!(text.contains(what), "the file has no {what:?}");
    text.replace(what, with)
}

/// A proxy, ended with the test.
struct Proxy {
    process: Child,
    address: SocketAddr,
}

impl Proxy {
    fn start(command: &mut Command, log: &Path, port: u16) -> Self {
        let log = fs::File::create(log).expect("a log");
        let process = command.stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        let proxy = Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        wait_until("the proxy listens", || TcpStream::connect(proxy.address).is_ok());
        proxy
    }

    fn status(&self, path: &str) -> u16 {
        let mut wire = Wire::to(self.address);
        wire.send(format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
            self.address.port()
        ));
        wire.answer().status
    }

    /// What a burst is answered.
    fn burst(&self) -> Vec<u16> {
        let mut wires: Vec<_> = (0..room_for_connections(BURST)).map(|_| Wire::to(self.address)).collect();
        let request = format!(
            "GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
            self.address.port()
        );
        for wire in &mut wires {
            wire.send(&request);
        }
        wires.iter_mut().map(|wire| wire.answer().status).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        // So that nginx takes its workers along.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ended = self.process.wait();
    }
}

fn target() -> Target {
    Target::start(&["--trusted-proxies", "127.0.0.1"])
}

#[test]
fn through_caddy_a_burst_is_answered_and_no_log_holds_the_address_of_a_page() {
    if !is_here("caddy", "version") {
        return;
    }
    let (target, directory, port) = (target(), tempfile::tempdir().expect("a directory"), free_port());
    let file = replaced(&deployed("Caddyfile"), "quotes.example.com {", &format!("http://127.0.0.1:{port} {{"));
    let file = replaced(&file, "127.0.0.1:8080", &target.server.address().to_string());
    // Its own port for orders to it would be the same for all.
    let file = replaced(&file, "{\n\t# The address", "{\n\tadmin off\n\t# The address");
    fs::write(directory.path().join("Caddyfile"), file).expect("written");
    let log = directory.path().join("log");
    let mut command = Command::new("caddy");
    command.arg("run").arg("--config").arg(directory.path().join("Caddyfile")).env("HOME", directory.path());
    let proxy = Proxy::start(&mut command, &log, port);
    let statuses = proxy.burst();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(proxy.status("/q/0123456789secret"), 404);
    assert_eq!(target.server.stop(), Some(0));
    assert_eq!(proxy.status("/q/0123456789secret"), 502);
    drop(proxy);
    let log = fs::read_to_string(log).expect("a log");
    assert!(log.contains("/q/***") && !log.contains("secret"), "{log}");
}

#[test]
fn through_nginx_a_burst_is_answered_and_no_log_holds_the_address_of_a_page() {
    if !is_here("nginx", "-v") {
        return;
    }
    let (target, directory, port) = (target(), tempfile::tempdir().expect("a directory"), free_port());
    let here = directory.path().display();
    let mut file = replaced(&deployed("nginx.conf"), "listen 443 ssl;", &format!("listen 127.0.0.1:{port};"));
    file = file.lines().filter(|line| !line.contains("[::]") && !line.contains("ssl_")).collect::<Vec<_>>().join("\n");
    file = replaced(&file, "127.0.0.1:8080", &target.server.address().to_string());
    file = replaced(&file, "/var/log/nginx/", &format!("{here}/"));
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {here}/{kind};\n"))
        .concat();
    let whole = format!(
        "daemon off;\npid {here}/pid;\nworker_processes 2;\nworker_rlimit_nofile 8192;\nerror_log {here}/error.log;\n\
         events {{ worker_connections 4000; }}\nhttp {{\n{paths}{file}\n}}\n"
    );
    fs::write(directory.path().join("nginx.conf"), whole).expect("written");
    let mut command = Command::new("nginx");
    command.arg("-e").arg(directory.path().join("error.log")).arg("-c").arg(directory.path().join("nginx.conf"));
    let proxy = Proxy::start(&mut command, &directory.path().join("log"), port);
    let statuses = proxy.burst();
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 200).count() > 500, "{statuses:?}");
    assert_eq!(proxy.status("/q/0123456789secret"), 404);
    assert_eq!(target.server.stop(), Some(0));
    assert_eq!(proxy.status("/q/0123456789secret"), 503);
    drop(proxy);
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).expect("a log");
    let (access, errors) = (read("quotegrid.log"), read("error.log"));
    assert!(access.contains("/q/***") && !access.contains("secret"), "{access}");
    assert!(!errors.contains("secret"), "{errors}");
}
