//! The backend: tiny_http on a Unix socket, and the upstream connections that the front end opens to it.

mod handler;
mod head;
mod responses;

pub(super) use responses::ResponseWriter;

use crate::edge::frontend::{self, FRONTEND_FIELD};
use crate::http::Service;
use handler::{HandlerParts, HandlerThread};
use log::warn;
use parking_lot::Mutex;
use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// How long a handler that is at work gets to notice the end.
const HANDLER_PATIENCE: Duration = Duration::from_secs(2);

/// How long a new upstream connection is waited for.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// Descriptors that must be free before an upstream connection is opened: the three that it needs, and some for whatever else
/// needs one meanwhile.
const SPARE_DESCRIPTORS: usize = 8;

/// The backend.
pub(super) struct Backend {
    directory: TempDir,
    secret: String,
    service: Arc<dyn Service>,
    response_writer: Arc<ResponseWriter>,
    handlers: usize,
    stopping: Arc<AtomicBool>,
    /// The tiny_http servers: one, and another each time its accept thread has died. Older ones go on with the upstream
    /// connections they have.
    instances: Mutex<Vec<ServerInstance>>,
}

/// One tiny_http server with its handlers.
struct ServerInstance {
    server: Arc<tiny_http::Server>,
    path: PathBuf,
    handlers: Vec<JoinHandle<()>>,
    ended: Receiver<()>,
}

impl Backend {
    /// Starts the first tiny_http server, with so many handlers.
    pub(super) fn start(
        secret: String,
        service: Arc<dyn Service>,
        response_writer: ResponseWriter,
        handlers: usize,
    ) -> io::Result<Arc<Self>> {
        let backend = Arc::new(Self {
            directory: private_directory()?,
            secret,
            service,
            response_writer: Arc::new(response_writer),
            handlers,
            stopping: Arc::default(),
            instances: Mutex::new(Vec::new()),
        });
        backend.clone().start_instance()?;
        Ok(backend)
    }

    /// Starts a tiny_http server and its handlers.
    fn start_instance(self: Arc<Self>) -> io::Result<()> {
        let mut instances = self.instances.lock();
        let path = self.directory.path().join(instances.len().to_string());
        let server = Arc::new(tiny_http::Server::http_unix(&path).map_err(io::Error::other)?);
        let (end, ended) = channel();
        let mut handlers = Vec::new();
        for number in 0..self.handlers {
            let handler = HandlerThread {
                server: server.clone(),
                parts: HandlerParts {
                    secret: self.secret.clone(),
                    service: self.service.clone(),
                    response_writer: self.response_writer.clone(),
                },
                stopping: self.stopping.clone(),
                _end: end.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("http-handler-{number}"));
            handlers.push(thread.spawn(move || handler.run())?);
        }
        instances.push(ServerInstance { server, path, handlers, ended });
        Ok(())
    }

    /// Opens an upstream connection and sees that it is served. One at a time: tiny_http miscounts its idle threads when several
    /// connections come at once, and never serves some of them.
    pub(super) fn open_upstream(&self) -> io::Result<UnixStream> {
        let instances = self.instances.lock();
        let path = instances.last().map(|instance| instance.path.clone()).ok_or(io::ErrorKind::NotConnected)?;
        if !frontend::have_spare(SPARE_DESCRIPTORS) {
            return Err(io::Error::other("too few file descriptors are free"));
        }
        let mut upstream = UnixStream::connect(path)?;
        upstream.set_read_timeout(Some(PROBE_PATIENCE))?;
        upstream.set_write_timeout(Some(PROBE_PATIENCE))?;
        upstream.write_all(format!("GET / HTTP/1.1\r\n{FRONTEND_FIELD}: {}\r\n\r\n", self.secret).as_bytes())?;
        let mut response = Vec::new();
        let mut byte = [0; 256];
        while !response.ends_with(b"\r\n\r\n") {
            match upstream.read(&mut byte) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => response.extend_from_slice(&byte[..count]),
                // A read with a time-out is ended by a mere pause of the process.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if !response.starts_with(b"HTTP/1.1 204 ") {
            return Err(io::Error::other("the backend does not know the front end"));
        }
        Ok(upstream)
    }

