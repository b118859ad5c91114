//! `/admin/shops/{shop}/prices`: price lists. The sheet of one list is in `editor.rs`, its reading and checking in `sheet.rs`.

mod editor;
mod import;
mod sheet;
mod view;

pub(super) use sheet::length;

use super::form::Form;
use super::layout::{Frame, page, sentence, with_headers};
use super::paging::page_of_store;
use super::shops::area::{ShopArea, Tab, frame_of};
use super::{Page, Visit};
use crate::catalog::assignments;
use crate::catalog::matrices::{self, Edit, MatrixSummary, PolicyEdit, StoredMatrix};
use crate::catalog::{DELETION_STEP, Expected};
use crate::clock::instant;
use crate::domain::ids::MatrixId;
use crate::domain::length::Length;
use crate::domain::matrix::{OutOfRange, PriceMatrix, SizeLimits};
use crate::domain::matrix_csv::{self, Layout};
use crate::domain::name::Name;
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use askama::Template;
use rusqlite::Connection;
use std::sync::Arc;

/// The pages.
pub(super) const ROUTES: &[Page] = &[
    Page::show("/admin/shops/{shop}/prices", list),
    Page::write("/admin/shops/{shop}/prices", "matrix.create", create),
    Page::show("/admin/shops/{shop}/prices/{matrix}", editor::show),
    Page::write("/admin/shops/{shop}/prices/{matrix}", "matrix.update", editor::save),
    Page::preview("/admin/shops/{shop}/prices/{matrix}/sheet", editor::rework),
    Page::show("/admin/shops/{shop}/prices/{matrix}/import", import::form),
    Page::preview("/admin/shops/{shop}/prices/{matrix}/import", import::preview),
    Page::show("/admin/shops/{shop}/prices/{matrix}/export", export),
    Page::write("/admin/shops/{shop}/prices/{matrix}/settings", "matrix.update", change),
    Page::write("/admin/shops/{shop}/prices/{matrix}/duplicate", "matrix.duplicate", duplicate),
    Page::show("/admin/shops/{shop}/prices/{matrix}/delete", ask_to_delete),
    Page::write("/admin/shops/{shop}/prices/{matrix}/delete", "matrix.delete", delete),
];

/// What was done just now, in words.
const FLASHES: &[(&str, &str)] = &[
    ("saved", "Saved. Shops have the new prices from now on."),
    ("changed", "The settings are saved."),
    ("created", "The price list is here. Fill in sizes and prices, or import them from a spreadsheet."),
    ("copied", "This is the copy. Products keep the list they have."),
    ("deleted", "The price list is deleted."),
];

/// A list as the page of all lists shows it.
struct Line {
    id: MatrixId,
    name: Name,
    size: String,
    products: usize,
    updated_at: String,
}

#[derive(Template)]
#[template(path = "prices/list.html", config = "src/http/console/askama.toml")]
struct ListPage {
    frame: Frame,
    area: ShopArea,
    lines: Vec<Line>,
    next: Option<String>,
    /// What was entered as the name of a new list that another has already, and that one.
    taken: Option<(Name, MatrixId)>,
}

fn list(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    list_page(state, visit, 200, None)
}

fn list_page(state: &AppState, visit: &Visit, status: u16, taken: Option<(Name, MatrixId)>) -> Result<Response> {
    let read = |connection: &Connection, store, before, limit| Ok(matrices::list(connection, store, before, limit)?);
    let (found, next) = page_of_store(state, visit, read, |summary| summary.id.to_string())?;
    let lines = found.into_iter().map(line).collect();
    let (frame, area) = (frame_of(visit, FLASHES), ShopArea::of(visit, Tab::Prices)?);
    page(status, &ListPage { frame, area, lines, next, taken })
}

fn line(summary: MatrixSummary) -> Line {
    let size = match (summary.widths, summary.heights) {
        (0, _) => "no prices yet".to_owned(),
        (widths, heights) => format!("{widths} × {heights}"),
    };
    let MatrixSummary { id, name, products, updated_at, .. } = summary;
    Line { id, name, size, products, updated_at: instant(updated_at) }
}

fn matrix_id(params: &Params) -> Result<MatrixId> {
    params.parse("matrix", "price list")
}

/// The list that the path names.
fn load(state: &AppState, visit: &Visit, params: &Params) -> Result<StoredMatrix> {
    let (id, store) = (matrix_id(params)?, visit.store()?.id);
    state.app.db.read(|connection| matrices::load(connection, store, id))
}

fn path_of(visit: &Visit, id: MatrixId) -> Result<String> {
    Ok(format!("admin/shops/{}/prices/{id}", visit.store()?.shop))
}

fn name_of(form: &Form) -> Result<Name> {
    form.get("name")
        .parse::<Name>()
        .map_err(|fault| Error::new(Kind::Invalid, "the price list needs a name").with_fault("Name", fault.to_string()))
}

