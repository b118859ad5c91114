//! How a file writes its numbers. `1,500` and `1.500` are 1500 to one half of Europe and 1.5 to the other, and both look right in
//! a price list: the mark before decimals is what other fields of the file prove it to be, and where none does, such a number is a
//! fault.

use super::NOT_OFFERED;
use super::measures::{self, ListUnit};
use super::records::Separator;
use super::shown;
use crate::domain::decimal::DecimalFault;
use crate::domain::length::{Length, LengthError, Unit};
use crate::domain::matrix::Axis;
use crate::domain::money::{Currency, Minor};
use crate::domain::text_enum::text_enum;

text_enum! {
    /// What is before the decimals.
    pub enum DecimalMark {
        /// `92.90`
        Point = "point",
        /// `92,90`
        Comma = "comma",
    }
}

impl DecimalMark {
    fn as_char(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Point => Self::Comma,
            Self::Comma => Self::Point,
        }
    }
}

/// Marks between thousands that are never decimal marks: blanks of every width, and the Swiss apostrophe.
const QUIET_MARKS: [char; 11] = [' ', '\u{a0}', '\u{2007}', '\u{2009}', '\u{202f}', '\'', '’', '‘', 'ʼ', '´', '`'];

/// Minus signs.
const MINUS: [char; 2] = ['-', '−'];

/// How a number's marks can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marks {
    /// None, or only those between thousands.
    Whole,
    /// This mark is the decimal one.
    Decimal(DecimalMark),
    /// This mark is between thousands.
    Thousands(DecimalMark),
    /// This mark is one or the other: `1.500`.
    Either(DecimalMark),
}

/// A number taken apart: its digits without quiet marks.
struct Number {
    marks: Marks,
    text: String,
    negative: bool,
}

impl Number {
    /// `None` for what is no number.
    fn of(field: &str) -> Option<Self> {
        let unsigned = field.strip_prefix(MINUS).map(str::trim_start);
        let (negative, digits) = (unsigned.is_some(), unsigned.unwrap_or(field));
        if !digits.starts_with(|first: char| first.is_ascii_digit()) || !digits.ends_with(|c: char| c.is_ascii_digit())
        {
            return None;
        }
        let mut quiet = digits.chars().filter(|letter| QUIET_MARKS.contains(letter));
        let text = match quiet.next() {
            Some(mark) => {
                // Behind the last of them at most one mark may follow: the decimal one.
                let end = digits.rfind(mark).and_then(|last| digits[last..].find(['.', ',']).map(|at| last + at));
                let whole = &digits[..end.unwrap_or(digits.len())];
                if quiet.any(|other| other != mark) || !is_grouped(whole, mark) {
                    return None;
                }
                return Self::ungrouped(&digits.replace(mark, ""), end.is_some(), negative);
            }
            None => digits,
        };
        Some(Self { marks: marks_of(text)?, text: text.to_owned(), negative })
    }

    /// A number whose thousands are set apart by a quiet mark.
    fn ungrouped(text: &str, has_decimals: bool, negative: bool) -> Option<Self> {
        let marks = match marks_of(text)? {
            Marks::Whole => Marks::Whole,
            Marks::Decimal(mark) | Marks::Either(mark) if has_decimals => Marks::Decimal(mark),
            _ => return None,
        };
        Some(Self { marks, text: text.to_owned(), negative })
    }

    /// As `digits[.digits]`.
    fn plain(&self, decimal: DecimalMark) -> String {
        let sign = if self.negative { "-" } else { "" };
        let without = self.text.replace(decimal.other().as_char(), "");
        format!("{sign}{}", without.replace(decimal.as_char(), "."))
    }
}

