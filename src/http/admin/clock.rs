//! `/admin/api/clock`: moves the clock of a fixture that was started with a frozen one. Anywhere else it does not exist.

use crate::clock::instant;
use crate::error::{Error, Result};
use crate::http::body::{self, Fields};
use crate::http::deferred::Deferred;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[Route::write(Method::Post, "/admin/api/clock", "clock.advance", advance)];

/// A hundred years at once: beyond that it is a slip of the keyboard.
const ADVANCE_MAX_MS: u64 = 100 * 366 * 24 * 60 * 60 * 1_000;

fn advance(state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Deferred> {
    let clock = state.frozen_clock.as_ref().ok_or_else(|| Error::not_found("path"))?;
    let mut fields = Fields::of(request)?;
    let advance_ms = fields.required("advanceMs", body::whole(0, ADVANCE_MAX_MS));
    fields.finish("the clock cannot be moved")?;
    let now = clock.advance(Duration::from_millis(advance_ms.unwrap_or(0)));
    // Background threads wait by the machine's clock.
    state.app.db.notifier().notify();
    Ok(Deferred::commit(|_tx| Ok(()), move |()| Response::json(200, &json!({ "now": instant(now) }))))
}
