//! SQL of `gdpr_requests`: privacy requests, keyed by the shop's domain as text, for they outlive its store.

mod deliveries;
mod import;
pub(super) mod types;

pub use deliveries::{Delivered, each_delivered, find_delivery, last_delivered_at, prune};
pub use import::{Row, import, list_rows, settle_by};
pub use types::{NewRequest, OrderedBy, PrivacyRequest, RequestKind, RequestOutcome};

use super::{REQUEST_ID, RESPONSE_DEADLINE};
use crate::db::{self, Millis, RowCounts, Tx, expect_one};
use crate::domain::ids::{RequestId, ShopDomain};
use crate::error::{Error, Kind};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};
use serde_json::Value as Json;
use types::Hold;

/// Writes a request that came in at `now` from Shopify.
///
/// # Errors
/// When the database fails.
pub fn insert(tx: &Tx<'_>, id: RequestId, now: DateTime<Utc>, request: &NewRequest) -> db::Result<()> {
    insert_of(tx, id, now, request, OrderedBy::Shopify)
}

/// Writes a request that came in at `now`.
pub(super) fn insert_of(
    tx: &Tx<'_>,
    id: RequestId,
    now: DateTime<Utc>,
    request: &NewRequest,
    ordered_by: OrderedBy,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO gdpr_requests
             (id, shop, type, payload, webhook_id, event_id, job_id, triggered_at, due_at, created_at, ordered_by)
         VALUES (:id, :shop, :type, :payload, :webhook_id, :event_id, :job_id, :triggered_at, :due_at, :created_at, :ordered_by)",
    )?;
    statement.execute(named_params! {
        ":id": id,
        ":shop": request.shop,
        ":type": request.kind.as_str(),
        ":payload": request.payload.to_string(),
        ":webhook_id": request.webhook_id,
        ":event_id": request.event_id,
        ":job_id": request.job,
        ":triggered_at": Millis(request.triggered_at.min(now)),
        ":due_at": Millis(now + RESPONSE_DEADLINE),
        ":created_at": Millis(now),
        ":ordered_by": ordered_by.as_str(),
    })?;
    Ok(())
}

const COLUMNS: &str = "id, shop, type, webhook_id, triggered_at, created_at, due_at, processed_at, erased_at, outcome, \
                       deleted, ordered_by, found_live_at, keys_used_at, held_until, shopify_says, decision, decided_at";

/// The request with this id.
///
/// # Errors
/// When the database fails.
pub fn find(connection: &Connection, id: RequestId) -> db::Result<Option<PrivacyRequest>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM gdpr_requests WHERE id = :id"))?;
    Ok(statement.query_row(named_params! { ":id": id }, request_from_row).optional()?)
}

/// The open request that the delivery `webhook_id` has led to.
///
/// # Errors
/// When the database fails.
pub fn find_open_delivered(
    connection: &Connection,
    kind: RequestKind,
    webhook_id: &str,
) -> db::Result<Option<PrivacyRequest>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM gdpr_requests WHERE webhook_id = :webhook_id AND type = :type AND processed_at IS NULL"
    ))?;
    let params = named_params! { ":webhook_id": webhook_id, ":type": kind.as_str() };
    Ok(statement.query_row(params, request_from_row).optional()?)
}

/// The request with this id.
///
/// # Errors
/// `NotFound`, and when the database fails.
pub fn load(connection: &Connection, id: RequestId) -> Result<PrivacyRequest, Error> {
    find(connection, id)?.ok_or_else(|| Error::not_found(format!("privacy request {id}")))
}

/// The report of the data request with this id.
///
/// # Errors
/// `NotFound`, saying why there is none, and when the database fails.
pub fn load_report(connection: &Connection, id: RequestId) -> Result<Json, Error> {
    let request = load(connection, id)?;
    find_report(connection, id)?.ok_or_else(|| {
        let why = match request.processed_at {
            None => "it is not processed yet",
            Some(_) => "only a CUSTOMERS_DATA_REQUEST has one",
        };
        Error::new(Kind::NotFound, format!("privacy request {id} has no report: {why}"))
    })
}

