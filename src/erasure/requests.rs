//! SQL of `gdpr_requests`: the duties, keyed by the shop's domain as text, for they outlive its store.

pub(super) mod types;

pub use types::{NewRequest, OrderedBy, PrivacyRequest, RequestKind, RequestOutcome};

use super::RESPONSE_DEADLINE;
use super::receipts::Receipt;
use crate::db::{self, Millis, RowCounts, Tx, expect_one};
use crate::domain::ids::{JobId, RequestId, ShopDomain};
use crate::error::{Error, Kind};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, named_params, params_from_iter};
use serde_json::Value as Json;
use types::Hold;

/// Writes a duty that came in at `now` from Shopify.
///
/// # Errors
/// When the database fails.
pub fn insert(tx: &Tx<'_>, id: RequestId, now: DateTime<Utc>, request: &NewRequest) -> db::Result<()> {
    insert_of(tx, id, now, request, OrderedBy::Shopify)
}

/// Writes a duty that came in at `now`.
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

/// Whether a delivery that asks for this is known by its request (the outer option), and the job that it led to.
///
/// # Errors
/// When the database fails.
pub fn find_delivery(
    connection: &Connection,
    kind: RequestKind,
    webhook_id: &str,
) -> db::Result<Option<Option<JobId>>> {
    let mut statement = connection
        .prepare_cached("SELECT job_id FROM gdpr_requests WHERE webhook_id = :webhook_id AND type = :type")?;
    let params = named_params! { ":webhook_id": webhook_id, ":type": kind.as_str() };
    Ok(statement.query_row(params, |row| row.get("job_id")).optional()?)
}

/// When the last request came in that Shopify has made. Ids are made of times.
///
/// # Errors
/// When the database fails.
pub fn last_delivered_at(connection: &Connection) -> db::Result<Option<DateTime<Utc>>> {
    let mut statement = connection
        .prepare_cached("SELECT created_at FROM gdpr_requests WHERE webhook_id IS NOT NULL ORDER BY id DESC LIMIT 1")?;
    Ok(statement.query_row((), |row| row.get::<_, Millis>("created_at")).optional()?.map(|at| at.0))
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
            None => "it has not been worked off yet",
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

/// A request's row as it is, to be imported by another copy of this database.
#[derive(Debug)]
pub struct Row([Value; COLUMN_COUNT]);

/// All columns of a request's row.
const COLUMN_COUNT: usize = 22;

const ALL_COLUMNS: &str = "id, shop, type, payload, webhook_id, event_id, job_id, triggered_at, due_at, created_at, \
                           processed_at, outcome, deleted, report, erased_at, ordered_by, found_live_at, keys_used_at, held_until, \
                           shopify_says, decision, decided_at";

/// The rows of all requests after `after`, in the order of their ids.
///
/// # Errors
/// When the database fails.
pub fn list_rows(connection: &Connection, after: Option<&Row>, limit: usize) -> db::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {ALL_COLUMNS} FROM gdpr_requests WHERE id > :after ORDER BY id LIMIT :limit"
    ))?;
    let after = after.map_or(Value::Text(String::new()), |row| row.0[0].clone());
    let rows = statement.query_map(named_params! { ":after": after, ":limit": limit }, |row| {
        let mut values = [const { Value::Null }; COLUMN_COUNT];
        for (index, value) in values.iter_mut().enumerate() {
            *value = row.get(index)?;
        }
        Ok(Row(values))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Takes a request over from another copy of this database, unless it is known here and as far along. Returns whether it was.
///
/// # Errors
/// When the database fails.
pub fn import(tx: &Tx<'_>, row: &Row) -> db::Result<bool> {
    // Where two copies have each taken the same delivery, it is known here by the request of this one, and the other's is a duty of
    // its own all the same.
    let mut statement = tx.prepare_cached(&format!(
        "INSERT INTO gdpr_requests ({ALL_COLUMNS})
         VALUES (?1, ?2, ?3, ?4,
             iif(EXISTS (SELECT 1 FROM gdpr_requests AS known
                         WHERE known.webhook_id = ?5 AND known.type = ?3 AND known.id <> ?1), NULL, ?5), ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
             ?21, ?22)
         ON CONFLICT (id) DO UPDATE
         SET payload = excluded.payload, processed_at = excluded.processed_at, outcome = excluded.outcome,
             deleted = excluded.deleted, report = excluded.report, erased_at = excluded.erased_at,
             found_live_at = excluded.found_live_at, keys_used_at = excluded.keys_used_at, held_until = excluded.held_until,
             shopify_says = excluded.shopify_says, decision = excluded.decision, decided_at = excluded.decided_at
         WHERE gdpr_requests.processed_at IS NULL AND gdpr_requests.decision IS NULL AND excluded.decision IS NOT NULL
           OR excluded.processed_at IS NOT NULL
           AND (gdpr_requests.processed_at IS NULL OR gdpr_requests.erased_at IS NULL AND excluded.erased_at IS NOT NULL)"
    ))?;
    Ok(statement.execute(params_from_iter(&row.0))? == 1)
}

/// Marks an open request as what its receipts prove: it was fulfilled, erased from the files and pruned in the copy of this database
/// that the receipts came from.
///
/// # Errors
/// When the database fails.
pub fn settle_by(tx: &Tx<'_>, id: RequestId, erased: &Receipt, verified: &Receipt) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE gdpr_requests
         SET processed_at = :processed_at, outcome = :outcome, deleted = :deleted, payload = '{}', erased_at = :erased_at
         WHERE id = :id AND processed_at IS NULL",
    )?;
    let params = named_params! {
        ":processed_at": Millis(erased.created_at),
        ":outcome": erased.outcome,
        ":deleted": erased.counts,
        ":erased_at": Millis(verified.created_at),
        ":id": id,
    };
    expect_one(statement.execute(params)?, "erasure::requests::settle_by")
}

/// Every open request, oldest first.
///
/// # Errors
/// When the database fails.
pub fn list_all_open(connection: &Connection) -> db::Result<Vec<PrivacyRequest>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM gdpr_requests WHERE processed_at IS NULL ORDER BY due_at, id"
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

/// How the duties stand.
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

/// How the duties are at `now`.
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

/// Which requests came in and were settled before a time. Ids are made of times, so their tree finds the old ones; what is open, or
/// waits for the scrub, is never among them. Apart, so that a test can look at its plan.
pub(super) const OLD: &str = "SELECT id, type, shop, webhook_id, event_id, job_id, created_at FROM gdpr_requests
     WHERE id < :before_id AND processed_at < :before
       AND (erased_at IS NOT NULL OR outcome IN ('superseded_by_reinstall', 'still_installed') OR outcome = 'rejected')
     ORDER BY id LIMIT :limit";

/// A request, and by which delivery it came.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// What was asked.
    pub kind: RequestKind,
    /// Of whom.
    pub shop: ShopDomain,
    /// Shopify's id of the delivery, if it had one.
    pub webhook_id: Option<String>,
    /// Shopify's id of the event.
    pub event_id: Option<String>,
    /// The job that the delivery led to.
    pub job: Option<JobId>,
    /// When it came in.
    pub created_at: DateTime<Utc>,
}

