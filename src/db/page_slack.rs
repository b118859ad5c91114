//! Rows that SQLite has moved and left: when a full page shares its rows with a neighbour, copies may stay in the unallocated middle of
//! the page they came from, where no later deletion reaches them, `secure_delete` or not. Here they are found in a page, and zeroed;
//! which pages are looked at is decided by `slack_scrub.rs`. The layout of a page is that of sqlite.org/fileformat2.html.

use super::error::Result;
use rusqlite::{Connection, OptionalExtension};

/// Pages that one transaction zeroes gaps in: about a millisecond of the writer's time.
pub(super) const STEP: usize = 32;

/// The byte at which SQLite's locks lie; the page around it is never used.
const LOCK_BYTE: u32 = 1 << 30;

/// As many as the largest page has.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Whether this build of SQLite lets anyone look into pages.
///
/// # Errors
/// When SQLite fails.
pub fn can_clear_page_slack(connection: &Connection) -> Result<bool> {
    Ok(has_page_table(connection)?)
}

/// Whether SQLite was built with the table of pages.
pub(super) fn has_page_table(connection: &Connection) -> rusqlite::Result<bool> {
    fail_point!("db::no_dbpage", |_| Ok(false));
    connection.query_row("SELECT sqlite_compileoption_used('ENABLE_DBPAGE_VTAB')", (), |row| row.get(0))
}

/// Zeroes what is left in the gaps of `pages`, and returns in how many there was something.
pub(super) fn clear_gaps_of(writer: &Connection, pages: &[u32]) -> Result<usize> {
    let mut cleared = 0;
    let mut update = writer.prepare_cached("UPDATE sqlite_dbpage SET data = ?2 WHERE pgno = ?1")?;
    for &number in pages {
        // Read again: it may have become another page since it was found.
        let Some(mut page) = tree_page(writer, number)? else { continue };
        let Some(gap) = remains(&page, number) else { continue };
        page[gap].fill(0);
        update.execute((number, page))?;
        cleared += 1;
    }
    Ok(cleared)
}

/// Those pages from `from` to `until` that hold remains.
pub(super) fn pages_with_remains(connection: &Connection, from: u32, until: u32) -> Result<Vec<u32>> {
    // One statement for all of them: one a page takes several times as long.
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE wanted (number) AS (VALUES (?1) UNION ALL SELECT number + 1 FROM wanted WHERE number < ?2)
         SELECT number, data FROM wanted CROSS JOIN sqlite_dbpage ON pgno = number",
    )?;
    let mut rows = statement.query([from, until])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let number: u32 = row.get(0)?;
        if has_remains(row.get_ref(1)?.as_blob().unwrap_or_default(), number) {
            found.push(number);
        }
    }
    found.retain(|number| is_tree_page(connection, *number).unwrap_or(true));
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

/// Whether a page, if it is one of rows, has anything but zeros and former pointers to rows in its unallocated middle.
pub(super) fn has_remains(page: &[u8], number: u32) -> bool {
    remains(page, number).is_some()
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