/// How the marks of digits, points and commas can be read; `None` where they cannot.
fn marks_of(text: &str) -> Option<Marks> {
    if text.bytes().any(|byte| !byte.is_ascii_digit() && byte != b'.' && byte != b',') {
        return None;
    }
    let Some(last) = text.rfind(['.', ',']) else { return Some(Marks::Whole) };
    let mark = if text[last..].starts_with('.') { DecimalMark::Point } else { DecimalMark::Comma };
    let (whole, fraction) = (&text[..last], &text[last + 1..]);
    if whole.is_empty() || fraction.is_empty() {
        return None;
    }
    if whole.contains(mark.as_char()) {
        return is_grouped(text, mark.as_char()).then_some(Marks::Thousands(mark));
    }
    if whole.contains(mark.other().as_char()) {
        return is_grouped(whole, mark.other().as_char()).then_some(Marks::Decimal(mark));
    }
    // Thousands are not written behind a zero, behind more than three digits, or with other than three.
    let is_either = whole.len() <= 3 && !whole.starts_with('0') && fraction.len() == 3;
    Some(if is_either { Marks::Either(mark) } else { Marks::Decimal(mark) })
}

/// Whether it is digits in groups of three: `1'500'000`.
fn is_grouped(text: &str, mark: char) -> bool {
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let mut groups = text.split(mark);
    let first = groups.next().unwrap_or_default();
    (1..=3).contains(&first.len()) && digits(first) && groups.all(|group| group.len() == 3 && digits(group))
}

/// Whether a field begins as a number does. What is not one after all ("300x") still is a mistake to report, and never a heading.
pub(super) fn looks_numeric(field: &str) -> bool {
    !is_date(field)
        && field.trim_start_matches(['+', '-', '−', '.', ',', ' ']).starts_with(|first: char| first.is_ascii_digit())
}

/// Dates are in the lines above a list.
fn is_date(field: &str) -> bool {
    ['.', '-', '/'].iter().any(|&mark| {
        let parts: Vec<&str> = field.split(mark).collect();
        let has_year = parts.iter().any(|part| part.len() == 4);
        parts.len() == 3
            && has_year
            && parts.iter().all(|part| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))
            // 1.500.000 is not a decimal number.
            && parts.iter().filter(|part| part.len() <= 2).count() == 2
    })
}

/// What the fields of a file say about its decimal mark.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    point: bool,
    comma: bool,
    /// What prices say where nothing is proven: those of a currency with three decimals have three. It says nothing of sizes.
    likely: Option<DecimalMark>,
    /// Whether a width, and a height, is there without a unit.
    bare_sizes: [bool; 2],
}

impl Evidence {
    pub(super) fn size(&mut self, axis: Axis, field: &str) {
        let (bare, said) = without_unit(field);
        if let Some(number) = Number::of(bare) {
            self.add(number.marks);
            self.bare_sizes[place(axis)] |= said.is_none();
        }
    }

    /// Whether there are widths, and heights, without a unit.
    pub(super) fn bare_sizes(&self) -> [bool; 2] {
        self.bare_sizes
    }

    pub(super) fn price(&mut self, field: &str, currency: Currency) {
        if !field.contains(['.', ',']) {
            return;
        }
        let Ok((_, bare)) = without_currency(field, currency) else { return };
        let Some(number) = Number::of(bare) else { return };
        self.add(number.marks);
        if let Marks::Either(mark) = number.marks {
            match currency.exponent() {
                // Without decimals, it can only be thousands.
                0 => self.add(Marks::Thousands(mark)),
                1 | 2 => {}
                _ => self.likely = self.likely.or(Some(mark)),
            }
        }
    }

    fn add(&mut self, marks: Marks) {
        let proven = match marks {
            Marks::Decimal(mark) => mark,
            Marks::Thousands(mark) => mark.other(),
            Marks::Whole | Marks::Either(_) => return,
        };
        match proven {
            DecimalMark::Point => self.point = true,
            DecimalMark::Comma => self.comma = true,
        }
    }

