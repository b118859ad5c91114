//! The files of a database: where they lie, and how they go.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What SQLite keeps beside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The file beside `path` whose name has `suffix` more.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

/// The WAL of the database at `path`.
pub(crate) fn wal(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// The index of that WAL, which all processes share.
pub(crate) fn wal_index(path: &Path) -> PathBuf {
    beside(path, "-shm")
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes what SQLite keeps beside the database at `path`, which nobody may have open.
pub(crate) fn remove_companions(path: &Path) -> io::Result<()> {
    for suffix in COMPANIONS {
        match fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
