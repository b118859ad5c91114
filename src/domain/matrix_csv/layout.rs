//! Where a list begins below the lines above it, and how it is laid out.

use super::corner;
use super::header;
use super::measures::{self, ListUnit};
use super::numbers::looks_numeric;
use super::records::Record;
use super::shown;
use super::{Layout, words};
use crate::domain::length::Unit;
use crate::domain::matrix::Axis;
use crate::domain::money::Currency;

/// The most lines above a list: a title, a date, an address. A list that begins further down is not found.
pub(super) const TITLES_MAX: usize = 20;

/// What the lines above a list, and its first one, say of it.
#[derive(Debug)]
pub(super) struct Head {
    /// Lines above the list.
    pub(super) titles: usize,
    pub(super) layout: Layout,
    /// What the lines above say sizes are in.
    pub(super) sizes_in: Option<ListUnit>,
    /// Which size the lines above say runs along the top.
    pub(super) across: Option<Axis>,
}

/// Finds the first line of a list among the first lines of a file, `lines` of which it has in all.
pub(super) fn find(first: &[Record], lines: usize, layout: Option<Layout>) -> Head {
    let titles = count_titles(first, lines, layout);
    let above = &first[..titles];
    let texts = || above.iter().flat_map(|title| title.fields_from(0));
    let named = above.iter().rev().find_map(|title| corner::above(title.fields_from(1)));
    let Some(header) = first.get(titles) else {
        return Head { titles: 0, layout: layout.unwrap_or(Layout::Long), sizes_in: None, across: None };
    };
    let layout = layout.unwrap_or_else(|| detect(header, lines - titles, named.is_some()));
    Head { titles, layout, sizes_in: texts().find_map(unit_of_title), across: named.filter(|_| layout == Layout::Grid) }
}

/// Checks if a line above a list says that its prices are in another currency, or its sizes in another unit than the store's.
///
/// # Errors
/// The line, and a sentence that says what to do.
pub(super) fn check_titles(titles: &[Record], unit: Unit, currency: Currency) -> Result<(), (usize, String)> {
    for title in titles {
        for text in title.fields_from(0) {
            measures::check_title(text, currency).map_err(|message| (title.line, message))?;
            let unclear = units_of_title(text).find(|&(said, is_meant)| !is_meant && said != unit.into());
            if let Some((said, _)) = unclear {
                let message = format!(
                    "does {} say that sizes are in {said}? write \"sizes in {said}\", or leave it out",
                    shown(text)
                );
                return Err((title.line, message));
            }
        }
    }
    let mut units = titles.iter().flat_map(|title| title.fields_from(0).map(|text| (title.line, text)));
    let Some((first, unit)) = units.by_ref().find_map(|(_, text)| Some((text, unit_of_title(text)?))) else {
        return Ok(());
    };
    let other = units.find(|(_, text)| unit_of_title(text).is_some_and(|other| other != unit));
    match other {
        Some((line, text)) => {
            Err((line, format!("{} and {} do not agree what sizes are in", shown(first), shown(text))))
        }
        None if !unit.is_metric() => {
            Err((0, format!("{} says {unit}: convert the sizes, or correct that line", shown(first))))
        }
        None => Ok(()),
    }
}

/// The unit that a title names for all sizes, as in `all sizes in cm` or `(mm)`: not that of a number in it, as in `slats of 25 mm`.
fn unit_of_title(title: &str) -> Option<ListUnit> {
    units_of_title(title).find_map(|(unit, is_meant)| is_meant.then_some(unit))
}

/// The units of a title that are alongside no number, each with whether it is clear that all sizes are in it.
fn units_of_title(title: &str) -> impl Iterator<Item = (ListUnit, bool)> {
    let all: Vec<&str> = words::words_of(title).collect();
    let found = all.iter().enumerate().filter_map(|(index, word)| {
        let unit = ListUnit::of(word).filter(|unit| unit.is_metric() || word.len() > 2)?;
        let before = index.checked_sub(1).map(|before| all[before]);
        if before.is_some_and(|before| before.ends_with(|last: char| last.is_ascii_digit())) {
            return None;
        }
        let is_bracketed = ["(", "["].iter().any(|open| title.contains(&format!("{open}{word}")));
        let is_meant = is_bracketed || before.is_none_or(words::is_neutral) && (before.is_some() || all.len() == 1);
        // A letter alone may be anything.
        (is_meant || word.len() > 1).then_some((unit, is_meant))
    });
    found.collect::<Vec<_>>().into_iter()
}

/// How many lines are above the list. They have no numbers, and what follows them is the start of a list.
fn count_titles(first: &[Record], lines: usize, layout: Option<Layout>) -> usize {
    let start = first.iter().take(TITLES_MAX + 1).position(|record| begins_list(record, layout));
    let Some(start) = start else { return 0 };
    let is_alone = |record: &Record| record.fields_from(0).filter(|field| !field.is_empty()).count() == 1;
    let Some(above) = start.checked_sub(1).map(|index| &first[index]) else { return 0 };
    let begun = &first[start];
    let is_named_above = first[..start].iter().any(|title| corner::above(title.fields_from(1)).is_some());
    let has_header = header::columns_named(begun) >= 2
        || layout == Some(Layout::Grid)
        || detect(begun, lines - start, is_named_above) == Layout::Grid;
    // What is above bare numbers is their header, and a header that says too little is reported as such.
    if has_header || is_alone(above) { start } else { start - 1 }
}

/// Whether a line is the first of a list: a header that names its columns, or one with numbers.
fn begins_list(record: &Record, layout: Option<Layout>) -> bool {
    let filled = || record.fields_from(0).filter(|field| !field.is_empty());
    let is_heading = layout != Some(Layout::Grid) && header::columns_named(record) >= 2 && filled().count() > 2;
    // `2026 price list`, alone in its line, is not a header.
    let is_prose = |field: &str| filled().count() == 1 && field.split_whitespace().skip(1).any(is_word);
    is_heading || filled().any(|field| looks_numeric(field) && !is_prose(field))
}

fn is_word(word: &str) -> bool {
    word.chars().filter(|letter| letter.is_alphabetic()).count() > 2
}

/// A grid's first line has numbers, but not in its corner. Three columns could also be a size whose width is a typing error, so there
/// the corner must look like one, and a 0 there needs lines below: alone it is a width that cannot be.
fn detect(first: &Record, lines: usize, is_named_above: bool) -> Layout {
    let corner = first.field(0).unwrap_or_default();
    let used = first.fields_from(1).rposition(|field| !field.is_empty()).map_or(0, |last| last + 1);
    let mut widths = first.fields_from(1).take(used);
    let is_corner = match used {
        2 if corner == "0" => lines > 1,
        2 if !looks_numeric(corner) => {
            let marks = ["mm", "cm", "/", "\\", "×", "w x h", "h x w", "w×h", "↓", "→"];
            is_named_above
                || corner.is_empty()
                || marks.iter().any(|mark| corner.to_lowercase().contains(mark))
                || corner::names_size(corner)
                || header::column(corner).is_some()
                || header::names_unit(corner)
        }
        2 => false,
        _ => !looks_numeric(corner) || corner == "0",
    };
    if is_corner && widths.any(looks_numeric) { Layout::Grid } else { Layout::Long }
}
