//! Whether erasure kept its word, next to the database too: a copy that was cut off holds what was erased after it was begun.

use super::unfinished;
use crate::db::Db;
use crate::erasure::verify::{self, Finding, Verification};
use crate::keyed_hash::KeyedHasher;
use std::io;
use std::path::Path;

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
    verification.leftovers.extend(unfinished::list(db.path())?.iter().map(|copy| leftover(copy)));
    Ok(verification)
}
