//! Whether the files that are open are still those that their names lead to. What is written to a file that was moved, removed or
//! replaced meanwhile is acknowledged and then lost: the next start does not find it. A look at the name opens nothing.
//!
//! The index of the WAL (`-shm`) is as much a part of it as the WAL: without it another process makes a new one, and the two know
//! nothing of each other's locks. So is a second name of the database: who opens it there has another WAL alongside it.

use super::files;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, whatever it is called, and how many names it has.
#[derive(Debug, Clone, Copy)]
struct Inode {
    device: u64,
    inode: u64,
    links: u64,
}

/// The files of a database, as they were when they were opened.
#[derive(Debug)]
pub(super) struct FileIdentity {
    database: Vec<(PathBuf, Inode)>,
    wal: Vec<(PathBuf, Inode)>,
}

impl FileIdentity {
    /// The place of the database that is open, at the name `given`, which may be a symbolic link to its file `real`. SQLite keeps one
    /// WAL and one index of it for as long as any process has the database open.
    pub(super) fn of(given: &Path, real: &Path) -> io::Result<Self> {
        let mut database = vec![watched(real.to_path_buf())?];
        if given != real {
            database.push(watched(given.to_path_buf())?);
        }
        Ok(Self { database, wal: vec![watched(files::wal(real))?, watched(files::wal_index(real))?] })
    }

    /// Whether the file of the database is where it was, under no more names.
    pub(super) fn is_database_kept(&self) -> bool {
        self.database.iter().all(is_in_place)
    }

    /// Whether an open file is the WAL that was there at first.
    pub(super) fn is_wal(&self, found: &fs::Metadata) -> bool {
        self.wal.first().is_some_and(|(_, wal)| (wal.device, wal.inode) == (found.dev(), found.ino()))
    }

    /// Whether the WAL and its index are where they were.
    pub(super) fn is_wal_kept(&self) -> bool {
        self.wal.iter().all(is_in_place)
    }
}

/// What is wrong with the names of the database at `path`, a sentence each. SQLite finds the WAL by the name: alongside another name it
/// finds none, and what was committed and not yet copied is lost.
pub(super) fn faults(path: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let Ok(found) = fs::metadata(path) else { return faults };
    if found.nlink() > 1 {
        faults.push(format!(
            "{path} is one of {links} names (hard links) of the same file, and its WAL belongs to this name alone: opened by another, what was committed is lost. Remove the other names, or make copies with `quotegrid backup`",
            path = path.display(),
            links = found.nlink()
        ));
    }
    if is_mounted_alone(path) {
        faults.push(format!(
            "{path} is mounted as a single file, and its WAL is alongside it in a directory that goes with the container or mount: acknowledged work is lost with it. Mount the directory instead",
            path = path.display()
        ));
    }
    faults
}

/// Whether the file itself is where something is mounted, as by `docker run -v /srv/quotegrid.db:/data/quotegrid.db`.
#[cfg(target_os = "linux")]
fn is_mounted_alone(path: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS);
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Other systems cannot mount a file.
#[cfg(not(target_os = "linux"))]
fn is_mounted_alone(_path: &Path) -> bool {
    false
}

fn watched(path: PathBuf) -> io::Result<(PathBuf, Inode)> {
    let inode = inode(&path)?;
    Ok((path, inode))
}

fn is_in_place((path, opened): &(PathBuf, Inode)) -> bool {
    inode(path)
        .is_ok_and(|found| (found.device, found.inode) == (opened.device, opened.inode) && found.links <= opened.links)
}

/// Asks for nothing else. Whoever asks for a file's time stamps has Linux give its next write a finer one (since 6.13), and a file system
/// without a journal then brings that to the disk with each commit: 0.05 of 0.2 ms (measured).
#[cfg(target_os = "linux")]
fn inode(path: &Path) -> io::Result<Inode> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    use rustix::io::Errno;
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO | StatxFlags::NLINK) {
        Ok(found) => Ok(Inode {
            device: makedev(found.stx_dev_major, found.stx_dev_minor),
            inode: found.stx_ino,
            links: found.stx_nlink.into(),
        }),
        // A sandbox that lets only older calls through.
        Err(Errno::NOSYS | Errno::PERM) => inode_by_metadata(path),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn inode(path: &Path) -> io::Result<Inode> {
    inode_by_metadata(path)
}

fn inode_by_metadata(path: &Path) -> io::Result<Inode> {
    fs::metadata(path).map(|found| Inode { device: found.dev(), inode: found.ino(), links: found.nlink() })
}
