//! How much room is left on the disk of the database, and the floor below which nothing new is taken in but webhooks: they are duties,
//! and what they need must not be used up by orders.

use crate::db::files;
use crate::error::{Error, Kind, Result};
use log::warn;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// What a program can act on: the disk is nearly full.
pub const DISK_LOW: &str = "disk_low";

/// The least that is kept free by default, and the least share of the disk: whichever is more. A gibibyte is a WAL at its worst, a copy
/// of a small database for a backup, and some days of webhooks.
const LEAST_BYTES: u64 = 1 << 30;
const LEAST_PERCENT: u64 = 5;

/// For how long a look at the disk is good.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the log says that nothing is taken in.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// When a rejected client may try again: an operator has to make room first.
const PAUSE: Duration = Duration::from_secs(60);

/// Free bytes below which nothing new is taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Floor {
    /// None.
    #[default]
    Off,
    /// A gibibyte or a twentieth of the disk, whichever is more.
    Auto,
    /// So many bytes.
    Bytes(u64),
}

impl FromStr for Floor {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("`{text}` is neither auto nor a size such as 2GiB or 500MiB; 0 turns it off");
        let text = text.trim();
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
        let shift = match text[digits.len()..].trim() {
            "" | "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            "TiB" => 40,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_not_a_number| wrong())?;
        match number.checked_mul(1 << shift).ok_or_else(wrong)? {
            0 => Ok(Self::Off),
            bytes => Ok(Self::Bytes(bytes)),
        }
    }
}

impl std::fmt::Display for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("0"),
            Self::Auto => f.write_str("auto"),
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

impl Floor {
    /// The floor of a disk of this size.
    fn bytes(self, size: u64) -> u64 {
        match self {
            Self::Off => 0,
            Self::Auto => (size / 100 * LEAST_PERCENT).max(LEAST_BYTES),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// A disk as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Bytes that are free for this program.
    pub free: u64,
    /// Bytes below which nothing new is taken in; 0: there is no such floor.
    pub floor: u64,
}

impl Seen {
    /// Whether nothing new is taken in.
    pub fn is_low(&self) -> bool {
        self.free < self.floor
    }
}

/// The disk of a database.
#[derive(Debug)]
pub struct Disk {
    directory: PathBuf,
    floor: Floor,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    seen: Option<(Instant, Seen)>,
    logged_at: Option<Instant>,
}

impl Disk {
    /// The disk of the database at `path`.
    pub fn new(path: &Path, floor: Floor) -> Self {
        Self { directory: files::directory_of(path).to_path_buf(), floor, last: Mutex::default() }
    }

    /// The disk as it is, or was a second ago; `None` where the system does not say.
    pub fn look(&self) -> Option<Seen> {
        let mut last = self.last.lock();
        if let Some((at, seen)) = last.seen
            && at.elapsed() < LOOK_EVERY
        {
            return Some(seen);
        }
        let found = rustix::fs::statvfs(&self.directory).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        let seen = Seen { free: bytes(found.f_bavail), floor: self.floor.bytes(bytes(found.f_blocks)) };
        last.seen = Some((Instant::now(), seen));
        Some(seen)
    }

    /// Lets something new in.
    ///
    /// # Errors
    /// `Overloaded` with the code [`DISK_LOW`] below the floor.
    pub fn admit(&self) -> Result<()> {
        let Some(seen) = self.look().filter(Seen::is_low) else { return Ok(()) };
        let mut last = self.last.lock();
        if last.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            last.logged_at = Some(Instant::now());
            let (free, floor) = (seen.free >> 20, seen.floor >> 20);
            warn!(
                "the disk is nearly full: {free} MiB are free, and below {floor} MiB no orders and imports are taken"
            );
        }
        let error = Error::new(Kind::Overloaded, "there is no room for anything new at the moment, try again later");
        Err(error.with_member("code", DISK_LOW).with_retry_after(PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_a_size_or_auto() {
        for (text, floor) in [
            ("auto", Floor::Auto),
            ("0", Floor::Off),
            ("0GiB", Floor::Off),
            ("2GiB", Floor::Bytes(2 << 30)),
            ("500 MiB", Floor::Bytes(500 << 20)),
            ("4096", Floor::Bytes(4_096)),
        ] {
            assert_eq!(text.parse(), Ok(floor), "{text}");
        }
        for text in ["", "-1", "1.5GiB", "5%", "2GB", "GiB", "99999999999TiB"] {
            assert!(text.parse::<Floor>().is_err(), "{text}");
        }
    }

    #[test]
    fn by_default_a_twentieth_of_the_disk_is_kept_free_and_never_less_than_a_gibibyte() {
        let floor = |gibibytes: u64| Floor::Auto.bytes(gibibytes << 30) >> 30;
        assert_eq!((floor(10), floor(20), floor(100), floor(1_000)), (1, 1, 5, 50));
        assert_eq!(Floor::Off.bytes(u64::MAX), 0);
        let _no_overflow = Floor::Auto.bytes(u64::MAX);
    }

    #[test]
    fn below_the_floor_nothing_new_is_let_in() {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = |floor| Disk::new(&directory.path().join("quotegrid.db"), floor);
        let error = disk(Floor::Bytes(u64::MAX)).admit().expect_err("no disk has so much");
        assert_eq!((error.kind(), &error.members()["code"]), (Kind::Overloaded, &DISK_LOW.into()));
        for floor in [Floor::Off, Floor::Bytes(1)] {
            assert!(disk(floor).admit().is_ok(), "{floor:?}");
        }
    }
}
