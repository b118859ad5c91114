//! Rows that SQLite has moved and left: when a full page shares its rows with a neighbour, copies may stay in the unallocated middle of
//! the page they came from, where no later deletion reaches them, `secure_delete` or not. They are looked for page by page and zeroed,
//! in steps between other changes. The layout of a page is that of sqlite.org/fileformat2.html.

use super::{Db, Result, Tx};
use rusqlite::{Connection, OptionalExtension};

/// Pages that one read looks at: a few milliseconds, so that no checkpoint waits for its snapshot.
const LOOK: u32 = 128;

/// Pages that one change zeroes gaps in: about a millisecond of the writer's time.
const STEP: usize = 32;

/// The byte at which SQLite's locks lie; the page around it is never used.
const LOCK_BYTE: u32 = 1 << 30;

/// As many as the largest page has.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// What [`Db::clear_page_slack`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageSlack {
    /// Nothing is left in any page's gap; in so many of them there was something.
    Cleared(usize),
    /// SQLite was built without the virtual table `sqlite_dbpage`, so it cannot be checked.
    NotLookedAt,
}

/// Whether this build of SQLite lets [`Db::clear_page_slack`] look into pages.
///
/// # Errors
/// When SQLite fails.
pub fn can_clear_page_slack(connection: &Connection) -> Result<bool> {
    fail_point!("db::no_dbpage", |_| Ok(false));
    Ok(connection.query_row("SELECT sqlite_compileoption_used('ENABLE_DBPAGE_VTAB')", (), |row| row.get(0))?)
}

impl Db {
    /// Sees to it that nothing of what was deleted before the call is left in the unallocated middle of any page. The bytes are gone
    /// from the files with the next emptying of the WAL. Takes about 30 µs a page of the file, on a reader.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn clear_page_slack(&self) -> Result<PageSlack> {
        let (can, pages) = self.read(|connection| -> Result<_> {
            let pages: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            Ok((can_clear_page_slack(connection)?, pages))
        })?;
        if !can {
            return Ok(PageSlack::NotLookedAt);
        }
        let mut cleared = 0;
        // From the last page to the first: a vacuum moves pages forwards only, so none gets past.
        let mut until = pages;
        while until > 0 {
            let from = until.saturating_sub(LOOK);
            let found = self.read(|connection| pages_with_remains(connection, from + 1, until))?;
            for step in found.chunks(STEP) {
                let step = step.to_vec();
                cleared += self.write(move |tx| tx.clear_gaps_of(&step))?;
            }
            until = from;
        }
        Ok(PageSlack::Cleared(cleared))
    }
}

impl Tx<'_> {
    fn clear_gaps_of(&self, pages: &[u32]) -> Result<usize> {
        let mut cleared = 0;
        let mut update = self.prepare_cached("UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1")?;
        for &number in pages {
            // Read again: it may have become another page since it was found.
            let Some(mut page) = tree_page(self, number)? else { continue };
            let Some(gap) = remains(&page, number) else { continue };
            page[gap].fill(0);
            update.execute((number, page))?;
            cleared += 1;
        }
        Ok(cleared)
    }
}

fn pages_with_remains(connection: &Connection, from: u32, until: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for number in (from..=until).rev() {
        let has_remains = read_page(connection, number, |page| remains(page, number).is_some())?;
        if has_remains == Some(true) && is_tree_page(connection, number)? {
            found.push(number);
        }
    }
    Ok(found)
}

fn tree_page(connection: &Connection, number: u32) -> Result<Option<Vec<u8>>> {
    if is_tree_page(connection, number)? { read_page(connection, number, <[u8]>::to_vec) } else { Ok(None) }
}

/// Shows `look` a page, if there is one of that number.
fn read_page<T>(connection: &Connection, number: u32, look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
    let mut statement = connection.prepare_cached("SELECT data FROM sqlite_dbpage WHERE pgno = ?1")?;
    let looked = statement.query_row([number], |row| Ok(look(row.get_ref(0)?.as_blob().unwrap_or_default())));
    Ok(looked.optional()?)
}