/// Which requests to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this shop's.
    pub shop: Option<ShopDomain>,
    /// Only those that came in before this one: the last of the page before.
    pub before: Option<RequestId>,
    /// At most this many.
    pub limit: usize,
}

/// Requests, newest first.
///
/// # Errors
/// When the database fails.
pub fn list(connection: &Connection, filter: &Filter) -> db::Result<Vec<PrivacyRequest>> {
    let mut statement = connection.prepare_cached(&list_sql(filter))?;
    let params = named_params! { ":shop": filter.shop, ":before": filter.before, ":limit": filter.limit };
    let requests = statement.query_map(params, request_from_row)?;
    Ok(requests.collect::<rusqlite::Result<_>>()?)
}

/// The listing that `filter` asks for. Which of a shop's requests are the newest is found within two indexes, of the open and of the
/// others, which hold their ids; the table is read for those that are listed alone.
pub(super) fn list_sql(filter: &Filter) -> String {
    let before = if filter.before.is_some() { "id < :before" } else { ":before IS NULL" };
    match filter.shop {
        None => format!(
            "SELECT {COLUMNS} FROM gdpr_requests WHERE :shop IS NULL AND {before} ORDER BY id DESC LIMIT :limit"
        ),
        Some(_) => format!(
            "SELECT {COLUMNS} FROM gdpr_requests
             WHERE id IN (SELECT id FROM gdpr_requests INDEXED BY gdpr_requests_open
                          WHERE processed_at IS NULL AND shop = :shop AND {before}
                          UNION ALL
                          SELECT id FROM (SELECT id FROM gdpr_requests INDEXED BY gdpr_requests_shop
                                          WHERE processed_at IS NOT NULL AND shop = :shop AND {before}
                                          ORDER BY id DESC LIMIT :limit))
             ORDER BY id DESC LIMIT :limit"
        ),
    }
}

/// Calls `look` with every request, oldest first.
pub(super) fn each(connection: &Connection, mut look: impl FnMut(&PrivacyRequest) -> db::Result<()>) -> db::Result<()> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM gdpr_requests ORDER BY id"))?;
    for request in statement.query_map((), request_from_row)? {
        look(&request?)?;
    }
    Ok(())
}

/// Whether a request says that this shop was erased.
pub(super) fn is_shop_erased(connection: &Connection, shop: &ShopDomain) -> db::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM gdpr_requests
         WHERE shop = :shop AND type = 'SHOP_REDACT' AND processed_at IS NOT NULL
           AND (outcome = 'erased' OR outcome = 'nothing_held')",
    )?;
    Ok(statement.exists(named_params! { ":shop": shop })?)
}

/// Up to `limit` open requests of one kind for a shop, oldest first.
pub(super) fn list_open(
    connection: &Connection,
    shop: &ShopDomain,
    kind: RequestKind,
    limit: usize,
) -> db::Result<Vec<PrivacyRequest>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM gdpr_requests WHERE {}", open_of_shop(kind)))?;
    let params = named_params! { ":shop": shop, ":type": kind.as_str(), ":limit": limit };
    let requests = statement.query_map(params, request_from_row)?;
    Ok(requests.collect::<rusqlite::Result<_>>()?)
}

/// Which requests of a kind are open for a shop. A delivery may ask for what an open redaction asks for already, so those have an index;
/// the others are looked for among all that are open, by jobs of people only.
pub(super) fn open_of_shop(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::ShopRedact => {
            "shop = :shop AND type = 'SHOP_REDACT' AND type = :type AND processed_at IS NULL ORDER BY id LIMIT :limit"
        }
        RequestKind::CustomersRedact | RequestKind::CustomersDataRequest => {
            "id IN (SELECT id FROM gdpr_requests INDEXED BY gdpr_requests_open
                    WHERE processed_at IS NULL AND shop = :shop AND type = :type)
             ORDER BY id LIMIT :limit"
        }
    }
}

