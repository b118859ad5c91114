//! `/admin/shops/{shop}/options`: option groups and their choices. The form of one group is in `draft.rs`.

mod draft;

use super::layout::{Frame, error_page, page, sentence};
use super::paging::page_of_store;
use super::shops::area::{ShopArea, Tab, frame_of};
use super::{Page, Visit};
use crate::catalog::assignments;
use crate::catalog::options::{self, EditedChoice, GroupEdit, NewChoice, NewGroup, StoredGroup};
use crate::catalog::stores::Scope;
use crate::catalog::{DELETION_STEP, Expected};
use crate::domain::ids::{ChoiceId, OptionGroupId};
use crate::domain::money::Currency;
use crate::domain::name::Name;
use crate::domain::options::{CHOICES_MAX, Modifier, Requirement};
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use askama::Template;
use chrono::{DateTime, Utc};
use draft::{Draft, Drafted};
use std::sync::Arc;

/// The pages.
pub(super) const ROUTES: &[Page] = &[
    Page::show("/admin/shops/{shop}/options", list),
    Page::show("/admin/shops/{shop}/options/new", show_new),
    Page::write("/admin/shops/{shop}/options/new", "option_group.create", create),
    Page::preview("/admin/shops/{shop}/options/new/form", rework_new),
    Page::show("/admin/shops/{shop}/options/{group}", show),
    Page::write("/admin/shops/{shop}/options/{group}", "option_group.update", save),
    Page::preview("/admin/shops/{shop}/options/{group}/form", rework),
    Page::write("/admin/shops/{shop}/options/{group}/duplicate", "option_group.duplicate", duplicate),
    Page::show("/admin/shops/{shop}/options/{group}/delete", ask_to_delete),
    Page::write("/admin/shops/{shop}/options/{group}/delete", "option_group.delete", delete),
];

/// What was done just now, in words.
const FLASHES: &[(&str, &str)] = &[
    ("saved", "Saved. Shops offer it like this from now on."),
    ("created", "The option group is saved. Assign it to products on the Products page."),
    ("copied", "This is the copy. No product offers it yet."),
    ("deleted", "The option group is deleted."),
];

/// A group as the list shows it.
struct Line {
    id: OptionGroupId,
    name: Name,
    is_required: bool,
    choices: String,
    products: usize,
}

#[derive(Template)]
#[template(path = "options/list.html", config = "src/http/console/askama.toml")]
struct ListPage {
    frame: Frame,
    area: ShopArea,
    lines: Vec<Line>,
    next: Option<String>,
}

fn list(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let (found, next) = page_of_store(state, visit, options::list, |stored| stored.group.id.to_string())?;
    let lines = found.into_iter().map(line).collect();
    page(200, &ListPage { frame: frame_of(visit, FLASHES), area: ShopArea::of(visit, Tab::Options)?, lines, next })
}

fn line(stored: StoredGroup) -> Line {
    let choice = |choice: &crate::domain::options::Choice| {
        format!("{} ({})", choice.label, effect(choice.modifier, stored.currency))
    };
    Line {
        choices: stored.group.choices.iter().map(choice).collect::<Vec<_>>().join(", "),
        is_required: stored.group.requirement == Requirement::Required,
        id: stored.group.id,
        name: stored.group.name,
        products: stored.products,
    }
}

/// What a choice does to a price, in words: `+89.00 EUR`, `+5 %`.
pub(super) fn effect(modifier: Modifier, currency: Currency) -> String {
    let signed = |text: String| if text.starts_with('-') { text.replacen('-', "−", 1) } else { format!("+{text}") };
    match modifier {
        Modifier::Fixed(amount) => format!("{} {currency}", signed(currency.format(amount))),
        Modifier::Percentage(share) => format!("{} %", signed(share.format_percent())),
    }
}

#[derive(Template)]
#[template(path = "options/editor.html", config = "src/http/console/askama.toml")]
struct EditorPage {
    frame: Frame,
    area: ShopArea,
    /// Where the page itself is.
    here: String,
    title: String,
    is_new: bool,
    version: i64,
    currency: Currency,
    draft: Draft,
    choices_max: usize,
    fault: Option<String>,
    notes: Vec<String>,
}

/// What the editor's page is about.
struct Shown {
    /// The group and its version; `None` for one that is not there yet.
    stored: Option<(OptionGroupId, i64, Name)>,
    draft: Draft,
    fault: Option<String>,
    notes: Vec<String>,
}

