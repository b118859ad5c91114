//! Files that people name, read whole: up to a limit, for a device, a pipe or the wrong file may have no end.

use crate::db::access::unreadable;
use std::fs::File;
use std::io::{self, Error, ErrorKind, Read};
use std::path::Path;

/// The bytes of a file that has at most so many. They are counted as they come: the length that the system names for a device or
/// a pipe is nothing.
///
/// # Errors
/// The system's, which names the file, who was refused, and what to do; `FileTooLarge`, which names the file and the limit.
pub(crate) fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let bytes =
        File::open(path).and_then(|file| read_to_limit(file, bytes_max)).map_err(|error| unreadable(path, error))?;
    bytes.ok_or_else(|| {
        Error::new(ErrorKind::FileTooLarge, format!("{} has more than {bytes_max} bytes", path.display()))
    })
}

/// All that comes, where it is at most so many bytes; `None`: there is more.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read_to_limit(from: impl Read, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= bytes_max).then_some(bytes))
}
