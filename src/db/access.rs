//! Who may use the files of a database: what is wrong with owners and modes, said so that a person can fix it, and how a command run
//! as root avoids leaving files that the server's user cannot open.

use super::files;
use rustix::fs::{Access, OFlags, access};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// For their owner alone.
const DIRECTORY_MODE: u32 = 0o700;

/// The permission bits of a mode.
const PERMISSIONS: u32 = 0o7777;

/// Every user of the machine.
const OF_EVERYBODY: u32 = 0o007;

/// Of a directory: every user may open what is in it, where its own mode lets them.
const ENTERED_BY_EVERYBODY: u32 = 0o001;

const ROOT: u32 = 0;

/// What is wrong with owners and modes around the database at `path`, a sentence each.
pub(super) fn faults(path: &Path) -> Vec<String> {
    let Ok(database) = fs::metadata(path) else { return Vec::new() };
    let mut faults = Vec::new();
    for file in around(path) {
        let Ok(found) = fs::symlink_metadata(&file) else { continue };
        if let Some(why) = obstacle(&file) {
            faults.push(format!("{} cannot be used: {why}", file.display()));
        } else if found.uid() != database.uid() && file != files::directory_of(path) {
            let owner = user(database.uid());
            faults.push(format!(
                "{file} belongs to {other}, the database to {owner}: `chown {uid} {file}`, or the server cannot open it",
                file = file.display(),
                other = user(found.uid()),
                uid = database.uid(),
            ));
        }
    }
    // In a directory that others cannot enter, or below one, its own mode does not matter.
    let is_open =
        |directory: &Path| fs::metadata(directory).is_ok_and(|found| found.mode() & ENTERED_BY_EVERYBODY != 0);
    let is_reachable = fs::canonicalize(path).is_ok_and(|path| path.ancestors().skip(1).all(is_open));
    for file in [path.to_path_buf(), files::wal(path)] {
        let Ok(found) = fs::metadata(&file) else { continue };
        if is_reachable && found.mode() & OF_EVERYBODY != 0 {
            faults.push(format!(
                "everybody on this machine may open {file} (mode {mode:04o}): `chmod o= {file}`",
                file = file.display(),
                mode = found.mode() & PERMISSIONS
            ));
        }
    }
    faults
}

/// Everything that must be readable and writable where the database at `path` is used.
fn around(path: &Path) -> Vec<PathBuf> {
    let locks = files::lock_directory(path);
    let mut all = vec![files::directory_of(path).to_path_buf(), path.to_path_buf(), files::wal(path)];
    all.extend([files::wal_index(path), files::companion(path, "-journal"), locks.clone()]);
    let entries = fs::read_dir(locks).into_iter().flatten().flatten();
    all.extend(entries.map(|entry| entry.path()));
    all
}

/// Why this process cannot use `path`, which is a database or anything else: names the file, its owner, and who asks.
pub(super) fn why_not(path: &Path) -> String {
    let mut nearest = path;
    while fs::symlink_metadata(nearest).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        nearest = match nearest.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
    }
    let suspects = std::iter::once(nearest.to_path_buf()).chain(around(path));
    suspects
        .into_iter()
        .find_map(|suspect| obstacle(&suspect).map(|why| if suspect == path { why } else { format!("{}: {why}", suspect.display()) }))
        .unwrap_or_else(|| {
            "it, its directory or the disk is read-only for this user; fix the permissions or choose another file with --database"
                .to_owned()
        })
}

/// What keeps this process from using the file or directory at `path`, if it is there and anything does.
fn obstacle(path: &Path) -> Option<String> {
    let found = fs::metadata(path);
    let mut wanted = Access::READ_OK | Access::WRITE_OK;
    if found.as_ref().is_ok_and(Metadata::is_dir) {
        wanted |= Access::EXEC_OK;
    }
    let me = user(geteuid().as_raw());
    match access(path, wanted) {
        Err(Errno::ROFS) => {
            Some("its disk is read-only: mount it for writing, or choose another file with --database".to_owned())
        }
        Err(Errno::ACCESS | Errno::PERM) => Some(match found {
            Ok(found) => format!(
                "it belongs to {owner} with mode {mode:04o}, and this process runs as {me}: run it as {owner}, or `chown {uid} {path}`",
                owner = user(found.uid()),
                mode = found.mode() & PERMISSIONS,
                uid = geteuid().as_raw(),
                path = path.display(),
            ),
            Err(_hidden) => format!("this process runs as {me}, who may not enter the directory that it is in"),
        }),
        _ => None,
    }
}

/// An error of the operating system that names `path`, and for a refusal who was refused and what to do.
pub(crate) fn explained(path: &Path, error: io::Error) -> io::Error {
    let path_shown = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            io::Error::new(error.kind(), format!("{path_shown} cannot be opened: {}", why_not(path)))
        }
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            io::Error::new(error.kind(), format!("{path_shown} is a symbolic link, which is not followed: remove it"))
        }
        kind => io::Error::new(kind, format!("{path_shown}: {error}")),
    }
}

/// A user for people: the number, and the name where this machine has one.
fn user(id: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    name.map_or_else(|| format!("user {id}"), |name| format!("user {name} ({id})"))
}

/// Makes a directory and those above it that are missing, for their owner alone whatever the process's umask.
pub(crate) fn make_directories(path: &Path) -> io::Result<()> {
    let above = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let missing: Vec<&Path> = above.collect();
    for directory in missing.into_iter().rev() {
        make_directory(directory)?;
    }
    Ok(())
}

/// The same for one directory. One that is there stays as it is.
pub(super) fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(|error| explained(path, error))?,
    }
    // Not by its name: in another user's directory it might be another's by now.
    let flags = OFlags::NOFOLLOW | OFlags::DIRECTORY;
    let open = || OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let directory = match open() {
        // A umask that takes everything from the owner.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            fs::set_permissions(path, fs::Permissions::from_mode(DIRECTORY_MODE))?;
            open()?
        }
        opened => opened?,
    };
    directory.set_permissions(fs::Permissions::from_mode(DIRECTORY_MODE))?;
    give_to_owner_of(files::directory_of(path), &directory)
}

/// Opens a file for reading and writing that this program keeps alongside others, made for its owner alone unless it is there. A
/// symbolic link in its place is not followed: it may lead a process that runs as root to any file.
pub(crate) fn open_own(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path);
    file.map_err(|error| explained(path, error))
}

/// What root makes belongs to the owner of the directory that it is in: a server that runs as that user could not open it otherwise,
/// after a single command that was run as root.
pub(super) fn give_to_owner_of(directory: &Path, made: &File) -> io::Result<()> {
    if geteuid().as_raw() != ROOT {
        return Ok(());
    }
    let (owner, found) = (fs::metadata(directory)?, made.metadata()?);
    // Anything with a second name may be another's.
    let is_ours = found.uid() == ROOT && (found.is_dir() || found.nlink() == 1);
    if is_ours && owner.uid() != ROOT { fchown(made, Some(owner.uid()), Some(owner.gid())) } else { Ok(()) }
}
