//! Enqueuing, and running what was enqueued.

use crate::{Figure, WINDOW, figure, job, median, open, plainly, print, print_figures, rate, rounds, setting};
use quotegrid::app::App;
use quotegrid::error::Error;
use quotegrid::queue::{Claim, Context, Finish, Handler, JobError, NewJob, Registry};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Jobs whose running is measured at a time.
const JOBS: usize = 20_000;

pub(crate) fn enqueue() {
    let mut references = Vec::new();
    let mut by_producers = [1, 16, 64].map(|producers| (producers, Vec::<Figure>::new()));
    let mut bulk = Vec::new();
    for _ in 0..rounds() {
        references.push(plainly::enqueue());
        for (producers, figures) in &mut by_producers {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let app = open(directory.path(), Registry::new());
            figures.push(figure(|| produce(&app, *producers)));
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let app = open(directory.path(), Registry::new());
        bulk.push(500.0 * rate(|| enqueue_some(&app, 500)));
    }
    let reference = median(references.clone());
    print("one transaction a job, one thread", &references, None);
    for (producers, figures) in by_producers {
        print_figures(&format!("enqueue, a call a job, {producers} producers"), &figures, Some(("that", reference)));
    }
    print("enqueue in bulk, 500 a transaction", &bulk, Some(("that", reference)));
}

fn produce(app: &Arc<App>, producers: usize) -> usize {
    let (stop, times) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..producers {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    app.enqueue_plain(job());
                    times.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(WINDOW);
        stop.store(true, Ordering::Relaxed);
    });
    times.into_inner()
}

pub(crate) trait EnqueuePlain {
    fn enqueue_plain(&self, job: NewJob);
}

impl EnqueuePlain for Arc<App> {
    /// As a program that embeds the queue does, in a transaction that could hold more.
    fn enqueue_plain(&self, job: NewJob) {
        let (queue, now) = (self.queue.clone(), self.clock.now());
        self.db.write(move |tx| queue.enqueue(tx, now, job)).expect("enqueued");
    }
}

pub(crate) fn enqueue_some(app: &Arc<App>, jobs: usize) {
    let (queue, now) = (app.queue.clone(), app.clock.now());
    let done: Result<(), Error> = app.db.write(move |tx| {
        for _ in 0..jobs {
            queue.enqueue(tx, now, job())?;
        }
        Ok(())
    });
    done.expect("enqueued");
}

pub(crate) fn claim() {
    let references: Vec<f64> = (0..rounds()).map(|_| plainly::claim()).collect();
    let reference = median(references.clone());
    print("two transactions a job, one thread", &references, None);
    let mut first = None;
    for waiting in [1_000, 100_000, 1_000_000].into_iter().filter(|waiting| *waiting <= setting("WAITING", 1_000_000)) {
        let figures = run_with(waiting);
        print(&format!("claim + run + complete, {waiting} waiting"), &figures, Some(("that", reference)));
        let figure = median(figures);
        let first = *first.get_or_insert(figure);
        println!("{:<52} {:>19.2} of 1000 waiting", "", figure / first);
    }
}

/// Runs a second, for each round, with at least `waiting` jobs left behind.
fn run_with(waiting: usize) -> Vec<f64> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ran = Arc::new(AtomicUsize::new(0));
    let app = open(directory.path(), Registry::new().with("noop", Noop(ran.clone())));
    for _ in 0..(waiting + JOBS * (rounds() + 1)).div_ceil(500) {
        enqueue_some(&app, 500);
    }
    let background = app.start(2).expect("threads");
    let wait_for = |jobs: usize| {
        while ran.load(Ordering::Relaxed) < jobs {
            std::thread::sleep(Duration::from_micros(200));
        }
        (Instant::now(), ran.load(Ordering::Relaxed))
    };
    // The first ones warm the caches.
    let mut last = wait_for(JOBS / 2);
    let figures = (0..rounds())
        .map(|_| {
            let next = wait_for(last.1 + JOBS);
            let figure = (next.1 - last.1) as f64 / (next.0 - last.0).as_secs_f64();
            last = next;
            figure
        })
        .collect();
    background.stop(Duration::from_secs(60));
    figures
}

/// Does nothing, and counts it.
struct Noop(Arc<AtomicUsize>);

impl Handler for Noop {
    fn run(&self, _job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Finish::done())
    }
}
