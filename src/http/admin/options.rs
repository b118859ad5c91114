//! `/admin/api/stores/{shop}/option-groups`: option groups with their choices.

use super::conditional::{confirmed, etag, if_match, store_of};
use crate::catalog::DELETION_STEP;
use crate::catalog::assignments;
use crate::catalog::options::{self, EditedChoice, GroupEdit, NewChoice, NewGroup, StoredGroup};
use crate::catalog::stores::Scope;
use crate::domain::ids::{ChoiceId, OptionGroupId};
use crate::domain::money::{BasisPoints, Currency};
use crate::domain::name::Name;
use crate::domain::options::{
    CHOICES_MAX, Choice, ChoiceDraft, Modifier, ModifierDraft, ModifierFault, Requirement, check_choices,
};
use crate::error::{Error, Kind, Result};
use crate::http::body::{self, Fields};
use crate::http::deferred::Deferred;
use crate::http::query::Query;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::views::catalog as views;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/admin/api/stores/{shop}/option-groups", list),
    Route::write(Method::Post, "/admin/api/stores/{shop}/option-groups", "option_group.create", create),
    Route::now(Method::Get, "/admin/api/stores/{shop}/option-groups/{id}", show),
    Route::write(Method::Put, "/admin/api/stores/{shop}/option-groups/{id}", "option_group.update", replace),
    Route::write(Method::Delete, "/admin/api/stores/{shop}/option-groups/{id}", "option_group.delete", delete),
    Route::write(
        Method::Post,
        "/admin/api/stores/{shop}/option-groups/{id}/duplicate",
        "option_group.duplicate",
        duplicate,
    ),
];

/// The error of an invalid group.
const CANNOT: &str = "the option group cannot be saved";

/// Fields of our own answers that mean nothing when they are sent back.
const OUR_OWN: &[&str] = &["id", "version", "products", "createdAt", "updatedAt"];

fn id(params: &Params) -> Result<OptionGroupId> {
    params.parse("id", "option group")
}

