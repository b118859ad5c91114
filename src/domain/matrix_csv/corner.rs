//! Which size runs along the top of a grid and which down its side. A corner that names one size names the column below it; one that
//! names both, and does not say which is which, is a fault where it could mean either: read the wrong way round, a grid is sold
//! at wrong prices and looks right.

use super::header;
use super::measures::ListUnit;
use super::records::Record;
use super::shown;
use super::words::{self, Column};
use crate::domain::length::Unit;
use crate::domain::matrix::Axis;

/// Words of a heading that is above or below others: `Overall width in mm`.
const HEADING_WORDS_MAX: usize = 4;

/// Where something is in a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Along the top.
    Across,
    /// Down the side.
    Down,
}

/// A size that a corner names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Of(Axis),
    /// The one that the other is not.
    Other,
}

/// What a corner and the lines above it say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axes {
    /// Which size the first line has.
    pub(super) across: Axis,
    pub(super) widths_in: ListUnit,
    pub(super) heights_in: ListUnit,
}

/// Reads the corner of a grid; `across` is what a line above or below says of the columns, `above` what sizes are in as a title has it.
///
/// # Errors
/// A sentence that says what to write.
pub(super) fn read(corner: &str, across: Option<Axis>, above: Option<ListUnit>, unit: Unit) -> Result<Axes, String> {
    let (widths_in, heights_in) = units(corner, across, above, unit)?;
    check_stranger(corner)?;
    let said = places(corner)?;
    let across = match (said, across) {
        (Some(said), Some(above)) if said != above => {
            return Err(format!(
                "the corner {} and the line above it do not agree which size runs along the top: write {} in the corner, if that is \
                 what the first column holds",
                shown(corner),
                other(above)
            ));
        }
        (said, above) => said.or(above),
    };
    Ok(Axes { across: across.unwrap_or(Axis::Width), widths_in, heights_in })
}

/// Refuses a corner that names another size than these two, such as `louvre_mm`: the column below it would be taken for one of them.
fn check_stranger(corner: &str) -> Result<(), String> {
    let mut words = words::words_of(corner).filter(|word| ListUnit::of(word).is_none() && !words::is_neutral(word));
    let (Some(word), None) = (words.next(), words.next()) else { return Ok(()) };
    let is_known = header::column(word).is_some() || words::is_other_size(word) || header::is_priced(word);
    if is_known || !header::names_unit(corner) {
        return Ok(());
    }
    Err(format!(
        "the corner {} is neither width nor height: write what the first column holds, or make a list for each of its values",
        shown(corner)
    ))
}

/// Whether a corner names a size.
pub(super) fn names_size(corner: &str) -> bool {
    parts(corner).iter().any(|part| matches!(part, Part::Size(_)))
}

/// The size that a line above a grid says its columns are: it is behind the first column.
///
/// # Errors
/// A sentence that says what to write, where it names both.
pub(super) fn above<'a>(fields: impl Iterator<Item = &'a str>) -> Option<Axis> {
    // A heading, and no sentence that speaks of one.
    let headings = fields.filter(|field| words::words_of(field).count() <= HEADING_WORDS_MAX);
    let mut named = headings.filter_map(|field| match header::column(field)? {
        Column::Width => Some(Axis::Width),
        Column::Height => Some(Axis::Height),
        Column::Price => None,
    });
    let first = named.next()?;
    named.all(|other| other == first).then_some(first)
}

/// The size that a line right below the first one of a grid names for the column below it: it is alone there.
pub(super) fn below(record: &Record) -> Option<Axis> {
    let is_alone = record.fields_from(1).all(str::is_empty);
    let named = above(record.fields_from(0).take(1));
    let has_number = record.field(0).is_some_and(|field| field.contains(|letter: char| letter.is_ascii_digit()));
    named.filter(|_| is_alone && !has_number)
}

