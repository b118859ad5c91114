//! What a process has done to its database file and WAL, written down by `recorder.c`, and what a power cut leaves of it: only what was
//! brought to the disk is certain, anything else may be there or not, page by page.

use super::{Dice, Machine, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("recorder.c");

/// What the disk writes as one.
const SECTOR: usize = 4096;

/// A recorder of what one process does, on a machine.
pub(crate) struct Recorder {
    library: PathBuf,
    directory: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Database,
    Wal,
}

#[derive(Debug)]
enum Happened {
    Write(u64, Vec<u8>),
    Sync,
    FailedSync,
    Truncate(u64),
    Unlink,
}

impl Recorder {
    pub(crate) fn on(machine: &Machine) -> Self {
        let directory = machine.directory().join("recorder");
        fs::create_dir_all(&directory).expect("a directory");
        let (source, library) = (directory.join("recorder.c"), directory.join("recorder.so"));
        fs::write(&source, SOURCE).expect("written");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .args(["-ldl", "-pthread"])
            .output()
            .expect("a C compiler, as for SQLite itself");
        assert!(compiled.status.success(), "{compiled:?}");
        Self { library, directory }
    }

    /// Has the process write down what it does.
    pub(crate) fn watch<'a>(&self, command: &'a mut Command, database: &Path) -> &'a mut Command {
        command
            .env("LD_PRELOAD", &self.library)
            .env("RECORDER_DATABASE", database)
            .env("RECORDER_FILE", self.record())
            .env("RECORDER_FAIL_DATABASE", self.trigger(Part::Database))
            .env("RECORDER_FAIL_WAL", self.trigger(Part::Wal))
    }

    /// Has the `nth` write, fsync, cut or rename below `directory` fail, once.
    pub(crate) fn fail_nth<'a>(&self, command: &'a mut Command, nth: usize, directory: &Path) -> &'a mut Command {
        fs::write(self.nth_trigger(), "").expect("written");
        command
            .env("LD_PRELOAD", &self.library)
            .env("RECORDER_FAULTY_BELOW", directory)
            .env("RECORDER_NTH_TRIGGER", self.nth_trigger())
            .env("RECORDER_NTH", nth.to_string())
    }

    /// Whether it did: there may be fewer.
    pub(crate) fn has_nth_failed(&self) -> bool {
        !self.nth_trigger().exists()
    }

    fn nth_trigger(&self) -> PathBuf {
        self.directory.join("fail-nth")
    }

    /// Has the next fsync of that file fail.
    pub(crate) fn fail_next_sync(&self, of: Part) {
        fs::write(self.trigger(of), "").expect("written");
    }

    pub(crate) fn wait_failed(&self, of: Part) {
        let trigger = self.trigger(of);
        wait_until("an fsync fails", || !trigger.exists());
    }

    fn trigger(&self, of: Part) -> PathBuf {
        self.directory.join(format!("fail-{of:?}"))
    }

    fn record(&self) -> PathBuf {
        self.directory.join("record")
    }

    fn happened(&self) -> Vec<(Part, Happened)> {
        let bytes = fs::read(self.record()).expect("the recorder has written");
        let mut rest = bytes.as_slice();
        let mut all = Vec::new();
        while let Some((head, after)) = rest.split_at_checked(24) {
            let word = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().expect("four bytes"));
            let long = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().expect("eight bytes"));
            let part = if word(4) == 0 { Part::Database } else { Part::Wal };
            let length = usize::try_from(long(16)).expect("small");
            // The last one may be half written yet.
            let Some((data, next)) = after.split_at_checked(length) else { break };
            rest = next;
            let happened = match word(0) {
                1 => Happened::Write(long(8), data.to_vec()),
                2 => Happened::Sync,
                3 => Happened::FailedSync,
                4 => Happened::Truncate(long(8)),
                5 => Happened::Unlink,
                other => panic!("no record: {other}"),
            };
            all.push((part, happened));
        }
        all
    }

    /// Pages written into the database that no fsync has followed.
    pub(crate) fn unsynced_writes(&self) -> usize {
        let mut count = 0;
        for (part, happened) in self.happened() {
            match (part, happened) {
                (Part::Database, Happened::Write(..)) => count += 1,
                (Part::Database, Happened::Sync | Happened::FailedSync) => count = 0,
                _ => {}
            }
        }
        count
    }

    /// Whether the WAL has been emptied, started over or removed since the failed fsync of the database.
    pub(crate) fn wal_was_given_up(&self) -> bool {
        let happened = self.happened();
        let failed = |(part, what): &(Part, Happened)| *part == Part::Database && matches!(what, Happened::FailedSync);
        let since = happened.iter().rposition(failed).expect("one has failed");
        happened[since..].iter().any(|(part, what)| {
            *part == Part::Wal && matches!(what, Happened::Truncate(_) | Happened::Unlink | Happened::Write(0, _))
        })
    }

    /// The files as they may be after a power cut at the end of the record.
    pub(crate) fn after_power_cut(&self, dice: &mut Dice, database: &Path) {
        let mut wal_name = database.as_os_str().to_owned();
        wal_name.push("-wal");
        for (wanted, path) in [(Part::Database, database), (Part::Wal, Path::new(&wal_name))] {
            let mut disk = Disk::default();
            for (part, happened) in self.happened() {
                if part == wanted {
                    disk.take(happened, dice);
                }
            }
            disk.settle(dice);
            fs::write(path, &disk.certain).expect("written");
        }
    }
}

/// One file: what is on the disk, and what is on its way there.
#[derive(Default)]
struct Disk {
    certain: Vec<u8>,
    on_its_way: Vec<Happened>,
}

impl Disk {
    fn take(&mut self, happened: Happened, dice: &mut Dice) {
        match happened {
            Happened::Sync => {
                for change in std::mem::take(&mut self.on_its_way) {
                    self.apply(change, |_sector| true);
                }
            }
            // What it should have brought to the disk is forgotten: no later one does.
            Happened::FailedSync => self.settle(dice),
            other => self.on_its_way.push(other),
        }
    }

    /// Some of what is on its way arrives, sector by sector.
    fn settle(&mut self, dice: &mut Dice) {
        let share = dice.below(4);
        for change in std::mem::take(&mut self.on_its_way) {
            self.apply(change, |_sector| dice.below(4) < share);
        }
    }

    fn apply(&mut self, change: Happened, mut arrives: impl FnMut(usize) -> bool) {
        match change {
            Happened::Write(offset, data) => {
                let offset = usize::try_from(offset).expect("small");
                let end = offset + data.len();
                let mut at = offset;
                while at < end {
                    let next = ((at / SECTOR + 1) * SECTOR).min(end);
                    if arrives(at / SECTOR) {
                        if self.certain.len() < next {
                            self.certain.resize(next, 0);
                        }
                        self.certain[at..next].copy_from_slice(&data[at - offset..next - offset]);
                    }
                    at = next;
                }
            }
            Happened::Truncate(length) if arrives(0) => {
                self.certain.resize(usize::try_from(length).expect("small"), 0);
            }
            Happened::Unlink if arrives(0) => self.certain.clear(),
            _ => {}
        }
    }
}
