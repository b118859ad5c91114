//! A database in a directory of its own, quotegrid processes on it, a client that plays Shopify, and a ledger of what was
//! acknowledged, to be held against the database in the end.

mod client;
mod disk_record;
mod filled;
mod ledger;

pub(crate) use crate::support::dice::Dice;
pub(crate) use crate::support::waiting::{PATIENCE, wait_until};
pub(crate) use client::{Answer, Client, Hook};
pub(crate) use disk_record::{Part, Recorder};
pub(crate) use filled::{FILLED, fill, filled_counts};
pub(crate) use ledger::{Ledger, assert_exactly_once, lines_with, rows};

use crate::support::command::PROGRAM;

use quotegrid::shopify::Topic;
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Signs the webhooks of these tests, and nothing else.
pub(crate) const SECRET: &str = "fake-secret-of-the-process-tests";

/// Topics that lead to a privacy request and its job.
pub(crate) const DUTIES: [Topic; 3] = [Topic::CustomersDataRequest, Topic::CustomersRedact, Topic::ShopRedact];

/// A place for one database, and for the logs of all processes on it.
pub(crate) struct Machine {
    directory: TempDir,
    pub(crate) database: PathBuf,
    logs: AtomicUsize,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("quotegrid-").tempdir().expect("a temporary directory");
        Self { database: directory.path().join("quotegrid.db"), directory, logs: AtomicUsize::new(0) }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The program on this database, with no settings of whoever runs the tests.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("QUOTEGRID_") || name == "FAILPOINTS" {
                command.env_remove(name);
            }
        }
        command.args(args).arg("--database").arg(&self.database).env("QUOTEGRID_LOG", "debug");
        command
    }

    pub(crate) fn serve(&self, args: &[&str]) -> Starting {
        self.start(self.serve_command(args))
    }

    pub(crate) fn serve_command(&self, args: &[&str]) -> Command {
        let mut all = vec!["serve", "--json", "--listen", "127.0.0.1:0"];
        all.extend(args);
        let mut command = self.command(&all);
        command.env("QUOTEGRID_SHOPIFY_API_SECRET", SECRET);
        command
    }

    pub(crate) fn work(&self, args: &[&str]) -> Starting {
        let mut all = vec!["work", "--json"];
        all.extend(args);
        self.start(self.command(&all))
    }

    /// As [`Machine::serve`] and [`Machine::work`], for a command that was put together otherwise.
    pub(crate) fn start(&self, command: Command) -> Starting {
        let number = self.logs.fetch_add(1, Ordering::Relaxed);
        Starting { command, log: self.directory.path().join(format!("log-{number}")) }
    }

    pub(crate) fn hold(&self) -> Hold {
        let file = self.directory.path().join("hold");
        File::create(&file).expect("a file");
        Hold(file)
    }

    /// Runs a command with `--json` that must succeed.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).arg("--json").stdin(Stdio::null()).output().expect("the program runs");
        assert!(output.status.success(), "{args:?}: {output:?}");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("not one JSON document ({error}): {output:?}"))
    }

    /// A connection of this process, with the settings by which nothing is left behind when it writes.
    pub(crate) fn connection(&self) -> Connection {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.database, flags).expect("the database opens");
        connection.busy_timeout(PATIENCE).expect("set");
        for (pragma, value) in
            [("secure_delete", "ON"), ("foreign_keys", "ON"), ("wal_autocheckpoint", "0"), ("temp_store", "MEMORY")]
        {
            connection.pragma_update(None, pragma, value).expect("set");
        }
        connection
    }

    pub(crate) fn query<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        query(&self.connection(), sql)
    }

    /// Waits until every job has ended, every request is processed, and every erasure is scrubbed.
    pub(crate) fn settle(&self) {
        let connection = self.connection();
        wait_until("all jobs and requests are settled", || is_settled(&connection));
    }
}

pub(crate) fn is_settled(connection: &Connection) -> bool {
    let open: i64 = query(
        connection,
        "SELECT (SELECT count(*) FROM job_queue WHERE status IN ('pending', 'processing'))
              + (SELECT count(*) FROM gdpr_requests
                 WHERE processed_at IS NULL
                    OR erased_at IS NULL AND outcome <> 'superseded_by_reinstall'
                       AND outcome <> 'still_installed' AND outcome <> 'rejected')",
    );
    open == 0
}

pub(crate) fn query<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str) -> T {
    connection.query_row(sql, (), |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Keeps processes at a failpoint for as long as it lives: the moment there lasts until the test has done what it is about.
pub(crate) struct Hold(PathBuf);

impl Drop for Hold {
    fn drop(&mut self) {
        // It may have gone with the machine's directory.
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// A process about to be started.
pub(crate) struct Starting {
    command: Command,
    log: PathBuf,
}

impl Starting {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// The same, and whoever comes to the failpoint waits there until the hold is dropped.
    pub(crate) fn held_at(self, point: &str, hold: &Hold) -> Self {
        self.env("QUOTEGRID_HOLD_AT", &format!("{point}={}", hold.0.display()))
    }

    /// Starts it, not waiting for anything.
    pub(crate) fn spawn(mut self) -> Process {
        let log = File::create(&self.log).expect("a log file");
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = self.command.spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Process { child, stdout, log: self.log, ready: Value::Null }
    }

    /// Starts it and waits for its ready line.
    pub(crate) fn ready(self) -> Process {
        let mut process = self.spawn();
        assert!(process.wait_ready(), "the process ended before it was ready:\n{}", process.log());
        process
    }
}

/// A running process; dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    log: PathBuf,
    pub(crate) ready: Value,
}

impl Process {
    /// Waits for the ready line; `false` when the process ended without one.
    pub(crate) fn wait_ready(&mut self) -> bool {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("stdout is text");
        if line.is_empty() {
            return false;
        }
        self.ready = serde_json::from_str(&line).expect("the ready line is one JSON object");
        true
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let url = self.ready["url"].as_str().expect("the ready line has the URL");
        url.strip_prefix("http://").expect("http").parse().expect("an address")
    }

    pub(crate) fn client(&self) -> Client {
        Client::to(self.address()).expect("the server listens")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).expect("the log is there")).into_owned()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("waitable").is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("not 0"), signal).expect("our own child");
    }

    /// kill -9, and the end of it.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("our own child");
        let _status = self.wait();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("waitable") {
                return status;
            }
            assert!(Instant::now() < until, "the process does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until its failpoint has killed it.
    pub(crate) fn wait_killed(&mut self) {
        let status = self.wait();
        assert_eq!(status.signal(), Some(9), "{status}:\n{}", self.log());
    }

    /// SIGTERM, and the exit code that follows.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

/// Time that a process has had the processor, in clock ticks of 10 ms.
pub(crate) fn ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    number(11) + number(12)
}
