//! Raising or lowering the prices of a matrix.

use super::super::conditional::{etag, if_match, store_of};
use super::grid::length;
use super::id;
use crate::catalog::matrices::{self, Adjusted};
use crate::catalog::stores::Scope;
use crate::domain::adjustment::{Adjustment, Rounding};
use crate::domain::ids::MatrixId;
use crate::domain::length::Length;
use crate::domain::matrix::CELLS_MAX;
use crate::domain::money::BasisPoints;
use crate::error::{Error, Kind, Result};
use crate::http::body::{self, Fields};
use crate::http::deferred::Deferred;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::views::catalog as views;
use serde_json::Value;
use std::sync::Arc;

/// The table's lines.
pub(in crate::http::admin) const ROUTES: &[Route] =
    &[Route::write(Method::Post, "/admin/api/stores/{shop}/matrices/{id}/adjust", "matrix.adjust", adjust)];

/// The fault of an invalid adjustment.
const CANNOT: &str = "the prices cannot be adjusted";

fn adjust(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let (id, scope) = (id(params)?, store_of(state, params)?.scope());
    let (adjustment, preview) = read(request, scope)?;
    if preview {
        let adjusted =
            state.app.db.read(|connection| matrices::preview_adjustment(connection, scope, id, &adjustment))?;
        return Ok(Deferred::answered(adjusted_response(id, &adjusted, scope)));
    }
    let expected = if_match(request)?;
    let now = state.app.clock.now();
    Ok(Deferred::commit(
        move |tx| matrices::adjust(tx, now, scope, id, expected, &adjustment),
        move |adjusted| adjusted_response(id, &adjusted, scope),
    ))
}

fn adjusted_response(id: MatrixId, adjusted: &Adjusted, scope: Scope) -> Response {
    let document = views::adjusted(id, adjusted, scope.currency);
    Response::json(200, &document).with_header("ETag", etag(adjusted.version))
}

fn read(request: &Request, scope: Scope) -> Result<(Adjustment, bool)> {
    let mut fields = Fields::of(request)?;
    let percent = fields.required("percent", |value| {
        body::decimal(value, BasisPoints::parse_percent, BasisPoints::percent_from_number)
    });
    let rounding = fields.optional("rounding", |value| {
        let text = match value {
            Value::Number(number) => number.to_string(),
            _ => body::text(value)?,
        };
        Rounding::parse(&text, scope.currency).map_err(|fault| fault.to_string())
    });
    let cells = fields.optional("cells", cells);
    let preview = fields.optional("preview", body::flag).unwrap_or(false);
    fields.finish(CANNOT)?;
    let percent = percent.ok_or_else(|| Error::new(Kind::Invalid, CANNOT))?;
    Ok((Adjustment { percent, rounding, cells }, preview))
}

fn cells(value: &Value) -> std::result::Result<Vec<(Length, Length)>, String> {
    let items = value.as_array().filter(|items| (1..=CELLS_MAX).contains(&items.len()));
    let items = items.ok_or_else(|| format!("must be a list of 1 to {CELLS_MAX} sizes with width and height"))?;
    items.iter().map(size).collect()
}

fn size(value: &Value) -> std::result::Result<(Length, Length), String> {
    const SHAPE: &str = "must be sizes with width and height";
    let mut fields = Fields::of_value(value).ok_or(SHAPE)?;
    let (width, height) = (fields.optional("width", length), fields.optional("height", length));
    match fields.into_sentences(|_| SHAPE.to_owned()).into_iter().next() {
        Some(fault) => Err(fault),
        None => Ok(width.zip(height).ok_or(SHAPE)?),
    }
}