    /// The mark that the file's decimals follow, where anything says so.
    pub(super) fn decimal_mark(&self, separator: Separator) -> Option<DecimalMark> {
        match (self.point, self.comma) {
            (true, false) => Some(DecimalMark::Point),
            (false, true) => Some(DecimalMark::Comma),
            // Both: semicolons between fields are there because of decimal commas. The other fields are faults.
            (true, true) if separator == Separator::Semicolon => Some(DecimalMark::Comma),
            (true, true) => Some(DecimalMark::Point),
            (false, false) => None,
        }
    }

    /// The mark of prices, where nothing proves that of the file.
    pub(super) fn likely(&self) -> Option<DecimalMark> {
        self.likely
    }
}

fn place(axis: Axis) -> usize {
    match axis {
        Axis::Width => 0,
        Axis::Height => 1,
    }
}

/// Reads the numbers of one file.
pub(super) struct GridReader {
    pub(super) unit: Unit,
    pub(super) currency: Currency,
    /// What the list's widths and heights are in.
    pub(super) widths_in: ListUnit,
    pub(super) heights_in: ListUnit,
    /// `None` where nothing in the file says what it is.
    pub(super) decimal: Option<DecimalMark>,
    /// What it is in prices, where nothing proves it.
    pub(super) likely: Option<DecimalMark>,
    /// Whether there are widths, and heights, that have no unit alongside them.
    pub(super) bare_sizes: [bool; 2],
}

/// A price, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Price {
    NotOffered,
    Of(Minor),
    /// It says so in words: no zero that may mean something else.
    Free,
}

impl Price {
    /// The price, where there is one.
    pub(super) fn minor(self) -> Option<Minor> {
        match self {
            Self::NotOffered => None,
            Self::Of(price) => Some(price),
            Self::Free => Some(Minor::ZERO),
        }
    }
}

impl GridReader {
    pub(super) fn length(&self, axis: Axis, field: &str) -> Result<Length, String> {
        let of_axis = match axis {
            Axis::Width => self.widths_in,
            Axis::Height => self.heights_in,
        };
        let (bare, said) = without_unit(field);
        let unit = said.unwrap_or(of_axis);
        if !unit.is_metric() {
            return Err(format!("{axis} {} is in {unit}: write it in {}", shown(field), self.unit));
        }
        if unit != of_axis && self.bare_sizes[place(axis)] {
            return Err(format!(
                "{axis} {} is in {unit}, and others do not say what they are in: write all in {of_axis}",
                shown(field)
            ));
        }
        let fault = |fault: LengthError| format!("{axis} {} {fault}", shown(field));
        let Some(number) = Number::of(bare) else {
            return Err(fault(DecimalFault::NotADecimal.into()));
        };
        if let (None, Marks::Either(mark)) = (self.decimal, number.marks) {
            // Sizes rarely have three decimals, and a price for 1.5 instead of 1500 would look right.
            let (thousands, decimals) = (number.plain(mark.other()), number.plain(mark));
            let decimals = decimals.trim_end_matches('0').trim_end_matches('.');
            return Err(format!("{axis} {} could be {thousands} or {decimals}: write which", shown(field)));
        }
        let plain = plain(&number, self.decimal).map_err(|why| format!("{axis} {} {why}", shown(field)))?;
        let read = unit.length(&plain, self.unit);
        read.map_err(|reason| match reason {
            LengthError::Decimal(DecimalFault::TooManyDecimals { .. }) if unit != self.unit.into() => {
                format!("{axis} {} {unit} has no exact counterpart in {}", shown(field), self.unit)
            }
            reason => fault(reason),
        })
    }

