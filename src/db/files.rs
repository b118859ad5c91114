//! The files of a database: where they lie, and how they go.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What SQLite keeps alongside a database.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The file alongside `path` whose name has `suffix` more.
pub(crate) fn companion(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

/// `path` so that it is not taken for anything else: SQLite for a URI (`file:…`), for no file at all (`:memory:`, an empty name), a
/// command for an option (`-…`).
pub(crate) fn literal(path: &Path) -> PathBuf {
    let is_odd = [":", "-", "file:"].iter().any(|odd| path.as_os_str().as_encoded_bytes().starts_with(odd.as_bytes()));
    if is_odd { Path::new(".").join(path) } else { path.to_path_buf() }
}

/// The WAL of the database at `path`.
pub(crate) fn wal(path: &Path) -> PathBuf {
    companion(path, "-wal")
}

/// The index of that WAL, which all processes share.
pub(crate) fn wal_index(path: &Path) -> PathBuf {
    companion(path, "-shm")
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The directory of the lock files of the database at `path`.
pub(crate) fn lock_directory(path: &Path) -> PathBuf {
    companion(path, ".locks")
}

/// Makes the names in a file's directory durable.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// Removes what SQLite keeps next to the database at `path`, which no process may have open.
pub(crate) fn remove_companions(path: &Path) -> io::Result<()> {
    let mut done = Ok(());
    for suffix in COMPANIONS {
        // One that cannot be removed must not keep the others.
        match fs::remove_file(companion(path, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => done = Err(error),
            _ => {}
        }
    }
    done
}
