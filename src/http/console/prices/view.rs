//! A sheet as its page shows it: every cell with its marks, what is wrong with it, and what another person has made of it.

use super::sheet::{self, Conflict, Faults, Marks, Place, Sheet};
use crate::domain::money::Currency;
use std::collections::BTreeMap;

/// A step of one side.
#[derive(Debug)]
pub(super) struct StepView {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) fault: Option<String>,
}

/// A price.
#[derive(Debug)]
pub(super) struct CellView {
    pub(super) value: String,
    /// Its marks, as names of the style.
    pub(super) class: String,
    pub(super) label: String,
    /// What is saved, where that is something else.
    pub(super) saved: Option<String>,
    pub(super) fault: Option<String>,
    /// What another person has saved in the meantime, where both have changed it.
    pub(super) theirs: Option<String>,
}

/// A height with its prices.
#[derive(Debug)]
pub(super) struct RowView {
    pub(super) step: StepView,
    pub(super) cells: Vec<CellView>,
}

/// Characters of a price that fit a column of the usual width.
const NARROW_MAX: usize = 9;

/// The whole sheet.
#[derive(Debug)]
pub(super) struct SheetView {
    pub(super) head: Vec<StepView>,
    pub(super) rows: Vec<RowView>,
    /// What it was made from, for a hidden field.
    pub(super) base: String,
    /// Whether a price is too long for columns of the usual width.
    pub(super) is_wide: bool,
    /// What is wrong, in sentences, for those who cannot look at every cell.
    pub(super) faults: Vec<String>,
    pub(super) changed: usize,
    pub(super) holes: usize,
    pub(super) falls: usize,
}

/// The view of `sheet`, compared with what is saved.
pub(super) fn view(
    sheet: &Sheet,
    saved: &Sheet,
    currency: Currency,
    faults: &Faults,
    conflicts: &[Conflict],
) -> SheetView {
    let marks = sheet::marks(sheet, saved, currency);
    let saved_texts = sheet::texts_by_size(saved);
    let theirs: BTreeMap<_, _> =
        conflicts.iter().map(|conflict| ((conflict.width, conflict.height), said(conflict.theirs, currency))).collect();
    let fault = |place| faults.get(&place).cloned();
    let step = |place, text: &String, name: &str, at: usize| StepView {
        value: text.clone(),
        label: format!("{name} {}", at + 1),
        fault: fault(place),
    };
    let cell = |row: usize, column: usize| {
        let size = sheet.size_at(row, column);
        let theirs = size.and_then(|size| theirs.get(&size).cloned());
        let marks = marks[row][column];
        let fault = fault(Place::Price(row, column));
        let saved = size.and_then(|size| saved_texts.get(&size).cloned()).unwrap_or_default();
        CellView {
            value: sheet.prices[row][column].clone(),
            class: classes(marks, fault.is_some(), theirs.is_some()),
            label: sheet.label_at(row, column),
            saved: marks.is_changed.then_some(saved),
            fault,
            theirs,
        }
    };
    let row = |row: usize| RowView {
        step: step(Place::Height(row), &sheet.heights[row], "Height", row),
        cells: (0..sheet.widths.len()).map(|column| cell(row, column)).collect(),
    };
    let count = |is: fn(&Marks) -> bool| marks.iter().flatten().filter(|marks| is(marks)).count();
    SheetView {
        head: sheet.widths.iter().enumerate().map(|(at, text)| step(Place::Width(at), text, "Width", at)).collect(),
        rows: (0..sheet.heights.len()).map(row).collect(),
        base: sheet::pack(saved),
        is_wide: sheet.prices.iter().flatten().any(|price| price.len() > NARROW_MAX),
        faults: faults.iter().map(|(place, fault)| format!("{} {fault}", sheet.place_name(*place))).collect(),
        changed: count(|marks| marks.is_changed),
        holes: count(|marks| marks.is_hole),
        falls: count(|marks| marks.falls),
    }
}

fn classes(marks: Marks, is_wrong: bool, is_conflict: bool) -> String {
    let names = [
        (marks.is_changed, "changed"),
        (marks.is_hole, "hole"),
        (marks.falls, "falls"),
        (is_wrong, "wrong"),
        (is_conflict, "conflict"),
    ];
    names.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect::<Vec<_>>().join(" ")
}

/// A price in words.
pub(super) fn said(standing: sheet::SavedPrice, currency: Currency) -> String {
    match standing {
        None => "no such step".to_owned(),
        Some(None) => "not offered".to_owned(),
        Some(Some(price)) => currency.format(price),
    }
}
