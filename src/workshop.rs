//! What a workshop needs to make what was ordered: a row for each item, as CSV for spreadsheets and as JSON. Written page by page, for
//! there may be more than fits into memory.
//!
//! Each option group has a column of its own, so the orders are walked twice: once for the groups, once for the rows.

use crate::clock::instant;
use crate::db::{self, Db};
use crate::domain::ids::StoreId;
use crate::error::Error;
use crate::orders::lines::Line;
use crate::orders::records::{self, Record, Selected};
use crate::views::orders::page_url;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Orders read at once.
const PAGE: usize = 100;

/// By this Excel knows that a file is UTF-8.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// What a spreadsheet takes for the beginning of a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Where spreadsheets begin another cell that do not take the comma for what separates them, as in most of Europe; quotes do not
/// keep them from it, for they are not at the beginning of what they take for a field.
const OTHER_SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

/// How the rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, for spreadsheets.
    Csv,
    /// One JSON document.
    Json,
}

/// Why the rows are not all there.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// They could not be read.
    #[error(transparent)]
    Read(#[from] Error),
    /// They could not be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

impl From<db::Error> for WriteError {
    fn from(error: db::Error) -> Self {
        Self::Read(error.into())
    }
}

/// Writes a row for each item of a store's orders that are `selected`, the oldest order first.
///
/// # Errors
/// When the database fails; and those of `out`.
pub fn write(
    db: &Db,
    store: StoreId,
    selected: Selected,
    public_url: &str,
    format: Format,
    out: &mut dyn Write,
) -> Result<(), WriteError> {
    match format {
        Format::Csv => write_csv(db, store, selected, public_url, out)?,
        Format::Json => write_json(db, store, selected, public_url, out)?,
    }
    Ok(out.flush()?)
}

fn write_csv(
    db: &Db,
    store: StoreId,
    selected: Selected,
    public_url: &str,
    out: &mut dyn Write,
) -> Result<(), WriteError> {
    let (mut groups, mut last) = (BTreeSet::new(), 0);
    each_order(db, store, selected, |record| {
        last = last.max(record.number);
        for option in record.lines.iter().flat_map(|line| &line.selections) {
            if !groups.contains(&option.option_group_name) {
                groups.insert(option.option_group_name.clone());
            }
        }
        Ok(())
    })?;
    let head = ["order", "ordered at", "state", "shopify order", "item", "product", "sku", "label", "width", "height"];
    let head = head.into_iter().chain(["unit", "priced as", "quantity"]).chain(groups.iter().map(String::as_str));
    let head: Vec<&str> = head.chain(["unit price", "total", "currency", "page"]).collect();
    write!(out, "{BYTE_ORDER_MARK}")?;
    write_row(out, head)?;
    // An order that has come since may have a group without a column: it is in the next file.
    each_order(db, store, selected, |record| {
        if record.number > last {
            return Ok(());
        }
        for (place, line) in record.lines.iter().enumerate() {
            let fields = row(&record, place, line, public_url);
            let options = groups.iter().map(|group| chosen(line, group));
            let (before, after) = fields.split_at(AFTER_OPTIONS);
            let cells = before.iter().cloned().chain(options).chain(after.iter().cloned()).collect::<Vec<_>>();
            write_row(out, cells.iter().map(String::as_str))?;
        }
        Ok(())
    })
}

/// Columns before those of the option groups.
const AFTER_OPTIONS: usize = 13;

/// An item without its options.
fn row(record: &Record, place: usize, line: &Line, public_url: &str) -> [String; 17] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        record.name(),
        instant(record.created_at),
        record.status.to_string(),
        text(&record.order_name),
        (place + 1).to_string(),
        line.product_title.clone(),
        text(&line.sku),
        text(&line.label),
        line.width.to_string(),
        line.height.to_string(),
        record.unit.to_string(),
        format!("{} x {}", line.priced_width, line.priced_height),
        line.quantity.to_string(),
        record.currency.format(line.unit_price),
        record.currency.format(line.total_price),
        record.currency.to_string(),
        page_url(record, public_url),
    ]
}

/// What was chosen of a group; of two groups with one name, both.
fn chosen(line: &Line, group: &str) -> String {
    let choices = line.selections.iter().filter(|option| option.option_group_name == group);
    choices.map(|option| option.choice_label.as_str()).collect::<Vec<_>>().join("; ")
}

fn write_row<'a>(out: &mut dyn Write, fields: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
    for (place, field) in fields.into_iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        write!(out, "{comma}{}", quoted(&harmless(field)))?;
    }
    write!(out, "\r\n")
}

