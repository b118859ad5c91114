//! Requests as the deliveries that they came by: what a repeated webhook is known by, and what pruning forgets.

use super::RequestKind;
use crate::db::{self, Millis, Tx, expect_one};
use crate::domain::ids::{JobId, RequestId, ShopDomain};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

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

/// Which requests came in and were settled before a time. Ids are made of times, so their tree finds the old ones; what is open, or
/// waits for the scrub, is never among them.
const OLD: &str = "SELECT id, type, shop, webhook_id, event_id, job_id, created_at FROM gdpr_requests
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
    // The letter after the hexadecimal digits sorts behind all ids.
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
