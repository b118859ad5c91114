//! A start, and a backup, on a file of a GiB.

use crate::jobs::EnqueuePlain;
use crate::{job, median, open, plainly, rounds};
use quotegrid::backup;
use quotegrid::queue::Registry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A file of a GiB: how fast it is ready, and how long a backup of it takes while others enqueue.
pub(crate) fn start() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    drop(open(directory.path(), Registry::new()));
    let connection = plainly::connect(directory.path());
    connection
        .execute_batch(
            "PRAGMA synchronous = OFF;
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900000)
             INSERT INTO job_queue (id, type, payload, status, scheduled_at, processed_at, created_at)
             SELECT printf('%012x-0000-7000-8000-000000000000', i), 'old', json_object('padding', hex(randomblob(450))),
                 'completed', 1, 1, 1 FROM n;
             PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .expect("filled");
    drop(connection);
    let file = directory.path().join("bench.db");
    let size = file.metadata().expect("there").len() as f64 / f64::from(1 << 20);
    let starts: Vec<f64> = (0..rounds() * 2 + 1)
        .map(|_| {
            let started = Instant::now();
            let app = open(directory.path(), Registry::new());
            let background = app.start(2).expect("threads");
            app.db.write(|tx| tx.touch()).expect("it commits");
            let took = started.elapsed().as_secs_f64() * 1_000.0;
            background.stop(Duration::from_secs(60));
            took
        })
        .collect();
    println!("start to ready on {size:.0} MiB {:>36.1} ms", median(starts));

    let app = open(directory.path(), Registry::new());
    let stop = AtomicBool::new(false);
    let wal = directory.path().join("bench.db-wal");
    let (mut waits, largest, took) = std::thread::scope(|scope| {
        let producers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let mut waits = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        app.enqueue_plain(job());
                        waits.push(begun.elapsed().as_secs_f64() * 1_000.0);
                    }
                    waits
                })
            })
            .collect();
        let watcher = scope.spawn(|| {
            let mut largest = 0;
            while !stop.load(Ordering::Relaxed) {
                // Only asked for its size: opening it would be a fault.
                largest = wal.metadata().map_or(0, |wal| wal.len()).max(largest);
                std::thread::sleep(Duration::from_millis(5));
            }
            largest
        });
        std::thread::sleep(Duration::from_secs(1));
        let started = Instant::now();
        backup::create(&file, &directory.path().join("copy.db"), false, &mut |_done, _all| {}).expect("backed up");
        let took = started.elapsed();
        stop.store(true, Ordering::Relaxed);
        let waits: Vec<f64> = producers.into_iter().flat_map(|producer| producer.join().expect("no panic")).collect();
        (waits, watcher.join().expect("no panic"), took)
    });
    waits.sort_by(f64::total_cmp);
    println!(
        "backup and check of it while 16 producers enqueue {:>12.1} s, {} enqueued meanwhile, p99 {:.1} ms, longest {:.0} ms, \
         WAL at most {} MiB",
        took.as_secs_f64(),
        waits.len(),
        waits[waits.len() * 99 / 100],
        waits[waits.len() - 1],
        largest >> 20
    );
}
