//! The program under load, in a process of its own, and what it leaves in its files.

use crate::store;
use crate::usage::Usage;
use chrono::{DateTime, Utc};
use quotegrid::app::{App, Options};
use quotegrid::db::{Millis, Synchronous};
use quotegrid::domain::ids::ShopDomain;
use rusqlite::{Connection, OpenFlags};
use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_quotegrid");
pub(crate) const SECRET: &str = "bench-secret-bench-secret-bench-";
pub(crate) const DATABASE: &str = "steady.db";

/// How often the WAL is looked at, and the process.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Widths and heights of each price list.
const SIDE: usize = 20;

/// Cells a MiB of ballast.
const CELLS_A_MIB: usize = 16_000;

/// The program.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) begun: DateTime<Utc>,
    child: RefCell<Child>,
    database: PathBuf,
}

impl Server {
    pub(crate) fn start(program: &Path, place: &Path) -> Self {
        let database = place.join(DATABASE);
        let mut command = Command::new(program);
        command.args(["serve", "--json", "--listen", "127.0.0.1:0"]).arg("--database").arg(&database);
        command.env("QUOTEGRID_SHOPIFY_API_SECRET", SECRET).env("QUOTEGRID_LOG", "warn");
        if let Some(level) = std::env::var_os("QUOTEGRID_LOG") {
            command.env("QUOTEGRID_LOG", level);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = lines.next().expect("a line").expect("text");
        let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let url = told["url"].as_str().expect("an address").trim_start_matches("http://");
        let address = url.trim_end_matches('/').parse().expect("an address");
        std::thread::spawn(move || lines.count());
        Self { address, begun: Utc::now(), child: RefCell::new(child), database }
    }

    /// Looks at it from time to time.
    pub(crate) fn watch(&self) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let (is_stopped, process) = (stop.clone(), self.child.borrow().id());
        let wal = self.database.with_file_name(format!("{DATABASE}-wal"));
        let thread = std::thread::spawn(move || {
            let mut samples = Vec::new();
            while !is_stopped.load(Ordering::Relaxed) {
                let wal = wal.metadata().map_or(0, |file| file.len());
                samples.push(Sample { at: Instant::now(), wal, used: Usage::of(process) });
                std::thread::sleep(LOOK_EVERY);
            }
            samples
        });
        Watch { stop, thread }
    }

    /// Waits until nothing waits to be erased, and returns for how long.
    pub(crate) fn wait_until_erased(&self) -> Duration {
        let connection = open(&self.database);
        let begun = Instant::now();
        let left = "SELECT EXISTS (SELECT 1 FROM gdpr_requests WHERE processed_at IS NULL)
                        OR EXISTS (SELECT 1 FROM gdpr_requests WHERE processed_at IS NOT NULL AND erased_at IS NULL)";
        while connection.query_row(left, (), |row| row.get::<_, bool>(0)).expect("readable") {
            std::thread::sleep(Duration::from_millis(100));
        }
        begun.elapsed()
    }

    pub(crate) fn file_mib(&self) -> f64 {
        crate::mib(self.database.metadata().map_or(0, |file| file.len()))
    }

    pub(crate) fn stop(&self) {
        let mut child = self.child.borrow_mut();
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it runs");
        assert!(child.wait().expect("waited").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.borrow_mut().kill();
    }
}

/// How the server stood at a moment.
pub(crate) struct Sample {
    pub(crate) at: Instant,
    pub(crate) wal: u64,
    pub(crate) used: Usage,
}

/// The thread that looks.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Watch {
    pub(crate) fn stop(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic")
    }
}

/// An erasure that is done.
pub(crate) struct Erasure {
    pub(crate) kind: String,
    pub(crate) processed: DateTime<Utc>,
    /// Until the bytes were gone.
    pub(crate) delay: Duration,
}

/// Those in the database.
pub(crate) fn erasures(place: &Path) -> Vec<Erasure> {
    let connection = open(&place.join(DATABASE));
    let mut statement = connection
        .prepare("SELECT type, processed_at, erased_at FROM gdpr_requests WHERE erased_at IS NOT NULL")
        .expect("a statement");
    let found = statement.query_map((), |row| {
        let (processed, erased) = (row.get::<_, Millis>(1)?.0, row.get::<_, Millis>(2)?.0);
        Ok(Erasure { kind: row.get(0)?, processed, delay: (erased - processed).to_std().unwrap_or_default() })
    });
    found.expect("rows").collect::<rusqlite::Result<_>>().expect("rows")
}

fn open(database: &Path) -> Connection {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("opened");
    connection.execute_batch("PRAGMA query_only=ON; PRAGMA busy_timeout=10000").expect("set");
    connection
}

/// A store that is to be erased.
pub(crate) fn erased_shop(number: usize) -> String {
    format!("steady-erased-{number}")
}

/// Makes the database: `stores` to be erased, and one that stays, with so many MiB of prices.
pub(crate) fn fill(place: &Path, stores: usize, ballast: usize) {
    let mut options = Options::new(place.join(DATABASE));
    options.database.synchronous = Synchronous::Normal;
    let app = App::open(options).expect("a database");
    for number in 0..stores {
        store::fill(&app, &shop(&erased_shop(number)), 1, SIDE);
    }
    if ballast > 0 {
        store::fill(&app, &shop("steady-ballast"), ballast * CELLS_A_MIB / (SIDE * SIDE), SIDE);
    }
}

fn shop(name: &str) -> ShopDomain {
    format!("{name}.myshopify.com").parse().expect("a shop domain")
}
