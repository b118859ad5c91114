//! A line for each size.

use super::header::Order;
use super::numbers::{GridReader, Price, looks_numeric};
use super::records::Record;
use super::{Faults, Grid, NO_PRICES, Repeat, Rows};
use crate::domain::length::Length;
use crate::domain::matrix::Axis;

/// Whether the first line of a list is its header: it has no number.
pub(super) fn has_header(first: &Record) -> bool {
    !first.fields_from(0).any(looks_numeric)
}

/// Reads the lines of sizes. The last line of a size counts, and those before it are reported.
pub(super) fn read(
    records: &mut impl Iterator<Item = Record>,
    order: Order,
    reader: &GridReader,
    grid: &mut Grid,
    rows: &mut Rows,
    faults: &mut Faults,
) -> Vec<Repeat> {
    let mut repeats = Vec::new();
    for record in records {
        rows.total += 1;
        match read_size(&record, order, reader) {
            Ok((width, height, price)) => {
                rows.valid += 1;
                if let Some(before) = grid.insert((height, width), price)
                    && repeats.len() < super::REPEATS_MAX
                {
                    repeats.push(Repeat {
                        line: record.line,
                        width,
                        height,
                        before: before.minor(),
                        now: price.minor(),
                    });
                }
            }
            Err(message) => faults.line(record.line, message),
        }
    }
    if rows.total == 0 {
        faults.file(NO_PRICES);
    }
    repeats
}

fn read_size(record: &Record, order: Order, reader: &GridReader) -> Result<(Length, Length, Price), String> {
    let strays = record.fields_from(0).enumerate().any(|(index, field)| !field.is_empty() && !order.0.contains(&index));
    if order.0.iter().any(|&index| index >= record.len()) || strays {
        return Err(format!("3 columns expected (width, height, price), not {}", record.len()));
    }
    let [width, height, price] = order.0.map(|index| record.field(index).unwrap_or_default());
    let width = reader.length(Axis::Width, width)?;
    let height = reader.length(Axis::Height, height)?;
    Ok((width, height, reader.price(price)?))
}
