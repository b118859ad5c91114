//! Lock files: the operating system frees them when their process dies, however it dies. They are in a directory of their own
//! next to the database and are never unlinked while anyone may look at them.

use super::{access, files};
use rustix::io::Errno;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a waiter checks if the lock is free.
const POLL: Duration = Duration::from_millis(5);

/// Makes the directory of the lock files (mode 0700) unless it is there, and returns it.
pub(crate) fn make_directory(database: &Path) -> io::Result<PathBuf> {
    let directory = files::lock_directory(database);
    access::make_directory(&directory).map(|()| directory)
}

/// Opens the lock file `name`, made with mode 0600 unless it is there. A symbolic link in the directory's place is not followed, no
/// more than one in the file's: whoever may make one would choose where a process that runs as root makes files.
pub(crate) fn open(directory: &Path, name: &str) -> io::Result<File> {
    if fs::symlink_metadata(directory)?.is_symlink() {
        return Err(access::explained(directory, Errno::LOOP.into()));
    }
    let file = access::open_own(&directory.join(name))?;
    access::give_to_owner_of(directory, &file)?;
    Ok(file)
}

/// Takes the lock on `file`, waiting up to `patience`; `false` when another process still holds it then.
pub(crate) fn take(file: &File, patience: Duration) -> io::Result<bool> {
    let until = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(POLL),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Whether `file`, once opened at `path`, still is what others would open there: not when it was removed or renamed meanwhile.
pub(crate) fn is_in_place(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
