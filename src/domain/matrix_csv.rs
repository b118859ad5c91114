//! Price lists as CSV text, in the two layouts merchants have: a line per size, or the supplier's grid with widths along the top
//! and heights down the side.
//!
//! An import reports every fault with its real line number and leaves it to the caller whether a file with faults is used. An
//! export can always be imported again and gives the same grid.

use super::length::{Length, Unit};
use super::matrix::{Axis, CELLS_MAX, PriceMatrix};
use super::money::{Currency, Minor};
use crate::domain::text_enum::text_enum;
pub use export::export;
pub use findings::{Fall, Findings, PricedSize};
use header::Order;
pub use measures::ListUnit;
pub use numbers::DecimalMark;
use numbers::{Evidence, GridReader, Price};
use records::{QuoteFault, Record, Records, Separator};
use std::collections::BTreeMap;

mod build;
mod corner;
mod encoding;
mod export;
mod findings;
mod grid;
mod header;
mod layout;
mod long;
mod measures;
mod numbers;
mod records;
mod words;

/// The longest file in bytes.
pub const BYTES_MAX: usize = 1_048_576;

/// Faults that are listed; a file of nothing else must not fill the memory with sentences.
const FAULTS_MAX: usize = 1_000;

/// Missing sizes that are named one by one.
const MISSING_NAMED: usize = 10;

/// What a file says that has a header at most.
const NO_PRICES: &str = "the file has no prices";

/// Sizes that are in a file again and are reported one by one.
const REPEATS_MAX: usize = 1_000;

/// What a cell holds that is not offered.
const NOT_OFFERED: &str = "-";

/// What is behind a price of 0 that means it: a 0 among prices may also mean that the size is not made.
const FREE: &str = "free";

text_enum! {
    /// How a price list is laid out.
    pub enum Layout {
        /// A line for each size: width, height, price (`-`: not offered), in the order that a header gives, or in this one.
        Long = "long",
        /// The first line holds the widths, the first column the heights, an empty cell is not offered.
        Grid = "grid",
    }
}

text_enum! {
    /// What a price of 0 among others means: to many makers that a size is not made.
    pub enum Zero {
        /// The size costs nothing.
        Free = "free",
        /// The size is not offered.
        NotOffered = "not-offered",
    }
}

/// How to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportOptions {
    /// What the store's sizes are in. Where the file says that its own are in another metric unit, they are converted exactly.
    pub unit: Unit,
    /// What its prices are in: the store's currency. A file that names another has a fault.
    pub currency: Currency,
    /// Its layout; `None` finds out.
    pub layout: Option<Layout>,
    /// Leave bad lines out instead of failing; sizes without a price then are not offered. Never a price of 0.
    pub skip_bad: bool,
    /// What a 0 among prices means; `None`: it is a fault.
    pub zero: Option<Zero>,
    /// The most cells, at most [`CELLS_MAX`].
    pub cells_max: usize,
}

impl ImportOptions {
    /// Finds the layout out, skips nothing, asks what zeros mean, the largest grid.
    pub fn new(unit: Unit, currency: Currency) -> Self {
        Self { unit, currency, layout: None, skip_bad: false, zero: None, cells_max: CELLS_MAX }
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

/// How a file was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Understood {
    /// Lines above the list that were left out.
    pub lines_above: usize,
    /// What is between fields.
    pub separator: char,
    /// What decimals follow; `None` where no number has any.
    pub decimal: Option<DecimalMark>,
    /// What its widths are in.
    pub widths_in: ListUnit,
    /// What its heights are in.
    pub heights_in: ListUnit,
    /// The size that runs along the top; `None` for a list of sizes.
    pub across: Option<Axis>,
}

/// A size that a list has had before; what it said then counts no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// Where it is again.
    pub line: usize,
    /// Its width.
    pub width: Length,
    /// Its height.
    pub height: Length,
    /// The price before; `None`: not offered.
    pub before: Option<Minor>,
    /// The price that counts.
    pub now: Option<Minor>,
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
    /// How it was understood, as far as it was read at all.
    pub understood: Option<Understood>,
    /// Sizes that are in it more than once, the first thousand.
    pub repeats: Vec<Repeat>,
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
    let mut read = Reading { options, faults: Faults::default(), grid: BTreeMap::new(), rows: Rows::default() };
    let text = encoding::decode(file).and_then(|text| match file.len() {
        ..=BYTES_MAX => Ok(text),
        _ => Err(format!("the file is larger than {BYTES_MAX} bytes")),
    });
    let found = match text {
        Ok(text) => read.text(&text),
        Err(message) => {
            read.faults.file(message);
            Found::nothing(options)
        }
    };
    let Reading { mut faults, mut grid, rows, .. } = read;
    let (widths, heights) = found.axes.unwrap_or_else(|| build::axes_of(&grid));
    build::judge_zeros(&mut grid, options, &mut faults);
    let matrix = build::build(&widths, &heights, &grid, options, &mut faults);
    let bad_lines = faults.list.iter().any(|fault| fault.line > 0) || faults.more > 0;
    Import {
        refused: faults.fatal || (bad_lines && !options.skip_bad) || matrix.is_none(),
        matrix,
        faults: faults.sorted(),
        more_faults: faults.more,
        layout: found.layout,
        understood: found.understood,
        repeats: found.repeats,
        total_rows: rows.total,
        valid_rows: rows.valid,
    }
}