/// An open request to erase a shop that its operator has ordered.
pub(super) fn find_ordered(connection: &Connection, shop: &ShopDomain) -> db::Result<Option<RequestId>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM gdpr_requests
         WHERE shop = :shop AND type = 'SHOP_REDACT' AND processed_at IS NULL AND ordered_by = 'operator'",
    )?;
    Ok(statement.query_row(named_params! { ":shop": shop }, |row| row.get("id")).optional()?)
}

/// An open request to erase a shop: another request for that is the same one. Requests about customers are each their own.
///
/// # Errors
/// When the database fails.
pub fn find_open_redact(connection: &Connection, shop: &ShopDomain) -> db::Result<Option<PrivacyRequest>> {
    Ok(list_open(connection, shop, RequestKind::ShopRedact, 1)?.pop())
}

/// Notes that what an open request asks for has happened again, at `triggered_at`. It stays due when it was.
///
/// # Errors
/// When the database fails.
pub fn raise_triggered_at(tx: &Tx<'_>, id: RequestId, triggered_at: DateTime<Utc>) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE gdpr_requests SET triggered_at = :triggered_at WHERE id = :id AND processed_at IS NULL",
    )?;
    let changed = statement.execute(named_params! { ":triggered_at": Millis(triggered_at), ":id": id })?;
    expect_one(changed, "erasure::requests::raise_triggered_at")
}

/// The report that fulfilled a data request.
///
/// # Errors
/// When the database fails.
pub fn find_report(connection: &Connection, id: RequestId) -> db::Result<Option<Json>> {
    let mut statement = connection.prepare_cached("SELECT report FROM gdpr_requests WHERE id = :id")?;
    Ok(statement.query_row(named_params! { ":id": id }, |row| row.get("report")).optional()?.flatten())
}

/// The ids that came with an open request.
pub(super) fn load_payload(connection: &Connection, id: RequestId) -> db::Result<Json> {
    let mut statement = connection.prepare_cached("SELECT payload FROM gdpr_requests WHERE id = :id")?;
    Ok(statement.query_row(named_params! { ":id": id }, |row| row.get("payload"))?)
}

/// Replaces what an open request came with, by what is left to do of it.
pub(super) fn set_payload(tx: &Tx<'_>, id: RequestId, payload: &Json) -> db::Result<()> {
    let mut statement =
        tx.prepare_cached("UPDATE gdpr_requests SET payload = :payload WHERE id = :id AND processed_at IS NULL")?;
    let params = named_params! { ":payload": payload.to_string(), ":id": id };
    expect_one(statement.execute(params)?, "erasure::requests::set_payload")
}

/// Every open request, oldest first.
///
/// # Errors
/// When the database fails.
pub fn list_all_open(connection: &Connection) -> db::Result<Vec<PrivacyRequest>> {
    list_open_where(connection, "TRUE")
}

/// Every open request that the job which its delivery led to does not see to any more, oldest first.
///
/// # Errors
/// When the database fails.
pub(super) fn list_all_open_without_own_job(connection: &Connection) -> db::Result<Vec<PrivacyRequest>> {
    list_open_where(
        connection,
        &format!(
            "NOT EXISTS (
                SELECT 1 FROM job_queue
                WHERE job_queue.id = gdpr_requests.job_id AND job_queue.status IN ('pending', 'processing')
                  AND job_queue.payload ->> '{REQUEST_ID}' = gdpr_requests.id)"
        ),
    )
}

fn list_open_where(connection: &Connection, condition: &str) -> db::Result<Vec<PrivacyRequest>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM gdpr_requests WHERE processed_at IS NULL AND {condition} ORDER BY due_at, id"
    ))?;
    let requests = statement.query_map((), request_from_row)?;
    Ok(requests.collect::<rusqlite::Result<_>>()?)
}

