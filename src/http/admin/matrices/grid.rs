//! A matrix in a request's body. Everything is bounded before anything of that size is made.

use crate::catalog::matrices::{self, Edit, PolicyEdit};
use crate::catalog::stores::Scope;
use crate::domain::length::{Length, Unit};
use crate::domain::matrix::{BREAKPOINTS_MAX, MatrixFault, OutOfRange, PriceMatrix, SizeLimits, Template};
use crate::domain::money::{Currency, Minor};
use crate::domain::name::Name;
use crate::error::{Error, Kind, Result};
use crate::http::Request;
use crate::http::body::{self, Fields};
use serde_json::Value;

/// The error of an invalid matrix.
const CANNOT: &str = "the price matrix cannot be saved";

/// Faults of single prices that are reported one by one.
const FAULTS_MAX: usize = 20;

/// Fields of our own answers that mean nothing when they are sent back.
const OUR_OWN: &[&str] = &["id", "version", "createdAt", "updatedAt"];

/// A new matrix, from a grid or a template.
///
/// # Errors
/// `Malformed` when the body is not a JSON object, `Invalid` with every fault of its fields.
pub(super) fn new_matrix(request: &Request, scope: Scope) -> Result<(Name, PriceMatrix)> {
    let mut fields = Fields::of(request)?;
    fields.ignore(OUR_OWN);
    let name = fields.required("name", body::parsed::<Name>);
    let policy = read_policy(&mut fields);
    let template = fields.optional("template", body::parsed::<Template>);
    let has_template = fields.has("template");
    check_measures(&mut fields, scope);
    let grid = if has_template { None } else { read_grid(&mut fields, scope.currency) };
    fields.finish(CANNOT)?;
    let (outside, limits) =
        policy.apply(OutOfRange::default(), SizeLimits::default()).map_err(|faults| matrices::invalid(&faults))?;
    let matrix = match (template, grid) {
        (Some(template), _) => template.build(scope.unit, outside, limits),
        (None, Some(grid)) => grid.with_policy(outside, limits),
        (None, None) => return Err(Error::new(Kind::Invalid, CANNOT)),
    };
    let name = name.ok_or_else(|| Error::new(Kind::Invalid, CANNOT))?;
    Ok((name, matrix.map_err(|faults| matrices::invalid(&faults))?))
}

/// All of a matrix, but what it says nothing of its policy and limits.
///
/// # Errors
/// `Malformed` when the body is not a JSON object, `Invalid` with every fault of its fields.
pub(super) fn replacement(request: &Request, scope: Scope) -> Result<Edit> {
    let mut fields = Fields::of(request)?;
    fields.ignore(OUR_OWN);
    let name = fields.required("name", body::parsed::<Name>);
    let policy = read_policy(&mut fields);
    check_measures(&mut fields, scope);
    let grid = read_grid(&mut fields, scope.currency);
    fields.finish(CANNOT)?;
    Ok(Edit { name, grid, policy })
}

/// A matrix's name, policy and limits, as far as they are given.
///
/// # Errors
/// `Malformed` when the body is not a JSON object, `Invalid` with every fault of its fields.
pub(super) fn patch(request: &Request, _scope: Scope) -> Result<Edit> {
    let mut fields = Fields::of(request)?;
    let name = fields.optional("name", body::parsed::<Name>);
    let policy = read_policy(&mut fields);
    fields.finish(CANNOT)?;
    Ok(Edit { name, grid: None, policy })
}

/// A body may say what its sizes and prices are in, as our answers do; it must be what the store has.
fn check_measures(fields: &mut Fields, scope: Scope) {
    let unit = fields.optional("unit", body::parsed::<Unit>);
    if unit.is_some_and(|unit| unit != scope.unit) {
        fields.fault("unit", format!("the store's sizes are in {}", scope.unit));
    }
    let currency = fields.optional("currency", body::parsed::<Currency>);
    if currency.is_some_and(|currency| currency != scope.currency) {
        fields.fault("currency", format!("the store's prices are in {}", scope.currency));
    }
}