/// A file while it is read.
struct Reading<'a> {
    options: &'a ImportOptions,
    faults: Faults,
    grid: Grid,
    rows: Rows,
}

/// What was found in a file alongside its prices.
struct Found {
    layout: Layout,
    understood: Option<Understood>,
    axes: Option<grid::Steps>,
    repeats: Vec<Repeat>,
}

impl Found {
    fn nothing(options: &ImportOptions) -> Self {
        let layout = options.layout.unwrap_or(Layout::Long);
        Self { layout, understood: None, axes: None, repeats: Vec::new() }
    }
}

impl Reading<'_> {
    fn text(&mut self, text: &str) -> Found {
        let (separator, records) = records::split(text);
        let mut found = Found::nothing(self.options);
        let look = match Look::through(records.clone()) {
            Ok(look) => look,
            Err(fault) => {
                self.faults.file(fault.to_string());
                return found;
            }
        };
        if look.first.is_empty() {
            self.faults.file(NO_PRICES);
            return found;
        }
        let head = layout::find(&look.first, look.lines, self.options.layout);
        found.layout = head.layout;
        let (titles, first) = (&look.first[..head.titles], &look.first[head.titles]);
        if let Err((line, message)) = layout::check_titles(titles, self.options.unit, self.options.currency) {
            self.faults.header(line, message);
            return found;
        }
        // The look has found every quote in its place, so a quote here is never a fault.
        let list = records.map_while(Result::ok).skip(head.titles);
        let read = match head.layout {
            Layout::Long => self.long(first, list, &head, separator, &mut found),
            Layout::Grid => self.grid(first, list, &head, separator, &mut found),
        };
        if let Err(message) = read {
            // Guessing which number is the width, or what it is in, would be worse than reading nothing.
            self.faults.header(first.line, message);
        }
        found
    }

    fn long(
        &mut self,
        first: &Record,
        list: impl Iterator<Item = Record> + Clone,
        head: &layout::Head,
        separator: Separator,
        found: &mut Found,
    ) -> Result<(), String> {
        let ImportOptions { unit, currency, .. } = *self.options;
        let has_header = long::has_header(first);
        let (mut order, mut sizes_in) = (Order::USUAL, [head.sizes_in.unwrap_or(unit.into()); 2]);
        let mut above = usize::from(has_header);
        if has_header {
            order = header::column_order(first)?;
            // A second line may say what the columns are in.
            let units = list.clone().nth(above).filter(header::is_units);
            above += usize::from(units.is_some());
            sizes_in = header::measures_of(first, units.as_ref(), order, head.sizes_in, unit, currency)?;
        }
        let [widths_in, heights_in] = sizes_in;
        let mut list = list.skip(above);
        let mut evidence = Evidence::default();
        for record in list.clone() {
            for (index, field) in record.fields_from(0).enumerate() {
                match order.0.iter().position(|&place| place == index) {
                    Some(0) => evidence.size(Axis::Width, field),
                    Some(1) => evidence.size(Axis::Height, field),
                    Some(_) => evidence.price(field, currency),
                    None => {}
                }
            }
        }
        let reader = self.reader(&evidence, separator, widths_in, heights_in);
        found.understood = Some(Understood::new(head, separator, &reader, None));
        found.repeats = long::read(&mut list, order, &reader, &mut self.grid, &mut self.rows, &mut self.faults);
        Ok(())
    }

    fn grid(
        &mut self,
        first: &Record,
        list: impl Iterator<Item = Record> + Clone,
        head: &layout::Head,
        separator: Separator,
        found: &mut Found,
    ) -> Result<(), String> {
        let ImportOptions { unit, currency, .. } = *self.options;
        if list.clone().nth(1).is_none() {
            self.faults.file(NO_PRICES);
            return Ok(());
        }
        let corner = first.field(0).unwrap_or_default();
        measures::check_currency(corner, currency)?;
        // `Width` alongside the widths and `Height` below it, above the heights.
        let below = list.clone().nth(1).filter(|second| corner::below(second).is_some());
        let down = below.as_ref().and_then(corner::below);
        let axes = match (down, &below) {
            (Some(down), Some(second)) => {
                let side = second.field(0).unwrap_or_default();
                let top = if corner::names_size(corner) { format!("{corner} →") } else { corner.to_owned() };
                corner::read(&format!("{top} / {side} ↓"), Some(corner::other(down)), head.sizes_in, unit)?
            }
            _ => corner::read(corner, head.across, head.sizes_in, unit)?,
        };
        let corner::Axes { across, widths_in, heights_in } = axes;
        let second = below.map(|second| second.line);
        let mut list = list.filter(move |record| Some(record.line) != second);
        let mut evidence = Evidence::default();
        first.fields_from(1).for_each(|field| evidence.size(across, field));
        for record in list.clone().skip(1) {
            evidence.size(corner::other(across), record.field(0).unwrap_or_default());
            record.fields_from(1).for_each(|field| evidence.price(field, currency));
        }
        let reader = self.reader(&evidence, separator, widths_in, heights_in);
        found.understood = Some(Understood::new(head, separator, &reader, Some(across)));
        found.axes =
            grid::read(&mut list, across, &reader, self.options, &mut self.grid, &mut self.rows, &mut self.faults);
        Ok(())
    }
}

