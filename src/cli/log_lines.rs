//! The log's lines on their way to stderr. A line is written at once where that cannot block. Where the reader of stderr has stopped
//! reading, a thread waits in the place of the one that logs: a webhook is answered however full that pipe is. Lines beyond those that
//! may wait are dropped and counted.

use super::terminal::visible;
use crate::clock::{Clock, SystemClock};
use chrono::{DateTime, Utc};
use env_logger::fmt::Formatter;
use log::{Level, Record};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Lines that may wait: a few hundred kilobytes.
const WAITING_MAX: usize = 2_000;

/// What a pipe takes whole that says it has room.
const AT_ONCE_MAX: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

/// How long the end of the program waits for the reader of its last lines.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// The lines of this process that wait, for [`flush`].
static OURS: OnceLock<Arc<Waiting>> = OnceLock::new();

/// The way to this process's stderr.
///
/// # Errors
/// When there is no descriptor or no thread left for it.
pub(super) fn to_stderr() -> io::Result<LogLines> {
    // Descriptors of our own, not `io::stderr()`: its lock would be held while a line waits, and a panic's message needs it.
    let stderr = || io::stderr().as_fd().try_clone_to_owned().map(File::from);
    let lines = LogLines::new(stderr()?, stderr()?)?;
    OURS.get_or_init(|| lines.waiting.clone());
    Ok(lines)
}

/// Waits until every line is written, but not for ever: the reader may never read again.
pub(super) fn flush() {
    if let Some(ours) = OURS.get() {
        ours.flush(END_PATIENCE);
    }
}

/// Writes a line: time, level, message. Not by `env_logger`, whose timestamp panics with a wall clock that it cannot write.
pub(super) fn format(line: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    // Indented where it has several lines, so that a continuation never looks like a line of the log.
    let message = record.args().to_string().replace('\n', "\n    ");
    writeln!(line, "{} {}", head(SystemClock.now(), record.level()), visible(&message))
}

fn head(now: DateTime<Utc>, level: Level) -> String {
    format!("[{} {level:<5}]", now.format("%Y-%m-%dT%H:%M:%S%.3fZ"))
}

/// Takes whole lines.
pub(super) struct LogLines {
    sink: File,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    queue: VecDeque<Vec<u8>>,
    /// A line has left the queue and is not written yet.
    writing: bool,
    /// Lines that have found the queue full since the last one that has not.
    dropped: usize,
}

impl Lines {
    fn are_written(&self) -> bool {
        self.queue.is_empty() && !self.writing && self.dropped == 0
    }

    fn push(&mut self, line: &[u8]) {
        if self.queue.len() >= WAITING_MAX {
            self.dropped += 1;
            return;
        }
        self.report_dropped();
        self.queue.push_back(line.to_vec());
    }

    /// Says in their place how many lines are missing.
    fn report_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let head = head(SystemClock.now(), Level::Warn);
            self.queue.push_back(
                format!("{head} {dropped} log lines were dropped: stderr was not read fast enough\n").into_bytes(),
            );
        }
    }
}

impl LogLines {
    /// Lines that go to `sink`, and by `patient`, another descriptor of the same, where they must wait.
    fn new(sink: File, patient: File) -> io::Result<Self> {
        let waiting = Arc::new(Waiting::default());
        let passed_on = waiting.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || passed_on.pass_on(patient))?;
        Ok(Self { sink, waiting })
    }

    fn takes_at_once(&self, line: &[u8]) -> bool {
        let mut sink = [PollFd::new(&self.sink, PollFlags::OUT)];
        let polled = poll(&mut sink, Some(&Timespec::default()));
        // One that will never be read again takes everything at once: the error.
        line.len() <= AT_ONCE_MAX && polled.is_ok_and(|ready| ready > 0)
    }
}

impl Write for LogLines {
    /// Takes a line, without waiting for a reader.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Only this thread adds lines meanwhile: the logger gives it one at a time.
        if self.waiting.lines().are_written() && self.takes_at_once(line) {
            return self.sink.write(line);
        }
        self.waiting.lines().push(line);
        self.waiting.changed.notify_all();
        Ok(line.len())
    }

    /// Waits for nothing: this is called after each line.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Waiting {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock()
    }

    /// The thread: writes what waits, a line after the other.
    fn pass_on(&self, mut sink: File) {
        let mut lines = self.lines();
        loop {
            lines.writing = false;
            if lines.queue.is_empty() {
                lines.report_dropped();
            }
            self.changed.notify_all();
            self.changed.wait_while(&mut lines, |lines| lines.queue.is_empty());
            let line = lines.queue.pop_front().unwrap_or_default();
            lines.writing = true;
            drop(lines);
            // Where stderr is not read any more, there is nowhere to report it either.
            let _closed = sink.write_all(&line);
            lines = self.lines();
        }
    }

    fn flush(&self, patience: Duration) {
        self.changed.wait_while_for(&mut self.lines(), |lines| !lines.are_written(), patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::fd::OwnedFd;

    #[test]
    fn a_thread_that_logs_never_waits_and_every_line_is_written_or_counted() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let sink = || File::from(OwnedFd::from(writer.try_clone().expect("a descriptor")));
        let mut log = LogLines::new(sink(), sink()).expect("a thread");
        drop(writer);
        // A pipe holds 64 KiB, less than a tenth of these; it is not read yet.
        let sent = 4 * WAITING_MAX;
        for number in 0..sent {
            log.write_all(format!("{number} {}\n", "x".repeat(100)).as_bytes()).expect("taken");
        }
        let waiting = log.waiting.clone();
        // The thread keeps its descriptor for as long as the process lives: the end is a line.
        let read = std::thread::spawn(move || {
            let lines = BufReader::new(reader).lines().map(|line| line.expect("text"));
            lines.take_while(|line| line != "the last").collect::<Vec<_>>()
        });
        waiting.flush(Duration::from_secs(120));
        assert!(waiting.lines().are_written());
        // Now that there is room again, a line is written at once.
        log.write_all(b"the last\n").expect("taken");
        let read = read.join().expect("it reads to the end");
        let (mut next, mut dropped) = (0, 0);
        for line in &read {
            match line.split_once(" log lines were dropped") {
                Some((head, _)) => {
                    let count: usize = head.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a number");
                    dropped += count;
                    next += count;
                }
                None => {
                    assert_eq!(line.split(' ').next(), Some(next.to_string().as_str()), "in their order");
                    next += 1;
                }
            }
        }
        assert_eq!(next, sent, "written or counted");
        assert!(dropped > 0 && dropped < sent - WAITING_MAX, "{dropped} of {sent}");
    }
}
