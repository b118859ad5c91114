//! Reads the frames of a WAL, whose layout is that of sqlite.org/fileformat2.html.
//!
//! A process may open and close the WAL beside SQLite: unlike the database and the index of the WAL, it holds no lock of SQLite's that
//! closing it would drop.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The header of a WAL.
const HEADER: u64 = 32;

/// Where in the header the size of a page is.
const PAGE_SIZE: Range<usize> = 8..12;

/// Where in the header the salts are.
const SALTS: Range<usize> = 16..24;

/// The header of a frame: page number, size of the database after a commit, salts, checksums.
const FRAME_HEADER: usize = 24;

/// Where in a frame the salts are.
const FRAME_SALTS: Range<usize> = 8..16;

/// Bytes read at once, about.
const AT_ONCE: usize = 256 << 10;

/// Tells the frames of a WAL from those before it started over, which it overwrites from the beginning: its salts, of which one is counted
/// up each time, and the other is random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation([u8; 8]);

/// An open WAL.
#[derive(Debug)]
pub(super) struct WalReader {
    file: File,
    page_size: usize,
    buffer: Vec<u8>,
}

impl WalReader {
    /// Opens the WAL at `path`, of a database with pages of `page_size` bytes.
    pub(super) fn open(path: &Path, page_size: usize) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, page_size, buffer: Vec::new() })
    }

    /// Of the file that is open, whatever it is called by now.
    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// What the WAL says of itself now; nothing where it has no header, for it was emptied.
    pub(super) fn generation(&self) -> io::Result<Option<Generation>> {
        let mut header = [0; HEADER as usize];
        match self.file.read_exact_at(&mut header, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        if header == [0; HEADER as usize] {
            // Room that was made just when another process emptied it.
            return Ok(None);
        }
        let size = u32::from_be_bytes(header[PAGE_SIZE].try_into().expect("four bytes"));
        if usize::try_from(size) != Ok(self.page_size) {
            return Err(io::Error::other("the WAL has pages of another size"));
        }
        Ok(Some(Generation(header[SALTS].try_into().expect("eight bytes"))))
    }

    /// Shows `look` the pages of the frames behind the first `seen`, up to frame `until` (the first is 1). Returns whether each of them
    /// was of `generation`; a WAL that starts over meanwhile is for the caller to notice.
    pub(super) fn each_page(
        &mut self,
        generation: Generation,
        seen: usize,
        until: usize,
        mut look: impl FnMut(u32, &[u8]),
    ) -> io::Result<bool> {
        let frame = FRAME_HEADER + self.page_size;
        let mut at = seen;
        while at < until {
            let count = (AT_ONCE / frame).max(1).min(until - at);
            self.buffer.resize(count * frame, 0);
            let offset = HEADER + u64::try_from(at * frame).map_err(io::Error::other)?;
            match self.file.read_exact_at(&mut self.buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                read => read?,
            }
            for frame in self.buffer.chunks_exact(frame) {
                if frame[FRAME_SALTS] != generation.0 {
                    return Ok(false);
                }
                let number = u32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
                look(number, &frame[FRAME_HEADER..]);
            }
            at += count;
        }
        Ok(true)
    }
}