fn read_policy(fields: &mut Fields) -> PolicyEdit {
    let mut policy =
        PolicyEdit { outside: fields.optional("outside", body::parsed::<OutOfRange>), ..PolicyEdit::default() };
    match fields.nullable("limits", body::any) {
        None => {}
        Some(None) => {
            let none = Some(None);
            policy = PolicyEdit { min_width: none, max_width: none, min_height: none, max_height: none, ..policy };
        }
        Some(Some(limits)) => match Fields::of_value(&limits) {
            Some(mut limits) => {
                policy.min_width = limits.nullable("minWidth", length);
                policy.max_width = limits.nullable("maxWidth", length);
                policy.min_height = limits.nullable("minHeight", length);
                policy.max_height = limits.nullable("maxHeight", length);
                let unknown = |name: &str| format!("{name:?} is not one of minWidth, maxWidth, minHeight, maxHeight");
                limits.into_sentences(unknown).into_iter().for_each(|fault| fields.fault("limits", fault));
            }
            None => fields.fault("limits", "must be an object"),
        },
    }
    policy
}

/// The grid, where it has no fault; faults are noted.
fn read_grid(fields: &mut Fields, currency: Currency) -> Option<PriceMatrix> {
    let widths = fields.required("widths", lengths);
    let heights = fields.required("heights", lengths);
    let prices = fields.required("prices", body::any);
    let prices = read_prices(fields, &prices?, currency);
    match PriceMatrix::new(&widths?, &heights?, &prices?, OutOfRange::default(), SizeLimits::default()) {
        Ok(grid) => Some(grid),
        Err(faults) => {
            faults.iter().for_each(|fault: &MatrixFault| fields.fault(fault.field(), fault.to_string()));
            None
        }
    }
}

pub(super) fn length(value: &Value) -> std::result::Result<Length, String> {
    match value {
        Value::Number(number) => Length::from_number(number).map_err(|fault| fault.to_string()),
        _ => Err("must be a number".to_owned()),
    }
}

fn lengths(value: &Value) -> std::result::Result<Vec<Length>, String> {
    let items = value.as_array().ok_or("must be a list of numbers")?;
    if items.len() > BREAKPOINTS_MAX {
        return Err(format!("1 to {BREAKPOINTS_MAX} breakpoints, not {}", items.len()));
    }
    let read = |(place, item): (usize, &Value)| length(item).map_err(|fault| format!("number {}: {fault}", place + 1));
    items.iter().enumerate().map(read).collect()
}

fn read_prices(fields: &mut Fields, value: &Value, currency: Currency) -> Option<Vec<Vec<Option<Minor>>>> {
    let Some(rows) = value.as_array().filter(|rows| rows.iter().all(Value::is_array)) else {
        fields.fault("prices", "must be a list of rows, one for each height, each a list of prices");
        return None;
    };
    let widest = rows.iter().filter_map(Value::as_array).map(Vec::len).max().unwrap_or_default();
    if rows.len() > BREAKPOINTS_MAX || widest > BREAKPOINTS_MAX {
        fields.fault("prices", format!("at most {BREAKPOINTS_MAX} rows of {BREAKPOINTS_MAX} prices"));
        return None;
    }
    let mut faults = 0;
    let mut prices = Vec::with_capacity(rows.len());
    for (row, cells) in rows.iter().enumerate() {
        let cells = cells.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut read = Vec::with_capacity(cells.len());
        for (column, cell) in cells.iter().enumerate() {
            match price(cell, currency) {
                Ok(price) => read.push(price),
                Err(fault) => {
                    faults += 1;
                    if faults <= FAULTS_MAX {
                        fields.fault("prices", format!("row {}, column {}: {fault}", row + 1, column + 1));
                    }
                }
            }
        }
        prices.push(read);
    }
    (faults == 0).then_some(prices)
}

/// A price as decimal text or a number, `None` for null: not offered.
fn price(value: &Value, currency: Currency) -> std::result::Result<Option<Minor>, String> {
    let read = match value {
        Value::Null => return Ok(None),
        Value::String(text) => currency.parse_price(text),
        Value::Number(number) => currency.price_from_number(number),
        _ => return Err("must be a price such as \"10.50\", or null where the size is not offered".to_owned()),
    };
    read.map(Some).map_err(|fault| fault.to_string())
}
