//! `PATCH /admin/api/stores/{shop}`: its settings; and everything that is held about a shop, for a look.

use super::conditional::store_of;
use super::shop;
use crate::catalog::settings::{self, Change};
use crate::domain::length::Unit;
use crate::domain::money::Currency;
use crate::domain::tax_label::TaxLabel;
use crate::error::{Error, Kind, Result};
use crate::export::{self, ExportError};
use crate::http::body::{self, Fields};
use crate::http::deferred::Deferred;
use crate::http::route::{Params, Route};
use crate::http::state::AppState;
use crate::http::{Method, Request, Response};
use crate::languages::Language;
use crate::views::stores as views;
use std::io::{self, Write};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::write(Method::Patch, "/admin/api/stores/{shop}", "store.update", change),
    Route::deferred(Method::Get, "/admin/api/stores/{shop}/export", export),
];

/// An answer is held in memory until the client has taken it: a larger export is for the command line, which needs no memory.
pub(super) const EXPORT_BYTES_MAX: usize = 64 * 1024 * 1024;

fn change(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Deferred> {
    let (shop, (change, confirmed)) = (store_of(state, params)?.shop, read(request)?);
    // Every price of the store is looked at.
    Ok(Deferred::on_own_thread(move |state, record| {
        let app = &state.app;
        let (db, clock) = (&app.db, app.clock.as_ref());
        let store = settings::carry_out(db, clock, &shop, change, confirmed, record.as_ref())?;
        let counted = db.read(|connection| views::Counted::load(connection, &store))?;
        Ok(Response::json(200, &views::store(&store, &counted)))
    }))
}

/// The change, and whether a new currency of old prices is confirmed.
fn read(request: &Request) -> Result<(Change, bool)> {
    let mut fields = Fields::of(request)?;
    let currency = fields.optional("currency", body::parsed::<Currency>);
    let unit = fields.optional("unit", body::parsed::<Unit>);
    let tax_label = fields.optional("taxLabel", body::parsed::<TaxLabel>);
    let locale = fields.nullable("locale", body::parsed::<Language>);
    let convert = fields.optional("convert", body::flag).unwrap_or(true);
    let allow_discount_codes = fields.optional("allowDiscountCodes", body::flag);
    let allow_automatic_discounts = fields.optional("allowAutomaticDiscounts", body::flag);
    let confirmed = fields.optional("confirm", body::flag).unwrap_or(false);
    fields.finish("the store cannot be changed")?;
    let change = Change { currency, unit, convert, tax_label, locale, allow_discount_codes, allow_automatic_discounts };
    Ok((change, confirmed))
}

fn export(_state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Deferred> {
    let shop = shop(params)?;
    Ok(Deferred::on_own_thread(move |state, _record| {
        let mut document = Bounded::new(EXPORT_BYTES_MAX);
        match export::write(&state.app.db, &state.app.hasher, state.app.clock.now(), &shop, &mut document) {
            Ok(()) => Ok(Response::new(200, "application/json", document.into_bytes())),
            Err(ExportError::Read(error)) => Err(error),
            Err(ExportError::Write(_full)) => Err(Error::new(
                Kind::TooLarge,
                format!("the export has more than {EXPORT_BYTES_MAX} bytes: use quotegrid stores export {shop}"),
            )),
        }
    }))
}

/// A document that fails as it grows too large, and not after.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Bounded {
    /// A document of at most so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most }
    }

    /// The document.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            return Err(io::Error::other("the document is too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
