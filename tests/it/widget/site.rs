//! A shop's own site: a page of any content, and, below `/apps/quotes`, Shopify's app proxy as far as it matters: it signs what it is
//! asked and passes it on.

use crate::storefront::harness::{Server, encoded};
use quotegrid::edge::{Server as HttpServer, ServerOptions};
use quotegrid::shopify::app_proxy;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Below this, requests are passed on.
const PROXIED: &str = "/apps/quotes";

/// What the proxy passes on to, and for whom.
#[derive(Debug, Clone)]
pub(super) struct AppProxy {
    pub(super) api: String,
    pub(super) shop: &'static str,
    pub(super) secret: &'static str,
    pub(super) seconds: i64,
}

/// Starts quotegrid itself.
pub(super) fn started(server: &Server) -> (HttpServer, String) {
    let http = HttpServer::start(ServerOptions::new(LOCAL), Arc::new(server.router.clone())).expect("a server");
    let url = format!("http://{}", http.address());
    server.router.state().set_public_url(&url);
    (http, url)
}

/// Serves `page` from an origin of its own, which is returned, until the process ends.
pub(super) fn site(page: String, proxy: Option<AppProxy>) -> String {
    let listener = TcpListener::bind(LOCAL).expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A thread each: browsers open connections ahead of what they ask on them.
            let (page, proxy) = (page.clone(), proxy.clone());
            thread::spawn(move || answer(&stream, &page, proxy.as_ref()));
        }
    });
    origin
}

fn answer(mut stream: &TcpStream, page: &str, proxy: Option<&AppProxy>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let mut words = head.first()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let field = |name: &str| {
        let fields = head.iter().skip(1).filter_map(|line| line.split_once(": "));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let mut content = vec![0; field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut content).ok()?;
    let own = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: close\r\n";
    let (Some(proxy), Some(rest)) = (proxy, target.strip_prefix(PROXIED)) else {
        return write!(stream, "{own}Content-Length: {}\r\n\r\n{page}", page.len()).ok();
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    let time = proxy.seconds.to_string();
    for (name, value) in
        [("shop", proxy.shop), ("path_prefix", PROXIED), ("logged_in_customer_id", ""), ("timestamp", time.as_str())]
    {
        pairs.push((name.to_owned(), value.to_owned()));
    }
    let signature = app_proxy::sign(proxy.secret, &pairs);
    pairs.push(("signature".to_owned(), signature));
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let host = proxy.api.trim_start_matches("http://");
    let mut upstream = TcpStream::connect(host).ok()?;
    let mut passed =
        format!("{method} /proxy{path}?{} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n", query.join("&"));
    for name in ["Content-Type", "Idempotency-Key", "Accept-Language"] {
        if let Some(value) = field(name) {
            passed.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    passed.push_str(&format!("Content-Length: {}\r\n\r\n", content.len()));
    upstream.write_all(passed.as_bytes()).ok()?;
    upstream.write_all(&content).ok()?;
    let mut response = Vec::new();
    upstream.read_to_end(&mut response).ok()?;
    stream.write_all(&response).ok()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next().unwrap_or(b'0')).to_digit(16).unwrap_or(0) as u8;
                digit() * 16 + digit()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).expect("browsers send UTF-8")
}
