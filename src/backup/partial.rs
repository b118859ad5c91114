//! A copy of the database on its way to its name.

use super::BackupError;
use crate::db::{access, files, lock};
use log::warn;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a process that checks if a file is still being written may hold its lock.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether both names lead to one file.
pub(super) fn refuse_itself(database: &Path, other: &Path) -> Result<(), BackupError> {
    match (fs::canonicalize(database), fs::canonicalize(other)) {
        (Ok(database), Ok(same)) if database == same => Err(BackupError::Itself { path: other.to_path_buf() }),
        _ => Ok(()),
    }
}

/// A file on its way to its name. Removed unless it gets there.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    target: PathBuf,
    /// Locked, so that two do not write one file; open for as long as SQLite may have it open, or its locks would be dropped.
    file: File,
    named: bool,
}

impl Partial {
    /// Makes an empty file alongside `target`, for its owner only. One that was left by a process that died is used again.
    pub(super) fn make(target: &Path, suffix: &str) -> Result<Self, BackupError> {
        let path = files::companion(target, suffix);
        let io = |source| BackupError::system(&path, source);
        let file = loop {
            let file = access::open_own(&path).map_err(BackupError::System)?;
            if !lock::take(&file, PATIENCE).map_err(io)? {
                return Err(BackupError::Busy { path: target.to_path_buf() });
            }
            // It may have been removed, or have got its name, before the lock was had.
            if lock::is_in_place(&file, &path).map_err(io)? {
                break file;
            }
        };
        // From here on it is removed if anything fails.
        let partial = Self { path: path.clone(), target: target.to_path_buf(), file, named: false };
        partial.file.set_len(0).map_err(io)?;
        remove_companions(&path).map_err(io)?;
        Ok(partial)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the file on the disk and gives it its name.
    pub(super) fn name(mut self, overwrite: bool) -> Result<(), BackupError> {
        let io = BackupError::system;
        self.file.sync_all().map_err(|error| io(&self.path, error))?;
        fail_point!("backup::synced");
        // A process that has looked into an older backup of this name and was killed has left its WAL, which SQLite would replay into
        // this one.
        remove_companions(&self.target).map_err(|error| io(&self.target, error))?;
        // And the check has left its own where SQLite could not remove them.
        remove_companions(&self.path).map_err(|error| io(&self.path, error))?;
        let named =
            if overwrite { fs::rename(&self.path, &self.target) } else { rename_to_new(&self.path, &self.target) };
        named.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => BackupError::Exists { path: self.target.clone() },
            _ => io(&self.target, error),
        })?;
        self.named = true;
        if let Err(error) = files::sync_directory_of(&self.target) {
            // It is there and sound, so the backup has not failed.
            warn!(
                "{} is a sound backup, but its directory could not be brought to the disk: a power cut may still take it away, so copy it elsewhere or take another ({error})",
                self.target.display()
            );
        }
        Ok(())
    }

    /// It has been given its name by others.
    pub(super) fn was_named(mut self) {
        self.named = true;
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.named {
            return;
        }
        let companions = remove_companions(&self.path);
        let removed = match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => companions,
        };
        if let Err(error) = removed {
            warn!("{} is of no use and could not be removed: delete it ({error})", self.path.display());
        }
    }
}

/// Renames a file to a name that is free; a plain rename would overwrite what has got it meanwhile.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot: a look has to do.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if fs::symlink_metadata(to).is_err() => fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Err(ErrorKind::AlreadyExists.into()),
        renamed => renamed.map_err(io::Error::from),
    }
}

/// Removes the files that SQLite and we keep alongside a database.
pub(super) fn remove_companions(path: &Path) -> io::Result<()> {
    let companions = files::remove_companions(path);
    match fs::remove_dir_all(files::lock_directory(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => companions,
    }
}
