//! Bytes of files, where a test looks for what must not be left.

use std::path::Path;

/// Whether `text` stands in `bytes`, its letters of either case.
pub(crate) fn contains(bytes: &[u8], text: impl AsRef<[u8]>) -> bool {
    let text = text.as_ref();
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text))
}

/// The same of a file.
pub(crate) fn holds(path: &Path, text: impl AsRef<[u8]>) -> bool {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    contains(&bytes, text)
}