fn delivered_from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Delivered> {
    Ok(Delivered {
        kind: row.get("type")?,
        shop: row.get("shop")?,
        webhook_id: row.get("webhook_id")?,
        event_id: row.get("event_id")?,
        job: row.get("job_id")?,
        created_at: row.get::<_, Millis>("created_at")?.0,
    })
}

/// Calls `look` with each request that came by a delivery with an id, at `until` or before, newest first, until it answers `false`.
/// Ids are made of times, so they are walked in their order.
///
/// # Errors
/// When the database fails.
pub fn each_delivered(
    connection: &Connection,
    until: Option<DateTime<Utc>>,
    mut look: impl FnMut(Delivered) -> bool,
) -> db::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT type, shop, webhook_id, event_id, job_id, created_at FROM gdpr_requests
         WHERE webhook_id IS NOT NULL AND id < :first_after ORDER BY id DESC",
    )?;
    // Behind all ids stands the letter that no hexadecimal digit is.
    let first_after = until.map_or_else(
        || "g".to_owned(),
        |until| RequestId::new(until + TimeDelta::milliseconds(1), [0; 10]).to_string(),
    );
    for delivered in statement.query_map(named_params! { ":first_after": first_after }, delivered_from_row)? {
        if !look(delivered?) {
            break;
        }
    }
    Ok(())
}

/// Forgets up to `limit` requests that were settled before `before`, their shops' domains with them, and returns what came in with
/// them. Their receipts stay.
///
/// # Errors
/// When the database fails.
pub fn prune(tx: &Tx<'_>, before: DateTime<Utc>, limit: usize) -> db::Result<Vec<Delivered>> {
    let mut list = tx.prepare_cached(OLD)?;
    let first_after = RequestId::new(before, [0; 10]);
    let params = named_params! { ":before_id": first_after, ":before": Millis(before), ":limit": limit };
    let old = list.query_map(params, |row| Ok((row.get::<_, RequestId>("id")?, delivered_from_row(row)?)))?;
    let old = old.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut statement = tx.prepare_cached("DELETE FROM gdpr_requests WHERE id = :id")?;
    for (id, _) in &old {
        expect_one(statement.execute(named_params! { ":id": id })?, "erasure::requests::prune")?;
    }
    Ok(old.into_iter().map(|(_, forgotten)| forgotten).collect())
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