fn render(status: u16, frame: Frame, area: ShopArea, currency: Currency, shown: Shown) -> Result<Response> {
    let Shown { stored, draft, fault, notes } = shown;
    let below = stored.as_ref().map_or_else(|| "new".to_owned(), |(id, ..)| id.to_string());
    let here = format!("{}{}/options/{below}", frame.root, area.path());
    page(
        status,
        &EditorPage {
            frame,
            area,
            here,
            is_new: stored.is_none(),
            version: stored.as_ref().map_or(0, |(_, version, _)| *version),
            title: stored.map_or_else(|| "A new option group".to_owned(), |(.., name)| name.to_string()),
            currency,
            draft,
            choices_max: CHOICES_MAX,
            fault,
            notes,
        },
    )
}

fn group_id(params: &Params) -> Result<OptionGroupId> {
    params.parse("group", "option group")
}

fn load(state: &AppState, visit: &Visit, params: &Params) -> Result<StoredGroup> {
    let (id, store) = (group_id(params)?, visit.store()?.id);
    state.app.db.read(|connection| options::load(connection, store, id))
}

fn named(stored: &StoredGroup) -> Option<(OptionGroupId, i64, Name)> {
    Some((stored.group.id, stored.version, stored.group.name.clone()))
}

fn show_new(_state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let shown = Shown { stored: None, draft: Draft::blank(), fault: None, notes: Vec::new() };
    let area = ShopArea::of(visit, Tab::Options)?;
    render(200, frame_of(visit, FLASHES), area, visit.store()?.currency, shown)
}

fn show(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    let (stored, currency) = (load(state, visit, params)?, visit.store()?.currency);
    let draft = Draft::of(&stored.group, currency);
    let shown = Shown { stored: named(&stored), draft, fault: None, notes: Vec::new() };
    render(200, frame_of(visit, FLASHES), ShopArea::of(visit, Tab::Options)?, currency, shown)
}

fn rework_new(_state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let mut draft = Draft::read(&visit.form);
    draft.rework(visit.form.get("do"));
    let shown = Shown { stored: None, draft, fault: None, notes: Vec::new() };
    render(200, frame_of(visit, &[]), ShopArea::of(visit, Tab::Options)?, visit.store()?.currency, shown)
}

fn rework(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    let stored = load(state, visit, params)?;
    let mut draft = Draft::read(&visit.form);
    draft.rework(visit.form.get("do"));
    // The version that the form was made from: whether another edit was faster is found when it is saved.
    let version = visit.form.get("version").parse().unwrap_or(stored.version);
    let stored = Some((stored.group.id, version, stored.group.name));
    let shown = Shown { stored, draft, fault: None, notes: Vec::new() };
    render(200, frame_of(visit, &[]), ShopArea::of(visit, Tab::Options)?, visit.store()?.currency, shown)
}

/// The page again with what is wrong.
fn faulty(visit: &Visit, stored: Option<(OptionGroupId, i64, Name)>, draft: Draft) -> Result<Response> {
    let fault = Some(draft.fault.clone().unwrap_or_else(|| "Nothing is saved yet: correct what is marked.".to_owned()));
    let shown = Shown { stored, draft, fault, notes: Vec::new() };
    render(422, frame_of(visit, &[]), ShopArea::of(visit, Tab::Options)?, visit.store()?.currency, shown)
}

fn create(state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    let (scope, path) = (visit.store()?.scope(), path(&visit)?);
    let Drafted { name, requirement, choices } = match Draft::read(&visit.form).check(scope.currency) {
        Ok(drafted) => drafted,
        Err(draft) => return faulty(&visit, None, *draft).map(Deferred::answered),
    };
    let now = state.app.clock.now();
    let choices = choices.into_iter().map(|drafted| drafted.with_id(new_choice(state, now))).collect();
    let (id, group) = (OptionGroupId::new(now, state.app.entropy.array()), NewGroup { name, requirement, choices });
    Ok(Deferred::commit(
        move |tx| options::insert(tx, now, id, scope, &group),
        move |()| visit.see_other(&format!("{path}/{id}?done=created")),
    )
    .concerning(id))
}

fn new_choice(state: &AppState, now: DateTime<Utc>) -> ChoiceId {
    ChoiceId::new(now, state.app.entropy.array())
}

fn path(visit: &Visit) -> Result<String> {
    Ok(format!("admin/shops/{}/options", visit.store()?.shop))
}