    /// Opens an upstream connection, on a new tiny_http server when the present one takes no more connections.
    pub(super) fn reopen_upstream(self: Arc<Self>) -> io::Result<UnixStream> {
        if !frontend::have_spare(SPARE_DESCRIPTORS) {
            return Err(io::Error::other("too few file descriptors are free"));
        }
        self.open_upstream().or_else(|error| {
            if self.is_stopping() {
                return Err(error);
            }
            warn!("the backend takes no more connections, starting another: {error}");
            self.clone().start_instance()?;
            self.open_upstream()
        })
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let instances = std::mem::take(&mut *self.instances.lock());
        for ServerInstance { server, handlers, ended, .. } in instances {
            for _ in &handlers {
                server.unblock();
            }
            // Each handler holds a sender until it ends.
            match ended.recv_timeout(HANDLER_PATIENCE) {
                Err(RecvTimeoutError::Disconnected) => {
                    for handler in handlers {
                        let _panicked = handler.join();
                    }
                }
                Ok(()) | Err(RecvTimeoutError::Timeout) => {
                    warn!("a request is still being worked on; not waiting for it")
                }
            }
        }
    }
}

impl Drop for Backend {
    /// Also where it was never stopped, as in a start that failed: its handlers must not wait for another tiny_http.
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
    }
}

/// A directory that no other user may enter; its default mode would follow the umask.
fn private_directory() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("quotegrid-").permissions(Permissions::from_mode(0o700)).tempdir()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Reply, Request, Response};
    use crate::metrics::Metrics;

    struct NoService;

    impl Service for NoService {
        fn call(&self, _request: Request, reply: Reply) {
            reply.send(Response::empty(204));
        }
    }

    fn backend() -> Arc<Backend> {
        let response_writer = ResponseWriter::new(Duration::from_secs(1), Arc::new(Metrics::default()));
        Backend::start("right".to_owned(), Arc::new(NoService), response_writer, 2).expect("a server")
    }

    #[test]
    fn the_backend_serves_only_the_front_end() {
        let backend = backend();
        let mode = std::fs::metadata(backend.directory.path()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        for field in ["", "Front-End: wrong 1\r\n", "Front-End: right 1\r\n", "Front-End: right\r\n", "Host: x\r\n"] {
            let path = backend.instances.lock()[0].path.clone();
            let mut upstream = UnixStream::connect(path).expect("it listens");
            write!(upstream, "GET / HTTP/1.1\r\nConnection: close\r\n{field}\r\n").expect("it reads");
            let mut response = String::new();
            upstream.read_to_string(&mut response).expect("it answers");
            let expected = if field.ends_with("Front-End: right\r\n") { "HTTP/1.1 204 " } else { "HTTP/1.1 403 " };
            assert!(response.starts_with(expected), "{field:?}: {response}");
        }
        backend.stop();
    }

    #[test]
    fn when_tiny_http_takes_no_more_connections_another_is_started() {
        let backend = backend();
        let mut old = backend.open_upstream().expect("an upstream connection");
        let path = backend.instances.lock()[0].path.clone();
        // What is seen when its accept thread has died.
        std::fs::remove_file(path).expect("it is there");
        let mut new = backend.clone().reopen_upstream().expect("an upstream connection of another server");
        for upstream in [&mut old, &mut new] {
            let forwarded = "0 127.0.0.1 id GET /\n";
            let length = forwarded.len();
            let head = format!("POST / HTTP/1.1\r\nFront-End: right 1\r\nContent-Length: {length}\r\n\r\n");
            upstream.write_all(format!("{head}{forwarded}").as_bytes()).expect("it reads");
            let mut start = [0; 13];
            upstream.read_exact(&mut start).expect("it answers");
            assert_eq!(&start, b"HTTP/1.1 204 ");
        }
        assert_eq!(backend.instances.lock().len(), 2);
        // So that the first one's accept thread is found by its end.
        drop(std::os::unix::net::UnixListener::bind(backend.directory.path().join("0")));
        backend.stop();
    }
}