/// The axis that this one is not.
pub(super) fn other(axis: Axis) -> Axis {
    match axis {
        Axis::Width => Axis::Height,
        Axis::Height => Axis::Width,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Size(Size),
    Arrow(Place),
    /// `/` and what else sets one name apart from another.
    Apart,
    /// `x`, as in the name of a size: it says nothing about axes. A break of the line neither.
    Times,
}

/// Which size runs along the top, as far as a corner says.
fn places(corner: &str) -> Result<Option<Axis>, String> {
    let parts = parts(corner);
    let mut named: Vec<(Size, Option<Place>)> = Vec::new();
    let (mut waiting, mut first_here) = (None, 0);
    for part in &parts {
        match *part {
            Part::Size(size) => named.push((size, waiting.take())),
            Part::Arrow(place) => match named[first_here..].last_mut() {
                Some((_, to @ None)) => *to = Some(place),
                _ => waiting = Some(place),
            },
            Part::Apart | Part::Times => (waiting, first_here) = (None, named.len()),
        }
    }
    let unclear = || {
        Err(format!(
            "the corner {} does not say which size runs down the side: write that one alone, such as width or height",
            shown(corner)
        ))
    };
    let along = |axis, place| if place == Place::Across { axis } else { other(axis) };
    match named[..] {
        // Lists without a name in their corner have widths along the top; a length alone could be either.
        [] | [(Size::Other, _)] => Ok(None),
        [(Size::Of(axis), place)] => Ok(Some(along(axis, place.unwrap_or(Place::Down)))),
        [(first, first_place), (second, second_place)] => {
            let (first, second) = match (first, second) {
                (Size::Of(first), Size::Of(second)) if first != second => (first, second),
                (Size::Of(first), Size::Other) => (first, other(first)),
                (Size::Other, Size::Of(second)) => (other(second), second),
                _ => return unclear(),
            };
            match (first_place, second_place) {
                (Some(one), Some(two)) if one == two => unclear(),
                (Some(place), _) => Ok(Some(along(first, place))),
                (None, Some(place)) => Ok(Some(along(second, place))),
                (None, None) if parts.contains(&Part::Times) => Ok(None),
                // What runs down comes first, as in our own exports.
                (None, None) if first == Axis::Height => Ok(Some(Axis::Width)),
                (None, None) => unclear(),
            }
        }
        _ => unclear(),
    }
}

/// What is in a corner, word by word and mark by mark.
fn parts(corner: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut word = String::new();
    let end_word = |word: &mut String, parts: &mut Vec<Part>| {
        let part = match (words::fold(word).as_str(), header::column(word)) {
            ("", _) => None,
            ("x" | "by" | "mal" | "par" | "por" | "per" | "op", _) => Some(Part::Times),
            (
                "down" | "downwards" | "vertical" | "vertically" | "vertikal" | "rows" | "unten" | "senkrecht" | "side"
                | "left" | "links" | "seite",
                _,
            ) => Some(Part::Arrow(Place::Down)),
            ("across" | "horizontal" | "horizontally" | "columns" | "rechts" | "waagrecht" | "top" | "oben", _) => {
                Some(Part::Arrow(Place::Across))
            }
            (_, Some(Column::Width)) => Some(Part::Size(Size::Of(Axis::Width))),
            (_, Some(Column::Height)) => Some(Part::Size(Size::Of(Axis::Height))),
            (_, Some(Column::Price)) => None,
            (_, None) => words::is_other_size(word).then_some(Part::Size(Size::Other)),
        };
        word.clear();
        parts.extend(part);
    };
    for letter in corner.chars() {
        let mark = match letter {
            '→' | '←' | '↔' | '⇒' | '⇐' | '►' | '▶' | '▸' | '➔' | '➜' | '➡' | '⟶' | '>' | '»' => {
                Some(Part::Arrow(Place::Across))
            }
            '↓' | '↑' | '↕' | '⇓' | '⇑' | '▼' | '▾' | '▲' | '⬇' | '⬆' => {
                Some(Part::Arrow(Place::Down))
            }
            '×' | '*' | '\n' | '\r' => Some(Part::Times),
            '/' | '\\' | '|' | ',' | ';' | '&' => Some(Part::Apart),
            _ => None,
        };
        // Beyond ASCII anything may be what an encoding has made of a letter.
        let is_in_word = letter.is_alphanumeric() || (!letter.is_ascii() && !letter.is_whitespace());
        if mark.is_some() || !is_in_word {
            end_word(&mut word, &mut parts);
        } else {
            word.push(letter);
        }
        parts.extend(mark);
    }
    end_word(&mut word, &mut parts);
    parts
}

/// What widths and heights are in: one unit for both, or one alongside the name of each.
fn units(
    corner: &str,
    across: Option<Axis>,
    above: Option<ListUnit>,
    unit: Unit,
) -> Result<(ListUnit, ListUnit), String> {
    let whole = header::unit_of(corner, unit);
    if let Ok(said) = whole {
        return match (said, above, across) {
            (Some(said), Some(above), Some(Axis::Width)) if said != above => Ok((above, said)),
            (Some(said), Some(above), Some(Axis::Height)) if said != above => Ok((said, above)),
            (Some(said), Some(above), None) if said != above => Err(header::disagrees(corner, said, above)),
            _ => Ok([said.or(above).unwrap_or(unit.into()); 2].into()),
        };
    }
    let mut found = [None; 2];
    for piece in corner.split(['/', '\\', '|', '\n', '×', ',', ';']) {
        let place = match header::column(piece) {
            Some(Column::Width) => 0,
            Some(Column::Height) => 1,
            _ => continue,
        };
        found[place] = header::unit_of(piece, unit)?;
    }
    match found {
        [Some(widths), Some(heights)] => Ok((widths, heights)),
        _ => whole.map(|_said| (unit.into(), unit.into())),
    }
}