fn save(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    let (scope, stored) = (visit.store()?.scope(), load(state, &visit, params)?);
    let (expected, path) = (visit.form.expected()?, path(&visit)?);
    let draft = Draft::read(&visit.form);
    let Drafted { name, requirement, choices } = match draft.clone().check(scope.currency) {
        Ok(drafted) => drafted,
        Err(draft) => {
            let version = if let Expected::Version(version) = expected { version } else { stored.version };
            let stored = Some((stored.group.id, version, stored.group.name));
            return faulty(&visit, stored, *draft).map(Deferred::answered);
        }
    };
    let (now, id) = (state.app.clock.now(), stored.group.id);
    let choices = choices.into_iter().map(|drafted| {
        // A choice that another person has deleted meanwhile comes back as a new one.
        let known = drafted.id.filter(|id| stored.group.choices.iter().any(|choice| choice.id == *id));
        let choice: NewChoice = drafted.with_id(known.unwrap_or_else(|| new_choice(state, now)));
        EditedChoice { choice, is_known: known.is_some() }
    });
    let edit = GroupEdit { name: Some(name), requirement: Some(requirement), choices: Some(choices.collect()) };
    let done = visit.see_other(&format!("{path}/{id}?done=saved"));
    let when_stale = when_stale(state, visit, scope, id, draft);
    let saved = move |_stored| done;
    Ok(Deferred::commit(move |tx| options::replace(tx, now, scope, id, Some(expected), edit), saved)
        .with_error_page(when_stale))
}

/// The page for an edit that could not be saved: where another one was faster, what that has made of the group.
fn when_stale(
    state: &Arc<AppState>,
    visit: Visit,
    scope: Scope,
    id: OptionGroupId,
    draft: Draft,
) -> impl FnOnce(&Error, Response) -> Response + Send + 'static {
    let state = state.clone();
    move |error, response| {
        let request_id = visit.request.id.clone();
        let failed = |error: &Error, response| error_page(frame_of(&visit, &[]), error, response, &request_id);
        let theirs = state.app.db.read(|connection| options::load(connection, scope.store, id));
        let (Ok(theirs), Kind::Stale) = (theirs, error.kind()) else { return failed(error, response) };
        let notes = vec![
            "This group was saved by someone else while you were editing it. Your changes are not saved yet: they are below, as you entered them.".to_owned(),
            format!("What is saved now: {}", in_words(&theirs)),
            "Saving yours replaces it.".to_owned(),
        ];
        let status = response.status;
        let shown = Shown { stored: named(&theirs), draft, fault: None, notes };
        let area = ShopArea::of(&visit, Tab::Options);
        area.and_then(|area| render(status, frame_of(&visit, &[]), area, scope.currency, shown))
            .unwrap_or_else(|error| failed(&error, Response::empty(500)))
    }
}

fn in_words(stored: &StoredGroup) -> String {
    let choices = stored.group.choices.iter().map(|choice| {
        let first = if choice.is_default { ", selected first" } else { "" };
        format!("{} {}{first}", choice.label, effect(choice.modifier, stored.currency))
    });
    let requirement = match stored.group.requirement {
        Requirement::Required => "needs a choice",
        Requirement::Optional => "may be left out",
    };
    format!("“{}”, {requirement}: {}.", stored.group.name, choices.collect::<Vec<_>>().join("; "))
}

fn duplicate(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    let (original, scope, path) = (group_id(params)?, visit.store()?.scope(), path(&visit)?);
    let (now, entropy) = (state.app.clock.now(), state.app.entropy.clone());
    Ok(Deferred::commit_new(
        move |tx| options::duplicate(tx, now, entropy.as_ref(), scope, original),
        |copy| Some(copy.group.id),
        move |copy| visit.see_other(&format!("{path}/{}?done=copied", copy.group.id)),
    ))
}

#[derive(Template)]
#[template(path = "options/delete.html", config = "src/http/console/askama.toml")]
struct DeletePage {
    frame: Frame,
    area: ShopArea,
    id: OptionGroupId,
    name: Name,
    version: i64,
    /// Why it is not deleted just so: the products that offer it.
    in_use: Option<String>,
}

fn ask_to_delete(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    let StoredGroup { group, version, .. } = load(state, visit, params)?;
    let (store, expected) = (visit.store()?.id, Some(Expected::Version(version)));
    let refused =
        state.app.db.read(|connection| assignments::refuse_group_in_use(connection, store, group.id, expected));
    let in_use = match refused {
        Ok(()) => None,
        Err(error) if error.kind() == Kind::Conflict => Some(sentence(&error.to_string())),
        Err(error) => return Err(error),
    };
    let area = ShopArea::of(visit, Tab::Options)?;
    page(200, &DeletePage { frame: frame_of(visit, &[]), area, id: group.id, name: group.name, version, in_use })
}

fn delete(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    let (id, scope) = (group_id(params)?, visit.store()?.scope());
    let (expected, path) = (visit.form.expected()?, path(&visit)?);
    let (now, confirmed) = (state.app.clock.now(), visit.form.has("confirmed"));
    let done = visit.see_other(&format!("{path}?done=deleted"));
    Ok(Deferred::delete_in_steps(Some(expected), done, move |tx, expected| {
        if !confirmed {
            assignments::refuse_group_in_use(tx, scope.store, id, expected)?;
        }
        options::delete(tx, now, scope, id, expected, DELETION_STEP)
    }))
}
