//! What is to be seen of the prices of a sheet at a glance.

use super::{Sheet, by_size, length, price};
use crate::domain::length::Length;
use crate::domain::money::{Currency, Minor};

/// What is to be seen of a price at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::http::console::prices) struct Marks {
    /// It is not what is saved.
    pub(in crate::http::console::prices) is_changed: bool,
    /// The size is not offered.
    pub(in crate::http::console::prices) is_hole: bool,
    /// It is lower than that of a smaller size alongside or above it.
    pub(in crate::http::console::prices) falls: bool,
}

/// The marks of every price, row by row. `saved` is the sheet that it is compared with, step by step.
pub(in crate::http::console::prices) fn marks(sheet: &Sheet, saved: &Sheet, currency: Currency) -> Vec<Vec<Marks>> {
    let read = |text: &String| price(text, currency).ok().flatten();
    let values: Vec<Vec<Option<Minor>>> = sheet.prices.iter().map(|row| row.iter().map(read).collect()).collect();
    let saved_prices = by_size(saved, currency);
    let widths: Vec<Option<Length>> = sheet.widths.iter().map(|text| length(text).ok()).collect();
    let heights: Vec<Option<Length>> = sheet.heights.iter().map(|text| length(text).ok()).collect();
    let falls = |from: Option<Minor>, to: Option<Minor>| matches!((from, to), (Some(from), Some(to)) if to < from);
    let mark = |row: usize, column: usize| {
        let value = values[row][column];
        let text = &sheet.prices[row][column];
        let was = widths[column].zip(heights[row]).and_then(|size| saved_prices.get(&size).copied());
        Marks {
            is_changed: match was {
                Some(was) => price(text, currency) != Ok(was),
                None => !text.is_empty(),
            },
            is_hole: value.is_none() && (!sheet.widths[column].is_empty() || !sheet.heights[row].is_empty()),
            falls: (row > 0 && falls(values[row - 1][column], value))
                || (column > 0 && falls(values[row][column - 1], value)),
        }
    };
    (0..values.len()).map(|row| (0..sheet.widths.len()).map(|column| mark(row, column)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{eur, sheet, two_by_two};
    use super::*;

    #[test]
    fn changes_holes_and_falling_prices_are_marked() {
        let saved = two_by_two();
        let typed = sheet(&["300", "600"], &[("400", &["10", "8.00"]), ("800", &["9.00", ""])]);
        let marked = marks(&typed, &saved, eur());
        assert_eq!(marked[0][0], Marks::default(), "10 is the 10.00 that is saved");
        assert_eq!(marked[0][1], Marks { is_changed: true, falls: true, is_hole: false });
        assert_eq!(marked[1][0], Marks { is_changed: true, falls: true, is_hole: false });
        assert_eq!(marked[1][1], Marks { is_hole: true, ..Marks::default() });
    }
}
