//! A supplier's grid: one size along the top, the other down the side.

use super::corner;
use super::numbers::{GridReader, Price};
use super::records::Record;
use super::{Faults, Grid, ImportOptions, NO_PRICES, Rows};
use crate::domain::length::Length;
use crate::domain::matrix::{Axis, BREAKPOINTS_MAX, CELLS_MAX};
use std::collections::{BTreeMap, BTreeSet};

/// The two axes of a grid: widths and heights.
pub(super) type Steps = (Vec<Length>, Vec<Length>);

/// Reads a grid whose first line has the sizes of `across`. Its axes come back alongside the prices: a row or column that is
/// wholly "not offered" has none.
pub(super) fn read(
    records: &mut impl Iterator<Item = Record>,
    across: Axis,
    reader: &GridReader,
    options: &ImportOptions,
    grid: &mut Grid,
    rows: &mut Rows,
    faults: &mut Faults,
) -> Option<Steps> {
    let mut lines = records.peekable();
    let header = lines.next()?;
    if lines.peek().is_none() {
        faults.file(NO_PRICES);
        return None;
    }
    // Spreadsheets leave separators behind where a column was cleared.
    let used = header.fields_from(1).rposition(|field| !field.is_empty()).map_or(0, |last| last + 1);
    if !(1..=BREAKPOINTS_MAX).contains(&used) {
        faults.file(format!("1 to {BREAKPOINTS_MAX} {across}s expected, not {used}"));
        return None;
    }
    let (columns, heading_faults) = read_axis(across, header.fields_from(1).take(used), reader);
    for message in heading_faults {
        // Without its size no price below can be placed.
        faults.header(header.line, message);
    }
    if faults.fatal {
        return None;
    }
    let mut seen: BTreeMap<Length, usize> = BTreeMap::new();
    for record in lines {
        rows.total += 1;
        match read_row(&record, across, &columns, reader, &seen) {
            Ok((row, prices)) => {
                rows.valid += 1;
                seen.insert(row, record.line);
                // Beyond the largest grid rows are only counted.
                if seen.len() <= BREAKPOINTS_MAX && seen.len() * columns.len() <= options.cells_max.min(CELLS_MAX) {
                    let place = |column| if across == Axis::Width { (row, column) } else { (column, row) };
                    grid.extend(columns.iter().zip(prices).map(|(&column, price)| (place(column), price)));
                }
            }
            Err(messages) => messages.into_iter().for_each(|message| faults.line(record.line, message)),
        }
    }
    let down = seen.into_keys().collect();
    Some(if across == Axis::Width { (columns, down) } else { (down, columns) })
}

fn read_axis<'a>(axis: Axis, fields: impl Iterator<Item = &'a str>, reader: &GridReader) -> (Vec<Length>, Vec<String>) {
    let mut seen = BTreeSet::new();
    let mut values = Vec::new();
    let mut messages = Vec::new();
    for (index, field) in fields.enumerate() {
        match reader.length(axis, field) {
            Ok(value) if seen.insert(value) => values.push(value),
            Ok(value) => messages.push(format!("{axis} {value} appears twice")),
            Err(message) => messages.push(format!("column {}: {message}", index + 2)),
        }
    }
    (values, messages)
}

fn read_row(
    record: &Record,
    across: Axis,
    columns: &[Length],
    reader: &GridReader,
    seen: &BTreeMap<Length, usize>,
) -> Result<(Length, Vec<Price>), Vec<String>> {
    let expected = columns.len() + 1;
    if record.len() < expected || record.fields_from(expected).any(|field| !field.is_empty()) {
        return Err(vec![format!("{expected} columns expected, as in the first line, not {}", record.len())]);
    }
    let mut messages = Vec::new();
    let (down, row_field) = (corner::other(across), record.field(0).unwrap_or_default());
    let row = reader.length(down, row_field);
    if let Some(first) = row.as_ref().ok().and_then(|row| seen.get(row)) {
        messages.push(format!("{down} {} is already in line {first}", super::shown(row_field)));
    }
    let mut prices = Vec::with_capacity(columns.len());
    for (field, column) in record.fields_from(1).zip(columns) {
        match if field.is_empty() { Ok(Price::NotOffered) } else { reader.price(field) } {
            Ok(price) => prices.push(price),
            Err(message) => messages.push(format!("{across} {column}: {message}")),
        }
    }
    match row {
        Ok(row) if messages.is_empty() => Ok((row, prices)),
        Ok(_) => Err(messages),
        Err(message) => {
            messages.insert(0, message);
            Err(messages)
        }
    }
}
