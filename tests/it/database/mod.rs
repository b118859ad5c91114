//! The database layer, on real files.

mod checkpoints;
mod commits;
mod files;
mod full_disk;
mod locks;
mod migrations;
mod opening;
mod page_slack;
mod reading;
mod rolled_back;
mod slack_tracking;

use quotegrid::db::{self, Db, Options};
use rustix::process::{Pid, Signal};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Longer than anything here takes on the slowest machine: what is waited for so long is broken.
const FOREVER: Duration = Duration::from_secs(120);

struct Fixture {
    directory: tempfile::TempDir,
    db: Db,
}

impl Fixture {
    fn new() -> Self {
        Self::with(|_options| {})
    }

    fn with(adjust: impl FnOnce(&mut Options)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut options = Options::new(directory.path().join("test.db"));
        options.write_wait = FOREVER;
        adjust(&mut options);
        let db = Db::open(&options).expect("a new database");
        Self { directory, db }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("test.db")
    }

    /// A connection that knows nothing of ours.
    fn other(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).expect("opened")
    }

    /// Keeps the writer busy until the returned sender is dropped; returns when it is.
    fn block_writer(&self) -> Sender<()> {
        let (release, released) = channel::<()>();
        let (begun, has_begun) = channel();
        self.db.write_unbounded(
            move |_tx| -> db::Result<()> {
                begun.send(()).expect("the test waits");
                let _dropped = released.recv();
                Ok(())
            },
            |_outcome| {},
        );
        has_begun.recv_timeout(FOREVER).expect("the writer runs it");
        release
    }
}

fn note(tx: &db::Tx<'_>, name: &str) -> db::Result<()> {
    tx.execute("INSERT INTO meta (name, value) VALUES (?1, x'00')", [name])?;
    Ok(())
}

fn note_bytes(tx: &db::Tx<'_>, name: &str, bytes: usize) -> db::Result<()> {
    tx.execute("INSERT INTO meta (name, value) VALUES (?1, randomblob(?2))", rusqlite::params![name, bytes as i64])?;
    Ok(())
}

fn names_in(connection: &rusqlite::Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM meta ORDER BY name")?;
    statement.query_map((), |row| row.get(0))?.collect()
}

fn names(db: &Db) -> Vec<String> {
    db.read(|connection| -> db::Result<_> { Ok(names_in(connection)?) }).expect("readable")
}

fn assert_sound(path: &Path) {
    let connection = rusqlite::Connection::open(path).expect("opened");
    let verdict: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).expect("checked");
    assert_eq!(verdict, "ok");
}

fn size_of(database: &Path, suffix: &str) -> Option<u64> {
    let mut name = database.as_os_str().to_os_string();
    name.push(suffix);
    std::fs::metadata(name).ok().map(|file| file.len())
}

/// Takes all answers of a channel whose senders are all held by changes: ends when each has been given or dropped.
fn all<T>(answers: Receiver<T>, how_many: usize) -> Vec<T> {
    (0..how_many).map(|_| answers.recv_timeout(FOREVER).expect("an answer")).collect()
}

/// A second process: this test binary again, running one ignored test that plays a part. It ends when its stdin does.
struct Other {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Other {
    fn play(part: &str, database: &Path) -> Self {
        use std::io::BufRead as _;
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", &format!("database::locks::{part}"), "--ignored", "--nocapture", "--test-threads=1"])
            .env("QUOTEGRID_TEST_DATABASE", database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in std::io::BufReader::new(stdout).lines().map_while(Result::ok) {
                let _nobody_reads = sender.send(line);
            }
        });
        Self { child, stdin, lines }
    }

    fn wait_for(&self, word: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(FOREVER).unwrap_or_else(|_| panic!("never said {word}"));
            if let Some(at) = line.find(word) {
                return line[at + word.len()..].trim().to_owned();
            }
        }
    }

    fn process(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).expect("sent");
    }

    fn end(mut self) -> ExitStatus {
        self.stdin = None;
        self.child.wait().expect("ended")
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.stdin = None;
        let _ended = self.child.wait();
    }
}

/// A small file system that can be filled, where this user may mount one.
struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, and a word on stderr, where it may not.
    fn mount(kib: u32) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k,mode=700"), "tmpfs"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { directory });
        }
        eprintln!("not tested: this user may not mount a small tmpfs");
        None
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn remount_read_only(&self) {
        let status = Command::new("mount").args(["-o", "remount,ro"]).arg(self.path()).status().expect("mount runs");
        assert!(status.success(), "remounted read-only");
    }

    /// Fills all that is left; removing the file frees it again.
    fn fill(&self) -> PathBuf {
        use std::io::Write as _;
        let path = self.path().join("filler");
        let mut file = std::fs::File::create(&path).expect("made");
        while file.write_all(&[0; 4096]).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone_with_the_namespace = Command::new("umount").args(["-l"]).arg(self.path()).status();
    }
}
