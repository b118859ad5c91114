//! The grid of a price list as a form has it: text in every cell until it has been checked. Pure: reading, checking, adding and
//! removing steps, what looks wrong, and what becomes of two edits that meet.

mod marks;
mod merge;

pub(super) use marks::{Marks, marks};
pub(super) use merge::{Conflict, Merged, merge};

use crate::domain::length::Length;
use crate::domain::matrix::{BREAKPOINTS_MAX, MatrixFault, OutOfRange, PriceMatrix, SizeLimits};
use crate::domain::money::{Currency, Minor};
use crate::http::console::number;
use std::collections::BTreeMap;

/// Steps on each side of the sheet of a list that has no prices yet.
const BLANK_STEPS: usize = 4;

/// Decimals that a length keeps.
const LENGTH_DECIMALS: usize = 3;

/// Text in every cell: widths, heights, and a row of prices for each height.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sheet {
    pub(super) widths: Vec<String>,
    pub(super) heights: Vec<String>,
    pub(super) prices: Vec<Vec<String>>,
}

/// A cell of the sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Width(usize),
    Height(usize),
    /// Row and column.
    Price(usize, usize),
}

/// What is wrong, cell by cell.
pub(super) type Faults = BTreeMap<Place, String>;

/// The form does not hold a grid: no page of ours sends that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the sheet is incomplete: it must have a price for every width and height, and at most {BREAKPOINTS_MAX} of each"
)]
pub(super) struct NotASheet;

/// What is done to the shape of a sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reshape {
    AddWidth,
    AddHeight,
    RemoveWidth(usize),
    RemoveHeight(usize),
}

impl Sheet {
    /// The sheet of a grid; of one without prices a few empty steps to begin with.
    pub(super) fn of(matrix: &PriceMatrix, currency: Currency) -> Self {
        if matrix.widths().is_empty() {
            return Self::blank();
        }
        let price = |price: &Option<Minor>| price.map(|price| currency.format(price)).unwrap_or_default();
        Self {
            widths: matrix.widths().iter().map(Length::to_string).collect(),
            heights: matrix.heights().iter().map(Length::to_string).collect(),
            prices: matrix.rows().map(|row| row.iter().map(price).collect()).collect(),
        }
    }

    fn blank() -> Self {
        let steps = vec![String::new(); BLANK_STEPS];
        Self { widths: steps.clone(), heights: steps.clone(), prices: vec![steps; BLANK_STEPS] }
    }

    /// The sheet of a form's fields `w`, `h` and `p`, row by row, in their order.
    ///
    /// # Errors
    /// [`NotASheet`].
    pub(super) fn read<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, NotASheet> {
        let mut sheet = Self::default();
        let mut prices: Vec<String> = Vec::new();
        for (name, value) in fields {
            let value = value.trim().to_owned();
            match name {
                "w" => sheet.widths.push(value),
                "h" => sheet.heights.push(value),
                "p" => prices.push(value),
                _ => {}
            }
        }
        let (columns, rows) = (sheet.widths.len(), sheet.heights.len());
        let sides = 1..=BREAKPOINTS_MAX;
        if !sides.contains(&columns) || !sides.contains(&rows) || prices.len() != columns * rows {
            return Err(NotASheet);
        }
        sheet.prices = prices.chunks(columns).map(<[String]>::to_vec).collect();
        Ok(sheet)
    }

    /// The same with another shape; what does not fit it stays as it is.
    pub(super) fn reshape(&mut self, how: Reshape) {
        match how {
            Reshape::AddWidth if self.widths.len() < BREAKPOINTS_MAX => {
                self.widths.push(String::new());
                self.prices.iter_mut().for_each(|row| row.push(String::new()));
            }
            Reshape::AddHeight if self.heights.len() < BREAKPOINTS_MAX => {
                self.heights.push(String::new());
                self.prices.push(vec![String::new(); self.widths.len()]);
            }
            Reshape::RemoveWidth(column) if self.widths.len() > 1 && column < self.widths.len() => {
                self.widths.remove(column);
                self.prices.iter_mut().for_each(|row| {
                    row.remove(column);
                });
            }
            Reshape::RemoveHeight(row) if self.heights.len() > 1 && row < self.heights.len() => {
                self.heights.remove(row);
                self.prices.remove(row);
            }
            _ => {}
        }
    }

    /// The size of a cell, where its steps can be read.
    pub(super) fn size_at(&self, row: usize, column: usize) -> Option<Size> {
        Some((length(&self.widths[column]).ok()?, length(&self.heights[row]).ok()?))
    }

    /// What a cell is called: its size, or where it is.
    pub(super) fn label_at(&self, row: usize, column: usize) -> String {
        match (self.widths[column].as_str(), self.heights[row].as_str()) {
            ("", _) | (_, "") => format!("Price, row {}, column {}", row + 1, column + 1),
            (width, height) => format!("{width} × {height}"),
        }
    }

    /// What a place is called in a sentence.
    pub(super) fn place_name(&self, place: Place) -> String {
        match place {
            Place::Width(column) => format!("Width {}:", column + 1),
            Place::Height(row) => format!("Height {}:", row + 1),
            Place::Price(row, column) => format!("{}:", self.label_at(row, column)),
        }
    }