    pub(super) fn price(&self, field: &str) -> Result<Price, String> {
        if is_not_offered(field) {
            return Ok(Price::NotOffered);
        }
        if let Some(zero) = field.strip_suffix(super::FREE)
            && self.currency.parse_price(zero.trim_end()) == Ok(Minor::ZERO)
        {
            return Ok(Price::Free);
        }
        let fault = |fault: DecimalFault| format!("price {} {fault}", shown(field));
        let (negative, bare) = without_currency(field, self.currency).map_err(|foreign| match foreign {
            Some(said) => {
                let code = self.currency.code();
                format!("price {} says {said}, and the store's prices are in {code}", shown(field))
            }
            None => fault(DecimalFault::NotADecimal),
        })?;
        let number = Number::of(bare).ok_or_else(|| fault(DecimalFault::NotADecimal))?;
        let number = Number { negative, ..number };
        let decimal = self.decimal.or(self.likely);
        if let (None, Marks::Either(mark)) = (decimal, number.marks) {
            let (thousands, most) = (number.plain(mark.other()), self.currency.exponent());
            let too_many = DecimalFault::TooManyDecimals { most };
            return Err(format!("price {} {too_many}; if it is {thousands}, write it so", shown(field)));
        }
        let plain = plain(&number, decimal).map_err(|why| format!("price {} {why}", shown(field)))?;
        self.currency.parse_price(&plain).map(Price::Of).map_err(fault)
    }
}

/// As `digits[.digits]`, by the file's decimal mark.
fn plain(number: &Number, decided: Option<DecimalMark>) -> Result<String, String> {
    let decimal = match (number.marks, decided) {
        (Marks::Whole, _) => DecimalMark::Point,
        (Marks::Decimal(mark), decided) if decided.is_none_or(|decided| decided == mark) => mark,
        (Marks::Thousands(mark), decided) if decided.is_none_or(|decided| decided != mark) => mark.other(),
        (Marks::Either(_), Some(decided)) => decided,
        (marks, decided) => {
            let decided = decided.unwrap_or(DecimalMark::Point);
            let mark = decided.other().as_str();
            return Err(match marks {
                Marks::Thousands(_) => {
                    format!(
                        "has a {} between thousands, and elsewhere in the file it comes before decimals",
                        decided.as_str()
                    )
                }
                _ => format!("has a decimal {mark}, and elsewhere in the file decimals follow a {}", decided.as_str()),
            });
        }
    };
    Ok(number.plain(decimal))
}

/// Whether a cell says that its size is not offered. An empty one says so in a grid only.
pub(super) fn is_not_offered(field: &str) -> bool {
    [NOT_OFFERED, "–", "—", "−"].contains(&field)
}

/// A size without the unit behind it.
pub(super) fn without_unit(field: &str) -> (&str, Option<ListUnit>) {
    let end = field.rfind(|letter: char| letter.is_ascii_digit()).map_or(0, |last| last + 1);
    let (bare, mark) = field.split_at(end);
    if bare.is_empty() || mark.is_empty() {
        return (field, None);
    }
    match ListUnit::of(mark.trim().trim_end_matches('.')) {
        Some(unit) => (bare, Some(unit)),
        None => (field, None),
    }
}

/// Whether a price is negative, and its number without the store's currency before or behind it, and without the dash that means
/// no cents: `99,-`.
///
/// # Errors
/// What it says instead, where that is another currency; `None` where it is no price.
fn without_currency(field: &str, currency: Currency) -> Result<(bool, &str), Option<String>> {
    let first = field.find(|letter: char| letter.is_ascii_digit()).ok_or(None)?;
    let end = field.rfind(|letter: char| letter.is_ascii_digit()).map_or(first, |last| last + 1);
    let accept = |mark: &str| match measures::names(mark, currency) {
        Some(true) => Ok(()),
        Some(false) => Err(Some(mark.trim().trim_end_matches('.').to_owned())),
        None => Err(None),
    };
    let (before, behind) = (field[..first].trim(), field[end..].trim());
    let behind = [".-", ",-", ".--", ",--", ".–", ",–", ".—", ",—"]
        .iter()
        .find_map(|dash| behind.strip_prefix(dash))
        .map_or(behind, str::trim);
    if !behind.is_empty() {
        accept(behind)?;
    }
    let unsigned = before.trim_start_matches(MINUS).trim_end_matches(MINUS).trim();
    if !unsigned.is_empty() {
        accept(unsigned)?;
    }
    // What is negative is reported as such, wherever its sign is.
    Ok((before.contains(MINUS), &field[first..end]))
}