fn list(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Response> {
    let store = store_of(state, params)?;
    let page = Query::of(request, &["limit", "cursor"])?.page::<OptionGroupId>()?;
    let mut found = state.app.db.read(|connection| options::list(connection, store.id, page.after, page.fetch()))?;
    let next = page.cut(&mut found, |stored| stored.group.id.to_string());
    let found: Vec<Value> = found.iter().map(views::option_group).collect();
    Ok(Response::json(200, &json!({ "optionGroups": found, "next": next })))
}

fn show(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Response> {
    let (store, id) = (store_of(state, params)?, id(params)?);
    let stored = state.app.db.read(|connection| options::load(connection, store.id, id))?;
    Ok(shown(200, &stored))
}

fn shown(status: u16, stored: &StoredGroup) -> Response {
    Response::json(status, &views::option_group(stored)).with_header("ETag", etag(stored.version))
}

fn create(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let now = state.app.clock.now();
    let scope = store_of(state, params)?.scope();
    let GroupEdit { name, requirement, choices } = read_group(state, request, now, scope, &Known::Never)?;
    let (Some(name), Some(choices)) = (name, choices) else { return Err(Error::new(Kind::Invalid, CANNOT)) };
    let choices = choices.into_iter().map(|edited| edited.choice).collect();
    let group = NewGroup { name, requirement: requirement.unwrap_or_default(), choices };
    let id = OptionGroupId::new(now, state.app.entropy.array());
    Ok(Deferred::commit(
        move |tx| {
            options::insert(tx, now, id, scope, &group)?;
            options::load(tx, scope.store, id)
        },
        |stored| shown(201, &stored),
    )
    .concerning(id))
}

fn replace(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let now = state.app.clock.now();
    let (scope, id) = (store_of(state, params)?.scope(), id(params)?);
    let stored = state.app.db.read(|connection| options::find(connection, scope.store, id))?;
    let known = Known::ById(stored.map_or_else(Vec::new, |stored| stored.group.choices));
    let (expected, edit) = (if_match(request)?, read_group(state, request, now, scope, &known)?);
    Ok(Deferred::commit(move |tx| options::replace(tx, now, scope, id, expected, edit), |stored| shown(200, &stored)))
}

fn delete(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let (scope, id) = (store_of(state, params)?.scope(), id(params)?);
    let (expected, confirmed) = (if_match(request)?, confirmed(request)?);
    let now = state.app.clock.now();
    Ok(Deferred::delete_in_steps(expected, Response::empty(204), move |tx, expected| {
        if !confirmed {
            assignments::refuse_group_in_use(tx, scope.store, id, expected)?;
        }
        options::delete(tx, now, scope, id, expected, DELETION_STEP)
    }))
}

fn duplicate(state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let (scope, original) = (store_of(state, params)?.scope(), id(params)?);
    let (now, entropy) = (state.app.clock.now(), state.app.entropy.clone());
    Ok(Deferred::commit_new(
        move |tx| options::duplicate(tx, now, entropy.as_ref(), scope, original),
        |copy| Some(copy.group.id),
        |stored| shown(201, &stored),
    ))
}

/// Whether choices may be known already.
enum Known {
    /// All are new; ids of another group that was copied are left aside.
    Never,
    /// Those with an id are; the group has these now.
    ById(Vec<Choice>),
}

fn read_group(
    state: &AppState,
    request: &Request,
    now: DateTime<Utc>,
    scope: Scope,
    known: &Known,
) -> Result<GroupEdit> {
    let mut fields = Fields::of(request)?;
    fields.ignore(OUR_OWN);
    let name = fields.required("name", body::parsed::<Name>);
    let requirement = fields.optional("requirement", body::parsed::<Requirement>);
    let listed = match known {
        Known::Never => fields.required("choices", choice_list),
        Known::ById(_) => fields.optional("choices", choice_list),
    };
    let new_id = || ChoiceId::new(now, state.app.entropy.array());
    let mut foreign = Vec::new();
    let choices = listed.and_then(|listed| {
        let read: Vec<Option<EditedChoice>> = listed
            .iter()
            .enumerate()
            .map(|(place, choice)| {
                let path = format!("choices[{place}]");
                fields.object(&path, choice, |choice| read_choice(choice, scope.currency, known, new_id, &mut foreign))
            })
            .collect();
        read.into_iter().collect::<Option<Vec<_>>>()
    });
    for choices in choices.iter() {
        check_together(&mut fields, choices);
    }
    fields.finish(CANNOT)?;
    match foreign.first() {
        Some(id) => Err(Error::not_found(format!("choice {id:?} of this option group"))),
        None => Ok(GroupEdit { name, requirement, choices }),
    }
}

/// What holds for the choices as a whole.
fn check_together(fields: &mut Fields, choices: &[EditedChoice]) {
    let defaults: Vec<bool> = choices.iter().map(|edited| edited.choice.is_default).collect();
    for fault in check_choices(&defaults).err().into_iter().flatten() {
        fields.fault("choices", fault.to_string());
    }
    let mut seen = BTreeSet::new();
    for twice in choices.iter().filter(|edited| !seen.insert(edited.choice.id)) {
        fields.fault("choices", format!("choice {} appears twice", twice.choice.id));
    }
}

fn choice_list(value: &Value) -> std::result::Result<Vec<Value>, String> {
    let choices = value.as_array().ok_or("must be a list")?;
    if !(1..=CHOICES_MAX).contains(&choices.len()) {
        return Err(format!("must have 1 to {CHOICES_MAX} choices, not {}", choices.len()));
    }
    Ok(choices.clone())
}

fn read_choice(
    fields: &mut Fields,
    currency: Currency,
    known: &Known,
    new_id: impl Fn() -> ChoiceId,
    foreign: &mut Vec<String>,
) -> Option<EditedChoice> {
    let (sent_id, was) = match known {
        Known::Never => {
            fields.ignore(&["id"]);
            (None, None)
        }
        Known::ById(stored) => {
            let sent_id = fields.optional("id", body::text);
            let parsed = sent_id.as_ref().and_then(|id| id.parse().ok());
            let was = stored.iter().find(|choice| Some(choice.id) == parsed).map(|choice| choice.modifier);
            (sent_id, was)
        }
    };
    let is_default = fields.optional("isDefault", body::flag).unwrap_or(false);
    let (label, modifier) = read_label_and_modifier(fields, currency, was)?;
    let id = match &sent_id {
        None => new_id(),
        Some(text) => text.parse().unwrap_or_else(|_unreadable| {
            foreign.push(text.clone());
            new_id()
        }),
    };
    Some(EditedChoice { choice: NewChoice { id, label, modifier, is_default }, is_known: sent_id.is_some() })
}

/// Label and modifier of a choice, which had the modifier `was`. Money and percentages are decimal text or exact numbers, as
/// everywhere here.
fn read_label_and_modifier(fields: &mut Fields, currency: Currency, was: Option<Modifier>) -> Option<(Name, Modifier)> {
    const PARTS: [&str; 4] = ["modifierType", "modifierValue", "amount", "percent"];
    let label = fields.required("label", body::text);
    let kind = fields.optional("modifierType", body::text);
    let value = fields.optional("modifierValue", whole_modifier);
    let amount = fields.optional("amount", |value| {
        body::decimal(value, |text| currency.parse_amount(text), |number| currency.amount_from_number(number))
    });
    let percent = fields.optional("percent", |value| {
        body::decimal(value, BasisPoints::parse_percent, BasisPoints::percent_from_number)
    });
    let is_readable = !PARTS.into_iter().any(|name| fields.is_faulty(name));
    if PARTS.into_iter().skip(1).all(|name| !fields.has(name)) {
        fields.fault("modifierValue", ModifierFault::NoValue.to_string());
    }
    if !is_readable {
        return None;
    }
    let modifier = ModifierDraft { kind: kind.as_deref(), value, amount, percent };
    let draft = ChoiceDraft { label: label.as_deref().unwrap_or_default(), modifier };
    match draft.check(was) {
        Ok(checked) => Some(checked),
        Err(found) => {
            for (name, fault) in found {
                // What is missing has been reported already.
                if !fields.is_faulty(name) {
                    fields.fault(name, fault.to_string());
                }
            }
            None
        }
    }
}

fn whole_modifier(value: &Value) -> std::result::Result<i64, String> {
    body::integer(value).ok_or_else(|| "must be a whole number: minor units, or basis points".to_owned())
}
