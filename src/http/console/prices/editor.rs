//! The sheet of one price list: shown, worked on without saving, saved; and what becomes of an edit that meets another.

use super::sheet::{self, Conflict, Faults, Merged, Reshape, Sheet};
use super::view::{self, SheetView};
use super::{FLASHES, load, matrix_id, redirect};
use crate::catalog::matrices::{self, Edit, StoredMatrix};
use crate::catalog::stores::Scope;
use crate::domain::adjustment::{Adjustment, Rounding};
use crate::domain::ids::MatrixId;
use crate::domain::length::Length;
use crate::domain::matrix::{OutOfRange, PriceMatrix, SizeLimits};
use crate::domain::money::{BasisPoints, Currency};
use crate::domain::name::Name;
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::console::Visit;
use crate::http::console::form::Form;
use crate::http::console::layout::{Frame, error_page, page};
use crate::http::console::number;
use crate::http::console::shops::area::{ShopArea, Tab, frame_of};
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use askama::Template;
use std::sync::Arc;

/// Ways to round after a change by percent, as the form offers them where the currency has such prices.
const ROUNDINGS: &[(&str, &str)] = &[
    ("", "exactly"),
    (".95", "to end in .95"),
    (".99", "to end in .99"),
    (".90", "to end in .90"),
    ("0.05", "to 0.05"),
    ("0.10", "to 0.10"),
    ("0.50", "to 0.50"),
    ("1", "to whole"),
    ("5", "to 5"),
    ("10", "to 10"),
];

/// Decimals of a percentage.
const PERCENT_DECIMALS: usize = 2;

/// What the sheet's script says; `{0}` is a number or a few values.
const WORDS: &str = r#"{"undone":"Undone.","redone":"Done again.","pasted":"{0} cells pasted.","outside":"{0} did not fit into the sheet.","unread":"Not readable as prices: {0}.","changes":"{0} unsaved changes","oneChange":"1 unsaved change","noChanges":"No unsaved changes","holes":"{0} not offered","falls":"{0} lower than a smaller size","wrong":"{0} not readable","adjusted":"The prices are changed in the sheet. Look at them, then save.","failed":"This could not be worked out. Nothing was changed.","width":"Width","height":"Height","price":"Price"}"#;

/// A conflict in words.
struct ConflictLine {
    size: String,
    was: String,
    mine: String,
    theirs: String,
}

#[derive(Template)]
#[template(path = "prices/sheet.html", config = "src/http/console/askama.toml")]
struct SheetPage {
    frame: Frame,
    area: ShopArea,
    /// Where the page itself is.
    here: String,
    name: Name,
    version: i64,
    unit: &'static str,
    currency: Currency,
    outside: OutOfRange,
    limits: SizeLimits,
    words: &'static str,
    roundings: Vec<(&'static str, &'static str)>,
    sheet: SheetView,
    /// What has just been done to the sheet, or what it was filled with.
    notes: Vec<String>,
    /// What went wrong with that.
    fault: Option<String>,
    conflicts: Vec<ConflictLine>,
    inputs: AdjustInputs,
}

/// What the form for a change by percent has in its fields.
#[derive(Debug, Default)]
struct AdjustInputs {
    percent: String,
    rounding: String,
    range: [String; 4],
}

impl AdjustInputs {
    fn of(form: &Form) -> Self {
        let text = |name: &str| form.get(name).trim().to_owned();
        Self { percent: text("percent"), rounding: text("rounding"), range: RANGE.map(text) }
    }
}

/// The fields that say which steps a change by percent is about.
const RANGE: [&str; 4] = ["from-width", "to-width", "from-height", "to-height"];

/// A list and the sheet that is shown for it.
pub(super) struct Shown {
    pub(super) stored: StoredMatrix,
    pub(super) sheet: Sheet,
    pub(super) notes: Vec<String>,
    pub(super) fault: Option<String>,
    pub(super) faults: Faults,
    pub(super) conflicts: Vec<Conflict>,
    /// The version and grid that the sheet was made from, where they are not the saved ones.
    pub(super) made_from: Option<(i64, Sheet)>,
}

impl Shown {
    /// What is saved.
    pub(super) fn saved(stored: StoredMatrix, currency: Currency) -> Self {
        let sheet = Sheet::of(&stored.matrix, currency);
        Self::worked_on(stored, sheet)
    }

    /// A sheet that is not saved.
    pub(super) fn worked_on(stored: StoredMatrix, sheet: Sheet) -> Self {
        Self {
            stored,
            sheet,
            notes: Vec::new(),
            fault: None,
            faults: Faults::new(),
            conflicts: Vec::new(),
            made_from: None,
        }
    }
}

pub(super) fn show(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    let (stored, scope) = (load(state, visit, params)?, visit.store()?.scope());
    render(
        200,
        frame_of(visit, FLASHES),
        ShopArea::of(visit, Tab::Prices)?,
        scope,
        &Form::default(),
        shown(stored, scope),
    )
}

fn shown(stored: StoredMatrix, scope: Scope) -> Shown {
    Shown::saved(stored, scope.currency)
}