impl Reading<'_> {
    /// How the fields of the list are read, by what the whole of it has shown.
    fn reader(
        &self,
        evidence: &Evidence,
        separator: Separator,
        widths_in: ListUnit,
        heights_in: ListUnit,
    ) -> GridReader {
        let ImportOptions { unit, currency, .. } = *self.options;
        let (decimal, likely) = (evidence.decimal_mark(separator), evidence.likely());
        GridReader { unit, currency, widths_in, heights_in, decimal, likely, bare_sizes: evidence.bare_sizes() }
    }
}

impl Understood {
    fn new(head: &layout::Head, separator: Separator, reader: &GridReader, across: Option<Axis>) -> Self {
        Self {
            lines_above: head.titles,
            separator: separator.as_char(),
            decimal: reader.decimal.or(reader.likely),
            widths_in: reader.widths_in,
            heights_in: reader.heights_in,
            across,
        }
    }
}

/// Prices by (height, width).
type Grid = BTreeMap<(Length, Length), Price>;

#[derive(Default)]
struct Rows {
    total: usize,
    valid: usize,
}

#[derive(Default)]
struct Faults {
    list: Vec<CsvFault>,
    more: usize,
    /// A fault that skipping lines does not fix.
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

/// A field as a message shows it: short, on one line, and without what turns text around.
fn shown(field: &str) -> String {
    const SHOWN: usize = 30;
    let visible = |letter: &char| {
        !letter.is_control()
            && !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut text: String = field.chars().filter(visible).take(SHOWN).collect();
    if field.chars().count() > SHOWN {
        text.push('…');
    }
    format!("\"{text}\"")
}

/// What must be known of the whole file before a line of it is read.
struct Look {
    /// The first lines: those above the list, and the one that it begins with.
    first: Vec<Record>,
    lines: usize,
}

impl Look {
    fn through(records: Records<'_>) -> Result<Self, QuoteFault> {
        let mut look = Self { first: Vec::new(), lines: 0 };
        for record in records {
            let record = record?;
            look.lines += 1;
            if look.first.len() <= layout::TITLES_MAX {
                look.first.push(record);
            }
        }
        Ok(look)
    }
}

#[cfg(test)]
mod tests;
