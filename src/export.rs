//! Everything that is held about a shop, as one document, written as it is read: there may be more than fits into memory, and no client
//! that reads slowly keeps a snapshot open. Each thing agrees with itself; what is edited meanwhile may be from before or after.
//!
//! Left out is what is secret and says nothing about the shop: digests of keys, hashes of what orders were
//! repeated by, and the tokens of order pages.

use crate::catalog::stores::{self, Store};
use crate::catalog::{assignments, keys, matrices, options};
use crate::clock::instant;
use crate::db::Db;
use crate::domain::ids::{JobId, KeyId, MatrixId, OptionGroupId, ProductId, RequestId, ShopDomain};
use crate::erasure::{self, requests};
use crate::error::{Error, Kind, Result};
use crate::intake::deliveries;
use crate::keyed_hash::KeyedHasher;
use crate::orders::records;
use crate::queue;
use crate::views::{catalog as catalog_views, gdpr, jobs, orders, stores as store_views};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Things read at once: a page is written before the next is read.
const PAGE: usize = 100;

/// Why a shop's document is not whole.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] Error),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Writes the document of `shop`.
///
/// # Errors
/// `NotFound` when nothing at all is held about it; `Conflict` while it is being erased; when the database fails; and those of `out`.
pub fn write(
    db: &Db,
    hasher: &KeyedHasher,
    now: DateTime<Utc>,
    shop: &ShopDomain,
    out: &mut dyn Write,
) -> std::result::Result<(), ExportError> {
    let export = Export { db, shop, subject: erasure::subject(hasher, shop) };
    let store = export.store()?;
    write!(out, "{{\"shop\":{},\n\"exportedAt\":{}", json!(shop.as_str()), json!(instant(now)))?;
    let document = match &store {
        Some(store) => {
            let counted = db.read(|connection| store_views::Counted::load(connection, store)).map_err(Error::from)?;
            store_views::store(store, &counted)
        }
        None => Value::Null,
    };
    write!(out, ",\n\"store\":{document}")?;
    list(out, "keys", |after| export.keys(store.as_ref(), after))?;
    list(out, "matrices", |after| export.matrices(store.as_ref(), after))?;
    list(out, "optionGroups", |after| export.option_groups(store.as_ref(), after))?;
    list(out, "products", |after| export.products(store.as_ref(), after))?;
    list(out, "draftOrders", |after| export.draft_orders(store.as_ref(), after))?;
    list(out, "privacyRequests", |after| export.privacy_requests(after))?;
    list(out, "webhookDeliveries", |after| export.deliveries(after))?;
    list(out, "jobs", |after| export.jobs(after))?;
    writeln!(out, "}}")?;
    out.flush()?;
    Ok(())
}

/// A page of documents, and the place to go on from.
type Page<C> = (Vec<Value>, Option<C>);

/// Writes a list page by page.
fn list<C>(
    out: &mut dyn Write,
    name: &str,
    mut page: impl FnMut(Option<C>) -> Result<Page<C>>,
) -> std::result::Result<(), ExportError> {
    write!(out, ",\n\"{name}\":[")?;
    let (mut after, mut first) = (None, true);
    loop {
        let (documents, next) = page(after)?;
        for document in documents {
            write!(out, "{}{document}", if first { "\n" } else { ",\n" })?;
            first = false;
        }
        if next.is_none() {
            write!(out, "]")?;
            return Ok(());
        }
        after = next;
    }
}

/// A page of `found`; it is the last one unless it is full.
fn paged<T, C>(found: Vec<T>, document: impl Fn(&T) -> Value, place: impl Fn(&T) -> C) -> Page<C> {
    let next = if found.len() == PAGE { found.last().map(place) } else { None };
    (found.iter().map(document).collect(), next)
}

struct Export<'a> {
    db: &'a Db,
    shop: &'a ShopDomain,
    subject: String,
}

