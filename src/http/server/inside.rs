//! The private side: tiny_http on a Unix socket, and the lanes that the gate opens to it.

use super::answers::Answering;
use super::handler::{Handler, HandlerParts};
use crate::http::Service;
use crate::http::gate::{self, GATE_FIELD};
use log::warn;
use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// How long a handler that is at work gets to notice the end.
const HANDLER_PATIENCE: Duration = Duration::from_secs(2);

/// How long a new lane is waited for.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// Descriptors that must be free before a lane is opened: the three that it needs, and some for whoever else needs one meanwhile.
const SPARE_DESCRIPTORS: usize = 8;

/// The private side.
pub(super) struct Inside {
    directory: TempDir,
    secret: String,
    service: Arc<dyn Service>,
    answering: Arc<Answering>,
    handlers: usize,
    stopping: AtomicBool,
    /// The tiny_http servers: one, and another each time its accept thread has died. Older ones go on with the lanes they have.
    generations: Mutex<Vec<Generation>>,
}

/// One tiny_http server with its handlers.
struct Generation {
    server: Arc<tiny_http::Server>,
    path: PathBuf,
    handlers: Vec<JoinHandle<()>>,
    ended: Receiver<()>,
}

impl Inside {
    /// Starts the first tiny_http server, with so many handlers.
    pub(super) fn start(
        secret: String,
        service: Arc<dyn Service>,
        answering: Answering,
        handlers: usize,
    ) -> io::Result<Arc<Self>> {
        let inside = Arc::new(Self {
            directory: private_directory()?,
            secret,
            service,
            answering: Arc::new(answering),
            handlers,
            stopping: AtomicBool::new(false),
            generations: Mutex::new(Vec::new()),
        });
        inside.clone().start_generation()?;
        Ok(inside)
    }

    /// Starts a tiny_http server and its handlers.
    fn start_generation(self: Arc<Self>) -> io::Result<()> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.directory.path().join(generations.len().to_string());
        let server = Arc::new(tiny_http::Server::http_unix(&path).map_err(io::Error::other)?);
        let (end, ended) = channel();
        let mut handlers = Vec::new();
        for number in 0..self.handlers {
            let handler = Handler {
                server: server.clone(),
                inside: HandlerParts {
                    secret: self.secret.clone(),
                    service: self.service.clone(),
                    answering: self.answering.clone(),
                },
                stopping: Arc::downgrade(&self),
                _end: end.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("http-handler-{number}"));
            handlers.push(thread.spawn(move || handler.run())?);
        }
        generations.push(Generation { server, path, handlers, ended });
        Ok(())
    }

    /// Opens a lane and sees that it is served. One at a time: tiny_http miscounts its idle threads when several connections
    /// come at once, and never serves some of them.
    pub(super) fn open_lane(&self) -> io::Result<UnixStream> {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let path = generations.last().map(|generation| generation.path.clone()).ok_or(io::ErrorKind::NotConnected)?;
        if !gate::have_spare(SPARE_DESCRIPTORS) {
            return Err(io::Error::other("too few file descriptors are free"));
        }
        let mut lane = UnixStream::connect(path)?;
        lane.set_read_timeout(Some(PROBE_PATIENCE))?;
        lane.set_write_timeout(Some(PROBE_PATIENCE))?;
        lane.write_all(format!("GET / HTTP/1.1\r\n{GATE_FIELD}: {}\r\n\r\n", self.secret).as_bytes())?;
        let mut answer = Vec::new();
        let mut byte = [0; 256];
        while !answer.ends_with(b"\r\n\r\n") {
            match lane.read(&mut byte) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => answer.extend_from_slice(&byte[..count]),
                // A read with a time-out is ended by a mere pause of the process.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if !answer.starts_with(b"HTTP/1.1 204 ") {
            return Err(io::Error::other("the private side does not know the gate"));
        }
        Ok(lane)
    }

    /// Opens a lane, on a new tiny_http server when the present one takes no more connections.
    pub(super) fn reopen_lane(self: Arc<Self>) -> io::Result<UnixStream> {
        if !gate::have_spare(SPARE_DESCRIPTORS) {
            return Err(io::Error::other("too few file descriptors are free"));
        }
        self.open_lane().or_else(|error| {
            if self.is_stopping() {
                return Err(error);
            }
            warn!("the private side takes no more connections, starting another: {error}");
            self.clone().start_generation()?;
            self.open_lane()
        })
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let generations = std::mem::take(&mut *self.generations.lock().unwrap_or_else(PoisonError::into_inner));
        for Generation { server, handlers, ended, .. } in generations {
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

/// A directory that nobody else may enter; its default mode would follow the umask.
fn private_directory() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("quotegrid-").permissions(Permissions::from_mode(0o700)).tempdir()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Reply, Request, Response};
    use crate::metrics::Metrics;

    struct Nothing;

    impl Service for Nothing {
        fn call(&self, _request: Request, reply: Reply) {
            reply.send(Response::empty(204));
        }
    }

    fn inside() -> Arc<Inside> {
        let answering = Answering::new(Duration::from_secs(1), Arc::new(Metrics::default()));
        Inside::start("right".to_owned(), Arc::new(Nothing), answering, 2).expect("a server")
    }

    #[test]
    fn nobody_but_the_gate_can_use_the_private_side() {
        let inside = inside();
        let mode = std::fs::metadata(inside.directory.path()).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        for field in ["", "Gate: wrong 127.0.0.1 id\r\n", "Gate: right\r\n", "Host: x\r\n"] {
            let path = inside.generations.lock().expect("no panic")[0].path.clone();
            let mut lane = UnixStream::connect(path).expect("it listens");
            write!(lane, "GET / HTTP/1.1\r\nConnection: close\r\n{field}\r\n").expect("it reads");
            let mut answer = String::new();
            lane.read_to_string(&mut answer).expect("it answers");
            let expected = if field.ends_with("Gate: right\r\n") { "HTTP/1.1 204 " } else { "HTTP/1.1 403 " };
            assert!(answer.starts_with(expected), "{field:?}: {answer}");
        }
        inside.stop();
    }

    #[test]
    fn when_the_private_side_takes_no_more_connections_another_is_started() {
        let inside = inside();
        let mut old = inside.open_lane().expect("a lane");
        let path = inside.generations.lock().expect("no panic")[0].path.clone();
        // What is seen when its accept thread has died.
        std::fs::remove_file(path).expect("it is there");
        let mut new = inside.clone().reopen_lane().expect("a lane of another server");
        for lane in [&mut old, &mut new] {
            lane.write_all(b"GET / HTTP/1.1\r\nGate: right 127.0.0.1 id\r\n\r\n").expect("it reads");
            let mut start = [0; 13];
            lane.read_exact(&mut start).expect("it answers");
            assert_eq!(&start, b"HTTP/1.1 204 ");
        }
        assert_eq!(inside.generations.lock().expect("no panic").len(), 2);
        // So that the first one's accept thread is found by its end.
        drop(std::os::unix::net::UnixListener::bind(inside.directory.path().join("0")));
        inside.stop();
    }
}
