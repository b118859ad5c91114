//! The one writer thread: it takes whatever changes wait, runs each in a savepoint of its own, commits once, and only then has
//! all of them answered. One fsync so serves many callers, and nobody fights for the write lock.

use super::checkpoint::Checkpointer;
use super::error::{Error, Result};
use super::news::News;
use super::{AfterCommit, Tx};
use log::{error, warn};
use rusqlite::Connection;
use rusqlite::ffi::ErrorCode;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Changes in one commit at the most: about what 10 ms are enough for.
const BATCH_MAX: usize = 512;

/// How long a batch may take changes in before it commits: nobody waits much longer than this plus one fsync.
const BATCH_TIME: Duration = Duration::from_millis(10);

/// A webhook that has waited this long for its turn is refused: Shopify hangs up after 5 s and would not see the answer.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(4);

/// Threads that give answers after a commit: two, so that one slow receiver does not hold up all others.
const ANSWERERS: usize = 2;

/// What became of the transaction that held a change.
#[derive(Clone)]
pub(super) enum Fate {
    Committed,
    Lost { code: ErrorCode, message: Arc<str> },
    Refused,
}

impl Fate {
    fn lost(error: &rusqlite::Error) -> Self {
        Self::Lost {
            code: error.sqlite_error_code().unwrap_or(ErrorCode::Unknown),
            message: Arc::from(error.to_string()),
        }
    }

    fn into_result<T>(self, value: T) -> Result<T> {
        match self {
            Self::Committed => Ok(value),
            Self::Lost { code, message } => Err(Error::NotCommitted { code, message }),
            Self::Refused => Err(Error::Overloaded),
        }
    }
}

/// A change with its types erased: what the writer's queue holds.
pub(super) trait Change: Send {
    /// Runs the change; `false` has its savepoint rolled back.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// Tells whoever waits, after the commit or after it has failed.
    fn answer(self: Box<Self>, fate: Fate);
    /// Whether the answer only wakes a thread, so that the writer itself may give it.
    fn answers_quickly(&self) -> bool;
    /// Whether it would rather be refused than wait longer than [`WAIT_MAX`].
    fn gives_up(&self) -> bool;
}

/// A change with the closure to run and the one to answer with.
pub(super) struct Closure<T, E, F, A> {
    pub(super) change: Option<F>,
    pub(super) outcome: Option<std::result::Result<T, E>>,
    pub(super) answer: A,
    pub(super) quick: bool,
    pub(super) gives_up: bool,
}

impl<T, E, F, A> Change for Closure<T, E, F, A>
where
    T: Send,
    E: From<Error> + Send,
    F: FnOnce(&Tx<'_>) -> std::result::Result<T, E> + Send,
    A: FnOnce(std::result::Result<T, E>) + Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let Some(change) = self.change.take() else { return false };
        let outcome = catch_unwind(AssertUnwindSafe(|| change(tx))).unwrap_or_else(|panic| {
            error!("a database change panicked and was rolled back: {}", panic_message(panic.as_ref()));
            Err(Error::Panicked.into())
        });
        self.outcome.insert(outcome).is_ok()
    }

    fn answer(self: Box<Self>, fate: Fate) {
        // An error of the change itself rests on what it read in this transaction, so it too is void when that was lost.
        let outcome = match (fate.into_result(()), self.outcome) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(Error::Closed.into()),
        };
        (self.answer)(outcome);
    }

    fn answers_quickly(&self) -> bool {
        self.quick
    }

    fn gives_up(&self) -> bool {
        self.gives_up
    }
}

/// The text of a panic, where it has one.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

struct Waiting {
    change: Box<dyn Change>,
    since: Instant,
}

enum Message {
    Change(Waiting),
    Stop,
}

/// Figures of the writer, for metrics.
#[derive(Debug, Default)]
pub struct WriterFigures {
    /// Changes that wait now.
    pub waiting: AtomicUsize,
    /// Transactions committed.
    pub commits: AtomicUsize,
    /// Changes answered after a commit.
    pub changes: AtomicUsize,
    /// Changes refused or lost: overload, disk full, …
    pub refused: AtomicUsize,
    /// Microseconds spent in batches, from BEGIN to COMMIT.
    pub busy_micros: AtomicUsize,
}