/// Marks an open request as fulfilled. The ids that came with it are forgotten.
pub(super) fn mark_processed(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    id: RequestId,
    outcome: RequestOutcome,
    deleted: &RowCounts,
    report: Option<&Json>,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE gdpr_requests
         SET processed_at = :now, outcome = :outcome, deleted = :deleted, report = :report, payload = '{}'
         WHERE id = :id AND processed_at IS NULL",
    )?;
    let params = named_params! {
        ":now": Millis(now),
        ":outcome": outcome.as_str(),
        ":deleted": deleted,
        ":report": report.map(ToString::to_string),
        ":id": id,
    };
    expect_one(statement.execute(params)?, "erasure::requests::mark_processed")
}

/// A request whose rows are gone and whose bytes may not be.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub(super) id: RequestId,
    pub(super) shop: ShopDomain,
    pub(super) kind: RequestKind,
}

/// Which requests of a kind wait for the scrub. Apart, so that a test can look at its plan.
pub(super) const TO_SCRUB: &str = "SELECT id, shop, type FROM gdpr_requests
     WHERE type = :type AND processed_at IS NOT NULL AND erased_at IS NULL
       AND outcome <> 'superseded_by_reinstall' AND outcome <> 'still_installed' AND outcome <> 'rejected'
     ORDER BY processed_at, id LIMIT :limit";

/// Requests whose rows are gone and whose bytes may not be: those of shops first, each kind oldest first.
pub(super) fn list_to_scrub(connection: &Connection, limit: usize) -> db::Result<Vec<Waiting>> {
    let mut statement = connection.prepare_cached(TO_SCRUB)?;
    let mut waiting = Vec::new();
    for kind in [RequestKind::ShopRedact, RequestKind::CustomersRedact, RequestKind::CustomersDataRequest] {
        let params = named_params! { ":type": kind.as_str(), ":limit": limit - waiting.len() };
        let found = statement.query_map(params, |row| {
            Ok(Waiting { id: row.get("id")?, shop: row.get("shop")?, kind: row.get("type")? })
        })?;
        waiting.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(waiting)
}

/// How many requests wait for the scrub.
pub(super) fn count_to_scrub(connection: &Connection) -> db::Result<u64> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*) FROM gdpr_requests
         WHERE processed_at IS NOT NULL AND erased_at IS NULL AND outcome <> 'superseded_by_reinstall' AND outcome <> 'still_installed' AND outcome <> 'rejected'",
    )?;
    Ok(statement.query_row((), |row| row.get(0))?)
}

/// Whether any request of this shop is open or waits for the scrub.
pub(super) fn is_unsettled(connection: &Connection, shop: &ShopDomain) -> db::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM gdpr_requests INDEXED BY gdpr_requests_open WHERE processed_at IS NULL AND shop = :shop
         UNION ALL
         SELECT 1 FROM gdpr_requests INDEXED BY gdpr_requests_shop
         WHERE processed_at IS NOT NULL AND shop = :shop AND erased_at IS NULL AND outcome <> 'superseded_by_reinstall'
           AND outcome <> 'still_installed' AND outcome <> 'rejected'",
    )?;
    Ok(statement.exists(named_params! { ":shop": shop })?)
}

/// Marks a request's bytes as gone; `false` when that was known already.
pub(super) fn mark_erased(tx: &Tx<'_>, now: DateTime<Utc>, id: RequestId) -> db::Result<bool> {
    let mut statement =
        tx.prepare_cached("UPDATE gdpr_requests SET erased_at = :now WHERE id = :id AND erased_at IS NULL")?;
    Ok(statement.execute(named_params! { ":now": Millis(now), ":id": id })? == 1)
}

/// How many requests are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRequests {
    /// Not yet fulfilled.
    pub open: u64,
    /// Not yet fulfilled, and late.
    pub overdue: u64,
    /// Fulfilled, bytes not yet known to be gone.
    pub to_scrub: u64,
    /// When the first of those was fulfilled.
    pub to_scrub_since: Option<DateTime<Utc>>,
    /// When the nearest open one is due.
    pub next_due_at: Option<DateTime<Utc>>,
}

