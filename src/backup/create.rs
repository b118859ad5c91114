//! Taking a backup.

use super::BackupError;
use super::unfinished::{self, BACKING_UP};
use crate::db::{OpenError, copy, exclusive, files, lock};
use log::info;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long whoever looks whether a file is still being written may hold its lock.
const PATIENCE: Duration = Duration::from_secs(1);

/// Copies `database` to `target`, however much is written to it meanwhile, and checks the copy before it gets its name. `told` hears
/// how far it is: pages done, pages in all.
///
/// # Errors
/// When the copy cannot be made or is not sound, or when `target` exists and is not to be overwritten. Nothing is left behind then.
pub fn create(
    database: &Path,
    target: &Path,
    overwrite: bool,
    told: &mut dyn FnMut(u64, u64),
) -> Result<(), BackupError> {
    if !database.exists() {
        return Err(OpenError::Missing { path: database.to_path_buf() }.into());
    }
    refuse_itself(database, target)?;
    if target.exists() && !overwrite {
        return Err(BackupError::Exists { path: target.to_path_buf() });
    }
    let directory = files::directory_of(target);
    let left = unfinished::remove_backups(directory, database)
        .map_err(|source| BackupError::Io { path: directory.to_path_buf(), source })?;
    for path in left {
        info!("{} is removed, a backup that was cut off", path.display());
    }
    let partial = Partial::make(target, BACKING_UP)?;
    copy::copy(database, partial.path(), told)?;
    fail::fail_point!("backup::copied");
    copy::check(partial.path())?;
    partial.name(overwrite)
}

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
    /// Makes an empty file beside `target`, for its owner only. One that was left by a process that died is used again.
    pub(super) fn make(target: &Path, suffix: &str) -> Result<Self, BackupError> {
        let path = files::beside(target, suffix);
        let io = |source| BackupError::Io { path: path.clone(), source };
        let file = loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
            let file = file.map_err(io)?;
            if !lock::take(&file, PATIENCE).map_err(io)? {
                return Err(BackupError::Busy { path: target.to_path_buf() });
            }
            // It may have been removed, or have got its name, before the lock was had.
            if lock::is_in_place(&file, &path).map_err(io)? {
                break file;
            }
        };
        file.set_len(0).map_err(io)?;
        remove_companions(&path).map_err(io)?;
        Ok(Self { path, target: target.to_path_buf(), file, named: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the file on the disk and gives it its name.
    fn name(mut self, overwrite: bool) -> Result<(), BackupError> {
        let io = |path: &Path, source| BackupError::Io { path: path.to_path_buf(), source };
        self.file.sync_all().map_err(|error| io(&self.path, error))?;
        fail::fail_point!("backup::synced");
        // Whoever has looked into an older backup of this name and was killed has left its WAL, which SQLite would replay into this one.
        remove_companions(&self.target).map_err(|error| io(&self.target, error))?;
        if overwrite {
            fs::rename(&self.path, &self.target).map_err(|error| io(&self.target, error))?;
        } else {
            // A link refuses a name that was taken meanwhile; a rename would overwrite it.
            match fs::hard_link(&self.path, &self.target) {
                Ok(()) => fs::remove_file(&self.path).map_err(|error| io(&self.path, error))?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    return Err(BackupError::Exists { path: self.target.clone() });
                }
                // A file system without links: the look at the beginning has to do.
                Err(_) => fs::rename(&self.path, &self.target).map_err(|error| io(&self.target, error))?,
            }
        }
        self.named = true;
        exclusive::sync_directory_of(&self.target).map_err(|error| io(&self.target, error))
    }

    /// It has been given its name by others.
    pub(super) fn was_named(mut self) {
        self.named = true;
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.named {
            let _gone_already = remove_companions(&self.path);
            let _gone_already = fs::remove_file(&self.path);
        }
    }
}

/// Removes the files that SQLite and we keep beside a database.
pub(super) fn remove_companions(path: &Path) -> io::Result<()> {
    files::remove_companions(path)?;
    match fs::remove_dir_all(lock::directory(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
