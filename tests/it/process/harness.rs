//! A database in a directory of its own, quotegrid processes on it, a client that plays Shopify, and a ledger of what was
//! acknowledged, to be held against the database in the end.

use chrono::Utc;
use quotegrid::domain::ids::{ShopDomain, StoreId};
use quotegrid::entropy::{Entropy, OsEntropy};
use quotegrid::shopify::Topic;
use quotegrid::shopify::sample::{sample_body, sign};
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Signs the webhooks of these tests, and nothing else.
pub(crate) const SECRET: &str = "fake-secret-of-the-process-tests";

/// Nothing here takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Topics that lead to a privacy request and its job.
pub(crate) const DUTIES: [Topic; 3] = [Topic::CustomersDataRequest, Topic::CustomersRedact, Topic::ShopRedact];

const PROGRAM: &str = env!("CARGO_BIN_EXE_quotegrid");

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
                    OR erased_at IS NULL AND outcome <> 'superseded_by_reinstall')",
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

/// What was acknowledged with 200, by whomever.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Vec<(Hook, Option<String>)>>);

impl Ledger {
    /// Notes an answer. Anything but 200 promises nothing.
    pub(crate) fn note(&self, hook: &Hook, answer: &Answer) {
        self.note_as(hook, answer.status, answer.job());
    }

    /// Notes an answer that was read otherwise.
    pub(crate) fn note_as(&self, hook: &Hook, status: u16, job: Option<String>) {
        if status == 200 {
            self.0.lock().expect("no panic").push((hook.clone(), job));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }

    /// That everything acknowledged is there, and was done exactly once.
    pub(crate) fn assert_kept(&self, connection: &Connection) {
        let acknowledged = self.0.lock().expect("no panic");
        let deliveries: HashMap<(String, String), Option<String>> =
            rows(connection, "SELECT topic, webhook_id, job_id FROM webhook_deliveries", |row| {
                Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
            });
        let jobs: HashMap<String, String> =
            rows(connection, "SELECT id, status FROM job_queue", |row| Ok((row.get(0)?, row.get(1)?)));
        let requests: HashMap<(String, String), i64> = rows(
            connection,
            "SELECT type, webhook_id, count(*) FROM gdpr_requests WHERE webhook_id IS NOT NULL GROUP BY type, webhook_id",
            |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)),
        );
        for (hook, job) in acknowledged.iter() {
            let topic = hook.topic.as_str().to_owned();
            let delivery = deliveries.get(&(topic.clone(), hook.id.clone()));
            assert_eq!(delivery, Some(job), "acknowledged and lost, or with another job: {hook:?}");
            if DUTIES.contains(&hook.topic) {
                let kind = topic.replace('/', "_").to_ascii_uppercase();
                assert_eq!(requests.get(&(kind, hook.id.clone())), Some(&1), "{hook:?}");
                let job = job.as_ref().expect("a duty has a job");
                assert_eq!(jobs.get(job).map(String::as_str), Some("completed"), "{hook:?}");
            }
        }
    }
}

pub(crate) fn rows<K, V, F>(connection: &Connection, sql: &str, read: F) -> HashMap<K, V>
where
    K: std::hash::Hash + Eq,
    F: FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<(K, V)>,
{
    let mut statement = connection.prepare(sql).expect("valid");
    let rows = statement.query_map((), read).expect("readable");
    rows.collect::<rusqlite::Result<_>>().expect("readable")
}

