//! Bytes of files, where a test looks for what must not be left.

use std::path::Path;

/// Whether `text` stands in `bytes`, its ASCII letters of either case. By the standard library's search of text, which is fast in debug
/// builds too; bytes that are no text break nothing of what is.
pub(crate) fn contains(bytes: &[u8], text: impl AsRef<[u8]>) -> bool {
    let text = str::from_utf8(text.as_ref()).expect("text").to_ascii_lowercase();
    String::from_utf8_lossy(&bytes.to_ascii_lowercase()).contains(&text)
}

/// The same of a file.
pub(crate) fn holds(path: &Path, text: impl AsRef<[u8]>) -> bool {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    contains(&bytes, text)
}