    /// The grid that the sheet says. Rows and columns with nothing in them are left out; one step or price that cannot be read, and
    /// there is no grid.
    ///
    /// # Errors
    /// What is wrong, cell by cell.
    pub(super) fn check(
        &self,
        currency: Currency,
        outside: OutOfRange,
        limits: SizeLimits,
    ) -> Result<PriceMatrix, Faults> {
        let mut faults = Faults::new();
        let column_is_used =
            |column: usize| !self.widths[column].is_empty() || self.prices.iter().any(|row| !row[column].is_empty());
        let row_is_used =
            |row: usize| !self.heights[row].is_empty() || self.prices[row].iter().any(|price| !price.is_empty());
        let columns: Vec<usize> = (0..self.widths.len()).filter(|&column| column_is_used(column)).collect();
        let rows: Vec<usize> = (0..self.heights.len()).filter(|&row| row_is_used(row)).collect();
        let widths = steps(&self.widths, &columns, Place::Width, &mut faults);
        let heights = steps(&self.heights, &rows, Place::Height, &mut faults);
        let mut prices = Vec::with_capacity(rows.len());
        for &row in &rows {
            let mut line = Vec::with_capacity(columns.len());
            for &column in &columns {
                line.push(match price(&self.prices[row][column], currency) {
                    Ok(price) => price,
                    Err(fault) => {
                        faults.insert(Place::Price(row, column), fault);
                        None
                    }
                });
            }
            prices.push(line);
        }
        if columns.is_empty() != rows.is_empty() {
            let place = if columns.is_empty() { Place::Width(0) } else { Place::Height(0) };
            faults.entry(place).or_insert_with(|| "is required: each price belongs to a width and a height".to_owned());
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        PriceMatrix::new(&widths, &heights, &prices, outside, limits).map_err(|found| {
            // Whatever is left is about the whole; the sheet's first cell is where it is said.
            let texts: Vec<String> = found.iter().map(MatrixFault::to_string).collect();
            Faults::from([(Place::Width(0), texts.join("; "))])
        })
    }
}

/// The steps of one side, each of them once.
fn steps(texts: &[String], used: &[usize], place: fn(usize) -> Place, faults: &mut Faults) -> Vec<Length> {
    let mut seen = BTreeMap::new();
    let mut lengths = Vec::with_capacity(used.len());
    for &at in used {
        match length(&texts[at]) {
            Ok(length) if seen.insert(length, at).is_some() => {
                faults.insert(place(at), format!("{length} appears twice"));
            }
            Ok(length) => lengths.push(length),
            Err(fault) => {
                faults.insert(place(at), fault);
            }
        }
    }
    lengths
}

/// A step as it was typed.
pub(in crate::http::console) fn length(text: &str) -> Result<Length, String> {
    let plain = number::plain(text, LENGTH_DECIMALS, false).map_err(|fault| fault.to_string())?;
    if plain.is_empty() {
        return Err("is required: its row or column has prices".to_owned());
    }
    plain.parse::<Length>().map_err(|fault| fault.to_string())
}

/// A price as it was typed; none where the size is not offered.
fn price(text: &str, currency: Currency) -> Result<Option<Minor>, String> {
    let decimals = currency.exponent() as usize;
    let plain = number::plain(text, decimals, decimals == 3).map_err(|fault| fault.to_string())?;
    if plain.is_empty() {
        return Ok(None);
    }
    currency.parse_price(&plain).map(Some).map_err(|fault| fault.to_string())
}

/// A width and a height.
type Size = (Length, Length);

/// One side of a size.
type Side = fn(&Size) -> Length;

/// What is saved for a size: nothing at all, or that it is not offered, or its price.
pub(super) type SavedPrice = Option<Option<Minor>>;

fn by_size(sheet: &Sheet, currency: Currency) -> BTreeMap<Size, Option<Minor>> {
    let mut found = BTreeMap::new();
    for (row, height) in sheet.heights.iter().enumerate() {
        for (column, width) in sheet.widths.iter().enumerate() {
            if let (Ok(width), Ok(height), Ok(price)) =
                (length(width), length(height), price(&sheet.prices[row][column], currency))
            {
                found.insert((width, height), price);
            }
        }
    }
    found
}

/// The text of every price, by its size.
pub(super) fn texts_by_size(sheet: &Sheet) -> BTreeMap<Size, String> {
    let rows = 0..sheet.heights.len();
    let places = rows.flat_map(|row| (0..sheet.widths.len()).map(move |column| (row, column)));
    places.filter_map(|(row, column)| Some((sheet.size_at(row, column)?, sheet.prices[row][column].clone()))).collect()
}

/// A whole sheet as one line of text, for a hidden field: what an edit was made from.
pub(super) fn pack(sheet: &Sheet) -> String {
    let mut lines = vec![sheet.widths.join(" ")];
    for (height, row) in sheet.heights.iter().zip(&sheet.prices) {
        let cells: Vec<&str> = row.iter().map(|price| if price.is_empty() { "-" } else { price }).collect();
        lines.push(format!("{height} {}", cells.join(" ")));
    }
    lines.join("|")
}

/// The sheet that [`pack`] made this text of. What cannot be read is one without steps: then every cell counts as changed.
pub(super) fn unpack(text: &str) -> Sheet {
    let mut lines = text.split('|').map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let widths = lines.next().unwrap_or_default();
    let mut sheet = Sheet { widths, ..Sheet::default() };
    for mut line in lines {
        if line.len() != sheet.widths.len() + 1 {
            return Sheet::default();
        }
        sheet.heights.push(line.remove(0));
        sheet.prices.push(line.into_iter().map(|price| if price == "-" { String::new() } else { price }).collect());
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    const EUR: &str = "EUR";

    pub(super) fn eur() -> Currency {
        EUR.parse().expect("a currency")
    }

    pub(super) fn sheet(widths: &[&str], rows: &[(&str, &[&str])]) -> Sheet {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Sheet {
            widths: owned(widths),
            heights: rows.iter().map(|(height, _)| (*height).to_owned()).collect(),
            prices: rows.iter().map(|(_, prices)| owned(prices)).collect(),
        }
    }

    pub(super) fn grid(sheet: &Sheet) -> PriceMatrix {
        sheet.check(eur(), OutOfRange::Reject, SizeLimits::default()).expect("a grid")
    }

    pub(super) fn two_by_two() -> Sheet {
        sheet(&["300", "600"], &[("400", &["10.00", "20.00"]), ("800", &["15.00", ""])])
    }

    #[test]
    fn a_form_becomes_a_sheet_and_anything_else_does_not() {
        let fields = [("w", "300"), ("w", "600"), ("h", " 400"), ("p", "10"), ("p", "20"), ("csrf", "x")];
        let read = Sheet::read(fields.into_iter()).expect("a sheet");
        assert_eq!(read, sheet(&["300", "600"], &[("400", &["10", "20"])]));
        assert_eq!(Sheet::read(fields.into_iter().skip(1)), Err(NotASheet), "two prices for one width");
        assert_eq!(Sheet::read([].into_iter()), Err(NotASheet));
        let too_wide = (0..51).flat_map(|_| [("w", "1"), ("p", "1")]).chain([("h", "1")]);
        assert_eq!(Sheet::read(too_wide), Err(NotASheet));
    }

    #[test]
    fn a_sheet_is_the_grid_it_says_and_empty_rows_and_columns_are_left_out() {
        let typed = sheet(&["600", "", "300"], &[("400", &["20,00", "", "€10"]), ("", &["", "", ""])]);
        let matrix = grid(&typed);
        assert_eq!(Sheet::of(&matrix, eur()), sheet(&["300", "600"], &[("400", &["10.00", "20.00"])]));
        let nothing = sheet(&[""], &[("", &[""])]);
        assert!(grid(&nothing).widths().is_empty());
        assert_eq!(Sheet::of(&grid(&nothing), eur()), Sheet::blank());
    }

    #[test]
    fn every_fault_of_a_sheet_is_shown_at_its_cell() {
        let typed = sheet(&["300", "300,0", ""], &[("1.200", &["abc", "1", "2"]), ("800", &["-4", "1.234", ""])]);
        let faults = typed.check(eur(), OutOfRange::Reject, SizeLimits::default()).expect_err("faults");
        let places: Vec<Place> = faults.keys().copied().collect();
        assert_eq!(
            places,
            [
                Place::Width(1),
                Place::Width(2),
                Place::Height(0),
                Place::Price(0, 0),
                Place::Price(1, 0),
                Place::Price(1, 1),
            ]
        );
        let half = sheet(&["300"], &[("", &[""])]);
        assert!(half.check(eur(), OutOfRange::Reject, SizeLimits::default()).is_err(), "a width without a height");
    }

    #[test]
    fn steps_are_added_and_removed_within_the_limits_of_a_grid() {
        let mut changed = two_by_two();
        changed.reshape(Reshape::AddWidth);
        changed.reshape(Reshape::AddHeight);
        assert_eq!((changed.widths.len(), changed.heights.len(), changed.prices[2].len()), (3, 3, 3));
        changed.reshape(Reshape::RemoveWidth(0));
        changed.reshape(Reshape::RemoveHeight(1));
        changed.reshape(Reshape::RemoveHeight(9));
        assert_eq!(changed, sheet(&["600", ""], &[("400", &["20.00", ""]), ("", &["", ""])]));
        for _ in 0..60 {
            changed.reshape(Reshape::AddWidth);
        }
        assert_eq!(changed.widths.len(), BREAKPOINTS_MAX);
        for _ in 0..60 {
            changed.reshape(Reshape::RemoveWidth(0));
        }
        assert_eq!(changed.widths.len(), 1);
    }

    #[test]
    fn a_sheet_survives_being_packed_into_a_field() {
        for sheet in [two_by_two(), sheet(&["1.5"], &[("2", &[""])])] {
            assert_eq!(unpack(&pack(&sheet)), sheet);
        }
        assert_eq!(unpack("1 2|3 4"), Sheet::default());
        assert!(unpack("").prices.is_empty());
    }
}
