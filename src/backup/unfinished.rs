//! Copies that were cut off: what a backup, a restore or an upgrade leaves behind when it is killed. No process reads them, and they hold
//! what has been erased since. Found next to the database by `doctor`, and removed by the next start or backup.

use super::partial::remove_companions;
use crate::db::{Db, access, files};
use crate::erasure::verify::{self, Finding, Verification};
use crate::keyed_hash::KeyedHasher;
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What the name of a backup ends in until it is finished.
pub(super) const BACKING_UP: &str = ".backing-up";

/// What the name of a database ends in while it is being put together from a backup.
pub(super) const RESTORING: &str = ".restoring";

/// What follows a database's name in that of the copy on which an upgrade is rehearsed.
const UPGRADING: &str = ".upgrading-from-v";

/// The unfinished copies alongside a database that no process is writing any more.
///
/// # Errors
/// When the directory cannot be read.
pub fn list(database: &Path) -> io::Result<Vec<PathBuf>> {
    let own = database.file_name().unwrap_or_default().as_encoded_bytes();
    let mut found = of_directory(files::directory_of(database), database, |name| {
        let rest = name.strip_prefix(own).unwrap_or_default();
        name.ends_with(BACKING_UP.as_bytes())
            || rest == RESTORING.as_bytes()
            || rest.strip_prefix(UPGRADING.as_bytes()).is_some_and(|version| version.iter().all(u8::is_ascii_digit))
    })?;
    found.retain(|path| matches!(abandoned(path), Ok(Some(_))));
    Ok(found)
}

/// As [`verify::verify`], with the copies that backups, restores and upgrades have left next to the database.
///
/// # Errors
/// When the database, the files or the directory cannot be read.
pub fn verify_with_copies(db: &Db, hasher: &KeyedHasher, program: &Path) -> io::Result<Verification> {
    let mut verification = verify::verify(db, hasher, program)?;
    let leftover = |copy: &Path| Finding {
        place: copy.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        what: "a copy of the database that was cut off, with all that was erased since".to_owned(),
        times: 1,
    };
    verification.leftovers.extend(list(db.path())?.iter().map(|copy| leftover(copy)));
    Ok(verification)
}

/// Removes what a restore of `database`, or a backup into its directory, has left, and returns what that was. The database must be
/// open, so that no restore is at work.
///
/// # Errors
/// When one cannot be removed.
pub fn remove(database: &Path) -> io::Result<Vec<PathBuf>> {
    let mut restored = database.as_os_str().to_os_string();
    restored.push(RESTORING);
    let mut removed = remove_backups(files::directory_of(database), database)?;
    if remove_one(Path::new(&restored))? {
        removed.push(restored.into());
    }
    Ok(removed)
}

/// Removes what backups into this directory have left, and returns what that was. Never `database`, whatever its name ends in.
pub(super) fn remove_backups(directory: &Path, database: &Path) -> io::Result<Vec<PathBuf>> {
    let mut removed = of_directory(directory, database, |name| name.ends_with(BACKING_UP.as_bytes()))?;
    for index in (0..removed.len()).rev() {
        if !remove_one(&removed[index])? {
            removed.remove(index);
        }
    }
    Ok(removed)
}

fn of_directory(directory: &Path, except: &Path, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    // By its own file, for two names can lead to one.
    let except = fs::canonicalize(except)?;
    for entry in fs::read_dir(directory).map_err(|error| access::explained(directory, error))? {
        let entry = entry?;
        let name: &OsStr = &entry.file_name();
        if !wanted(name.as_encoded_bytes()) || !entry.file_type()?.is_file() {
            continue;
        }
        match fs::canonicalize(entry.path()) {
            Ok(path) if path == except => {}
            Ok(_other) => found.push(entry.path()),
            // It has been finished this moment.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort();
    Ok(found)
}

/// The file, locked, when no other process holds its lock as its writer would.
fn abandoned(path: &Path) -> io::Result<Option<File>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| access::explained(path, error))?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn remove_one(path: &Path) -> io::Result<bool> {
    let Some(_locked) = abandoned(path)? else { return Ok(false) };
    // It goes last: without it the others would not be found.
    let removed = remove_companions(path).and_then(|()| fs::remove_file(path));
    removed.map_err(|error| access::explained(path, error))?;
    Ok(true)
}