/// The page of a sheet.
pub(super) fn render(
    status: u16,
    frame: Frame,
    area: ShopArea,
    scope: Scope,
    form: &Form,
    shown: Shown,
) -> Result<Response> {
    let Shown { stored, sheet, notes, fault, faults, conflicts, made_from } = shown;
    let currency = scope.currency;
    let (version, saved) = made_from.unwrap_or_else(|| (stored.version, Sheet::of(&stored.matrix, currency)));
    let lines = conflicts.iter().map(|conflict| ConflictLine {
        size: format!("{} × {}", conflict.width, conflict.height),
        was: view::said(conflict.was, currency),
        mine: view::said(conflict.mine, currency),
        theirs: view::said(conflict.theirs, currency),
    });
    let is_offered = |(value, _): &&(&str, &str)| value.is_empty() || Rounding::parse(value, currency).is_ok();
    let here = format!("{}{}/prices/{}", frame.root, area.path(), stored.id);
    page(
        status,
        &SheetPage {
            frame,
            area,
            here,
            name: stored.name,
            version,
            unit: scope.unit.as_str(),
            currency,
            outside: stored.matrix.outside(),
            limits: stored.matrix.limits(),
            words: WORDS,
            roundings: ROUNDINGS.iter().filter(is_offered).copied().collect(),
            sheet: view::view(&sheet, &saved, currency, &faults, &conflicts),
            notes,
            fault,
            conflicts: lines.collect(),
            inputs: AdjustInputs::of(form),
        },
    )
}

/// Works on the sheet that a form has, and shows it again. Nothing is saved.
pub(super) fn rework(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    let (stored, scope, form) = (load(state, visit, params)?, visit.store()?.scope(), &visit.form);
    let (sheet, made_from) = read(form)?;
    let mut shown = Shown { made_from: Some(made_from), ..Shown::worked_on(stored, sheet) };
    let mut status = 200;
    match todo(form) {
        Some(Todo::Reshape(how)) => shown.sheet.reshape(how),
        Some(Todo::Adjust) => match adjusted(&shown.sheet, form, scope.currency) {
            Ok((sheet, count)) => {
                shown.sheet = sheet;
                shown.notes.push(changed_note(count));
            }
            Err((faults, fault)) => {
                (shown.faults, shown.fault, status) = (faults, Some(fault), 422);
            }
        },
        None => {}
    }
    render(status, frame_of(visit, &[]), ShopArea::of(visit, Tab::Prices)?, scope, form, shown)
}

fn changed_note(count: usize) -> String {
    match count {
        0 => "No price changes by that.".to_owned(),
        1 => "1 price is changed in the sheet and marked. Look at it, then save.".to_owned(),
        count => format!("{count} prices are changed in the sheet and marked. Look at them, then save."),
    }
}

/// What is to be done to a sheet.
enum Todo {
    Reshape(Reshape),
    Adjust,
}

fn todo(form: &Form) -> Option<Todo> {
    let at = |field: &str| form.entered(field).and_then(|position| position.parse().ok());
    Some(match form.get("do") {
        "add-width" => Todo::Reshape(Reshape::AddWidth),
        "add-height" => Todo::Reshape(Reshape::AddHeight),
        "remove-width" => Todo::Reshape(Reshape::RemoveWidth(at("column")?)),
        "remove-height" => Todo::Reshape(Reshape::RemoveHeight(at("row")?)),
        "adjust" => Todo::Adjust,
        _ => return None,
    })
}

/// The sheet of a form, and what it was made from.
fn read(form: &Form) -> Result<(Sheet, (i64, Sheet))> {
    let malformed = |message: String| Error::new(Kind::Malformed, message);
    let sheet = Sheet::read(form.pairs()).map_err(|fault| malformed(fault.to_string()))?;
    let version = form.get("version").parse();
    let version =
        version.map_err(|_unreadable| malformed("the form does not say which version it was made from".into()))?;
    Ok((sheet, (version, sheet::unpack(form.get("base")))))
}

/// The sheet with its prices changed by percent, and how many change.
fn adjusted(sheet: &Sheet, form: &Form, currency: Currency) -> std::result::Result<(Sheet, usize), (Faults, String)> {
    let matrix = sheet.check(currency, OutOfRange::default(), SizeLimits::default());
    let matrix = matrix.map_err(|faults| (faults, "Correct the marked cells first.".to_owned()))?;
    let adjustment = adjustment(form, &matrix, currency).map_err(|fault| (Faults::new(), fault))?;
    let new = adjustment.apply(&matrix, currency).map_err(|fault| {
        let what = if fault.field() == "percent" { "The percentage" } else { "The rounding" };
        (Faults::new(), format!("{what} {fault}."))
    })?;
    let count = matrix.changes_to(&new).prices.len();
    Ok((Sheet::of(&new, currency), count))
}