/// Whether a page holds rows of a table or an index, by the map of pages that a file with `auto_vacuum` keeps: what looks like such
/// a page may as well be one of the map, or hold the middle of a long value.
fn is_tree_page(connection: &Connection, number: u32) -> Result<bool> {
    /// Kinds of pages in the map: the root of a tree, and any other page of one.
    const TREE: [u8; 2] = [1, 5];
    if number == 1 {
        return Ok(true);
    }
    let size: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let Some((map, at)) = place_in_map(number, size) else { return Ok(false) };
    let kind = read_page(connection, map, |page| page.get(at).copied())?;
    Ok(kind.flatten().is_some_and(|kind| TREE.contains(&kind)))
}

/// The page of the map that says what a page is, and where in it; nothing for pages that the map says nothing of.
fn place_in_map(number: u32, size: u32) -> Option<(u32, usize)> {
    /// Bytes an entry: a kind, and the page above.
    const ENTRY: u32 = 5;
    let entries = size / ENTRY;
    let lock = LOCK_BYTE / size + 1;
    let mut map = (number.checked_sub(2)?) / (entries + 1) * (entries + 1) + 2;
    if map == lock {
        map += 1;
    }
    if number <= map || number == lock {
        return None;
    }
    Some((map, usize::try_from((number - map - 1) * ENTRY).ok()?))
}

/// Where the unallocated middle of a page of rows is, if anything but zeros and former pointers to rows is in it.
fn remains(page: &[u8], number: u32) -> Option<std::ops::Range<usize>> {
    let gap = gap(page, number)?;
    // Deleting a row leaves the last pointer of the list behind the list, which says nothing of any row: an even number of bytes from
    // here, below the size of a page. Rows hold text.
    let highest = u8::try_from(page.len() >> 8).unwrap_or(u8::MAX);
    // Nearly always there is nothing at all, which one comparison shows.
    if ZEROS.get(..gap.len()).is_some_and(|zeros| page[gap.clone()] == *zeros) {
        return None;
    }
    page[gap.clone()]
        .chunks(2)
        .any(|pointer| pointer[0] > highest || (pointer.len() == 1 && pointer[0] != 0))
        .then_some(gap)
}

fn gap(page: &[u8], number: u32) -> Option<std::ops::Range<usize>> {
    // The file's own header is before the first page's.
    let head = if number == 1 { 100 } else { 0 };
    let pointers = head
        + match page.get(head)? {
            2 | 5 => 12,
            10 | 13 => 8,
            _ => return None,
        };
    let word = |at: usize| Some(usize::from(u16::from_be_bytes([*page.get(at)?, *page.get(at + 1)?])));
    let from = pointers + 2 * word(head + 3)?;
    let until = match word(head + 5)? {
        0 => 1 << 16,
        until => until,
    };
    (from <= until && until <= page.len()).then_some(from..until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_says_of_each_page_but_its_own_and_the_lock_bytes_what_it_is() {
        // 8192 / 5 entries a page of the map: it is page 2, and then every 1639th.
        assert_eq!(place_in_map(1, 8192), None);
        assert_eq!(place_in_map(2, 8192), None);
        assert_eq!(place_in_map(3, 8192), Some((2, 0)));
        assert_eq!(place_in_map(1640, 8192), Some((2, 1637 * 5)));
        assert_eq!(place_in_map(1641, 8192), None);
        assert_eq!(place_in_map(1642, 8192), Some((1641, 0)));
        assert_eq!(place_in_map(LOCK_BYTE / 8192 + 1, 8192), None);
    }

    #[test]
    fn remains_are_bytes_between_the_pointers_and_the_rows_of_a_page() {
        let mut page = vec![0; 512];
        // A leaf of an index with two rows, of which the first begins at 400.
        page[..8].copy_from_slice(&[10, 0, 0, 0, 2, 1, 144, 0]);
        assert_eq!(gap(&page, 3), Some(12..400));
        page[400..].fill(b'x');
        page[8..12].fill(b'x');
        assert_eq!(remains(&page, 3), None, "rows and pointers are not looked at");
        page[12..16].copy_from_slice(&[1, 144, 1, 200]);
        assert_eq!(remains(&page, 3), None, "former pointers");
        page[301] = b'x';
        page[302] = b'x';
        assert_eq!(remains(&page, 3), Some(12..400));
        page[0] = 1;
        assert_eq!(remains(&page, 3), None, "no page of rows");
        assert_eq!(remains(&[13], 3), None);
        assert_eq!(remains(&[], 1), None);
    }
}