impl Export<'_> {
    /// The store, where there is one: of an erased shop, only its privacy requests are held.
    fn store(&self) -> Result<Option<Store>> {
        match self.db.read(|connection| stores::load(connection, self.shop)) {
            Ok(store) => Ok(Some(store)),
            Err(error) if error.kind() == Kind::NotFound => {
                let held = !self.privacy_requests(None)?.0.is_empty() || !self.deliveries(None)?.0.is_empty();
                if held {
                    Ok(None)
                } else {
                    Err(Error::new(Kind::NotFound, format!("nothing is held about {}", self.shop)))
                }
            }
            Err(error) => Err(error),
        }
    }

    fn keys(&self, store: Option<&Store>, before: Option<KeyId>) -> Result<Page<KeyId>> {
        let Some(store) = store else { return Ok((Vec::new(), None)) };
        let found = self.db.read(|connection| keys::list(connection, store.id, before, PAGE))?;
        Ok(paged(found, store_views::key, |key| key.id))
    }

    fn matrices(&self, store: Option<&Store>, before: Option<MatrixId>) -> Result<Page<MatrixId>> {
        let Some(store) = store else { return Ok((Vec::new(), None)) };
        // One at a time: a hundred of the largest would be a quarter of a million prices.
        self.db.read(|connection| -> Result<_> {
            let Some(found) = matrices::list(connection, store.id, before, 1)?.pop() else {
                return Ok((Vec::new(), None));
            };
            let scope = stores::load(connection, self.shop)?.scope();
            let matrix = matrices::load(connection, store.id, found.id)?;
            Ok((vec![catalog_views::matrix(&matrix, scope)], Some(found.id)))
        })
    }

    fn option_groups(&self, store: Option<&Store>, before: Option<OptionGroupId>) -> Result<Page<OptionGroupId>> {
        let Some(store) = store else { return Ok((Vec::new(), None)) };
        let found = self.db.read(|connection| options::list(connection, store.id, before, PAGE))?;
        Ok(paged(found, catalog_views::option_group, |stored| stored.group.id))
    }

    fn products(&self, store: Option<&Store>, after: Option<ProductId>) -> Result<Page<ProductId>> {
        let Some(store) = store else { return Ok((Vec::new(), None)) };
        let read = |connection: &_| assignments::list_products(connection, store.id, after.as_ref(), PAGE);
        Ok(paged(self.db.read(read)?, catalog_views::product, |product| product.id.clone()))
    }

    fn draft_orders(&self, store: Option<&Store>, before: Option<i64>) -> Result<Page<i64>> {
        let Some(store) = store else { return Ok((Vec::new(), None)) };
        let found = self.db.read(|connection| records::list(connection, store.id, before, PAGE))?;
        Ok(paged(found, orders::draft_order, |record| record.number))
    }

    fn privacy_requests(&self, before: Option<RequestId>) -> Result<Page<RequestId>> {
        let filter = requests::Filter { shop: Some(self.shop.clone()), before, limit: PAGE };
        let found = self.db.read(|connection| requests::list(connection, &filter))?;
        Ok(paged(found, gdpr::request, |request| request.id))
    }

    fn deliveries(&self, after: Option<(String, String)>) -> Result<Page<(String, String)>> {
        let found = self.db.read(|connection| deliveries::list_of_shop(connection, self.shop, after.as_ref(), PAGE))?;
        let document = |delivery: &deliveries::RecordedDelivery| {
            json!({
                "topic": delivery.topic,
                "webhookId": delivery.webhook_id,
                "eventId": delivery.event_id,
                "receivedAt": instant(delivery.received_at),
                "jobId": delivery.job.map(|id| id.to_string()),
            })
        };
        Ok(paged(found, document, |delivery| (delivery.topic.clone(), delivery.webhook_id.clone())))
    }

    fn jobs(&self, before: Option<JobId>) -> Result<Page<JobId>> {
        let subject = Some(self.subject.clone());
        let filter = queue::Filter { status: None, job_type: None, error: None, subject, before, limit: PAGE };
        let found = self.db.read(|connection| queue::list(connection, &filter))?;
        let document = |job: &queue::Job| {
            let mut document = jobs::job(job);
            document["payload"] = job.payload.clone();
            document
        };
        Ok(paged(found, document, |job| job.id))
    }
}
