//! What commands print: one JSON document, or lines for people.

use super::terminal::{visible, visible_json};
use serde_json::Value;
use std::io::{self, Write};

/// Where a command's data goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Prints `document` with `--json`, and what `text` returns without.
    pub(super) fn print(self, document: &Value, text: impl FnOnce() -> String) -> io::Result<()> {
        if self.json { self.line(&visible_json(&document.to_string())) } else { self.line(&visible(&text())) }
    }

    /// Begins a list that is printed as it is read; its one document is `{"name":[…]}`.
    pub(super) fn begin_list(self, name: &str) -> io::Result<()> {
        if self.json { self.line(&format!("{{\"{name}\":[")) } else { Ok(()) }
    }

    /// Prints an item of the list, a line each.
    pub(super) fn item(self, first: bool, document: &Value, text: impl FnOnce() -> String) -> io::Result<()> {
        match (self.json, first) {
            (false, _) => self.line(&visible(&text())),
            (true, true) => self.line(&visible_json(&document.to_string())),
            (true, false) => self.line(&visible_json(&format!(",{document}"))),
        }
    }

    /// Ends the list.
    pub(super) fn end_list(self) -> io::Result<()> {
        if self.json { self.line("]}") } else { Ok(()) }
    }

    /// Prints a line at once, however stdout is buffered.
    pub(super) fn line(self, line: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match writeln!(stdout, "{}", line.trim_end_matches('\n')).and_then(|()| stdout.flush()) {
            // The reader has seen enough, as `| head` has.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

/// Rows in columns as wide as their longest cell, under `heads`; `nothing` where there are none.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>], nothing: &str) -> String {
    if rows.is_empty() {
        return nothing.to_owned();
    }
    // Written out before it is measured.
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| in_one_line(cell)).collect()).collect();
    let mut widths: Vec<usize> = heads.iter().map(|head| head.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut heads.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// A cell's text: a line end in it would look like another row.
fn in_one_line(cell: &str) -> String {
    visible(&cell.replace('\n', "\\n")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(table(&["id", "n"], &rows, "none"), "id    n\na     1\nlong");
        assert_eq!(table(&["id"], &[], "none"), "none");
    }
}
