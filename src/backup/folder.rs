//! Backups that are made from the console: copies in a folder next to the database, named by their time.

use super::{BackupError, create};
use chrono::{DateTime, Utc};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What their names begin and end with.
const PREFIX: &str = "quotegrid-";
const SUFFIX: &str = ".db";

/// The time in their names.
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// A backup in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its file's name.
    pub name: String,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// Its size.
    pub bytes: u64,
}

/// The folder of `database`.
pub fn of(database: &Path) -> PathBuf {
    database.parent().unwrap_or_else(|| Path::new(".")).join("backups")
}

/// Makes a backup of `database` in its folder.
///
/// # Errors
/// As [`create`], and when the folder cannot be made.
pub fn add(database: &Path, now: DateTime<Utc>) -> Result<PathBuf, BackupError> {
    let folder = of(database);
    make_private(&folder).map_err(BackupError::System)?;
    let target = folder.join(format!("{PREFIX}{}{SUFFIX}", now.format(TIME)));
    create(database, &target, false, &mut |_done, _all| {})?;
    Ok(target)
}

/// Only the server's user may look into it.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The backups in the folder of `database`, newest first.
///
/// # Errors
/// When the folder cannot be read; one that is not there has none.
pub fn list(database: &Path) -> io::Result<Vec<Backup>> {
    let entries = match fs::read_dir(of(database)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let time = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
        let Some(Ok(made_at)) = time.map(|time| chrono::NaiveDateTime::parse_from_str(time, TIME)) else { continue };
        found.push(Backup { name, made_at: made_at.and_utc(), bytes: entry.metadata()?.len() });
    }
    found.sort_by_key(|backup| std::cmp::Reverse(backup.made_at));
    Ok(found)
}