/// The change by percent that a form asks for.
fn adjustment(form: &Form, matrix: &PriceMatrix, currency: Currency) -> std::result::Result<Adjustment, String> {
    let text = form.get("percent").replace('%', "");
    let plain = number::plain(text.trim_start_matches('+'), PERCENT_DECIMALS, false)
        .map_err(|fault| format!("The percentage {fault}."))?;
    if plain.is_empty() {
        return Err("Say by how many percent, such as 4 or -2.5.".to_owned());
    }
    let percent = BasisPoints::parse_percent(&plain).map_err(|fault| format!("The percentage {fault}."))?;
    let rounding = form.entered("rounding").map(|text| Rounding::parse(text, currency)).transpose();
    let rounding = rounding.map_err(|fault| format!("The rounding {fault}."))?;
    let bound = |name: &str| match form.entered(name).map(sheet::length).transpose() {
        Ok(bound) => Ok(bound),
        Err(fault) => Err(format!("\"{}\" {fault}.", name.replace('-', " "))),
    };
    let [from_width, to_width, from_height, to_height] = RANGE.map(bound);
    let widths = within(matrix.widths(), from_width?, to_width?);
    let heights = within(matrix.heights(), from_height?, to_height?);
    let is_all = widths.len() == matrix.widths().len() && heights.len() == matrix.heights().len();
    let cells: Vec<(Length, Length)> =
        heights.iter().flat_map(|&height| widths.iter().map(move |&width| (width, height))).collect();
    if cells.is_empty() && !is_all {
        return Err("There is no price between these sizes.".to_owned());
    }
    Ok(Adjustment { percent, rounding, cells: (!is_all).then_some(cells) })
}

fn within(steps: &[Length], from: Option<Length>, to: Option<Length>) -> Vec<Length> {
    let is_in = |step: &&Length| from.is_none_or(|from| **step >= from) && to.is_none_or(|to| **step <= to);
    steps.iter().filter(is_in).copied().collect()
}

/// Saves the sheet of a form. Where another person has saved meanwhile, both edits are shown together, and nothing is saved.
pub(super) fn save(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    let (id, scope) = (matrix_id(params)?, visit.store()?.scope());
    let (stored, (sheet, made_from)) = (load(state, &visit, params)?, read(&visit.form)?);
    let area = ShopArea::of(&visit, Tab::Prices)?;
    let grid = match sheet.check(scope.currency, stored.matrix.outside(), stored.matrix.limits()) {
        Ok(grid) => grid,
        Err(faults) => {
            let fault = Some("Nothing is saved yet: correct the marked cells first.".to_owned());
            let shown = Shown { faults, fault, made_from: Some(made_from), ..Shown::worked_on(stored, sheet) };
            return render(422, frame_of(&visit, &[]), area, scope, &visit.form, shown).map(Deferred::answered);
        }
    };
    let expected = visit.form.expected()?;
    let now = state.app.clock.now();
    let saved = redirect(&visit, id, "saved");
    let when_stale = when_stale(state, visit, id, scope, area, made_from.1, grid.clone());
    let edit = Edit { grid: Some(grid), ..Edit::default() };
    Ok(Deferred::commit(move |tx| matrices::edit(tx, now, scope, id, Some(expected), &edit), move |_version| saved)
        .with_error_page(when_stale))
}

/// The page for an edit that could not be saved: both edits together where another one was faster.
fn when_stale(
    state: &Arc<AppState>,
    visit: Visit,
    id: MatrixId,
    scope: Scope,
    area: ShopArea,
    base: Sheet,
    mine: PriceMatrix,
) -> impl FnOnce(&Error, Response) -> Response + Send + 'static {
    let state = state.clone();
    move |error, response| {
        let request_id = visit.request.id.clone();
        let failed = |error: &Error, response| error_page(frame_of(&visit, &[]), error, response, &request_id);
        if error.kind() != Kind::Stale {
            return failed(error, response);
        }
        let theirs = state.app.db.read(|connection| matrices::load(connection, scope.store, id));
        let Ok(theirs) = theirs else { return failed(error, response) };
        let Merged { sheet, conflicts, taken_over } = sheet::merge(&base, &mine, &theirs.matrix, scope.currency);
        let shown =
            Shown { notes: merge_notes(taken_over, conflicts.len()), conflicts, ..Shown::worked_on(theirs, sheet) };
        let status = response.status;
        render(status, frame_of(&visit, &[]), area, scope, &Form::default(), shown)
            .unwrap_or_else(|error| failed(&error, Response::empty(500)))
    }
}

fn merge_notes(taken_over: usize, conflicts: usize) -> Vec<String> {
    let mut notes = vec![
        "Somebody else has saved this list while you were editing it. Nothing of yours is saved yet, and nothing is lost: the sheet shows both edits together.".to_owned(),
    ];
    if taken_over > 0 {
        notes.push(format!(
            "Prices that only they have changed, and that the sheet has as they saved them: {taken_over}."
        ));
    }
    notes.push(match conflicts {
        0 => "No price was changed by both of you. Look at the sheet, then save.".to_owned(),
        1 => "One price was changed by both of you: yours is in the sheet, theirs below it. Decide, then save.".to_owned(),
        count => {
            format!("{count} prices were changed by both of you: yours are in the sheet, theirs below them. Decide, then save.")
        }
    });
    notes
}