/// The way in to the writer thread, and the handle to stop it.
pub(super) struct Writer {
    queue: SyncSender<Message>,
    figures: Arc<WriterFigures>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

thread_local! {
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

impl Writer {
    /// Starts the threads on `connection`. At most `capacity` changes wait; more are refused.
    pub(super) fn start(
        connection: Connection,
        capacity: usize,
        news: Arc<News>,
        checkpointer: Arc<Checkpointer>,
    ) -> std::io::Result<Self> {
        let (queue, inbox) = sync_channel(capacity);
        let (answers, outbox) = channel::<Answers>();
        let outbox = Arc::new(Mutex::new(outbox));
        let figures = Arc::new(WriterFigures::default());
        let mut threads = Vec::new();
        let worker = Thread { connection, inbox, answers, news, checkpointer, figures: figures.clone() };
        threads.push(std::thread::Builder::new().name("db-writer".to_owned()).spawn(move || worker.run())?);
        for number in 0..ANSWERERS {
            let outbox = outbox.clone();
            threads.push(
                std::thread::Builder::new()
                    .name(format!("db-answers-{number}"))
                    .spawn(move || give_answers(&outbox))?,
            );
        }
        Ok(Self { queue, figures, threads: Mutex::new(threads) })
    }

    pub(super) fn figures(&self) -> &WriterFigures {
        &self.figures
    }

    /// Hands a change over, or has it answered with "overloaded" at once when too many wait.
    pub(super) fn submit(&self, change: Box<dyn Change>) {
        self.figures.waiting.fetch_add(1, Ordering::Relaxed);
        match self.queue.try_send(Message::Change(Waiting { change, since: Instant::now() })) {
            Ok(()) => {}
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                self.figures.waiting.fetch_sub(1, Ordering::Relaxed);
                self.figures.refused.fetch_add(1, Ordering::Relaxed);
                if let Message::Change(waiting) = message {
                    waiting.change.answer(Fate::Refused);
                }
            }
        }
    }

    /// Hands a change over, waiting for a place when too many wait.
    pub(super) fn submit_waiting(&self, change: Box<dyn Change>) {
        assert!(!IS_WRITER.get(), "a change must not wait for another change: the writer would wait for itself");
        self.figures.waiting.fetch_add(1, Ordering::Relaxed);
        let message = Message::Change(Waiting { change, since: Instant::now() });
        if let Err(gone) = self.queue.send(message) {
            self.figures.waiting.fetch_sub(1, Ordering::Relaxed);
            if let Message::Change(waiting) = gone.0 {
                waiting.change.answer(Fate::Refused);
            }
        }
    }

    /// Commits what waits, answers it, and ends the threads.
    pub(super) fn stop(&self) {
        let _gone_already = self.queue.send(Message::Stop);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The last owner may be one of these threads itself: an answer that held the database.
            if thread.thread().id() != std::thread::current().id() {
                let _panicked = thread.join();
            }
        }
    }
}

/// What is left to do after a commit, or after one that failed.
struct Answers {
    after_commit: Vec<AfterCommit>,
    answers: Vec<Answer>,
}

struct Answer {
    change: Box<dyn Change>,
    fate: Fate,
}

impl Answers {
    /// Log lines first, so that a change is told before anyone acts on it.
    fn give(self) {
        for then in self.after_commit {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(then)) {
                error!("what was to follow a commit panicked: {}", panic_message(panic.as_ref()));
            }
        }
        for Answer { change, fate } in self.answers {
            give_answer(change, fate);
        }
    }
}

fn give_answers(outbox: &Mutex<Receiver<Answers>>) {
    loop {
        let received = outbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(answers) = received else { return };
        answers.give();
    }
}

fn give_answer(change: Box<dyn Change>, fate: Fate) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| change.answer(fate))) {
        error!("an answer after a commit panicked: {}", panic_message(panic.as_ref()));
    }
}

struct Thread {
    connection: Connection,
    inbox: Receiver<Message>,
    answers: Sender<Answers>,
    news: Arc<News>,
    checkpointer: Arc<Checkpointer>,
    figures: Arc<WriterFigures>,
}

impl Thread {
    fn run(self) {
        IS_WRITER.set(true);
        self.checkpointer.watch(&self.connection);
        while let Ok(Message::Change(first)) = self.inbox.recv() {
            let stop = self.batch(first);
            self.checkpointer.between_batches(&self.connection);
            if stop {
                return;
            }
        }
    }

