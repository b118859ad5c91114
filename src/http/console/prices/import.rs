//! A price list from a spreadsheet: read from a file or from what was pasted, and put into the sheet, where it is looked at
//! before it is saved.

use super::editor::{Shown, render};
use super::sheet::Sheet;
use super::{load, matrix_id};
use crate::catalog::matrices;
use crate::domain::ids::MatrixId;
use crate::domain::matrix_csv::{self, CsvFault, Import, Layout, Zero};
use crate::domain::name::Name;
use crate::error::Result;
use crate::http::Response;
use crate::http::console::Visit;
use crate::http::console::form::Form;
use crate::http::console::layout::{Frame, page};
use crate::http::console::shops::area::{ShopArea, Tab, frame_of};
use crate::http::route::Params;
use crate::http::state::AppState;
use askama::Template;
use std::sync::Arc;

/// Faults that are listed one by one: a file with more is the wrong one.
const LISTED: usize = 20;

#[derive(Template)]
#[template(path = "prices/import.html", config = "src/http/console/askama.toml")]
struct ImportPage {
    frame: Frame,
    area: ShopArea,
    id: MatrixId,
    name: Name,
    unit: &'static str,
    currency: String,
    /// What was pasted, to be corrected.
    text: String,
    zero: String,
    skips: bool,
    faults: Vec<CsvFault>,
    more: usize,
}

pub(super) fn form(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    import_page(state, visit, params, 200, (Vec::new(), 0))
}

fn import_page(
    state: &Arc<AppState>,
    visit: &Visit,
    params: &Params,
    status: u16,
    (mut faults, more): (Vec<CsvFault>, usize),
) -> Result<Response> {
    let (stored, store) = (load(state, visit, params)?, visit.store()?);
    let more = more + faults.len().saturating_sub(LISTED);
    faults.truncate(LISTED);
    page(
        status,
        &ImportPage {
            frame: frame_of(visit, &[]),
            area: ShopArea::of(visit, Tab::Prices)?,
            id: stored.id,
            name: stored.name,
            unit: store.unit.as_str(),
            currency: store.currency.to_string(),
            text: visit.form.get("text").to_owned(),
            zero: visit.form.get("zero").to_owned(),
            skips: visit.form.has("skip"),
            faults,
            more,
        },
    )
}

/// Reads the list and shows the sheet with it. Nothing is saved.
pub(super) fn preview(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    let (id, scope, form) = (matrix_id(params)?, visit.store()?.scope(), &visit.form);
    let zero: Option<Zero> = form.entered("zero").and_then(|text| text.parse().ok());
    let options = matrices::import_options(scope, None, zero, form.has("skip"));
    let text = form.get("text").as_bytes();
    let import = matrix_csv::import(form.file("file").unwrap_or(text), &options);
    let mut notes = notes(&import);
    let matrix = match import.accept() {
        Ok(matrix) => matrix,
        Err(refused) => return import_page(state, visit, params, 422, (refused.faults, refused.more_faults)),
    };
    let stored = state.app.db.read(|connection| matrices::load(connection, scope.store, id))?;
    let changes = stored.matrix.changes_to(&matrix);
    notes.insert(0, "This is the list as it was read. Nothing is saved yet: look at it, then save.".to_owned());
    notes.push(format!(
        "{} widths and {} heights; {} prices differ from those that are saved.",
        matrix.widths().len(),
        matrix.heights().len(),
        changes.prices.len()
    ));
    let shown = Shown { notes, ..Shown::worked_on(stored, Sheet::of(&matrix, scope.currency)) };
    render(200, frame_of(visit, &[]), ShopArea::of(visit, Tab::Prices)?, scope, &Form::default(), shown)
}

/// How the list was understood, in sentences.
fn notes(import: &Import) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(read) = &import.understood {
        let layout = match import.layout {
            Layout::Long => "Read as a list with a line for each size".to_owned(),
            Layout::Grid => {
                let across = read.across.map_or("sizes", |axis| match axis.as_str() {
                    "height" => "heights",
                    _ => "widths",
                });
                format!("Read as a grid with {across} along the top")
            }
        };
        let decimal = read.decimal.map(|mark| format!(", decimals behind a {}", mark.as_str())).unwrap_or_default();
        notes.push(format!("{layout}; widths in {}, heights in {}{decimal}.", read.widths_in, read.heights_in));
        if read.lines_above > 0 {
            notes.push(format!("Lines above the list that were left out: {}.", read.lines_above));
        }
    }
    if import.valid_rows < import.total_rows {
        notes.push(format!(
            "Lines that could not be read and were left out: {}.",
            import.total_rows - import.valid_rows
        ));
    }
    if let Some(first) = import.repeats.first() {
        notes.push(format!(
            "Sizes that it has more than once: {}, the first of them {} × {}. The last price counts.",
            import.repeats.len(),
            first.width,
            first.height
        ));
    }
    notes
}
