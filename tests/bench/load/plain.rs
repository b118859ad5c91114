//! The reference: tiny_http's empty 200, without the front end.

use std::net::SocketAddr;
use std::sync::Arc;

/// Handler threads, as many as it was measured best with.
const HANDLERS: usize = 4;

pub(crate) fn start() -> SocketAddr {
    let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").expect("a server"));
    for _ in 0..HANDLERS {
        let server = server.clone();
        std::thread::spawn(move || {
            while let Ok(request) = server.recv() {
                let _gone = request.respond(tiny_http::Response::empty(200));
            }
        });
    }
    server.server_addr().to_ip().expect("a TCP address")
}
