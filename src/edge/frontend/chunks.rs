//! Takes the chunks of a body apart, strictly. Pure: wire bytes in, body bytes out, whatever pieces they come in.

use super::rejection::Rejection;

/// A size line: the number, and extensions that no client uses.
const SIZE_LINE_MAX: usize = 128;
/// All trailer fields together. They are read and forgotten: nothing here has a use for them.
const TRAILERS_MAX: usize = 4096;

/// Where in the chunks the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    /// In a size line: what is known of the number, its digits, and the characters so far.
    Size {
        size: usize,
        digits: usize,
        line: usize,
        in_extension: bool,
    },
    /// Behind the CR of a size line.
    SizeEnd {
        size: usize,
    },
    /// In a chunk's bytes.
    Data {
        left: usize,
    },
    /// Behind a chunk's bytes: at its CR, then at its LF.
    DataCr,
    DataLf,
    /// In the trailer: characters so far, and those of this line.
    Trailer {
        total: usize,
        line: usize,
    },
    /// Behind the CR of a trailer line.
    TrailerEnd {
        total: usize,
        line: usize,
    },
    /// All is read.
    Done,
}

/// Reads the chunks of one body.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    at: ChunkState,
    total: usize,
}

/// How far a call came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Wire bytes used.
    pub(crate) used: usize,
    /// The body is whole.
    pub(crate) done: bool,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Self { at: ChunkState::Size { size: 0, digits: 0, line: 0, in_extension: false }, total: 0 }
    }

    /// Reads from `wire` and gives the body's bytes to `take`. A body larger than `body_max` is rejected at its size line,
    /// before its bytes are taken.
    pub(crate) fn read(
        &mut self,
        wire: &[u8],
        body_max: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<Progress, Rejection> {
        let mut used = 0;
        while used < wire.len() && self.at != ChunkState::Done {
            if let ChunkState::Data { left } = self.at {
                let here = left.min(wire.len() - used);
                take(&wire[used..used + here]);
                used += here;
                self.at = if here == left { ChunkState::DataCr } else { ChunkState::Data { left: left - here } };
                continue;
            }
            self.at = self.after(wire[used], body_max)?;
            used += 1;
        }
        Ok(Progress { used, done: self.at == ChunkState::Done })
    }

    /// Where `byte` leads, outside of a chunk's bytes.
    fn after(&mut self, byte: u8, body_max: usize) -> Result<ChunkState, Rejection> {
        let next = match (self.at, byte) {
            (ChunkState::Size { digits, size, .. }, b'\r') if digits > 0 => ChunkState::SizeEnd { size },
            (ChunkState::Size { size, digits, line, in_extension: false }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).map_or(0, |digit| digit as usize);
                let size = size.checked_mul(16).map(|size| size + digit).filter(|size| self.total + size <= body_max);
                let size = size.ok_or(Rejection::BodyTooLarge)?;
                if line >= SIZE_LINE_MAX {
                    return Err(Rejection::BadChunk);
                }
                ChunkState::Size { size, digits: digits + 1, line: line + 1, in_extension: false }
            }
            // No blank before the semicolon: what readers make of `5 6` differs.
            (ChunkState::Size { size, digits, line, in_extension }, b'\t' | 0x20..=0x7e)
                if digits > 0 && line < SIZE_LINE_MAX && (in_extension || byte == b';') =>
            {
                ChunkState::Size { size, digits, line: line + 1, in_extension: true }
            }
            (ChunkState::SizeEnd { size: 0 }, b'\n') => ChunkState::Trailer { total: 0, line: 0 },
            (ChunkState::SizeEnd { size }, b'\n') => {
                self.total += size;
                ChunkState::Data { left: size }
            }
            (ChunkState::DataCr, b'\r') => ChunkState::DataLf,
            (ChunkState::DataLf, b'\n') => ChunkState::Size { size: 0, digits: 0, line: 0, in_extension: false },
            (ChunkState::Trailer { total, line }, b'\r') => ChunkState::TrailerEnd { total, line },
            (ChunkState::Trailer { total, line }, b'\t' | 0x20..=0x7e | 0x80..) if total < TRAILERS_MAX => {
                if line == 0 && matches!(byte, b' ' | b'\t') {
                    return Err(Rejection::BadChunk);
                }
                ChunkState::Trailer { total: total + 1, line: line + 1 }
            }
            (ChunkState::TrailerEnd { line: 0, .. }, b'\n') => ChunkState::Done,
            (ChunkState::TrailerEnd { total, .. }, b'\n') => ChunkState::Trailer { total, line: 0 },
            _ => return Err(Rejection::BadChunk),
        };
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>), Rejection> {
        let mut decoder = Decoder::new();
        let (mut body, mut at) = (Vec::new(), 0);
        loop {
            let piece = &wire[at..(at + step).min(wire.len())];
            let progress = decoder.read(piece, 1000, |bytes| body.extend_from_slice(bytes))?;
            at += progress.used;
            if progress.done {
                return Ok((body, wire[at..].to_vec()));
            }
            assert!(!piece.is_empty(), "the test's body has an end");
        }
    }

    #[test]
    fn chunks_become_a_body_whatever_pieces_they_come_in() {
        let wire = b"5\r\nhello\r\n00006; a=\"b\"\r\n world\r\n0\r\nTrailer: x\r\n\r\nrest";
        for step in 1..wire.len() {
            assert_eq!(read(wire, step), Ok((b"hello world".to_vec(), b"rest".to_vec())));
        }
        assert_eq!(read(b"0\r\n\r\n", 3), Ok((Vec::new(), Vec::new())));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        let long_extension = [b"1;".as_slice(), &b"a".repeat(200), b"\r\nx\r\n0\r\n\r\n"].concat();
        let long_trailer = [b"0\r\nA: ".as_slice(), &b"a".repeat(5000), b"\r\n\r\n"].concat();
        let cases: [(&[u8], Rejection); 17] = [
            (b"\r\n", Rejection::BadChunk),
            (b"x\r\n", Rejection::BadChunk),
            (b"-1\r\n", Rejection::BadChunk),
            (b"0x5\r\nhello\r\n", Rejection::BadChunk),
            (b" 5\r\nhello\r\n", Rejection::BadChunk),
            (b"5 6\r\nhello\r\n", Rejection::BadChunk),
            (b"5\nhello\r\n", Rejection::BadChunk),
            (b"5\rhello\r\n", Rejection::BadChunk),
            (b"5\r\nhelloo\r\n", Rejection::BadChunk),
            (b"5\r\nhello\n0\r\n\r\n", Rejection::BadChunk),
            (b"5;\0\r\nhello\r\n", Rejection::BadChunk),
            (b"0\r\n\n", Rejection::BadChunk),
            (b"0\r\nA: b\n\r\n", Rejection::BadChunk),
            (b"ffffffffffffffffff\r\n", Rejection::BodyTooLarge),
            (b"3e9\r\n", Rejection::BodyTooLarge),
            (&long_extension, Rejection::BadChunk),
            (&long_trailer, Rejection::BadChunk),
        ];
        for (wire, rejection) in cases {
            for step in [1, 7, wire.len()] {
                assert_eq!(read(wire, step), Err(rejection), "{}", wire.escape_ascii());
            }
        }
    }
}