/// A text that no spreadsheet runs, wherever it begins a cell: an apostrophe makes it one.
fn harmless(field: &str) -> Cow<'_, str> {
    let runs = |cell: &str| cell.trim_start_matches([' ', '"']).starts_with(FORMULA);
    if !field.starts_with(FORMULA) && !field.split(OTHER_SEPARATORS).skip(1).any(runs) {
        return Cow::Borrowed(field);
    }
    let mut text = String::with_capacity(field.len() + 2);
    if field.starts_with(FORMULA) {
        text.push('\'');
    }
    for (place, cell) in field.split_inclusive(OTHER_SEPARATORS).enumerate() {
        if place > 0 && runs(cell) {
            text.push('\'');
        }
        text.push_str(cell);
    }
    Cow::Owned(text)
}

/// A text as a field of a file for spreadsheets, which none of them runs.
pub fn field(text: &str) -> String {
    quoted(&harmless(text)).into_owned()
}

/// A field as RFC 4180 has it.
fn quoted(field: &str) -> Cow<'_, str> {
    if field.contains(['"', ',', '\r', '\n']) {
        Cow::Owned(format!("\"{}\"", field.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(field)
    }
}

fn write_json(
    db: &Db,
    store: StoreId,
    selected: Selected,
    public_url: &str,
    out: &mut dyn Write,
) -> Result<(), WriteError> {
    write!(out, "{{\"items\":[")?;
    let mut is_first = true;
    each_order(db, store, selected, |record| {
        for (place, line) in record.lines.iter().enumerate() {
            let separator = if is_first { "\n" } else { ",\n" };
            write!(out, "{separator}{}", document(&record, place, line, public_url))?;
            is_first = false;
        }
        Ok(())
    })?;
    Ok(writeln!(out, "]}}")?)
}

fn document(record: &Record, place: usize, line: &Line, public_url: &str) -> Value {
    let options = line
        .selections
        .iter()
        .map(|option| json!({ "optionGroup": option.option_group_name, "choice": option.choice_label }));
    json!({
        "order": record.name(),
        "createdAt": instant(record.created_at),
        "state": record.status.as_str(),
        "orderName": record.order_name,
        "item": place + 1,
        "product": line.product_title,
        "sku": line.sku,
        "label": line.label,
        "width": line.width.to_number(),
        "height": line.height.to_number(),
        "unit": record.unit.as_str(),
        "pricedWidth": line.priced_width.to_number(),
        "pricedHeight": line.priced_height.to_number(),
        "quantity": line.quantity,
        "options": options.collect::<Vec<_>>(),
        "price": record.currency.format(line.unit_price),
        "total": record.currency.format(line.total_price),
        "currency": record.currency.code(),
        "pageUrl": page_url(record, public_url),
    })
}

fn each_order(
    db: &Db,
    store: StoreId,
    selected: Selected,
    mut take: impl FnMut(Record) -> io::Result<()>,
) -> Result<(), WriteError> {
    let mut after = None;
    loop {
        let page = db.read(|connection| records::list_selected(connection, store, selected, after, PAGE))?;
        let is_last = page.len() < PAGE;
        after = page.last().map(|record| (record.created_at, record.number));
        for record in page {
            take(record)?;
        }
        if is_last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spreadsheet_runs_a_field_and_every_reader_of_csv_reads_it_back() {
        let mut written = Vec::new();
        let fields = ["=1+1", "+49", "-5", "@x", "\tx", "\rx", "a,b", "\"a\"", "x=1", "", "'=1", "5\nx"];
        write_row(&mut written, fields).expect("written");
        let written = String::from_utf8(written).expect("text");
        assert_eq!(written, "'=1+1,'+49,'-5,'@x,'\tx,\"'\rx\",\"a,b\",\"\"\"a\"\"\",x=1,,'=1,\"5\nx\"\r\n");
    }

    #[test]
    fn no_spreadsheet_that_separates_by_semicolons_runs_a_part_of_a_field() {
        for (text, written) in [
            ("Kitchen;=1+1", "Kitchen;'=1+1"),
            ("a; =1+1;@x", "a;' =1+1;'@x"),
            ("a;\"=1\"", "\"a;'\"\"=1\"\"\""),
            ("=1;-1", "'=1;'-1"),
            ("White; matt", "White; matt"),
            ("left; 2-3", "left; 2-3"),
        ] {
            assert_eq!(field(text), written);
        }
    }
}
