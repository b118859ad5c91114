//! Every shop domain in the raw bytes of database and WAL. Runs in a process of its own ([`run_in_child`]): a process that has
//! the file open through SQLite must never open and close it besides, for closing drops SQLite's locks.

use crate::db;
use crate::db::access::unreadable;
use crate::domain::ids::SHOP_SUFFIX;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// Where a shop's domain may stay after its erasure: the request itself, and the note that its delivery was seen.
const MAY_STAY: [&str; 5] = [
    "gdpr_requests",
    "gdpr_requests_shop",
    "gdpr_requests_open",
    "gdpr_requests_open_redact",
    "other_webhook_deliveries",
];

/// The header of a WAL file, and of each of its frames (sqlite.org/fileformat2.html).
const WAL_HEADER: usize = 32;
/// See [`WAL_HEADER`].
const FRAME_HEADER: usize = 24;

/// The longest run of name characters kept: an id's 36 may are before a name's 63, for columns have nothing between them.
const RUN_MAX: usize = 128;

/// A run of name characters that ends in `.myshopify.com`, found outside the places where one may stay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hit {
    /// `database` or `wal`.
    pub file: String,
    /// What was found. The domain is one of its ends: the bytes before a column's text may look like a name too.
    pub text: String,
    /// How many times.
    pub times: u64,
}

/// Scans the files of the database at `path`. Only for a process that does nothing else with them.
///
/// # Errors
/// When a file cannot be read.
pub fn scan(path: &Path) -> io::Result<Vec<Hit>> {
    let path = &db::real_path(path);
    // Opened before SQLite is and closed after it: so SQLite's own locks are never dropped under it.
    let wal_path = &db::files::wal(path);
    let database = File::open(path).map_err(|error| unreadable(path, error))?;
    let wal = match File::open(wal_path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(wal_path, error)),
    };
    let inspection = db::inspect(path).map_err(io::Error::other)?;
    let page_size = inspection.page_size;
    let mut found = BTreeMap::new();
    let mut may_stay = pages(&inspection)?;
    let mut by_page = Vec::new();
    each_page(database, page_size, 0, |number, page| {
        collect(page, &mut by_page, ("database", number));
    })
    .map_err(|error| unreadable(path, error))?;
    if let Some(mut wal) = wal {
        let mut header = [0; WAL_HEADER];
        read_full(&mut wal, &mut header)
            .and_then(|read| match read {
                WAL_HEADER => each_frame(wal, page_size, |number, page| collect(page, &mut by_page, ("wal", number))),
                _shorter => Ok(()),
            })
            .map_err(|error| unreadable(wal_path, error))?;
    }
    // A page may have come to one of the tables while the scan went on.
    may_stay.extend(pages(&inspection)?);
    for ((file, page), text) in by_page {
        if !may_stay.contains(&page) {
            *found.entry((file, text)).or_insert(0) += 1;
        }
    }
    Ok(found.into_iter().map(|((file, text), times)| Hit { file: file.to_owned(), text, times }).collect())
}

/// Has `program` (a quotegrid binary) scan the database at `path` and returns what it found.
///
/// # Errors
/// When the program cannot be run or does not answer.
pub fn run_in_child(program: &Path, path: &Path) -> io::Result<Vec<Hit>> {
    let output = Command::new(program)
        .args(["gdpr", "scan-bytes", "--database"])
        .arg(path)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| unreadable(program, error))?;
    if !output.status.success() {
        return Err(io::Error::other(format!("the scan of the files ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(io::Error::other)
}

fn pages(inspection: &db::Inspection) -> io::Result<HashSet<u64>> {
    let mut pages = HashSet::new();
    for table in MAY_STAY {
        pages.extend(inspection.pages_of(table).map_err(io::Error::other)?);
    }
    Ok(pages)
}

/// Calls `look` with each page of a file, numbered from 1, skipping `header` bytes before each.
fn each_page(mut file: File, page_size: usize, header: usize, mut look: impl FnMut(u64, &[u8])) -> io::Result<()> {
    let mut page = vec![0; header + page_size];
    let mut number = 0;
    loop {
        let read = read_full(&mut file, &mut page)?;
        if read <= header {
            return Ok(());
        }
        number += 1;
        look(number, &page[header..read]);
    }
}

/// Calls `look` with each frame of a WAL behind its header: the number of the page it holds, and the page. Frames of earlier
/// rounds, which SQLite no longer reads, are bytes in the file like all others.
fn each_frame(mut wal: File, page_size: usize, mut look: impl FnMut(u64, &[u8])) -> io::Result<()> {
    let mut frame = vec![0; FRAME_HEADER + page_size];
    loop {
        let read = read_full(&mut wal, &mut frame)?;
        if read <= FRAME_HEADER {
            return Ok(());
        }
        let page = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
        look(u64::from(page), &frame[FRAME_HEADER..read]);
    }
}

fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

fn collect<P: Copy>(page: &[u8], found: &mut Vec<(P, String)>, place: P) {
    let suffix = SHOP_SUFFIX.as_bytes();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
    let mut from = 0;
    while let Some(at) = find(&page[from..], suffix).map(|at| from + at) {
        let name = page[from..at].iter().rev().take(RUN_MAX).take_while(|byte| is_name(byte)).count();
        if name > 0 {
            let text = String::from_utf8_lossy(&page[at - name..at + suffix.len()]).to_ascii_lowercase();
            found.push((place, text));
        }
        from = at + suffix.len();
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    // The first byte is rare in a database and quickly searched for.
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == wanted[0]).map(|at| from + at) {
        if bytes[at..].len() >= wanted.len() && bytes[at..at + wanted.len()].eq_ignore_ascii_case(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_in_a_page_is_found_in_any_case_with_what_stands_before_it() {
        let mut found = Vec::new();
        collect(b"\0\x07one.myshopify.com\"2f-TWO.MyShopify.com.myshopify.com\0.myshopify.co", &mut found, 7);
        let texts: Vec<_> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["one.myshopify.com", "2f-two.myshopify.com",]);
    }
}
