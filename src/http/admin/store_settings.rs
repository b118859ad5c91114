//! `PATCH /admin/api/stores/{shop}`: its settings; and everything that is held about a shop, for a look.

use super::edits::store_of;
use super::{shop, take_time};
use crate::catalog::settings::{self, Change};
use crate::documents::holdings::{self, ExportError};
use crate::documents::stores as documents;
use crate::domain::length::Unit;
use crate::domain::money::Currency;
use crate::domain::tax_label::TaxLabel;
use crate::error::{Error, Kind, Result};
use crate::http::body::{self, Fields};
use crate::http::respond::Answer;
use crate::http::routes::{Params, Route, Site};
use crate::http::{Method, Request, Response};
use crate::languages::Language;
use std::io::{self, Write};
use std::sync::Arc;

/// The table's lines.
pub(in crate::http) const ROUTES: &[Route] = &[
    Route::later(Method::Patch, "/admin/api/stores/{shop}", change),
    Route::later(Method::Get, "/admin/api/stores/{shop}/export", export),
];

/// An answer is held in memory until the client has taken it: a larger export is for the command line, which needs no memory.
const EXPORT_BYTES_MAX: usize = 64 * 1024 * 1024;

fn change(site: &Arc<Site>, request: Request, params: Params, answer: Answer) {
    let wanted = || -> Result<_> { Ok((store_of(site, &params)?.shop, read(&request)?)) };
    match wanted() {
        // Every price of the store is looked at.
        Ok((shop, (change, confirmed))) => take_time(site, answer, move |site| {
            let app = &site.app;
            let store = settings::carry_out(&app.db, app.clock.as_ref(), &shop, change, confirmed)?;
            let counted = app.db.read(|connection| documents::Counted::load(connection, &store))?;
            Ok(Response::json(200, &documents::store(&store, &counted)))
        }),
        Err(error) => answer.send(Err(error)),
    }
}

/// The change, and whether a new currency of old prices is confirmed.
fn read(request: &Request) -> Result<(Change, bool)> {
    let mut fields = Fields::of(request)?;
    let currency = fields.optional("currency", body::parsed::<Currency>);
    let unit = fields.optional("unit", body::parsed::<Unit>);
    let tax_label = fields.optional("taxLabel", body::parsed::<TaxLabel>);
    let locale = fields.nullable("locale", body::parsed::<Language>);
    let convert = fields.optional("convert", body::flag).unwrap_or(true);
    let confirmed = fields.optional("confirm", body::flag).unwrap_or(false);
    fields.finish("the store cannot be changed")?;
    Ok((Change { currency, unit, convert, tax_label, locale }, confirmed))
}

fn export(site: &Arc<Site>, _request: Request, params: Params, answer: Answer) {
    match shop(&params) {
        Ok(shop) => take_time(site, answer, move |site| {
            let mut document = Bounded(Vec::new());
            match holdings::write(&site.app.db, &site.app.hasher, site.app.clock.now(), &shop, &mut document) {
                Ok(()) => Ok(Response::new(200, "application/json", document.0)),
                Err(ExportError::Read(error)) => Err(error),
                Err(ExportError::Write(_full)) => Err(Error::new(
                    Kind::TooLarge,
                    format!("the export has more than {EXPORT_BYTES_MAX} bytes: use quotegrid stores export {shop}"),
                )),
            }
        }),
        Err(error) => answer.send(Err(error)),
    }
}

/// A document that fails as it grows too large, and not after.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > EXPORT_BYTES_MAX {
            return Err(io::Error::other("the document is too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
