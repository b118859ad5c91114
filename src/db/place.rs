//! Whether the files that are open are still those that their names lead to. What is written to a file that was moved, removed or
//! replaced meanwhile is acknowledged and then lost: nobody finds it after the next start. A look at the name opens nothing.

use super::files;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A file, whatever it is called.
type Identity = (u64, u64);

/// The database file and its WAL, as they were when they were opened.
#[derive(Debug)]
pub(super) struct Place {
    files: Vec<(PathBuf, Identity)>,
}

impl Place {
    /// The place of the database at `path`, which is open. SQLite keeps one WAL for as long as anybody has the database open.
    pub(super) fn of(path: PathBuf) -> io::Result<Self> {
        let paths = [files::wal(&path), path];
        let files = paths.into_iter().map(|path| identity(&path).map(|identity| (path, identity)));
        Ok(Self { files: files.collect::<io::Result<_>>()? })
    }

    /// Whether all of it is where it was.
    pub(super) fn is_kept(&self) -> bool {
        self.files.iter().all(|(path, opened)| identity(path).is_ok_and(|found| found == *opened))
    }
}

fn identity(path: &PathBuf) -> io::Result<Identity> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}