    /// Runs `first` and what else waits in one transaction. Returns whether the end was asked for meanwhile.
    fn batch(&self, first: Waiting) -> bool {
        let mut started = Instant::now();
        let mut done: Vec<Box<dyn Change>> = Vec::new();
        let mut refused: Vec<Box<dyn Change>> = Vec::new();
        let mut stop = false;
        let tx = Tx::new(&self.connection);
        let mut next = Some(first);
        let fate = match self.execute("BEGIN IMMEDIATE") {
            Err(error) => {
                // Whoever holds the lock has held it for seconds: only the first is answered here, the others get
                // their own try, and those that have waited too long are refused there.
                warn!("no transaction could be begun: {error}");
                done.extend(next.take().map(|waiting| waiting.change));
                Fate::lost(&error)
            }
            Ok(()) => loop {
                if done.is_empty() {
                    // Not the wait for another process's lock: that would make batches of one when they are needed least.
                    started = Instant::now();
                }
                if let Some(mut waiting) = next.take() {
                    if waiting.change.gives_up() && waiting.since.elapsed() > WAIT_MAX {
                        refused.push(waiting.change);
                    } else {
                        let ran = self.run_in_savepoint(waiting.change.as_mut(), &tx);
                        done.push(waiting.change);
                        if let Err(error) = ran {
                            self.roll_back();
                            break Fate::lost(&error);
                        }
                    }
                }
                if done.len() + refused.len() >= BATCH_MAX || started.elapsed() >= BATCH_TIME {
                    break self.commit();
                }
                match self.inbox.try_recv() {
                    Ok(Message::Change(waiting)) => next = Some(waiting),
                    Ok(Message::Stop) => {
                        stop = true;
                        break self.commit();
                    }
                    Err(_empty) => break self.commit(),
                }
            },
        };
        if matches!(fate, Fate::Committed) {
            self.figures.commits.fetch_add(1, Ordering::Relaxed);
            self.figures.changes.fetch_add(done.len(), Ordering::Relaxed);
            if tx.was_announced() {
                self.news.spread();
            }
        } else {
            self.figures.refused.fetch_add(done.len(), Ordering::Relaxed);
        }
        self.figures.refused.fetch_add(refused.len(), Ordering::Relaxed);
        self.figures.waiting.fetch_sub(done.len() + refused.len(), Ordering::Relaxed);
        let micros = usize::try_from(started.elapsed().as_micros()).unwrap_or(usize::MAX);
        self.figures.busy_micros.fetch_add(micros, Ordering::Relaxed);
        let after_commit = if matches!(fate, Fate::Committed) { tx.after_commit.take() } else { Vec::new() };
        self.answer(after_commit, done, refused, &fate);
        stop
    }

    /// Runs one change. An error means that the whole transaction is lost.
    fn run_in_savepoint(&self, change: &mut dyn Change, tx: &Tx<'_>) -> rusqlite::Result<()> {
        self.execute("SAVEPOINT change")?;
        let promised = tx.after_commit.borrow().len();
        let kept = change.run(tx);
        // FULL, IOERR, NOMEM and some INTERRUPTs roll back everything, not the savepoint: without this look, earlier
        // changes would be lost and later ones committed one by one (measured).
        if self.connection.is_autocommit() {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK),
                Some(
                    "SQLite rolled the whole transaction back, most likely for want of disk space or memory".to_owned(),
                ),
            ));
        }
        if !kept {
            tx.after_commit.borrow_mut().truncate(promised);
            self.execute("ROLLBACK TO change")?;
        }
        self.execute("RELEASE change")
    }

    fn commit(&self) -> Fate {
        fail::fail_point!("db::before_commit");
        match self.execute("COMMIT") {
            Ok(()) => {
                fail::fail_point!("db::after_commit");
                Fate::Committed
            }
            Err(error) => {
                self.roll_back();
                Fate::lost(&error)
            }
        }
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            error!("a transaction could not be rolled back: {error}");
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute(()).map(|_rows| ())
    }

    fn answer(
        &self,
        after_commit: Vec<AfterCommit>,
        done: Vec<Box<dyn Change>>,
        refused: Vec<Box<dyn Change>>,
        fate: &Fate,
    ) {
        let alone = done.len() == 1 && refused.is_empty();
        let mut answers: Vec<Answer> = done.into_iter().map(|change| Answer { change, fate: fate.clone() }).collect();
        answers.extend(refused.into_iter().map(|change| Answer { change, fate: Fate::Refused }));
        let answers = Answers { after_commit, answers };
        // A lone waiter is woken from here: one thread switch less than by way of the answering threads.
        if alone && answers.after_commit.is_empty() && answers.answers[0].change.answers_quickly() {
            answers.give();
        } else if let Err(unsent) = self.answers.send(answers) {
            unsent.0.give();
        }
    }
}