fn create(state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    let (scope, name) = (visit.store()?.scope(), name_of(&visit.form)?);
    // A second list of a name prices no product, and a merchant who made it by mistake believes that it does.
    if !visit.form.has("confirmed") {
        let same = state.app.db.read(|connection| matrices::find_by_name(connection, scope.store, name.as_str()))?;
        if let Some(&id) = same.first() {
            return Ok(Deferred::answered(list_page(state, &visit, 409, Some((name, id)))?));
        }
    }
    let now = state.app.clock.now();
    let id = MatrixId::new(now, state.app.entropy.array());
    Ok(Deferred::commit(
        move |tx| {
            let empty = PriceMatrix::new(&[], &[], &[], OutOfRange::default(), SizeLimits::default());
            let empty = empty.map_err(|faults| matrices::invalid(&faults))?;
            matrices::insert(tx, now, id, scope, &name, &empty)
        },
        move |()| redirect(&visit, id, "created"),
    )
    .concerning(id))
}

/// To the sheet of a list, saying what was done.
fn redirect(visit: &Visit, id: MatrixId, done: &str) -> Response {
    match path_of(visit, id) {
        Ok(path) => visit.see_other(&format!("{path}?done={done}")),
        Err(_no_store) => visit.see_other("admin"),
    }
}

fn change(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    let (id, scope) = (matrix_id(params)?, visit.store()?.scope());
    let (expected, edit) = (visit.form.expected()?, settings_of(&visit.form)?);
    let now = state.app.clock.now();
    Ok(Deferred::commit(
        move |tx| matrices::edit(tx, now, scope, id, Some(expected), &edit),
        move |_version| redirect(&visit, id, "changed"),
    ))
}

fn settings_of(form: &Form) -> Result<Edit> {
    let mut error = Error::new(Kind::Invalid, "the settings cannot be saved");
    let name = form.get("name").parse::<Name>();
    if let Err(fault) = &name {
        error = error.with_fault("Name", fault.to_string());
    }
    let outside = form.get("outside").parse::<OutOfRange>();
    if let Err(fault) = &outside {
        error = error.with_fault("Sizes beyond the grid", fault.to_string());
    }
    let mut limit = |field: &str, label: &str| -> Option<Option<Length>> {
        match form.entered(field).map(sheet::length).transpose() {
            Ok(length) => Some(length),
            Err(fault) => {
                let before = std::mem::replace(&mut error, Error::new(Kind::Invalid, ""));
                error = before.with_fault(label, fault);
                None
            }
        }
    };
    let policy = PolicyEdit {
        outside: outside.as_ref().ok().copied(),
        min_width: limit("min-width", "Smallest width"),
        max_width: limit("max-width", "Largest width"),
        min_height: limit("min-height", "Smallest height"),
        max_height: limit("max-height", "Largest height"),
    };
    if error.faults().is_empty() { Ok(Edit { name: name.ok(), grid: None, policy }) } else { Err(error) }
}

fn duplicate(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    let (original, scope) = (matrix_id(params)?, visit.store()?.scope());
    let now = state.app.clock.now();
    let id = MatrixId::new(now, state.app.entropy.array());
    Ok(Deferred::commit(
        move |tx| matrices::duplicate(tx, now, id, scope, original),
        move |()| redirect(&visit, id, "copied"),
    )
    .concerning(id))
}

fn export(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    let stored = load(state, visit, params)?;
    let layout = match Form::of_query(&visit.request)?.get("layout") {
        "long" => Layout::Long,
        _ => Layout::Grid,
    };
    let text = matrix_csv::export(&stored.matrix, visit.store()?.currency, layout);
    let file = format!("attachment; filename=\"{}.csv\"", stored.id);
    let response = Response::new(200, "text/csv; charset=utf-8", text).with_header("Content-Disposition", file);
    Ok(with_headers(response))
}

#[derive(Template)]
#[template(path = "prices/delete.html", config = "src/http/console/askama.toml")]
struct DeletePage {
    frame: Frame,
    area: ShopArea,
    id: MatrixId,
    name: Name,
    version: i64,
    /// Why it is not deleted just so: the products that would have no price.
    in_use: Option<String>,
}

fn ask_to_delete(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    let stored = load(state, visit, params)?;
    let store = visit.store()?.id;
    let expected = Some(Expected::Version(stored.version));
    let refused =
        state.app.db.read(|connection| assignments::refuse_matrix_in_use(connection, store, stored.id, expected));
    let in_use = match refused {
        Ok(()) => None,
        Err(error) if error.kind() == Kind::Conflict => Some(sentence(&error.to_string())),
        Err(error) => return Err(error),
    };
    let StoredMatrix { id, name, version, .. } = stored;
    let area = ShopArea::of(visit, Tab::Prices)?;
    page(200, &DeletePage { frame: frame_of(visit, FLASHES), area, id, name, version, in_use })
}

fn delete(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    let confirmed = visit.form.has("confirmed");
    let list = format!("admin/shops/{}/prices?done=deleted", visit.store()?.shop);
    let (id, scope, expected) = (matrix_id(params)?, visit.store()?.scope(), visit.form.expected()?);
    let now = state.app.clock.now();
    let done = visit.see_other(&list);
    Ok(Deferred::delete_in_steps(Some(expected), done, move |tx, expected| {
        if !confirmed {
            assignments::refuse_matrix_in_use(tx, scope.store, id, expected)?;
        }
        matrices::delete(tx, now, scope, id, expected, DELETION_STEP)
    }))
}
