//! Taking a backup.

use super::BackupError;
use super::partial::{Partial, refuse_itself};
use super::unfinished::{self, BACKING_UP};
use crate::db::{OpenError, copy, files};
use log::info;
use std::path::Path;

/// Copies `database` to `target`, however much is written to it meanwhile, and checks the copy before it gets its name. `progress` is called with
/// how far it is: pages done, pages in all.
///
/// # Errors
/// When the copy cannot be made or is not sound, or when `target` exists and is not to be overwritten. Nothing is left behind then.
pub fn create(
    database: &Path,
    target: &Path,
    overwrite: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), BackupError> {
    if !database.exists() {
        return Err(OpenError::Missing { path: database.to_path_buf() }.into());
    }
    refuse_itself(database, target)?;
    if target.exists() && !overwrite {
        return Err(BackupError::Exists { path: target.to_path_buf() });
    }
    let directory = files::directory_of(target);
    let left = unfinished::remove_backups(directory, database).map_err(BackupError::System)?;
    for path in left {
        info!("{} is removed, a backup that was cut off", path.display());
    }
    let partial = Partial::make(target, BACKING_UP)?;
    copy::copy(database, partial.path(), progress)?;
    fail_point!("backup::copied");
    copy::check(partial.path())?;
    partial.name(overwrite)
}
