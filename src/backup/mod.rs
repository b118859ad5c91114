//! Copies of the database, and the way back from one.
//!
//! A backup is a whole, checked copy of the file, taken while others go on writing ([`create`]). A restore ([`restore()`]) puts one in
//! the place of the database, and must not undo what the law demands: whatever the present database knows of erasures, of privacy requests
//! taken on, of uninstallations and of revoked keys is brought into the copy first. Everything else is as it was when the backup
//! was taken, and what came after is gone.

mod create;
pub mod folder;
mod partial;
mod restore;
pub mod unfinished;

pub use create::create;
pub use restore::{Restore, RestoreReport, restore};
pub use unfinished::verify_with_copies;

use crate::db::{OpenError, access};
use crate::error::Error;
use std::path::{Path, PathBuf};

/// Why no backup was taken, or none restored. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file to be written is there already.
    #[error("{path} exists already: choose another name, or overwrite it with --force")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A backup over the database itself, or a restore from it.
    #[error("{path} is the database itself: name another file")]
    Itself {
        /// The file.
        path: PathBuf,
    },
    /// Another process is writing the same backup.
    #[error("another process is writing {path} at this moment")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The backup cannot be restored.
    #[error("the backup cannot be used: {0}")]
    Unusable(#[source] OpenError),
    /// The present database cannot be read, so that it is not known what was erased.
    #[error(
        "the present database cannot be read ({0}), so the erasures that the backup does not know cannot be carried over: restore with --without-replay to go without, and look through the log for erasures since the backup"
    )]
    NoReplay(#[source] OpenError),
    /// The present database is in use.
    #[error("{path} is in use: stop the server and every other program that has it open, then restore")]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The backup's receipts are of another chain.
    #[error(
        "the backup is of another database: its receipts and those of {path} do not continue each other, and one chain of proofs would be lost; to restore it all the same, move {path} away first and keep it as the proof of its {receipts} receipts"
    )]
    OtherChain {
        /// The database.
        path: PathBuf,
        /// How many receipts would be lost.
        receipts: i64,
    },
    /// The backup has receipts without the key of their hashes.
    #[error("the backup cannot be used: it holds receipts of erasures, and the key of their hashes is gone from it")]
    KeyMissing,
    /// Another program has the copy open, so that what was erased cannot be taken out of its bytes.
    #[error("what was erased could not be taken out of the copy of the backup: another program has it open; try again")]
    NotScrubbed,
    /// The database cannot be opened or locked.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its words.
        source: std::io::Error,
    },
    /// The same, where the words name the file already.
    #[error(transparent)]
    System(std::io::Error),
    /// The copy could not be changed.
    #[error("{0}")]
    Failed(#[from] Error),
}

impl BackupError {
    /// An error of the operating system about `path`, with who was refused and what to do.
    fn system(path: &Path, source: std::io::Error) -> Self {
        Self::System(access::explained(path, source))
    }
}

impl From<crate::db::Error> for BackupError {
    fn from(error: crate::db::Error) -> Self {
        Self::Failed(error.into())
    }
}
