//! Who holds the write lock, for a person who must do something about it: a command that was suspended in a shell holds it until
//! it goes on. Found in the system's list of locks; where there is none, it is not known.

use super::Db;
use super::files;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The byte of the `-shm` file that the writing process has locked (sqlite.org/walformat.html).
const WRITE_LOCK_BYTE: u64 = 120;

/// The process that holds the write lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// Its number.
    pub process: u32,
    /// What it is called.
    pub name: String,
    /// Whether it is stopped, and goes on only when it is continued.
    pub is_suspended: bool,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, name, is_suspended } = self;
        write!(f, "process {process} ({name}) holds the write lock")?;
        if *is_suspended {
            write!(f, " and is suspended: have it go on with `kill -CONT {process}`, or end it")?;
        }
        Ok(())
    }
}

impl Db {
    /// The other process that holds the write lock now, as far as the system says.
    pub fn write_lock_holder(&self) -> Option<LockHolder> {
        write_lock_holder(self.path())
    }
}

/// The same for the database at `path`.
pub(super) fn write_lock_holder(path: &Path) -> Option<LockHolder> {
    let inode = fs::metadata(files::companion(path, "-shm")).ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let process =
        locks.lines().find_map(|line| holder_in(line, inode)).filter(|process| *process != std::process::id())?;
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name is in brackets and may hold anything, brackets too; the state comes behind.
    let (head, state) = status.rsplit_once(')').unwrap_or_default();
    let name = head.split_once('(').map_or("?", |(_, name)| name);
    let name = name.chars().filter(|c| !c.is_control()).collect();
    Some(LockHolder { process, name, is_suspended: state.trim_start().starts_with(['T', 't']) })
}

/// The process of a line of `/proc/locks`, if it is the write lock of the file with this inode.
fn holder_in(line: &str, inode: u64) -> Option<u32> {
    // 1: POSIX  ADVISORY  WRITE 8201 fe:00:10798008 120 120
    let mut fields = line.split_ascii_whitespace().skip(1);
    let kind = (fields.next()?, fields.next()?, fields.next()?);
    if kind != ("POSIX", "ADVISORY", "WRITE") {
        return None;
    }
    let process = fields.next()?.parse().ok()?;
    let file: u64 = fields.next()?.rsplit(':').next()?.parse().ok()?;
    let from: u64 = fields.next()?.parse().ok()?;
    let until = fields.next()?;
    let holds =
        from <= WRITE_LOCK_BYTE && (until == "EOF" || until.parse::<u64>().is_ok_and(|until| WRITE_LOCK_BYTE <= until));
    (file == inode && holds).then_some(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_write_lock_is_told_from_other_locks_and_files() {
        let holder = |line| holder_in(line, 77);
        assert_eq!(holder("1: POSIX  ADVISORY  WRITE 8201 fe:00:77 120 120"), Some(8201));
        assert_eq!(holder("1: POSIX  ADVISORY  WRITE 8201 fe:00:77 120 127"), Some(8201));
        for other in [
            "1: POSIX  ADVISORY  WRITE 8201 fe:00:77 121 121",
            "1: POSIX  ADVISORY  READ 8201 fe:00:77 120 120",
            "1: POSIX  ADVISORY  WRITE 8201 fe:00:78 120 120",
            "1: -> POSIX  ADVISORY  WRITE 8201 fe:00:77 120 120",
            "1: FLOCK  ADVISORY  WRITE 8201 fe:00:77 0 EOF",
            "1: POSIX  ADVISORY  WRITE -1 fe:00:77 120 120",
            "nonsense",
            "",
        ] {
            assert_eq!(holder(other), None, "{other}");
        }
    }
}
