//! Backups while the load goes on.

use crate::server::DATABASE;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A backup that was taken.
pub(crate) struct Backup {
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) bytes: u64,
}

/// One after another.
pub(crate) struct Backups {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Backup>>,
}

impl Backups {
    pub(crate) fn start(program: &Path, place: &Path, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (is_stopped, program) = (stop.clone(), program.to_path_buf());
        let (database, target) = (place.join(DATABASE), place.join("backup.db"));
        let thread = std::thread::spawn(move || {
            let (mut taken, mut next) = (Vec::new(), Instant::now() + every);
            while !is_stopped.load(Ordering::Relaxed) {
                if Instant::now() < next {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
                next += every;
                let begun = Instant::now();
                let mut backup = Command::new(&program);
                backup.arg("backup").arg(&target).arg("--force").arg("--database").arg(&database);
                let status = backup.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it runs");
                assert!(status.success(), "{status}");
                let bytes = target.metadata().map_or(0, |file| file.len());
                taken.push(Backup { begun, ended: Instant::now(), bytes });
            }
            taken
        });
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Vec<Backup> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic")
    }
}
