//! `PATCH /admin/api/stores/{shop}`: unit and currency; and everything that is held about a shop, for a look.

use super::edits::store_of;
use super::{load_store, shop, take_time};
use crate::access::audit::Record;
use crate::catalog::settings::{self, Change};
use crate::documents::holdings::{self, ExportError};
use crate::documents::stores as documents;
use crate::domain::ids::ShopDomain;
use crate::domain::length::Unit;
use crate::domain::money::Currency;
use crate::error::{Error, Kind, Result};
use crate::http::body::{self, Fields};
use crate::http::respond::Answer;
use crate::http::routes::{Params, Route, Site};
use crate::http::{Method, Request, Response};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// The table's lines.
pub(in crate::http) const ROUTES: &[Route] = &[
    Route::later(Method::Patch, "/admin/api/stores/{shop}", change),
    Route::later(Method::Get, "/admin/api/stores/{shop}/export", export),
];

/// An answer is held in memory until the client has taken it: a larger export is for the command line, which needs no memory.
const EXPORT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Looks at everything that a change is tried with: one that is overtaken so often by edits should wait for a quieter moment.
const TRIES: usize = 5;

fn change(site: &Arc<Site>, request: Request, params: Params, mut answer: Answer) {
    let wanted = || -> Result<_> { Ok((store_of(site, &params)?.shop, read(&request)?)) };
    match wanted() {
        // Every price of the store is looked at.
        Ok((shop, change)) => {
            let record = answer.take_record();
            take_time(site, answer, move |site| {
                carry_out(site, &shop, change, record.as_ref())?;
                shown(site, &shop)
            });
        }
        Err(error) => answer.send(Err(error)),
    }
}

fn read(request: &Request) -> Result<Change> {
    let mut fields = Fields::of(request)?;
    let currency = fields.optional("currency", body::parsed::<Currency>);
    let unit = fields.optional("unit", body::parsed::<Unit>);
    let convert = fields.optional("convert", body::flag).unwrap_or(true);
    fields.finish("the store cannot be changed")?;
    Ok(Change { currency, unit, convert })
}

/// Changes a store's settings, with the row of the audit log that tells of it.
pub(in crate::http) fn carry_out(
    site: &Arc<Site>,
    shop: &ShopDomain,
    change: Change,
    record: Option<&Record>,
) -> Result<()> {
    let db = &site.app.db;
    for _ in 0..TRIES {
        let checked = db.read(|connection| settings::check(connection, shop, change))?;
        let now = site.app.clock.now();
        let record = record.cloned();
        let applied = db.write(move |tx| -> Result<bool> {
            let applied = settings::apply(tx, now, &checked)?;
            if applied && let Some(record) = record {
                record.write(tx)?;
            }
            Ok(applied)
        })?;
        if applied {
            return Ok(());
        }
    }
    let message = format!("store {shop} is being edited all the time, try again in a moment");
    Err(Error::new(Kind::Conflict, message).with_retry_after(Duration::from_secs(1)))
}

fn shown(site: &Arc<Site>, shop: &ShopDomain) -> Result<Response> {
    let document = site.app.db.read(|connection| -> Result<_> {
        let store = load_store(connection, shop)?;
        Ok(documents::store(&store, &documents::Counted::load(connection, &store)?))
    })?;
    Ok(Response::json(200, &document))
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
