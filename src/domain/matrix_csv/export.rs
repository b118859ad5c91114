//! A matrix as a price list that every import reads as the same matrix.

use super::{FREE, Layout, NOT_OFFERED};
use crate::domain::length::Length;
use crate::domain::matrix::PriceMatrix;
use crate::domain::money::{Currency, Minor};

/// Writes the grid of a matrix; its policy and limits are not in the file. A matrix that is not priced yet is a header alone,
/// which no import accepts.
pub fn export(matrix: &PriceMatrix, currency: Currency, layout: Layout) -> String {
    let mut text = String::new();
    let all_free = matrix.rows().flatten().all(|cell| cell.is_none_or(|price| price == Minor::ZERO));
    let price = |cell: &Option<Minor>, none: &str| match cell {
        None => none.to_owned(),
        // A 0 among prices could mean that the size is not made.
        Some(Minor::ZERO) if !all_free => format!("{} {FREE}", currency.format(Minor::ZERO)),
        Some(price) => currency.format(*price),
    };
    // Three decimals could be thousands themselves.
    let proves_point =
        !matches!(currency.exponent(), 0 | 3) && matrix.rows().flatten().flatten().any(|price| *price != Minor::ZERO);
    let size = |size: &Length| {
        let text = size.to_string();
        // 1.234 could be 1234 where nothing else in the file has decimals; behind a 0 thousands are not written.
        let is_clear = proves_point || text.split_once('.').is_none_or(|(_, decimals)| decimals.len() != 3);
        if is_clear { text } else { format!("0{text}") }
    };
    match layout {
        Layout::Long => {
            text.push_str("width,height,price\n");
            for (row, height) in matrix.rows().zip(matrix.heights()) {
                for (cell, width) in row.iter().zip(matrix.widths()) {
                    text.push_str(&format!("{},{},{}\n", size(width), size(height), price(cell, NOT_OFFERED)));
                }
            }
        }
        Layout::Grid => {
            text.push_str("height/width");
            for width in matrix.widths() {
                text.push_str(&format!(",{}", size(width)));
            }
            text.push('\n');
            for (row, height) in matrix.rows().zip(matrix.heights()) {
                text.push_str(&size(height));
                for cell in row {
                    text.push(',');
                    text.push_str(&price(cell, ""));
                }
                text.push('\n');
            }
        }
    }
    text
}