/// What holds for every settled database, whatever happened to the processes on it.
pub(crate) fn assert_exactly_once(machine: &Machine) {
    let connection = machine.connection();
    assert_eq!(query::<String>(&connection, "PRAGMA integrity_check"), "ok");
    for (what, sql) in [
        ("a job completed twice", "SELECT job_id FROM job_attempts WHERE outcome = 'completed' GROUP BY job_id HAVING count(*) > 1"),
        (
            "a job says completed without an attempt that did",
            "SELECT id FROM job_queue WHERE status = 'completed' AND id NOT IN (SELECT job_id FROM job_attempts WHERE outcome = 'completed')",
        ),
        (
            "a request has other receipts than one erased and one verified",
            "SELECT id FROM gdpr_requests WHERE type <> 'CUSTOMERS_DATA_REQUEST' AND outcome <> 'superseded_by_reinstall'
             AND (SELECT group_concat(kind) FROM (SELECT kind FROM erasure_receipts WHERE request_id = gdpr_requests.id ORDER BY sequence))
                 IS NOT 'erased,verified'",
        ),
        ("a request has no job or several", "SELECT id FROM gdpr_requests r WHERE webhook_id IS NOT NULL AND 1 <>
             (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook_id = r.webhook_id AND d.job_id IS NOT NULL
              AND d.topic = CASE r.type WHEN 'SHOP_REDACT' THEN 'shop/redact' WHEN 'CUSTOMERS_REDACT' THEN 'customers/redact' ELSE 'customers/data_request' END)"),
        ("a duty's job is not one of a delivery", "SELECT id FROM job_queue WHERE type IN ('customer_redact', 'customers_data_request')
             AND id NOT IN (SELECT job_id FROM webhook_deliveries WHERE job_id IS NOT NULL)"),
        ("a row has lost its parent", "SELECT \"table\" FROM pragma_foreign_key_check"),
    ] {
        let first: Option<String> = {
            let mut statement = connection.prepare(sql).expect("valid");
            let mut found = statement.query(()).expect("readable");
            found.next().expect("readable").map(|row| row.get(0).expect("text"))
        };
        assert_eq!(first, None, "{what}");
    }
    let verified = machine.json(&["gdpr", "verify"]);
    assert_eq!((&verified["ok"], &verified["leftovers"]), (&Value::Bool(true), &serde_json::json!([])), "{verified}");
}

/// Every table that hangs below a store, and the rows that [`fill`] writes there beside the store itself.
pub(crate) const FILLED: [(&str, u64); 10] = [
    ("api_keys", 1),
    ("price_matrices", 2),
    ("breakpoints", 2 * (20 + 150)),
    ("matrix_cells", 2 * 20 * 150),
    ("product_matrices", 2),
    ("option_groups", 1),
    ("option_choices", 3),
    ("product_option_groups", 2),
    ("draft_order_records", 40),
    ("order_idempotency_keys", 40),
];

/// What a redacted store of [`fill`] leaves in its request: the rows that were deleted.
pub(crate) fn filled_counts() -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = FILLED.into_iter().map(|(table, rows)| (table.to_owned(), rows)).collect();
    counts.insert("stores".to_owned(), 1);
    counts
}

pub(crate) fn new_id() -> String {
    let entropy: &dyn Entropy = &OsEntropy;
    StoreId::new(Utc::now(), entropy.array()).to_string()
}

/// Adds a store with rows in every table below it, more than one step of an erasure deletes. `mark` stands in every text.
pub(crate) fn fill(connection: &mut Connection, shop: &str, mark: &str) {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("writable");
    let now = Utc::now().timestamp_millis();
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
        tx.prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    };
    let store = new_id();
    run(
        "INSERT INTO stores (id, shop, installed_at, created_at, updated_at) VALUES (?1, ?2, ?3, ?3, ?3)",
        &[&store, &shop, &now],
    );
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(&store.as_bytes()[20..]);
    run(
        "INSERT INTO api_keys (id, store_id, digest, prefix, label, created_at) VALUES (?1, ?2, ?3, 'fake-key', ?4, ?5)",
        &[&new_id(), &store, &digest, &mark, &now],
    );
    let group = new_id();
    run(
        "INSERT INTO option_groups (id, store_id, name, currency, created_at, updated_at) VALUES (?1, ?2, ?3, 'EUR', ?4, ?4)",
        &[&group, &store, &format!("{mark} glass"), &now],
    );
    for number in 0..3 {
        run(
            "INSERT INTO option_choices (id, option_group_id, label, modifier_type, modifier_value, created_at)
             VALUES (?1, ?2, ?3, 'FIXED', ?4, ?5)",
            &[&new_id(), &group, &format!("{mark} choice {number}"), &number, &now],
        );
    }
    for number in 0..2 {
        let (matrix, product) = (new_id(), format!("gid://shopify/Product/{number}"));
        run(
            "INSERT INTO price_matrices (id, store_id, name, unit, currency, created_at, updated_at)
             VALUES (?1, ?2, ?3, 'mm', 'EUR', ?4, ?4)",
            &[&matrix, &store, &format!("{mark} matrix {number}"), &now],
        );
        for (axis, count) in [("width", 20), ("height", 150)] {
            for position in 0..count {
                let value = (position + 1) * 1000;
                run(
                    "INSERT INTO breakpoints (matrix_id, axis, position, value) VALUES (?1, ?2, ?3, ?4)",
                    &[&matrix, &axis, &position, &value],
                );
            }
        }
        for cell in 0..20 * 150 {
            run(
                "INSERT INTO matrix_cells (matrix_id, height_position, width_position, price_minor) VALUES (?1, ?2, ?3, ?4)",
                &[&matrix, &(cell / 20), &(cell % 20), &cell],
            );
        }
        run(
            "INSERT INTO product_matrices (store_id, product_id, matrix_id, product_title, assigned_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            &[&store, &product, &matrix, &format!("{mark} pane {number}"), &now],
        );
        run(
            "INSERT INTO product_option_groups (store_id, product_id, option_group_id, assigned_at) VALUES (?1, ?2, ?3, ?4)",
            &[&store, &product, &group, &now],
        );
        for order in 0..20 {
            run(
                "INSERT INTO draft_order_records (id, store_id, number, token, matrix_id, matrix_name, product_id,
                     product_title, width, height, unit, priced_width, priced_height, quantity, currency, base_price_minor, calculated_price_minor,
                     total_price_minor, option_selections, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, 1000, 1000, 'mm', 1000, 1000, 1, 'EUR', 1, 1, 1,
                     json_array(json_object('optionGroupName', ?6, 'choiceLabel', ?6, 'modifierType', 'FIXED', 'modifierValue', 0,
                                            'appliedMinor', 0)), ?8)",
                &[
                    &new_id(),
                    &store,
                    &(number * 20 + order + 1),
                    &new_id(),
                    &matrix,
                    &format!("{mark} order {order}"),
                    &product,
                    &now,
                ],
            );
        }
    }
    tx.execute(
        "INSERT INTO order_idempotency_keys
         SELECT store_id, randomblob(32), randomblob(32), id, created_at FROM draft_order_records WHERE store_id = ?1",
        [&store],
    )
    .expect("keys");
    tx.commit().expect("committed");
}

/// How often `text` stands in the bytes of the database, its WAL and its shared memory: lines, as another process counts them.
/// This process must not read the file itself while it has it open in SQLite: closing it would drop SQLite's locks.
pub(crate) fn lines_with(machine: &Machine, text: &str) -> usize {
    let mut lines = 0;
    for suffix in ["", "-wal", "-shm"] {
        let mut file = machine.database.clone().into_os_string();
        file.push(suffix);
        if !Path::new(&file).exists() {
            continue;
        }
        let output = Command::new("grep").args(["-c", "-a", "-i", "-F", "-e", text]).arg(&file).output().expect("grep");
        let count = String::from_utf8(output.stdout).expect("text");
        // 1: nothing found. 2: the file went away between the look and the search.
        assert!(matches!(output.status.code(), Some(0..=2)), "{}", output.status);
        lines += count.trim().parse::<usize>().unwrap_or(0);
    }
    lines
}

/// Time that a process has had the processor, in clock ticks of 10 ms.
pub(crate) fn ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    number(11) + number(12)
}

/// Waits for `condition`, which something else brings about.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Numbers that look random and are the same for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
