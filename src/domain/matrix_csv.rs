//! Price lists as CSV text, in the two layouts merchants have: a line per size, or the supplier's grid with widths along the top
//! and heights down the side.
//!
//! An import reports every fault with its real line number and leaves it to the caller whether a file with faults is used. An
//! export can always be imported again and gives the same grid.

use super::decimal::DecimalFault;
use super::length::{Length, LengthError, Unit};
use super::matrix::{Axis, BREAKPOINTS_MAX, CELLS_MAX, Limits, Outside, PriceMatrix};
use super::money::{Currency, Minor};
use header::Column;
use records::{QuoteFault, Record, Records, Separator};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

mod header;
mod records;

/// The longest file in bytes.
pub const BYTES_MAX: usize = 1_048_576;

/// Faults that are listed; a file of nothing else must not fill the memory with sentences.
const FAULTS_MAX: usize = 1_000;

/// Missing sizes that are named one by one.
const MISSING_NAMED: usize = 10;

/// What a file says that has a header at most.
const NO_PRICES: &str = "the file has no prices";

/// What a cell holds that is not offered.
const NOT_OFFERED: &str = "-";

/// How a price list is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A line for each size: width, height, price (`-`: not offered), in the order that a header gives, or in this one.
    Long,
    /// The first line holds the widths, the first column the heights, an empty cell is not offered.
    Grid,
}

/// The text names no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be long or grid")]
pub struct UnknownLayout;

impl Layout {
    /// `long` or `grid`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Long => "long",
            Self::Grid => "grid",
        }
    }
}

impl FromStr for Layout {
    type Err = UnknownLayout;

    fn from_str(text: &str) -> Result<Self, UnknownLayout> {
        match text {
            "long" => Ok(Self::Long),
            "grid" => Ok(Self::Grid),
            _ => Err(UnknownLayout),
        }
    }
}

/// How to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportOptions {
    /// What its sizes are in: the store's unit. A header that names another is a fault.
    pub unit: Unit,
    /// What its prices are in: the store's currency. A header that names another is a fault.
    pub currency: Currency,
    /// Its layout; `None` finds out.
    pub layout: Option<Layout>,
    /// Leave bad lines out instead of failing; sizes without a price then are not offered. Never a price of 0.
    pub skip_bad: bool,
    /// The most cells, at most [`CELLS_MAX`].
    pub cells_max: usize,
}

impl ImportOptions {
    /// Finds the layout out, skips nothing, the largest grid.
    pub fn new(unit: Unit, currency: Currency) -> Self {
        Self { unit, currency, layout: None, skip_bad: false, cells_max: CELLS_MAX }
    }
}

/// Something wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFault {
    /// Its line, counted from 1 as an editor does; 0 when it is about the file as a whole.
    pub line: usize,
    /// A sentence: lower case, no full stop.
    pub message: String,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The grid of all good lines, with an unpriced size where one is missing; `None` when there is nothing to build it from.
    pub matrix: Option<PriceMatrix>,
    /// Everything that is wrong, by line.
    pub faults: Vec<CsvFault>,
    /// Faults beyond those listed.
    pub more_faults: usize,
    /// The layout it was read in.
    pub layout: Layout,
    /// Lines that hold prices, without the header.
    pub total_rows: usize,
    /// Those of them without fault.
    pub valid_rows: usize,
    /// Whether the faults forbid the use of `matrix`.
    refused: bool,
}

impl Import {
    /// The grid, if it may be used: the file has no fault, or only bad lines and they may be skipped.
    ///
    /// # Errors
    /// The import itself, with its faults.
    pub fn accept(self) -> Result<PriceMatrix, Box<Self>> {
        match self.matrix {
            Some(matrix) if !self.refused => Ok(matrix),
            _ => Err(Box::new(self)),
        }
    }
}

/// Reads a price list. Its policy and limits are the defaults: a file says nothing about them.
pub fn import(file: &[u8], options: &ImportOptions) -> Import {
    let mut faults = Faults::default();
    let mut grid = BTreeMap::new();
    let mut axes = None;
    let mut rows = Rows::default();
    let mut layout = options.layout.unwrap_or(Layout::Long);
    if file.len() > BYTES_MAX {
        faults.file(format!("the file is larger than {BYTES_MAX} bytes"));
    } else {
        let text = records::decode(file);
        let (separator, records) = records::split(&text);
        match Look::through(records.clone(), separator) {
            Err(fault) => faults.file(fault.to_string()),
            Ok(Look { first: None, .. }) => faults.file(NO_PRICES),
            Ok(Look { first: Some(first), lines, comma }) => {
                layout = options.layout.unwrap_or_else(|| detect_layout(&first, lines));
                // Files of the English world have commas between their fields, and none of them writes thousands with points.
                let points = separator != Separator::Comma && !comma;
                let reader = Reader { unit: options.unit, currency: options.currency, comma, points };
                // The look has found every quote in its place, so none of them is a fault.
                let mut records = records.map_while(Result::ok);
                match layout {
                    Layout::Long => read_long(&first, &mut records, &reader, &mut grid, &mut rows, &mut faults),
                    Layout::Grid => {
                        axes = read_grid(&mut records, &reader, options, &mut grid, &mut rows, &mut faults);
                    }
                }
            }
        }
    }
    let (widths, heights) = axes.unwrap_or_else(|| axes_of(&grid));
    let matrix = build(&widths, &heights, &grid, options, &mut faults);
    let bad_lines = faults.list.iter().any(|fault| fault.line > 0) || faults.more > 0;
    Import {
        refused: faults.fatal || (bad_lines && !options.skip_bad) || matrix.is_none(),
        matrix,
        faults: faults.sorted(),
        more_faults: faults.more,
        layout,
        total_rows: rows.total,
        valid_rows: rows.valid,
    }
}

