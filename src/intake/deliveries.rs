//! SQL of `webhook_deliveries`: which deliveries have been taken.

use crate::db::{self, Millis, Tx};
use crate::domain::ids::{JobId, ShopDomain};
use crate::shopify::Topic;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

/// A delivery that is being taken.
pub(super) struct Delivery<'a> {
    pub(super) topic: &'a Topic,
    pub(super) key: &'a str,
    pub(super) event_id: Option<&'a str>,
    pub(super) shop: &'a ShopDomain,
    pub(super) job: Option<JobId>,
}

/// Notes a delivery; `false` when it was taken before, and then nothing is changed.
pub(super) fn insert(tx: &Tx<'_>, now: DateTime<Utc>, delivery: &Delivery<'_>) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO webhook_deliveries (topic, webhook_id, event_id, shop, received_at, job_id)
         VALUES (:topic, :webhook_id, :event_id, :shop, :received_at, :job_id)
         ON CONFLICT (topic, webhook_id) DO NOTHING",
    )?;
    let inserted = statement.execute(named_params! {
        ":topic": delivery.topic.as_str(),
        ":webhook_id": delivery.key,
        ":event_id": delivery.event_id,
        ":shop": delivery.shop.as_str(),
        ":received_at": Millis(now),
        ":job_id": delivery.job,
    })?;
    Ok(inserted == 1)
}

/// The job that a delivery led to.
pub(super) fn find_job(tx: &Tx<'_>, topic: &Topic, key: &str) -> db::Result<Option<JobId>> {
    let mut statement = tx.prepare_cached(
        "SELECT job_id FROM webhook_deliveries
         WHERE topic = :topic AND webhook_id = :webhook_id",
    )?;
    let params = named_params! { ":topic": topic.as_str(), ":webhook_id": key };
    Ok(statement.query_row(params, |row| row.get("job_id")).optional()?.flatten())
}

/// A delivery that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What it was about.
    pub topic: String,
    /// Shopify's id of the webhook, or what stands for it.
    pub webhook_id: String,
    /// Shopify's id of the event.
    pub event_id: Option<String>,
    /// When it came in.
    pub received_at: DateTime<Utc>,
    /// The job that it led to.
    pub job: Option<JobId>,
}

/// The deliveries of a shop after `after` (topic and webhook id). Walks the table: they are kept for repetitions, not for look-ups.
///
/// # Errors
/// The database's.
pub fn list_of_shop(
    connection: &Connection,
    shop: &ShopDomain,
    after: Option<&(String, String)>,
    limit: usize,
) -> db::Result<Vec<Taken>> {
    let mut statement = connection.prepare_cached(
        "SELECT topic, webhook_id, event_id, received_at, job_id FROM webhook_deliveries
         WHERE shop = :shop AND (topic, webhook_id) > (:topic, :webhook_id)
         ORDER BY topic, webhook_id LIMIT :limit",
    )?;
    let (topic, webhook_id) = after.map_or(("", ""), |(topic, webhook_id)| (topic.as_str(), webhook_id.as_str()));
    let params = named_params! { ":shop": shop, ":topic": topic, ":webhook_id": webhook_id, ":limit": limit };
    let found = statement.query_map(params, |row| {
        Ok(Taken {
            topic: row.get("topic")?,
            webhook_id: row.get("webhook_id")?,
            event_id: row.get("event_id")?,
            received_at: row.get::<_, Millis>("received_at")?.0,
            job: row.get("job_id")?,
        })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// When the last delivery came in that was taken.
///
/// # Errors
/// The database's.
pub fn last_received_at(connection: &Connection) -> db::Result<Option<DateTime<Utc>>> {
    let mut statement = connection.prepare_cached("SELECT max(received_at) AS last FROM webhook_deliveries")?;
    Ok(statement.query_row((), |row| row.get::<_, Option<Millis>>("last"))?.map(|at| at.0))
}

/// Forgets up to `limit` deliveries from before `before`, and returns how many it were. A repetition of one of them would be taken
/// as new.
///
/// # Errors
/// The database's.
pub fn prune(tx: &Tx<'_>, before: DateTime<Utc>, limit: usize) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM webhook_deliveries
         WHERE (topic, webhook_id) IN (
             SELECT topic, webhook_id FROM webhook_deliveries
             WHERE received_at < :before
             ORDER BY received_at LIMIT :limit)",
    )?;
    Ok(statement.execute(named_params! { ":before": Millis(before), ":limit": limit })?)
}