/// How many requests are in which state at `now`.
///
/// # Errors
/// When the database fails.
pub fn open_requests(connection: &Connection, now: DateTime<Utc>) -> db::Result<OpenRequests> {
    let mut statement = connection.prepare_cached(
        "SELECT
             (SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL) AS open,
             (SELECT count(*) FROM gdpr_requests WHERE processed_at IS NULL AND due_at < :now) AS overdue,
             (SELECT count(*) FROM gdpr_requests WHERE processed_at IS NOT NULL AND erased_at IS NULL
                  AND outcome <> 'superseded_by_reinstall' AND outcome <> 'still_installed' AND outcome <> 'rejected') AS to_scrub,
             (SELECT min(processed_at) FROM gdpr_requests WHERE processed_at IS NOT NULL AND erased_at IS NULL
                  AND outcome <> 'superseded_by_reinstall' AND outcome <> 'still_installed' AND outcome <> 'rejected') AS to_scrub_since,
             (SELECT min(due_at) FROM gdpr_requests WHERE processed_at IS NULL) AS next_due_at",
    )?;
    Ok(statement.query_row(named_params! { ":now": Millis(now) }, |row| {
        Ok(OpenRequests {
            open: row.get("open")?,
            overdue: row.get("overdue")?,
            to_scrub: row.get("to_scrub")?,
            to_scrub_since: row.get::<_, Option<Millis>>("to_scrub_since")?.map(|at| at.0),
            next_due_at: row.get::<_, Option<Millis>>("next_due_at")?.map(|at| at.0),
        })
    })?)
}

/// How many requests [`list_due_before`] lists at the most.
const DUE_LISTED: usize = 1_000;

/// The open requests that are due before `at`, the most urgent first.
///
/// # Errors
/// When the database fails.
pub fn list_due_before(connection: &Connection, at: DateTime<Utc>) -> db::Result<Vec<PrivacyRequest>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM gdpr_requests
         WHERE processed_at IS NULL AND due_at < :at
         ORDER BY due_at LIMIT :limit"
    ))?;
    let requests = statement.query_map(named_params! { ":at": Millis(at), ":limit": DUE_LISTED }, request_from_row)?;
    Ok(requests.collect::<rusqlite::Result<_>>()?)
}

/// Which requests met a store that looked live. Apart, so that a test can look at its plan.
pub(super) const FOUND_LIVE: &str = "found_live_at IS NOT NULL AND found_live_at > :since
     ORDER BY found_live_at DESC LIMIT :limit";

/// The requests whose store was found to look live after `since`, newest first, `limit` at the most.
///
/// # Errors
/// When the database fails.
pub fn list_found_live(connection: &Connection, since: DateTime<Utc>, limit: usize) -> db::Result<Vec<PrivacyRequest>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM gdpr_requests WHERE {FOUND_LIVE}"))?;
    let params = named_params! { ":since": Millis(since), ":limit": limit };
    let requests = statement.query_map(params, request_from_row)?;
    Ok(requests.collect::<rusqlite::Result<_>>()?)
}

fn request_from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<PrivacyRequest> {
    Ok(PrivacyRequest {
        id: row.get("id")?,
        shop: row.get("shop")?,
        kind: row.get("type")?,
        webhook_id: row.get("webhook_id")?,
        triggered_at: row.get::<_, Millis>("triggered_at")?.0,
        created_at: row.get::<_, Millis>("created_at")?.0,
        due_at: row.get::<_, Millis>("due_at")?.0,
        processed_at: row.get::<_, Option<Millis>>("processed_at")?.map(|at| at.0),
        erased_at: row.get::<_, Option<Millis>>("erased_at")?.map(|at| at.0),
        outcome: row.get("outcome")?,
        deleted: row.get::<_, Option<RowCounts>>("deleted")?.unwrap_or_default(),
        ordered_by: row.get("ordered_by")?,
        hold: Hold::from_row(row)?,
    })
}