/// Writes the grid of a matrix; its policy and limits are not in the file. A matrix that is not priced yet is a header alone,
/// which no import accepts.
pub fn export(matrix: &PriceMatrix, currency: Currency, layout: Layout) -> String {
    let mut text = String::new();
    let price = |cell: &Option<Minor>, none: &str| cell.map_or_else(|| none.to_owned(), |price| currency.format(price));
    match layout {
        Layout::Long => {
            text.push_str("width,height,price\n");
            for (row, height) in matrix.rows().zip(matrix.heights()) {
                for (cell, width) in row.iter().zip(matrix.widths()) {
                    text.push_str(&format!("{width},{height},{}\n", price(cell, NOT_OFFERED)));
                }
            }
        }
        Layout::Grid => {
            text.push_str("height/width");
            for width in matrix.widths() {
                text.push_str(&format!(",{width}"));
            }
            text.push('\n');
            for (row, height) in matrix.rows().zip(matrix.heights()) {
                text.push_str(&height.to_string());
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

/// Prices by (height, width).
type Grid = BTreeMap<(Length, Length), Option<Minor>>;

#[derive(Default)]
struct Rows {
    total: usize,
    valid: usize,
}

#[derive(Default)]
struct Faults {
    list: Vec<CsvFault>,
    more: usize,
    /// A fault that skipping lines does not mend.
    fatal: bool,
}

impl Faults {
    fn line(&mut self, line: usize, message: impl Into<String>) {
        if self.list.len() < FAULTS_MAX {
            self.list.push(CsvFault { line, message: message.into() });
        } else {
            self.more += 1;
        }
    }

    fn header(&mut self, line: usize, message: String) {
        self.fatal = true;
        self.line(line, message);
    }

    fn file(&mut self, message: impl Into<String>) {
        self.fatal = true;
        // Never among those left out: it is the one that decides.
        self.list.push(CsvFault { line: 0, message: message.into() });
    }

    fn sorted(&mut self) -> Vec<CsvFault> {
        self.list.sort_by_key(|fault| fault.line);
        std::mem::take(&mut self.list)
    }
}

/// Reads the numbers of one file.
struct Reader {
    unit: Unit,
    currency: Currency,
    /// Whether decimals follow a comma.
    comma: bool,
    /// Whether a point may stand before decimals or between thousands.
    points: bool,
}

impl Reader {
    fn plain(&self, field: &str) -> Result<String, DecimalFault> {
        match self.comma {
            // A file that has decimal commas has points for thousands, if any: 1.234 could be either, so it is neither.
            true if field.contains('.') => Err(DecimalFault::NotADecimal),
            true => Ok(field.replace(',', ".")),
            false => Ok(field.to_owned()),
        }
    }

    fn length(&self, axis: Axis, field: &str) -> Result<Length, String> {
        // Sizes seldom have three decimals, and a price for 1.5 instead of 1500 would look right.
        if self.points && has_thousands(field) {
            let (thousands, decimals) = (field.replace('.', ""), field.trim_end_matches('0').trim_end_matches('.'));
            return Err(format!("{axis} {} could be {thousands} or {decimals}: write which", shown(field)));
        }
        let read = self.plain(field).map_err(LengthError::from).and_then(|text| text.parse());
        read.map_err(|error: LengthError| format!("{axis} {} {error}", shown(field)))
    }

    fn price(&self, field: &str) -> Result<Minor, String> {
        let read = self.plain(field).and_then(|text| self.currency.parse_price(&text));
        read.map_err(|fault| format!("price {} {fault}", shown(field)))
    }
}

/// Whether it is written as German lists write thousands, `1.500`, and has so many decimals otherwise.
fn has_thousands(field: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    field.split_once('.').is_some_and(|(whole, fraction)| {
        (1..=3).contains(&whole.len())
            && !whole.starts_with('0')
            && digits(whole)
            && fraction.len() == 3
            && digits(fraction)
    })
}

/// A field as a message shows it: short, and on one line.
fn shown(field: &str) -> String {
    const SHOWN: usize = 30;
    let mut text: String = field.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if field.chars().count() > SHOWN {
        text.push('…');
    }
    format!("\"{text}\"")
}

/// Whether it begins as a number does. What is none after all ("300mm") still is a mistake to report, and never a heading.
fn looks_numeric(field: &str) -> bool {
    field.trim_start_matches(['+', '-', '.', ',']).starts_with(|first: char| first.is_ascii_digit())
}

/// What must be known of the whole file before a line of it is read.
struct Look {
    first: Option<Record>,
    lines: usize,
    /// Whether decimals follow a comma.
    comma: bool,
}

impl Look {
    fn through(records: Records<'_>, separator: Separator) -> Result<Self, QuoteFault> {
        let mut look = Self { first: None, lines: 0, comma: false };
        for record in records {
            let record = record?;
            look.comma |= separator == Separator::Semicolon && record.fields_from(0).any(has_decimal_comma);
            look.lines += 1;
            look.first.get_or_insert(record);
        }
        Ok(look)
    }
}

fn has_decimal_comma(field: &str) -> bool {
    field.split_once(',').is_some_and(|(whole, fraction)| {
        [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// A grid's first line has numbers, but not in its corner. Three columns could also be a size whose width is a typing error, so there
/// the corner must look like one, and a 0 there needs lines below: alone it is a width that cannot be.
fn detect_layout(first: &Record, lines: usize) -> Layout {
    let (corner, mut widths) = (first.field(0).unwrap_or_default(), first.fields_from(1));
    let is_corner = match widths.len() {
        2 if corner == "0" => lines > 1,
        2 if !looks_numeric(corner) => {
            let corner = corner.to_lowercase();
            corner.is_empty()
                || ["mm", "cm", "/", "\\", "×", "w x h", "h x w", "w×h"].iter().any(|mark| corner.contains(mark))
                || Column::of(&corner).is_some()
                || header::names_unit(&corner)
        }
        2 => false,
        _ => !looks_numeric(corner) || corner == "0",
    };
    if is_corner && widths.any(looks_numeric) { Layout::Grid } else { Layout::Long }
}

fn read_long(
    first: &Record,
    records: &mut impl Iterator<Item = Record>,
    reader: &Reader,
    grid: &mut Grid,
    rows: &mut Rows,
    faults: &mut Faults,
) {
    let mut order = [0, 1, 2];
    if !first.fields_from(0).any(looks_numeric) {
        let found = header::column_order(first)
            .and_then(|order| header::check_measures(first, order, reader.unit, reader.currency).map(|()| order));
        match found {
            Ok(found) => order = found,
            // Guessing which number is the width, or what it is in, would be worse than reading nothing.
            Err(message) => return faults.header(first.line, message),
        }
        records.next();
    }
    for record in records {
        rows.total += 1;
        match read_size(&record, order, reader) {
            Ok((width, height, price)) => {
                rows.valid += 1;
                grid.insert((height, width), price);
            }
            Err(message) => faults.line(record.line, message),
        }
    }
    if rows.total == 0 {
        faults.file(NO_PRICES);
    }
}

fn read_size(record: &Record, order: [usize; 3], reader: &Reader) -> Result<(Length, Length, Option<Minor>), String> {
    if record.len() != 3 {
        return Err(format!("3 columns expected (width, height, price), not {}", record.len()));
    }
    let [width, height, price] = order.map(|index| record.field(index).unwrap_or_default());
    let width = reader.length(Axis::Width, width)?;
    let height = reader.length(Axis::Height, height)?;
    let price = if price == NOT_OFFERED { None } else { Some(reader.price(price)?) };
    Ok((width, height, price))
}

/// Reads a supplier's grid. Its axes come back beside the prices: a row or column that is wholly "not offered" has none.
fn read_grid(
    records: &mut impl Iterator<Item = Record>,
    reader: &Reader,
    options: &ImportOptions,
    grid: &mut Grid,
    rows: &mut Rows,
    faults: &mut Faults,
) -> Option<(Vec<Length>, Vec<Length>)> {
    let mut lines = records.peekable();
    let header = lines.next()?;
    if lines.peek().is_none() {
        faults.file(NO_PRICES);
        return None;
    }
    let corner = header.field(0).unwrap_or_default();
    if let Err(message) = header::check_corner(corner, reader.unit, reader.currency) {
        faults.header(header.line, message);
        return None;
    }
    // Spreadsheets leave separators behind where a column was cleared.
    let used = header.fields_from(1).rposition(|field| !field.is_empty()).map_or(0, |last| last + 1);
    if !(1..=BREAKPOINTS_MAX).contains(&used) {
        faults.file(format!("1 to {BREAKPOINTS_MAX} widths expected, not {used}"));
        return None;
    }
    let (widths, heading_faults) = read_axis(Axis::Width, header.fields_from(1).take(used), reader);
    for message in heading_faults {
        // Without its width no price below can be placed.
        faults.header(header.line, message);
    }
    if faults.fatal {
        return None;
    }
    let mut heights: BTreeMap<Length, usize> = BTreeMap::new();
    for record in lines {
        rows.total += 1;
        match read_row(&record, &widths, reader, &heights) {
            Ok((height, prices)) => {
                rows.valid += 1;
                heights.insert(height, record.line);
                // Beyond the largest grid rows are only counted.
                if heights.len() <= BREAKPOINTS_MAX && heights.len() * widths.len() <= options.cells_max.min(CELLS_MAX)
                {
                    grid.extend(widths.iter().zip(prices).map(|(&width, price)| ((height, width), price)));
                }
            }
            Err(messages) => messages.into_iter().for_each(|message| faults.line(record.line, message)),
        }
    }
    Some((widths, heights.into_keys().collect()))
}

fn read_axis<'a>(axis: Axis, fields: impl Iterator<Item = &'a str>, reader: &Reader) -> (Vec<Length>, Vec<String>) {
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
    widths: &[Length],
    reader: &Reader,
    heights: &BTreeMap<Length, usize>,
) -> Result<(Length, Vec<Option<Minor>>), Vec<String>> {
    let columns = widths.len() + 1;
    if record.len() < columns || record.fields_from(columns).any(|field| !field.is_empty()) {
        return Err(vec![format!("{columns} columns expected, as in the first line, not {}", record.len())]);
    }
    let mut messages = Vec::new();
    let height_field = record.field(0).unwrap_or_default();
    let height = reader.length(Axis::Height, height_field);
    if let Some(first) = height.as_ref().ok().and_then(|height| heights.get(height)) {
        messages.push(format!("height {} already stands in line {first}", shown(height_field)));
    }
    let mut prices = Vec::with_capacity(widths.len());
    for (field, width) in record.fields_from(1).zip(widths) {
        match field {
            "" | NOT_OFFERED => prices.push(None),
            field => match reader.price(field) {
                Ok(price) => prices.push(Some(price)),
                Err(message) => messages.push(format!("width {width}: {message}")),
            },
        }
    }
    match height {
        Ok(height) if messages.is_empty() => Ok((height, prices)),
        Ok(_) => Err(messages),
        Err(message) => {
            messages.insert(0, message);
            Err(messages)
        }
    }
}

fn axes_of(grid: &Grid) -> (Vec<Length>, Vec<Length>) {
    let widths: BTreeSet<Length> = grid.keys().map(|&(_, width)| width).collect();
    let heights: BTreeSet<Length> = grid.keys().map(|&(height, _)| height).collect();
    (widths.into_iter().collect(), heights.into_iter().collect())
}

/// The matrix of what was read. Its size is checked before anything of that size exists.
fn build(
    widths: &[Length],
    heights: &[Length],
    grid: &Grid,
    options: &ImportOptions,
    faults: &mut Faults,
) -> Option<PriceMatrix> {
    if widths.is_empty() || heights.is_empty() {
        return None;
    }
    let mut fits = true;
    for (axis, steps) in [(Axis::Width, widths), (Axis::Height, heights)] {
        if steps.len() > BREAKPOINTS_MAX {
            fits = false;
            faults.file(format!("at most {BREAKPOINTS_MAX} different {axis}s, not {}", steps.len()));
        }
    }
    let cells_max = options.cells_max.min(CELLS_MAX);
    if fits && widths.len() * heights.len() > cells_max {
        fits = false;
        let (columns, rows) = (widths.len(), heights.len());
        faults.file(format!("{columns} widths x {rows} heights are more than {cells_max} sizes"));
    }
    if !fits {
        return None;
    }
    let mut missing = Vec::new();
    let mut cell = |height, width| {
        let found = grid.get(&(height, width));
        if found.is_none() {
            missing.push(format!("{width} x {height}"));
        }
        found.copied().flatten()
    };
    let prices: Vec<Vec<Option<Minor>>> =
        heights.iter().map(|&height| widths.iter().map(|&width| cell(height, width)).collect()).collect();
    // While lines are bad, their own sizes would be among those that seem to be missing.
    if !missing.is_empty() && !options.skip_bad && faults.list.is_empty() {
        let more = missing.len().saturating_sub(MISSING_NAMED);
        missing.truncate(MISSING_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        faults.file(format!("no price for {}{more}; write - for a size that is not offered", missing.join(", ")));
    }
    PriceMatrix::new(widths, heights, &prices, Outside::default(), Limits::default()).ok()
}

#[cfg(test)]
mod tests;
